//! What a script left open: the nests at the top that are still as in the source.

use std::collections::BTreeSet;

use polyhedral::{Filtered, Node, ScheduleTree, Scop, StmtId, isl};
use transform::Session;

/// The nests that are still as in the source, each as the names of its statements; with `wanted`, those that hold one
/// of them.
pub(crate) fn open(session: &Session, wanted: &[String]) -> isl::Result<Vec<BTreeSet<String>>> {
    let (now, source) = (tops(&session.scop().tree), tops(&session.source().tree));
    let mut open = Vec::new();
    for child in &now {
        for original in &source {
            if child.filter.is_equal(&original.filter)? && same(&child.node, &original.node)? {
                open.push(statements(&child.filter)?);
            }
        }
    }
    open.retain(|stmts| wanted.is_empty() || wanted.iter().any(|stmt| stmts.contains(stmt)));
    Ok(open)
}

/// The nests at the top that hold none of `taken`, each as the names of its statements.
pub(crate) fn others(scop: &Scop, taken: &BTreeSet<String>) -> isl::Result<Vec<BTreeSet<String>>> {
    let all: isl::Result<Vec<BTreeSet<String>>> = tops(&scop.tree).iter().map(|top| statements(&top.filter)).collect();
    Ok(all?.into_iter().filter(|nest| nest.is_disjoint(taken)).collect())
}

/// The nests at the top, one after the other.
fn tops(tree: &ScheduleTree) -> Vec<Filtered> {
    match &tree.root {
        Node::Sequence(children) | Node::Set(children) => children.clone(),
        root => vec![Filtered { filter: tree.domain.clone(), node: root.clone() }],
    }
}

fn statements(instances: &isl::UnionSet) -> isl::Result<BTreeSet<String>> {
    instances.sets()?.iter().map(isl::Set::tuple_name).collect()
}

/// Whether two trees order the same instances by the same loops; what is known of these does not count.
fn same(a: &Node, b: &Node) -> isl::Result<bool> {
    match (a, b) {
        (Node::Leaf, Node::Leaf) => Ok(true),
        (Node::Band(a), Node::Band(b)) => {
            if a.members.len() != b.members.len() {
                return Ok(false);
            }
            for (a, b) in a.members.iter().zip(&b.members) {
                let alike = a.name == b.name && a.kind == b.kind;
                if !alike || !a.schedule.to_union_map()?.is_equal(&b.schedule.to_union_map()?)? {
                    return Ok(false);
                }
            }
            same(&a.child, &b.child)
        }
        (Node::Sequence(a), Node::Sequence(b)) | (Node::Set(a), Node::Set(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b) {
                if !a.filter.is_equal(&b.filter)? || !same(&a.node, &b.node)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The tree with `part`, a tree of some nests' instances, in the place of these nests.
pub(crate) fn with_part(tree: &ScheduleTree, part: ScheduleTree) -> isl::Result<ScheduleTree> {
    let mut children = Vec::new();
    let mut parts = tops(&part);
    for child in tops(tree) {
        match child.filter.intersect(&part.domain)?.is_empty()? {
            true => children.push(child),
            false => children.append(&mut parts),
        }
    }
    let root = match children.len() {
        1 => children.remove(0).node,
        _ => Node::Sequence(children),
    };
    Ok(ScheduleTree { domain: tree.domain.clone(), root })
}

/// The instances of some statements.
pub(crate) fn instances(scop: &Scop, stmts: &BTreeSet<String>) -> isl::Result<isl::UnionSet> {
    scop.stmts
        .values()
        .filter(|stmt| stmts.contains(&stmt.name))
        .try_fold(isl::UnionSet::empty(&scop.ctx)?, |all, stmt| all.union(&stmt.domain.to_union_set()?))
}

/// Whether all of `ids` are among the statements.
pub(crate) fn holds_all(scop: &Scop, stmts: &BTreeSet<String>, ids: &[StmtId]) -> bool {
    ids.iter().all(|&id| stmts.contains(&scop.stmts[id].name))
}
