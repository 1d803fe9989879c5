static void layer(int channels, int features, const real I[restrict channels][H][W], const real V[restrict features][channels][3][3],
                  const real v[restrict features], real O[restrict features][H][W]) {
    for (int f = 0; f < features; f++) {
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++) O[f][h][w] = v[f];
        for (int c = 0; c < channels; c++)
            for (int h = 0; h < H; h++)
                for (int r = h == 0; r < 3 && h + r <= H; r++)
                    for (int s = 0; s < 3; s++)
                        for (int w = s == 0; w < W && w + s <= W; w++) O[f][h][w] += I[c][h + r - 1][w + s - 1] * V[f][c][r][s];
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++) O[f][h][w] = O[f][h][w] > 0 ? O[f][h][w] : 0;
    }
}

void kernel(const real I[restrict N][C][H][W], const real V[restrict F][C][3][3], const real v[restrict F],
            const real U[restrict G][F][3][3], const real u[restrict G], real O[restrict N][G][H / 2][W / 2]) {
    static real X[N][F][H][W], Y[N][G][H][W];
#pragma omp parallel for
    for (int n = 0; n < N; n++) {
        layer(C, F, I[n], V, v, X[n]);
        layer(F, G, X[n], U, u, Y[n]);
        for (int g = 0; g < G; g++)
            for (int h = 0; h < H / 2; h++)
                for (int w = 0; w < W / 2; w++) {
                    real most = Y[n][g][2 * h][2 * w];
                    for (int i = 0; i < 2; i++)
                        for (int j = 0; j < 2; j++)
                            if (Y[n][g][2 * h + i][2 * w + j] > most) most = Y[n][g][2 * h + i][2 * w + j];
                    O[n][g][h][w] = most;
                }
    }
}
