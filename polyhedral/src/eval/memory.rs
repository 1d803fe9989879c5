//! The tensors while the program runs.

use support::Entity;

use super::wide::Carried;
use super::{Data, EvalError, Limits, Tensors, numbers};
use crate::{DType, Index, Role, Scop, TensorId};

/// The tensors of a program, by their ids.
pub(super) struct Memory {
    pub buffers: Vec<Buffer>,
}

/// A tensor: floats as doubles, everything else as integers.
pub(super) struct Buffer {
    pub name: String,
    pub dtype: DType,
    pub role: Role,
    pub lower: Vec<i64>,
    pub extent: Vec<i64>,
    pub strides: Vec<i64>,
    /// When the type is a floating-point type. Those of 16 bits hold what a `float32` holds until they are read: sums
    /// accumulate in `float32` and round once.
    pub floats: Vec<f64>,
    /// When it is not.
    pub ints: Vec<i64>,
    /// In wide evaluation, unless the tensor is an input.
    pub carried: Vec<Carried>,
    /// In wide evaluation: no error ever reaches it.
    pub exact: bool,
    /// In wide evaluation: a write went to a place that errors decide, so any element may be anything.
    pub tainted: bool,
}

impl Memory {
    /// The tensors of `scop` with what the caller gave, outputs and temporaries unwritten.
    pub fn new(scop: &Scop, sizes: &[i64], inputs: &Tensors, limits: Limits, wide: bool) -> Result<Memory, EvalError> {
        let mut memory = Memory { buffers: Vec::new() };
        for tensor in scop.tensors.values() {
            let malformed = |message| EvalError::Malformed { entity: tensor.name.clone(), message };
            let all =
                |indices: &[Index]| indices.iter().map(|index| index.eval(&[], sizes)).collect::<Option<Vec<i64>>>();
            let (lower, extent) = all(&tensor.lower)
                .zip(all(&tensor.extent))
                .ok_or_else(|| malformed("a bound that the sizes do not decide"))?;
            let strides = strides(&extent).ok_or_else(|| malformed("more elements than 64 bits count"))?;
            let (name, dtype, role) = (tensor.name.clone(), tensor.dtype, tensor.role);
            let exact = role == Role::Input || !dtype.is_float();
            let (floats, ints, carried) = Default::default();
            let tainted = false;
            memory.buffers.push(Buffer {
                name,
                dtype,
                role,
                lower,
                extent,
                strides,
                floats,
                ints,
                carried,
                exact,
                tainted,
            });
        }
        memory.check_limit(limits, wide)?;
        for buffer in &mut memory.buffers {
            buffer.fill(inputs, wide)?;
        }
        Ok(memory)
    }

    pub fn index(&self, tensor: TensorId) -> usize {
        tensor.index()
    }

    fn check_limit(&self, limits: Limits, wide: bool) -> Result<(), EvalError> {
        let bytes_of = |buffer: &Buffer| {
            let carried = if wide && buffer.role != Role::Input { size_of::<Carried>() } else { 0 };
            buffer.len() as u128 * (8 + carried) as u128
        };
        let bytes = self.buffers.iter().map(bytes_of).sum::<u128>();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if bytes > limits.bytes {
            return Err(EvalError::TooMuchMemory { bytes, limit: limits.bytes });
        }
        Ok(())
    }
}

impl Buffer {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.extent.iter().map(|&extent| extent.max(0) as usize).product()
    }

    /// The contents as the caller sees them.
    pub fn to_data(&self) -> Data {
        if self.dtype.is_float() {
            Data::from_f64s(self.dtype, &self.extent, &self.floats)
        } else {
            Data::from_i64s(self.dtype, &self.extent, &self.ints)
        }
    }

    fn fill(&mut self, inputs: &Tensors, wide: bool) -> Result<(), EvalError> {
        let given = match self.role {
            Role::Temporary => None,
            Role::Output => inputs.get(&self.name),
            Role::Input | Role::InOut => {
                Some(inputs.get(&self.name).ok_or_else(|| EvalError::MissingInput { tensor: self.name.clone() })?)
            }
        };
        if let Some(data) = given {
            self.check(data)?;
        }
        let (len, float) = (self.len(), self.dtype.is_float());
        match given {
            Some(data) if float => self.floats = data.to_f64s(),
            Some(data) => self.ints = data.to_i64s(),
            None if float => self.floats = vec![0.0; len],
            None => self.ints = vec![0; len],
        }
        if wide && self.role != Role::Input {
            self.carried = match given {
                Some(_) if float => self.floats.iter().map(|&value| Carried::stored(value, 0.0)).collect(),
                Some(_) => vec![Carried::default(); len],
                None => vec![Carried::UNWRITTEN; len],
            };
        }
        Ok(())
    }

    fn check(&self, data: &Data) -> Result<(), EvalError> {
        let bytes = self.len() * self.dtype.bytes() as usize;
        if data.dtype == self.dtype && data.shape == self.extent && data.bytes.len() == bytes {
            return Ok(());
        }
        Err(EvalError::WrongInput {
            tensor: self.name.clone(),
            dtype: self.dtype,
            shape: self.extent.clone(),
            given_dtype: data.dtype,
            given: data.shape.clone(),
            bytes: data.bytes.len(),
        })
    }

    /// The coordinates, in the source's terms, of an element.
    pub fn subscripts(&self, mut at: usize) -> Vec<i64> {
        let mut subscripts = Vec::with_capacity(self.extent.len());
        for (stride, lower) in self.strides.iter().zip(&self.lower) {
            subscripts.push(lower + (at / *stride as usize) as i64);
            at %= *stride as usize;
        }
        subscripts
    }

    /// The unit round-off of the elements.
    pub fn unit(&self) -> numbers::Unit {
        numbers::Unit::of(self.dtype)
    }
}

/// Row-major strides; `None` when the elements cannot be counted.
fn strides(extent: &[i64]) -> Option<Vec<i64>> {
    let mut strides = vec![1i64; extent.len()];
    let mut elements = 1i64;
    for (stride, &extent) in strides.iter_mut().zip(extent).rev() {
        *stride = elements.max(1);
        elements = elements.checked_mul(extent.max(0))?;
    }
    Some(strides)
}
