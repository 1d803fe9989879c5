void kernel(const real I[restrict N][C][H][W], const real V[restrict C][R][S],
            real O[restrict N][C][H - R + 1][W - S + 1]) {
#pragma omp parallel for collapse(2)
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int h = 0; h <= H - R; h++)
                for (int w = 0; w <= W - S; w++) {
                    real sum = 0;
                    for (int r = 0; r < R; r++)
                        for (int s = 0; s < S; s++) sum += I[n][c][h + r][w + s] * V[c][r][s];
                    O[n][c][h][w] = sum;
                }
}
