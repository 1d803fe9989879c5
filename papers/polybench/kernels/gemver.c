// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real *restrict u1, real *restrict v1, real *restrict u2, real *restrict v2, real *restrict y,
            real *restrict z, real (*restrict A)[N], real *restrict x, real *restrict w) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) A[i][j] += u1[i] * v1[j] + u2[i] * v2[j];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) x[i] += 1.25 * A[j][i] * y[j];
    for (int i = 0; i < N; i++) x[i] += z[i];
    for (int i = 0; i < N; i++) w[i] = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) w[i] += 1.5 * A[i][j] * x[j];
}
