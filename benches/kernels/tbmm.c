void kernel(const real X[restrict B][N][M], const real Y[restrict B][K][M], real Z[restrict B][N][K]) {
#pragma omp parallel for
    for (int b = 0; b < B; b++)
        for (int n = 0; n < N; n++)
            for (int k = 0; k < K; k++) {
                real sum = 0;
                for (int m = 0; m < M; m++) sum += X[b][n][m] * Y[b][k][m];
                Z[b][n][k] = sum;
            }
}
