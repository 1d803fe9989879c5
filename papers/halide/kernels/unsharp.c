static const real taps[5] = {0.0625, 0.25, 0.375, 0.25, 0.0625};

void kernel(const real I[restrict C][H][W], real O[restrict C][H - 4][W - 4]) {
    static real gray[H][W], column[H - 4][W];
#pragma omp parallel for
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) gray[y][x] = (real)0.299f * I[0][y][x] + (real)0.587f * I[1][y][x] + (real)0.114f * I[2][y][x];
#pragma omp parallel for
    for (int y = 0; y < H - 4; y++)
        for (int x = 0; x < W; x++) {
            real sum = 0;
            for (int k = 0; k < 5; k++) sum += taps[k] * gray[y + k][x];
            column[y][x] = sum;
        }
#pragma omp parallel for
    for (int y = 0; y < H - 4; y++)
        for (int x = 0; x < W - 4; x++) {
            real sum = 0, here = gray[y + 2][x + 2];
            for (int k = 0; k < 5; k++) sum += taps[k] * column[y][x + k];
            real ratio = (2 * here - sum) / (here + (real)0.001f);
            for (int c = 0; c < C; c++) O[c][y][x] = ratio * I[c][y + 2][x + 2];
        }
}
