//! Polynomials with rational coefficients, as far as 128 bits reach: every operation is `None` past them.

use std::collections::BTreeMap;

/// A fraction in lowest terms, its denominator positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rational {
    num: i128,
    den: i128,
}

impl Rational {
    pub fn int(value: i128) -> Rational {
        Rational { num: value, den: 1 }
    }

    /// `num / den`; `den` is not zero.
    fn new(num: i128, den: i128) -> Option<Rational> {
        let g = gcd(num, den).max(1);
        let sign = den.signum();
        Some(Rational { num: (num / g).checked_mul(sign)?, den: (den / g).checked_mul(sign)? })
    }

    fn plus(self, other: Rational) -> Option<Rational> {
        let num = self.num.checked_mul(other.den)?.checked_add(other.num.checked_mul(self.den)?)?;
        Rational::new(num, self.den.checked_mul(other.den)?)
    }

    fn times(self, other: Rational) -> Option<Rational> {
        Rational::new(self.num.checked_mul(other.num)?, self.den.checked_mul(other.den)?)
    }

    /// The value, when it is an integer.
    pub fn to_int(self) -> Option<i128> {
        (self.den == 1).then_some(self.num)
    }
}

/// The greatest common divisor, not negative.
pub(super) fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a.checked_rem(b).unwrap_or(0));
    }
    a.checked_abs().unwrap_or(1)
}

/// A sum of products of powers: from the exponents by variable to the coefficient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Polynomial(BTreeMap<Vec<u8>, Rational>);

impl Polynomial {
    /// A constant, in `variables` variables.
    pub fn constant(value: i128, variables: usize) -> Polynomial {
        let mut all = BTreeMap::new();
        if value != 0 {
            all.insert(vec![0; variables], Rational::int(value));
        }
        Polynomial(all)
    }

    /// `row[0] + Σ row[1 + v]·v`.
    pub fn linear(row: &[i128]) -> Polynomial {
        let variables = row.len() - 1;
        let mut all = Polynomial::constant(row[0], variables);
        for (v, &c) in row[1..].iter().enumerate().filter(|&(_, &c)| c != 0) {
            let mut exponents = vec![0; variables];
            exponents[v] = 1;
            all.0.insert(exponents, Rational::int(c));
        }
        all
    }

    fn plus(mut self, other: &Polynomial) -> Option<Polynomial> {
        for (exponents, &c) in &other.0 {
            let sum = match self.0.get(exponents) {
                Some(mine) => mine.plus(c)?,
                None => c,
            };
            match sum.num {
                0 => self.0.remove(exponents),
                _ => self.0.insert(exponents.clone(), sum),
            };
        }
        Some(self)
    }

    fn times(&self, other: &Polynomial) -> Option<Polynomial> {
        let mut all = Polynomial(BTreeMap::new());
        for (a, &ca) in &self.0 {
            let mut one = Polynomial(BTreeMap::new());
            for (b, &cb) in &other.0 {
                let exponents = a.iter().zip(b).map(|(x, y)| x.checked_add(*y)).collect::<Option<Vec<u8>>>()?;
                one.0.insert(exponents, ca.times(cb)?);
            }
            all = all.plus(&one)?;
        }
        Some(all)
    }

    fn scaled(&self, by: Rational) -> Option<Polynomial> {
        let one = |(exponents, &c): (&Vec<u8>, &Rational)| Some((exponents.clone(), c.times(by)?));
        self.0.iter().filter(|_| by.num != 0).map(one).collect::<Option<_>>().map(Polynomial)
    }

    /// The coefficients of the powers of a variable, from power 0 on: polynomials in the others.
    fn powers_of(&self, variable: usize) -> Vec<Polynomial> {
        let mut powers = Vec::new();
        for (exponents, &c) in &self.0 {
            let mut rest = exponents.clone();
            let power = usize::from(std::mem::take(&mut rest[variable]));
            if powers.len() <= power {
                powers.resize(power + 1, Polynomial(BTreeMap::new()));
            }
            powers[power].0.insert(rest, c);
        }
        powers
    }

    /// With a polynomial in the place of a variable.
    pub fn substitute(&self, variable: usize, value: &Polynomial) -> Option<Polynomial> {
        let powers = self.powers_of(variable);
        powers.iter().rev().try_fold(Polynomial(BTreeMap::new()), |sum, power| sum.times(value)?.plus(power))
    }

    /// The sum over the values of a variable from `low` to `high`, which holds where `low <= high + 1`.
    pub fn sum_over(&self, variable: usize, low: &Polynomial, high: &Polynomial) -> Option<Polynomial> {
        let variables = self.0.keys().next().map_or(0, Vec::len);
        let below = low.clone().plus(&Polynomial::constant(-1, variables))?;
        let mut all = Polynomial(BTreeMap::new());
        for (power, coefficient) in self.powers_of(variable).iter().enumerate() {
            if coefficient.0.is_empty() {
                continue;
            }
            let sums = power_sums(power, variables, variable)?;
            let upper = sums.substitute(variable, high)?;
            let lower = sums.substitute(variable, &below)?.scaled(Rational::int(-1))?;
            all = all.plus(&upper.plus(&lower)?.times(coefficient)?)?;
        }
        Some(all)
    }

    /// The value, when no variable is left; 0 for no term at all.
    pub fn to_constant(&self) -> Option<Rational> {
        match self.0.iter().next() {
            None => Some(Rational::int(0)),
            Some((exponents, &c)) => (self.0.len() == 1 && exponents.iter().all(|&e| e == 0)).then_some(c),
        }
    }
}

/// Faulhaber's polynomial `Σ i^power for i = 1 … x`, in variable `x`. From the telescoping sum of `(i + 1)^(p + 1) -
/// i^(p + 1)`: `(p + 1)·S_p(x) = (x + 1)^(p + 1) - 1 - Σ binomial(p + 1, q)·S_q(x) for q < p`.
fn power_sums(power: usize, variables: usize, x: usize) -> Option<Polynomial> {
    let mut row = vec![0; variables + 1];
    (row[0], row[1 + x]) = (1, 1);
    let next = Polynomial::linear(&row);
    let mut sums: Vec<Polynomial> = Vec::new();
    let mut power_of_next = next.clone();
    for p in 0..=power {
        let mut sum = power_of_next.clone().plus(&Polynomial::constant(-1, variables))?;
        let mut binomial: i128 = 1;
        for (q, lower) in sums.iter().enumerate() {
            sum = sum.plus(&lower.scaled(Rational::int(-binomial))?)?;
            binomial = binomial.checked_mul((p + 1 - q) as i128)? / (q as i128 + 1);
        }
        sums.push(sum.scaled(Rational::new(1, p as i128 + 1)?)?);
        power_of_next = power_of_next.times(&next)?;
    }
    sums.pop()
}
