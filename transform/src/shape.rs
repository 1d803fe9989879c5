//! What every tree must look like for code generation, whatever command made it.

use polyhedral::{Kind, Member, Node};

use crate::MAX_COPIES;
use crate::loops::adjective;
use crate::refused::Reason;

/// Checks that vectorised and unrolled members are innermost, copies outside lanes, at most one vectorised around a
/// statement and at most [`MAX_COPIES`] copies and lanes together.
pub(crate) fn check(root: &Node) -> Result<(), Reason> {
    below(root, Innermost::default())
}

/// The vectorised and unrolled members around a node.
#[derive(Clone, Copy, Default)]
struct Innermost<'a> {
    last: Option<&'a Member>,
    copies: u64,
}

fn below<'a>(node: &'a Node, around: Innermost<'a>) -> Result<(), Reason> {
    let inside = match (node, around.last) {
        (Node::Band(band), _) => band.members.iter().try_fold(around, one_more)?,
        (Node::Sequence(_) | Node::Set(_), Some(outer)) => {
            let kind = adjective(outer.kind);
            return Reason::precondition(format!("the loop `{}` is {kind}, but not innermost", outer.name));
        }
        _ => around,
    };
    node.children().into_iter().try_for_each(|child| below(child, inside))
}

fn one_more<'a>(around: Innermost<'a>, member: &'a Member) -> Result<Innermost<'a>, Reason> {
    let factor = match member.kind {
        Kind::Vector(factor) | Kind::Unroll(factor) => u64::from(factor),
        Kind::Sequential | Kind::Parallel => 0,
    };
    if let Some(outer) = around.last
        && (factor == 0 || matches!(outer.kind, Kind::Vector(_)))
    {
        let (kind, inner) = (adjective(outer.kind), &member.name);
        return Reason::precondition(format!("the loop `{}` is {kind}, but `{inner}` is inside it", outer.name));
    }
    if factor == 0 {
        return Ok(around);
    }
    let copies = around.copies.max(1).saturating_mul(factor);
    if copies > MAX_COPIES {
        let name = &member.name;
        return Reason::precondition(format!("`{name}` would make {copies} copies and lanes; at most {MAX_COPIES}"));
    }
    Ok(Innermost { last: Some(member), copies })
}
