void kernel(const real A[restrict N][N], real O[restrict N][N]) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) O[i][j] = A[i][j];
    for (int t = 0; t < STEPS; t++)
        for (int i = 1; i < N - 1; i++)
            for (int j = 1; j < N - 1; j++)
                O[i][j] = (O[i - 1][j - 1] + O[i - 1][j] + O[i - 1][j + 1] + O[i][j - 1] + O[i][j] + O[i][j + 1]
                           + O[i + 1][j - 1] + O[i + 1][j] + O[i + 1][j + 1]) / 9;
}
