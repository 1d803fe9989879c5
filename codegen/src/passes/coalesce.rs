use std::collections::BTreeMap;

use crate::{At, Combining, Launch, Op, Program, RegId, Value};

/// One register in place of two, where one holds the other's value for a while and gives it back.
///
/// ```text
/// r0 = r1                            for k in 0..K {
/// for k in 0..K {                      r1 = r1 + A[i, k]
///   r0 = r0 + A[i, k]         ->     }
/// }
/// r1 = r0
/// ```
///
/// Nested loops that keep an element in a register leave such copies. After Chaitin and others, Register Allocation via
/// Coloring (Computer Languages 6, 1981).
pub fn coalesce(mut program: Program) -> Program {
    let mut uses = BTreeMap::new();
    count(&program.body, &mut uses);
    coalesced(&mut program.body, &uses);
    program
}

/// How often each register is set or read.
type Uses = BTreeMap<RegId, usize>;

fn coalesced(ops: &mut Vec<Op>, all: &Uses) {
    for op in ops.iter_mut() {
        match op {
            Op::For { body, .. } | Op::Local { body, .. } => coalesced(body, all),
            Op::If { then, otherwise, .. } => {
                coalesced(then, all);
                coalesced(otherwise, all);
            }
            _ => {}
        }
    }
    let mut from = 0;
    while from < ops.len() {
        match loan(&ops[from..], all) {
            Some((length, loan, owner)) => {
                for op in &mut ops[from + 1..from + length] {
                    *op = renamed(op, loan, owner);
                }
                ops.remove(from + length);
                ops.remove(from);
            }
            None => from += 1,
        }
    }
}

/// Whether the first op copies a register to another one that nothing else uses but what comes before the copy back:
/// how far that is, the copy, and the register.
fn loan(ops: &[Op], all: &Uses) -> Option<(usize, RegId, RegId)> {
    let Op::Set { reg: loan, value: Value::Reg(owner) } = ops.first()? else { return None };
    let back = |op: &Op| matches!(op, Op::Set { reg, value: Value::Reg(from) } if reg == owner && from == loan);
    let length = ops.iter().position(back)?;
    let mut inside = Uses::new();
    count(&ops[..=length], &mut inside);
    // The owner in the two copies only, the loan nowhere else.
    (loan != owner && inside.get(owner) == Some(&2) && inside.get(loan) == all.get(loan))
        .then_some((length, *loan, *owner))
}

fn count(ops: &[Op], uses: &mut Uses) {
    for op in ops {
        match op {
            Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => count(body, uses),
            Op::If { then, otherwise, .. } => {
                count(then, uses);
                count(otherwise, uses);
            }
            Op::Set { reg, .. } | Op::Atomic { reg, .. } => *uses.entry(*reg).or_default() += 1,
            Op::LoadBlock { regs, .. } | Op::StoreBlock { regs, .. } | Op::Combine { regs, .. } => {
                regs.iter().for_each(|reg| *uses.entry(*reg).or_default() += 1);
            }
            Op::Store { .. } | Op::Check { .. } | Op::Prefetch { .. } | Op::Barrier | Op::Copy { .. } | Op::Wait => {}
        }
        each_value(op, &mut |value| count_in(value, uses));
    }
}

/// The registers that an op reads or sets, but for those that are an [`Op::Combine`]'s own.
pub(crate) fn registers_of(op: &Op) -> Vec<RegId> {
    let mut uses = Uses::new();
    count(std::slice::from_ref(op), &mut uses);
    uses.into_keys().collect()
}

fn count_in(value: &Value, uses: &mut Uses) {
    if let Value::Reg(reg) = value {
        *uses.entry(*reg).or_default() += 1;
    }
    value.children().into_iter().for_each(|child| count_in(child, uses));
}

/// The values of an op itself, and not of those that it holds.
pub(crate) fn each_value(op: &Op, see: &mut dyn FnMut(&Value)) {
    let at = match op {
        Op::Store { at, .. }
        | Op::Prefetch { at, .. }
        | Op::LoadBlock { at, .. }
        | Op::StoreBlock { at, .. }
        | Op::Atomic { at, .. } => at.as_slice(),
        Op::For { .. }
        | Op::If { .. }
        | Op::Local { .. }
        | Op::Set { .. }
        | Op::Check { .. }
        | Op::Launch(_)
        | Op::Barrier
        | Op::Copy { .. }
        | Op::Wait
        | Op::Combine { .. } => &[],
    };
    for at in at {
        if let At::Indirect(value) = at {
            see(value);
        }
    }
    if let Op::Check { report, .. } = op {
        report.values().for_each(&mut *see);
    }
    if let Op::Store { value, mask, .. } | Op::Check { value, mask, .. } = op {
        see(value);
        mask.iter().for_each(see);
    } else if let Op::Set { value, .. } = op {
        see(value);
    }
}

/// The op with one register in the place of another.
pub(crate) fn renamed(op: &Op, from: RegId, to: RegId) -> Op {
    let reg = |reg: RegId| if reg == from { to } else { reg };
    let value = |value: &Value| {
        value.rebuild(&mut |value| match value {
            Value::Reg(own) => Value::Reg(reg(own)),
            other => other,
        })
    };
    let one = |at: &At| match at {
        At::Affine { .. } => at.clone(),
        At::Indirect(index) => At::Indirect(Box::new(value(index))),
    };
    let at = |at: &[At]| at.iter().map(one).collect();
    let all = |ops: &[Op]| ops.iter().map(|op| renamed(op, from, to)).collect::<Vec<_>>();
    let mut op = op.clone();
    match &mut op {
        Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => *body = all(body),
        Op::If { then, otherwise, .. } => (*then, *otherwise) = (all(then), all(otherwise)),
        Op::Set { reg: set, value: new } => (*set, *new) = (reg(*set), value(new)),
        Op::Store { at: place, value: stored, mask, .. } => {
            (*place, *stored, *mask) = (at(place), value(stored), mask.as_ref().map(value));
        }
        Op::Check { value: checked, mask, report, .. } => {
            (*checked, *mask, *report) = (value(checked), mask.as_ref().map(value), report.map(&one));
        }
        Op::Prefetch { at: place, .. } => *place = at(place),
        Op::LoadBlock { regs, at: place, .. } | Op::StoreBlock { regs, at: place, .. } => {
            regs.iter_mut().for_each(|own| *own = reg(*own));
            *place = at(place);
        }
        Op::Combine { regs, by, .. } => {
            regs.iter_mut().for_each(|own| *own = reg(*own));
            if let Combining::Values { values, .. } = by {
                values.iter_mut().for_each(|own| *own = value(own));
            }
        }
        Op::Atomic { reg: own, at: place, .. } => (*own, *place) = (reg(*own), at(place)),
        Op::Barrier | Op::Copy { .. } | Op::Wait => {}
    }
    op
}
