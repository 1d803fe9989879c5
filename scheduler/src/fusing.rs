//! What surrounds a reduction: the statement that sets its result before, and those that use it element by element after.

use std::collections::BTreeSet;

use polyhedral::{Access, Role, Scop, Stmt, StmtId, Subscript, TensorId};
use transform::{Command, Session};

use crate::cpu::attempt;
use crate::nest::{self, Loop, Nest, Stride};
use crate::plan::{Box, Piece, Plan};

pub(crate) const WHAT: &str = "not fused";

/// Runs initial values and what follows element by element in the loops of a reduction, each named by a statement: whether
/// all of it is there.
///
/// One that is not cut into strips has its accumulators begin and end in registers, with its own loops inside of the common
/// ones. One that is cut is in all of its loops with them: initial values run in the first iteration of the reduction and
/// what follows in the last one, and so, once the loops are cut, for each tile in its first strip and in its last.
pub(crate) fn fuse_around(
    session: &mut Session,
    reduction: &str,
    before: Option<&str>,
    after: &[String],
    common: usize,
) {
    let common = u32::try_from(common).unwrap_or(1);
    if let Some(before) = before {
        attempt(session, reduction, WHAT, Command::fuse(before, reduction, common));
    }
    for after in after {
        if !attempt(session, reduction, WHAT, Command::fuse(reduction, after, common)) {
            break;
        }
    }
}

/// Whether a statement writes a temporary with one reader, which is among the statements `after` a reduction and may compute it
/// as well: it then needs no memory.
pub(crate) fn link(scop: &Scop, id: StmtId, after: &[StmtId]) -> Option<TensorId> {
    link_of_any(scop, id, after, 1)
}

/// The part of the time of a statement that is left when what it stores is used at once, in registers.
pub(crate) const KEPT_IN_REGISTERS: f64 = 0.5;

/// The temporary that a statement writes, where one of `others` alone reads it, no more than `most` times, and may compute it
/// as well.
pub(crate) fn link_of_any(scop: &Scop, id: StmtId, others: &[StmtId], most: usize) -> Option<TensorId> {
    let [write] = scop.stmts[id].writes.as_slice() else { return None };
    let uses = |other: StmtId| scop.stmts[other].accesses().any(|access| access.tensor == write.tensor);
    let users: Vec<StmtId> = scop.stmts.keys().filter(|&other| other != id && uses(other)).collect();
    let reads = |access: &&Access| access.tensor == write.tensor;
    let is_read = |reader: StmtId| {
        let stmt = &scop.stmts[reader];
        !stmt.writes.iter().any(|write| reads(&write)) && (1..=most).contains(&stmt.reads.iter().filter(reads).count())
    };
    let is_own = scop.stmts[id].reads.iter().any(|read| reads(&read));
    let is_link = matches!(users.as_slice(), [reader] if others.contains(reader) && is_read(*reader));
    (scop.tensors[write.tensor].role == Role::Temporary && is_link && !is_own).then_some(write.tensor)
}

/// A reduction that others may surround.
pub(crate) struct Around<'a> {
    nest: &'a Nest,
    pub(crate) stmt: StmtId,
    /// How many loops of the nest are over its result: those outside.
    depth: usize,
    /// How many become common.
    pub(crate) common: usize,
    /// The plan of the nest by itself.
    pub(crate) plan: Plan,
    /// Of a reduction that is cut, the loop in the lanes: the others must be contiguous along it too.
    lanes: Option<usize>,
}

impl<'a> Around<'a> {
    /// None where accumulators do not stay in registers, or loops over the result are not outside of those over the reduction.
    pub(crate) fn of(session: &Session, nest: &'a Nest) -> Option<Around<'a>> {
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
        let is_cut = plan.cuts[depth..].iter().any(|cuts| !cuts.is_empty());
        // Rows of sums that the reduction streams by do not begin and end in registers.
        let reduces = |at: usize| is_reduced(at) && !plan.is_all_in_box(at, nest.loops[at].extent);
        let inner = plan.order.iter().skip_while(|piece| !reduces(piece.of) || plan.rest(piece.of) != **piece);
        let streams = inner.clone().any(|piece| !is_reduced(piece.of)) || (is_cut && inner.count() == 0);
        let common = if is_cut { nest.loops.len() } else { depth };
        let lanes = plan.boxes.iter().position(|one| is_cut && matches!(one, Some(Box::Vector(_))));
        let stays = is_boxed && !streams && plan.partial.is_none();
        stays.then_some(Around { nest, stmt: id, depth, common, plan, lanes })
    }

    /// Why a statement does better in loops of its own.
    pub(crate) fn against(&self, scop: &Scop, other: &Nest) -> Option<String> {
        let (lanes, id) = (self.lanes?, other.only_stmt()?);
        let stmt = &scop.stmts[id];
        let moves = |access: &&Access| {
            other.loops[lanes].dim(id).is_some_and(|dim| nest::stride(stmt, access, dim) > Stride::Unit)
        };
        stmt.accesses().find(moves).map(|access| {
            let tensor = &scop.tensors[access.tensor].name;
            format!("`{}` is apart: `{tensor}` is not contiguous along the lanes of the reduction", stmt.name)
        })
    }

    /// Whether `other` sets or uses the result of the reduction, or of what follows it in `own`, element by element in the
    /// same loops.
    pub(crate) fn is_elementwise(&self, scop: &Scop, other: &Nest, own: &BTreeSet<TensorId>) -> bool {
        let &Around { nest, stmt: of, depth, .. } = self;
        let Some(id) = other.only_stmt() else { return false };
        let (stmt, reduction) = (&scop.stmts[id], &scop.stmts[of]);
        if stmt.body.is_reduce() || other.loops.len() != depth || !other.is_permutable {
            return false;
        }
        let Some(result) = reduction.writes.first() else { return false };
        let Some(access) = stmt.accesses().find(|access| own.contains(&access.tensor)) else { return false };
        (0..depth).all(|at| {
            let (here, there) = (&other.loops[at], &nest.loops[at]);
            let along = |stmt: &Stmt, access: &Access, dim: Option<usize>| {
                let dim = dim?;
                let uses = |subscript: &Subscript| matches!(subscript, Subscript::Affine(index) if index.dims_used().contains(&dim));
                Some((access.index.iter().position(uses)?, nest::stride(stmt, access, dim)))
            };
            let (mine, its) = (along(stmt, access, here.dim(id)), along(reduction, result, there.dim(of)));
            let is_once = |one: &Loop| one.extent == Some(1);
            let same = (is_once(here) && is_once(there)) || (mine.is_some() && mine == its);
            same && here.extent.is_some() && here.extent == there.extent
        })
    }
}

/// The result of a reduction that nothing outside of its `nest` uses, and the loop over boxes: with one strip, a box is all
/// that lives of it at a time, and stays in registers.
pub(crate) fn kept_in_tile(scop: &Scop, nest: &Nest, reduction: &Nest, plan: &Plan) -> Option<(TensorId, Piece)> {
    let id = reduction.only_stmt()?;
    let stmt = &scop.stmts[id];
    let [write] = stmt.writes.as_slice() else { return None };
    let uses = |other: StmtId| scop.stmts[other].accesses().any(|access| access.tensor == write.tensor);
    let is_own = scop.tensors[write.tensor].role == Role::Temporary
        && scop.stmts.keys().all(|other| nest.stmts.contains(&other) || !uses(other));
    let is_reduced = |at: usize| reduction.loops[at].dim(id).is_some_and(|dim| nest::is_reduced(stmt, dim));
    let is_one_strip = (0..reduction.loops.len()).filter(|&at| is_reduced(at)).all(|at| {
        plan.cuts[at].iter().all(|&by| reduction.loops[at].extent.is_some_and(|extent| extent <= i64::from(by)))
    });
    let lanes = plan.boxes.iter().position(|one| matches!(one, Some(Box::Vector(_))))?;
    let is_contiguous = nest::stride(stmt, write, reduction.loops[lanes].dim(id)?) == Stride::Unit;
    let tile = plan.order.iter().rfind(|piece| !is_reduced(piece.of) && plan.rest(piece.of) == **piece)?;
    (is_own && is_one_strip && is_contiguous).then_some((write.tensor, *tile))
}
