static void taps(const real X[restrict R][T], const real F[restrict D][R][2], const real f[restrict D],
                 real A[restrict D][T]) {
    for (int d = 0; d < D; d++) {
        for (int t = 0; t < T; t++) A[d][t] = f[d];
        for (int r = 0; r < R; r++) {
            for (int t = 0; t < T; t++) A[d][t] += X[r][t] * F[d][r][1];
            for (int t = L; t < T; t++) A[d][t] += X[r][t - L] * F[d][r][0];
        }
    }
}
void kernel(const real X[restrict B][R][T], const real F[restrict D][R][2], const real f[restrict D],
            const real G[restrict D][R][2], const real g[restrict D], const real V[restrict R][D],
            const real v[restrict R], const real W[restrict S][D], const real w[restrict S],
            const real Dilation[restrict L], real Y[restrict B][R][T], real Z[restrict B][S][T]) {
    static real A[D][T], C[D][T];
    for (int b = 0; b < B; b++) {
        taps(X[b], F, f, A);
        taps(X[b], G, g, C);
        for (int d = 0; d < D; d++)
            for (int t = 0; t < T; t++) A[d][t] = REAL(tanh)(A[d][t]) / (1 + EXP(-C[d][t]));
        for (int r = 0; r < R; r++) {
            for (int t = 0; t < T; t++) Y[b][r][t] = X[b][r][t] + v[r];
            for (int d = 0; d < D; d++)
                for (int t = 0; t < T; t++) Y[b][r][t] += A[d][t] * V[r][d];
        }
        for (int s = 0; s < S; s++) {
            for (int t = 0; t < T; t++) Z[b][s][t] = w[s];
            for (int d = 0; d < D; d++)
                for (int t = 0; t < T; t++) Z[b][s][t] += A[d][t] * W[s][d];
        }
    }
}
