//! Whether copies that go on by themselves are waited for.

use polyhedral::TensorId;

use super::accesses::{Accesses, Copied};
use crate::{Op, Program};

/// What is wrong with the copies of a kernel, by the buffers that they go to: a thread waits for each that it has begun before
/// the next barrier, and before the kernel ends; in between it touches none of the elements that are copied to, and writes
/// none of those that are copied.
pub(crate) fn unawaited(body: &[Op], program: &Program) -> Vec<(TensorId, &'static str)> {
    let mut walk = Walk { program, under_way: Vec::new(), begun: 0, faults: Vec::new() };
    walk.ops(body);
    walk.nothing_under_way("where a kernel ends, copies are under way");
    // Each once.
    let mut faults = Vec::new();
    walk.faults.into_iter().for_each(|fault| {
        if !faults.contains(&fault) {
            faults.push(fault)
        }
    });
    faults
}

struct Walk<'p> {
    program: &'p Program,
    under_way: Vec<UnderWay>,
    /// How many copies have been seen.
    begun: usize,
    faults: Vec<(TensorId, &'static str)>,
}

#[derive(Clone)]
struct UnderWay {
    copied: Copied,
    number: usize,
    /// Whether another iteration of a loop has begun it, with other values of the variables in its subscripts.
    is_older: bool,
}

impl Walk<'_> {
    fn ops(&mut self, ops: &[Op]) {
        ops.iter().for_each(|op| self.op(op));
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Copy { to, to_at, from, from_at, lanes } => {
                let (to, to_at, from, from_at) = (*to, to_at.clone(), *from, from_at.clone());
                self.touched(op);
                let copied = Copied { to, to_at, from, from_at, lanes: *lanes };
                self.under_way.push(UnderWay { copied, number: self.begun, is_older: false });
                self.begun += 1;
            }
            Op::Wait => self.under_way.clear(),
            Op::Barrier => self.nothing_under_way("behind a barrier, copies from before it are under way"),
            Op::For { body, .. } => {
                let begun = self.begun;
                self.ops(body);
                if self.grow_older(begun) {
                    self.ops(body);
                    self.grow_older(begun);
                }
            }
            Op::If { then, otherwise, .. } => {
                let before = self.under_way.clone();
                self.ops(then);
                let after = std::mem::replace(&mut self.under_way, before);
                self.ops(otherwise);
                let is_new = |one: &UnderWay| !self.under_way.iter().any(|other| other.number == one.number);
                let others: Vec<UnderWay> = after.into_iter().filter(is_new).collect();
                self.under_way.extend(others);
            }
            Op::Local { body, .. } => self.ops(body),
            other => self.touched(other),
        }
    }

    /// Copies from this one on are those of an iteration before; whether there are any.
    fn grow_older(&mut self, begun: usize) -> bool {
        let own = self.under_way.iter_mut().filter(|one| one.number >= begun);
        own.map(|one| one.is_older = true).count() > 0
    }

    /// An op that touches elements.
    fn touched(&mut self, op: &Op) {
        if self.under_way.is_empty() {
            return;
        }
        let mut accesses = Accesses::default();
        accesses.op(op, self.program);
        for UnderWay { copied, is_older, .. } in &self.under_way {
            let is_spared = if *is_older { accesses.spare_all_of(copied) } else { accesses.spare(copied) };
            if !is_spared {
                self.faults.push((copied.to, "is touched while a copy may be under way"));
            }
        }
    }

    fn nothing_under_way(&mut self, fault: &'static str) {
        self.faults.extend(self.under_way.drain(..).map(|one| (one.copied.to, fault)));
    }
}
