// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[K], real (*restrict B)[N], real (*restrict C)[L], real (*restrict D)[L]) {
    static real tmp[M][N];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            tmp[i][j] = 0;
            for (int k = 0; k < K; k++) tmp[i][j] += 1.5 * A[i][k] * B[k][j];
        }
    for (int i = 0; i < M; i++)
        for (int j = 0; j < L; j++) {
            D[i][j] *= 1.25;
            for (int k = 0; k < N; k++) D[i][j] += tmp[i][k] * C[k][j];
        }
}
