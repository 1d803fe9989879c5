// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[N], real *restrict y1, real *restrict y2, real *restrict x1, real *restrict x2) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) x1[i] += A[i][j] * y1[j];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) x2[i] += A[j][i] * y2[j];
}
