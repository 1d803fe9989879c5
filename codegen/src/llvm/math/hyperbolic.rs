//! Hyperbolic functions, of exponentials, and their inverses, of logarithms.

use super::exp::{expm1_pair, half_exp};
use super::formula::{Float, PerType, Polynomial};
use super::log::{log_of_pair, log_to_single};
use super::pair::Pair;

pub fn cosh(x: Float<'_>) -> Float<'_> {
    let half = half_exp(x.abs());
    half + 0.25 / half
}

pub fn sinh(x: Float<'_>) -> Float<'_> {
    let half = half_exp(x.abs());
    let large = (half - 0.25 / half).with_sign_of(x);
    let square = x * x;
    let small = (x * square).mul_add(square.polynomial(SINH), x);
    x.abs().less(1.0).select(small, large)
}

/// `(e^2x - 1) / (e^2x + 1)`.
pub fn tanh(x: Float<'_>) -> Float<'_> {
    if x.is_single() {
        return single_tanh(x);
    }
    let power = expm1_pair(x.abs().at_most(20.0) * 2.0).normalised();
    let sum = Pair::sum(power.high, 2.0);
    let divisor = Pair::new(sum.high, sum.low + power.low);
    // 1/(p + 2) = (1 - p/(p + 2))/2
    let value = Pair::quotient(power, divisor, |quotient| quotient.mul_add(-0.5, 0.5)).rounded().with_sign_of(x);
    x.abs().less(TINY).select(x, value)
}

/// A polynomial near 0, else `1 - 2/(e^2x + 1)`, whose difference has lost no digit that matters.
fn single_tanh(x: Float<'_>) -> Float<'_> {
    let square = x * x;
    let small = (x * square).mul_add(square.polynomial(TANH), x);
    // e^2x/2 + 1/2 is half of what the quotient needs.
    let half = half_exp((x.abs() * 2.0).at_most(20.0));
    let large = 1.0 - 1.0 / (half + 0.5);
    x.abs().less(0.6).select(small, large).with_sign_of(x)
}

/// `± ln(|x| + √(x² + 1))`.
pub fn asinh(x: Float<'_>) -> Float<'_> {
    let large = x.abs().greater(HUGE);
    let a = large.choose(1.0, x.abs());
    if x.is_single() {
        let value = x.in_double(|x| {
            let a = x.abs();
            log_to_single(a + a.mul_add(a, 1.0).sqrt())
        });
        return x.abs().less(SMALL_SINGLE).select((x * x * x).mul_add(-1.0 / 6.0, x), value).with_sign_of(x);
    }
    let square = Pair::product(a, a);
    let sum = Pair::sum(square.high, 1.0);
    let root = Pair::square_root(sum.plus_low(square.low));
    let value = log_of_pair(Pair::sum(a, root.high).plus_low(root.low)).rounded();
    let value = large.select(log_of_double(x.abs()), value).with_sign_of(x);
    x.abs().less(TINY).select(x, value)
}

/// `ln(x + √(x² - 1))`.
pub fn acosh(x: Float<'_>) -> Float<'_> {
    if x.is_single() {
        return x.in_double(|x| {
            // With x² - 1 from a product, which is exact for what was a float32.
            let excess = x.mul_add(x, -1.0).sqrt();
            let value = log_to_single(x + excess);
            let near = x - 1.0;
            // ln(1 + t) loses what t has less than 1.
            let series = excess_series(near + excess);
            let value = near.less(1e-6).select(series, value);
            near.less(0.0).choose(f64::NAN, value)
        });
    }
    let large = x.greater(HUGE);
    let a = large.choose(2.0, x);
    let square = Pair::product(a, a);
    let difference = Pair::sum(square.high - 1.0, square.low);
    let root = Pair::square_root(difference);
    let value = log_of_pair(Pair::sum(a, root.high).plus_low(root.low)).rounded();
    let value = large.select(log_of_double(x), value);
    let value = x.equals(1.0).choose(0.0, value);
    (x.less(1.0)).choose(f64::NAN, value)
}

/// `ln(1 + t)` for a small `t`, to three terms.
fn excess_series(t: Float<'_>) -> Float<'_> {
    t * t.mul_add(t.mul_add(1.0 / 3.0, -0.5), 1.0)
}

/// `ln((1 + x)/(1 - x)) / 2`.
pub fn atanh(x: Float<'_>) -> Float<'_> {
    if x.is_single() {
        let value = x.in_double(|x| log_to_single((1.0 + x) / (1.0 - x)) * 0.5);
        let value = (x.abs().equals(1.0)).select(x * f64::INFINITY, value);
        let value = x.abs().greater(1.0).choose(f64::NAN, value);
        return x.abs().less(SMALL_SINGLE).select((x * x * x).mul_add(1.0 / 3.0, x), value);
    }
    let a = x.abs();
    let divisor = Pair::ordered_sum(x.constant(1.0), -a);
    let zero = x.constant(0.0);
    // 1/(1 - a) = 1 + (2a/(1 - a))/2
    let quotient = Pair::quotient(Pair::new(a * 2.0, zero), divisor, |quotient| quotient.mul_add(0.5, 1.0));
    let value = log_of_pair(Pair::sum(x.constant(1.0), quotient.high).plus_low(quotient.low));
    let value = (value.high * 0.5 + value.low * 0.5).with_sign_of(x);
    let value = a.equals(1.0).select(x * f64::INFINITY, value);
    let value = a.greater(1.0).choose(f64::NAN, value);
    a.less(TINY).select(x, value)
}

/// `ln 2x` for a large `x`.
fn log_of_double(x: Float<'_>) -> Float<'_> {
    let zero = x.constant(0.0);
    let half = x * 0.5;
    let value = log_of_pair(Pair::new(half, zero));
    let sum = Pair::sum(value.high, 2.0 * std::f64::consts::LN_2);
    x.equals(f64::INFINITY).select(x, sum.high + (sum.low + value.low))
}

/// Beyond it `x² ± 1` is `x²`, whose double overflows much later.
const HUGE: f64 = 1.0e20;

/// Below it a function and its argument are the same number.
const TINY: f64 = 3.725_290_298_461_914e-9;

/// Below it two terms of a series are enough for a `float32`.
const SMALL_SINGLE: f64 = 0.000_976_562_5;

/// `(sinh x - x) / x³` in `x²` up to 1; errors 2^-31.2, 2^-62.0.
const SINH: Polynomial = PerType {
    single: &[0.1666666716337204, 0.008333306759595871, 0.00019843823974952102, 2.7766780021920567e-06],
    double: &[
        0.16666666666666666,
        0.008333333333333635,
        0.00019841269840979207,
        2.7557319350405628e-06,
        2.505207965815418e-08,
        1.6062584312642174e-10,
        7.422804147907201e-13,
        8.550035749056966e-15,
    ],
};

/// `(tanh x - x) / x³` in `x²` up to 0.63; error 2^-32.2. Only for `float32`.
const TANH: Polynomial = PerType {
    single: &[
        -0.3333333134651184,
        0.13333217799663544,
        -0.053947579115629196,
        0.02170277200639248,
        -0.008178280666470528,
        0.0021408337634056807,
    ],
    double: &[0.0],
};
