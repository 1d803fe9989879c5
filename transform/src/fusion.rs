//! Commands that join and take apart the nests of a sequence: fuse, distribute.

use polyhedral::{Band, Dependences, Filtered, Kind, Member, Node, Scop, isl};

use crate::affine::shifted;
use crate::embedding::Nest;
use crate::loops::adjective;
use crate::place::{self, Path, Taken};
use crate::proof::{Edit, Proof};
use crate::refused::Reason;
use crate::session::Asked;
use crate::{Command, End};

/// Joins two nests of a sequence: their outer loops become common, matched by position. What is between them comes after,
/// or before where the second nest needs it.
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
/// `shift 1 0` adds these numbers to the loops of the second nest before they become common. Left out, they are the
/// smallest that are not negative and let no common loop run a dependence between the two nests backwards, found from
/// the outermost loop inwards; where the distance has no bound, nothing is shifted and the proof says what is wrong.
///
/// With a `depth` that only one of the nests has, the other one runs in a single iteration of the loops that it lacks: in
/// the first one when it comes first, and in the last one when it comes second. A nest may then lack all of them.
///
/// ```text
/// fuse C.init C.update depth 3
///
/// band [m, n, k]
///   sequence
///     leaf        C.init         where k = 0
///     leaf        C.update
/// ```
///
/// Each nest is named by a statement or a loop in it. Needs children of one sequence in that order, one with `depth`
/// perfectly nested loops, those that both have of the same kinds, none of them vectorised or unrolled. The common loops
/// keep the names of the first nest that has them. Proof: order. After Kennedy and McKinley, Maximizing Loop Parallelism and Improving Data Locality
/// via Loop Fusion and Distribution (LCPC 1993); the shifts after Manjikian and Abdelrahman, Fusion of Loops for
/// Parallelism and Locality (IEEE TPDS 1997).
pub(crate) fn fuse(
    scop: &Scop,
    deps: &Asked<'_>,
    (first, second): (&str, &str),
    depth: Option<u32>,
    shift: Option<&[i32]>,
) -> Result<Edit, Reason> {
    let Nests { path, first: at, second: other } = Nests::find(scop, first, second)?;
    let (node, instances, outer) = place::walk(&scop.tree, &path)?;
    let mut children = sequence_at(node, &instances)?;
    let common = [at, other].map(|at| nest_depth(&children[at].node)).into_iter().min().unwrap_or(0);
    let deepest = [at, other].map(|at| nest_depth(&children[at].node)).into_iter().max().unwrap_or(0);
    let depth = depth.map_or(common, |depth| depth as usize);
    let both = depth.min(common);
    if common == 0 && depth == 0 {
        return Reason::precondition(format!(
            "the nests of `{first}` and `{second}` have no loops that could become common"
        ));
    }
    if depth == 0 || depth > deepest {
        return Reason::precondition(format!(
            "the two nests have {common} perfectly nested loops in common, not {depth}"
        ));
    }
    if let Some(shift) = shift
        && shift.len() != both
    {
        return Reason::precondition(format!("{both} loops become common, and there are {} shifts", shift.len()));
    }
    let all_of = |children: &[Filtered]| {
        children.iter().try_fold(isl::UnionSet::empty(&scop.ctx)?, |all, child| all.union(&child.filter))
    };
    let (passed, between) = (all_of(&children[at..=other])?, all_of(&children[at + 1..other])?);
    let (b, a) = (children.remove(other), children.remove(at));
    let ordered = |before, after| -> isl::Result<bool> { is_ordered(deps(&passed)?.as_ref(), &outer, before, after) };
    let is_behind = !between.is_empty()? && ordered(&between, &b.filter)? && !ordered(&a.filter, &between)?;
    let place = if is_behind { other - 1 } else { at };
    let shift = match shift {
        Some(shift) => shift.to_vec(),
        None => smallest_shift(scop, deps(&passed)?.as_ref(), &outer, &a, &b, both)?,
    };
    let filter = a.filter.union(&b.filter)?;
    children.insert(place, Filtered { filter, node: joined(scop, (a, b), depth, &shift, &outer)? });

    let mut tree = scop.tree.clone();
    place::replace(&mut tree.root, &path, place::one_or(Node::Sequence, children))?;
    let depth = Some(u32::try_from(depth).unwrap_or(u32::MAX));
    let shift = shift.iter().any(|&by| by != 0).then_some(shift);
    let command = Command::Fuse { first: first.to_string(), second: second.to_string(), depth, shift };
    Ok(Edit::of_tree(scop, tree, command, Proof::Order(passed)))
}

/// Whether some instance of one set has to run before one of another, for equal values of the loops around.
fn is_ordered(
    deps: &Dependences,
    outer: &[Member],
    before: &isl::UnionSet,
    after: &isl::UnionSet,
) -> isl::Result<bool> {
    let mut pairs = deps.ordering(false)?.intersect_domain(before)?.intersect_range(after)?;
    for member in outer {
        pairs = pairs.eq_at(&member.schedule.to_multi()?)?;
    }
    Ok(!pairs.is_empty()?)
}

/// Takes a loop apart, with the loops perfectly nested in it: one nest for each child of the sequence in its body.
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
/// Loops outside of the named one stay around the sequence. The first nest keeps the names of the loops; the others get
/// the names that belong to their first statement.
///
/// Needs a nest that is perfect down to a sequence. Proof: order. After Kuck and others, Dependence Graphs and Compiler
/// Optimizations (POPL 1981).
pub(crate) fn distribute(scop: &Scop, member: &str) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let path = place::path_to(&scop.tree.root, &member).expect("the member is of this tree");
    let (_, instances, _) = place::walk(&scop.tree, &path)?;
    let (outside, inside) = place::divided_at(&scop.tree, &member, place::member_at(&scop.tree, &member));
    let (members, body) = peel(inside, usize::MAX);
    let (Node::Sequence(parts) | Node::Set(parts)) = body else {
        return Reason::precondition(format!("the nest of `{member}` holds one thing only"));
    };
    let names: Vec<String> = members.iter().map(|own| own.name.clone()).collect();
    let mut copies = Copies { scop, taken: Taken::by(&scop.tree, &[]), members, names };
    let apart: Vec<Filtered> =
        parts.into_iter().enumerate().map(|(at, part)| copies.around(at, part)).collect::<Result<_, Reason>>()?;
    let node = match outside {
        Some(band) => Node::Band(Band { child: Box::new(Node::Sequence(apart)), ..band }),
        None => Node::Sequence(apart),
    };
    let mut tree = scop.tree.clone();
    place::replace(&mut tree.root, &path, node)?;
    Ok(Edit::of_tree(scop, tree, Command::Distribute { member }, Proof::Order(instances)))
}

/// Two children of a sequence: the path to it, and their positions.
struct Nests {
    path: Path,
    first: usize,
    second: usize,
}

impl Nests {
    /// Those that `first` and `second`, statements or loops, are in.
    fn find(scop: &Scop, first: &str, second: &str) -> Result<Nests, Reason> {
        let (a, b) = (Nested::of(scop, first)?, Nested::of(scop, second)?);
        let mut search = Search { names: [&a, &b], reversed: false };
        match search.below(&scop.tree.root, &scop.tree.domain, &mut Vec::new())? {
            Some(found) => Ok(found),
            None if search.reversed => {
                Reason::precondition(format!("the nest of `{second}` does not follow that of `{first}`"))
            }
            None => Reason::precondition(format!("`{first}` and `{second}` are in one nest already")),
        }
    }
}

/// What names a nest.
enum Nested {
    Stmt(String),
    Loop(String),
}

impl Nested {
    fn of(scop: &Scop, name: &str) -> Result<Nested, Reason> {
        if scop.stmt_named(name).is_some() {
            return match place::stmts_of(&scop.tree.domain)?.iter().any(|stmt| stmt == name) {
                true => Ok(Nested::Stmt(name.to_string())),
                false => Reason::precondition(format!("the statement `{name}` never runs")),
            };
        }
        place::resolve(scop, name).map(Nested::Loop).or_else(|_| {
            let known: Vec<String> = scop.stmts.values().map(|stmt| stmt.name.clone()).collect();
            Reason::precondition(place::no_such("statement", name, &known))
        })
    }

    /// Whether the child of a sequence holds it.
    fn is_in(&self, child: &Filtered, reaching: &isl::UnionSet) -> isl::Result<bool> {
        match self {
            Nested::Loop(name) => Ok(place::path_to(&child.node, name).is_some()),
            Nested::Stmt(name) => {
                let here = place::stmts_of(&child.filter.intersect(reaching)?)?;
                Ok(here.iter().any(|stmt| stmt == name))
            }
        }
    }
}

/// Looks for two nests from the root down.
struct Search<'a> {
    names: [&'a Nested; 2],
    /// Whether a sequence has the second one in an earlier child than the first.
    reversed: bool,
}

impl Search<'_> {
    fn below(&mut self, node: &Node, instances: &isl::UnionSet, path: &mut Path) -> isl::Result<Option<Nests>> {
        let (Node::Sequence(children) | Node::Set(children)) = node else {
            for (at, child) in node.children().into_iter().enumerate() {
                path.push(at);
                if let Some(found) = self.below(child, instances, path)? {
                    return Ok(Some(found));
                }
                path.pop();
            }
            return Ok(None);
        };
        let mut has = [Vec::new(), Vec::new()];
        for child in children {
            for (has, name) in has.iter_mut().zip(self.names) {
                has.push(name.is_in(child, instances)?);
            }
        }
        let [first, second] = &has;
        if let Some((first, second)) = nearest(first, second) {
            return Ok(Some(Nests { path: path.clone(), first, second }));
        }
        self.reversed |= nearest(second, first).is_some();
        for (at, child) in children.iter().enumerate().filter(|&(at, _)| first[at] && second[at]) {
            path.push(at);
            if let Some(found) = self.below(&child.node, &instances.intersect(&child.filter)?, path)? {
                return Ok(Some(found));
            }
            path.pop();
        }
        Ok(None)
    }
}

/// The first two positions with the least distance, the second one later.
fn nearest(first: &[bool], second: &[bool]) -> Option<(usize, usize)> {
    let pairs = (0..first.len()).flat_map(|a| (a + 1..second.len()).map(move |b| (a, b)));
    pairs.filter(|&(a, b)| first[a] && second[b]).min_by_key(|(a, b)| b - a)
}

/// The children of a sequence or a set, with filters that are just what reaches them.
fn sequence_at(node: &Node, instances: &isl::UnionSet) -> isl::Result<Vec<Filtered>> {
    let (Node::Sequence(children) | Node::Set(children)) = node else { return Ok(Vec::new()) };
    let own = |child: &Filtered| Ok(Filtered { filter: child.filter.intersect(instances)?, node: child.node.clone() });
    children.iter().map(own).collect()
}

/// For each common loop the smallest number, not negative, that lets it run no dependence from `a` to `b` backwards.
/// Zeros from where on there is none.
fn smallest_shift(
    scop: &Scop,
    deps: &Dependences,
    outer: &[Member],
    a: &Filtered,
    b: &Filtered,
    depth: usize,
) -> isl::Result<Vec<i32>> {
    let mut shift = vec![0; depth];
    let mut pairs = deps.ordering(false)?.intersect_domain(&a.filter)?.intersect_range(&b.filter)?;
    for member in outer {
        pairs = pairs.eq_at(&member.schedule.to_multi()?)?;
    }
    let ((firsts, _), (seconds, _)) = (peel(a.node.clone(), depth), peel(b.node.clone(), depth));
    for (by, (first, second)) in shift.iter_mut().zip(firsts.iter().zip(&seconds)) {
        let apart = first.schedule.union_add(&second.schedule)?.coalesce()?;
        if pairs.lex_gt_at(&apart.to_multi()?)?.is_empty()? {
            pairs = pairs.eq_at(&apart.to_multi()?)?;
            continue;
        }
        let (from, to) = (first.schedule.to_union_map()?, second.schedule.to_union_map()?);
        let distances = pairs.apply_domain(&from)?.apply_range(&to)?.deltas()?.intersect_params(&scop.context)?;
        let Some(least) = least(&distances)? else { return Ok(vec![0; depth]) };
        *by = -least;
        let moved = first.schedule.union_add(&shifted(&second.schedule, (*by).into(), &|_| true)?)?.coalesce()?;
        pairs = pairs.eq_at(&moved.to_multi()?)?;
    }
    Ok(shift)
}

/// The least of some distances; none when there is no such number, or only one that is very far away.
fn least(distances: &isl::UnionSet) -> isl::Result<Option<i32>> {
    let least = distances.as_set()?.dim_min_val(0)?.to_i64();
    Ok(least.ok().and_then(|least| i32::try_from(least).ok()).filter(|&least| least > i32::MIN))
}

/// One nest with the outer `depth` loops of both around what was inside of each; a nest that lacks inner ones of them runs in
/// one iteration of the other's.
fn joined(
    scop: &Scop,
    (a, b): (Filtered, Filtered),
    depth: usize,
    shift: &[i32],
    outer: &[Member],
) -> Result<Node, Reason> {
    let ((mut first, inside_a), (mut second, inside_b)) = (peel(a.node, depth), peel(b.node, depth));
    for (member, &by) in second.iter_mut().zip(shift).filter(|(_, by)| **by != 0) {
        member.schedule = shifted(&member.schedule, by.into(), &|_| true)?;
    }
    let nested = |instances, loops| Nest { instances, loops };
    if first.len() < second.len() {
        let missing = nested(&a.filter, &first).embedded(scop, &nested(&b.filter, &second), outer, End::First)?;
        first.extend(missing);
    } else if second.len() < first.len() {
        let missing = nested(&b.filter, &second).embedded(scop, &nested(&a.filter, &first), outer, End::Last)?;
        second.extend(missing);
    }
    let members = first.iter().zip(&second).map(|(a, b)| matched(a, b)).collect::<Result<Vec<_>, Reason>>()?;
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
    Ok(Member { schedule: a.schedule.union_add(&b.schedule)?.coalesce()?, coincident: false, ..a.clone() })
}

/// How many loops are nested perfectly from here down.
fn nest_depth(node: &Node) -> usize {
    match node {
        Node::Band(band) => band.members.len() + nest_depth(&band.child),
        Node::Mark { child, .. } => nest_depth(child),
        _ => 0,
    }
}

/// The outer loops of a perfect nest, at most `depth`, and what is inside of them. Marks between them stay inside.
fn peel(node: Node, depth: usize) -> (Vec<Member>, Node) {
    match node {
        Node::Band(mut band) if depth < band.members.len() => {
            let outer = band.members.drain(..depth).collect();
            (outer, Node::Band(band))
        }
        Node::Band(Band { mut members, child, .. }) => {
            let (inner, body) = peel(*child, depth - members.len());
            members.extend(inner);
            (members, body)
        }
        Node::Mark { name, child } if nest_depth(&child) > 0 => {
            let (members, body) = peel(*child, depth);
            (members, Node::Mark { name, child: Box::new(body) })
        }
        other => (Vec::new(), other),
    }
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
        let stmt = place::first_stmt(self.scop, &filter)?;
        let mut members = Vec::with_capacity(self.members.len());
        for (member, name) in self.members.iter().zip(&self.names) {
            let mut copy = place::restricted(member, &filter)?;
            if at > 0 {
                copy.name = self.taken.copy(self.scop, name, stmt);
            }
            members.push(copy);
        }
        let mut band = Band { members, permutable: false, child: Box::new(node) };
        place::absorb_child(&mut band);
        Ok(Filtered { filter, node: Node::Band(band) })
    }
}
