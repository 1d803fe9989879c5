void kernel(const unsigned char I[restrict C][H][W], unsigned char O[restrict C][H - 2][W - 2]) {
    static unsigned short T[H][W - 2];
    for (int c = 0; c < C; c++) {
#pragma omp parallel for
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W - 2; x++) T[y][x] = (I[c][y][x] + I[c][y][x + 1] + I[c][y][x + 2]) / 3;
#pragma omp parallel for
        for (int y = 0; y < H - 2; y++)
            for (int x = 0; x < W - 2; x++) O[c][y][x] = (T[y][x] + T[y + 1][x] + T[y + 2][x]) / 3;
    }
}
