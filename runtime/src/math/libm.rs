//! The functions that the C library's mathematics library has: C11 (7.12), and the Bessel functions and
//! `lgamma_r` of POSIX.
//!
//! They depend on nothing but their arguments and keep no state that a caller can see (`lgamma` would: it sets
//! `signgam`), so calling them is safe.

#[link(name = "m")]
unsafe extern "C" {
    pub safe fn acos(x: f64) -> f64;
    pub safe fn acosf(x: f32) -> f32;
    pub safe fn acosh(x: f64) -> f64;
    pub safe fn acoshf(x: f32) -> f32;
    pub safe fn asin(x: f64) -> f64;
    pub safe fn asinf(x: f32) -> f32;
    pub safe fn asinh(x: f64) -> f64;
    pub safe fn asinhf(x: f32) -> f32;
    pub safe fn atan(x: f64) -> f64;
    pub safe fn atanf(x: f32) -> f32;
    pub safe fn atan2(y: f64, x: f64) -> f64;
    pub safe fn atan2f(y: f32, x: f32) -> f32;
    pub safe fn atanh(x: f64) -> f64;
    pub safe fn atanhf(x: f32) -> f32;
    pub safe fn cbrt(x: f64) -> f64;
    pub safe fn cbrtf(x: f32) -> f32;
    pub safe fn ceil(x: f64) -> f64;
    pub safe fn ceilf(x: f32) -> f32;
    pub safe fn copysign(x: f64, y: f64) -> f64;
    pub safe fn copysignf(x: f32, y: f32) -> f32;
    pub safe fn cos(x: f64) -> f64;
    pub safe fn cosf(x: f32) -> f32;
    pub safe fn cosh(x: f64) -> f64;
    pub safe fn coshf(x: f32) -> f32;
    pub safe fn erf(x: f64) -> f64;
    pub safe fn erff(x: f32) -> f32;
    pub safe fn erfc(x: f64) -> f64;
    pub safe fn erfcf(x: f32) -> f32;
    pub safe fn exp(x: f64) -> f64;
    pub safe fn expf(x: f32) -> f32;
    pub safe fn exp2(x: f64) -> f64;
    pub safe fn exp2f(x: f32) -> f32;
    pub safe fn expm1(x: f64) -> f64;
    pub safe fn expm1f(x: f32) -> f32;
    pub safe fn fabs(x: f64) -> f64;
    pub safe fn fabsf(x: f32) -> f32;
    pub safe fn fdim(x: f64, y: f64) -> f64;
    pub safe fn fdimf(x: f32, y: f32) -> f32;
    pub safe fn floor(x: f64) -> f64;
    pub safe fn floorf(x: f32) -> f32;
    pub safe fn fma(x: f64, y: f64, z: f64) -> f64;
    pub safe fn fmaf(x: f32, y: f32, z: f32) -> f32;
    pub safe fn fmax(x: f64, y: f64) -> f64;
    pub safe fn fmaxf(x: f32, y: f32) -> f32;
    pub safe fn fmin(x: f64, y: f64) -> f64;
    pub safe fn fminf(x: f32, y: f32) -> f32;
    pub safe fn fmod(x: f64, y: f64) -> f64;
    pub safe fn fmodf(x: f32, y: f32) -> f32;
    pub safe fn hypot(x: f64, y: f64) -> f64;
    pub safe fn hypotf(x: f32, y: f32) -> f32;
    pub safe fn j0(x: f64) -> f64;
    pub safe fn j1(x: f64) -> f64;
    pub safe fn lgamma_r(x: f64, sign: &mut i32) -> f64;
    pub safe fn log(x: f64) -> f64;
    pub safe fn logf(x: f32) -> f32;
    pub safe fn log10(x: f64) -> f64;
    pub safe fn log10f(x: f32) -> f32;
    pub safe fn log1p(x: f64) -> f64;
    pub safe fn log1pf(x: f32) -> f32;
    pub safe fn log2(x: f64) -> f64;
    pub safe fn log2f(x: f32) -> f32;
    pub safe fn logb(x: f64) -> f64;
    pub safe fn logbf(x: f32) -> f32;
    pub safe fn nextafter(x: f64, y: f64) -> f64;
    pub safe fn nextafterf(x: f32, y: f32) -> f32;
    pub safe fn pow(x: f64, y: f64) -> f64;
    pub safe fn powf(x: f32, y: f32) -> f32;
    pub safe fn remainder(x: f64, y: f64) -> f64;
    pub safe fn remainderf(x: f32, y: f32) -> f32;
    pub safe fn round(x: f64) -> f64;
    pub safe fn roundf(x: f32) -> f32;
    pub safe fn sin(x: f64) -> f64;
    pub safe fn sinf(x: f32) -> f32;
    pub safe fn sinh(x: f64) -> f64;
    pub safe fn sinhf(x: f32) -> f32;
    pub safe fn sqrt(x: f64) -> f64;
    pub safe fn sqrtf(x: f32) -> f32;
    pub safe fn tan(x: f64) -> f64;
    pub safe fn tanf(x: f32) -> f32;
    pub safe fn tanh(x: f64) -> f64;
    pub safe fn tanhf(x: f32) -> f32;
    pub safe fn tgamma(x: f64) -> f64;
    pub safe fn tgammaf(x: f32) -> f32;
    pub safe fn trunc(x: f64) -> f64;
    pub safe fn truncf(x: f32) -> f32;
    pub safe fn y0(x: f64) -> f64;
    pub safe fn y1(x: f64) -> f64;
}
