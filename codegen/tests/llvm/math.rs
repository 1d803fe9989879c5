//! The functions of the language: how far from the true value, for every `float32` and for sampled `float64`.

use codegen::Value;
use polyhedral::{Builtin, DType};
use runtime::kernel::Kernel;
use runtime::pool::Pool;
use runtime::tensor::{Element, Tensor};

use crate::build::*;
use crate::exact::Exact;

/// The functions of one argument that have a formula.
const UNARY: [Builtin; 28] = [
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
    Builtin::Erfcx,
    Builtin::Normcdf,
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

/// Pseudo-random numbers, the same ones each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0 ^ (self.0 >> 29);
        x.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (x >> 32)
    }

    /// Between 0 and 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / 2f64.powi(53)
    }

    /// Of any size; of ordinary sizes; near 0; near a place where something changes.
    fn number(&mut self) -> f64 {
        let sign = if self.next() % 2 == 0 { 1.0 } else { -1.0 };
        match self.next() % 8 {
            0 => f64::from_bits(self.next()),
            1 | 2 => sign * 2f64.powf(self.unit() * 42.0 - 30.0),
            3 => sign * self.unit(),
            4 => sign * self.unit() * 30.0,
            5 => sign * self.unit() * 800.0,
            6 => {
                let edge = EDGES[(self.next() % EDGES.len() as u64) as usize];
                f64::from_bits((sign * edge).to_bits().wrapping_add(self.next() % 16).wrapping_sub(8))
            }
            _ => sign * (1.0 + (self.unit() - 0.5) * 2f64.powf(-self.unit() * 40.0)),
        }
    }
}

/// Where functions of a `float64` change their way, or the result its kind.
const EDGES: [f64; 40] = [
    0.0,
    f64::MIN_POSITIVE,
    1.0,
    0.5,
    0.25,
    2.0,
    3.0,
    4.0,
    5.0,
    6.0,
    10.0,
    20.0,
    27.0,
    28.0,
    39.0,
    std::f64::consts::FRAC_1_SQRT_2,
    std::f64::consts::SQRT_2,
    std::f64::consts::FRAC_PI_4,
    std::f64::consts::FRAC_PI_2,
    std::f64::consts::PI,
    709.782_712_893_384,
    710.475_860_073_944,
    -708.396_418_532_264,
    745.133_219_101_941,
    1024.0,
    1023.0,
    1074.0,
    1075.0,
    308.254_715_559_917,
    323.306_215_343_116,
    67_108_864.0,
    4_503_599_627_370_496.0,
    9_007_199_254_740_992.0,
    18_014_398_509_481_984.0,
    5.551_115_123_125_783e-17,
    3.725_290_298_461_914e-9,
    1e20,
    1e-280,
    f64::MAX,
    f64::INFINITY,
];

/// Whether there is a true value to measure from, given what the C library finds.
fn is_ordinary(value: f64) -> bool {
    value.is_finite() && value != 0.0
}

/// Compares a function of `float64` with its true value, and with the C library's where that is not an ordinary number.
fn worst_double(builtin: Builtin, count: usize) -> Worst {
    let function = Function::new(builtin, DType::F64, 8);
    let (mut worst, mut exact, mut random) = (Worst::default(), Exact::new(), Random(builtin as u64));
    let columns: Vec<Vec<f64>> =
        (0..builtin.arity()).map(|_| (0..count).map(|_| random.number()).collect()).collect();
    for first in (0..count).step_by(CHUNK) {
        let part = first..(first + CHUNK).min(count);
        let slices: Vec<&[f64]> = columns.iter().map(|column| &column[part.clone()]).collect();
        for (at, found) in function.apply(&slices).into_iter().enumerate() {
            let x: Vec<f64> = slices.iter().map(|column| column[at]).collect();
            let library = runtime::math::call_f64(builtin.name(), &x).expect("in the table");
            let ulps = if is_ordinary(library) && !found.is_nan() {
                exact.ulps(builtin, &x, found)
            } else if found.to_bits() == library.to_bits() || (found.is_nan() && library.is_nan()) {
                0.0
            } else if is_ordinary(found) && is_ordinary(x[0]) && !library.is_nan() {
                exact.ulps(builtin, &x, found)
            } else {
                f64::NAN
            };
            worst.see(ulps, &x, found, library);
        }
    }
    worst
}

#[test]
fn functions_of_float64() {
    let count = std::env::var("MATH_COUNT").map_or(if full() { 200_000 } else { 2_000 }, |n| n.parse().unwrap());
    let only = std::env::var("MATH_ONLY").ok();
    let mut wrong = Vec::new();
    for builtin in UNARY.into_iter().chain(SEVERAL).filter(|builtin| only.as_deref().is_none_or(|only| only.split(',').any(|o| o == builtin.name()))) {
        let start = std::time::Instant::now();
        let worst = worst_double(builtin, count);
        println!("{}: {:.4} at {:e} {:e}: {:e}, not {:e} [{:?}]", builtin.name(), worst.ulps, worst.at[0], worst.at[1], worst.found, worst.expected, start.elapsed());
        if worst.ulps.is_nan() || worst.ulps > BOUND {
            wrong.push(builtin.name());
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The functions of several arguments that have a formula.
const SEVERAL: [Builtin; 8] = [
    Builtin::Atan2,
    Builtin::Pow,
    Builtin::Hypot,
    Builtin::Rhypot,
    Builtin::Norm3d,
    Builtin::Rnorm3d,
    Builtin::Norm4d,
    Builtin::Rnorm4d,
];
