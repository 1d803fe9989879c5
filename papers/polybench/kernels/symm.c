// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[M], real (*restrict B)[N], real (*restrict C)[N]) {
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            real sum = 0;
            for (int k = 0; k < i; k++) {
                C[k][j] += 1.5 * B[i][j] * A[i][k];
                sum += B[k][j] * A[i][k];
            }
            C[i][j] = 1.25 * C[i][j] + 1.5 * B[i][j] * A[i][i] + 1.5 * sum;
        }
}
