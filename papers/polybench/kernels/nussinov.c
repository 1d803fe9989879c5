// As the loops of polyhedral/src/testing/polybench are written.
void kernel(int *restrict seq, int (*restrict table)[N]) {
#define LARGER(a, b) ((a) >= (b) ? (a) : (b))
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) table[i][j] = 0;
    for (int i = N - 1; i >= 0; i--)
        for (int j = i + 1; j < N; j++) {
            table[i][j] = LARGER(table[i][j], table[i][j - 1]);
            table[i][j] = LARGER(table[i][j], table[i + 1][j]);
            if (i < j - 1)
                table[i][j] = LARGER(table[i][j], table[i + 1][j - 1] + (seq[i] + seq[j] == 3 ? 1 : 0));
            else
                table[i][j] = LARGER(table[i][j], table[i + 1][j - 1]);
            for (int k = i + 1; k < j; k++) table[i][j] = LARGER(table[i][j], table[i][k] + table[k + 1][j]);
        }
}
