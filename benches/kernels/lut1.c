void kernel(const real T[restrict E][D], const int I[restrict B][L], real O[restrict B][D]) {
#pragma omp parallel for
    for (int b = 0; b < B; b++) {
        for (int d = 0; d < D; d++) O[b][d] = 0;
        for (int l = 0; l < L; l++)
            for (int d = 0; d < D; d++) O[b][d] += T[I[b][l]][d];
    }
}
