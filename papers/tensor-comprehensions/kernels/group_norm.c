void kernel(const real I[restrict N][G][D][H][W], const real gamma[restrict G][D], const real beta[restrict G][D],
            real O[restrict N][G][D][H][W]) {
#pragma omp parallel for collapse(2)
    for (int n = 0; n < N; n++)
        for (int g = 0; g < G; g++) {
            real sum = 0, squares = 0;
            for (int d = 0; d < D; d++)
                for (int h = 0; h < H; h++)
                    for (int w = 0; w < W; w++) {
                        sum += I[n][g][d][h][w];
                        squares += I[n][g][d][h][w] * I[n][g][d][h][w];
                    }
            real mean = sum / (D * H * W), scale = 1 / SQRT(squares / (D * H * W) - mean * mean + (real)1e-5);
            for (int d = 0; d < D; d++)
                for (int h = 0; h < H; h++)
                    for (int w = 0; w < W; w++)
                        O[n][g][d][h][w] = gamma[g][d] * (I[n][g][d][h][w] - mean) * scale + beta[g][d];
        }
}
