static int clamp(int at, int last) { return at < 0 ? 0 : at > last ? last : at; }
void kernel(const unsigned char I[restrict H][W], real O[restrict H][W]) {
#pragma omp parallel for
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            real v = (real)0.9 * y + (real)0.1 * x + (real)0.1, u = (real)0.95 * x - (real)0.1 * y + (real)0.1;
            real r = v - FLOOR(v), c = u - FLOOR(u);
            int i = (int)FLOOR(v), j = (int)FLOOR(u);
            int top = clamp(i, H - 1), bottom = clamp(i + 1, H - 1), left = clamp(j, W - 1), right = clamp(j + 1, W - 1);
            O[y][x] = (I[top][left] * (1 - r) + I[bottom][left] * r) * (1 - c)
                      + (I[top][right] * (1 - r) + I[bottom][right] * r) * c;
        }
}
