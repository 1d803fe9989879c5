//! Finding loops in a tree, and names for new ones.

use std::collections::BTreeSet;

use polyhedral::{Band, Filtered, Index, Kernel, Member, Node, ScheduleTree, Scop, Tiling, isl};

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
        match below_marks(&mut band.child) {
            Some(inner) => absorb(band, inner),
            None => {
                let inside = &band.members[0].name;
                return Reason::precondition(format!("the loops `{inside}` and `{outside}` are not perfectly nested"));
            }
        }
    }
    Ok(band)
}

/// Takes the band out of a node that is one, with marks around it at most; they stay around what was in the band.
fn below_marks(node: &mut Node) -> Option<Band> {
    match std::mem::replace(node, Node::Leaf) {
        Node::Band(mut band) => {
            *node = std::mem::replace(&mut *band.child, Node::Leaf);
            Some(band)
        }
        // Tiles are of the band below them, whatever is around, and the loops around a kernel are the host's.
        Node::Mark { name, child } if Tiling::is_mark(&name) || Kernel::is_mark(&name) => {
            *node = Node::Mark { name, child };
            None
        }
        Node::Mark { name, mut child } => {
            let band = below_marks(&mut child);
            *node = Node::Mark { name, child };
            band
        }
        other => {
            *node = other;
            None
        }
    }
}

/// Puts the members of `inner`, which was perfectly nested in `band`, behind those of `band`.
fn absorb(band: &mut Band, inner: Band) {
    // The inner band was permutable, if at all, for the dependences that the outer one did not carry.
    band.permutable = false;
    band.members.extend(inner.members);
}

/// Merges the band that is perfectly nested in `band`, if there is one, into it.
pub(crate) fn absorb_child(band: &mut Band) {
    if let Some(inner) = below_marks(&mut band.child) {
        absorb(band, inner);
    }
}

/// Where in the band the member is.
pub(crate) fn position(band: &Band, member: &str) -> Option<usize> {
    band.members.iter().position(|own| own.name == member)
}

/// A place of the tree: where a loop is.
pub(crate) struct Site {
    /// What reaches the loop.
    pub(crate) instances: isl::UnionSet,
    /// The loops around it, outermost first.
    pub(crate) outer: Vec<Member>,
    member: Member,
}

impl Site {
    /// Of the loop with this exact name.
    pub(crate) fn of(tree: &ScheduleTree, member: &str) -> Result<Site, Reason> {
        let path = path_to(&tree.root, member).expect("the member is of this tree");
        let (node, instances, mut outer) = walk(tree, &path)?;
        let Node::Band(band) = node else { unreachable!("the path leads to the member's band") };
        let at = position(band, member).expect("the path leads to the member's band");
        outer.extend(band.members[..at].iter().cloned());
        Ok(Site { instances, outer, member: band.members[at].clone() })
    }

    /// The loop.
    pub(crate) fn member(&self) -> &Member {
        &self.member
    }

    /// What reaches the loop, by statement, each with all parameters in order.
    pub(crate) fn sets(&self, scop: &Scop) -> isl::Result<Vec<isl::Set>> {
        sets_of(scop, &self.instances)
    }

    /// From the instances to the values of the loops around.
    pub(crate) fn outer_values(&self) -> isl::Result<isl::UnionMap> {
        values_of(&self.instances, &self.outer)
    }

    /// From the instances to the values of the loops around and of the loop.
    pub(crate) fn values_with_own(&self) -> isl::Result<isl::UnionMap> {
        let own = values_of(&self.instances, std::slice::from_ref(&self.member))?;
        self.outer_values()?.flat_range_product(&own)
    }
}

/// The node at a path, the instances that reach it, and the members around it, outermost first.
pub(crate) fn walk<'a>(tree: &'a ScheduleTree, path: &[usize]) -> isl::Result<(&'a Node, isl::UnionSet, Vec<Member>)> {
    let (mut node, mut instances, mut outer) = (&tree.root, tree.domain.clone(), Vec::new());
    for &at in path {
        node = match node {
            Node::Band(band) => {
                outer.extend(band.members.iter().cloned());
                &*band.child
            }
            Node::Mark { child, .. } => &**child,
            Node::Sequence(children) | Node::Set(children) => {
                instances = instances.intersect(&children[at].filter)?;
                &children[at].node
            }
            Node::Leaf => unreachable!("the path is of this tree"),
        };
    }
    Ok((node, instances, outer))
}

/// From the instances to a constant and then the values of the members.
pub(crate) fn values_of(instances: &isl::UnionSet, members: &[Member]) -> isl::Result<isl::UnionMap> {
    let none = instances.constant(&isl::Val::int(instances.ctx(), 0)?)?.to_union_map()?;
    members.iter().try_fold(none, |all, member| {
        all.flat_range_product(&member.schedule.intersect_domain(instances)?.to_union_map()?)
    })
}

/// The instances by statement, each with all parameters in order.
pub(crate) fn sets_of(scop: &Scop, instances: &isl::UnionSet) -> isl::Result<Vec<isl::Set>> {
    let params = scop.param_space()?;
    instances.sets()?.iter().map(|set| set.align_params(&params)).collect()
}

/// The names of the statements with instances in the set.
pub(crate) fn stmts_of(instances: &isl::UnionSet) -> isl::Result<Vec<String>> {
    instances.sets()?.iter().map(isl::Set::tuple_name).collect()
}

/// The member's function on instances of one statement that reach it.
pub(crate) fn function_on(member: &Member, set: &isl::Set) -> isl::Result<isl::PwAff> {
    let name = set.tuple_name()?;
    for function in member.schedule.pw_affs()? {
        if function.space()?.tuple_name(isl::Dim::In) == name {
            return function.align_params(&set.space()?.params()?)?.intersect_domain(set);
        }
    }
    Err(isl::Error::Refused(format!("the loop `{}` has no value on {name}", member.name)))
}

/// The function that single-valued `values` are on instances of one statement.
pub(crate) fn value_on(values: &isl::UnionMap, set: &isl::Set) -> isl::Result<isl::PwAff> {
    let values = values.intersect_domain(&set.to_union_set()?)?;
    values.as_map()?.align_params(&set.space()?)?.to_pw_multi_aff()?.at(0)
}

/// Below a node: the members on the way to a leaf, and the instances there.
pub(crate) struct Leaf<'a> {
    pub(crate) instances: isl::UnionSet,
    pub(crate) members: Vec<&'a Member>,
}

/// The leaves below a node that these instances reach.
pub(crate) fn leaves<'a>(node: &'a Node, instances: &isl::UnionSet) -> isl::Result<Vec<Leaf<'a>>> {
    match node {
        Node::Leaf => Ok(vec![Leaf { instances: instances.clone(), members: Vec::new() }]),
        Node::Mark { child, .. } => leaves(child, instances),
        Node::Band(band) => {
            let mut below = leaves(&band.child, instances)?;
            below.iter_mut().for_each(|leaf| {
                leaf.members.splice(0..0, &band.members);
            });
            Ok(below)
        }
        Node::Sequence(children) | Node::Set(children) => {
            let mut all = Vec::new();
            for child in children {
                all.extend(leaves(&child.node, &instances.intersect(&child.filter)?)?);
            }
            Ok(all)
        }
    }
}

/// Where in its band the member of that exact name is.
pub(crate) fn member_at(tree: &ScheduleTree, member: &str) -> usize {
    tree.root.band_of(member).expect("the member is of this tree").1
}

/// The band of the member without its members from position `at` on, if any are left, and a node with those.
pub(crate) fn divided_at(tree: &ScheduleTree, member: &str, at: usize) -> (Option<Band>, Node) {
    let (band, _) = tree.root.band_of(member).expect("the member is of this tree");
    let (outside, inside) = band.members.split_at(at);
    let part = |members: &[Member], child: Node| Band {
        members: members.to_vec(),
        permutable: band.permutable,
        child: Box::new(child),
    };
    let node = if inside.is_empty() { (*band.child).clone() } else { Node::Band(part(inside, (*band.child).clone())) };
    ((!outside.is_empty()).then(|| part(outside, Node::Leaf)), node)
}

/// Puts a node in the place of another one. Children of a sequence that becomes the child of a sequence join those.
pub(crate) fn replace(root: &mut Node, path: &[usize], node: Node) -> isl::Result<()> {
    let Some((&last, above)) = path.split_last() else {
        *root = node;
        return Ok(());
    };
    match (node_at_mut(root, above), node) {
        (Node::Sequence(siblings), Node::Sequence(children)) => {
            let filter = siblings.remove(last).filter;
            siblings.splice(last..last, as_sequence(filter, Node::Sequence(children))?);
        }
        (parent, node) => *node_at_mut(parent, &[last]) = node,
    }
    Ok(())
}

/// The node for the instances of `filter` alone, without what they do not reach.
pub(crate) fn restricted_below(node: &Node, filter: &isl::UnionSet) -> isl::Result<Node> {
    let below = |children: &[Filtered]| -> isl::Result<Vec<Filtered>> {
        let mut kept = Vec::new();
        for child in children {
            let filter = child.filter.intersect(filter)?;
            if !filter.is_empty()? {
                kept.push(Filtered { node: restricted_below(&child.node, &filter)?, filter });
            }
        }
        Ok(kept)
    };
    Ok(match node {
        Node::Leaf => Node::Leaf,
        Node::Mark { name, child } => {
            Node::Mark { name: name.clone(), child: Box::new(restricted_below(child, filter)?) }
        }
        Node::Band(band) => Node::Band(Band {
            members: band.members.iter().map(|member| restricted(member, filter)).collect::<isl::Result<_>>()?,
            permutable: band.permutable,
            child: Box::new(restricted_below(&band.child, filter)?),
        }),
        Node::Sequence(children) => one_or(Node::Sequence, below(children)?),
        Node::Set(children) => one_or(Node::Set, below(children)?),
    })
}

/// The only child alone, or the children under a node.
pub(crate) fn one_or(several: fn(Vec<Filtered>) -> Node, mut children: Vec<Filtered>) -> Node {
    match children.pop() {
        Some(only) if children.is_empty() => only.node,
        last => several(children.into_iter().chain(last).collect()),
    }
}

/// The member restricted to the instances of `filter`.
pub(crate) fn restricted(member: &Member, filter: &isl::UnionSet) -> isl::Result<Member> {
    Ok(Member { schedule: member.schedule.intersect_domain(filter)?, ..member.clone() })
}

/// The first statement, in source order, with instances in the set; none when the set is empty.
pub(crate) fn first_stmt<'a>(scop: &'a Scop, instances: &isl::UnionSet) -> isl::Result<Option<&'a str>> {
    let names = stmts_of(instances)?;
    Ok(scop.stmts.values().map(|stmt| stmt.name.as_str()).find(|&stmt| names.iter().any(|n| n == stmt)))
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

    /// Gives every loop of the node a name of its own: the old one with `ending`, or with a number.
    pub(crate) fn rename(&mut self, node: &mut Node, ending: &str) {
        if let Node::Band(band) = node {
            for member in &mut band.members {
                member.name = self.next_free(&format!("{}{ending}", member.name));
            }
        }
        node.children_mut().into_iter().for_each(|child| self.rename(child, ending));
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

    /// The name of the copy of loop `name` around `stmt` alone: `C.init.m` around `C.update` is `C.update.m`. Around no
    /// instances at all it is numbered.
    pub(crate) fn copy(&mut self, scop: &Scop, name: &str, stmt: Option<&str>) -> String {
        let Some(stmt) = stmt else { return self.next_free(name) };
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
