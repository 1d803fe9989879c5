//! Circular functions: reduction to an eighth of a turn, and two polynomials.
//!
//! ```text
//! x = k·π/2 + r,  |r| <= π/4:      sin x = ± sin r  or  ± cos r, as k says
//! ```
//!
//! `π/2` comes in three parts (Cody and Waite, "Software Manual for the Elementary Functions", 1980), of which the
//! first difference is exact with a fused multiply-add. What is too large for that is rare and has another way: a
//! `float32` is multiplied by the digits of `2/π` that matter at its exponent (M. Payne and R. Hanek, "Radian
//! reduction for trigonometric functions", 1983), which a table holds for each; a `float64` asks the C library, or where
//! there is none takes these digits from a table of all.

use polyhedral::Builtin;

use super::formula::{Float, Int, Mask, PerType, Polynomial, Table};
use super::pair::Pair;

pub fn sin(x: Float<'_>) -> Float<'_> {
    circular(x, Builtin::Sin, |reduced| {
        let odd = reduced.is_odd();
        let value = odd.select(rounded_cosine(reduced.rest), rounded_sine(reduced.rest));
        // The sine of -0 is -0, whose sign a sum with +0 loses.
        x.equals(0.0).select(x, flip(value, reduced.quadrant))
    })
}

pub fn cos(x: Float<'_>) -> Float<'_> {
    circular(x, Builtin::Cos, |reduced| {
        let value = reduced.is_odd().select(rounded_sine(reduced.rest), rounded_cosine(reduced.rest));
        flip(value, reduced.quadrant + 1)
    })
}

pub fn tan(x: Float<'_>) -> Float<'_> {
    circular(x, Builtin::Tan, |reduced| {
        let odd = reduced.is_odd();
        if x.is_single() {
            let value = single_tangent(reduced.rest);
            return x.equals(0.0).select(x, odd.select(-1.0 / value, value));
        }
        let (sine, cosine) = (sine(reduced.rest).normalised(), cosine(reduced.rest).normalised());
        let negative = Pair::new(-cosine.high, -cosine.low);
        let (over, under) = (negative.or(odd, sine), sine.or(odd, cosine));
        let reciprocal = 1.0 / under.high;
        let value = Pair::quotient(over, under, |_| reciprocal).rounded();
        x.equals(0.0).select(x, value)
    })
}

/// `tan r` for `|r| <= π/4`; the low part of `r` counts `1 + tan² r` times.
fn single_tangent(r: Pair<'_>) -> Float<'_> {
    let square = r.high * r.high;
    let tail = (r.high * square) * square.polynomial(TAN);
    let tangent = r.high + tail;
    let slope = tangent.mul_add(tangent, 1.0);
    r.high + r.low.mul_add(slope, tail)
}

/// The sine of half turns, exact where it is 0 or ±1.
pub fn sinpi(x: Float<'_>) -> Float<'_> {
    let (quarters, rest) = half_turns(x);
    let (sine, cosine) = (sine_of_turn(rest), cosine_of_turn(rest));
    let odd = quarters.abs().equals(1.0);
    // Quarters are -2, -1, 0, 1 or 2.
    let negative = quarters.equals(-1.0) | quarters.abs().equals(2.0);
    let value = odd.select(cosine, sine);
    let value = negative.select(-value, value);
    (rest.equals(0.0) & !odd).select(x.constant(0.0).with_sign_of(x), value)
}

/// The cosine of half turns, exact where it is 0 or ±1.
pub fn cospi(x: Float<'_>) -> Float<'_> {
    let (quarters, rest) = half_turns(x);
    let (sine, cosine) = (sine_of_turn(rest), cosine_of_turn(rest));
    let odd = quarters.abs().equals(1.0);
    let negative = quarters.equals(1.0) | quarters.abs().equals(2.0);
    let value = odd.select(sine, cosine);
    let value = negative.select(-value, value);
    (rest.equals(0.0) & odd).choose(0.0, value)
}

/// `x = k·π/2 + rest`.
#[derive(Clone, Copy)]
struct Reduced<'f> {
    /// `k`, of which the last two bits matter.
    quadrant: Int<'f>,
    rest: Pair<'f>,
}

impl<'f> Reduced<'f> {
    fn is_odd(&self) -> Mask<'f> {
        (self.quadrant & 1).equals(self.quadrant.constant(1))
    }
}

/// A function of the reduced argument.
fn circular<'f>(x: Float<'f>, builtin: Builtin, of: impl Fn(Reduced<'f>) -> Float<'f>) -> Float<'f> {
    // False for an infinity's reduction, which gives no number anyway.
    let large = x.abs().greater(LARGE);
    let reduced = reduce(x);
    if x.is_single() || !x.has_library() {
        let Reduced { quadrant, rest } = reduced;
        let [quadrant, high, low] = large.rarely([quadrant, rest.high.bits(), rest.low.bits()], || {
            let far = if x.is_single() { reduce_far(x) } else { reduce_farther(x) };
            let rest = far.rest.or(large, rest);
            [large.select(far.quadrant, quadrant), rest.high.bits(), rest.low.bits()]
        });
        return of(Reduced { quadrant, rest: Pair::new(high.float(), low.float()) });
    }
    let value = of(reduced);
    let [value] = large.rarely([value], || [large.select(x.library(builtin), value)]);
    value
}

/// For arguments up to [`LARGE`].
fn reduce(x: Float<'_>) -> Reduced<'_> {
    let n = x.mul_add(std::f64::consts::FRAC_2_PI, WHOLE);
    let k = n - WHOLE;
    let coarse = k.minus_product(HALF_PI.0, x);
    let middle = Pair::product(-k, HALF_PI.1);
    let sum = Pair::sum(coarse, middle.high);
    let rest = Pair::ordered_sum(sum.high, sum.low + k.minus_product(HALF_PI.2, middle.low));
    if !x.is_single() {
        return Reduced { quadrant: n.bits(), rest };
    }
    // Sine and cosine do without the low part, and so with fewer steps.
    let high = k.minus_product(HALF_PI.2, k.minus_product(HALF_PI.1, coarse));
    Reduced { quadrant: n.bits(), rest: Pair::new(high, (rest.high - high) + rest.low) }
}

/// For arguments from 2^14 on; `float32`. All products and sums but the last are exact.
fn reduce_far(x: Float<'_>) -> Reduced<'_> {
    let bits = x.bits();
    let exponent = (bits & 0x7fff_ffff).shift_right(23) - FIRST_EXPONENT;
    let zero = exponent.constant(0);
    let row = exponent.less(zero).select(zero, exponent);
    // With the exponent of 2^23 the fraction is an integer.
    let digits = ((bits & 0x007f_ffff) | x.constant(8_388_608.0).bits()).float().with_sign_of(x).widen();
    let (turns, middle) = (digits * row.lookup(&TURNS_HIGH), row.lookup(&TURNS_MIDDLE));
    let k = digits.mul_add(middle, turns).round();
    let rest = digits.mul_add(middle, turns - k);
    let rest = digits.mul_add(row.lookup(&TURNS_LOW), rest);
    let quadrant = (k - (k * 0.25).round() * 4.0).narrow() + WHOLE;
    let rest = rest * std::f64::consts::FRAC_PI_2;
    let high = rest.narrow();
    Reduced { quadrant: quadrant.bits(), rest: Pair::new(high, (rest - high.widen()).narrow()) }
}

/// For arguments from 2^26 on; `float64`. Payne and Hanek's way with 53 digits at a time: the product with each word of `2/π` is
/// exact as two floats, and those that matter are summed without an error that matters (the closest that a float comes to a
/// multiple of `π/2` is 2^-61).
fn reduce_farther(x: Float<'_>) -> Reduced<'_> {
    let biased = (x.bits() & 0x7fff_ffff_ffff_ffff).shift_right(52);
    // As a float: the integer as the last digits of 2^52.
    let exponent = (biased | EXPONENT_52).float() - (TWO_52 + 1075.0);
    // Words that end before 2^(exponent - 2) give multiples of four turns: the first that does not.
    let first = ((exponent - 28.0) * (1.0 / WORD_BITS)).round().at_least(0.0);
    let shift = exponent - first * WORD_BITS;
    let power = (shift + (TWO_52 + 1023.0)).bits().shift_left(52).float();
    let whole = ((x.bits() & 0x000f_ffff_ffff_ffff) | EXPONENT_52).float().with_sign_of(x);
    // 0 times an infinity is no number.
    let digits = whole.mul_add(power, x * 0.0);
    let row = (first + TWO_52).bits() & 0xff;
    let word = |at: i64| {
        let scaled = digits * (-WORD_BITS * at as f64).exp2();
        Pair::product(scaled, (row + at).lookup(&TWO_OVER_PI))
    };
    let words = [0, 1, 2, 3, 4].map(word);
    let [first, second, ..] = words;
    let (first, lost, second_high) = (modulo_four(first.high), modulo_four(first.low), modulo_four(second.high));
    let k = (first + (lost + (second_high + (second.low + words[2].high)))).round();
    let small = [second.low, words[2].high, words[2].low, words[3].high, words[3].low, words[4].high];
    let mut terms = vec![-k, first, lost, second_high];
    terms.extend(small);
    let rest = sum_of(terms).times(Pair::new(x.constant(HALF_PI.0), x.constant(HALF_PI.1)));
    Reduced { quadrant: (k - (k * 0.25).round() * 4.0 + WHOLE).bits(), rest: rest.normalised() }
}

/// What is left of multiples of four, at most 2 in magnitude; exact.
fn modulo_four(x: Float<'_>) -> Float<'_> {
    (x * 0.25).round().minus_product(4.0, x)
}

/// A sum as if computed with four times the digits (T. Ogita, S. M. Rump, S. Oishi, "Accurate sum and dot product", 2005: SumK).
fn sum_of(mut terms: Vec<Float<'_>>) -> Pair<'_> {
    for _ in 0..3 {
        for at in 1..terms.len() {
            let sum = Pair::sum(terms[at], terms[at - 1]);
            (terms[at], terms[at - 1]) = (sum.high, sum.low);
        }
    }
    let (last, others) = terms.split_last().expect("there are some");
    let others = others.iter().skip(1).fold(others[0], |sum, term| sum + *term);
    Pair::sum(*last, others)
}

/// `sin r` for `|r| <= π/4`.
fn rounded_sine(r: Pair<'_>) -> Float<'_> {
    if !r.high.is_single() {
        return sine(r).rounded();
    }
    let square = r.high * r.high;
    (r.high * square).mul_add(square.polynomial(SIN), r.high)
}

/// `cos r` for `|r| <= π/4`.
fn rounded_cosine(r: Pair<'_>) -> Float<'_> {
    if !r.high.is_single() {
        return cosine(r).rounded();
    }
    let square = r.high * r.high;
    square.mul_add(square.mul_add(square.polynomial(COS), -0.5), 1.0)
}

/// `sin r` with some digits more; `float64`.
fn sine(r: Pair<'_>) -> Pair<'_> {
    let square = r.high * r.high;
    let low = (square * r.low).mul_add(-0.5, r.low);
    Pair::new(r.high, (r.high * square).mul_add(square.polynomial(SIN), low))
}

/// `cos r` with some digits more; `float64`.
fn cosine(r: Pair<'_>) -> Pair<'_> {
    let square = r.high * r.high;
    let half = square * 0.5;
    let high = 1.0 - half;
    let lost = (1.0 - high) - half;
    let tail = (square * square).mul_add(square.polynomial(COS), r.high.minus_product(r.low, lost));
    Pair::new(high, tail)
}

/// Turns the sign as the second bit of the quadrant says.
fn flip<'f>(value: Float<'f>, quadrant: Int<'f>) -> Float<'f> {
    let sign = (quadrant & 2).shift_left(value.pick(PerType { single: 30, double: 62 }));
    (value.bits() ^ sign).float()
}

/// `x` as half turns: how many quarters, from -2 to 2, and the rest, at most 1/4. Every step is exact.
fn half_turns(x: Float<'_>) -> (Float<'_>, Float<'_>) {
    // Large floats are even numbers; and 0 times an infinity is no number.
    let x = x.abs().greater(x.pick(EVEN)).select(x * 0.0, x);
    let quarters = (x * 2.0).round();
    let rest = quarters.mul_add(-0.5, x);
    (quarters - (quarters * 0.25).round() * 4.0, rest)
}

/// `sin πr` for `|r| <= 1/4`.
fn sine_of_turn(r: Float<'_>) -> Float<'_> {
    let square = r * r;
    let high = r * PI.0;
    let lost = r.mul_add(PI.1, r.mul_add(PI.0, -high));
    // The products of the smallest numbers have lost digits that nothing brings back.
    high + (r * square).mul_add(square.polynomial(SIN_PI), lost)
}

/// `cos πr` for `|r| <= 1/4`.
fn cosine_of_turn(r: Float<'_>) -> Float<'_> {
    let square = r * r;
    square.mul_add(square.polynomial(COS_PI), 1.0)
}

/// Arguments with a larger magnitude are reduced in another way.
const LARGE: PerType<f64> = PerType { single: 32_768.0, double: 67_108_864.0 };

/// Larger numbers are even.
const EVEN: PerType<f64> = PerType { single: 33_554_432.0, double: 18_014_398_509_481_984.0 };

/// `1.5 · 2^fraction bits`: the last digit counts ones.
const WHOLE: PerType<f64> = PerType { single: 12_582_912.0, double: 6_755_399_441_055_744.0 };

/// `π/2` in three parts.
const HALF_PI: (PerType<f64>, PerType<f64>, PerType<f64>) = (
    PerType { single: 1.570_796_370_506_286_6, double: std::f64::consts::FRAC_PI_2 },
    PerType { single: -4.371_138_828_673_793e-8, double: 6.123_233_995_736_766e-17 },
    PerType { single: -1.715_124_510_005_881_9e-15, double: -1.497_384_904_859_169_8e-33 },
);

const PI: (PerType<f64>, PerType<f64>) = (
    PerType { single: 3.141_592_741_012_573_2, double: std::f64::consts::PI },
    PerType { single: -8.742_277_657_347_586e-8, double: 1.224_646_799_147_353_2e-16 },
);

/// `(sin r - r) / r³` in `r²` on an eighth of a turn; errors 2^-32.2, 2^-62.4.
const SIN: Polynomial = PerType {
    single: &[-0.1666666716337204, 0.00833338126540184, -0.00019853610137943178, 2.8355982522043632e-06],
    double: &[
        -0.16666666666666666,
        0.008333333333332969,
        -0.00019841269840844587,
        2.7557319004549205e-06,
        -2.5052051880761298e-08,
        1.60518423397346e-10,
        -7.267028464579447e-13,
    ],
};

/// `(cos r - 1 + r²/2) / r⁴` in `r²`; errors 2^-32.3, 2^-63.5.
const COS: Polynomial = PerType {
    single: &[0.041666653007268906, -0.0013887584209442139, 2.445657446514815e-05],
    double: &[
        0.04166666666666665,
        -0.0013888888888881675,
        2.4801587293633127e-05,
        -2.755731542910481e-07,
        2.087585661338199e-09,
        -1.1366006575905221e-11,
    ],
};

/// `(tan r - r) / r³` in `r²`; error 2^-28.7. Only for `float32`.
const TAN: Polynomial = PerType {
    single: &[
        0.33333349227905273,
        0.13332583010196686,
        0.054074764251708984,
        0.021187741309404373,
        0.011110905557870865,
        -0.0002859977539628744,
        0.004571139346808195,
    ],
    double: &[0.0],
};

/// `(sin πr - πr) / r³` in `r²` up to 1/4; errors 2^-33.4, 2^-62.7.
const SIN_PI: Polynomial = PerType {
    single: &[-5.167712688446045, 2.550154447555542, -0.5989707708358765, 0.07904953509569168],
    double: &[
        -5.16771278004997,
        2.5501640398774335,
        -0.599264529330781,
        0.08214588710711025,
        -0.007370443015833753,
        0.00046644190050972853,
        -2.2466795875231558e-05,
    ],
};

/// `(cos πr - 1) / r²` in `r²`; errors 2^-31.2, 2^-60.7.
const COS_PI: Polynomial = PerType {
    single: &[-4.934802055358887, 4.058696269989014, -1.3347362279891968, 0.22875475883483887],
    double: &[
        -4.934802200544679,
        4.058712126416645,
        -1.3352627688399876,
        0.23533062958274156,
        -0.02580687034394175,
        0.0019292786357857695,
        -0.00010268051325103015,
    ],
};

const TWO_52: f64 = 4_503_599_627_370_496.0;

/// The bits of the exponent of 2^52.
const EXPONENT_52: i64 = 0x4330_0000_0000_0000;

/// Binary digits in a word of [`TWO_OVER_PI`].
const WORD_BITS: f64 = 53.0;

/// `2/π`, 53 binary digits after the others, each as a fraction.
#[rustfmt::skip]
static TWO_OVER_PI: Table = Table {
    name: "math:two_over_pi",
    values: &[
        0.6366197723675813, 0.6455004762340146, 0.8260347502167291, 0.6177029686506639, 0.22946046207480975,
        0.28461387860774945, 0.006138546976630632, 0.5660391411155584, 0.16270821739654884, 0.6478181222020806,
        0.752362340216695, 0.7848375294503177, 0.2882121784458589, 0.3143043483578357, 0.505462883924126,
        0.35474129975356194, 0.495348441190541, 0.9093006150323975, 0.7102755855591438, 0.9716433593102769,
        0.645159640989469, 0.38377539675336436, 0.7971457910852385, 0.5253582608053253, 0.1158735494549279,
        0.7631996095157514,
    ],
};

/// The biased exponent of the first row of the tables.
const FIRST_EXPONENT: i64 = 141;

// Quarter turns in one unit of the last place of a `float32`, modulo 4, by exponent from 2^14 on: `2^e·2/π` in 28, 28 and 53
// digits. The first two have so few that products with the 24 digits of a float are exact.

#[rustfmt::skip]
static TURNS_HIGH: Table = Table {
    name: "math:turns_high",
    values: &[
        0.00124339759349823, 0.00248679518699646, 0.00497359037399292, 0.00994718074798584, 0.01989436149597168,
        0.03978872299194336, 0.07957746088504791, 0.15915493667125702, 0.31830987334251404, 0.6366197615861893,
        1.2732395380735397, 2.5464790761470795, 1.0929581671953201, 2.1859163492918015, 0.3718327134847641,
        0.7436654269695282, 1.4873308539390564, 2.974661722779274, 1.949323445558548, 3.898646891117096,
        3.797293797135353, 3.5945876091718674, 3.189175233244896, 2.378350466489792, 0.7567009329795837,
        1.5134018808603287, 3.0268037617206573, 2.0536075234413147, 0.1072150468826294, 0.21443010866641998,
        0.42886021733283997, 0.8577204346656799, 1.7154408693313599, 3.4308817386627197, 2.8617634773254395,
        1.72352696955204, 3.44705393910408, 2.8941078931093216, 1.7882157862186432, 3.5764315873384476,
        3.152863174676895, 2.3057263493537903, 0.6114527136087418, 1.2229054272174835, 2.4458108693361282,
        0.8916217386722565, 1.783243477344513, 3.566486969590187, 3.1329739540815353, 2.265947923064232,
        0.5318958610296249, 1.063791736960411, 2.1275834888219833, 0.25516699254512787, 0.5103339850902557,
        1.0206679701805115, 2.041335940361023, 0.0826718807220459, 0.165343776345253, 0.330687552690506,
        0.661375105381012, 1.3227502256631851, 2.6455004662275314, 1.291000947356224, 2.582001894712448,
        1.1640038043260574, 2.328007608652115, 0.6560152322053909, 1.3120304644107819, 2.624060943722725,
        1.248121902346611, 2.4962438195943832, 0.9924876540899277, 1.9849753230810165, 3.969950646162033,
        3.9399013072252274, 3.8798026144504547, 3.7596052289009094, 3.519210457801819, 3.038420930504799,
        2.076841875910759, 0.15368376672267914, 0.30736754834651947, 0.6147351115942001, 1.2294702231884003,
        2.4589404612779617, 0.9178809225559235, 1.8357618600130081, 3.6715237200260162, 3.3430474400520325,
        2.686094895005226, 1.3721898049116135, 2.744379609823227, 1.488759234547615, 2.97751846909523,
        1.9550369381904602, 3.9100738912820816, 3.8201477974653244, 3.640295594930649, 3.280591204762459,
        2.561182424426079, 1.1223648637533188, 2.2447297275066376, 0.48945946991443634, 0.9789189547300339,
        1.957837924361229, 3.915675848722458, 3.8313516974449158, 3.6627033948898315, 3.325406789779663,
        2.650813579559326, 1.3016271591186523, 2.603254333138466, 1.206508681178093, f64::NAN,
    ],
};

#[rustfmt::skip]
static TURNS_MIDDLE: Table = Table {
    name: "math:turns_middle",
    values: &[
        3.9940717400099857e-10, 7.988144035131484e-10, 1.5976288070262967e-09, 3.1952576140525935e-09,
        6.390515228105187e-09, 1.2781030456210374e-08, 1.0660899718573091e-08, 6.420638298809678e-09,
        1.2841276597619355e-08, 1.0781392056902206e-08, 6.661622919956756e-09, 1.3323245895424662e-08,
        1.1745330597001669e-08, 8.589500000155681e-09, 2.277838861974857e-09, 4.555677723949714e-09,
        9.111355503410579e-09, 3.321549812973501e-09, 6.643099625947002e-09, 1.3286199307405155e-08,
        1.1671237476473806e-08, 8.441313814611107e-09, 1.9814664908857083e-09, 3.962933037282568e-09,
        7.925866130076287e-09, 9.505711218160684e-10, 1.901142243632137e-09, 3.802284487264274e-09,
        7.604568974528547e-09, 3.079767552094381e-10, 6.159535659300275e-10, 1.231907131860055e-09,
        2.46381426372011e-09, 4.927628582951371e-09, 9.855257221413893e-09, 4.809353304491282e-09,
        9.618706608982563e-09, 4.336252079628622e-09, 8.672504159257244e-09, 2.4438471801779826e-09,
        4.887694360355965e-09, 9.775388776223082e-09, 4.6496164141096585e-09, 9.299232883730468e-09,
        3.6973046291244316e-09, 7.394609313760014e-09, 1.4789218627520029e-08, 1.4677276116703553e-08,
        1.4453391039559449e-08, 1.4005620885271242e-08, 1.3110080576694827e-08, 1.1319000015053149e-08,
        7.736838891769793e-09, 5.725166452030805e-10, 1.1450333459173123e-09, 2.290066747345776e-09,
        4.580133494691552e-09, 9.160267044894255e-09, 3.419372895940853e-09, 6.8387458473928575e-09,
        1.3677491694785715e-08, 1.2453822195723774e-08, 1.0006483253111043e-08, 5.11180536788558e-09,
        1.022361073577116e-08, 5.546060333205816e-09, 1.1092120666411631e-08, 7.283080138975606e-09,
        1.4566160333462363e-08, 1.4231159528588222e-08, 1.3561157863328788e-08, 1.222115458832107e-08,
        9.541148038305636e-09, 4.1811349382747665e-09, 8.362269876549533e-09, 1.8233786147625608e-09,
        3.646757285036273e-09, 7.293514625583697e-09, 1.4587029251167394e-08, 1.4272897308487131e-08,
        1.3644633423126606e-08, 1.2388105652405557e-08, 9.875050110963457e-09, 4.848939028079258e-09,
        9.697878111669667e-09, 4.494595085002828e-09, 8.989190170005656e-09, 3.077219201674808e-09,
        6.154438458860767e-09, 1.2308876917721534e-08, 9.716592697106563e-09, 4.532024255876621e-09,
        9.064048511753242e-09, 3.226935885169979e-09, 6.45387182585111e-09, 1.290774365170222e-08,
        1.0914326109556782e-08, 6.927491025265908e-09, 1.3854982106042968e-08, 1.280880301823828e-08,
        1.0716444898140054e-08, 6.531728602432452e-09, 1.3063457204864903e-08, 1.1225753271393302e-08,
        7.550345348938947e-09, 1.995295595413893e-10, 3.990591190827786e-10, 7.981182936767084e-10,
        1.596236642864568e-09, 3.192473285729136e-09, 6.384946571458272e-09, 1.2769893198427695e-08,
        1.0638625258518886e-08, 6.376089323190115e-09, f64::NAN,
    ],
};

#[rustfmt::skip]
static TURNS_LOW: Table = Table {
    name: "math:turns_low",
    values: &[
        2.8329227088357786e-17, 1.1473029454577421e-18, 2.2946058909154842e-18, 4.5892117818309684e-18,
        9.178423563661937e-18, 1.8356847127323874e-17, 3.671369425464775e-17, 1.791623727803767e-17,
        3.583247455607534e-17, 1.6153797880892852e-17, 3.2307595761785704e-17, 9.104040292313585e-18,
        1.820808058462717e-17, 3.641616116925434e-17, 1.7321171107250857e-17, 3.4642342214501715e-17,
        1.3773533197745599e-17, 2.7547066395491198e-17, 5.5094132790982396e-17, 5.4677114350706964e-17,
        5.3843077470156095e-17, 5.217500370905437e-17, 4.883885618685091e-17, 4.2166561142444e-17,
        2.8821971053630163e-17, 2.1327908760024993e-18, 4.2655817520049985e-18, 8.531163504009997e-18,
        1.7062327008019994e-17, 3.412465401603999e-17, 1.2738156800822154e-17, 2.5476313601644308e-17,
        5.0952627203288616e-17, 4.639410317531941e-17, 3.7277055119380995e-17, 1.904295900750416e-17,
        3.808591801500832e-17, 2.0660684798758806e-17, 4.132136959751761e-17, 2.7131587963777403e-17,
        5.4263175927554807e-17, 5.301520062385178e-17, 5.0519250016445733e-17, 4.552734880163364e-17,
        3.554354637200946e-17, 1.5575941512761086e-17, 3.115188302552217e-17, 6.7926148197865134e-18,
        1.3585229639573027e-17, 2.7170459279146054e-17, 5.434091855829211e-17, 5.3170685885326394e-17,
        5.0830220539394955e-17, 4.614928984753209e-17, 3.678742846380635e-17, 1.806370569635487e-17,
        3.612741139270974e-17, 1.6743671554161654e-17, 3.348734310832331e-17, 1.1463534985388785e-17,
        2.292706997077757e-17, 4.585413994155514e-17, 3.619712865185245e-17, 1.688310607244707e-17,
        3.376621214489414e-17, 1.2021273058530458e-17, 2.4042546117060916e-17, 4.808509223412183e-17,
        4.065903323698583e-17, 2.5806915242713834e-17, 5.161383048542767e-17, 4.7716509739597516e-17,
        3.99218682479372e-17, 2.433258526461657e-17, 4.866517052923314e-17, 4.1819189827208455e-17,
        2.812722842315909e-17, 7.433056150603484e-19, 1.4866112301206969e-18, 2.9732224602413937e-18,
        5.9464449204827874e-18, 1.1892889840965575e-17, 2.378577968193115e-17, 4.75715593638623e-17,
        3.963196749646677e-17, 2.3752783761675716e-17, 4.750556752335143e-17, 3.9499983815445045e-17,
        2.3488816399632256e-17, 4.697763279926451e-17, 3.84441143672712e-17, 2.1377077503284568e-17,
        4.2754155006569136e-17, 2.999715878188045e-17, 4.483166332503077e-18, 8.966332665006154e-18,
        1.793266533001231e-17, 3.586533066002462e-17, 1.6219510088791407e-17, 3.2439020177582815e-17,
        9.3668891239078e-18, 1.87337782478156e-17, 3.74675564956312e-17, 1.9423961760004573e-17,
        3.8847923520009147e-17, 2.218469580876047e-17, 4.436939161752094e-17, 3.322763200378405e-17,
        1.0944112776310278e-17, 2.1888225552620556e-17, 4.377645110524111e-17, 3.2041750979224404e-17,
        8.572350727190979e-18, 1.7144701454381957e-17, f64::NAN,
    ],
};
