//! Cube roots, and Euclidean norms without intermediate overflow.

use super::formula::{Float, Mask};
use super::pair::Pair;

/// `x·(x^(-1/3))²`, and one correction that sees the error.
pub fn cbrt(x: Float<'_>) -> Float<'_> {
    if x.is_single() {
        return x.in_double(|x| {
            let root = inverse_cube_root(x.abs(), false);
            ordinary(x).select((x * root) * root, x)
        });
    }
    let (a, _, back) = magnified(x);
    let root = inverse_cube_root(a, true);
    let value = (a * root) * root;
    let square = Pair::product(value, value);
    let error = value.minus_product(square.high, a) - value * square.low;
    let value = error.mul_add((root * root) * (1.0 / 3.0), value) * back;
    ordinary(x).select(value.with_sign_of(x), x)
}

pub fn rcbrt(x: Float<'_>) -> Float<'_> {
    if x.is_single() {
        return x.in_double(|x| {
            let root = inverse_cube_root(x.abs(), false).with_sign_of(x);
            ordinary(x).select(root, 1.0 / x)
        });
    }
    let (a, factor, _) = magnified(x);
    let value = (inverse_cube_root(a, true) * factor).with_sign_of(x);
    ordinary(x).select(value, 1.0 / x)
}

/// `√(Σ x²)`: an infinity wins over a NaN.
pub fn norm<'f>(x: &[Float<'f>]) -> Float<'f> {
    if x[0].is_single() {
        let wide: Vec<Float<'f>> = x.iter().map(|x| x.widen()).collect();
        return infinite_if_any(x, sum_of_squares(&wide).high.sqrt().narrow(), f64::INFINITY);
    }
    let (scaled, _, back) = balanced(x);
    let sum = sum_of_squares(&scaled);
    let value = (sum.high + sum.low).sqrt() * back;
    infinite_if_any(x, value, f64::INFINITY)
}

/// `1 / √(Σ x²)`.
pub fn inverse_norm<'f>(x: &[Float<'f>]) -> Float<'f> {
    if x[0].is_single() {
        let wide: Vec<Float<'f>> = x.iter().map(|x| x.widen()).collect();
        return infinite_if_any(x, (1.0 / sum_of_squares(&wide).high.sqrt()).narrow(), 0.0);
    }
    let (scaled, factor, _) = balanced(x);
    let sum = sum_of_squares(&scaled).normalised();
    let root = 1.0 / sum.high.sqrt();
    // One of Newton's steps, with the residue from exact products.
    let product = Pair::product(sum.high, root);
    let residue = product.high.minus_product(root, 1.0) - product.low.mul_add(root, (sum.low * root) * root);
    let value = residue.mul_add(root * 0.5, root);
    let value = sum.high.equals(0.0).select(root, value);
    infinite_if_any(x, value * factor, 0.0)
}

/// `a^(-1/3)` for a normal `a`; `float64`. A guess from the exponent, then iterations that make of an error `e` one of
/// about `e⁴/7` (A. S. Householder, "The Numerical Treatment of a Single Nonlinear Equation", 1970).
fn inverse_cube_root(a: Float<'_>, exactly: bool) -> Float<'_> {
    // The upper half of the bits, as a number.
    let upper = (a.bits().shift_right(32) | a.constant(TWO_52).bits()).float() - TWO_52;
    let guess = upper.mul_add(-1.0 / 3.0, GUESS + 1.5 * TWO_52).bits().shift_left(32).float();
    let root = improved(a, improved(a, guess));
    if !exactly {
        return root;
    }
    // `1 - a·root³` once more, with the errors of its products.
    let (square, product) = (Pair::product(root, root), Pair::product(a, root));
    let lost = square.high.mul_add(product.low, square.low * product.high);
    let residue = square.high.minus_product(product.high, 1.0) - lost;
    (residue * root).mul_add(1.0 / 3.0, root)
}

/// A better `a^(-1/3)`.
fn improved<'f>(a: Float<'f>, root: Float<'f>) -> Float<'f> {
    let residue = (a * root).minus_product(root * root, 1.0);
    let series = residue.mul_add(residue.mul_add(14.0 / 81.0, 2.0 / 9.0), 1.0 / 3.0);
    (residue * series).mul_add(root, root)
}

/// The magnitude as a normal number, and what its inverse cube root and its cube root are to be multiplied with.
fn magnified(x: Float<'_>) -> (Float<'_>, Float<'_>, Float<'_>) {
    let a = x.abs();
    let small = a.less(1.0e-280);
    let one = x.constant(1.0);
    let factor = |power: i32| small.choose(2f64.powi(power), one);
    (a * factor(180), factor(60), factor(-60))
}

/// Whether it is neither 0 nor infinite nor a NaN.
fn ordinary(x: Float<'_>) -> Mask<'_> {
    x.abs().greater(0.0) & x.abs().less(f64::INFINITY)
}

/// Multiples whose squares neither overflow nor vanish, their factor, and its reciprocal.
fn balanced<'f>(x: &[Float<'f>]) -> (Vec<Float<'f>>, Float<'f>, Float<'f>) {
    let largest = x.iter().skip(1).fold(x[0].abs(), |largest, x| largest.at_least(x.abs()));
    let (huge, tiny) = (largest.greater(2f64.powi(500)), largest.less(2f64.powi(-450)));
    let one = largest.constant(1.0);
    let power = |by: i32| huge.choose(2f64.powi(-by), tiny.choose(2f64.powi(by), one));
    let (factor, back) = (power(600), power(-600));
    (x.iter().map(|x| *x * factor).collect(), factor, back)
}

fn sum_of_squares<'f>(x: &[Float<'f>]) -> Pair<'f> {
    let square = |x: &Float<'f>| Pair::product(*x, *x);
    x.iter().skip(1).map(square).fold(square(&x[0]), |sum, square| {
        let high = Pair::sum(sum.high, square.high);
        high.plus_low(sum.low + square.low)
    })
}

fn infinite_if_any<'f>(x: &[Float<'f>], value: Float<'f>, then: f64) -> Float<'f> {
    x.iter().fold(value, |value, x| x.abs().equals(f64::INFINITY).choose(then, value))
}

const TWO_52: f64 = 4_503_599_627_370_496.0;

/// Of `4/3` of the bias of exponents in the upper half of a `float64`, what makes the largest residue least: 0.10.
const GUESS: f64 = 1430186164.0;
