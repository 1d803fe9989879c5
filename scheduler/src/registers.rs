//! The register tile of a reduction: how many rows of how many vectors are accumulated at once.
//!
//! After the analytic model of Low, Igual, Smith, Quintana-Ortí (TOMS 2016), widened to loads that are not contiguous
//! and to extents that the tile does not divide.

use support::Target;

/// What a reduction loads, by how the loads move along the rows and the lanes of a tile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loads {
    /// Contiguous along the lanes, the same in every row: one vector for all rows.
    pub(crate) shared_vectors: u32,
    /// The same, but gathered lane by lane.
    pub(crate) shared_gathers: u32,
    /// Contiguous along the lanes, and different in each row.
    pub(crate) own_vectors: u32,
    /// Different in each row, gathered lane by lane.
    pub(crate) own_gathers: u32,
    /// The same in every lane: one scalar a row.
    pub(crate) scalars: u32,
    /// Bytes of one lane, of the vectors that all rows share, that come from behind the second cache.
    pub(crate) far_bytes: u32,
    /// Whether steps of the reduction may be copied out.
    pub(crate) several_steps: bool,
    /// Steps after which the tile is transposed on its way to memory; 0 where its rows are stored as they are.
    pub(crate) transposed_after: u32,
}

/// A box of accumulators: `rows` of `vectors`, each of `lanes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisterTile {
    /// Copies of the row loop.
    pub(crate) rows: u32,
    /// Vector registers of one row.
    pub(crate) vectors: u32,
    /// Lanes of a vector register that are used.
    pub(crate) lanes: u32,
}

impl RegisterTile {
    /// Elements of one row.
    pub(crate) fn width(&self) -> u32 {
        self.vectors * self.lanes
    }

    /// How many steps of the reduction are copied out in one iteration: fewer instructions of the loop itself. LLVM loads
    /// the vectors of the second step while those of the first one are in use, so an eighth of the registers must be
    /// left; with one vector in a row it does so with all scalars, for which there is never enough room.
    pub(crate) fn steps(&self, target: &Target, loads: &Loads) -> u32 {
        let shared = (loads.shared_vectors + loads.shared_gathers) * self.vectors;
        let room = target.vector_registers - target.vector_registers / 8;
        let are_plain = loads.shared_vectors == 1 && loads.own_vectors + loads.own_gathers + loads.shared_gathers == 0;
        if loads.several_steps && are_plain && self.vectors > 1 && self.rows * self.vectors + shared <= room {
            STEPS
        } else {
            1
        }
    }
}

/// What loops of their own for left over rows cost, in boxes: code, and proofs at compile time.
const EDGE: f64 = 0.25;
/// What one iteration of the loop over a reduction costs apart from its loads and its arithmetic, in cycles.
const STEP: f64 = 1.5;
/// What each load costs beside the arithmetic that hides it, in cycles: a core that loads all the time runs at a lower
/// clock, and a line that is late is waited for. And for each shared vector: these come from further away than scalars.
const LOAD: (f64, f64) = (0.15, 0.1);
/// Steps of a reduction in one iteration, where registers allow.
pub(crate) const STEPS: u32 = 2;
/// Loads that start in one cycle.
const LOADS_PER_CYCLE: f64 = 2.0;
/// A vector load against a scalar one: vectors stream from further away, scalars stay in the first cache.
const VECTOR_LOAD: f64 = 2.0;
/// A scalar that is spread over a vector as it is loaded: as fast in theory, but boxes of one vector of columns, which load
/// one for each multiplication, were measured to take a quarter longer than loads in pairs.
const SCALAR_LOAD: f64 = 1.25;
/// Bytes that come from behind the second cache in one cycle.
const FAR_BYTES_PER_CYCLE: f64 = 10.0;
/// One lane of a gather: a load and an insertion.
const GATHERED_LANE: f64 = 1.5;

/// The tile with the least estimated time for elements of `bytes`, and that time without transpositions: the cycles of one
/// step of the reduction over all rows and columns; where an extent is `None`, for each iteration along it.
pub(crate) fn fastest(
    target: &Target,
    bytes: u32,
    rows: Option<i64>,
    columns: Option<i64>,
    loads: &Loads,
) -> (f64, RegisterTile) {
    let full = lanes_for(target, bytes, columns);
    let most_rows = rows.map_or(u32::MAX, |rows| u32::try_from(rows.max(1)).unwrap_or(u32::MAX));
    let mut best: Option<(f64, RegisterTile)> = None;
    // Narrower vectors waste lanes, but may leave no box cut.
    for lanes in [full / 4, full / 2, full].into_iter().filter(|&lanes| lanes > 0) {
        for vectors in [4, 2, 1] {
            for rows_here in 1..=target.vector_registers.min(most_rows) {
                let tile = RegisterTile { rows: rows_here, vectors, lanes };
                if !fits(target, &tile, loads) || (vectors > 1 && columns.is_some_and(|n| n <= i64::from(lanes))) {
                    continue;
                }
                let time = blocks(columns, tile.width()) * time_of_rows(target, &tile, rows, loads);
                // Of equals the later one wins: fewer vectors stream in for more rows of scalars.
                if best.as_ref().is_none_or(|(least, _)| time <= *least * 1.000_001) {
                    best = Some((time, tile));
                }
            }
        }
    }
    let Some((_, tile)) = best else { return (f64::INFINITY, RegisterTile { rows: 1, vectors: 1, lanes: full }) };
    let stored_as_it_is = Loads { transposed_after: 0, ..*loads };
    (blocks(columns, tile.width()) * time_of_rows(target, &tile, rows, &stored_as_it_is), tile)
}

/// A full vector, or the power of two that holds a short loop.
pub(crate) fn lanes_for(target: &Target, bytes: u32, columns: Option<i64>) -> u32 {
    let full = target.lanes(bytes);
    let short = columns.and_then(|n| u32::try_from(n).ok()).map(|n| n.max(1).next_power_of_two());
    short.map_or(full, |short| short.min(full))
}

/// Accumulators, the vectors that all rows share, and one more for what a row loads.
fn fits(target: &Target, tile: &RegisterTile, loads: &Loads) -> bool {
    let shared = (loads.shared_vectors + loads.shared_gathers) * tile.vectors;
    tile.rows * tile.vectors + shared < target.vector_registers
}

/// Boxes of `size` in `extent`, the masked one as one more; for an unknown extent, boxes per element.
fn blocks(extent: Option<i64>, size: u32) -> f64 {
    let Some(extent) = extent else { return 1.0 / f64::from(size) };
    (extent as f64 / f64::from(size)).ceil()
}

/// Cycles of one step over all rows: whole boxes, and a smaller one for the rows that are left over. For an unknown
/// extent, cycles per row.
fn time_of_rows(target: &Target, tile: &RegisterTile, rows: Option<i64>, loads: &Loads) -> f64 {
    let time = |tile: &RegisterTile| cycles(target, tile, loads) + step(target, tile, loads);
    let whole = time(tile);
    let Some(rows) = rows else { return whole / f64::from(tile.rows) };
    let left = u32::try_from(rows % i64::from(tile.rows)).unwrap_or(0);
    let boxes = (rows / i64::from(tile.rows)) as f64;
    let edge = match left {
        0 => 0.0,
        left => time(&RegisterTile { rows: left, ..*tile }) + EDGE * whole,
    };
    boxes * whole + edge
}

/// What one step costs that its arithmetic does not hide.
fn step(target: &Target, tile: &RegisterTile, loads: &Loads) -> f64 {
    let vectors = f64::from(tile.vectors * loads.shared_vectors);
    let scalars = f64::from(tile.rows * loads.scalars);
    STEP / f64::from(tile.steps(target, loads))
        + LOAD.0 * (vectors + scalars)
        + LOAD.1 * vectors
        + transposition(tile, loads)
}

/// What a step has of the transposition after the last one: for each square of lanes as many shuffles as it has vectors,
/// as often as lanes can be halved, however many of its rows are there.
fn transposition(tile: &RegisterTile, loads: &Loads) -> f64 {
    if loads.transposed_after == 0 {
        return 0.0;
    }
    let squares = tile.vectors * tile.rows.div_ceil(tile.lanes.max(1));
    f64::from(squares * tile.lanes * tile.lanes.max(1).ilog2()) / f64::from(loads.transposed_after)
}

/// Cycles of one step of the reduction over the whole tile.
fn cycles(target: &Target, tile: &RegisterTile, loads: &Loads) -> f64 {
    let accumulators = f64::from(tile.rows * tile.vectors);
    let lanes = f64::from(tile.lanes);
    let each =
        |vectors: u32, gathers: u32| f64::from(vectors) * VECTOR_LOAD + f64::from(gathers) * lanes * GATHERED_LANE;
    let loaded = f64::from(tile.vectors) * each(loads.shared_vectors, loads.shared_gathers)
        + accumulators * each(loads.own_vectors, loads.own_gathers)
        + f64::from(tile.rows) * f64::from(loads.scalars) * SCALAR_LOAD;
    let arithmetic = accumulators / f64::from(target.fma_per_cycle);
    let far = f64::from(tile.width() * loads.far_bytes) / FAR_BYTES_PER_CYCLE;
    arithmetic.max(loaded / LOADS_PER_CYCLE).max(f64::from(target.fma_latency)).max(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATMUL: Loads = Loads {
        shared_vectors: 1,
        shared_gathers: 0,
        own_vectors: 0,
        own_gathers: 0,
        scalars: 1,
        far_bytes: 0,
        several_steps: true,
        transposed_after: 0,
    };

    fn target(text: &str) -> Target {
        Target::from_toml(text).expect("a target")
    }

    #[track_caller]
    fn check(target: &Target, (rows, columns): (Option<i64>, Option<i64>), loads: &Loads, expected: (u32, u32, u32)) {
        let (_, tile) = fastest(target, 4, rows, columns, loads);
        assert_eq!((tile.rows, tile.vectors, tile.lanes), expected);
        assert!(fits(target, &tile, loads));
    }

    #[test]
    fn the_known_tiles_of_products() {
        let avx512 = target(include_str!("../../tilewright/targets/znver5.toml"));
        let avx2 = target(include_str!("../../tilewright/targets/x86-64-v3.toml"));
        check(&avx512, (None, None), &MATMUL, (6, 4, 16));
        check(&avx2, (None, None), &MATMUL, (6, 2, 8));
    }

    #[test]
    fn a_large_tile_is_best_unless_the_extents_are_small() {
        let avx512 = target(include_str!("../../tilewright/targets/znver5.toml"));
        check(&avx512, (Some(1024), Some(1024)), &MATMUL, (6, 4, 16));
        check(&avx512, (Some(16), Some(1024)), &MATMUL, (4, 4, 16));
        check(&avx512, (Some(6), Some(64)), &MATMUL, (6, 4, 16));
    }

    #[test]
    fn steps_are_copied_out_where_registers_are_left() {
        let (avx512, avx2) = (
            target(include_str!("../../tilewright/targets/znver5.toml")),
            target(include_str!("../../tilewright/targets/x86-64-v3.toml")),
        );
        let steps = |target, rows, vectors| RegisterTile { rows, vectors, lanes: 8 }.steps(target, &MATMUL);
        assert_eq!(
            [(6, 4), (13, 2), (14, 2), (28, 1)].map(|(rows, vectors)| steps(&avx512, rows, vectors)),
            [2, 2, 1, 1]
        );
        assert_eq!([(6, 2), (12, 1), (3, 4)].map(|(rows, vectors)| steps(&avx2, rows, vectors)), [2, 1, 1]);
    }

    #[test]
    fn gathers_are_shared_by_many_rows() {
        let avx512 = target(include_str!("../../tilewright/targets/znver5.toml"));
        let gathers = Loads { shared_vectors: 0, shared_gathers: 1, ..MATMUL };
        assert!(fastest(&avx512, 4, Some(128), Some(1024), &gathers).1.rows >= 16);
    }

    #[test]
    fn without_rows_several_vectors_hide_the_latency() {
        let avx512 = target(include_str!("../../tilewright/targets/znver5.toml"));
        let sums = Loads { shared_vectors: 1, ..Loads::default() };
        check(&avx512, (Some(1), Some(4096)), &sums, (1, 4, 16));
    }
}
