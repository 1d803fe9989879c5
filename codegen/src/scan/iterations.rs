//! Temporaries of the workspace that hold nothing from one iteration of a loop to the next: an iteration says so by an
//! [`Op::Local`](crate::Op::Local), and what it has in them at different times may have the same bytes.
//!
//! Asked for the innermost loop around all accesses of a tensor where other loops are in it, and where several tensors are
//! like that: one alone has nothing to share with, and what is in one innermost loop is alive at once.

use std::collections::BTreeMap;

use polyhedral::{Kind, Memory, Role, Scop, Stmt, Tensor, TensorId, isl};

use super::Error;
use super::leaves::{Leaves, Part};

/// isl operations for all of a program; what is not found by then is taken to be carried.
const OPERATIONS: u64 = 1_000_000;

/// By member, the tensors.
pub(super) fn fresh(scop: &Scop, leaves: &Leaves) -> Result<BTreeMap<String, Vec<TensorId>>, Error> {
    let mut loops: BTreeMap<String, Vec<(TensorId, Vec<String>)>> = BTreeMap::new();
    if leaves.subtrees.values().any(|subtree| subtree.kernel.is_some()) {
        return Ok(BTreeMap::new());
    }
    let temporaries = scop.tensors.iter().filter(|(_, tensor)| is_in_workspace(tensor));
    for (id, _) in temporaries {
        let around = common_loops(scop, leaves, id);
        if let Some(last) = around.last() {
            loops.entry(last.clone()).or_default().push((id, around));
        }
    }
    loops.retain(|_, tensors| tensors.len() > 1);
    if loops.is_empty() {
        return Ok(BTreeMap::new());
    }
    match scop.ctx.with_budget(OPERATIONS, || not_carried(scop, loops)) {
        Err(isl::Error::Quota) => Ok(BTreeMap::new()),
        fresh => Ok(fresh?),
    }
}

fn is_in_workspace(tensor: &Tensor) -> bool {
    tensor.role == Role::Temporary && tensor.memory == Memory::Global
}

/// The loops of one thread around all accesses, outermost first; none where no other loop is in them.
fn common_loops(scop: &Scop, leaves: &Leaves, tensor: TensorId) -> Vec<String> {
    let touches = |part: &&Part| scop.stmts[part.stmt].accesses().any(|access| access.tensor == tensor);
    let mut common: Option<Vec<String>> = None;
    let mut deepest = 0;
    for part in leaves.parts.values().filter(touches) {
        // Steps over tiles of open sizes are no values of the member.
        let here = part.members.iter().take_while(|member| member.kind == Kind::Sequential && member.tile.is_none());
        let here: Vec<&String> = here.map(|member| &member.name).collect();
        deepest = deepest.max(part.members.len());
        common = Some(match common {
            None => here.into_iter().cloned().collect(),
            Some(common) => common.into_iter().zip(here).take_while(|(a, b)| a == *b).map(|(a, _)| a).collect(),
        });
    }
    common.filter(|common| common.len() < deepest).unwrap_or_default()
}

fn not_carried(
    scop: &Scop,
    loops: BTreeMap<String, Vec<(TensorId, Vec<String>)>>,
) -> isl::Result<BTreeMap<String, Vec<TensorId>>> {
    let times = isl::Times::Tree(scop.tree.to_isl()?);
    let mut fresh = BTreeMap::new();
    for (member, tensors) in loops {
        let mut kept = Vec::new();
        for (tensor, around) in tensors {
            if !is_carried(scop, tensor, &around, &times)? {
                kept.push(tensor);
            }
        }
        fresh.insert(member, kept);
    }
    Ok(fresh)
}

/// Whether a read of the tensor may find what another iteration of these loops has written, or nothing.
fn is_carried(scop: &Scop, tensor: TensorId, around: &[String], times: &isl::Times) -> isl::Result<bool> {
    let none = isl::UnionMap::empty(&scop.ctx)?;
    let (mut sink, mut must_source) = (none.clone(), none.clone());
    for stmt in scop.stmts.values() {
        let updated = if stmt.body.is_reduce() { stmt.writes.as_slice() } else { &[] };
        for access in stmt.reads.iter().chain(updated).filter(|access| access.tensor == tensor) {
            sink = sink.union(&scop.cells(stmt, access)?.to_union_map()?)?;
        }
        for access in stmt.writes.iter().filter(|access| access.tensor == tensor) {
            if access.affine().is_none() {
                return Ok(true);
            }
            must_source = must_source.union(&scop.cells(stmt, access)?.to_union_map()?)?;
        }
    }
    let Some(values) = values(scop, tensor, around)? else { return Ok(true) };
    let (sink, must_source) = (sink.intersect_params(&scop.context)?, must_source.intersect_params(&scop.context)?);
    let info = isl::AccessInfo { sink, must_source, may_source: none.clone(), kill: none, schedule: times.clone() };
    let (flow, initial) = info.flow_and_initial()?;
    let in_one = values.apply_range(&values.reverse()?)?;
    Ok(!initial.is_empty()? || !flow.range_factor_domain()?.is_subset(&in_one)?)
}

/// From the instances that touch a tensor to the values of members; nothing when there is no such member.
fn values(scop: &Scop, tensor: TensorId, names: &[String]) -> isl::Result<Option<isl::UnionMap>> {
    let touches = |stmt: &&Stmt| stmt.accesses().any(|access| access.tensor == tensor);
    let none = isl::UnionSet::empty(&scop.ctx)?;
    let instances =
        (scop.stmts.values().filter(touches)).try_fold(none, |all, stmt| all.union(&stmt.domain.to_union_set()?))?;
    let members = scop.tree.root.members();
    let mut all: Option<isl::UnionMap> = None;
    for name in names {
        let Some(member) = members.iter().find(|member| member.name == *name) else { return Ok(None) };
        let row = member.schedule.intersect_domain(&instances)?.to_union_map()?;
        all = Some(match all {
            None => row,
            Some(all) => all.flat_range_product(&row)?,
        });
    }
    Ok(all)
}
