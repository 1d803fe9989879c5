use polyhedral::CmpOp;

use super::{map_ints, ranges::Ranges};
use crate::{Cond, Int, Launch, Op, Program, Value};

/// Removes what is known from the ranges of loops and the conditions around: tests, minima and maxima, masks of whole
/// vectors, loops that never run; a loop that runs once becomes its body; neighbours with one test share it.
///
/// ```text
/// for i in 0..min(8, 10) {          for i in 0..8 {
///   if i < 9 {                        B[i] = A[i]
///     for j in i..i + 1 {      ->   }
///       B[j] = A[j]
/// }}}
/// ```
pub fn simplify(program: Program) -> Program {
    let body = simplified(&program.body, &Ranges::default());
    Program { body, ..program }
}

pub(crate) fn simplified(ops: &[Op], ranges: &Ranges) -> Vec<Op> {
    let mut out: Vec<Op> = Vec::new();
    for op in ops {
        for op in simplified_op(op, ranges) {
            match merged(out.last_mut(), op, ranges) {
                None => {}
                Some(op) => out.push(op),
            }
        }
    }
    out
}

/// Puts a test into its neighbour before with the same condition, or hands it back.
fn merged(last: Option<&mut Op>, op: Op, ranges: &Ranges) -> Option<Op> {
    match (last, op) {
        (Some(Op::If { cond, then, otherwise }), Op::If { cond: same, then: more, otherwise: other })
            if *cond == same =>
        {
            then.extend(more);
            otherwise.extend(other);
            // Tests have come next to each other.
            *then = simplified(then, &ranges.where_holds(cond));
            *otherwise = simplified(otherwise, ranges);
            None
        }
        (_, op) => Some(op),
    }
}

fn simplified_op(op: &Op, ranges: &Ranges) -> Vec<Op> {
    match op {
        Op::For { var, lower, upper, step, parallel, body } => {
            let (lower, upper) = (ranges.int(lower), ranges.int(upper));
            if ranges.decide(CmpOp::Ge, &lower, &upper) == Some(true) {
                return Vec::new();
            }
            let runs = ranges.decide(CmpOp::Lt, &lower, &upper) == Some(true);
            if runs && ranges.decide(CmpOp::Ge, &(lower.clone() + step.clone()), &upper) == Some(true) {
                let once = body
                    .iter()
                    .map(|op| substituted(op, &|other| if other == *var { lower.clone() } else { Int::Var(other) }));
                return simplified(&once.collect::<Vec<_>>(), ranges);
            }
            let body = simplified(body, &ranges.inside(*var, &lower, &upper));
            match body.is_empty() {
                true => Vec::new(),
                false => vec![Op::For { var: *var, lower, upper, step: step.clone(), parallel: *parallel, body }],
            }
        }
        Op::If { cond, then, otherwise } => {
            let cond = ranges.cond(cond);
            match cond.as_const() {
                Some(true) => simplified(then, ranges),
                Some(false) => simplified(otherwise, ranges),
                None => tested(cond, then, otherwise, ranges),
            }
        }
        Op::Local { buffer, body } => match simplified(body, ranges) {
            body if body.is_empty() => Vec::new(),
            body => vec![Op::Local { buffer: *buffer, body }],
        },
        Op::Launch(launch) => {
            let body = simplified(&launch.body, &ranges.inside_of(launch));
            let grid = launch.grid.iter().map(|(var, blocks)| (*var, ranges.int(blocks))).collect();
            vec![Op::Launch(Launch { grid, body, ..launch.clone() })]
        }
        other => vec![without_idle_masks(map_ints(other.clone(), &|int| ranges.int(int)), ranges)],
    }
}

fn tested(cond: Cond, then: &[Op], otherwise: &[Op], ranges: &Ranges) -> Vec<Op> {
    let then = simplified(then, &ranges.where_holds(&cond));
    let otherwise = simplified(otherwise, &ranges.where_holds(&cond.clone().negate()));
    match (then.as_slice(), otherwise.as_slice()) {
        ([], []) => Vec::new(),
        ([], _) => vec![Op::If { cond: cond.negate(), then: otherwise, otherwise: Vec::new() }],
        // if a { if b { … } } is if a && b { … }.
        ([Op::If { cond: inner, then, otherwise: none }], []) if none.is_empty() => {
            let cond = Cond::all([cond, inner.clone()]);
            vec![Op::If { cond, then: then.clone(), otherwise: Vec::new() }]
        }
        _ => vec![Op::If { cond, then, otherwise }],
    }
}

/// Replaces variables, below loops too.
pub(crate) fn substituted(op: &Op, change: &dyn Fn(crate::VarId) -> Int) -> Op {
    let all = |ops: &[Op]| ops.iter().map(|op| substituted(op, change)).collect();
    match op {
        Op::For { var, lower, upper, step, parallel, body } => Op::For {
            var: *var,
            lower: lower.replace(change),
            upper: upper.replace(change),
            step: step.clone(),
            parallel: *parallel,
            body: all(body),
        },
        Op::If { cond, then, otherwise } => {
            Op::If { cond: cond.replace(change), then: all(then), otherwise: all(otherwise) }
        }
        Op::Local { buffer, body } => Op::Local { buffer: *buffer, body: all(body) },
        Op::Launch(launch) => {
            let grid = launch.grid.iter().map(|(var, blocks)| (*var, blocks.replace(change))).collect();
            Op::Launch(Launch { grid, body: all(&launch.body), ..launch.clone() })
        }
        other => map_ints(other.clone(), &|int| int.replace(change)),
    }
}

/// Drops the masks that keep every lane.
fn without_idle_masks(op: Op, ranges: &Ranges) -> Op {
    let idle = |mask: &Value, lanes: u32| keeps_all(mask, lanes, ranges);
    let loads = |value: Value, lanes: u32| {
        value.rebuild_in(lanes, &mut |value, lanes| match value {
            Value::Load { buffer, at, mask: Some(mask) } if idle(&mask, lanes) => {
                Value::Load { buffer, at, mask: None }
            }
            Value::Select(mask, kept, _) if idle(&mask, lanes) => *kept,
            other => other,
        })
    };
    match op {
        Op::Store { buffer, at, lanes, value, mask } => {
            let mask = mask.filter(|mask| !idle(mask, lanes));
            Op::Store { buffer, at, lanes, value: loads(value, lanes), mask }
        }
        Op::Check { buffer, dim, extent, value, lanes, mask, report } => {
            let mask = mask.filter(|mask| !idle(mask, lanes));
            Op::Check { buffer, dim, extent, value: loads(value, lanes), lanes, mask, report }
        }
        other => other,
    }
}

fn keeps_all(mask: &Value, lanes: u32, ranges: &Ranges) -> bool {
    match mask {
        Value::Const(value, _) => *value == polyhedral::Value::Int(1),
        Value::Binary(polyhedral::BinOp::And, a, b) => keeps_all(a, lanes, ranges) && keeps_all(b, lanes, ranges),
        Value::Compare(op @ (CmpOp::Le | CmpOp::Ge), a, b) => match (&**a, &**b) {
            (Value::Int { base: a, step: by_a }, Value::Int { base: b, step: by_b }) => {
                let last = i64::from(lanes) - 1;
                // An affine comparison holds in every lane when it holds in the first and the last.
                let holds = |lane: i64| ranges.decide(*op, &(a.clone() + by_a * lane), &(b.clone() + by_b * lane));
                holds(0) == Some(true) && holds(last) == Some(true)
            }
            _ => false,
        },
        _ => false,
    }
}
