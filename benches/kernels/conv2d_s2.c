#define HO ((H - R) / 2 + 1)
#define WO ((W - S) / 2 + 1)
void kernel(const real I[restrict N][C][H][W], const real V[restrict F][C][R][S], real O[restrict N][F][HO][WO]) {
#pragma omp parallel for collapse(2)
    for (int n = 0; n < N; n++)
        for (int f = 0; f < F; f++) {
            for (int h = 0; h < HO; h++)
                for (int w = 0; w < WO; w++) O[n][f][h][w] = 0;
            for (int c = 0; c < C; c++)
                for (int h = 0; h < HO; h++)
                    for (int r = 0; r < R; r++)
                        for (int s = 0; s < S; s++)
                            for (int w = 0; w < WO; w++)
                                O[n][f][h][w] += I[n][c][2 * h + r][2 * w + s] * V[f][c][r][s];
        }
}
