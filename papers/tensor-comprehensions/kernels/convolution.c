void kernel(const real I[restrict N][C][H][W], const real V[restrict F][C][R][S], const real bias[restrict F],
            real O[restrict N][F][H - R + 1][W - S + 1]) {
#pragma omp parallel for
    for (int n = 0; n < N; n++)
        for (int f = 0; f < F; f++) {
            for (int h = 0; h <= H - R; h++)
                for (int w = 0; w <= W - S; w++) O[n][f][h][w] = bias[f];
            for (int c = 0; c < C; c++)
                for (int h = 0; h <= H - R; h++)
                    for (int r = 0; r < R; r++)
                        for (int s = 0; s < S; s++)
                            for (int w = 0; w <= W - S; w++) O[n][f][h][w] += I[n][c][h + r][w + s] * V[f][c][r][s];
        }
}
