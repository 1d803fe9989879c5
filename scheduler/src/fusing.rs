//! What surrounds a reduction: the statement that sets its result before, and those that use it element by element after.

use polyhedral::{Scop, Stmt};
use transform::{Command, Session};

use crate::cpu::attempt;
use crate::nest::{self, Loop, Nest, Stride};
use crate::plan::Plan;

/// Runs initial values and what follows element by element in the loops of each reduction that is not cut into strips:
/// its accumulators then begin in registers, and end there.
///
/// `nests` are those at the top, in order.
pub(crate) fn fuse_around_reductions(session: &mut Session, nests: &[Nest]) {
    for (at, nest) in nests.iter().enumerate() {
        let Some(depth) = whole_reduction(session, nest) else { continue };
        let what = "not fused";
        let scop = session.scop();
        let entity = nest.name(scop);
        let before = at.checked_sub(1).map(|before| &nests[before]);
        let before = before.filter(|before| is_elementwise(scop, before, nest, depth)).map(|before| before.name(scop));
        let after = nests[at + 1..].iter().take_while(|after| is_elementwise(scop, after, nest, depth));
        let after: Vec<String> = after.map(|after| after.name(scop)).collect();
        let depth = u32::try_from(depth).unwrap_or(1);
        if let Some(before) = before {
            attempt(session, &entity, what, Command::fuse(before, &entity, depth));
        }
        for after in after {
            if !attempt(session, &entity, what, Command::fuse(&entity, after, depth)) {
                break;
            }
        }
    }
}

/// The number of loops over the result, when they are outside of those over the reduction, and the reduction is short
/// enough that it is best done at once.
fn whole_reduction(session: &Session, nest: &Nest) -> Option<usize> {
    let scop = session.scop();
    let id = nest.only_stmt()?;
    let stmt = &scop.stmts[id];
    let is_reduced = |at: usize| nest.loops[at].dim(id).is_some_and(|dim| nest::is_reduced(stmt, dim));
    let depth = (0..nest.loops.len()).take_while(|&at| !is_reduced(at)).count();
    if depth == 0
        || depth == nest.loops.len()
        || !(depth..nest.loops.len()).all(|at| is_reduced(at) || nest.loops[at].extent == Some(1))
        || !nest.is_permutable
    {
        return None;
    }
    let plan = Plan::of(scop, session.target(), nest, id, (&[], session.options().strict));
    let is_boxed = plan.boxes.iter().any(Option::is_some);
    let has_strips = (depth..nest.loops.len()).any(|at| plan.has_strips(at, nest.loops[at].extent));
    // Rows of sums that the reduction streams by do not begin and end in registers.
    let reduces = |at: usize| is_reduced(at) && !plan.is_all_in_box(at, nest.loops[at].extent);
    let mut pieces = plan.order.iter().skip_while(|piece| !reduces(piece.of));
    let streams = pieces.any(|piece| !is_reduced(piece.of));
    (is_boxed && !has_strips && !streams).then_some(depth)
}

/// Whether `other` sets or uses the result of the reduction `nest`, element by element in the same loops.
fn is_elementwise(scop: &Scop, other: &Nest, nest: &Nest, depth: usize) -> bool {
    let (Some(id), Some(of)) = (other.only_stmt(), nest.only_stmt()) else { return false };
    let (stmt, reduction) = (&scop.stmts[id], &scop.stmts[of]);
    if stmt.body.is_reduce() || other.loops.len() != depth || !other.is_permutable {
        return false;
    }
    let Some(result) = reduction.writes.first() else { return false };
    let Some(access) = stmt.accesses().find(|access| access.tensor == result.tensor) else { return false };
    (0..depth).all(|at| {
        let (here, there) = (&other.loops[at], &nest.loops[at]);
        let along = |stmt: &Stmt, access, dim: Option<usize>| dim.map(|dim| (dim, nest::stride(stmt, access, dim)));
        let (mine, its) = (along(stmt, access, here.dim(id)), along(reduction, result, there.dim(of)));
        let is_once = |one: &Loop| one.extent == Some(1);
        let same = (is_once(here) && is_once(there))
            || matches!((mine, its), (Some((_, mine)), Some((_, its))) if mine == its && mine != Stride::Constant);
        same && here.extent.is_some() && here.extent == there.extent
    })
}
