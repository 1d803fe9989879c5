//! Loops as they are scanned.

mod common;

use codegen::Options;
use common::{agrees, scan, scheduled};
use expect_test::{Expect, expect};
use polyhedral::{Band, Kind, Member, Node, Scop, isl, testing};

/// The loops of a ready-made program, which must agree with the evaluator, and the remarks.
#[track_caller]
fn check(program: &str, sizes: &[i64], script: &str, expected: Expect) {
    let scop = scheduled(program, Some(sizes), script);
    let (program, remarks) = scan(&scop, &Options { fma: true, ..Options::default() });
    agrees(&scop, &program, &[]);
    let remarks: String = remarks.iter().map(|remark| format!("{remark}\n")).collect();
    expected.assert_eq(&format!("{program}{remarks}"));
}

#[test]
fn every_ready_made_program_runs_in_source_order() {
    for (name, _) in testing::PROGRAMS {
        let sizes = |n: usize| [7, 5, 6, 4][..n].to_vec();
        let ctx = polyhedral::isl::Ctx::new();
        let params = testing::program(&ctx, name).params.len();
        let fixed = scheduled(name, Some(&sizes(params)), "");
        agrees(&fixed, &scan(&fixed, &Options::default()).0, &[]);
        let symbolic = scheduled(name, None, "");
        agrees(&symbolic, &scan(&symbolic, &Options::default()).0, &sizes(params));
    }
}

#[test]
fn a_matrix_product_as_written() {
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
            for k in 0..5 {
              C[m2, n2] = muladd(A[m2, k], B[k, n2], C[m2, n2])
            }
          }
        }
    "#]],
    );
}

#[test]
fn a_register_tile() {
    let script = "
        vectorise C.init.n by 4
        tile C.update.m C.update.n by 8 16 as mo no / mi ni
        vectorise C.update.ni by 4
        unroll C.update.mi by 2
        parallel C.update.mo";
    check(
        "matmul",
        &[8, 16, 5],
        script,
        expect![[r#"
        program matmul()
          input A: float32[8, 5] argument 0
          input B: float32[5, 16] argument 1
          output C: float32[8, 16] argument 2
        for m in 0..8 {
          for no in 0..4 {
            C[m, 4*no .. +4] = float32(0.0)
          }
        }
        for mio in 0..4 {
          for nio in 0..4 {
            for k in 0..5 {
              C[2*mio, 4*nio .. +4] = muladd(A[2*mio, k], B[k, 4*nio .. +4], C[2*mio, 4*nio .. +4])
              C[2*mio + 1, 4*nio .. +4] = muladd(A[2*mio + 1, k], B[k, 4*nio .. +4], C[2*mio + 1, 4*nio .. +4])
            }
          }
        }
    "#]],
    );
    check(
        "matmul",
        &[10, 19, 5],
        script,
        expect![[r#"
            program matmul()
              input A: float32[10, 5] argument 0
              input B: float32[5, 19] argument 1
              output C: float32[10, 19] argument 2
            for m in 0..10 {
              for no in 0..5 {
                if no <= 3 {
                  C[m, 4*no .. +4] = float32(0.0)
                } else {
                  if 4*no <= 18 {
                    C[m, 4*no .. +4] = float32(0.0) where lane <= -4*no + 18
                  }
                }
              }
            }
            parallel for mo in 0..2 {
              for no2 in 0..2 {
                for mio in 4*mo..min(5, 4*mo + 4) {
                  for nio in 4*no2..min(5, 4*no2 + 4) {
                    for k in 0..5 {
                      if no2 == 0 {
                        C[2*mio, 4*nio .. +4] = muladd(A[2*mio, k], B[k, 4*nio .. +4], C[2*mio, 4*nio .. +4])
                        C[2*mio + 1, 4*nio .. +4] = muladd(A[2*mio + 1, k], B[k, 4*nio .. +4], C[2*mio + 1, 4*nio .. +4])
                      } else {
                        if 4*nio <= 18 {
                          C[2*mio, 4*nio .. +4] = muladd(A[2*mio, k], (B[k, 4*nio .. +4] where lane <= -4*nio + 18), (C[2*mio, 4*nio .. +4] where lane <= -4*nio + 18)) where lane <= -4*nio + 18
                        }
                        if 4*nio <= 18 {
                          C[2*mio + 1, 4*nio .. +4] = muladd(A[2*mio + 1, k], (B[k, 4*nio .. +4] where lane <= -4*nio + 18), (C[2*mio + 1, 4*nio .. +4] where lane <= -4*nio + 18)) where lane <= -4*nio + 18
                        }
                      }
                    }
                  }
                }
              }
            }
        "#]],
    );
}

#[test]
fn several_vectors_of_one_dimension() {
    let script = "
        tile C.update.m C.update.n by 4 16 as mo no / mi ni
        vectorise C.update.ni by 4 as nv nl
        unroll C.update.nv by 2
        unroll C.update.mi by 2";
    check(
        "matmul",
        &[6, 19, 3],
        script,
        expect![[r#"
            program matmul()
              input A: float32[6, 3] argument 0
              input B: float32[3, 19] argument 1
              output C: float32[6, 19] argument 2
            for m in 0..6 {
              for n in 0..19 {
                C[m, n] = float32(0.0)
              }
            }
            for mo in 0..2 {
              for no in 0..2 {
                for mio in 2*mo..min(3, 2*mo + 2) {
                  for nvo in 2*no..min(3, 2*no + 2) {
                    for k in 0..3 {
                      if no == 0 {
                        C[2*mio, 8*nvo .. +4] = muladd(A[2*mio, k], B[k, 8*nvo .. +4], C[2*mio, 8*nvo .. +4])
                        C[2*mio, 8*nvo + 4 .. +4] = muladd(A[2*mio, k], B[k, 8*nvo + 4 .. +4], C[2*mio, 8*nvo + 4 .. +4])
                        C[2*mio + 1, 8*nvo .. +4] = muladd(A[2*mio + 1, k], B[k, 8*nvo .. +4], C[2*mio + 1, 8*nvo .. +4])
                        C[2*mio + 1, 8*nvo + 4 .. +4] = muladd(A[2*mio + 1, k], B[k, 8*nvo + 4 .. +4], C[2*mio + 1, 8*nvo + 4 .. +4])
                      } else {
                        if 8*nvo <= 18 {
                          C[2*mio, 8*nvo .. +4] = muladd(A[2*mio, k], (B[k, 8*nvo .. +4] where lane <= -8*nvo + 18), (C[2*mio, 8*nvo .. +4] where lane <= -8*nvo + 18)) where lane <= -8*nvo + 18
                        }
                        if 8*nvo <= 14 {
                          C[2*mio, 8*nvo + 4 .. +4] = muladd(A[2*mio, k], (B[k, 8*nvo + 4 .. +4] where lane <= -8*nvo + 14), (C[2*mio, 8*nvo + 4 .. +4] where lane <= -8*nvo + 14)) where lane <= -8*nvo + 14
                        }
                        if 8*nvo <= 18 {
                          C[2*mio + 1, 8*nvo .. +4] = muladd(A[2*mio + 1, k], (B[k, 8*nvo .. +4] where lane <= -8*nvo + 18), (C[2*mio + 1, 8*nvo .. +4] where lane <= -8*nvo + 18)) where lane <= -8*nvo + 18
                        }
                        if 8*nvo <= 14 {
                          C[2*mio + 1, 8*nvo + 4 .. +4] = muladd(A[2*mio + 1, k], (B[k, 8*nvo + 4 .. +4] where lane <= -8*nvo + 14), (C[2*mio + 1, 8*nvo + 4 .. +4] where lane <= -8*nvo + 14)) where lane <= -8*nvo + 14
                        }
                      }
                    }
                  }
                }
              }
            }
        "#]],
    );
}

#[test]
fn a_box_that_straddles_tiles() {
    let script = "
        tile C.update.m C.update.n by 8 20 as mo no / mi ni
        vectorise C.update.ni by 8";
    check(
        "matmul",
        &[3, 44, 2],
        script,
        expect![[r#"
            program matmul()
              input A: float32[3, 2] argument 0
              input B: float32[2, 44] argument 1
              output C: float32[3, 44] argument 2
            for m in 0..3 {
              for n in 0..44 {
                C[m, n] = float32(0.0)
              }
            }
            for no in 0..3 {
              for mi in 0..3 {
                for nio in 2*no + floor(no/2)..min(6, 2*no + floor(no/2) + 3) {
                  for k in 0..2 {
                    if nio <= 4 && 2*nio >= 5*no && 5*no + 3 >= 2*nio {
                      C[mi, 8*nio .. +8] = muladd(A[mi, k], B[k, 8*nio .. +8], C[mi, 8*nio .. +8])
                    } else {
                      C[mi, 8*nio .. +8] = muladd((A[mi, k] where lane >= 20*no - 8*nio && lane <= -8*nio + 43 && lane <= 20*no - 8*nio + 19), (B[k, 8*nio .. +8] where lane >= 20*no - 8*nio && lane <= -8*nio + 43 && lane <= 20*no - 8*nio + 19), (C[mi, 8*nio .. +8] where lane >= 20*no - 8*nio && lane <= -8*nio + 43 && lane <= 20*no - 8*nio + 19)) where lane >= 20*no - 8*nio && lane <= -8*nio + 43 && lane <= 20*no - 8*nio + 19
                    }
                  }
                }
              }
            }
        "#]],
    );
}

#[test]
fn lanes_of_a_triangle() {
    let text = "
scop triangle(N)
context { : N > 0 }
input A: float32[N, N]
output B: float32[N, N]
stmt B[i, j]
  domain { B[i, j] : 0 <= j <= i < N }
  B[i, j] = A[j, i] + 1.0f32
";
    check(
        text,
        &[9],
        "vectorise B.j by 4 as jo ji",
        expect![[r#"
            program triangle()
              input A: float32[9, 9] argument 0
              output B: float32[9, 9] argument 1
            for i in 0..9 {
              for jo in 0..floor(i/4) + 1 {
                if i >= 4*jo + 3 {
                  B[i, 4*jo .. +4] = A[4*jo .. +4, i] + float32(1.0)
                } else {
                  if i >= 4*jo {
                    B[i, 4*jo .. +4] = (A[4*jo .. +4, i] where lane <= i - 4*jo) + float32(1.0) where lane <= i - 4*jo
                  }
                }
              }
            }
        "#]],
    );
}

#[test]
fn lanes_of_a_strided_domain() {
    check(
        "strided",
        &[21],
        "vectorise B.even.i by 8 as io ii\nunroll B.odd.i by 2",
        expect![[r#"
            program strided()
              input A: int32[21] argument 0
              output B: int32[21] argument 1
            for io in 0..3 {
              B[8*io .. +8] = -(A[8*io .. +8] where -8*io + -1*lane + 2 * ((8*io + lane) / 2) == 0 && lane <= -8*io + 20) where -8*io + -1*lane + 2 * ((8*io + lane) / 2) == 0 && lane <= -8*io + 20
            }
            for io2 in 0..5 {
              B[4*io2 + 1] = A[4*io2 + 1]
              B[4*io2 + 3] = A[4*io2 + 3]
            }
        "#]],
    );
}

#[test]
fn lanes_that_gather() {
    check(
        "gather",
        &[2, 3, 4, 9],
        "reorder O.update.b O.update.l O.update.d\nvectorise O.update.d by 4",
        expect![[r#"
            program gather()
              input T: float32[4, 9] argument 0
              input I: int32[2, 3] argument 1
              output O: float32[2, 9] argument 2
            for b in 0..2 {
              for d in 0..9 {
                O[b, d] = float32(0.0)
              }
            }
            for b2 in 0..2 {
              for l in 0..3 {
                for do in 0..3 {
                  if do <= 1 {
                    r0: int64 = int64(I[b2, l])
                    check r0 in T dimension 0
                    O[b2, 4*do .. +4] = O[b2, 4*do .. +4] + T[@r0, 4*do .. +4]
                  } else {
                    if 4*do <= 8 {
                      r1: int64 = int64(I[b2, l])
                      check r1 in T dimension 0 where lane <= -4*do + 8
                      O[b2, 4*do .. +4] = (O[b2, 4*do .. +4] where lane <= -4*do + 8) + (T[@r1, 4*do .. +4] where lane <= -4*do + 8) where lane <= -4*do + 8
                    }
                  }
                }
              }
            }
        "#]],
    );
}

#[test]
fn indices_that_differ_in_every_lane() {
    let text = "
scop indices(N)
context { : N > 0 }
input A: int64[N]
output B: int64[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = A[floor((i)/3)] * index(i) + index(i mod 5)
";
    check(
        text,
        &[12],
        "vectorise B.i by 4",
        expect![[r#"
        program indices()
          input A: int64[12] argument 0
          output B: int64[12] argument 1
        for io in 0..3 {
          B[4*io .. +4] = A[@((4*io + lane) / 3)] * (4*io + lane) + (4*io + lane) % 5
        }
    "#]],
    );
}

#[test]
fn statements_that_share_iterations() {
    check(
        "transpose_nest",
        &[6],
        "",
        expect![[r#"
        program transpose_nest()
          input A: int32[6, 6] argument 0
          output B: int32[6, 6] argument 1
          output C: int32[6, 6] argument 2
        for i in 0..6 {
          for j in 0..6 {
            B[i, j] = A[i, j] + int32(1)
            if i >= j {
              C[i, j] = B[j, i] * int32(2)
            } else {
              C[i, j] = int32(0)
            }
          }
        }
    "#]],
    );
}

#[test]
fn sizes_that_the_call_knows() {
    let script = "
        tile C.update.m C.update.n by 8 16 as mo no / mi ni
        vectorise C.update.ni by 4
        unroll C.update.mi by 2
        parallel C.update.mo";
    let scop = scheduled("matmul", None, script);
    let (program, _) = scan(&scop, &Options::default());
    for sizes in [[8, 16, 3], [9, 17, 1], [1, 1, 1], [7, 30, 2]] {
        agrees(&scop, &program, &sizes);
    }
    expect![[r#"
        program matmul(M, N, K)
          input A: float32[M, K] argument 0
          input B: float32[K, N] argument 1
          output C: float32[M, N] argument 2
        for m in 0..M {
          for n in 0..N {
            C[m, n] = float32(0.0)
          }
        }
        parallel for mo in 0..floor((M + 7)/8) {
          for no in 0..floor((N + 15)/16) {
            for mio in 4*mo..min(4*mo + 4, floor((M + 1)/2)) {
              for nio in 4*no..min(4*no + 4, floor((N + 3)/4)) {
                for k in 0..K {
                  if M >= 2*mio + 2 && N >= 4*nio + 4 {
                    C[2*mio, 4*nio .. +4] = C[2*mio, 4*nio .. +4] + A[2*mio, k] * B[k, 4*nio .. +4]
                    C[2*mio + 1, 4*nio .. +4] = C[2*mio + 1, 4*nio .. +4] + A[2*mio + 1, k] * B[k, 4*nio .. +4]
                  } else {
                    if M >= 2*mio + 1 && N >= 4*nio + 1 {
                      C[2*mio, 4*nio .. +4] = (C[2*mio, 4*nio .. +4] where lane <= -4*nio + N - 1) + A[2*mio, k] * (B[k, 4*nio .. +4] where lane <= -4*nio + N - 1) where lane <= -4*nio + N - 1
                    }
                    if M >= 2*mio + 2 && N >= 4*nio + 1 {
                      C[2*mio + 1, 4*nio .. +4] = (C[2*mio + 1, 4*nio .. +4] where lane <= -4*nio + N - 1) + A[2*mio + 1, k] * (B[k, 4*nio .. +4] where lane <= -4*nio + N - 1) where lane <= -4*nio + N - 1
                    }
                  }
                }
              }
            }
          }
        }
    "#]].assert_eq(&program.to_string());
}

/// Two statements at one leaf, under a band of strips of 4.
fn at_one_leaf(kind: Kind) -> Scop {
    let text = "
scop two()
input A: int32[10]
output B: int32[10]
output C: int32[10]
stmt B[i]
  domain { B[i] : 0 <= i < 10 }
  B[i] = A[i]
stmt C[i]
  domain { C[i] : 0 <= i < 8 }
  C[i] = A[i] * 2i32
stmt C.rest[i]
  domain { C.rest[i] : 8 <= i < 10 }
  C[i] = 0i32
";
    let mut scop = testing::scop(&isl::Ctx::new(), text);
    let member = |name: &str, value: &str, kind: Kind| {
        let text = format!("{{ B[i] -> [({value})]; C[i] -> [({value})]; C.rest[i] -> [({value})] }}");
        let schedule = isl::UnionPwAff::read(&scop.ctx, &text).unwrap();
        Member { name: name.into(), schedule, coincident: true, kind }
    };
    let members = vec![member("io", "floor((i)/4)", Kind::Sequential), member("ii", "i", kind)];
    scop.tree.root = Node::Band(Band { members, permutable: true, child: Box::new(Node::Leaf) });
    scop
}

#[test]
fn lanes_of_several_statements_at_one_leaf() {
    let scop = at_one_leaf(Kind::Vector(4));
    let (program, remarks) = scan(&scop, &Options::default());
    agrees(&scop, &program, &[]);
    assert!(remarks.is_empty(), "{remarks:?}");
    expect![[r#"
        program two()
          input A: int32[10] argument 0
          output B: int32[10] argument 1
          output C: int32[10] argument 2
        for io in 0..3 {
          if io <= 1 {
            B[4*io .. +4] = A[4*io .. +4]
          } else {
            if 4*io <= 9 {
              B[4*io .. +4] = (A[4*io .. +4] where lane <= -4*io + 9) where lane <= -4*io + 9
            }
          }
          if io <= 1 {
            C[4*io .. +4] = A[4*io .. +4] * int32(2)
          }
        }
        C[8 .. +4] = int32(0) where lane <= 1
    "#]]
    .assert_eq(&program.to_string());
}

#[test]
fn copies_of_several_statements_would_be_interleaved() {
    let scop = at_one_leaf(Kind::Unroll(4));
    let (program, remarks) = scan(&scop, &Options::default());
    agrees(&scop, &program, &[]);
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert_eq!((remarks[0].entity.as_str(), remarks[0].what.as_str()), ("ii", "not unrolled"));
}

#[test]
fn a_vector_without_its_strips_is_an_ordinary_loop() {
    // No session makes this tree: the lanes conflict. The order of the points is kept all the same.
    let mut scop = scheduled("prefix_sum", Some(&[9]), "");
    fn vectorise(node: &mut Node) {
        if let Node::Band(band) = node {
            band.members[0].kind = Kind::Vector(4);
        }
        node.children_mut().into_iter().for_each(vectorise);
    }
    vectorise(&mut scop.tree.root);
    let (program, remarks) = scan(&scop, &Options::default());
    agrees(&scop, &program, &[]);
    // There is no loop over the strips, so that there is no one box at a time.
    assert_eq!(remarks.len(), 1, "{remarks:?}");
}

#[test]
fn copies_of_a_skewed_loop_keep_their_order() {
    // Equal sums of i and j run by i: in the copies of one i there are several j, so that it is no box.
    let text = "
scop skewed()
inout A: int64[9]
stmt A[i, j]
  domain { A[i, j] : 0 <= i < 5 and 0 <= j < 2 }
  A[i + j] = A[i + j] * 2i64 + index(i)
";
    let skew = "order {\n    band\n      A.t = { A[i, j] -> [(i + j)] }\n      A.i = { A[i, j] -> [(i)] }\n}\n";
    for strips in ["", "unroll A.i by 4", "unroll A.i by 3"] {
        let scop = scheduled(text, Some(&[]), &format!("{skew}{strips}\n"));
        agrees(&scop, &scan(&scop, &Options::default()).0, &[]);
    }
}

#[test]
fn instances_that_nothing_orders_are_looped_over() {
    let text = "
scop copied()
input A: int32[6, 7]
output B: int32[6, 7]
stmt B[i, j]
  domain { B[i, j] : 0 <= i < 6 and 0 <= j < 7 }
  B[i, j] = A[i, j] + 1i32
";
    let mut scop = testing::scop(&isl::Ctx::new(), text);
    scop.tree.root = Node::Leaf;
    let (program, _) = scan(&scop, &Options::default());
    agrees(&scop, &program, &[]);
}

#[test]
fn bounds_that_divide_without_remainder_hold_nothing_where_there_is_one() {
    // The instances of `P.update` have an even `t`. isl says so by exact divisions of `t` in the bounds of the inner
    // loop alone, which it therefore does not leave out for odd ones.
    let text = "
scop parity()
inout P: int64[5 from -1, 9]
stmt P[i, j]
  domain { P[i, j] : i >= 0 and 0 <= j <= 2 - i }
  P[i, j] = index(j)
stmt P.update[i, j]
  domain { P.update[i, j] : 0 <= i <= 1 and 0 <= j <= 4 }
  P[i, 2*j] min= P[j - 1, i]
source
  for i
    for j
      P
      P.update
";
    let script = "
order {
    band
      P.t = { P.update[i, j] -> [(4i + 2j)]; P[i, j] -> [(4i + j)] }
      band
        P.so = { P.update[i, j] -> [(floor((-j)/3))]; P[i, j] -> [(0)] }
        P.si = { P.update[i, j] -> [(-j)]; P[i, j] -> [(0)] }
        sequence
          filter { P[i, j] }
            band
              P.i = { P[i, j] -> [(i)] }
          filter { P.update[i, j] }
}
";
    let scop = scheduled(text, Some(&[]), script);
    agrees(&scop, &scan(&scop, &Options::default()).0, &[]);
}
