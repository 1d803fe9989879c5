// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict L)[N], real *restrict b, real *restrict x) {
    for (int i = 0; i < N; i++) {
        x[i] = b[i];
        for (int j = 0; j < i; j++) x[i] -= L[i][j] * x[j];
        x[i] /= L[i][i];
    }
}
