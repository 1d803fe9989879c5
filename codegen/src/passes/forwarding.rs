use std::collections::BTreeSet;

use polyhedral::{TensorId, Value as Scalar};
use support::Table;

use super::registers::disjoint;
use crate::{At, Launch, Op, Program, Reg, RegId, Value};

/// Hands what is stored on to the loads after it, and leaves out stores that nobody sees.
///
/// ```text
/// if full { C[m] = 0 }                if full {
/// if full {                             r0 = 0
///   r0 = C[m]                   ->      for k in 0..K { r0 = muladd(…, r0) }
///   for k in 0..K { r0 = … }            C[m] = r0
///   C[m] = r0                         }
/// }
/// ```
///
/// Within one list of ops, and only for elements at subscripts that are written alike; tests of one condition that follow
/// each other become one.
pub fn forwarding(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = forwarded(body, &program.regs);
    program
}

fn forwarded(ops: Vec<Op>, regs: &Table<RegId, Reg>) -> Vec<Op> {
    let mut block = Block { regs, ops: Vec::new(), known: Vec::new() };
    joined(ops).into_iter().for_each(|op| block.push(op));
    block.ops.into_iter().flatten().collect()
}

/// One test in place of neighbours with the same condition, which nothing in between can change.
fn joined(ops: Vec<Op>) -> Vec<Op> {
    let mut out: Vec<Op> = Vec::with_capacity(ops.len());
    for op in ops {
        match (out.last_mut(), op) {
            (
                Some(Op::If { cond, then, otherwise }),
                Op::If { cond: next, then: more_then, otherwise: more_otherwise },
            ) if *cond == next => {
                then.extend(more_then);
                otherwise.extend(more_otherwise);
            }
            (_, op) => out.push(op),
        }
    }
    out
}

/// The elements of a store, and what is in them.
struct Known {
    buffer: TensorId,
    at: Vec<At>,
    lanes: u32,
    /// Which lanes: a condition on integers, which nothing changes. All without one.
    mask: Option<Value>,
    /// A constant or a register; none when it is something that would have to be computed again.
    value: Option<Value>,
    /// The store, while nobody can have read what it stored.
    unread: Option<usize>,
}

impl Known {
    fn is(&self, buffer: TensorId, at: &[At], lanes: u32, mask: Option<&Value>) -> bool {
        self.buffer == buffer && self.lanes == lanes && self.at == at && self.mask.as_ref() == mask
    }
}

/// Whether a mask is computed from integers alone.
fn is_fixed(mask: &Value) -> bool {
    !matches!(mask, Value::Load { .. } | Value::Reg(_)) && mask.children().into_iter().all(is_fixed)
}

/// Whether a value is 0 in every lane, as the lanes are that a load's mask drops.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Const(Scalar::Int(constant), _) => *constant == 0,
        Value::Const(Scalar::Float(constant), _) => constant.to_bits() == 0,
        _ => false,
    }
}

/// The ops so far and what they leave in memory.
struct Block<'a> {
    regs: &'a Table<RegId, Reg>,
    /// `None` for a store that was left out.
    ops: Vec<Option<Op>>,
    known: Vec<Known>,
}

impl Block<'_> {
    fn push(&mut self, op: Op) {
        let op = match op {
            Op::Set { reg, value } => {
                let value = self.read(value, self.regs[reg].lanes);
                self.forget_register(reg);
                Op::Set { reg, value }
            }
            Op::Store { buffer, at, lanes, value, mask } => {
                let (value, mask) = (self.read(value, lanes), mask.map(|mask| self.read(mask, lanes)));
                at.iter().for_each(|at| self.read_subscript(at));
                self.store(buffer, &at, lanes, mask.as_ref(), &value);
                Op::Store { buffer, at, lanes, value, mask }
            }
            Op::Check { buffer, dim, extent, value, lanes, mask, report } => {
                let (value, mask) = (self.read(value, lanes), mask.map(|mask| self.read(mask, lanes)));
                Op::Check { buffer, dim, extent, value, lanes, mask, report }
            }
            Op::Prefetch { buffer, at, lanes } => {
                at.iter().for_each(|at| self.read_subscript(at));
                Op::Prefetch { buffer, at, lanes }
            }
            nested => self.nested(nested),
        };
        self.ops.push(Some(op));
    }

    /// An op that holds others: they begin with nothing known, and whatever they touch is not known after them.
    fn nested(&mut self, op: Op) -> Op {
        let mut effects = Effects::default();
        effects.of(std::slice::from_ref(&op));
        self.known.retain_mut(|known| {
            if effects.loaded.contains(&known.buffer) {
                known.unread = None;
            }
            !effects.stored.contains(&known.buffer)
        });
        effects.set.iter().for_each(|&reg| self.forget_register(reg));
        match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                Op::For { var, lower, upper, step, parallel, body: forwarded(body, self.regs) }
            }
            Op::If { cond, then, otherwise } => {
                Op::If { cond, then: forwarded(then, self.regs), otherwise: forwarded(otherwise, self.regs) }
            }
            Op::Local { buffer, body } => Op::Local { buffer, body: forwarded(body, self.regs) },
            other => other,
        }
    }

    /// The value with its loads of known elements replaced; other loads may read any store that they are not apart from.
    fn read(&mut self, value: Value, lanes: u32) -> Value {
        value.rebuild_in(lanes, &mut |value, lanes| match value {
            Value::Load { buffer, at, mask } => {
                let same = |known: &&Known| known.is(buffer, &at, lanes, mask.as_deref());
                if let Some(Known { value: Some(stored), .. }) = self.known.iter().find(same) {
                    return stored.clone();
                }
                self.see(buffer, &at, lanes);
                Value::Load { buffer, at, mask }
            }
            other => other,
        })
    }

    fn read_subscript(&mut self, at: &At) {
        if let At::Indirect(value) = at {
            let mut effects = Effects::default();
            effects.value(value);
            effects.loaded.iter().for_each(|&buffer| self.see(buffer, &[], 1));
        }
    }

    /// Somebody may read these elements; all of the buffer when there are no subscripts to compare.
    fn see(&mut self, buffer: TensorId, at: &[At], lanes: u32) {
        for known in self.known.iter_mut().filter(|known| known.buffer == buffer) {
            if !disjoint((&known.at, known.lanes), (at, lanes)) {
                known.unread = None;
            }
        }
    }

    fn store(&mut self, buffer: TensorId, at: &[At], lanes: u32, mask: Option<&Value>, value: &Value) {
        let steps = || at.iter().map(|at| if let At::Affine { step, .. } = at { Some(*step) } else { None });
        // Of several lanes at one place only the last stays.
        let is_plain = steps().all(|step| step.is_some())
            && (lanes == 1 || steps().any(|step| step != Some(0)))
            && mask.is_none_or(is_fixed);
        if is_plain {
            let replaced = self.known.iter().filter(|known| known.is(buffer, at, lanes, mask));
            for unseen in replaced.filter_map(|known| known.unread).collect::<Vec<usize>>() {
                self.ops[unseen] = None;
            }
        }
        self.known.retain(|known| known.buffer != buffer || disjoint((&known.at, known.lanes), (at, lanes)));
        if !is_plain {
            return;
        }
        let value = match value {
            _ if mask.is_some() && !is_zero(value) => None,
            Value::Const(..) => Some(value.clone()),
            Value::Reg(reg) if self.regs[*reg].lanes == lanes => Some(value.clone()),
            _ => None,
        };
        let unread = Some(self.ops.len());
        self.known.push(Known { buffer, at: at.to_vec(), lanes, mask: mask.cloned(), value, unread });
    }

    fn forget_register(&mut self, reg: RegId) {
        for known in &mut self.known {
            if matches!(known.value, Some(Value::Reg(other)) if other == reg) {
                known.value = None;
            }
        }
    }
}

/// What ops do, by buffer and register.
#[derive(Default)]
struct Effects {
    loaded: BTreeSet<TensorId>,
    stored: BTreeSet<TensorId>,
    set: BTreeSet<RegId>,
}

impl Effects {
    fn of(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::For { body, .. } | Op::Launch(Launch { body, .. }) => self.of(body),
                Op::If { then, otherwise, .. } => {
                    self.of(then);
                    self.of(otherwise);
                }
                Op::Local { buffer, body } => {
                    self.stored.insert(*buffer);
                    self.of(body);
                }
                Op::Store { buffer, at, value, mask, .. } => {
                    self.stored.insert(*buffer);
                    at.iter().for_each(|at| self.subscript(at));
                    self.value(value);
                    mask.iter().for_each(|mask| self.value(mask));
                }
                Op::Set { reg, value } => {
                    self.set.insert(*reg);
                    self.value(value);
                }
                Op::Check { value, mask, .. } => {
                    self.value(value);
                    mask.iter().for_each(|mask| self.value(mask));
                }
                Op::Barrier | Op::Copy { .. } | Op::Wait => {}
                Op::Combine { regs, .. } => self.set.extend(regs),
                Op::Prefetch { at, .. } => at.iter().for_each(|at| self.subscript(at)),
                Op::LoadBlock { regs, buffer, at, .. } => {
                    self.set.extend(regs);
                    self.loaded.insert(*buffer);
                    at.iter().for_each(|at| self.subscript(at));
                }
                Op::Atomic { buffer, .. } => {
                    self.loaded.insert(*buffer);
                    self.stored.insert(*buffer);
                }
                Op::StoreBlock { buffer, at, .. } => {
                    self.stored.insert(*buffer);
                    at.iter().for_each(|at| self.subscript(at));
                }
            }
        }
    }

    fn value(&mut self, value: &Value) {
        if let Value::Load { buffer, .. } = value {
            self.loaded.insert(*buffer);
        }
        value.children().into_iter().for_each(|child| self.value(child));
    }

    fn subscript(&mut self, at: &At) {
        if let At::Indirect(value) = at {
            self.value(value);
        }
    }
}
