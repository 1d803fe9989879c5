void kernel(const real W[restrict F][N], const real X[restrict M][K][L][N], real P[restrict M][K][L][F]) {
#pragma omp parallel for
    for (int m = 0; m < M; m++)
        for (int k = 0; k < K; k++)
            for (int l = 0; l < L; l++)
                for (int f = 0; f < F; f++) {
                    real sum = 0;
                    for (int n = 0; n < N; n++) sum += X[m][k][l][n] * W[f][n];
                    P[m][k][l][f] = sum;
                }
}
