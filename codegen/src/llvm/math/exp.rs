//! The exponential functions: argument reduction of Cody and Waite, a polynomial, an exact scaling.
//!
//! ```text
//! x = n·ln b + r,  |r| <= ln b / 2       b^… = 2^n · e^r
//! ```
//!
//! with `n` found by adding a large number whose last digit counts ones (J.-M. Muller, "Elementary Functions", 2016,
//! sections 11.2 and 11.3). The sum's bits then hold `n`, from which [`scale`] makes powers of two with shifts.

#![allow(clippy::approx_constant, reason = "coefficients are what a fit found, also where it found a constant")]

use super::formula::{Float, Int, PerType, Polynomial};
use super::pair::Pair;

pub fn exp(x: Float<'_>) -> Float<'_> {
    let (power, n) = reduced_exp(x.at_most(LIMITS.high).at_least(LIMITS.low));
    scale(power, n)
}

pub fn exp2(x: Float<'_>) -> Float<'_> {
    let x = x.at_most(LIMITS_2.high).at_least(LIMITS_2.low);
    let n = x + WHOLE;
    let r = x - (n - WHOLE);
    scale(r.mul_add(r.polynomial(EXP2), 1.0), n)
}

pub fn exp10(x: Float<'_>) -> Float<'_> {
    let x = x.at_most(LIMITS_10.high).at_least(LIMITS_10.low);
    let n = x.mul_add(LOG2_10, WHOLE);
    let whole = n - WHOLE;
    let r = whole.minus_product(LOG10_2.low, whole.minus_product(LOG10_2.high, x));
    scale(r.mul_add(r.polynomial(EXP10), 1.0), n)
}

/// `e^x / 2`, which overflows later than `e^x`; for `x >= 0`.
pub(super) fn half_exp(x: Float<'_>) -> Float<'_> {
    let (power, n) = reduced_exp(x.at_most(LIMITS.above));
    scale(power, n - 1.0)
}

/// `e^(x.high + x.low)`.
pub(super) fn exp_of_pair(x: Pair<'_>) -> Float<'_> {
    let high = x.high.at_most(LIMITS.high).at_least(LIMITS.low);
    let n = high.mul_add(std::f64::consts::LOG2_E, WHOLE);
    let r = rest(high, n - WHOLE);
    // The low part of what was clamped means nothing, and may be infinite.
    let low = high.equals(x.high).select(x.low, high.constant(0.0));
    let tail = (r * r) * r.polynomial(EXP);
    let more = low.mul_add(r + tail, low);
    scale((r + (tail + more)) + 1.0, n)
}

/// `e^x` to 33 digits and within the exponents of a `float32`; `float64`.
pub(super) fn exp_to_single(x: Float<'_>) -> Float<'_> {
    let x = x.at_most(90.0).at_least(-110.0);
    let n = x.mul_add(std::f64::consts::LOG2_E, WHOLE);
    let r = (n - WHOLE).minus_product(std::f64::consts::LN_2, x);
    let power = (r * r).mul_add(r.polynomial(SHORT_EXP), r) + 1.0;
    power * (half_power(n.bits()) * 2.0)
}

pub fn expm1(x: Float<'_>) -> Float<'_> {
    let tiny = x.abs().less(TINY);
    tiny.select(x, expm1_pair(x).rounded())
}

/// `e^x - 1` with some digits more, unless `x` is very small.
///
/// ```text
/// e^x - 1 = 2·(2^(n-1)·(e^r - 1) + (2^(n-1) - 1/2))
/// ```
///
/// in which the products with powers of two are exact; the factor 2 keeps them finite as long as the result is.
pub(super) fn expm1_pair(x: Float<'_>) -> Pair<'_> {
    let x = x.at_most(LIMITS.high).at_least(LEAST_EXPM1);
    let n = x.mul_add(std::f64::consts::LOG2_E, WHOLE);
    let whole = n - WHOLE;
    let coarse = whole.minus_product(LN2.high, x);
    let r = whole.minus_product(LN2.low, coarse);
    let lost = whole.minus_product(LN2.low, coarse - r);
    let power = half_power(n.bits());
    let sum = Pair::sum(power - 0.5, power * r);
    let tail = (r * r).mul_add(r.polynomial(EXP), lost);
    Pair::new(sum.high * 2.0, power.mul_add(tail, sum.low) * 2.0)
}

/// `e^r`, and `n` in the lowest bits of a float.
fn reduced_exp(x: Float<'_>) -> (Float<'_>, Float<'_>) {
    let n = x.mul_add(std::f64::consts::LOG2_E, WHOLE);
    let r = rest(x, n - WHOLE);
    (r.polynomial(EXP).mul_add(r, 1.0).mul_add(r, 1.0), n)
}

/// `x - n·ln 2`: the first difference is exact.
fn rest<'f>(x: Float<'f>, n: Float<'f>) -> Float<'f> {
    n.minus_product(LN2.low, n.minus_product(LN2.high, x))
}

/// `x · 2^n`, rounded once, for an `n` far past what the exponent of a float can hold: by an instruction, or in two halves.
/// `n` is given as its sum with [`WHOLE`], whose own bits are such that half of them, moved to where the exponent is, have
/// the bias that an exponent has.
fn scale<'f>(x: Float<'f>, n: Float<'f>) -> Float<'f> {
    if x.has_scale() {
        return x.scaled(n - WHOLE);
    }
    let n = n.bits();
    let fraction = x.pick(FRACTION_BITS);
    let lower = n.shift_right(1);
    let upper = (n + 1).shift_right(1);
    x * lower.shift_left(fraction).float() * upper.shift_left(fraction).float()
}

/// `2^(n-1)` for an `n` that leaves it normal.
fn half_power(n: Int<'_>) -> Float<'_> {
    let like = n.float();
    let (fraction, bias) = (like.pick(FRACTION_BITS), like.pick(BIAS));
    // The added number holds twice the bias.
    (n - (bias + 1)).shift_left(fraction).float()
}

/// The digits of a float after the leading one.
pub(super) const FRACTION_BITS: PerType<u32> = PerType { single: 23, double: 52 };

/// What is added to exponents.
pub(super) const BIAS: PerType<i64> = PerType { single: 127, double: 1023 };

/// `1.5 · 2^fraction bits`, whose last digit counts ones, and twice the bias of exponents.
const WHOLE: PerType<f64> = PerType { single: 12_582_912.0 + 254.0, double: 6_755_399_441_055_744.0 + 2046.0 };

/// A constant with more digits than one float has.
#[derive(Clone, Copy)]
pub(super) struct Split {
    pub high: PerType<f64>,
    pub low: PerType<f64>,
}

pub(super) const LN2: Split = Split {
    high: PerType { single: 0.693_147_182_464_599_6, double: std::f64::consts::LN_2 },
    low: PerType { single: -1.904_654_212_125_933_6e-9, double: 2.319_046_813_846_299_6e-17 },
};

/// The decimal logarithm of 2.
const LOG10_2: Split = Split {
    high: PerType { single: 0.301_030_009_984_970_1, double: std::f64::consts::LOG10_2 },
    low: PerType { single: -1.432_098_883_924_482e-8, double: -2.803_728_127_785_170_6e-18 },
};

const LOG2_10: f64 = std::f64::consts::LOG2_10;

/// Arguments beyond which a function overflows, or underflows even to subnormal numbers.
struct Limits {
    low: PerType<f64>,
    high: PerType<f64>,
    /// Beyond which even half of the value overflows.
    above: PerType<f64>,
}

const LIMITS: Limits = Limits {
    low: PerType { single: -104.0, double: -746.0 },
    high: PerType { single: 89.0, double: 710.0 },
    above: PerType { single: 90.0, double: 711.0 },
};

const LIMITS_2: Limits = Limits {
    low: PerType { single: -151.0, double: -1076.0 },
    high: PerType { single: 128.0, double: 1024.0 },
    above: PerType { single: 129.0, double: 1025.0 },
};

const LIMITS_10: Limits = Limits {
    low: PerType { single: -45.5, double: -324.0 },
    high: PerType { single: 38.6, double: 308.5 },
    above: PerType { single: 39.0, double: 309.0 },
};

/// Where `e^x - 1` has become -1.
const LEAST_EXPM1: PerType<f64> = PerType { single: -20.0, double: -40.0 };

/// Where `x` and `e^x - 1` are the same number.
const TINY: PerType<f64> = PerType { single: 2.980_232_238_769_531_3e-8, double: 5.551_115_123_125_783e-17 };

/// `(e^r - 1 - r) / r²` on `|r| <= 0.347`; errors of `e^r`: 2^-28.2, 2^-63.5.
pub(super) const EXP: Polynomial = PerType {
    single: &[0.4999999403953552, 0.166665181517601, 0.041668254882097244, 0.008368960581719875, 0.0013821865431964397],
    double: &[
        0.5,
        0.16666666666666685,
        0.041666666666666526,
        0.008333333333315969,
        0.0013888888888968043,
        0.00019841269898620266,
        2.4801587155237098e-05,
        2.7557232902697543e-06,
        2.755741758743475e-07,
        2.5112649881903777e-08,
        2.0871151225785464e-09,
    ],
};

/// The same with an error of 2^-34.0.
const SHORT_EXP: Polynomial = PerType {
    single: &[0.0],
    double: &[
        0.5000000078595187,
        0.16666666160821547,
        0.04166626871002487,
        0.008333430373797678,
        0.0013946134433391814,
        0.00019826460062867562,
    ],
};

/// `(2^r - 1) / r` on `|r| <= 1/2`; errors of `2^r`: 2^-32.4, 2^-59.5.
const EXP2: Polynomial = PerType {
    single: &[
        0.6931471824645996,
        0.24022650718688965,
        0.05550405755639076,
        0.009618078358471394,
        0.0013337276177480817,
        0.00015455966058652848,
        1.4476634532911703e-05,
    ],
    double: &[
        0.6931471805599453,
        0.2402265069591007,
        0.05550410866482295,
        0.009618129107629598,
        0.001333355814616003,
        0.00015403530391228302,
        1.525273404145338e-05,
        1.3215488572390001e-06,
        1.0177983621743359e-07,
        7.0542436155023835e-09,
        4.465847337394085e-10,
        2.6626289220741793e-11,
    ],
};

/// `(10^r - 1) / r` on `|r| <= lg 2 / 2`; errors of `10^r`: 2^-30.0, 2^-57.9.
const EXP10: Polynomial = PerType {
    single: &[
        2.3025851249694824,
        2.650949001312256,
        2.034669876098633,
        1.1712560653686523,
        0.5400539040565491,
        0.2074921876192093,
        0.05266592651605606,
    ],
    double: &[
        2.302585092994046,
        2.6509490552392,
        2.034678592293343,
        1.1712551489116005,
        0.5393829292220393,
        0.20699584882993421,
        0.06808936282322149,
        0.01959768297168043,
        0.00501401173760618,
        0.0011549638887848703,
        0.00024077350952451525,
        3.9522828653817e-05,
    ],
};
