void kernel(const real I[restrict N][D], const real gamma[restrict D], const real beta[restrict D],
            real O[restrict N][D]) {
#pragma omp parallel for
    for (int n = 0; n < N; n++) {
        real mean = 0, var = 0;
        for (int d = 0; d < D; d++) mean += I[n][d];
        mean /= D;
        for (int d = 0; d < D; d++) var += (I[n][d] - mean) * (I[n][d] - mean);
        real scale = 1 / SQRT(var / D + (real)1e-5);
        for (int d = 0; d < D; d++) O[n][d] = (I[n][d] - mean) * scale * gamma[d] + beta[d];
    }
}
