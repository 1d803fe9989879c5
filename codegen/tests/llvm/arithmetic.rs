//! Every operator, conversion and function at values where machines and languages differ.

use crate::build::*;
use crate::math::has_formula;
use codegen::Value;
use half::{bf16, f16};
use polyhedral::{BinOp, Builtin, CmpOp, DType, UnOp};
use runtime::tensor::{Bf16, Element, F16, Tensor};

/// One lane, a vector register, several, and an odd number.
const LANES: [u32; 4] = [1, 8, 32, 5];

/// Applies each of `ops` to the rows of the operands' columns; the results, one vector for each op.
fn apply<T: Element, R: Element>(
    operands: &[(DType, &[T])],
    result: DType,
    lanes: u32,
    ops: &[&dyn Fn(Vec<Value>) -> Value],
) -> Vec<Vec<R>> {
    let count = operands[0].1.len();
    let padded = count.next_multiple_of(lanes as usize);
    let cycled = |values: &[T]| values.iter().copied().cycle().take(padded).collect::<Vec<T>>();
    let columns: Vec<(DType, Tensor)> = operands
        .iter()
        .map(|(dtype, values)| (*dtype, Tensor::from_slice(&cycled(values), &[padded as i64]).unwrap()))
        .collect();
    let results = apply_to_columns(&columns, result, lanes, ops);
    results.iter().map(|tensor| tensor.as_slice::<R>().unwrap()[..count].to_vec()).collect()
}

/// The same for columns whose length is a multiple of the lanes.
fn apply_to_columns(
    columns: &[(DType, Tensor)],
    result: DType,
    lanes: u32,
    ops: &[&dyn Fn(Vec<Value>) -> Value],
) -> Vec<Tensor> {
    let shape = columns[0].1.shape().to_vec();
    let mut b = Builder::new("apply");
    let inputs: Vec<_> = columns.iter().map(|(dtype, _)| b.input("x", *dtype, &shape)).collect();
    let outputs: Vec<_> = ops.iter().map(|_| b.output("y", result, &shape)).collect();
    let all = b.repeat("i", c(shape[0]), lanes.into(), |_, i| {
        let here = || vec![lanes_at(v(i), 1)];
        let values = || inputs.iter().map(|input| load(*input, here())).collect();
        ops.iter().zip(&outputs).map(|(op, output)| store(*output, here(), lanes, op(values()))).collect()
    });
    b.program.body = vec![all];
    let mut results: Vec<Tensor> = ops.iter().map(|_| zeros(result, &shape)).collect();
    let columns: Vec<&Tensor> = columns.iter().map(|(_, tensor)| tensor).collect();
    b.run(&columns, &mut results.iter_mut().collect::<Vec<_>>()).unwrap();
    results
}

/// All pairs, as two columns.
fn pairs<T: Copy>(values: &[T]) -> (Vec<T>, Vec<T>) {
    values.iter().flat_map(|a| values.iter().map(|b| (*a, *b))).unzip()
}

const INT_OPS: [BinOp; 12] = [
    BinOp::Add,
    BinOp::Sub,
    BinOp::Mul,
    BinOp::Div,
    BinOp::Mod,
    BinOp::Min,
    BinOp::Max,
    BinOp::BitAnd,
    BinOp::BitOr,
    BinOp::BitXor,
    BinOp::Shl,
    BinOp::Shr,
];
/// Those of floats, too.
const NUMBER_OPS: [BinOp; 7] = [BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::Div, BinOp::Mod, BinOp::Min, BinOp::Max];
const COMPARISONS: [CmpOp; 6] = [CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge, CmpOp::Eq, CmpOp::Ne];

/// The documented meaning, in numbers that cannot overflow; the caller wraps the result.
fn int_binary(op: BinOp, bits: u32, a: i128, b: i128) -> i128 {
    // What is shifted out is gone: halve or double as often as there are bits, at most.
    let times = if (0..i128::from(bits)).contains(&b) { b } else { bits.into() };
    let floor = |a: i128, b: i128| a / b - i128::from(a % b != 0 && (a < 0) != (b < 0));
    match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::Div => {
            if b == 0 {
                0
            } else {
                floor(a, b)
            }
        }
        BinOp::Mod => {
            if b == 0 {
                0
            } else {
                a - b * floor(a, b)
            }
        }
        BinOp::Min => a.min(b),
        BinOp::Max => a.max(b),
        BinOp::BitAnd => a & b,
        BinOp::BitOr => a | b,
        BinOp::BitXor => a ^ b,
        BinOp::Shl if times == i128::from(bits) => 0,
        BinOp::Shl => (0..times).fold(a, |a, _| a.wrapping_mul(2)),
        BinOp::Shr => (0..times).fold(a, |a, _| a.div_euclid(2)),
        BinOp::And | BinOp::Or => unreachable!("not of integers"),
    }
}

fn ordering<T: PartialOrd>(op: CmpOp, a: T, b: T) -> bool {
    match op {
        CmpOp::Lt => a < b,
        CmpOp::Le => a <= b,
        CmpOp::Gt => a > b,
        CmpOp::Ge => a >= b,
        CmpOp::Eq => a == b,
        CmpOp::Ne => a != b,
    }
}

macro_rules! integers {
    ($($test:ident $T:ident $dtype:ident;)*) => { $(
        #[test]
        fn $test() {
            let values: Vec<$T> = [<$T>::MIN, <$T>::MIN + 1, <$T>::MAX, <$T>::MAX - 1, <$T>::MAX / 2]
                .into_iter()
                .chain([0i64, 1, 2, 3, 5, 7, 100, -1, -2, -3, -7, -100].map(|value| value as $T))
                .collect();
            let (a, b) = pairs(&values);
            for lanes in LANES {
                let ops = INT_OPS.map(|op| move |v: Vec<Value>| binary(op, v[0].clone(), v[1].clone()));
                let ops: Vec<&dyn Fn(Vec<Value>) -> Value> = ops.iter().map(|op| op as _).collect();
                let results: Vec<Vec<$T>> = apply(&[(DType::$dtype, &a), (DType::$dtype, &b)], DType::$dtype, lanes, &ops);
                for (op, results) in INT_OPS.into_iter().zip(results) {
                    for ((a, b), found) in a.iter().zip(&b).zip(results) {
                        let expected = int_binary(op, <$T>::BITS, *a as i128, *b as i128) as $T;
                        assert_eq!(found, expected, "{op:?} of {a} and {b}, {lanes} lanes");
                    }
                }
                compares::<$T>(DType::$dtype, &a, &b, lanes);
                let negative = |v: Vec<Value>| Value::Unary(UnOp::Neg, Box::new(v[0].clone()));
                let results: Vec<Vec<$T>> = apply(&[(DType::$dtype, &a)], DType::$dtype, lanes, &[&negative]);
                assert_eq!(results[0], a.iter().map(|a| a.wrapping_neg()).collect::<Vec<_>>());
            }
        }
    )* };
}

integers! {
    integers_of_8_bits i8 I8;
    integers_of_16_bits i16 I16;
    integers_of_32_bits i32 I32;
    integers_of_64_bits i64 I64;
    naturals_of_8_bits u8 U8;
    naturals_of_16_bits u16 U16;
    naturals_of_32_bits u32 U32;
    naturals_of_64_bits u64 U64;
}

fn compares<T: Element + PartialOrd + std::fmt::Debug>(dtype: DType, a: &[T], b: &[T], lanes: u32) {
    let ops = COMPARISONS.map(|op| move |v: Vec<Value>| compare(op, v[0].clone(), v[1].clone()));
    let ops: Vec<&dyn Fn(Vec<Value>) -> Value> = ops.iter().map(|op| op as _).collect();
    let results: Vec<Vec<bool>> = apply(&[(dtype, a), (dtype, b)], DType::Bool, lanes, &ops);
    for (op, results) in COMPARISONS.into_iter().zip(results) {
        for ((a, b), found) in a.iter().zip(b).zip(results) {
            assert_eq!(found, ordering(op, *a, *b), "{op:?} of {a:?} and {b:?}, {lanes} lanes");
        }
    }
}

/// Division by a constant takes other instructions than division by a value.
#[test]
fn constant_divisors() {
    let values: Vec<i32> = (-40..40).chain([i32::MIN, i32::MAX]).collect();
    for divisor in [-7, -2, -1, 0, 1, 2, 3, 8, i32::MIN, i32::MAX] {
        let by = |op| move |v: Vec<Value>| binary(op, v[0].clone(), int(divisor.into(), DType::I32));
        for lanes in [1, 16] {
            let found: Vec<Vec<i32>> =
                apply(&[(DType::I32, &values)], DType::I32, lanes, &[&by(BinOp::Div), &by(BinOp::Mod)]);
            for (op, found) in [BinOp::Div, BinOp::Mod].into_iter().zip(found) {
                let expected: Vec<i32> =
                    values.iter().map(|a| int_binary(op, 32, (*a).into(), divisor.into()) as i32).collect();
                assert_eq!(found, expected, "{op:?} by {divisor}");
            }
        }
    }
}

#[test]
fn booleans() {
    let (a, b) = pairs(&[false, true]);
    for lanes in LANES {
        let results: Vec<Vec<bool>> = apply(
            &[(DType::Bool, &a), (DType::Bool, &b)],
            DType::Bool,
            lanes,
            &[
                &|v| binary(BinOp::And, v[0].clone(), v[1].clone()),
                &|v| binary(BinOp::Or, v[0].clone(), v[1].clone()),
                &|v| Value::Unary(UnOp::Not, Box::new(v[0].clone())),
                &|v| Value::Select(v[0].clone().into(), v[1].clone().into(), int(1, DType::Bool).into()),
            ],
        );
        for (at, (a, b)) in a.iter().zip(&b).enumerate() {
            let found: Vec<bool> = results.iter().map(|result| result[at]).collect();
            assert_eq!(found, [*a && *b, *a || *b, !*a, if *a { *b } else { true }]);
        }
        compares::<bool>(DType::Bool, &a, &b, lanes);
    }
}

/// Zeros, subnormals, halves, large whole numbers, limits of the integer types, infinities, NaN.
fn doubles() -> Vec<f64> {
    let positive = [
        0.0,
        1e-320,
        5e-324,
        1e-45,
        1e-40,
        6e-8,
        1e-7,
        0.3,
        0.5,
        0.499_999_999_999_999_94,
        1.0,
        1.5,
        2.5,
        3.7,
        127.5,
        128.0,
        255.9,
        256.0,
        2048.5,
        2049.0,
        65504.0,
        65519.9,
        65520.0,
        1e9,
        2147483647.0,
        2147483648.0,
        4294967295.5,
        4503599627370497.5,
        9007199254740993.0,
        9.3e18,
        1.9e19,
        1e30,
        3.4e38,
        1e300,
        f64::INFINITY,
    ];
    positive.into_iter().chain(positive.map(|x| -x)).chain([f64::NAN]).collect()
}

fn same(a: f64, b: f64) -> bool {
    a == b && a.is_sign_negative() == b.is_sign_negative() || a.is_nan() && b.is_nan()
}

macro_rules! floats {
    ($($test:ident $T:ident $dtype:ident;)*) => { $(
        #[test]
        fn $test() {
            let values: Vec<$T> = doubles().into_iter().map(|x| x as $T).collect();
            let (a, b) = pairs(&values);
            let number = |a: $T, b: $T, first: bool| if b.is_nan() || (first && !a.is_nan()) { a } else { b };
            let expected = |op: BinOp, a: $T, b: $T| match op {
                BinOp::Add => a + b,
                BinOp::Sub => a - b,
                BinOp::Mul => a * b,
                BinOp::Div => a / b,
                BinOp::Mod => a % b,
                BinOp::Min => number(a, b, a < b),
                _ => number(a, b, a > b),
            };
            for lanes in LANES {
                let ops = NUMBER_OPS.map(|op| move |v: Vec<Value>| binary(op, v[0].clone(), v[1].clone()));
                let ops: Vec<&dyn Fn(Vec<Value>) -> Value> = ops.iter().map(|op| op as _).collect();
                let results: Vec<Vec<$T>> = apply(&[(DType::$dtype, &a), (DType::$dtype, &b)], DType::$dtype, lanes, &ops);
                for (op, results) in NUMBER_OPS.into_iter().zip(results) {
                    for ((a, b), found) in a.iter().zip(&b).zip(results) {
                        let expected = expected(op, *a, *b);
                        let equal_zeros = matches!(op, BinOp::Min | BinOp::Max) && found == expected;
                        assert!(
                            equal_zeros || same(found.into(), expected.into()),
                            "{op:?} of {a:e} and {b:e}, {lanes} lanes: {found:e}, not {expected:e}"
                        );
                    }
                }
                compares::<$T>(DType::$dtype, &a, &b, lanes);
            }
        }
    )* };
}

floats! {
    floats_of_32_bits f32 F32;
    floats_of_64_bits f64 F64;
}

/// Against a NaN that is a constant on either side, the number wins.
#[test]
fn constants_in_minimum_and_maximum() {
    let values = [f32::NAN, -1.0, 0.5, 7.0];
    let found: Vec<Vec<f32>> = apply(
        &[(DType::F32, &values)],
        DType::F32,
        1,
        &[
            &|v| binary(BinOp::Max, v[0].clone(), float(0.0, DType::F32)),
            &|v| binary(BinOp::Max, float(0.0, DType::F32), v[0].clone()),
            &|v| binary(BinOp::Min, float(f64::NAN, DType::F32), v[0].clone()),
        ],
    );
    assert_eq!(found[0], [0.0, 0.0, 0.5, 7.0]);
    assert_eq!(found[1], [0.0, 0.0, 0.5, 7.0]);
    assert_eq!(found[2][1..], [-1.0, 0.5, 7.0]);
}

/// The nearest number with `precision` bits, exponents from `least` on and nothing above `largest`.
fn nearest(x: f64, precision: i32, least: i32, largest: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = (x.abs().log2().floor() as i32).clamp(least, 1023);
    let unit = 2f64.powi(exponent - precision + 1);
    // A logarithm that is one too high near a power of two only makes the unit coarser there: try the finer one too.
    let finer = (x / (unit / 2.0)).round_ties_even() * (unit / 2.0);
    let rounded =
        if exponent > least && finer.abs() < 2f64.powi(exponent) { finer } else { (x / unit).round_ties_even() * unit };
    if rounded.abs() > largest { f64::INFINITY.copysign(x) } else { rounded }
}

/// A type of tensors as this test sees it: values to and from double precision, exactly where they fit.
trait Number: Element {
    const TYPE: DType;
    fn wide(self) -> f64;
    /// Conversion from double precision, as documented.
    fn from_double(x: f64) -> Self;
    /// Conversion from an integer, as documented.
    fn from_int(x: i128) -> Self;
    /// The value of an integer type.
    fn int(self) -> Option<i128>;
}

macro_rules! number {
    (int $($T:ident $dtype:ident),*) => { $(
        impl Number for $T {
            const TYPE: DType = DType::$dtype;
            fn wide(self) -> f64 { self as f64 }
            fn from_double(x: f64) -> $T { x as $T }
            fn from_int(x: i128) -> $T { x as $T }
            fn int(self) -> Option<i128> { Some(self as i128) }
        }
    )* };
    (float $($T:ident $dtype:ident),*) => { $(
        impl Number for $T {
            const TYPE: DType = DType::$dtype;
            fn wide(self) -> f64 { self.into() }
            fn from_double(x: f64) -> $T { x as $T }
            fn from_int(x: i128) -> $T { x as $T }
            fn int(self) -> Option<i128> { None }
        }
    )* };
    (short $($T:ident $dtype:ident $half:ident $precision:literal $least:literal $largest:expr),*) => { $(
        impl Number for $T {
            const TYPE: DType = DType::$dtype;
            fn wide(self) -> f64 { $half::from_bits(self.0).to_f64() }
            fn from_double(x: f64) -> $T { $T($half::from_f64(nearest(x, $precision, $least, $largest)).to_bits()) }
            fn from_int(x: i128) -> $T {
                // Of integers past 2^53 the low bits matter only in whether they are 0.
                let exact = if x.abs() < 1 << 53 { x } else { x >> 12 << 12 | i128::from(x & 4095 != 0) << 11 };
                $T::from_double(exact as f64)
            }
            fn int(self) -> Option<i128> { None }
        }
    )* };
}

number!(int i8 I8, i16 I16, i32 I32, i64 I64, u8 U8, u16 U16, u32 U32, u64 U64);
number!(float f32 F32, f64 F64);
number!(short F16 F16 f16 11 -14 65504.0, Bf16 BF16 bf16 8 -126 bf16::MAX.to_f64());

impl Number for bool {
    const TYPE: DType = DType::Bool;
    fn wide(self) -> f64 {
        self.into()
    }
    fn from_double(x: f64) -> bool {
        x != 0.0
    }
    fn from_int(x: i128) -> bool {
        x != 0
    }
    fn int(self) -> Option<i128> {
        Some(self.into())
    }
}

/// Values of a type, and what each should become, in a form that is the same for all types.
struct Column {
    dtype: DType,
    tensor: Tensor,
    values: Vec<(f64, Option<i128>)>,
}

impl Column {
    fn new<T: Number>() -> Column {
        let values: Vec<T> = if T::TYPE.is_float() {
            doubles().into_iter().map(T::from_double).collect()
        } else {
            let edges = (0..64).flat_map(|bit| [-1, 0, 1].map(|by| (1i128 << bit) + by)).chain([u64::MAX.into()]);
            let tie = (1i128 << 62) + (1 << 54);
            let sticky = [tie, tie + 1, tie - 1, 0x0101_0000_0000_0001];
            edges.chain(sticky).flat_map(|value| [T::from_int(value), T::from_int(-value)]).collect()
        };
        // A multiple of all numbers of lanes.
        let values: Vec<T> = values.iter().copied().cycle().take(values.len().next_multiple_of(80)).collect();
        Column {
            dtype: T::TYPE,
            tensor: Tensor::from_slice(&values, &[values.len() as i64]).unwrap(),
            values: values.into_iter().map(|value| (value.wide(), value.int())).collect(),
        }
    }
}

fn casts_to<T: Number>(from: &Column) {
    for lanes in [1, 16, 5] {
        let cast = |v: Vec<Value>| Value::Cast(T::TYPE, Box::new(v[0].clone()));
        let found = apply_to_columns(&[(from.dtype, from.tensor.clone())], T::TYPE, lanes, &[&cast]);
        for ((wide, int), found) in from.values.iter().zip(found[0].as_slice::<T>().unwrap()) {
            let expected = int.map_or_else(|| T::from_double(*wide), T::from_int);
            assert!(
                found.int() == expected.int() && same(found.wide(), expected.wide()),
                "{} {wide:e} ({int:?}) as {}, {lanes} lanes: {:e}, not {:e}",
                from.dtype,
                T::TYPE,
                found.wide(),
                expected.wide()
            );
        }
    }
}

macro_rules! casts {
    ($($test:ident $T:ident;)*) => { $(
        #[test]
        fn $test() {
            for from in columns() {
                casts_to::<$T>(&from);
            }
        }
    )* };
}

fn columns() -> [Column; 13] {
    [
        Column::new::<bool>(),
        Column::new::<i8>(),
        Column::new::<i16>(),
        Column::new::<i32>(),
        Column::new::<i64>(),
        Column::new::<u8>(),
        Column::new::<u16>(),
        Column::new::<u32>(),
        Column::new::<u64>(),
        Column::new::<F16>(),
        Column::new::<Bf16>(),
        Column::new::<f32>(),
        Column::new::<f64>(),
    ]
}

casts! {
    casts_to_bool bool;
    casts_to_i8 i8;
    casts_to_i16 i16;
    casts_to_i32 i32;
    casts_to_i64 i64;
    casts_to_u8 u8;
    casts_to_u16 u16;
    casts_to_u32 u32;
    casts_to_u64 u64;
    casts_to_f16 F16;
    casts_to_bf16 Bf16;
    casts_to_f32 f32;
    casts_to_f64 f64;
}

/// The short types round after each operation. Double precision holds sums and products of two of them well enough
/// that a second rounding does not show.
fn short_arithmetic<T: Number>() {
    let values: Vec<T> = doubles().into_iter().map(T::from_double).collect();
    let (a, b) = pairs(&values);
    let ops = [BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::Div];
    for lanes in [1, 16] {
        let made = ops.map(|op| move |v: Vec<Value>| binary(op, v[0].clone(), v[1].clone()));
        let made: Vec<&dyn Fn(Vec<Value>) -> Value> = made.iter().map(|op| op as _).collect();
        let found: Vec<Vec<T>> = apply(&[(T::TYPE, &a), (T::TYPE, &b)], T::TYPE, lanes, &made);
        for (op, found) in ops.into_iter().zip(found) {
            for ((a, b), found) in a.iter().zip(&b).zip(found) {
                let (x, y) = (a.wide(), b.wide());
                let expected = T::from_double(match op {
                    BinOp::Add => x + y,
                    BinOp::Sub => x - y,
                    BinOp::Mul => x * y,
                    _ => x / y,
                });
                assert!(same(found.wide(), expected.wide()), "{op:?} of {x:e} and {y:e}: {:e}", found.wide());
            }
        }
    }
}

#[test]
fn arithmetic_of_the_short_floats() {
    short_arithmetic::<F16>();
    short_arithmetic::<Bf16>();
}

#[test]
fn fused_multiply_add_rounds_once() {
    let a = [1.0 + f32::EPSILON, 3.0, 1e30, f32::MIN_POSITIVE, 0.1];
    let b = [1.0 - f32::EPSILON, 7.0, 1e30, 0.5, 10.0];
    let d = [-1.0, 1.0, -1e38, 0.0, -1.0];
    for lanes in [1, 8] {
        let found: Vec<Vec<f32>> = apply(
            &[(DType::F32, &a), (DType::F32, &b), (DType::F32, &d)],
            DType::F32,
            lanes,
            &[&|v| Value::MulAdd(v[0].clone().into(), v[1].clone().into(), v[2].clone().into()), &|v| {
                Value::Call(Builtin::Fma, v)
            }],
        );
        let expected: Vec<f32> = (0..a.len()).map(|i| a[i].mul_add(b[i], d[i])).collect();
        assert_eq!(found[0], expected);
        assert_eq!(found[1], expected);
    }
}

/// The functions that are instructions here, by Rust's; the others by the table that machine code calls. Those with a
/// formula are elsewhere.
fn function(builtin: Builtin, x: &[f64], double: bool) -> f64 {
    let single = |y: f64| if double { y } else { f64::from(y as f32) };
    match builtin {
        Builtin::Sqrt => single(x[0].sqrt()),
        Builtin::Fabs => x[0].abs(),
        Builtin::Floor => x[0].floor(),
        Builtin::Ceil => x[0].ceil(),
        Builtin::Trunc => x[0].trunc(),
        Builtin::Round => x[0].round(),
        Builtin::RoundEven => x[0].round_ties_even(),
        Builtin::Rsqrt => single(1.0 / single(x[0].sqrt())),
        Builtin::Fdivide => single(x[0] / x[1]),
        Builtin::Copysign => x[0].copysign(x[1]),
        Builtin::Fmin => x[0].min(x[1]),
        Builtin::Fmax => x[0].max(x[1]),
        Builtin::Fdim if x[0] <= x[1] => 0.0,
        Builtin::Fdim => single(x[0] - x[1]),
        Builtin::Fma if !double => f64::from((x[0] as f32).mul_add(x[1] as f32, x[2] as f32)),
        Builtin::Fma => x[0].mul_add(x[1], x[2]),
        _ if double => runtime::math::call_f64(builtin.name(), x).expect("in the table"),
        _ => {
            let x: Vec<f32> = x.iter().map(|x| *x as f32).collect();
            runtime::math::call_f32(builtin.name(), &x).expect("in the table").into()
        }
    }
}

fn functions<T: Number>(lanes: u32) {
    let columns: Vec<Vec<T>> = (0..4)
        .map(|column| {
            let mut values = doubles();
            values.rotate_left(column * 11);
            values.into_iter().map(T::from_double).collect()
        })
        .collect();
    for arity in 1..=4 {
        let builtins: Vec<Builtin> =
            Builtin::ALL.iter().copied().filter(|builtin| builtin.arity() == arity && !has_formula(*builtin)).collect();
        if builtins.is_empty() {
            continue;
        }
        let ops: Vec<_> = builtins.iter().map(|builtin| move |v| Value::Call(*builtin, v)).collect();
        let ops: Vec<&dyn Fn(Vec<Value>) -> Value> = ops.iter().map(|op| op as _).collect();
        let operands: Vec<(DType, &[T])> = columns[..arity].iter().map(|column| (T::TYPE, &column[..])).collect();
        let results: Vec<Vec<T>> = apply(&operands, T::TYPE, lanes, &ops);
        for (builtin, results) in builtins.into_iter().zip(results) {
            for (at, found) in results.into_iter().enumerate() {
                let x: Vec<f64> = operands.iter().map(|(_, column)| column[at].wide()).collect();
                let expected = function(builtin, &x, T::TYPE == DType::F64);
                let equal_zeros = matches!(builtin, Builtin::Fmin | Builtin::Fmax) && found.wide() == expected;
                assert!(
                    equal_zeros || same(found.wide(), expected),
                    "{}{x:?} of {}, {lanes} lanes: {:e}, not {expected:e}",
                    builtin.name(),
                    T::TYPE,
                    found.wide()
                );
            }
        }
    }
}

#[test]
fn functions_of_float32() {
    for lanes in [1, 16] {
        functions::<f32>(lanes);
    }
}

#[test]
fn functions_of_float64() {
    for lanes in [1, 8] {
        functions::<f64>(lanes);
    }
}
