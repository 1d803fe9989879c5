//! Ops with other ids for what they name.

use polyhedral::TensorId;

use crate::{At, Combining, Cond, Int, Launch, Op, RegId, Report, Value, VarId};

/// What ids become. They are asked in an order that depends on the ops alone, not on their ids.
pub(crate) trait Ids {
    fn buffer(&mut self, id: TensorId) -> TensorId;
    fn var(&mut self, id: VarId) -> VarId;
    fn reg(&mut self, id: RegId) -> RegId;
    /// A size parameter, by position.
    fn param(&mut self, at: usize) -> usize;
}

/// Gives everything that is named in ops its other id.
pub(crate) fn rename(ops: &mut [Op], ids: &mut dyn Ids) {
    ops.iter_mut().for_each(|op| rename_op(op, ids));
}

fn rename_op(op: &mut Op, ids: &mut dyn Ids) {
    match op {
        Op::For { var, lower, upper, step, parallel: _, body } => {
            *var = ids.var(*var);
            [lower, upper, step].into_iter().for_each(|bound| int(bound, ids));
            rename(body, ids);
        }
        Op::If { cond: test, then, otherwise } => {
            cond(test, ids);
            rename(then, ids);
            rename(otherwise, ids);
        }
        Op::Store { buffer, at, lanes: _, value: stored, mask } => {
            access(buffer, at, ids);
            value(stored, ids);
            mask.iter_mut().for_each(|mask| value(mask, ids));
        }
        Op::Set { reg, value: set } => {
            *reg = ids.reg(*reg);
            value(set, ids);
        }
        Op::Check { buffer, dim: _, extent, value: checked, lanes: _, mask, report } => {
            *buffer = ids.buffer(*buffer);
            int(extent, ids);
            value(checked, ids);
            mask.iter_mut().for_each(|mask| value(mask, ids));
            let Report { lower, unsigned: _, found_by } = report;
            int(lower, ids);
            found_by.iter_mut().for_each(|(buffer, at)| access(buffer, at, ids));
        }
        Op::Local { buffer, body } => {
            *buffer = ids.buffer(*buffer);
            rename(body, ids);
        }
        Op::Prefetch { buffer, at, lanes: _ } => access(buffer, at, ids),
        Op::LoadBlock { regs, buffer, at, along: _ } | Op::StoreBlock { regs, buffer, at, along: _ } => {
            registers(regs, ids);
            access(buffer, at, ids);
        }
        Op::Launch(Launch { name: _, grid, block, shared, body }) => {
            for (var, count) in grid {
                *var = ids.var(*var);
                int(count, ids);
            }
            block.iter_mut().for_each(|(var, _)| *var = ids.var(*var));
            shared.iter_mut().for_each(|buffer| *buffer = ids.buffer(*buffer));
            rename(body, ids);
        }
        Op::Barrier | Op::Wait => {}
        Op::Copy { to, to_at, from, from_at, lanes: _ } => {
            access(to, to_at, ids);
            access(from, from_at, ids);
        }
        Op::Combine { regs, by, threads } => {
            registers(regs, ids);
            if let Combining::Values { others, values } = by {
                registers(others, ids);
                values.iter_mut().for_each(|one| value(one, ids));
            }
            threads.iter_mut().for_each(|var| *var = ids.var(*var));
        }
        Op::Atomic { buffer, at, op: _, reg } => {
            access(buffer, at, ids);
            *reg = ids.reg(*reg);
        }
    }
}

fn registers(regs: &mut [RegId], ids: &mut dyn Ids) {
    regs.iter_mut().for_each(|reg| *reg = ids.reg(*reg));
}

fn access(buffer: &mut TensorId, at: &mut [At], ids: &mut dyn Ids) {
    *buffer = ids.buffer(*buffer);
    for at in at {
        match at {
            At::Affine { base, step: _ } => int(base, ids),
            At::Indirect(found) => value(found, ids),
        }
    }
}

fn value(of: &mut Value, ids: &mut dyn Ids) {
    match of {
        Value::Const(..) => {}
        Value::Int { base, step: _ } => int(base, ids),
        Value::Load { buffer, at, mask } => {
            access(buffer, at, ids);
            mask.iter_mut().for_each(|mask| value(mask, ids));
        }
        Value::Reg(reg) => *reg = ids.reg(*reg),
        Value::Unary(_, e) | Value::Cast(_, e) | Value::Reduce { op: _, value: e, from: _, to: _ } => value(e, ids),
        Value::Binary(_, a, b) | Value::Compare(_, a, b) => [a, b].into_iter().for_each(|e| value(e, ids)),
        Value::Select(a, b, c) | Value::MulAdd(a, b, c) => [a, b, c].into_iter().for_each(|e| value(e, ids)),
        Value::Call(_, arguments) => arguments.iter_mut().for_each(|e| value(e, ids)),
        Value::Dot { sum, left, right } => {
            value(sum, ids);
            left.iter_mut().chain(right).for_each(|e| value(e, ids));
        }
    }
}

/// The same for an integer.
pub(crate) fn int(of: &mut Int, ids: &mut dyn Ids) {
    match of {
        Int::Const(_) => {}
        Int::Var(var) => *var = ids.var(*var),
        Int::Param(at) => *at = ids.param(*at),
        Int::Add(a, b) | Int::Mul(a, b) | Int::Min(a, b) | Int::Max(a, b) => {
            int(a, ids);
            int(b, ids);
        }
        Int::FloorDiv(e, _) | Int::Mod(e, _) => int(e, ids),
        Int::Select(test, a, b) => {
            cond(test, ids);
            int(a, ids);
            int(b, ids);
        }
    }
}

fn cond(of: &mut Cond, ids: &mut dyn Ids) {
    match of {
        Cond::Compare(_, a, b) => {
            int(a, ids);
            int(b, ids);
        }
        Cond::All(parts) | Cond::Any(parts) => parts.iter_mut().for_each(|part| cond(part, ids)),
        Cond::Not(part) => cond(part, ids),
    }
}
