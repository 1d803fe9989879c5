void kernel(const real I[restrict N][M], real O[restrict N]) {
#pragma omp parallel for
    for (int i = 0; i < N; i++) {
        real sum = 0;
        for (int j = 0; j < M; j++) sum += I[i][j];
        O[i] = sum;
    }
}
