//! Copies to shared memory that are under way while threads compute: software pipelining with two buffers.
//!
//! `promote … double in shared` has a step of a loop load what the next one needs, into the half of a buffer that this step
//! does not touch. But a store waits for the load before it, and with it all that follows:
//!
//! ```text
//! if k <= 6 { As[(k + 1) mod 2, tx] = A[8*k + tx + 8] }        if k <= 6 { copy As[(k + 1) mod 2, tx] = A[8*k + tx + 8] }
//! … As[k mod 2, …] …                                     ->    … As[k mod 2, …] …
//! barrier                                                      wait
//!                                                              barrier
//! ```
//!
//! Devices that copy by themselves begin such copies and go on ([`Op::Copy`]); they wait for them before the next barrier. On
//! others a register takes what is loaded, and is stored when the step is done:
//!
//! ```text
//! if k <= 6 { r0 = A[8*k + tx + 8] } else { r0 = 0 }
//! … As[k mod 2, …] …
//! if k <= 6 { As[(k + 1) mod 2, tx] = r0 }
//! barrier
//! ```
//!
//! Either is right wherever what runs between two barriers touches none of the elements that are copied to, and writes none of
//! those copied from, which is decided subscript by subscript. What other threads do there is none of a copy's elements, or
//! the program has a race. Elsewhere, and where there is nothing to do meanwhile, copies stay as they are.
//!
//! After Lam, Software Pipelining (PLDI 1988), and the main loops of NVIDIA's CUTLASS, one buffer ahead
//! (`mma_pipelined.h` through registers, `mma_multistage.h` by `cp.async`).

use std::collections::BTreeSet;

use polyhedral::Value as Scalar;

use super::accesses::{Accesses, Copied, never_meet};
use super::private::{is_below, iterations};
use super::rewrite::with_launches;
use crate::passes::{Ranges, simplified, substituted};
use crate::verify::has_barrier;
use crate::{At, Cond, Int, Launch, Op, Place, Program, Reg, Value};

/// The program with what is copied while there is something else to do copied meanwhile; by the device where it can.
pub(super) fn overlapped(mut program: Program, asynchronous: bool) -> Program {
    let body = std::mem::take(&mut program.body);
    let body = Overlap { program: &mut program, asynchronous }.of_block(body, &Ranges::default());
    Program { body, ..program }
}

/// The program with copies that are done where they begin: for languages without a word for others.
pub(super) fn at_once(program: Program) -> Program {
    with_launches(program, &|body, _| stored(body))
}

fn stored(ops: Vec<Op>) -> Vec<Op> {
    let one = |op: Op| match op {
        Op::Copy { to, to_at, from, from_at, lanes } => {
            let value = Value::Load { buffer: from, at: from_at, mask: None };
            Some(Op::Store { buffer: to, at: to_at, lanes, value, mask: None })
        }
        Op::Wait => None,
        Op::For { var, lower, upper, step, parallel, body } => {
            Some(Op::For { var, lower, upper, step, parallel, body: stored(body) })
        }
        Op::If { cond, then, otherwise } => Some(Op::If { cond, then: stored(then), otherwise: stored(otherwise) }),
        Op::Local { buffer, body } => Some(Op::Local { buffer, body: stored(body) }),
        other => Some(other),
    };
    ops.into_iter().filter_map(one).collect()
}

/// Elements that one thread copies in one step at most, each by an op of its own.
const MOST_PIECES: usize = 32;

/// Bytes that the device copies by itself at least.
const LEAST_BYTES: u32 = 4;

/// Registers of four bytes that a thread has for what is loaded early.
const MOST_REGISTERS: u32 = 32;

struct Overlap<'p> {
    program: &'p mut Program,
    /// Whether the device copies by itself.
    asynchronous: bool,
}

/// A copy, and when it is done.
#[derive(Clone)]
struct Piece {
    cond: Cond,
    copied: Copied,
}

impl Overlap<'_> {
    /// What all threads of a block get to.
    fn of_block(&mut self, ops: Vec<Op>, ranges: &Ranges) -> Vec<Op> {
        let (mut all, mut run) = (Vec::new(), Vec::new());
        for op in ops {
            if !has_barrier(std::slice::from_ref(&op)) {
                run.push(op);
                continue;
            }
            all.extend(self.of_run(std::mem::take(&mut run), ranges));
            all.push(match op {
                Op::For { var, lower, upper, step, parallel, body } => {
                    let body = self.of_block(body, &ranges.inside(var, &lower, &upper));
                    Op::For { var, lower, upper, step, parallel, body }
                }
                Op::If { cond, then, otherwise } => {
                    let then = self.of_block(then, &ranges.where_holds(&cond));
                    let otherwise = self.of_block(otherwise, &ranges.where_holds(&cond.clone().negate()));
                    Op::If { cond, then, otherwise }
                }
                Op::Local { buffer, body } => Op::Local { buffer, body: self.of_block(body, ranges) },
                Op::Launch(launch) => {
                    let body = self.of_block(launch.body.clone(), &ranges.inside_of(&launch));
                    Op::Launch(Launch { body, ..launch })
                }
                other => other,
            });
        }
        all.extend(self.of_run(run, ranges));
        all
    }

    /// What a thread runs between two barriers.
    fn of_run(&mut self, run: Vec<Op>, ranges: &Ranges) -> Vec<Op> {
        let pieces: Vec<Option<Vec<Piece>>> = run.iter().map(|op| self.pieces(op, &Cond::always(), ranges)).collect();
        let last = pieces.iter().rposition(Option::is_none).unwrap_or(0);
        // What comes after all else overlaps with nothing.
        let meant: BTreeSet<usize> = (0..last).filter(|at| pieces[*at].is_some()).collect();
        let copied: Vec<&Piece> = meant.iter().flat_map(|at| pieces[*at].iter().flatten()).collect();
        let mut others = Accesses::default();
        run.iter().enumerate().filter(|(at, _)| !meant.contains(at)).for_each(|(_, op)| others.op(op, self.program));
        if copied.is_empty()
            || !self.fit(&copied)
            || !are_apart(&copied)
            || !copied.iter().all(|one| others.spare(&one.copied))
        {
            return run;
        }
        let (mut all, mut behind) = (Vec::new(), Vec::new());
        for (at, (op, pieces)) in run.into_iter().zip(pieces).enumerate() {
            match pieces.filter(|_| meant.contains(&at)) {
                None => all.push(op),
                Some(pieces) => pieces.into_iter().for_each(|piece| self.begin(piece, &mut all, &mut behind)),
            }
        }
        if all.iter().any(begins_copies) {
            all.push(Op::Wait);
        }
        all.extend(behind);
        all
    }

    /// Whether these are few enough.
    fn fit(&self, copied: &[&Piece]) -> bool {
        let through_registers = copied.iter().map(|piece| &piece.copied).filter(|one| !self.by_device(one));
        let bytes: u32 =
            through_registers.map(|one| one.lanes * self.program.buffers[one.to].dtype.bytes().max(4)).sum();
        copied.len() <= MOST_PIECES && bytes <= 4 * MOST_REGISTERS
    }

    /// Whether the device copies this by itself.
    fn by_device(&self, copied: &Copied) -> bool {
        let bytes = self.program.buffers[copied.to].dtype.bytes();
        let in_a_row = |at: &[At]| match at.split_last() {
            Some((At::Affine { step: 1, .. }, outer)) => {
                outer.iter().all(|at| matches!(at, At::Affine { step: 0, .. }))
            }
            _ => false,
        };
        let together = if in_a_row(&copied.to_at) && in_a_row(&copied.from_at) { copied.lanes } else { 1 };
        self.asynchronous && bytes * together >= LEAST_BYTES
    }

    /// Begins a copy, and ends it behind everything else where it does not go on by itself.
    fn begin(&mut self, piece: Piece, now: &mut Vec<Op>, behind: &mut Vec<Op>) {
        let by_device = self.by_device(&piece.copied);
        let Piece { cond, copied: Copied { to, to_at, from, from_at, lanes } } = piece;
        if by_device {
            return now.extend(guarded(&cond, vec![Op::Copy { to, to_at, from, from_at, lanes }], Vec::new()));
        }
        let (name, dtype) = (self.program.buffers[from].name.clone(), self.program.buffers[from].dtype);
        let reg = self.program.regs.push(Reg { name, dtype, lanes });
        let zero = if dtype.is_float() { Scalar::Float(0.0) } else { Scalar::Int(0) };
        let set = |value| vec![Op::Set { reg, value }];
        let load = Value::Load { buffer: from, at: from_at, mask: None };
        now.extend(guarded(&cond, set(load), set(Value::Const(zero, dtype))));
        let store = Op::Store { buffer: to, at: to_at, lanes, value: Value::Reg(reg), mask: None };
        behind.extend(guarded(&cond, vec![store], Vec::new()));
    }

    /// The copies that an op consists of, if it does nothing else.
    fn pieces(&self, op: &Op, cond: &Cond, ranges: &Ranges) -> Option<Vec<Piece>> {
        let all = |ops: &[Op], cond: &Cond, ranges: &Ranges| -> Option<Vec<Piece>> {
            let pieces = ops.iter().map(|op| self.pieces(op, cond, ranges)).collect::<Option<Vec<_>>>()?.concat();
            (pieces.len() <= MOST_PIECES).then_some(pieces)
        };
        match op {
            Op::Store {
                buffer,
                at,
                lanes,
                value: Value::Load { buffer: from, at: from_at, mask: None },
                mask: None,
            } => {
                let places = [*buffer, *from].map(|buffer| &self.program.buffers[buffer].place);
                let is_meant = matches!(places, [Place::Shared, Place::Argument(_) | Place::Workspace(_)]);
                let are_affine = at.iter().chain(from_at).all(|at| matches!(at, At::Affine { .. }));
                let (to, to_at, from, from_at) = (*buffer, at.clone(), *from, from_at.clone());
                let copied = Copied { to, to_at, from, from_at, lanes: *lanes };
                (is_meant && are_affine).then(|| vec![Piece { cond: cond.clone(), copied }])
            }
            Op::If { cond: inner, then, otherwise } if otherwise.is_empty() => {
                all(then, &Cond::all([cond.clone(), inner.clone()]), &ranges.where_holds(inner))
            }
            Op::For { var, lower, upper, step, parallel: false, body } => {
                let step = step.as_const().filter(|step| *step >= 1)?;
                let count = iterations(lower, upper, step, ranges).filter(|count| *count <= MOST_PIECES as i64)?;
                let one = |number: i64| {
                    let value = lower.clone() + number * step;
                    let runs = Cond::all(is_below(&value, upper, ranges));
                    let at = |other| if other == *var { value.clone() } else { Int::Var(other) };
                    let there = ranges.where_holds(&runs);
                    let ops = simplified(&body.iter().map(|op| substituted(op, &at)).collect::<Vec<_>>(), &there);
                    all(&ops, &Cond::all([cond.clone(), runs]), &there)
                };
                let pieces = (0..count).map(one).collect::<Option<Vec<_>>>()?.concat();
                (pieces.len() <= MOST_PIECES).then_some(pieces)
            }
            _ => None,
        }
    }
}

/// Ops under a condition, and others where it does not hold.
fn guarded(cond: &Cond, then: Vec<Op>, otherwise: Vec<Op>) -> Vec<Op> {
    match cond.as_const() {
        Some(true) => then,
        _ => vec![Op::If { cond: cond.clone(), then, otherwise }],
    }
}

fn begins_copies(op: &Op) -> bool {
    match op {
        Op::Copy { .. } => true,
        Op::If { then, .. } => then.iter().any(begins_copies),
        _ => false,
    }
}

/// Whether no two copies have an element in common that they copy to.
fn are_apart(copied: &[&Piece]) -> bool {
    let copied: Vec<&Copied> = copied.iter().map(|piece| &piece.copied).collect();
    copied.iter().enumerate().all(|(at, one)| {
        let mut others = copied[at + 1..].iter().filter(|other| other.to == one.to);
        others.all(|other| never_meet((&one.to_at, one.lanes), (&other.to_at, other.lanes)))
    })
}
