//! Statements that reduce nothing: maps, copies, transposes, stencils.

use super::{Box, Planner, extent_of};
use crate::nest::Stride;
use crate::registers;

/// Bytes of what a block of registers reads of a row at once.
const CHUNK: u32 = 16;
/// The least copies in a box that reads across its lanes.
const COPIES: u32 = 8;
/// A box wider than a register may waste one of so many elements of a row.
const WASTE: u64 = 16;
/// Vectors of independent work that keep a core's loads and stores going.
const VECTORS: u32 = 4;

impl Planner<'_> {
    /// Vectors along the columns; squares where a read is contiguous along another loop.
    pub(super) fn pointwise(&mut self, columns: usize) {
        match self.contiguous_across(columns) {
            Some(across) => self.transposed(columns, across),
            None => self.in_rows(columns),
        }
        self.stream(columns);
        self.parallel_outermost();
    }

    /// One row after the other.
    fn in_rows(&mut self, columns: usize) {
        self.remark_gathers(columns, &[]);
        let lanes = registers::lanes_for(self.target, self.bytes(), self.one(columns).extent);
        let lanes = match self.is_light() {
            true => self.widened(columns, lanes, VECTORS * lanes),
            false => lanes,
        };
        let lanes = self.lanes_that_fit(columns, lanes);
        if lanes > 1 {
            self.plan.boxes[columns] = Some(Box::Vector(lanes));
        }
        self.share_rows(columns, lanes);
        let outside = self.all().filter(|&at| at != columns);
        self.plan.order = outside.chain([columns]).map(|at| self.plan.rest(at)).collect();
    }

    /// Boxes that are two lines wide where they are written, and read as many lines: the copies next to each other are
    /// loaded as blocks and transposed in registers. The loop that reads contiguously is innermost, so that each of the
    /// lines that are read stays in the first cache until all of it is used. Measured on a Xeon with AVX-512 for elements of
    /// 1 to 8 bytes and matrices from 256² to 4096²: narrower boxes store half lines, wider ones read more lines at once
    /// than the sets of the first cache hold for rows that are a power of two apart.
    fn transposed(&mut self, columns: usize, across: usize) {
        let bytes = self.bytes().max(1);
        let line = self.target.caches.first().map_or(64, |cache| cache.line);
        let lanes = registers::lanes_for(self.target, bytes, self.one(columns).extent);
        let lanes = self.widened(columns, lanes, 2 * line / bytes);
        if lanes > 1 {
            self.plan.boxes[columns] = Some(Box::Vector(lanes));
        }
        let copies = COPIES.max(CHUNK / bytes).min(u32::try_from(extent_of(self.one(across))).unwrap_or(COPIES));
        if copies > 1 {
            self.plan.boxes[across] = Some(Box::Unroll(copies));
        }
        let outside = self.all().filter(|&at| at != columns && at != across);
        self.plan.order = outside.chain([columns, across]).map(|at| self.plan.rest(at)).collect();
    }

    /// The widest of `lanes`, twice as many, … up to `most` that wastes little of a row.
    fn widened(&self, columns: usize, lanes: u32, most: u32) -> u32 {
        let extent = extent_of(self.one(columns));
        let wasted = |lanes: u32| extent.next_multiple_of(lanes.into()) - extent;
        let wider = std::iter::successors(Some(lanes), |lanes| lanes.checked_mul(2));
        let fits = |lanes: &u32| *lanes == 1 || wasted(*lanes) * WASTE <= extent;
        wider.take_while(|&lanes| lanes <= most).filter(fits).last().unwrap_or(lanes)
    }

    /// Whether several vectors at once leave registers for all that an instance holds.
    fn is_light(&self) -> bool {
        let mut calls = false;
        for expr in self.stmt.body.exprs() {
            expr.visit(&mut |e| calls |= matches!(e, polyhedral::Expr::Call(..)));
        }
        !calls && self.stmt.accesses().count() as u32 * VECTORS <= self.target.vector_registers
    }

    /// A loop without dependences along which a read is contiguous that is not so along the columns.
    pub(super) fn contiguous_across(&self, columns: usize) -> Option<usize> {
        let mut crossing = self.stmt.reads.iter().filter(|read| self.stride(read, columns) == Stride::Strided);
        crossing.find_map(|read| {
            self.all().find(|&at| at != columns && self.one(at).coincident && self.stride(read, at) == Stride::Unit)
        })
    }
}
