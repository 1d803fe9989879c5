void kernel(const real X[restrict B][N][M], const real Y[restrict B][M][K], real Z[restrict B][N][K]) {
#pragma omp parallel for
    for (int b = 0; b < B; b++)
        for (int n = 0; n < N; n++) {
            for (int k = 0; k < K; k++) Z[b][n][k] = 0;
            for (int m = 0; m < M; m++)
                for (int k = 0; k < K; k++) Z[b][n][k] += X[b][n][m] * Y[b][m][k];
        }
}
