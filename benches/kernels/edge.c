void kernel(const unsigned char I[restrict C][H][W], short O[restrict C][H - 3][W - 3]) {
    static unsigned char R[H - 2][W - 2];
    for (int c = 0; c < C; c++) {
#pragma omp parallel for
        for (int y = 0; y < H - 2; y++)
            for (int x = 0; x < W - 2; x++)
                R[y][x] = (I[c][y][x] + I[c][y][x + 1] + I[c][y][x + 2] + I[c][y + 1][x] + I[c][y + 1][x + 2]
                           + I[c][y + 2][x] + I[c][y + 2][x + 1] + I[c][y + 2][x + 2]) / 8;
#pragma omp parallel for
        for (int y = 0; y < H - 3; y++)
            for (int x = 0; x < W - 3; x++) O[c][y][x] = R[y + 1][x] - R[y][x + 1] + R[y + 1][x + 1] - R[y][x];
    }
}
