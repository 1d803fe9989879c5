//! Programs that commands have changed: storage of their own, copies, prefetches; against the source's values.

mod common;

use codegen::interp::interpret;
use codegen::{FullTiles, Options, Program};
use common::{inputs, lower, run_on_machine};
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

const FMA: Options = Options {
    fma: true,
    dots: Vec::new(),
    trust_indices: false,
    async_copies: false,
    runtime_strides: Vec::new(),
    kept: Vec::new(),
    full_tiles: FullTiles::Together,
};

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
    assert_eq!(run_on_machine(&program, &given), expected, "{program}");
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
    let tile_of_a = format!(
        "0 <= no <= {no} and 0 <= ko <= {ko} and 0 <= mo <= {mo} and 12mo <= m < 12mo + 12 and 8ko <= k < 8ko + 8"
    );
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

/// `Y[i] = max(X[i-1 .. i+1])` as it is written, and through a temporary.
const BLUR: &str = "
scop blur()
input X: float32[66]
output Y: float32[64]
temporary T: float32[66]
stmt T[i]
  domain { T[i] : 0 <= i < 66 }
  T[i] = X[i] * 2.0f32
stmt Y[i]
  domain { Y[i] : 0 <= i < 64 }
  Y[i] = T[i] + T[i + 1] + T[i + 2]
";

/// The same with the temporary computed anew for each tile, in a stack memory of a tile's extent.
fn recomputed(outer: &str, memory: &str) -> String {
    format!(
        "
scop blur()
input X: float32[66]
output Y: float32[64]
temporary T: float32[66] {memory}
stmt Y[i]
  domain {{ Y[i] : 0 <= i < 64 }}
  Y[i] = T[i] + T[i + 1] + T[i + 2]
stmt T[o, i]
  domain {{ T[o, i] : 0 <= o < 8 and 8o <= i < 8o + 10 }}
  T[i] = X[i] * 2.0f32
source none
tree
  band
    o = {{ T[o, i] -> [(o)]; Y[i] -> [(floor((i)/8))] }} {outer}
    sequence
      filter {{ T[o, i] }}
        band
          T.i = {{ T[o, i] -> [(i)] }}
      filter {{ Y[i] }}
        band
          Y.o = {{ Y[i] -> [(floor((i)/8))] }}
          Y.i = {{ Y[i] -> [(i)] }} vector 8
origin {{ T[o, i] -> T[i]; Y[i] -> Y[i] }}
"
    )
}

#[test]
fn every_thread_has_a_stack_of_its_own() {
    let ctx = isl::Ctx::new();
    let source = testing::scop(&ctx, BLUR);
    let program = same_values(&source, &evolved(&ctx, &recomputed("parallel", "stack layout [i0 mod 10] of [10]")));
    expect![[r#"
        program blur()
          input X: float32[66] argument 0
          output Y: float32[64] argument 1
          temporary T: float32[10] stack
        parallel for o in 0..8 {
          with stack T {
            for i in 8*o..8*o + 10 {
              T[i mod 10] = X[i] * float32(2.0)
            }
            Y[8*o .. +8] = T[@((8*o + lane) % 10)] + T[@((8*o + 1 + lane) % 10)] + T[@((8*o + 2 + lane) % 10)]
          }
        }
    "#]]
    .assert_eq(&program.to_string());
    // Without threads the frame is the kernel's.
    let program = same_values(&source, &evolved(&ctx, &recomputed("", "stack layout [i0 mod 10] of [10]")));
    assert!(program.to_string().contains("with stack T {\n  for o in"), "{program}");
}

#[test]
fn an_axis_that_there_is_not_is_a_loop() {
    let ctx = isl::Ctx::new();
    let scop = evolved(&ctx, &recomputed("bound block.x", "stack layout [i0 mod 10] of [10]"));
    same_values(&testing::scop(&ctx, BLUR), &scop);
    let (program, remarks) = common::scan(&scop, &FMA);
    assert!(program.to_string().contains("for o in 0..8 {\n  with stack T {"), "{program}");
    let remarks: Vec<String> = remarks.iter().map(|remark| remark.to_string()).collect();
    expect!["codegen: o: not bound: this target has no axis `block.x`: its iterations run one after another"]
        .assert_eq(&remarks.join("\n"));
}

#[test]
fn what_an_iteration_leaves_on_the_stack_is_gone() {
    let ctx = isl::Ctx::new();
    // The first tile is computed, the others find nothing.
    let wrong = recomputed("parallel", "stack").replace("0 <= o < 8 and 8o <= i < 8o + 10", "o = 0 and 0 <= i < 66");
    let (source, wrong) = (testing::scop(&ctx, BLUR), evolved(&ctx, &wrong));
    let given = inputs(&source, &[]);
    let expected = eval::run(&source, &[], &given, eval::Limits::default()).unwrap();
    let actual = interpret(&lower(&wrong, &FMA), &[], &given, 0).unwrap();
    assert_ne!(actual, expected);
}

#[test]
fn what_nobody_leaves_on_the_stack_is_not_read() {
    let ctx = isl::Ctx::new();
    let nothing = recomputed("parallel", "stack").replace("0 <= o < 8 and 8o <= i < 8o + 10", "o = 0 and 1 <= i < 1");
    let refused = codegen::lower(&evolved(&ctx, &nothing), &FMA, &mut Vec::new()).expect_err("is refused");
    assert!(refused.to_string().contains("read outside of the threads that it belongs to"), "{refused}");
}

#[test]
fn threads_share_what_is_on_the_stack_around_them() {
    let ctx = isl::Ctx::new();
    let shared = "
scop blur()
input X: float32[66]
output Y: float32[64]
temporary T: float32[66] stack
stmt T[i]
  domain { T[i] : 0 <= i < 66 }
  T[i] = X[i] * 2.0f32
stmt Y[i]
  domain { Y[i] : 0 <= i < 64 }
  Y[i] = T[i] + T[i + 1] + T[i + 2]
source none
tree
  sequence
    filter { T[i] }
      band
        T.i = { T[i] -> [(i)] }
    filter { Y[i] }
      band
        Y.i = { Y[i] -> [(i)] } parallel
origin { T[i] -> T[i]; Y[i] -> Y[i] }
";
    same_values(&testing::scop(&ctx, BLUR), &evolved(&ctx, shared));
}

#[test]
fn what_does_not_fit_on_the_stack_is_refused() {
    let ctx = isl::Ctx::new();
    let scan = |memory: &str| {
        let scop = evolved(&ctx, &recomputed("", memory));
        codegen::scan(&scop, &FMA, &mut Vec::new()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(scan("stack layout [i0] of [65536]"), Ok(()));
    expect!["bug in tilewright: stage `loops`; T: does not fit on the stack: 262148 bytes of 262144"]
        .assert_eq(&scan("stack layout [i0] of [65537]").unwrap_err());
}

/// `matmul` that asks for the next rows.
const PREFETCHING: &str = "
scop matmul()
input A: float32[8, 16]
input B: float32[16, 32]
output C: float32[8, 32]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < 8 and 0 <= n < 32 }
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < 8 and 0 <= n < 32 and 0 <= k < 16 }
  C[m, n] sum= A[m, k] * B[k, n]
stmt B.prefetch[m, k, n]
  domain { B.prefetch[m, k, n] : 0 <= m < 8 and 0 <= k < 15 and 0 <= n < 32 }
  reads B[k + 1, n]
  =
stmt A.prefetch[m, k]
  domain { A.prefetch[m, k] : 0 <= m < 7 and k = 0 }
  reads A[m + 1, k]
  =
source none
tree
  sequence
    filter { C.init[m, n] }
      band
        C.init.m = { C.init[m, n] -> [(m)] }
        C.init.n = { C.init[m, n] -> [(n)] }
    filter { C.update[m, n, k]; B.prefetch[m, k, n]; A.prefetch[m, k] }
      band
        m = { C.update[m, n, k] -> [(m)]; B.prefetch[m, k, n] -> [(m)]; A.prefetch[m, k] -> [(m)] }
        k = { C.update[m, n, k] -> [(k)]; B.prefetch[m, k, n] -> [(k)]; A.prefetch[m, k] -> [(k)] }
        sequence
          filter { A.prefetch[m, k] }
          filter { B.prefetch[m, k, n] }
            band
              B.prefetch.no = { B.prefetch[m, k, n] -> [(floor((n)/32))] }
              B.prefetch.nv = { B.prefetch[m, k, n] -> [(n)] } vector 32
          filter { C.update[m, n, k] }
            band
              no = { C.update[m, n, k] -> [(floor((n)/16))] }
              nv = { C.update[m, n, k] -> [(n)] } vector 16
origin { C.init[m, n] -> C.init[m, n]; C.update[m, n, k] -> C.update[m, n, k] }
";

#[test]
fn prefetches_run_ahead() {
    let ctx = isl::Ctx::new();
    let source = matmul(&ctx, &[8, 32, 16]);
    let program = same_values(&source, &evolved(&ctx, PREFETCHING));
    expect![[r#"
        program matmul()
          input A: float32[8, 16] argument 0
          input B: float32[16, 32] argument 1
          output C: float32[8, 32] argument 2
        for m in 0..8 {
          for n in 0..32 {
            C[m, n] = float32(0.0)
          }
        }
        for m2 in 0..8 {
          if m2 <= 6 {
            prefetch A[m2 + 1, 0]
          }
          for k in 0..16 {
            if k <= 14 {
              prefetch B[k + 1, 0 .. +32]
            }
            for no in 0..2 {
              C[m2, 16*no .. +16] = muladd(A[m2, k], B[k, 16*no .. +16], C[m2, 16*no .. +16])
            }
          }
        }
    "#]]
    .assert_eq(&program.to_string());
    let target = support::Target { cpu: "x86-64-v4".into(), ..common::target() };
    let assembly = codegen::llvm::assembly(&program, &target).unwrap();
    assert_eq!(assembly.matches("prefetcht0").count(), 3, "{assembly}");
}

#[test]
fn a_row_is_prefetched_line_by_line() {
    let ctx = isl::Ctx::new();
    let text = PREFETCHING.replace(
        "B.prefetch.no = { B.prefetch[m, k, n] -> [(floor((n)/32))] }",
        "B.prefetch.n = { B.prefetch[m, k, n] -> [(n)] }",
    );
    let text = text.replace("              B.prefetch.nv = { B.prefetch[m, k, n] -> [(n)] } vector 32\n", "");
    let program = same_values(&matmul(&ctx, &[8, 32, 16]), &evolved(&ctx, &text));
    // Each line of the row is asked for while a vector of the row before is used.
    assert!(program.to_string().contains("for no in 0..2 {\n      prefetch B[k + 1, 16*no]"), "{program}");
}

#[test]
fn computed_subscripts_go_through_a_layout() {
    let ctx = isl::Ctx::new();
    let source = "
scop look_up()
input table: float32[12]
input where_from: int32[9]
output Y: float32[9]
temporary T: float32[12]
stmt T[i]
  domain { T[i] : 0 <= i < 12 }
  T[i] = table[i] + 1.0f32
stmt Y[i]
  domain { Y[i] : 0 <= i < 9 }
  Y[i] = T[value(where_from[i])]
";
    let blocked = source.replace("float32[12]\nstmt", "float32[12] layout [i0 mod 4, floor(i0 / 4)] of [4, 3]\nstmt")
        + "source none
tree
  sequence
    filter { T[i] }
      band
        T.o = { T[i] -> [(floor((i)/4))] }
        T.i = { T[i] -> [(i)] } vector 4
    filter { Y[i] }
      band
        Y.o = { Y[i] -> [(floor((i)/4))] }
        Y.i = { Y[i] -> [(i)] } vector 4
origin identity
";
    let program = same_values(&testing::scop(&ctx, source), &evolved(&ctx, &blocked));
    expect![[r#"
        program look_up()
          input table: float32[12] argument 0
          input where_from: int32[9] argument 1
          output Y: float32[9] argument 2
          temporary T: float32[4, 3] workspace 0
        for o in 0..3 {
          T[0 .. +4, o] = table[4*o .. +4] + float32(1.0)
        }
        for o2 in 0..2 {
          r0: int64 x4 = int64(where_from[4*o2 .. +4])
          check r0 in T dimension 0
          Y[4*o2 .. +4] = T[@(r0 % 4), @(r0 / 4)]
        }
        r1: int64 x4 = int64((where_from[8 .. +4] where lane <= 0))
        check r1 in T dimension 0 where lane <= 0
        Y[8 .. +4] = (T[@(r1 % 4), @(r1 / 4)] where lane <= 0) where lane <= 0
    "#]]
    .assert_eq(&program.to_string());
}

/// `matmul` in register tiles of 4 × 16 that accumulate on the stack.
const ACCUMULATED: &str = "
scop matmul()
input A: float32[24, 16]
input B: float32[16, 64]
output C: float32[24, 64]
temporary acc: float32[24, 64] stack layout [i0 mod 4, i1 mod 16] of [4, 16]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < 24 and 0 <= n < 64 }
  acc[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < 24 and 0 <= n < 64 and 0 <= k < 16 }
  acc[m, n] sum= A[m, k] * B[k, n]
stmt acc.store[m, n]
  domain { acc.store[m, n] : 0 <= m < 24 and 0 <= n < 64 }
  C[m, n] = acc[m, n]
source none
tree
  band
    mo = { C.init[m, n] -> [(floor((m)/4))]; C.update[m, n, k] -> [(floor((m)/4))]; acc.store[m, n] -> [(floor((m)/4))] } parallel
    no = { C.init[m, n] -> [(floor((n)/16))]; C.update[m, n, k] -> [(floor((n)/16))]; acc.store[m, n] -> [(floor((n)/16))] }
    sequence
      filter { C.init[m, n] }
        band
          C.init.m = { C.init[m, n] -> [(m)] } unroll 4
          C.init.n = { C.init[m, n] -> [(n)] } vector 16
      filter { C.update[m, n, k] }
        band
          k = { C.update[m, n, k] -> [(k)] }
          m = { C.update[m, n, k] -> [(m)] } unroll 4
          n = { C.update[m, n, k] -> [(n)] } vector 16
      filter { acc.store[m, n] }
        band
          acc.store.m = { acc.store[m, n] -> [(m)] } unroll 4
          acc.store.n = { acc.store[m, n] -> [(n)] } vector 16
origin { C.init[m, n] -> C.init[m, n]; C.update[m, n, k] -> C.update[m, n, k] }
";

#[test]
fn a_tile_on_the_stack_becomes_registers() {
    let ctx = isl::Ctx::new();
    let program = same_values(&matmul(&ctx, &[24, 64, 16]), &evolved(&ctx, ACCUMULATED));
    expect![[r#"
        program matmul()
          input A: float32[24, 16] argument 0
          input B: float32[16, 64] argument 1
          output C: float32[24, 64] argument 2
          temporary acc: float32[4, 16] stack
        parallel for mo in 0..6 {
          with stack acc {
            r4: float32 x16 = acc[0, 0 .. +16]
            r5: float32 x16 = acc[1, 0 .. +16]
            r6: float32 x16 = acc[2, 0 .. +16]
            r7: float32 x16 = acc[3, 0 .. +16]
            for no in 0..4 {
              r4: float32 x16 = float32(0.0)
              r5: float32 x16 = float32(0.0)
              r6: float32 x16 = float32(0.0)
              r7: float32 x16 = float32(0.0)
              for k in 0..16 {
                r4: float32 x16 = muladd(A[4*mo, k], B[k, 16*no .. +16], r4)
                r5: float32 x16 = muladd(A[4*mo + 1, k], B[k, 16*no .. +16], r5)
                r6: float32 x16 = muladd(A[4*mo + 2, k], B[k, 16*no .. +16], r6)
                r7: float32 x16 = muladd(A[4*mo + 3, k], B[k, 16*no .. +16], r7)
              }
              C[4*mo, 16*no .. +16] = r4
              C[4*mo + 1, 16*no .. +16] = r5
              C[4*mo + 2, 16*no .. +16] = r6
              C[4*mo + 3, 16*no .. +16] = r7
            }
            acc[0, 0 .. +16] = r4
            acc[1, 0 .. +16] = r5
            acc[2, 0 .. +16] = r6
            acc[3, 0 .. +16] = r7
          }
        }
    "#]]
    .assert_eq(&program.to_string());
    let target = support::Target { cpu: "x86-64-v4".into(), ..common::target() };
    let ir = codegen::llvm::ir(&program, &target).unwrap();
    assert!(!ir.contains("alloca [256 x i8]"), "{ir}");
}
