//! Statements that reduce nothing: maps, copies, transposes, stencils.

use super::{Box, Piece, Planner, extent_of};
use crate::nest::Stride;
use crate::registers;

impl Planner<'_> {
    /// One vector at a time along the columns; squares where a read is contiguous along another loop.
    pub(super) fn pointwise(&mut self, columns: usize) {
        self.remark_gathers(columns, &[]);
        let lanes = registers::lanes_for(self.target, self.bytes(), self.one(columns).extent);
        let lanes = self.lanes_that_fit(columns, lanes);
        if lanes > 1 {
            self.plan.boxes[columns] = Some(Box::Vector(lanes));
        }
        let across = self.contiguous_across(columns);
        let line = self.target.caches.first().map_or(64, |cache| cache.line);
        let square = (2 * line / self.bytes().max(1)).max(lanes);
        if let Some(across) = across
            && extent_of(self.one(across)).min(extent_of(self.one(columns))) >= 2 * u64::from(square)
        {
            self.plan.cuts[across].push(square);
            self.plan.cuts[columns].push(square);
        }
        if across.is_none() {
            self.share_rows(columns, lanes);
        }
        let cut = self.all().filter(|&at| !self.plan.cuts[at].is_empty());
        let outside = self.all().filter(|at| *at != columns && self.plan.cuts[*at].is_empty());
        let order = outside.map(|at| self.plan.rest(at)).chain(cut.map(|of| Piece { of, level: 0 }));
        let inside = across.filter(|&at| !self.plan.cuts[at].is_empty()).into_iter().chain([columns]);
        self.plan.order = order.chain(inside.map(|at| self.plan.rest(at))).collect();
        self.parallel_outermost();
    }

    /// A loop without dependences along which a read is contiguous that is not so along the columns.
    pub(super) fn contiguous_across(&self, columns: usize) -> Option<usize> {
        let mut crossing = self.stmt.reads.iter().filter(|read| self.stride(read, columns) == Stride::Strided);
        crossing.find_map(|read| {
            self.all().find(|&at| at != columns && self.one(at).coincident && self.stride(read, at) == Stride::Unit)
        })
    }
}
