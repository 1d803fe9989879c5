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

/// The initialisation in the same nest as its reduction: nothing is stored before the sum is complete, and nothing loaded.
#[test]
fn sums_that_begin_where_they_are_added_up_never_load() {
    check(
        "matmul",
        &[16, 19, 5],
        "
        tile C.init.m C.init.n by 2 4 as mo no / mi ni
        tile C.update.m C.update.n by 2 4 as mo no / mi ni
        reorder C.update.mo C.update.no C.update.k C.update.mi C.update.ni
        fuse C.init.mo C.update.mo depth 2
        vectorise C.init.ni by 4
        unroll C.init.mi by 2
        vectorise C.update.ni by 4
        unroll C.update.mi by 2",
        expect![[r#"
            program matmul()
              input A: float32[16, 5] argument 0
              input B: float32[5, 19] argument 1
              output C: float32[16, 19] argument 2
            for mo in 0..8 {
              for no in 0..5 {
                if no <= 3 {
                  r0: float32 x4 = float32(0.0)
                  r1: float32 x4 = float32(0.0)
                  for k in 0..5 {
                    r0: float32 x4 = muladd(A[2*mo, k], B[k, 4*no .. +4], r0)
                    r1: float32 x4 = muladd(A[2*mo + 1, k], B[k, 4*no .. +4], r1)
                  }
                  C[2*mo, 4*no .. +4] = r0
                  C[2*mo + 1, 4*no .. +4] = r1
                } else {
                  r2: float32 x4 = float32(0.0)
                  r3: float32 x4 = float32(0.0)
                  for k in 0..5 {
                    r2: float32 x4 = muladd(A[2*mo, k], (B[k, 4*no .. +4] where lane <= -4*no + 18), r2)
                    r3: float32 x4 = muladd(A[2*mo + 1, k], (B[k, 4*no .. +4] where lane <= -4*no + 18), r3)
                  }
                  C[2*mo, 4*no .. +4] = r2 where lane <= -4*no + 18
                  C[2*mo + 1, 4*no .. +4] = r3 where lane <= -4*no + 18
                }
              }
            }
        "#]],
    );
}

const TRANSPOSE: &str = "
    scop transpose(M, N)
    context { : M > 0 and N > 0 }
    input I: float32[M, N]
    output O: float32[N, M]
    stmt O[j, i]
      domain { O[j, i] : 0 <= j < N and 0 <= i < M }
      O[j, i] = I[i, j]";

#[test]
fn copies_that_read_neighbours_load_a_block() {
    check(
        TRANSPOSE,
        &[8, 8],
        "unroll O.j by 4
         vectorise O.i by 4",
        expect![[r#"
            program transpose()
              input I: float32[8, 8] argument 0
              output O: float32[8, 8] argument 1
            for jo in 0..2 {
              for io in 0..2 {
                r0, r1, r2, r3: float32 x4 = block I[4*io .. +4, 4*jo] along dimension 1
                O[4*jo, 4*io .. +4] = r0
                O[4*jo + 1, 4*io .. +4] = r1
                O[4*jo + 2, 4*io .. +4] = r2
                O[4*jo + 3, 4*io .. +4] = r3
              }
            }
        "#]],
    );
}

#[test]
fn copies_that_write_neighbours_store_a_block() {
    check(
        TRANSPOSE,
        &[8, 8],
        "unroll O.i by 4
         vectorise O.j by 4",
        expect![[r#"
            program transpose()
              input I: float32[8, 8] argument 0
              output O: float32[8, 8] argument 1
            for jo in 0..2 {
              for io in 0..2 {
                r0: float32 x4 = I[4*io, 4*jo .. +4]
                r1: float32 x4 = I[4*io + 1, 4*jo .. +4]
                r2: float32 x4 = I[4*io + 2, 4*jo .. +4]
                r3: float32 x4 = I[4*io + 3, 4*jo .. +4]
                block O[4*jo .. +4, 4*io] along dimension 1 = r0, r1, r2, r3
              }
            }
        "#]],
    );
}

/// In boxes that the sizes cut, and where rows are not neighbours.
#[test]
fn blocks_of_any_size_agree() {
    for sizes in [[4, 4], [9, 17], [16, 5], [3, 3]] {
        for script in [
            "unroll O.j by 4\nvectorise O.i by 4",
            "vectorise O.i by 8\nunroll O.j by 3",
            "unroll O.i by 4\nvectorise O.j by 4",
        ] {
            let scop = scheduled(TRANSPOSE, Some(&sizes), script);
            agrees(&scop, &lower(&scop, &Options::default()), &[]);
        }
    }
}

/// Between the loads of an update in place the buffer changes: they are not moved together.
#[test]
fn a_store_between_ends_a_block() {
    let shifted = "
        scop shifted(N)
        inout A: float32[N, N]
        output B: float32[N, N]
        stmt A[j, i]
          domain { A[j, i] : 0 < j < N - 1 and 0 <= i < N }
          A[i, j] = A[i, j - 1] + A[i, j + 1]";
    for script in [
        "unroll A.j by 4",
        "reorder A.i A.j\nunroll A.j by 4\nvectorise A.i by 4",
        "unroll A.j by 4\nvectorise A.i by 4",
    ] {
        let scop = scheduled(shifted, Some(&[12]), script);
        agrees(&scop, &lower(&scop, &Options::default()), &[]);
    }
}

/// A stencil that keeps its border, in the words of the front end: clamped subscripts and a selection.
const BORDERED: &str = "
scop jac(N, M)
context { : N > 0 and M > 0 }
input A: float32[N, M]
output O: float32[N, M]
stmt O[i, j]
  domain { O[i, j] : 0 <= i < N and 0 <= j < M }
  O[i, j] = select(int32(index(i)) > 0i32 && int32(index(j)) > 0i32 && int32(index(j)) < int32(index(M)) - 1i32, \
    A[i, max(min(M, j), 1) - 1] + A[i, 1 - min(-min(M - 2, j), 1)] - A[max(min(N, i), 1) - 1, j], A[i, j])
";

#[test]
fn the_inside_of_a_stencil_runs_without_the_tests_of_its_border() {
    check(
        BORDERED,
        &[6, 21],
        "vectorise O.j by 4\nparallel O.i",
        expect![[r#"
            program jac()
              input A: float32[6, 21] argument 0
              output O: float32[6, 21] argument 1
            parallel for i in 0..6 {
              if i < 1 {
                for jo in 0..5 {
                  O[i, 4*jo .. +4] = A[i, 4*jo .. +4]
                }
                O[i, 20 .. +4] = (A[i, 20 .. +4] where lane <= 0) where lane <= 0
              } else {
                O[i, 0 .. +4] = int32(lane) > int32(0) ? (A[i, -1 .. +4] where int32(lane) > int32(0)) + A[i, 1 .. +4] - A[i - 1, 0 .. +4] : A[i, 0 .. +4]
                for jo in 1..5 {
                  O[i, 4*jo .. +4] = A[i, 4*jo - 1 .. +4] + A[i, 4*jo + 1 .. +4] - A[i - 1, 4*jo .. +4]
                }
                O[i, 20 .. +4] = (A[i, 20 .. +4] where lane <= 0) where lane <= 0
              }
            }
        "#]],
    );
}

#[test]
fn borders_of_any_width_sizes_and_lanes() {
    let conditions = [
        "int32(index(j)) > 2i32",
        "int32(index(j)) < 7i32 || int32(index(i)) == 2i32",
        "!(int32(index(j)) != 5i32)",
        "int32(index(j)) - int32(index(i)) >= 3i32 && int32(index(j)) <= 9i32",
        "3i32 * int32(index(j)) < 20i32 && 0i32 - int32(index(j)) < -1i32",
        "int8(index(j)) < 11i8 && index(i) > 0i64",
    ];
    for condition in conditions {
        let text = BORDERED.replace("int32(index(i)) > 0i32", condition);
        for script in ["", "vectorise O.j by 4", "vectorise O.j by 8\nparallel O.i", "unroll O.j by 3"] {
            for sizes in [[1, 1], [3, 2], [5, 16], [4, 23]] {
                let scop = scheduled(&text, Some(&sizes), script);
                agrees(&scop, &lower(&scop, &Options::default()), &[]);
            }
            let scop = scheduled(&text, None, script);
            agrees(&scop, &lower(&scop, &Options::default()), &[4, 13]);
        }
    }
}

#[test]
fn checks_that_cannot_fail_are_left_out() {
    let text = "
scop gather(N)
context { : N > 0 }
input A: float32[10]
input I: int32[N]
output O: float32[N]
stmt O[i]
  domain { O[i] : 0 <= i < N }
  O[i] = A[value(max(min(I[i], 9i32), 0i32))] + A[value(min(I[i], 9i32))]
";
    let program = lower(&scheduled(text, Some(&[7]), ""), &Options::default()).to_string();
    assert_eq!(program.matches("check").count(), 1, "{program}");
}

/// Rows to come are asked for while the loop runs that computes most, and not all at once.
#[test]
fn prefetches_run_beside_what_is_computed() {
    let text = "
scop rows(N)
context { : N > 0 }
input A: float32[N, 96]
output O: float32[N, 96]
stmt O[i, j]
  domain { O[i, j] : 0 <= i < N and 0 <= j < 96 }
  O[i, j] = A[i, j] * A[i, j] + 2.0f32 * A[i, j]
";
    let script = "
        vectorise O.j by 32 as jo jv
        prefetch A at O.i ahead 1";
    let program = lower(&scheduled(text, Some(&[8]), script), &Options::default());
    agrees(&scheduled(text, Some(&[8]), ""), &program, &[]);
    expect![[r#"
        program rows()
          input A: float32[8, 96] argument 0
          output O: float32[8, 96] argument 1
        for i in 0..8 {
          for jo in 0..3 {
            prefetch A[i + 1, 32*jo]
            prefetch A[i + 1, 32*jo + 16]
            O[i, 32*jo .. +32] = A[i, 32*jo .. +32] * A[i, 32*jo .. +32] + float32(2.0) * A[i, 32*jo .. +32]
          }
        }
    "#]]
    .assert_eq(&program.to_string());
}

/// A product along pictures: `C[f, h, w] sum= V[f, c] * A[c, h, w]`, in rows of 7 elements.
const PICTURES: &str = "
    scop pictures()
    input V: float32[3, 2]
    input A: float32[2, 6, 7]
    inout C: float32[3, 6, 7]
    stmt C[f, h, w, c]
      domain { C[f, h, w, c] : 0 <= f < 3 and 0 <= h < 6 and 0 <= w < 7 and 0 <= c < 2 }
      C[f, h, w] sum= V[f, c] * A[c, h, w]";

#[test]
fn vectors_run_across_the_ends_of_rows() {
    check(
        PICTURES,
        &[],
        "
    skew C.w by 7 of C.h as p
    vectorise C.p by 16 as po pv
    reorder C.po C.f C.h C.c",
        expect![[r#"
            program pictures()
              input V: float32[3, 2] argument 0
              input A: float32[2, 42] argument 1
              inout C: float32[3, 42] argument 2
            for po in 0..3 {
              if -16*po + 7*min(6, 2*po + 3) - 1 >= 15 {
                for f in 0..3 {
                  r0: float32 x16 = C[f, 16*po .. +16]
                  for c in 0..2 {
                    r0: float32 x16 = muladd(V[f, c], A[c, 16*po .. +16], r0)
                  }
                  C[f, 16*po .. +16] = r0
                }
              } else {
                for f in 0..3 {
                  r1: float32 x16 = (C[f, 16*po .. +16] where lane <= -16*po + 7*min(6, 2*po + 3) - 1)
                  for c in 0..2 {
                    r1: float32 x16 = muladd((V[f, c] where lane <= -16*po + 7*min(6, 2*po + 3) - 1), (A[c, 16*po .. +16] where lane <= -16*po + 7*min(6, 2*po + 3) - 1), r1)
                  }
                  C[f, 16*po .. +16] = r1 where lane <= -16*po + 7*min(6, 2*po + 3) - 1
                }
              }
            }
        "#]],
    );
    // Boxes that lie in one row, too.
    check(
        PICTURES,
        &[],
        "
    skew C.w by 7 of C.h as p
    vectorise C.p by 4 as po pv
    reorder C.po C.f C.h C.c",
        expect![[r#"
            program pictures()
              input V: float32[3, 2] argument 0
              input A: float32[2, 42] argument 1
              inout C: float32[3, 42] argument 2
            for po in 0..11 {
              if -4*po + 7*min(6, po - floor((3*po + 3)/7) + 1) - 1 >= 3 {
                for f in 0..3 {
                  r0: float32 x4 = C[f, 4*po .. +4]
                  for c in 0..2 {
                    r0: float32 x4 = muladd(V[f, c], A[c, 4*po .. +4], r0)
                  }
                  C[f, 4*po .. +4] = r0
                }
              } else {
                for f in 0..3 {
                  r1: float32 x4 = (C[f, 4*po .. +4] where lane <= -4*po + 7*min(6, po - floor((3*po + 3)/7) + 1) - 1)
                  for c in 0..2 {
                    r1: float32 x4 = muladd((V[f, c] where lane <= -4*po + 7*min(6, po - floor((3*po + 3)/7) + 1) - 1), (A[c, 4*po .. +4] where lane <= -4*po + 7*min(6, po - floor((3*po + 3)/7) + 1) - 1), r1)
                  }
                  C[f, 4*po .. +4] = r1 where lane <= -4*po + 7*min(6, po - floor((3*po + 3)/7) + 1) - 1
                }
              }
            }
        "#]],
    );
}

#[test]
fn rows_that_are_longer_in_memory_are_no_line() {
    // The last element of a row is not written, so lanes of the next row are not those that follow.
    check(
        &PICTURES.replace("w < 7", "w < 6"),
        &[],
        "
    skew C.w by 6 of C.h as p
    vectorise C.p by 4 as po pv
    reorder C.po C.f C.h C.c",
        expect![[r#"
            program pictures()
              input V: float32[3, 2] argument 0
              input A: float32[2, 6, 7] argument 1
              inout C: float32[3, 6, 7] argument 2
            for po in 0..9 {
              for f in 0..3 {
                for h in po - floor((po + 2)/3)..po - floor((po + 1)/3) + 1 {
                  if 2*po >= 3*h && 3*h + 1 >= 2*po {
                    r0: float32 x4 = C[f, h, 4*po - 6*h .. +4]
                    for c in 0..2 {
                      r0: float32 x4 = muladd(V[f, c], A[c, h, 4*po - 6*h .. +4], r0)
                    }
                    C[f, h, 4*po - 6*h .. +4] = r0
                  } else {
                    r1: float32 x4 = (C[f, h, 4*po - 6*h .. +4] where lane >= -4*po + 6*h && lane <= -4*po + 6*h + 5)
                    for c in 0..2 {
                      r1: float32 x4 = muladd((V[f, c] where lane >= -4*po + 6*h && lane <= -4*po + 6*h + 5), (A[c, h, 4*po - 6*h .. +4] where lane >= -4*po + 6*h && lane <= -4*po + 6*h + 5), r1)
                    }
                    C[f, h, 4*po - 6*h .. +4] = r1 where lane >= -4*po + 6*h && lane <= -4*po + 6*h + 5
                  }
                }
              }
            }
        "#]],
    );
}
