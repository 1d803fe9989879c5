void kernel(const real I[restrict N][M], real O[restrict M][N]) {
#pragma omp parallel for
    for (int j = 0; j < M; j++)
        for (int i = 0; i < N; i++) O[j][i] = I[i][j];
}
