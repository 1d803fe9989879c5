//! Parts of a program that are equal but for their buffers: one function, called with other addresses each time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use polyhedral::{Role, TensorId};

use crate::passes::each_value;
use crate::renaming::{Ids, rename};
use crate::{Buffer, Launch, Op, Place, Program, RegId, Stride, Value, VarId, arena};

/// The parts of a program's body that one function runs.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub runs: Vec<Run>,
}

/// Ops that stand in a program several times, with other buffers.
#[derive(Debug)]
pub(super) struct Run {
    /// Where they stand, each time with the buffers that are there what the first one's are here, in the same order.
    pub times: Vec<Time>,
}

/// One of several times.
#[derive(Debug)]
pub(super) struct Time {
    /// Which ops of the body these are.
    pub ops: Range<usize>,
    /// What they touch that is not on the stack: what the function is given the addresses of.
    pub buffers: Vec<TensorId>,
}

impl Shared {
    /// What of the parts that the program [names](Program::parts) is equal.
    ///
    /// Whether it is, is found by comparing: with numbers for names in the order in which they come, the ops are the same, and
    /// what has one number is alike. Checks say the names of what they are about, and stay where they are.
    pub fn of(program: &Program) -> Shared {
        if program.parts.len() < 2 {
            return Shared::default();
        }
        let ends = program.parts.iter().copied().chain([program.body.len()]);
        let starts = [0].into_iter().chain(program.parts.iter().copied());
        let ranges = starts.zip(ends).filter_map(|(start, end)| Some((start..end, program.body.get(start..end)?)));
        let parts: Vec<(Range<usize>, Form)> = ranges.map(|(range, ops)| (range, Form::of(ops))).collect();
        let mut users: BTreeMap<RegId, usize> = BTreeMap::new();
        parts.iter().flat_map(|(_, form)| &form.numbers.regs).for_each(|reg| *users.entry(*reg).or_default() += 1);
        let mut forms: Vec<(Form, Vec<Time>)> = Vec::new();
        for (ops, form) in parts {
            if !form.can_be_shared(program) || form.numbers.regs.iter().any(|reg| users[reg] > 1) {
                continue;
            }
            let time = Time { ops, buffers: form.in_memory(program) };
            match forms.iter_mut().find(|(other, _)| other.is_like(&form, program)) {
                Some((_, times)) => times.push(time),
                None => forms.push((form, vec![time])),
            }
        }
        let several = forms.into_iter().filter(|(_, times)| times.len() > 1);
        Shared { runs: several.map(|(_, times)| Run { times }).collect() }
    }

    /// The run, and which time of it, that begins at this op of the body.
    pub fn at(&self, op: usize) -> Option<(usize, &Time)> {
        let time = |run: &'_ Run| run.times.iter().position(|time| time.ops.start == op);
        let (run, time) = self.runs.iter().enumerate().find_map(|(at, run)| Some((at, time(run)?)))?;
        Some((run, &self.runs[run].times[time]))
    }
}

impl Run {
    /// The ops that the function is made of, and their buffers.
    pub fn first(&self) -> &Time {
        &self.times[0]
    }

    /// Whether nobody writes a buffer of the first, whatever time it is.
    pub fn is_constant(&self, buffer: TensorId, program: &Program) -> bool {
        self.each_time(|of| of(buffer).is_some_and(|buffer| program.buffers[buffer].role == Role::Input))
    }

    /// Whether two buffers of the first have no byte in common, whatever time it is. What is on the stack has none with any.
    pub fn are_apart(&self, a: TensorId, b: TensorId, program: &Program) -> bool {
        self.each_time(|of| match (of(a), of(b)) {
            (Some(a), Some(b)) => a != b && arena::are_apart(program, a, b),
            _ => a != b,
        })
    }

    fn each_time(&self, test: impl Fn(&dyn Fn(TensorId) -> Option<TensorId>) -> bool) -> bool {
        let number = |buffer: TensorId| self.first().buffers.iter().position(|own| *own == buffer);
        self.times.iter().all(|time| test(&|buffer| Some(time.buffers[number(buffer)?])))
    }
}

/// Ops with numbers for names.
struct Form {
    /// Their text, which tells `0.0` and `-0.0` apart, and no NaN from another one.
    text: String,
    can_be_shared: bool,
    numbers: Numbers,
}

impl Form {
    fn of(ops: &[Op]) -> Form {
        let (mut ops, mut numbers) = (ops.to_vec(), Numbers::default());
        rename(&mut ops, &mut numbers);
        let can_be_shared = !ops.is_empty() && !ops.iter().any(is_alone);
        Form { text: format!("{ops:?}"), can_be_shared, numbers }
    }

    fn can_be_shared(&self, program: &Program) -> bool {
        let is_known = |stride: &Stride| *stride != Stride::Runtime;
        let has_known_strides = |id: &TensorId| program.buffers[*id].strides.iter().all(is_known);
        self.can_be_shared && self.numbers.buffers.iter().all(has_known_strides)
    }

    fn is_like(&self, other: &Form, program: &Program) -> bool {
        let kind = |buffer: &Buffer| match buffer.place {
            Place::Argument(_) | Place::Workspace(_) => 0,
            Place::Stack => 1,
            Place::Shared => 2,
        };
        let alike = |(a, b): (&TensorId, &TensorId)| {
            let (a, b) = (&program.buffers[*a], &program.buffers[*b]);
            let shape = |buffer: &Buffer| (buffer.extent.clone(), buffer.strides.clone(), buffer.rows);
            (a.dtype, a.streamed, kind(a)) == (b.dtype, b.streamed, kind(b)) && shape(a) == shape(b)
        };
        let same = |(a, b): (&RegId, &RegId)| {
            let (a, b) = (&program.regs[*a], &program.regs[*b]);
            (a.dtype, a.lanes) == (b.dtype, b.lanes)
        };
        let (own, others) = (&self.numbers, &other.numbers);
        self.text == other.text
            && own.buffers.iter().zip(&others.buffers).all(alike)
            && own.regs.iter().zip(&others.regs).all(same)
    }

    fn in_memory(&self, program: &Program) -> Vec<TensorId> {
        let is_in_memory = |id: &TensorId| program.buffers[*id].place != Place::Stack;
        self.numbers.buffers.iter().copied().filter(is_in_memory).collect()
    }
}

/// Whether an op says the names of buffers while running, or runs on a device.
fn is_alone(op: &Op) -> bool {
    match op {
        Op::Check { .. } | Op::Launch(_) => true,
        Op::For { body, .. } | Op::Local { body, .. } => body.iter().any(is_alone),
        Op::If { then, otherwise, .. } => then.iter().chain(otherwise).any(is_alone),
        _ => false,
    }
}

/// Numbers in the order in which names come.
#[derive(Default)]
struct Numbers {
    buffers: Vec<TensorId>,
    vars: Vec<VarId>,
    regs: Vec<RegId>,
    known: BTreeMap<(u8, usize), usize>,
}

impl Numbers {
    fn number(&mut self, kind: u8, id: usize, next: usize) -> (usize, bool) {
        let number = *self.known.entry((kind, id)).or_insert(next);
        (number, number == next)
    }
}

impl Ids for Numbers {
    fn buffer(&mut self, id: TensorId) -> TensorId {
        let (number, is_new) = self.number(0, support::Entity::index(id), self.buffers.len());
        self.buffers.extend(is_new.then_some(id));
        support::Entity::new(number)
    }

    fn var(&mut self, id: VarId) -> VarId {
        let (number, is_new) = self.number(1, support::Entity::index(id), self.vars.len());
        self.vars.extend(is_new.then_some(id));
        support::Entity::new(number)
    }

    fn reg(&mut self, id: RegId) -> RegId {
        let (number, is_new) = self.number(2, support::Entity::index(id), self.regs.len());
        self.regs.extend(is_new.then_some(id));
        support::Entity::new(number)
    }

    fn param(&mut self, at: usize) -> usize {
        at
    }
}

/// The buffers that ops touch.
pub(super) fn buffers_of(program: &Program, ops: &[Op]) -> BTreeSet<TensorId> {
    let mut found = BTreeSet::new();
    collect(ops, &mut found);
    // What there is not is refused where it is accessed.
    found.retain(|&id| program.buffers.get(id).is_some());
    found
}

fn collect(ops: &[Op], found: &mut BTreeSet<TensorId>) {
    for op in ops {
        match op {
            Op::For { body, .. } => collect(body, found),
            Op::Local { buffer, body } => {
                found.insert(*buffer);
                collect(body, found);
            }
            Op::Launch(Launch { shared, body, .. }) => {
                found.extend(shared);
                collect(body, found);
            }
            Op::If { then, otherwise, .. } => {
                collect(then, found);
                collect(otherwise, found);
            }
            Op::Store { buffer, .. }
            | Op::Prefetch { buffer, .. }
            | Op::LoadBlock { buffer, .. }
            | Op::StoreBlock { buffer, .. }
            | Op::Atomic { buffer, .. } => _ = found.insert(*buffer),
            Op::Check { buffer, report, .. } => {
                found.insert(*buffer);
                found.extend(report.found_by.iter().map(|(buffer, _)| *buffer));
            }
            Op::Copy { to, from, .. } => found.extend([*to, *from]),
            Op::Set { .. } | Op::Barrier | Op::Wait | Op::Combine { .. } => {}
        }
        each_value(op, &mut |value| collect_loads(value, found));
    }
}

fn collect_loads(value: &Value, found: &mut BTreeSet<TensorId>) {
    if let Value::Load { buffer, .. } = value {
        found.insert(*buffer);
    }
    value.children().into_iter().for_each(|child| collect_loads(child, found));
}
