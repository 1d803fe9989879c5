//! Taking statements and tensors out of a program, and putting statements in.

use std::collections::BTreeMap;

use polyhedral::{Affine, Filtered, Index, Node, Role, Scop, StmtId, TensorId, isl};
use support::Table;

use super::uses::tensor_named;
use crate::place;
use crate::refused::Reason;

/// The temporary of that name: what a command may take away or keep elsewhere.
pub(super) fn temporary(scop: &Scop, name: &str) -> Result<TensorId, Reason> {
    let id = tensor_named(scop, name)?;
    match scop.tensors[id].role {
        Role::Temporary => Ok(id),
        Role::Input => Reason::precondition(format!("`{name}` is an input: the program does not compute it")),
        Role::Output | Role::InOut => Reason::precondition(format!("`{name}` is the caller's: it is not a temporary")),
    }
}

/// The program without these statements: neither in the tree nor with an origin.
pub(super) fn without_stmts(scop: &Scop, gone: &[StmtId]) -> isl::Result<Scop> {
    let mut after = scop.clone();
    after.stmts = Table::new();
    for (_, stmt) in scop.stmts.iter().filter(|(id, _)| !gone.contains(id)) {
        after.stmts.push(stmt.clone());
    }
    after.source.clear();
    let left = after.domain()?;
    after.origin = scop.origin.intersect_domain(&left)?;
    after.tree.root = ordering(&scop.tree.root, &left)?.unwrap_or(Node::Leaf);
    after.tree.domain = left;
    Ok(after)
}

/// The program without a tensor that no statement touches.
pub(super) fn without_tensor(scop: &mut Scop, gone: TensorId) {
    let mut kept: Table<TensorId, _> = Table::new();
    let mut moved = BTreeMap::new();
    for (id, tensor) in scop.tensors.iter().filter(|(id, _)| *id != gone) {
        moved.insert(id, kept.push(tensor.clone()));
    }
    scop.tensors = kept;
    for (_, stmt) in scop.stmts.iter_mut() {
        for access in stmt.reads.iter_mut().chain(&mut stmt.writes) {
            access.tensor = *moved.get(&access.tensor).expect("no statement touches the tensor that goes");
        }
    }
}

/// A name for a statement that none has yet: `name`, or with the first number that makes it new.
pub(super) fn free_stmt_name(scop: &Scop, name: &str) -> String {
    free_name(name, |candidate| scop.stmt_named(candidate).is_some())
}

/// A name for a tensor that none has yet.
pub(super) fn free_tensor_name(scop: &Scop, name: &str) -> String {
    free_name(name, |candidate| scop.tensor_named(candidate).is_some())
}

fn free_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2u64..).map(|number| format!("{name}{number}"));
    let mut candidates = std::iter::once(name.to_string()).chain(numbered);
    candidates.find(|candidate| !taken(candidate)).expect("finitely many names are taken")
}

/// What a node orders when these instances alone run; nothing when it orders none of them.
pub(super) fn ordering(node: &Node, instances: &isl::UnionSet) -> isl::Result<Option<Node>> {
    if instances.is_empty()? {
        return Ok(None);
    }
    Ok(Some(match node {
        Node::Leaf => Node::Leaf,
        Node::Mark { name, child } => match ordering(child, instances)? {
            Some(child) => Node::Mark { name: name.clone(), child: Box::new(child) },
            None => return Ok(None),
        },
        Node::Band(band) => {
            let Some(child) = ordering(&band.child, instances)? else { return Ok(None) };
            let mut band = band.clone();
            for member in &mut band.members {
                *member = place::restricted(member, instances)?;
            }
            *band.child = child;
            Node::Band(band)
        }
        Node::Sequence(children) => match of_children(children, instances)? {
            children if children.len() > 1 => Node::Sequence(children),
            children => return Ok(children.into_iter().next().map(|only| only.node)),
        },
        Node::Set(children) => match of_children(children, instances)? {
            children if children.len() > 1 => Node::Set(children),
            children => return Ok(children.into_iter().next().map(|only| only.node)),
        },
    }))
}

fn of_children(children: &[Filtered], instances: &isl::UnionSet) -> isl::Result<Vec<Filtered>> {
    let mut left = Vec::new();
    for child in children {
        let filter = child.filter.intersect(instances)?;
        if let Some(node) = ordering(&child.node, &filter)? {
            left.push(Filtered { filter, node });
        }
    }
    Ok(left)
}

/// An affine expression with each dimension once, then each parameter, then the constant; others as they are.
pub(super) fn in_order(index: Index) -> Index {
    let Some(Affine { constant, dims, params }) = index.affine() else { return index };
    let dims = dims.into_iter().map(|(at, c)| c * Index::Dim(at));
    let params = params.into_iter().map(|(at, c)| c * Index::Param(at));
    dims.chain(params).fold(Index::Const(0), |sum, term| sum + term) + constant
}
