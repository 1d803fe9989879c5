void kernel(const unsigned char I[restrict C][H][W], const real KX[restrict 5], const real KY[restrict 5],
            unsigned char O[restrict C][H - 4][W - 4]) {
    static real T[H][W - 4];
    for (int c = 0; c < C; c++) {
#pragma omp parallel for
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W - 4; x++)
                T[y][x] = I[c][y][x] * KX[0] + I[c][y][x + 1] * KX[1] + I[c][y][x + 2] * KX[2] + I[c][y][x + 3] * KX[3]
                          + I[c][y][x + 4] * KX[4];
#pragma omp parallel for
        for (int y = 0; y < H - 4; y++)
            for (int x = 0; x < W - 4; x++)
                O[c][y][x] = T[y][x] * KY[0] + T[y + 1][x] * KY[1] + T[y + 2][x] * KY[2] + T[y + 3][x] * KY[3]
                             + T[y + 4][x] * KY[4];
    }
}
