//! What the policies decide, as scripts, and that every decision is legal and replays.

use expect_test::{Expect, expect};
use polyhedral::{Scop, isl, testing};
use scheduler::{Cpu, Fused, Fusion, Isl, SourceOrder};
use support::Target;
use transform::{Options, Policy, Scheduled, Script, Session};

const TARGETS: [&str; 3] = [
    include_str!("../../tilewright/targets/znver5.toml"),
    include_str!("../../tilewright/targets/x86-64-v3.toml"),
    include_str!("../../tilewright/targets/aarch64-neon.toml"),
];

fn target(threads: u32) -> Target {
    Target { threads, ..Target::from_toml(TARGETS[0]).expect("a target") }
}

fn schedule(scop: Scop, target: &Target, policy: &dyn Policy) -> Scheduled {
    let mut session = Session::new(scop, target).expect("a session");
    policy.schedule(&mut session).expect("a policy that takes what it gets");
    session.finish().expect("legal")
}

/// The script without an `order`, and the remarks.
#[track_caller]
fn check(text: &str, sizes: &[i64], threads: u32, expected: Expect) {
    let scop = testing::scop(&isl::Ctx::new(), text);
    let scop = if sizes.is_empty() { scop } else { scop.specialise(sizes).expect("sizes that fit") };
    let scheduled = schedule(scop, &target(threads), &Cpu);
    let mut out = String::new();
    for command in scheduled.script.commands() {
        let text = command.to_string();
        out += text.lines().next().expect("a line");
        out += "\n";
    }
    for remark in &scheduled.remarks {
        out += &format!("# {remark}\n");
    }
    expected.assert_eq(&out);
}

const MATMUL: &str = "
    scop mm(M, N, K)
    input A: float32[M, K]
    input B: float32[K, N]
    inout C: float32[M, N]
    stmt C[m, n, k]
      domain { C[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
      C[m, n] sum= A[m, k] * B[k, n]
";

#[test]
fn a_large_product_is_blocked_and_keeps_its_accumulators() {
    check(
        MATMUL,
        &[1024, 1024, 1024],
        1,
        expect![[r#"
            split C.m by 210 as mo mi
            split C.k by 512 as ko ki
            vectorise C.n by 64 as no nv
            unroll C.ki by 2 as kio kiu
            unroll C.mi by 6 as mio miu
            reorder C.ko C.mo C.no C.mio C.kio
            promote B at C.ko as B_local in global
            layout B_local [i0, i1] = [floor((i1)/64), i0, i1 mod 64] of [16, 512, 64]
            vectorise B_local.load.x1 by 64 as x1o x1v
            prefetch C at C.mio ahead 1
            separate C.mio
        "#]],
    );
    check(
        MATMUL,
        &[1024, 1024, 1024],
        8,
        expect![[r#"
            split C.m by 210 as mo mi
            split C.n by 128 as no ni
            split C.k by 512 as ko ki
            vectorise C.ni by 64 as nio niv
            unroll C.ki by 2 as kio kiu
            unroll C.mi by 6 as mio miu
            reorder C.no C.ko C.mo C.nio C.mio C.kio
            parallel C.no
            promote B at C.ko as B_local in global
            layout B_local [i0, i1, i2] = [i0, floor((i2)/64), i1, i2 mod 64] of [8, 2, 512, 64]
            vectorise B_local.load.x1 by 64 as x1o x1v
            prefetch C at C.mio ahead 1
            separate C.mio
        "#]],
    );
}

#[test]
fn a_product_of_any_size_is_blocked_too() {
    check(
        MATMUL,
        &[],
        8,
        expect![[r#"
            split C.m by 70 as mo mi
            split C.k by 128 as ko ki
            vectorise C.n by 32 as no nv
            unroll C.mi by 14 as mio miu
            reorder C.mo C.ko C.mio C.no C.ki
            parallel C.mo
            # scheduler: C: not packed: `B` has a size that is not known
        "#]],
    );
}

#[test]
fn a_small_product_has_no_strips_and_no_threads() {
    check(
        MATMUL,
        &[7, 10, 5],
        8,
        expect![[r#"
            vectorise C.n by 16 as no nv
            unroll C.m by 7 as mo mu
            # scheduler: C: not packed: `B` is used by 7 rows only, which do not pay for a copy
            # scheduler: C: not parallel: about 22 cycles of work are less than threads are worth
        "#]],
    );
}

#[test]
fn a_product_with_a_transposed_factor_loads_few_vectors() {
    let text = "
        scop tmm(M, N, K)
        input A: float32[M, K]
        input B: float32[N, K]
        inout C: float32[M, N]
        stmt C[m, n, k]
          domain { C[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
          C[m, n] sum= A[m, k] * B[n, k]
    ";
    check(
        text,
        &[128, 1024, 1024],
        1,
        expect![[r#"
            split C.n by 114 as no ni
            vectorise C.m by 64 as mo mv
            unroll C.k by 2 as ko ku
            unroll C.ni by 6 as nio niu
            reorder C.no C.mo C.nio C.ko
            promote A as A_local of C in global
            layout A_local [i0, i1] = [floor((i0)/64), i1, i0 mod 64] of [2, 1024, 64]
            vectorise A_local.load.x0 by 16 as x0o x0v
            unroll A_local.load.x1 by 16 as x1o x1u
            separate C.nio
        "#]],
    );
}

#[test]
fn rows_of_a_large_table_are_asked_for_ahead() {
    let text = "
        scop lookup(E, D, B, L)
        input T: float32[E, D]
        input I: int32[B, L]
        inout O: float32[B, D]
        stmt O[b, d, l]
          domain { O[b, d, l] : 0 <= b < B and 0 <= d < D and 0 <= l < L }
          O[b, d] sum= T[value(I[b, l]), d]
    ";
    check(
        text,
        &[200_000, 64, 128, 50],
        1,
        expect![[r#"
        vectorise O.d by 64 as do dv
        prefetch T at O.l ahead 8
    "#]],
    );
    check(
        text,
        &[1000, 64, 128, 50],
        1,
        expect![[r#"
        vectorise O.d by 64 as do dv
        # scheduler: O: rows to come not prefetched: `T`: 256000 bytes fit the second cache
    "#]],
    );
    check(
        text,
        &[200_000, 512, 128, 50],
        1,
        expect![[r#"
        vectorise O.d by 32 as do dv
        unroll O.l by 5 as lo lu
        reorder O.b O.lo O.do
        # scheduler: O: rows to come not prefetched: `T`: several rows are asked for at once already
    "#]],
    );
}

#[test]
fn a_batch_runs_in_parallel_as_it_is() {
    let text = "
        scop tbmm(B, M, N, K)
        input X: float32[B, M, K]
        input Y: float32[B, K, N]
        inout Z: float32[B, M, N]
        stmt Z[b, m, n, k]
          domain { Z[b, m, n, k] : 0 <= b < B and 0 <= m < M and 0 <= n < N and 0 <= k < K }
          Z[b, m, n] sum= X[b, m, k] * Y[b, k, n]
    ";
    check(
        text,
        &[500, 26, 72, 26],
        8,
        expect![[r#"
            vectorise Z.n by 32 as no nv
            unroll Z.k by 2 as ko ku
            unroll Z.m by 13 as mo mu
            parallel Z.b
            # scheduler: Z: not packed: `Y` is used by 26 rows only, which do not pay for a copy
        "#]],
    );
}

#[test]
fn a_convolution_shares_rows_over_channels() {
    let text = "
        scop conv(N, F, C, H, W)
        input I: float32[N, C, H + 2, W + 2]
        input G: float32[F, C, 3, 3]
        inout O: float32[N, F, H, W]
        stmt O[n, f, h, w, c, r, s]
          domain { O[n, f, h, w, c, r, s] : 0 <= n < N and 0 <= f < F and 0 <= h < H and 0 <= w < W and 0 <= c < C and 0 <= r < 3 and 0 <= s < 3 }
          O[n, f, h, w] sum= I[n, c, h + r, w + s] * G[f, c, r, s]
    ";
    check(
        text,
        &[8, 64, 64, 56, 56],
        8,
        expect![[r#"
            vectorise O.f by 32 as fo fv
            unroll O.w by 14 as wo wu
            reorder O.n O.h O.fo O.wo O.c O.r O.s
            parallel O.n
            promote G at O.n as G_local in global
            layout G_local [i0, i1, i2, i3, i4] = [i0, floor((i1)/32), i2, i3, i4, i1 mod 32] of [8, 2, 64, 3, 3, 32]
            vectorise G_local.load.x0 by 16 as x0o x0v
            unroll G_local.load.x3 by 3 as x3o x3u
            # scheduler: O: not unrolled: 46 registers would be in use: `O.s` is not copied out
        "#]],
    );
}

#[test]
fn sums_of_rows_and_of_columns() {
    let rows = "
        scop rows(M, N)
        input A: float32[M, N]
        inout s: float32[M]
        stmt s[i, j]
          domain { s[i, j] : 0 <= i < M and 0 <= j < N }
          s[i] sum= A[i, j]
    ";
    let columns = rows.replace("inout s: float32[M]", "inout s: float32[N]").replace("s[i] sum=", "s[j] sum=");
    check(
        rows,
        &[4096, 4096],
        2,
        expect![[r#"
            vectorise s.j by 64 as jo jv
            parallel s.i
        "#]],
    );
    check(
        &columns,
        &[4096, 4096],
        2,
        expect![[r#"
            split s.j by 2048 as jo ji
            vectorise s.ji by 32 as jio jiv
            unroll s.i by 8 as io iu
            reorder s.jo s.io s.jio
            parallel s.jo
        "#]],
    );
    let all = rows.replace("inout s: float32[M]", "inout s: float32[]").replace("s[i] sum=", "s[] sum=");
    check(
        &all,
        &[4096, 4096],
        2,
        expect![[r#"
            split s.i by 2048 as io ii
            vectorise s.j by 64 as jo jv
            privatise s at s.io as s_partial in global
            parallel s.io
        "#]],
    );
}

#[test]
fn one_element_after_the_other() {
    let pointwise = "
        scop f(M, N)
        input A: uint8[M, N]
        output B: float32[M, N]
        stmt B[i, j]
          domain { B[i, j] : 0 <= i < M and 0 <= j < N }
          B[i, j] = float32(A[i, j])
    ";
    check(
        pointwise,
        &[2048, 2048],
        2,
        expect![[r#"
            vectorise B.j by 64 as jo jv
            parallel B.i
            stream B
        "#]],
    );
    let transpose = pointwise.replace("uint8[M, N]", "uint8[N, M]").replace("A[i, j]", "A[j, i]");
    check(
        &transpose,
        &[2048, 2048],
        2,
        expect![[r#"
            vectorise B.j by 32 as jo jv
            unroll B.i by 8 as io iu
            reorder B.jo B.io
            parallel B.jo
            stream B
        "#]],
    );
}

#[test]
fn rows_of_a_recurrence_run_side_by_side() {
    let seidel = "
        scop seidel()
        inout A: float64[1000, 1000]
        stmt A[t, i, j]
          domain { A[t, i, j] : 0 <= t < 10 and 0 < i < 999 and 0 < j < 999 }
          A[i, j] = A[i - 1, j + 1] + A[i, j - 1] + A[i + 1, j - 1]
    ";
    check(
        seidel,
        &[],
        2,
        expect![[r#"
            skew A.j by 2 of A.i as j
            unroll A.i by 8 as io iu
            # scheduler: A: not tiled over time: its instances need others of the same step
            # scheduler: seidel: kept the order of the source: isl's schedule skews loops, which costs more than it gives on a CPU
            # scheduler: A: not vectorised: no loop without dependences writes neighbouring elements
            # scheduler: A: not parallel: every outer loop carries a dependence
        "#]],
    );
    // No row waits for another one: none runs behind.
    let rows = "
        scop rows()
        inout A: float64[1000, 1000]
        stmt A[i, j]
          domain { A[i, j] : 0 <= i < 1000 and 0 < j < 1000 }
          A[i, j] = A[i, j] + A[i, j - 1]
    ";
    check(
        rows,
        &[],
        2,
        expect![[r#"
        unroll A.i by 8 as io iu
        parallel A.io
        # scheduler: A: not vectorised: no loop without dependences writes neighbouring elements
    "#]],
    );
    let turned = "
        scop turned()
        inout A: float64[1000, 1000]
        stmt A[i, j]
          domain { A[i, j] : 0 < i < 1000 and 0 < j < 1000 }
          A[i, j] = A[j, i - 1] + A[i, j - 1]
    ";
    check(
        turned,
        &[],
        2,
        expect![[r#"
        # scheduler: turned: kept the order of the source: isl's schedule skews loops, which costs more than it gives on a CPU
        # scheduler: A: rows not side by side: its elements need others at distances that change
        # scheduler: A: not vectorised: no loop without dependences writes neighbouring elements
        # scheduler: A: not parallel: every outer loop carries a dependence
    "#]],
    );
}

#[test]
fn nests_that_use_a_row_again_share_its_loop() {
    let rows = |n: u32, d: u32| {
        format!(
            "
        scop softmax()
        input X: float32[{n}, {d}]
        temporary S: float32[{n}]
        temporary E: float32[{n}, {d}]
        output Y: float32[{n}, {d}]
        stmt S0[i]
          domain {{ S0[i] : 0 <= i < {n} }}
          S[i] = 0f32
        stmt S1[i, j]
          domain {{ S1[i, j] : 0 <= i < {n} and 0 <= j < {d} }}
          S[i] sum= X[i, j] * X[i, j]
        stmt E[i, j]
          domain {{ E[i, j] : 0 <= i < {n} and 0 <= j < {d} }}
          E[i, j] = X[i, j] / S[i]
        stmt Y[i, j]
          domain {{ Y[i, j] : 0 <= i < {n} and 0 <= j < {d} }}
          Y[i, j] = E[i, j] * X[i, j]
    "
        )
    };
    check(
        &rows(4096, 1000),
        &[],
        2,
        expect![[r#"
            fuse S0 S1 depth 1
            fuse S0 E depth 1
            fuse S0 Y depth 1
            parallel S0.i
            vectorise S1.j by 64 as jo jv
            vectorise E.j by 64 as jo jv
            vectorise Y.j by 64 as jo jv
            store E at S0.i in stack
            prefetch X at S0.i ahead 1
            # scheduler: E: not streamed: `E`: other accesses to it find it in a cache
            # scheduler: Y: not streamed: `Y`: its rows of 4000 bytes begin and end within lines
        "#]],
    );
    // A row that no cache holds, and too few of them.
    check(
        &rows(64, 1_000_000),
        &[],
        2,
        expect![[r#"
            inline E
            fuse S0 S1 depth 1
            vectorise S1.j by 64 as jo jv
            parallel S0.i
            vectorise Y.j by 64 as jo jv
            parallel Y.i
            stream Y
            # scheduler: S0, S1, E: not fused: the 8000004 bytes of one iteration of the loops they could share would not stay in the second cache
        "#]],
    );
    check(
        &rows(3, 100_000),
        &[],
        2,
        expect![[r#"
            inline E
            fuse S0 S1 depth 1
            vectorise S1.j by 64 as jo jv
            parallel S0.i
            vectorise Y.j by 64 as jo jv
            reorder Y.jo Y.i
            parallel Y.jo
            # scheduler: Y: not streamed: `Y`: all 2400012 bytes of the loop's tensors may stay in the last cache
        "#]],
    );
}

const CORNERS: &str = "
    scop corners(H, W)
    input A: float32[H + 2, W + 2]
    input K: float32[3, 3]
    output R: float32[H, W]
    temporary S: float32[H, W]
    stmt S.init[y, x]
      domain { S.init[y, x] : 0 <= y < H and 0 <= x < W }
      S[y, x] = 0.0f32
    stmt S.update[y, x, i, j]
      domain { S.update[y, x, i, j] : 0 <= y < H and 0 <= x < W and 0 <= i < 3 and 0 <= j < 3 }
      S[y, x] sum= A[y + i, x + j] * K[i, j]
    stmt R[y, x]
      domain { R[y, x] : 0 <= y < H and 0 <= x < W }
      R[y, x] = S[y, x] * S[y, x]
";

#[test]
fn a_reduction_over_neighbours_is_written_out_where_it_is_read() {
    check(
        CORNERS,
        &[1000, 1000],
        1,
        expect![[r#"
        inline S
        vectorise R.x by 16 as xo xv
        # scheduler: R: rows not copied out: rows share too few of their loads for copies to pay
        # scheduler: R: not streamed: `R`: its rows of 4000 bytes begin and end within lines
    "#]],
    );
    // More terms than registers hold; read again by its neighbours; a part of the result.
    let wide =
        CORNERS.replace("i < 3 and 0 <= j < 3", "i < 6 and 0 <= j < 6").replace("K: float32[3, 3]", "K: float32[6, 6]");
    let wide = wide.replace("A: float32[H + 2, W + 2]", "A: float32[H + 5, W + 5]");
    let shared = CORNERS.replace("S[y, x] * S[y, x]", "S[y, x] * S[y, W - 1 - x]");
    let returned = CORNERS.replace("temporary S", "output S");
    for text in [&wide, &shared, &returned] {
        let scop = testing::scop(&isl::Ctx::new(), text).specialise(&[1000, 1000]).expect("sizes that fit");
        let script = schedule(scop, &target(1), &Cpu).script.to_string();
        assert!(!script.contains("inline"), "{script}");
    }
}

#[test]
fn every_step_of_the_policy_has_a_reason() {
    for sizes in [[16, 256, 64], [8, 1024, 64]] {
        let attention = testing::scop(&isl::Ctx::new(), include_str!("fused/attention.scop"));
        let scheduled = schedule(attention.specialise(&sizes).expect("sizes that fit"), &target(2), &Cpu);
        assert_eq!(scheduled.reasons.len(), scheduled.script.commands().count());
        let without = scheduled.script.commands().zip(&scheduled.reasons).find(|(_, reason)| reason.is_none());
        assert!(without.is_none(), "{}", without.unwrap().0);
    }
}

/// What is computed at half the size is not computed again for each of the four that read it, in lanes that lie apart.
#[test]
fn what_is_read_at_half_the_place_stays_in_memory() {
    let enlarged = "
        scop enlarged(H, W)
        input A: float32[H, W]
        output O: float32[2*H, 2*W]
        temporary T: float32[H, W]
        stmt T[y, x]
          domain { T[y, x] : 0 <= y < H and 0 <= x < W }
          T[y, x] = A[y, x] * A[y, x]
        stmt O[y, x]
          domain { O[y, x] : 0 <= y < 2*H and 0 <= x < 2*W }
          O[y, x] = T[floor((y)/2), floor((x)/2)] + 1.0f32
    ";
    let script = |text: &str| {
        let scop = testing::scop(&isl::Ctx::new(), text).specialise(&[1000, 1000]).expect("sizes that fit");
        schedule(scop, &target(1), &Cpu).script.to_string()
    };
    assert!(!script(enlarged).contains("inline"), "{}", script(enlarged));
    let same = enlarged.replace("2*", "").replace("floor((y)/2), floor((x)/2)", "y, x");
    assert!(script(&same).contains("inline T"), "{}", script(&same));
}

#[test]
fn what_stays_as_it_is_says_why() {
    let stencil = "
        scop f(N)
        inout A: float64[N, N]
        stmt A[i, j]
          domain { A[i, j] : 0 < i < N - 1 and 0 < j < N - 1 }
          A[i, j] = A[i - 1, j] + A[i, j - 1] + A[i + 1, j] + A[i, j + 1]
    ";
    check(
        stencil,
        &[1000],
        2,
        expect![[r#"
            skew A.j by 1 of A.i as j
            unroll A.i by 8 as io iu
            # scheduler: A: not vectorised: no loop without dependences writes neighbouring elements
            # scheduler: A: not parallel: every outer loop carries a dependence
        "#]],
    );
}

#[track_caller]
fn replays(scop: &Scop, target: &Target, policy: &dyn Policy) {
    let scheduled = schedule(scop.clone(), target, policy);
    let text = scheduled.script.to_string();
    let script: Script = text.parse().expect("our own text");
    let again = schedule(scop.clone(), target, &script);
    assert_eq!(again.script.to_string(), text, "{} of {}", policy.name(), scop.name);
    assert_eq!(again.scop.to_string(), scheduled.scop.to_string(), "{} of {}", policy.name(), scop.name);
}

#[test]
fn every_program_is_scheduled_legally_and_replays() {
    for scop in testing::programs(&isl::Ctx::new()) {
        for policy in [&SourceOrder as &dyn Policy, &Cpu] {
            replays(&scop, &target(2), policy);
        }
        for (_, fusion) in Fusion::NAMES {
            replays(&scop, &target(2), &Isl::new(fusion));
            replays(&scop, &target(2), &Fused { fusion });
        }
    }
}

#[test]
fn every_target_gets_a_legal_schedule() {
    let ctx = isl::Ctx::new();
    for text in TARGETS {
        let target = Target::from_toml(text).expect("a target");
        for (scop, sizes) in [(testing::matmul(&ctx), [33, 70, 40].as_slice()), (testing::conv3x3(&ctx), &[40, 50])] {
            replays(&scop.specialise(sizes).expect("sizes that fit"), &target, &Cpu);
        }
    }
}

#[test]
fn out_of_budget_is_a_remark() {
    let ctx = isl::Ctx::new();
    let session = |operations| {
        let options = Options { operations, ..Options::default() };
        Session::with_options(testing::triangular_solve(&ctx), &target(2), options).ok()
    };
    // The smallest of these budgets that the dependences fit into: too small for a scheduler.
    let mut session = (8..).find_map(|bits| session(1 << bits)).expect("some budget is enough");
    for policy in [&Cpu as &dyn Policy, &Isl::default()] {
        policy.schedule(&mut session).expect("never fails");
    }
    let is_about_order = |remark: &support::Remark| remark.what.contains("order of the source");
    let has_order = session.script().to_string().starts_with("order");
    assert!(!has_order || !session.remarks().iter().any(is_about_order), "{}", session.script());
    assert!(!session.remarks().is_empty());
}

#[test]
fn strict_keeps_the_order_of_a_reduction() {
    let scop = testing::scop(&isl::Ctx::new(), MATMUL).specialise(&[64, 64, 64]).expect("sizes");
    let options = Options { strict: true, ..Options::default() };
    let mut session = Session::with_options(scop, &target(2), options).expect("a session");
    Cpu.schedule(&mut session).expect("a policy that takes what it gets");
    session.finish().expect("legal");
}

#[test]
fn random_programs_are_scheduled_legally() {
    let ctx = isl::Ctx::new();
    for seed in 0..16 {
        schedule(testing::random(&ctx, seed), &target(2), &Cpu);
    }
    for (at, (_, fusion)) in Fusion::NAMES.into_iter().enumerate() {
        for seed in 16..20 {
            schedule(testing::random(&ctx, seed), &target(2), &Isl::new(fusion));
            schedule(testing::random(&ctx, seed + 4 * at as u64), &target(2), &Fused { fusion });
        }
    }
}

/// What a script with `auto` is recorded as, on a program for fixed sizes; orders by their first line, with remarks.
#[track_caller]
fn check_auto(scop: &Scop, script: &str, expected: Expect) {
    let mut session = Session::new(scop.clone(), &target(8)).expect("a session");
    let script: Script = script.parse().expect("a script");
    session.replay_with(&script, &Cpu).unwrap_or_else(|refused| panic!("{refused}"));
    let scheduled = session.finish().expect("legal");
    let mut out = scheduled.script.to_string();
    if let (Some(from), Some(to)) = (out.find("order {\n"), out.find("\n}")) {
        out.replace_range(from + 7..to + 2, " … }");
    }
    for remark in &scheduled.remarks {
        out += &format!("# {remark}\n");
    }
    expected.assert_eq(&out);

    let mut again = Session::new(scop.clone(), &target(8)).expect("a session");
    again.replay(&scheduled.script).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(again.script().to_string(), scheduled.script.to_string(), "the record needs no policy");
    assert_eq!(again.scop().to_string(), scheduled.scop.to_string());
}

fn specialised(name: &str, sizes: &[i64]) -> Scop {
    testing::program(&isl::Ctx::new(), name).specialise(sizes).expect("sizes that fit")
}

#[test]
fn auto_alone_is_the_whole_policy() {
    let matmul = specialised("matmul", &[64, 64, 64]);
    let whole = schedule(matmul.clone(), &target(8), &Cpu).script;
    let mut session = Session::new(matmul, &target(8)).expect("a session");
    session.replay_with(&"auto\n".parse().expect("a script"), &Cpu).expect("legal");
    assert_eq!(session.script(), &whole);
    assert!(session.script().to_string().starts_with("# auto: "), "{}", session.script());
}

#[test]
fn auto_takes_what_is_left_and_nothing_else() {
    let matmul = specialised("matmul", &[256, 256, 256]);
    check_auto(
        &matmul,
        "# by hand\nsplit C.update.k by 64 as ko ki\nauto\nreorder C.update.ko C.update.m\n",
        expect![[r#"
            # by hand
            split C.update.k by 64 as ko ki
            # auto: 1 command
            vectorise C.init.n by 64 as no nv
            reorder C.update.ko C.update.m
            # scheduler: C.init: not parallel: about 8200 cycles of work are less than threads are worth
        "#]],
    );
    check_auto(
        &matmul,
        "auto C.update\nparallel C.init.m\n",
        expect![[r#"
            # auto C.update: 5 commands
            vectorise C.update.n by 64 as no nv
            unroll C.update.k by 2 as ko ku
            unroll C.update.m by 6 as mo mu
            parallel C.update.mo
            separate C.update.mo
            parallel C.init.m
            # scheduler: C.update: not packed: `B` is near enough as it is: its rows are 1024 bytes apart
        "#]],
    );
    check_auto(
        &matmul,
        "parallel C.init.m\nauto C.init\n",
        expect![[r#"
        parallel C.init.m
        # scheduler: C.init: nothing done for `auto`: commands have changed its nest: schedule it by hand
    "#]],
    );
    check_auto(
        &matmul,
        "tile C.update.m C.update.n by 8 8\nparallel C.init.m\nauto\n",
        expect![[r#"
        tile C.update.m C.update.n by 8 8 as mo no / mi ni
        parallel C.init.m
    "#]],
    );
}

#[test]
fn auto_orders_the_nests_that_are_left_by_themselves() {
    let text = "
        scop two(N)
        context { : N > 0 }
        input A: float32[N, N]
        output B: float32[N, N]
        output C: float32[N, N]
        output D: float32[N]
        stmt B[i, j]
          domain { B[i, j] : 0 <= i < N and 0 <= j < N }
          B[i, j] = A[i, j] + 1.0f32
        stmt C[i, j]
          domain { C[i, j] : 0 <= i < N and 0 <= j < N }
          C[i, j] = A[i, j] * 2.0f32
        stmt D[i]
          domain { D[i] : 0 <= i < N }
          D[i] = A[i, 0]
        source
          for i
            for j
              B
              C
          for i
            D
    ";
    let scop = testing::scop(&isl::Ctx::new(), text).specialise(&[512]).expect("sizes that fit");
    check_auto(
        &scop,
        "split D.i by 8 as io ii\nauto\n",
        expect![[r#"
            split D.i by 8 as io ii
            # auto: 5 commands
            order { … }
            fuse C B depth 1
            parallel C.i
            vectorise C.j by 64 as jo jv
            vectorise B.j by 64 as jo jv
            # scheduler: C: not streamed: `C`: all 2097152 bytes of the loop's tensors may stay in the last cache
            # scheduler: B: not streamed: `B`: all 2097152 bytes of the loop's tensors may stay in the last cache
        "#]],
    );
}

#[test]
fn auto_knows_its_statements() {
    let mut session = Session::new(specialised("matmul", &[8, 8, 8]), &target(1)).expect("a session");
    let refused = session.replay_with(&"\nauto C.updat\n".parse().expect("a script"), &Cpu).expect_err("a slip");
    expect!["line 2: `auto C.updat` refused: there is no statement `C.updat`; did you mean `C.update`? (statements: C.init, C.update)"].assert_eq(&refused.to_string());
    let remarked = {
        session.replay_with(&"parallel C.init.m\nauto\n".parse().expect("a script"), &Isl::default()).expect("legal");
        session.remarks().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    expect!["script: matmul: nothing done for `auto`: the policy `isl-min` takes whole programs only"]
        .assert_eq(&remarked);
}

const BLUR: &str = "
    scop blur(C, H, W)
    input I: uint8[C, H + 2, W]
    output T: float32[C, H + 2, W]
    output O: uint8[C, H, W]
    stmt T[c, y, x]
      domain { T[c, y, x] : 0 <= c < C and 0 <= y < H + 2 and 0 <= x < W }
      T[c, y, x] = float32(I[c, y, x]) * 0.5f32
    stmt O[c, y, x]
      domain { O[c, y, x] : 0 <= c < C and 0 <= y < H and 0 <= x < W }
      O[c, y, x] = uint8(T[c, y, x] + T[c, y + 2, x])
    source
      for c
        for y
          for x
            T
      for c
        for y
          for x
            O
";

#[test]
fn a_picture_that_is_larger_than_the_caches_is_passed_on_row_by_row() {
    check(
        BLUR,
        &[3, 1000, 2000],
        1,
        expect![[r#"
            fuse T O depth 2 shift 0 2
            vectorise T.x by 64 as xo xv
            vectorise O.x by 64 as xo xv
            # scheduler: T: not streamed: `T`: other accesses to it find it in a cache
            # scheduler: O: not streamed: `O`: its rows of 2000 bytes begin and end within lines
        "#]],
    );
}

#[test]
fn what_only_the_next_stage_reads_is_folded_in_strips() {
    let blur = BLUR.replace("output T", "temporary T");
    check(
        &blur,
        &[3, 1000, 2000],
        1,
        expect![[r#"
            inline T
            vectorise O.x by 16 as xo xv
            unroll O.y by 4 as yo yu
            # scheduler: O: not streamed: `O`: its rows of 2000 bytes begin and end within lines
        "#]],
    );
    check(
        &blur,
        &[3, 1000, 2000],
        2,
        expect![[r#"
            inline T
            vectorise O.x by 16 as xo xv
            unroll O.y by 4 as yo yu
            reorder O.yo O.c O.xo
            parallel O.yo
            # scheduler: O: not streamed: `O`: its rows of 2000 bytes begin and end within lines
        "#]],
    );
    check(
        &blur,
        &[16, 1000, 2000],
        8,
        expect![[r#"
        fuse T O depth 2 shift 0 2
        fold T dim 1 by 4
        parallel T.c
        vectorise T.x by 64 as xo xv
        vectorise O.x by 64 as xo xv
        # scheduler: T: not streamed: `T`: other accesses to it find it in a cache
        # scheduler: O: not streamed: `O`: its rows of 2000 bytes begin and end within lines
    "#]],
    );
}

#[test]
fn rows_that_wait_for_each_other_are_not_fused_at_the_cost_of_threads() {
    check(
        BLUR,
        &[3, 1000, 2000],
        8,
        expect![[r#"
            vectorise T.x by 64 as xo xv
            reorder T.y T.c T.xo
            parallel T.y
            vectorise O.x by 16 as xo xv
            reorder O.y O.c O.xo
            parallel O.y
            # scheduler: T, O: rows not fused: rows would wait for each other, and 3 iterations of the loops outside do not keep 8 threads busy
            # scheduler: T, O: not fused: the 12020000 bytes of one iteration of the loops they could share would not stay in the second cache
            # scheduler: T: not streamed: `T`: other accesses to it find it in a cache
            # scheduler: O: rows not copied out: loads that rows share would cost less, but memory takes longer than they do
            # scheduler: O: not streamed: `O`: its rows of 2000 bytes begin and end within lines
        "#]],
    );
    check(
        BLUR,
        &[16, 1000, 2000],
        8,
        expect![[r#"
            fuse T O depth 2 shift 0 2
            parallel T.c
            vectorise T.x by 64 as xo xv
            vectorise O.x by 64 as xo xv
            # scheduler: T: not streamed: `T`: other accesses to it find it in a cache
            # scheduler: O: not streamed: `O`: its rows of 2000 bytes begin and end within lines
        "#]],
    );
}

#[test]
fn a_picture_that_stays_in_the_cache_is_passed_on_whole() {
    check(
        BLUR,
        &[3, 100, 200],
        1,
        expect![[r#"
            vectorise T.x by 16 as xo xv
            vectorise O.x by 16 as xo xv
            unroll O.y by 4 as yo yu
        "#]],
    );
}

const WINDOW: &str = "
    scop window(H, W)
    input I: uint8[H + 2, W + 2]
    output O: uint8[H, W]
    stmt O[y, x]
      domain { O[y, x] : 0 <= y < H and 0 <= x < W }
      O[y, x] = uint8(sqrt(float32(I[y, x]) * 0.5f32 + float32(I[y + 1, x]) * 0.25f32 + float32(I[y + 2, x]) * 0.5f32 \
        + float32(I[y, x + 1]) * 0.25f32 + float32(I[y + 1, x + 1]) * 0.5f32 + float32(I[y + 2, x + 1]) * 0.125f32))
";

#[test]
fn rows_of_a_window_share_loads_and_conversions() {
    check(
        WINDOW,
        &[2000, 2000],
        1,
        expect![[r#"
            vectorise O.x by 16 as xo xv
            unroll O.y by 4 as yo yu
            # scheduler: O: not streamed: `O`: its rows of 2000 bytes begin and end within lines
        "#]],
    );
}

#[test]
fn a_stencil_that_waits_for_memory_is_left_as_it_is() {
    let text = WINDOW.replace("sqrt", "").replace("float32", "uint8").replace("f32", "u8");
    let text = text.replace(" * 0.5u8", "").replace(" * 0.25u8", "").replace(" * 0.125u8", "");
    check(
        &text,
        &[4000, 4000],
        1,
        expect![[r#"
            vectorise O.x by 64 as xo xv
            # scheduler: O: rows not copied out: loads that rows share would cost less, but memory takes longer than they do
            # scheduler: O: not streamed: `O`: its rows of 4000 bytes begin and end within lines
        "#]],
    );
}

#[test]
fn subscripts_that_a_border_clamps_count_as_neighbours() {
    let text = "
        scop clamp(N)
        context { : N > 0 }
        input A: float32[N]
        output B: float32[N]
        stmt B[i]
          domain { B[i] : 0 <= i < N }
          B[i] = A[max(i, 1) - 1] + A[min(i + 1, N - 1)]
    ";
    check(
        text,
        &[1000],
        1,
        expect![[r#"
            vectorise B.i by 64 as io iv
        "#]],
    );
}

#[test]
fn bytes_have_no_more_lanes_than_vectors_can() {
    let text = "
        scop negative(H, W)
        input I: uint8[H, W]
        output O: uint8[H, W]
        stmt O[y, x]
          domain { O[y, x] : 0 <= y < H and 0 <= x < W }
          O[y, x] = uint8(255u8 - I[y, x])
    ";
    check(
        text,
        &[2112, 3520],
        1,
        expect![[r#"
            vectorise O.x by 128 as xo xv
            stream O
        "#]],
    );
}

/// What shares loops by each strategy: the names of the statements of each nest at the top.
#[track_caller]
fn check_fusion(scop: &Scop, expected: Expect) {
    let mut out = String::new();
    for (name, fusion) in Fusion::NAMES {
        let scheduled = schedule(scop.clone(), &target(2), &Isl::new(fusion));
        let nests = match &scheduled.scop.tree.root {
            polyhedral::Node::Sequence(children) => children.iter().map(|child| child.filter.clone()).collect(),
            _ => vec![scheduled.scop.domain().expect("instances")],
        };
        let holds = |nest: &isl::UnionSet, stmt: &polyhedral::Stmt| {
            let own = stmt.domain.to_union_set().and_then(|own| own.intersect(nest)).and_then(|own| own.is_empty());
            !own.expect("a set")
        };
        let names = |nest: &isl::UnionSet| {
            let own = scheduled.scop.stmts.values().filter(|stmt| holds(nest, stmt));
            own.map(|stmt| stmt.name.clone()).collect::<Vec<_>>().join(" ")
        };
        out += &format!("{name}: {}\n", nests.iter().map(names).collect::<Vec<_>>().join(" | "));
    }
    expected.assert_eq(&out);
}

/// Parallel in both loops, twice; a column of them; its prefix sums, one after another; and what is parallel again.
#[test]
fn strategies_of_fusion_differ_in_what_shares_loops() {
    let text = "
        scop f(N)
        input A: float32[N, N]
        input V: float32[N]
        output B: float32[N, N]
        output C: float32[N, N]
        output S: float32[N]
        inout P: float32[N]
        output Q: float32[N]
        stmt B[i, j]
          domain { B[i, j] : 0 <= i < N and 0 <= j < N }
          B[i, j] = 2.0f32 * A[i, j]
        stmt C[i, j]
          domain { C[i, j] : 0 <= i < N and 0 <= j < N }
          C[i, j] = B[i, j] + 1.0f32
        stmt S[i]
          domain { S[i] : 0 <= i < N }
          S[i] = C[i, 0] * V[i]
        stmt P[i]
          domain { P[i] : 1 <= i < N }
          P[i] = P[i - 1] + S[i]
        stmt Q[i]
          domain { Q[i] : 0 <= i < N }
          Q[i] = P[i] * V[i]
    ";
    let scop = testing::scop(&isl::Ctx::new(), text).specialise(&[64]).expect("sizes");
    check_fusion(
        &scop,
        expect![[r#"
            none: B | C | S | P | Q
            smart: B C | S P Q
            typed: B C S | P | Q
            three-coincident: B C S | P | Q
            max: B C S P Q
        "#]],
    );
}
