// As the loops of polyhedral/src/testing/polybench are written.
void kernel(real (*restrict image)[H], real (*restrict out)[H]) {
    static real y1[W][H], y2[W][H];
    const real a1 = 0.25, a2 = -0.1875, a3 = 0.125, a4 = -0.0625, b1 = 0.75, b2 = -0.5;
    for (int i = 0; i < W; i++) {
        real ym1 = 0, ym2 = 0, xm1 = 0;
        for (int j = 0; j < H; j++) {
            y1[i][j] = a1 * image[i][j] + a2 * xm1 + b1 * ym1 + b2 * ym2;
            xm1 = image[i][j];
            ym2 = ym1;
            ym1 = y1[i][j];
        }
    }
    for (int i = 0; i < W; i++) {
        real yp1 = 0, yp2 = 0, xp1 = 0, xp2 = 0;
        for (int j = H - 1; j >= 0; j--) {
            y2[i][j] = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
            xp2 = xp1;
            xp1 = image[i][j];
            yp2 = yp1;
            yp1 = y2[i][j];
        }
    }
    for (int i = 0; i < W; i++)
        for (int j = 0; j < H; j++) out[i][j] = y1[i][j] + y2[i][j];
    for (int j = 0; j < H; j++) {
        real ym1 = 0, ym2 = 0, xm1 = 0;
        for (int i = 0; i < W; i++) {
            y1[i][j] = a1 * out[i][j] + a2 * xm1 + b1 * ym1 + b2 * ym2;
            xm1 = out[i][j];
            ym2 = ym1;
            ym1 = y1[i][j];
        }
    }
    for (int j = 0; j < H; j++) {
        real yp1 = 0, yp2 = 0, xp1 = 0, xp2 = 0;
        for (int i = W - 1; i >= 0; i--) {
            y2[i][j] = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2;
            xp2 = xp1;
            xp1 = out[i][j];
            yp2 = yp1;
            yp1 = y2[i][j];
        }
    }
    for (int i = 0; i < W; i++)
        for (int j = 0; j < H; j++) out[i][j] = y1[i][j] + y2[i][j];
}
