void kernel(const double a[restrict N][K], const int column[restrict N][K], const double x[restrict N], const double r[restrict N],
            const double p[restrict N], double x1[restrict N], double r1[restrict N], double p1[restrict N]) {
    static double q[N];
    double pq = 0, rr = 0, rr1 = 0;
#pragma omp parallel for reduction(+ : pq, rr)
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < K; k++) sum += a[i][k] * p[column[i][k]];
        q[i] = sum;
        pq += p[i] * sum;
        rr += r[i] * r[i];
    }
#pragma omp parallel for reduction(+ : rr1)
    for (int i = 0; i < N; i++) {
        x1[i] = x[i] + rr / pq * p[i];
        r1[i] = r[i] - rr / pq * q[i];
        rr1 += r1[i] * r1[i];
    }
#pragma omp parallel for
    for (int i = 0; i < N; i++) p1[i] = r1[i] + rr1 / rr * p[i];
}
