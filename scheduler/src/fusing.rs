//! What surrounds a reduction: the statement that sets its result before, and those that use it element by element after.

use std::collections::BTreeSet;

use polyhedral::{Scop, Stmt, StmtId, TensorId};
use transform::{Command, Session};

use crate::cpu::{attempt, remark};
use crate::nest::{self, Loop, Nest, Stride};
use crate::plan::{Box, Plan};

const WHAT: &str = "not fused";

/// Runs initial values and what follows element by element in the loops of each reduction.
///
/// One that is not cut into strips has its accumulators begin and end in registers, with its own loops inside of the common
/// ones. One that is cut is in all of its loops with them: initial values run in the first iteration of the reduction and
/// what follows in the last one, and so, once the loops are cut, for each tile in its first strip and in its last.
///
/// `nests` are those at the top, in order.
pub(crate) fn fuse_around_reductions(session: &mut Session, nests: &[Nest]) {
    for (at, nest) in nests.iter().enumerate() {
        let Some(Reduction { stmt, depth, common, lanes }) = Reduction::of(session, nest) else { continue };
        let around = Around { nest, stmt, depth, lanes: lanes.filter(|_| common > depth) };
        let (before, after) = around.found(session, &nests[..at], &nests[at + 1..]);
        let entity = nest.name(session.scop());
        let common = u32::try_from(common).unwrap_or(1);
        if let Some(before) = before {
            attempt(session, &entity, WHAT, Command::fuse(before, &entity, common));
        }
        for after in after {
            if !attempt(session, &entity, WHAT, Command::fuse(&entity, after, common)) {
                break;
            }
        }
    }
}

/// A reduction that others may surround.
struct Reduction {
    stmt: StmtId,
    /// How many loops are over the result: those outside.
    depth: usize,
    /// How many become common.
    common: usize,
    /// The loop in the lanes of vectors.
    lanes: Option<usize>,
}

impl Reduction {
    /// None where accumulators do not stay in registers, or loops over the result are not outside of those over the reduction.
    fn of(session: &Session, nest: &Nest) -> Option<Reduction> {
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
        let lanes = plan.boxes.iter().position(|one| matches!(one, Some(Box::Vector(_))));
        (is_boxed && !streams && plan.partial.is_none()).then_some(Reduction { stmt: id, depth, common, lanes })
    }
}

/// What surrounds a reduction.
struct Around<'a> {
    nest: &'a Nest,
    stmt: StmtId,
    /// How many loops of the nest are over its result.
    depth: usize,
    /// Of a reduction that is cut, the loop in the lanes: the others must be contiguous along it too.
    lanes: Option<usize>,
}

impl Around<'_> {
    /// A statement of the nest before that sets the result, and those of the nests after that use it, or one another.
    fn found(&self, session: &mut Session, earlier: &[Nest], later: &[Nest]) -> (Option<String>, Vec<String>) {
        let (mut after, mut apart) = (Vec::new(), Vec::new());
        let scop = session.scop();
        let mut own: BTreeSet<TensorId> = scop.stmts[self.stmt].writes.iter().map(|write| write.tensor).collect();
        let before = earlier.last().filter(|before| self.is_elementwise(scop, before, &own));
        let before = before.filter(|before| match self.against(scop, before) {
            None => true,
            Some(why) => {
                apart.push(why);
                false
            }
        });
        for other in later {
            if !self.is_elementwise(scop, other, &own) {
                break;
            }
            if let Some(why) = self.against(scop, other) {
                apart.push(why);
                break;
            }
            own.extend(other.stmts.iter().flat_map(|&id| &scop.stmts[id].writes).map(|write| write.tensor));
            after.push(other.name(scop));
        }
        let before = before.map(|before| before.name(scop));
        let entity = self.nest.name(scop);
        apart.iter().for_each(|why| remark(session, &entity, WHAT, why));
        (before, after)
    }

    /// Why a statement does better in loops of its own.
    fn against(&self, scop: &Scop, other: &Nest) -> Option<String> {
        let (lanes, id) = (self.lanes?, other.only_stmt()?);
        let stmt = &scop.stmts[id];
        let moves = |access: &&polyhedral::Access| {
            other.loops[lanes].dim(id).is_some_and(|dim| nest::stride(stmt, access, dim) > Stride::Unit)
        };
        stmt.accesses().find(moves).map(|access| {
            let tensor = &scop.tensors[access.tensor].name;
            format!("`{}` is apart: `{tensor}` is not contiguous along the lanes of the reduction", stmt.name)
        })
    }

    /// Whether `other` sets or uses the result of the reduction, or of what follows it in `own`, element by element in the
    /// same loops.
    fn is_elementwise(&self, scop: &Scop, other: &Nest, own: &BTreeSet<TensorId>) -> bool {
        let Around { nest, stmt: of, depth, .. } = *self;
        let Some(id) = other.only_stmt() else { return false };
        let (stmt, reduction) = (&scop.stmts[id], &scop.stmts[of]);
        if stmt.body.is_reduce() || other.loops.len() != depth || !other.is_permutable {
            return false;
        }
        let Some(result) = reduction.writes.first() else { return false };
        let Some(access) = stmt.accesses().find(|access| own.contains(&access.tensor)) else { return false };
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
}
