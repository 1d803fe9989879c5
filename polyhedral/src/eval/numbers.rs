//! Values of the types: rounding, wrapping, and the constants of error analysis.

use half::{bf16, f16};

use crate::{BinOp, CmpOp, DType, Value};

/// What a floating-point type does to a result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Unit round-off. That of `float64` is doubled, because the reference itself rounds.
    pub round: f64,
    /// The smallest positive number.
    pub tiny: f64,
    /// The largest finite number.
    pub max: f64,
}

impl Unit {
    /// Of a floating-point type; of any other, nothing rounds.
    pub fn of(dtype: DType) -> Unit {
        let power = |exponent: i32| 2f64.powi(exponent);
        match dtype {
            DType::F16 => Unit { round: power(-11), tiny: power(-24), max: 65504.0 },
            DType::BF16 => Unit { round: power(-8), tiny: power(-133), max: f64::from(bf16::MAX) },
            DType::F32 => Unit { round: power(-24), tiny: power(-149), max: f64::from(f32::MAX) },
            DType::F64 => Unit { round: power(-52), tiny: f64::from_bits(1), max: f64::MAX },
            _ => Unit { round: 0.0, tiny: 0.0, max: f64::MAX },
        }
    }
}

/// `value` rounded to the nearest that the floating-point type `dtype` can hold, the even one of two; once, whatever the type.
pub fn round(dtype: DType, value: f64) -> f64 {
    match dtype {
        DType::F16 => f16_of(value).to_f64(),
        DType::BF16 => bf16_of(value).to_f64(),
        DType::F32 => f64::from(value as f32),
        _ => value,
    }
}

/// The nearest `float16`. (`f16::from_f64` looks at the first 20 digits of a double alone.)
pub(super) fn f16_of(value: f64) -> f16 {
    f16::from_f32(to_odd(value))
}

/// The nearest `bfloat16`.
pub(super) fn bf16_of(value: f64) -> bf16 {
    bf16::from_f32(to_odd(value))
}

/// A `float32` that rounds further as the double itself would: truncated, with the last bit set when something was lost
/// (Boldo, Melquiond, Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd, 2008).
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) == value || nearest.is_nan() {
        return nearest;
    }
    let is_past = f64::from(nearest.abs()) > value.abs();
    f32::from_bits((nearest.to_bits() - u32::from(is_past)) | 1)
}

/// `value` wrapped to the integer type; for `uint64` as its bits; for `bool` whether it is not 0.
#[inline]
pub(super) fn wrap(dtype: DType, value: i64) -> i64 {
    match dtype {
        DType::Bool => (value != 0) as i64,
        DType::I8 => i64::from(value as i8),
        DType::I16 => i64::from(value as i16),
        DType::I32 => i64::from(value as i32),
        DType::U8 => i64::from(value as u8),
        DType::U16 => i64::from(value as u16),
        DType::U32 => i64::from(value as u32),
        _ => value,
    }
}

/// The integer of a constant, wrapped to its type.
pub(super) fn constant_int(value: Value, dtype: DType) -> i64 {
    match value {
        Value::Int(value) => wrap(dtype, value as i64),
        Value::Float(value) => float_to_int(dtype, value),
    }
}

/// The float of a constant, rounded to its type once.
pub(super) fn constant_float(value: Value, dtype: DType) -> f64 {
    match value {
        Value::Int(value) => round(dtype, value as f64),
        Value::Float(value) => round(dtype, value),
    }
}

/// Truncates and saturates; NaN gives 0; `bool` is `!= 0`.
pub(super) fn float_to_int(dtype: DType, value: f64) -> i64 {
    match dtype {
        DType::Bool => (value != 0.0) as i64,
        DType::I8 => i64::from(value as i8),
        DType::I16 => i64::from(value as i16),
        DType::I32 => i64::from(value as i32),
        DType::U8 => i64::from(value as u8),
        DType::U16 => i64::from(value as u16),
        DType::U32 => i64::from(value as u32),
        DType::U64 => value as u64 as i64,
        _ => value as i64,
    }
}

/// An integer of type `from` as a double.
pub(super) fn int_to_f64(from: DType, value: i64) -> f64 {
    if from == DType::U64 { value as u64 as f64 } else { value as f64 }
}

/// An integer of type `from` as the nearest value of the floating-point type `to`, rounded once.
pub(super) fn int_to_float(from: DType, to: DType, value: i64) -> f64 {
    match (to, from) {
        (DType::F64, _) => int_to_f64(from, value),
        (DType::F32, DType::U64) => f64::from(value as u64 as f32),
        (DType::F32, _) => f64::from(value as f32),
        // A double of 64-bit integers may round twice only beyond the range or precision of 16 bits' neighbours.
        _ => round(to, int_to_odd(from, value)),
    }
}

/// An integer rounded to odd at 53 bits, so that a second rounding is as good as one.
fn int_to_odd(from: DType, value: i64) -> f64 {
    let magnitude = if from == DType::U64 { value as u64 } else { value.unsigned_abs() };
    let shift = (64 - magnitude.leading_zeros()).saturating_sub(53);
    let kept = (magnitude >> shift) | u64::from(magnitude & ((1 << shift) - 1) != 0);
    let float = kept as f64 * 2f64.powi(shift as i32);
    if from != DType::U64 && value < 0 { -float } else { float }
}

/// An operator on integers or booleans. And, or, minimum and maximum of booleans are those of 0 and 1.
#[inline]
pub(super) fn int_binary(op: BinOp, dtype: DType, a: i64, b: i64) -> i64 {
    let unsigned = dtype == DType::U64;
    match op {
        BinOp::Add => wrap(dtype, a.wrapping_add(b)),
        BinOp::Sub => wrap(dtype, a.wrapping_sub(b)),
        BinOp::Mul => wrap(dtype, a.wrapping_mul(b)),
        BinOp::Div if b == 0 => 0,
        BinOp::Mod if b == 0 => 0,
        BinOp::Div if unsigned => (a as u64 / b as u64) as i64,
        BinOp::Mod if unsigned => (a as u64 % b as u64) as i64,
        BinOp::Div => wrap(dtype, floor_div(a, b)),
        BinOp::Mod => wrap(dtype, a.wrapping_sub(b.wrapping_mul(floor_div(a, b)))),
        BinOp::Min if unsigned => (a as u64).min(b as u64) as i64,
        BinOp::Max if unsigned => (a as u64).max(b as u64) as i64,
        BinOp::Min | BinOp::And => a.min(b),
        BinOp::Max | BinOp::Or => a.max(b),
        BinOp::BitAnd => a & b,
        BinOp::BitOr => a | b,
        BinOp::BitXor => a ^ b,
        BinOp::Shl | BinOp::Shr => wrap(dtype, shifted(op, dtype, a, b)),
    }
}

/// A shift; by less than 0 or as many bits as there are, all bits leave.
fn shifted(op: BinOp, dtype: DType, a: i64, b: i64) -> i64 {
    let unsigned = dtype == DType::U64;
    let left = op == BinOp::Shl;
    match u32::try_from(b).ok().filter(|b| *b < dtype.bits()) {
        Some(by) if left => a.wrapping_shl(by),
        Some(by) if unsigned => ((a as u64) >> by) as i64,
        Some(by) => a >> by,
        None if !left && !unsigned && a < 0 => -1,
        None => 0,
    }
}

/// `floor(a / b)`, wrapping; `b` is not 0.
fn floor_div(a: i64, b: i64) -> i64 {
    let quotient = a.wrapping_div(b);
    let inexact = a.wrapping_rem(b) != 0;
    if inexact && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

/// An operator on floats, not rounded to a type. Logical operators do not occur.
#[inline]
pub(super) fn float_binary(op: BinOp, a: f64, b: f64) -> f64 {
    match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => a * b,
        BinOp::Div => a / b,
        BinOp::Mod => a % b,
        BinOp::Min | BinOp::And => a.min(b),
        BinOp::Max | BinOp::Or => a.max(b),
        // Not of floats.
        BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr => f64::NAN,
    }
}

/// A comparison of anything ordered.
#[inline]
pub(super) fn compare<T: PartialOrd>(op: CmpOp, a: T, b: T) -> bool {
    match op {
        CmpOp::Lt => a < b,
        CmpOp::Le => a <= b,
        CmpOp::Gt => a > b,
        CmpOp::Ge => a >= b,
        CmpOp::Eq => a == b,
        CmpOp::Ne => a != b,
    }
}
