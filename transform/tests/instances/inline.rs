use expect_test::expect;

use crate::programs::{BLUR, ROWS, WINDOWS, preview};

#[test]
fn a_producer_moves_into_its_reader() {
    expect![[r#"
        scop blur(N)
        context { : N >= 5 }
        input A: float32[N]
        output B: float32[N - 4 from 2]
        stmt B[i]
          domain { B[i] : 2 <= i <= -3 + N }
          B[i] = A[i - 2] + A[i - 1] + A[i] + (A[i - 1] + A[i] + A[i + 1]) + (A[i] + A[i + 1] + A[i + 2])
        source none
        tree
          band permutable
            B.i = { B[i] -> [(i)] } coincident
        origin identity
    "#]]
    .assert_eq(&preview(BLUR, "inline T").to_string());
    expect![[r#"
        scop rows(M, N)
        context { : M > 0 and N > 0 }
        input A: float32[M, N]
        output R: float32[M, N]
        temporary S: float32[M]
        stmt S.init[m]
          domain { S.init[m] : 0 <= m < M }
          S[m] = 0.0f32
        stmt S.update[m, n]
          domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
          S[m] sum= exp(A[m, n])
        stmt R[m, n]
          domain { R[m, n] : 0 <= m < M and 0 <= n < N }
          R[m, n] = exp(A[m, n]) / S[m]
        source none
        tree
          sequence
            filter { S.init[m] }
              band permutable
                S.init.m = { S.init[m] -> [(m)] } coincident
            filter { S.update[m, n] }
              band permutable
                S.update.m = { S.update[m, n] -> [(m)] } coincident
                S.update.n = { S.update[m, n] -> [(n)] }
            filter { R[m, n] }
              band permutable
                R.m = { R[m, n] -> [(m)] } coincident
                R.n = { R[m, n] -> [(n)] } coincident
        origin identity
    "#]]
    .assert_eq(&preview(ROWS, "inline E").to_string());
}

#[test]
fn a_reduction_of_a_few_terms_is_written_out_in_its_reader() {
    expect![[r#"
        scop windows(H, W)
        context { : H >= 3 and W >= 3 }
        input A: float32[H, W]
        output R: float32[H - 2, W - 2]
        stmt R[y, x]
          domain { R[y, x] : 0 <= y <= -3 + H and 0 <= x <= -3 + W }
          R[y, x] = 0.0f32 + A[y, x] * A[y, x] + A[y, x + 1] * A[y, x + 1] + A[y, x + 2] * A[y, x + 2] + A[y + 1, x] * A[y + 1, x] + A[y + 1, x + 1] * A[y + 1, x + 1] + A[y + 1, x + 2] * A[y + 1, x + 2] + A[y + 2, x] * A[y + 2, x] + A[y + 2, x + 1] * A[y + 2, x + 1] + A[y + 2, x + 2] * A[y + 2, x + 2] - max(max(A[y, x], A[y, x + 1]), A[y, x + 2]) * (0.0f32 + A[y, x] * A[y, x] + A[y, x + 1] * A[y, x + 1] + A[y, x + 2] * A[y, x + 2] + A[y + 1, x] * A[y + 1, x] + A[y + 1, x + 1] * A[y + 1, x + 1] + A[y + 1, x + 2] * A[y + 1, x + 2] + A[y + 2, x] * A[y + 2, x] + A[y + 2, x + 1] * A[y + 2, x + 1] + A[y + 2, x + 2] * A[y + 2, x + 2])
        source none
        tree
          band permutable
            R.y = { R[y, x] -> [(y)] } coincident
            R.x = { R[y, x] -> [(x)] } coincident
        origin identity
    "#]].assert_eq(&preview(WINDOWS, "inline S\ninline M").to_string());
}
