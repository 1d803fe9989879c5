//! Temporaries that still lie in memory when all loops are what they will be, and of which each iteration of some loop has
//! elements of its own: it then needs memory for these only, and that stays in the first cache or in registers.
//!
//! A temporary that the first cache holds whole is left where it is: nothing would be saved.

use std::collections::BTreeSet;

use polyhedral::{Kind, Memory, Node, Role, Scop, Stmt, StmtId, TensorId, isl};
use transform::{Command, Session};

use crate::cpu::remark;
use crate::{nest, reasons};

const WHAT: &str = "kept in memory";

/// Keeps what it can at the innermost such loop; where the largest box that is left fills more than half of the first cache,
/// nothing is done.
pub(crate) fn contract(session: &mut Session) {
    let Some(first_cache) = session.target().caches.first().map(|cache| cache.bytes) else { return };
    let names: Vec<String> = {
        let scop = session.scop();
        let is_meant = |id: TensorId| is_in_memory(scop, id) && nest::bytes(scop, id, u64::MAX) > first_cache;
        scop.tensors.iter().filter(|(id, _)| is_meant(*id)).map(|(_, tensor)| tensor.name.clone()).collect()
    };
    for name in names {
        let operations = session.options().operations;
        let scop = session.scop();
        let Some((id, _)) = scop.tensors.iter().find(|(_, tensor)| tensor.name == name) else { continue };
        match scop.ctx.with_budget(operations, || own_loops(scop, id)) {
            Ok(loops) => _ = loops.iter().rev().any(|member| keep(session, &name, member, first_cache)),
            Err(error) => remark(session, &name, WHAT, &format!("its loops could not be examined: {error}")),
        }
    }
}

fn is_in_memory(scop: &Scop, id: TensorId) -> bool {
    let tensor = &scop.tensors[id];
    // A layout is a decision that was made before.
    tensor.role == Role::Temporary && tensor.memory == Memory::Global && tensor.layout.is_none()
}

/// Whether the temporary is kept for one iteration of the loop, in little enough memory.
fn keep(session: &mut Session, name: &str, member: &str, first_cache: u64) -> bool {
    let mut kept = session.clone();
    if reasons::apply(&mut kept, Command::store_at(name, member)).is_err() {
        return false;
    }
    let scop = kept.scop();
    let is_near = scop.tensors.iter().any(|(id, tensor)| {
        tensor.name == name && tensor.memory == Memory::Stack && nest::bytes(scop, id, u64::MAX) <= first_cache / 2
    });
    if is_near {
        *session = kept;
    }
    is_near
}

/// The loops around all accesses of a tensor, outermost first, of which no two iterations touch the same element.
fn own_loops(scop: &Scop, tensor: TensorId) -> isl::Result<Vec<String>> {
    let touches = |stmt: &Stmt| stmt.accesses().any(|access| access.tensor == tensor);
    let touching: BTreeSet<StmtId> = scop.stmts.iter().filter(|(_, stmt)| touches(stmt)).map(|(id, _)| id).collect();
    let none = isl::UnionMap::empty(&scop.ctx)?;
    let (mut instances, mut elements) = (isl::UnionSet::empty(&scop.ctx)?, none);
    for stmt in touching.iter().map(|id| &scop.stmts[*id]) {
        instances = instances.union(&stmt.domain.to_union_set()?)?;
        for access in stmt.accesses().filter(|access| access.tensor == tensor) {
            if access.affine().is_none() {
                return Ok(Vec::new());
            }
            elements = elements.union(&scop.relation(stmt, access)?.to_union_map()?)?;
        }
    }
    let (mut own, mut values): (Vec<String>, Option<isl::UnionMap>) = (Vec::new(), None);
    let mut node = Some(&scop.tree.root);
    while let Some(here) = node {
        node = match here {
            Node::Leaf => None,
            Node::Mark { child, .. } => Some(child),
            Node::Band(band) => {
                for member in &band.members {
                    if !matches!(member.kind, Kind::Sequential | Kind::Parallel) {
                        return Ok(own);
                    }
                    let row = member.schedule.intersect_domain(&instances)?.to_union_map()?;
                    let all = match &values {
                        None => row,
                        Some(outer) => outer.flat_range_product(&row)?,
                    };
                    if elements.reverse()?.apply_range(&all)?.is_single_valued()? {
                        own.push(member.name.clone());
                    }
                    values = Some(all);
                }
                Some(&band.child)
            }
            Node::Sequence(children) | Node::Set(children) => {
                let mut around = None;
                for child in children {
                    if instances.is_subset(&child.filter)? {
                        around = Some(&child.node);
                    }
                }
                around
            }
        };
    }
    Ok(own)
}
