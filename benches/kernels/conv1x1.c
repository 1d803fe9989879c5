void kernel(const real I[restrict N][C][H][W], const real V[restrict F][C], real O[restrict N][F][H][W]) {
#pragma omp parallel for collapse(2)
    for (int n = 0; n < N; n++)
        for (int f = 0; f < F; f++) {
            for (int h = 0; h < H; h++)
                for (int w = 0; w < W; w++) O[n][f][h][w] = 0;
            for (int c = 0; c < C; c++)
                for (int h = 0; h < H; h++)
                    for (int w = 0; w < W; w++) O[n][f][h][w] += I[n][c][h][w] * V[f][c];
        }
}
