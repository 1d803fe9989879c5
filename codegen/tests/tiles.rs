//! Tiles whose sizes are parameters.

mod common;

use codegen::interp::interpret;
use codegen::{Options, Program};
use common::{inputs, run_on_machine_with, scheduled};
use expect_test::expect;
use polyhedral::{Scop, eval, isl, testing};

/// The loops of a program under a script, which must agree with the evaluator for every size of the tiles.
#[track_caller]
fn check(source: &str, sizes: &[i64], script: &str, tiles: &[&[i64]]) -> Program {
    let scop = scheduled(source, Some(sizes), script);
    let program = common::lower(&scop, &Options { fma: true, ..Options::default() });
    let source = source_of(source, sizes);
    let given = inputs(&source, &[]);
    let expected = eval::run(&source, &[], &given, eval::Limits::default()).unwrap();
    for tile in tiles {
        let actual = interpret(&program, tile, &given, 1).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
        assert_eq!(actual, expected, "{tile:?}\n{program}");
        assert_eq!(run_on_machine_with(&program, tile, &given), expected, "{tile:?}\n{program}");
    }
    program
}

fn source_of(name: &str, sizes: &[i64]) -> Scop {
    let text = testing::PROGRAMS.iter().find(|(known, _)| *known == name).map_or(name, |(_, text)| text);
    testing::scop(&isl::Ctx::new(), text).specialise(sizes).unwrap()
}

#[test]
fn a_matrix_product_in_tiles_of_any_size() {
    let script = "tile C.update.m C.update.n by T U as mo no";
    let program = check("matmul", &[7, 11, 5], script, &[&[1, 1], &[2, 3], &[7, 4], &[32, 32]]);
    expect![[r#"
        program matmul(T, U)
          input A: float32[7, 5] argument 0
          input B: float32[5, 11] argument 1
          output C: float32[7, 11] argument 2
        for m in 0..7 {
          for n in 0..11 {
            C[m, n] = float32(0.0)
          }
        }
        for mo in 0..7 step T {
          for no in 0..11 step U {
            for m2 in mo..min(7, mo + T) {
              for n2 in no..min(11, no + U) {
                r0: float32 = C[m2, n2]
                for k in 0..5 {
                  r0: float32 = muladd(A[m2, k], B[k, n2], r0)
                }
                C[m2, n2] = r0
              }
            }
          }
        }
    "#]]
    .assert_eq(&program.to_string());
}

#[test]
fn lanes_and_copies_inside_of_tiles_of_any_size() {
    let script = "
        split C.update.n by 4 as no ni
        tile C.update.m C.update.no by T U
        vectorise C.update.ni by 4 as nv nl";
    check("matmul", &[7, 11, 5], script, &[&[1, 1], &[2, 3], &[32, 32]]);
}

#[test]
fn a_stencil_needs_no_rectangle() {
    let script = "tile A.i A.j by T T";
    let program = check("stencil", &[9], script, &[&[1], &[3], &[4], &[100]]);
    expect![[r#"
        program stencil(T)
          inout A: float64[9, 9] argument 0
        for io in 1..8 step T {
          for jo in 1..8 step T {
            for i in io..min(8, io + T) {
              for j in jo..min(8, jo + T) {
                A[i, j] = float64(0.2) * (A[i, j] + A[i - 1, j] + A[i, j - 1] + A[i + 1, j] + A[i, j + 1])
              }
            }
          }
        }
    "#]]
    .assert_eq(&program.to_string());
    check("triangular_solve", &[9], "tile x.init.i by T", &[&[1], &[3], &[20]]);
}

const SEIDEL: &str = "
scop seidel(N)
context { : N > 2 }
inout A: float32[N, N]
stmt A[t, i]
  domain { A[t, i] : 0 < t < N and 0 < i < N - 1 }
  A[t, i] = A[t - 1, i - 1] + A[t - 1, i + 1]
";

fn apply(script: &str) -> Result<transform::Session, transform::Refused> {
    let scop = testing::scop(&isl::Ctx::new(), SEIDEL);
    let mut session = transform::Session::new(scop, &common::target())?;
    session.replay(&script.parse().unwrap())?;
    Ok(session)
}

#[test]
fn what_goes_backward_in_a_loop_is_refused() {
    let refused = apply("tile A.t A.i by T U").unwrap_err();
    assert!(refused.violation().is_some(), "{refused}");
    // Skewed, the same nest is permutable.
    let script = "skew A.i by 1 of A.t\ntile A.t A.i by T U";
    apply(script).unwrap().finish().unwrap();
    check(SEIDEL, &[9], script, &[&[1, 1], &[2, 3], &[4, 4], &[100, 1]]);
}

#[test]
fn what_changes_the_loops_of_tiles_comes_before() {
    for (script, words) in [
        ("tile A.t by T\nsplit A.t by 4", "come after"),
        ("tile A.t by T\ntile A.t by U", "already"),
        ("tile A.t by mod", "name of a size"),
        ("tile A.t by A.t", "name of a size"),
        ("tile A.t A.i by T", "2 loops"),
    ] {
        let refused = apply(script).unwrap_err().to_string();
        assert!(refused.contains(words), "{script}: {refused}");
    }
}

#[test]
fn a_size_of_tiles_is_at_least_1() {
    let text = SEIDEL.replace("N > 2", "N >= 0");
    let mut session = transform::Session::new(testing::scop(&isl::Ctx::new(), &text), &common::target()).unwrap();
    let refused = session.replay(&"tile A.t by N".parse().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("may be less than 1"), "{refused}");
}

#[test]
fn sizes_of_the_program_and_of_tiles_together() {
    let ctx = isl::Ctx::new();
    for (name, script) in [("matmul", "tile C.update.m C.update.k by T U"), ("triangular_solve", "tile x.init.i by T")]
    {
        let scop = scheduled(name, None, script);
        let text = scop.to_string();
        assert_eq!(Scop::parse(&ctx, &text).unwrap().to_string(), text);
        let program = common::lower(&scop, &Options::default());
        let source = testing::program(&ctx, name);
        let sizes = &[5, 6, 7][..source.params.len()];
        let given = inputs(&source, sizes);
        let expected = eval::run(&source, sizes, &given, eval::Limits::default()).unwrap();
        for tile in [1, 2, 100] {
            let all: Vec<i64> = sizes.iter().copied().chain([tile; 2]).take(program.params.len()).collect();
            assert_eq!(interpret(&program, &all, &given, 1).unwrap(), expected, "{program}");
        }
    }
}
