//! Programs that commands have changed: storage of their own, copies, prefetches; against the source's values.

mod common;

use codegen::interp::interpret;
use codegen::{Options, Program};
use common::{inputs, lower};
use expect_test::expect;
use polyhedral::{Scop, eval, isl, testing};
use support::Stage;

/// A program as a command would leave it, by its text.
fn evolved(ctx: &isl::Ctx, text: &str) -> Scop {
    let mut scop = testing::scop(ctx, text);
    scop.origin = scop.origin.intersect_domain(&scop.domain().unwrap()).unwrap();
    scop.verify().unwrap_or_else(|fault| panic!("{fault}"));
    assert!(!scop.is_source());
    scop
}

const FMA: Options = Options { fma: true, trust_indices: false, runtime_strides: Vec::new() };

/// The loops of `evolved`, which must compute what `source` does.
#[track_caller]
fn same_values(source: &Scop, evolved: &Scop) -> Program {
    let program = lower(evolved, &FMA);
    let given = inputs(source, &[]);
    let expected = eval::run(source, &[], &given, eval::Limits::default()).unwrap();
    for seed in 0..3 {
        let actual = interpret(&program, &[], &given, seed).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
        assert_eq!(actual, expected, "{program}");
    }
    program
}

fn matmul(ctx: &isl::Ctx, sizes: &[i64]) -> Scop {
    testing::matmul(ctx).specialise(sizes).unwrap()
}

/// `matmul` in tiles of 12 × 32 × 8 with both operands packed: B for all threads, A on the stack of each.
fn packed(m: i64, n: i64, k: i64) -> String {
    let (mo, no, ko) = ((m - 1) / 12, (n - 1) / 32, (k - 1) / 8);
    let (all_m, all_n, all_k) = (format!("0 <= m < {m}"), format!("0 <= n < {n}"), format!("0 <= k < {k}"));
    let tile_of_b = format!("0 <= no <= {no} and 0 <= ko <= {ko} and 32no <= n < 32no + 32 and 8ko <= k < 8ko + 8");
    let tile_of_a = format!("0 <= no <= {no} and 0 <= ko <= {ko} and 0 <= mo <= {mo} and 12mo <= m < 12mo + 12 and 8ko <= k < 8ko + 8");
    format!(
        "
scop matmul()
input A: float32[{m}, {k}]
input B: float32[{k}, {n}]
output C: float32[{m}, {n}]
temporary Bp: float32[{k}, {n}] layout [floor((i1 mod 32) / 16), i0 mod 8, i1 mod 16] of [2, 8, 16]
temporary Ap: float32[{m}, {k}] stack layout [floor((i0 mod 12) / 4), i1 mod 8, i0 mod 4] of [3, 8, 4]
stmt C.init[m, n]
  domain {{ C.init[m, n] : {all_m} and {all_n} }}
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain {{ C.update[m, n, k] : {all_m} and {all_n} and {all_k} }}
  C[m, n] sum= Ap[m, k] * Bp[k, n]
stmt Bp.load[no, ko, k, n]
  domain {{ Bp.load[no, ko, k, n] : {tile_of_b} and {all_n} and {all_k} }}
  Bp[k, n] = B[k, n]
stmt Ap.load[no, ko, mo, m, k]
  domain {{ Ap.load[no, ko, mo, m, k] : {tile_of_a} and {all_m} and {all_k} }}
  Ap[m, k] = A[m, k]
source none
tree
  sequence
    filter {{ C.init[m, n] }}
      band
        C.init.m = {{ C.init[m, n] -> [(m)] }}
        C.init.no = {{ C.init[m, n] -> [(floor((n)/16))] }}
        C.init.nv = {{ C.init[m, n] -> [(n)] }} vector 16
    filter {{ C.update[m, n, k]; Bp.load[no, ko, k, n]; Ap.load[no, ko, mo, m, k] }}
      band
        no = {{ C.update[m, n, k] -> [(floor((n)/32))]; Bp.load[no, ko, k, n] -> [(no)]; Ap.load[no, ko, mo, m, k] -> [(no)] }}
        ko = {{ C.update[m, n, k] -> [(floor((k)/8))]; Bp.load[no, ko, k, n] -> [(ko)]; Ap.load[no, ko, mo, m, k] -> [(ko)] }}
        sequence
          filter {{ Bp.load[no, ko, k, n] }}
            band
              Bp.load.k = {{ Bp.load[no, ko, k, n] -> [(k)] }}
              Bp.load.no = {{ Bp.load[no, ko, k, n] -> [(floor((n)/16))] }}
              Bp.load.nv = {{ Bp.load[no, ko, k, n] -> [(n)] }} vector 16
          filter {{ C.update[m, n, k]; Ap.load[no, ko, mo, m, k] }}
            band
              mo = {{ C.update[m, n, k] -> [(floor((m)/12))]; Ap.load[no, ko, mo, m, k] -> [(mo)] }} parallel
              sequence
                filter {{ Ap.load[no, ko, mo, m, k] }}
                  band
                    Ap.load.m = {{ Ap.load[no, ko, mo, m, k] -> [(m)] }}
                    Ap.load.ko = {{ Ap.load[no, ko, mo, m, k] -> [(floor((k)/8))] }}
                    Ap.load.kv = {{ Ap.load[no, ko, mo, m, k] -> [(k)] }} vector 8
                filter {{ C.update[m, n, k] }}
                  band
                    nio = {{ C.update[m, n, k] -> [(floor((n)/16))] }}
                    mio = {{ C.update[m, n, k] -> [(floor((m)/4))] }}
                    ki = {{ C.update[m, n, k] -> [(k)] }}
                    mu = {{ C.update[m, n, k] -> [(m)] }} unroll 4
                    nv = {{ C.update[m, n, k] -> [(n)] }} vector 16
origin {{ C.init[m, n] -> C.init[m, n]; C.update[m, n, k] -> C.update[m, n, k] }}
"
    )
}

#[test]
fn a_packed_matrix_product() {
    let ctx = isl::Ctx::new();
    let program = same_values(&matmul(&ctx, &[24, 64, 16]), &evolved(&ctx, &packed(24, 64, 16)));
    expect![[r#"
        program matmul()
          input A: float32[24, 16] argument 0
          input B: float32[16, 64] argument 1
          output C: float32[24, 64] argument 2
          temporary Bp: float32[2, 8, 16] workspace 0
          temporary Ap: float32[3, 8, 4] stack
        for m in 0..24 {
          for no in 0..4 {
            C[m, 16*no .. +16] = float32(0.0)
          }
        }
        for no2 in 0..2 {
          for ko in 0..2 {
            for k in 8*ko..8*ko + 8 {
              for no3 in 2*no2..2*no2 + 2 {
                Bp[-2*no2 + no3, -8*ko + k, 0 .. +16] = B[k, 16*no3 .. +16]
              }
            }
            parallel for mo in 0..2 {
              with stack Ap {
                for m2 in 12*mo..12*mo + 12 {
                  Ap[-3*mo + floor(m2/4), 0 .. +8, m2 mod 4] = A[m2, 8*ko .. +8]
                }
                for nio in 2*no2..2*no2 + 2 {
                  for mio in 3*mo..3*mo + 3 {
                    r0: float32 x16 = C[4*mio, 16*nio .. +16]
                    r1: float32 x16 = C[4*mio + 1, 16*nio .. +16]
                    r2: float32 x16 = C[4*mio + 2, 16*nio .. +16]
                    r3: float32 x16 = C[4*mio + 3, 16*nio .. +16]
                    for ki in 8*ko..8*ko + 8 {
                      r0: float32 x16 = muladd(Ap[-3*mo + mio, -8*ko + ki, 0], Bp[-2*no2 + nio, -8*ko + ki, 0 .. +16], r0)
                      r1: float32 x16 = muladd(Ap[-3*mo + mio, -8*ko + ki, 1], Bp[-2*no2 + nio, -8*ko + ki, 0 .. +16], r1)
                      r2: float32 x16 = muladd(Ap[-3*mo + mio, -8*ko + ki, 2], Bp[-2*no2 + nio, -8*ko + ki, 0 .. +16], r2)
                      r3: float32 x16 = muladd(Ap[-3*mo + mio, -8*ko + ki, 3], Bp[-2*no2 + nio, -8*ko + ki, 0 .. +16], r3)
                    }
                    C[4*mio, 16*nio .. +16] = r0
                    C[4*mio + 1, 16*nio .. +16] = r1
                    C[4*mio + 2, 16*nio .. +16] = r2
                    C[4*mio + 3, 16*nio .. +16] = r3
                  }
                }
              }
            }
          }
        }
    "#]].assert_eq(&program.to_string());
    for [m, n, k] in [[24, 40, 24], [20, 37, 19], [5, 7, 3]] {
        same_values(&matmul(&ctx, &[m, n, k]), &evolved(&ctx, &packed(m, n, k)));
    }
}
