//! Tiles of contractions, and the time that they promise.

use polyhedral::{Access, Scop, Subscript};
use support::Gpu;

use super::contraction::{Contraction, Sum, factors};
use super::nests::{Loop, ceil_div, in_subscript};
use super::steps::VECTOR;

/// What a block and a thread compute between two barriers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tile {
    /// Threads along the row and along the column loop.
    pub(super) threads: [i64; 2],
    /// Threads along a loop that some factor does not use, each with one iteration.
    pub(super) layers: i64,
    /// Elements of a thread along the row and the column loop.
    pub(super) elements: [i64; 2],
    /// Iterations of the outermost loop of the sum.
    pub(super) depth: i64,
}

impl Tile {
    /// Elements of a block along the row and the column loop.
    pub(super) fn block(&self) -> [i64; 2] {
        [self.threads[0] * self.elements[0], self.threads[1] * self.elements[1]]
    }

    fn all_threads(&self) -> i64 {
        self.threads[0] * self.threads[1] * self.layers
    }
}

impl Contraction {
    /// The tiles that the device has registers and memory for, by the time that they promise.
    pub(super) fn tiles(&self, device: &Gpu, scop: &Scop) -> Vec<Tile> {
        let boxes = Boxes::of(self, scop);
        let mut tiles: Vec<(f64, Tile)> = Vec::new();
        for threads in [[16, 16], [8, 16], [8, 8], [4, 8]] {
            for rows in [8, 4, 2, 1] {
                for columns in [8, 4, 2, 1] {
                    for tile in self.tiles_of(threads, [rows, columns]) {
                        let fits = tile.all_threads() <= device.threads.min(MOST_THREADS)
                            && 4 * 4 * rows * columns * self.sums.len() as i64 <= device.private_bytes * 2
                            && boxes.bytes(&tile) <= device.shared_bytes;
                        if fits && !tiles.iter().any(|(_, other)| *other == tile) {
                            tiles.push((self.time(device, &boxes, &tile), tile));
                        }
                    }
                }
            }
        }
        // A stable sort: of equals the first.
        tiles.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        tiles.into_iter().map(|(_, tile)| tile).collect()
    }

    /// With no more threads than there are elements, in one layer or several, and steps of several lengths where those are of
    /// several loops.
    fn tiles_of(&self, threads: [i64; 2], elements: [i64; 2]) -> impl Iterator<Item = Tile> {
        let within = |of: Option<i64>, most: i64| of.map_or(most, |of| most.min(of.max(1)));
        let along = |one: &Loop, elements: i64| one.extent.map(|extent| ceil_div(extent, elements));
        let threads =
            [within(along(&self.row, elements[0]), threads[0]), within(along(&self.column, elements[1]), threads[1])];
        let known = self.layer.as_ref().and_then(|layer| layer.of.extent);
        let layers = [1, 2, 4, 8, 16].map(|layers| within(known.or(Some(1)), layers));
        let outermost = self.outermost();
        let depth = self.depth(elements[0] * elements[1]);
        let is_deep = self.sums.iter().any(|sum| sum.summed.len() > 1);
        let times = if is_deep { &[1, 2, 4][..] } else { &[1] };
        let depths = times.iter().map(move |times| within(outermost, depth * times));
        let all = layers.into_iter().flat_map(move |layers| depths.clone().map(move |depth| (layers, depth)));
        all.map(move |(layers, depth)| Tile { threads, layers, elements, depth })
    }

    /// Iterations of the outermost loop of the sum between barriers: more where a thread has little to do in each.
    fn depth(&self, elements: i64) -> i64 {
        let inner = self.inner();
        let wanted = if elements >= 32 { 8 } else { 16 };
        let outer = self.outermost().unwrap_or(i64::MAX);
        let depth = (wanted / inner.max(1)).clamp(1, outer);
        // Whole vectors where there are some.
        if depth >= VECTOR { depth - depth % VECTOR } else { depth }
    }

    /// Iterations of the outermost loop of the sum, of several the shortest; none where one of them is open.
    pub(super) fn outermost(&self) -> Option<i64> {
        let extents = self.sums.iter().map(|sum| sum.summed.first().and_then(|one| one.extent));
        extents.collect::<Option<Vec<i64>>>()?.into_iter().min()
    }

    /// Iterations of the other loops of the sum, of several the most.
    fn inner(&self) -> i64 {
        let inner = |sum: &Sum| sum.summed.iter().skip(1).map(|one| one.extent.unwrap_or(1)).product();
        self.sums.iter().map(inner).max().unwrap_or(1)
    }

    /// What a multiprocessor takes for an iteration of the sum, in products that it could have done: its share of the blocks,
    /// each with as many elements as it has whether they are needed or not. A step loads boxes of the factors into shared
    /// memory, and each of its iterations a row and a column of a thread's elements from there; too few threads leave the
    /// units waiting, and so do too few blocks when each waits for memory.
    fn time(&self, device: &Gpu, boxes: &Boxes, tile: &Tile) -> f64 {
        let along = |one: &Loop, block: i64| ceil_div(one.extent.unwrap_or(OPEN), block);
        let [rows, columns] = tile.block();
        let of_others = |one: &Loop| match &self.layer {
            Some(layer) if layer.of.dim == one.dim => along(one, tile.layers),
            _ => one.extent.unwrap_or(1),
        };
        let others: i64 = self.others.iter().map(of_others).fold(1, i64::saturating_mul);
        let blocks = along(&self.row, rows).saturating_mul(along(&self.column, columns)).saturating_mul(others);
        let per_processor = ceil_div(blocks, device.multiprocessors.max(1));
        let threads = tile.all_threads();
        let ([r, c], sums) = (tile.elements, self.sums.len() as i64);
        let together = (device.resident_threads / threads)
            .min(device.resident_shared_bytes / boxes.bytes(tile).max(1))
            .min(device.registers / (threads * (r * c * sums + BESIDE)))
            .clamp(1, per_processor);
        let [r, c] = [r, c].map(|one| one as f64);
        // Warps are whole.
        let lanes = ceil_div(threads, device.warp.max(1)) * device.warp.max(1);
        let products = (lanes * sums) as f64 * r * c * (1.0 + SHARED_LOAD * (r + c) / (r * c));
        let iterations = (tile.depth * self.inner()).max(1) as f64;
        let step = (GLOBAL_LOAD * boxes.elements(tile) as f64 + STEP) / iterations;
        // By other blocks, and by the block itself where its copies go on meanwhile.
        let hidden = (together - i64::from(!device.has_async_copies)) as f64 * products;
        let exposed = (LATENCY / iterations - hidden).max(0.0) / together as f64;
        let resident = (together * threads) as f64;
        let busy = (resident * (r * c).min(4.0) / BUSY).min(1.0);
        per_processor as f64 * ((products + step) / busy + exposed)
    }
}

/// What a loop of unknown length counts as.
const OPEN: i64 = 4096;

/// Threads of a block beyond which it only waits longer at barriers.
const MOST_THREADS: i64 = 256;

/// Products in the time of a load of one element by one thread from shared memory, of vectors.
const SHARED_LOAD: f64 = 1.0;

/// Products in the time that an element takes from global memory, for the most part from the cache of all multiprocessors:
/// 128 products against 4 to 8 numbers in a cycle, half of which other warps hide.
const GLOBAL_LOAD: f64 = 10.0;

/// Products in the time of a step's barriers: about 32 cycles.
const STEP: f64 = 4096.0;

/// Products in the time from the load of an element to its use: about 600 cycles.
const LATENCY: f64 = 76800.0;

/// Registers of a thread beside its sums.
const BESIDE: i64 = 56;

/// Threads of a multiprocessor, each with four independent sums, that keep its units busy.
const BUSY: f64 = 1024.0;

/// What a step loads of the factors.
struct Boxes {
    factors: Vec<Footprint>,
}

/// The box of one factor: for each of its subscripts how far it moves with what a tile has several of.
struct Footprint {
    bytes: i64,
    subscripts: Vec<Movement>,
}

/// How far a subscript moves from one iteration to the next of the row, the column, the layers and the outermost loop of the
/// sum, and in all of the sum's other loops together.
struct Movement {
    row: i64,
    column: i64,
    layer: i64,
    step: i64,
    others: i64,
}

impl Boxes {
    fn of(contraction: &Contraction, scop: &Scop) -> Boxes {
        let of_sum = |sum: &Sum| -> Vec<Footprint> {
            let footprint = |access: &&Access| {
                let tensor = &scop.tensors[access.tensor];
                let movement = |subscript| Movement::of(contraction, sum, subscript);
                let subscripts = access.index.iter().map(movement).collect();
                Footprint { bytes: i64::from(tensor.dtype.bytes()), subscripts }
            };
            factors(&scop.stmts[sum.stmt], &sum.summed).iter().map(footprint).collect()
        };
        Boxes { factors: contraction.sums.iter().flat_map(of_sum).collect() }
    }

    fn elements(&self, tile: &Tile) -> i64 {
        self.factors.iter().map(|factor| factor.elements(tile)).fold(0, i64::saturating_add)
    }

    fn bytes(&self, tile: &Tile) -> i64 {
        let bytes = self.factors.iter().map(|factor| factor.elements(tile).saturating_mul(factor.bytes));
        bytes.fold(0, i64::saturating_add)
    }
}

impl Footprint {
    fn elements(&self, tile: &Tile) -> i64 {
        self.subscripts.iter().map(|one| one.extent(tile)).fold(1, i64::saturating_mul)
    }
}

impl Movement {
    fn of(contraction: &Contraction, sum: &Sum, subscript: &Subscript) -> Movement {
        let affine = match subscript {
            Subscript::Affine(index) => index.affine(),
            Subscript::Indirect(_) => None,
        };
        // What is not affine is taken to move by one.
        let by_dim = |dim: usize| match &affine {
            Some(affine) => affine.dims.get(&dim).map_or(0, |c| c.saturating_abs()),
            None => i64::from(in_subscript(subscript, dim)),
        };
        let by = |one: &Loop| by_dim(one.dim);
        let (first, inner) = sum.summed.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
        let whole = |one: &Loop| by(one).saturating_mul(one.extent.unwrap_or(1) - 1);
        Movement {
            row: by_dim(sum.row),
            column: by_dim(sum.column),
            layer: contraction.layer.as_ref().map_or(0, |layer| by(&layer.of)),
            step: first.map_or(0, by),
            others: inner.iter().map(whole).fold(0, i64::saturating_add),
        }
    }

    fn extent(&self, tile: &Tile) -> i64 {
        let [rows, columns] = tile.block();
        let moves = [(self.row, rows), (self.column, columns), (self.layer, tile.layers), (self.step, tile.depth)];
        let moved = moves.into_iter().map(|(by, count)| by.saturating_mul(count - 1)).fold(0, i64::saturating_add);
        moved.saturating_add(self.others).saturating_add(1)
    }
}
