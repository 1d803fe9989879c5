use std::collections::BTreeMap;

use polyhedral::{BinOp, CmpOp, TensorId};
use support::{Entity, Table};

use super::{fresh_copy, ranges::Ranges};
use crate::{At, Buffer, Cond, Int, Launch, Op, Program, Stride, Value, Var, VarId};

/// Lets vectors run across the ends of rows that follow each other in memory.
///
/// ```text
/// for p in 0..49 {                                               for p in 0..49 {
///   for h in floor(64*p/56)..floor((64*p + 63)/56) + 1 {           B[64*p .. +64] = A[64*p .. +64]
///     B[h, 64*p - 56*h .. +64] = A[h, 64*p - 56*h .. +64]   ->   }
///       where lane >= 56*h - 64*p && lane <= 56*h - 64*p + 55
///   }
/// }
/// ```
///
/// Where a loop runs over rows, each of which keeps the lanes that lie in it, every lane is kept by one iteration, and the
/// place of its elements in memory is the same function of the lane in all of them: one iteration without the loop, with
/// the lanes that some row keeps, does the same. No lane touches what another one writes. The two dimensions of a tensor
/// that the rows and their elements are become one, in the whole program. The inverse of strip mining; loops that are joined
/// are said to be coalesced (Polychronopoulos, Loop Coalescing: A Compiler Transformation for Parallel Machines, ICPP 1987).
pub fn lines(program: Program) -> Program {
    lines_but(program, &[])
}

/// The same where some tensors, by their numbers, keep their dimensions.
pub(super) fn lines_but(mut program: Program, kept: &[bool]) -> Program {
    let mut joins = Joins { can: joinable(&program), done: BTreeMap::new() };
    joins.can.retain(|buffer, _| !kept.get(buffer.index()).copied().unwrap_or(false));
    let body = std::mem::take(&mut program.body);
    let body = joined_in(body, &program.buffers, &mut joins, &mut program.vars);
    program.body = body.into_iter().map(|op| with_joined_subscripts(op, &joins.done)).collect();
    for (&buffer, join) in &joins.done {
        program.buffers[buffer].join(*join);
    }
    program
}

/// Neighbouring dimensions that become one: the outer one, and how long the inner one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Join {
    dim: usize,
    width: i64,
}

struct Joins {
    /// The dimensions that each buffer has dense rows along, and nothing but affine subscripts.
    can: BTreeMap<TensorId, Vec<Join>>,
    done: BTreeMap<TensorId, Join>,
}

impl Joins {
    /// Whether all of these may be made, beside those that have been.
    fn allow(&self, new: &BTreeMap<TensorId, Join>) -> bool {
        new.iter().all(|(buffer, join)| {
            self.done.get(buffer).is_none_or(|old| old == join)
                && self.can.get(buffer).is_some_and(|possible| possible.contains(join))
        })
    }
}

fn joinable(program: &Program) -> BTreeMap<TensorId, Vec<Join>> {
    let mut can: BTreeMap<TensorId, Vec<Join>> =
        program.buffers.iter().map(|(id, buffer)| (id, joins_of(buffer))).collect();
    each_access(&program.body, &mut |buffer, at| {
        let is_affine = |dim: usize| matches!(at.get(dim), Some(At::Affine { .. }));
        if let Some(joins) = can.get_mut(&buffer) {
            joins.retain(|join| is_affine(join.dim) && is_affine(join.dim + 1));
        }
    });
    can
}

fn joins_of(buffer: &Buffer) -> Vec<Join> {
    let known = |stride: &Stride| match stride {
        Stride::Known(stride) => stride.as_const(),
        Stride::Runtime => None,
    };
    let join = |dim: usize| {
        let width = buffer.extent[dim + 1].as_const()?;
        let (outer, inner) = (known(&buffer.strides[dim])?, known(&buffer.strides[dim + 1])?);
        (width > 0 && inner.checked_mul(width) == Some(outer)).then_some(Join { dim, width })
    };
    match buffer.rows {
        Some(_) => Vec::new(),
        None => (1..buffer.extent.len()).filter_map(|inner| join(inner - 1)).collect(),
    }
}

/// Sees every access, those of prefetches and of reports too.
fn each_access(ops: &[Op], see: &mut dyn FnMut(TensorId, &[At])) {
    for op in ops {
        match op {
            Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => each_access(body, see),
            Op::Barrier | Op::Wait | Op::Combine { .. } => {}
            Op::If { then, otherwise, .. } => {
                each_access(then, see);
                each_access(otherwise, see);
            }
            Op::Store { buffer, at, value, mask, .. } => {
                see(*buffer, at);
                computed(at).chain([value]).chain(mask).for_each(|value| each_load(value, see));
            }
            Op::Set { value, .. } => each_load(value, see),
            Op::Check { value, mask, report, .. } => {
                report.found_by.iter().for_each(|(buffer, at)| see(*buffer, at));
                report.values().chain([value]).chain(mask).for_each(|value| each_load(value, see));
            }
            Op::Prefetch { buffer, at, .. } => {
                see(*buffer, at);
                computed(at).for_each(|value| each_load(value, see));
            }
            // None of its dimensions is to go.
            Op::Copy { to, to_at, from, from_at, .. } => {
                for (buffer, at) in [(to, to_at), (from, from_at)] {
                    see(*buffer, at);
                    see(*buffer, &[]);
                }
            }
            // Blocks count their registers along one of the dimensions that there are: none of them is to go.
            Op::LoadBlock { buffer, at, .. } | Op::StoreBlock { buffer, at, .. } | Op::Atomic { buffer, at, .. } => {
                see(*buffer, at);
                see(*buffer, &[]);
            }
        }
    }
}

fn each_load(value: &Value, see: &mut dyn FnMut(TensorId, &[At])) {
    if let Value::Load { buffer, at, .. } = value {
        see(*buffer, at);
    }
    value.children().into_iter().for_each(|child| each_load(child, see));
}

fn computed(at: &[At]) -> impl Iterator<Item = &Value> {
    at.iter().filter_map(|at| match at {
        At::Indirect(value) => Some(&**value),
        At::Affine { .. } => None,
    })
}

fn joined_in(
    ops: Vec<Op>,
    buffers: &Table<TensorId, Buffer>,
    joins: &mut Joins,
    vars: &mut Table<VarId, Var>,
) -> Vec<Op> {
    let mut out = Vec::with_capacity(ops.len());
    for op in ops {
        if let Some(line) = Line::of(&op, buffers).filter(|line| joins.allow(&line.joins)) {
            joins.done.extend(&line.joins);
            out.push(line.without_loop(&op, vars));
            continue;
        }
        let mut inside = |ops| joined_in(ops, buffers, joins, vars);
        out.push(match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                Op::For { var, lower, upper, step, parallel, body: inside(body) }
            }
            Op::If { cond, then, otherwise } => Op::If { cond, then: inside(then), otherwise: inside(otherwise) },
            Op::Local { buffer, body } => Op::Local { buffer, body: inside(body) },
            other => other,
        });
    }
    out
}

/// A loop over rows, each iteration of which keeps the lanes `l` with `width·row <= start + l < width·(row + 1)`.
struct Line {
    row: VarId,
    width: i64,
    /// Free of the row.
    start: Int,
    lanes: u32,
    mask: Value,
    /// With the mask everywhere.
    body: Vec<Op>,
    joins: BTreeMap<TensorId, Join>,
    /// Of each buffer that is written, the rows that it is accessed in.
    written: BTreeMap<TensorId, Int>,
}

impl Line {
    fn of(op: &Op, buffers: &Table<TensorId, Buffer>) -> Option<Line> {
        let Op::For { var, step, parallel: false, body, .. } = op else { return None };
        let (lanes, mask) = first_mask(body).filter(|_| *step == Int::Const(1))?;
        let (width, start) = rows_of(mask, *var)?;
        let (joins, written) = (BTreeMap::new(), BTreeMap::new());
        let mut line = Line { row: *var, width, start, lanes, mask: mask.clone(), joins, written, body: Vec::new() };
        let body = line.with_all_masks(body)?;
        line.takes_writes(&body, buffers)?;
        line.takes(&body, buffers).then_some(Line { body, ..line })
    }

    /// The body with masks where a test says that all lanes are in the row, and what is done then is the same without masks.
    fn with_all_masks(&self, ops: &[Op]) -> Option<Vec<Op>> {
        let mut all = Vec::with_capacity(ops.len());
        for op in ops {
            match op {
                Op::If { cond, then, otherwise } if !self.is_free_cond(cond) => {
                    let is_same = self.masked(otherwise, None) == *then;
                    (is_same && self.holds_all(cond)).then(|| all.extend(otherwise.iter().cloned()))?;
                }
                Op::If { cond, then, otherwise } => all.push(Op::If {
                    cond: cond.clone(),
                    then: self.with_all_masks(then)?,
                    otherwise: self.with_all_masks(otherwise)?,
                }),
                Op::For { var, lower, upper, step, parallel, body } => all.push(Op::For {
                    var: *var,
                    lower: lower.clone(),
                    upper: upper.clone(),
                    step: step.clone(),
                    parallel: *parallel,
                    body: self.with_all_masks(body)?,
                }),
                other => all.push(other.clone()),
            }
        }
        Some(all)
    }

    /// Whether all lanes lie in a row for which the condition holds.
    fn holds_all(&self, cond: &Cond) -> bool {
        let ranges = Ranges::default().where_holds(cond);
        let first = self.start.clone() - self.width * Int::Var(self.row);
        let last = first.clone() + (i64::from(self.lanes) - 1);
        ranges.at_least_zero(&first) && ranges.at_least_zero(&(Int::Const(self.width - 1) - last))
    }

    /// Takes all that is written.
    fn takes_writes(&mut self, ops: &[Op], buffers: &Table<TensorId, Buffer>) -> Option<()> {
        for op in ops {
            match op {
                Op::For { body, .. } => self.takes_writes(body, buffers)?,
                Op::If { then, otherwise, .. } => {
                    self.takes_writes(then, buffers)?;
                    self.takes_writes(otherwise, buffers)?;
                }
                Op::Store { buffer, at, .. } => {
                    let (join, row) = self.across_rows(&buffers[*buffer], at)?;
                    let is_same = self.written.insert(*buffer, row.clone()).is_none_or(|old| old == row)
                        && self.joins.insert(*buffer, join).is_none_or(|old| old == join);
                    is_same.then_some(())?;
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// Whether nothing but masks and subscripts along lines depends on the row, and lanes are apart.
    fn takes(&mut self, ops: &[Op], buffers: &Table<TensorId, Buffer>) -> bool {
        ops.iter().all(|op| match op {
            Op::For { lower, upper, step, parallel, body, .. } => {
                !parallel && [lower, upper, step].into_iter().all(|int| self.is_free(int)) && self.takes(body, buffers)
            }
            Op::If { cond, then, otherwise } => {
                self.is_free_cond(cond) && self.takes(then, buffers) && self.takes(otherwise, buffers)
            }
            Op::Store { lanes, value, mask, .. } => {
                *lanes == self.lanes && mask.as_ref() == Some(&self.mask) && self.takes_value(value, buffers)
            }
            _ => false,
        })
    }

    fn takes_value(&mut self, value: &Value, buffers: &Table<TensorId, Buffer>) -> bool {
        match value {
            Value::Load { buffer, at, mask } => {
                mask.as_deref().is_none_or(|mask| *mask == self.mask) && self.takes_load(*buffer, at, buffers)
            }
            Value::Int { base, .. } => self.is_free(base),
            Value::Reg(_) | Value::Reduce { .. } | Value::Dot { .. } => false,
            other => other.children().into_iter().all(|child| self.takes_value(child, buffers)),
        }
    }

    fn takes_load(&mut self, buffer: TensorId, at: &[At], buffers: &Table<TensorId, Buffer>) -> bool {
        let written = self.written.get(&buffer);
        let is_free = |at: &At| matches!(at, At::Affine { base, .. } if self.is_free(base));
        if at.iter().all(is_free) {
            return written.is_none();
        }
        let Some((join, row)) = self.across_rows(&buffers[buffer], at) else { return false };
        written.is_none_or(|written| *written == row) && self.joins.insert(buffer, join).is_none_or(|old| old == join)
    }

    /// Of an access `[…, row + x, start - width·row + lane, …]` to rows that are as wide: where, and `x`.
    fn across_rows(&self, buffer: &Buffer, at: &[At]) -> Option<(Join, Int)> {
        let dim = at.iter().position(|at| !matches!(at, At::Affine { base, .. } if self.is_free(base)))?;
        let affine = |at: &At| match at {
            At::Affine { base, step } => Some((base.clone(), *step)),
            At::Indirect(_) => None,
        };
        let ((row, 0), (element, 1)) = (affine(&at[dim])?, affine(at.get(dim + 1)?)?) else { return None };
        let others = at.iter().enumerate().filter(|&(at, _)| at != dim && at != dim + 1);
        let are_fixed =
            others.map(|(_, at)| affine(at)).all(|at| at.is_some_and(|(base, step)| step == 0 && self.is_free(&base)));
        let row = row - Int::Var(self.row);
        let along = element + self.width * Int::Var(self.row) - self.start.clone();
        let is_whole = buffer.extent.get(dim + 1)?.as_const() == Some(self.width);
        (are_fixed && is_whole && self.is_free(&row) && along == Int::Const(0))
            .then_some((Join { dim, width: self.width }, row))
    }

    fn is_free(&self, int: &Int) -> bool {
        let mut used = false;
        int.each_var(&mut |var| used |= var == self.row);
        !used
    }

    fn is_free_cond(&self, cond: &Cond) -> bool {
        let mut used = false;
        cond.each_var(&mut |var| used |= var == self.row);
        !used
    }

    /// The body once: for all lanes, where the rows keep all of them, else for those that one of them keeps.
    fn without_loop(&self, op: &Op, vars: &mut Table<VarId, Var>) -> Op {
        let Op::For { lower, upper, .. } = op else { return op.clone() };
        let first = self.width * lower.clone() - self.start.clone();
        let last = self.width * upper.clone() - self.start.clone() + -1;
        let cond = Cond::all([
            Cond::compare(CmpOp::Le, first.clone(), Int::Const(0)),
            Cond::compare(CmpOp::Ge, last.clone(), Int::Const(i64::from(self.lanes) - 1)),
        ]);
        let lane = || Box::new(Value::Int { base: Int::Const(0), step: 1 });
        let bound = |op, base| Box::new(Value::Compare(op, lane(), Box::new(Value::Int { base, step: 0 })));
        let kept = Value::Binary(BinOp::And, bound(CmpOp::Ge, first), bound(CmpOp::Le, last));
        let then = self.masked(&self.body, None);
        let otherwise = fresh_copy(&self.masked(&self.body, Some(&kept)), vars);
        Op::If { cond, then, otherwise }
    }

    fn masked(&self, ops: &[Op], mask: Option<&Value>) -> Vec<Op> {
        let masked = |op: &Op| match op {
            Op::For { var, lower, upper, step, parallel, body } => Op::For {
                var: *var,
                lower: lower.clone(),
                upper: upper.clone(),
                step: step.clone(),
                parallel: *parallel,
                body: self.masked(body, mask),
            },
            Op::If { cond, then, otherwise } => {
                Op::If { cond: cond.clone(), then: self.masked(then, mask), otherwise: self.masked(otherwise, mask) }
            }
            Op::Store { buffer, at, lanes, value, .. } => {
                let value = value.rebuild_in(*lanes, &mut |value, _| match value {
                    Value::Load { buffer, at, mask: Some(_) } => {
                        Value::Load { buffer, at, mask: mask.cloned().map(Box::new) }
                    }
                    other => other,
                });
                Op::Store { buffer: *buffer, at: at.clone(), lanes: *lanes, value, mask: mask.cloned() }
            }
            other => other.clone(),
        };
        ops.iter().map(masked).collect()
    }
}

/// The lanes and the mask of the first store.
fn first_mask(ops: &[Op]) -> Option<(u32, &Value)> {
    ops.iter().find_map(|op| match op {
        Op::For { body, .. } => first_mask(body),
        Op::If { then, otherwise, .. } => first_mask(then).or_else(|| first_mask(otherwise)),
        Op::Store { lanes, mask: Some(mask), .. } => Some((*lanes, mask)),
        _ => None,
    })
}

/// `width` and `start` of a mask `lane >= width·row - start && lane <= width·row - start + width - 1`.
fn rows_of(mask: &Value, row: VarId) -> Option<(i64, Int)> {
    let Value::Binary(BinOp::And, a, b) = mask else { return None };
    let bound = |value: &Value| match value {
        Value::Compare(op, left, right) => match (&**left, &**right) {
            (Value::Int { base: offset, step: 1 }, Value::Int { base, step: 0 }) => {
                Some((*op, base.clone() - offset.clone()))
            }
            _ => None,
        },
        _ => None,
    };
    let (first, last) = match [bound(a)?, bound(b)?] {
        [(CmpOp::Ge, first), (CmpOp::Le, last)] | [(CmpOp::Le, last), (CmpOp::Ge, first)] => (first, last),
        _ => return None,
    };
    let width = (last - first.clone()).as_const()?.checked_add(1)?;
    let start = width * Int::Var(row) - first;
    let mut used = false;
    start.each_var(&mut |var| used |= var == row);
    (width > 0 && !used).then_some((width, start))
}

/// The subscripts of joined dimensions as one: `width·outer + inner`.
fn with_joined_subscripts(op: Op, joins: &BTreeMap<TensorId, Join>) -> Op {
    let joined = |buffer: TensorId, at: Vec<At>| match joins.get(&buffer) {
        Some(join) => joined_at(at, *join),
        None => at,
    };
    let value = |value: Value| {
        value.rebuild(&mut |value| match value {
            Value::Load { buffer, at, mask } => Value::Load { buffer, at: joined(buffer, at), mask },
            other => other,
        })
    };
    let values_in = |at: Vec<At>| -> Vec<At> {
        at.into_iter()
            .map(|at| match at {
                At::Indirect(computed) => At::Indirect(Box::new(value(*computed))),
                affine => affine,
            })
            .collect()
    };
    let all = |ops: Vec<Op>| ops.into_iter().map(|op| with_joined_subscripts(op, joins)).collect();
    match op {
        Op::For { var, lower, upper, step, parallel, body } => {
            Op::For { var, lower, upper, step, parallel, body: all(body) }
        }
        Op::If { cond, then, otherwise } => Op::If { cond, then: all(then), otherwise: all(otherwise) },
        Op::Local { buffer, body } => Op::Local { buffer, body: all(body) },
        Op::Store { buffer, at, lanes, value: stored, mask } => {
            Op::Store { buffer, at: joined(buffer, values_in(at)), lanes, value: value(stored), mask: mask.map(value) }
        }
        Op::Set { reg, value: set } => Op::Set { reg, value: value(set) },
        Op::Check { buffer, dim, extent, value: checked, lanes, mask, mut report } => {
            for (buffer, at) in &mut report.found_by {
                *at = joined(*buffer, values_in(std::mem::take(at)));
            }
            Op::Check { buffer, dim, extent, value: value(checked), lanes, mask: mask.map(value), report }
        }
        Op::Prefetch { buffer, at, lanes } => Op::Prefetch { buffer, at: joined(buffer, values_in(at)), lanes },
        Op::Launch(launch) => Op::Launch(Launch { body: all(launch.body), ..launch }),
        other @ (Op::LoadBlock { .. }
        | Op::StoreBlock { .. }
        | Op::Barrier
        | Op::Copy { .. }
        | Op::Wait
        | Op::Combine { .. }
        | Op::Atomic { .. }) => other,
    }
}

fn joined_at(mut at: Vec<At>, Join { dim, width }: Join) -> Vec<At> {
    if let (Some(At::Affine { base: row, step: apart }), Some(At::Affine { base, step })) =
        (at.get(dim), at.get(dim + 1))
    {
        at[dim] = At::Affine { base: width * row.clone() + base.clone(), step: width * apart + step };
        at.remove(dim + 1);
    }
    at
}

impl Buffer {
    /// Makes one dimension of two.
    fn join(&mut self, Join { dim, width }: Join) {
        self.extent[dim] = width * self.extent[dim].clone();
        self.extent.remove(dim + 1);
        self.strides.remove(dim);
        self.rows = Some((dim, width));
    }
}
