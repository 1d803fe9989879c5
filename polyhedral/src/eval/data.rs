use std::collections::BTreeMap;

use half::{bf16, f16};

use super::numbers::{bf16_of, f16_of};
use crate::DType;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Data>;

/// A dense row-major tensor, its elements as they lie in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The type of an element.
    pub dtype: DType,
    /// The extents.
    pub shape: Vec<i64>,
    /// The elements, last dimension fastest, in the byte order of this machine.
    pub bytes: Vec<u8>,
}

/// Calls `$body` with the Rust type of `$dtype` as `$T`.
macro_rules! with_type {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::Bool | DType::U8 => {
                type $T = u8;
                $body
            }
            DType::I8 => {
                type $T = i8;
                $body
            }
            DType::I16 => {
                type $T = i16;
                $body
            }
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
            DType::U16 => {
                type $T = u16;
                $body
            }
            DType::U32 => {
                type $T = u32;
                $body
            }
            DType::U64 => {
                type $T = u64;
                $body
            }
            DType::F16 => {
                type $T = f16;
                $body
            }
            DType::BF16 => {
                type $T = bf16;
                $body
            }
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}

/// How an element of memory becomes a value of the evaluator and back.
trait Element: Sized {
    const BYTES: usize;
    fn load(bytes: &[u8]) -> Self;
    fn store(self, into: &mut Vec<u8>);
    fn to_f64(self) -> f64;
    fn to_i64(self) -> i64;
    fn of_f64(value: f64) -> Self;
    fn of_i64(value: i64) -> Self;
}

macro_rules! element {
    ($($T:ty: $to_f64:expr, $to_i64:expr, $of_f64:expr, $of_i64:expr;)*) => {$(
        impl Element for $T {
            const BYTES: usize = size_of::<$T>();
            fn load(bytes: &[u8]) -> Self {
                <$T>::from_ne_bytes(bytes.try_into().expect("chunks of this size"))
            }
            fn store(self, into: &mut Vec<u8>) { into.extend_from_slice(&self.to_ne_bytes()) }
            fn to_f64(self) -> f64 { $to_f64(self) }
            fn to_i64(self) -> i64 { $to_i64(self) }
            fn of_f64(value: f64) -> Self { $of_f64(value) }
            fn of_i64(value: i64) -> Self { $of_i64(value) }
        }
    )*};
}

element! {
    u8: |v| v as f64, |v| v as i64, |v| v as u8, |v| v as u8;
    i8: |v| v as f64, |v| v as i64, |v| v as i8, |v| v as i8;
    u16: |v| v as f64, |v| v as i64, |v| v as u16, |v| v as u16;
    i16: |v| v as f64, |v| v as i64, |v| v as i16, |v| v as i16;
    u32: |v| v as f64, |v| v as i64, |v| v as u32, |v| v as u32;
    i32: |v| v as f64, |v| v as i64, |v| v as i32, |v| v as i32;
    u64: |v| v as f64, |v| v as i64, |v| v as u64, |v| v as u64;
    i64: |v| v as f64, |v| v, |v| v as i64, |v| v;
    f32: f64::from, |v| v as i64, |v| v as f32, |v| v as f32;
    f64: |v| v, |v| v as i64, |v| v, |v| v as f64;
    f16: f16::to_f64, |v| f16::to_f64(v) as i64, f16_of, |v| f16_of(v as f64);
    bf16: bf16::to_f64, |v| bf16::to_f64(v) as i64, bf16_of, |v| bf16_of(v as f64);
}

impl Data {
    /// All zero.
    pub fn zeros(dtype: DType, shape: &[i64]) -> Data {
        let bytes = elements(shape) * dtype.bytes() as usize;
        Data { dtype, shape: shape.to_vec(), bytes: vec![0; bytes] }
    }

    /// From doubles, each converted as Rust's `as` does (floats round to nearest, integers saturate; not 0 is `true`).
    pub fn from_f64s(dtype: DType, shape: &[i64], values: &[f64]) -> Data {
        let mut bytes = Vec::with_capacity(values.len() * dtype.bytes() as usize);
        with_type!(dtype, T => values.iter().for_each(|&v| T::of_f64(boolean_f64(dtype, v)).store(&mut bytes)));
        Data { dtype, shape: shape.to_vec(), bytes }
    }

    /// From integers (those of a `uint64` as their bits), each wrapped to the type; not 0 is `true`.
    pub fn from_i64s(dtype: DType, shape: &[i64], values: &[i64]) -> Data {
        let mut bytes = Vec::with_capacity(values.len() * dtype.bytes() as usize);
        let boolean = |v: i64| if dtype == DType::Bool { (v != 0) as i64 } else { v };
        with_type!(dtype, T => values.iter().for_each(|&v| T::of_i64(boolean(v)).store(&mut bytes)));
        Data { dtype, shape: shape.to_vec(), bytes }
    }

    /// The elements as doubles; 64-bit integers round.
    pub fn to_f64s(&self) -> Vec<f64> {
        with_type!(self.dtype, T => {
            self.bytes.chunks_exact(T::BYTES).map(|chunk| boolean_f64(self.dtype, T::load(chunk).to_f64())).collect()
        })
    }

    /// The elements as integers: those of a `uint64` as their bits, floats truncated.
    pub fn to_i64s(&self) -> Vec<i64> {
        let boolean = |v: i64| if self.dtype == DType::Bool { (v != 0) as i64 } else { v };
        with_type!(self.dtype, T => {
            self.bytes.chunks_exact(T::BYTES).map(|chunk| boolean(T::load(chunk).to_i64())).collect()
        })
    }

    /// How many elements the shape has; a negative extent counts as 0.
    pub fn len(&self) -> usize {
        elements(&self.shape)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn elements(shape: &[i64]) -> usize {
    shape.iter().map(|&extent| extent.max(0) as usize).product()
}

fn boolean_f64(dtype: DType, value: f64) -> f64 {
    if dtype == DType::Bool { (value != 0.0) as i64 as f64 } else { value }
}
