//! A schedule as lines: a loop or a statement each.

use polyhedral::{Kind, Member, Scop, isl};

use super::tree::names;

/// A line for each loop, with how it runs, and for each statement, indented by two for each loop around.
///
/// ```text
/// for C.init.m: parallel
///   for C.init.n
///     C.init
/// ```
pub(super) fn outline(scop: &Scop) -> isl::Result<Vec<String>> {
    let mut lines = Vec::new();
    node(scop, &scop.tree.root, &scop.tree.domain, 0, &mut lines)?;
    Ok(lines)
}

fn node(
    scop: &Scop,
    root: &polyhedral::Node,
    instances: &isl::UnionSet,
    depth: usize,
    lines: &mut Vec<String>,
) -> isl::Result<()> {
    match root {
        polyhedral::Node::Band(band) => {
            for (at, member) in band.members.iter().enumerate() {
                lines.push(format!("{:1$}{2}", "", 2 * (depth + at), line(member)));
            }
            node(scop, &band.child, instances, depth + band.members.len(), lines)
        }
        polyhedral::Node::Sequence(children) | polyhedral::Node::Set(children) => {
            children.iter().try_for_each(|child| {
                let inside = instances.intersect(&child.filter)?;
                node(scop, &child.node, &inside, depth, lines)
            })
        }
        polyhedral::Node::Mark { child, .. } => node(scop, child, instances, depth, lines),
        polyhedral::Node::Leaf => {
            lines.extend(names(scop, instances)?.iter().map(|name| format!("{:1$}{name}", "", 2 * depth)));
            Ok(())
        }
    }
}

fn line(member: &Member) -> String {
    let name = &member.name;
    match member.kind {
        Kind::Sequential => format!("for {name}"),
        kind => format!("for {name}: {}", word(kind)),
    }
}

/// How the iterations of a loop run: `in order`, `parallel`, `vector 16`, `unrolled 6`, `block.x`.
pub(crate) fn word(kind: Kind) -> String {
    match kind {
        Kind::Sequential => "in order".into(),
        Kind::Parallel => "parallel".into(),
        Kind::Vector(lanes) => format!("vector {lanes}"),
        Kind::Unroll(copies) => format!("unrolled {copies}"),
        Kind::Bound(axis) => axis.name().into(),
        Kind::Atomic(axis) => format!("{}, atomic", axis.name()),
    }
}
