void kernel(const real I[restrict C][H][W], real O[restrict H - 4][W - 4]) {
    static real gray[H][W], dx[H - 2][W - 2], dy[H - 2][W - 2];
#pragma omp parallel for
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) gray[y][x] = (real)0.299f * I[0][y][x] + (real)0.587f * I[1][y][x] + (real)0.114f * I[2][y][x];
#pragma omp parallel for
    for (int y = 0; y < H - 2; y++)
        for (int x = 0; x < W - 2; x++) {
            const real(*g)[W] = (const real(*)[W]) & gray[y][x];
            dy[y][x] = (g[2][0] - g[0][0] + 2 * (g[2][1] - g[0][1]) + g[2][2] - g[0][2]) / 12;
            dx[y][x] = (g[0][2] - g[0][0] + 2 * (g[1][2] - g[1][0]) + g[2][2] - g[2][0]) / 12;
        }
#pragma omp parallel for
    for (int y = 0; y < H - 4; y++)
        for (int x = 0; x < W - 4; x++) {
            real xx = 0, yy = 0, xy = 0;
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++) {
                    real h = dx[y + i][x + j], v = dy[y + i][x + j];
                    xx += h * h;
                    yy += v * v;
                    xy += h * v;
                }
            O[y][x] = xx * yy - xy * xy - (real)0.04f * (xx + yy) * (xx + yy);
        }
}
