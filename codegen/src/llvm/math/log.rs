//! Logarithms: the exponent, and the logarithm of a fraction near 1.
//!
//! ```text
//! x = 2^k·m,  √½ <= m < √2,  f = m - 1:      ln x = k·ln 2 + ln(1 + f)
//! ```
//!
//! In `float32` a polynomial in `f`. In `float64` the series of the area tangent in `s = f/(2 + f)`, which is what
//! `fdlibm` does (Sun Microsystems, 1993); here with the rounding errors of `s` and of its leading term kept, so that
//! the sum is known to several digits more than it is rounded to.

use super::exp::{BIAS, FRACTION_BITS, LN2};
use super::formula::{Float, PerType, Polynomial};
use super::pair::Pair;

pub fn log(x: Float<'_>) -> Float<'_> {
    let parts = Parts::of(x);
    let value = if x.is_single() {
        let tail = (parts.f * parts.f).mul_add(parts.f.polynomial(LOG), parts.f);
        parts.k.mul_add(LN2.high, tail)
    } else {
        natural(parts.k, parts.area_tangent(None)).rounded()
    };
    at_ends(x, value)
}

pub fn log2(x: Float<'_>) -> Float<'_> {
    let parts = Parts::of(x);
    let logarithm = parts.logarithm().times(pair(x, LOG2_E)).normalised();
    let sum = Pair::ordered_sum(parts.k, logarithm.high);
    at_ends(x, sum.high + (sum.low + logarithm.low))
}

pub fn log10(x: Float<'_>) -> Float<'_> {
    let parts = Parts::of(x);
    let logarithm = parts.logarithm().times(pair(x, LOG10_E)).normalised();
    let sum = Pair::ordered_sum(parts.k * LOG10_2_HIGH, logarithm.high);
    let low = parts.k.mul_add(LOG10_2_LOW, logarithm.low);
    at_ends(x, sum.high + (sum.low + low))
}

pub fn log1p(x: Float<'_>) -> Float<'_> {
    let one = x.constant(1.0);
    let sum = Pair::sum(one, x);
    let value = log1p_of(sum);
    let value = x.abs().less(TINY).select(x, value);
    // What is below -1 has a negative sum; an infinity has a low part that is none.
    at_ends(sum.high, value)
}

/// The logarithm of a positive sum.
fn log1p_of(sum: Pair<'_>) -> Float<'_> {
    if !sum.high.is_single() {
        return log_of_pair(sum).rounded();
    }
    let parts = Parts::of(sum.high);
    let f = parts.f + parts.scaled(sum.low);
    let tail = (f * f).mul_add(f.polynomial(LOG), f);
    parts.k.mul_add(LN2.high, parts.k.mul_add(LN2.low, tail))
}

/// The natural logarithm of a positive sum, with some digits more; an infinity or a NaN stays. `float64`.
pub(super) fn log_of_pair(sum: Pair<'_>) -> Pair<'_> {
    let parts = Parts::of(sum.high);
    let value = natural(parts.k, parts.area_tangent(Some(parts.scaled(sum.low))));
    let finite = sum.high.less(f64::INFINITY);
    value.or(finite, Pair::new(sum.high, sum.high.constant(0.0)))
}

/// The natural logarithm of a positive number to about 65 digits, for `pow`; `float64`.
pub(super) fn precise_log(x: Float<'_>) -> Pair<'_> {
    let parts = Parts::of(x);
    let s = parts.quotient(None).normalised();
    let square = s.times(s);
    let two_thirds = Pair::new(x.constant(2.0 / 3.0), x.constant(3.700_743_415_417_188e-17));
    let cube = square.times(s);
    let rest = square.high * cube.high * square.high.polynomial(AFTER_TWO_THIRDS);
    let series = Pair::new(s.high * 2.0, s.low * 2.0).plus(cube.times(two_thirds)).plus_low(rest).normalised();
    let exponent = Pair::ordered_sum(parts.k * LN2_HIGH, parts.k * LN2_LOW);
    exponent.plus(series).normalised()
}

/// The natural logarithm of a positive normal number to 40 digits; an infinity or a NaN stays. `float64`.
pub(super) fn log_to_single(x: Float<'_>) -> Float<'_> {
    let parts = Parts::of_normal(x);
    let s = parts.f / (parts.f + 2.0);
    let square = s * s;
    let series = (s * square).mul_add(square.polynomial(SHORT), s * 2.0);
    let value = parts.k.mul_add(std::f64::consts::LN_2, series);
    x.less(f64::INFINITY).select(value, x)
}

/// A number's exponent and what its fraction exceeds 1 by.
struct Parts<'f> {
    k: Float<'f>,
    f: Float<'f>,
    /// Minus what the exponent was taken to be by the bits, as bits of an exponent.
    scale: Float<'f>,
}

impl<'f> Parts<'f> {
    /// Of a positive finite number; anything else gives something that [`at_ends`] replaces.
    fn of(x: Float<'f>) -> Parts<'f> {
        let (least, up, by) = x.pick(SUBNORMALS);
        let subnormal = x.less(least);
        let parts = Parts::of_normal(subnormal.select(x * up, x));
        let k = subnormal.select(parts.k - by, parts.k);
        Parts { k, ..parts }
    }

    fn of_normal(x: Float<'f>) -> Parts<'f> {
        let (fraction, bias) = (x.pick(FRACTION_BITS), x.pick(BIAS));
        let (one, root) = (bias << fraction, x.pick(ROOT_HALF));
        // Carries into the exponent just where the fraction reaches √2.
        let moved = x.bits() + (one - root);
        let exponent = moved.shift_right(fraction);
        let mask = (1 << fraction) - 1;
        let m = ((moved & mask) + root).float();
        // As the low digits of a large number, an integer is a float.
        let large = (1u64 << fraction) as f64;
        let k = (exponent | x.constant(large).bits()).float() - (large + bias as f64);
        // 2^-k, or at least the smallest normal number.
        let negative = exponent.constant(2 * bias) - exponent;
        let least = exponent.constant(1);
        let scale = negative.less(least).select(least, negative).shift_left(fraction).float();
        Parts { k, f: m - 1.0, scale }
    }

    /// What is small beside the number, beside its fraction.
    fn scaled(&self, low: Float<'f>) -> Float<'f> {
        low * self.scale
    }

    /// `f/(2 + f)`, for `f` and something small more.
    fn quotient(&self, more: Option<Float<'f>>) -> Pair<'f> {
        let f = self.f;
        let divisor = f + 2.0;
        let mut lost = f - (divisor - 2.0);
        if let Some(more) = more {
            lost = lost + more;
        }
        let numerator = Pair::new(f, more.unwrap_or(f.constant(0.0)));
        // 1/(2 + f) = (1 - s)/2
        Pair::quotient(numerator, Pair::new(divisor, lost), |s| s.mul_add(-0.5, 0.5))
    }

    /// `ln(1 + f)` for `f` and something small more: `2s + s³·P(s²)`.
    fn area_tangent(&self, more: Option<Float<'f>>) -> Pair<'f> {
        let s = self.quotient(more);
        let square = s.high * s.high;
        let tail = (s.high * square) * square.polynomial(AREA_TANGENT);
        Pair::new(s.high * 2.0, s.low.mul_add(2.0, tail))
    }

    /// `ln(1 + f)` with digits enough to be multiplied.
    fn logarithm(&self) -> Pair<'f> {
        if !self.f.is_single() {
            return self.area_tangent(None);
        }
        let square = self.f * self.f;
        Pair::new(self.f, square * self.f.polynomial(LOG))
    }
}

/// `k·ln 2 + ln(1 + f)`.
fn natural<'f>(k: Float<'f>, logarithm: Pair<'f>) -> Pair<'f> {
    let sum = Pair::ordered_sum(k * LN2_HIGH, logarithm.high);
    Pair::new(sum.high, sum.low + k.mul_add(LN2_LOW, logarithm.low))
}

/// A logarithm where it is not a plain number: of 0, of infinity, of what is negative and of no number.
fn at_ends<'f>(x: Float<'f>, value: Float<'f>) -> Float<'f> {
    let value = x.equals(f64::INFINITY).select(x, value);
    let value = x.equals(0.0).choose(f64::NEG_INFINITY, value);
    (!x.less(0.0) & !x.is_nan()).select(value, x.constant(f64::NAN))
}

fn pair<'f>(like: Float<'f>, (high, low): (PerType<f64>, PerType<f64>)) -> Pair<'f> {
    Pair::new(like.constant(high), like.constant(low))
}

/// The bits of the float nearest to √½.
const ROOT_HALF: PerType<i64> = PerType { single: 0x3f35_04f3, double: 0x3fe6_a09e_667f_3bcd };

/// The smallest normal number, a power of two that makes all smaller ones normal, and its exponent.
const SUBNORMALS: PerType<(f64, f64, f64)> = PerType {
    single: (f32::MIN_POSITIVE as f64, 33_554_432.0, 25.0),
    double: (f64::MIN_POSITIVE, 18_014_398_509_481_984.0, 54.0),
};

/// `ln 2` rounded down to 42 digits and fewer than twenty, so that its products with exponents are exact.
const LN2_HIGH: PerType<f64> = PerType { single: 0.693_145_751_953_125, double: 0.693_147_180_559_890_3 };
const LN2_LOW: PerType<f64> = PerType { single: 1.428_606_765_330_187e-6, double: 5.497_923_018_708_371e-14 };

/// `lg 2`, likewise.
const LOG10_2_HIGH: PerType<f64> = PerType { single: 0.301_025_390_625, double: 0.301_029_995_663_839_14 };
const LOG10_2_LOW: PerType<f64> = PerType { single: 4.605_039_066_518_657e-6, double: 1.420_502_322_726_61e-13 };

const LOG2_E: (PerType<f64>, PerType<f64>) = (
    PerType { single: 1.442_695_021_629_333_5, double: std::f64::consts::LOG2_E },
    PerType { single: 1.925_963_033_500_011e-8, double: 2.035_527_374_093_103_3e-17 },
);

const LOG10_E: (PerType<f64>, PerType<f64>) = (
    PerType { single: 0.434_294_492_006_301_9, double: std::f64::consts::LOG10_E },
    PerType { single: -1.010_304_995_219_257_8e-8, double: 1.098_319_650_216_765e-17 },
);

/// Where `x` and `ln(1 + x)` are the same number.
const TINY: PerType<f64> = PerType { single: 2.980_232_238_769_531_3e-8, double: 5.551_115_123_125_783e-17 };

/// `(ln(1 + f) - f) / f²` between √½ - 1 and √2 - 1; error of the logarithm 2^-27.7. Only for `float32`.
const LOG: Polynomial = PerType {
    single: &[
        -0.49999988079071045,
        0.3333333730697632,
        -0.2500160336494446,
        0.2000124156475067,
        -0.16608090698719025,
        0.14195221662521362,
        -0.13264210522174835,
        0.1282898485660553,
        -0.0747973844408989,
    ],
    double: &[0.0],
};

/// `(2·artanh s - 2s) / s³` in `s²` for `|s| <= 0.1716`; error of the logarithm 2^-66.6. Only for `float64`.
const AREA_TANGENT: Polynomial = PerType {
    single: &[0.0],
    double: &[
        0.6666666666666666,
        0.4000000000000489,
        0.28571428569423596,
        0.2222222260504125,
        0.18181778504430474,
        0.15386982689603299,
        0.13252278358985276,
        0.13233669373351675,
    ],
};

/// The same with an error of 2^-44.9.
const SHORT: Polynomial = PerType {
    single: &[0.0],
    double: &[0.6666666667603587, 0.3999999555929768, 0.28572114739974047, 0.22175984007131974, 0.19586806801691975],
};

/// `(2·artanh s - 2s - 2s³/3) / s⁵` in `s²`; error of the logarithm 2^-73.2.
const AFTER_TWO_THIRDS: Polynomial = PerType {
    single: &[0.0],
    double: &[
        0.39999999999999974,
        0.2857142857144668,
        0.22222222217217893,
        0.18181818903931982,
        0.15384554858096572,
        0.13336386455843222,
        0.1167355366997287,
        0.11998616365055859,
    ],
};
