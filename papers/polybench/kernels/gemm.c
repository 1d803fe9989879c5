// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[K], real (*restrict B)[N], real (*restrict C)[N]) {
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) C[i][j] *= 1.25;
        for (int k = 0; k < K; k++)
            for (int j = 0; j < N; j++) C[i][j] += 1.5 * A[i][k] * B[k][j];
    }
}
