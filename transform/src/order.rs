//! The command that takes a literal band tree: order.

use std::collections::BTreeSet;

use polyhedral::text::{parse_tree, print_tree};
use polyhedral::{Member, Node, ScheduleTree, Scop, isl};

use crate::proof::{Edit, Proof};
use crate::refused::Reason;
use crate::{Command, grammar, shape};

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
/// Needs names that fit, each once, and a time of its own for each instance of a statement. Proof: the whole order, and
/// that every instance runs once. The literal tree is the schedule tree of Verdoolaege, Guelton, Grosser and Cohen
/// (IMPACT 2014); that a schedule is a text which replays, from `ppcg --save-schedule`.
pub(crate) fn order(scop: &Scop, text: &str) -> Result<Edit, Reason> {
    let mut tree = match parse_tree(scop, text) {
        Ok(tree) => tree,
        Err(error) => return Reason::precondition(format!("line {} of the tree: {}", error.line, error.message)),
    };
    without_attributes(&mut tree.root);
    names_fit(&tree)?;
    orders_each(scop, &tree)?;
    tree.root.members().into_iter().try_for_each(|member| shape::in_reach(member, &scop.tree.domain))?;
    let command = command(scop, &tree)?;
    Ok(Edit::of_tree(scop, tree, command, Proof::Anew))
}

/// Two instances of one statement at one time are in no loop of the tree, and code cannot be made of them, whether their
/// order matters or not.
fn orders_each(scop: &Scop, tree: &ScheduleTree) -> Result<(), Reason> {
    let times = tree.to_map()?;
    for stmt in scop.stmts.values() {
        if !times.intersect_domain(&stmt.domain.to_union_set()?)?.is_injective()? {
            return Reason::precondition(format!("the tree leaves instances of `{}` in no order", stmt.name));
        }
    }
    Ok(())
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
