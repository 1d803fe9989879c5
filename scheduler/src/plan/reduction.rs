//! Reductions whose reads no rows share, and the order of loops of all reductions.
//!
//! Two shapes reach memory speed, and which one it is follows from how the reads move:
//!
//! - **Across**: lanes along a loop of the result, along which the reads are contiguous (sums of columns). A row of sums
//!   stays in the first cache, or in registers when it is short, while the reduction streams by, some rows of it at a time,
//!   so that each element of the row is touched once for all of these.
//! - **Along**: lanes along the reduction, along which the reads are contiguous (sums of rows, dot products, all of a
//!   tensor). Lanes are partial sums, several vectors of them to hide the latency of an addition.
//!
//! Where the result has too few elements for all threads, the reduction is cut into as many chunks as there are threads,
//! each with partial results of its own: what is computed depends on the number of threads and on nothing else.

use polyhedral::Body;

use super::{Box, Partial, Piece, Planner, extent_of};
use crate::nest::Stride;

/// Independent sums that hide the latency of an addition.
const INDEPENDENT_SUMS: u32 = 8;
/// Vectors of partial sums along a reduction: the latency of an addition.
const VECTORS_ALONG: u32 = 4;
/// Rows of sums along a reduction that share what they read.
const ROWS_ALONG: u32 = 4;
/// Vectors in a row of sums that fits the registers.
const VECTORS_ACROSS: u32 = 4;
/// Rows that stream by at once: streams that a core's prefetchers follow.
const ROWS_ACROSS: u32 = 8;

impl Planner<'_> {
    /// A reduction without neighbours that share what is loaded; with `columns`, a loop along which the result is
    /// contiguous.
    pub(super) fn sums(&mut self, columns: Option<usize>, reduced: &[usize]) {
        let across = columns.filter(|&at| self.strides(at).into_iter().all(|stride| stride <= Stride::Unit));
        match (across, self.along(reduced), columns) {
            (Some(columns), _, _) => self.sums_across(columns, reduced),
            (None, Ok(lanes), _) => self.sums_along(lanes, reduced),
            (None, Err(why), Some(columns)) => {
                self.plan.remarks.push(("not vectorised", why.into()));
                self.independent_sums(columns, reduced);
            }
            (None, Err(why), None) => {
                self.plan.remarks.push(("not vectorised", why.into()));
                self.plan.order = self.all().map(|at| self.plan.rest(at)).collect();
                self.parallel_outermost();
            }
        }
    }

    /// How the reads move along a loop.
    fn strides(&self, at: usize) -> Vec<Stride> {
        self.stmt.reads.iter().map(|read| self.stride(read, at)).collect()
    }

    /// The reduced loop for lanes: most reads contiguous, of several the innermost.
    fn along(&self, reduced: &[usize]) -> Result<usize, &'static str> {
        let Body::Reduce { monoid, .. } = &self.stmt.body else { return Err("it reduces nothing") };
        if self.strict {
            return Err("its sums keep their order, so lanes cannot hold partial ones");
        }
        if monoid.operator().is_none() || self.stmt.writes.iter().any(|write| write.affine().is_none()) {
            return Err("it is no reduction of one value by one operator, so lanes cannot hold partial results");
        }
        let unit = |at: &usize| self.strides(*at).into_iter().filter(|&stride| stride == Stride::Unit).count();
        let apart = |at: &usize| self.strides(*at).into_iter().filter(|&stride| stride > Stride::Unit).count();
        let candidates = reduced.iter().copied().filter(|at| unit(at) > 0 && self.one(*at).estimate() > 1);
        let best = candidates.max_by_key(|at| (unit(at), usize::MAX - apart(at), *at));
        best.ok_or("no read is contiguous along the reduction, nor along a loop of the result that is contiguous")
    }

    /// Lanes along the reduction, in several vectors; rows that share a read side by side.
    fn sums_along(&mut self, lanes: usize, reduced: &[usize]) {
        self.remark_gathers(lanes, &[]);
        let vector = self.target.lanes(self.bytes());
        let shares = |at: &usize| {
            let moves = |read: &&polyhedral::Access| self.stride(read, lanes) == Stride::Unit;
            let same = |read: &polyhedral::Access| self.stride(read, *at) == Stride::Constant;
            self.one(*at).coincident && extent_of(self.one(*at)) > 1 && self.stmt.reads.iter().filter(moves).any(same)
        };
        let rows = self.all().rfind(shares);
        // A function keeps several registers busy by itself; so do rows.
        let vectors = match (self.calls(), rows) {
            (true, _) => 1,
            (false, Some(_)) => VECTORS_ALONG / 2,
            (false, None) => VECTORS_ALONG,
        };
        self.plan.boxes[lanes] = Some(Box::Vector(width(vector * vectors, extent_of(self.one(lanes)))));
        if let Some(rows) = rows {
            self.plan.boxes[rows] = Some(Box::Unroll(copies(extent_of(self.one(rows)), ROWS_ALONG)));
        }
        let outside = self.all().filter(|at| !reduced.contains(at));
        let inside = reduced.iter().copied().filter(|&at| at != lanes).chain([lanes]);
        self.plan.order = outside.chain(inside).map(|at| self.plan.rest(at)).collect();
        self.parallel_sums(None, reduced);
    }

    /// Lanes along the result; of a row that is longer than the registers are, some rows of the reduction at once.
    fn sums_across(&mut self, columns: usize, reduced: &[usize]) {
        let vector = self.target.lanes(self.bytes());
        let length = extent_of(self.one(columns));
        let outside = self.all().filter(|at| *at != columns && !reduced.contains(at)).collect::<Vec<_>>();
        let vectors = if self.calls() { 1 } else { VECTORS_ACROSS };
        if length <= u64::from(vector * vectors) {
            self.plan.boxes[columns] = Some(Box::Vector(width(vector * vectors, length)));
            let order = outside.into_iter().chain([columns]).chain(reduced.iter().copied());
            self.plan.order = order.map(|at| self.plan.rest(at)).collect();
            return self.parallel_sums(None, reduced);
        }
        self.plan.boxes[columns] = Some(Box::Vector(width(vector * vectors.div_ceil(2), length)));
        let streams = reduced.last().copied().filter(|&at| self.one(at).estimate() > 1);
        let total: u64 = reduced.iter().map(|&at| extent_of(self.one(at))).product();
        let mut passes = total;
        if let Some(streams) = streams {
            let at_once = copies(extent_of(self.one(streams)), ROWS_ACROSS);
            self.plan.boxes[streams] = Some(Box::Unroll(at_once));
            passes = total.div_ceil(at_once.into());
        }
        // A row that comes by again is to be in the first cache still.
        let room = self.target.caches.first().map_or(1 << 14, |cache| cache.bytes) / 2 / u64::from(self.bytes().max(1));
        if passes > 1 && length > room {
            let strip = 1 << room.max(vector.into()).ilog2().min(20);
            self.plan.cuts[columns].push(strip);
        }
        let strips = (!self.plan.cuts[columns].is_empty()).then_some(Piece { of: columns, level: 0 });
        let outside = outside.into_iter().map(|at| self.plan.rest(at));
        let inside = reduced.iter().copied().chain([columns]).map(|at| self.plan.rest(at));
        self.plan.order = outside.chain(strips).chain(inside).collect();
        self.parallel_sums(Some(columns), reduced);
    }

    /// Whether a term calls a function.
    fn calls(&self) -> bool {
        let mut found = false;
        for expr in self.stmt.body.exprs() {
            expr.visit(&mut |e| found |= matches!(e, polyhedral::Expr::Call(..)));
        }
        found
    }

    /// Threads for a loop of the result around everything, or for strips of the columns, or for chunks of the reduction.
    fn parallel_sums(&mut self, columns: Option<usize>, reduced: &[usize]) {
        if !self.is_worth_threads() {
            return;
        }
        let threads = u64::from(self.target.threads);
        let count = |piece: &Piece| {
            let one = extent_of(self.one(piece.of));
            if piece.level == 0 { one.div_ceil(self.first_size(piece.of)) } else { one }
        };
        let is_free = |piece: &&Piece| !reduced.contains(&piece.of) && self.one(piece.of).coincident;
        let outer = self.plan.order.iter().filter(|piece| piece.level == 0 && Some(piece.of) != columns);
        let free: Vec<Piece> = outer.filter(is_free).copied().collect();
        let long = free.iter().find(|piece| count(piece) >= 2 * threads);
        if let Some(piece) = long.or_else(|| free.iter().find(|piece| count(piece) >= threads)) {
            self.move_out(piece.of);
            self.plan.parallel = Some(*piece);
            return;
        }
        match columns {
            Some(columns) if extent_of(self.one(columns)) >= threads * self.in_box(columns) => {
                self.strips_for_threads(columns);
            }
            _ => self.chunks_for_threads(reduced),
        }
    }

    /// Cuts the columns into a strip for each thread.
    fn strips_for_threads(&mut self, columns: usize) {
        if !self.one(columns).coincident {
            return;
        }
        let strip = extent_of(self.one(columns)).div_ceil(self.target.threads.into());
        let strip = strip.next_multiple_of(self.in_box(columns));
        self.cut_outermost(columns, u32::try_from(strip).unwrap_or(u32::MAX));
        self.plan.parallel = self.plan.order.first().copied();
    }

    /// Cuts the longest reduced loop into a chunk for each thread, with partial results of its own.
    fn chunks_for_threads(&mut self, reduced: &[usize]) {
        let longest = reduced.iter().copied().max_by_key(|&at| (extent_of(self.one(at)), std::cmp::Reverse(at)));
        let is_known = |at: usize| self.one(at).extent.is_some();
        let Some(at) = longest.filter(|&at| is_known(at)) else {
            return self.plan.remarks.push(("not parallel", "how long its loops are is known at the call only".into()));
        };
        let length = extent_of(self.one(at));
        let [write] = self.stmt.writes.as_slice() else {
            return self.plan.remarks.push(("not parallel", "it has several results".into()));
        };
        if self.strict || length < 2 * u64::from(self.target.threads) {
            let why = "no outer loop without dependences has two iterations";
            return self.plan.remarks.push(("not parallel", why.into()));
        }
        let chunk = length.div_ceil(self.target.threads.into()).next_multiple_of(self.in_box(at));
        let tensor = write.tensor;
        self.cut_outermost(at, u32::try_from(chunk).unwrap_or(u32::MAX));
        let piece = Piece { of: at, level: 0 };
        self.plan.partial = Some(Partial { tensor, at: piece });
        self.plan.parallel = Some(piece);
    }

    /// Strips of a loop, outside of all others.
    fn cut_outermost(&mut self, at: usize, size: u32) {
        self.plan.cuts[at].insert(0, size);
        self.plan.order.iter_mut().filter(|piece| piece.of == at).for_each(|piece| piece.level += 1);
        self.plan.order.insert(0, Piece { of: at, level: 0 });
    }

    /// Several scalar sums at once.
    fn independent_sums(&mut self, columns: usize, reduced: &[usize]) {
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

/// Lanes of the longest vectors that code is made for, whatever their type.
const MOST_LANES: u32 = 128;

/// Lanes for a loop of this length: all that there are, or the next power of two of fewer.
fn width(most: u32, length: u64) -> u32 {
    let short = u32::try_from(length.max(1)).unwrap_or(u32::MAX).min(1 << 30).next_power_of_two();
    short.min(most).min(MOST_LANES)
}

/// Copies of a loop of this length: the largest divisor of it that is at least half of what may be, else that.
fn copies(length: u64, most: u32) -> u32 {
    if length <= u64::from(most) {
        return u32::try_from(length.max(1)).unwrap_or(most);
    }
    (most.div_ceil(2)..=most).rev().find(|&by| length.is_multiple_of(by.into())).unwrap_or(most)
}
