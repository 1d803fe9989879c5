mod naive;
mod tolerance;

use std::time::Instant;

use super::*;
use crate::DType;
use crate::testing::{self, Rng, random_inputs};

fn tensors(all: &[(&str, Data)]) -> Tensors {
    all.iter().map(|(name, data)| (name.to_string(), data.clone())).collect()
}

fn floats(shape: &[i64], values: &[f64]) -> Data {
    Data::from_f64s(DType::F32, shape, values)
}

fn ints(shape: &[i64], values: &[i64]) -> Data {
    Data::from_i64s(DType::I32, shape, values)
}

fn inputs_of(scop: &Scop, sizes: &[i64], seed: u64) -> Tensors {
    let inputs = random_inputs(scop, sizes, seed).into_iter();
    inputs.map(|input| (input.name, Data::from_f64s(input.dtype, &input.shape, &input.values))).collect()
}

fn parse(text: &str) -> Scop {
    testing::scop(&isl::Ctx::new(), text)
}

/// Both evaluations; the typed result must pass the comparison with the wide one.
#[track_caller]
fn both(scop: &Scop, sizes: &[i64], inputs: &Tensors) -> (Tensors, Wide) {
    let typed = run(scop, sizes, inputs, Limits::default()).unwrap();
    let wide = run_wide(scop, sizes, inputs, Limits::default()).unwrap();
    for (name, data) in &typed {
        wide.compare(name, data).unwrap_or_else(|mismatch| panic!("{mismatch}"));
    }
    (typed, wide)
}

/// The only result of the program, as doubles.
#[track_caller]
fn result(text: &str, sizes: &[i64], inputs: &[(&str, Data)]) -> Vec<f64> {
    let (typed, _) = both(&parse(text), sizes, &tensors(inputs));
    assert_eq!(typed.len(), 1);
    typed.values().next().unwrap().to_f64s()
}

#[track_caller]
fn failure(scop: &Scop, sizes: &[i64], inputs: &[(&str, Data)]) -> EvalError {
    let inputs = tensors(inputs);
    let typed = run(scop, sizes, &inputs, Limits::default()).unwrap_err();
    let wide = run_wide(scop, sizes, &inputs, Limits::default()).err().unwrap();
    assert_eq!(typed, wide);
    typed
}

#[test]
fn a_matrix_product() {
    let scop = testing::matmul(&isl::Ctx::new());
    let a = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = floats(&[3, 2], &[1.0, -1.0, 0.5, 2.0, 0.0, 1.0]);
    let (typed, wide) = both(&scop, &[2, 2, 3], &tensors(&[("A", a), ("B", b)]));
    assert_eq!(typed["C"].to_f64s(), [2.0, 6.0, 6.5, 12.0]);
    assert_eq!(wide.tensors(), typed);
}

/// The plain evaluator, which shares no code with this one, agrees to the last bit.
#[test]
fn random_programs_agree_with_a_plain_evaluator() {
    let ctx = isl::Ctx::new();
    for seed in 0..400 {
        let scop = testing::random(&ctx, seed);
        let inputs = inputs_of(&scop, &[], seed);
        let (typed, _) = both(&scop, &[], &inputs);
        let plain = naive::run(&scop, &inputs);
        for (name, data) in &typed {
            let (got, expected) = (data.to_f64s(), plain[name].to_f64s());
            let same = got.iter().zip(&expected).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
            assert!(same, "seed {seed}, `{name}`: {got:?}\nexpected {expected:?}\n{scop}");
        }
    }
}

#[test]
fn the_ready_made_programs_run_at_several_sizes() {
    let ctx = isl::Ctx::new();
    for scop in testing::programs(&ctx) {
        for size in [3, 8, 129] {
            let sizes = vec![size; scop.params.len()];
            both(&scop, &sizes, &inputs_of(&scop, &sizes, 7));
        }
    }
}

#[test]
fn a_triangle_counts_its_points() {
    let text = "
scop triangle(N)
output C: int32[N]
stmt C.init[i]
  domain { C.init[i] : 0 <= i < N }
  C[i] = 0i32
stmt C.update[i, j]
  domain { C.update[i, j] : 0 <= j <= i < N }
  C[i] sum= int32(index(j)) + 1i32
";
    assert_eq!(result(text, &[5], &[]), [1.0, 3.0, 6.0, 10.0, 15.0]);
    assert_eq!(count(&parse(text), &[5], Limits::default()), Ok(5 + 15));
}

#[test]
fn strides_unions_and_origins() {
    let text = "
scop pieces()
output C: int32[20 from -4]
stmt C.all[i]
  domain { C.all[i] : -4 <= i < 16 }
  C[i] = 0i32
stmt C.some[i, j]
  domain { C.some[i, j] : (exists e : i = 3e and -4 <= i < 4 and j = 1) or (10 <= i <= 15 and i mod 4 <= 1 and j = 2i) }
  C[i] = int32(index(j))
";
    let mut expected = [0.0; 20];
    for (i, j) in [(-3, 1), (0, 1), (3, 1), (12, 24), (13, 26)] {
        expected[(i + 4) as usize] = f64::from(j);
    }
    assert_eq!(result(text, &[], &[]), expected);
}

/// Each iteration sees what the one before has written: nothing may be computed ahead.
#[test]
fn a_recurrence_in_place() {
    let text = "
scop fibonacci(N)
output F: int64[N]
stmt F.start[i]
  domain { F.start[i] : 0 <= i <= 1 }
  F[i] = index(i)
stmt F[i]
  domain { F[i] : 2 <= i < N }
  F[i] = F[i - 1] + F[i - 2]
";
    let got = result(text, &[91], &[]);
    assert_eq!(got[90], 2_880_067_194_370_816_120i64 as f64);
}

/// Two statements share the loops, with different ranges; the second reads what the first wrote an iteration ago.
#[test]
fn statements_that_share_loops() {
    let text = "
scop shared(N)
output A: int32[N]
output B: int32[N + 2]
stmt B.init[i]
  domain { B.init[i] : 0 <= i < N + 2 }
  B[i] = 7i32
stmt A[i]
  domain { A[i] : 0 <= i < N }
  A[i] = B[i] + 1i32
stmt B[i]
  domain { B[i] : 1 <= i < N + 2 }
  B[i] = A[i - 1] * 2i32
source
  for i
    B.init
  for i
    A
    B
";
    // A[N + 1 - 1] does not exist at the last iteration but one: the program is wrong, and says so.
    let fault = failure(&parse(text), &[3], &[]);
    assert!(
        matches!(&fault, EvalError::IndexOutOfRange { tensor, dim: 0, lower: 0, upper: 3, stmt, .. } if tensor == "A" && **stmt == *"B"),
        "{fault}"
    );
    let text = text.replace("1 <= i < N + 2", "1 <= i <= N");
    let (typed, _) = both(&parse(&text), &[3], &Tensors::new());
    // i = 0: A0 = 8; i = 1: A1 = 8, B1 = 16; i = 2: A2 = 8, B2 = 16; i = 3: B3 = 16.
    assert_eq!(typed["A"].to_f64s(), [8.0, 8.0, 8.0]);
    assert_eq!(typed["B"].to_f64s(), [7.0, 16.0, 16.0, 16.0, 7.0]);
}

#[test]
fn rank_zero_and_empty_domains() {
    let text = "
scop scalar(N)
input A: float32[N]
output C: float32[]
stmt C.init[]
  domain { C.init[] }
  C[] = 5.0f32
stmt C.update[i]
  domain { C.update[i] : 0 <= i < N }
  C[] sum= A[i]
";
    assert_eq!(result(text, &[3], &[("A", floats(&[3], &[1.0, 2.0, 3.5]))]), [11.5]);
    assert_eq!(result(text, &[0], &[("A", floats(&[0], &[]))]), [5.0]);
}

#[test]
fn every_monoid() {
    let values = [3, -5, 7, 2];
    for (name, ints_expected, floats_expected) in
        [("sum", 7, 7.0), ("prod", -210, -210.0), ("min", -5, -5.0), ("max", 7, 7.0)]
    {
        for (dtype, expected) in
            [("int32", ints_expected as f64), ("float32", floats_expected), ("float64", floats_expected)]
        {
            let identity = match name {
                "sum" | "prod" => format!("{dtype}({}i32)", (name == "prod") as i32),
                _ => format!("{dtype}({}i32)", if name == "min" { "1000" } else { "-1000" }),
            };
            let text = format!(
                "
scop fold(N)
input A: {dtype}[N]
output C: {dtype}[]
stmt C.init[]
  domain {{ C.init[] }}
  C[] = {identity}
stmt C.update[i]
  domain {{ C.update[i] : 0 <= i < N }}
  C[] {name}= A[i]
"
            );
            let a = Data::from_i64s(DType::parse(dtype).unwrap(), &[4], &values);
            let got = result(&text, &[4], &[("A", a)]);
            assert_eq!(got, [expected], "{name} of {dtype}");
        }
    }
}

/// A monoid over a pair, which no fast path knows: the largest value and the first place that holds it.
#[test]
fn a_monoid_over_a_pair() {
    let text = "
scop argmax(N)
input A: float32[N]
output V: float32[]
output K: int64[]
stmt init[]
  domain { init[] }
  V[], K[] = -inf_f32, 9223372036854775807i64
stmt update[i]
  domain { update[i] : 0 <= i < N }
  monoid argmax(float32, int64) identity (-inf_f32, 9223372036854775807i64) combine (max(state(0), term(0)), select(term(0) > state(0), term(1), select(term(0) == state(0), min(state(1), term(1)), state(1))))
  V[], K[] argmax= A[i], index(i)
";
    let a = floats(&[5], &[1.0, 4.0, -2.0, 4.0, 3.0]);
    let (typed, wide) = both(&parse(text), &[5], &tensors(&[("A", a)]));
    assert_eq!((typed["V"].to_f64s(), typed["K"].to_i64s()), (vec![4.0], vec![1]));
    assert_eq!(wide.compare("K", &typed["K"]).unwrap().ambiguous, 0, "inputs decide it exactly");
}

#[test]
fn integers_wrap_and_round_down() {
    let text = "
scop integers()
input A: int8[4]
input B: int8[4]
output C: int8[4, 4, 7]
stmt C[i, j]
  domain { C[i, j] : 0 <= i <= 3 and 0 <= j <= 3 }
  C[i, j, 0], C[i, j, 1], C[i, j, 2], C[i, j, 3], C[i, j, 4], C[i, j, 5], C[i, j, 6] = A[i] + B[j], A[i] - B[j], A[i] * B[j], A[i] / B[j], A[i] % B[j], -A[i], int8(float32(A[i]) * 100.0f32)
";
    let a = [100i64, -128, 7, -7];
    let b = [100i64, -1, 0, 2];
    let data = |values: &[i64]| Data::from_i64s(DType::I8, &[4], values);
    let got = result(text, &[], &[("A", data(&a)), ("B", data(&b))]);
    for (i, x) in a.into_iter().enumerate() {
        for (j, y) in b.into_iter().enumerate() {
            let floor = if y == 0 { 0 } else { (x as f64 / y as f64).floor() as i64 };
            let rest = if y == 0 { 0 } else { x - y * floor };
            let saturated = (x * 100).clamp(-128, 127);
            let expected = [x + y, x - y, x * y, floor, rest, -x, saturated].map(|v| f64::from(v as i8));
            let at = (i * 4 + j) * 7;
            assert_eq!(got[at..at + 7], expected, "{x} {y}");
        }
    }
}

#[test]
fn unsigned_64_bits() {
    let text = "
scop unsigned()
input A: uint64[2]
output C: uint64[4]
stmt C[]
  domain { C[] }
  C[0], C[1], C[2], C[3] = A[0] / A[1], A[0] % A[1], max(A[0], A[1]), uint64(float64(A[0]))
";
    let (x, y) = (u64::MAX - 4, 10u64);
    let a = Data::from_i64s(DType::U64, &[2], &[x as i64, y as i64]);
    let (typed, _) = both(&parse(text), &[], &tensors(&[("A", a)]));
    let got: Vec<u64> = typed["C"].to_i64s().into_iter().map(|v| v as u64).collect();
    assert_eq!(got, [x / y, x % y, x, u64::MAX]);
}

/// Half types accumulate in `float32` and round once.
#[test]
fn sixteen_bits() {
    let text = "
scop halves(N)
input A: float16[N]
output C: float16[]
output D: float16[]
stmt C.init[]
  domain { C.init[] }
  C[] = 0.0f16
stmt C.update[i]
  domain { C.update[i] : 0 <= i < N }
  C[] sum= A[i]
stmt D[]
  domain { D[] }
  D[] = C[] + 1.0f16
";
    let n = 5000;
    let a = Data::from_f64s(DType::F16, &[n], &vec![1.0; n as usize]);
    let (typed, _) = both(&parse(text), &[n], &tensors(&[("A", a)]));
    // float16 itself would stop at 2048; 5000 is 4 apart from its neighbours.
    assert_eq!(typed["C"].to_f64s(), [5000.0]);
    assert_eq!(typed["D"].to_f64s(), [5000.0]);
}

const LOOK_UP: &str = "
scop look_up(N, E)
input T: float32[E from 1]
input X: int32[N]
output O: float32[N]
stmt O[i]
  domain { O[i] : 0 <= i < N }
  O[i] = T[value(X[i])] + 1.0f32
";

#[test]
fn indirect_subscripts_are_checked() {
    let table = floats(&[3], &[10.0, 20.0, 30.0]);
    let got = result(LOOK_UP, &[4, 3], &[("T", table.clone()), ("X", ints(&[4], &[3, 1, 2, 1]))]);
    assert_eq!(got, [31.0, 11.0, 21.0, 11.0]);
    for wrong in [0, 4, i32::MIN.into()] {
        let fault = failure(&parse(LOOK_UP), &[4, 3], &[("T", table.clone()), ("X", ints(&[4], &[3, 1, wrong, 1]))]);
        let message = format!("subscript 0 of `T` is {wrong}, outside of 1..4; it comes from `X(2)`");
        assert_eq!(fault.to_string(), message);
        assert!(
            matches!(fault, EvalError::IndexOutOfRange { stmt, instance, .. } if *stmt == *"O" && *instance == [2])
        );
    }
}

#[test]
fn quasi_affine_subscripts() {
    let text = "
scop fold(N)
input A: int32[N]
output C: int32[N]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = A[min(i mod 4 + floor((i)/2), N - 1)]
";
    let n = 300i64;
    let a: Vec<i64> = (0..n).map(|i| i * i).collect();
    let expected: Vec<f64> = (0..n).map(|i| (i % 4 + i / 2).min(n - 1)).map(|k| (k * k) as f64).collect();
    assert_eq!(result(text, &[n], &[("A", ints(&[n], &a))]), expected);
}

/// Halves are the nearest, also of doubles that differ from the middle of two in their last digit alone.
#[test]
fn halves_are_rounded_once() {
    for (dtype, middle, below, above) in [
        (DType::F16, 1.0 + 2f64.powi(-11), 1.0, 1.0 + 2f64.powi(-10)),
        (DType::F16, 2f64.powi(-25), 0.0, 2f64.powi(-24)),
        (DType::F16, 65520.0, 65504.0, f64::INFINITY),
        (DType::BF16, 1.0 + 2f64.powi(-8), 1.0, 1.0 + 2f64.powi(-7)),
        (DType::BF16, 2f64.powi(-134), 0.0, 2f64.powi(-133)),
    ] {
        let beside = |by: i64| f64::from_bits((middle.to_bits() as i64 + by) as u64);
        for sign in [1.0, -1.0] {
            assert_eq!(round(dtype, sign * beside(1)), sign * above, "{dtype}");
            assert_eq!(round(dtype, sign * beside(-1)), sign * below, "{dtype}");
            assert_eq!(Data::from_f64s(dtype, &[1], &[sign * beside(1)]).to_f64s(), [sign * above]);
        }
        assert_eq!(round(dtype, below), below);
    }
    assert_eq!(round(DType::F16, f64::MAX), f64::INFINITY);
    assert!(round(DType::BF16, f64::NAN).is_nan());
}

#[test]
fn a_ring_of_three_cases() {
    let text = "
scop ring(N)
input A: int32[N]
output C: int32[N]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = A[if(i - 2 >= 0, if(N - i + 1 >= 0, i - 2, i - 2 - N), i - 2 + N)]
";
    for n in [2i64, 3, 300] {
        let a: Vec<i64> = (0..n).map(|i| i * i).collect();
        let expected: Vec<f64> = (0..n).map(|i| ((i - 2).rem_euclid(n)).pow(2) as f64).collect();
        assert_eq!(result(text, &[n], &[("A", ints(&[n], &a))]), expected);
    }
    // Two outside of one element is more than a period.
    let fault = failure(&parse(text), &[1], &[("A", ints(&[1], &[0]))]);
    assert_eq!(fault.to_string(), "subscript 0 of `A` is -1, outside of 0..1");
}

/// Without its source there is nothing that says what is first: not a program that does nothing.
#[test]
fn a_program_that_commands_have_changed_is_refused() {
    let mut scop = testing::matmul(&isl::Ctx::new());
    let inputs = inputs_of(&scop, &[2, 3, 4], 1);
    scop.source = Vec::new();
    assert_eq!(run(&scop, &[2, 3, 4], &inputs, Limits::default()), Err(EvalError::NoSource));
    assert!(matches!(run_wide(&scop, &[2, 3, 4], &inputs, Limits::default()), Err(EvalError::NoSource)));
    assert_eq!(count(&scop, &[2, 3, 4], Limits::default()), Err(EvalError::NoSource));
}

#[test]
fn a_subscript_without_sign_is_shown_so() {
    let text = "
scop look_up(N)
input T: float32[N]
input X: uint64[1]
output O: float32[1]
stmt O[i]
  domain { O[i] : i = 0 }
  O[i] = T[value(int64(X[i]))]
";
    let wrong = Data::from_i64s(DType::U64, &[1], &[-2]);
    let fault = failure(&parse(text), &[3], &[("T", floats(&[3], &[0.0; 3])), ("X", wrong)]);
    assert_eq!(fault.to_string(), "subscript 0 of `T` is 18446744073709551614, outside of 0..3; it comes from `X(0)`");
}

#[test]
fn calls_that_do_not_fit() {
    let scop = testing::matmul(&isl::Ctx::new());
    let (a, b) = (floats(&[2, 2], &[0.0; 4]), floats(&[2, 2], &[0.0; 4]));
    assert_eq!(failure(&scop, &[2, 2], &[]), EvalError::WrongSizes { given: 2, params: 3 });
    assert_eq!(failure(&scop, &[2, 2, 2], &[("A", a.clone())]), EvalError::MissingInput { tensor: "B".into() });
    let wrong = failure(&scop, &[2, 2, 3], &[("A", a.clone()), ("B", b.clone())]);
    assert!(
        matches!(&wrong, EvalError::WrongInput { tensor, shape, .. } if tensor == "A" && *shape == [2, 3]),
        "{wrong}"
    );
    let ints = Data::from_i64s(DType::I32, &[2, 2], &[0; 4]);
    let wrong = failure(&scop, &[2, 2, 2], &[("A", ints), ("B", b)]);
    assert!(matches!(wrong, EvalError::WrongInput { given_dtype: DType::I32, .. }), "{wrong}");
}

#[test]
fn what_is_too_large_is_refused_at_once() {
    let scop = testing::matmul(&isl::Ctx::new());
    let start = Instant::now();
    let error = count(&scop, &[1 << 20, 1 << 20, 1 << 20], Limits::default()).unwrap_err();
    assert!(matches!(error, EvalError::TooLarge { limit, instances } if instances > limit), "{error}");
    let memory = run(&scop, &[1 << 20, 1 << 20, 1], &Tensors::new(), Limits::default()).unwrap_err();
    assert!(matches!(memory, EvalError::TooMuchMemory { .. }), "{memory}");
    assert!(start.elapsed().as_secs() < 5);
    let limits = Limits { instances: 3 * 3 + 27 - 1, ..Limits::default() };
    assert_eq!(count(&scop, &[3, 3, 3], limits), Err(EvalError::TooLarge { instances: 36, limit: 35 }));
    assert_eq!(count(&scop, &[3, 3, 3], Limits { instances: 36, ..limits }), Ok(36));
}

/// A diagonal in a large box is small.
#[test]
fn a_diagonal_is_small() {
    let text = "
scop diagonal(N)
inout A: float32[N]
stmt A[i, j]
  domain { A[i, j] : 0 <= i < N and i = j }
  A[i] = A[j] * 2.0f32
";
    let n = 100_000;
    let scop = parse(text);
    assert_eq!(count(&scop, &[n], Limits { instances: 200_000, ..Limits::default() }), Ok(n as u64));
    let (typed, _) = both(&scop, &[n], &tensors(&[("A", floats(&[n], &vec![1.5; n as usize]))]));
    assert!(typed["A"].to_f64s().iter().all(|&x| x == 3.0));
}

#[test]
fn an_unbounded_domain_is_an_error() {
    let text = "
scop endless()
output A: int32[]
stmt A[i]
  domain { A[i] : 0 <= i }
  A[] = 0i32
";
    assert_eq!(failure(&parse(text), &[], &[]), EvalError::Unbounded { stmt: "A".into(), dim: "i".into() });
}

/// Prints the rates: `cargo test -p polyhedral --release --lib rate -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn rate() {
    let ctx = isl::Ctx::new();
    let n = 512;
    for (name, scop, sizes, instances) in [
        ("matmul", testing::matmul(&ctx), vec![n, n, n], n * n * n),
        ("conv3x3", testing::conv3x3(&ctx), vec![1024, 1024], 9 * 1022 * 1022),
        ("stencil", testing::stencil(&ctx), vec![1024], 1022 * 1022),
    ] {
        let inputs = inputs_of(&scop, &sizes, 1);
        let millions = instances as f64 / 1e6;
        let start = Instant::now();
        run(&scop, &sizes, &inputs, Limits::default()).unwrap();
        let typed = start.elapsed().as_secs_f64();
        let start = Instant::now();
        run_wide(&scop, &sizes, &inputs, Limits::default()).unwrap();
        let wide = start.elapsed().as_secs_f64();
        println!("{name}: million instances a second: typed {:.0}, wide {:.0}", millions / typed, millions / wide);
    }
}

/// Bounds near the ends of 64 bits are computed or refused, never wrong.
#[test]
fn far_from_zero() {
    let text = "
scop far()
output C: int64[3 from 400000000000000000]
stmt C[i, j]
  domain { C[i, j] : 400000000000000000 <= i < 400000000000000003 and 2i <= 3j <= 2i + 2 }
  C[i] = index(j)
";
    let scop = parse(text);
    let (typed, _) = both(&scop, &[], &Tensors::new());
    let base = 400_000_000_000_000_000i64;
    let expected: Vec<i64> = (0..3).map(|k| (2 * (base + k) + 2).div_euclid(3)).collect();
    assert_eq!(typed["C"].to_i64s(), expected);
}

/// In place, each element by itself: ascending, descending, and the same one again and again.
#[test]
fn updates_in_place() {
    let text = "
scop in_place(N)
inout A: int64[N]
stmt up[i, j]
  domain { up[i, j] : 0 <= i <= 2 and 0 <= j < N }
  A[j] = A[j] * 3i64 + index(i)
stmt down[i]
  domain { down[i] : 0 <= i < N }
  A[N - 1 - i] = A[N - 1 - i] - index(i)
stmt again[i]
  domain { again[i] : 0 <= i < 5 }
  A[2] = A[2] * 2i64 + index(i)
stmt fold[i]
  domain { fold[i] : 0 <= i < N }
  A[i] sum= A[i] * index(i)
";
    let n = 300;
    let mut expected: Vec<i64> = (0..n).collect();
    for x in 0..3 {
        expected.iter_mut().for_each(|a| *a = *a * 3 + x);
    }
    (0..n).for_each(|i| expected[(n - 1 - i) as usize] -= i);
    (0..5).for_each(|i| expected[2] = expected[2] * 2 + i);
    (0..n).for_each(|i| expected[i as usize] += expected[i as usize] * i);
    let a = Data::from_i64s(DType::I64, &[n], &(0..n).collect::<Vec<_>>());
    let (typed, _) = both(&parse(text), &[n], &tensors(&[("A", a)]));
    assert_eq!(typed["A"].to_i64s(), expected);
}
