//! Iterations apart that a pipelined loop begins with.

use polyhedral::CmpOp;

use crate::passes::{Ranges, fresh_copy, simplified, substituted};
use crate::verify::has_barrier;
use crate::{Cond, Int, Launch, Op, Program, VarId};

/// The first iteration of a loop with barriers comes before it, where that one skips something of what the others do: the loop has
/// no test left that keeps it from that.
///
/// ```text
/// for k in -1..8 {                        if -1 < 8 {
///   if k <= 6 { load tile k + 1 }           load tile 0
///   for kk in max(0, 4*k)..4*k + 4 {        barrier
///     …                                  }
///   }                               ->    for k in 0..8 {
///   barrier                                 if k <= 6 { load tile k + 1 }
/// }                                         for kk in 4*k..4*k + 4 { … }
///                                           barrier
///                                         }
/// ```
///
/// The prologue of a software pipeline (Lam, PLDI 1988).
pub(super) fn apart(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = ops(body, &Ranges::default(), &mut program);
    program
}

fn ops(body: Vec<Op>, ranges: &Ranges, program: &mut Program) -> Vec<Op> {
    body.into_iter().flat_map(|one| op(one, ranges, program)).collect()
}

fn op(op: Op, ranges: &Ranges, program: &mut Program) -> Vec<Op> {
    match op {
        Op::Launch(launch) => {
            let body = ops(launch.body.clone(), &ranges.inside_of(&launch), program);
            vec![Op::Launch(Launch { body, ..launch })]
        }
        Op::For { var, lower, upper, step, parallel, body } => {
            let body = ops(body, &ranges.inside(var, &lower, &upper), program);
            let is_meant = !parallel && step == Int::Const(1) && has_barrier(&body);
            match lower.as_const().filter(|_| is_meant).and_then(|first| skipping(var, first, &body, ranges)) {
                None => vec![Op::For { var, lower, upper, step, parallel, body }],
                Some(first) => {
                    let runs = Cond::compare(CmpOp::Lt, lower.clone(), upper.clone());
                    let first = fresh_copy(&first, &mut program.vars);
                    let others = Op::For { var, lower: lower + 1, upper, step, parallel, body };
                    vec![Op::If { cond: runs, then: first, otherwise: Vec::new() }, others]
                }
            }
        }
        Op::If { cond, then, otherwise } => {
            let then = ops(then, &ranges.where_holds(&cond), program);
            let otherwise = ops(otherwise, &ranges.where_holds(&cond.clone().negate()), program);
            vec![Op::If { cond, then, otherwise }]
        }
        Op::Local { buffer, body } => vec![Op::Local { buffer, body: ops(body, ranges, program) }],
        other => vec![other],
    }
}

/// Ops of an iteration that is written out at most.
const MOST_OPS: usize = 64;

/// The iteration with this value, if it does not do all that others do.
fn skipping(var: VarId, value: i64, body: &[Op], ranges: &Ranges) -> Option<Vec<Op>> {
    let at = |other| if other == var { Int::Const(value) } else { Int::Var(other) };
    let first = simplified(&body.iter().map(|op| substituted(op, &at)).collect::<Vec<_>>(), ranges);
    (steps(&first) < steps(body).min(MOST_OPS)).then_some(first)
}

/// How many ops these are, without what they are in.
fn steps(ops: &[Op]) -> usize {
    let of_op = |op: &Op| match op {
        Op::For { body, .. } | Op::Local { body, .. } => steps(body),
        Op::If { then, otherwise, .. } => steps(then) + steps(otherwise),
        _ => 1,
    };
    ops.iter().map(of_op).sum()
}
