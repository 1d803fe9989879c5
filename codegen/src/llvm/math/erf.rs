//! The error function and its relatives.
//!
//! ```text
//! erfc a = e^(-a²)·erfcx a,   (1 + 2a)·erfcx a = P(q),   q = (a - K)/(a + K)        for a >= 0
//! ```
//!
//! `erfcx` is smooth all the way, and `q` brings it to an interval (M. M. Shepherd and J. G. Laframboise, "Chebyshev
//! approximation of (1 + 2x)·exp(x²)·erfc x in 0 <= x < ∞", 1981). The exponential gets the error of the square too.
//! The `float32` of all but `erf` itself is computed in `float64`, with a shorter `P`.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::exp::{exp, exp_of_pair, exp_to_single};
use super::formula::{Float, PerType, Polynomial};
use super::pair::Pair;

pub fn erf(x: Float<'_>) -> Float<'_> {
    let small = erf_near_zero(x);
    if x.is_single() {
        let a = x.abs().at_most(4.0);
        let large = 1.0 - exp(-(a * a.polynomial(LOG_ERFC)));
        return x.abs().less(0.92).select(small, large.with_sign_of(x));
    }
    let large = (1.0 - erfc_of_positive(x.abs().at_most(6.0))).with_sign_of(x);
    x.abs().less(1.0).select(small, large)
}

pub fn erfc(x: Float<'_>) -> Float<'_> {
    if x.is_single() {
        return x.in_double(|x| mirrored(x, single_erfc(x.abs().at_most(11.0))));
    }
    let small = 1.0 - erf_near_zero(x);
    let large = mirrored(x, erfc_of_positive(x.abs().at_most(28.0)));
    x.abs().less(SMALL).select(small, large)
}

/// `e^(x²)·erfc x`.
pub fn erfcx(x: Float<'_>) -> Float<'_> {
    let a = x.abs();
    if x.is_single() {
        return x.in_double(|x| {
            let a = x.abs();
            let value = a.greater(10.0).select(asymptotic(a), scaled_single(a.at_most(10.0)));
            x.less(0.0).select(exp_to_single(x * x) * 2.0 - value, value)
        });
    }
    let limited = a.at_most(27.0);
    let power = exp_of_pair(Pair::product(limited, limited));
    let value = a.greater(27.0).select(asymptotic(a), scaled(limited).rounded());
    let large = x.less(0.0).select(power.mul_add(2.0, -value), value);
    // Small: e^(x²) less its product with erf x, whose sum loses less than that of the polynomial.
    let small = power - power * erf_near_zero(x);
    a.less(SMALL).select(small, large)
}

/// `erfc(-x/√2) / 2`.
pub fn normcdf(x: Float<'_>) -> Float<'_> {
    if x.is_single() {
        return x.in_double(|x| {
            let t = x * -FRAC_1_SQRT_2;
            mirrored(t, single_erfc(t.abs().at_most(11.0))) * 0.5
        });
    }
    let a = x.abs().at_most(39.5);
    let square = Pair::product(a, a);
    let power = exp_of_pair(Pair::new(square.high * -0.5, square.low * -0.5));
    let t = Pair::product(a, FRAC_1_SQRT_2).plus_low(a * FRAC_1_SQRT_2_LOW);
    let scaled = scaled(t.high);
    // erfcx' t = 2t·erfcx t - 2/√π
    let slope = (t.high * 2.0).mul_add(scaled.high, -FRAC_2_SQRT_PI);
    let scaled = scaled.plus_low(slope * t.low);
    let half = power * 0.5;
    let tail = half.mul_add(scaled.high, half * scaled.low);
    let large = x.greater(0.0).select(1.0 - tail, tail);
    let small = erf_near_zero(x * FRAC_1_SQRT_2).mul_add(0.5, 0.5);
    let value = a.less(SMALL).select(small, large);
    x.is_nan().select(x, value)
}

/// `erf x` for `|x|` up to 0.92 or 1.
fn erf_near_zero(x: Float<'_>) -> Float<'_> {
    let square = x * x;
    x.mul_add(square.polynomial(ERF), x)
}

/// `erfc x`, given `erfc |x|`.
fn mirrored<'f>(x: Float<'f>, tail: Float<'f>) -> Float<'f> {
    let value = x.less(0.0).select(2.0 - tail, tail);
    x.is_nan().select(x, value)
}

/// `erfc a` for `a >= 0`; `float64`.
fn erfc_of_positive(a: Float<'_>) -> Float<'_> {
    let square = Pair::product(a, a);
    let power = exp_of_pair(Pair::new(-square.high, -square.low));
    let scaled = scaled(a);
    power.mul_add(scaled.high, power * scaled.low)
}

/// `erfcx a` for `0 <= a <= 28`; `float64`.
fn scaled(a: Float<'_>) -> Pair<'_> {
    // The polynomial changes slowly, so that the error of q does not matter; the leading coefficient has a low part.
    let q = (a - CENTRE) / (a + CENTRE);
    let sum = Pair::ordered_sum(q.constant(SCALED_AT_CENTRE.0), q * q.polynomial(SCALED));
    let numerator = sum.plus_low(q.constant(SCALED_AT_CENTRE.1));
    let doubled = a * 2.0;
    let divisor = doubled + 1.0;
    let lost = doubled.greater(1.0).select(1.0 - (divisor - doubled), doubled - (divisor - 1.0));
    let reciprocal = 1.0 / divisor;
    Pair::quotient(numerator, Pair::new(divisor, lost), |_| reciprocal)
}

/// `erfcx a` for `0 <= a <= 10`, to 30 digits; `float64`.
fn scaled_single(a: Float<'_>) -> Float<'_> {
    let q = (a - CENTRE_SINGLE) / (a + CENTRE_SINGLE);
    q.polynomial(SCALED_SINGLE) / a.mul_add(2.0, 1.0)
}

/// `erfc a` for `a >= 0` to 30 digits; `float64`.
fn single_erfc(a: Float<'_>) -> Float<'_> {
    exp_to_single(-(a * a)) * scaled_single(a)
}

/// `erfcx a` for a large `a`: `1/(a√π) · (1 - 1/(2a²) + 3/(4a⁴) - …)`, Abramowitz and Stegun 7.1.23.
fn asymptotic(a: Float<'_>) -> Float<'_> {
    let t = (0.5 / a) / a;
    let series = t * t.polynomial(PerType { single: ASYMPTOTIC, double: ASYMPTOTIC });
    let value = FRAC_2_SQRT_PI * 0.5 / a;
    series.mul_add(value, value)
}

/// `-1`, `1·3`, `-1·3·5`, …
const ASYMPTOTIC: &[f64] = &[-1.0, 3.0, -15.0, 105.0, -945.0, 10_395.0, -135_135.0];

/// `K` for `float64` and for `float32`.
const CENTRE: f64 = 4.0;
const CENTRE_SINGLE: f64 = 3.0;

/// `(erf x - x) / x` in `x²` up to 0.93 and 1; errors 2^-30.2, 2^-56.4.
const ERF: Polynomial = PerType {
    single: &[
        0.12837916612625122,
        -0.37612631916999817,
        0.11283676326274872,
        -0.026858530938625336,
        0.005199139472097158,
        -0.0008123064180836082,
        8.292424899991602e-05,
    ],
    double: &[
        0.1283791670955126,
        -0.37612638903183876,
        0.1128379167095874,
        -0.02686617064561862,
        0.005223977629083717,
        -0.0008548327188780678,
        0.00012055337743401365,
        -1.49257375883297e-05,
        1.6463071143507292e-06,
        -1.63704572297192e-07,
        1.4785257755585754e-08,
        -1.1825344422798593e-09,
        6.675556292447611e-11,
    ],
};

/// `-ln(erfc a) / a` for `0.9 <= a <= 4`; error of `erf` 2^-31.7. Only for `float32`.
const LOG_ERFC: Polynomial = PerType {
    single: &[
        1.1285459995269775,
        0.6356507539749146,
        0.10521555691957474,
        -0.022626997902989388,
        0.0029026647098362446,
        -4.024128429591656e-05,
        -4.729465217678808e-05,
        5.068878181191394e-06,
    ],
    double: &[0.0],
};

/// Below it `1 - erf x` keeps its digits.
const SMALL: f64 = 0.5;

/// `1/√2` less its nearest `float64`.
const FRAC_1_SQRT_2_LOW: f64 = -4.833_646_656_726_457e-17;

/// `P(0) = (1 + 2K)·erfcx K` for `float64`.
const SCALED_AT_CENTRE: (f64, f64) = (1.2329951186255526, -4.625318921008717e-17);

/// `(P(q) - P(0)) / q` for `float64`, `a` up to 28; error of `P` 2^-56.2.
const SCALED: Polynomial = PerType {
    single: &[0.0],
    double: &[
        -0.1396211168405629,
        0.015379652102620111,
        0.06809705425473708,
        -0.10103906603632057,
        0.09373283499680037,
        -0.06633036581215612,
        0.03716751556231202,
        -0.01619773405271478,
        0.005031969758727578,
        -0.0007577733792142664,
        -0.00019925553079249483,
        0.00015062237973610364,
        -2.4403060964821167e-05,
        -1.1225086301513716e-05,
        5.717588745857199e-06,
        3.017232630984181e-07,
        -8.346789987411308e-07,
        6.249561732823226e-08,
        1.1492532218547161e-07,
        -7.732929858937925e-09,
        -1.3514842600424006e-08,
        -1.7666684852379644e-09,
    ],
};

/// `P` for `float32` up to 10.2; error 2^-30.6.
const SCALED_SINGLE: Polynomial = PerType {
    single: &[0.0],
    double: &[
        1.253008058946383,
        -0.1356211127033305,
        -0.047562384264165335,
        0.12964541505602298,
        -0.11927162077714483,
        0.06830594013962436,
        -0.02378775118818437,
        0.0025298273603147955,
        0.001950414593182603,
        -0.0007416209036459514,
        -0.00018306425485487967,
        3.520473379753962e-05,
    ],
};
