//! The types that an element can have.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The type of an element, with the codes of DLPack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct DType {
    code: u8,
    bits: u8,
}

/// The codes of `DLDataTypeCode`.
const INT: u8 = 0;
const UINT: u8 = 1;
const FLOAT: u8 = 2;
const BFLOAT: u8 = 4;
const BOOL: u8 = 6;

/// Every type, with its name.
const NAMES: [(DType, &str); 13] = [
    (DType::BOOL, "bool"),
    (DType::INT8, "int8"),
    (DType::INT16, "int16"),
    (DType::INT32, "int32"),
    (DType::INT64, "int64"),
    (DType::UINT8, "uint8"),
    (DType::UINT16, "uint16"),
    (DType::UINT32, "uint32"),
    (DType::UINT64, "uint64"),
    (DType::FLOAT16, "float16"),
    (DType::BFLOAT16, "bfloat16"),
    (DType::FLOAT32, "float32"),
    (DType::FLOAT64, "float64"),
];

#[allow(missing_docs, reason = "each constant is the type of its name")]
impl DType {
    pub const BOOL: DType = DType { code: BOOL, bits: 8 };
    pub const INT8: DType = DType { code: INT, bits: 8 };
    pub const INT16: DType = DType { code: INT, bits: 16 };
    pub const INT32: DType = DType { code: INT, bits: 32 };
    pub const INT64: DType = DType { code: INT, bits: 64 };
    pub const UINT8: DType = DType { code: UINT, bits: 8 };
    pub const UINT16: DType = DType { code: UINT, bits: 16 };
    pub const UINT32: DType = DType { code: UINT, bits: 32 };
    pub const UINT64: DType = DType { code: UINT, bits: 64 };
    pub const FLOAT16: DType = DType { code: FLOAT, bits: 16 };
    pub const BFLOAT16: DType = DType { code: BFLOAT, bits: 16 };
    pub const FLOAT32: DType = DType { code: FLOAT, bits: 32 };
    pub const FLOAT64: DType = DType { code: FLOAT, bits: 64 };
}

impl DType {
    /// The type with this DLPack code and width, if it is one of ours.
    pub fn from_dlpack(code: u8, bits: u8) -> Option<DType> {
        NAMES.iter().map(|(dtype, _)| *dtype).find(|dtype| (dtype.code, dtype.bits) == (code, bits))
    }

    /// The code that DLPack gives it.
    pub fn code(self) -> u8 {
        self.code
    }

    /// Its width in bits.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// Its size, and its alignment, in bytes.
    pub fn bytes(self) -> usize {
        usize::from(self.bits) / 8
    }

    /// Its name: `float32`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(dtype, _)| *dtype == self).expect("a DType is only made from the list of names").1
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no element type of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no element type is called `{0}`")]
pub struct UnknownDType(String);

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(name: &str) -> Result<DType, UnknownDType> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(dtype, _)| *dtype).ok_or_else(|| UnknownDType(name.to_owned()))
    }
}

impl From<DType> for &'static str {
    fn from(dtype: DType) -> &'static str {
        dtype.name()
    }
}

impl TryFrom<String> for DType {
    type Error = UnknownDType;

    fn try_from(name: String) -> Result<DType, UnknownDType> {
        name.parse()
    }
}

/// A Rust type that can be an element of a tensor. The list is closed.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The type as data.
    const DTYPE: DType;
}

/// A 16-bit IEEE 754 number, as its bits.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct F16(pub u16);

/// The upper half of a 32-bit IEEE 754 number, as its bits.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bf16(pub u16);

mod sealed {
    /// Only types of which all zero bytes are a value, with the size and alignment of their [`super::DType`].
    pub trait Sealed {}
}

macro_rules! elements {
    ($($element:ty: $dtype:ident),* $(,)?) => {
        $(impl sealed::Sealed for $element {}

        impl Element for $element {
            const DTYPE: DType = DType::$dtype;
        })*
    };
}

elements! {
    bool: BOOL, i8: INT8, i16: INT16, i32: INT32, i64: INT64, u8: UINT8, u16: UINT16, u32: UINT32, u64: UINT64,
    F16: FLOAT16, Bf16: BFLOAT16, f32: FLOAT32, f64: FLOAT64,
}
