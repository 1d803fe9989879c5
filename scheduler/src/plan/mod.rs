//! What to do with the loops around one statement.
//!
//! One file for each kind of statement: [`contraction`], [`reduction`], [`pointwise`] with [`stencil`], [`recurrence`];
//! [`threads`] decides for all which loop runs in parallel, [`streams`] which results go past the caches, [`gathers`] which
//! rows of a table are asked for ahead.

mod contraction;
mod gathers;
mod pointwise;
mod recurrence;
mod reduction;
mod stencil;
mod streams;
mod threads;

use polyhedral::{DType, Scop, Stmt, StmtId, TensorId};
use support::Target;

use crate::nest::{self, Loop, Nest, Stride};
use crate::registers::RegisterTile;

/// How the loops around one statement are cut, boxed, ordered and run in parallel. Loops are counted from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The loop whose values lean before anything else is done.
    pub(crate) skew: Option<Skew>,
    /// For each loop the strips that it is cut into, larger ones first.
    pub(crate) cuts: Vec<Vec<u32>>,
    /// For each loop what of it goes into the box of registers.
    pub(crate) boxes: Vec<Option<Box>>,
    /// The pieces outside the box, in their new order.
    pub(crate) order: Vec<Piece>,
    /// The piece from which inwards each of the statements that share the loops has its own.
    pub(crate) apart: Option<Piece>,
    /// The piece that runs on several threads.
    pub(crate) parallel: Option<Piece>,
    /// What is copied before it is used.
    pub(crate) packs: Vec<Pack>,
    /// A temporary of which each iteration of a piece needs its own part only.
    pub(crate) keep: Option<(TensorId, Piece)>,
    /// What a later iteration of a piece touches of a tensor is asked for: so many later.
    pub(crate) prefetches: Vec<(TensorId, Piece, u32)>,
    /// The pieces whose whole boxes run in loops of their own.
    pub(crate) separate: Vec<Piece>,
    /// The tensors whose stores go past the caches.
    pub(crate) streams: Vec<TensorId>,
    /// The reduction whose chunks have partial results of their own.
    pub(crate) partial: Option<Partial>,
    /// The estimated cycles of a contraction of known sizes.
    pub(crate) cycles: Option<f64>,
    /// What is not done, and why.
    pub(crate) remarks: Vec<(&'static str, String)>,
}

/// A loop to whose values those of another one outside of it are added, some times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skew {
    /// The loop.
    pub(crate) of: usize,
    /// How many times.
    pub(crate) by: i32,
    /// The other loop.
    pub(crate) along: usize,
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

/// A tensor of which each iteration of a loop has a copy of what it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pack {
    /// The tensor.
    pub(crate) tensor: TensorId,
    /// The loop; without one, that `around` the nest.
    pub(crate) at: Option<Piece>,
    /// The loop around the nest, counted from outside; without one the copy is made once, for the whole program.
    pub(crate) around: Option<usize>,
    /// Whose accesses are meant.
    pub(crate) stmt: StmtId,
    /// The dimension in which the tensor is contiguous.
    pub(crate) contiguous: usize,
    /// The type that its reads are converted to, when the copy holds values of it.
    pub(crate) widened: Option<DType>,
    /// How the copy lies in memory.
    pub(crate) form: Form,
}

/// The order of elements in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As wide as a box of registers, row after row, for lanes along this dimension.
    Panels {
        /// The dimension of the tensor that the lanes lie along.
        along: usize,
        /// The box.
        tile: RegisterTile,
        /// So many neighbours along a dimension of the tensor lie next to each other.
        group: Option<(usize, u32)>,
    },
    /// As before, with rows next to each other but for so many elements that keep them in different sets of a cache.
    Rows {
        /// Elements between rows.
        padding: u32,
        /// Elements of a vector.
        lanes: u32,
    },
}

/// Partial results: one for each iteration of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    /// Of this tensor.
    pub(crate) tensor: TensorId,
    /// The loop.
    pub(crate) at: Piece,
}

impl Plan {
    /// The plan for `stmt`, the only one in `nest`, which is at the top or inside of the loops `around`; `strict` when
    /// updates keep their order.
    pub(crate) fn of(
        scop: &Scop,
        target: &Target,
        nest: &Nest,
        stmt: StmtId,
        (around, strict): (&[Loop], bool),
    ) -> Plan {
        Plan::of_shared(scop, target, nest, stmt, (around, strict, nest.loops.len()))
    }

    /// The same where only the first `shared` loops may move, because other statements run in them too.
    pub(crate) fn of_shared(
        scop: &Scop,
        target: &Target,
        nest: &Nest,
        stmt: StmtId,
        (around, strict, shared): (&[Loop], bool, usize),
    ) -> Plan {
        let n = nest.loops.len();
        let plan = Plan { cuts: vec![Vec::new(); n], boxes: vec![None; n], ..Plan::default() };
        let mut planner = Planner {
            scop,
            target,
            nest,
            id: stmt,
            stmt: &scop.stmts[stmt],
            around,
            strict,
            shared,
            group: None,
            plan,
        };
        planner.decide();
        planner.plan.order.retain(|piece| piece.of < shared);
        planner.plan
    }

    /// The innermost part of a loop that is not in a box.
    pub(crate) fn rest(&self, of: usize) -> Piece {
        Piece { of, level: self.cuts[of].len() }
    }

    /// The outermost of the pieces of a reduction that nothing else is inside of.
    pub(crate) fn innermost_reduction(&self, scop: &Scop, nest: &Nest) -> Option<Piece> {
        let id = *nest.stmts.first()?;
        let is_reduced = |at: usize| nest.loops[at].dim(id).is_some_and(|dim| nest::is_reduced(&scop.stmts[id], dim));
        self.order.iter().rev().take_while(|piece| is_reduced(piece.of)).last().copied()
    }

    /// Whether a box holds all iterations of a loop.
    pub(crate) fn is_all_in_box(&self, of: usize, extent: Option<i64>) -> bool {
        let by = match self.boxes[of] {
            Some(Box::Vector(by) | Box::Unroll(by)) => i64::from(by),
            None => 1,
        };
        extent.is_some_and(|extent| extent <= by)
    }

    /// Lanes and copies of the statement in one box.
    fn lanes(&self) -> u32 {
        self.boxes.iter().map(|one| if let Some(Box::Vector(lanes)) = one { *lanes } else { 1 }).product()
    }
}

struct Planner<'a> {
    scop: &'a Scop,
    target: &'a Target,
    nest: &'a Nest,
    id: StmtId,
    stmt: &'a Stmt,
    /// Loops that this nest is inside of, and shares with others; outermost first.
    around: &'a [Loop],
    strict: bool,
    /// How many loops may move; those after them stay inside.
    shared: usize,
    /// The steps of the reduction that one instruction does.
    group: Option<contraction::Group>,
    plan: Plan,
}

impl Planner<'_> {
    fn decide(&mut self) {
        let reduced = self.reduced();
        match self.columns() {
            Some(columns) if reduced.is_empty() => self.pointwise(columns),
            Some(columns) => self.reduction(columns, &reduced),
            None if !reduced.is_empty() => self.sums(None, &reduced),
            None => self.as_it_is(),
        }
        self.packs_of_threads();
        self.prefetch_rows_to_come();
    }

    fn one(&self, at: usize) -> &Loop {
        &self.nest.loops[at]
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        0..self.nest.loops.len()
    }

    fn stride(&self, access: &polyhedral::Access, at: usize) -> Stride {
        match self.one(at).dim(self.id) {
            Some(dim) => nest::stride(self.stmt, access, dim),
            // A loop of one iteration moves nothing.
            None if self.one(at).extent == Some(1) => Stride::Constant,
            None => Stride::Irregular,
        }
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

    /// Bytes of the widest element that the statement touches.
    fn bytes(&self) -> u32 {
        self.stmt.accesses().map(|access| self.scop.tensors[access.tensor].dtype.bytes()).max().unwrap_or(4)
    }

    /// Says which reads, but for those that are `packed`, are loaded lane by lane.
    fn remark_gathers(&mut self, columns: usize, packed: &[usize]) {
        for (at, read) in self.stmt.reads.iter().enumerate() {
            if self.stride(read, columns) > Stride::Unit && !packed.contains(&at) {
                let name = &self.scop.tensors[read.tensor].name;
                let why = format!("`{name}` is not contiguous along the lanes, and is read lane by lane");
                self.plan.remarks.push(("not loaded as vectors", why));
            }
        }
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

    fn as_it_is(&mut self) {
        if let Err(why) = self.recurrence() {
            self.plan.remarks.push(("rows not side by side", why.into()));
        }
        self.plan.order = self.all().map(|at| self.plan.rest(at)).collect();
        let why = "no loop without dependences writes neighbouring elements";
        self.plan.remarks.push(("not vectorised", why.into()));
        self.parallel_outermost();
    }
}

fn extent_of(one: &Loop) -> u64 {
    one.estimate().max(0).unsigned_abs()
}
