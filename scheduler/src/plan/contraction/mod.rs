//! Contractions: reductions whose reads are shared by rows or columns of the result.
//!
//! The blocking of Goto and van de Geijn (TOMS 2008) with the sizes of the analytic model of Low, Igual, Smith and
//! Quintana-Ortí (TOMS 2016), for any access relations: rows are what the reads that move along the columns are the same
//! for. Columns are what the result is contiguous along, or another of its loops where [`roles`] expects that to be faster.
//!
//! ```text
//! for outer                                    loops of a batch, positions of a window
//!   for no by nc, ko by kc                     what is packed stays in the last cache
//!     pack B[ko, no]                           when its rows are far apart or its lanes are
//!     for mo by mc                             what is read of A stays in the second cache
//!       for n by vectors, m by copies          a panel of B stays in the first cache
//!         for k                                accumulators stay in registers
//! ```

mod groups;
mod packing;
mod roles;
mod steps;

pub(super) use groups::Group;
use polyhedral::Access;
use support::Target;

use super::{Box, Piece, Planner, extent_of};
use crate::nest::Stride;
use crate::registers::{Loads, RegisterTile};
use roles::Roles;

/// The least and the most iterations in a strip of a reduction.
const STRIP: (u32, u32) = (64, 256);
/// A reduction with so many iterations is copied out.
const SHORT: u32 = 4;
/// Registers that may be too few by so many: what is in memory beside them is loaded with the arithmetic.
const SPILLED: u32 = 4;

impl Planner<'_> {
    /// A box of accumulators over the innermost reduction; the result is contiguous along `columns`.
    pub(super) fn reduction(&mut self, columns: usize, reduced: &[usize]) {
        let Some(rows) = self.rows(columns) else {
            self.sums(Some(columns), reduced);
            return self.short_steps(None);
        };
        self.group = self.group(rows, columns, reduced);
        let reduced = self.groups_first(reduced);
        let reduced = reduced.as_slice();
        let roles = self.best_roles((columns, rows), reduced);
        let is_known = self.all().all(|at| self.one(at).extent.is_some());
        self.plan.cycles = is_known.then(|| self.time_of_roles(&roles, reduced));
        let Roles { columns, rows, packed, against, loads, tile, .. } = roles;
        self.plan.remarks.extend(against);
        self.remark_gathers(columns, &packed);
        self.plan.boxes[columns] = Some(Box::Vector(tile.width()));
        if tile.rows > 1 {
            self.plan.boxes[rows] = Some(Box::Unroll(tile.rows));
        }
        match packed.is_empty() {
            false => self.packed_reduction(rows, columns, reduced, &tile, &packed),
            true => {
                if let [reduced] = reduced {
                    self.strips(rows, columns, *reduced, loads.shared_vectors + loads.shared_gathers);
                }
                self.order_of_reduction(Some(rows), columns, reduced);
                if self.columns_stream(rows, columns, reduced, &tile) {
                    let place = |of| self.plan.order.iter().position(|piece| *piece == self.plan.rest(of));
                    if let (Some(a), Some(b)) = (place(rows), place(columns)) {
                        self.plan.order.swap(a, b);
                    }
                }
                self.parallel_reduction(Some(rows), columns);
            }
        }
        self.edges(rows, &tile);
        self.short_steps(Some((rows, &tile)));
        self.several_steps(rows, &tile, &loads);
    }

    /// The loop whose steps are added in groups before the others: it becomes the innermost one.
    fn groups_first(&self, reduced: &[usize]) -> Vec<usize> {
        let mut loops = reduced.to_vec();
        if let Some(Group { step, .. }) = self.group {
            loops.sort_by_key(|&at| at != step);
        }
        loops
    }

    /// The target without the registers that groups need for more than sums.
    pub(super) fn target_for_groups(&self) -> Target {
        let taken = self.group.map_or(0, |group| group.registers);
        Target { vector_registers: self.target.vector_registers.saturating_sub(taken).max(4), ..self.target.clone() }
    }

    /// Copies a short innermost reduction out: a loop of three iterations costs a mispredicted branch each time.
    ///
    /// Where rows of one copy read the scalars of another (a window that slides), they are loaded once and stay in
    /// registers: too many of them would push accumulators out.
    fn short_steps(&mut self, tile: Option<(usize, &RegisterTile)>) {
        let Some(last) = self.plan.order.last().copied() else { return };
        let extent = self.one(last.of).extent.and_then(|extent| u32::try_from(extent).ok());
        let is_alone = self.plan.order.len() <= 1 || last.level > 0 || self.plan.parallel == Some(last);
        let Some(extent @ 2..=SHORT) = extent.filter(|_| !is_alone) else { return };
        if self.plan.boxes[last.of].is_some() || !self.reduced().contains(&last.of) {
            return;
        }
        if let Some((rows, tile)) = tile {
            let slides = |read: &&Access| [rows, last.of].into_iter().all(|at| self.stride(read, at) == Stride::Unit);
            let windows = self.stmt.reads.iter().filter(slides).count() as u32;
            let registers = (tile.rows + 1) * tile.vectors + windows * (tile.rows + extent - 1);
            if windows > 0 && registers > self.target.vector_registers + SPILLED {
                let name = &self.one(last.of).name;
                let why = format!("{registers} registers would be in use: `{name}` is not copied out");
                return self.plan.remarks.push(("not unrolled", why));
            }
        }
        self.plan.boxes[last.of] = Some(Box::Unroll(extent));
    }

    /// The loop for the rows of accumulators: without dependences, and the most reads that move along the columns stay
    /// the same in it; of several the innermost. None when no such read stays the same.
    pub(super) fn rows(&self, columns: usize) -> Option<usize> {
        self.candidates_for_rows(columns).last().copied()
    }

    /// The loops that equally many reads are shared along, outermost first.
    fn candidates_for_rows(&self, columns: usize) -> Vec<usize> {
        let moving = |read: &&Access| self.stride(read, columns) != Stride::Constant;
        let shared = |at: usize| {
            self.stmt.reads.iter().filter(moving).filter(|read| self.stride(read, at) == Stride::Constant).count()
        };
        let most = self.all().filter(|&at| at != columns && self.one(at).coincident).map(shared).max().unwrap_or(0);
        let is_best = |at: &usize| *at != columns && self.one(*at).coincident && shared(*at) == most;
        if most == 0 { Vec::new() } else { self.all().filter(is_best).collect() }
    }

    /// The loads of one step; reads that are `packed` are contiguous.
    fn loads(&self, columns: usize, rows: Option<usize>, packed: &[usize]) -> Loads {
        let mut loads = Loads::default();
        for (at, read) in self.stmt.reads.iter().enumerate() {
            let same_in_rows = rows.is_none_or(|rows| self.stride(read, rows) == Stride::Constant);
            let count = match (self.stride(read, columns), same_in_rows) {
                (Stride::Constant, _) => &mut loads.scalars,
                (Stride::Unit, true) => &mut loads.shared_vectors,
                _ if packed.contains(&at) => &mut loads.shared_vectors,
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
    fn strips(&mut self, rows: usize, columns: usize, reduced: usize, shared: u32) {
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

    /// Whether what is read along the columns would come from behind the second cache for each box of rows, while the part of it
    /// that one box of columns reads stays there, and so does all that is read along the rows.
    fn columns_stream(&self, rows: usize, columns: usize, reduced: &[usize], tile: &RegisterTile) -> bool {
        let room = self.second_cache() / 4;
        let steps: u64 = reduced.iter().map(|&at| extent_of(self.one(at))).product();
        let panel = steps.saturating_mul(u64::from(tile.width()) * u64::from(self.bytes()));
        let moves = |read: &Access, at| self.stride(read, at) != Stride::Constant;
        let is_large = |read: &Access| {
            moves(read, columns) && !moves(read, rows) && self.footprint(read, columns, reduced) > self.second_cache()
        };
        let is_small = |read: &Access| moves(read, columns) || self.footprint(read, rows, reduced) <= room;
        let is_whole = [rows, columns].iter().all(|&at| self.plan.cuts[at].is_empty());
        is_whole && panel <= room && self.stmt.reads.iter().any(is_large) && self.stmt.reads.iter().all(is_small)
    }

    /// The rows that are left over get loops of their own, where they are one smaller box of registers.
    fn edges(&mut self, rows: usize, tile: &RegisterTile) {
        let is_cut = self.one(rows).extent.is_some_and(|extent| extent % i64::from(tile.rows) != 0);
        if is_cut {
            let level = self.plan.cuts[rows].len();
            self.plan.separate.push(Piece { of: rows, level });
        }
    }
}

/// The largest power of two up to `value`, inside the bounds.
fn power_of_two_in(value: u64, (least, most): (u32, u32)) -> u32 {
    let value = u32::try_from(value).unwrap_or(u32::MAX).clamp(1, most.max(1));
    let below = 1 << value.ilog2();
    below.max(least)
}
