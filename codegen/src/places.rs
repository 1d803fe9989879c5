//! Where the ops of a program stand in its text, and the places of its parts there.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::{Op, Program, VarId};

/// The lines of a program's text, from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Of each op, by where it is in memory, its first line: ops that are equal stand in different ones.
    lines: BTreeMap<*const Op, usize>,
    /// The loops and launches, in the order of the text.
    pub heads: Vec<Head>,
    /// How many lines the text has.
    pub end: usize,
}

/// A loop or a launch in the text of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// From its head to the brace that closes it.
    pub lines: Range<usize>,
    /// The variable of a loop; those that count blocks, then threads, of a launch.
    pub vars: Vec<VarId>,
    /// Whether it is a launch.
    pub is_launch: bool,
}

impl Program {
    /// Where the ops stand in the text. What is found of an op is true for as long as the program is where it is.
    pub fn places(&self) -> Places {
        let mut places = Places::default();
        let begin = 1 + self.buffers.len();
        places.end = places.ops(&self.body, begin);
        places
    }
}

impl Places {
    /// The first line of an op of the program; none for an op of another one.
    pub fn line(&self, op: &Op) -> Option<usize> {
        self.lines.get(&std::ptr::from_ref(op)).copied()
    }

    /// The line behind ops that begin on a line.
    fn ops(&mut self, ops: &[Op], first: usize) -> usize {
        ops.iter().fold(first, |line, op| self.op(op, line))
    }

    fn op(&mut self, op: &Op, line: usize) -> usize {
        self.lines.insert(std::ptr::from_ref(op), line);
        match op {
            Op::For { var, body, .. } => self.head(line, vec![*var], false, body),
            Op::Launch(launch) => {
                let vars = launch.grid.iter().map(|(var, _)| *var).chain(launch.block.iter().map(|(var, _)| *var));
                self.head(line, vars.collect(), true, &launch.body)
            }
            Op::Local { body, .. } => self.ops(body, line + 1) + 1,
            Op::If { then, otherwise, .. } => {
                let end = self.ops(then, line + 1);
                if otherwise.is_empty() { end + 1 } else { self.ops(otherwise, end + 1) + 1 }
            }
            Op::Store { .. }
            | Op::Set { .. }
            | Op::Check { .. }
            | Op::Prefetch { .. }
            | Op::LoadBlock { .. }
            | Op::StoreBlock { .. }
            | Op::Barrier
            | Op::Copy { .. }
            | Op::Wait
            | Op::Combine { .. }
            | Op::Atomic { .. } => line + 1,
        }
    }

    fn head(&mut self, line: usize, vars: Vec<VarId>, is_launch: bool, body: &[Op]) -> usize {
        let at = self.heads.len();
        self.heads.push(Head { lines: line..line, vars, is_launch });
        let end = self.ops(body, line + 1) + 1;
        self.heads[at].lines.end = end;
        end
    }
}
