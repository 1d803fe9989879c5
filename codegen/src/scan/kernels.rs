//! Inside of kernels: which iterations of a loop on an axis are whose.
//!
//! A block or thread has a number on each axis. A loop on blocks is run by the block whose number its value is, counted
//! from the first value of all such loops of the kernel; one on `T` threads by the thread whose number its value is
//! modulo `T`, so that a thread runs every `T`-th iteration of a longer loop.

use std::collections::BTreeSet;

use polyhedral::{Axis, CmpOp, Kernel};

use super::leaves::Scanned;
use crate::{Cond, Int, VarId};

/// The kernel that is being scanned.
pub(super) struct InKernel {
    pub(super) kernel: Kernel,
    /// For x, y and z the block's number and the value of loops that number 0 stands for.
    pub(super) block: [Option<(VarId, Int)>; 3],
    /// The thread's number, along axes with several.
    pub(super) thread: [Option<VarId>; 3],
    /// The loops around, by depth, of which a thread runs its own iterations only.
    pub(super) dealt: BTreeSet<usize>,
}

impl InKernel {
    /// The value, of those that a loop on an axis has from `lower` on, that this thread begins with, and the distance to
    /// the next one; none on an axis where all iterations are the same thread's.
    pub(super) fn own_iterations(&self, axis: Axis, lower: &Int) -> Option<(Int, i64)> {
        let Axis::Thread(at) = axis else { return None };
        let thread = Int::Var((*self.thread.get(usize::from(at))?)?);
        let threads = self.kernel.threads_on(axis);
        Some((lower.clone() + (thread - lower.clone()).modulo(threads), threads))
    }

    /// The thread's number along an axis with several.
    pub(super) fn thread_on(&self, axis: Axis) -> Option<VarId> {
        let Axis::Thread(at) = axis else { return None };
        *self.thread.get(usize::from(at))?
    }

    /// The block's or the thread's number along an axis; none along one without several.
    pub(super) fn number_on(&self, axis: Axis) -> Option<VarId> {
        match axis {
            Axis::Block(at) => self.block.get(usize::from(at))?.as_ref().map(|(var, _)| *var),
            _ => self.thread_on(axis),
        }
    }

    /// The value that loops on an axis of blocks have in this block.
    pub(super) fn own_block(&self, axis: Axis) -> Option<Int> {
        let Axis::Block(at) = axis else { return None };
        let (var, first) = self.block.get(usize::from(at))?.as_ref()?;
        Some(first.clone() + Int::Var(*var))
    }

    /// Whether an iteration of a loop on an axis is this thread's.
    pub(super) fn is_own(&self, axis: Axis, value: &Int) -> Cond {
        if let Some(own) = self.own_block(axis) {
            return Cond::compare(CmpOp::Eq, value.clone(), own);
        }
        match self.own_iterations(axis, &Int::Const(0)) {
            Some((first, threads)) => Cond::compare(CmpOp::Eq, value.clone().modulo(threads), first),
            None => Cond::always(),
        }
    }

    /// Whether this thread is the first along all axes on which none of these loops are.
    pub(super) fn is_first_beside(&self, loops: &[Scanned]) -> Cond {
        let free = |axis: Axis| !loops.iter().any(|one| one.kind.axis() == Some(axis));
        let blocks = (0u8..).zip(&self.block).map(|(at, own)| (Axis::Block(at), own.as_ref().map(|(var, _)| *var)));
        let threads = (0u8..).zip(&self.thread).map(|(at, own)| (Axis::Thread(at), *own));
        let first = blocks.chain(threads).filter(|(axis, _)| free(*axis)).filter_map(|(_, own)| own);
        Cond::all(first.map(|var| Cond::compare(CmpOp::Eq, Int::Var(var), Int::Const(0))))
    }
}
