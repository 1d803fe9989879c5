void kernel(const real I[restrict N][K], real S[restrict N], real Q[restrict N]) {
#pragma omp parallel for
    for (int n = 0; n < N; n++) {
        real sum = 0, squares = 0;
        for (int k = 0; k < K; k++) {
            sum += I[n][k];
            squares += I[n][k] * I[n][k];
        }
        S[n] = sum;
        Q[n] = squares;
    }
}
