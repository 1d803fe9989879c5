// Runs the function `kernel` of a workload (../kernels/OP.c) as often as asked on standard input: the protocol of
// ../src/worker.rs. Arguments: in:FILE:BYTES, out:FILE:BYTES in the order of the parameters; real:FILE:BYTES is an input of
// float32, which becomes double with -DPROMOTE (the reference result); inout:FILE:RESULT:BYTES holds what is in FILE before
// each call, and is left in RESULT.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST 16

typedef void *P;
void kernel();

static P tensor[MOST];
static size_t bytes[MOST];
static const char *file[MOST];
static int is_output[MOST];
static void *before[MOST];
static int count;

static void fail(const char *what, const char *which) {
    printf("error %s %s\n", what, which);
    exit(1);
}

// Aligned to 64 bytes, and successive ones at different distances from a page: buffers that agree in their low address bits
// evict each other.
static P allocate(size_t size) {
    char *start = aligned_alloc(4096, (size + 3 * 4096) & ~(size_t)4095);
    if (!start) fail("no memory", "");
    memset(start, 0, size + 4096);
    return start + 832 * count % 4096;
}

#ifdef PROMOTE
enum { PROMOTED = 1 };
#else
enum { PROMOTED = 0 };
#endif

static void load(int at, int promote) {
    FILE *in = fopen(file[at], "rb");
    if (!in) fail("cannot open", file[at]);
    if (fread(tensor[at], 1, bytes[at], in) != bytes[at]) fail("cannot read", file[at]);
    fclose(in);
    if (promote) {
        size_t n = bytes[at] / sizeof(float);
        double *wide = allocate(n * sizeof(double));
        for (size_t i = 0; i < n; i++) wide[i] = ((float *)tensor[at])[i];
        tensor[at] = wide;
    }
}

// Keeps what is there before calls.
static void keep(int at) {
    before[at] = allocate(bytes[at]);
    memcpy(before[at], tensor[at], bytes[at]);
}

static void restore(void) {
    for (int at = 0; at < count; at++)
        if (before[at]) memcpy(tensor[at], before[at], bytes[at]);
}

static void add(char *argument) {
    char *path = strchr(argument, ':'), *size = strrchr(argument, ':');
    if (!path || path == size || count == MOST) fail("not an argument:", argument);
    *path++ = *size++ = 0;
    int updated = !strcmp(argument, "inout");
    char *result = updated ? strchr(path, ':') : NULL;
    if (updated && !result) fail("not an argument:", argument);
    if (result) *result++ = 0;
    file[count] = path;
    bytes[count] = strtoull(size, NULL, 10);
    is_output[count] = updated || !strcmp(argument, "out");
    tensor[count] = allocate(bytes[count]);
    if (!is_output[count] || updated) load(count, PROMOTED && !strcmp(argument, "real"));
    if (updated) {
        keep(count);
        file[count] = result;
    }
    count++;
}

static void call(void) {
    P *t = tensor;
    switch (count) {
        case 1: ((void (*)(P))kernel)(t[0]); break;
        case 2: ((void (*)(P, P))kernel)(t[0], t[1]); break;
        case 3: ((void (*)(P, P, P))kernel)(t[0], t[1], t[2]); break;
        case 4: ((void (*)(P, P, P, P))kernel)(t[0], t[1], t[2], t[3]); break;
        case 5: ((void (*)(P, P, P, P, P))kernel)(t[0], t[1], t[2], t[3], t[4]); break;
        case 6: ((void (*)(P, P, P, P, P, P))kernel)(t[0], t[1], t[2], t[3], t[4], t[5]); break;
        case 8:
            ((void (*)(P, P, P, P, P, P, P, P))kernel)(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]);
            break;
        case 9:
            ((void (*)(P, P, P, P, P, P, P, P, P))kernel)(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8]);
            break;
        case 10:
            ((void (*)(P, P, P, P, P, P, P, P, P, P))kernel)(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]);
            break;
        case 12:
            ((void (*)(P, P, P, P, P, P, P, P, P, P, P, P))kernel)(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8],
                                                                  t[9], t[10], t[11]);
            break;
        default: fail("unexpected number of tensors", "");
    }
}

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void write_results(void) {
    for (int at = 0; at < count; at++) {
        if (!is_output[at]) continue;
        FILE *out = fopen(file[at], "wb");
        if (!out || fwrite(tensor[at], 1, bytes[at], out) != bytes[at]) fail("cannot write", file[at]);
        fclose(out);
    }
}

// A call that takes longer needs none before it to warm up; ../src/ours.rs has the same.
#define LONG 500000000LL

static void measure(long most, double seconds) {
    restore();
    long long start = now();
    call();
    long long warm_up = now() - start;
    printf("ns");
    if (warm_up > LONG) {
        printf(" %lld\n", warm_up);
        return;
    }
    long long end = now() + (long long)(seconds * 1e9);
    start = now();
    for (long done = 0; done < most && (done == 0 || start < end); done++) {
        restore();
        start = now();
        call();
        printf(" %lld", now() - start);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    for (int at = 1; at < argc; at++) add(argv[at]);
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        long most;
        double seconds;
        if (sscanf(line, "measure %ld %lf", &most, &seconds) == 2) {
            measure(most, seconds);
        } else if (!strcmp(line, "results\n")) {
            restore();
            call();
            write_results();
            printf("ok\n");
        } else {
            printf("error unknown request\n");
        }
        fflush(stdout);
    }
}
