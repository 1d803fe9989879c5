void kernel(const real I[restrict B][N], const real U[restrict O][N], const real u[restrict O],
            const real V[restrict P][O], const real v[restrict P], const real W[restrict Q][P],
            const real w[restrict Q], real Z[restrict B][Q]) {
#pragma omp parallel for
    for (int b = 0; b < B; b++) {
        real X[O], Y[P];
        for (int o = 0; o < O; o++) {
            real sum = u[o];
            for (int n = 0; n < N; n++) sum += I[b][n] * U[o][n];
            X[o] = sum > 0 ? sum : 0;
        }
        for (int p = 0; p < P; p++) {
            real sum = v[p];
            for (int o = 0; o < O; o++) sum += X[o] * V[p][o];
            Y[p] = sum > 0 ? sum : 0;
        }
        for (int q = 0; q < Q; q++) {
            real sum = w[q];
            for (int p = 0; p < P; p++) sum += Y[p] * W[q][p];
            Z[b][q] = sum > 0 ? sum : 0;
        }
    }
}
