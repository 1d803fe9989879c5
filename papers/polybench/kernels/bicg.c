// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[M], real *restrict p, real *restrict r, real *restrict s, real *restrict q) {
    for (int j = 0; j < M; j++) s[j] = 0;
    for (int i = 0; i < N; i++) {
        q[i] = 0;
        for (int j = 0; j < M; j++) {
            s[j] += r[i] * A[i][j];
            q[i] += A[i][j] * p[j];
        }
    }
}
