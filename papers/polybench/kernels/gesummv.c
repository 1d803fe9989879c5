// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[N], real (*restrict B)[N], real *restrict x, real *restrict y) {
    static real tmp[N];
    for (int i = 0; i < N; i++) {
        tmp[i] = 0;
        y[i] = 0;
        for (int j = 0; j < N; j++) {
            tmp[i] += A[i][j] * x[j];
            y[i] += B[i][j] * x[j];
        }
        y[i] = 1.5 * tmp[i] + 1.25 * y[i];
    }
}
