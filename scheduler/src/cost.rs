//! Estimates of work, in operations and cycles. They decide, and prove nothing.

use polyhedral::{Expr, Scop, StmtId};

use crate::nest::Nest;

/// Cycles of work below which threads cost more than they give: starting and joining them takes 20 to 30 µs.
pub(crate) const PARALLEL_GRAIN: u128 = 100_000;

/// Operations of one instance: loads, stores and arithmetic; a function of the language counts as twenty.
fn operations(scop: &Scop, id: StmtId) -> u128 {
    let stmt = &scop.stmts[id];
    let mut count = stmt.reads.len() as u128 + stmt.writes.len() as u128;
    for expr in stmt.body.exprs() {
        expr.visit(&mut |e| {
            count += match e {
                Expr::Call(..) => 20,
                Expr::Const(..) | Expr::Load(_) => 0,
                _ => 1,
            };
        });
    }
    count + u128::from(stmt.body.is_reduce())
}

/// Bytes that a core moves in a cycle when it streams from memory.
const STREAMED_BYTES: u128 = 8;

/// Cycles of everything in the nest with so many lanes, taking domains for boxes. Without a reduction every access
/// moves its bytes.
pub(crate) fn cycles(scop: &Scop, nest: &Nest, lanes: u32) -> u128 {
    let inside = if nest.parts.is_empty() {
        nest.stmts.iter().map(|&id| instance_cycles(scop, id, lanes)).sum()
    } else {
        nest.parts.iter().map(|part| cycles(scop, part, lanes)).sum::<u128>()
    };
    let iterations =
        nest.loops.iter().fold(1u128, |all, one| all.saturating_mul(one.estimate().max(0).unsigned_abs().into()));
    inside.saturating_mul(iterations) / if nest.parts.is_empty() { SCALE } else { 1 }
}

/// Cycles of one instance are counted in parts of this size, so that a lane's share is not rounded away.
const SCALE: u128 = 1024;

fn instance_cycles(scop: &Scop, id: StmtId, lanes: u32) -> u128 {
    let stmt = &scop.stmts[id];
    let computed = operations(scop, id) * SCALE / u128::from(lanes.max(1));
    if stmt.body.is_reduce() {
        return computed;
    }
    let bytes: u32 = stmt.accesses().map(|access| scop.tensors[access.tensor].dtype.bytes()).sum();
    computed.max(u128::from(bytes) * SCALE / STREAMED_BYTES)
}

/// Why work of so many cycles stays on one thread.
pub(crate) fn too_small(cycles: u128) -> String {
    format!("about {cycles} cycles of work are less than starting threads costs")
}
