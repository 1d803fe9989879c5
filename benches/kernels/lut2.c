void kernel(const real T[restrict E][D], const int I[restrict B][L], const real U[restrict F][D],
            const int J[restrict B][K], real O[restrict B][D], real P[restrict B][D]) {
#pragma omp parallel for
    for (int b = 0; b < B; b++) {
        for (int d = 0; d < D; d++) O[b][d] = P[b][d] = 0;
        for (int l = 0; l < L; l++)
            for (int d = 0; d < D; d++) O[b][d] += T[I[b][l]][d];
        for (int k = 0; k < K; k++)
            for (int d = 0; d < D; d++) P[b][d] += U[J[b][k]][d];
    }
}
