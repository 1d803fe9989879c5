//! Whether a tree orders the accesses of its own program: where the tree is all that says what runs first, only what runs
//! at once can be wrong, and nothing has to be found out about what hides what.
//!
//! Two instances *conflict* when they touch one cell and at least one of them writes it. The exact dependences of a
//! program are some of its conflicts, and every conflict is a chain of them, each link of which runs no earlier than the
//! conflict's first end and no later than its last. So where the outer loops are equal for both ends, they are for the whole
//! chain, and a loop has both ends of a conflict on two points, or in the wrong order, exactly when it has those of a link
//! of the chain. What is asked of an order can be asked of conflicts: they are compositions of accesses, where dependences take
//! a search for the last write.

use std::collections::BTreeMap;

use super::covers_once;
use super::rows::{Apart, Leaves, Row};
use crate::dependence::{Touch, TouchRole, touches};
use crate::places::Places;
use crate::{Band, Dependences, Filtered, Node, ScheduleTree, Scop, TensorId, Tiling, isl};

/// The tree of `scop` with the attributes that [`with_attributes`](super::with_attributes) gives it for the program's own
/// dependences, found without them; `None` when it does not order them, or that is not for this proof to say.
///
/// With `strict`, updates of one element are not swapped.
///
/// # Errors
/// When isl cannot decide.
pub fn own_order(scop: &Scop, strict: bool) -> isl::Result<Option<ScheduleTree>> {
    let mut tree = scop.tree.clone();
    if !tree.domain.is_equal(&scop.domain()?)? {
        return Ok(None);
    }
    let touches = touches(scop, &Places::new(scop, &tree)?)?;
    let conflicts = conflicts(&touches, strict)?;
    let instances = tree.domain.clone();
    Ok(walk(&mut tree.root, Pending { instances, conflicts })?.then_some(tree))
}

/// What an order of the program must respect among some of its instances: all their conflicts in the order of the tree.
///
/// Each of the exact dependences is one of them, and they follow from these; where other instances are in between, as
/// long as these stay where they are.
///
/// # Errors
/// When isl fails or its budget is spent.
pub fn conflicts_within(scop: &Scop, instances: &isl::UnionSet, strict: bool) -> isl::Result<Dependences> {
    let leaves = Leaves::of(&scop.tree)?;
    let mut placed = Vec::new();
    for touch in touches(scop, &Places::new(scop, &scop.tree)?)? {
        for relation in touch.relation.intersect_domain(instances)?.maps()? {
            for (here, rows) in leaves.of_stmt(&touch.stmt)? {
                let cells = relation.intersect_domain(&here)?;
                if !cells.is_empty()? {
                    placed.push(Placed { role: touch.role.clone(), tensor: touch.tensor, cells, rows });
                }
            }
        }
    }
    let none = isl::UnionMap::empty(&scop.ctx)?;
    let mut all = Dependences {
        domain: scop.domain()?,
        flow: none.clone(),
        anti: none.clone(),
        output: none.clone(),
        reduction: none.clone(),
        updates: none,
    };
    for (at, first) in placed.iter().enumerate() {
        for second in placed[at..].iter().filter(|second| first.may_conflict(second)) {
            let pairs = first.cells.apply_range(&second.cells.reverse()?)?;
            if !strict && first.role.is_update_like(&second.role) {
                let both = pairs.to_union_map()?;
                all.updates = all.updates.union(&both)?.union(&both.reverse()?)?;
            }
            for (before, ordered) in in_order(pairs, &first.rows, &second.rows)? {
                let (source, sink) = if before { (first, second) } else { (second, first) };
                add(&mut all, &source.role, &sink.role, strict, &ordered.to_union_map()?)?;
            }
        }
    }
    Ok(all)
}

/// An access at one place of a tree.
struct Placed {
    role: TouchRole,
    tensor: TensorId,
    cells: isl::Map,
    rows: Vec<Row>,
}

impl Placed {
    fn may_conflict(&self, other: &Placed) -> bool {
        self.tensor == other.tensor && (self.role != TouchRole::Read || other.role != TouchRole::Read)
    }
}

/// Pairs of conflicts with their order: whether the first end runs before the second, and from the one that runs first to
/// the other.
fn in_order(pairs: isl::Map, first: &[Row], second: &[Row]) -> isl::Result<Vec<(bool, isl::Map)>> {
    let (mut pairs, mut ordered) = (pairs, Vec::new());
    for (mine, theirs) in first.iter().zip(second) {
        match mine.apart(theirs) {
            Apart::Never => {}
            Apart::Always { before: true } => return Ok([ordered, vec![(true, pairs)]].concat()),
            Apart::Always { before: false } => return Ok([ordered, vec![(false, pairs.reverse()?)]].concat()),
            Apart::Values(mine, theirs) => {
                let (ahead, back) = (mine.lt_map(theirs)?, mine.gt_map(theirs)?);
                ordered.push((true, pairs.intersect(&ahead)?));
                ordered.push((false, pairs.intersect(&back)?.reverse()?));
                pairs = pairs.intersect(&mine.eq_map(theirs)?)?;
            }
        }
    }
    Ok(ordered)
}

fn add(
    all: &mut Dependences,
    source: &TouchRole,
    sink: &TouchRole,
    strict: bool,
    pairs: &isl::UnionMap,
) -> isl::Result<()> {
    let kind = match (source, sink) {
        (source, sink) if source.is_update_like(sink) => {
            if strict {
                &mut all.flow
            } else {
                &mut all.reduction
            }
        }
        (TouchRole::Read, _) => &mut all.anti,
        (_, TouchRole::Read) => &mut all.flow,
        (_, TouchRole::Update(_)) => {
            all.flow = all.flow.union(pairs)?;
            &mut all.output
        }
        _ => &mut all.output,
    };
    *kind = kind.union(pairs)?;
    Ok(())
}

/// What a place of the tree has still to order.
struct Pending {
    /// What reaches it.
    instances: isl::UnionSet,
    /// The conflicts that nothing above has separated.
    conflicts: Vec<Conflicts>,
}

/// The conflicts between two accesses.
#[derive(Clone)]
struct Conflicts {
    first: String,
    second: String,
    /// From instances of the first statement to those of the second; which of a pair runs first is not said.
    pairs: isl::Map,
    /// Whether the relation is its own inverse.
    symmetric: bool,
    /// Whether they are updates that may be swapped.
    swappable: bool,
}

fn conflicts(touches: &[Touch], strict: bool) -> isl::Result<Vec<Conflicts>> {
    let mut all: Vec<Conflicts> = Vec::new();
    for (at, a) in touches.iter().enumerate() {
        for (other, b) in touches.iter().enumerate().skip(at) {
            if a.tensor != b.tensor || (a.role == TouchRole::Read && b.role == TouchRole::Read) {
                continue;
            }
            let swappable = !strict && a.role.is_update_like(&b.role);
            for pairs in a.relation.apply_range(&b.relation.reverse()?)?.maps()? {
                let (first, second) = (a.stmt.clone(), b.stmt.clone());
                all.push(Conflicts { first, second, pairs, symmetric: at == other, swappable });
            }
        }
    }
    Ok(all)
}

/// Whether the node orders what is pending; its attributes are set.
fn walk(node: &mut Node, pending: Pending) -> isl::Result<bool> {
    match node {
        Node::Leaf => Ok(true),
        Node::Mark { name, .. } if Tiling::is_mark(name) => Ok(false),
        Node::Mark { child, .. } => walk(child, pending),
        Node::Band(band) => match below(band, pending)? {
            Some(pending) => walk(&mut band.child, pending),
            None => Ok(false),
        },
        Node::Sequence(children) => walk_children(children, &pending),
        Node::Set(children) => Ok(nothing_across(children, &pending)? && walk_children(children, &pending)?),
    }
}

fn walk_children(children: &mut [Filtered], pending: &Pending) -> isl::Result<bool> {
    if covers_once(children, &pending.instances).is_err() {
        return Ok(false);
    }
    for child in children {
        let inside = pending.within(&child.filter)?;
        if !walk(&mut child.node, inside)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether no conflict joins two children, but for updates that may be swapped.
fn nothing_across(children: &[Filtered], pending: &Pending) -> isl::Result<bool> {
    let fixed = pending.conflicts.iter().filter(|conflicts| !conflicts.swappable);
    for conflicts in fixed {
        let pairs = conflicts.pairs.to_union_map()?;
        for child in children {
            let (out, into) = (pairs.intersect_domain(&child.filter)?, pairs.intersect_range(&child.filter)?);
            if !out.is_subset(&into)? || !into.is_subset(&out)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// What is pending below a band, whose attributes are set; `None` when it runs conflicts at once.
fn below(band: &mut Band, pending: Pending) -> isl::Result<Option<Pending>> {
    let mut pending = pending;
    // The conflicts that a member carried, from the instance that runs first.
    let mut carried: Vec<(String, String, isl::Map)> = Vec::new();
    band.permutable = true;
    for member in &mut band.members {
        if !pending.instances.is_subset(&member.schedule.domain()?)? {
            return Ok(None);
        }
        let values = Values::of(&member.schedule)?;
        for (first, second, pairs) in &carried {
            if band.permutable && !pairs.intersect(&values.gt(first, second)?)?.is_empty()? {
                band.permutable = false;
            }
        }
        member.coincident = true;
        for conflicts in &pending.conflicts {
            let Conflicts { first, second, .. } = conflicts;
            if !member.coincident && (conflicts.swappable || !band.permutable) {
                continue;
            }
            let ahead = conflicts.pairs.intersect(&values.lt(first, second)?)?;
            let mut found = vec![(first.clone(), second.clone(), ahead)];
            if !conflicts.symmetric {
                let back = conflicts.pairs.intersect(&values.gt(first, second)?)?;
                found.push((second.clone(), first.clone(), back.reverse()?));
            }
            for carries in found {
                if !carries.2.is_empty()? {
                    member.coincident = false;
                    if !conflicts.swappable {
                        carried.push(carries);
                    }
                }
            }
        }
        if member.kind.at_once() && !member.coincident {
            return Ok(None);
        }
        pending = pending.at_equal(&values)?;
    }
    Ok(Some(pending))
}

impl Pending {
    fn at_equal(&self, values: &Values) -> isl::Result<Pending> {
        let mut conflicts = Vec::new();
        for one in &self.conflicts {
            let pairs = one.pairs.intersect(&values.eq(&one.first, &one.second)?)?;
            if pairs.n_basic_map()? > 0 {
                conflicts.push(Conflicts { pairs, ..one.clone() });
            }
        }
        Ok(Pending { instances: self.instances.clone(), conflicts })
    }

    fn within(&self, filter: &isl::UnionSet) -> isl::Result<Pending> {
        let mut conflicts = Vec::new();
        for one in &self.conflicts {
            let pairs = one.pairs.to_union_map()?.intersect_domain(filter)?.intersect_range(filter)?;
            for pairs in pairs.maps()? {
                if pairs.n_basic_map()? > 0 {
                    conflicts.push(Conflicts { pairs, ..one.clone() });
                }
            }
        }
        Ok(Pending { instances: self.instances.intersect(filter)?, conflicts })
    }
}

/// A member's functions by statement.
struct Values(BTreeMap<String, isl::PwAff>);

impl Values {
    fn of(schedule: &isl::UnionPwAff) -> isl::Result<Values> {
        let named = |function: isl::PwAff| {
            let short = function.gist(&function.domain()?)?;
            Ok((function.space()?.tuple_name(isl::Dim::In), short))
        };
        Ok(Values(schedule.pw_affs()?.into_iter().map(named).collect::<isl::Result<_>>()?))
    }

    fn of_stmt(&self, stmt: &str) -> isl::Result<&isl::PwAff> {
        self.0.get(stmt).ok_or_else(|| isl::Error::Refused(format!("no value on `{stmt}`")))
    }

    fn lt(&self, first: &str, second: &str) -> isl::Result<isl::Map> {
        self.of_stmt(first)?.lt_map(self.of_stmt(second)?)
    }

    fn gt(&self, first: &str, second: &str) -> isl::Result<isl::Map> {
        self.of_stmt(first)?.gt_map(self.of_stmt(second)?)
    }

    fn eq(&self, first: &str, second: &str) -> isl::Result<isl::Map> {
        self.of_stmt(first)?.eq_map(self.of_stmt(second)?)
    }
}
