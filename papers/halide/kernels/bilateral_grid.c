#define BINS 24
#define GH (H / 8 + 4)
#define GW (W / 8 + 4)
typedef real Grid[GH][GW][BINS][2];

static const real taps[5] = {1, 4, 6, 4, 1};

// Along the dimension in which neighbours are `step` numbers apart.
static void smooth(const real *restrict from, real *restrict to, long step) {
#pragma omp parallel for
    for (long i = 0; i < (long)(sizeof(Grid) / sizeof(real)) - 4 * step; i++) {
        real sum = 0;
        for (int k = 0; k < 5; k++) sum += taps[k] * from[i + k * step];
        to[i] = sum;
    }
}

void kernel(const real I[restrict H][W], real O[restrict H - 8][W - 8]) {
    static Grid first, second;
    memset(first, 0, sizeof first);
#pragma omp parallel for
    for (int y = 0; y < H / 8; y++)
        for (int i = 0; i < 8; i++)
            for (int x = 0; x < W / 8; x++)
                for (int j = 0; j < 8; j++) {
                    real value = I[8 * y + i][8 * x + j];
                    real *cell = first[y + 2][x + 2][(int)(value * 10 + (real)0.5) + 2];
                    cell[0] += value;
                    cell[1] += 1;
                }
    smooth(&first[0][0][0][0], &second[0][0][0][0], 2);
    smooth(&second[0][0][0][0], &first[0][0][0][0], BINS * 2);
    smooth(&first[0][0][0][0], &second[0][0][0][0], (long)GW * BINS * 2);
#pragma omp parallel for
    for (int y = 0; y < H - 8; y++)
        for (int x = 0; x < W - 8; x++) {
            real f = I[y][x] * 10, t = f - FLOOR(f), b = (real)(y % 8) / 8, a = (real)(x % 8) / 8, part[2] = {0, 0};
            int k = f;
            for (int n = 0; n < 8; n++) {
                real weight = (n & 1 ? a : 1 - a) * (n & 2 ? b : 1 - b) * (n & 4 ? t : 1 - t);
                for (int m = 0; m < 2; m++) part[m] += weight * second[y / 8 + (n >> 1 & 1)][x / 8 + (n & 1)][k + (n >> 2)][m];
            }
            O[y][x] = part[0] / part[1];
        }
}
