void kernel(const real I[restrict N][D], real O[restrict N][D]) {
#pragma omp parallel for
    for (int n = 0; n < N; n++) {
        real largest = -INFINITY, sum = 0;
        for (int d = 0; d < D; d++) largest = largest > I[n][d] ? largest : I[n][d];
        for (int d = 0; d < D; d++) sum += O[n][d] = EXP(I[n][d] - largest);
        for (int d = 0; d < D; d++) O[n][d] = O[n][d] / sum;
    }
}
