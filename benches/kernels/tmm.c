void kernel(const real A[restrict M][K], const real B[restrict N][K], real C[restrict M][N]) {
#pragma omp parallel for
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            real sum = 0;
            for (int k = 0; k < K; k++) sum += A[m][k] * B[n][k];
            C[m][n] = sum;
        }
}
