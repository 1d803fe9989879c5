//! Copies that go on by themselves, in CUDA C++; in OpenCL C there are none.

use polyhedral::TensorId;

use super::words::Helper;
use super::{Printer, Result};
use crate::At;
use crate::passes::Ranges;

impl Printer<'_> {
    /// An [`Op::Copy`](crate::Op::Copy): a whole vector, or element by element. Elements below four bytes are copied at once.
    pub(super) fn copy(
        &mut self,
        (to, to_at): (TensorId, &[At]),
        (from, from_at): (TensorId, &[At]),
        lanes: u32,
        ranges: &Ranges,
        depth: usize,
    ) -> Result<()> {
        let bytes = self.program.buffers[to].dtype.bytes();
        let vectors = [self.vector_at(to, to_at, lanes, ranges)?, self.vector_at(from, from_at, lanes, ranges)?];
        if let [Some(to), Some(from)] = vectors
            && let Some(helper) = Helper::copying(lanes * bytes)
        {
            self.copy_bytes(helper, &to.element, &from.element, depth);
            return Ok(());
        }
        for lane in 0..lanes {
            let [to, from] = [self.element_in(lane, to, to_at, ranges)?, self.element_in(lane, from, from_at, ranges)?];
            match Helper::copying(bytes) {
                Some(helper) => self.copy_bytes(helper, &to, &from, depth),
                None => self.line(depth, &format!("{to} = {from};")),
            }
        }
        Ok(())
    }

    fn copy_bytes(&mut self, helper: Helper, to: &str, from: &str, depth: usize) {
        self.helpers.insert(helper);
        self.line(depth, &format!("{}(&{to}, &{from});", helper.name()));
    }

    /// An [`Op::Wait`](crate::Op::Wait).
    pub(super) fn wait(&mut self, depth: usize) {
        self.helpers.insert(Helper::Awaited);
        self.line(depth, &format!("{}();", Helper::Awaited.name()));
    }
}
