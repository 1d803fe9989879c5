//! Arithmetic on single values, rounded or wrapped to their type after every operation.

use polyhedral::eval::{self, Data};
use polyhedral::{BinOp, Builtin, CmpOp, DType, UnOp, Value as Scalar};

use crate::int::holds;

/// 0, or false.
pub(super) fn zero(dtype: DType) -> Scalar {
    if dtype.is_float() { Scalar::Float(0.0) } else { Scalar::Int(0) }
}

/// What stands in memory that nobody has written.
pub(super) fn poison(dtype: DType) -> Scalar {
    if dtype.is_float() { Scalar::Float(f64::NAN) } else { fit(dtype, 0x5a5a_5a5a_5a5a_5a5a) }
}

pub(super) fn constant(value: Scalar, dtype: DType) -> Scalar {
    match value {
        Scalar::Int(value) if dtype.is_float() => round(dtype, value as f64),
        Scalar::Int(value) => fit(dtype, value),
        Scalar::Float(value) => round(dtype, value),
    }
}

pub(super) fn is_true(value: Scalar) -> bool {
    value == Scalar::Int(1)
}

/// The nearest value of the type.
fn round(dtype: DType, value: f64) -> Scalar {
    Scalar::Float(eval::round(dtype, value))
}

/// Wraps around.
fn fit(dtype: DType, value: i128) -> Scalar {
    Scalar::Int(match dtype.int_range() {
        Some((low, high)) => (value - low).rem_euclid(high - low + 1) + low,
        None => i128::from(value != 0),
    })
}

pub(super) fn unary(op: UnOp, dtype: DType, value: Scalar) -> Scalar {
    match (op, value) {
        (UnOp::Neg, Scalar::Int(value)) => fit(dtype, -value),
        (UnOp::Neg, Scalar::Float(value)) => Scalar::Float(-value),
        (UnOp::Not, value) => Scalar::Int(i128::from(!is_true(value))),
    }
}

pub(super) fn binary(op: BinOp, dtype: DType, a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => fit(dtype, int_binary(op, dtype.bits(), a, b)),
        (Scalar::Float(a), Scalar::Float(b)) => round(dtype, float_binary(op, a, b)),
        // Operands of one type are of one kind.
        _ => poison(dtype),
    }
}

fn int_binary(op: BinOp, bits: u32, a: i128, b: i128) -> i128 {
    let floor = |a: i128, b: i128| a.div_euclid(b) - i128::from(b < 0 && a.rem_euclid(b) != 0);
    match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::Div | BinOp::Mod if b == 0 => 0,
        BinOp::Div => floor(a, b),
        BinOp::Mod => a - b * floor(a, b),
        BinOp::Min | BinOp::And => a.min(b),
        BinOp::Max | BinOp::Or => a.max(b),
        _ => op.on_bits(bits, a, b).unwrap_or(0),
    }
}

/// In double precision: rounded once more to `float32`, sums, products and quotients are still the nearest.
fn float_binary(op: BinOp, a: f64, b: f64) -> f64 {
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

pub(super) fn compare(op: CmpOp, a: Scalar, b: Scalar) -> Scalar {
    Scalar::Int(i128::from(match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => holds(op, a, b),
        (Scalar::Float(a), Scalar::Float(b)) => holds(op, a, b),
        _ => false,
    }))
}

pub(super) fn cast(to: DType, value: Scalar) -> Scalar {
    match value {
        Scalar::Int(value) if to.is_float() => int_to_float(to, value),
        Scalar::Int(value) => fit(to, value),
        Scalar::Float(value) if to.is_float() => round(to, value),
        Scalar::Float(value) => match to.int_range() {
            // `as` truncates, saturates, and makes 0 of a NaN.
            Some((low, high)) => Scalar::Int((value as i128).clamp(low, high)),
            None => Scalar::Int(i128::from(value != 0.0)),
        },
    }
}

/// Rounded once.
fn int_to_float(to: DType, value: i128) -> Scalar {
    match to {
        DType::F32 => Scalar::Float(f64::from(value as f32)),
        DType::F64 => Scalar::Float(value as f64),
        // Any integer that a double does not hold is past the largest float16; of a bfloat16 the odd last bit that a
        // truncation leaves decides ties as the lost bits would.
        _ => round(to, to_odd(value)),
    }
}

/// A double that rounds further as the integer itself would: truncated, with the last bit set when something was lost.
fn to_odd(value: i128) -> f64 {
    let nearest = value as f64;
    if nearest as i128 == value {
        return nearest;
    }
    let towards_zero =
        if (nearest as i128).abs() > value.abs() { f64::from_bits(nearest.to_bits() - 1) } else { nearest };
    f64::from_bits(towards_zero.to_bits() | 1)
}

pub(super) fn mul_add(dtype: DType, a: Scalar, b: Scalar, c: Scalar) -> Scalar {
    match (a, b, c) {
        (Scalar::Float(a), Scalar::Float(b), Scalar::Float(c)) if dtype == DType::F32 => {
            Scalar::Float(f64::from((a as f32).mul_add(b as f32, c as f32)))
        }
        (Scalar::Float(a), Scalar::Float(b), Scalar::Float(c)) => round(dtype, a.mul_add(b, c)),
        _ => poison(dtype),
    }
}

pub(super) fn call(builtin: Builtin, dtype: DType, arguments: &[Scalar]) -> Scalar {
    let float = |value: &Scalar| match value {
        Scalar::Float(value) => *value,
        Scalar::Int(value) => *value as f64,
    };
    let arguments: Vec<f64> = arguments.iter().map(float).collect();
    round(dtype, eval::builtin(builtin, dtype, &arguments))
}

/// The elements of a tensor.
pub(super) fn of_data(data: &Data) -> Vec<Scalar> {
    if data.dtype.is_float() {
        return data.to_f64s().into_iter().map(Scalar::Float).collect();
    }
    // Those of a `uint64` come as their bits.
    data.to_i64s().into_iter().map(|value| fit(data.dtype, i128::from(value))).collect()
}

/// A tensor of these elements.
pub(super) fn to_data(dtype: DType, shape: &[i64], elements: &[Scalar]) -> Data {
    let float = |value: &Scalar| match value {
        Scalar::Float(value) => *value,
        Scalar::Int(value) => *value as f64,
    };
    let int = |value: &Scalar| match value {
        Scalar::Int(value) => *value as i64,
        Scalar::Float(value) => *value as i64,
    };
    if dtype.is_float() {
        Data::from_f64s(dtype, shape, &elements.iter().map(float).collect::<Vec<_>>())
    } else {
        Data::from_i64s(dtype, shape, &elements.iter().map(int).collect::<Vec<_>>())
    }
}
