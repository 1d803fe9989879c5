//! The two crates that describe elements do not know each other; this file does.

use polyhedral::DType;

/// The run time's name of an element type.
pub fn dtype(dtype: DType) -> runtime::DType {
    match dtype {
        DType::Bool => runtime::DType::BOOL,
        DType::I8 => runtime::DType::INT8,
        DType::I16 => runtime::DType::INT16,
        DType::I32 => runtime::DType::INT32,
        DType::I64 => runtime::DType::INT64,
        DType::U8 => runtime::DType::UINT8,
        DType::U16 => runtime::DType::UINT16,
        DType::U32 => runtime::DType::UINT32,
        DType::U64 => runtime::DType::UINT64,
        DType::F16 => runtime::DType::FLOAT16,
        DType::BF16 => runtime::DType::BFLOAT16,
        DType::F32 => runtime::DType::FLOAT32,
        DType::F64 => runtime::DType::FLOAT64,
    }
}

/// The compiler's name of an element type.
pub fn from_runtime(dtype: runtime::DType) -> Option<DType> {
    DType::ALL.into_iter().find(|&ours| self::dtype(ours) == dtype)
}
