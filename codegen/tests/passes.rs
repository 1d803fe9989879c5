//! Loops after every pass.

mod common;

use codegen::Options;
use common::{agrees, lower, scheduled};
use expect_test::{Expect, expect};
use polyhedral::testing;

/// The loops of a program after every pass, which must agree with the evaluator.
#[track_caller]
fn check(program: &str, sizes: &[i64], script: &str, expected: Expect) {
    let scop = scheduled(program, Some(sizes), script);
    let program = lower(&scop, &Options { fma: true, ..Options::default() });
    agrees(&scop, &program, &[]);
    expected.assert_eq(&program.to_string());
}

#[test]
fn every_ready_made_program() {
    for (name, _) in testing::PROGRAMS {
        let sizes = |n: usize| [7, 5, 6, 4][..n].to_vec();
        let params = testing::program(&polyhedral::isl::Ctx::new(), name).params.len();
        let fixed = scheduled(name, Some(&sizes(params)), "");
        agrees(&fixed, &lower(&fixed, &Options::default()), &[]);
        let symbolic = scheduled(name, None, "");
        agrees(&symbolic, &lower(&symbolic, &Options::default()), &sizes(params));
    }
}

const TILED: &str = "
    vectorise C.init.n by 4
    tile C.update.m C.update.n by 8 16 as mo no / mi ni
    vectorise C.update.ni by 4
    unroll C.update.mi by 2
    parallel C.update.mo";

#[test]
fn the_test_of_a_whole_box_leaves_the_reduction_loop() {
    check(
        "matmul",
        &[16, 19, 5],
        TILED,
        expect![[r#"
            program matmul()
              input A: float32[16, 5] argument 0
              input B: float32[5, 19] argument 1
              output C: float32[16, 19] argument 2
            for m in 0..16 {
              for no in 0..4 {
                C[m, 4*no .. +4] = float32(0.0)
              }
              C[m, 16 .. +4] = float32(0.0) where lane <= 2
            }
            parallel for mo in 0..2 {
              for no2 in 0..2 {
                if no2 == 0 {
                  for mio in 4*mo..4*mo + 4 {
                    for nio in 4*no2..4*no2 + 4 {
                      r0: float32 x4 = C[2*mio, 4*nio .. +4]
                      r1: float32 x4 = C[2*mio + 1, 4*nio .. +4]
                      for k in 0..5 {
                        r0: float32 x4 = muladd(A[2*mio, k], B[k, 4*nio .. +4], r0)
                        r1: float32 x4 = muladd(A[2*mio + 1, k], B[k, 4*nio .. +4], r1)
                      }
                      C[2*mio, 4*nio .. +4] = r0
                      C[2*mio + 1, 4*nio .. +4] = r1
                    }
                  }
                } else {
                  for mio in 4*mo..4*mo + 4 {
                    for nio in 4*no2..min(5, 4*no2 + 4) {
                      r2: float32 x4 = (C[2*mio, 4*nio .. +4] where lane <= -4*nio + 18)
                      r3: float32 x4 = (C[2*mio + 1, 4*nio .. +4] where lane <= -4*nio + 18)
                      for k in 0..5 {
                        r2: float32 x4 = muladd(A[2*mio, k], (B[k, 4*nio .. +4] where lane <= -4*nio + 18), r2)
                        r3: float32 x4 = muladd(A[2*mio + 1, k], (B[k, 4*nio .. +4] where lane <= -4*nio + 18), r3)
                      }
                      C[2*mio, 4*nio .. +4] = r2 where lane <= -4*nio + 18
                      C[2*mio + 1, 4*nio .. +4] = r3 where lane <= -4*nio + 18
                    }
                  }
                }
              }
            }
        "#]],
    );
}

#[test]
fn accumulators_of_a_symbolic_product() {
    let scop = scheduled("matmul", None, TILED);
    let program = lower(&scop, &Options::default());
    for sizes in [[8, 16, 3], [9, 17, 1], [1, 1, 1], [7, 30, 2]] {
        agrees(&scop, &program, &sizes);
    }
    expect![[r#"
        program matmul(M, N, K)
          input A: float32[M, K] argument 0
          input B: float32[K, N] argument 1
          output C: float32[M, N] argument 2
        for m in 0..M {
          for no in 0..floor(N/4) {
            C[m, 4*no .. +4] = float32(0.0)
          }
          for no in max(0, floor(N/4))..floor((N + 3)/4) {
            C[m, 4*no .. +4] = float32(0.0) where lane <= -4*no + N - 1
          }
        }
        parallel for mo in 0..floor((M + 7)/8) {
          for no2 in 0..floor((N + 15)/16) {
            for mio in 4*mo..min(4*mo + 4, floor((M + 1)/2)) {
              for nio in 4*no2..min(4*no2 + 4, floor((N + 3)/4)) {
                if M >= 2*mio + 2 && N >= 4*nio + 4 {
                  if 0 < K {
                    r0: float32 x4 = C[2*mio, 4*nio .. +4]
                    r1: float32 x4 = C[2*mio + 1, 4*nio .. +4]
                    for k in 0..K {
                      r0: float32 x4 = r0 + A[2*mio, k] * B[k, 4*nio .. +4]
                      r1: float32 x4 = r1 + A[2*mio + 1, k] * B[k, 4*nio .. +4]
                    }
                    C[2*mio, 4*nio .. +4] = r0
                    C[2*mio + 1, 4*nio .. +4] = r1
                  }
                } else {
                  if 0 < K {
                    r2: float32 x4 = (C[2*mio, 4*nio .. +4] where lane <= -4*nio + N - 1)
                    if M >= 2*mio + 2 {
                      r3: float32 x4 = (C[2*mio + 1, 4*nio .. +4] where lane <= -4*nio + N - 1)
                    } else {
                      r3: float32 x4 = float32(0.0)
                    }
                    for k in 0..K {
                      r2: float32 x4 = r2 + A[2*mio, k] * (B[k, 4*nio .. +4] where lane <= -4*nio + N - 1)
                      if M >= 2*mio + 2 {
                        r3: float32 x4 = r3 + A[2*mio + 1, k] * (B[k, 4*nio .. +4] where lane <= -4*nio + N - 1)
                      }
                    }
                    C[2*mio, 4*nio .. +4] = r2 where lane <= -4*nio + N - 1
                    if M >= 2*mio + 2 {
                      C[2*mio + 1, 4*nio .. +4] = r3 where lane <= -4*nio + N - 1
                    }
                  }
                }
              }
            }
          }
        }
    "#]]
    .assert_eq(&program.to_string());
}

#[test]
fn an_accumulator_in_a_plain_loop() {
    check(
        "matmul",
        &[4, 3, 5],
        "",
        expect![[r#"
        program matmul()
          input A: float32[4, 5] argument 0
          input B: float32[5, 3] argument 1
          output C: float32[4, 3] argument 2
        for m in 0..4 {
          for n in 0..3 {
            C[m, n] = float32(0.0)
          }
        }
        for m2 in 0..4 {
          for n2 in 0..3 {
            r0: float32 = C[m2, n2]
            for k in 0..5 {
              r0: float32 = muladd(A[m2, k], B[k, n2], r0)
            }
            C[m2, n2] = r0
          }
        }
    "#]],
    );
}

#[test]
fn boxes_that_are_never_whole() {
    check(
        "matmul",
        &[3, 3, 5],
        "vectorise C.update.n by 4\nunroll C.update.m by 2",
        expect![[r#"
            program matmul()
              input A: float32[3, 5] argument 0
              input B: float32[5, 3] argument 1
              output C: float32[3, 3] argument 2
            for m in 0..3 {
              for n in 0..3 {
                C[m, n] = float32(0.0)
              }
            }
            for mo in 0..2 {
              r0: float32 x4 = (C[2*mo, 0 .. +4] where lane <= 2)
              if 2*mo <= 1 {
                r1: float32 x4 = (C[2*mo + 1, 0 .. +4] where lane <= 2)
              } else {
                r1: float32 x4 = float32(0.0)
              }
              for k in 0..5 {
                r0: float32 x4 = muladd(A[2*mo, k], (B[k, 0 .. +4] where lane <= 2), r0)
                if 2*mo <= 1 {
                  r1: float32 x4 = muladd(A[2*mo + 1, k], (B[k, 0 .. +4] where lane <= 2), r1)
                }
              }
              C[2*mo, 0 .. +4] = r0 where lane <= 2
              if 2*mo <= 1 {
                C[2*mo + 1, 0 .. +4] = r1 where lane <= 2
              }
            }
        "#]],
    );
}

#[test]
fn what_the_loop_changes_stays_in_memory() {
    check(
        "prefix_sum",
        &[5],
        "",
        expect![[r#"
        program prefix_sum()
          input A: int64[5] argument 0
          output S: int64[5] argument 1
        S[0] = A[0]
        for i in 1..5 {
          S[i] = S[i - 1] + A[i]
        }
    "#]],
    );
    check(
        "triangular_solve",
        &[4],
        "",
        expect![[r#"
        program triangular_solve()
          input L: float64[4, 4] argument 0
          input b: float64[4] argument 1
          output x: float64[4] argument 2
        for i in 0..4 {
          x[i] = b[i]
          for j in 0..i {
            x[i] = x[i] + -(L[i, j] * x[j])
          }
          x[i] = x[i] / L[i, i]
        }
    "#]],
    );
}
