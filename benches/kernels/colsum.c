void kernel(const real I[restrict N][M], real O[restrict M]) {
    for (int j = 0; j < M; j++) O[j] = 0;
#pragma omp parallel for reduction(+ : O[ : M])
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++) O[j] += I[i][j];
}
