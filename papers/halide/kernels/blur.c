void kernel(const unsigned short I[restrict H][W], unsigned short O[restrict H - 2][W - 2]) {
    static unsigned short T[H][W - 2];
#pragma omp parallel for
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W - 2; x++) T[y][x] = (unsigned short)(I[y][x] + I[y][x + 1] + I[y][x + 2]) / 3;
#pragma omp parallel for
    for (int y = 0; y < H - 2; y++)
        for (int x = 0; x < W - 2; x++) O[y][x] = (unsigned short)(T[y][x] + T[y + 1][x] + T[y + 2][x]) / 3;
}
