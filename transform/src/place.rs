//! Finding loops in a tree, and names for new ones.

use std::collections::BTreeSet;

use polyhedral::{Band, Filtered, Index, Member, Node, ScheduleTree, Scop, isl};

use crate::grammar;
use crate::refused::Reason;

/// Where a node is: which child to take at each node from the root down.
pub(crate) type Path = Vec<usize>;

/// The exact name of the loop that `name` means: a member's own name, or `statement.index` for the outermost member
/// that is this index of the statement.
pub(crate) fn resolve(scop: &Scop, name: &str) -> Result<String, Reason> {
    if scop.tree.member(name).is_some() {
        return Ok(name.to_string());
    }
    match through_statement(scop, name)? {
        Some(member) => Ok(member),
        None => Reason::precondition(no_such("loop", name, &member_names(&scop.tree))),
    }
}

/// Every one of `names` by [`resolve`]; no loop twice.
pub(crate) fn resolve_all(scop: &Scop, names: &[String]) -> Result<Vec<String>, Reason> {
    let mut found: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let member = resolve(scop, name)?;
        if found.contains(&member) {
            return Reason::precondition(format!("the loop `{member}` is named twice"));
        }
        found.push(member);
    }
    Ok(found)
}

fn through_statement(scop: &Scop, name: &str) -> isl::Result<Option<String>> {
    let Some((stmt_name, index)) = name.rsplit_once('.') else { return Ok(None) };
    let Some(id) = scop.stmt_named(stmt_name) else { return Ok(None) };
    let stmt = &scop.stmts[id];
    let Some(at) = stmt.dims.iter().position(|dim| dim == index) else { return Ok(None) };
    for member in scop.tree.root.members() {
        if is_dimension(member, stmt_name, at)? {
            return Ok(Some(member.name.clone()));
        }
    }
    Ok(None)
}

/// Whether the member's value on the statement's instances is their dimension `at`.
fn is_dimension(member: &Member, stmt: &str, at: usize) -> isl::Result<bool> {
    for function in member.schedule.pw_affs()? {
        let domain = function.domain()?;
        if domain.tuple_name()? == stmt {
            let dimension = Index::Dim(at).to_pw_aff(&domain.space()?)?.intersect_domain(&domain)?;
            return function.is_equal(&dimension);
        }
    }
    Ok(false)
}

/// The names of all members, in pre-order.
pub(crate) fn member_names(tree: &ScheduleTree) -> Vec<String> {
    tree.root.members().iter().map(|member| member.name.clone()).collect()
}

/// The sentence for a name that means nothing, with the names that do.
pub(crate) fn no_such(kind: &str, name: &str, known: &[String]) -> String {
    let closest = closest(name, known.iter().map(String::as_str));
    let hint = closest.map_or_else(String::new, |other| format!("; did you mean `{other}`?"));
    format!("there is no {kind} `{name}`{hint} ({kind}s: {})", listed(known))
}

/// The known name that `name` may be a slip of.
pub(crate) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|other| (strsim::osa_distance(name, other), other));
    let near = distances.filter(|(distance, other)| *distance <= 1.max(other.len() / 4));
    near.min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// The names, as many as one can read at a glance.
fn listed(names: &[String]) -> String {
    const GLANCE: usize = 24;
    match names.len() {
        0 => "none".into(),
        n if n > GLANCE => format!("{}, and {} more", names[..GLANCE].join(", "), n - GLANCE),
        _ => names.join(", "),
    }
}

/// The path to the band that has the member.
pub(crate) fn path_to(root: &Node, member: &str) -> Option<Path> {
    if let Node::Band(band) = root
        && band.members.iter().any(|own| own.name == member)
    {
        return Some(Vec::new());
    }
    root.children().into_iter().enumerate().find_map(|(at, child)| {
        let mut path = path_to(child, member)?;
        path.insert(0, at);
        Some(path)
    })
}

/// The node at a path that [`path_to`] gave for this tree.
pub(crate) fn node_at_mut<'a>(root: &'a mut Node, path: &[usize]) -> &'a mut Node {
    path.iter().fold(root, |node, &at| node.children_mut().into_iter().nth(at).expect("the path is of this tree"))
}

/// The outermost band of the nest that holds all `members`, with the perfectly nested bands below it merged in as far
/// as the members reach.
///
/// ```text
/// band [m, n]                  band [m, n, k]
///   band [k]          ->         ...
///     ...
/// ```
pub(crate) fn merged_band<'a>(root: &'a mut Node, members: &[String]) -> Result<&'a mut Band, Reason> {
    let paths: Option<Vec<Path>> = members.iter().map(|member| path_to(root, member)).collect();
    let top = paths.and_then(|paths| paths.into_iter().min_by_key(Vec::len)).expect("the members are of this tree");
    let Node::Band(band) = node_at_mut(root, &top) else { unreachable!("the path leads to the member's band") };
    while let Some(outside) = members.iter().find(|&name| position(band, name).is_none()) {
        match std::mem::replace(&mut *band.child, Node::Leaf) {
            Node::Band(inner) => absorb(band, inner),
            _ => {
                let inside = &band.members[0].name;
                return Reason::precondition(format!("the loops `{inside}` and `{outside}` are not perfectly nested"));
            }
        }
    }
    Ok(band)
}

/// Puts the members of `inner`, which was the child of `band`, behind those of `band`.
pub(crate) fn absorb(band: &mut Band, inner: Band) {
    // The inner band was permutable, if at all, for the dependences that the outer one did not carry.
    band.permutable = false;
    band.members.extend(inner.members);
    band.child = inner.child;
}

/// Where in the band the member is.
pub(crate) fn position(band: &Band, member: &str) -> Option<usize> {
    band.members.iter().position(|own| own.name == member)
}

/// The member restricted to the instances of `filter`.
pub(crate) fn restricted(member: &Member, filter: &isl::UnionSet) -> isl::Result<Member> {
    Ok(Member { schedule: member.schedule.intersect_domain(filter)?, ..member.clone() })
}

/// The first statement, in source order, with instances in the set.
pub(crate) fn first_stmt<'a>(scop: &'a Scop, instances: &isl::UnionSet) -> isl::Result<&'a str> {
    let names: Vec<String> = instances.sets()?.iter().map(isl::Set::tuple_name).collect::<isl::Result<_>>()?;
    Ok(scop.stmts.values().map(|stmt| stmt.name.as_str()).find(|&stmt| names.iter().any(|n| n == stmt)).unwrap_or(""))
}

/// The children of a sequence that stands for `node` restricted to `filter`: its own, when it is one.
pub(crate) fn as_sequence(filter: isl::UnionSet, node: Node) -> isl::Result<Vec<Filtered>> {
    match node {
        Node::Sequence(children) => children
            .into_iter()
            .map(|child| Ok(Filtered { filter: child.filter.intersect(&filter)?, node: child.node }))
            .collect(),
        node => Ok(vec![Filtered { filter, node }]),
    }
}

/// The names that the loops of a tree have, and the next ones.
pub(crate) struct Taken(BTreeSet<String>);

impl Taken {
    /// By the loops of the tree, without `but`, which are about to go.
    pub(crate) fn by(tree: &ScheduleTree, but: &[String]) -> Taken {
        Taken(member_names(tree).into_iter().filter(|name| !but.contains(name)).collect())
    }

    /// `name` if it is free, else the first of `name2`, `name3`, … that is.
    pub(crate) fn next_free(&mut self, name: &str) -> String {
        let numbered = (2u64..).map(|number| format!("{name}{number}"));
        let free = std::iter::once(name.to_string())
            .chain(numbered)
            .find(|candidate| !self.0.contains(candidate))
            .expect("a tree has finitely many names");
        self.0.insert(free.clone());
        free
    }

    /// `name` is taken from now on.
    pub(crate) fn mark(&mut self, name: &str) {
        self.0.insert(name.to_string());
    }

    /// The full name of a loop that a command calls `new` and makes from `from`.
    pub(crate) fn given(&mut self, new: &str, from: &str) -> Result<String, Reason> {
        if !grammar::is_name(new) {
            return Reason::precondition(format!("`{new}` cannot be the name of a loop"));
        }
        let full = if new.contains('.') { new.to_string() } else { format!("{}{new}", prefix(from)) };
        if !self.0.insert(full.clone()) {
            return Reason::precondition(format!("there is already a loop `{full}`"));
        }
        Ok(full)
    }

    /// The name of the copy of loop `name` around `stmt` alone: `C.init.m` around `C.update` is `C.update.m`.
    pub(crate) fn copy(&mut self, scop: &Scop, name: &str, stmt: &str) -> String {
        let beside_stmt = scop
            .stmts
            .values()
            .filter_map(|other| name.strip_prefix(other.name.as_str())?.strip_prefix('.'))
            .min_by_key(|index| index.len())
            .map_or_else(|| format!("{name}.{stmt}"), |index| format!("{stmt}.{index}"));
        self.next_free(&beside_stmt)
    }
}

/// What a name without a dot is put behind: `C.update.` for `C.update.m`.
pub(crate) fn prefix(name: &str) -> &str {
    name.rfind('.').map_or("", |dot| &name[..=dot])
}

/// The shortest text that [`Taken::given`] turns into `full`.
pub(crate) fn short(full: &str, from: &str) -> String {
    match full.strip_prefix(prefix(from)) {
        Some(rest) if !rest.contains('.') => rest.to_string(),
        _ => full.to_string(),
    }
}
