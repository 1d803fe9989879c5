// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[N], real *restrict x, real *restrict y) {
    static real tmp[M];
    for (int j = 0; j < N; j++) y[j] = 0;
    for (int i = 0; i < M; i++) {
        tmp[i] = 0;
        for (int j = 0; j < N; j++) tmp[i] += A[i][j] * x[j];
        for (int j = 0; j < N; j++) y[j] += A[i][j] * tmp[i];
    }
}
