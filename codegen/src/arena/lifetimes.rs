//! When buffers of the workspace are alive.

use std::collections::BTreeMap;
use std::ops::Range;

use polyhedral::TensorId;

use crate::passes::each_value;
use crate::{Launch, Op, Place, Program, Value};

/// Of each buffer of the workspace the spans in which it holds something. Ops are counted as they stand in the text, outer ones
/// before those inside; what runs once of each other runs in that order.
///
/// A buffer is alive from its first access to its last one, and where one of these is in a loop, as long as the loop runs: an
/// iteration may read what another one has written. Inside of an [`Op::Local`] it has nothing in it at first, and nobody looks
/// at it afterwards: so the same is said of what is inside by itself. All that a parallel loop or a launch touches is alive as
/// long as that runs. Prefetches are no accesses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifetimes {
    spans: BTreeMap<TensorId, Vec<Range<usize>>>,
    /// What is touched inside of an [`Op::Local`] of its own and outside too.
    torn: Vec<TensorId>,
}

type Touched = BTreeMap<TensorId, Range<usize>>;

impl Lifetimes {
    pub(crate) fn of(program: &Program) -> Lifetimes {
        let mut walk = Walk { program, at: 0, lifetimes: Lifetimes::default() };
        let touched = walk.ops(&program.body);
        let mut lifetimes = walk.lifetimes;
        lifetimes.torn = touched.keys().copied().filter(|buffer| lifetimes.spans.contains_key(buffer)).collect();
        touched.into_iter().for_each(|(buffer, span)| lifetimes.add(buffer, span));
        lifetimes
    }

    /// Where a buffer is alive; nowhere when nothing accesses it.
    pub(crate) fn spans(&self, buffer: TensorId) -> &[Range<usize>] {
        self.spans.get(&buffer).map_or(&[], Vec::as_slice)
    }

    /// The buffers that are new for a part of the program, and touched elsewhere.
    pub(crate) fn torn(&self) -> &[TensorId] {
        &self.torn
    }

    /// Whether two buffers are alive at once.
    pub(crate) fn meet(&self, a: TensorId, b: TensorId) -> bool {
        meet(self.spans(a), self.spans(b))
    }

    fn add(&mut self, buffer: TensorId, span: Range<usize>) {
        self.spans.entry(buffer).or_default().push(span);
    }
}

/// Whether some position is in both.
pub(crate) fn meet(a: &[Range<usize>], b: &[Range<usize>]) -> bool {
    a.iter().any(|a| b.iter().any(|b| a.start < b.end && b.start < a.end))
}

struct Walk<'a> {
    program: &'a Program,
    /// The number of the next op.
    at: usize,
    /// Of what is inside of an [`Op::Local`].
    lifetimes: Lifetimes,
}

impl Walk<'_> {
    /// What ops touch, each from the first access to the last, but in an [`Op::Local`] of its own.
    fn ops(&mut self, ops: &[Op]) -> Touched {
        let mut all = Touched::new();
        for op in ops {
            let touched = self.op(op);
            join(&mut all, touched);
        }
        all
    }

    fn op(&mut self, op: &Op) -> Touched {
        let start = self.at;
        self.at += 1;
        match op {
            Op::For { body, .. } | Op::Launch(Launch { body, .. }) => {
                let inside = self.ops(body);
                inside.into_keys().map(|buffer| (buffer, start..self.at)).collect()
            }
            Op::If { then, otherwise, .. } => {
                let mut all = self.ops(then);
                join(&mut all, self.ops(otherwise));
                all
            }
            Op::Local { buffer, body } => {
                let mut inside = self.ops(body);
                if let Some(span) = inside.remove(buffer) {
                    self.lifetimes.add(*buffer, span);
                }
                inside
            }
            leaf => self.leaf(leaf, start..self.at),
        }
    }

    fn leaf(&self, op: &Op, here: Range<usize>) -> Touched {
        let mut touched = Touched::new();
        let mut touch = |buffer: TensorId| {
            if self.program.buffers.get(buffer).is_some_and(|row| matches!(row.place, Place::Workspace(_))) {
                touched.insert(buffer, here.clone());
            }
        };
        match op {
            Op::Store { buffer, .. }
            | Op::LoadBlock { buffer, .. }
            | Op::StoreBlock { buffer, .. }
            | Op::Atomic { buffer, .. } => touch(*buffer),
            Op::Copy { to, from, .. } => [*to, *from].into_iter().for_each(&mut touch),
            // What a failed check says is read of these.
            Op::Check { report, .. } => report.found_by.iter().for_each(|(buffer, _)| touch(*buffer)),
            _ => {}
        }
        each_value(op, &mut |value| each_load(value, &mut touch));
        touched
    }
}

fn each_load(value: &Value, see: &mut dyn FnMut(TensorId)) {
    if let Value::Load { buffer, .. } = value {
        see(*buffer);
    }
    value.children().into_iter().for_each(|child| each_load(child, see));
}

fn join(all: &mut Touched, more: Touched) {
    for (buffer, span) in more {
        let own = all.entry(buffer).or_insert_with(|| span.clone());
        *own = own.start.min(span.start)..own.end.max(span.end);
    }
}
