//! The functions of the language at a `float64`, to sixty digits.

use astro_float_num::{BigFloat, Consts, RoundingMode};
use polyhedral::Builtin;

/// Binary digits of intermediate results.
const DIGITS: usize = 256;
const RM: RoundingMode = RoundingMode::ToEven;

/// Computes exactly enough; keeps the constants that it needs.
pub struct Exact {
    constants: Consts,
}

impl Exact {
    pub fn new() -> Exact {
        Exact { constants: Consts::new().expect("allocates") }
    }

    /// The distance of `found` from the value of the function, in units in the last place of the latter. For arguments
    /// where the value is a number and neither 0 nor past the largest.
    pub fn ulps(&mut self, builtin: Builtin, x: &[f64], found: f64) -> f64 {
        let exact = self.value(builtin, x);
        let found = if found.is_infinite() {
            big(2f64.powi(1023)).mul(&big(2.0).copysign(found), DIGITS, RM)
        } else {
            big(found)
        };
        let exponent = exact.exponent().map_or(-1022, |exponent| exponent - 1).max(-1022);
        let error = found.sub(&exact, DIGITS, RM).abs();
        ratio(&error, exponent - 52)
    }

    fn value(&mut self, builtin: Builtin, x: &[f64]) -> BigFloat {
        let x: Vec<BigFloat> = x.iter().map(|x| big(*x)).collect();
        let cc = &mut self.constants;
        let a = &x[0];
        let one = big(1.0);
        match builtin {
            Builtin::Exp => a.exp(DIGITS, RM, cc),
            Builtin::Exp2 => big(2.0).pow(a, DIGITS, RM, cc),
            Builtin::Exp10 => big(10.0).pow(a, DIGITS, RM, cc),
            Builtin::Expm1 if small(a) => series(a, &[1.0, 2.0, 6.0, 24.0]),
            Builtin::Expm1 => a.exp(DIGITS, RM, cc).sub(&one, DIGITS, RM),
            Builtin::Log => a.ln(DIGITS, RM, cc),
            Builtin::Log2 => a.log2(DIGITS, RM, cc),
            Builtin::Log10 => a.log10(DIGITS, RM, cc),
            Builtin::Log1p if small(a) => series(a, &[1.0, -2.0, 3.0, -4.0]),
            Builtin::Log1p => a.add(&one, 2 * DIGITS, RM).ln(DIGITS, RM, cc),
            Builtin::Sin => a.sin(DIGITS, RM, cc),
            Builtin::Cos => a.cos(DIGITS, RM, cc),
            Builtin::Tan => a.tan(DIGITS, RM, cc),
            Builtin::Sinpi => self.half_turns(a).sin(DIGITS, RM, &mut self.constants),
            Builtin::Cospi => self.half_turns(a).cos(DIGITS, RM, &mut self.constants),
            Builtin::Asin => a.asin(DIGITS, RM, cc),
            Builtin::Acos => a.acos(DIGITS, RM, cc),
            Builtin::Atan => a.atan(DIGITS, RM, cc),
            Builtin::Sinh => a.sinh(DIGITS, RM, cc),
            Builtin::Cosh => a.cosh(DIGITS, RM, cc),
            Builtin::Tanh => a.tanh(DIGITS, RM, cc),
            Builtin::Asinh => a.asinh(DIGITS, RM, cc),
            Builtin::Acosh => a.acosh(DIGITS, RM, cc),
            Builtin::Atanh => a.atanh(DIGITS, RM, cc),
            Builtin::Erf if a.abs() < big(2.5) => self.erf(a),
            Builtin::Erf => one.sub(&self.erfc(&a.abs()), DIGITS, RM).with_sign(a),
            Builtin::Erfc => self.erfc(a),
            Builtin::Erfcx if *a < big(2.5) => self.erfc(a).mul(&self.gauss(a, 1.0), DIGITS, RM),
            Builtin::Erfcx => self.fraction(a),
            Builtin::Normcdf => {
                let root = big(2.0).sqrt(DIGITS, RM);
                self.erfc(&a.neg().div(&root, DIGITS, RM)).div(&big(2.0), DIGITS, RM)
            }
            Builtin::Cbrt => a.cbrt(DIGITS, RM),
            Builtin::Rcbrt => one.div(&a.cbrt(DIGITS, RM), DIGITS, RM),
            Builtin::Atan2 => self.angle(a, &x[1]),
            Builtin::Pow => {
                let magnitude = a.abs().pow(&x[1], DIGITS, RM, cc);
                let odd = !x[1].div(&big(2.0), DIGITS, RM).fract().is_zero();
                if a.is_negative() && odd { magnitude.neg() } else { magnitude }
            }
            Builtin::Hypot | Builtin::Norm3d | Builtin::Norm4d => norm(&x),
            Builtin::Rhypot | Builtin::Rnorm3d | Builtin::Rnorm4d => one.div(&norm(&x), DIGITS, RM),
            other => panic!("`{}` has no formula", other.name()),
        }
    }

    /// `πx` less whole turns.
    fn half_turns(&mut self, x: &BigFloat) -> BigFloat {
        let turns = x.div(&big(2.0), 2200, RM);
        let part = turns.fract();
        part.mul(&self.constants.pi(DIGITS, RM), DIGITS, RM).mul(&big(2.0), DIGITS, RM)
    }

    /// `2/√π · Σ (-1)^n x^(2n+1) / (n!·(2n+1))`.
    fn erf(&mut self, x: &BigFloat) -> BigFloat {
        let square = x.mul(x, DIGITS, RM);
        let (mut power, mut sum) = (x.clone(), x.clone());
        for n in 1..200 {
            power = power.mul(&square, DIGITS, RM).div(&big(f64::from(-n)), DIGITS, RM);
            sum = sum.add(&power.div(&big(f64::from(2 * n + 1)), DIGITS, RM), DIGITS, RM);
        }
        let root = self.constants.pi(DIGITS, RM).sqrt(DIGITS, RM);
        sum.mul(&big(2.0), DIGITS, RM).div(&root, DIGITS, RM)
    }

    /// The integral's tail.
    fn erfc(&mut self, x: &BigFloat) -> BigFloat {
        if *x < big(-2.5) {
            return big(2.0).sub(&self.erfc(&x.neg()), DIGITS, RM);
        }
        if *x < big(2.5) {
            return big(1.0).sub(&self.erf(x), DIGITS, RM);
        }
        self.gauss(x, -1.0).mul(&self.fraction(x), DIGITS, RM)
    }

    /// `erfcx x` from 2.5 on, by Laplace's continued fraction (Abramowitz and Stegun 7.1.14).
    fn fraction(&mut self, x: &BigFloat) -> BigFloat {
        let step = |tail: BigFloat, k: i32| x.add(&big(f64::from(k) / 2.0).div(&tail, DIGITS, RM), DIGITS, RM);
        let tail = (1..400).rev().fold(x.clone(), step);
        let root = self.constants.pi(DIGITS, RM).sqrt(DIGITS, RM);
        big(1.0).div(&tail.mul(&root, DIGITS, RM), DIGITS, RM)
    }

    /// `e^(sign·x²)`.
    fn gauss(&mut self, x: &BigFloat, sign: f64) -> BigFloat {
        let square = x.mul(x, DIGITS, RM).mul(&big(sign), DIGITS, RM);
        square.exp(DIGITS, RM, &mut self.constants)
    }

    fn angle(&mut self, y: &BigFloat, x: &BigFloat) -> BigFloat {
        let angle = y.div(x, DIGITS, RM).atan(DIGITS, RM, &mut self.constants);
        if !x.is_negative() {
            return angle;
        }
        angle.add(&self.constants.pi(DIGITS, RM).with_sign(y), DIGITS, RM)
    }
}

/// Exactly; the library takes subnormal numbers for others.
fn big(x: f64) -> BigFloat {
    if x == 0.0 || x.abs() >= f64::MIN_POSITIVE || !x.is_finite() {
        return BigFloat::from_f64(x, DIGITS);
    }
    let mut scaled = BigFloat::from_f64(x * 2f64.powi(200), DIGITS);
    scaled.set_exponent(scaled.exponent().map_or(0, |exponent| exponent - 200));
    scaled
}

trait Signed {
    fn with_sign(&self, of: &BigFloat) -> BigFloat;
    fn copysign(&self, of: f64) -> BigFloat;
}

impl Signed for BigFloat {
    fn with_sign(&self, of: &BigFloat) -> BigFloat {
        if of.is_negative() { self.abs().neg() } else { self.abs() }
    }
    fn copysign(&self, of: f64) -> BigFloat {
        if of < 0.0 { self.abs().neg() } else { self.abs() }
    }
}

/// Whether four terms of a series are enough.
fn small(x: &BigFloat) -> bool {
    x.exponent().is_some_and(|exponent| exponent < -40)
}

/// `Σ x^n / divisor[n]`.
fn series(x: &BigFloat, divisors: &[f64]) -> BigFloat {
    let (mut power, mut sum) = (big(1.0), big(0.0));
    for divisor in divisors {
        power = power.mul(x, DIGITS, RM);
        sum = sum.add(&power.div(&big(*divisor), DIGITS, RM), DIGITS, RM);
    }
    sum
}

fn norm(x: &[BigFloat]) -> BigFloat {
    // Wide enough for a square beside the smallest one.
    let digits = 4500;
    let sum = x.iter().fold(big(0.0), |sum, x| sum.add(&x.mul(x, digits, RM), digits, RM));
    sum.sqrt(DIGITS, RM)
}

/// `x / 2^exponent`, roughly; what is too large is infinite.
fn ratio(x: &BigFloat, exponent: i32) -> f64 {
    let Some((words, _, _, own, _)) = x.as_raw_parts() else { return f64::NAN };
    let top = words.last().copied().unwrap_or(0) as f64 / 2f64.powi(64);
    if x.is_zero() { 0.0 } else { top * 2f64.powi((own - exponent).clamp(-1000, 1000)) }
}
