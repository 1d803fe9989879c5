void kernel(const real I[restrict N][G][C][H][W], const real V[restrict G][F][C][R][S], const real bias[restrict G][F],
            real O[restrict N][G][F][H - R + 1][W - S + 1]) {
#pragma omp parallel for
    for (int n = 0; n < N; n++)
        for (int g = 0; g < G; g++)
            for (int f = 0; f < F; f++) {
                for (int h = 0; h <= H - R; h++)
                    for (int w = 0; w <= W - S; w++) O[n][g][f][h][w] = bias[g][f];
                for (int c = 0; c < C; c++)
                    for (int h = 0; h <= H - R; h++)
                        for (int r = 0; r < R; r++)
                            for (int s = 0; s < S; s++)
                                for (int w = 0; w <= W - S; w++)
                                    O[n][g][f][h][w] += I[n][g][c][h + r][w + s] * V[g][f][c][r][s];
            }
}
