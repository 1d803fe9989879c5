//! Vectors that the iterations of a loop do not fill.

mod common;

use codegen::Options;
use common::{agrees, inputs, lower, run_on_machine, scheduled};
use expect_test::{Expect, expect};
use polyhedral::{Scop, eval, isl, testing};
use support::Stage;

/// The loops of a program under a script, which must agree with the evaluator in the interpreter and as machine code.
#[track_caller]
fn check(source: &str, sizes: &[i64], script: &str, expected: Option<Expect>) {
    let program = lower(&scheduled(source, Some(sizes), script), &Options { fma: true, ..Options::default() });
    let source = program_named(source).specialise(sizes).unwrap();
    agrees(&source, &program, &[]);
    let given = inputs(&source, &[]);
    let values = eval::run(&source, &[], &given, eval::Limits::default()).unwrap();
    assert_eq!(run_on_machine(&program, &given), values, "{program}");
    if let Some(expected) = expected {
        expected.assert_eq(&program.to_string());
    }
}

fn program_named(name: &str) -> Scop {
    testing::program(&isl::Ctx::new(), name)
}

const SEPARATE: &str = "vectorise C.update.n by 4 tail separate";

#[test]
fn a_separate_tail_is_a_loop_without_masks() {
    check(
        "matmul",
        &[3, 11, 5],
        SEPARATE,
        Some(expect![[r#"
        program matmul()
          input A: float32[3, 5] argument 0
          input B: float32[5, 11] argument 1
          output C: float32[3, 11] argument 2
        for m in 0..3 {
          for n in 0..11 {
            C[m, n] = float32(0.0)
          }
        }
        for m2 in 0..3 {
          for no in 0..2 {
            r0: float32 x4 = C[m2, 4*no .. +4]
            for k in 0..5 {
              r0: float32 x4 = muladd(A[m2, k], B[k, 4*no .. +4], r0)
            }
            C[m2, 4*no .. +4] = r0
          }
          for n2 in 8..11 {
            r1: float32 = C[m2, n2]
            for k2 in 0..5 {
              r1: float32 = muladd(A[m2, k2], B[k2, n2], r1)
            }
            C[m2, n2] = r1
          }
        }
    "#]]),
    );
    for n in [4, 5, 8, 9] {
        check("matmul", &[2, n, 3], SEPARATE, None);
    }
}

#[test]
fn a_separate_tail_inside_of_tiles() {
    let script = "
        tile C.update.m C.update.n by 4 16 as mo no / mi ni
        vectorise C.update.ni by 4 as nv nl tail separate
        unroll C.update.mi by 2
        parallel C.update.mo";
    check(
        "matmul",
        &[6, 23, 3],
        script,
        Some(expect![[r#"
        program matmul()
          input A: float32[6, 3] argument 0
          input B: float32[3, 23] argument 1
          output C: float32[6, 23] argument 2
        for m in 0..6 {
          for n in 0..23 {
            C[m, n] = float32(0.0)
          }
        }
        parallel for mo in 0..2 {
          for no in 0..2 {
            for mio in 2*mo..min(3, 2*mo + 2) {
              for nv in 4*no..min(5, 4*no + 4) {
                r0: float32 x4 = C[2*mio, 4*nv .. +4]
                r1: float32 x4 = C[2*mio + 1, 4*nv .. +4]
                for k in 0..3 {
                  r0: float32 x4 = muladd(A[2*mio, k], B[k, 4*nv .. +4], r0)
                  r1: float32 x4 = muladd(A[2*mio + 1, k], B[k, 4*nv .. +4], r1)
                }
                C[2*mio, 4*nv .. +4] = r0
                C[2*mio + 1, 4*nv .. +4] = r1
              }
              if no == 1 {
                for ni in 20..23 {
                  r2: float32 = C[2*mio, ni]
                  r3: float32 = C[2*mio + 1, ni]
                  for k2 in 0..3 {
                    r2: float32 = muladd(A[2*mio, k2], B[k2, ni], r2)
                    r3: float32 = muladd(A[2*mio + 1, k2], B[k2, ni], r3)
                  }
                  C[2*mio, ni] = r2
                  C[2*mio + 1, ni] = r3
                }
              }
            }
          }
        }
    "#]]),
    );
    for n in [17, 20, 33] {
        check("matmul", &[5, n, 2], script, None);
    }
}

#[test]
fn a_separate_tail_of_several_statements() {
    let script = "fuse C.init C.update depth 2\nvectorise C.init.n by 4 tail separate";
    check(
        "matmul",
        &[3, 7, 5],
        script,
        Some(expect![[r#"
            program matmul()
              input A: float32[3, 5] argument 0
              input B: float32[5, 7] argument 1
              output C: float32[3, 7] argument 2
            for m in 0..3 {
              r0: float32 x4 = float32(0.0)
              for k in 0..5 {
                r0: float32 x4 = muladd(A[m, k], B[k, 0 .. +4], r0)
              }
              C[m, 0 .. +4] = r0
              for n in 4..7 {
                r1: float32 = float32(0.0)
                for k2 in 0..5 {
                  r1: float32 = muladd(A[m, k2], B[k2, n], r1)
                }
                C[m, n] = r1
              }
            }
        "#]]),
    );
}

#[test]
fn a_loop_that_does_not_begin_at_a_vector() {
    check(
        "conv3x3",
        &[5, 14],
        "vectorise O.update.w by 4 tail separate",
        Some(expect![[r#"
            program conv3x3()
              input I: float32[5, 14] argument 0
              input F: float32[3, 3] argument 1
              output O: float32[3, 12] argument 2
            for h in 1..4 {
              for w in 1..13 {
                O[h - 1, w - 1] = float32(0.0)
              }
            }
            for h2 in 1..4 {
              for wo in 1..3 {
                r1: float32 x4 = O[h2 - 1, 4*wo - 1 .. +4]
                for r in 0..3 {
                  for s in 0..3 {
                    r1: float32 x4 = muladd(I[h2 + r - 1, 4*wo + s - 1 .. +4], F[r, s], r1)
                  }
                }
                O[h2 - 1, 4*wo - 1 .. +4] = r1
              }
              for w2 in 1..4 {
                r3: float32 = O[h2 - 1, w2 - 1]
                for r2 in 0..3 {
                  for s2 in 0..3 {
                    r3: float32 = muladd(I[h2 + r2 - 1, w2 + s2 - 1], F[r2, s2], r3)
                  }
                }
                O[h2 - 1, w2 - 1] = r3
              }
              r5: float32 = O[h2 - 1, 11]
              for r22 in 0..3 {
                for s22 in 0..3 {
                  r5: float32 = muladd(I[h2 + r22 - 1, s22 + 11], F[r22, s22], r5)
                }
              }
              O[h2 - 1, 11] = r5
            }
        "#]]),
    );
}

#[test]
fn without_full_vectors_there_is_nothing_to_separate() {
    let refused = |source: &str, sizes: &[i64], command: &str| {
        let scop = program_named(source).specialise(sizes).unwrap();
        let mut session = transform::Session::new(scop, &common::target()).unwrap();
        session.replay(&command.parse().unwrap()).unwrap_err().to_string()
    };
    expect!["line 1: `vectorise C.update.n by 4 tail separate` refused: no vector of `C.update.n` is full; `tail masked` runs such vectors"].assert_eq(&refused("matmul", &[2, 3, 2], SEPARATE));
}

#[test]
fn a_separate_tail_of_statements_that_share_the_iterations() {
    check("transpose_nest", &[14], "vectorise B.j by 4 tail separate", None);
}

/// The program and the loops of a command, which must agree with the evaluator.
#[track_caller]
fn check_shifted(source: &str, sizes: &[i64], command: &str) -> String {
    let source = testing::scop(&isl::Ctx::new(), source).specialise(sizes).unwrap();
    let evolved = scheduled_scop(source.clone(), command).unwrap_or_else(|refused| panic!("{refused}"));
    evolved.verify().unwrap_or_else(|fault| panic!("{fault}\n{evolved}"));
    let program = lower(&evolved, &Options::default());
    agrees(&source, &program, &[]);
    let given = inputs(&source, &[]);
    let values = eval::run(&source, &[], &given, eval::Limits::default()).unwrap();
    assert_eq!(run_on_machine(&program, &given), values, "{program}");
    format!("{evolved}{program}")
}

/// The program after a script that is proved, step by step and as a whole; its record does the same.
fn scheduled_scop(source: Scop, script: &str) -> Result<Scop, transform::Refused> {
    let replayed = |script: &transform::Script| {
        let mut session = transform::Session::new(source.clone(), &common::target())?;
        session.replay(script)?;
        session.finish()
    };
    let first = replayed(&script.parse().unwrap())?;
    let second = replayed(&first.script)?;
    assert_eq!(second.script.to_string(), first.script.to_string());
    assert_eq!(second.scop.to_string(), first.scop.to_string());
    Ok(first.scop)
}

const SCALED: &str = "
scop scaled(M, N)
context { : M > 0 and N > 0 }
input X: float32[M, N]
output Y: float32[M, N]
stmt Y[i, j]
  domain { Y[i, j] : 0 <= i < M and 0 <= j < N }
  Y[i, j] = X[i, j] * 3.0f32
";

#[test]
fn a_shifted_tail_computes_lanes_twice() {
    let command = "vectorise Y.j by 4 as jo jv tail shifted";
    expect![[r#"
        scop scaled()
        input X: float32[2, 11]
        output Y: float32[2, 11]
        stmt Y[i, j]
          domain { Y[i, j] : 0 <= i <= 1 and 0 <= j <= 7 }
          Y[i, j] = X[i, j] * 3.0f32
        stmt Y.tail[i, j]
          domain { Y.tail[i, j] : 0 <= i <= 1 and 7 <= j <= 10 }
          Y[i, j] = X[i, j] * 3.0f32
        source none
        tree
          band permutable
            Y.i = { Y.tail[i, j] -> [(i)]; Y[i, j] -> [(i)] } coincident
            sequence
              filter { Y[i, j] }
                band permutable
                  Y.jo = { Y[i, j] -> [(floor((j)/4))] } coincident
                  Y.jv = { Y[i, j] -> [(j)] } coincident vector 4
              filter { Y.tail[i, j] }
                band permutable
                  Y.jvt = { Y.tail[i, j] -> [(-7 + j)] } coincident vector 4
        origin { Y.tail[i, j] -> Y[i' = i, j' = j] : 0 <= i <= 1 and 7 <= j <= 10; Y[i, j] -> Y[i' = i, j' = j] : 0 <= i <= 1 and 0 <= j <= 7 }
        program scaled()
          input X: float32[2, 11] argument 0
          output Y: float32[2, 11] argument 1
        for i in 0..2 {
          for jo in 0..2 {
            Y[i, 4*jo .. +4] = X[i, 4*jo .. +4] * float32(3.0)
          }
          Y[i, 7 .. +4] = X[i, 7 .. +4] * float32(3.0)
        }
    "#]].assert_eq(&check_shifted(SCALED, &[2, 11], command));
    for n in [4, 8, 5, 7] {
        check_shifted(SCALED, &[3, n], command);
    }
    expect![[r#"
        scop scaled()
        input X: float32[3, 9]
        output Y: float32[3, 9]
        stmt Y[i, j]
          domain { Y[i, j] : 0 <= i <= 1 and 0 <= j <= 8 }
          Y[i, j] = X[i, j] * 3.0f32
        stmt Y.tail[i, j]
          domain { Y.tail[i, j] : 0 < i <= 2 and 0 <= j <= 8 }
          Y[i, j] = X[i, j] * 3.0f32
        source none
        tree
          sequence
            filter { Y[i, j] }
              band permutable
                Y.io = { Y[i, j] -> [(floor((i)/2))] } coincident
                Y.j = { Y[i, j] -> [(j)] } coincident
                Y.iv = { Y[i, j] -> [(i)] } coincident vector 2
            filter { Y.tail[i, j] }
              band permutable
                Y.jt = { Y.tail[i, j] -> [(j)] } coincident
                Y.ivt = { Y.tail[i, j] -> [(-1 + i)] } coincident vector 2
        origin { Y.tail[i, j] -> Y[i' = i, j' = j] : 0 < i <= 2 and 0 <= j <= 8; Y[i, j] -> Y[i' = i, j' = j] : 0 <= i <= 1 and 0 <= j <= 8 }
        program scaled()
          input X: float32[3, 9] argument 0
          output Y: float32[3, 9] argument 1
        for j in 0..9 {
          Y[0 .. +2, j] = X[0 .. +2, j] * float32(3.0)
        }
        for jt in 0..9 {
          Y[1 .. +2, jt] = X[1 .. +2, jt] * float32(3.0)
        }
    "#]].assert_eq(&check_shifted(SCALED, &[3, 9], "vectorise Y.i by 2 as io iv tail shifted"));
}

#[test]
fn a_shifted_tail_after_and_before_other_commands() {
    for n in [9, 12] {
        check_shifted(SCALED, &[5, n], "parallel Y.i\nvectorise Y.j by 4 tail shifted\nunroll Y.i by 2");
        check_shifted(SCALED, &[5, n], "tile Y.i Y.j by 2 8 as io jo / ii ji\nvectorise Y.ji by 4 tail shifted");
        check_shifted(SCALED, &[5, n], "vectorise Y.j by 4 tail shifted\nsplit Y.i by 2\nparallel Y.io");
        check_shifted(SCALED, &[5, n], "promote X at Y.i as row\nvectorise row.load.x1 by 4 tail shifted");
    }
}

#[test]
fn a_shifted_tail_for_all_sizes() {
    let source = testing::scop(&isl::Ctx::new(), SCALED);
    let evolved = scheduled_scop(source.clone(), "vectorise Y.j by 4 tail shifted").unwrap();
    let program = lower(&evolved, &Options::default());
    for n in [1, 3, 4, 5, 8, 11] {
        agrees(&source, &program, &[2, n]);
    }
}

const TRIANGLE: &str = "
scop triangle(N)
context { : N > 0 }
input X: float32[N, N]
output Y: float32[N, N]
stmt Y[i, j]
  domain { Y[i, j] : 0 <= i < N and 0 <= j < N }
  Y[i, j] = X[i, j]
stmt Z[i, j]
  domain { Z[i, j] : 0 <= i < N and 0 <= j <= i }
  Y[i, j] = X[j, i] + 1.0f32
";

#[test]
fn a_shifted_tail_of_a_triangle() {
    for n in [5, 11] {
        check_shifted(TRIANGLE, &[n], "vectorise Z.j by 4 tail shifted");
    }
}

#[test]
fn what_cannot_be_computed_twice_has_no_shifted_tail() {
    let refused = |source: &str, sizes: &[i64], command: &str| {
        let scop = program_named(source).specialise(sizes).unwrap();
        scheduled_scop(scop, command).unwrap_err().to_string()
    };
    expect!["line 1: `vectorise C.update.n by 4 tail shifted` refused: `C[0, 7]` holds at the end what `C.update[0, 7, 0]` contributes twice"].assert_eq(&refused("matmul", &[3, 11, 2], "vectorise C.update.n by 4 tail shifted"));
    expect!["line 1: `vectorise C.init.n by 4 tail shifted` refused: no vector of `C.init.n` is full; `tail masked` runs such vectors"].assert_eq(&refused("matmul", &[3, 3, 2], "vectorise C.init.n by 4 tail shifted"));
    expect!["line 1: `vectorise B.j by 4 tail shifted` refused: several statements are in the loop `B.j`: `tail shifted` runs one again"].assert_eq(&refused("transpose_nest", &[14], "vectorise B.j by 4 tail shifted"));
}
