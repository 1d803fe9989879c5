//! The command that takes a literal band tree: order.

use std::collections::BTreeSet;

use polyhedral::text::{parse_tree, print_tree};
use polyhedral::{Kind, Member, Node, ScheduleTree, Scop, isl};

use crate::proof::{Edit, Proof};
use crate::refused::Reason;
use crate::{Command, grammar};

/// Takes a literal band tree: what a scheduler found, kept so that replay never asks it again.
///
/// ```text
/// order {
///     band
///       C.init.m = …
///     …
/// }
///
/// any tree   ->   that tree
/// ```
///
/// What the text says of `permutable` and `coincident` is not believed: both are found anew from the dependences.
///
/// Needs names that fit, each once, and vectorised and unrolled members that run over whole strips. Proof: the whole order,
/// and that every instance runs once. The literal tree is the schedule tree of Verdoolaege, Guelton, Grosser and Cohen
/// (IMPACT 2014); that a schedule is a text which replays, from `ppcg --save-schedule`.
pub(crate) fn order(scop: &Scop, text: &str) -> Result<Edit, Reason> {
    let mut tree = match parse_tree(scop, text) {
        Ok(tree) => tree,
        Err(error) => return Reason::precondition(format!("line {} of the tree: {}", error.line, error.message)),
    };
    without_attributes(&mut tree.root);
    names_fit(&tree)?;
    strips_are_whole(&tree.root, &tree.domain, None)?;
    let command = command(scop, &tree)?;
    Ok(Edit { tree, command, proof: Proof::Anew })
}

/// The command that makes this tree.
pub(crate) fn command(scop: &Scop, tree: &ScheduleTree) -> isl::Result<Command> {
    let mut tree = tree.clone();
    without_attributes(&mut tree.root);
    Ok(Command::Order { tree: print_tree(scop, &tree)?.trim_end().to_string() })
}

fn without_attributes(node: &mut Node) {
    if let Node::Band(band) = node {
        band.permutable = false;
        band.members.iter_mut().for_each(|member| member.coincident = false);
    }
    node.children_mut().into_iter().for_each(without_attributes);
}

fn names_fit(tree: &ScheduleTree) -> Result<(), Reason> {
    let mut seen = BTreeSet::new();
    for Member { name, .. } in tree.root.members() {
        if !grammar::is_name(name) {
            return Reason::precondition(format!("`{name}` cannot be the name of a loop"));
        }
        if !seen.insert(name) {
            return Reason::precondition(format!("two loops are called `{name}`"));
        }
    }
    Ok(())
}

/// Checks that every vectorised or unrolled member stays inside one strip while the members around it, whose values are
/// `outer`, stay as they are: lanes and copies run over at most so many integers, from a multiple of their number.
fn strips_are_whole(node: &Node, instances: &isl::UnionSet, outer: Option<&isl::UnionMap>) -> Result<(), Reason> {
    match node {
        Node::Leaf => Ok(()),
        Node::Mark { child, .. } => strips_are_whole(child, instances, outer),
        Node::Sequence(children) | Node::Set(children) => children
            .iter()
            .try_for_each(|child| strips_are_whole(&child.node, &instances.intersect(&child.filter)?, outer)),
        Node::Band(band) => {
            let mut around = outer.cloned();
            for member in &band.members {
                if let Kind::Vector(by) | Kind::Unroll(by) = member.kind
                    && !is_whole(member, by, instances, around.as_ref())?
                {
                    let name = &member.name;
                    return Reason::precondition(format!("no loop outside `{name}` runs over its strips of {by}"));
                }
                let own = member.schedule.to_union_map()?;
                around = Some(around.map_or(Ok(own.clone()), |outer| outer.flat_range_product(&own))?);
            }
            strips_are_whole(&band.child, instances, around.as_ref())
        }
    }
}

fn is_whole(member: &Member, by: u32, instances: &isl::UnionSet, outer: Option<&isl::UnionMap>) -> isl::Result<bool> {
    let by = isl::Val::int(instances.ctx(), i64::from(by))?;
    let strip = member.schedule.intersect_domain(instances)?.scale_down(&by)?.floor()?.to_union_map()?;
    match outer {
        Some(outer) => outer.intersect_domain(instances)?.reverse()?.apply_range(&strip)?.is_single_valued(),
        None => strip.is_empty().and_then(|none| Ok(none || strip.range()?.as_set()?.is_singleton()?)),
    }
}
