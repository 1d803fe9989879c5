use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{CmpOp, DType, TensorId, Value as Scalar};
use support::Table;

use crate::{At, Buffer, Cond, Int, Launch, Op, Program, Reg, RegId, Value, VarId};

/// Keeps elements that every iteration of a loop loads and stores in registers while the loop runs.
///
/// ```text
/// for k in 0..K {                          r0 = C[m, n .. +8]
///   C[m, n .. +8] = muladd(…, C[m, n .. +8])    ->   for k in 0..K { r0 = muladd(…, r0) }
/// }                                        C[m, n .. +8] = r0
/// ```
///
/// Done for a buffer when all its accesses in the loop are at subscripts that the loop does not change, any two of them
/// at the same elements or at different ones. What is around is guarded by the tests that the accesses are under, and by
/// whether the loop runs at all: no element is touched that was not touched before.
pub fn registers(program: Program) -> Program {
    registers_of_others(program, &BTreeSet::new())
}

/// The same for all buffers but these, which become registers anyway.
pub(crate) fn registers_of_others(mut program: Program, these: &BTreeSet<TensorId>) -> Program {
    let body = std::mem::take(&mut program.body);
    let mut pass = Pass { buffers: &program.buffers, these, regs: &mut program.regs };
    program.body = pass.ops(body);
    program
}

struct Pass<'a> {
    buffers: &'a Table<TensorId, Buffer>,
    these: &'a BTreeSet<TensorId>,
    regs: &'a mut Table<RegId, Reg>,
}

impl Pass<'_> {
    fn ops(&mut self, ops: Vec<Op>) -> Vec<Op> {
        ops.into_iter().flat_map(|op| self.op(op)).collect()
    }

    fn op(&mut self, op: Op) -> Vec<Op> {
        match op {
            Op::If { cond, then, otherwise } => {
                vec![Op::If { cond, then: self.ops(then), otherwise: self.ops(otherwise) }]
            }
            Op::For { var, lower, upper, step, parallel, body } => {
                let body = self.ops(body);
                // Registers are not shared between threads.
                if parallel || has_parallel(&body) {
                    return vec![Op::For { var, lower, upper, step, parallel, body }];
                }
                self.around(Loop { var, lower, upper, step }, body)
            }
            Op::Local { buffer, body } => vec![Op::Local { buffer, body: self.ops(body) }],
            other => vec![other],
        }
    }

    /// The loop with its registers, and what fills and empties them around it.
    fn around(&mut self, head: Loop, mut body: Vec<Op>) -> Vec<Op> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let held = Accesses::of(&head, &body, self.regs).held();
        for (buffer, elements) in held.into_iter().filter(|(buffer, _)| !self.these.contains(buffer)) {
            let row = &self.buffers[buffer];
            let held: Vec<(Element, RegId)> = elements
                .into_iter()
                .map(|element| {
                    let reg = Reg { name: row.name.clone(), dtype: row.dtype, lanes: element.lanes };
                    (element, self.regs.push(reg))
                })
                .collect();
            body = in_registers(body, buffer, &held);
            for (element, reg) in held {
                let Element { at, lanes, mask, guard } = element;
                let load = Value::Load { buffer, at: at.clone(), mask: mask.clone().map(Box::new) };
                before.push(guarded(
                    &guard,
                    Op::Set { reg, value: load },
                    vec![Op::Set { reg, value: zero(row.dtype) }],
                ));
                after.push(guarded(&guard, Op::Store { buffer, at, lanes, value: Value::Reg(reg), mask }, Vec::new()));
            }
        }
        let Loop { var, lower, upper, step } = head;
        let empty = before.is_empty();
        let runs = Cond::compare(CmpOp::Lt, lower.clone(), upper.clone());
        before.push(Op::For { var, lower, upper, step, parallel: false, body });
        before.extend(after);
        match runs.as_const() {
            _ if empty => before,
            Some(true) => before,
            _ => vec![Op::If { cond: runs, then: before, otherwise: Vec::new() }],
        }
    }
}

fn guarded(guard: &Cond, then: Op, otherwise: Vec<Op>) -> Op {
    match guard.as_const() {
        Some(true) => then,
        _ => Op::If { cond: guard.clone(), then: vec![then], otherwise },
    }
}

fn zero(dtype: DType) -> Value {
    Value::Const(if dtype.is_float() { Scalar::Float(0.0) } else { Scalar::Int(0) }, dtype)
}

struct Loop {
    var: VarId,
    lower: Int,
    upper: Int,
    step: Int,
}

/// Elements that one op loads or stores.
#[derive(Clone, PartialEq)]
struct Element {
    at: Vec<At>,
    lanes: u32,
    mask: Option<Value>,
    /// What the tests inside the loop say where it is accessed.
    guard: Cond,
}

/// What a loop does to one buffer.
#[derive(Default)]
struct Use {
    elements: Vec<Element>,
    /// By element: stored where the guard holds, in every iteration.
    stored: Vec<bool>,
    /// An access that a register cannot stand for.
    other: bool,
}

/// The accesses of a loop, by buffer.
struct Accesses<'a> {
    regs: &'a Table<RegId, Reg>,
    /// Bound by the loop and those inside.
    changing: BTreeSet<VarId>,
    uses: BTreeMap<TensorId, Use>,
}

impl<'a> Accesses<'a> {
    fn of(head: &Loop, body: &[Op], regs: &'a Table<RegId, Reg>) -> Accesses<'a> {
        let mut changing = BTreeSet::from([head.var]);
        bound(body, &mut changing);
        let mut accesses = Accesses { regs, changing, uses: BTreeMap::new() };
        accesses.ops(body, &Cond::always(), true);
        accesses
    }

    /// The buffers whose elements may be held, with these.
    fn held(self) -> Vec<(TensorId, Vec<Element>)> {
        let may = |one: &Use| !one.other && !one.elements.is_empty() && one.stored.iter().all(|&stored| stored);
        self.uses.into_iter().filter(|(_, one)| may(one)).map(|(buffer, one)| (buffer, one.elements)).collect()
    }

    /// `always`: these ops run in every iteration in which the guard holds.
    fn ops(&mut self, ops: &[Op], guard: &Cond, always: bool) {
        for op in ops {
            match op {
                Op::For { body, .. } | Op::Launch(Launch { body, .. }) => self.ops(body, guard, false),
                Op::Barrier | Op::Wait | Op::Combine { .. } => {}
                Op::If { cond, then, otherwise } => {
                    let fixed = always && self.fixed_cond(cond);
                    self.ops(then, &Cond::all([guard.clone(), cond.clone()]), fixed);
                    self.ops(otherwise, &Cond::all([guard.clone(), cond.clone().negate()]), fixed);
                }
                Op::Store { buffer, at, lanes, value, mask } => {
                    self.value(value, *lanes, guard);
                    mask.iter().for_each(|mask| self.value(mask, *lanes, guard));
                    at.iter().for_each(|at| self.subscript(at, *lanes, guard));
                    self.access(*buffer, at, *lanes, mask.clone(), guard, always);
                }
                Op::Set { reg, value } => self.value(value, self.regs[*reg].lanes, guard),
                Op::Check { value, lanes, mask, .. } => {
                    self.value(value, *lanes, guard);
                    mask.iter().for_each(|mask| self.value(mask, *lanes, guard));
                }
                Op::Local { buffer, body } => {
                    // What is in it does not outlive an iteration, and there is nowhere to put it outside.
                    self.uses.entry(*buffer).or_default().other = true;
                    self.ops(body, guard, always);
                }
                Op::Prefetch { at, lanes, .. } => at.iter().for_each(|at| self.subscript(at, *lanes, guard)),
                Op::Copy { to, from, .. } => {
                    [to, from].into_iter().for_each(|buffer| self.uses.entry(*buffer).or_default().other = true);
                }
                // Its registers hold what it loads already.
                Op::LoadBlock { buffer, .. } | Op::StoreBlock { buffer, .. } | Op::Atomic { buffer, .. } => {
                    self.uses.entry(*buffer).or_default().other = true
                }
            }
        }
    }

    fn value(&mut self, value: &Value, lanes: u32, guard: &Cond) {
        if let Value::Load { buffer, at, mask } = value {
            let moves = mask.is_some() || at.iter().any(|at| !matches!(at, At::Affine { step: 0, .. }));
            let lanes = if moves { lanes } else { 1 };
            self.access(*buffer, at, lanes, mask.as_deref().cloned(), guard, false);
        }
        let lanes = value.lanes_below(lanes);
        for child in value.children() {
            self.value(child, lanes, guard);
        }
    }

    fn subscript(&mut self, at: &At, lanes: u32, guard: &Cond) {
        if let At::Indirect(value) = at {
            self.value(value, lanes, guard);
        }
    }

    fn access(&mut self, buffer: TensorId, at: &[At], lanes: u32, mask: Option<Value>, guard: &Cond, stored: bool) {
        // Once a buffer must stay in memory, nothing more is asked of it.
        if self.uses.get(&buffer).is_some_and(|one| one.other) {
            return;
        }
        let element = Element { at: at.to_vec(), lanes, mask, guard: guard.clone() };
        let fixed = element.at.iter().all(|at| matches!(at, At::Affine { base, .. } if self.fixed(base)))
            && element.mask.as_ref().is_none_or(|mask| self.fixed_mask(mask));
        let one = self.uses.entry(buffer).or_default();
        one.other |= !fixed;
        match one.elements.iter().position(|other| other.at == element.at) {
            Some(same) => {
                one.other |= one.elements[same] != element;
                one.stored[same] |= stored;
            }
            None => {
                let apart = |other: &Element| disjoint((&other.at, other.lanes), (&element.at, element.lanes));
                one.other |= !one.elements.iter().all(apart);
                one.elements.push(element);
                one.stored.push(stored);
            }
        }
    }

    fn fixed(&self, int: &Int) -> bool {
        let mut fixed = true;
        int.each_var(&mut |var| fixed &= !self.changing.contains(&var));
        fixed
    }

    fn fixed_cond(&self, cond: &Cond) -> bool {
        let mut fixed = true;
        cond.each_var(&mut |var| fixed &= !self.changing.contains(&var));
        fixed
    }

    /// Whether a mask is computed from integers that do not change.
    fn fixed_mask(&self, mask: &Value) -> bool {
        match mask {
            Value::Int { base, .. } => self.fixed(base),
            Value::Load { .. } | Value::Reg(_) => false,
            other => other.children().into_iter().all(|child| self.fixed_mask(child)),
        }
    }
}

pub(super) fn has_parallel(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::For { parallel, body, .. } => *parallel || has_parallel(body),
        Op::If { then, otherwise, .. } => has_parallel(then) || has_parallel(otherwise),
        Op::Local { body, .. } => has_parallel(body),
        Op::Launch(_) => true,
        Op::Store { .. }
        | Op::Set { .. }
        | Op::Check { .. }
        | Op::Prefetch { .. }
        | Op::LoadBlock { .. }
        | Op::StoreBlock { .. }
        | Op::Barrier
        | Op::Copy { .. }
        | Op::Wait
        | Op::Combine { .. }
        | Op::Atomic { .. } => false,
    })
}

fn bound(ops: &[Op], vars: &mut BTreeSet<VarId>) {
    for op in ops {
        match op {
            Op::For { var, body, .. } => {
                vars.insert(*var);
                bound(body, vars);
            }
            Op::If { then, otherwise, .. } => {
                bound(then, vars);
                bound(otherwise, vars);
            }
            Op::Local { body, .. } => bound(body, vars),
            Op::Launch(Launch { grid, block, body, .. }) => {
                vars.extend(grid.iter().map(|(var, _)| *var).chain(block.iter().map(|(var, _)| *var)));
                bound(body, vars);
            }
            Op::Store { .. }
            | Op::Set { .. }
            | Op::Check { .. }
            | Op::Prefetch { .. }
            | Op::LoadBlock { .. }
            | Op::StoreBlock { .. }
            | Op::Barrier
            | Op::Copy { .. }
            | Op::Wait
            | Op::Combine { .. }
            | Op::Atomic { .. } => {}
        }
    }
}

/// Whether two accesses of one buffer, each its subscripts and lanes, are known to share no element: in some dimension they
/// are a constant apart that their lanes do not bridge.
pub(crate) fn disjoint((a, a_lanes): (&[At], u32), (b, b_lanes): (&[At], u32)) -> bool {
    let apart = |(a, b): (&At, &At)| {
        let (At::Affine { base: x, step: by_x }, At::Affine { base: y, step: by_y }) = (a, b) else {
            return false;
        };
        let Some(distance) = (y.clone() - x.clone()).as_const() else { return false };
        let span = |step: i64, lanes: u32| step.checked_mul(i64::from(lanes) - 1);
        let (Some(x_span), Some(y_span)) = (span(*by_x, a_lanes), span(*by_y, b_lanes)) else { return false };
        let (x_low, x_high) = (x_span.min(0), x_span.max(0));
        let (Some(y_low), Some(y_high)) = (distance.checked_add(y_span.min(0)), distance.checked_add(y_span.max(0)))
        else {
            return false;
        };
        x_high < y_low || y_high < x_low
    };
    a.len() == b.len() && a.iter().zip(b).any(apart)
}

/// Reads and sets registers in place of a buffer's elements.
fn in_registers(ops: Vec<Op>, buffer: TensorId, held: &[(Element, RegId)]) -> Vec<Op> {
    let register = |at: &[At]| held.iter().find(|(element, _)| element.at == *at).map(|(_, reg)| *reg);
    let value = |value: Value| {
        value.rebuild(&mut |value| match &value {
            Value::Load { buffer: from, at, .. } if *from == buffer => register(at).map_or(value, Value::Reg),
            _ => value,
        })
    };
    let one = |op: Op| match op {
        Op::For { var, lower, upper, step, parallel, body } => {
            let body = in_registers(body, buffer, held);
            Op::For { var, lower, upper, step, parallel, body }
        }
        Op::If { cond, then, otherwise } => {
            let (then, otherwise) = (in_registers(then, buffer, held), in_registers(otherwise, buffer, held));
            Op::If { cond, then, otherwise }
        }
        Op::Store { buffer: to, at, lanes, value: stored, mask } => {
            let stored = value(stored);
            match register(&at).filter(|_| to == buffer) {
                Some(reg) => Op::Set { reg, value: stored },
                None => Op::Store { buffer: to, at, lanes, value: stored, mask: mask.map(value) },
            }
        }
        Op::Set { reg, value: set } => Op::Set { reg, value: value(set) },
        Op::Check { buffer, dim, extent, value: checked, lanes, mask, report } => {
            Op::Check { buffer, dim, extent, value: value(checked), lanes, mask: mask.map(value), report }
        }
        Op::Local { buffer: local, body } => Op::Local { buffer: local, body: in_registers(body, buffer, held) },
        // What is in a register need not be brought near.
        other @ (Op::Prefetch { .. }
        | Op::LoadBlock { .. }
        | Op::StoreBlock { .. }
        | Op::Barrier
        | Op::Copy { .. }
        | Op::Wait
        | Op::Combine { .. }
        | Op::Atomic { .. }) => other,
        Op::Launch(launch) => {
            let body = in_registers(launch.body, buffer, held);
            Op::Launch(Launch { body, ..launch })
        }
    };
    ops.into_iter().map(one).collect()
}
