//! Tests that keep a thread from sums that nobody asks for are left out, where that does no harm.

use std::collections::BTreeMap;

use polyhedral::{BinOp, TensorId};

use crate::passes::Ranges;
use crate::verify::has_barrier;
use crate::{At, Buffer, Cond, Int, Launch, Op, Place, Program, Value};

/// Where a tile goes beyond the end of a tensor, threads have registers for elements that there are not. What is put into
/// these is never stored, so it may be anything, and no test has to keep it out:
///
/// ```text
/// for ki in 0..8 {                                  for ki in 0..8 {
///   if 64*bx + tx < N {                        ->     sum[0] = sum[0] + As[ki, ty] * Bs[ki, tx]
///     sum[0] = sum[0] + As[ki, ty] * Bs[ki, tx]     }
///   }                                               if 64*bx + tx < N {
/// }                                                   C[64*bx + tx] = sum[0]
/// if 64*bx + tx < N {                               }
///   C[64*bx + tx] = sum[0]
/// }
/// ```
///
/// A condition is left out where all that it guards are elements of what a thread keeps, at constant subscripts, whose values
/// go elsewhere only under conditions that imply it; and where nothing is loaded for them but what is there whether it holds
/// or not: shared memory and registers.
pub(super) fn unguarded(program: Program) -> Program {
    let body = program.body.iter().map(|op| of_host(op, &program)).collect();
    Program { body, ..program }
}

fn of_host(op: &Op, program: &Program) -> Op {
    let all = |ops: &[Op]| ops.iter().map(|op| of_host(op, program)).collect();
    match op {
        Op::Launch(launch) => {
            let mut kept = Vec::new();
            kept_in(&launch.body, &mut kept);
            let ranges = Ranges::default().inside_of(launch);
            let mut escapes = Escapes { program, kept: &kept, of: BTreeMap::new(), unknown: Vec::new() };
            escapes.ops(&launch.body, &ranges);
            let body = escapes.without_tests(&launch.body, &ranges);
            Op::Launch(Launch { body, ..launch.clone() })
        }
        Op::For { var, lower, upper, step, parallel, body } => {
            let (lower, upper, step) = (lower.clone(), upper.clone(), step.clone());
            Op::For { var: *var, lower, upper, step, parallel: *parallel, body: all(body) }
        }
        Op::If { cond, then, otherwise } => Op::If { cond: cond.clone(), then: all(then), otherwise: all(otherwise) },
        other => other.clone(),
    }
}

/// What threads keep across barriers.
fn kept_in(ops: &[Op], found: &mut Vec<TensorId>) {
    for op in ops {
        match op {
            Op::Local { buffer, body } => {
                if has_barrier(body) {
                    found.push(*buffer);
                }
                kept_in(body, found);
            }
            Op::For { body, .. } => kept_in(body, found),
            Op::If { then, otherwise, .. } => {
                kept_in(then, found);
                kept_in(otherwise, found);
            }
            _ => {}
        }
    }
}

/// An element of what a thread keeps.
type Cell = (TensorId, Vec<i64>);

/// Where values of cells go elsewhere.
struct Escapes<'a> {
    program: &'a Program,
    kept: &'a [TensorId],
    /// What is known there.
    of: BTreeMap<Cell, Vec<Ranges>>,
    /// Buffers of which some element, nobody knows which, goes elsewhere.
    unknown: Vec<TensorId>,
}

impl Escapes<'_> {
    fn ops(&mut self, ops: &[Op], ranges: &Ranges) {
        for op in ops {
            match op {
                Op::For { var, lower, upper, body, .. } => self.ops(body, &ranges.inside(*var, lower, upper)),
                Op::If { cond, then, otherwise } => {
                    self.ops(then, &ranges.where_holds(cond));
                    self.ops(otherwise, &ranges.where_holds(&cond.clone().negate()));
                }
                Op::Local { body, .. } => self.ops(body, ranges),
                Op::Store { buffer, at, lanes, value, mask } => {
                    let own = cells(*buffer, at, *lanes).filter(|_| self.kept.contains(buffer) && mask.is_none());
                    self.value(value, *lanes, ranges, own.as_deref());
                    at.iter().for_each(|at| self.subscript(at, ranges));
                    mask.iter().for_each(|mask| self.value(mask, *lanes, ranges, None));
                }
                other => self.others(other, ranges),
            }
        }
    }

    /// An op that is no store: all that it loads goes somewhere.
    fn others(&mut self, op: &Op, ranges: &Ranges) {
        match op {
            Op::Set { value, .. } => self.value(value, 1, ranges, None),
            Op::Check { value, mask, .. } => {
                self.value(value, 1, ranges, None);
                mask.iter().for_each(|mask| self.value(mask, 1, ranges, None));
            }
            Op::LoadBlock { buffer, .. }
            | Op::StoreBlock { buffer, .. }
            | Op::Copy { from: buffer, .. }
            | Op::Atomic { buffer, .. } => {
                self.unknown.push(*buffer);
            }
            _ => {}
        }
    }

    /// What a value loads, but for cells that it is itself put into.
    fn value(&mut self, value: &Value, lanes: u32, ranges: &Ranges, own: Option<&[Cell]>) {
        if let Value::Load { buffer, at, .. } = value
            && self.kept.contains(buffer)
        {
            match cells(*buffer, at, lanes) {
                Some(cells) if own == Some(cells.as_slice()) => {}
                Some(cells) => {
                    cells.into_iter().for_each(|cell| self.of.entry(cell).or_default().push(ranges.clone()));
                }
                None => self.unknown.push(*buffer),
            }
        }
        // Groups of lanes that are combined are more lanes than the op has.
        let lanes = if let Value::Reduce { from, .. } = value { *from } else { lanes };
        value.children().into_iter().for_each(|child| self.value(child, lanes, ranges, own));
    }

    fn subscript(&mut self, at: &At, ranges: &Ranges) {
        if let At::Indirect(value) = at {
            self.value(value, 1, ranges, None);
        }
    }

    fn without_tests(&self, ops: &[Op], ranges: &Ranges) -> Vec<Op> {
        let mut all = Vec::new();
        for op in ops {
            match op {
                Op::If { cond, then, otherwise } => {
                    let there = ranges.where_holds(cond);
                    let (inner, else_there) =
                        (self.without_tests(then, &there), ranges.where_holds(&cond.clone().negate()));
                    let otherwise = self.without_tests(otherwise, &else_there);
                    let stored = if otherwise.is_empty() { self.stored(&inner, ranges) } else { None };
                    let cond = stored.map_or_else(|| cond.clone(), |cells| self.needed(cond, &cells));
                    match cond.as_const() {
                        Some(true) => all.extend(inner),
                        _ => all.push(Op::If { cond, then: inner, otherwise }),
                    }
                }
                Op::For { var, lower, upper, step, parallel, body } => {
                    let body = self.without_tests(body, &ranges.inside(*var, lower, upper));
                    let (lower, upper, step) = (lower.clone(), upper.clone(), step.clone());
                    all.push(Op::For { var: *var, lower, upper, step, parallel: *parallel, body });
                }
                Op::Local { buffer, body } => {
                    all.push(Op::Local { buffer: *buffer, body: self.without_tests(body, ranges) });
                }
                other => all.push(other.clone()),
            }
        }
        all
    }

    /// What of a condition does not follow wherever one of the cells goes elsewhere.
    fn needed(&self, cond: &Cond, cells: &[Cell]) -> Cond {
        let follows = |part: &Cond| {
            let mut places = cells.iter().flat_map(|cell| self.of.get(cell).into_iter().flatten());
            places.all(|there| there.cond(part).as_const() == Some(true))
        };
        match cond {
            Cond::All(parts) => Cond::all(parts.iter().filter(|part| !follows(part)).cloned()),
            part if follows(part) => Cond::always(),
            part => part.clone(),
        }
    }

    /// The cells that ops store to, when they do nothing else that the condition around keeps from harm.
    fn stored(&self, ops: &[Op], ranges: &Ranges) -> Option<Vec<Cell>> {
        let mut all = Vec::new();
        for op in ops {
            match op {
                Op::For { var, lower, upper, body, .. } => {
                    all.extend(self.stored(body, &ranges.inside(*var, lower, upper))?);
                }
                Op::If { cond, then, otherwise } if otherwise.is_empty() => {
                    all.extend(self.stored(then, &ranges.where_holds(cond))?);
                }
                Op::Store { buffer, at, lanes, value, mask: None } => {
                    let is_known = self.kept.contains(buffer) && !self.unknown.contains(buffer);
                    let is_float = self.program.buffers[*buffer].dtype.is_float();
                    if !(is_known && is_float && self.is_harmless(value, *lanes, ranges)) {
                        return None;
                    }
                    all.extend(cells(*buffer, at, *lanes)?);
                }
                _ => return None,
            }
        }
        Some(all)
    }

    /// Whether a value can be computed anywhere: it loads nothing but what is there.
    fn is_harmless(&self, value: &Value, lanes: u32, ranges: &Ranges) -> bool {
        let own = match value {
            Value::Load { buffer, at, mask } => {
                let row = &self.program.buffers[*buffer];
                mask.is_none() && matches!(row.place, Place::Shared | Place::Stack) && is_inside(row, at, lanes, ranges)
            }
            Value::Cast(to, _) => to.is_float(),
            Value::Binary(BinOp::Div | BinOp::Mod, ..) | Value::Call(..) => false,
            _ => true,
        };
        own && value.children().into_iter().all(|child| self.is_harmless(child, lanes, ranges))
    }
}

/// Whether all lanes of subscripts are inside of a buffer.
fn is_inside(row: &Buffer, at: &[At], lanes: u32, ranges: &Ranges) -> bool {
    at.len() == row.extent.len()
        && at.iter().zip(&row.extent).all(|(at, extent)| {
            let (At::Affine { base, step }, Some(extent)) = (at, extent.as_const()) else { return false };
            let last = base.clone() + Int::Const(step * (i64::from(lanes) - 1));
            [base, &last].into_iter().all(|at| {
                let (low, high) = ranges.interval(at);
                low.is_some_and(|low| low >= 0) && high.is_some_and(|high| high < extent)
                    || ranges.at_least_zero(at) && ranges.at_least_zero(&(Int::Const(extent - 1) - at.clone()))
            })
        })
}

/// The elements at constant subscripts, lane by lane.
fn cells(buffer: TensorId, at: &[At], lanes: u32) -> Option<Vec<Cell>> {
    let one = |lane: i64| {
        let at = at.iter().map(|at| match at {
            At::Affine { base, step } => base.as_const()?.checked_add(step.checked_mul(lane)?),
            At::Indirect(_) => None,
        });
        Some((buffer, at.collect::<Option<Vec<i64>>>()?))
    };
    (0..i64::from(lanes)).map(one).collect()
}
