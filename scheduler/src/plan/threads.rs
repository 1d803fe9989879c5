//! Which loop runs on several threads.

use super::{Piece, Planner, extent_of};
use crate::cost;
use crate::nest::Stride;

impl Planner<'_> {
    /// The first loop with enough iterations for all threads, else the one with the most; a loop over boxes gets strips
    /// for threads of its own when it is not outermost already.
    pub(super) fn parallel_reduction(&mut self, rows: Option<usize>, columns: usize) {
        if !self.is_worth_threads() {
            return;
        }
        let candidates = self.plan.order.iter().map(|piece| piece.of);
        let candidates: Vec<(usize, u64)> = candidates
            .filter(|&at| self.one(at).coincident)
            .map(|at| (at, extent_of(self.one(at)).div_ceil(self.in_box(at))))
            .collect();
        let Some(chosen) = self.enough_for_threads(&candidates) else { return };
        let is_boxed = rows == Some(chosen) || columns == chosen;
        let has_strips = self.plan.cuts.iter().any(|cuts| !cuts.is_empty());
        if is_boxed && has_strips {
            let whole = extent_of(self.one(chosen)).div_ceil(u64::from(self.target.threads) * 2);
            let chunk = whole.next_multiple_of(self.in_box(chosen)).max(1);
            self.plan.cuts[chosen].insert(0, u32::try_from(chunk).unwrap_or(1 << 20));
            self.plan.order.iter_mut().filter(|piece| piece.of == chosen).for_each(|piece| piece.level += 1);
            self.plan.order.insert(0, Piece { of: chosen, level: 0 });
        } else {
            self.move_out(chosen);
        }
        self.plan.parallel = self.plan.order.first().copied();
    }

    pub(super) fn move_out(&mut self, chosen: usize) {
        self.move_to(chosen, 0);
    }

    /// Makes the outermost piece of a loop the one at that place from outside.
    fn move_to(&mut self, chosen: usize, place: usize) {
        if let Some(at) = self.plan.order.iter().position(|piece| piece.of == chosen) {
            let piece = self.plan.order.remove(at);
            self.plan.order.insert(place, piece);
        }
    }

    /// The outermost loop without dependences that has enough iterations and enough work each time it starts; it may be
    /// inside of loops with dependences.
    pub(super) fn parallel_outermost(&mut self) {
        let serial = self.plan.order.iter().position(|piece| self.one(piece.of).coincident).unwrap_or(0);
        if !self.is_worth_threads_inside(serial) {
            return;
        }
        let candidates: Vec<(usize, u64)> = self.plan.order[serial..]
            .iter()
            .take_while(|piece| self.one(piece.of).coincident)
            .filter(|piece| piece.level == 0)
            .map(|piece| (piece.of, extent_of(self.one(piece.of)).div_ceil(self.first_size(piece.of))))
            .collect();
        let Some(chosen) = self.enough_for_threads(&candidates) else { return };
        self.move_to(chosen, serial);
        self.plan.parallel = self.plan.order.get(serial).copied();
    }

    /// What would be packed once for all is packed by each thread for itself, where that is its own part or there is one
    /// strip for each thread: one thread alone would keep the others waiting, and they would then find it in the
    /// cache of another core, and take it from there again for each call.
    pub(super) fn packs_of_threads(&mut self) {
        let Some(parallel) = self.plan.parallel else { return };
        let strips = extent_of(self.one(parallel.of)).div_ceil(self.size_of(parallel).max(1));
        let is_one_each = strips <= u64::from(self.target.threads);
        for at in 0..self.plan.packs.len() {
            let tensor = self.plan.packs[at].tensor;
            let reads = self.stmt.reads.iter().filter(|read| read.tensor == tensor);
            let has_parts = reads.into_iter().all(|read| self.stride(read, parallel.of) != Stride::Constant);
            if has_parts || is_one_each {
                self.plan.packs[at].at.get_or_insert(parallel);
            }
        }
    }

    /// Iterations of a loop in one iteration of a piece.
    fn size_of(&self, piece: Piece) -> u64 {
        self.plan.cuts[piece.of].get(piece.level).map_or_else(|| self.in_box(piece.of), |&size| size.into())
    }

    pub(super) fn enough_for_threads(&mut self, candidates: &[(usize, u64)]) -> Option<usize> {
        let enough = u64::from(self.target.threads) * 2;
        let first = candidates.iter().find(|(_, count)| *count >= enough);
        let chosen = first.or_else(|| candidates.iter().rev().max_by_key(|(_, count)| *count));
        let why = match chosen {
            None => "every outer loop carries a dependence",
            Some((_, 0 | 1)) => "no outer loop without dependences has two iterations",
            Some((at, _)) => return Some(*at),
        };
        self.plan.remarks.push(("not parallel", why.into()));
        None
    }

    pub(super) fn is_worth_threads(&mut self) -> bool {
        self.is_worth_threads_inside(0)
    }

    /// Whether what is inside of so many pieces from outside is worth threads each time it starts.
    fn is_worth_threads_inside(&mut self, pieces: usize) -> bool {
        if self.target.threads <= 1 || !self.around.is_empty() {
            return false;
        }
        let starts = self.plan.order[..pieces].iter().map(|piece| extent_of(self.one(piece.of)).max(1));
        let starts = starts.fold(1, u64::saturating_mul);
        let cycles = cost::cycles(self.scop, self.target, self.nest, &self.plan.boxes) / starts;
        let is_worth = cycles >= cost::grain(self.target);
        if !is_worth {
            self.plan.remarks.push(("not parallel", cost::too_small(cycles)));
        }
        is_worth
    }
}
