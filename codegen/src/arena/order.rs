//! Which of two sizes is never smaller.

use std::cell::Cell;

use crate::Int;

/// How deep a question may lead to others. Sizes are flat; this is far more than any needs.
const DEPTH: u32 = 12;

/// How many questions one may lead to in all: of sums of many terms that resemble each other the answers at each depth multiply,
/// and what is not known costs a little room, not a result.
const QUESTIONS: u32 = 1000;

/// Whether `a` is surely at least `b` whatever the parameters and variables are; an expression that overflows is neither.
///
/// Rules on the form of the two: of maxima and minima one side or both, of sums each term that is taken away finds one that
/// is as large, of quotients by the same number the dividends. What no rule finds is not known.
pub(crate) fn at_least(a: &Int, b: &Int) -> bool {
    holds(a, b, Left { depth: DEPTH, questions: &Cell::new(QUESTIONS) })
}

/// What a search may still do.
#[derive(Clone, Copy)]
struct Left<'a> {
    depth: u32,
    questions: &'a Cell<u32>,
}

impl Left<'_> {
    /// What is left to the questions that one leads to; none when the search ends here.
    fn deeper(self) -> Option<Self> {
        self.questions.set(self.questions.get().checked_sub(1)?);
        Some(Left { depth: self.depth.checked_sub(1)?, ..self })
    }
}

fn holds(a: &Int, b: &Int, left: Left<'_>) -> bool {
    if a == b {
        return true;
    }
    let Some(left) = left.deeper() else { return false };
    let go = |a: &Int, b: &Int| holds(a, b, left);
    match (a, b) {
        (Int::Const(a), Int::Const(b)) => a >= b,
        (a, Int::Max(x, y)) => go(a, x) && go(a, y),
        (Int::Min(x, y), b) => go(x, b) && go(y, b),
        (Int::FloorDiv(x, c), Int::FloorDiv(y, d)) if c == d && go(x, y) => true,
        (Int::Max(x, y), b) if go(x, b) || go(y, b) => true,
        (a, Int::Min(x, y)) if go(a, x) || go(a, y) => true,
        (a, Int::Const(0)) if is_whole_atom(a) => is_natural(a, left),
        _ if covers(a, b, left) => true,
        // A sum that overflows has no terms.
        (Int::Add(x, y), b) => (go(x, b) && is_natural(y, left)) || (go(y, b) && is_natural(x, left)),
        _ => false,
    }
}

/// Whether it is no sum and no multiple.
fn is_whole_atom(a: &Int) -> bool {
    let linear = a.linear();
    linear.constant == 0 && matches!(&linear.terms[..], [(_, 1)])
}

/// Whether an atom is at least 0.
fn is_natural(a: &Int, left: Left<'_>) -> bool {
    let zero = Int::Const(0);
    match a {
        Int::Const(value) => *value >= 0,
        Int::Mul(x, y) => holds(x, &zero, left) && holds(y, &zero, left),
        Int::FloorDiv(x, _) => holds(x, &zero, left),
        Int::Mod(..) => true,
        Int::Max(x, y) => holds(x, &zero, left) || holds(y, &zero, left),
        Int::Min(x, y) => holds(x, &zero, left) && holds(y, &zero, left),
        Int::Select(_, x, y) => holds(x, &zero, left) && holds(y, &zero, left),
        Int::Add(x, y) => holds(x, &zero, left) && holds(y, &zero, left),
        Int::Var(_) | Int::Param(_) => false,
    }
}

/// Of the terms of `a - b`: for each one that is taken away another one is there that is at least as large, and what is left
/// is at least 0.
fn covers(a: &Int, b: &Int, left: Left<'_>) -> bool {
    let difference = (a.clone() - b.clone()).linear();
    let (mut there, mut away) = (Vec::new(), Vec::new());
    for (atom, weight) in difference.terms {
        match (weight > 0, weight.checked_neg()) {
            (true, _) => there.push((atom, weight)),
            (false, Some(weight)) => away.push((atom, weight)),
            (false, None) => return false,
        }
    }
    for (atom, weight) in &away {
        let found = there.iter().position(|(other, own)| {
            let is_more = |than: i64| *own > than && is_natural(other, left);
            let all = || *weight * atom.clone();
            let products = || {
                let (own, away) = (*own * other.clone(), all());
                // Not the same question again.
                (&own, &away) != (a, b) && holds(&own, &away, left)
            };
            ((own == weight || is_more(*weight)) && holds(other, atom, left))
                || (own != weight && products())
                || (is_more(1) && holds(other, &all(), left))
        });
        match found {
            Some(at) => _ = there.remove(at),
            None => return false,
        }
    }
    difference.constant >= 0 && there.iter().all(|(atom, _)| is_natural(atom, left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::aligned;

    fn size(at: usize) -> Int {
        Int::Param(at).max(Int::Const(0))
    }

    fn room(elements: Int) -> Int {
        aligned(4 * elements)
    }

    #[test]
    fn rooms_are_at_least_nothing_and_sums_of_them_at_least_each() {
        let (a, b) = (room(size(0)), room(size(0) * size(1)));
        assert!(at_least(&a, &Int::Const(0)));
        assert!(at_least(&(a.clone() + b.clone()), &a));
        assert!(at_least(&(a.clone() + b.clone()), &b));
        assert!(!at_least(&a, &b));
        assert!(!at_least(&Int::Param(0), &Int::Const(0)), "a parameter may be negative");
    }

    #[test]
    fn maxima_are_at_least_their_sides() {
        let (a, b, c) = (room(size(0)), room(size(1)), room(size(2)));
        let both = a.clone().max(b.clone());
        assert!(at_least(&both, &a) && at_least(&both, &b));
        assert!(!at_least(&a, &both));
        assert!(at_least(&(c.clone() + both.clone()), &(c.clone() + a.clone())));
        assert!(at_least(&(2 * both.clone() + c.clone()), &(c.clone() + a.clone())));
        assert!(at_least(&(both.clone() + c.clone() + 64), &(b.clone() + c.clone())));
        assert!(!at_least(&(both.clone() + c.clone()), &(b + c + 64)));
    }

    #[test]
    fn longer_is_larger() {
        assert!(at_least(&room(size(0) + 16), &room(size(0))));
        assert!(at_least(&room(3 * size(0)), &room(size(0))));
        assert!(!at_least(&room(size(0)), &room(size(0) + 8)));
        assert!(at_least(&(8 * size(0)), &(8 * Int::Param(0)).max(Int::Const(0))));
    }

    /// Sums of maxima that resemble each other: at each depth every term is compared with every one.
    #[test]
    fn a_search_ends() {
        let nested = |from: usize| {
            (0..5).fold(size(from), |inner, at| {
                let sides = (0..5).map(|own| room((inner.clone() + size(from + own + at)).max(size(from + own))));
                sides.reduce(|a, b| a + b).expect("some").floor_div(2)
            })
        };
        assert!(!at_least(&nested(0), &nested(20)));
        assert!(at_least(&(nested(0) + room(size(3))), &nested(0)));
    }

    /// What is found is true: expressions drawn at random, for all small parameters.
    #[test]
    fn what_is_found_holds() {
        let mut state = 1u64;
        let mut draw = move |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        let mut found = 0;
        for _ in 0..4000 {
            let (a, b) = (drawn(&mut draw, 3), drawn(&mut draw, 3));
            if a == b || !at_least(&a, &b) {
                continue;
            }
            found += usize::from(b.as_const().is_none());
            for sizes in (-3..5).flat_map(|n| (-3..5).map(move |m| [n, m])) {
                let value = |int: &Int| int.eval(&|_| None, &sizes).unwrap();
                assert!(value(&a) >= value(&b), "{a:?} is less than {b:?} for {sizes:?}");
            }
        }
        assert!(found > 100, "only {found}");
    }

    fn drawn(draw: &mut dyn FnMut(u64) -> u64, depth: u32) -> Int {
        if depth == 0 || draw(5) == 0 {
            return match draw(3) {
                0 => Int::Const(draw(7) as i64 - 2),
                at => Int::Param(at as usize - 1),
            };
        }
        let mut one = || drawn(draw, depth - 1);
        let (a, b) = (one(), one());
        match draw(6) {
            0 => a + b,
            1 => a.max(b),
            2 => a.min(b),
            3 => (draw(4) as i64 + 1) * a,
            4 => a.floor_div(draw(3) as i64 + 1),
            _ => a.max(Int::Const(0)) * b.max(Int::Const(0)),
        }
    }
}
