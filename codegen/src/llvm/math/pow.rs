//! `x^y` as `e^(y·ln x)`, and the many cases where that is not what C says.

use super::exp::{exp_of_pair, exp_to_single};
use super::formula::{Float, Mask};
use super::log::{log_to_single, precise_log};
use super::pair::Pair;

pub fn pow<'f>(x: Float<'f>, y: Float<'f>) -> Float<'f> {
    let a = x.abs();
    let magnitude = if x.is_single() {
        let wide = a.widen();
        let logarithm = wide.equals(0.0).choose(f64::NEG_INFINITY, log_to_single(wide));
        exp_to_single(logarithm * y.widen()).narrow()
    } else {
        let logarithm = precise_log(a);
        let product = Pair::product(y, logarithm_at_ends(a, logarithm.high));
        exp_of_pair(product.plus_low(y * logarithm.low))
    };
    special_cases(x, y, magnitude)
}

/// The logarithm also of 0 and of infinity.
fn logarithm_at_ends<'f>(a: Float<'f>, value: Float<'f>) -> Float<'f> {
    let value = a.equals(0.0).choose(f64::NEG_INFINITY, value);
    a.equals(f64::INFINITY).select(a, value)
}

/// C11, annex F.10.4.4, given the right magnitude where `|x|` is not 1 and neither is a NaN.
fn special_cases<'f>(x: Float<'f>, y: Float<'f>, magnitude: Float<'f>) -> Float<'f> {
    let negative = x.constant(1.0).with_sign_of(x).less(0.0);
    let whole = y.round().equals(y);
    let half = y * 0.5;
    let odd = whole & !half.round().equals(half);
    let unknown = x.is_nan() | y.is_nan();
    let undefined = negative & !whole & x.less(0.0) & x.greater(f64::NEG_INFINITY);
    let value = magnitude_at_one(x, magnitude);
    let value = (negative & odd).select(-value, value);
    let value = (unknown | undefined).choose(f64::NAN, value);
    (x.equals(1.0) | y.equals(0.0)).choose(1.0, value)
}

/// A power of ±1 has the magnitude 1, whatever `y` is.
fn magnitude_at_one<'f>(x: Float<'f>, magnitude: Float<'f>) -> Float<'f> {
    let one: Mask<'f> = x.abs().equals(1.0);
    one.choose(1.0, magnitude)
}
