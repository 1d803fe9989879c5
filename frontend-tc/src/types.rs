//! Element types: promotion, and what a literal's type is.

use polyhedral::{DType, Expr, Value};

use crate::ast::{Number, ScalarType};

/// The type of the middle form.
pub fn dtype_of(scalar: ScalarType) -> DType {
    match scalar {
        ScalarType::Bool => DType::Bool,
        ScalarType::Int8 => DType::I8,
        ScalarType::Int16 => DType::I16,
        ScalarType::Int32 => DType::I32,
        ScalarType::Int64 => DType::I64,
        ScalarType::Uint8 => DType::U8,
        ScalarType::Uint16 => DType::U16,
        ScalarType::Uint32 => DType::U32,
        ScalarType::Uint64 => DType::U64,
        ScalarType::Float16 => DType::F16,
        ScalarType::Bfloat16 => DType::BF16,
        ScalarType::Float => DType::F32,
        ScalarType::Double => DType::F64,
    }
}

/// Whether it is a half type.
pub fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

/// The type in which values of `dtype` are computed: half types are computed in `float`, and rounded where they are
/// stored or a cast says so.
pub fn repr(dtype: DType) -> DType {
    if is_half(dtype) { DType::F32 } else { dtype }
}

/// The spelling that the printer and messages use: `float`, `double`, `int32`.
pub fn spelling(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        other => other.name(),
    }
}

/// The type of both operands of an operator: the float type with an integer, whatever their widths; the wider of two
/// floats or two unsigned integers; else the signed integer of the wider width. `bool` counts as unsigned of one bit.
pub fn promote(a: DType, b: DType) -> DType {
    let wider = if a.bits() >= b.bits() { a } else { b };
    match (a.is_float(), b.is_float()) {
        _ if a == b => a,
        // Neither of the two half types holds the other.
        (true, true) if a.bits() == b.bits() => DType::F32,
        (true, true) => wider,
        (true, false) => a,
        (false, true) => b,
        (false, false) if !a.is_signed() && !b.is_signed() => wider,
        (false, false) => match wider.bits() {
            64 => DType::I64,
            32 => DType::I32,
            16 => DType::I16,
            _ => DType::I8,
        },
    }
}

/// A literal, whose type is decided by what stands beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// As it is written.
    pub number: Number,
    /// Whether a minus stands before it.
    pub negative: bool,
}

impl Literal {
    /// The type without anything beside it: the first of `int32`, `int64`, `uint64` that holds it, or `float`
    /// (`double` where `float` overflows).
    pub fn own_type(&self) -> DType {
        if self.number.whole.is_none() {
            return if self.value_as(DType::F32).is_some() { DType::F32 } else { DType::F64 };
        }
        let fits = |dtype: &DType| self.value_as(*dtype).is_some();
        [DType::I32, DType::I64, DType::U64].into_iter().find(fits).unwrap_or(DType::I64)
    }

    /// The constant of type `dtype`, if that type represents the literal.
    pub fn value_as(&self, dtype: DType) -> Option<Value> {
        match (self.whole(), dtype) {
            (_, DType::Bool) => None,
            (Some(whole), DType::F16 | DType::BF16) => {
                rounded(whole as f64, dtype).filter(|v| *v as i128 == whole).map(Value::Float)
            }
            (Some(whole), DType::F32) => {
                Some(f64::from(whole as f32)).filter(|v| *v as i128 == whole).map(Value::Float)
            }
            (Some(whole), DType::F64) => Some(whole as f64).filter(|v| *v as i128 == whole).map(Value::Float),
            (Some(whole), _) => {
                dtype.int_range().filter(|(low, high)| (*low..=*high).contains(&whole)).map(|_| Value::Int(whole))
            }
            (None, DType::F32) => self.float(|text| text.parse::<f32>().ok().map(f64::from)),
            (None, DType::F16 | DType::BF16) => self.float(|text| rounded(text.parse().ok()?, dtype)),
            (None, DType::F64) => self.float(|text| text.parse::<f64>().ok()),
            (None, _) => None,
        }
    }

    /// The constant of [`Literal::own_type`].
    pub fn constant(&self) -> Expr {
        let dtype = self.own_type();
        Expr::Const(self.value_as(dtype).unwrap_or(Value::Float(f64::INFINITY)), dtype)
    }

    /// The value of a whole literal.
    pub fn whole(&self) -> Option<i128> {
        let magnitude = i128::from(self.number.whole?);
        Some(if self.negative { -magnitude } else { magnitude })
    }

    /// Reads the text once, in the type it gets, so that it is rounded once.
    fn float(&self, read: impl Fn(&str) -> Option<f64>) -> Option<Value> {
        let magnitude = read(&self.number.text).filter(|value| value.is_finite())?;
        Some(Value::Float(if self.negative { -magnitude } else { magnitude }))
    }
}

/// `value` rounded to a half type, to nearest and to even where two are as near.
fn rounded(value: f64, dtype: DType) -> Option<f64> {
    // Digits behind the leading one, the smallest exponent of a normal number, and the largest number.
    let (digits, least, most) = match dtype {
        DType::F16 => (10, -14, 65504.0),
        _ => (7, -126, f64::from(f32::from_bits(0x7f7f_0000))),
    };
    if value == 0.0 {
        return Some(value);
    }
    let exponent = (((value.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(least);
    let unit = f64::powi(2.0, exponent - digits);
    let rounded = (value / unit).round_ties_even() * unit;
    (rounded.abs() <= most).then_some(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_as_upstream() {
        use DType::*;
        for (a, b, both) in [
            (I64, F32, F32),
            (F32, F64, F64),
            (U8, U16, U16),
            (U8, I8, I8),
            (U32, I32, I32),
            (U64, I8, I64),
            (Bool, U8, U8),
            (Bool, I32, I32),
            (I8, I8, I8),
        ] {
            assert_eq!(promote(a, b), both, "{a} {b}");
            assert_eq!(promote(b, a), both, "{b} {a}");
        }
    }

    fn literal(text: &str, whole: Option<u64>, negative: bool) -> Literal {
        Literal { number: Number { text: text.into(), whole }, negative }
    }

    #[test]
    fn literals_take_types_that_hold_them() {
        assert_eq!(literal("300", Some(300), false).value_as(DType::U8), None);
        assert_eq!(literal("1", Some(1), true).value_as(DType::U8), None);
        assert_eq!(literal("1", Some(1), true).value_as(DType::I8), Some(Value::Int(-1)));
        assert_eq!(literal("16777217", Some(16_777_217), false).value_as(DType::F32), None);
        assert_eq!(literal("0.1", None, false).value_as(DType::F64), Some(Value::Float(0.1)));
        assert_eq!(literal("0.1", None, false).value_as(DType::F32), Some(Value::Float(f64::from(0.1f32))));
        assert_eq!(literal("1e300", None, false).own_type(), DType::F64);
        assert_eq!(literal("2147483648", Some(1 << 31), false).own_type(), DType::I64);
        assert_eq!(literal("2147483648", Some(1 << 31), true).own_type(), DType::I32);
    }
}
