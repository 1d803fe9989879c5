//! Commands on the nests at the top of the tree: fuse, distribute.

use polyhedral::{Band, Filtered, Kind, Member, Node, ScheduleTree, Scop};

use crate::Command;
use crate::loops::adjective;
use crate::place::{self, Taken};
use crate::proof::{Edit, Proof};
use crate::refused::Reason;

/// Joins two nests that follow each other at the top: their outer loops become common, matched by position.
///
/// ```text
/// fuse C.init C.update depth 2
///
/// sequence                     ->   band [m, n]
///   band [m, n]       C.init          sequence
///   band [m, n, k]    C.update          leaf        C.init
///                                       band [k]    C.update
/// ```
///
/// Needs children of the sequence at the top that follow each other, each with `depth` perfectly nested loops of the
/// same kinds, none of them vectorised or unrolled. The common loops keep the names of the first nest. Proof: order. After Kennedy and McKinley, Maximizing
/// Loop Parallelism and Improving Data Locality via Loop Fusion and Distribution (LCPC 1993).
pub(crate) fn fuse(scop: &Scop, first: &str, second: &str, depth: Option<u32>) -> Result<Edit, Reason> {
    let mut top = top_children(&scop.tree);
    let at = adjacent(scop, &top, first, second)?;
    let common = top[at..at + 2].iter().map(|child| nest_depth(&child.node)).min().unwrap_or(0);
    let depth = depth.map_or(common, |depth| depth as usize);
    if depth == 0 || depth > common {
        return Reason::precondition(format!(
            "the two nests have {common} perfectly nested loops in common, not {depth}"
        ));
    }
    let (b, a) = (top.remove(at + 1), top.remove(at));
    let filter = a.filter.union(&b.filter)?;
    top.insert(at, Filtered { filter: filter.clone(), node: joined(a, b, depth)? });

    let depth = Some(u32::try_from(depth).unwrap_or(u32::MAX));
    let command = Command::Fuse { first: first.to_string(), second: second.to_string(), depth };
    Ok(Edit::of_tree(scop, with_top(&scop.tree, top), command, Proof::Order(filter)))
}

/// Takes a nest at the top apart: one nest for each child of the sequence in its body.
///
/// ```text
/// distribute C.init.m
///
/// band [m, n]                 ->   sequence
///   sequence                         band [m, n]       C.init
///     leaf        C.init             band [m, n, k]    C.update
///     band [k]    C.update
/// ```
///
/// The first nest keeps the names of the loops; the others get the names that belong to their first statement.
///
/// Needs a nest at the top, perfect down to a sequence. Proof: order. After Kuck and others, Dependence Graphs and Compiler
/// Optimizations (POPL 1981).
pub(crate) fn distribute(scop: &Scop, member: &str) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let mut top = top_children(&scop.tree);
    let at = top.iter().position(|child| place::path_to(&child.node, &member).is_some()).unwrap_or(0);
    let Filtered { filter, node } = top.remove(at);
    let (members, body) = peel(node, usize::MAX);
    let (Node::Sequence(parts) | Node::Set(parts)) = body else {
        return Reason::precondition(format!("the nest of `{member}` holds one thing only"));
    };
    if !members.iter().any(|own| own.name == member) {
        return Reason::precondition(format!("the loop `{member}` is not at the top"));
    }
    let names: Vec<String> = members.iter().map(|own| own.name.clone()).collect();
    let mut copies = Copies { scop, taken: Taken::by(&scop.tree, &[]), members, names };
    let apart: Vec<Filtered> =
        parts.into_iter().enumerate().map(|(at, part)| copies.around(at, part)).collect::<Result<_, Reason>>()?;
    top.splice(at..at, apart);
    let tree = with_top(&scop.tree, top);
    Ok(Edit::of_tree(scop, tree, Command::Distribute { member }, Proof::Order(filter)))
}

/// The position at the top of the nest with `first`, when the one with `second` follows it.
fn adjacent(scop: &Scop, top: &[Filtered], first: &str, second: &str) -> Result<usize, Reason> {
    if top.len() < 2 {
        return Reason::precondition("there is one nest at the top, and nothing to fuse it with");
    }
    let position = |name: &str| -> Result<usize, Reason> {
        if scop.stmt_named(name).is_none() {
            let known: Vec<String> = scop.stmts.values().map(|stmt| stmt.name.clone()).collect();
            return Reason::precondition(place::no_such("statement", name, &known));
        }
        for (at, child) in top.iter().enumerate() {
            if child.filter.sets()?.iter().any(|set| set.tuple_name().is_ok_and(|tuple| tuple == name)) {
                return Ok(at);
            }
        }
        Reason::precondition(format!("the statement `{name}` never runs"))
    };
    let (a, b) = (position(first)?, position(second)?);
    if a == b {
        return Reason::precondition(format!("`{first}` and `{second}` are in one nest already"));
    }
    if a + 1 != b {
        return Reason::precondition(format!("the nest of `{second}` does not follow that of `{first}`"));
    }
    Ok(a)
}

/// One nest with the outer `depth` loops of both around what was inside of each.
fn joined(a: Filtered, b: Filtered, depth: usize) -> Result<Node, Reason> {
    let ((first, inside_a), (second, inside_b)) = (peel(a.node, depth), peel(b.node, depth));
    let members = first.into_iter().zip(second).map(|(a, b)| matched(&a, &b)).collect::<Result<Vec<_>, Reason>>()?;
    let mut parts = place::as_sequence(a.filter, inside_a)?;
    parts.extend(place::as_sequence(b.filter, inside_b)?);
    Ok(Node::Band(Band { members, permutable: false, child: Box::new(Node::Sequence(parts)) }))
}

/// One loop over the instances of both.
fn matched(a: &Member, b: &Member) -> Result<Member, Reason> {
    if a.kind != b.kind {
        let (left, right) = (adjective(a.kind), adjective(b.kind));
        return Reason::precondition(format!("`{}` is {left} and `{}` is {right}", a.name, b.name));
    }
    if let Kind::Vector(_) | Kind::Unroll(_) = a.kind {
        return Reason::precondition(format!("the loop `{}` is {}", a.name, adjective(a.kind)));
    }
    Ok(Member { schedule: a.schedule.union_add(&b.schedule)?, coincident: false, ..a.clone() })
}

/// How many loops are nested perfectly from here down.
fn nest_depth(node: &Node) -> usize {
    match node {
        Node::Band(band) => band.members.len() + nest_depth(&band.child),
        _ => 0,
    }
}

/// The outer loops of a perfect nest, at most `depth`, and what is inside of them.
fn peel(mut node: Node, depth: usize) -> (Vec<Member>, Node) {
    let mut outer = Vec::new();
    while let Node::Band(mut band) = node {
        let wanted = band.members.len().min(depth - outer.len());
        outer.extend(band.members.drain(..wanted));
        if !band.members.is_empty() {
            return (outer, Node::Band(band));
        }
        node = *band.child;
    }
    (outer, node)
}

/// The children at the top, with the whole domain as the filter of a single one.
fn top_children(tree: &ScheduleTree) -> Vec<Filtered> {
    match &tree.root {
        Node::Sequence(children) | Node::Set(children) => children.clone(),
        node => vec![Filtered { filter: tree.domain.clone(), node: node.clone() }],
    }
}

/// The tree with these children at the top, one after another; that is one of the orders that a set allows.
fn with_top(tree: &ScheduleTree, mut top: Vec<Filtered>) -> ScheduleTree {
    let root = match top.pop() {
        Some(only) if top.is_empty() => only.node,
        last => Node::Sequence(top.into_iter().chain(last).collect()),
    };
    ScheduleTree { domain: tree.domain.clone(), root }
}

/// Copies the loops around the parts of a body.
struct Copies<'a> {
    scop: &'a Scop,
    taken: Taken,
    members: Vec<Member>,
    names: Vec<String>,
}

impl Copies<'_> {
    /// The part number `at` in loops of its own.
    fn around(&mut self, at: usize, part: Filtered) -> Result<Filtered, Reason> {
        let Filtered { filter, node } = part;
        let stmt = place::first_stmt(self.scop, &filter)?.to_string();
        let mut members = Vec::with_capacity(self.members.len());
        for (member, name) in self.members.iter().zip(&self.names) {
            let mut copy = place::restricted(member, &filter)?;
            if at > 0 {
                copy.name = self.taken.copy(self.scop, name, &stmt);
            }
            members.push(copy);
        }
        let mut band = Band { members, permutable: false, child: Box::new(node) };
        if let Node::Band(inner) = std::mem::replace(&mut *band.child, Node::Leaf) {
            place::absorb(&mut band, inner);
        }
        Ok(Filtered { filter, node: Node::Band(band) })
    }
}
