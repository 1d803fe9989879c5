//! What is computed element by element before a contraction: while the contraction copies it, where it does.

use polyhedral::{Body, Expr, Role, Scop, Stmt, StmtId, TensorId, count};
use support::Target;
use transform::{Command, Session};

use crate::cost;
use crate::cpu::{attempt, remark};
use crate::nest::Nest;
use crate::plan::Plan;

const WHAT: &str = "not computed in a copy";

/// Whether a nest computes, element by element, a temporary that only reductions read: it waits until it is known whether
/// they copy it.
pub(crate) fn is_producer(scop: &Scop, nest: &Nest) -> bool {
    let Some(tensor) = produced(scop, nest) else { return false };
    let mut readers = readers(scop, tensor).peekable();
    readers.peek().is_some() && readers.all(|id| scop.stmts[id].body.is_reduce())
}

/// Whether a tensor is a temporary that one statement computes element by element and that only reductions and copies read:
/// copies may compute it.
pub(crate) fn is_for_copies(scop: &Scop, tensor: TensorId) -> bool {
    let writes = |stmt: &&Stmt| stmt.writes.iter().any(|access| access.tensor == tensor);
    let mut writers = scop.stmts.values().filter(writes);
    let is_map = |stmt: &Stmt| !stmt.body.is_reduce() && stmt.reads.iter().all(|read| read.tensor != tensor);
    let is_once = writers.next().is_some_and(is_map) && writers.next().is_none();
    let mut readers = readers(scop, tensor);
    scop.tensors[tensor].role == Role::Temporary
        && is_once
        && readers.all(|id| scop.stmts[id].body.is_reduce() || is_copy(&scop.stmts[id]))
}

/// Computes what the nest does in the copies that are made of its result, when these are all that reads it, and when that
/// takes no longer than the nest itself with its way through memory.
///
/// The copies then hold what is computed and the temporary is gone, as in packing routines that apply a function: BLIS,
/// Van Zee and van de Geijn (TOMS 2015).
pub(crate) fn compute_in_copies(session: &mut Session, nest: &Nest) {
    let scop = session.scop();
    let Some(tensor) = produced(scop, nest) else { return };
    let name = scop.tensors[tensor].name.clone();
    if !readers(scop, tensor).any(|id| is_copy(&scop.stmts[id])) {
        return;
    }
    match against(scop, session.target(), nest, tensor, session.options().strict) {
        Some(why) => remark(session, &name, WHAT, &why),
        None => _ = attempt(session, &name, WHAT, Command::inline(&name)),
    }
}

/// The temporary that the only statement of the nest writes, and no other statement.
fn produced(scop: &Scop, nest: &Nest) -> Option<TensorId> {
    let id = nest.only_stmt()?;
    let stmt = &scop.stmts[id];
    let [write] = stmt.writes.as_slice() else { return None };
    let writes = |other: &Stmt| other.writes.iter().any(|access| access.tensor == write.tensor);
    let is_written_once = scop.stmts.values().filter(|other| writes(other)).count() == 1;
    let is_own = stmt.reads.iter().any(|read| read.tensor == write.tensor);
    let is_temporary = scop.tensors[write.tensor].role == Role::Temporary;
    (is_temporary && is_written_once && !is_own && !stmt.body.is_reduce() && !nest.loops.is_empty())
        .then_some(write.tensor)
}

fn readers(scop: &Scop, tensor: TensorId) -> impl Iterator<Item = StmtId> {
    let reads = move |stmt: &Stmt| stmt.reads.iter().any(|read| read.tensor == tensor);
    scop.stmts.iter().filter(move |(_, stmt)| reads(stmt)).map(|(id, _)| id)
}

/// Why the nest does better by itself.
fn against(scop: &Scop, target: &Target, nest: &Nest, tensor: TensorId, strict: bool) -> Option<String> {
    let id = nest.only_stmt()?;
    if let Some(other) = readers(scop, tensor).find(|&reader| !is_copy(&scop.stmts[reader])) {
        return Some(format!("`{}` reads it where it is", scop.stmts[other].name));
    }
    let points = |id: StmtId| count::count(&scop.stmts[id].domain).ok().map(count::Count::value);
    let own = points(id)?.max(1);
    let copied = readers(scop, tensor).map(points).try_fold(0u64, |sum, one| Some(sum.saturating_add(one?)))?;
    let boxes = Plan::of(scop, target, nest, id, (&[], strict)).boxes;
    let (alone, computed) = cost::cycles_and_computed(scop, target, nest, &boxes);
    let again = (computed as f64 * copied as f64 / own as f64) as u64;
    (again > alone).then(|| {
        format!("{copied} copied elements would take about {again} cycles to compute, and {own} by themselves {alone}")
    })
}

/// Whether a statement copies elements as they are.
fn is_copy(stmt: &Stmt) -> bool {
    stmt.reads.len() == 1 && matches!(&stmt.body, Body::Assign(values) if matches!(values.as_slice(), [Expr::Load(0)]))
}
