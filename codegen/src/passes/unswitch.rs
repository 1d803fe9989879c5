use support::Table;

use super::fresh_copy;
use crate::{Op, Program, Var, VarId};

/// Moves a test that is the same in every iteration out of the loop that holds nothing else.
///
/// ```text
/// for k in 0..K {                     if full {
///   if full { … } else { … }    ->      for k in 0..K { … }
/// }                                   } else {
///                                       for k in 0..K { … }
///                                     }
/// ```
pub fn unswitch(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = unswitched(body, &mut program.vars);
    program
}

fn unswitched(ops: Vec<Op>, vars: &mut Table<VarId, Var>) -> Vec<Op> {
    ops.into_iter().map(|op| unswitched_op(op, vars)).collect()
}

fn unswitched_op(op: Op, vars: &mut Table<VarId, Var>) -> Op {
    match op {
        Op::For { var, lower, upper, step, parallel, body } => {
            let body = unswitched(body, vars);
            let around = |body: Vec<Op>| {
                let (lower, upper, step) = (lower.clone(), upper.clone(), step.clone());
                Op::For { var, lower, upper, step, parallel, body }
            };
            match <[Op; 1]>::try_from(body) {
                // A parallel region stays one.
                Ok([Op::If { cond, then, otherwise }]) if !parallel && !uses(&cond, var) => {
                    let otherwise = match otherwise.is_empty() {
                        true => Vec::new(),
                        false => fresh_copy(&[around(otherwise)], vars),
                    };
                    Op::If { cond, then: vec![around(then)], otherwise }
                }
                Ok(body) => around(body.into()),
                Err(body) => around(body),
            }
        }
        Op::If { cond, then, otherwise } => {
            Op::If { cond, then: unswitched(then, vars), otherwise: unswitched(otherwise, vars) }
        }
        Op::Local { buffer, body } => Op::Local { buffer, body: unswitched(body, vars) },
        other => other,
    }
}

fn uses(cond: &crate::Cond, var: VarId) -> bool {
    let mut used = false;
    cond.each_var(&mut |other| used |= other == var);
    used
}
