//! Estimates of time, in cycles of one core. They decide, and prove nothing; they are meant to be right within a factor of two.
//!
//! A nest takes as long as its slowest part, as in the roofline model (Williams, Waterman, Patterson, CACM 2009): what starts
//! in a core's ports, what waits for the sums before it, and what its tensors move, once each, from the cache that holds
//! them all. Domains are taken for boxes, unknown extents for long ones.

use std::collections::BTreeMap;

use polyhedral::{Access, BinOp, Body, Builtin, Expr, Role, Scop, Stmt, StmtId, TensorId};
use support::Target;

use crate::nest::{self, Loop, Nest, Stride};
use crate::plan::Box;

/// Cycles of work below which a loop stays on one thread: it gains a third by a second one, and loses nothing should it
/// be half as long as it seems.
pub(crate) fn grain(target: &Target) -> u64 {
    u64::from(target.launch_cycles) * 4
}

/// Why work of so many cycles stays on one thread.
pub(crate) fn too_small(cycles: u64) -> String {
    format!("about {} cycles of work are less than threads are worth", rounded(cycles))
}

/// Cycles of everything in the nest, whose loops have these parts in boxes; those of its parts are guessed.
pub(crate) fn cycles(scop: &Scop, target: &Target, nest: &Nest, boxes: &[Option<Box>]) -> u64 {
    cycles_and_computed(scop, target, nest, boxes).0
}

/// Those cycles, and how many there would be if all that is touched were near.
pub(crate) fn cycles_and_computed(scop: &Scop, target: &Target, nest: &Nest, boxes: &[Option<Box>]) -> (u64, u64) {
    let mut work = Work { scop, target, computed: 0.0, touched: BTreeMap::new() };
    work.add(&[], nest, boxes);
    (work.computed.max(work.moved()).min(1e18) as u64, work.computed.min(1e18) as u64)
}

/// Whether some nests, all in vectors, compute at least half as long as memory takes for the arguments that they touch: a
/// core that does one after the other then loses by it.
pub(crate) fn is_long_for_what_it_moves(scop: &Scop, target: &Target, nests: &[&Nest]) -> bool {
    let mut work = Work { scop, target, computed: 0.0, touched: BTreeMap::new() };
    nests.iter().for_each(|nest| work.add(&[], nest, &[]));
    let arguments = work.touched.iter().filter(|(id, _)| scop.tensors[**id].role != Role::Temporary);
    let moved: f64 = arguments.map(|(_, bytes)| bytes / BYTES_PER_CYCLE[2]).sum();
    let computed: f64 = nests.iter().map(|nest| work.arithmetic(1.0, nest)).sum();
    2.0 * computed >= moved
}

/// Two digits.
fn rounded(cycles: u64) -> u64 {
    let unit = 10u64.pow(cycles.max(1).ilog10().saturating_sub(1));
    (cycles + unit / 2) / unit * unit
}

/// Vector loads that start in a cycle.
const LOADS: f64 = 2.0;
/// Vector stores that start in a cycle.
const STORES: f64 = 1.0;
/// Instructions for one lane of an access that is not contiguous: the access itself and moving the lane.
const LANE: f64 = 2.0;
/// Cycles of a loop's own instructions, which mostly run beside its body.
const LOOP: f64 = 0.5;
/// Instructions of a transcendental function on a vector: a polynomial and what surrounds it.
const FUNCTION: f64 = 30.0;

/// Bytes that a core moves in a cycle from the second cache, from a third one, from memory.
const BYTES_PER_CYCLE: [f64; 3] = [32.0, 10.0, 6.0];

/// Bytes that a core moves in a cycle from what is beyond cache number `level` of so many, as plans are priced: the same for all
/// processors, since descriptions of targets do not say it.
pub fn bytes_per_cycle(level: usize, levels: usize) -> f64 {
    BYTES_PER_CYCLE[if level + 1 >= levels { 2 } else { level.min(1) }]
}

struct Work<'a> {
    scop: &'a Scop,
    target: &'a Target,
    computed: f64,
    /// Bytes of each tensor.
    touched: BTreeMap<TensorId, f64>,
}

impl Work<'_> {
    fn add(&mut self, outside: &[&Loop], nest: &Nest, boxes: &[Option<Box>]) {
        let loops: Vec<&Loop> = outside.iter().copied().chain(&nest.loops).collect();
        nest.parts.iter().for_each(|part| self.add(&loops, part, &[]));
        if nest.parts.is_empty() {
            nest.stmts.iter().for_each(|&id| self.add_stmt(&loops, outside.len(), id, boxes));
        }
    }

    /// Cycles of the arithmetic of a nest that runs so many times, by whole vectors.
    fn arithmetic(&self, times: f64, nest: &Nest) -> f64 {
        let times = nest.loops.iter().fold(times, |times, one| times * one.estimate().max(0) as f64);
        let of_stmt = |id: &StmtId| {
            let stmt = &self.scop.stmts[*id];
            let lanes = f64::from(self.target.lanes(self.element_bytes(stmt)));
            times / lanes * operations(stmt, lanes) / f64::from(self.target.fma_per_cycle)
        };
        match nest.parts.as_slice() {
            [] => nest.stmts.iter().map(of_stmt).sum(),
            parts => parts.iter().map(|part| self.arithmetic(times, part)).sum(),
        }
    }

    /// Adds a statement inside of `loops`, of which `boxes` are about those from `first` on.
    fn add_stmt(&mut self, loops: &[&Loop], first: usize, id: StmtId, boxes: &[Option<Box>]) {
        let stmt = &self.scop.stmts[id];
        let mut sides: Vec<Side> = loops.iter().map(|one| Side::of(one, id, None)).collect();
        for (at, side) in sides[first..].iter_mut().enumerate() {
            side.part = boxes.get(at).copied().flatten();
        }
        if boxes.is_empty() {
            self.guess_lanes(stmt, loops, &mut sides[first..], first);
        }
        let count: f64 = sides.iter().map(Side::boxes).product();
        self.computed += count * self.box_cycles(stmt, &sides);
        for access in stmt.accesses() {
            let elements: f64 = sides.iter().filter(|side| side.moves(stmt, access)).map(|side| side.extent).product();
            let bytes = self.touched.entry(access.tensor).or_default();
            *bytes = bytes.max(elements * f64::from(self.scop.tensors[access.tensor].dtype.bytes()));
        }
    }

    /// As the policy does: the innermost loop that writes neighbours, if its iterations may run at once.
    fn guess_lanes(&self, stmt: &Stmt, loops: &[&Loop], sides: &mut [Side], first: usize) {
        let lanes = self.target.lanes(self.element_bytes(stmt));
        let writes_neighbours = |side: &Side| stmt.writes.iter().all(|write| side.stride(stmt, write) == Stride::Unit);
        let is_vector = |at: &usize| loops[first + at].coincident && writes_neighbours(&sides[*at]);
        if let Some(at) = (0..sides.len()).rev().find(is_vector) {
            sides[at].part = Some(Box::Vector(lanes.min(sides[at].extent as u32).max(1)));
        }
    }

    fn element_bytes(&self, stmt: &Stmt) -> u32 {
        stmt.accesses().map(|access| self.scop.tensors[access.tensor].dtype.bytes()).max().unwrap_or(4)
    }

    /// Cycles of one box, in which each of its instances runs once.
    fn box_cycles(&self, stmt: &Stmt, sides: &[Side]) -> f64 {
        let lanes = f64::from(self.target.lanes(self.element_bytes(stmt)));
        let width: f64 = sides.iter().map(Side::lanes).product();
        let vectors = (width / lanes).ceil() * sides.iter().map(Side::copies).product::<f64>();
        let port = |access: &Access| {
            let moving = |side: &&Side| side.moves(stmt, access);
            let copies: f64 = sides.iter().filter(moving).map(Side::copies).product();
            let stride = sides.iter().filter(|side| side.lanes() > 1.0).map(|side| side.stride(stmt, access)).max();
            copies
                * match stride.unwrap_or(Stride::Constant) {
                    Stride::Constant => 1.0,
                    Stride::Unit => (width / lanes).ceil(),
                    Stride::Strided | Stride::Irregular => width * LANE,
                }
        };
        let loads: f64 = stmt.reads.iter().map(port).sum();
        let stores: f64 = stmt.writes.iter().map(port).sum();
        let arithmetic = vectors * operations(stmt, width.min(lanes)) / f64::from(self.target.fma_per_cycle);
        let is_sum = |side: &&Side| stmt.body.is_reduce() && !stmt.writes.iter().any(|write| side.moves(stmt, write));
        let terms: f64 = sides.iter().filter(is_sum).map(Side::boxes).product();
        // Sums stay in registers while they grow, and each addition waits for the one before.
        let latency = if terms > 1.0 { f64::from(self.target.fma_latency) } else { 0.0 };
        LOOP + arithmetic.max(loads / LOADS).max(stores / STORES / terms).max(latency)
    }

    /// Cycles for everything that is touched to come from where it fits.
    fn moved(&self) -> f64 {
        let bytes: f64 = self.touched.values().sum();
        let level = self.target.caches.iter().take_while(|cache| bytes > cache.bytes as f64).count();
        let levels = self.target.caches.len();
        match level {
            0 => 0.0,
            _ if level == levels => bytes / BYTES_PER_CYCLE[2],
            _ => bytes / BYTES_PER_CYCLE[(level - 1).min(1)],
        }
    }
}

/// A loop around a statement.
struct Side {
    extent: f64,
    /// The dimension that it is.
    dim: Option<usize>,
    part: Option<Box>,
}

impl Side {
    fn of(one: &Loop, stmt: StmtId, part: Option<Box>) -> Side {
        Side { extent: one.estimate().max(0) as f64, dim: one.dim(stmt), part }
    }

    fn stride(&self, stmt: &Stmt, access: &Access) -> Stride {
        self.dim.map_or(Stride::Irregular, |dim| nest::stride(stmt, access, dim))
    }

    fn moves(&self, stmt: &Stmt, access: &Access) -> bool {
        self.stride(stmt, access) != Stride::Constant
    }

    /// Iterations in the lanes of one box.
    fn lanes(&self) -> f64 {
        if let Some(Box::Vector(lanes)) = self.part { lanes.into() } else { 1.0 }
    }

    /// Copies in one box.
    fn copies(&self) -> f64 {
        if let Some(Box::Unroll(copies)) = self.part { copies.into() } else { 1.0 }
    }

    /// How many boxes there are along it; a cut one costs as much as a full one.
    fn boxes(&self) -> f64 {
        (self.extent / (self.lanes() * self.copies())).ceil()
    }
}

/// Arithmetic instructions of one instance, or of as many as a vector has lanes.
fn operations(stmt: &Stmt, lanes: f64) -> f64 {
    // One divider, not pipelined, half as wide as a vector.
    let division = 8.0 + lanes;
    let (mut all, mut products, mut sums) = (0.0, 0u32, 0u32);
    let mut count = |e: &Expr| match e {
        Expr::Const(..) | Expr::Load(_) | Expr::State(_) | Expr::Term(_) => {}
        Expr::Binary(BinOp::Mul, ..) => products += 1,
        Expr::Binary(BinOp::Add | BinOp::Sub, ..) => sums += 1,
        Expr::Binary(BinOp::Div, ..) => all += division,
        Expr::Call(function, _) => all += call(*function, division),
        _ => all += 1.0,
    };
    stmt.body.exprs().iter().for_each(|expr| expr.visit(&mut count));
    if let Body::Reduce { monoid, .. } = &stmt.body {
        monoid.combine.iter().for_each(|expr| expr.visit(&mut count));
    }
    // A product and a sum are one instruction.
    all + f64::from(products.max(sums))
}

fn call(function: Builtin, division: f64) -> f64 {
    use Builtin::{Ceil, Copysign, Fabs, Fdim, Fdivide, Floor, Fma, Fmax, Fmin, Round, Rsqrt, Sqrt, Trunc};
    match function {
        Fabs | Fmax | Fmin | Copysign | Ceil | Floor | Trunc | Round | Fma | Fdim => 1.0,
        Sqrt | Rsqrt | Fdivide => division,
        _ => FUNCTION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyhedral::{isl, testing};

    /// Sapphire Rapids at 3.5 GHz, where the times were taken: AVX-512, one core's 48 KiB and 2 MiB, a large third cache.
    fn target() -> Target {
        let mut target = Target::from_toml(include_str!("../../tilewright/targets/znver5.toml")).expect("a target");
        target.caches[1].bytes = 2 << 20;
        target.caches[2].bytes = 480 << 20;
        target
    }

    /// The estimate in microseconds, for boxes of the only nest.
    #[track_caller]
    fn check(text: &str, boxes: &[Option<Box>], measured: f64) {
        let scop = testing::scop(&isl::Ctx::new(), text);
        let nests = nest::nests(&scop).expect("the loops can be examined");
        let estimate = nests.iter().map(|nest| cycles(&scop, &target(), nest, boxes)).sum::<u64>() as f64 / 3500.0;
        let ratio = estimate / measured;
        assert!((0.45..2.2).contains(&ratio), "{estimate:.1} us, measured {measured} us");
    }

    const VECTOR: Option<Box> = Some(Box::Vector(16));

    #[test]
    fn estimates_are_right_within_a_factor_of_two() {
        let product = "
            scop mm()
            input A: float32[256, 256]
            input B: float32[256, 256]
            inout C: float32[256, 256]
            stmt C[m, n, k]
              domain { C[m, n, k] : 0 <= m < 256 and 0 <= n < 256 and 0 <= k < 256 }
              C[m, n] sum= A[m, k] * B[k, n]
        ";
        check(product, &[Some(Box::Unroll(8)), Some(Box::Vector(32)), None], 183.0);
        let turned = "
            scop tmm()
            input A: float32[128, 256]
            input B: float32[32, 256]
            inout C: float32[128, 32]
            stmt C[m, n, k]
              domain { C[m, n, k] : 0 <= m < 128 and 0 <= n < 32 and 0 <= k < 256 }
              C[m, n] sum= A[m, k] * B[n, k]
        ";
        check(turned, &[Some(Box::Unroll(16)), VECTOR, None], 26.0);
        let rows = "
            scop rows()
            input A: float32[2048, 2048]
            inout S: float32[2048]
            stmt S[i, j]
              domain { S[i, j] : 0 <= i < 2048 and 0 <= j < 2048 }
              S[i] sum= A[i, j]
        ";
        check(rows, &[Some(Box::Unroll(8)), VECTOR], 641.0);
        let scaled = "
            scop axpy()
            input X: float32[4194304]
            input Y: float32[4194304]
            output Z: float32[4194304]
            stmt Z[i]
              domain { Z[i] : 0 <= i < 4194304 }
              Z[i] = 2.0f32 * X[i] + Y[i]
        ";
        check(scaled, &[VECTOR], 1719.0);
    }

    #[test]
    fn a_sum_of_one_chain_waits_for_every_addition() {
        let sum = "
            scop sum()
            input A: float32[1000]
            inout S: float32[]
            stmt S[i]
              domain { S[i] : 0 <= i < 1000 }
              S[] sum= A[i]
        ";
        check(sum, &[None], 1.2);
    }

    #[test]
    fn messages_have_two_digits() {
        assert_eq!([0, 7, 12, 99, 149, 12_345, 99_999].map(rounded), [0, 7, 12, 99, 150, 12_000, 100_000]);
    }
}
