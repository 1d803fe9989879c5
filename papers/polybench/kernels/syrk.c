// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[M], real (*restrict C)[N]) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j <= i; j++) C[i][j] *= 1.25;
        for (int k = 0; k < M; k++)
            for (int j = 0; j <= i; j++) C[i][j] += 1.5 * A[i][k] * A[j][k];
    }
}
