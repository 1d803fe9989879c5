use expect_test::expect;

use crate::programs::{BLUR, BLUR2, ROWS, preview};

#[test]
fn a_tile_has_a_memory_of_its_own() {
    expect![[r#"
        scop blur(N)
        context { : N >= 5 }
        input A: float32[N]
        output B: float32[N - 4 from 2]
        temporary T: float32[34] stack
        stmt T[io, i]
          domain { T[io, i] : 32io <= -3 + N and i >= -1 + 32io and 0 < i <= 32 + 32io and i <= -2 + N }
          T[-32*io + i + 1] = A[i - 1] + A[i] + A[i + 1]
        stmt B[i]
          domain { B[i] : 2 <= i <= -3 + N }
          B[i] = T[i - 32*floor((i)/32)] + T[i - 32*floor((i)/32) + 1] + T[i - 32*floor((i)/32) + 2]
        source none
        tree
          band permutable
            B.io = { B[i] -> [(floor((i)/32))]; T[io, i] -> [(io)] }
            sequence
              filter { T[io, i] }
                band permutable
                  T.i = { T[io, i] -> [(i)] } coincident
              filter { B[i] }
                band permutable
                  B.ii = { B[i] -> [(i)] } coincident
        origin { B[i] -> B[i' = i] : 2 <= i <= -3 + N; T[io, i] -> T[i' = i] : 32io <= -3 + N and i >= -1 + 32io and 0 < i <= 32 + 32io and i <= -2 + N }
    "#]].assert_eq(&preview(BLUR, "split B.i by 32 as io ii\ncompute T at B.io\nstore T at B.io").to_string());
    expect![[r#"
        scop blur2(H, W)
        context { : H >= 3 and W >= 3 }
        input A: float32[H, W]
        output B: float32[H - 2 from 1, W - 2 from 1]
        temporary T: float32[34, 64] stack
        stmt T[yo, y, x]
          domain { T[yo, y, x] : yo >= 0 and 32yo <= -2 + H and y >= -1 + 32yo and 0 <= y <= 32 + 32yo and y < H and 0 < x <= -2 + W }
          T[-32*yo + y + 1, x - 64*floor((x)/64)] = A[y, x - 1] + A[y, x] + A[y, x + 1]
        stmt B[y, x]
          domain { B[y, x] : 0 < y <= -2 + H and 0 < x <= -2 + W }
          B[y, x] = T[y - 32*floor((y)/32), x - 64*floor((x)/64)] + T[y - 32*floor((y)/32) + 1, x - 64*floor((x)/64)] + T[y - 32*floor((y)/32) + 2, x - 64*floor((x)/64)]
        source none
        tree
          band permutable
            B.yo = { B[y, x] -> [(floor((y)/32))]; T[yo, y, x] -> [(yo)] }
            B.xo = { B[y, x] -> [(floor((x)/64))]; T[yo, y, x] -> [(floor((x)/64))] } coincident
            sequence
              filter { T[yo, y, x] }
                band permutable
                  T.y = { T[yo, y, x] -> [(y)] } coincident
                  T.x = { T[yo, y, x] -> [(x)] } coincident
              filter { B[y, x] }
                band permutable
                  B.yi = { B[y, x] -> [(y)] } coincident
                  B.xi = { B[y, x] -> [(x)] } coincident
        origin { B[y, x] -> B[y' = y, x' = x] : 0 < y <= -2 + H and 0 < x <= -2 + W; T[yo, y, x] -> T[y' = y, x' = x] : yo >= 0 and 32yo <= -2 + H and y >= -1 + 32yo and 0 <= y <= 32 + 32yo and y < H and 0 < x <= -2 + W }
    "#]].assert_eq(&preview(BLUR2, "tile B.y B.x by 32 64 as yo xo / yi xi\ncompute T at B.xo\nstore T at B.xo").to_string());
    expect![[r#"
        scop rows(M, N)
        context { : M > 0 and N > 0 }
        input A: float32[M, N]
        output R: float32[M, N]
        temporary E: float32[1, N]
        temporary S: float32[1] stack
        stmt E[m, n]
          domain { E[m, n] : 0 <= m < M and 0 <= n < N }
          E[0, n] = exp(A[m, n])
        stmt S.init[m]
          domain { S.init[m] : 0 <= m < M }
          S[0] = 0.0f32
        stmt S.update[m, n]
          domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
          S[0] sum= E[0, n]
        stmt R[m, n]
          domain { R[m, n] : 0 <= m < M and 0 <= n < N }
          R[m, n] = E[0, n] / S[0]
        source none
        tree
          band permutable
            R.m = { E[m, n] -> [(m)]; R[m, n] -> [(m)]; S.init[m] -> [(m)]; S.update[m, n] -> [(m)] }
            sequence
              filter { E[m, n] }
                band permutable
                  E.n = { E[m, n] -> [(n)] } coincident
              filter { S.init[m] }
              filter { S.update[m, n] }
                band permutable
                  S.update.n = { S.update[m, n] -> [(n)] }
              filter { R[m, n] }
                band permutable
                  R.n = { R[m, n] -> [(n)] } coincident
        origin identity
    "#]]
    .assert_eq(&preview(ROWS, "compute S at R.m\ncompute E at R.m\nstore E at R.m\nstore S at R.m").to_string());
}
