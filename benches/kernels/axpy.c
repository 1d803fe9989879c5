void kernel(const real a[restrict 1], const real X[restrict N], const real Y[restrict N], real Z[restrict N]) {
#pragma omp parallel for
    for (int i = 0; i < N; i++) Z[i] = a[0] * X[i] + Y[i];
}
