void kernel(const double Pr[restrict A][A][Y], const double Pi[restrict A][A][Y], const int a[restrict W], const int b[restrict W],
            const int c[restrict W], const double weight[restrict W], const double wave_r[restrict Y][M],
            const double wave_i[restrict Y][M], double Br[restrict A][A][A][M], double Bi[restrict A][A][A][M]) {
#pragma omp parallel for collapse(2)
    for (int i = 0; i < A; i++)
        for (int k = 0; k < A; k++) {
            double Qr[A][Y] = {0}, Qi[A][Y] = {0};
            for (int w = 0; w < W; w++)
                for (int y = 0; y < Y; y++) {
                    double Dr = weight[w] * (Pr[a[w]][i][y] * Pr[c[w]][k][y] - Pi[a[w]][i][y] * Pi[c[w]][k][y]);
                    double Di = weight[w] * (Pr[a[w]][i][y] * Pi[c[w]][k][y] + Pi[a[w]][i][y] * Pr[c[w]][k][y]);
                    for (int j = 0; j < A; j++) {
                        Qr[j][y] += Pr[b[w]][j][y] * Dr - Pi[b[w]][j][y] * Di;
                        Qi[j][y] += Pr[b[w]][j][y] * Di + Pi[b[w]][j][y] * Dr;
                    }
                }
            for (int j = 0; j < A; j++)
                for (int m = 0; m < M; m++) {
                    double re = 0, im = 0;
                    for (int y = 0; y < Y; y++) {
                        re += wave_r[y][m] * Qr[j][y] - wave_i[y][m] * Qi[j][y];
                        im += wave_r[y][m] * Qi[j][y] + wave_i[y][m] * Qr[j][y];
                    }
                    Br[i][k][j][m] = re;
                    Bi[i][k][j][m] = im;
                }
        }
}
