//! Lanes that are combined: loops, the interpreter and machine code against the evaluator; what may not be combined.

mod common;

use codegen::Options;
use common::{agrees, inputs, lower, run_on_machine, scan, scheduled, target};
use expect_test::{Expect, expect};
use polyhedral::{Scop, eval, isl, testing};
use transform::{Options as SessionOptions, Script, Session};

/// A reduction of two dimensions to rows, columns or one value.
fn program(dtype: &str, op: &str, shape: &str, term: &str) -> String {
    let (extent, at) = match shape {
        "rows" => ("M", "i"),
        "columns" => ("N", "j"),
        _ => ("", ""),
    };
    format!(
        "
         scop r(M, N)
         input A: {dtype}[M, N]
         input x: {dtype}[N]
         inout y: {dtype}[{extent}]
         stmt y[i, j]
           domain {{ y[i, j] : 0 <= i < M and 0 <= j < N }}
           y[{at}] {op}= {term}"
    )
}

fn check_on_machine(scop: &Scop, program: &codegen::Program) {
    let given = inputs(scop, &[]);
    let expected = eval::run(scop, &[], &given, eval::Limits::default()).unwrap();
    let actual = run_on_machine(program, &given);
    assert_eq!(actual, expected, "{program}");
}

#[test]
fn random_reductions_are_the_same_everywhere() {
    let mut random = testing::Rng::new(11);
    let mut of = |all: &[&'static str]| all[random.between(0, all.len() as i64 - 1) as usize];
    for _ in 0..60 {
        let dtype = of(&["float32", "float64", "int32"]);
        let op = of(&["sum", "sum", "min", "max"]);
        let (shape, term) = (of(&["rows", "columns", "all"]), of(&["A[i, j]", "A[i, j] * x[j]"]));
        let lanes = of(&["4", "8", "32"]);
        let (lane_loop, other) = of(&["i j", "j i", "j i"]).split_once(' ').unwrap();
        let sizes = [of(&["1", "5", "16", "37"]), of(&["1", "7", "32", "67"])].map(|size| size.parse::<i64>().unwrap());
        let length = sizes[usize::from(lane_loop == "j")];
        let separate = of(&["", " tail separate"]);
        let (tail, then) = match length < lanes.parse().unwrap() || separate.is_empty() {
            true => ("", of(&["", "unroll y.OTHER by 3 as ou oc", "reorder y.OTHER y.lo", "unroll y.lo by 2"])),
            false => (separate, ""),
        };
        let then = then.replace("OTHER", other);
        let script = format!("vectorise y.{lane_loop} by {lanes} as lo lv{tail}\n{then}");
        let scop = scheduled(&program(dtype, op, shape, term), Some(&sizes), &script);
        agrees(&scop, &scan(&scop, &Options::default()).0, &[]);
        let loops = lower(&scop, &Options { fma: true, ..Options::default() });
        agrees(&scop, &loops, &[]);
        check_on_machine(&scop, &loops);
    }
}

#[test]
fn numbers_that_are_none_and_signs_of_zeros_are_those_of_the_evaluator() {
    use codegen::interp::{Data, Tensors, interpret};
    let nan = f64::NAN;
    for op in ["sum", "min", "max", "prod"] {
        let scop = scheduled(&program("float32", op, "rows", "A[i, j]"), Some(&[4, 6]), "vectorise y.j by 4");
        let loops = lower(&scop, &Options::default());
        let rows = [[nan; 6], [nan, 1.0, nan, 2.0, nan, nan], [-0.0; 6], [f64::INFINITY, 1.0, nan, 1.0, 1.0, 1.0]];
        for start in [nan, -0.0, 3.0] {
            let given = Tensors::from([
                ("A".to_string(), Data::from_f64s(polyhedral::DType::F32, &[4, 6], &rows.concat())),
                ("x".to_string(), Data::from_f64s(polyhedral::DType::F32, &[6], &[1.0; 6])),
                ("y".to_string(), Data::from_f64s(polyhedral::DType::F32, &[4], &[start; 4])),
            ]);
            let bits = |tensors: &Tensors| -> Vec<u64> {
                let all = tensors["y"].to_f64s();
                all.into_iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect()
            };
            let expected = bits(&eval::run(&scop, &[], &given, eval::Limits::default()).unwrap());
            assert_eq!(bits(&interpret(&loops, &[], &given, 1).unwrap()), expected, "{op} from {start}\n{loops}");
            assert_eq!(bits(&run_on_machine(&loops, &given)), expected, "{op} from {start}\n{loops}");
        }
    }
}

#[track_caller]
fn check_loops(text: &str, sizes: &[i64], script: &str, expected: Expect) {
    let scop = scheduled(text, Some(sizes), script);
    let loops = lower(&scop, &Options { fma: true, ..Options::default() });
    let body: Vec<String> = loops.to_string().lines().skip(4).map(|line| format!("{line}\n")).collect();
    expected.assert_eq(&body.concat());
    agrees(&scop, &loops, &[]);
}

#[test]
fn each_copy_has_an_accumulator_and_the_tail_is_masked() {
    check_loops(
        &program("float32", "sum", "rows", "A[i, j] * x[j]"),
        &[8, 75],
        "split y.j by 32 as jo ji\nvectorise y.ji by 8 as jio jiv\nunroll y.jio by 2",
        expect![[r#"
            for i in 0..8 {
              for jo in 0..3 {
                if 2*jo < min(2*jo + 2, 4) {
                  r0: float32 = y[i]
                  r2: float32 x8 = float32(-0.0)
                  r3: float32 x8 = float32(-0.0)
                  for jioo in 2*jo..min(2*jo + 2, 4) {
                    r2: float32 x8 = muladd(A[i, 16*jioo .. +8], x[16*jioo .. +8], r2)
                    r3: float32 x8 = muladd(A[i, 16*jioo + 8 .. +8], x[16*jioo + 8 .. +8], r3)
                  }
                  r0: float32 = r0 + reduce(+, r2 + r3)
                  y[i] = r0
                }
                if 4 < min(5, 2*jo + 2) {
                  r1: float32 = y[i]
                  r4: float32 x8 = float32(-0.0)
                  r5: float32 x8 = float32(-0.0)
                  r4: float32 x8 = muladd(A[i, 64 .. +8], x[64 .. +8], r4)
                  r5: float32 x8 = lane <= 2 ? muladd((A[i, 72 .. +8] where lane <= 2), (x[72 .. +8] where lane <= 2), r5) : r5
                  r1: float32 = r1 + reduce(+, r4 + r5)
                  y[i] = r1
                }
              }
            }
        "#]],
    );
}

#[test]
fn an_accumulator_outlives_every_loop_of_the_reduction() {
    check_loops(
        &program("int32", "max", "all", "A[i, j]"),
        &[9, 16],
        "vectorise y.j by 8",
        expect![[r#"
        r1: int32 = y[]
        r2: int32 x8 = int32(-2147483648)
        for i in 0..9 {
          for jo in 0..2 {
            r2: int32 x8 = max(r2, A[i, 8*jo .. +8])
          }
        }
        r1: int32 = max(r1, reduce(max, r2))
        y[] = r1
    "#]],
    );
}

fn refusal(text: &str, script: &str, strict: bool) -> String {
    let scop = testing::scop(&isl::Ctx::new(), text);
    let options = SessionOptions { strict, ..SessionOptions::default() };
    let mut session = Session::with_options(scop, &target(), options).unwrap();
    let script: Script = script.parse().unwrap();
    session.replay(&script).expect_err("two updates of one element").to_string()
}

#[test]
fn sums_that_keep_their_order_have_no_lanes() {
    let refused = refusal(&program("float32", "sum", "rows", "A[i, j]"), "vectorise y.j by 8", true);
    assert!(refused.contains("would run them at once"), "{refused}");
}

#[test]
fn results_of_several_values_have_no_lanes() {
    let text = "
        scop argmax(M, N)
        input A: float32[M, N]
        inout v: float32[M]
        inout at: int64[M]
        stmt y[i, j]
          domain { y[i, j] : 0 <= i < M and 0 <= j < N }
          monoid argmax(float32, int64) identity (-inf_f32, -1i64) combine (select(term(0) > state(0), term(0), state(0)), select(term(0) > state(0), term(1), state(1)))
          v[i], at[i] argmax= A[i, j], index(j)";
    let refused = refusal(text, "vectorise y.j by 8", false);
    assert!(refused.contains("would run them at once"), "{refused}");
}

#[test]
fn lanes_that_update_several_elements_are_not_combined() {
    let text = "
        scop pairs(N)
        input A: float32[N]
        inout y: float32[N]
        stmt y[i]
          domain { y[i] : 0 <= i < N }
          y[floor(i/2)] sum= A[i]";
    let refused = refusal(text, "vectorise y.i by 8", false);
    assert!(refused.contains("would run them at once"), "{refused}");
}
