void kernel(const real U[restrict D][K], const real V[restrict E][L], const real W[restrict F][N],
            const real X[restrict M][K][L][N], real Y[restrict M][D][E][F]) {
#pragma omp parallel for
    for (int m = 0; m < M; m++) {
        static __thread real P[K][L][F], Q[K][E][F];
        for (int k = 0; k < K; k++)
            for (int l = 0; l < L; l++)
                for (int f = 0; f < F; f++) {
                    real sum = 0;
                    for (int n = 0; n < N; n++) sum += X[m][k][l][n] * W[f][n];
                    P[k][l][f] = sum;
                }
        for (int k = 0; k < K; k++)
            for (int e = 0; e < E; e++) {
                for (int f = 0; f < F; f++) Q[k][e][f] = 0;
                for (int l = 0; l < L; l++)
                    for (int f = 0; f < F; f++) Q[k][e][f] += P[k][l][f] * V[e][l];
            }
        for (int d = 0; d < D; d++)
            for (int e = 0; e < E; e++) {
                for (int f = 0; f < F; f++) Y[m][d][e][f] = 0;
                for (int k = 0; k < K; k++)
                    for (int f = 0; f < F; f++) Y[m][d][e][f] += Q[k][e][f] * U[d][k];
            }
    }
}
