//! The functions of the language: how far from the true value, for every `float32` and for sampled `float64`.

use codegen::Value;
use polyhedral::{Builtin, DType};
use runtime::kernel::Kernel;
use runtime::pool::Pool;
use runtime::tensor::{Element, Tensor};

use crate::build::*;

/// The functions of one argument that have a formula.
const UNARY: [Builtin; 26] = [
    Builtin::Exp,
    Builtin::Exp2,
    Builtin::Exp10,
    Builtin::Expm1,
    Builtin::Log,
    Builtin::Log2,
    Builtin::Log10,
    Builtin::Log1p,
    Builtin::Sin,
    Builtin::Cos,
    Builtin::Tan,
    Builtin::Sinpi,
    Builtin::Cospi,
    Builtin::Asin,
    Builtin::Acos,
    Builtin::Atan,
    Builtin::Sinh,
    Builtin::Cosh,
    Builtin::Tanh,
    Builtin::Asinh,
    Builtin::Acosh,
    Builtin::Atanh,
    Builtin::Erf,
    Builtin::Erfc,
    Builtin::Cbrt,
    Builtin::Rcbrt,
];

/// What no function may be further from the truth than, in units in the last place.
const BOUND: f64 = 2.0;

/// Arguments of one call.
const CHUNK: usize = 1 << 16;

fn full() -> bool {
    std::env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1")
}

/// `y(i) = f(x(i), …)` for a chunk of arguments.
struct Function {
    kernel: Kernel,
    builtin: Builtin,
}

impl Function {
    fn new(builtin: Builtin, dtype: DType, lanes: u32) -> Function {
        let shape = [CHUNK as i64];
        let mut b = Builder::new("math");
        let inputs: Vec<_> = (0..builtin.arity()).map(|_| b.input("x", dtype, &shape)).collect();
        let y = b.output("y", dtype, &shape);
        let all = b.repeat("i", c(shape[0]), lanes.into(), |_, i| {
            let here = || vec![lanes_at(v(i), 1)];
            let arguments = inputs.iter().map(|x| load(*x, here())).collect();
            vec![store(y, here(), lanes, Value::Call(builtin, arguments))]
        });
        b.program.body = vec![all];
        Function { kernel: b.kernel(), builtin }
    }

    fn apply<T: Element>(&self, columns: &[&[T]]) -> Vec<T> {
        let count = columns[0].len();
        let padded = |column: &&[T]| {
            let values: Vec<T> = column.iter().copied().cycle().take(CHUNK).collect();
            Tensor::from_slice(&values, &[CHUNK as i64]).unwrap()
        };
        let columns: Vec<Tensor> = columns.iter().map(padded).collect();
        let mut y = Tensor::zeros(columns[0].dtype(), &[CHUNK as i64]).unwrap();
        run(&self.kernel, &columns.iter().collect::<Vec<_>>(), &mut [&mut y], &Pool::single()).unwrap();
        y.as_slice::<T>().unwrap()[..count].to_vec()
    }
}

/// The largest error seen, and where.
#[derive(Clone, Copy, Default)]
struct Worst {
    ulps: f64,
    at: [f64; 4],
    found: f64,
    expected: f64,
}

impl Worst {
    fn see(&mut self, ulps: f64, at: &[f64], found: f64, expected: f64) {
        if ulps.is_nan() || ulps > self.ulps {
            self.ulps = ulps;
            self.at[..at.len()].copy_from_slice(at);
            (self.found, self.expected) = (found, expected);
        }
    }
}

/// The distance of a `float32` from what a `float64` says it should be, in units in the last place of the latter.
fn single_ulps(found: f32, expected: f64) -> f64 {
    let found = f64::from(found);
    if found.is_nan() || expected.is_nan() {
        return if found.is_nan() == expected.is_nan() { 0.0 } else { f64::NAN };
    }
    let rounded = f64::from(expected as f32);
    if found == rounded {
        let signs = found.is_sign_negative() == expected.is_sign_negative();
        // An infinity is right, a zero has its sign.
        if !signs {
            return f64::NAN;
        }
        if found.is_infinite() {
            return 0.0;
        }
    }
    // What overflows counts as the next number would.
    let past = 2f64.powi(128);
    let found = if found.is_infinite() { past.copysign(found) } else { found };
    let expected = expected.clamp(-past, past);
    let exponent = (((expected.abs().to_bits() >> 52) as i32) - 1023).clamp(-126, 127);
    (found - expected).abs() / 2f64.powi(exponent - 23)
}

/// Bit patterns: all, or every `step`-th and the neighbours of where something changes.
fn patterns(step: u32) -> impl Iterator<Item = u32> {
    let edges = [
        0.0f32, f32::MIN_POSITIVE, 1.0, 0.5, 0.25, 2.0, 3.0, 4.0, 5.0, 10.0, 0.6, 0.92, 0.707_106_77, 1.414_213_5, 88.722_84, 103.9,
        104.0, 89.0, 128.0, 126.0, 149.0, 150.0, 38.53, 45.0, 44.85, 32_768.0, 0.785_398_2, 1.570_796_4, 3.141_592_7, 9.0, 8_388_608.0,
        16_777_216.0, f32::MAX, f32::INFINITY, f32::NAN, 2.980_232_2e-8, 0.000_976_562_5, 1e-10, 1e-20, 1e10, 1e20, 1e30,
        0.346_573_6, 0.150_515, 20.0, 17.3, 3.92, 10.05, 14.2,
    ];
    let near = edges.into_iter().flat_map(|edge| {
        [edge, -edge].into_iter().flat_map(|edge: f32| (0..128u32).map(move |by| edge.to_bits().wrapping_sub(64).wrapping_add(by)))
    });
    (0..=u32::MAX / step).map(move |n| n.wrapping_mul(step)).chain(near)
}

/// Compares a function of a `float32` with the C library's in `float64`.
fn worst_single(builtin: Builtin, step: u32) -> Worst {
    let function = Function::new(builtin, DType::F32, 16);
    let mut worst = Worst::default();
    let mut patterns = patterns(step);
    loop {
        let chunk: Vec<f32> = patterns.by_ref().take(CHUNK).map(f32::from_bits).collect();
        if chunk.is_empty() {
            return worst;
        }
        for (x, found) in chunk.iter().zip(function.apply(&[&chunk])) {
            let expected = runtime::math::call_f64(builtin.name(), &[f64::from(*x)]).expect("in the table");
            worst.see(single_ulps(found, expected), &[f64::from(*x)], found.into(), expected);
        }
    }
}

#[test]
fn functions_of_every_float32() {
    let step = if full() { 1 } else { 0x4001 };
    let only = std::env::var("MATH_ONLY").ok();
    let mut wrong = Vec::new();
    for builtin in UNARY.into_iter().filter(|builtin| only.as_deref().is_none_or(|only| only.split(',').any(|o| o == builtin.name()))) {
        let start = std::time::Instant::now();
        let worst = worst_single(builtin, step);
        println!("{}: {:.4} at {:e}: {:e}, not {:e} [{:?}]", builtin.name(), worst.ulps, worst.at[0], worst.found, worst.expected, start.elapsed());
        if worst.ulps.is_nan() || worst.ulps > BOUND {
            wrong.push(builtin.name());
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
