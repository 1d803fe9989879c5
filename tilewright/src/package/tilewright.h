/* What the functions of all packages take: C99, and C++. docs/package-c.md explains it with examples.
 *
 * The functions may be called from any number of threads at once. They do not allocate, print, exit or keep anything but what
 * they have found out of the processor. */
#ifndef TILEWRIGHT_H
#define TILEWRIGHT_H

#include <stddef.h>
#include <stdint.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

/* The version of this file. A function that was made for another one refuses the call. */
#define TILEWRIGHT_ABI 1

/* A tensor that the caller owns.
 *
 * Elements are of the C type that the function's comment names; float16 and bfloat16 are the bits of such a number in a
 * uint16_t, bool is one byte, 0 or 1. */
typedef struct tilewright_tensor {
    /* The element with all subscripts 0, aligned as its type is. It may be NULL where there are no elements. What is an input
     * is only read. */
    void *data;
    /* The extent of each dimension. It may be NULL where there are no dimensions. */
    const int64_t *shape;
    /* For each dimension how many elements lie between neighbours. NULL: in row-major order, without gaps. */
    const int64_t *strides;
} tilewright_tensor;

/* Runs the iterations begin .. end (without end) of a parallel loop. */
typedef void (*tilewright_body)(void *task, int64_t begin, int64_t end);

/* Threads of the caller: runs body(task, begin, end) so that each of the iterations 0 .. count is in one of the ranges, on any
 * threads, at once or one after the other, and waits until all have returned. May be called from inside of a body. */
typedef void (*tilewright_parallel)(void *pool, tilewright_body body, void *task, int64_t count);

/* Most subscripts that a tilewright_fault has. */
#define TILEWRIGHT_FAULT_SUBSCRIPTS 8

/* Which subscript that was read from a tensor lies outside of the tensor that it subscripts; of several, the first in the
 * order of one thread. */
typedef struct tilewright_fault {
    /* The tensor that it subscripts, and the dimension, from 0. */
    const char *tensor;
    int32_t dim;
    /* Whether the 64 bits of `value` are those of a number without sign. */
    int32_t is_unsigned;
    /* It is not in lower .. upper (without upper). */
    int64_t value, lower, upper;
    /* The tensors that it was computed from, "I" or "I, J", and the subscripts of those elements, one after another: there are
     * `count` of them, and `at` has the first ones. */
    const char *found_by;
    int64_t count;
    int64_t at[TILEWRIGHT_FAULT_SUBSCRIPTS];
} tilewright_fault;

/* What a call may bring: begin with `tilewright_call call = TILEWRIGHT_CALL;` and set what is needed. Where a function takes a
 * tilewright_call, NULL is one with nothing in it. */
typedef struct tilewright_call {
    /* TILEWRIGHT_ABI. */
    int32_t abi;
    /* Runs parallel loops, and its first argument; NULL: the calling thread runs them alone. */
    tilewright_parallel parallel;
    void *pool;
    /* Scratch memory of this call alone, with any contents, aligned to TILEWRIGHT_ALIGNMENT: as much as NAME_workspace_bytes
     * says. NULL where that is none. */
    void *workspace;
    size_t workspace_bytes;
    /* Where the call writes its fault when it returns TILEWRIGHT_SUBSCRIPT; may be NULL. */
    tilewright_fault *fault;
} tilewright_call;

#define TILEWRIGHT_CALL { TILEWRIGHT_ABI, NULL, NULL, NULL, 0, NULL }

/* The alignment of a workspace in bytes. */
#define TILEWRIGHT_ALIGNMENT 64

/* What a function returns is 0 or an error: one of these, and what it is about (argument 0, 1, ... of the function, or a
 * condition). NAME_error_text has a text for each. After TILEWRIGHT_SUBSCRIPT and TILEWRIGHT_POOL outputs may have been written
 * in part; after any other error nothing has. */
#define TILEWRIGHT_ERROR(status) ((status) & 255)
#define TILEWRIGHT_ABOUT(status) ((status) >> 8)

enum {
    TILEWRIGHT_OK = 0,
    /* A subscript that was read from a tensor is outside: tilewright_fault says where. */
    TILEWRIGHT_SUBSCRIPT = 1,
    /* `parallel` did not run every iteration once. */
    TILEWRIGHT_POOL = 2,
    /* `abi` is not TILEWRIGHT_ABI of the library. */
    TILEWRIGHT_OTHER_ABI = 3,
    /* An argument, its data or its shape is NULL. */
    TILEWRIGHT_NULL = 4,
    /* An argument has another shape than the sizes ask for. */
    TILEWRIGHT_SHAPE = 5,
    /* An argument's strides are none that the kernels are for. */
    TILEWRIGHT_STRIDES = 6,
    /* An argument's data is not aligned as its type is. */
    TILEWRIGHT_UNALIGNED = 7,
    /* An argument that is written shares bytes with another. */
    TILEWRIGHT_OVERLAP = 8,
    /* A size is negative or larger than 2^48, or memory for the sizes cannot be counted. */
    TILEWRIGHT_SIZES = 9,
    /* The sizes break a condition of the definition. */
    TILEWRIGHT_CONDITION = 10,
    /* The processor lacks instructions that all kernels need. */
    TILEWRIGHT_PROCESSOR = 11,
    /* The library has no kernel for these sizes. */
    TILEWRIGHT_NO_KERNEL = 12,
    /* The workspace is too small or not aligned. */
    TILEWRIGHT_WORKSPACE = 13
};

#endif
