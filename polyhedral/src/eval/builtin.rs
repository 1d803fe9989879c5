//! The functions of the language in double precision: those of the crate `libm`, and the few that it lacks.

use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

use crate::{Builtin, DType};

/// The value of `builtin` at `x`, which has as many elements as its arity. The type matters to `nextafter` alone.
pub(super) fn call(builtin: Builtin, dtype: DType, x: &[f64]) -> f64 {
    match x {
        [x] => unary(builtin, *x),
        [x, y] if builtin == Builtin::Nextafter && dtype != DType::F64 => {
            f64::from(libm::nextafterf(*x as f32, *y as f32))
        }
        [x, y] => binary(builtin, *x, *y),
        _ => several(builtin, x),
    }
}

/// What rounds correctly on every machine, or picks one of its arguments: no slack for the implementation is due.
pub(super) fn is_exact(builtin: Builtin) -> bool {
    use Builtin::*;
    matches!(
        builtin,
        Ceil | Copysign | Fabs | Floor | Fmax | Fmin | Fmod | Logb | Nextafter | Remainder | Round | RoundEven | Trunc
    )
}

fn unary(builtin: Builtin, x: f64) -> f64 {
    use Builtin::*;
    match builtin {
        Acos => libm::acos(x),
        Acosh => libm::acosh(x),
        Asin => libm::asin(x),
        Asinh => libm::asinh(x),
        Atan => libm::atan(x),
        Atanh => libm::atanh(x),
        Cbrt => libm::cbrt(x),
        Ceil => x.ceil(),
        Cos => libm::cos(x),
        Cosh => libm::cosh(x),
        Cospi => cospi(x),
        CylBesselI0 => bessel_i(0, x),
        CylBesselI1 => bessel_i(1, x),
        Erf => libm::erf(x),
        Erfc => libm::erfc(x),
        Erfcinv => erfcinv(x),
        Erfcx => erfcx(x),
        Erfinv => erfinv(x),
        Exp => libm::exp(x),
        Exp10 => libm::exp10(x),
        Exp2 => libm::exp2(x),
        Expm1 => libm::expm1(x),
        Fabs => x.abs(),
        Floor => x.floor(),
        J0 => libm::j0(x),
        J1 => libm::j1(x),
        Lgamma => libm::lgamma(x),
        Log => libm::log(x),
        Log10 => libm::log10(x),
        Log1p => libm::log1p(x),
        Log2 => libm::log2(x),
        Logb => logb(x),
        Normcdf => 0.5 * libm::erfc(-x * FRAC_1_SQRT_2),
        Normcdfinv => -SQRT_2 * erfcinv(2.0 * x),
        Rcbrt => 1.0 / libm::cbrt(x),
        Round => x.round(),
        RoundEven => x.round_ties_even(),
        Rsqrt => 1.0 / x.sqrt(),
        Sin => libm::sin(x),
        Sinh => libm::sinh(x),
        Sinpi => sinpi(x),
        Sqrt => x.sqrt(),
        Tan => libm::tan(x),
        Tanh => libm::tanh(x),
        Tgamma => libm::tgamma(x),
        Trunc => x.trunc(),
        Y0 => libm::y0(x),
        Y1 => libm::y1(x),
        _ => f64::NAN,
    }
}

fn binary(builtin: Builtin, x: f64, y: f64) -> f64 {
    use Builtin::*;
    match builtin {
        Atan2 => libm::atan2(x, y),
        Copysign => x.copysign(y),
        Fdim => libm::fdim(x, y),
        Fdivide => x / y,
        Fmax => x.max(y),
        Fmin => x.min(y),
        Fmod => x % y,
        Hypot => libm::hypot(x, y),
        Nextafter => libm::nextafter(x, y),
        Pow => libm::pow(x, y),
        Remainder => libm::remainder(x, y),
        Rhypot => 1.0 / libm::hypot(x, y),
        _ => f64::NAN,
    }
}

fn several(builtin: Builtin, x: &[f64]) -> f64 {
    use Builtin::*;
    match (builtin, x) {
        (Fma, &[a, b, c]) => a.mul_add(b, c),
        (Norm3d | Norm4d, x) => norm(x),
        (Rnorm3d | Rnorm4d, x) => 1.0 / norm(x),
        _ => f64::NAN,
    }
}

/// The Euclidean norm without intermediate overflow.
fn norm(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |norm, &x| libm::hypot(norm, x))
}

/// The unbiased exponent, as C's `logb`.
fn logb(x: f64) -> f64 {
    match x {
        _ if x.is_nan() => x,
        _ if x.is_infinite() => f64::INFINITY,
        0.0 => f64::NEG_INFINITY,
        _ => f64::from(libm::ilogb(x)),
    }
}

/// `sin(πx)`; the argument is reduced exactly before it is multiplied.
fn sinpi(x: f64) -> f64 {
    let r = x % 2.0;
    match r.abs() {
        a if a <= 0.25 => libm::sin(PI * r),
        a if a <= 0.75 => libm::cos(PI * (0.5 - a)).copysign(r),
        a if a <= 1.25 => libm::sin(PI * (1.0 - a)) * 1f64.copysign(r),
        a if a <= 1.75 => -libm::cos(PI * (1.5 - a)) * 1f64.copysign(r),
        a => libm::sin(PI * (a - 2.0)) * 1f64.copysign(r),
    }
}

/// `cos(πx)`.
fn cospi(x: f64) -> f64 {
    match (x % 2.0).abs() {
        a if a <= 0.25 => libm::cos(PI * a),
        a if a <= 0.75 => libm::sin(PI * (0.5 - a)),
        a if a <= 1.25 => -libm::cos(PI * (1.0 - a)),
        a if a <= 1.75 => libm::sin(PI * (a - 1.5)),
        a => libm::cos(PI * (2.0 - a)),
    }
}

/// The modified Bessel function of the first kind, order 0 or 1: the power series near 0 (Abramowitz and Stegun
/// 9.6.10), whose terms are all positive, and Hankel's asymptotic series (9.7.1) beyond 30, where it reaches 1e-17.
fn bessel_i(order: u32, x: f64) -> f64 {
    let a = x.abs();
    let value = if a <= 30.0 { bessel_i_series(order, a) } else { bessel_i_asymptotic(order, a) };
    if order == 1 { value.copysign(x) } else { value }
}

fn bessel_i_series(order: u32, a: f64) -> f64 {
    let quarter = a * a / 4.0;
    let mut term = if order == 0 { 1.0 } else { a / 2.0 };
    let (mut sum, mut k) = (0.0, 1.0);
    while term > sum * 1e-18 {
        sum += term;
        term *= quarter / (k * (k + f64::from(order)));
        k += 1.0;
    }
    if a.is_nan() { a } else { sum }
}

fn bessel_i_asymptotic(order: u32, a: f64) -> f64 {
    let mu = 4.0 * f64::from(order);
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while f64::abs(term) > 1e-18 && k < 40.0 {
        let odd: f64 = 2.0 * k - 1.0;
        term *= (odd * odd - mu) / (8.0 * a * k);
        sum += term;
        k += 1.0;
    }
    // In two halves: exp(a) may overflow where the quotient does not.
    let half = libm::exp(a / 2.0);
    if half.is_finite() { half * (sum / (2.0 * PI * a).sqrt()) * half } else { half }
}

/// `exp(x²)·erfc(x)`: directly while that is accurate, by the continued fraction of Abramowitz and Stegun 7.1.14 beyond.
fn erfcx(x: f64) -> f64 {
    if x < 10.0 { exp_of_square(x) * libm::erfc(x) } else { erfcx_fraction(x) }
}

/// `exp(x²)` with the rounding error of the square given back.
fn exp_of_square(x: f64) -> f64 {
    let square = x * x;
    let lost = x.mul_add(x, -square);
    let exp = libm::exp(square);
    if exp.is_finite() { exp + exp * lost } else { exp }
}

fn erfcx_fraction(x: f64) -> f64 {
    let tail = (1..=40).rev().fold(x, |tail, k| x + 0.5 * f64::from(k) / tail);
    1.0 / (tail * PI.sqrt())
}

/// The inverse of `erf`: a rational start, then Halley's steps on `erf(y) = x`, or on `erfc` near the ends.
fn erfinv(x: f64) -> f64 {
    match x.abs() {
        a if a.is_nan() || a > 1.0 => f64::NAN,
        1.0 => f64::INFINITY.copysign(x),
        0.0 => x,
        a if a > 0.5 => erfcinv_tail(1.0 - a).copysign(x),
        a => {
            let step = |y: f64| halley(y, (libm::erf(y) - a) * gauss_inverse(y));
            (0..4).fold(a * PI.sqrt() / 2.0, |y, _| step(y)).copysign(x)
        }
    }
}

/// The inverse of `erfc`.
fn erfcinv(x: f64) -> f64 {
    match x {
        _ if x.is_nan() || !(0.0..=2.0).contains(&x) => f64::NAN,
        0.0 => f64::INFINITY,
        2.0 => f64::NEG_INFINITY,
        _ if x < 0.5 => erfcinv_tail(x),
        _ if x > 1.5 => -erfcinv_tail(2.0 - x),
        _ => erfinv(1.0 - x),
    }
}

/// `erfc(y) = x` for small `x`, solved for the logarithm, which is close to a parabola.
fn erfcinv_tail(x: f64) -> f64 {
    let target = libm::log(x);
    let log_erfc = |y: f64| libm::log(erfcx(y)) - y * y;
    let mut y = (-target - 0.5 * libm::log(PI * (1.0 - target))).max(0.05).sqrt();
    for _ in 0..12 {
        // d/dy log erfc(y) = -2/(√π·erfcx(y))
        y += (log_erfc(y) - target) * erfcx(y) * PI.sqrt() / 2.0;
        y = y.max(1e-3);
    }
    y
}

/// `1 / erf'(y)`.
fn gauss_inverse(y: f64) -> f64 {
    PI.sqrt() / 2.0 * libm::exp(y * y)
}

/// Halley's step for `erf`, given Newton's.
fn halley(y: f64, newton: f64) -> f64 {
    y - newton / (1.0 + y * newton)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(builtin: Builtin, x: &[f64]) -> f64 {
        call(builtin, DType::F64, x)
    }

    #[track_caller]
    fn near(builtin: Builtin, x: &[f64], expected: f64) {
        let got = value(builtin, x);
        let error = ((got - expected) / expected).abs();
        assert!(error < 4e-15, "{}({x:?}) = {got:e}, expected {expected:e}, off by {error:e}", builtin.name());
    }

    /// Values from Abramowitz and Stegun's tables and by high-precision series.
    #[test]
    fn known_values() {
        near(Builtin::CylBesselI0, &[1.0], 1.266_065_877_752_008_3);
        near(Builtin::CylBesselI1, &[1.0], 0.565_159_103_992_485);
        near(Builtin::CylBesselI0, &[10.0], 2_815.716_628_466_254_5);
        near(Builtin::Erfcx, &[1.0], 0.427_583_576_155_807);
        near(Builtin::Erfinv, &[0.5], 0.476_936_276_204_469_9);
        near(Builtin::Erfcinv, &[0.1], 1.163_087_153_676_674);
        near(Builtin::Normcdf, &[-1.0], 0.158_655_253_931_457_05);
        near(Builtin::Normcdfinv, &[0.975], 1.959_963_984_540_054);
        near(Builtin::Norm4d, &[1.0, 1.0, 1.0, 1.0], 2.0);
        near(Builtin::Sinpi, &[1.75], -(0.5f64.sqrt()));
        near(Builtin::Cospi, &[0.75], -(0.5f64.sqrt()));
        near(Builtin::Exp10, &[3.0], 1000.0);
        near(Builtin::Rcbrt, &[8.0], 0.5);
        near(Builtin::Logb, &[10.0], 3.0);
    }

    #[test]
    fn inverses_invert() {
        for k in 1..200 {
            let x = f64::from(k) / 100.0;
            near(Builtin::Erfc, &[value(Builtin::Erfcinv, &[x])], x);
        }
        for k in -99..100 {
            let x = f64::from(k) / 100.0;
            let back = value(Builtin::Erf, &[value(Builtin::Erfinv, &[x])]);
            assert!((back - x).abs() < 4e-16, "{x}: {back}");
        }
    }

    #[test]
    fn series_meet() {
        for order in [0, 1] {
            let (series, far) = (bessel_i_series(order, 30.0), bessel_i_asymptotic(order, 30.0));
            assert!((series / far - 1.0).abs() < 1e-14, "{order}: {series} {far}");
        }
        let (direct, fraction) = (exp_of_square(10.0) * libm::erfc(10.0), erfcx_fraction(10.0));
        assert!((direct / fraction - 1.0).abs() < 1e-14, "{direct} {fraction}");
    }

    #[test]
    fn edges() {
        assert_eq!(value(Builtin::Erfinv, &[1.0]), f64::INFINITY);
        assert_eq!(value(Builtin::Erfcinv, &[2.0]), f64::NEG_INFINITY);
        assert!(value(Builtin::Erfinv, &[1.5]).is_nan());
        assert_eq!(value(Builtin::Logb, &[0.0]), f64::NEG_INFINITY);
        assert_eq!(value(Builtin::CylBesselI0, &[f64::INFINITY]), f64::INFINITY);
        assert_eq!(value(Builtin::Sinpi, &[4.0]), 0.0);
        assert!(value(Builtin::CylBesselI0, &[f64::NAN]).is_nan());
        assert!(Builtin::ALL.iter().all(|b| value(*b, &vec![0.5; b.arity()]).is_finite() || *b == Builtin::Acosh));
    }
}
