//! What ops touch beside copies that are under way.

use std::collections::BTreeSet;

use polyhedral::TensorId;

use crate::int::Linear;
use crate::passes::disjoint;
use crate::{At, Int, Op, Program, Value};

/// What an [`Op::Copy`] says, or what a store of a load does.
#[derive(Clone)]
pub(super) struct Copied {
    pub(super) to: TensorId,
    pub(super) to_at: Vec<At>,
    pub(super) from: TensorId,
    pub(super) from_at: Vec<At>,
    pub(super) lanes: u32,
}

/// Whether two accesses of one buffer are known to share no element: as [`disjoint`], or because the subscripts of some
/// dimension differ by what is no multiple of a number that divides all their variables' coefficients, the test of the
/// greatest common divisor (Banerjee, Dependence Analysis for Supercomputing, 1988).
pub(super) fn never_meet(a: (&[At], u32), b: (&[At], u32)) -> bool {
    let differ = |(a, b): (&At, &At)| {
        let (At::Affine { base: x, step: by_x }, At::Affine { base: y, step: by_y }) = (a, b) else { return false };
        let distance = (without_remainders(x) - without_remainders(y)).linear();
        let steps = [by_x, by_y].map(|step| (Int::Const(0), *step)).into_iter().filter(|(_, step)| *step != 0);
        let all = Linear { terms: distance.terms.into_iter().chain(steps).collect(), ..distance };
        all.common_factor().is_some_and(|factor| factor != 0 && all.constant % factor != 0)
    };
    disjoint(a, b) || a.0.len() == b.0.len() && a.0.iter().zip(b.0).any(differ)
}

/// The same with quotients in place of remainders: `e - c·floor(e / c)`.
fn without_remainders(int: &Int) -> Int {
    match int {
        Int::Add(a, b) => without_remainders(a) + without_remainders(b),
        Int::Mul(a, b) => without_remainders(a) * without_remainders(b),
        Int::Mod(e, by) => (**e).clone() - *by * (**e).clone().floor_div(*by),
        other => other.clone(),
    }
}

/// What ops touch.
#[derive(Default)]
pub(super) struct Accesses {
    loads: Vec<(TensorId, Vec<At>, u32)>,
    stores: Vec<(TensorId, Vec<At>, u32)>,
    /// Buffers of which nobody knows which elements.
    anywhere: BTreeSet<TensorId>,
}

impl Accesses {
    pub(super) fn op(&mut self, op: &Op, program: &Program) {
        let mut all = |ops: &[Op]| ops.iter().for_each(|op| self.op(op, program));
        match op {
            Op::For { body, .. } | Op::Local { body, .. } => all(body),
            Op::If { then, otherwise, .. } => [then, otherwise].into_iter().for_each(|ops| all(ops)),
            Op::Store { buffer, at, lanes, value, mask } => {
                self.stores.push((*buffer, at.clone(), *lanes));
                self.subscripts(at, *lanes);
                [value].into_iter().chain(mask).for_each(|value| self.value(value, *lanes));
            }
            Op::Set { reg, value } => self.value(value, program.regs[*reg].lanes),
            Op::Check { value, lanes, mask, .. } => {
                [value].into_iter().chain(mask).for_each(|value| self.value(value, *lanes));
            }
            Op::Atomic { buffer, at, .. } => self.stores.push((*buffer, at.clone(), 1)),
            Op::LoadBlock { buffer, .. } | Op::StoreBlock { buffer, .. } => _ = self.anywhere.insert(*buffer),
            Op::Copy { to, to_at, from, from_at, lanes } => {
                self.stores.push((*to, to_at.clone(), *lanes));
                self.loads.push((*from, from_at.clone(), *lanes));
            }
            Op::Prefetch { .. } | Op::Launch(_) | Op::Barrier | Op::Wait | Op::Combine { .. } => {}
        }
    }

    fn value(&mut self, value: &Value, lanes: u32) {
        if let Value::Load { buffer, at, .. } = value {
            self.loads.push((*buffer, at.clone(), lanes));
        }
        let below = value.lanes_below(lanes);
        value.children().into_iter().for_each(|child| self.value(child, below));
    }

    fn subscripts(&mut self, at: &[At], lanes: u32) {
        for at in at {
            if let At::Indirect(value) = at {
                self.value(value, lanes);
            }
        }
    }

    /// Whether none of these touches the buffer that a copy goes to, or writes that which it comes from.
    pub(super) fn spare_all_of(&self, copied: &Copied) -> bool {
        let is_of = |buffer: TensorId| move |one: &(TensorId, Vec<At>, u32)| one.0 == buffer;
        !self.anywhere.contains(&copied.to)
            && !self.anywhere.contains(&copied.from)
            && !self.loads.iter().chain(&self.stores).any(is_of(copied.to))
            && !self.stores.iter().any(is_of(copied.from))
    }

    /// Whether none of these touches an element that a copy goes to, or writes one that it comes from.
    pub(super) fn spare(&self, copied: &Copied) -> bool {
        let meets = |(buffer, at, lanes): &(TensorId, Vec<At>, u32), other: TensorId, other_at: &[At]| {
            *buffer == other && !never_meet((at, *lanes), (other_at, copied.lanes))
        };
        let target = |one: &(TensorId, Vec<At>, u32)| meets(one, copied.to, &copied.to_at);
        let source = |one: &(TensorId, Vec<At>, u32)| meets(one, copied.from, &copied.from_at);
        !self.anywhere.contains(&copied.to)
            && !self.anywhere.contains(&copied.from)
            && !self.loads.iter().any(target)
            && !self.stores.iter().any(|one| target(one) || source(one))
    }
}

#[cfg(test)]
mod tests {
    use support::Entity;

    use super::*;
    use crate::VarId;

    fn at(base: Int, step: i64) -> At {
        At::Affine { base, step }
    }

    #[test]
    fn halves_in_turn_never_meet() {
        let k = || Int::Var(VarId::new(0));
        let halves = [k().modulo(2), (k() + 1).modulo(2), k() - 2 * k().floor_div(2), Int::Const(1) - k()];
        let meet = |a: &Int, b: &Int| !never_meet((&[at(a.clone(), 0)], 1), (&[at(b.clone(), 0)], 1));
        assert!(!meet(&halves[0], &halves[1]) && !meet(&halves[2], &halves[1]) && !meet(&halves[2], &halves[3]));
        assert!(meet(&halves[0], &halves[2]) && meet(&halves[1], &halves[3]) && meet(&halves[0], &Int::Const(1)));
    }

    #[test]
    fn lanes_between_may_meet() {
        let i = || Int::Var(VarId::new(0));
        let meet = |a: (Int, i64), b: (Int, i64)| !never_meet((&[at(a.0, a.1)], 4), (&[at(b.0, b.1)], 4));
        assert!(!meet((4 * i(), 0), (4 * i() + 1, 4)));
        assert!(meet((4 * i(), 1), (4 * i() + 1, 4)));
        assert!(!meet((2 * i(), 2), (6 * i() + 1, 4)));
    }
}
