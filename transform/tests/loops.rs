//! Skew, shift, reverse, cut, peel, separate, bind, and what fuse and distribute do below the top: the tree after each.

mod common;

use common::{check, check_program};
use expect_test::expect;

/// In place, each point from the one above and to the right: distance (1, -1).
const SKEWED: &str = "
scop skewed(N)
context { : N > 2 }
inout A: float32[N, N]
stmt A[i, j]
  domain { A[i, j] : 0 < i < N and 0 <= j < N - 1 }
  A[i, j] = A[i - 1, j + 1]
";

/// A producer and a consumer that reads the next two elements, inside a loop over rows.
const ROWS: &str = "
scop rows(M, N)
context { : M > 0 and N > 2 }
input A: float32[M, N]
output B: float32[M, N]
output C: float32[M, N]
stmt B[i, j]
  domain { B[i, j] : 0 <= i < M and 0 <= j < N }
  B[i, j] = A[i, j] + 1.0f32
stmt C[i, j]
  domain { C[i, j] : 0 <= i < M and 0 <= j < N - 2 }
  C[i, j] = B[i, j] * B[i, j + 2]
source
  for i
    for j
      B
    for j
      C
";

/// Three nests; the one in the middle has nothing to do with the others.
const INDEPENDENT: &str = "
scop independent(N)
context { : N > 2 }
input A: float32[N]
output B: float32[N]
output C: float32[N]
output D: float32[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = A[i]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = A[i] * 2.0f32
stmt D[i]
  domain { D[i] : 0 <= i < N }
  D[i] = B[i] * 3.0f32
";

#[test]
fn skew_makes_a_nest_permutable() {
    check_program(
        SKEWED,
        "skew A.j by 1 of A.i\ntile A.i A.j by 8 16\nreorder A.jo A.io",
        expect![[r#"
            band
              A.jo = { A[i, j] -> [(floor((i + j)/16))] }
              A.io = { A[i, j] -> [(floor((i)/8))] }
              A.ii = { A[i, j] -> [(i)] }
              A.ji = { A[i, j] -> [(i + j)] } coincident
            ---
            skew A.j by 1 of A.i as j
            tile A.i A.j by 8 16 as io jo / ii ji
            reorder A.jo A.io
        "#]],
    );
}

#[test]
fn skew_by_an_inner_loop_is_a_wavefront() {
    check(
        "stencil",
        "skew A.i by 1 of A.j as t\nparallel A.j",
        expect![[r#"
        band
          A.t = { A[i, j] -> [(i + j)] }
          A.j = { A[i, j] -> [(j)] } parallel
        ---
        skew A.i by 1 of A.j as t
        parallel A.j
    "#]],
    );
}

#[test]
fn shift_moves_all_statements_or_some() {
    check_program(
        ROWS,
        "fuse B C depth 1 shift 3\nshift B.i by -3\nshift B.j by 1",
        expect![[r#"
        band permutable
          B.i = { B[i, j] -> [(-3 + i)]; C[i, j] -> [(-3 + i)] } coincident
          band
            B.j = { B[i, j] -> [(1 + j)]; C[i, j] -> [(4 + j)] }
            sequence
              filter { B[i, j] }
              filter { C[i, j] }
        ---
        fuse B C depth 1 shift 3
        shift B.i by -3
        shift B.j by 1
    "#]],
    );
    check(
        "strided",
        "shift B.even.i by 2\nfuse B.even B.odd\nshift B.even.i by -1 for B.odd",
        expect![[r#"
        band
          B.even.i = { B.even[i] -> [(2 + i)]; B.odd[i] -> [(-1 + i)] }
          sequence
            filter { B.even[i] }
            filter { B.odd[i] }
        ---
        shift B.even.i by 2
        fuse B.even B.odd depth 1
        shift B.even.i by -1 for B.odd
    "#]],
    );
}

#[test]
fn fuse_runs_a_shallow_nest_in_one_iteration_of_a_deep_one() {
    let text = "
        scop sums(M, K)
        context { : M > 0 and K > 2 }
        input A: float32[M, K]
        output S: float32[M]
        output D: float32[M]
        stmt S.init[i]
          domain { S.init[i] : 0 <= i < M }
          S[i] = 0.0f32
        stmt S.update[i, k]
          domain { S.update[i, k] : 0 <= i < M and 2 <= k < K }
          S[i] sum= A[i, k]
        stmt D[i]
          domain { D[i] : 0 <= i < M }
          D[i] = S[i] * 2.0f32
    ";
    check_program(
        text,
        "fuse S.init S.update depth 2\nfuse S.update D depth 2\ndistribute S.update.k",
        expect![[r#"
            band
              S.init.i = { D[i] -> [(i)]; S.init[i] -> [(i)]; S.update[i, k] -> [(i)] }
              sequence
                filter { S.init[i] }
                  band
                    S.update.k = { S.init[i] -> [(2)] }
                filter { S.update[i, k] }
                  band
                    S.update.k2 = { S.update[i, k] -> [(k)] }
                filter { D[i] }
                  band
                    D.k = { D[i] -> [(-1 + K)] : K >= 4; D[i] -> [(2)] : K <= 3 }
            ---
            fuse S.init S.update depth 2
            fuse S.update D depth 2
            distribute S.update.k
        "#]],
    );
}

#[test]
fn reverse_runs_a_loop_backwards() {
    check(
        "matmul",
        "reverse C.update.k\nsplit C.update.k by 4",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] }
            band
              C.update.m = { C.update[m, n, k] -> [(m)] } coincident
              C.update.n = { C.update[m, n, k] -> [(n)] } coincident
              C.update.ko = { C.update[m, n, k] -> [(floor((-k)/4))] }
              C.update.ki = { C.update[m, n, k] -> [(-k)] }
        ---
        reverse C.update.k
        split C.update.k by 4 as ko ki
    "#]],
    );
}

#[test]
fn cut_divides_a_loop_below_the_others() {
    check(
        "matmul",
        "cut C.update.m at 64\nparallel C.update.m2\nsplit C.update.n2 by 8",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] : m <= 63 }
            band permutable
              C.update.m = { C.update[m, n, k] -> [(m)] } coincident
              C.update.n = { C.update[m, n, k] -> [(n)] } coincident
              C.update.k = { C.update[m, n, k] -> [(k)] }
          filter { C.update[m, n, k] : m >= 64 }
            band permutable
              C.update.m2 = { C.update[m, n, k] -> [(m)] } coincident parallel
              C.update.n2o = { C.update[m, n, k] -> [(floor((n)/8))] } coincident
              C.update.n2i = { C.update[m, n, k] -> [(n)] } coincident
              C.update.k2 = { C.update[m, n, k] -> [(k)] }
        ---
        cut C.update.m at 64 as m m2
        parallel C.update.m2
        split C.update.n2 by 8 as n2o n2i
    "#]],
    );
}

#[test]
fn cut_at_a_value_of_the_loops_outside() {
    check(
        "matmul",
        "tile C.update.m C.update.n by 32 32\ncut C.update.k at min(8*mo, floor(K/2)) as near far",
        expect![[r#"
            sequence
              filter { C.init[m, n] }
                band permutable
                  C.init.m = { C.init[m, n] -> [(m)] } coincident
                  C.init.n = { C.init[m, n] -> [(n)] } coincident
              filter { C.update[m, n, k] }
                band permutable
                  C.update.mo = { C.update[m, n, k] -> [(floor((m)/32))] } coincident
                  C.update.no = { C.update[m, n, k] -> [(floor((n)/32))] } coincident
                  C.update.mi = { C.update[m, n, k] -> [(m)] } coincident
                  C.update.ni = { C.update[m, n, k] -> [(n)] } coincident
                  sequence
                    filter { C.update[m, n, k] : 2k <= -2 + K and 16*floor((m)/32) > K; C.update[m, n, k] : 8*floor((m)/32) > k and 16*floor((m)/32) <= K }
                      band permutable
                        C.update.near = { C.update[m, n, k] -> [(k)] }
                    filter { C.update[m, n, k] : 2k <= -2 + K and 8*floor((m)/32) <= k; C.update[m, n, k] : 2k >= -1 + K }
                      band permutable
                        C.update.far = { C.update[m, n, k] -> [(k)] }
            ---
            tile C.update.m C.update.n by 32 32 as mo no / mi ni
            cut C.update.k at min(8*C.update.mo, floor((K)/2)) as near far
        "#]],
    );
}

#[test]
fn peel_takes_the_first_or_the_last_iterations() {
    check(
        "prefix_sum",
        "peel S.i first 2",
        expect![[r#"
        sequence
          filter { S.first[] }
          filter { S[i] : i <= 2 }
            band permutable
              S.ip = { S[i] -> [(i)] }
          filter { S[i] : i >= 3 }
            band permutable
              S.i = { S[i] -> [(i)] }
        ---
        peel S.i first 2 as ip i
    "#]],
    );
    check(
        "triangular_solve",
        "peel x.update.j last 1 as body end",
        expect![[r#"
        band permutable
          x.init.i = { x.init[i] -> [(i)]; x.scale[i] -> [(i)]; x.update[i, j] -> [(i)] }
          sequence
            filter { x.init[i] }
            filter { x.update[i, j] : j <= -2 + i }
              band permutable
                x.update.body = { x.update[i, j] -> [(j)] }
            filter { x.update[i, j] : j = -1 + i }
              band permutable
                x.update.end = { x.update[i, j] -> [(-1 + i)] }
            filter { x.scale[i] }
        ---
        peel x.update.j last 1 as body end
    "#]],
    );
}

#[test]
fn separate_takes_whole_boxes_apart() {
    check(
        "matmul",
        "tile C.update.m C.update.n by 32 32\nvectorise C.update.ni by 8\nseparate C.update.mo C.update.no",
        expect![[r#"
            sequence
              filter { C.init[m, n] }
                band permutable
                  C.init.m = { C.init[m, n] -> [(m)] } coincident
                  C.init.n = { C.init[m, n] -> [(n)] } coincident
              filter { C.update[m, n, k] }
                band permutable
                  C.update.mo = { C.update[m, n, k] -> [(floor((m)/32))] } coincident
                  C.update.no = { C.update[m, n, k] -> [(floor((n)/32))] } coincident
                  sequence
                    filter { C.update[m, n, k] : 32*floor((M)/32) > m and 32*floor((N)/32) > n }
                      band permutable
                        C.update.mi = { C.update[m, n, k] -> [(m)] } coincident
                        C.update.nio = { C.update[m, n, k] -> [(floor((n)/8))] } coincident
                        C.update.k = { C.update[m, n, k] -> [(k)] }
                        C.update.niv = { C.update[m, n, k] -> [(n)] } coincident vector 8
                    filter { C.update[m, n, k] : 32*floor((M)/32) <= m; C.update[m, n, k] : 32*floor((N)/32) <= n }
                      band permutable
                        C.update.mip = { C.update[m, n, k] -> [(m)] } coincident
                        C.update.niop = { C.update[m, n, k] -> [(floor((n)/8))] } coincident
                        C.update.kp = { C.update[m, n, k] -> [(k)] }
                        C.update.nivp = { C.update[m, n, k] -> [(n)] } coincident vector 8
            ---
            tile C.update.m C.update.n by 32 32 as mo no / mi ni
            vectorise C.update.ni by 8 as nio niv
            separate C.update.mo C.update.no
        "#]],
    );
}

#[test]
fn separate_of_a_triangle() {
    check(
        "triangular_solve",
        "split x.update.j by 4\nseparate x.update.jo",
        expect![[r#"
        band permutable
          x.init.i = { x.init[i] -> [(i)]; x.scale[i] -> [(i)]; x.update[i, j] -> [(i)] }
          sequence
            filter { x.init[i] }
            filter { x.update[i, j] }
              band permutable
                x.update.jo = { x.update[i, j] -> [(floor((j)/4))] }
                sequence
                  filter { x.update[i, j] : 4*floor((i)/4) > j }
                    band permutable
                      x.update.ji = { x.update[i, j] -> [(j)] }
                  filter { x.update[i, j] : 4*floor((i)/4) <= j }
                    band permutable
                      x.update.jip = { x.update[i, j] -> [(j)] }
            filter { x.scale[i] }
        ---
        split x.update.j by 4 as jo ji
        separate x.update.jo
    "#]],
    );
}

#[test]
fn bind_to_axes() {
    check(
        "matmul",
        "bind C.update.m to block.x\nbind C.update.n to thread.x",
        expect![[r#"
        sequence
          filter { C.init[m, n] }
            band permutable
              C.init.m = { C.init[m, n] -> [(m)] } coincident
              C.init.n = { C.init[m, n] -> [(n)] } coincident
          filter { C.update[m, n, k] }
            band permutable
              C.update.m = { C.update[m, n, k] -> [(m)] } coincident bound block.x
              C.update.n = { C.update[m, n, k] -> [(n)] } coincident bound thread.x
              C.update.k = { C.update[m, n, k] -> [(k)] }
        ---
        bind C.update.m to block.x
        bind C.update.n to thread.x
    "#]],
    );
}

#[test]
fn fuse_finds_the_shift() {
    check_program(
        ROWS,
        "fuse B C",
        expect![[r#"
        band permutable
          B.i = { B[i, j] -> [(i)]; C[i, j] -> [(i)] } coincident
          band
            B.j = { B[i, j] -> [(j)]; C[i, j] -> [(2 + j)] }
            sequence
              filter { B[i, j] }
              filter { C[i, j] }
        ---
        fuse B C depth 1 shift 2
    "#]],
    );
}

#[test]
fn fuse_below_the_top_and_by_loops() {
    check(
        "matmul_bias_relu",
        "fuse T.init T.update depth 1\nfuse T.init.n T.update.n depth 1\nfuse T.update R depth 1\nfuse T.update R",
        expect![[r#"
        band
          T.init.m = { R[m, n] -> [(m)]; T.init[m, n] -> [(m)]; T.update[m, n, k] -> [(m)] }
          band
            T.init.n = { R[m, n] -> [(n)]; T.init[m, n] -> [(n)]; T.update[m, n, k] -> [(n)] }
            sequence
              filter { T.init[m, n] }
              filter { T.update[m, n, k] }
                band permutable
                  T.update.k = { T.update[m, n, k] -> [(k)] }
              filter { R[m, n] }
        ---
        fuse T.init T.update depth 1
        fuse T.init.n T.update.n depth 1
        fuse T.update R depth 1
        fuse T.update R depth 1
    "#]],
    );
}

#[test]
fn fuse_passes_what_is_between() {
    check_program(
        INDEPENDENT,
        "fuse B D",
        expect![[r#"
        sequence
          filter { B[i]; D[i] }
            band
              B.i = { B[i] -> [(i)]; D[i] -> [(i)] }
              sequence
                filter { B[i] }
                filter { D[i] }
          filter { C[i] }
            band permutable
              C.i = { C[i] -> [(i)] } coincident
        ---
        fuse B D depth 1
    "#]],
    );
}

#[test]
fn a_loop_in_several_pieces_is_found_by_its_statement() {
    check(
        "prefix_sum",
        "cut S.i at 9 as near far\nshift S.i by 2\npeel S.far last 2\nshift S.far by 1",
        expect![[r#"
        sequence
          filter { S.first[] }
          filter { S[i] : i <= 8 }
            band permutable
              S.near = { S[i] -> [(2 + i)] }
          filter { S[i] : 9 <= i <= -3 + N }
            band permutable
              S.far = { S[i] -> [(1 + i)] }
          filter { S[i] : i >= -2 + N and i >= 9 }
            band permutable
              S.farp = { S[i] -> [(i)] }
        ---
        cut S.i at 9 as near far
        shift S.near by 2
        peel S.far last 2 as far farp
        shift S.far by 1
    "#]],
    );
}

#[test]
fn distribute_keeps_the_loops_outside() {
    check_program(
        ROWS,
        "fuse B C\ndistribute B.j",
        expect![[r#"
        band permutable
          B.i = { B[i, j] -> [(i)]; C[i, j] -> [(i)] } coincident
          sequence
            filter { B[i, j] }
              band
                B.j = { B[i, j] -> [(j)] }
            filter { C[i, j] }
              band
                C.j = { C[i, j] -> [(2 + j)] }
        ---
        fuse B C depth 1 shift 2
        distribute B.j
    "#]],
    );
}

#[test]
fn marks_do_not_separate_loops() {
    check(
        "matmul",
        "order {
  sequence
    filter { C.init[m, n] }
      band
        a = { C.init[m, n] -> [(m)] }
        mark \"rows\"
          band
            b = { C.init[m, n] -> [(n)] }
    filter { C.update[m, n, k] }
      band
        m = { C.update[m, n, k] -> [(m)] }
        n = { C.update[m, n, k] -> [(n)] }
        k = { C.update[m, n, k] -> [(k)] }
}
fuse a m
reorder b a",
        expect![[r#"
            band
              b = { C.init[m, n] -> [(n)]; C.update[m, n, k] -> [(n)] }
              a = { C.init[m, n] -> [(m)]; C.update[m, n, k] -> [(m)] }
              sequence
                filter { C.init[m, n] }
                  mark "rows"
                filter { C.update[m, n, k] }
                  band permutable
                    k = { C.update[m, n, k] -> [(k)] }
            ---
            order {
                sequence
                  filter { C.init[m, n] }
                    band
                      a = { C.init[m, n] -> [(m)] }
                      mark "rows"
                        band
                          b = { C.init[m, n] -> [(n)] }
                  filter { C.update[m, n, k] }
                    band
                      m = { C.update[m, n, k] -> [(m)] }
                      n = { C.update[m, n, k] -> [(n)] }
                      k = { C.update[m, n, k] -> [(k)] }
            }
            fuse a m depth 2
            reorder b a
        "#]],
    );
}
