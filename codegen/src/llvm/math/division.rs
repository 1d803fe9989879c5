//! Quotients of many values by one: a product with the reciprocal, mended by two fused multiply-adds.
//!
//! ```text
//! z = RN(1/d)                         once
//! q = RN(x·z)
//! e = RN(q·d - x)
//! x/d = RN(q - e·z)
//! ```
//!
//! This is the quotient that a division gives, to the last bit, wherever no step leaves the normal numbers (Markstein,
//! "Computation of elementary functions on the IBM RISC System/6000 processor", 1990, theorem 8.1; Brisebarre, Muller,
//! Raina, "Accelerating correctly rounded floating-point division when the divisor is known in advance", IEEE
//! Transactions on Computers, 2004: "one multiplication and two fused multiply-adds"). `docs/decisions/0019-quotients.md`
//! has the proof for a `q` that is off by more than one unit, and what the bounds here follow from; a test goes through
//! all numbers of few digits.
//!
//! Lanes for which it may not hold are divided: where a quotient is too small or not a number, and all of them where the
//! divisor is not positive and normal.

use polyhedral::DType;

use super::formula::{Float, Formula, Lanes, PerType, Type};
use crate::llvm::Result;
use crate::llvm::emitter::{Emitter, Frame};
use crate::llvm::ir::{Llvm, lanes_of};

/// Bits of a register from which on this is worth it. Dividers are 256 bits wide at most: a register of 512 takes one
/// for 16 cycles (Intel since Skylake) or 10 (AMD), a shorter one for 5 to 8; this takes 4 of the units for arithmetic.
const WORTH: u32 = 512;

impl<'c> Emitter<'c, '_> {
    /// `x / divisor` for a vector and a scalar, where that is cheaper than a division; both are `float32` or `float64`.
    pub fn quotient(
        &self,
        frame: &Frame<'c>,
        dtype: DType,
        x: Llvm<'c>,
        divisor: Llvm<'c>,
    ) -> Result<Option<Llvm<'c>>> {
        let ty = if dtype == DType::F64 { Type::F64 } else { Type::F32 };
        let bits = if ty == Type::F64 { 64 } else { 32 };
        let lanes = lanes_of(x);
        let is_worth = self.machine.vector_bits >= WORTH && lanes.saturating_mul(bits) >= WORTH;
        if !self.machine.instructions.fma || !is_worth || lanes_of(divisor) > 1 || is_power_of_two(divisor) {
            return Ok(None);
        }
        let of_divisor = |function: for<'f> fn(Float<'f>) -> Float<'f>| {
            let formula = Formula::new(Lanes { ty, scale: false, library: true }, 1, |d| function(d[0]));
            self.ir.splat(self.formula_at(frame, &formula, &[divisor])?, lanes)
        };
        let operands = [
            x,
            self.ir.splat(divisor, lanes)?,
            of_divisor(reciprocal)?,
            of_divisor(least_quotient)?,
            of_divisor(plain_zero)?,
        ];
        let formula = Formula::new(Lanes { ty, scale: false, library: true }, operands.len() as u32, quotient);
        let register = self.machine.vector_bits / bits;
        self.by_register(&operands, register, |part| self.formula_at(frame, &formula, part)).map(Some)
    }
}

/// Whether it is a constant whose reciprocal is exact: LLVM multiplies by that.
fn is_power_of_two(divisor: Llvm<'_>) -> bool {
    let Llvm::FloatValue(value) = divisor else { return false };
    const FRACTION: u64 = (1 << 52) - 1;
    value.get_constant().is_some_and(|(value, _)| value.to_bits() & FRACTION == 0)
}

/// The arguments: dividend, divisor, [`reciprocal`], [`least_quotient`] and [`plain_zero`] of the divisor.
fn quotient<'f>(arguments: &[Float<'f>]) -> Float<'f> {
    let [x, divisor, reciprocal, least, zero] = *arguments else { return arguments[0] };
    let near = x * reciprocal;
    // Its sign, and not the opposite one, keeps that of a zero.
    let excess = near.mul_add(divisor, -x);
    let nearest = excess.minus_product(reciprocal, near);
    let is_doubtful = !least.less_equal(nearest.abs()) & !x.equals(zero);
    let [value] = is_doubtful.rarely([nearest], || [x / divisor]);
    value
}

/// `1/d`; not a number where the method does not serve, so that no quotient passes for right.
fn reciprocal(divisor: Float<'_>) -> Float<'_> {
    let not_a_number = divisor.constant(f64::NAN);
    let is_plain = divisor.constant(DIVISORS.least).less_equal(divisor) & divisor.less_equal(DIVISORS.most);
    is_plain.select(1.0 / divisor, not_a_number)
}

/// The least quotient whose remainder is exact, as is that of all larger ones.
fn least_quotient(divisor: Float<'_>) -> Float<'_> {
    (reciprocal(divisor) * LEAST_DIVIDEND).at_least(LEAST_QUOTIENT)
}

/// 0; not a number where the method does not serve even for a dividend of 0.
fn plain_zero(divisor: Float<'_>) -> Float<'_> {
    reciprocal(divisor) * 0.0
}

/// Divisors that the method serves for: they are normal, and their reciprocals are.
struct Range {
    least: PerType<f64>,
    most: PerType<f64>,
}

const DIVISORS: Range = Range {
    least: PerType { single: power_of_two(-126), double: power_of_two(-1022) },
    most: PerType { single: power_of_two(125), double: power_of_two(1021) },
};

/// Twice the least dividend: the last digit of a product of quotient and divisor is at least that of the smallest number.
const LEAST_DIVIDEND: PerType<f64> = PerType { single: power_of_two(-99), double: power_of_two(-959) };

/// Twice the least quotient that neither is nor was rounded to a subnormal number.
const LEAST_QUOTIENT: PerType<f64> = PerType { single: power_of_two(-123), double: power_of_two(-1019) };

/// `2^n` for a normal one.
const fn power_of_two(n: i64) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}
