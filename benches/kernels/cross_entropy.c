void kernel(const real I[restrict N][D], const int T[restrict N], real L[restrict N]) {
#pragma omp parallel for
    for (int n = 0; n < N; n++) {
        real largest = -INFINITY, sum = 0;
        for (int d = 0; d < D; d++) largest = largest > I[n][d] ? largest : I[n][d];
        for (int d = 0; d < D; d++) sum += EXP(I[n][d] - largest);
        L[n] = LOG(sum) + largest - I[n][T[n]];
    }
}
