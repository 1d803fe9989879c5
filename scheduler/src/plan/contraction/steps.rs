//! How many steps of a long reduction are copied out in one iteration.

use polyhedral::Access;

use super::{Planner, SHORT};
use crate::nest::Stride;
use crate::plan::{Box, Piece, extent_of};
use crate::registers::{Loads, RegisterTile, STEPS};

/// The most steps that are copied out so that nothing is left over.
const MOST: u64 = 4;

/// How many steps of so many can be copied out without any left over; 1 when there are none.
pub(super) fn even_steps(extent: u64) -> u64 {
    (u64::from(STEPS)..=MOST).find(|&by| extent.is_multiple_of(by)).unwrap_or(1)
}

impl Planner<'_> {
    /// Copies some steps of the innermost loop out, where the tile leaves registers for it. What is left over of them has
    /// loops of its own, and is avoided where a little more than wanted leaves nothing. A loop that is cut into strips has no
    /// such loops: what would be left over of its last strip is tested for in each step of all, and sums leave the registers.
    pub(super) fn several_steps(&mut self, rows: usize, tile: &RegisterTile, loads: &Loads) {
        let wanted = u64::from(tile.steps(self.target, loads));
        let Some(last) = self.plan.order.last().copied() else { return };
        let piece = self.plan.rest(last.of);
        let is_reduced = self.reduced().contains(&last.of) && self.plan.boxes[last.of].is_none();
        if wanted < 2 || !is_reduced || last != piece || !self.may_copy_steps(rows, last.of) {
            return;
        }
        let extent = extent_of(self.one(last.of));
        let strip = self.plan.cuts[last.of].last().map_or(extent, |&strip| extent.min(strip.into()));
        let divides = |by: &u64| extent.is_multiple_of(*by) && strip.is_multiple_of(*by);
        let even = (wanted..=MOST).find(divides);
        if even.is_none() && !self.plan.cuts[last.of].is_empty() {
            return;
        }
        self.plan.boxes[last.of] = Some(Box::Unroll(even.unwrap_or(wanted) as u32));
        if even.is_none() {
            self.plan.separate.push(Piece { of: last.of, level: self.plan.cuts[last.of].len() });
        }
    }

    /// Whether some steps of a loop over a reduction may be copied out: it is long enough, and no row reads in the next step
    /// what another one reads in this, which would keep many scalars in registers.
    pub(super) fn may_copy_steps(&self, rows: usize, reduced: usize) -> bool {
        let slides = |read: &Access| [rows, reduced].into_iter().all(|at| self.stride(read, at) == Stride::Unit);
        let is_long = self.one(reduced).extent.is_some() && extent_of(self.one(reduced)) > u64::from(SHORT) * 2;
        is_long && self.group.is_none() && !self.stmt.reads.iter().any(slides)
    }
}
