// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict A)[K], real (*restrict B)[N], real (*restrict C)[Q], real (*restrict D)[L],
            real (*restrict G)[L]) {
    static real E[M][N], F[N][L];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            E[i][j] = 0;
            for (int k = 0; k < K; k++) E[i][j] += A[i][k] * B[k][j];
        }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < L; j++) {
            F[i][j] = 0;
            for (int k = 0; k < Q; k++) F[i][j] += C[i][k] * D[k][j];
        }
    for (int i = 0; i < M; i++)
        for (int j = 0; j < L; j++) {
            G[i][j] = 0;
            for (int k = 0; k < N; k++) G[i][j] += E[i][k] * F[k][j];
        }
}
