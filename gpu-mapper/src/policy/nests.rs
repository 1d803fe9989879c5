//! Nests and their loops.

use polyhedral::{Access, Band, Member, Node, Scop, StmtId, Subscript, isl};
use transform::Session;

/// A statement of each nest, in their order.
pub(super) fn heads(scop: &Scop) -> Vec<String> {
    let first = |instances: &isl::UnionSet| instances.sets().ok()?.first()?.tuple_name().ok();
    match &scop.tree.root {
        Node::Sequence(children) | Node::Set(children) => {
            children.iter().filter_map(|child| first(&child.filter)).collect()
        }
        _ => first(&scop.tree.domain).into_iter().collect(),
    }
}

/// The nest of a statement: what is outermost but for sequences.
pub(super) fn nest_of<'t>(scop: &'t Scop, stmt: &str) -> Option<&'t Node> {
    match &scop.tree.root {
        Node::Sequence(children) | Node::Set(children) => {
            children.iter().find(|child| has_instances(&child.filter, stmt)).map(|child| &child.node)
        }
        root => Some(root),
    }
}

/// Whether some of the instances are of a statement.
pub(super) fn has_instances(instances: &isl::UnionSet, stmt: &str) -> bool {
    let sets = instances.sets().unwrap_or_default();
    sets.iter().any(|set| set.tuple_name().is_ok_and(|name| name == stmt))
}

/// Whether a loop is free of dependences.
pub(super) fn is_free(session: &Session, member: &Member) -> bool {
    member.coincident || session.coincident(&member.name).is_ok()
}

/// The outermost band that a statement's instances pass.
pub(super) fn band_over<'t>(node: &'t Node, stmt: &str) -> Option<&'t Band> {
    match node {
        Node::Band(band) => Some(band),
        Node::Mark { child, .. } => band_over(child, stmt),
        Node::Sequence(children) | Node::Set(children) => {
            let child = children.iter().find(|child| has_instances(&child.filter, stmt));
            child.and_then(|child| band_over(&child.node, stmt))
        }
        Node::Leaf => None,
    }
}

/// The loops of a band, from the outermost on, that are free of dependences.
pub(super) fn free_loops(session: &Session, band: Option<&Band>) -> Vec<String> {
    let members = band.map_or(&[][..], |band| band.members.as_slice());
    members.iter().take_while(|member| is_free(session, member)).map(|member| member.name.clone()).collect()
}

/// In the place of a dimension, where a loop has one iteration: no subscript is in it.
const NO_DIM: usize = usize::MAX;

/// A free loop of the nest.
#[derive(Clone)]
pub(super) struct Loop {
    pub(super) name: String,
    /// The dimension of the contraction that it is.
    pub(super) dim: usize,
    /// Iterations, where that is a constant.
    pub(super) extent: Option<i64>,
}

pub(super) fn uses(access: &Access, dim: usize) -> bool {
    access.index.iter().any(|subscript| in_subscript(subscript, dim))
}

pub(super) fn in_subscript(subscript: &Subscript, dim: usize) -> bool {
    match subscript {
        Subscript::Affine(index) => index.dims_used().contains(&dim),
        Subscript::Indirect(_) => false,
    }
}

impl Loop {
    /// Of a loop whose value is a dimension of the statement, or the number of a strip of one; or that has one value, so that
    /// nothing moves with it.
    pub(super) fn of(scop: &Scop, name: &str, stmt: StmtId) -> Option<Loop> {
        let member = scop.tree.member(name)?;
        let of = &scop.stmts[stmt].name;
        let extent = extent(member);
        let none = || (extent == Some(1)).then_some(NO_DIM);
        let dim = dim_of(member, of).or_else(|| strips_of(member, of)).or_else(none)?;
        Some(Loop { name: name.to_string(), dim, extent })
    }
}

/// The dimension of a statement that a loop runs over.
pub(super) fn dim_of(member: &Member, stmt: &str) -> Option<usize> {
    let functions = member.schedule.pw_affs().ok()?;
    let is_own = |function: &&isl::PwAff| function.space().is_ok_and(|space| space.tuple_name(isl::Dim::In) == stmt);
    let pieces = functions.iter().find(is_own)?.pieces().ok()?;
    let [(_, function)] = pieces.as_slice() else { return None };
    let terms = function.terms().ok()?;
    let used: Vec<usize> = (0..terms.dims.len()).filter(|at| terms.dims[*at] != 0).collect();
    match used.as_slice() {
        [dim] if terms.dims[*dim] == 1 && terms.floors.is_empty() => Some(*dim),
        _ => None,
    }
}

/// The dimension of a statement of which a loop runs over strips.
fn strips_of(member: &Member, stmt: &str) -> Option<usize> {
    let functions = member.schedule.pw_affs().ok()?;
    let is_own = |function: &&isl::PwAff| function.space().is_ok_and(|space| space.tuple_name(isl::Dim::In) == stmt);
    let pieces = functions.iter().find(is_own)?.pieces().ok()?;
    let [(_, function)] = pieces.as_slice() else { return None };
    let terms = function.terms().ok()?;
    let [(1, strip)] = terms.floors.as_slice() else { return None };
    let used: Vec<usize> = (0..strip.dims.len()).filter(|at| strip.dims[*at] != 0).collect();
    match used.as_slice() {
        [dim] if strip.dims[*dim] == 1 && strip.floors.is_empty() && terms.dims.iter().all(|by| *by == 0) => Some(*dim),
        _ => None,
    }
}

/// How many values a loop has, if that is a constant.
pub(super) fn extent(member: &Member) -> Option<i64> {
    let values = member.schedule.to_union_map().ok()?.range().ok()?.as_set().ok()?;
    let bound =
        |value: isl::Result<isl::Val>| value.ok().filter(|value| value.is_int().unwrap_or(false))?.to_i64().ok();
    bound(values.dim_max_val(0))?.checked_sub(bound(values.dim_min_val(0))?)?.checked_add(1)
}

/// The loops around a statement, outermost first.
pub(super) fn loops_over(node: &Node, stmt: &str) -> Vec<String> {
    let mut loops = Vec::new();
    let mut node = Some(node);
    while let Some(here) = node {
        node = match here {
            Node::Leaf => None,
            Node::Mark { child, .. } => Some(child),
            Node::Band(band) => {
                loops.extend(band.members.iter().map(|member| member.name.clone()));
                Some(&band.child)
            }
            Node::Sequence(children) | Node::Set(children) => {
                children.iter().find(|child| has_instances(&child.filter, stmt)).map(|child| &child.node)
            }
        };
    }
    loops
}

pub(super) fn is_in(nest: &Node, scop: &Scop, stmt: StmtId) -> bool {
    let name = &scop.stmts[stmt].name;
    nest_of(scop, name).is_some_and(|own| std::ptr::eq(own, nest)) && has_instances(&scop.tree.domain, name)
}

pub(super) fn ceil_div(a: i64, b: i64) -> i64 {
    a.saturating_add(b - 1) / b
}

/// What a loop is called with another letter at the end: `mt` for `C.mi`.
pub(super) fn lettered(name: &str, letter: &str) -> String {
    let short = name.rsplit('.').next().unwrap_or(name);
    let stem = match short.strip_suffix('i') {
        Some(stem) if !stem.is_empty() => stem,
        _ => short,
    };
    format!("{stem}{letter}")
}

/// A name as a script writes it, beside the loop that it is made of.
pub(super) fn beside(name: &str, of: &str) -> String {
    match of.rsplit_once('.') {
        Some((stmt, _)) if !name.contains('.') => format!("{stmt}.{name}"),
        _ => name.to_string(),
    }
}

/// The same for each.
pub(super) fn beside_all(names: &[String], of: &[String]) -> Vec<String> {
    names.iter().zip(of).map(|(name, of)| beside(name, of)).collect()
}
