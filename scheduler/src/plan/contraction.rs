//! Contractions: reductions whose reads are shared by rows or columns of the result.

use polyhedral::Access;

use super::{Box, Planner, extent_of};
use crate::nest::Stride;
use crate::registers::{self, Loads};

/// The least and the most iterations in a strip of a reduction.
const STRIP: (u32, u32) = (64, 256);

impl Planner<'_> {
    /// A box of accumulators over the innermost reduction.
    pub(super) fn reduction(&mut self, columns: usize, reduced: &[usize]) {
        let rows = self.rows(columns);
        let loads = self.loads(columns, rows);
        if rows.is_none() {
            return self.sums(Some(columns), reduced);
        }
        self.remark_gathers(columns);
        let row_extent = rows.map_or(Some(1), |rows| self.one(rows).extent);
        let tile = registers::choose(self.target, self.bytes(), row_extent, self.one(columns).extent, &loads);
        self.plan.boxes[columns] = Some(Box::Vector(tile.width()));
        if let Some(rows) = rows.filter(|_| tile.rows > 1) {
            self.plan.boxes[rows] = Some(Box::Unroll(tile.rows));
        }
        if let (Some(rows), [reduced]) = (rows, reduced) {
            self.strips(rows, columns, *reduced, loads.shared_vectors + loads.shared_gathers);
        }
        self.order_of_reduction(rows, columns, reduced);
        self.parallel_reduction(rows, columns);
    }

    /// The loop for the rows of accumulators: without dependences, and the most reads that move along the columns stay
    /// the same in it; of several the innermost. None when no such read stays the same.
    pub(super) fn rows(&self, columns: usize) -> Option<usize> {
        let moving = |read: &&Access| self.stride(read, columns) != Stride::Constant;
        let shared = |at: usize| {
            self.stmt.reads.iter().filter(moving).filter(|read| self.stride(read, at) == Stride::Constant).count()
        };
        let candidates = self.all().filter(|&at| at != columns && self.one(at).coincident && shared(at) > 0);
        candidates.max_by_key(|&at| (shared(at), at))
    }

    pub(super) fn loads(&self, columns: usize, rows: Option<usize>) -> Loads {
        let mut loads = Loads::default();
        for read in &self.stmt.reads {
            let same_in_rows = rows.is_none_or(|rows| self.stride(read, rows) == Stride::Constant);
            let count = match (self.stride(read, columns), same_in_rows) {
                (Stride::Constant, _) => &mut loads.scalars,
                (Stride::Unit, true) => &mut loads.shared_vectors,
                (Stride::Unit, false) => &mut loads.own_vectors,
                (Stride::Strided | Stride::Irregular, true) => &mut loads.shared_gathers,
                (Stride::Strided | Stride::Irregular, false) => &mut loads.own_gathers,
            };
            *count += 1;
        }
        loads
    }

    /// Cuts a long reduction so that what all rows share of it stays in the second cache, and cuts the columns too when
    /// the shortest strip would not fit.
    pub(super) fn strips(&mut self, rows: usize, columns: usize, reduced: usize, shared: u32) {
        let bytes = u64::from(self.bytes()) * u64::from(shared);
        let Some(cache) = self.target.caches.get(1).or(self.target.caches.first()) else { return };
        let room = cache.bytes / 2 / bytes.max(1);
        let (width, depth) = (extent_of(self.one(columns)), extent_of(self.one(reduced)));
        let is_reused = extent_of(self.one(rows)) > u64::from(STRIP.0);
        if shared == 0 || !is_reused || width.saturating_mul(depth) <= room {
            return;
        }
        let strip = power_of_two_in(room / width.max(1), STRIP);
        if depth > u64::from(strip) * 3 / 2 {
            self.plan.cuts[reduced].push(strip);
        }
        let widest = power_of_two_in(room / u64::from(strip), (self.plan.lanes(), 1 << 20));
        if width > u64::from(widest) {
            self.plan.cuts[columns].push(widest);
        }
    }
}

/// The largest power of two up to `value`, inside the bounds.
fn power_of_two_in(value: u64, (least, most): (u32, u32)) -> u32 {
    let value = u32::try_from(value).unwrap_or(u32::MAX).clamp(1, most.max(1));
    let below = 1 << value.ilog2();
    below.max(least)
}
