//! How large tiles are: what the second cache holds, in rows that the first one holds.

use transform::Session;

use super::Time;
use super::distances::Space;
use crate::nest;

/// Steps and lengths of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Values of the function along each direction in a tile; none where the direction is not cut.
    pub(super) along: Vec<Option<i64>>,
    /// Slopes that a tile is high: the steps in it, times the slope along the first direction.
    pub(super) height: i64,
    /// Lanes of vectors.
    pub(super) lanes: u32,
    /// Copies of the loop over rows, where they share loads.
    pub(super) rows: Option<u32>,
}

/// Rows that are in use at once: three that are read, and the one that is written.
const ROWS: u64 = 4;
/// A tile has half of a cache: the next one comes in while it is in use.
const SHARE: u64 = 2;
/// Steps below which there is nothing to gain.
const FEWEST: i64 = 4;
/// Vectors in which the rows of one dimension run: one after the other would wait for the loop's own instructions.
const VECTORS: u32 = 4;
/// Copies of a row in the plane: the loads that they share outnumber those of one.
const COPIES: u32 = 4;

impl Sizes {
    /// The sizes for a space, where tiles are to be made.
    pub(super) fn of(session: &Session, space: &Space, when: Time) -> Option<Sizes> {
        let (scop, target) = (session.scop(), session.target());
        let element = |id: &_| u64::from(scop.tensors[*id].dtype.bytes());
        let each: u64 = space.tensors.iter().map(element).sum();
        let widest = space.tensors.iter().map(element).max()?;
        let lanes = target.lanes(u32::try_from(widest).ok()?);
        if when == Time::Always {
            // So small that there are several in a small space.
            let along = (0..space.rank).map(|at| (at == 0 || at + 1 == space.rank).then_some(4)).collect();
            return Some(Sizes { along, height: 4, lanes: lanes.min(2), rows: (space.rank == 2).then_some(2) });
        }
        let cache = |level: usize, otherwise: u64| target.caches.get(level).map_or(otherwise, |cache| cache.bytes);
        let (first, second) = (cache(0, 1 << 15), cache(1, 1 << 20));
        let bytes: u64 = space.tensors.iter().map(|id| nest::bytes(scop, *id, 0)).sum();
        if bytes <= second || space.steps < FEWEST {
            return None;
        }
        let last = *space.extents.last()?;
        if last < i64::from(lanes) {
            return None;
        }
        if space.rank == 1 {
            let length = power_of_two(first / SHARE / each).max(64);
            let along = vec![Some(length)];
            return (last >= 4 * length).then_some(Sizes {
                along,
                height: length / 4,
                lanes: lanes * VECTORS,
                rows: None,
            });
        }
        // A row that is about as long as a strip is not cut.
        let strip = power_of_two(first / SHARE / (ROWS * widest)).max(i64::from(lanes));
        let (row, cut) = if last <= 2 * strip { (last, None) } else { (strip, Some(strip)) };
        // In each direction across rows a tile is as wide as it is high, and leans by its height.
        let rows = second / SHARE / each / row.unsigned_abs().max(1);
        let width = if space.rank == 2 { power_of_two(rows / 2) } else { power_of_two((2 * rows).isqrt()) };
        let width = width.clamp(8, 256);
        if space.extents[0] < 4 * width {
            return None;
        }
        let mut along = vec![Some(width); space.rank - 1];
        along.push(cut);
        Some(Sizes { along, height: width, lanes, rows: (space.rank == 2).then_some(COPIES) })
    }
}

/// The largest power of two that is not larger, at least 1.
fn power_of_two(n: u64) -> i64 {
    1 << n.max(1).ilog2()
}
