//! The functions of the language: how far from the true value, for every `float32` and for sampled `float64`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use codegen::Value;
use codegen::llvm::{Options, assembly, compile, host};
use polyhedral::{Builtin, DType};
use runtime::kernel::Kernel;
use runtime::pool::Pool;
use runtime::tensor::{Element, Tensor};

use crate::build::*;
use crate::exact::Exact;
use crate::oracle::Oracle;

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

/// Whether a function is computed by a formula, on a target that has what formulas need.
pub fn has_formula(builtin: Builtin) -> bool {
    UNARY.contains(&builtin) || SEVERAL.contains(&builtin)
}

/// What no function may be further from the truth than, in units in the last place.
const BOUND: f64 = 2.0;

/// Arguments of one call.
const CHUNK: usize = 1 << 15;

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
        Function { kernel: program(builtin, dtype, lanes).kernel(), builtin }
    }

    fn apply<T: Element>(&self, columns: &[&[T]]) -> Vec<T> {
        let count = columns[0].len();
        let columns: Vec<Tensor> = columns.iter().map(|column| tensor(column)).collect();
        let mut y = Tensor::zeros(columns[0].dtype(), &[CHUNK as i64]).unwrap();
        self.apply_to(&columns.iter().collect::<Vec<_>>(), &mut y);
        y.as_slice::<T>().unwrap()[..count].to_vec()
    }

    fn apply_to(&self, columns: &[&Tensor], y: &mut Tensor) {
        run(&self.kernel, columns, &mut [y], &Pool::single()).unwrap();
    }

    /// What the C library finds in `float64`.
    fn library(&self, x: &[f64]) -> f64 {
        runtime::math::call_f64(self.builtin.name(), x).expect("in the table")
    }
}

/// A chunk that begins with these, and has them again and again.
fn tensor<T: Element>(column: &[T]) -> Tensor {
    let values: Vec<T> = column.iter().copied().cycle().take(CHUNK).collect();
    Tensor::from_slice(&values, &[CHUNK as i64]).unwrap()
}

fn program(builtin: Builtin, dtype: DType, lanes: u32) -> Builder {
    let shape = [CHUNK as i64];
    let mut b = Builder::new("math");
    let inputs: Vec<_> = (0..builtin.arity()).map(|_| b.input("x", dtype, &shape)).collect();
    let y = b.output("y", dtype, &shape);
    let all = b.repeat("i", c(shape[0] / i64::from(lanes) * i64::from(lanes)), lanes.into(), |_, i| {
        let here = || vec![lanes_at(v(i), 1)];
        let arguments = inputs.iter().map(|x| load(*x, here())).collect();
        vec![store(y, here(), lanes, Value::Call(builtin, arguments))]
    });
    b.program.body = vec![all];
    b
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

/// The distance of a `float32` from what a `float64` says it should be, in units in the last place of the latter: 1/2 for
/// all that is rounded correctly; not a number for a wrong sign of zero and for a number that is none or should be none.
fn single_ulps(found: f32, expected: f64) -> f64 {
    let rounded = expected as f32;
    if found.to_bits() == rounded.to_bits() || (found.is_nan() && rounded.is_nan()) {
        return 0.5;
    }
    if found.is_nan() || rounded.is_nan() || found == rounded {
        return f64::NAN;
    }
    // An infinity is the number after the largest.
    let past = 2f64.powi(128);
    let found = f64::from(found).clamp(-past, past);
    (found - expected.clamp(-past, past)).abs() / single_ulp(expected)
}

/// A unit in the last place of the `float32` nearest to a number.
fn single_ulp(x: f64) -> f64 {
    let exponent = (((x.abs().to_bits() >> 52) as i32) - 1023).clamp(-126, 127);
    2f64.powi(exponent - 23)
}

/// Every `step`-th bit pattern, and the neighbours of where something changes.
struct Patterns {
    step: u32,
    edges: Vec<f32>,
}

impl Patterns {
    fn new(step: u32) -> Patterns {
        let edges = EDGES.into_iter().map(|edge| edge as f32).chain(SINGLE_EDGES);
        let near = edges.flat_map(|edge| (0..128).map(move |by| edge.to_bits().wrapping_add(by).wrapping_sub(64)));
        Patterns { step, edges: near.flat_map(|bits| [bits, bits ^ 1 << 31]).map(f32::from_bits).collect() }
    }

    /// At most `CHUNK` of them; nothing after the last.
    fn chunk(&self, number: usize) -> Option<Vec<f32>> {
        let last = (u32::MAX / self.step) as usize;
        let regular = number * CHUNK..((number + 1) * CHUNK).min(last + 1);
        if !regular.is_empty() {
            return Some(regular.map(|at| f32::from_bits(at as u32 * self.step)).collect());
        }
        self.edges.chunks(CHUNK).nth(number - last / CHUNK - 1).map(<[f32]>::to_vec)
    }
}

/// A function of one `float32`, and the largest error seen.
struct Single {
    function: Function,
    oracle: Oracle,
    worst: Mutex<Worst>,
}

impl Single {
    fn new(builtin: &Builtin) -> Single {
        let function = Function::new(*builtin, DType::F32, 16);
        // What is rounded correctly.
        let worst = Mutex::new(Worst { ulps: 0.5, ..Worst::default() });
        Single { function, oracle: Oracle::new(*builtin), worst }
    }

    /// Compares the function with the C library's in `float64`: those results that may be worse than the worst so far.
    fn check(&self, x: &[f32], found: &[f32]) {
        let worst = self.worst.lock().unwrap().ulps;
        if worst.is_nan() {
            return;
        }
        for at in self.oracle.suspects(x, found, worst - SLACK) {
            let expected = self.oracle.value(x[at]);
            let ulps = single_ulps(found[at], expected);
            self.worst.lock().unwrap().see(ulps, &[x[at].into()], found[at].into(), expected);
        }
    }

    /// The vector functions that pick those results agree with the C library's scalar ones.
    fn check_oracle(&self, x: &[f32]) {
        let four = x.try_into().expect("four");
        for (x, quick) in x.iter().copied().zip(self.oracle.quick(four).into_iter().flatten()) {
            let expected = self.oracle.value(x);
            let near = (quick - expected).abs() <= SLACK / 4.0 * single_ulp(expected);
            let same = quick == expected || quick.is_nan() && expected.is_nan();
            let over = quick.abs().min(expected.abs()) >= 2f64.powi(128) && quick.signum() == expected.signum();
            assert!(near || same || over, "{}({x:e}): {quick:e}, not {expected:e}", self.function.builtin.name());
        }
    }
}

/// How much closer to the bound than seen so far, in units in the last place, a result must be to be judged again.
const SLACK: f64 = 1.0 / 4096.0;

/// Compares all functions of a `float32` with the C library's, on two threads.
fn worst_of_singles(patterns: &Patterns) -> Vec<Worst> {
    let (singles, next): (Vec<Single>, _) = (UNARY.iter().map(Single::new).collect(), AtomicUsize::new(0));
    let go = || {
        let mut y = zeros(DType::F32, &[CHUNK as i64]);
        while let Some(x) = patterns.chunk(next.fetch_add(1, Ordering::Relaxed)) {
            let column = tensor(&x);
            for single in &singles {
                single.function.apply_to(&[&column], &mut y);
                single.check(&x, &y.as_slice().unwrap()[..x.len()]);
                x.chunks_exact(4).step_by(CHUNK / 32).for_each(|x| single.check_oracle(x));
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(go))));
    singles.into_iter().map(|single| single.worst.into_inner().unwrap()).collect()
}

/// Compares a function of several `float32` with the C library's in `float64`.
fn worst_singles(builtin: Builtin, count: usize) -> Worst {
    let function = Function::new(builtin, DType::F32, 16);
    let (mut worst, mut random) = (Worst::default(), Random(builtin as u64));
    for _ in 0..count.div_ceil(CHUNK) {
        let columns: Vec<Vec<f32>> =
            (0..builtin.arity()).map(|_| (0..CHUNK).map(|_| random.single()).collect()).collect();
        let slices: Vec<&[f32]> = columns.iter().map(|column| &column[..]).collect();
        for (at, found) in function.apply(&slices).into_iter().enumerate() {
            let x: Vec<f64> = slices.iter().map(|column| column[at].into()).collect();
            let expected = function.library(&x);
            worst.see(single_ulps(found, expected), &x, found.into(), expected);
        }
    }
    worst
}

/// Finds the worst error of each function, two functions at once.
fn worst_of(builtins: &[Builtin], worst: impl Fn(Builtin) -> Worst + Sync) -> Vec<Worst> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![Worst::default(); builtins.len()]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(builtin) = builtins.get(at) else { return };
                    let worst = worst(*builtin);
                    found.lock().unwrap()[at] = worst;
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// Prints the worst error of each function; the bound holds for all.
fn judge(builtins: &[Builtin], worst: &[Worst]) {
    let mut wrong = Vec::new();
    for (builtin, worst) in builtins.iter().zip(worst) {
        let (at, found, expected) = (&worst.at[..builtin.arity()], worst.found, worst.expected);
        let line = format!("{}{at:?}: {:.3} ulp: {found:e}, not {expected:e}", builtin.name(), worst.ulps);
        println!("{line}");
        if worst.ulps.is_nan() || worst.ulps > BOUND {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// In full form every `float32` there is: a quarter of an hour of one core.
#[test]
fn functions_of_a_float32() {
    let step = if full() { 1 } else { 0x8003 };
    judge(&UNARY, &worst_of_singles(&Patterns::new(step)));
}

#[test]
fn functions_of_several_float32() {
    let count = if full() { 1 << 26 } else { 1 << 17 };
    judge(&SEVERAL, &worst_of(&SEVERAL, |builtin| worst_singles(builtin, count)));
}

#[test]
fn functions_of_float64() {
    let count = if full() { 50_000 } else { 1_000 };
    let all = [&UNARY[..], &SEVERAL].concat();
    judge(&all, &worst_of(&all, |builtin| worst_double(builtin, count)));
}

/// Results that are no ordinary numbers are the C library's, for all arguments that are special to some function.
#[test]
fn special_values() {
    let special =
        [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 1e15, 9_007_199_254_740_993.0, 1e300, 1e-300, 5e-324, f64::INFINITY];
    let special: Vec<f64> = special.into_iter().flat_map(|x| [x, -x]).chain([f64::NAN]).collect();
    let singles: Vec<f32> = special.iter().map(|x| *x as f32).collect();
    for builtin in [&UNARY[..], &SEVERAL].concat() {
        let count = special.len().pow(builtin.arity().min(2) as u32);
        let pick = |column: usize, at: usize| at / special.len().pow(column as u32 % 2) % special.len();
        let doubles: Vec<Vec<f64>> =
            (0..builtin.arity()).map(|n| (0..count).map(|at| special[pick(n, at)]).collect()).collect();
        let singles: Vec<Vec<f32>> =
            (0..builtin.arity()).map(|n| (0..count).map(|at| singles[pick(n, at)]).collect()).collect();
        let (double, single) = (Function::new(builtin, DType::F64, 8), Function::new(builtin, DType::F32, 16));
        let found = double.apply(&doubles.iter().map(|column| &column[..]).collect::<Vec<_>>());
        let found_single = single.apply(&singles.iter().map(|column| &column[..]).collect::<Vec<_>>());
        for at in 0..count {
            let x: Vec<f64> = doubles.iter().map(|column| column[at]).collect();
            let expected = double.library(&x);
            let right = is_ordinary(expected) && is_ordinary(found[at]) || same(found[at], expected);
            assert!(right, "{}{x:?}: {:e}, not {expected:e}", builtin.name(), found[at]);
            let x: Vec<f64> = singles.iter().map(|column| column[at].into()).collect();
            let ulps = single_ulps(found_single[at], double.library(&x));
            assert!(ulps <= BOUND, "{}{x:?} of float32: {:e}", builtin.name(), found_single[at]);
        }
    }
}

/// The result does not depend on how many others are computed with it.
#[test]
fn every_number_of_lanes_gives_the_same() {
    let mut random = Random(1);
    let columns: Vec<Vec<f32>> = (0..4).map(|_| (0..1000).map(|_| random.single()).collect()).collect();
    let wide: Vec<Vec<f64>> =
        columns.iter().map(|x| x.iter().map(|x| f64::from(*x) * 1.000_000_001).collect()).collect();
    for builtin in
        [Builtin::Exp, Builtin::Log1p, Builtin::Sin, Builtin::Tanh, Builtin::Erfc, Builtin::Pow, Builtin::Hypot]
    {
        let singles: Vec<&[f32]> = columns[..builtin.arity()].iter().map(|x| &x[..]).collect();
        let doubles: Vec<&[f64]> = wide[..builtin.arity()].iter().map(|x| &x[..]).collect();
        let of_singles = |lanes| Function::new(builtin, DType::F32, lanes).apply(&singles);
        let of_doubles = |lanes| Function::new(builtin, DType::F64, lanes).apply(&doubles);
        let (expected_singles, expected_doubles) = (of_singles(16), of_doubles(8));
        for lanes in [1, 5, 32] {
            let found = (of_singles(lanes), of_doubles(lanes));
            assert!(found.0.iter().zip(&expected_singles).all(|(a, b)| same(f64::from(*a), f64::from(*b))));
            assert!(found.1.iter().zip(&expected_doubles).all(|(a, b)| same(*a, *b)), "{builtin:?}, {lanes} lanes");
        }
    }
}

/// Where there are very many, they become functions of the module, with the same values.
#[test]
fn many_formulas_become_functions() {
    let x: Vec<f32> = (0..16).map(|n| n as f32 / 3.0 - 2.0).collect();
    let input = Tensor::from_slice(&x, &[16]).unwrap();
    let mut b = Builder::new("many");
    let argument = b.input("x", DType::F32, &[16]);
    let here = || vec![lanes_at(c(0), 1)];
    let y: Vec<_> = (0..80).map(|n| b.output(&format!("y{n}"), DType::F32, &[16])).collect();
    let one = |y| store(y, here(), 16, Value::Call(Builtin::Tanh, vec![load(argument, here())]));
    b.program.body = y.into_iter().map(one).collect();
    assert!(assembly(&b.program, &this_machine()).unwrap().contains("math:tanh.v16f32"));
    let mut results: Vec<Tensor> = (0..80).map(|_| zeros(DType::F32, &[16])).collect();
    b.run(&[&input], &mut results.iter_mut().collect::<Vec<_>>()).unwrap();
    let expected = Function::new(Builtin::Tanh, DType::F32, 16).apply(&[&x]);
    assert!(results.iter().all(|result| result.as_slice::<f32>().unwrap() == expected));
}

/// Formulas call nothing, but for large arguments of circular functions of `float64`.
#[test]
fn formulas_call_nothing() {
    let targets = [
        target("x86_64-unknown-linux-gnu", "x86-64-v3", "", 32),
        target("x86_64-unknown-linux-gnu", "x86-64-v4", "", 64),
        target("aarch64-unknown-linux-gnu", "neoverse-n1", "", 16),
    ];
    for target in &targets {
        for builtin in [&UNARY[..], &SEVERAL].concat() {
            for (dtype, lanes) in [(DType::F32, target.vector_bytes / 4), (DType::F64, target.vector_bytes / 8)] {
                let text = assembly(&program(builtin, dtype, lanes).program, target).unwrap();
                let calls = text.contains("\tcall") || text.contains("\tblr");
                let may = dtype == DType::F64 && matches!(builtin, Builtin::Sin | Builtin::Cos | Builtin::Tan);
                assert_eq!(calls, may, "{} of {dtype} for {}", builtin.name(), target.cpu);
            }
        }
    }
}

/// Without fused multiply-add the C library's functions are called.
#[test]
fn without_fused_multiply_add_the_library_is_called() {
    let target = target(&host().triple, "x86-64", "", 16);
    let x = Tensor::from_slice(&[0.3f32; CHUNK], &[CHUNK as i64]).unwrap();
    for builtin in [Builtin::Exp, Builtin::Erf, Builtin::Tan] {
        let mut y = zeros(DType::F32, &[CHUNK as i64]);
        let kernel = program(builtin, DType::F32, 4).kernel_for(&target);
        run(&kernel, &[&x], &mut [&mut y], &Pool::single()).unwrap();
        assert_eq!(Some(y.as_slice::<f32>().unwrap()[0]), runtime::math::call_f32(builtin.name(), &[0.3]));
    }
}

/// The same number, or none.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
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
        let sign = if self.next().is_multiple_of(2) { 1.0 } else { -1.0 };
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

    fn single(&mut self) -> f32 {
        match self.next() % 4 {
            0 => f32::from_bits(self.next() as u32),
            _ => self.number() as f32,
        }
    }
}

/// Where functions of a `float32` change their way, or the result its kind, if not where those of `float64` do.
const SINGLE_EDGES: [f32; 22] = [
    21_870.197,
    0.838_556_6,
    0.6,
    0.92,
    88.722_84,
    89.415_99,
    103.972_08,
    128.0,
    126.0,
    149.0,
    38.531_84,
    45.154_5,
    32_768.0,
    8_388_608.0,
    16_777_216.0,
    33_554_432.0,
    2.980_232_2e-8,
    0.000_976_562_5,
    f32::MIN_POSITIVE,
    f32::MAX,
    9.0,
    10.054_5,
];

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
    let columns: Vec<Vec<f64>> = (0..builtin.arity()).map(|_| (0..count).map(|_| random.number()).collect()).collect();
    for first in (0..count).step_by(CHUNK) {
        let part = first..(first + CHUNK).min(count);
        let slices: Vec<&[f64]> = columns.iter().map(|column| &column[part.clone()]).collect();
        for (at, found) in function.apply(&slices).into_iter().enumerate() {
            let x: Vec<f64> = slices.iter().map(|column| column[at]).collect();
            let library = function.library(&x);
            let ulps = if is_ordinary(library) && !found.is_nan() {
                exact.ulps(builtin, &x, found)
            } else if same(found, library) {
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

/// Prints what each function adds to the time of a compilation, over that of a copy:
/// `cargo test -p codegen --test llvm compile_times -- --ignored --nocapture`.
#[test]
#[ignore = "prints times"]
fn compile_times() {
    let best = |builtin: Builtin, dtype: DType, lanes: u32, repeats: usize| {
        let mut b = program(builtin, dtype, lanes);
        let body = b.program.body.clone();
        b.program.body = body.iter().cycle().take(repeats).cloned().collect();
        let one = || {
            let start = std::time::Instant::now();
            compile(&b.program, &this_machine(), &Options::default()).unwrap();
            start.elapsed().as_secs_f64() * 1e3
        };
        (0..5).map(|_| one()).fold(f64::INFINITY, f64::min)
    };
    for builtin in [&[Builtin::Fabs], &UNARY[..], &SEVERAL].concat() {
        let times = [(DType::F32, 16), (DType::F64, 8), (DType::F32, 64), (DType::F64, 1)]
            .map(|(dtype, lanes)| [1, 9].map(|repeats| best(builtin, dtype, lanes, repeats)));
        println!("{}: {times:.2?} ms", builtin.name());
    }
}
