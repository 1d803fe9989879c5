// What the plain loops use: `real` and its functions; `half`, what is in memory of elements of 16 bits.
#include <math.h>
#include <string.h>
#ifndef real
#define real float
#endif
#define REAL(function) _Generic((real)0, float: function##f, double: function)
#define EXP REAL(exp)
#define LOG REAL(log)
#define SQRT REAL(sqrt)
#define FLOOR REAL(floor)
#if defined PROMOTE
typedef real half;
#define WIDE(x) (x)
#define NARROW(x) (x)
#elif defined HALF_float16
typedef _Float16 half;
#define WIDE(x) ((real)(x))
#define NARROW(x) ((half)(x))
#elif defined HALF_bfloat16
typedef unsigned short half;
static inline float WIDE(half x) {
    unsigned bits = (unsigned)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}
// To the nearest, of two as near to the even one; for what is a number.
static inline half NARROW(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
#endif
