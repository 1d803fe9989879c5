#define LEVELS 5

static int at(int i, int n) { return i < 0 ? 0 : i < n ? i : n - 1; }

static void down(int h, int w, const real A[restrict 4][h][w], real X[restrict 4][h][w / 2], real B[restrict 4][h / 2][w / 2]) {
#pragma omp parallel for
    for (int y = 0; y < h; y++)
        for (int c = 0; c < 4; c++)
            for (int x = 0; x < w / 2; x++)
                X[c][y][x] = (real)0.25 * A[c][y][at(2 * x - 1, w)] + (real)0.5 * A[c][y][2 * x] + (real)0.25 * A[c][y][at(2 * x + 1, w)];
#pragma omp parallel for
    for (int y = 0; y < h / 2; y++)
        for (int c = 0; c < 4; c++)
            for (int x = 0; x < w / 2; x++)
                B[c][y][x] = (real)0.25 * X[c][at(2 * y - 1, h)][x] + (real)0.5 * X[c][2 * y][x] + (real)0.25 * X[c][at(2 * y + 1, h)][x];
}

static void fill(int h, int w, real fine[restrict 4][h][w], const real coarse[restrict 4][h / 2][w / 2], real X[restrict 4][h / 2][w]) {
#pragma omp parallel for
    for (int y = 0; y < h / 2; y++)
        for (int c = 0; c < 4; c++)
            for (int x = 0; x < w; x++) X[c][y][x] = (real)0.5 * (coarse[c][y][x / 2] + coarse[c][y][at((x + 1) / 2, w / 2)]);
#pragma omp parallel for
    for (int y = 0; y < h; y++)
        for (int c = 0; c < 4; c++)
            for (int x = 0; x < w; x++)
                fine[c][y][x] += (1 - fine[3][y][x]) * ((real)0.5 * (X[c][y / 2][x] + X[c][at((y + 1) / 2, h / 2)][x]));
}

void kernel(const real I[restrict 4][H][W], real O[restrict 3][H][W]) {
    static real memory[2 * 4 * H * W], scratch[4 * H * W];
    real *level[LEVELS], *next = memory;
    for (int l = 0; l < LEVELS; next += 4 * (H >> l) * (W >> l), l++) level[l] = next;
    real(*D0)[H][W] = (real(*)[H][W])level[0];
#pragma omp parallel for
    for (int y = 0; y < H; y++)
        for (int c = 0; c < 4; c++)
            for (int x = 0; x < W; x++) D0[c][y][x] = c < 3 ? I[c][y][x] * I[3][y][x] : I[3][y][x];
    for (int l = 0; l + 1 < LEVELS; l++) down(H >> l, W >> l, (void *)level[l], (void *)scratch, (void *)level[l + 1]);
    for (int l = LEVELS - 2; l >= 0; l--) fill(H >> l, W >> l, (void *)level[l], (void *)level[l + 1], (void *)scratch);
#pragma omp parallel for
    for (int y = 0; y < H; y++)
        for (int c = 0; c < 3; c++)
            for (int x = 0; x < W; x++) O[c][y][x] = D0[c][y][x] / D0[3][y][x];
}
