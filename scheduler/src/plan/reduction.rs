//! Reductions whose reads no rows share, and the order of loops of all reductions.

use super::{Box, Piece, Planner, extent_of};

/// Independent sums that hide the latency of an addition.
const INDEPENDENT_SUMS: u32 = 8;

impl Planner<'_> {
    /// Without neighbours to load together: several scalar sums at once.
    pub(super) fn independent_sums(&mut self, columns: usize, reduced: &[usize]) {
        self.plan.remarks.push((
            "not vectorised",
            "its reads are contiguous along the reduction only, and lanes would need partial sums".into(),
        ));
        let sums = u32::try_from(extent_of(self.one(columns))).unwrap_or(u32::MAX).min(INDEPENDENT_SUMS);
        if sums > 1 {
            self.plan.boxes[columns] = Some(Box::Unroll(sums));
        }
        self.order_of_reduction(None, columns, reduced);
        self.parallel_reduction(None, columns);
    }

    /// Loops without a part in the box, then strips, then the loops over boxes, then the reduction: accumulators stay
    /// where they are while it runs.
    pub(super) fn order_of_reduction(&mut self, rows: Option<usize>, columns: usize, reduced: &[usize]) {
        let outside = self.all().filter(|at| Some(*at) != rows && *at != columns && !reduced.contains(at));
        let cut = [columns].into_iter().chain(reduced.iter().copied()).filter(|&at| !self.plan.cuts[at].is_empty());
        let order = outside.map(|at| self.plan.rest(at));
        let order = order.chain(cut.map(|of| Piece { of, level: 0 }));
        let order = order.chain(rows.into_iter().chain([columns]).map(|at| self.plan.rest(at)));
        self.plan.order = order.chain(reduced.iter().map(|&at| self.plan.rest(at))).collect();
    }
}
