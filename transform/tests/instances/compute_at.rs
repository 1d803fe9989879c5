use expect_test::expect;

use crate::programs::{BLUR, BLUR2, ROWS, preview};

#[test]
fn what_a_tile_reads_is_computed_in_it() {
    expect![[r#"
        scop blur(N)
        context { : N >= 5 }
        input A: float32[N]
        output B: float32[N - 4 from 2]
        temporary T: float32[N - 2 from 1]
        stmt T[io, i]
          domain { T[io, i] : 32io <= -3 + N and i >= -1 + 32io and 0 < i <= 32 + 32io and i <= -2 + N }
          T[i] = A[i - 1] + A[i] + A[i + 1]
        stmt B[i]
          domain { B[i] : 2 <= i <= -3 + N }
          B[i] = T[i - 1] + T[i] + T[i + 1]
        source none
        tree
          band
            B.io = { B[i] -> [(floor((i)/32))]; T[io, i] -> [(io)] } coincident
            sequence
              filter { T[io, i] }
                band
                  T.i = { T[io, i] -> [(i)] }
              filter { B[i] }
                band
                  B.ii = { B[i] -> [(i)] } coincident
        origin { B[i] -> B[i' = i] : 2 <= i <= -3 + N; T[io, i] -> T[i' = i] : 32io <= -3 + N and i >= -1 + 32io and 0 < i <= 32 + 32io and i <= -2 + N }
    "#]].assert_eq(&preview(BLUR, "split B.i by 32 as io ii\ncompute T at B.io").to_string());
    expect![[r#"
        scop blur2(H, W)
        context { : H >= 3 and W >= 3 }
        input A: float32[H, W]
        output B: float32[H - 2 from 1, W - 2 from 1]
        temporary T: float32[H, W - 2 from 1]
        stmt T[yo, y, x]
          domain { T[yo, y, x] : yo >= 0 and 32yo <= -2 + H and y >= -1 + 32yo and 0 <= y <= 32 + 32yo and y < H and 0 < x <= -2 + W }
          T[y, x] = A[y, x - 1] + A[y, x] + A[y, x + 1]
        stmt B[y, x]
          domain { B[y, x] : 0 < y <= -2 + H and 0 < x <= -2 + W }
          B[y, x] = T[y - 1, x] + T[y, x] + T[y + 1, x]
        source none
        tree
          band
            B.yo = { B[y, x] -> [(floor((y)/32))]; T[yo, y, x] -> [(yo)] } coincident
            B.xo = { B[y, x] -> [(floor((x)/64))]; T[yo, y, x] -> [(floor((x)/64))] } coincident
            sequence
              filter { T[yo, y, x] }
                band
                  T.y = { T[yo, y, x] -> [(y)] }
                  T.x = { T[yo, y, x] -> [(x)] }
              filter { B[y, x] }
                band
                  B.yi = { B[y, x] -> [(y)] } coincident
                  B.xi = { B[y, x] -> [(x)] } coincident
        origin { B[y, x] -> B[y' = y, x' = x] : 0 < y <= -2 + H and 0 < x <= -2 + W; T[yo, y, x] -> T[y' = y, x' = x] : yo >= 0 and 32yo <= -2 + H and y >= -1 + 32yo and 0 <= y <= 32 + 32yo and y < H and 0 < x <= -2 + W }
    "#]].assert_eq(&preview(BLUR2, "tile B.y B.x by 32 64 as yo xo / yi xi\ncompute T at B.xo").to_string());
    expect![[r#"
        scop rows(M, N)
        context { : M > 0 and N > 0 }
        input A: float32[M, N]
        output R: float32[M, N]
        temporary E: float32[M, N]
        temporary S: float32[M]
        stmt E[m, n]
          domain { E[m, n] : 0 <= m < M and 0 <= n < N }
          E[m, n] = exp(A[m, n])
        stmt S.init[m]
          domain { S.init[m] : 0 <= m < M }
          S[m] = 0.0f32
        stmt S.update[m, n]
          domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
          S[m] sum= E[m, n]
        stmt R[m, n]
          domain { R[m, n] : 0 <= m < M and 0 <= n < N }
          R[m, n] = E[m, n] / S[m]
        source none
        tree
          sequence
            filter { E[m, n] }
              band permutable
                E.m = { E[m, n] -> [(m)] } coincident
                E.n = { E[m, n] -> [(n)] } coincident
            filter { R[m, n]; S.init[m]; S.update[m, n] }
              band
                R.m = { R[m, n] -> [(m)]; S.init[m] -> [(m)]; S.update[m, n] -> [(m)] } coincident
                sequence
                  filter { S.init[m] }
                  filter { S.update[m, n] }
                    band
                      S.update.n = { S.update[m, n] -> [(n)] }
                  filter { R[m, n] }
                    band
                      R.n = { R[m, n] -> [(n)] } coincident
        origin identity
    "#]]
    .assert_eq(&preview(ROWS, "compute S at R.m").to_string());
}
