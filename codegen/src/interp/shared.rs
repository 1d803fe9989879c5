//! Buffers of the workspace that have the same bytes: once something is stored to one of them, the others have nothing.

use polyhedral::{TensorId, Value as Scalar};
use support::Entity;

use super::{Fault, Run, scalar};
use crate::arena;

impl Run<'_> {
    /// Looks which buffers have bytes of each other.
    pub(super) fn find_shared(&mut self) -> Result<(), Fault> {
        let mut parts = Vec::new();
        for (id, buffer, offset) in arena::in_workspace(self.program) {
            let start = self.int(offset)?;
            parts.push((id, start..start + self.int(&arena::room(buffer))?));
        }
        self.shared = vec![Vec::new(); self.program.buffers.len()];
        for (id, part) in &parts {
            let meets = |other: &std::ops::Range<i64>| part.start < other.end && other.start < part.end;
            let others = parts.iter().filter(|(other, bytes)| other != id && meets(bytes));
            self.shared[id.index()] = others.map(|(other, _)| *other).collect();
        }
        Ok(())
    }

    /// Stores one element.
    pub(super) fn write(&mut self, buffer: TensorId, position: usize, value: Scalar) {
        self.memory[buffer.index()].elements[position] = value;
        for at in 0..self.shared[buffer.index()].len() {
            let other = self.shared[buffer.index()][at];
            let memory = &mut self.memory[other.index()];
            if std::mem::take(&mut memory.is_written) {
                memory.elements.fill(scalar::poison(self.program.buffers[other].dtype));
            }
        }
        self.memory[buffer.index()].is_written = true;
    }
}
