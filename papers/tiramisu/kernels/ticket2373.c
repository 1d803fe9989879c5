void kernel(const unsigned char I[restrict N][N], unsigned char O[restrict N][N]) {
#pragma omp parallel for
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < i; j++) O[i][j] = 255 - I[i][j];
        for (int j = i; j < N; j++) O[i][j] = 0;
    }
}
