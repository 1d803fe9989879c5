//! What a kernel takes, and whether it was given that.

use super::{CallError, LoadError, Position};
use crate::abi::STATUS_FAULT;
use crate::tensor::{DType, TensorView, TensorViewMut};
use serde::Serialize;
use std::ops::Range;

/// What a kernel takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the kernel.
    pub name: String,
    /// The tensors, in the order in which machine code takes them.
    pub arguments: Vec<Argument>,
    /// The values of the size parameters, in the order in which machine code takes them.
    pub sizes: Vec<i64>,
    /// How much scratch memory one call needs.
    pub workspace_bytes: usize,
    /// The subscripts that machine code checks: a [`Fault`](crate::abi::Fault) counts them.
    pub checks: Vec<Check>,
}

/// A subscript that is data: machine code checks it before it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The tensor that it subscripts.
    pub tensor: String,
    /// The dimension, from 0.
    pub dim: usize,
    /// Whether its 64 bits are those of a number without sign.
    pub unsigned: bool,
    /// The tensors whose elements it is computed from, with the number of their dimensions.
    pub found_by: Vec<(String, usize)>,
}

/// A tensor that a kernel takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name in the program.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// What the kernel does with it.
    pub role: Role,
    /// The extent of each dimension.
    pub shape: Vec<i64>,
    /// The stride of each dimension in elements where the kernel is compiled for one, `None` where it takes any. Of a
    /// dimension with fewer than two elements the stride does not count, nor does any of a tensor without elements.
    pub strides: Vec<Option<i64>>,
}

/// What a kernel does with a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It is read.
    Input,
    /// It is written.
    Output,
    /// It is read and written.
    InOut,
}

impl Check {
    /// How many subscripts all elements have that it is computed from.
    pub(crate) fn subscripts(&self) -> usize {
        self.found_by.iter().map(|(_, rank)| rank).sum()
    }

    /// The number that a subscript's bits are.
    pub(crate) fn value_of(&self, bits: i64) -> i128 {
        if self.unsigned { (bits as u64).into() } else { bits.into() }
    }
}

impl Argument {
    /// A tensor in row-major order.
    pub fn dense(name: impl Into<String>, dtype: DType, role: Role, shape: &[i64]) -> Argument {
        let mut strides = vec![Some(1); shape.len()];
        let mut dense = 1_i64;
        for (stride, extent) in strides.iter_mut().zip(shape).rev() {
            *stride = Some(dense);
            dense = dense.saturating_mul((*extent).max(1));
        }
        Argument { name: name.into(), dtype, role, shape: shape.to_vec(), strides }
    }
}

impl Signature {
    /// Checks that the signature does not contradict itself.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let wrong = self.arguments.iter().find(|argument| argument.shape.len() != argument.strides.len());
        if let Some(argument) = wrong {
            let reason = format!("`{}` has another number of strides than of extents", argument.name);
            return Err(LoadError::Signature { reason });
        }
        Ok(())
    }

    /// Checks that these tensors are what the kernel takes.
    pub(crate) fn accepts(&self, inputs: &[TensorView<'_>], outputs: &[TensorViewMut<'_>]) -> Result<(), CallError> {
        self.check_count(Role::Input, self.inputs().count(), inputs.len())?;
        self.check_count(Role::Output, self.outputs().count(), outputs.len())?;
        for (argument, view) in self.inputs().zip(inputs) {
            argument.accepts(view.dtype(), view.shape(), view.strides())?;
        }
        for (argument, view) in self.outputs().zip(outputs) {
            argument.accepts(view.dtype(), view.shape(), view.strides())?;
        }
        self.check_overlap(inputs, outputs)
    }

    /// As [`Signature::accepts`], for tensors that are copied: however their elements lie.
    #[cfg(feature = "device")]
    pub(crate) fn accepts_any_strides(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
    ) -> Result<(), CallError> {
        self.check_count(Role::Input, self.inputs().count(), inputs.len())?;
        self.check_count(Role::Output, self.outputs().count(), outputs.len())?;
        let dense = |argument: &Argument| argument.strides.iter().map(|stride| stride.unwrap_or(1)).collect::<Vec<_>>();
        for (argument, view) in self.inputs().zip(inputs) {
            argument.accepts(view.dtype(), view.shape(), &dense(argument))?;
        }
        for (argument, view) in self.outputs().zip(outputs) {
            argument.accepts(view.dtype(), view.shape(), &dense(argument))?;
        }
        self.check_overlap(inputs, outputs)
    }

    /// What a failed check says: its position, the subscript less the smallest one, the smallest one, the extent, and the
    /// subscripts of the elements that it was computed from.
    pub(crate) fn index_out_of_range(
        &self,
        check: usize,
        (value, lower, extent): (i64, i64, i64),
        found_by: &[i64],
    ) -> CallError {
        let Some(check) = self.checks.get(check) else {
            return CallError::Failed { status: STATUS_FAULT };
        };
        let mut rest = found_by;
        let positions = check.found_by.iter().map(|(tensor, rank)| {
            let (at, after) = rest.split_at((*rank).min(rest.len()));
            rest = after;
            Position { tensor: tensor.clone(), at: at.to_vec() }
        });
        CallError::IndexOutOfRange {
            tensor: check.tensor.clone(),
            dim: check.dim,
            value: check.value_of(value.wrapping_add(lower)),
            lower,
            upper: lower.saturating_add(extent),
            found_by: positions.collect(),
        }
    }

    /// The arguments that are only read.
    pub fn inputs(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.role == Role::Input)
    }

    /// The arguments that are written.
    pub fn outputs(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.role != Role::Input)
    }

    pub(crate) fn check_count(&self, role: Role, expected: usize, found: usize) -> Result<(), CallError> {
        if expected == found { Ok(()) } else { Err(CallError::WrongCount { role, expected, found }) }
    }

    /// Checks that no tensor that is written shares bytes with another one. Interleaved tensors count as sharing.
    fn check_overlap(&self, inputs: &[TensorView<'_>], outputs: &[TensorViewMut<'_>]) -> Result<(), CallError> {
        for (at, (output, written)) in self.outputs().zip(outputs).enumerate() {
            let bytes = written.byte_range();
            let read = self.inputs().zip(inputs.iter().map(TensorView::byte_range));
            let earlier = self.outputs().zip(outputs[..at].iter().map(TensorViewMut::byte_range));
            if let Some((other, _)) = read.chain(earlier).find(|(_, other)| overlap(&bytes, other)) {
                return Err(CallError::Overlap { output: output.name.clone(), other: other.name.clone() });
            }
        }
        Ok(())
    }
}

impl Argument {
    /// Whether a kernel of a device takes it wherever it begins: no vector of its is where a stride is the call's, nor where
    /// there is one element.
    #[cfg(feature = "device")]
    pub(crate) fn takes_any_address(&self) -> bool {
        self.strides.is_empty() || self.strides.contains(&None)
    }

    pub(crate) fn accepts(&self, dtype: DType, shape: &[i64], strides: &[i64]) -> Result<(), CallError> {
        let argument = || self.name.clone();
        if dtype != self.dtype {
            return Err(CallError::WrongType { argument: argument(), expected: self.dtype, found: dtype });
        }
        if shape.len() != self.shape.len() {
            let (expected, found) = (self.shape.len(), shape.len());
            return Err(CallError::WrongRank { argument: argument(), expected, found });
        }
        for (dim, (&expected, &found)) in self.shape.iter().zip(shape).enumerate() {
            if expected != found {
                return Err(CallError::WrongExtent { argument: argument(), dim, expected, found });
            }
        }
        let is_empty = shape.contains(&0);
        for (dim, (&expected, &found)) in self.strides.iter().zip(strides).enumerate() {
            match expected {
                Some(expected) if expected != found && shape[dim] > 1 && !is_empty => {
                    return Err(CallError::WrongStride { argument: argument(), dim, expected, found });
                }
                _ => (),
            }
        }
        Ok(())
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    !a.is_empty() && !b.is_empty() && a.start < b.end && b.start < a.end
}
