void kernel(const real X[restrict M][K], const real W[restrict K][N], const real bias[restrict N],
            const real R[restrict M][N], real O[restrict M][N]) {
#pragma omp parallel for
    for (int m = 0; m < M; m++) {
        for (int n = 0; n < N; n++) O[m][n] = bias[n];
        for (int k = 0; k < K; k++) {
            real x = X[m][k] > 0 ? X[m][k] : 0;
            for (int n = 0; n < N; n++) O[m][n] += x * W[k][n];
        }
        for (int n = 0; n < N; n++) O[m][n] = (O[m][n] > 0 ? O[m][n] : 0) + R[m][n];
    }
}
