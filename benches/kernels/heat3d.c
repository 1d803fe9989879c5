static real T[N][N][N];
static void step(const real A[restrict N][N][N], real O[restrict N][N][N]) {
#pragma omp parallel for
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            for (int k = 1; k < N - 1; k++)
                O[i][j][k] = (real)0.125 * (A[i + 1][j][k] - 2 * A[i][j][k] + A[i - 1][j][k])
                             + (real)0.125 * (A[i][j + 1][k] - 2 * A[i][j][k] + A[i][j - 1][k])
                             + (real)0.125 * (A[i][j][k + 1] - 2 * A[i][j][k] + A[i][j][k - 1]) + A[i][j][k];
}
void kernel(const real A[restrict N][N][N], real O[restrict N][N][N]) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++) O[i][j][k] = T[i][j][k] = A[i][j][k];
    for (int t = 0; t < STEPS; t += 2) {
        step(O, T);
        step(T, O);
    }
}
