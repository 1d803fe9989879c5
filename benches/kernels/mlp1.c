void kernel(const real I[restrict B][M], const real W[restrict M][N], const real bias[restrict N],
            real O[restrict B][N]) {
#pragma omp parallel for
    for (int b = 0; b < B; b++) {
        for (int n = 0; n < N; n++) O[b][n] = bias[n];
        for (int m = 0; m < M; m++)
            for (int n = 0; n < N; n++) O[b][n] += I[b][m] * W[m][n];
        for (int n = 0; n < N; n++) O[b][n] = O[b][n] > 0 ? O[b][n] : 0;
    }
}
