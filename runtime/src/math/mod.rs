//! The scalar functions that machine code calls through [`Context::math`](crate::abi::Context::math).
//!
//! The names are the built-in functions of Tensor Comprehensions. Each has a `float` and a `double` entry. What C
//! and POSIX define comes from the C library; the rest is in `special`, with the source of each formula.

mod libm;
mod special;

use crate::abi::MathFn;
use std::ffi::c_void;

/// A scalar function of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name in a TC program.
    pub name: &'static str,
    /// How many arguments it takes: 1 to 4.
    pub arity: usize,
}

/// The position of a function in the table: its `double` entry, or its `float` entry. `None` if there is no such
/// function.
pub fn slot(name: &str, double: bool) -> Option<usize> {
    position(name).map(|at| 2 * at + usize::from(double))
}

/// What the function at a position of the table would be called in C: `exp` of `double`, `expf` of `float`. No two positions have
/// one symbol.
pub fn symbol(slot: usize) -> Option<String> {
    let single = if slot.is_multiple_of(2) { "f" } else { "" };
    FUNCTIONS.get(slot / 2).map(|function| format!("{}{single}", function.name))
}

/// How many arguments the function takes.
pub fn arity(name: &str) -> Option<usize> {
    position(name).map(|at| FUNCTIONS[at].arity)
}

/// The table, for [`Context::math`](crate::abi::Context::math).
pub fn table() -> &'static [MathFn] {
    &TABLE
}

/// The `double` entry of `name`, called. `None` if there is no such function or it takes another number of
/// arguments.
pub fn call_f64(name: &str, args: &[f64]) -> Option<f64> {
    let function = TABLE[slot(name, true)?].address();
    if arity(name)? != args.len() {
        return None;
    }
    // SAFETY: the slot is a `double` entry, and a row of the table puts a function there whose parameters are as
    // many as its arity says: the constructors `unary` to `quaternary` take no other.
    unsafe { call(function, args) }
}

/// The `float` entry of `name`, called. `None` if there is no such function or it takes another number of arguments.
pub fn call_f32(name: &str, args: &[f32]) -> Option<f32> {
    let function = TABLE[slot(name, false)?].address();
    if arity(name)? != args.len() {
        return None;
    }
    // SAFETY: as in `call_f64`.
    unsafe { call(function, args) }
}

/// Calls `function` with `args`; `None` if there are not 1 to 4 of them.
///
/// # Safety
///
/// `function` must be the address of a C function with `args.len()` parameters of type `T` and result `T`.
unsafe fn call<T: Copy>(function: *const c_void, args: &[T]) -> Option<T> {
    use std::mem::transmute;
    // SAFETY: the caller says that `function` has the type that the arm gives it, and a function pointer has the
    // size of a data pointer on every machine that has this crate.
    unsafe {
        Some(match *args {
            [a] => transmute::<*const c_void, extern "C" fn(T) -> T>(function)(a),
            [a, b] => transmute::<*const c_void, extern "C" fn(T, T) -> T>(function)(a, b),
            [a, b, c] => transmute::<*const c_void, extern "C" fn(T, T, T) -> T>(function)(a, b, c),
            [a, b, c, d] => transmute::<*const c_void, extern "C" fn(T, T, T, T) -> T>(function)(a, b, c, d),
            _ => return None,
        })
    }
}

fn position(name: &str) -> Option<usize> {
    FUNCTIONS.binary_search_by_key(&name, |function| function.name).ok()
}

/// Declares [`FUNCTIONS`] and [`TABLE`] from one list, so that a name, its arity and its two entries stay together.
macro_rules! functions {
    ($($name:literal: $kind:ident $single:path, $double:path;)*) => {
        /// All functions, ordered by name.
        pub const FUNCTIONS: &[Function] = &[$(Function { name: $name, arity: arity_of!($kind) }),*];

        /// For each function of [`FUNCTIONS`] its `float` entry and its `double` entry.
        static TABLE: [MathFn; 2 * FUNCTIONS.len()] = [$($kind::<f32>($single), $kind::<f64>($double)),*];
    };
}

macro_rules! arity_of {
    (unary) => {
        1
    };
    (binary) => {
        2
    };
    (ternary) => {
        3
    };
    (quaternary) => {
        4
    };
}

const fn unary<T>(function: extern "C" fn(T) -> T) -> MathFn {
    MathFn::new(function as *const c_void)
}

const fn binary<T>(function: extern "C" fn(T, T) -> T) -> MathFn {
    MathFn::new(function as *const c_void)
}

const fn ternary<T>(function: extern "C" fn(T, T, T) -> T) -> MathFn {
    MathFn::new(function as *const c_void)
}

const fn quaternary<T>(function: extern "C" fn(T, T, T, T) -> T) -> MathFn {
    MathFn::new(function as *const c_void)
}

functions! {
    "acos": unary libm::acosf, libm::acos;
    "acosh": unary libm::acoshf, libm::acosh;
    "asin": unary libm::asinf, libm::asin;
    "asinh": unary libm::asinhf, libm::asinh;
    "atan": unary libm::atanf, libm::atan;
    "atan2": binary libm::atan2f, libm::atan2;
    "atanh": unary libm::atanhf, libm::atanh;
    "cbrt": unary libm::cbrtf, libm::cbrt;
    "ceil": unary libm::ceilf, libm::ceil;
    "copysign": binary libm::copysignf, libm::copysign;
    "cos": unary libm::cosf, libm::cos;
    "cosh": unary libm::coshf, libm::cosh;
    "cospi": unary single::cospi, double::cospi;
    "cyl_bessel_i0": unary single::cyl_bessel_i0, double::cyl_bessel_i0;
    "cyl_bessel_i1": unary single::cyl_bessel_i1, double::cyl_bessel_i1;
    "erf": unary libm::erff, libm::erf;
    "erfc": unary libm::erfcf, libm::erfc;
    "erfcinv": unary single::erfcinv, double::erfcinv;
    "erfcx": unary single::erfcx, double::erfcx;
    "erfinv": unary single::erfinv, double::erfinv;
    "exp": unary libm::expf, libm::exp;
    "exp10": unary single::exp10, double::exp10;
    "exp2": unary libm::exp2f, libm::exp2;
    "expm1": unary libm::expm1f, libm::expm1;
    "fabs": unary libm::fabsf, libm::fabs;
    "fdim": binary libm::fdimf, libm::fdim;
    "fdivide": binary single::fdivide, double::fdivide;
    "floor": unary libm::floorf, libm::floor;
    "fma": ternary libm::fmaf, libm::fma;
    "fmax": binary libm::fmaxf, libm::fmax;
    "fmin": binary libm::fminf, libm::fmin;
    "fmod": binary libm::fmodf, libm::fmod;
    "hypot": binary libm::hypotf, libm::hypot;
    "j0": unary single::j0, double::j0;
    "j1": unary single::j1, double::j1;
    "lgamma": unary single::lgamma, double::lgamma;
    "log": unary libm::logf, libm::log;
    "log10": unary libm::log10f, libm::log10;
    "log1p": unary libm::log1pf, libm::log1p;
    "log2": unary libm::log2f, libm::log2;
    "logb": unary libm::logbf, libm::logb;
    "nextafter": binary libm::nextafterf, libm::nextafter;
    "norm3d": ternary single::norm3d, double::norm3d;
    "norm4d": quaternary single::norm4d, double::norm4d;
    "normcdf": unary single::normcdf, double::normcdf;
    "normcdfinv": unary single::normcdfinv, double::normcdfinv;
    "pow": binary libm::powf, libm::pow;
    "rcbrt": unary single::rcbrt, double::rcbrt;
    "remainder": binary libm::remainderf, libm::remainder;
    "rhypot": binary single::rhypot, double::rhypot;
    "rnorm3d": ternary single::rnorm3d, double::rnorm3d;
    "rnorm4d": quaternary single::rnorm4d, double::rnorm4d;
    "round": unary libm::roundf, libm::round;
    "round_even": unary single::round_even, double::round_even;
    "rsqrt": unary single::rsqrt, double::rsqrt;
    "sin": unary libm::sinf, libm::sin;
    "sinh": unary libm::sinhf, libm::sinh;
    "sinpi": unary single::sinpi, double::sinpi;
    "sqrt": unary libm::sqrtf, libm::sqrt;
    "tan": unary libm::tanf, libm::tan;
    "tanh": unary libm::tanhf, libm::tanh;
    "tgamma": unary libm::tgammaf, libm::tgamma;
    "trunc": unary libm::truncf, libm::trunc;
    "y0": unary single::y0, double::y0;
    "y1": unary single::y1, double::y1;
}

/// Declares the C entries of functions that exist in Rust, in double precision: `double` as they are, `single`
/// computed in double precision and rounded once.
macro_rules! entries {
    ($($name:ident($($arg:ident),*);)*) => {
        mod double {
            $(pub extern "C" fn $name($($arg: f64),*) -> f64 { super::special::$name($($arg),*) })*
        }
        mod single {
            $(pub extern "C" fn $name($($arg: f32),*) -> f32 { super::special::$name($(f64::from($arg)),*) as f32 })*
        }
    };
}

entries! {
    cospi(x);
    cyl_bessel_i0(x);
    cyl_bessel_i1(x);
    erfcinv(x);
    erfcx(x);
    erfinv(x);
    exp10(x);
    fdivide(x, y);
    j0(x);
    j1(x);
    lgamma(x);
    norm3d(x, y, z);
    norm4d(x, y, z, w);
    normcdf(x);
    normcdfinv(x);
    rcbrt(x);
    rhypot(x, y);
    rnorm3d(x, y, z);
    rnorm4d(x, y, z, w);
    round_even(x);
    rsqrt(x);
    sinpi(x);
    y0(x);
    y1(x);
}
