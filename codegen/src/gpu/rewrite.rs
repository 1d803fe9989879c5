//! Rewrites of kernels.

use std::collections::BTreeSet;

use polyhedral::{CmpOp, TensorId};

use crate::passes::{Ranges, coalesce, registers_of_others, substituted, unswitch};
use crate::verify::has_barrier;
use crate::{At, Buffer, Cond, Int, Launch, Op, Program, Reg, Value};

/// Loops that run at most once, as those of threads are that have an iteration each, become tests.
///
/// ```text
/// for m in tx..min(16, M - 16*bx) step 16 {      if tx < M - 16*bx {
///   C[16*bx + m] = 0                        ->     C[16*bx + tx] = 0
/// }                                              }
/// ```
pub(super) fn tested_once(program: Program) -> Program {
    let body = once_in(&program.body, &Ranges::default());
    Program { body, ..program }
}

fn once_in(ops: &[Op], ranges: &Ranges) -> Vec<Op> {
    ops.iter().map(|op| once(op, ranges)).collect()
}

fn once(op: &Op, ranges: &Ranges) -> Op {
    match op {
        Op::For { var, lower, upper, step, parallel: false, body } => {
            if is_past(&(lower.clone() + step.clone()), upper, ranges) {
                let cond = Cond::all(is_below(lower, upper));
                let there = ranges.where_holds(&cond);
                let at_lower = |other| if other == *var { lower.clone() } else { Int::Var(other) };
                let then: Vec<Op> = body.iter().map(|op| substituted(op, &at_lower)).collect();
                return Op::If { cond, then: once_in(&then, &there), otherwise: Vec::new() };
            }
            let body = once_in(body, &ranges.inside(*var, lower, upper));
            let (lower, upper, step) = (lower.clone(), upper.clone(), step.clone());
            Op::For { var: *var, lower, upper, step, parallel: false, body }
        }
        Op::If { cond, then, otherwise } => Op::If {
            cond: cond.clone(),
            then: once_in(then, &ranges.where_holds(cond)),
            otherwise: once_in(otherwise, &ranges.where_holds(&cond.clone().negate())),
        },
        Op::Local { buffer, body } => Op::Local { buffer: *buffer, body: once_in(body, ranges) },
        Op::Launch(launch) => {
            let body = once_in(&launch.body, &ranges.inside_of(launch));
            Op::Launch(Launch { body, ..launch.clone() })
        }
        other => other.clone(),
    }
}

/// That a value is below an upper bound, and so below each of two of which that is the smaller.
fn is_below(value: &Int, upper: &Int) -> Vec<Cond> {
    match upper {
        Int::Min(a, b) => [is_below(value, a), is_below(value, b)].concat(),
        upper => vec![Cond::compare(CmpOp::Lt, value.clone(), upper.clone())],
    }
}

/// Whether a value is known to be at or past an upper bound.
fn is_past(value: &Int, upper: &Int, ranges: &Ranges) -> bool {
    match upper {
        Int::Min(a, b) => is_past(value, a, ranges) || is_past(value, b, ranges),
        upper => ranges.decide(CmpOp::Ge, value, upper) == Some(true),
    }
}

/// What is loaded as a vector and stored element by element is in a register in between, so that it is loaded as one.
///
/// ```text
/// As[4*tx .. +4 by rows, ty] = A[m, 4*tx .. +4]      ->      r0 = A[m, 4*tx .. +4]
///                                                            As[4*tx .. +4 by rows, ty] = r0
/// ```
pub(super) fn loaded_whole(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = whole_in(body, &mut program);
    program
}

fn whole_in(ops: Vec<Op>, program: &mut Program) -> Vec<Op> {
    let mut all = Vec::new();
    for op in ops {
        match op {
            Op::Store { buffer, at, lanes, value, mask: None } if is_scattered(&at) && has_vector(&value) => {
                let Buffer { name, dtype, .. } = program.buffers[buffer].clone();
                let reg = program.regs.push(Reg { name, dtype, lanes });
                all.push(Op::Set { reg, value });
                all.push(Op::Store { buffer, at, lanes, value: Value::Reg(reg), mask: None });
            }
            Op::For { var, lower, upper, step, parallel, body } => {
                all.push(Op::For { var, lower, upper, step, parallel, body: whole_in(body, program) });
            }
            Op::If { cond, then, otherwise } => {
                all.push(Op::If { cond, then: whole_in(then, program), otherwise: whole_in(otherwise, program) });
            }
            Op::Local { buffer, body } => all.push(Op::Local { buffer, body: whole_in(body, program) }),
            Op::Launch(launch) => {
                let body = whole_in(launch.body, program);
                all.push(Op::Launch(Launch { body, ..launch }));
            }
            other => all.push(other),
        }
    }
    all
}

/// Whether lanes are elements that are not neighbours.
fn is_scattered(at: &[At]) -> bool {
    match at.split_last() {
        Some((At::Affine { step: 1, .. }, outer)) => !outer.iter().all(is_same_in_lanes),
        _ => !at.iter().all(is_same_in_lanes),
    }
}

fn is_same_in_lanes(at: &At) -> bool {
    matches!(at, At::Affine { step: 0, .. })
}

/// Whether a value loads neighbouring elements.
fn has_vector(value: &Value) -> bool {
    let own = match value {
        Value::Load { at, mask: None, .. } => !is_scattered(at) && !at.iter().all(is_same_in_lanes),
        _ => false,
    };
    own || value.children().into_iter().any(has_vector)
}

/// Elements that loops without barriers load and store again and again, in registers meanwhile.
///
/// No thread touches what another one writes between barriers, so that what runs there may be rewritten like any program.
pub(super) fn in_registers(program: Program) -> Program {
    with_launches(program, &|body, program| {
        let mut own = BTreeSet::new();
        kept(&body, &mut own);
        of_block(body, &own, program)
    })
}

/// What threads keep across barriers in these ops: registers already.
fn kept(ops: &[Op], found: &mut BTreeSet<TensorId>) {
    for op in ops {
        match op {
            Op::Local { buffer, body } if has_barrier(body) => {
                found.insert(*buffer);
                kept(body, found);
            }
            Op::For { body, .. } | Op::Local { body, .. } => kept(body, found),
            Op::If { then, otherwise, .. } => {
                kept(then, found);
                kept(otherwise, found);
            }
            _ => {}
        }
    }
}

/// The program with other bodies of its launches.
pub(super) fn with_launches(mut program: Program, change: &dyn Fn(Vec<Op>, &mut Program) -> Vec<Op>) -> Program {
    let body = std::mem::take(&mut program.body);
    program.body = of_host(body, change, &mut program);
    program
}

fn of_host(ops: Vec<Op>, change: &dyn Fn(Vec<Op>, &mut Program) -> Vec<Op>, program: &mut Program) -> Vec<Op> {
    let one = |op: Op| match op {
        Op::Launch(launch) => {
            let body = change(launch.body, program);
            Op::Launch(Launch { body, ..launch })
        }
        Op::For { var, lower, upper, step, parallel, body } => {
            Op::For { var, lower, upper, step, parallel, body: of_host(body, change, program) }
        }
        Op::If { cond, then, otherwise } => {
            Op::If { cond, then: of_host(then, change, program), otherwise: of_host(otherwise, change, program) }
        }
        other => other,
    };
    ops.into_iter().map(one).collect()
}

/// What all threads of a block get to.
fn of_block(ops: Vec<Op>, kept: &BTreeSet<TensorId>, program: &mut Program) -> Vec<Op> {
    let (mut all, mut run) = (Vec::new(), Vec::new());
    for op in ops {
        if !has_barrier(std::slice::from_ref(&op)) {
            run.push(op);
            continue;
        }
        all.extend(rewritten(std::mem::take(&mut run), kept, program));
        all.push(match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                Op::For { var, lower, upper, step, parallel, body: of_block(body, kept, program) }
            }
            Op::If { cond, then, otherwise } => {
                Op::If { cond, then: of_block(then, kept, program), otherwise: of_block(otherwise, kept, program) }
            }
            Op::Local { buffer, body } => Op::Local { buffer, body: of_block(body, kept, program) },
            other => other,
        });
    }
    all.extend(rewritten(run, kept, program));
    all
}

/// What threads run between two barriers, rewritten as a program of its own.
fn rewritten(run: Vec<Op>, kept: &BTreeSet<TensorId>, program: &mut Program) -> Vec<Op> {
    let mut own = Program { body: run, ..program.clone() };
    own = coalesce(registers_of_others(unswitch(own), kept));
    (program.vars, program.regs) = (own.vars, own.regs);
    own.body
}
