// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[M], real (*restrict B)[N]) {
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            for (int k = i + 1; k < M; k++) B[i][j] += A[k][i] * B[k][j];
            B[i][j] *= 1.5;
        }
}
