//! Many values divided by one without a division: the same bits as a division gives.

use codegen::llvm::assembly;
use polyhedral::{BinOp, DType};
use runtime::kernel::Kernel;
use runtime::pool::Pool;
use runtime::tensor::{Element, Tensor};

use crate::build::*;

/// Rows, each with a divisor of its own, and dividends of a row.
const ROWS: i64 = 256;
const COLUMNS: i64 = 1024;

/// `y(n,d) = x(n,d) / s(n)`, so many lanes at once.
fn program(dtype: DType, lanes: u32) -> Builder {
    let mut b = Builder::new("quotients");
    let x = b.input("x", dtype, &[ROWS, COLUMNS]);
    let s = b.input("s", dtype, &[ROWS]);
    let y = b.output("y", dtype, &[ROWS, COLUMNS]);
    let rows = b.repeat("n", c(ROWS), 1, |b, n| {
        let columns = b.repeat("d", c(COLUMNS), lanes.into(), |_, d| {
            let here = || vec![at(v(n)), lanes_at(v(d), 1)];
            let quotient = binary(BinOp::Div, load(x, here()), load(s, vec![at(v(n))]));
            vec![store(y, here(), lanes, quotient)]
        });
        vec![columns]
    });
    b.program.body = vec![rows];
    b
}

/// Compares with Rust's division; `bits` are those of a value, `same` is whether two values are one.
fn check<T: Element + Copy + std::fmt::Debug>(
    kernel: &Kernel,
    (dividends, divisors): (&[T], &[T]),
    divide: impl Fn(T, T) -> T,
    same: impl Fn(T, T) -> bool,
) {
    let x = Tensor::from_slice(dividends, &[ROWS, COLUMNS]).unwrap();
    let s = Tensor::from_slice(divisors, &[ROWS]).unwrap();
    let mut y = Tensor::zeros(x.dtype(), &[ROWS, COLUMNS]).unwrap();
    run(kernel, &[&x, &s], &mut [&mut y], &Pool::single()).unwrap();
    for (at, &found) in y.as_slice::<T>().unwrap().iter().enumerate() {
        let (x, d) = (dividends[at], divisors[at / COLUMNS as usize]);
        assert!(same(found, divide(x, d)), "{x:?} / {d:?} is {:?} and not {found:?}", divide(x, d));
    }
}

fn same_single(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

fn same_double(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Numbers of all kinds: special ones, those beside powers of two, many digits that are zero or one, and any bits at all.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bits of a float with so many of an exponent and of a fraction.
    fn bits(&mut self, (exponent_bits, fraction_bits): (u32, u32)) -> u64 {
        let (any, kind) = (self.next(), self.next() % 8);
        let fraction_mask = (1u64 << fraction_bits) - 1;
        let bias = (1u64 << (exponent_bits - 1)) - 1;
        let sign = (any >> 63) << (exponent_bits + fraction_bits);
        let near_one = (bias - 2 + any % 5) << fraction_bits;
        let some_exponent = (self.next() % ((1 << exponent_bits) - 1)) << fraction_bits;
        let few = (self.next() % 8) << (self.next() % u64::from(fraction_bits - 2)) & fraction_mask;
        match kind {
            0 => {
                [0, 1, fraction_mask, fraction_mask + 1, ((1 << exponent_bits) - 1) << fraction_bits]
                    [(any % 5) as usize]
                    | sign
            }
            1 => some_exponent | few | sign,
            2 => some_exponent | (fraction_mask - few) | sign,
            3 => near_one | (fraction_mask - few),
            4 => near_one | few,
            5 | 6 => near_one | (self.next() & fraction_mask),
            _ => any >> (63 - exponent_bits - fraction_bits),
        }
    }

    fn single(&mut self) -> f32 {
        f32::from_bits(self.bits((8, 23)) as u32)
    }

    fn double(&mut self) -> f64 {
        f64::from_bits(self.bits((11, 52)))
    }
}

const COUNT: usize = (ROWS * COLUMNS) as usize;

#[test]
fn quotients_of_singles_are_those_of_a_division() {
    for (lanes, rounds) in [(16, 40), (64, 4), (8, 1)] {
        let kernel = program(DType::F32, lanes).kernel();
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..rounds {
            let x: Vec<f32> = (0..COUNT).map(|_| numbers.single()).collect();
            let s: Vec<f32> = (0..ROWS).map(|_| numbers.single()).collect();
            check(&kernel, (&x, &s), |x, d| x / d, same_single);
        }
    }
}

#[test]
fn quotients_of_doubles_are_those_of_a_division() {
    for (lanes, rounds) in [(8, 40), (32, 4), (4, 1)] {
        let kernel = program(DType::F64, lanes).kernel();
        let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
        for _ in 0..rounds {
            let x: Vec<f64> = (0..COUNT).map(|_| numbers.double()).collect();
            let s: Vec<f64> = (0..ROWS).map(|_| numbers.double()).collect();
            check(&kernel, (&x, &s), |x, d| x / d, same_double);
        }
    }
}

/// Quotients as near to the middle between two floats as there are.
#[test]
fn quotients_beside_a_middle_are_rounded_right() {
    let kernel = program(DType::F32, 16).kernel();
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for _ in 0..4 {
        let divisors: Vec<u64> = (0..ROWS).map(|_| 1 << 23 | numbers.next() & ((1 << 23) - 1) | 1).collect();
        let mut x = Vec::with_capacity(COUNT);
        for &d in &divisors {
            for _ in 0..COLUMNS {
                // x·2^25 = m·d + r with a small r and an odd m, which mostly has a digit more than a float.
                let r = 1 + 2 * (numbers.next() % 16);
                let inverse = (0..6).fold(d, |y, _| y.wrapping_mul(2u64.wrapping_sub(d.wrapping_mul(y))));
                let m = inverse.wrapping_mul(r.wrapping_neg()) & ((1 << 25) - 1);
                x.push(((m * d + r) >> 25) as f32);
            }
        }
        let s: Vec<f32> = divisors.iter().map(|&d| d as f32).collect();
        check(&kernel, (&x, &s), |x, d| x / d, same_single);
    }
}

#[test]
fn long_registers_do_not_divide_and_short_ones_do() {
    let text = |cpu: &str, bytes: u32, dtype: DType, lanes: u32| {
        let target = target("x86_64-unknown-linux-gnu", cpu, "", bytes);
        assembly(&program(dtype, lanes).program, &target).unwrap()
    };
    let single = text("x86-64-v4", 64, DType::F32, 16);
    assert!(single.contains("vfmsub") && single.contains("vfnmadd"), "{single}");
    assert!(text("x86-64-v4", 64, DType::F64, 8).contains("vfnmadd"));
    let short = text("x86-64-v3", 32, DType::F32, 8);
    assert!(!short.contains("vfnmadd") && short.contains("vdivps"), "{short}");
}

/// The theorem that the method rests on, for every dividend and divisor of few digits: `RN(q - e·z)` is the quotient.
#[test]
fn the_method_gives_every_quotient_of_few_digits() {
    for digits in 3..=9u32 {
        let one = 1u64 << (digits - 1);
        for divisor in one..2 * one {
            let d = divisor as f64;
            let z = rounded_quotient(1, divisor, digits);
            for dividend in one..2 * one {
                let x = dividend as f64;
                // Products of so few digits are exact in a `float64`: rounding is the only step that loses something.
                let q = rounded(x * z, digits);
                let e = rounded(q * d - x, digits);
                let value = rounded(q - e * z, digits);
                assert_eq!(value, rounded_quotient(dividend, divisor, digits), "{x} / {d} with {digits} digits");
            }
        }
    }
}

/// To the nearest number of so many binary digits, of two the even.
fn rounded(value: f64, digits: u32) -> f64 {
    if value == 0.0 {
        return value;
    }
    let exponent = ((value.to_bits() >> 52 & 0x7ff) as i32) - 1023;
    let unit = 2f64.powi(exponent - digits as i32 + 1);
    (value / unit).round_ties_even() * unit
}

/// The same of a quotient, from an exact one of integers with a digit for what is left.
fn rounded_quotient(dividend: u64, divisor: u64, digits: u32) -> f64 {
    let shift = 2 * digits + 6;
    let (quotient, left) = ((dividend << shift) / divisor, (dividend << shift) % divisor);
    rounded((quotient << 1 | u64::from(left != 0)) as f64, digits) / 2f64.powi(shift as i32 + 1)
}
