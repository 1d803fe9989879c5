void kernel(const real Q[restrict B][S][D], const real K[restrict B][S][D], const real V[restrict B][S][D],
            real O[restrict B][S][D]) {
#pragma omp parallel for collapse(2)
    for (int b = 0; b < B; b++)
        for (int i = 0; i < S; i++) {
            real P[S], largest = -INFINITY, sum = 0;
            for (int j = 0; j < S; j++) {
                real score = 0;
                for (int d = 0; d < D; d++) score += Q[b][i][d] * K[b][j][d];
                P[j] = score;
            }
            for (int j = 0; j < S; j++) largest = largest > P[j] ? largest : P[j];
            for (int j = 0; j < S; j++) sum += P[j] = EXP((P[j] - largest) * (real)0.125);
            for (int d = 0; d < D; d++) O[b][i][d] = 0;
            for (int j = 0; j < S; j++)
                for (int d = 0; d < D; d++) O[b][i][d] += P[j] * V[b][j][d];
            for (int d = 0; d < D; d++) O[b][i][d] /= sum;
        }
}
