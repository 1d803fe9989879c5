void kernel(const real I[restrict N][C][H][W], const real gamma[restrict C], const real beta[restrict C],
            const real mean[restrict C], const real var[restrict C], real O[restrict N][C][H][W]) {
#pragma omp parallel for collapse(2)
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) {
            real scale = gamma[c] / SQRT(var[c] + (real)1e-5);
            for (int h = 0; h < H; h++)
                for (int w = 0; w < W; w++) {
                    real x = (I[n][c][h][w] - mean[c]) * scale + beta[c];
                    O[n][c][h][w] = x > 0 ? x : 0;
                }
        }
}
