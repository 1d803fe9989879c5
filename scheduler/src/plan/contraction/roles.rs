//! Which loops are the columns and the rows of the register tile.
//!
//! Lanes along the loop that the result is contiguous along need no work to load and store it. Another loop of the result
//! may be the better one all the same: it fills its lanes where that one is short, what moves along it may be packed
//! where the reads along that one lie at distances (the pictures of a convolution with a stride), and tiles may come out
//! even. The result then goes through a transposition in registers, once for each tile: cheap when the reduction is long.

use polyhedral::Access;

use super::Planner;
use crate::nest::Stride;
use crate::plan::extent_of;
use crate::registers::{self, Loads, RegisterTile};

/// What another loop for the columns has to save: the estimate does not see everything.
const GAIN: f64 = 0.05;
/// Cycles for one element of the result that is transposed in registers on its way to memory, or of an operand on its way
/// to a panel.
const TRANSPOSED: f64 = 0.5;
/// Cycles for one element that is moved from a lane by itself.
const FROM_LANE: f64 = 2.0;

/// The parts that loops and reads play in a register tile.
pub(super) struct Roles {
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// The reads that are packed, by position.
    pub(super) packed: Vec<usize>,
    /// Why others are not.
    pub(super) against: Vec<(&'static str, String)>,
    pub(super) loads: Loads,
    pub(super) tile: RegisterTile,
    /// Of one step of the reduction over all rows and columns.
    cycles: f64,
}

impl Planner<'_> {
    /// The roles with the least estimated time; those that are given, where the result is contiguous along the columns,
    /// unless others gain enough. Groups of steps have their roles already, and so has a loop that is two.
    pub(super) fn best_roles(&self, (columns, rows): (usize, usize), reduced: &[usize]) -> Roles {
        let given = self.roles((columns, rows), reduced);
        let is_line = self.all().any(|at| self.one(at).rows.is_some());
        if self.group.is_some() || is_line || self.all().any(|at| self.one(at).extent.is_none()) {
            return given;
        }
        let limit = self.time_of_roles(&given, reduced) * (1.0 - GAIN);
        let is_other = |at: &usize| *at != columns && !reduced.contains(at) && self.one(*at).coincident;
        let pairs = self.all().filter(is_other).flat_map(|columns| {
            self.candidates_for_rows(columns)
                .into_iter()
                .filter(|rows| !reduced.contains(rows))
                .map(move |rows| (columns, rows))
        });
        let others =
            pairs.map(|pair| self.roles(pair, reduced)).map(|roles| (self.time_of_roles(&roles, reduced), roles));
        let best = others.filter(|(time, _)| *time < limit).min_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map_or(given, |(_, roles)| roles)
    }

    fn roles(&self, (columns, rows): (usize, usize), reduced: &[usize]) -> Roles {
        let (packed, against) = self.worth_packing(rows, columns, reduced);
        let loads = self.loads_of_tile((rows, columns), reduced, &packed);
        let (rows_extent, columns_extent) = (self.one(rows).extent, self.one(columns).extent);
        let (cycles, tile) =
            registers::fastest(&self.target_for_groups(), self.bytes(), rows_extent, columns_extent, &loads);
        Roles { columns, rows, packed, against, loads, tile, cycles }
    }

    /// The loads of one step, and what else of the reads and of the result makes one shape of the tile better than another.
    fn loads_of_tile(&self, (rows, columns): (usize, usize), reduced: &[usize], packed: &[usize]) -> Loads {
        let is_turned = self.stmt.writes.iter().any(|write| self.stride(write, columns) > Stride::Unit);
        let steps = reduced.iter().map(|&at| extent_of(self.one(at))).fold(1, u64::saturating_mul);
        let is_far = |(at, read): &(usize, &Access)| {
            !packed.contains(at)
                && self.stride(read, columns) == Stride::Unit
                && self.stride(read, rows) == Stride::Constant
                && self.one(columns).rows.is_none()
                && self.comes_from_afar(read, columns, reduced)
        };
        let far = self.stmt.reads.iter().enumerate().filter(is_far);
        Loads {
            far_bytes: far.map(|(_, read)| self.scop.tensors[read.tensor].dtype.bytes()).sum(),
            several_steps: reduced.last().is_some_and(|&last| self.may_copy_steps(rows, last)),
            transposed_after: if is_turned { u32::try_from(steps).unwrap_or(u32::MAX) } else { 0 },
            ..self.loads(columns, Some(rows), packed)
        }
    }

    /// Cycles of the whole contraction, of which all extents are known: the steps of all tiles, the result on its way to
    /// memory, and the copies.
    pub(super) fn time_of_roles(&self, roles: &Roles, reduced: &[usize]) -> f64 {
        let others = self.all().filter(|at| ![roles.columns, roles.rows].contains(at));
        let steps: f64 = others.map(|at| extent_of(self.one(at)) as f64).product();
        steps * roles.cycles + self.time_of_result(roles, reduced) + self.time_of_packing(roles, reduced)
    }

    fn time_of_result(&self, roles: &Roles, reduced: &[usize]) -> f64 {
        let elements: f64 =
            self.all().filter(|at| !reduced.contains(at)).map(|at| extent_of(self.one(at)) as f64).product();
        let lanes = f64::from(roles.tile.lanes);
        let are_whole = extent_of(self.one(roles.columns)).is_multiple_of(u64::from(roles.tile.width()));
        let of_one = |write| match (self.stride(write, roles.columns), self.stride(write, roles.rows)) {
            (Stride::Constant | Stride::Unit, _) => 1.0 / lanes,
            (_, Stride::Unit) if are_whole => TRANSPOSED,
            _ => FROM_LANE,
        };
        elements * self.stmt.writes.iter().map(of_one).sum::<f64>() * self.passes(roles, reduced)
    }

    /// How often each element of the result goes to memory.
    fn passes(&self, roles: &Roles, reduced: &[usize]) -> f64 {
        let steps: u64 = reduced.iter().map(|&at| extent_of(self.one(at))).product();
        if self.is_done_at_once(roles.columns, reduced, &roles.tile, &roles.packed) {
            return 1.0;
        }
        2.0 * (steps as f64 / super::packing::DEEPEST as f64).ceil()
    }

    fn time_of_packing(&self, roles: &Roles, reduced: &[usize]) -> f64 {
        let lanes = f64::from(self.target.lanes(self.bytes()));
        let of_one = |&at: &usize| {
            let read = &self.stmt.reads[at];
            let moved = self.all().filter(|&of| self.stride(read, of) != Stride::Constant);
            let elements: f64 = moved.map(|of| extent_of(self.one(of)) as f64).product();
            let is_turned = roles.packed.contains(&at) && self.stride(read, roles.columns) != Stride::Unit;
            elements * (2.0 / lanes + if is_turned { TRANSPOSED } else { 0.0 })
        };
        let of_rows = match reduced.first() {
            Some(&strip) if !roles.packed.is_empty() => {
                self.row_packs(roles.rows, roles.columns, (strip, reduced), &roles.tile)
            }
            _ => Vec::new(),
        };
        roles.packed.iter().copied().chain(of_rows.into_iter().map(|(at, _)| at)).map(|at| of_one(&at)).sum()
    }
}
