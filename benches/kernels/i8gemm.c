void kernel(const signed char A[restrict M][K], const signed char B[restrict K][N], int C[restrict M][N]) {
#pragma omp parallel for
    for (int m = 0; m < M; m++) {
        for (int n = 0; n < N; n++) C[m][n] = 0;
        for (int k = 0; k < K; k++)
            for (int n = 0; n < N; n++) C[m][n] += A[m][k] * B[k][n];
    }
}
