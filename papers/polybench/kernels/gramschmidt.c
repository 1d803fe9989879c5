// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict R)[N], real (*restrict Q)[N], real (*restrict A)[N]) {
    for (int k = 0; k < N; k++)
        for (int j = 0; j < k; j++) R[k][j] = 0;
    for (int k = 0; k < N; k++) {
        real norm = 0;
        for (int i = 0; i < M; i++) norm += A[i][k] * A[i][k];
        R[k][k] = SQRT(norm);
        for (int i = 0; i < M; i++) Q[i][k] = A[i][k] / R[k][k];
        for (int j = k + 1; j < N; j++) {
            R[k][j] = 0;
            for (int i = 0; i < M; i++) R[k][j] += Q[i][k] * A[i][j];
            for (int i = 0; i < M; i++) A[i][j] -= Q[i][k] * R[k][j];
        }
    }
}
