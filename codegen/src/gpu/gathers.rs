//! Loops that read where data says, several iterations at a time.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::TensorId;

use super::rewrite::with_launches;
use crate::passes::{each_value, fresh_copy, renamed, substituted};
use crate::{At, Int, Op, Program, RegId, Value, VarId};

/// Most iterations at a time, and fewest where there are more.
const MOST: i64 = 10;
const FEWEST: i64 = 4;

/// What is read where other data says is far apart and takes as long as memory takes to answer, and the check in between keeps
/// a compiler from asking for the next element meanwhile. So the subscripts of several iterations are loaded, then checked, and
/// what they lead to is under way together.
///
/// ```text
/// for l in 0..50 {                    for l in 0..50 step 5 {
///   r0 = I[l]                           r0 = I[l]   r2 = I[l + 1]   …
///   check r0 in T              ->       check r0 in T   check r2 in T   …
///   r1 = r1 + T[@r0]                    r1 = r1 + T[@r0]   r1 = r1 + T[@r2]   …
/// }                                   }
/// ```
pub(super) fn together(program: Program) -> Program {
    with_launches(program, &ops)
}

fn ops(body: Vec<Op>, program: &mut Program) -> Vec<Op> {
    body.into_iter().flat_map(|one| op(one, program)).collect()
}

fn op(op: Op, program: &mut Program) -> Vec<Op> {
    if let Some(gathering) = Gathering::of(&op) {
        return gathering.several(program);
    }
    match op {
        Op::For { var, lower, upper, step, parallel, body } => {
            vec![Op::For { var, lower, upper, step, parallel, body: ops(body, program) }]
        }
        Op::If { cond, then, otherwise } => {
            vec![Op::If { cond, then: ops(then, program), otherwise: ops(otherwise, program) }]
        }
        Op::Local { buffer, body } => vec![Op::Local { buffer, body: ops(body, program) }],
        other => vec![other],
    }
}

/// Such a loop.
struct Gathering {
    var: VarId,
    lower: Int,
    upper: Int,
    step: i64,
    /// Sets of registers and checks that read nothing that another iteration or what comes before them in this one changes.
    loads: Vec<Op>,
    checks: Vec<Op>,
    /// The registers of these.
    own: BTreeSet<RegId>,
    others: Vec<Op>,
}

impl Gathering {
    fn of(op: &Op) -> Option<Gathering> {
        let Op::For { var, lower, upper, step, parallel: false, body } = op else { return None };
        let is_simple = |op: &Op| matches!(op, Op::Set { .. } | Op::Store { .. } | Op::Check { .. });
        let step = step.as_const().filter(|step| *step >= 1 && body.iter().all(is_simple))?;
        if !body.iter().any(|op| any_value(op, &|value| is_gather(value))) {
            return None;
        }
        let mut sets = BTreeMap::<RegId, usize>::new();
        body.iter().filter_map(set).for_each(|reg| *sets.entry(reg).or_default() += 1);
        let stored: BTreeSet<TensorId> = body.iter().filter_map(stored).collect();
        let (mut own, mut loads, mut checks, mut others) = (BTreeSet::new(), Vec::new(), Vec::new(), Vec::new());
        for op in body {
            let is_changed = |value: &Value| match value {
                Value::Load { buffer, .. } => is_gather(value) || stored.contains(buffer),
                Value::Reg(reg) => sets.contains_key(reg) && !own.contains(reg),
                _ => false,
            };
            let is_early = !any_value(op, &is_changed);
            match op {
                Op::Set { reg, .. } if is_early && sets[reg] == 1 => {
                    own.insert(*reg);
                    loads.push(op.clone());
                }
                Op::Check { .. } if is_early => checks.push(op.clone()),
                _ => others.push(op.clone()),
            }
        }
        let (lower, upper) = (lower.clone(), upper.clone());
        Some(Gathering { var: *var, lower, upper, step, loads, checks, own, others })
    }

    /// The loop, several iterations at a time.
    fn several(&self, program: &mut Program) -> Vec<Op> {
        let Some(length) = (self.upper.clone() - self.lower.clone()).as_const() else {
            return self.several_of_many(program);
        };
        let count = length.max(0) / self.step + i64::from(length.max(0) % self.step > 0);
        if count <= MOST {
            return self.batch(&self.lower, count, program);
        }
        let at_once = (FEWEST..=MOST).rev().find(|many| count % many == 0).unwrap_or(MOST);
        let end = self.lower.clone() + count / at_once * at_once * self.step;
        let rest = self.batch(&end, count % at_once, program);
        [vec![self.batches(at_once, end, program)], rest].concat()
    }

    /// Where the length is not known: what is left over comes one by one.
    fn several_of_many(&self, program: &mut Program) -> Vec<Op> {
        let stride = MOST * self.step;
        let whole = (self.upper.clone() - self.lower.clone()).floor_div(stride);
        let end = self.lower.clone() + stride * whole;
        let one_by_one = Op::For {
            var: self.var,
            lower: self.lower.clone().max(end.clone()),
            upper: self.upper.clone(),
            step: Int::Const(self.step),
            parallel: false,
            body: self.batch(&Int::Var(self.var), 1, program),
        };
        let rest = fresh_copy(&[one_by_one], &mut program.vars);
        [vec![self.batches(MOST, end, program)], rest].concat()
    }

    fn batches(&self, at_once: i64, end: Int, program: &mut Program) -> Op {
        let body = self.batch(&Int::Var(self.var), at_once, program);
        let (var, lower, step) = (self.var, self.lower.clone(), Int::Const(at_once * self.step));
        Op::For { var, lower, upper: end, step, parallel: false, body }
    }

    /// Some iterations, from one on.
    fn batch(&self, first: &Int, count: i64, program: &mut Program) -> Vec<Op> {
        let (mut loads, mut checks, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..count {
            let own: Vec<(RegId, RegId)> = self.own.iter().map(|reg| (*reg, copy_of(*reg, at, program))).collect();
            let value = first.clone() + at * self.step;
            let here = |op: &Op| {
                let op = substituted(op, &|var| if var == self.var { value.clone() } else { Int::Var(var) });
                own.iter().fold(op, |op, (from, to)| renamed(&op, *from, *to))
            };
            loads.extend(self.loads.iter().map(here));
            checks.extend(self.checks.iter().map(here));
            others.extend(self.others.iter().map(here));
        }
        [loads, checks, others].concat()
    }
}

/// A register for an iteration; the first one has the register itself.
fn copy_of(reg: RegId, at: i64, program: &mut Program) -> RegId {
    if at == 0 {
        return reg;
    }
    let copy = program.regs[reg].clone();
    program.regs.push(copy)
}

fn set(op: &Op) -> Option<RegId> {
    if let Op::Set { reg, .. } = op { Some(*reg) } else { None }
}

fn stored(op: &Op) -> Option<TensorId> {
    if let Op::Store { buffer, .. } = op { Some(*buffer) } else { None }
}

/// Whether it reads where another value says.
fn is_gather(value: &Value) -> bool {
    matches!(value, Value::Load { at, .. } if at.iter().any(|at| matches!(at, At::Indirect(_))))
}

/// Whether a value of an op, or one below, is such a one.
fn any_value(op: &Op, is: &dyn Fn(&Value) -> bool) -> bool {
    fn any(value: &Value, is: &dyn Fn(&Value) -> bool) -> bool {
        is(value) || value.children().into_iter().any(|child| any(child, is))
    }
    let mut found = false;
    each_value(op, &mut |value| found |= any(value, is));
    found
}
