//! Sums of two floats that carry more digits than one: T. J. Dekker, "A floating-point technique for extending the
//! available precision" (1971); J.-M. Muller et al., "Handbook of Floating-Point Arithmetic" (2018), chapters 4 and 5.

use super::formula::{Float, Mask, Operand};

/// `high + low`, where `low` is small beside `high`.
#[derive(Clone, Copy)]
pub(super) struct Pair<'f> {
    pub high: Float<'f>,
    pub low: Float<'f>,
}

impl<'f> Pair<'f> {
    pub fn new(high: Float<'f>, low: Float<'f>) -> Pair<'f> {
        Pair { high, low }
    }

    /// `a + b` exactly (Knuth's 2Sum).
    pub fn sum(a: Float<'f>, b: impl Operand<'f>) -> Pair<'f> {
        let b = b.like(a);
        let high = a + b;
        let of_b = high - a;
        let of_a = high - of_b;
        Pair { high, low: (a - of_a) + (b - of_b) }
    }

    /// `a + b` exactly, where `a` is 0 or not smaller than `b` in magnitude (Dekker's Fast2Sum).
    pub fn ordered_sum(a: Float<'f>, b: impl Operand<'f>) -> Pair<'f> {
        let b = b.like(a);
        let high = a + b;
        Pair { high, low: b - (high - a) }
    }

    /// `a · b` exactly, unless it underflows.
    pub fn product(a: Float<'f>, b: impl Operand<'f>) -> Pair<'f> {
        let b = b.like(a);
        let high = a * b;
        Pair { high, low: a.mul_add(b, -high) }
    }

    /// `a / b` given `1/b` to a few digits.
    pub fn quotient(a: Pair<'f>, b: Pair<'f>, reciprocal: impl Fn(Float<'f>) -> Float<'f>) -> Pair<'f> {
        let high = a.high / b.high;
        let remainder = high.minus_product(b.high, a.high) + high.minus_product(b.low, a.low);
        Pair { high, low: remainder * reciprocal(high) }
    }

    /// The square root of a sum that is not 0.
    pub fn square_root(of: Pair<'f>) -> Pair<'f> {
        let high = of.high.sqrt();
        let remainder = high.minus_product(high, of.high) + of.low;
        Pair { high, low: remainder * 0.5 / high }
    }

    /// The product, to about twice the digits of a float.
    pub fn times(self, other: Pair<'f>) -> Pair<'f> {
        let product = Pair::product(self.high, other.high);
        let cross = self.high.mul_add(other.low, self.low * other.high);
        Pair { high: product.high, low: product.low + cross }
    }

    /// The sum, where `self` is 0 or not smaller in magnitude.
    pub fn plus(self, other: Pair<'f>) -> Pair<'f> {
        let sum = Pair::ordered_sum(self.high, other.high);
        Pair { high: sum.high, low: sum.low + (self.low + other.low) }
    }

    /// Something small more.
    pub fn plus_low(self, low: Float<'f>) -> Pair<'f> {
        Pair { high: self.high, low: self.low + low }
    }

    /// With the digits moved up.
    pub fn normalised(self) -> Pair<'f> {
        Pair::ordered_sum(self.high, self.low)
    }

    /// Rounded to one float.
    pub fn rounded(self) -> Float<'f> {
        self.high + self.low
    }

    /// This where the mask holds, else `other`.
    pub fn or(self, mask: Mask<'f>, other: Pair<'f>) -> Pair<'f> {
        Pair { high: mask.select(self.high, other.high), low: mask.select(self.low, other.low) }
    }
}
