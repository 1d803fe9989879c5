//! Proofs about schedules. Knows nothing of how a schedule was found, so it judges a scheduler, a command and a person
//! in the same way.
//!
//! What is proved here is *order*: with `θ` the times that a tree gives and `D` the dependences,
//!
//! ```text
//! { s -> t : (s, t) ∈ D and not θ(s) ≺ θ(t) } = ∅
//! ```
//!
//! It is judged from the root down, one band member or sequence after the other: what a member carries (the sink gets
//! the greater value) is settled, what it runs backwards is a [`Violation`], and what it leaves equal goes on to the
//! next. Pairs of updates ([`Dependences::reduction`]) may run either way, but never at once: where a member is parallel
//! or a vector, no pair of any kind may lie on two of its points. A vector may combine its lanes, though: where all lanes
//! of a statement update one and the same element by one operator, they are summed up before the element is touched
//! (Allen and Kennedy, Optimizing Compilers for Modern Architectures, 2001, 5.6), and their pairs are no conflict. Threads of
//! a block do the same, and blocks whose updates are atomic, whichever element each of them updates
//! ([`Combined`](crate::Combined)).
//!
//! Where a command changed storage or the set of instances, the dependences are those of the changed program, and proofs
//! of *values* ([`values_kept`]) say that it computes what its source does. Where a command changed expressions, a proof of a
//! *law* of algebra ([`rescaled`]) says so.
//!
//! The caller bounds the work with [`isl::Ctx::with_budget`]; out of budget is [`Illegal::Isl`], so refused, never
//! assumed.

mod conflicts;
mod isolation;
mod laws;
mod placed;
mod races;
#[cfg(test)]
mod tests;
mod values;
mod violation;

pub use conflicts::{conflicts_within, own_order};
pub use isolation::isolated;
pub use laws::{Rescaling, exponent, lowest, rescaled};
pub use races::{Hazard, hazards, race_free};
pub use values::{Meaning, order_and_values_kept, values_kept};
pub use violation::{Conflict, Content, Example, Instance, Violation, example};

use std::fmt;

use crate::{Axis, Band, Body, Dependences, Filtered, Kind, Member, Node, ScheduleTree, Scop, Stmt, Tiling, isl};

/// Why a schedule is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Illegal {
    /// Two instances would run in the wrong order, or at once.
    Violation(Box<Violation>),
    /// The tree does not order every instance exactly once, or has no such member; or the program is not one for several
    /// ranks.
    Malformed(String),
    /// isl could not decide: most often the budget is spent.
    Isl(isl::Error),
}

impl From<isl::Error> for Illegal {
    fn from(error: isl::Error) -> Illegal {
        Illegal::Isl(error)
    }
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Illegal::Violation(violation) => write!(f, "{violation}"),
            Illegal::Malformed(sentence) => f.write_str(sentence),
            Illegal::Isl(isl::Error::Quota) => {
                write!(f, "the budget for the proof is spent, and what is not proved is refused")
            }
            Illegal::Isl(error) => write!(f, "the proof failed: {error}"),
        }
    }
}

impl std::error::Error for Illegal {}

/// Does `tree` run every instance once and respect the dependences?
pub fn order_respected(tree: &ScheduleTree, deps: &Dependences, scop: &Scop) -> Result<(), Illegal> {
    if !tree.domain.is_equal(&deps.domain)? {
        return Err(Illegal::Malformed("the tree's domain is not the program's".into()));
    }
    Judge { scop, deps }.node(&tree.root, Pending::all(tree, deps)?)
}

/// May the members from the first to the last of `names`, all of one band, be permuted, and so tiled?
///
/// They may when every dependence that reaches the first of them is non-negative in each of them (Irigoin and Triolet,
/// POPL 1988). Pairs of updates do not count: both orders are right. The members between count as named.
pub fn permutable(tree: &ScheduleTree, deps: &Dependences, scop: &Scop, names: &[&str]) -> Result<(), Illegal> {
    let Some(first) = names.first() else { return Ok(()) };
    let (band, _) = tree.root.band_of(first).ok_or_else(|| no_member(first))?;
    let mut positions = Vec::new();
    for name in names {
        let position = band.members.iter().position(|member| member.name == *name);
        positions.push(position.ok_or_else(|| not_together(first, name))?);
    }
    let (from, to) = (positions.iter().copied().fold(usize::MAX, usize::min), positions.iter().copied().max());
    let pending = Pending::before(tree, deps, &band.members[from].name)?;
    for member in &band.members[from..=to.unwrap_or(from)] {
        let backward = pending.order.lex_gt_at(&member.schedule.to_multi()?)?;
        Judge { scop, deps }.expect_none(&backward, || Conflict::NotPermutable { member: member.name.clone() })?;
    }
    Ok(())
}

/// May the iterations of the member called `name` run at once? No dependence of any kind lies on two of its points
/// where everything outside is equal.
pub fn coincident(tree: &ScheduleTree, deps: &Dependences, scop: &Scop, name: &str) -> Result<(), Illegal> {
    let (band, at) = tree.root.band_of(name).ok_or_else(|| no_member(name))?;
    let carried = Pending::before(tree, deps, name)?.apart(&band.members[at])?;
    Judge { scop, deps }.expect_none(&carried, || Conflict::NotCoincident { member: name.into() })
}

/// Whether the members called `names`, of one band and outermost first, are [`permutable`], and then which of them are
/// [`coincident`]: the same without counter-examples.
///
/// # Errors
/// When there are no such members, or isl cannot decide.
pub fn attributes(tree: &ScheduleTree, deps: &Dependences, names: &[&str]) -> Result<Option<Vec<bool>>, Illegal> {
    let Some(first) = names.first() else { return Ok(Some(Vec::new())) };
    let (band, from) = tree.root.band_of(first).ok_or_else(|| no_member(first))?;
    if let Some(other) = names.iter().find(|name| !band.members.iter().any(|member| member.name == **name)) {
        return Err(not_together(first, other));
    }
    let to = band.members.iter().rposition(|member| names.contains(&member.name.as_str())).unwrap_or(from);
    let reached = &band.members[from..=to.max(from)];
    let mut pending = Pending::before(tree, deps, first)?;
    let mut coincident = Vec::new();
    for member in reached {
        if !pending.order.lex_gt_at(&member.schedule.to_multi()?)?.is_empty()? {
            return Ok(None);
        }
    }
    for member in reached {
        if names.contains(&member.name.as_str()) {
            coincident.push(pending.apart(member)?.is_empty()?);
        }
        pending = pending.at_equal(member)?;
    }
    Ok((coincident.len() == names.len()).then_some(coincident))
}

/// The tree with [`Band::permutable`] and [`Member::coincident`] as the dependences have them, whatever was said.
///
/// # Errors
/// When isl cannot decide.
pub fn with_attributes(tree: &ScheduleTree, deps: &Dependences) -> isl::Result<ScheduleTree> {
    let mut tree = tree.clone();
    let pending = Pending::all(&tree, deps)?;
    set_attributes(&mut tree.root, pending)?;
    Ok(tree)
}

fn no_member(name: &str) -> Illegal {
    Illegal::Malformed(format!("no loop is called `{name}`"))
}

fn not_together(first: &str, name: &str) -> Illegal {
    Illegal::Malformed(format!("`{first}` and `{name}` are not members of one band"))
}

impl Node {
    /// The band that has the member called `name`, and the member's position in it.
    pub fn band_of(&self, name: &str) -> Option<(&Band, usize)> {
        let own = match self {
            Node::Band(band) => band.members.iter().position(|member| member.name == name).map(|at| (band, at)),
            _ => None,
        };
        own.or_else(|| self.children().into_iter().find_map(|child| child.band_of(name)))
    }
}

/// What is still to be decided at a place of the tree: the instances that reach it, and the pairs of them that nothing
/// above has separated.
struct Pending {
    instances: isl::UnionSet,
    /// Pairs whose order matters.
    order: isl::UnionMap,
    /// Pairs of updates, as in [`Dependences::updates`].
    updates: isl::UnionMap,
    /// The members above, whose values are equal in every pair.
    above: Vec<isl::UnionPwAff>,
}

impl Pending {
    fn all(tree: &ScheduleTree, deps: &Dependences) -> isl::Result<Pending> {
        let (instances, updates) = (tree.domain.clone(), deps.updates.clone());
        Ok(Pending { instances, order: deps.ordering(false)?, updates, above: Vec::new() })
    }

    /// At the member called `name`, which exists.
    fn before(tree: &ScheduleTree, deps: &Dependences, name: &str) -> isl::Result<Pending> {
        Pending::all(tree, deps)?.down_to(&tree.root, name)
    }

    fn down_to(self, node: &Node, name: &str) -> isl::Result<Pending> {
        match node {
            Node::Leaf => Ok(self),
            Node::Mark { child, .. } => self.down_to(child, name),
            Node::Band(band) => {
                let above = band.members.iter().take_while(|member| member.name != name);
                let pending = above.clone().try_fold(self, |pending, member| pending.at_equal(member))?;
                if above.count() < band.members.len() { Ok(pending) } else { pending.down_to(&band.child, name) }
            }
            Node::Sequence(children) | Node::Set(children) => {
                match children.iter().find(|child| child.node.band_of(name).is_some()) {
                    Some(child) => self.within(child)?.down_to(&child.node, name),
                    None => Ok(self),
                }
            }
        }
    }

    /// Below `member`: the pairs with equal values.
    fn at_equal(&self, member: &Member) -> isl::Result<Pending> {
        let values = member.schedule.to_multi()?;
        Ok(Pending {
            instances: self.instances.clone(),
            order: self.order.eq_at(&values)?,
            updates: self.updates.eq_at(&values)?,
            above: self.above.iter().chain([&member.schedule]).cloned().collect(),
        })
    }

    /// In one child of a sequence or set: the pairs inside it.
    fn within(&self, child: &Filtered) -> isl::Result<Pending> {
        let inside = |pairs: &isl::UnionMap| pairs.intersect_domain(&child.filter)?.intersect_range(&child.filter);
        Ok(Pending {
            instances: self.instances.intersect(&child.filter)?,
            order: inside(&self.order)?,
            updates: inside(&self.updates)?,
            above: self.above.clone(),
        })
    }

    /// The pairs of any kind on two different points of `member`.
    fn apart(&self, member: &Member) -> isl::Result<isl::UnionMap> {
        let values = member.schedule.to_multi()?;
        let order = self.order.lex_lt_at(&values)?.union(&self.order.lex_gt_at(&values)?)?;
        let updates = self.updates.lex_lt_at(&values)?;
        if updates.is_empty()? { Ok(order) } else { order.union(&updates)?.union(&updates.reverse()?) }
    }

    /// Those of the lanes of `member` that a vector does not combine, or of its threads or blocks.
    fn apart_in_lanes(&self, member: &Member, scop: &Scop) -> isl::Result<isl::UnionMap> {
        let values = member.schedule.to_multi()?;
        let between_lanes = self.updates.lex_lt_at(&values)?;
        if between_lanes.is_empty()? {
            return self.apart(member);
        }
        let mut updates = isl::UnionMap::empty(self.updates.ctx())?;
        for pairs in self.updates.maps()? {
            let (source, sink) = (pairs.tuple_name(isl::Dim::In)?, pairs.tuple_name(isl::Dim::Out)?);
            if source != sink || !self.lanes_are_combined(&source, member.kind, scop)? {
                updates = updates.union(&pairs.to_union_map()?)?;
            }
        }
        Pending { updates, instances: self.instances.clone(), order: self.order.clone(), above: Vec::new() }
            .apart(member)
    }

    /// Whether all instances of a statement with equal values of the members above update one element, or elements where
    /// loops of that kind do not have to agree on one, and loops of that kind can combine what they do.
    fn lanes_are_combined(&self, name: &str, kind: Kind, scop: &Scop) -> isl::Result<bool> {
        let Some(stmt) = scop.stmt_named(name).map(|id| &scop.stmts[id]) else { return Ok(false) };
        if !is_combined_by(kind, stmt, scop) || stmt.writes.iter().any(|write| write.affine().is_none()) {
            return Ok(false);
        }
        if !combines_one_element(kind) {
            return Ok(true);
        }
        let instances = self.instances.intersect(&stmt.domain.to_union_set()?)?;
        let nothing = instances.constant(&isl::Val::int(&scop.ctx, 0)?)?.to_union_map()?;
        let place = self.above.iter().try_fold(nothing, |all, member| {
            all.flat_range_product(&member.intersect_domain(&instances)?.to_union_map()?)
        })?;
        let place = place.reverse()?;
        for write in &stmt.writes {
            if !place.apply_range(&scop.relation(stmt, write)?.to_union_map()?)?.is_single_valued()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether iterations that run so combine their updates of one element: lanes of a vector, threads of a block, and blocks
/// whose updates are atomic.
fn combines(kind: Kind) -> bool {
    matches!(kind, Kind::Vector(_) | Kind::Bound(Axis::Thread(_)) | Kind::Atomic(_))
}

/// Whether iterations that run so can combine what a statement updates: lanes and blocks have operators for that, threads
/// of a block whatever combines two states, of one tensor or of several, unless it is seen to depend on the order.
fn is_combined_by(kind: Kind, stmt: &Stmt, scop: &Scop) -> bool {
    let Body::Reduce { monoid, .. } = &stmt.body else { return false };
    match kind {
        Kind::Bound(Axis::Thread(_)) => {
            let dtype = |tensor| scop.tensors[tensor].dtype;
            stmt.has_results_apart() && crate::eval::broken_order(stmt, &dtype).is_none()
        }
        _ => stmt.writes.len() == 1 && monoid.operator().is_some(),
    }
}

/// Whether what is combined has to be of one element: atomic updates are in turn.
fn combines_one_element(kind: Kind) -> bool {
    !matches!(kind, Kind::Atomic(_))
}

/// Walks a tree with what is pending.
struct Judge<'a> {
    scop: &'a Scop,
    deps: &'a Dependences,
}

impl Judge<'_> {
    fn node(&self, node: &Node, pending: Pending) -> Result<(), Illegal> {
        match node {
            Node::Leaf => self.expect_none(&pending.order, || Conflict::Unordered),
            Node::Mark { name, child } => {
                self.mark(name, child, &pending)?;
                self.node(child, pending)
            }
            Node::Band(band) => {
                let below = band.members.iter().try_fold(pending, |pending, member| self.member(member, &pending))?;
                self.node(&band.child, below)
            }
            Node::Sequence(children) => self.sequence(children, &pending),
            Node::Set(children) => self.set(children, &pending),
        }
    }

    /// Tiles may be run one after another when no pair goes backward in one of the loops that are tiled, as for
    /// [`permutable`]; inside of a tile the order is that of the band.
    fn mark(&self, name: &str, child: &Node, pending: &Pending) -> Result<(), Illegal> {
        if !Tiling::is_mark(name) {
            return Ok(());
        }
        let tiling = Tiling::of_mark(name);
        let Some((tiling, band)) = tiling.as_ref().and_then(|tiling| Some((tiling, tiling.band(child)?))) else {
            return Err(Illegal::Malformed(format!("`{name}` is not of loops of the band below it")));
        };
        for member in band.members.iter().filter(|member| tiling.loops.iter().any(|one| one.member == member.name)) {
            let backward = pending.order.lex_gt_at(&member.schedule.to_multi()?)?;
            self.expect_none(&backward, || Conflict::NotPermutable { member: member.name.clone() })?;
        }
        Ok(())
    }

    /// What is pending below `member`, if it orders well.
    fn member(&self, member: &Member, pending: &Pending) -> Result<Pending, Illegal> {
        if !pending.instances.is_subset(&member.schedule.domain()?)? {
            return Err(Illegal::Malformed(format!("the loop `{}` leaves out instances that reach it", member.name)));
        }
        match member.kind {
            Kind::Sequential | Kind::Unroll(_) => {
                let backward = pending.order.lex_gt_at(&member.schedule.to_multi()?)?;
                self.expect_none(&backward, || Conflict::Backward { member: member.name.clone() })?;
            }
            Kind::Parallel | Kind::Vector(_) | Kind::Bound(_) | Kind::Atomic(_) => {
                let apart = match member.kind {
                    kind if combines(kind) => pending.apart_in_lanes(member, self.scop)?,
                    _ => pending.apart(member)?,
                };
                self.expect_none(&apart, || Conflict::AtOnce { member: member.name.clone(), kind: member.kind })?;
            }
        }
        Ok(pending.at_equal(member)?)
    }

    fn sequence(&self, children: &[Filtered], pending: &Pending) -> Result<(), Illegal> {
        covers_once(children, &pending.instances)?;
        let mut earlier = isl::UnionSet::empty(&self.scop.ctx)?;
        for child in children {
            let backward = pending.order.intersect_domain(&child.filter)?.intersect_range(&earlier)?;
            self.expect_none(&backward, || Conflict::BackwardSequence)?;
            earlier = earlier.union(&child.filter)?;
        }
        self.children(children, pending)
    }

    fn set(&self, children: &[Filtered], pending: &Pending) -> Result<(), Illegal> {
        covers_once(children, &pending.instances)?;
        for child in children {
            let leaving = pending.order.intersect_domain(&child.filter)?;
            let across = leaving.subtract(&leaving.intersect_range(&child.filter)?)?;
            self.expect_none(&across, || Conflict::AnyOrder)?;
        }
        self.children(children, pending)
    }

    fn children(&self, children: &[Filtered], pending: &Pending) -> Result<(), Illegal> {
        children.iter().try_for_each(|child| self.node(&child.node, pending.within(child)?))
    }

    fn expect_none(&self, pairs: &isl::UnionMap, conflict: impl FnOnce() -> Conflict) -> Result<(), Illegal> {
        if pairs.is_empty()? {
            return Ok(());
        }
        Err(Illegal::Violation(Box::new(violation::witness(self.scop, self.deps, pairs, conflict())?)))
    }
}

/// The filters take every instance that arrives, each once.
fn covers_once(children: &[Filtered], instances: &isl::UnionSet) -> Result<(), Illegal> {
    let mut taken = isl::UnionSet::empty(instances.ctx())?;
    for child in children {
        let own = child.filter.intersect(instances)?;
        if !own.is_disjoint(&taken)? {
            return Err(Illegal::Malformed("two children of a sequence or set run the same instance".into()));
        }
        taken = taken.union(&own)?;
    }
    if instances.is_subset(&taken)? {
        Ok(())
    } else {
        Err(Illegal::Malformed("the children of a sequence or set leave out instances".into()))
    }
}

fn set_attributes(node: &mut Node, pending: Pending) -> isl::Result<()> {
    match node {
        Node::Leaf => Ok(()),
        Node::Mark { child, .. } => set_attributes(child, pending),
        Node::Band(band) => {
            band.permutable = band.members.iter().try_fold(true, |all, member| -> isl::Result<bool> {
                Ok(all && pending.order.lex_gt_at(&member.schedule.to_multi()?)?.is_empty()?)
            })?;
            let mut pending = pending;
            for member in &mut band.members {
                member.coincident = pending.apart(member)?.is_empty()?;
                pending = pending.at_equal(member)?;
            }
            set_attributes(&mut band.child, pending)
        }
        Node::Sequence(children) | Node::Set(children) => children.iter_mut().try_for_each(|child| {
            let inside = pending.within(child)?;
            set_attributes(&mut child.node, inside)
        }),
    }
}
