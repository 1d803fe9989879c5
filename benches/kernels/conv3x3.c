void kernel(const unsigned char I[restrict C][H][W], const real K[restrict 3][3],
            unsigned char O[restrict C][H - 2][W - 2]) {
#pragma omp parallel for collapse(2)
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H - 2; y++)
            for (int x = 0; x < W - 2; x++) {
                real sum = 0;
                for (int i = 0; i < 3; i++)
                    for (int j = 0; j < 3; j++) sum += I[c][y + i][x + j] * K[i][j];
                O[c][y][x] = sum;
            }
}
