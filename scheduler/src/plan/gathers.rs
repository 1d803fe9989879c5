//! Rows of a table that data chooses: no hardware foresees them, so they are asked for some iterations ahead.

use polyhedral::{Access, Subscript};

use super::{Planner, extent_of};
use crate::nest::Stride;

/// Lines on their way at once: as many as a core waits for without a stall.
const LINES: u64 = 32;
/// The most iterations ahead.
const FURTHEST: u64 = 16;
/// Iterations for each one that is ahead: those at the end of the loop are not asked for.
const SHARE: u64 = 4;

impl Planner<'_> {
    /// Asks for the rows to come of tables that are larger than the second cache, where a row fills lines of its own.
    pub(super) fn prefetch_rows_to_come(&mut self) {
        for at in 0..self.stmt.reads.len() {
            let read = &self.stmt.reads[at];
            let Some(loop_of_rows) = self.loop_of_rows(read) else { continue };
            let name = &self.scop.tensors[read.tensor].name;
            match self.ahead(read, loop_of_rows) {
                Ok(ahead) => self.plan.prefetches.push((read.tensor, self.plan.rest(loop_of_rows), ahead)),
                Err(why) => self.plan.remarks.push(("rows to come not prefetched", format!("`{name}`: {why}"))),
            }
        }
    }

    /// The innermost loop that moves what a read finds its row by; none for others, and for elements one by one.
    fn loop_of_rows(&self, read: &Access) -> Option<usize> {
        let is_found = |subscript: &Subscript| matches!(subscript, Subscript::Indirect(_));
        if !read.index.iter().any(is_found) || read.index.last().is_none_or(is_found) {
            return None;
        }
        let data = |at: &usize| {
            self.stmt
                .reads
                .iter()
                .filter(|other| other.affine().is_some() && other.tensor != read.tensor)
                .any(|other| self.stride(other, *at) != Stride::Constant)
        };
        self.all().rfind(data)
    }

    /// How many iterations ahead.
    fn ahead(&self, read: &Access, loop_of_rows: usize) -> Result<u32, String> {
        if self.plan.boxes[loop_of_rows].is_some() {
            return Err("several rows are asked for at once already".into());
        }
        let tensor = &self.scop.tensors[read.tensor];
        let extents: Option<Vec<u64>> =
            tensor.extent.iter().map(|extent| u64::try_from(extent.as_const()?).ok()).collect();
        let extents = extents.ok_or("its size is not known")?;
        let element = u64::from(tensor.dtype.bytes());
        let bytes = extents.iter().fold(element, |all, &extent| all.saturating_mul(extent));
        if bytes <= self.second_cache() {
            return Err(format!("{bytes} bytes fit the second cache"));
        }
        let row = extents.last().copied().unwrap_or(1) * element;
        let line = self.target.caches.first().map_or(64, |cache| u64::from(cache.line));
        if row < line {
            return Err(format!("a row has {row} bytes, less than a line"));
        }
        let ahead = (LINES * line / row).clamp(1, FURTHEST);
        let iterations = extent_of(self.one(loop_of_rows));
        if iterations < ahead * SHARE {
            return Err(format!("{iterations} iterations are too few to look {ahead} ahead"));
        }
        u32::try_from(ahead).map_err(|_| "rows are too many".into())
    }
}
