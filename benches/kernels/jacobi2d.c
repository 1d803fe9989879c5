static real T[N][N];
static void step(const real A[restrict N][N], real O[restrict N][N]) {
#pragma omp parallel for
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            O[i][j] = (real)0.2 * (A[i][j] + A[i][j - 1] + A[i][j + 1] + A[i + 1][j] + A[i - 1][j]);
}
void kernel(const real A[restrict N][N], real O[restrict N][N]) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) O[i][j] = T[i][j] = A[i][j];
    for (int t = 0; t < STEPS; t += 2) {
        step(O, T);
        step(T, O);
    }
}
