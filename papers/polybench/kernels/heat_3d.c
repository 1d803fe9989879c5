// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[N][N], real (*restrict B)[N][N]) {
#define SWEEP(to, from)                                                                         \
    for (int i = 1; i < N - 1; i++)                                                             \
        for (int j = 1; j < N - 1; j++)                                                         \
            for (int k = 1; k < N - 1; k++)                                                     \
                to[i][j][k] = 0.125 * (from[i + 1][j][k] - 2 * from[i][j][k] + from[i - 1][j][k]) + \
                              0.125 * (from[i][j + 1][k] - 2 * from[i][j][k] + from[i][j - 1][k]) + \
                              0.125 * (from[i][j][k + 1] - 2 * from[i][j][k] + from[i][j][k - 1]) + from[i][j][k];
    for (int t = 0; t < T; t++) {
        SWEEP(B, A)
        SWEEP(A, B)
    }
}
