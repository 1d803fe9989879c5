use polyhedral::CmpOp;
use support::Table;

use super::fresh_copy;
use crate::{Cond, Int, Op, Program, Var, VarId};

/// Splits a loop that holds nothing but a test of its variable where the test changes: index set splitting.
///
/// ```text
/// for k in 0..16 {                     for k in 0..min(16, 15) {
///   if k <= 14 { … } else { … }   ->     …
/// }                                    }
///                                      for k2 in max(0, 15)..16 {
///                                        …
///                                      }
/// ```
///
/// The part without the last iterations has no tests left. After Banerjee, Loop Transformations for Restructuring
/// Compilers (1993), loop peeling being a special case. A parallel loop stays one.
pub fn peel(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = peeled(body, &mut program.vars);
    program
}

fn peeled(ops: Vec<Op>, vars: &mut Table<VarId, Var>) -> Vec<Op> {
    ops.into_iter().flat_map(|op| peeled_op(op, vars)).collect()
}

fn peeled_op(op: Op, vars: &mut Table<VarId, Var>) -> Vec<Op> {
    match op {
        Op::For { var, lower, upper, step, parallel, body } => {
            let body = peeled(body, vars);
            let change = match body.as_slice() {
                [Op::If { cond, .. }] if !parallel && step == Int::Const(1) => Change::of(cond, var),
                _ => None,
            };
            let around = |lower, upper, body| Op::For { var, lower, upper, step: step.clone(), parallel, body };
            let Some(Change { at, holds_before }) = change else { return vec![around(lower, upper, body)] };
            let Ok([Op::If { then, otherwise, .. }]) = <[Op; 1]>::try_from(body) else { return Vec::new() };
            let (before, after) = if holds_before { (then, otherwise) } else { (otherwise, then) };
            let mut parts = Vec::new();
            if !before.is_empty() {
                parts.push(around(lower.clone(), upper.clone().min(at.clone()), before));
            }
            if !after.is_empty() {
                parts.extend(fresh_copy(&[around(lower.max(at), upper, after)], vars));
            }
            parts
        }
        Op::If { cond, then, otherwise } => {
            vec![Op::If { cond, then: peeled(then, vars), otherwise: peeled(otherwise, vars) }]
        }
        Op::Local { buffer, body } => vec![Op::Local { buffer, body: peeled(body, vars) }],
        other => vec![other],
    }
}

/// Where a test changes: it holds below `at`, and not from there on, or the other way round.
struct Change {
    at: Int,
    holds_before: bool,
}

impl Change {
    fn of(cond: &Cond, var: VarId) -> Option<Change> {
        let Cond::Compare(op, a, b) = cond else { return None };
        // The test is whether `surplus` is at least 0.
        let surplus = match op {
            CmpOp::Le => b.clone() - a.clone(),
            CmpOp::Lt => b.clone() - a.clone() + -1,
            CmpOp::Ge => a.clone() - b.clone(),
            CmpOp::Gt => a.clone() - b.clone() + -1,
            CmpOp::Eq | CmpOp::Ne => return None,
        };
        let weight = surplus.weight(var)?;
        let rest = surplus - weight * Int::Var(var);
        let mut occurs = false;
        rest.each_var(&mut |other| occurs |= other == var);
        match weight {
            _ if occurs => None,
            0 => None,
            1.. => Some(Change { at: -rest.floor_div(weight), holds_before: false }),
            _ => Some(Change { at: rest.floor_div(weight.checked_neg()?) + 1, holds_before: true }),
        }
    }
}
