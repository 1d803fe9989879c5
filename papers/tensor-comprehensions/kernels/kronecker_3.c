void kernel(const real U[restrict D][K], const real Q[restrict M][K][E][F], real Y[restrict M][D][E][F]) {
#pragma omp parallel for
    for (int m = 0; m < M; m++)
        for (int d = 0; d < D; d++)
            for (int e = 0; e < E; e++) {
                for (int f = 0; f < F; f++) Y[m][d][e][f] = 0;
                for (int k = 0; k < K; k++)
                    for (int f = 0; f < F; f++) Y[m][d][e][f] += Q[m][k][e][f] * U[d][k];
            }
}
