void kernel(const real V[restrict E][L], const real P[restrict M][K][L][F], real Q[restrict M][K][E][F]) {
#pragma omp parallel for
    for (int m = 0; m < M; m++)
        for (int k = 0; k < K; k++)
            for (int e = 0; e < E; e++) {
                for (int f = 0; f < F; f++) Q[m][k][e][f] = 0;
                for (int l = 0; l < L; l++)
                    for (int f = 0; f < F; f++) Q[m][k][e][f] += P[m][k][l][f] * V[e][l];
            }
}
