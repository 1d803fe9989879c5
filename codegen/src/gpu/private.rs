//! What a thread keeps for itself, in registers: these have no addresses, and so no subscripts that are known only while
//! running.

use std::collections::BTreeSet;

use polyhedral::CmpOp;

use crate::passes::{Ranges, fresh_copy, substituted};
use crate::{At, Cond, Int, Launch, Op, Place, Program, Value, VarId};

/// Ops that one loop, with those inside of it, is copied out to at most.
const MOST_OPS: i64 = 1024;

/// Loops of threads whose variables tell elements of a thread's own arrays apart are copied out, so that the arrays become
/// registers.
///
/// ```text
/// for mt in ty..32 step 16 {                 if ty < 32 {
///   T[floor(mt/16)] = 0             ->         T[0] = 0
/// }                                            T[1] = 0
///                                            }
/// ```
///
/// A loop stays that may have more iterations than is known, or too many. The subscripts become constants where what is
/// known of thread numbers says so: [`simplify`](crate::simplify) finds it.
pub(super) fn copied_out(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = ops(body, &Ranges::default(), false, &mut program);
    program
}

fn ops(body: Vec<Op>, ranges: &Ranges, in_kernel: bool, program: &mut Program) -> Vec<Op> {
    body.into_iter().flat_map(|one| op(one, ranges, in_kernel, program)).collect()
}

fn op(op: Op, ranges: &Ranges, in_kernel: bool, program: &mut Program) -> Vec<Op> {
    match op {
        Op::Launch(launch) => {
            let body = ops(launch.body.clone(), &ranges.inside_of(&launch), true, program);
            vec![Op::Launch(Launch { body, ..launch })]
        }
        Op::For { var, lower, upper, step, parallel, body } => {
            let body = ops(body, &ranges.inside(var, &lower, &upper), in_kernel, program);
            let is_meant = in_kernel && !parallel && tells_apart(var, &body, program);
            let copies = step.as_const().filter(|_| is_meant);
            let copies = copies.and_then(|step| iterations(&lower, &upper, step, ranges));
            match copies.filter(|copies| copies.saturating_mul(weight(&body)) <= MOST_OPS) {
                Some(copies) => {
                    let copy = |at| copy(var, lower.clone() + at * step.clone(), &upper, &body, ranges, program);
                    (0..copies).flat_map(copy).collect()
                }
                None => vec![Op::For { var, lower, upper, step, parallel, body }],
            }
        }
        Op::If { cond, then, otherwise } => {
            let then = ops(then, &ranges.where_holds(&cond), in_kernel, program);
            let otherwise = ops(otherwise, &ranges.where_holds(&cond.clone().negate()), in_kernel, program);
            vec![Op::If { cond, then, otherwise }]
        }
        Op::Local { buffer, body } => vec![Op::Local { buffer, body: ops(body, ranges, in_kernel, program) }],
        other => vec![other],
    }
}

/// The iteration of a loop with this value, if there is one.
fn copy(var: VarId, value: Int, upper: &Int, body: &[Op], ranges: &Ranges, program: &mut Program) -> Vec<Op> {
    let cond = Cond::all(is_below(&value, upper, ranges));
    let with_value = |other| if other == var { value.clone() } else { Int::Var(other) };
    let copy = fresh_copy(body, &mut program.vars);
    let then: Vec<Op> = copy.iter().map(|op| substituted(op, &with_value)).collect();
    match cond.as_const() {
        Some(true) => then,
        _ => vec![Op::If { cond, then, otherwise: Vec::new() }],
    }
}

/// How many iterations a loop has at most.
pub(super) fn iterations(lower: &Int, upper: &Int, step: i64, ranges: &Ranges) -> Option<i64> {
    let most = match upper {
        Int::Min(a, b) => {
            let (a, b) = (iterations(lower, a, step, ranges), iterations(lower, b, step, ranges));
            return a.zip(b).map(|(a, b)| a.min(b)).or(a).or(b);
        }
        upper => {
            // From any smaller value on there are no fewer.
            let from = least_of(lower).into_iter().chain([lower.clone()]);
            from.filter_map(|lower| ranges.interval(&(upper.clone() - lower)).1).min()?
        }
    };
    Some(most.max(0).checked_add(step - 1)? / step)
}

/// Values that one is not below: with either side of a maximum that is added to something.
fn least_of(value: &Int) -> Vec<Int> {
    match value {
        Int::Max(a, b) => vec![(**a).clone(), (**b).clone()],
        Int::Add(a, b) => {
            let left = least_of(a).into_iter().map(|a| a + (**b).clone());
            left.chain(least_of(b).into_iter().map(|b| (**a).clone() + b)).collect()
        }
        _ => Vec::new(),
    }
}

/// That a value is below an upper bound, as far as that is not known.
pub(super) fn is_below(value: &Int, upper: &Int, ranges: &Ranges) -> Vec<Cond> {
    match upper {
        Int::Min(a, b) => [is_below(value, a, ranges), is_below(value, b, ranges)].concat(),
        upper if ranges.decide(CmpOp::Lt, value, upper) == Some(true) => Vec::new(),
        upper => vec![Cond::compare(CmpOp::Lt, value.clone(), upper.clone())],
    }
}

/// How many ops these are, without what they are in.
pub(super) fn weight(ops: &[Op]) -> i64 {
    let of_op = |op: &Op| match op {
        Op::For { body, .. } | Op::Local { body, .. } => weight(body),
        Op::If { then, otherwise, .. } => weight(then) + weight(otherwise),
        _ => 1,
    };
    ops.iter().map(of_op).sum()
}

/// Whether a loop's variable is in a subscript of what a thread keeps, or in a bound of a loop whose variable is.
fn tells_apart(var: VarId, body: &[Op], program: &Program) -> bool {
    let mut vars = BTreeSet::new();
    subscripts(body, program, &mut vars);
    vars.contains(&var)
}

fn subscripts(ops: &[Op], program: &Program, vars: &mut BTreeSet<VarId>) {
    for op in ops {
        match op {
            Op::For { var, lower, upper, body, .. } => {
                subscripts(body, program, vars);
                if vars.contains(var) {
                    [lower, upper].into_iter().for_each(|bound| bound.each_var(&mut |var| _ = vars.insert(var)));
                }
            }
            Op::If { then, otherwise, .. } => {
                subscripts(then, program, vars);
                subscripts(otherwise, program, vars);
            }
            Op::Local { body, .. } => subscripts(body, program, vars),
            Op::Store { buffer, at, value, .. } => {
                if program.buffers[*buffer].place == Place::Stack {
                    in_subscripts(at, vars);
                }
                loads(value, program, vars);
            }
            Op::Set { value, .. } => loads(value, program, vars),
            _ => {}
        }
    }
}

fn loads(value: &Value, program: &Program, vars: &mut BTreeSet<VarId>) {
    if let Value::Load { buffer, at, .. } = value
        && program.buffers[*buffer].place == Place::Stack
    {
        in_subscripts(at, vars);
    }
    value.children().into_iter().for_each(|child| loads(child, program, vars));
}

fn in_subscripts(at: &[At], vars: &mut BTreeSet<VarId>) {
    at.iter().for_each(|at| match at {
        At::Affine { base, .. } => base.each_var(&mut |var| _ = vars.insert(var)),
        At::Indirect(_) => {}
    });
}
