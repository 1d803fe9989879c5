//! The functions of the table that the C library lacks, or has in a form that does not fit.
//!
//! In double precision each is within a few units in the last place (the Bessel functions within ten); the tests
//! hold all to sixteen.

use super::libm;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// `10^x`. The base is exact, so this is as accurate as the C library's `pow`.
pub fn exp10(x: f64) -> f64 {
    libm::pow(10.0, x)
}

/// `x / y`.
pub fn fdivide(x: f64, y: f64) -> f64 {
    x / y
}

/// The Bessel function of the first kind of order 0.
pub fn j0(x: f64) -> f64 {
    libm::j0(x)
}

/// The Bessel function of the first kind of order 1.
pub fn j1(x: f64) -> f64 {
    libm::j1(x)
}

/// The Bessel function of the second kind of order 0.
pub fn y0(x: f64) -> f64 {
    libm::y0(x)
}

/// The Bessel function of the second kind of order 1.
pub fn y1(x: f64) -> f64 {
    libm::y1(x)
}

/// `ln |Γ(x)|`, without the global sign that C's `lgamma` writes.
pub fn lgamma(x: f64) -> f64 {
    libm::lgamma_r(x, &mut 0)
}

/// `1 / √x`.
pub fn rsqrt(x: f64) -> f64 {
    1.0 / x.sqrt()
}

/// `1 / ∛x`.
pub fn rcbrt(x: f64) -> f64 {
    1.0 / libm::cbrt(x)
}

/// The nearest whole number, the even one of two.
pub fn round_even(x: f64) -> f64 {
    x.round_ties_even()
}

/// `1 / √(x² + y²)`.
pub fn rhypot(x: f64, y: f64) -> f64 {
    1.0 / libm::hypot(x, y)
}

/// `√(x² + y² + z²)`; `hypot` guards against overflow and underflow, and an infinity wins over a NaN.
pub fn norm3d(x: f64, y: f64, z: f64) -> f64 {
    libm::hypot(libm::hypot(x, y), z)
}

/// `√(x² + y² + z² + w²)`, as [`norm3d`].
pub fn norm4d(x: f64, y: f64, z: f64, w: f64) -> f64 {
    libm::hypot(libm::hypot(x, y), libm::hypot(z, w))
}

/// `1 / √(x² + y² + z²)`.
pub fn rnorm3d(x: f64, y: f64, z: f64) -> f64 {
    1.0 / norm3d(x, y, z)
}

/// `1 / √(x² + y² + z² + w²)`.
pub fn rnorm4d(x: f64, y: f64, z: f64, w: f64) -> f64 {
    1.0 / norm4d(x, y, z, w)
}

/// `sin(πx)`: exact at every half integer.
pub fn sinpi(x: f64) -> f64 {
    let (quadrant, rest) = half_turns(x);
    match quadrant {
        0 | 2 if rest == 0.0 => 0.0_f64.copysign(x),
        0 => (PI * rest).sin(),
        1 => (PI * rest).cos(),
        2 => -(PI * rest).sin(),
        _ => -(PI * rest).cos(),
    }
}

/// `cos(πx)`: exact at every half integer.
pub fn cospi(x: f64) -> f64 {
    let (quadrant, rest) = half_turns(x);
    match quadrant {
        0 => (PI * rest).cos(),
        1 => 0.0 - (PI * rest).sin(),
        2 => -(PI * rest).cos(),
        _ => (PI * rest).sin(),
    }
}

/// `x` as `quadrant / 2 + rest` modulo 2, with `|rest| <= 1/4`; every step is exact.
fn half_turns(x: f64) -> (u8, f64) {
    let turn = x % 2.0;
    let nearest = (2.0 * turn).round();
    ((nearest as i64).rem_euclid(4) as u8, turn - nearest / 2.0)
}

/// The scaled complementary error function `exp(x²) erfc(x)`.
///
/// Up to 8 by the definition, with `x²` in two pieces because `exp` multiplies its rounding error by `x²`. Beyond,
/// by the continued fraction of Laplace (DLMF 7.9.1), which has converged there after 24 steps.
pub fn erfcx(x: f64) -> f64 {
    if x <= 8.0 || x.is_nan() {
        let square = x * x;
        let scale = square.exp();
        if scale.is_infinite() {
            return f64::INFINITY;
        }
        let rounding = x.mul_add(x, -square);
        return scale.mul_add(rounding, scale) * libm::erfc(x);
    }
    let denominator = (1..=24).rev().fold(x, |inner, k| x + 0.5 * f64::from(k) / inner);
    (1.0 / PI.sqrt()) / denominator
}

/// The distribution function of the standard normal distribution, `erfc(-x/√2) / 2`.
///
/// Far in the lower tail the rounding error of `x/√2` would count `x²` times, so a first-order term takes it back:
/// `erfc'(t) = -2/√π exp(-t²)`.
pub fn normcdf(x: f64) -> f64 {
    /// `1/√2` less its nearest double.
    const FRAC_1_SQRT_2_REST: f64 = -4.833_646_656_726_457e-17;
    let t = -x * FRAC_1_SQRT_2;
    let value = libm::erfc(t);
    if t.abs() > 30.0 || t.is_nan() {
        return 0.5 * value;
    }
    let rest = (-x).mul_add(FRAC_1_SQRT_2, -t) - x * FRAC_1_SQRT_2_REST;
    0.5 * (value - 2.0 / PI.sqrt() * (-t * t).exp() * rest)
}

/// The inverse of [`normcdf`].
pub fn normcdfinv(p: f64) -> f64 {
    normal_quantile(p - 0.5, p.min(1.0 - p))
}

/// The inverse of the error function.
pub fn erfinv(x: f64) -> f64 {
    normal_quantile(0.5 * x, 0.5 * (1.0 - x.abs())) * FRAC_1_SQRT_2
}

/// The inverse of the complementary error function.
pub fn erfcinv(x: f64) -> f64 {
    normal_quantile(0.5 * (1.0 - x), 0.5 * x.min(2.0 - x)) * FRAC_1_SQRT_2
}

/// The `z` with `normcdf(z) = 1/2 + offset`, where `tail` is the smaller of that and of its complement.
///
/// The caller passes both so that neither loses digits: near the middle `offset` decides, far out `tail`. Rational
/// approximations PPND16 of M. J. Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution",
/// Applied Statistics 37 (1988), 477-484; about 1 part in 10^16.
fn normal_quantile(offset: f64, tail: f64) -> f64 {
    if offset.abs() <= 0.425 {
        let r = 0.180625 - offset * offset;
        return offset * polynomial(&CENTRE.0, r) / polynomial(&CENTRE.1, r);
    }
    if tail == 0.0 {
        return f64::INFINITY.copysign(offset);
    }
    let r = (-tail.ln()).sqrt();
    let magnitude = if r <= 5.0 {
        polynomial(&SHOULDER.0, r - 1.6) / polynomial(&SHOULDER.1, r - 1.6)
    } else {
        polynomial(&TAIL.0, r - 5.0) / polynomial(&TAIL.1, r - 5.0)
    };
    magnitude.copysign(offset)
}

/// The polynomial with these coefficients, highest power first, by Horner's rule.
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

/// Numerator and denominator of PPND16 for `|offset| <= 0.425`.
#[rustfmt::skip]
const CENTRE: ([f64; 8], [f64; 8]) = (
    [
        2.509_080_928_730_122_7e3, 3.343_057_558_358_813e4, 6.726_577_092_700_87e4, 4.592_195_393_154_987e4,
        1.373_169_376_550_946e4, 1.971_590_950_306_551_3e3, 1.331_416_678_917_843_8e2, 3.387_132_872_796_366_5,
    ],
    [
        5.226_495_278_852_854e3, 2.872_908_573_572_194_3e4, 3.930_789_580_009_271e4, 2.121_379_430_158_659_7e4,
        5.394_196_021_424_751e3, 6.871_870_074_920_579e2, 4.231_333_070_160_091e1, 1.0,
    ],
);

/// Numerator and denominator of PPND16 for `√(-ln tail) <= 5`.
#[rustfmt::skip]
const SHOULDER: ([f64; 8], [f64; 8]) = (
    [
        7.745_450_142_783_414e-4, 2.272_384_498_926_918_4e-2, 2.417_807_251_774_506e-1, 1.270_458_252_452_368_4,
        3.647_848_324_763_204_5, 5.769_497_221_460_691, 4.630_337_846_156_546, 1.423_437_110_749_683_5,
    ],
    [
        1.050_750_071_644_416_9e-9, 5.475_938_084_995_345e-4, 1.519_866_656_361_645_7e-2, 1.481_039_764_274_800_8e-1,
        6.897_673_349_851e-1, 1.676_384_830_183_803_8, 2.053_191_626_637_759, 1.0,
    ],
);

/// Numerator and denominator of PPND16 for the rest.
#[rustfmt::skip]
const TAIL: ([f64; 8], [f64; 8]) = (
    [
        2.010_334_399_292_288_1e-7, 2.711_555_568_743_487_6e-5, 1.242_660_947_388_078_4e-3, 2.653_218_952_657_612_4e-2,
        2.965_605_718_285_048_7e-1, 1.784_826_539_917_291_3, 5.463_784_911_164_114, 6.657_904_643_501_103,
    ],
    [
        2.044_263_103_389_939_8e-15, 1.421_511_758_316_446e-7, 1.846_318_317_510_054_8e-5, 7.868_691_311_456_133e-4,
        1.487_536_129_085_061_5e-2, 1.369_298_809_227_358e-1, 5.998_322_065_558_88e-1, 1.0,
    ],
);

/// The modified Bessel function of the first kind of order 0.
pub fn cyl_bessel_i0(x: f64) -> f64 {
    modified_bessel(0, x.abs())
}

/// The modified Bessel function of the first kind of order 1.
pub fn cyl_bessel_i1(x: f64) -> f64 {
    modified_bessel(1, x.abs()).copysign(x)
}

/// `I_n(x)` for `x >= 0`: by its power series (DLMF 10.25.2), whose terms are all positive, up to 30; beyond, by
/// Hankel's asymptotic expansion (DLMF 10.40.1), whose smallest term there is below `exp(-2 * 30)`.
fn modified_bessel(n: i32, x: f64) -> f64 {
    if x.is_nan() || x.is_infinite() {
        return x;
    }
    if x <= 30.0 { bessel_power_series(n, x) } else { bessel_asymptotic(n, x) }
}

/// `Σ (x/2)^(2k+n) / (k! (k+n)!)` for `n` 0 or 1.
fn bessel_power_series(n: i32, x: f64) -> f64 {
    let quarter_square = 0.25 * x * x;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * f64::EPSILON * 0.125 {
        term *= quarter_square / (k * (k + f64::from(n)));
        sum += term;
        k += 1.0;
    }
    if n == 0 { sum } else { 0.5 * x * sum }
}

/// `exp(x) / √(2πx) Σ (-1)^k a_k / x^k` with `a_k = a_(k-1) (4n² - (2k-1)²) / (8k)`.
fn bessel_asymptotic(n: i32, x: f64) -> f64 {
    let order = 4.0 * f64::from(n * n);
    let (mut term, mut sum, mut k) = (1.0_f64, 1.0, 1.0);
    while term.abs() > f64::EPSILON * 0.125 {
        let odd = 2.0 * k - 1.0;
        term *= -(order - odd * odd) / (8.0 * k * x);
        sum += term;
        k += 1.0;
    }
    // exp(x) overflows a little before the result does.
    let root = (0.5 * x).exp();
    root / (2.0 * PI * x).sqrt() * sum * root
}
