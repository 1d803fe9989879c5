//! Reductions over a few neighbours: sums over 3 × 3, the largest of 2 × 2.

use polyhedral::{Access, Body, Expr, Role, Scop, Stmt, StmtId, TensorId};

use crate::nest::{self, Stride};

/// The most terms that are written out: as many operands as registers hold.
const MOST_TERMS: i64 = 32;

/// The temporaries that are such a reduction and that one statement reads, each element once: written out there, they are
/// computed where they are used and need no memory, and the stages of a picture are all nests that can share rows. Of
/// statements that are `chosen`.
pub(crate) fn written_out(scop: &Scop, chosen: impl Fn(&str) -> bool) -> Vec<String> {
    let temporaries = scop.tensors.iter().filter(|(_, tensor)| tensor.role == Role::Temporary);
    let meant = temporaries.filter(|(id, _)| {
        let users = users(scop, *id);
        users.iter().all(|(_, stmt)| chosen(&stmt.name)) && is_written_out(scop, *id, users)
    });
    meant.map(|(_, tensor)| tensor.name.clone()).collect()
}

fn users(scop: &Scop, tensor: TensorId) -> Vec<(StmtId, &Stmt)> {
    scop.stmts.iter().filter(|(_, stmt)| stmt.accesses().any(|access| access.tensor == tensor)).collect()
}

fn is_written_out(scop: &Scop, tensor: TensorId, users: Vec<(StmtId, &Stmt)>) -> bool {
    let writes = |(_, stmt): &(StmtId, &Stmt)| stmt.writes.iter().any(|write| write.tensor == tensor);
    let (writers, readers): (Vec<_>, Vec<_>) = users.into_iter().partition(writes);
    let ([(_, init), (update, window)], [(reader, _)]) = (writers.as_slice(), readers.as_slice()) else { return false };
    let begins = matches!(&init.body, Body::Assign(values) if matches!(values.as_slice(), [Expr::Const(..)]));
    begins && is_window(scop, *update, window) && reads_once(scop, *reader, tensor)
}

/// Whether a statement reduces a few values that lie around its result: what it reads moves with all of that, or is the same
/// everywhere, as weights are. Anything else is a product, which has registers for many results.
fn is_window(scop: &Scop, id: StmtId, stmt: &Stmt) -> bool {
    let Body::Reduce { monoid, .. } = &stmt.body else { return false };
    let extents: Option<Vec<i64>> = (0..stmt.dims.len()).map(|dim| extent(scop, id, dim)).collect();
    let Some(extents) = extents.filter(|_| monoid.operator_on_state().is_some()) else { return false };
    let (reduced, kept): (Vec<usize>, Vec<usize>) =
        (0..extents.len()).filter(|&dim| extents[dim] != 1).partition(|&dim| nest::is_reduced(stmt, dim));
    let terms = reduced.iter().fold(1i64, |all, &dim| all.saturating_mul(extents[dim]));
    let moves = |read: &Access| kept.iter().filter(|&&dim| nest::stride(stmt, read, dim) != Stride::Constant).count();
    let moved: Vec<usize> = stmt.reads.iter().map(moves).collect();
    (2..=MOST_TERMS).contains(&terms)
        && moved.contains(&kept.len())
        && moved.iter().all(|&dims| dims == 0 || dims == kept.len())
}

/// Whether a statement is an assignment that reads the tensor in one place, another element in each instance.
fn reads_once(scop: &Scop, id: StmtId, tensor: TensorId) -> bool {
    let stmt = &scop.stmts[id];
    let mut reads = stmt.reads.iter().filter(|read| read.tensor == tensor);
    let Some(read) = reads.next() else { return false };
    let is_everywhere =
        |dim: usize| extent(scop, id, dim) == Some(1) || nest::stride(stmt, read, dim) != Stride::Constant;
    !stmt.body.is_reduce()
        && read.affine().is_some()
        && reads.all(|other| other.index == read.index)
        && (0..stmt.dims.len()).all(is_everywhere)
}

/// How many values a dimension has at most, where that is a number.
fn extent(scop: &Scop, id: StmtId, dim: usize) -> Option<i64> {
    let (domain, at) = (&scop.stmts[id].domain, i32::try_from(dim).ok()?);
    let [least, most] = [domain.dim_min_val(at), domain.dim_max_val(at)].map(|value| value.ok()?.to_i64().ok());
    most?.checked_sub(least?)?.checked_add(1)
}
