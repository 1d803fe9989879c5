void kernel(const half A[restrict M][K], const half B[restrict K][N], half C[restrict M][N]) {
#pragma omp parallel for
    for (int m = 0; m < M; m++) {
        real sum[N];
        for (int n = 0; n < N; n++) sum[n] = 0;
        for (int k = 0; k < K; k++)
            for (int n = 0; n < N; n++) sum[n] += WIDE(A[m][k]) * WIDE(B[k][n]);
        for (int n = 0; n < N; n++) C[m][n] = NARROW(sum[n]);
    }
}
