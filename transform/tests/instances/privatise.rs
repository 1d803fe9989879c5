use expect_test::expect;

use crate::programs::{COLUMNS, DOT, preview};

#[test]
fn a_sum_has_partial_ones() {
    expect![[r#"
        scop dot(N)
        context { : N > 0 }
        input A: float32[N]
        input B: float32[N]
        output S: float32[]
        temporary P: float32[floor((N - 1)/1024) + 1]
        stmt S.init[]
          domain { S.init[] }
          S[] = 0.0f32
        stmt S.update[i]
          domain { S.update[i] : 0 <= i < N }
          P[floor((i)/1024)] sum= A[i] * B[i]
        stmt P.init[io]
          domain { P.init[io] : io >= 0 and 1024io < N }
          P[io] = 0.0f32
        stmt S.combine[io]
          domain { S.combine[io] : io >= 0 and 1024io < N }
          S[] sum= P[io]
        source none
        tree
          sequence
            filter { S.init[] }
            filter { P.init[io] }
              band
                P.init.io = { P.init[io] -> [(io)] }
            filter { S.update[i] }
              band
                S.update.io = { S.update[i] -> [(floor((i)/1024))] }
                S.update.ii = { S.update[i] -> [(i)] }
            filter { S.combine[io] }
              band
                S.combine.io = { S.combine[io] -> [(io)] }
        origin { S.init[] -> S.init[]; S.update[i] -> S.update[i' = i] : 0 <= i < N }
    "#]]
    .assert_eq(&preview(DOT, "split S.update.i by 1024 as io ii\nprivatise S at S.update.io as P").to_string());
    expect![[r#"
        scop dot(N)
        context { : N > 0 }
        input A: float32[N]
        input B: float32[N]
        output S: float32[]
        temporary S_partial: float32[16] stack
        stmt S.init[]
          domain { S.init[] }
          S[] = 0.0f32
        stmt S.update[i]
          domain { S.update[i] : 0 <= i < N }
          S_partial[i - 16*floor((i)/16)] sum= A[i] * B[i]
        stmt S_partial.init[i]
          domain { S_partial.init[i] : 0 <= i <= 15 and i < N }
          S_partial[i] = 0.0f32
        stmt S.combine[i]
          domain { S.combine[i] : 0 <= i <= 15 and i < N }
          S[] sum= S_partial[i]
        source none
        tree
          sequence
            filter { S.init[] }
            filter { S_partial.init[i] }
              band
                S_partial.init.i = { S_partial.init[i] -> [(i)] }
            filter { S.update[i] }
              band
                S.update.i = { S.update[i] -> [(i)] }
            filter { S.combine[i] }
              band
                S.combine.i = { S.combine[i] -> [(i)] }
        origin { S.init[] -> S.init[]; S.update[i] -> S.update[i' = i] : 0 <= i < N }
    "#]]
    .assert_eq(&preview(DOT, "privatise S at S.update.i by 16").to_string());
    expect![[r#"
        scop columns(M, N)
        context { : M > 0 and N > 0 }
        input A: float32[M, N]
        output S: float32[N]
        temporary S_partial: float32[floor((M - 1)/64) + 1, N]
        stmt S.init[n]
          domain { S.init[n] : 0 <= n < N }
          S[n] = 0.0f32
        stmt S.update[m, n]
          domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
          S_partial[floor((m)/64), n] sum= A[m, n]
        stmt S_partial.init[mo, x0]
          domain { S_partial.init[mo, x0] : mo >= 0 and 64mo < M and 0 <= x0 < N }
          S_partial[mo, x0] = 0.0f32
        stmt S.combine[mo, x0]
          domain { S.combine[mo, x0] : mo >= 0 and 64mo < M and 0 <= x0 < N }
          S[x0] sum= S_partial[mo, x0]
        source none
        tree
          sequence
            filter { S.init[n] }
              band permutable
                S.init.n = { S.init[n] -> [(n)] } coincident
            filter { S_partial.init[mo, x0] }
              band
                S_partial.init.mo = { S_partial.init[mo, x0] -> [(mo)] }
                S_partial.init.x0 = { S_partial.init[mo, x0] -> [(x0)] }
            filter { S.update[m, n] }
              band
                S.update.mo = { S.update[m, n] -> [(floor((m)/64))] }
                S.update.mi = { S.update[m, n] -> [(m)] }
                S.update.n = { S.update[m, n] -> [(n)] } coincident
            filter { S.combine[mo, x0] }
              band
                S.combine.mo = { S.combine[mo, x0] -> [(mo)] }
                S.combine.x0 = { S.combine[mo, x0] -> [(x0)] }
        origin { S.init[n] -> S.init[n' = n] : 0 <= n < N; S.update[m, n] -> S.update[m' = m, n' = n] : 0 <= m < M and 0 <= n < N }
    "#]].assert_eq(&preview(COLUMNS, "split S.update.m by 64 as mo mi\nprivatise S at S.update.mo").to_string());
}
