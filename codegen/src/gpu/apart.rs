//! Barriers outside of conditions.
//!
//! All threads of a block take the same way at a condition that a barrier is inside of, so that OpenCL allows the barrier there.
//! But PoCL 3.1 computes wrong values in some such kernels when it optimises them (the tests of random scripts, seed 737, are one).
//! A barrier that everyone passes costs little where there is nothing to wait for, so that each of the steps between barriers
//! is under the condition instead:
//!
//! ```text
//! if by <= 1 {            if by <= 1 { A }
//!   A                     barrier
//!   barrier        ->     if by <= 1 { B }
//!   B
//! }
//! ```

use polyhedral::Value as Scalar;

use crate::passes::renamed;
use crate::verify::has_meeting;
use crate::{Cond, Int, Op, Program, Value};

use super::rewrite::with_launches;

/// The program with no barrier, and nothing that threads combine, inside of a condition.
pub(super) fn meetings_apart(program: Program) -> Program {
    with_launches(program, &|body, program| Apart { program }.of(&body, &Cond::always()))
}

struct Apart<'p> {
    program: &'p mut Program,
}

impl Apart<'_> {
    /// Ops that all threads get to, and that do something where a condition holds.
    fn of(&mut self, ops: &[Op], guard: &Cond) -> Vec<Op> {
        let (mut all, mut run) = (Vec::new(), Vec::new());
        for op in ops {
            if !has_meeting(std::slice::from_ref(op)) {
                run.push(op.clone());
                continue;
            }
            all.extend(guarded(std::mem::take(&mut run), guard));
            match op {
                Op::For { var, lower, upper, step, parallel, body } => {
                    let upper = Int::select(guard.clone(), upper.clone(), lower.clone());
                    let body = self.of(body, &Cond::always());
                    let (lower, step) = (lower.clone(), step.clone());
                    all.push(Op::For { var: *var, lower, upper, step, parallel: *parallel, body });
                }
                Op::If { cond, then, otherwise } => {
                    all.extend(self.of(then, &Cond::all([guard.clone(), cond.clone()])));
                    all.extend(self.of(otherwise, &Cond::all([guard.clone(), cond.clone().negate()])));
                }
                Op::Local { buffer, body } => all.push(Op::Local { buffer: *buffer, body: self.of(body, guard) }),
                Op::Combine { regs, .. } if guard.as_const() != Some(true) => {
                    let (mut then, mut otherwise, mut after) = (Vec::new(), Vec::new(), Vec::new());
                    let mut combine = op.clone();
                    for &reg in regs {
                        let row = self.program.regs[reg].clone();
                        let zero = if row.dtype.is_float() { Scalar::Float(0.0) } else { Scalar::Int(0) };
                        let zero = Value::Const(zero, row.dtype);
                        let own = self.program.regs.push(row);
                        then.push(Op::Set { reg: own, value: Value::Reg(reg) });
                        otherwise.push(Op::Set { reg: own, value: zero });
                        combine = renamed(&combine, reg, own);
                        after.push(Op::Set { reg, value: Value::Reg(own) });
                    }
                    all.push(Op::If { cond: guard.clone(), then, otherwise });
                    all.push(combine);
                    all.extend(guarded(after, guard));
                }
                other => all.push(other.clone()),
            }
        }
        all.extend(guarded(run, guard));
        all
    }
}

fn guarded(ops: Vec<Op>, guard: &Cond) -> Vec<Op> {
    match guard.as_const() {
        _ if ops.is_empty() => ops,
        Some(true) => ops,
        _ => vec![Op::If { cond: guard.clone(), then: ops, otherwise: Vec::new() }],
    }
}
