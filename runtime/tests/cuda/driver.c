/* A driver without a device, to test what is said to one: memory is the host's, and a kernel is one of the functions below, which
   the text of a module names. It refuses what a driver refuses: calls without a context, memory that it has not, unknown names,
   more shared memory than was asked for. Two devices, sm_80 and sm_90. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int status;
typedef uint64_t address;
enum { OK, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201, INVALID_PTX = 218, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700 };
enum { MOST_MEMORY = 1 << 28, DEPTH = 64 };

struct module { char text[1 << 12]; };
struct function { char name[64]; int dynamic; };

static __thread void *current[DEPTH];
static __thread int depth;
static int contexts[2];
static size_t used;
static status failed;
static char clock_ticks;

#define NEEDS_CONTEXT if (depth == 0) return INVALID_CONTEXT; if (failed) return failed

status cuInit(unsigned flags) { return getenv("NO_CUDA_DEVICE") ? NO_DEVICE : flags; }

status cuGetErrorName(status code, const char **name) {
    switch (code) {
    case INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; return OK;
    case INVALID_PTX: *name = "CUDA_ERROR_INVALID_PTX"; return OK;
    case NOT_FOUND: *name = "CUDA_ERROR_NOT_FOUND"; return OK;
    case ILLEGAL_ADDRESS: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; return OK;
    default: *name = NULL; return INVALID_VALUE;
    }
}

status cuGetErrorString(status code, const char **text) {
    *text = code == ILLEGAL_ADDRESS ? "an illegal memory access was encountered" : "the driver refuses";
    return OK;
}

status cuDeviceGetCount(int *count) { *count = 2; return OK; }
status cuDeviceGet(int *device, int number) { *device = 7 + number; return OK; }
status cuDeviceGetName(char *name, int length, int device) { strncpy(name, device == 7 ? "Eighty" : "Ninety", length); return OK; }
status cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = MOST_MEMORY; return device < 7; }

status cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case 1: case 2: case 3: *value = 1024; return OK;
    case 4: *value = 64; return OK;
    case 5: *value = 0x7fffffff; return OK;
    case 6: case 7: *value = 65535; return OK;
    case 75: *value = device == 7 ? 8 : 9; return OK;
    case 76: *value = 0; return OK;
    case 97: *value = 163 << 10; return OK;
    default: return INVALID_VALUE;
    }
}

status cuDevicePrimaryCtxRetain(void **context, int device) { *context = &contexts[device - 7]; return OK; }
status cuDevicePrimaryCtxRelease_v2(int device) { return device < 7; }
status cuCtxPushCurrent_v2(void *context) { if (depth == DEPTH) return INVALID_VALUE; current[depth++] = context; return OK; }
status cuCtxPopCurrent_v2(void **context) { if (depth == 0) return INVALID_CONTEXT; *context = current[--depth]; return OK; }
status cuCtxSynchronize(void) { NEEDS_CONTEXT; return OK; }

status cuMemAlloc_v2(address *memory, size_t bytes) {
    NEEDS_CONTEXT;
    if (used + bytes > MOST_MEMORY) return OUT_OF_MEMORY;
    size_t *start = aligned_alloc(256, (bytes + 256 + 255) / 256 * 256);
    start[0] = bytes;
    used += bytes;
    *memory = (address)((char *)start + 256);
    return OK;
}

status cuMemFree_v2(address memory) {
    NEEDS_CONTEXT;
    size_t *start = (size_t *)((char *)memory - 256);
    used -= start[0];
    free(start);
    return OK;
}

status cuMemcpyHtoDAsync_v2(address to, const void *from, size_t bytes, void *stream) { NEEDS_CONTEXT; memcpy((void *)to, from, bytes); return OK; }
status cuMemcpyDtoHAsync_v2(void *to, address from, size_t bytes, void *stream) { NEEDS_CONTEXT; memcpy(to, (void *)from, bytes); return OK; }
status cuMemcpyDtoDAsync_v2(address to, address from, size_t bytes, void *stream) { NEEDS_CONTEXT; memcpy((void *)to, (void *)from, bytes); return OK; }

status cuMemsetD32Async(address to, unsigned value, size_t count, void *stream) {
    NEEDS_CONTEXT;
    for (size_t i = 0; i < count; ++i) ((unsigned *)to)[i] = value;
    return OK;
}

status cuModuleLoadDataEx(void **module, const void *image, unsigned count, const int *options, void *const *values) {
    NEEDS_CONTEXT;
    if (strstr(image, "nonsense")) {
        for (unsigned i = 0; i < count; ++i)
            if (options[i] == 5) strcpy(values[i], "ptxas fatal: nonsense is no instruction\n");
        return INVALID_PTX;
    }
    struct module *made = calloc(1, sizeof *made);
    strncpy(made->text, image, sizeof made->text - 1);
    *module = made;
    return OK;
}

status cuModuleUnload(void *module) { NEEDS_CONTEXT; free(module); return OK; }

status cuModuleGetFunction(void **function, void *module, const char *name) {
    NEEDS_CONTEXT;
    if (!strstr(((struct module *)module)->text, name)) return NOT_FOUND;
    struct function *made = calloc(1, sizeof *made);
    strncpy(made->name, name, sizeof made->name - 1);
    made->dynamic = 48 << 10;
    *function = made;
    return OK;
}

status cuFuncGetAttribute(int *value, int attribute, void *function) {
    NEEDS_CONTEXT;
    *value = attribute == 0 ? 512 : 64;
    return attribute > 1 ? INVALID_VALUE : OK;
}

status cuFuncSetAttribute(void *function, int attribute, int value) {
    NEEDS_CONTEXT;
    if (attribute != 8 || value > 163 << 10) return INVALID_VALUE;
    ((struct function *)function)->dynamic = value;
    return OK;
}

/* B = factor A + shift, n elements; the last two are a stride of 64 bits and where to report. */
static void affine(void **values) {
    const float *a = *(const float **)values[0];
    float *b = *(float **)values[1];
    int64_t n = *(int64_t *)values[2], factor = *(int64_t *)values[3], stride = *(int64_t *)values[4];
    int64_t *fault = *(int64_t **)values[5];
    for (int64_t i = 0; i < n; ++i) b[i] = factor * a[i * stride] + 1;
    if (b[0] < 0 && fault[0] == 0) {
        int64_t report[5] = {1, (int64_t)b[0], 0, n, 0};
        memcpy(fault, report, sizeof report);
    }
}

status cuLaunchKernel(void *kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                      void *stream, void **values, void **extra) {
    NEEDS_CONTEXT;
    struct function *function = kernel;
    if (shared > (unsigned)function->dynamic || gy > 65535 || gz > 65535 || bx * by * bz > 512 || extra) return INVALID_VALUE;
    if (!strcmp(function->name, "affine")) affine(values);
    if (!strcmp(function->name, "refused")) return INVALID_VALUE;
    if (!strcmp(function->name, "wild")) failed = ILLEGAL_ADDRESS;
    return OK;
}

status cuStreamCreate(void **stream, unsigned flags) { NEEDS_CONTEXT; *stream = malloc(1); return flags != 1; }
status cuStreamSynchronize(void *stream) { NEEDS_CONTEXT; return OK; }
status cuStreamDestroy_v2(void *stream) { NEEDS_CONTEXT; free(stream); return OK; }
status cuEventCreate(void **event, unsigned flags) { NEEDS_CONTEXT; *event = malloc(1); return flags; }
status cuEventRecord(void *event, void *stream) { NEEDS_CONTEXT; *(char *)event = ++clock_ticks; return OK; }
status cuEventElapsedTime(float *milliseconds, void *from, void *to) { NEEDS_CONTEXT; *milliseconds = *(char *)to - *(char *)from; return OK; }
status cuEventDestroy_v2(void *event) { NEEDS_CONTEXT; free(event); return OK; }
