// What the plain loops use: `real`, and its functions.
#include <math.h>
#ifndef real
#define real float
#endif
#define REAL(function) _Generic((real)0, float: function##f, double: function)
#define EXP REAL(exp)
#define LOG REAL(log)
#define SQRT REAL(sqrt)
#define FLOOR REAL(floor)
