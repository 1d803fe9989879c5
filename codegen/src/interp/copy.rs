//! Copies that go on by themselves: each element arrives at the last moment, with what was there at the first one or at the
//! last, and whoever touches it in between is found.

use polyhedral::{TensorId, Value as Scalar};
use support::Entity;

use super::kernel::Watch;
use super::{Fault, Run, of_lane, scalar};
use crate::At;

/// An element that a thread has begun to copy.
pub(super) struct UnderWay {
    thread: usize,
    from: (TensorId, usize),
    /// What it will be, if it has been read already.
    read: Option<Scalar>,
}

impl Run<'_> {
    /// An [`Op::Copy`](crate::Op::Copy).
    pub(super) fn copy(
        &mut self,
        (to, to_at): (TensorId, &[At]),
        (from, from_at): (TensorId, &[At]),
        lanes: u32,
    ) -> Result<(), Fault> {
        let (to_at, from_at) = (self.subscripts(to_at, lanes)?, self.subscripts(from_at, lanes)?);
        for lane in 0..lanes as usize {
            let source = self.position(from, &of_lane(&from_at, lane))?;
            let target = self.position(to, &of_lane(&to_at, lane))?;
            self.watched(from, source, false)?;
            self.watched(to, target, true)?;
            let at_once = self.draw().is_multiple_of(2);
            let read = at_once.then(|| self.memory[from.index()].elements[source]);
            let mut watch = self.watch.borrow_mut();
            let watch = watch.as_mut().ok_or_else(|| Fault::Malformed("a copy outside of a kernel".into()))?;
            watch.copies.insert((to.index(), target), UnderWay { thread: watch.thread(), from: (from, source), read });
            self.memory[to.index()].elements[target] = scalar::poison(self.program.buffers[to].dtype);
        }
        Ok(())
    }

    /// An [`Op::Wait`](crate::Op::Wait): what the thread has begun to copy arrives.
    pub(super) fn wait(&mut self) -> Result<(), Fault> {
        let own = self.watch.borrow_mut().as_mut().map(Watch::arrived).unwrap_or_default();
        for ((to, target), UnderWay { from: (from, source), read, .. }) in own {
            self.watched(from, source, false)?;
            self.watched(TensorId::new(to), target, true)?;
            let value = read.unwrap_or(self.memory[from.index()].elements[source]);
            self.memory[to].elements[target] = value;
        }
        Ok(())
    }
}

impl Watch {
    /// Takes the copies of the thread that runs, by where they go.
    fn arrived(&mut self) -> Vec<((usize, usize), UnderWay)> {
        let thread = self.thread();
        let own: Vec<_> = self.copies.iter().filter(|(_, copy)| copy.thread == thread).map(|(to, _)| *to).collect();
        own.into_iter().filter_map(|to| Some((to, self.copies.remove(&to)?))).collect()
    }

    /// Whether an access would find a copy before it is there, or take away what it copies.
    pub(super) fn is_under_way(&self, buffer: TensorId, position: usize, writes: bool) -> bool {
        let mut sources = self.copies.values().map(|copy| copy.from);
        self.copies.contains_key(&(buffer.index(), position))
            || writes && sources.any(|from| from == (buffer, position))
    }
}
