typedef unsigned char byte;
void kernel(const byte I[restrict C][H][W], byte neg[restrict C][H][W], byte bright[restrict C][H][W],
            byte sum[restrict C][H][W], byte diff[restrict C][H][W]) {
#pragma omp parallel for collapse(2)
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                short n = 255 - I[c][y][x], b = 2 * I[c][y][x] < 255 ? 2 * I[c][y][x] : 255;
                neg[c][y][x] = n;
                bright[c][y][x] = b;
                sum[c][y][x] = n + b < 255 ? n + b : 255;
                diff[c][y][x] = n - b > 0 ? n - b : 0;
            }
}
