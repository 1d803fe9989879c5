void kernel(const unsigned char I[restrict C][H][W], unsigned char G[restrict H][W]) {
#pragma omp parallel for
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            G[y][x] = (I[0][y][x] * 4899u + I[1][y][x] * 9617u + I[2][y][x] * 1868u + 8192u) / 16384u;
}
