//! What to do with the loops around one statement.

use polyhedral::{Scop, Stmt, StmtId};
use support::Target;

use crate::cost;
use crate::nest::{self, Loop, Nest, Stride};
use crate::registers::{self, Loads};

/// How the loops around one statement are cut, boxed, ordered and run in parallel. Loops are counted from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// For each loop the strips that it is cut into, larger ones first.
    pub(crate) cuts: Vec<Vec<u32>>,
    /// For each loop what of it goes into the box of registers.
    pub(crate) boxes: Vec<Option<Box>>,
    /// The pieces outside the box, in their new order.
    pub(crate) order: Vec<Piece>,
    /// The piece that runs on several threads.
    pub(crate) parallel: Option<Piece>,
    /// What is not done, and why.
    pub(crate) remarks: Vec<(&'static str, String)>,
}

/// The innermost part of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Box {
    /// In the lanes of vectors.
    Vector(u32),
    /// Copied out.
    Unroll(u32),
}

/// A part of a loop: cut number `level`, or the rest after the last cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which loop.
    pub(crate) of: usize,
    /// Which part, from outside.
    pub(crate) level: usize,
}

impl Plan {
    /// The plan for `stmt`, the only one in `nest`, which is at the top or `inside` of other loops.
    pub(crate) fn of(scop: &Scop, target: &Target, nest: &Nest, stmt: StmtId, inside: bool) -> Plan {
        let n = nest.loops.len();
        let plan = Plan { cuts: vec![Vec::new(); n], boxes: vec![None; n], ..Plan::default() };
        let mut planner = Planner { scop, target, nest, id: stmt, stmt: &scop.stmts[stmt], inside, plan };
        planner.decide();
        planner.plan
    }

    /// The innermost part of a loop that is not in a box.
    fn rest(&self, of: usize) -> Piece {
        Piece { of, level: self.cuts[of].len() }
    }

    /// Lanes and copies of the statement in one box.
    fn lanes(&self) -> u32 {
        self.boxes.iter().map(|one| if let Some(Box::Vector(lanes)) = one { *lanes } else { 1 }).product()
    }
}

/// The least and the most iterations in a strip of a reduction.
const STRIP: (u32, u32) = (64, 256);

/// Independent sums that hide the latency of an addition.
const INDEPENDENT_SUMS: u32 = 8;

struct Planner<'a> {
    scop: &'a Scop,
    target: &'a Target,
    nest: &'a Nest,
    id: StmtId,
    stmt: &'a Stmt,
    inside: bool,
    plan: Plan,
}

impl Planner<'_> {
    fn decide(&mut self) {
        let reduced = self.reduced();
        match self.columns() {
            Some(columns) if reduced.is_empty() => self.pointwise(columns),
            Some(columns) => self.reduction(columns, &reduced),
            None => self.as_it_is(),
        }
    }

    fn one(&self, at: usize) -> &Loop {
        &self.nest.loops[at]
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        0..self.nest.loops.len()
    }

    fn stride(&self, access: &polyhedral::Access, at: usize) -> Stride {
        self.one(at).dim(self.id).map_or(Stride::Irregular, |dim| nest::stride(self.stmt, access, dim))
    }

    /// The loops that are summed over.
    fn reduced(&self) -> Vec<usize> {
        let is_reduced = |at: &usize| self.one(*at).dim(self.id).is_some_and(|dim| nest::is_reduced(self.stmt, dim));
        self.all().filter(is_reduced).collect()
    }

    /// The loop for the lanes: without dependences, every write contiguous; of several the one with the most contiguous
    /// reads, then the innermost.
    fn columns(&self) -> Option<usize> {
        let contiguous = |at: &usize| {
            self.one(*at).coincident && self.stmt.writes.iter().all(|write| self.stride(write, *at) == Stride::Unit)
        };
        let easy = |at: &usize| self.stmt.reads.iter().filter(|read| self.stride(read, *at) <= Stride::Unit).count();
        self.all().filter(contiguous).max_by_key(|at| (easy(at), *at))
    }

    /// The loop for the rows of accumulators: without dependences, and the most reads that move along the columns stay
    /// the same in it; of several the innermost. None when no such read stays the same.
    fn rows(&self, columns: usize) -> Option<usize> {
        let moving = |read: &&polyhedral::Access| self.stride(read, columns) != Stride::Constant;
        let shared = |at: usize| {
            self.stmt.reads.iter().filter(moving).filter(|read| self.stride(read, at) == Stride::Constant).count()
        };
        let candidates = self.all().filter(|&at| at != columns && self.one(at).coincident && shared(at) > 0);
        candidates.max_by_key(|&at| (shared(at), at))
    }

    fn loads(&self, columns: usize, rows: Option<usize>) -> Loads {
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

    /// Bytes of the widest element that the statement touches.
    fn bytes(&self) -> u32 {
        self.stmt.accesses().map(|access| self.scop.tensors[access.tensor].dtype.bytes()).max().unwrap_or(4)
    }

    /// A box of accumulators over the innermost reduction.
    fn reduction(&mut self, columns: usize, reduced: &[usize]) {
        let rows = self.rows(columns);
        let loads = self.loads(columns, rows);
        if rows.is_none() && loads.shared_gathers + loads.own_gathers > 0 {
            return self.independent_sums(columns, reduced);
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

    fn remark_gathers(&mut self, columns: usize) {
        for read in &self.stmt.reads {
            if self.stride(read, columns) > Stride::Unit {
                let name = &self.scop.tensors[read.tensor].name;
                let why = format!("`{name}` is not contiguous along the lanes, and is read lane by lane");
                self.plan.remarks.push(("not loaded as vectors", why));
            }
        }
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

    /// Loops without a part in the box, then strips, then the loops over boxes, then the reduction: accumulators stay
    /// where they are while it runs.
    fn order_of_reduction(&mut self, rows: Option<usize>, columns: usize, reduced: &[usize]) {
        let outside = self.all().filter(|at| Some(*at) != rows && *at != columns && !reduced.contains(at));
        let cut = [columns].into_iter().chain(reduced.iter().copied()).filter(|&at| !self.plan.cuts[at].is_empty());
        let order = outside.map(|at| self.plan.rest(at));
        let order = order.chain(cut.map(|of| Piece { of, level: 0 }));
        let order = order.chain(rows.into_iter().chain([columns]).map(|at| self.plan.rest(at)));
        self.plan.order = order.chain(reduced.iter().map(|&at| self.plan.rest(at))).collect();
    }

    /// The first loop with enough iterations for all threads, else the one with the most; a loop over boxes gets strips
    /// for threads of its own when it is not outermost already.
    fn parallel_reduction(&mut self, rows: Option<usize>, columns: usize) {
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

    fn move_out(&mut self, chosen: usize) {
        if let Some(at) = self.plan.order.iter().position(|piece| piece.of == chosen) {
            let piece = self.plan.order.remove(at);
            self.plan.order.insert(0, piece);
        }
    }

    /// Without neighbours to load together: several scalar sums at once.
    fn independent_sums(&mut self, columns: usize, reduced: &[usize]) {
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

    /// One vector at a time along the columns; squares where a read is contiguous along another loop.
    fn pointwise(&mut self, columns: usize) {
        self.remark_gathers(columns);
        let lanes = registers::lanes_for(self.target, self.bytes(), self.one(columns).extent);
        if lanes > 1 {
            self.plan.boxes[columns] = Some(Box::Vector(lanes));
        }
        let across = self.contiguous_across(columns);
        let line = self.target.caches.first().map_or(64, |cache| cache.line);
        let square = (2 * line / self.bytes().max(1)).max(lanes);
        if let Some(across) = across
            && extent_of(self.one(across)).min(extent_of(self.one(columns))) >= 2 * u64::from(square)
        {
            self.plan.cuts[across].push(square);
            self.plan.cuts[columns].push(square);
        }
        let cut = self.all().filter(|&at| !self.plan.cuts[at].is_empty());
        let outside = self.all().filter(|at| *at != columns && self.plan.cuts[*at].is_empty());
        let order = outside.map(|at| self.plan.rest(at)).chain(cut.map(|of| Piece { of, level: 0 }));
        let inside = across.filter(|&at| !self.plan.cuts[at].is_empty()).into_iter().chain([columns]);
        self.plan.order = order.chain(inside.map(|at| self.plan.rest(at))).collect();
        self.parallel_outermost();
    }

    /// A loop without dependences along which a read is contiguous that is not so along the columns.
    fn contiguous_across(&self, columns: usize) -> Option<usize> {
        let mut crossing = self.stmt.reads.iter().filter(|read| self.stride(read, columns) == Stride::Strided);
        crossing.find_map(|read| {
            self.all().find(|&at| at != columns && self.one(at).coincident && self.stride(read, at) == Stride::Unit)
        })
    }

    fn as_it_is(&mut self) {
        self.plan.order = self.all().map(|at| self.plan.rest(at)).collect();
        let why = "no loop without dependences writes neighbouring elements";
        self.plan.remarks.push(("not vectorised", why.into()));
        self.parallel_outermost();
    }

    /// The outermost loop without dependences that has enough iterations and enough work each time it starts.
    fn parallel_outermost(&mut self) {
        if !self.is_worth_threads() {
            return;
        }
        let candidates: Vec<(usize, u64)> = self
            .plan
            .order
            .iter()
            .take_while(|piece| self.one(piece.of).coincident)
            .filter(|piece| piece.level == 0)
            .map(|piece| (piece.of, extent_of(self.one(piece.of)).div_ceil(self.first_size(piece.of))))
            .collect();
        let Some(chosen) = self.enough_for_threads(&candidates) else { return };
        self.move_out(chosen);
        self.plan.parallel = self.plan.order.first().copied();
    }

    /// Iterations of a loop in one iteration of its outermost piece.
    fn first_size(&self, at: usize) -> u64 {
        self.plan.cuts[at].first().map_or_else(|| self.in_box(at), |&size| size.into())
    }

    /// Iterations of a loop in the box.
    fn in_box(&self, at: usize) -> u64 {
        match self.plan.boxes[at] {
            Some(Box::Vector(by) | Box::Unroll(by)) => by.into(),
            None => 1,
        }
    }

    fn enough_for_threads(&mut self, candidates: &[(usize, u64)]) -> Option<usize> {
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

    fn is_worth_threads(&mut self) -> bool {
        if self.target.threads <= 1 || self.inside {
            return false;
        }
        let cycles = cost::cycles(self.scop, self.nest, self.plan.lanes());
        if cycles < cost::PARALLEL_GRAIN {
            self.plan.remarks.push(("not parallel", cost::too_small(cycles)));
        }
        cycles >= cost::PARALLEL_GRAIN
    }
}

fn extent_of(one: &Loop) -> u64 {
    one.estimate().max(0).unsigned_abs()
}

/// The largest power of two up to `value`, inside the bounds.
fn power_of_two_in(value: u64, (least, most): (u32, u32)) -> u32 {
    let value = u32::try_from(value).unwrap_or(u32::MAX).clamp(1, most.max(1));
    let below = 1 << value.ilog2();
    below.max(least)
}
