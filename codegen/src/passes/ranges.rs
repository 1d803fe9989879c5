//! What is known of integer expressions at a place in a program.

use std::collections::BTreeMap;

use polyhedral::CmpOp;

use crate::int::Linear;
use crate::{Cond, Int, Launch, Program, VarId};

/// Smallest and largest value, where known.
pub(crate) type Interval = (Option<i64>, Option<i64>);

/// Intervals of the variables around, and expressions that are not negative.
#[derive(Clone, Default)]
pub(crate) struct Ranges {
    vars: BTreeMap<VarId, Interval>,
    facts: Vec<Linear>,
}

/// A sum of multiples of atoms, of which each is there once, in their order.
type Sum<'a> = (i64, Vec<(&'a Int, i64)>);

impl Ranges {
    /// Inside a loop.
    pub(crate) fn inside(&self, var: VarId, lower: &Int, upper: &Int) -> Ranges {
        let mut inside = self.clone();
        let last = self.interval(upper).1.and_then(|upper| upper.checked_sub(1));
        inside.vars.insert(var, (self.interval(lower).0, last));
        each_max(lower, &mut |lower| inside.learn(Int::Var(var) - lower.clone()));
        each_min(upper, &mut |upper| inside.learn(upper.clone() - Int::Var(var) - Int::Const(1)));
        inside
    }

    /// Inside a kernel.
    pub(crate) fn inside_of(&self, launch: &Launch) -> Ranges {
        let block = launch.block.iter().map(|(var, threads)| (*var, Int::Const(*threads)));
        let all = launch.grid.iter().cloned().chain(block);
        all.fold(self.clone(), |ranges, (var, count)| ranges.inside(var, &Int::Const(0), &count))
    }

    /// Where a condition holds.
    pub(crate) fn where_holds(&self, cond: &Cond) -> Ranges {
        let mut there = self.clone();
        there.assume(cond);
        there
    }

    fn assume(&mut self, cond: &Cond) {
        match cond {
            Cond::All(parts) => parts.iter().for_each(|part| self.assume(part)),
            Cond::Compare(op, a, b) => {
                let difference = a.clone() - b.clone();
                match op {
                    CmpOp::Ge => self.learn(difference),
                    CmpOp::Gt => self.learn(difference - Int::Const(1)),
                    CmpOp::Le => self.learn(-difference),
                    CmpOp::Lt => self.learn(-difference - Int::Const(1)),
                    CmpOp::Eq => {
                        self.learn(difference.clone());
                        self.learn(-difference);
                    }
                    CmpOp::Ne => {}
                }
            }
            Cond::Any(_) | Cond::Not(_) => {}
        }
    }

    /// Remembers that `fact` is not negative.
    fn learn(&mut self, fact: Int) {
        // floor(e / c) + r >= 0 where e + c·r >= 0.
        let linear = fact.linear();
        if let [(Int::Var(var), c)] = linear.terms.as_slice() {
            self.narrow(*var, *c, linear.constant);
        }
        for (atom, c) in &linear.terms {
            if let (Int::FloorDiv(e, by), 1) = (atom, c) {
                self.facts.push(((**e).clone() + *by * (fact.clone() - atom.clone())).linear());
            }
        }
        // Beside it as it is, as what is asked for is in least terms too.
        if linear.common_factor().is_some_and(|factor| factor > 1) {
            self.facts.push(in_least_terms(linear.clone()));
        }
        self.facts.push(linear);
    }

    /// `c·var + constant >= 0`, `c` not 0.
    fn narrow(&mut self, var: VarId, c: i64, constant: i64) {
        let (low, high) = self.vars.entry(var).or_insert((None, None));
        if c > 0 {
            // var >= ceil(-constant / c)
            *low = either(*low, constant.div_euclid(c).checked_neg(), i64::max);
        } else if let Some(by) = c.checked_neg() {
            *high = either(*high, Some(constant.div_euclid(by)), i64::min);
        }
    }

    /// The interval of an expression.
    pub(crate) fn interval(&self, int: &Int) -> Interval {
        self.interval_of(sum(&int.linear()))
    }

    fn interval_of(&self, (constant, mut terms): Sum<'_>) -> Interval {
        let mut all = (Some(constant), Some(constant));
        let mut add = |(low, high): Interval, c: i64| {
            let (low, high) = if c < 0 { (high, low) } else { (low, high) };
            let times = |value: Option<i64>| value.and_then(|value| value.checked_mul(c));
            all = (plus(all.0, times(low)), plus(all.1, times(high)));
        };
        while let Some((difference, c)) = take_quotients(&mut terms) {
            add(difference, c);
        }
        terms.iter().for_each(|(atom, c)| add(self.atom(atom), *c));
        all
    }

    fn atom(&self, atom: &Int) -> Interval {
        match atom {
            Int::Const(value) => (Some(*value), Some(*value)),
            Int::Var(var) => self.vars.get(var).copied().unwrap_or((None, None)),
            Int::FloorDiv(e, by) => {
                let (low, high) = self.interval(e);
                (low.map(|v| v.div_euclid(*by)), high.map(|v| v.div_euclid(*by)))
            }
            Int::Mod(_, by) => (Some(0), Some(by - 1)),
            Int::Min(a, b) => {
                let (a, b) = (self.interval(a), self.interval(b));
                (both(a.0, b.0, i64::min), either(a.1, b.1, i64::min))
            }
            Int::Max(a, b) => {
                let (a, b) = (self.interval(a), self.interval(b));
                (either(a.0, b.0, i64::max), both(a.1, b.1, i64::max))
            }
            Int::Select(_, a, b) => {
                let (a, b) = (self.interval(a), self.interval(b));
                (both(a.0, b.0, i64::min), both(a.1, b.1, i64::max))
            }
            Int::Param(_) => (Some(-Program::MOST_SIZE), Some(Program::MOST_SIZE)),
            Int::Add(..) | Int::Mul(..) => (None, None),
        }
    }

    /// A number that an expression is not below, where one is known: with quotients as they are, or by what they divide.
    pub(crate) fn least(&self, int: &Int) -> Option<i64> {
        let own = int.linear();
        let below = below_without_quotients(&own).and_then(|below| self.interval_of(sum(&below)).0);
        either(self.interval_of(sum(&own)).0, below, i64::max)
    }

    /// Whether an expression is known not to be negative.
    pub(crate) fn at_least_zero(&self, int: &Int) -> bool {
        let own = in_least_terms(int.linear());
        let below = below_without_quotients(&own).map(in_least_terms);
        let is_positive = |sum: Sum<'_>| self.interval_of(sum).0.is_some_and(|low| low >= 0);
        let follows = |own: &Linear| {
            is_positive(sum(own)) || self.facts.iter().filter_map(|fact| difference(own, fact)).any(is_positive)
        };
        follows(&own)
            || below.is_some_and(|below| follows(&below))
            || smallest_of(int).is_some_and(|both| both.iter().all(|one| self.at_least_zero(one)))
    }

    /// Whether a comparison holds, when that is known.
    pub(crate) fn decide(&self, op: CmpOp, a: &Int, b: &Int) -> Option<bool> {
        let difference = a.clone() - b.clone();
        let at_least = |int: Int| self.at_least_zero(&int);
        let less = |e: Int| at_least(-e - Int::Const(1));
        let more = |e: Int| at_least(e - Int::Const(1));
        let known = |yes: bool, no: bool| {
            if yes {
                Some(true)
            } else if no {
                Some(false)
            } else {
                None
            }
        };
        match op {
            CmpOp::Ge => known(at_least(difference.clone()), less(difference)),
            CmpOp::Lt => known(less(difference.clone()), at_least(difference)),
            CmpOp::Le => known(at_least(-difference.clone()), more(difference)),
            CmpOp::Gt => known(more(difference.clone()), at_least(-difference)),
            CmpOp::Eq | CmpOp::Ne => {
                let differ = less(difference.clone()) || more(difference.clone());
                let equal = at_least(difference.clone()) && at_least(-difference);
                known(equal, differ).map(|equal| equal == (op == CmpOp::Eq))
            }
        }
    }

    /// Whether `a` is the larger one; either where they are known to be equal.
    fn larger(&self, a: &Int, b: &Int) -> Option<bool> {
        let more = self.at_least_zero(&(a.clone() - b.clone())).then_some(true);
        more.or_else(|| self.at_least_zero(&(b.clone() - a.clone())).then_some(false))
    }

    /// The expression without what its values make superfluous: divisions, remainders, minima, maxima.
    pub(crate) fn int(&self, int: &Int) -> Int {
        match int {
            Int::Const(_) | Int::Var(_) | Int::Param(_) => int.clone(),
            Int::Add(a, b) => self.int(a) + self.int(b),
            Int::Mul(a, b) => self.int(a) * self.int(b),
            Int::FloorDiv(e, by) => {
                let e = self.int(e);
                self.quotient(&e, *by).unwrap_or_else(|| e.floor_div(*by))
            }
            Int::Mod(e, by) => {
                let e = self.int(e);
                match self.quotient(&e, *by) {
                    Some(quotient) => e - *by * quotient,
                    None => e.modulo(*by),
                }
            }
            Int::Min(a, b) => {
                let (a, b) = (self.int(a), self.int(b));
                match self.larger(&a, &b) {
                    Some(true) => b,
                    Some(false) => a,
                    None => a.min(b),
                }
            }
            Int::Max(a, b) => {
                let (a, b) = (self.int(a), self.int(b));
                match self.larger(&a, &b) {
                    Some(true) => a,
                    Some(false) => b,
                    None => a.max(b),
                }
            }
            Int::Select(cond, a, b) => Int::select(self.cond(cond), self.int(a), self.int(b)),
        }
    }

    /// A simpler expression for `floor(e / by)`, in one step or in two.
    fn quotient(&self, e: &Int, by: i64) -> Option<Int> {
        self.in_one_step(e, by).or_else(|| self.in_two_steps(e, by))
    }

    /// Of those `q` that some fact compares `by·q` with, the one for which `0 <= e - by·q < by`.
    fn in_one_step(&self, e: &Int, by: i64) -> Option<Int> {
        if let (Some(low), Some(high)) = self.interval(e)
            && low.div_euclid(by) == high.div_euclid(by)
        {
            return Some(Int::Const(low.div_euclid(by)));
        }
        let divided = |q: &Int| {
            let rest = e.clone() - by * q.clone();
            self.at_least_zero(&rest) && self.at_least_zero(&(Int::Const(by - 1) - rest))
        };
        let own = e.linear();
        if let Some(quotient) = self.of_multiples(&own, by) {
            return Some(quotient);
        }
        let multiples = self.facts.iter().filter_map(|fact| multiple_below(&difference(&own, fact)?, by));
        std::iter::once(Int::Const(0)).chain(multiples).find(divided)
    }

    /// The same by way of a divisor of `by` for which there is a simpler expression: `floor(e / by) = floor(floor(e / d) / (by / d))`.
    /// Some fact compares `e` with multiples of it. Each of the two is one step: facts may lead from one quotient to the next
    /// without an end.
    fn in_two_steps(&self, e: &Int, by: i64) -> Option<Int> {
        let own = e.linear();
        let divisors = self.facts.iter().filter_map(|fact| {
            let (constant, terms) = difference(&own, fact)?;
            let terms = terms.into_iter().map(|(atom, c)| (atom.clone(), c)).collect();
            Some(Linear { constant, terms }.into_int().remainder_and_modulus(by).1).filter(|d| *d > 1 && *d < by)
        });
        let mut divisors: Vec<i64> = divisors.collect();
        divisors.sort_unstable();
        divisors.dedup();
        let (d, quotient) = divisors.into_iter().rev().find_map(|d| Some((d, self.in_one_step(e, d)?)))?;
        Some(self.in_one_step(&quotient, by / d).unwrap_or_else(|| quotient.floor_div(by / d)))
    }

    /// The same where what is left of the sum without the multiples of `by` is between two neighbouring ones.
    fn of_multiples(&self, own: &Linear, by: i64) -> Option<Int> {
        let (multiples, rest): (Vec<_>, Vec<_>) = own.terms.iter().cloned().partition(|(_, c)| c % by == 0);
        if multiples.is_empty() {
            return None;
        }
        let (low, high) = self.interval(&Linear { constant: own.constant, terms: rest }.into_int());
        let (low, high) = (low?.div_euclid(by), high?.div_euclid(by));
        let terms = multiples.into_iter().map(|(atom, c)| (atom, c / by)).collect();
        (low == high).then(|| Linear { constant: low, terms }.into_int())
    }

    /// The condition without what is known.
    pub(crate) fn cond(&self, cond: &Cond) -> Cond {
        match cond {
            Cond::Compare(op, a, b) => match self.decide(*op, a, b) {
                Some(true) => Cond::always(),
                Some(false) => Cond::never(),
                None => Cond::compare(*op, self.int(a), self.int(b)),
            },
            Cond::All(parts) => Cond::all(parts.iter().map(|part| self.cond(part))),
            Cond::Any(parts) => Cond::any(parts.iter().map(|part| self.cond(part))),
            Cond::Not(inner) => self.cond(inner).negate(),
        }
    }
}

/// Two expressions, the smaller of which is this one: it adds a minimum, or takes a maximum away.
fn smallest_of(int: &Int) -> Option<[Int; 2]> {
    let linear = int.linear();
    let (atom, c, a, b) = linear.terms.iter().find_map(|(atom, c)| match atom {
        Int::Min(a, b) if *c > 0 => Some((atom, *c, a, b)),
        Int::Max(a, b) if *c < 0 => Some((atom, *c, a, b)),
        _ => None,
    })?;
    let rest = int.clone() - c * atom.clone();
    Some([a, b].map(|one| rest.clone() + c * (**one).clone()))
}

/// What is not larger, with `c·floor(e / d)` estimated by `e` where `d` divides `c`; `None` where there is no such term.
fn below_without_quotients(linear: &Linear) -> Option<Linear> {
    let estimate = |(atom, c): &(Int, i64)| match atom {
        Int::FloorDiv(e, by) if c % by == 0 => {
            let behind = if *c > 0 { by - 1 } else { 0 };
            Some(c / by * ((**e).clone() + -behind))
        }
        _ => None,
    };
    let mut found = false;
    let rest = Linear { constant: linear.constant, terms: Vec::new() }.into_int();
    let all = linear.terms.iter().fold(rest, |all, term| {
        let estimated = estimate(term);
        found |= estimated.is_some();
        all + estimated.unwrap_or_else(|| term.1 * term.0.clone())
    });
    found.then(|| all.linear())
}

/// Terms without a common factor: `2·i - 2·n + 3` is not negative where `i - n + 1` is not.
fn in_least_terms(linear: Linear) -> Linear {
    match linear.common_factor() {
        Some(factor @ 2..) => Linear {
            constant: linear.constant.div_euclid(factor),
            terms: linear.terms.into_iter().map(|(atom, c)| (atom, c / factor)).collect(),
        },
        _ => linear,
    }
}

fn sum(linear: &Linear) -> Sum<'_> {
    (linear.constant, linear.terms.iter().map(|(atom, c)| (atom, *c)).collect())
}

/// `a - b`; `None` on overflow.
fn difference<'a>(a: &'a Linear, b: &'a Linear) -> Option<Sum<'a>> {
    let mut terms = Vec::with_capacity(a.terms.len() + b.terms.len());
    let mut mine = a.terms.iter().map(|(atom, c)| (atom, *c)).peekable();
    for (atom, c) in &b.terms {
        while let Some(before) = mine.next_if(|(own, _)| *own < atom) {
            terms.push(before);
        }
        let own = mine.next_if(|(own, _)| *own == atom).map_or(0, |(_, own)| own);
        let c = own.checked_sub(*c)?;
        if c != 0 {
            terms.push((atom, c));
        }
    }
    terms.extend(mine);
    Some((a.constant.checked_sub(b.constant)?, terms))
}

/// `e / by`, when all of `e` but its constant, which counts as the largest multiple below, is divisible.
fn multiple_below((constant, terms): &Sum<'_>, by: i64) -> Option<Int> {
    (!terms.is_empty() && terms.iter().all(|(_, c)| c % by == 0)).then(|| {
        let terms = terms.iter().map(|(atom, c)| ((*atom).clone(), c / by)).collect();
        Linear { constant: constant.div_euclid(by), terms }.into_int()
    })
}

/// Takes `c·(floor(e / d) - floor(f / d))` out of a sum, where `e` and `f` are a constant apart: the interval of the
/// difference, and `c`.
fn take_quotients(terms: &mut Vec<(&Int, i64)>) -> Option<(Interval, i64)> {
    for (at, (atom, c)) in terms.iter().enumerate().filter(|(_, (_, c))| *c > 0) {
        let Int::FloorDiv(e, by) = atom else { continue };
        for (other, (second, negative)) in terms.iter().enumerate() {
            let Int::FloorDiv(f, same) = second else { continue };
            if by != same || negative.checked_neg() != Some(*c) {
                continue;
            }
            let apart = (**e).clone() - (**f).clone();
            if let Some(apart) = apart.as_const() {
                let most = -(apart.checked_neg()?.div_euclid(*by));
                let taken = ((Some(apart.div_euclid(*by)), Some(most)), *c);
                terms.remove(at.max(other));
                terms.remove(at.min(other));
                return Some(taken);
            }
        }
    }
    None
}

fn plus(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a?.checked_add(b?)
}

/// From both, where both are known.
fn both(a: Option<i64>, b: Option<i64>, pick: fn(i64, i64) -> i64) -> Option<i64> {
    Some(pick(a?, b?))
}

/// From both, or from the one that is known.
fn either(a: Option<i64>, b: Option<i64>, pick: fn(i64, i64) -> i64) -> Option<i64> {
    both(a, b, pick).or(a).or(b)
}

fn each_max(int: &Int, see: &mut dyn FnMut(&Int)) {
    match int {
        Int::Max(a, b) => {
            each_max(a, see);
            each_max(b, see);
        }
        other => see(other),
    }
}

fn each_min(int: &Int, see: &mut dyn FnMut(&Int)) {
    match int {
        Int::Min(a, b) => {
            each_min(a, see);
            each_min(b, see);
        }
        other => see(other),
    }
}

#[cfg(test)]
mod tests {
    use support::Entity;

    use super::*;

    /// `floor(kk / 16)` where `kk` is in `8·k .. 8·k + 8`.
    #[test]
    fn quotients_by_way_of_smaller_ones() {
        let [k, kk] = [0, 1].map(|at| Int::Var(VarId::new(at)));
        let ranges = Ranges::default().inside(VarId::new(1), &(8 * k.clone()), &(8 * k.clone() + 8));
        assert_eq!(ranges.int(&kk.clone().floor_div(16)), k.clone().floor_div(2));
        assert_eq!(ranges.int(&kk.clone().modulo(24)), kk.clone() - 24 * k.floor_div(3));
        // Nothing compares it with multiples of a divisor of 5.
        assert_eq!(ranges.int(&kk.clone().floor_div(5)), kk.floor_div(5));
    }
}
