/* Kernels of three packages in a C program: numbers are compared with plain loops. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "gather.h"
#include "mm.h"
#include "softmax.h"
#include "tilewright_pool.h"

static int failures = 0;

static void check(int holds, const char *what)
{
    if (!holds) {
        failures += 1;
        printf("FAILED: %s\n", what);
    }
}

/* Memory that lives until the program ends. */
static void *kept[256];
static int kept_count = 0;

/* Memory for `count` floats, aligned for a workspace too. */
static float *floats(int64_t count)
{
    void *memory;
    size_t bytes = (size_t)(count > 0 ? count : 1) * sizeof(float);
    bytes = (bytes + TILEWRIGHT_ALIGNMENT - 1) / TILEWRIGHT_ALIGNMENT * TILEWRIGHT_ALIGNMENT;
    /* C99 has no aligned_alloc: the first address that is aligned. */
    memory = malloc(bytes + TILEWRIGHT_ALIGNMENT);
    if (memory == NULL || kept_count == sizeof kept / sizeof *kept) {
        puts("out of memory");
        exit(1);
    }
    kept[kept_count++] = memory;
    return (float *)(((uintptr_t)memory + TILEWRIGHT_ALIGNMENT - 1) & ~(uintptr_t)(TILEWRIGHT_ALIGNMENT - 1));
}

static float *some_floats(int64_t count, unsigned seed)
{
    float *values = floats(count);
    int64_t at;
    for (at = 0; at < count; at += 1) {
        seed = seed * 1664525u + 1013904223u;
        values[at] = (float)(seed >> 16) / 32768.0f - 1.0f;
    }
    return values;
}

static void multiply(int64_t m, int64_t k, int64_t n, const tilewright_call *call)
{
    float *a = some_floats(m * k, 1), *b = some_floats(k * n, 2), *c = floats(m * n);
    int64_t a_shape[] = { m, k }, b_shape[] = { k, n }, c_shape[] = { m, n };
    tilewright_tensor a_tensor = { a, a_shape, NULL };
    tilewright_tensor b_tensor = { b, b_shape, NULL };
    tilewright_tensor c_tensor = { c, c_shape, NULL };
    int64_t row, column, at;
    int status = mm(&a_tensor, &b_tensor, &c_tensor, call);
    if (status != TILEWRIGHT_OK)
        puts(mm_error_text(status));
    check(status == TILEWRIGHT_OK, "mm");
    for (row = 0; row < m; row += 1) {
        for (column = 0; column < n; column += 1) {
            double sum = 0.0;
            for (at = 0; at < k; at += 1)
                sum += (double)a[row * k + at] * (double)b[at * n + column];
            if (fabs(sum - (double)c[row * n + column]) > 1e-5 * (double)(k + 1)) {
                check(0, "a number of mm");
                return;
            }
        }
    }
}

static void normalise(int64_t m, int64_t n, tilewright_call call)
{
    float *x = some_floats(m * n, 3), *y = floats(m * n);
    int64_t row, column;
    size_t bytes = 0;
    int status = softmax_workspace_bytes(m, n, &bytes);
    check(status == TILEWRIGHT_OK, "softmax_workspace_bytes");
    if (bytes > 0) {
        call.workspace = NULL;
        call.workspace_bytes = 0;
        status = softmax_dense(x, y, m, n, &call);
        check(TILEWRIGHT_ERROR(status) == TILEWRIGHT_WORKSPACE, "no workspace where one is needed");
        call.workspace = floats((int64_t)(bytes + 3) / 4);
        call.workspace_bytes = bytes;
    }
    status = softmax_dense(x, y, m, n, &call);
    check(status == TILEWRIGHT_OK, softmax_error_text(status));
    for (row = 0; row < m; row += 1) {
        double largest = -INFINITY, total = 0.0;
        for (column = 0; column < n; column += 1)
            largest = fmax(largest, (double)x[row * n + column]);
        for (column = 0; column < n; column += 1)
            total += exp((double)x[row * n + column] - largest);
        for (column = 0; column < n; column += 1) {
            double expected = exp((double)x[row * n + column] - largest) / total;
            if (fabs(expected - (double)y[row * n + column]) > 1e-5) {
                check(0, "a number of softmax");
                return;
            }
        }
    }
}

static void look_up(tilewright_call call)
{
    enum { ROWS = 50, D = 7, N = 200 };
    float *table = some_floats(ROWS * D, 4), *out = floats(N * D);
    int32_t index[N];
    tilewright_fault fault;
    int64_t n, d;
    int status;
    for (n = 0; n < N; n += 1)
        index[n] = (int32_t)(n * 31 % ROWS);
    status = gather_dense(table, index, out, ROWS, D, N, &call);
    check(status == TILEWRIGHT_OK, gather_error_text(status));
    for (n = 0; n < N; n += 1) {
        for (d = 0; d < D; d += 1)
            check(out[n * D + d] == table[index[n] * D + d], "a number of gather");
    }
    /* Of several wrong subscripts the first one is told, whatever the threads do. */
    index[61] = -3;
    index[190] = ROWS;
    call.fault = &fault;
    status = gather_dense(table, index, out, ROWS, D, N, &call);
    check(status == TILEWRIGHT_SUBSCRIPT, "a wrong subscript is found");
    if (status == TILEWRIGHT_SUBSCRIPT) {
        printf("%s:\n  subscript %d of %s is %" PRId64 ", outside of %" PRId64 "..%" PRId64 "; it comes from %s(%" PRId64 ")\n",
               gather_error_text(status), (int)fault.dim, fault.tensor, fault.value, fault.lower, fault.upper, fault.found_by,
               fault.at[0]);
        check(fault.value == -3 && fault.lower == 0 && fault.upper == ROWS, "what the subscript was");
        check(fault.count == 1 && fault.at[0] == 61, "where the subscript was");
    }
}

/* Every one of these is refused, and says why. */
static void refuse(void)
{
    float *a = some_floats(6, 5), *b = some_floats(12, 6), *c = floats(8);
    int64_t a_shape[] = { 2, 3 }, b_shape[] = { 3, 4 }, c_shape[] = { 2, 4 }, b_wrong[] = { 4, 3 }, columns[] = { 1, 3 };
    tilewright_tensor a_tensor = { a, a_shape, NULL }, b_tensor = { b, b_shape, NULL }, c_tensor = { c, c_shape, NULL };
    tilewright_tensor other;
    tilewright_call call = TILEWRIGHT_CALL;
    int status = mm(&a_tensor, NULL, &c_tensor, NULL);
    check(TILEWRIGHT_ERROR(status) == TILEWRIGHT_NULL && TILEWRIGHT_ABOUT(status) == 1, "NULL");
    other = b_tensor, other.shape = b_wrong;
    status = mm(&a_tensor, &other, &c_tensor, NULL);
    check(TILEWRIGHT_ERROR(status) == TILEWRIGHT_SHAPE && TILEWRIGHT_ABOUT(status) == 1, "a wrong shape");
    puts(mm_error_text(status));
    other = b_tensor, other.strides = columns;
    status = mm(&a_tensor, &other, &c_tensor, NULL);
    check(TILEWRIGHT_ERROR(status) == TILEWRIGHT_STRIDES, "columns");
    other = b_tensor, other.data = (char *)b + 1;
    status = mm(&a_tensor, &other, &c_tensor, NULL);
    check(TILEWRIGHT_ERROR(status) == TILEWRIGHT_UNALIGNED, "an odd address");
    other = c_tensor, other.data = b;
    status = mm(&a_tensor, &b_tensor, &other, NULL);
    check(TILEWRIGHT_ERROR(status) == TILEWRIGHT_OVERLAP && TILEWRIGHT_ABOUT(status) == 2, "an output that is an input");
    call.abi = 0;
    status = mm(&a_tensor, &b_tensor, &c_tensor, &call);
    check(TILEWRIGHT_ERROR(status) == TILEWRIGHT_OTHER_ABI, "another ABI");
    status = mm_dense(a, b, c, -2, 3, 4, NULL);
    check(TILEWRIGHT_ERROR(status) == TILEWRIGHT_SIZES, "a negative size");
    check(mm(&a_tensor, &b_tensor, &c_tensor, NULL) == TILEWRIGHT_OK, "what was right all the time");
}

int main(void)
{
    tilewright_pool *pool = tilewright_pool_create(4);
    tilewright_call with_threads = TILEWRIGHT_CALL, without = TILEWRIGHT_CALL;
    with_threads.parallel = tilewright_pool_parallel;
    with_threads.pool = pool;
    check(mm_abi() == TILEWRIGHT_ABI, "the ABI");
    check(pool != NULL, "a pool");
    /* Sizes that have a kernel of their own, others, and none at all. */
    multiply(64, 64, 64, NULL);
    multiply(96, 32, 48, &without);
    multiply(17, 33, 5, NULL);
    multiply(250, 70, 90, &with_threads);
    multiply(64, 64, 64, &with_threads);
    multiply(0, 3, 4, NULL);
    multiply(3, 0, 4, NULL);
    normalise(64, 100, without);
    normalise(200, 333, with_threads);
    look_up(without);
    look_up(with_threads);
    refuse();
    tilewright_pool_destroy(pool);
    while (kept_count > 0)
        free(kept[--kept_count]);
    puts(failures == 0 ? "all numbers are right" : "some are wrong");
    return failures != 0;
}
