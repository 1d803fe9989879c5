// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict u)[N]) {
    static real v[N][N], p[N][N], q[N][N];
    const real a = -0.5, b = 2, c = -0.5, d = -0.25, f = -0.25;
    for (int t = 0; t < T; t++) {
        for (int i = 1; i < N - 1; i++) {
            v[0][i] = 1;
            p[i][0] = 0;
            q[i][0] = v[0][i];
            for (int j = 1; j < N - 1; j++) {
                p[i][j] = -c / (a * p[i][j - 1] + b);
                q[i][j] = (-d * u[j][i - 1] + (1 + 2 * d) * u[j][i] - f * u[j][i + 1] - a * q[i][j - 1]) /
                          (a * p[i][j - 1] + b);
            }
            v[N - 1][i] = 1;
            for (int j = N - 2; j >= 1; j--) v[j][i] = p[i][j] * v[j + 1][i] + q[i][j];
        }
        for (int i = 1; i < N - 1; i++) {
            u[i][0] = 1;
            p[i][0] = 0;
            q[i][0] = u[i][0];
            for (int j = 1; j < N - 1; j++) {
                p[i][j] = -c / (a * p[i][j - 1] + b);
                q[i][j] = (-d * v[i - 1][j] + (1 + 2 * d) * v[i][j] - f * v[i + 1][j] - a * q[i][j - 1]) /
                          (a * p[i][j - 1] + b);
            }
            u[i][N - 1] = 1;
            for (int j = N - 2; j >= 1; j--) u[i][j] = p[i][j] * u[i][j + 1] + q[i][j];
        }
    }
}
