//! Inverse circular functions: one quotient or root brings the argument to at most 1/2, where a polynomial holds.

use super::formula::{Float, Mask, PerType, Polynomial};
use super::pair::Pair;

pub fn atan(x: Float<'_>) -> Float<'_> {
    let one = x.constant(1.0);
    angle(x.abs(), one, one.less(0.0)).rounded().with_sign_of(x)
}

/// The angle of the point `(x, y)`.
pub fn atan2<'f>(y: Float<'f>, x: Float<'f>) -> Float<'f> {
    let (above, beside) = in_range(y.abs(), x.abs());
    // The sign of a zero counts.
    let left = x.constant(1.0).with_sign_of(x).less(0.0);
    let angle = angle(above, beside, left).rounded().with_sign_of(y);
    (y.is_nan() | x.is_nan()).select(y + x, angle)
}

pub fn asin(x: Float<'_>) -> Float<'_> {
    let arc = ArcSine::of(x.abs());
    let large = arc.doubled_below(HALF_PI);
    arc.small.select(arc.value.rounded(), large).with_sign_of(x)
}

pub fn acos(x: Float<'_>) -> Float<'_> {
    let arc = ArcSine::of(x.abs());
    let negative = x.less(0.0);
    let value = arc.value.rounded();
    let small = x.constant(HALF_PI.0) - (value.with_sign_of(x) - x.constant(HALF_PI.1));
    let large = negative.select(arc.doubled_below(PI), value * 2.0);
    arc.small.select(small, large)
}

/// The angle at the origin of a right triangle with these sides, or of its mirror image.
///
/// ```text
/// arctan(a/b) = 0 + arctan(a/b),  π/4 + arctan((a - b)/(a + b))  or  π/2 + arctan(-b/a)
/// ```
fn angle<'f>(opposite: Float<'f>, adjacent: Float<'f>, mirrored: Mask<'f>) -> Pair<'f> {
    let steep = opposite.greater(adjacent * 2.0);
    let flat = opposite.less_equal(adjacent * 0.5);
    let numerator = flat.select(opposite, steep.select(-adjacent, opposite - adjacent));
    let denominator = flat.select(adjacent, steep.select(opposite, opposite + adjacent));
    let quotient = numerator / denominator;
    let quotient = numerator.equals(0.0).select(numerator, quotient);
    let base = |turn: f64, digits: (PerType<f64>, PerType<f64>)| {
        Pair::new(quotient.constant(digits.0) * turn, quotient.constant(digits.1) * turn)
    };
    let nothing = Pair::new(quotient.constant(0.0), quotient.constant(0.0));
    let right = nothing.or(flat, base(1.0, HALF_PI).or(steep, base(0.5, HALF_PI)));
    let left = base(1.0, PI).or(flat, base(1.0, HALF_PI).or(steep, base(1.5, HALF_PI)));
    let base = left.or(mirrored, right);
    let quotient = mirrored.select(-quotient, quotient);
    let square = quotient * quotient;
    let rest = (quotient * square).mul_add(square.polynomial(ATAN), base.low);
    let sum = Pair::ordered_sum(base.high, quotient);
    Pair::new(sum.high, sum.low + rest)
}

/// The sides of a triangle of the same shape whose sum does not overflow and whose quotient keeps its digits; a point
/// at the origin or at infinity gets the angles that C says.
fn in_range<'f>(a: Float<'f>, b: Float<'f>) -> (Float<'f>, Float<'f>) {
    let (huge, tiny, down, up) = a.pick(RANGE);
    let largest = b.at_least(a);
    let infinite = a.equals(f64::INFINITY) & b.equals(f64::INFINITY);
    let (a, b) = (infinite.choose(1.0, a), infinite.choose(1.0, b));
    let origin = b.equals(0.0) & a.equals(0.0);
    let b = origin.choose(1.0, b);
    let one = a.constant(1.0);
    let factor = largest.greater(huge).choose(down, largest.less(tiny).choose(up, one));
    (a * factor, b * factor)
}

/// The arc sine of an `x` below 1/2; else that of `√((1 - x)/2)`, which is `(π/2 - arcsin x)/2`.
struct ArcSine<'f> {
    small: Mask<'f>,
    value: Pair<'f>,
}

impl<'f> ArcSine<'f> {
    fn of(x: Float<'f>) -> ArcSine<'f> {
        let small = x.less(0.5);
        let half = x.mul_add(-0.5, 0.5);
        let square = small.select(x * x, half);
        let s = small.select(x, half.sqrt());
        ArcSine { small, value: Pair::new(s, (s * square) * square.polynomial(ASIN)) }
    }

    /// What is left of an angle after twice this one.
    fn doubled_below(&self, angle: (PerType<f64>, PerType<f64>)) -> Float<'f> {
        let high = Pair::ordered_sum(self.value.high.constant(angle.0), self.value.high * -2.0);
        high.high + (high.low + self.value.low.mul_add(-2.0, angle.1))
    }
}

/// Above, below, and the factors that bring either back.
const RANGE: PerType<(f64, f64, f64, f64)> = PerType {
    single: (1.0e37, 1.0e-30, 2.328_306_436_538_696_3e-10, 4_294_967_296.0),
    double: (1.0e300, 1.0e-280, 5.421_010_862_427_522e-20, 18_446_744_073_709_551_616.0),
};

const HALF_PI: (PerType<f64>, PerType<f64>) = (
    PerType { single: 1.570_796_370_506_286_6, double: std::f64::consts::FRAC_PI_2 },
    PerType { single: -4.371_138_828_673_793e-8, double: 6.123_233_995_736_766e-17 },
);

const PI: (PerType<f64>, PerType<f64>) = (
    PerType { single: 3.141_592_741_012_573_2, double: std::f64::consts::PI },
    PerType { single: -8.742_277_657_347_586e-8, double: 1.224_646_799_147_353_2e-16 },
);

/// `(arctan q - q) / q³` in `q²` up to 1/2; errors 2^-31.7, 2^-57.3.
const ATAN: Polynomial = PerType {
    single: &[
        -0.333333283662796,
        0.19999553263187408,
        -0.14273063838481903,
        0.10947958379983902,
        -0.08007067441940308,
        0.039010148495435715,
    ],
    double: &[
        -0.3333333333333333,
        0.19999999999999157,
        -0.14285714285600126,
        0.11111111103708257,
        -0.09090908813096837,
        0.07692301024173874,
        -0.06666558064147099,
        0.05881108499981482,
        -0.05252912124486158,
        0.0470070834675626,
        -0.04082626010090513,
        0.03172791944390595,
        -0.01871406601243164,
        0.0059241995157567895,
    ],
};

/// `(arcsin s - s) / s³` in `s²` up to 1/2; errors 2^-31.5, 2^-56.9.
const ASIN: Polynomial = PerType {
    single: &[
        0.16666662693023682,
        0.07500385493040085,
        0.0445353202521801,
        0.03167809545993805,
        0.014865297824144363,
        0.03698454424738884,
    ],
    double: &[
        0.16666666666666702,
        0.07499999999982516,
        0.044642857165728016,
        0.03038194306187436,
        0.022372206469154273,
        0.017351745157744878,
        0.013979411257811167,
        0.011409230764812843,
        0.010727753820499727,
        0.0038894034323160346,
        0.021288645784687376,
        -0.020429554647792808,
        0.032278599603435786,
    ],
};
