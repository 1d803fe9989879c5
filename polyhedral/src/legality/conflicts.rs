//! Whether a tree orders the accesses of its own program: where the tree is all that says what runs first, only what runs
//! at once can be wrong, and nothing has to be found out about what hides what.
//!
//! Two instances *conflict* when they touch one cell and at least one of them writes it. The exact dependences of a
//! program are some of its conflicts, and every conflict is a chain of them, each link of which runs no earlier than the
//! conflict's first end and no later than its last. So where the outer loops are equal for both ends, they are for the whole
//! chain, and a loop has both ends of a conflict on two points, or in the wrong order, exactly when it has those of a link
//! of the chain. What is asked of an order can be asked of conflicts: they are compositions of accesses, where dependences take
//! a search for the last write.

use super::placed::{Apart, Piece, Placement};
use super::{combines, combines_one_element, covers_once, is_combined_by};
use crate::dependence::{TouchRole, roles};
use crate::{Dependences, Kind, Node, ScheduleTree, Scop, Stmt, TensorId, Tiling, isl};

/// The tree of `scop` with the attributes that [`with_attributes`](super::with_attributes) gives it for the program's own
/// dependences, found without them; `None` when it does not order them, or that is not for this proof to say.
///
/// With `strict`, updates of one element are not swapped.
///
/// # Errors
/// When isl cannot decide.
pub fn own_order(scop: &Scop, strict: bool) -> isl::Result<Option<ScheduleTree>> {
    if !orders_all(scop)? {
        return Ok(None);
    }
    match Placement::within_numbers(scop, &scop.tree)? {
        Some(placement) => own_order_of(scop, &placement, strict),
        None => Ok(None),
    }
}

/// The same, for a tree that [orders all instances](orders_all), and these have their places already.
pub(super) fn own_order_of(scop: &Scop, placement: &Placement, strict: bool) -> isl::Result<Option<ScheduleTree>> {
    let mut tree = scop.tree.clone();
    let touches = touches(scop, placement)?;
    let mut attributes = Attributes::of(placement);
    for conflicts in Conflicts::all(&touches, strict)? {
        if !attributes.withstand(placement, conflicts)? {
            return Ok(None);
        }
    }
    attributes.set(&mut tree.root, &mut 0);
    Ok(Some(tree))
}

/// What an order of the program must respect among some of its instances: all their conflicts in the order of the tree.
///
/// Each exact dependence between them is one of these. Where what is in between is among the instances too, or stays
/// where it is, they ask for nothing more.
///
/// # Errors
/// When isl fails or its budget is spent.
pub fn conflicts_within(scop: &Scop, instances: &isl::UnionSet, strict: bool) -> isl::Result<Dependences> {
    let placement = Placement::among(scop, &scop.tree, &scop.tree.domain.intersect(instances)?)?;
    let none = isl::UnionMap::empty(&scop.ctx)?;
    let mut all = Dependences {
        domain: scop.domain()?,
        flow: none.clone(),
        anti: none.clone(),
        output: none.clone(),
        reduction: none.clone(),
        updates: none,
    };
    let touches = touches(scop, &placement)?;
    for conflicts in Conflicts::all(&touches, strict)? {
        conflicts.add_to(&mut all, strict)?;
    }
    Ok(all)
}

/// Whether the tree orders each instance once, and by relations.
pub(super) fn orders_all(scop: &Scop) -> isl::Result<bool> {
    Ok(scop.tree.domain.is_equal(&scop.domain()?)? && runs_once(&scop.tree.root, &scop.tree.domain)?)
}

fn runs_once(node: &Node, instances: &isl::UnionSet) -> isl::Result<bool> {
    match node {
        Node::Leaf => Ok(true),
        Node::Mark { name, child } => Ok(!Tiling::is_mark(name) && runs_once(child, instances)?),
        Node::Band(band) => {
            for member in &band.members {
                if !instances.is_subset(&member.schedule.domain()?)? {
                    return Ok(false);
                }
            }
            runs_once(&band.child, instances)
        }
        Node::Sequence(children) | Node::Set(children) => {
            if covers_once(children, instances).is_err() {
                return Ok(false);
            }
            for child in children {
                if !runs_once(&child.node, &instances.intersect(&child.filter)?)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// An access of the instances at one place.
struct Touch<'p> {
    piece: &'p Piece,
    tensor: TensorId,
    role: TouchRole,
    /// From the points of the piece.
    cells: isl::Map,
    /// The program and the statement, and from the points to the one element that each of them updates, where that is a
    /// reduction.
    combined: Option<(&'p Scop, &'p Stmt, &'p isl::Map)>,
}

impl Touch<'_> {
    /// Whether all points that agree on the rows above `depth` update one element, or need not for loops of that kind.
    fn is_combined_below(&self, depth: usize, kind: Kind) -> isl::Result<bool> {
        let Some((scop, stmt, elements)) = self.combined else { return Ok(false) };
        if !is_combined_by(kind, stmt, scop) {
            return Ok(false);
        }
        if !combines_one_element(kind) {
            return Ok(true);
        }
        let kept: Vec<u32> = self.piece.rows[..depth].iter().filter_map(|row| row.coordinate()).collect();
        let others = (0..elements.dim(isl::Dim::In)?).rev().filter(|coordinate| !kept.contains(coordinate));
        let by_rows = others.into_iter().try_fold(elements.clone(), |map, at| map.project_out(isl::Dim::In, at, 1))?;
        by_rows.is_single_valued()
    }
}

fn touches<'p>(scop: &'p Scop, placement: &'p Placement) -> isl::Result<Vec<Touch<'p>>> {
    let mut all: Vec<Touch<'p>> = Vec::new();
    for (id, stmt) in scop.stmts.iter() {
        for piece in &placement.pieces[id] {
            let mut own: Vec<Touch<'p>> = Vec::new();
            // Writes first, so that a read of what is written anyway adds nothing.
            for (((access, role), cells), elements) in
                roles(stmt).into_iter().zip(&piece.cells).zip(&piece.elements).rev()
            {
                let same = |other: &Touch<'p>| other.tensor == access.tensor && role == TouchRole::Read;
                let mut repeated = false;
                for other in own.iter().filter(|other| same(other)) {
                    repeated |= matches!(other.role, TouchRole::Write { .. }) && other.cells.is_equal(cells)?;
                }
                if !repeated {
                    let combined = match role {
                        TouchRole::Update(_) => elements.as_ref().map(|elements| (scop, stmt, elements)),
                        _ => None,
                    };
                    own.push(Touch { piece, tensor: access.tensor, role, cells: cells.clone(), combined });
                }
            }
            all.extend(own);
        }
    }
    Ok(all)
}

/// The conflicts between two accesses.
struct Conflicts<'p> {
    first: &'p Touch<'p>,
    second: &'p Touch<'p>,
    /// From points of the first to points of the second; which of a pair runs first is not said.
    pairs: isl::Map,
    /// Whether they are updates that may be swapped.
    swappable: bool,
}

impl<'p> Conflicts<'p> {
    fn all(touches: &'p [Touch<'p>], strict: bool) -> isl::Result<Vec<Conflicts<'p>>> {
        let mut all = Vec::new();
        for (at, first) in touches.iter().enumerate() {
            for second in &touches[at..] {
                let both_read = first.role == TouchRole::Read && second.role == TouchRole::Read;
                if first.tensor != second.tensor || both_read {
                    continue;
                }
                let swappable = !strict && first.role.is_update_like(&second.role);
                let pairs = first.cells.apply_range(&second.cells.reverse()?)?;
                if pairs.n_basic_map()? > 0 {
                    all.push(Conflicts { first, second, pairs, swappable });
                }
            }
        }
        Ok(all)
    }

    /// Whether the relation is its own inverse.
    fn is_symmetric(&self) -> bool {
        std::ptr::eq(self.first, self.second)
    }

    /// Adds the pairs with their order.
    fn add_to(&self, all: &mut Dependences, strict: bool) -> isl::Result<()> {
        let Conflicts { first, second, .. } = self;
        if self.swappable {
            let both = self.of_instances(&self.pairs, true)?;
            all.updates = all.updates.union(&both)?.union(&both.reverse()?)?;
        }
        let mut add = |before: bool, pairs: &isl::Map| -> isl::Result<()> {
            let (source, sink) = if before { (first, second) } else { (second, first) };
            let pairs = self.of_instances(pairs, before)?;
            let kind = match (&source.role, &sink.role) {
                (source, sink) if source.is_update_like(sink) => match strict {
                    true => &mut all.flow,
                    false => &mut all.reduction,
                },
                (TouchRole::Read, _) => &mut all.anti,
                (_, TouchRole::Read) => &mut all.flow,
                (_, TouchRole::Update(_)) => {
                    all.flow = all.flow.union(&pairs)?;
                    &mut all.output
                }
                _ => &mut all.output,
            };
            *kind = kind.union(&pairs)?;
            Ok(())
        };
        let mut pairs = self.pairs.clone();
        for (mine, theirs) in first.piece.rows.iter().zip(&second.piece.rows) {
            match mine.apart(*theirs) {
                Apart::Never => {}
                Apart::Always { before, .. } => return add(before, &pairs),
                Apart::By(values) => {
                    add(true, &values.lt(&pairs)?)?;
                    if !self.is_symmetric() {
                        add(false, &values.gt(&pairs)?)?;
                    }
                    pairs = values.eq(&pairs)?;
                }
            }
        }
        Ok(())
    }

    /// Pairs of points as pairs of instances, the first one first or last.
    fn of_instances(&self, pairs: &isl::Map, first: bool) -> isl::Result<isl::UnionMap> {
        let pairs = pairs.apply_domain(&self.first.piece.instances)?.apply_range(&self.second.piece.instances)?;
        if first { pairs.to_union_map() } else { pairs.reverse()?.to_union_map() }
    }
}

/// What is known of the bands of a tree as conflicts are looked at one after the other.
struct Attributes {
    /// By member.
    coincident: Vec<bool>,
    /// By member, for its band.
    permutable: Vec<bool>,
}

impl Attributes {
    fn of(placement: &Placement) -> Attributes {
        let all = vec![true; placement.members.len()];
        Attributes { coincident: all.clone(), permutable: all }
    }

    /// Takes conflicts into account; whether the tree orders them.
    fn withstand(&mut self, placement: &Placement, conflicts: Conflicts<'_>) -> isl::Result<bool> {
        let symmetric = conflicts.is_symmetric();
        let Conflicts { first, second, mut pairs, swappable } = conflicts;
        // What the members of a band carried, and whether its first end runs first.
        let mut carried: Vec<(usize, bool, isl::Map)> = Vec::new();
        for (depth, (mine, theirs)) in first.piece.rows.iter().zip(&second.piece.rows).enumerate() {
            let values = match mine.apart(*theirs) {
                Apart::Never => continue,
                Apart::Always { is_set, .. } => return Ok(!is_set || swappable || pairs.is_empty()?),
                Apart::By(values) => values,
            };
            let (at, member) = (values.member, &placement.members[values.member]);
            for (_, before, pairs) in carried.iter().filter(|(band, ..)| *band == member.band) {
                let permutable = &mut self.permutable[member.first];
                let backward = if *before { values.gt(pairs) } else { values.lt(pairs) };
                *permutable = *permutable && backward?.is_empty()?;
            }
            let counts_later = !swappable && !member.is_last && self.permutable[member.first];
            for before in [true, false] {
                if !(self.coincident[at] || counts_later || member.kind.at_once()) || (symmetric && !before) {
                    continue;
                }
                let apart = if before { values.lt(&pairs)? } else { values.gt(&pairs)? };
                if !apart.is_empty()? {
                    self.coincident[at] = false;
                    let combines = combines(member.kind) && symmetric && swappable;
                    if member.kind.at_once() && !(combines && first.is_combined_below(depth, member.kind)?) {
                        return Ok(false);
                    }
                    if counts_later {
                        carried.push((member.band, before, apart));
                    }
                }
            }
            pairs = values.eq(&pairs)?;
            // What was carried may still go backward in another member of the band.
            if pairs.n_basic_map()? == 0 && !carried.iter().any(|(band, ..)| *band == member.band) {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Writes them into a tree; `at` counts its members.
    fn set(&self, node: &mut Node, at: &mut usize) {
        if let Node::Band(band) = node {
            band.permutable = self.permutable[*at];
            for member in &mut band.members {
                member.coincident = self.coincident[*at];
                *at += 1;
            }
        }
        node.children_mut().into_iter().for_each(|child| self.set(child, at));
    }
}
