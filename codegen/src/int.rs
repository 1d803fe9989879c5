//! Arithmetic on [`Int`] and [`Cond`] in a normal form: equal sums are equal values, whatever their order.

use std::ops::{Add, Mul, Neg, Sub};

use polyhedral::{CmpOp, Index};

use crate::{Cond, Int, VarId};

/// `constant + Σ coefficient · atom`, where an atom is no constant, no sum and no multiple; no coefficient is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Linear {
    pub(crate) constant: i64,
    /// Each atom once, in their order.
    pub(crate) terms: Vec<(Int, i64)>,
}

impl Linear {
    fn constant(constant: i64) -> Linear {
        Linear { constant, terms: Vec::new() }
    }

    fn atom(atom: &Int) -> Linear {
        Linear { constant: 0, terms: vec![(atom.clone(), 1)] }
    }

    /// The sum of this and `factor` times the other; `None` on overflow.
    fn plus(self, factor: i64, other: Linear) -> Option<Linear> {
        let constant = self.constant.checked_add(factor.checked_mul(other.constant)?)?;
        let mut terms = Vec::with_capacity(self.terms.len() + other.terms.len());
        let mut mine = self.terms.into_iter().peekable();
        for (atom, c) in other.terms {
            let c = factor.checked_mul(c)?;
            while let Some(before) = mine.next_if(|(own, _)| *own < atom) {
                terms.push(before);
            }
            let sum = match mine.next_if(|(own, _)| *own == atom) {
                Some((_, own)) => own.checked_add(c)?,
                None => c,
            };
            if sum != 0 {
                terms.push((atom, sum));
            }
        }
        terms.extend(mine);
        Some(Linear { constant, terms })
    }

    /// `(a, b)` with `self = a - b`, where no term of either has a negative weight; the constant goes to the side that
    /// keeps the other free of it.
    pub(crate) fn by_sign(self) -> (Int, Int) {
        let (mut positive, mut negative) = (Linear::default(), Linear::default());
        for (atom, c) in self.terms {
            match c.checked_neg() {
                Some(opposite) if c < 0 => negative.terms.push((atom, opposite)),
                _ => positive.terms.push((atom, c)),
            };
        }
        match self.constant.checked_neg() {
            Some(opposite) if !positive.terms.is_empty() => negative.constant = opposite,
            _ => positive.constant = self.constant,
        }
        (positive.into_int(), negative.into_int())
    }

    /// The largest number that divides the weights of all terms; none where there are no terms.
    pub(crate) fn common_factor(&self) -> Option<i64> {
        let (first, others) = self.terms.split_first()?;
        let first = first.1.checked_abs()?;
        Some(others.iter().fold(first, |common, &(_, c)| greatest_common_divisor(common, c)))
    }

    /// The expression, terms in the order of their atoms and the constant last.
    pub(crate) fn into_int(self) -> Int {
        let term = |(atom, c): (Int, i64)| match c {
            1 => atom,
            _ => Int::Mul(Box::new(Int::Const(c)), Box::new(atom)),
        };
        let constant = (self.constant != 0 || self.terms.is_empty()).then_some(Int::Const(self.constant));
        let sum = self.terms.into_iter().map(term).chain(constant);
        sum.reduce(|a, b| Int::Add(Box::new(a), Box::new(b))).unwrap_or(Int::Const(0))
    }
}

impl Int {
    /// As a linear combination of atoms; an overflow makes the whole expression one atom.
    pub(crate) fn linear(&self) -> Linear {
        self.try_linear().unwrap_or_else(|| Linear::atom(self))
    }

    fn try_linear(&self) -> Option<Linear> {
        match self {
            Int::Const(value) => Some(Linear::constant(*value)),
            Int::Add(a, b) => a.linear().plus(1, b.linear()),
            Int::Mul(a, b) => match (a.as_const(), b.as_const()) {
                (Some(c), _) => Linear::default().plus(c, b.linear()),
                (_, Some(c)) => Linear::default().plus(c, a.linear()),
                _ => Some(Linear::atom(self)),
            },
            atom => Some(Linear::atom(atom)),
        }
    }

    /// How often the variable is among the terms of the sum.
    pub(crate) fn weight(&self, var: VarId) -> Option<i64> {
        let own = |(atom, c): (Int, i64)| (atom == Int::Var(var)).then_some(c);
        self.linear().terms.into_iter().find_map(own)
    }

    /// The value of a constant.
    pub fn as_const(&self) -> Option<i64> {
        match self {
            Int::Const(value) => Some(*value),
            _ => None,
        }
    }

    /// `floor(self / divisor)`; `divisor` is at least 1. What divides evenly comes out of the division.
    pub fn floor_div(self, divisor: i64) -> Int {
        let (even, rest) = self.split_multiples(divisor);
        let quotient = match rest.as_const() {
            Some(value) => Int::Const(value.div_euclid(divisor)),
            None => match rest.in_steps(divisor) {
                // floor((g·x + r) / d) = floor(x / (d / g)) for 0 <= r < g.
                Some((steps, _, step)) => Int::FloorDiv(Box::new(steps), divisor / step),
                None => Int::FloorDiv(Box::new(rest), divisor),
            },
        };
        even + quotient
    }

    /// `self mod divisor`, from 0 to `divisor - 1`; `divisor` is at least 1.
    pub fn modulo(self, divisor: i64) -> Int {
        let (_, rest) = self.split_multiples(divisor);
        match rest.as_const() {
            Some(value) => Int::Const(value.rem_euclid(divisor)),
            None => match rest.in_steps(divisor) {
                // (g·x + r) mod d = g·(x mod (d / g)) + r for 0 <= r < g.
                Some((steps, r, step)) => step * Int::Mod(Box::new(steps), divisor / step) + r,
                None => Int::Mod(Box::new(rest), divisor),
            },
        }
    }

    /// `(x, r, g)` with `self = g·x + r` and `0 <= r < g`, where `g` divides `divisor` and is neither 1 nor all of it.
    fn in_steps(&self, divisor: i64) -> Option<(Int, i64, i64)> {
        let (r, g) = self.remainder_and_modulus(divisor);
        if g == 1 || g == divisor {
            return None;
        }
        let Linear { constant, terms } = self.linear();
        let terms = terms.into_iter().map(|(atom, c)| (atom, c / g)).collect();
        Some((Linear { constant: constant.div_euclid(g), terms }.into_int(), r, g))
    }

    /// `(r, m)`: whatever the variables are, the value is `r` more than a multiple of `m`, the largest such divisor of
    /// `divisor`; `0 <= r < m`.
    pub(crate) fn remainder_and_modulus(&self, divisor: i64) -> (i64, i64) {
        let Linear { constant, terms } = self.linear();
        let modulus = terms.iter().fold(divisor, |common, &(_, c)| greatest_common_divisor(common, c));
        (constant.rem_euclid(modulus), modulus)
    }

    /// `(q, r)` with `self = divisor·q + r`, where `q` takes every term that divides evenly.
    fn split_multiples(self, divisor: i64) -> (Int, Int) {
        let Linear { constant, terms } = self.linear();
        let (mut even, mut rest) = (Linear::default(), Linear::default());
        for (atom, c) in terms {
            if c % divisor == 0 {
                even.terms.push((atom, c / divisor));
            } else {
                rest.terms.push((atom, c));
            }
        }
        even.constant = constant.div_euclid(divisor);
        rest.constant = constant.rem_euclid(divisor);
        (even.into_int(), rest.into_int())
    }

    /// The smaller of the two.
    pub fn min(self, other: Int) -> Int {
        match (self.clone() - other.clone()).as_const() {
            Some(difference) if difference <= 0 => self,
            Some(_) => other,
            None => match self.beside_min(&other) {
                // Of `min(5, x)` and 4 nothing is left of the 5.
                Some(rest) => rest.min(other),
                None => Int::Min(Box::new(self), Box::new(other)),
            },
        }
    }

    /// The larger of the two.
    pub fn max(self, other: Int) -> Int {
        match (self.clone() - other.clone()).as_const() {
            Some(difference) if difference >= 0 => self,
            Some(_) => other,
            None => match self.beside_max(&other) {
                Some(rest) => rest.max(other),
                None => Int::Max(Box::new(self), Box::new(other)),
            },
        }
    }

    /// What is left of a minimum beside `other`, which is at most one of its two.
    fn beside_min(&self, other: &Int) -> Option<Int> {
        let Int::Min(a, b) = self else { return None };
        let is_over = |one: &Int| (one.clone() - other.clone()).as_const().is_some_and(|difference| difference >= 0);
        if is_over(a) { Some((**b).clone()) } else { is_over(b).then(|| (**a).clone()) }
    }

    /// What is left of a maximum beside `other`, which is at least one of its two.
    fn beside_max(&self, other: &Int) -> Option<Int> {
        let Int::Max(a, b) = self else { return None };
        let is_under = |one: &Int| (one.clone() - other.clone()).as_const().is_some_and(|difference| difference <= 0);
        if is_under(a) { Some((**b).clone()) } else { is_under(b).then(|| (**a).clone()) }
    }

    /// `cond ? self : otherwise`.
    pub fn select(cond: Cond, then: Int, otherwise: Int) -> Int {
        match cond.as_const() {
            Some(true) => then,
            Some(false) => otherwise,
            None if then == otherwise => then,
            None => Int::Select(Box::new(cond), Box::new(then), Box::new(otherwise)),
        }
    }

    /// An index with its dimensions and parameters replaced.
    pub(crate) fn from_index(index: &Index, dim: &dyn Fn(usize) -> Int) -> Int {
        let go = |e: &Index| Int::from_index(e, dim);
        match index {
            Index::Const(value) => Int::Const(*value),
            Index::Dim(at) => dim(*at),
            Index::Param(at) => Int::Param(*at),
            Index::Add(a, b) => go(a) + go(b),
            Index::Mul(c, e) => *c * go(e),
            Index::FloorDiv(e, c) => go(e).floor_div(*c),
            Index::Mod(e, c) => go(e).modulo(*c),
            Index::Min(a, b) => go(a).min(go(b)),
            Index::Max(a, b) => go(a).max(go(b)),
            Index::Select(test, then, otherwise) => {
                Int::select(Cond::compare(CmpOp::Ge, go(test), Int::Const(0)), go(then), go(otherwise))
            }
        }
    }

    /// Calls `see` on every variable that occurs.
    pub(crate) fn each_var(&self, see: &mut dyn FnMut(VarId)) {
        match self {
            Int::Const(_) | Int::Param(_) => {}
            Int::Var(var) => see(*var),
            Int::FloorDiv(e, _) | Int::Mod(e, _) => e.each_var(see),
            Int::Add(a, b) | Int::Mul(a, b) | Int::Min(a, b) | Int::Max(a, b) => {
                a.each_var(see);
                b.each_var(see);
            }
            Int::Select(cond, a, b) => {
                cond.each_var(see);
                a.each_var(see);
                b.each_var(see);
            }
        }
    }

    /// Replaces variables and rebuilds in normal form.
    pub(crate) fn replace(&self, change: &dyn Fn(VarId) -> Int) -> Int {
        let go = |e: &Int| e.replace(change);
        match self {
            Int::Const(_) | Int::Param(_) => self.clone(),
            Int::Var(var) => change(*var),
            Int::Add(a, b) => go(a) + go(b),
            Int::Mul(a, b) => go(a) * go(b),
            Int::FloorDiv(e, c) => go(e).floor_div(*c),
            Int::Mod(e, c) => go(e).modulo(*c),
            Int::Min(a, b) => go(a).min(go(b)),
            Int::Max(a, b) => go(a).max(go(b)),
            Int::Select(cond, a, b) => Int::select(cond.replace(change), go(a), go(b)),
        }
    }

    /// The value; `None` on overflow or where a variable or parameter has none.
    pub fn eval(&self, var: &dyn Fn(VarId) -> Option<i64>, params: &[i64]) -> Option<i64> {
        let go = |e: &Int| e.eval(var, params);
        match self {
            Int::Const(value) => Some(*value),
            Int::Var(id) => var(*id),
            Int::Param(at) => params.get(*at).copied(),
            Int::Add(a, b) => go(a)?.checked_add(go(b)?),
            Int::Mul(a, b) => go(a)?.checked_mul(go(b)?),
            Int::FloorDiv(e, c) => go(e)?.checked_div_euclid(*c),
            Int::Mod(e, c) => go(e)?.checked_rem_euclid(*c),
            Int::Min(a, b) => Some(go(a)?.min(go(b)?)),
            Int::Max(a, b) => Some(go(a)?.max(go(b)?)),
            Int::Select(cond, a, b) => go(if cond.eval(var, params)? { a } else { b }),
        }
    }
}

impl Cond {
    /// The condition that always holds.
    pub fn always() -> Cond {
        Cond::All(Vec::new())
    }

    /// The condition that never holds.
    pub fn never() -> Cond {
        Cond::Any(Vec::new())
    }

    /// Whether it holds, when that is known.
    pub fn as_const(&self) -> Option<bool> {
        match self {
            Cond::All(parts) if parts.is_empty() => Some(true),
            Cond::Any(parts) if parts.is_empty() => Some(false),
            _ => None,
        }
    }

    /// A comparison, decided when the two differ by a constant.
    pub fn compare(op: CmpOp, a: Int, b: Int) -> Cond {
        match (a.clone() - b.clone()).as_const() {
            Some(difference) if holds(op, difference, 0) => Cond::always(),
            Some(_) => Cond::never(),
            None => Cond::Compare(op, a, b),
        }
    }

    /// All of them, flat and without repetition.
    pub fn all(parts: impl IntoIterator<Item = Cond>) -> Cond {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Cond::All(more) => flat.extend(more),
                other => flat.push(other),
            }
        }
        if flat.iter().any(|part| part.as_const() == Some(false)) {
            return Cond::never();
        }
        one_of_each(&mut flat);
        if flat.len() == 1 { flat.remove(0) } else { Cond::All(flat) }
    }

    /// One of them, flat and without repetition.
    pub fn any(parts: impl IntoIterator<Item = Cond>) -> Cond {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Cond::Any(more) => flat.extend(more),
                other => flat.push(other),
            }
        }
        if flat.iter().any(|part| part.as_const() == Some(true)) {
            return Cond::always();
        }
        one_of_each(&mut flat);
        if flat.len() == 1 { flat.remove(0) } else { Cond::Any(flat) }
    }

    /// The opposite.
    pub fn negate(self) -> Cond {
        match self {
            Cond::Compare(op, a, b) => Cond::Compare(opposite(op), a, b),
            Cond::All(parts) if parts.is_empty() => Cond::never(),
            Cond::Any(parts) if parts.is_empty() => Cond::always(),
            Cond::Not(inner) => *inner,
            other => Cond::Not(Box::new(other)),
        }
    }

    /// Calls `see` on every variable that occurs.
    pub(crate) fn each_var(&self, see: &mut dyn FnMut(VarId)) {
        match self {
            Cond::Compare(_, a, b) => {
                a.each_var(see);
                b.each_var(see);
            }
            Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| part.each_var(see)),
            Cond::Not(inner) => inner.each_var(see),
        }
    }

    /// Replaces variables and rebuilds in normal form.
    pub(crate) fn replace(&self, change: &dyn Fn(VarId) -> Int) -> Cond {
        match self {
            Cond::Compare(op, a, b) => Cond::compare(*op, a.replace(change), b.replace(change)),
            Cond::All(parts) => Cond::all(parts.iter().map(|part| part.replace(change))),
            Cond::Any(parts) => Cond::any(parts.iter().map(|part| part.replace(change))),
            Cond::Not(inner) => inner.replace(change).negate(),
        }
    }

    /// Whether it holds; `None` as for [`Int::eval`].
    pub fn eval(&self, var: &dyn Fn(VarId) -> Option<i64>, params: &[i64]) -> Option<bool> {
        match self {
            Cond::Compare(op, a, b) => Some(holds(*op, a.eval(var, params)?, b.eval(var, params)?)),
            Cond::All(parts) => parts.iter().try_fold(true, |all, part| Some(all && part.eval(var, params)?)),
            Cond::Any(parts) => parts.iter().try_fold(false, |any, part| Some(any || part.eval(var, params)?)),
            Cond::Not(inner) => Some(!inner.eval(var, params)?),
        }
    }
}

/// Of a positive number and any other; positive.
fn greatest_common_divisor(mut a: i64, b: i64) -> i64 {
    // The remainder is less than `a`, so that it fits.
    let mut b = b.rem_euclid(a);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Keeps the first of equal conditions and drops none of the order.
fn one_of_each(parts: &mut Vec<Cond>) {
    let mut kept: Vec<Cond> = Vec::with_capacity(parts.len());
    for part in parts.drain(..) {
        if !kept.contains(&part) {
            kept.push(part);
        }
    }
    *parts = kept;
}

/// Whether `a op b`.
pub(crate) fn holds<T: PartialOrd>(op: CmpOp, a: T, b: T) -> bool {
    match op {
        CmpOp::Lt => a < b,
        CmpOp::Le => a <= b,
        CmpOp::Gt => a > b,
        CmpOp::Ge => a >= b,
        CmpOp::Eq => a == b,
        CmpOp::Ne => a != b,
    }
}

/// The comparison of integers that holds where `op` does not.
fn opposite(op: CmpOp) -> CmpOp {
    match op {
        CmpOp::Lt => CmpOp::Ge,
        CmpOp::Le => CmpOp::Gt,
        CmpOp::Gt => CmpOp::Le,
        CmpOp::Ge => CmpOp::Lt,
        CmpOp::Eq => CmpOp::Ne,
        CmpOp::Ne => CmpOp::Eq,
    }
}

impl From<i64> for Int {
    fn from(value: i64) -> Int {
        Int::Const(value)
    }
}

impl Add for Int {
    type Output = Int;
    fn add(self, other: Int) -> Int {
        match self.linear().plus(1, other.linear()) {
            Some(sum) => sum.into_int(),
            None => Int::Add(Box::new(self), Box::new(other)),
        }
    }
}

impl Add<i64> for Int {
    type Output = Int;
    fn add(self, other: i64) -> Int {
        self + Int::Const(other)
    }
}

impl Sub for Int {
    type Output = Int;
    fn sub(self, other: Int) -> Int {
        match self.linear().plus(-1, other.linear()) {
            Some(difference) => difference.into_int(),
            None => Int::Add(Box::new(self), Box::new(-other)),
        }
    }
}

impl Neg for Int {
    type Output = Int;
    fn neg(self) -> Int {
        -1 * self
    }
}

impl Mul<Int> for i64 {
    type Output = Int;
    fn mul(self, e: Int) -> Int {
        match Linear::default().plus(self, e.linear()) {
            Some(product) => product.into_int(),
            None => Int::Mul(Box::new(Int::Const(self)), Box::new(e)),
        }
    }
}

impl Mul for Int {
    type Output = Int;
    fn mul(self, other: Int) -> Int {
        match (self.as_const(), other.as_const()) {
            (Some(c), _) => c * other,
            (_, Some(c)) => c * self,
            _ if self <= other => Int::Mul(Box::new(self), Box::new(other)),
            _ => Int::Mul(Box::new(other), Box::new(self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use support::Entity;

    use super::*;

    fn var(at: usize) -> Int {
        Int::Var(VarId::new(at))
    }

    #[test]
    fn equal_sums_are_equal_values() {
        assert_eq!(3 * var(1) + var(0) + 4, 4 + (var(0) + 3 * var(1)).clone());
        assert_eq!(var(0) + var(1) - var(0), var(1));
        assert_eq!((2 * var(0) + 6) - 2 * (var(0) + 3), Int::Const(0));
    }

    impl Add<Int> for i64 {
        type Output = Int;
        fn add(self, e: Int) -> Int {
            e + self
        }
    }

    #[test]
    fn what_divides_evenly_comes_out() {
        assert_eq!((16 * var(0) + 35).floor_div(16), var(0) + 2);
        assert_eq!((16 * var(0) + 35).modulo(16), Int::Const(3));
        assert_eq!((16 * var(0) + var(1) + 16).floor_div(16), var(0) + Int::FloorDiv(Box::new(var(1)), 16) + 1);
    }

    #[test]
    fn a_common_step_comes_out() {
        let tile = |e: Int| Int::Mod(Box::new(e), 3);
        assert_eq!((4 * var(0) + 1).modulo(12), 4 * tile(var(0)) + 1);
        assert_eq!((4 * var(0) + 1).modulo(12).floor_div(4), tile(var(0)));
        assert_eq!((4 * var(0) + 7).floor_div(12), Int::FloorDiv(Box::new(var(0) + 1), 3));
    }

    #[test]
    fn rewriting_keeps_the_value() {
        let params = [7];
        for a in -9..9 {
            for b in -4..4 {
                let value = |id: VarId| Some([a, b][id.index()]);
                let eval = |e: Int| e.eval(&value, &params).unwrap();
                let x = 6 * var(0) - 4 * var(1) + Int::Param(0);
                let exact = 6 * a - 4 * b + 7;
                assert_eq!(eval(x.clone().floor_div(4)), exact.div_euclid(4));
                assert_eq!(eval(x.clone().modulo(4)), exact.rem_euclid(4));
                assert_eq!(eval(x.clone().floor_div(12)), exact.div_euclid(12));
                assert_eq!(eval(x.clone().modulo(12)), exact.rem_euclid(12));
                let (even, exact_even) = (6 * var(0) - 4 * var(1) + 3, 6 * a - 4 * b + 3);
                assert_eq!(eval(even.clone().floor_div(12)), exact_even.div_euclid(12));
                assert_eq!(eval(even.modulo(12)), exact_even.rem_euclid(12));
                assert_eq!(eval(x.clone().min(var(0) * var(1))), exact.min(a * b));
                assert_eq!(eval(x.max(6 * var(0) - 4 * var(1))), exact.max(6 * a - 4 * b));
            }
        }
    }

    #[test]
    fn an_overflow_stays_an_expression() {
        let sum = Int::Const(i64::MAX) + Int::Const(1);
        assert_eq!(sum.as_const(), None);
        assert_eq!(sum.eval(&|_| None, &[]), None);
    }

    #[test]
    fn conditions_fold() {
        assert_eq!(Cond::compare(CmpOp::Lt, var(0), var(0) + 1), Cond::always());
        let open = Cond::compare(CmpOp::Lt, var(0), var(1));
        assert_eq!(Cond::all([Cond::always(), open.clone(), open.clone()]), open);
        assert_eq!(Cond::any([open.clone(), Cond::always()]), Cond::always());
        assert_eq!(open.clone().negate().negate(), open);
    }
}
