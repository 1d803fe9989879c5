//! Proofs of *values*: that a program whose storage or instances were changed computes what its source does.
//!
//! Take a program, its *source*, and one that was made of it by copies, other layouts, private memories, recomputation
//! or values computed in place. An instance of the changed program that has an [origin](Scop::origin) must compute what
//! its origin computes: it has the same expression, and each of its reads finds the same. What a read *finds* is the last
//! write that surely happened to the element, and all updates since ([`flows`]). It is computed for the source in its
//! order, by element, and for the changed program in the order of its tree, by storage cell and by memory; there it is
//! followed back through copies and through combinations of partial results, and then by the origin ([`follow`]). Both
//! must be equal relations. By induction over the order, all values are then equal, and so is what the caller finds.
//!
//! For reductions, what is found is a set of contributions; each must be there exactly once, and each update must find
//! what the source has it update: the same beginning, and the same updates of other operators before it. That makes the
//! order of the updates free but for what the operator allows; `strict` asks for the same updates of its own operator
//! before it too. A partial result begins with the neutral value of the operator that combines it.
//!
//! `docs/decisions/0007-values.md` says why this is enough, and what is refused although it would be right.

mod expression;
mod flows;
mod follow;
mod last;
mod parts;
#[cfg(test)]
mod tests;
mod updates;
mod witness;

use super::Illegal;
use super::conflicts::{orders_all, own_order_of};
use super::placed::Placement;
use crate::{Access, Role, ScheduleTree, Scop, Stmt, StmtId, isl};
use expression::{Comparison, Reads};
use flows::{Flows, Sight};
use follow::Carried;
use parts::{Part, malformed};
use witness::Question;

/// What a source program computes: of each read, which writes it may see, and what the live-out tensors hold at the end.
#[derive(Clone, Debug)]
pub struct Meaning {
    source: Scop,
    strict: bool,
    flows: Flows,
}

impl Meaning {
    /// Of the program in the order of its source; `strict` keeps the order of reductions too.
    ///
    /// # Errors
    /// When isl fails or its budget is spent.
    pub fn of(source: &Scop, strict: bool) -> isl::Result<Meaning> {
        let tree = if source.is_source() { ScheduleTree::from_source(source)? } else { source.tree.clone() };
        let placement = Placement::within_numbers(source, &tree)?;
        Ok(Meaning { source: source.clone(), strict, flows: Flows::of(source, &tree, placement.as_ref())? })
    }
}

/// Does `scop`, in the order of its tree, compute what the source does?
///
/// The tree must [order](super::order_respected) the program's own dependences: instances that run at once are taken one
/// after the other here.
///
/// # Errors
/// The instance that would see another value, or that isl could not decide.
pub fn values_kept(meaning: &Meaning, scop: &Scop) -> Result<(), Illegal> {
    if !orders_all(scop)? {
        return Err(malformed("the tree leaves out instances"));
    }
    kept(meaning, scop, Placement::within_numbers(scop, &scop.tree)?.as_ref())
}

/// Whether a program is [ordered by its own tree](super::own_order) and, if it is, [computes](values_kept) what the source
/// does: the tree with its attributes then.
///
/// # Errors
/// As for [`values_kept`].
pub fn order_and_values_kept(meaning: &Meaning, scop: &Scop) -> Result<Option<ScheduleTree>, Illegal> {
    if !orders_all(scop)? {
        return Ok(None);
    }
    let Some(placement) = Placement::within_numbers(scop, &scop.tree)? else { return Ok(None) };
    let tree = own_order_of(scop, &placement, meaning.strict)?;
    if tree.is_some() {
        kept(meaning, scop, Some(&placement))?;
    }
    Ok(tree)
}

fn kept(meaning: &Meaning, scop: &Scop, placement: Option<&Placement>) -> Result<(), Illegal> {
    same_frame(&meaning.source, scop)?;
    runs_in_memory(scop, placement)?;
    let parts = scop.stmts.iter().map(|(id, stmt)| Ok((id, parts::part(&meaning.source, scop, stmt)?)));
    let parts = parts.collect::<Result<Vec<_>, Illegal>>()?;
    let flows = Flows::of(scop, &scop.tree, placement)?;
    let carried = Carried::of(scop, &parts, &flows)?;
    let proof = Proof { meaning, scop, parts, flows, carried };
    proof.computations()?;
    proof.results()?;
    proof.once()?;
    proof.updates()?;
    Ok(())
}

/// The changed program and what is known of it.
struct Proof<'a> {
    meaning: &'a Meaning,
    scop: &'a Scop,
    parts: Vec<(StmtId, Part)>,
    flows: Flows,
    carried: Carried,
}

impl Proof<'_> {
    /// Each computing instance computes what its origin does.
    fn computations(&self) -> Result<(), Illegal> {
        for (id, part) in &self.parts {
            let Part::Computes { source, origin } = part else { continue };
            let stmt = &self.scop.stmts[*id];
            let reads = Seen { proof: self, stmt, sights: &self.flows.reads[*id], first: None };
            let mut comparison = Comparison { meaning: self.meaning, scop: self.scop, stmt, reads };
            if comparison.body(*source, origin)? {
                continue;
            }
            return Err(match comparison.reads.first {
                Some((read, expected, found)) => {
                    self.question(Some(&stmt.reads[read])).difference(&expected, &found)?
                }
                None => malformed(format!(
                    "`{}` does not compute what its origin `{}` does",
                    stmt.name, self.meaning.source.stmts[*source].name
                )),
            });
        }
        Ok(())
    }

    /// The caller finds what it must.
    fn results(&self) -> Result<(), Illegal> {
        for ((_, mine), (_, theirs)) in self.flows.results.iter().zip(&self.meaning.flows.results) {
            let (expected, found) = (self.bounded(&theirs.all()?)?, self.bounded(&self.carried.seen(mine)?)?);
            if !found.is_equal(&expected)? {
                return Err(self.question(None).difference(&expected, &found)?);
            }
        }
        Ok(())
    }

    /// No contribution is combined into an element twice.
    fn once(&self) -> Result<(), Illegal> {
        if !self.carried.any_carriers && self.carried.computed.is_injective()? {
            return Ok(());
        }
        for (id, stmt) in self.scop.stmts.iter() {
            for (read, sight) in self.flows.reads[id].iter().enumerate() {
                self.sight_once(sight, Some(&stmt.reads[read]))?;
            }
        }
        self.flows.results.iter().try_for_each(|(_, sight)| self.sight_once(sight, None))
    }

    fn sight_once(&self, sight: &Sight, access: Option<&Access>) -> Result<(), Illegal> {
        let doubled = witness::doubled(sight, &self.carried.all)?;
        if doubled.is_empty()? { Ok(()) } else { Err(self.question(access).twice(&doubled)?) }
    }

    fn question<'q>(&'q self, access: Option<&'q Access>) -> Question<'q> {
        Question { meaning: self.meaning, scop: self.scop, access }
    }

    /// For the sizes that the program is for.
    fn bounded(&self, pairs: &isl::UnionMap) -> isl::Result<isl::UnionMap> {
        pairs.intersect_params(&self.scop.context)
    }
}

/// The reads of one statement, and the first that finds something else than asked for.
struct Seen<'a> {
    proof: &'a Proof<'a>,
    stmt: &'a Stmt,
    sights: &'a [Sight],
    first: Option<(usize, isl::UnionMap, isl::UnionMap)>,
}

impl Reads for Seen<'_> {
    fn same(&mut self, read: usize, of: (StmtId, usize), to: &isl::UnionMap) -> isl::Result<bool> {
        let Proof { meaning, scop, carried, .. } = self.proof;
        let mut to = to.intersect_domain(&self.stmt.domain.to_union_set()?)?;
        let access = &self.stmt.reads[read];
        if flows::is_indirect(access) {
            to = to.product(&scop.elements(access.tensor)?.identity()?.to_union_map()?)?;
        }
        let expected = self.proof.bounded(&to.apply_range(&meaning.flows.reads[of.0][of.1].all()?)?)?;
        let found = self.proof.bounded(&carried.seen(&self.sights[read])?)?;
        let same = found.is_equal(&expected)?;
        if !same && self.first.is_none() {
            self.first = Some((read, expected, found));
        }
        Ok(same)
    }
}

/// The caller sees one and the same function: the sizes, what is known of them, and the tensors that it passes.
fn same_frame(source: &Scop, scop: &Scop) -> Result<(), Illegal> {
    let callers = |scop: &Scop| {
        let callers = scop.tensors.values().filter(|tensor| tensor.role != Role::Temporary);
        // How it is stored is no part of what it is.
        callers.map(|tensor| crate::Tensor { streamed: false, ..tensor.clone() }).collect::<Vec<_>>()
    };
    if source.params != scop.params || callers(source) != callers(scop) || !source.context.is_equal(&scop.context)? {
        return Err(malformed("the sizes or the tensors of the caller are not those of the source"));
    }
    let plain = |tensor: &crate::Tensor| tensor.layout.is_none() && tensor.memory == crate::Memory::Global;
    if scop.tensors.values().any(|tensor| tensor.role != Role::Temporary && !plain(tensor)) {
        return Err(malformed("only temporaries have a layout or live on the stack"));
    }
    Ok(())
}

/// Every instance runs at a time of its own or apart from the others of that time, and inside its tensors; no input is
/// written.
fn runs_in_memory(scop: &Scop, placement: Option<&Placement>) -> Result<(), Illegal> {
    for (id, stmt) in scop.stmts.iter() {
        for (at, access) in stmt.accesses().enumerate() {
            if !stays_inside(scop, placement, (id, at), access)? {
                let tensor = &scop.tensors[access.tensor].name;
                return Err(malformed(format!("`{}` leaves the elements of `{tensor}`", stmt.name)));
            }
        }
        if let Some(write) = stmt.writes.iter().find(|write| scop.tensors[write.tensor].role == Role::Input) {
            let tensor = &scop.tensors[write.tensor].name;
            return Err(malformed(format!("`{}` writes the input `{tensor}`", stmt.name)));
        }
    }
    inside_storage(scop)?;
    match placement {
        Some(placement) if placement.is_plainly_ordered()? => Ok(()),
        _ => unordered(scop, &scop.tree.to_map()?),
    }
}

/// Whether access `at` of a statement is to elements that there are.
fn stays_inside(
    scop: &Scop,
    placement: Option<&Placement>,
    (id, at): (StmtId, usize),
    access: &Access,
) -> isl::Result<bool> {
    let elements = scop.elements(access.tensor)?;
    if let Some(placement) = placement {
        let here = placement.pieces[id].iter().map(|piece| piece.elements[at].as_ref().map(|named| (piece, named)));
        if let Some(here) = here.collect::<Option<Vec<_>>>() {
            for (piece, named) in here {
                if !piece.points.is_subset(&named.intersect_range(&elements)?.domain()?)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
    }
    let stmt = &scop.stmts[id];
    stmt.domain.intersect_params(&scop.context)?.is_subset(&scop.relation(stmt, access)?.domain()?)
}

/// Every cell of a layout is one that there is.
fn inside_storage(scop: &Scop) -> Result<(), Illegal> {
    for (id, tensor) in scop.tensors.iter() {
        let Some(layout) = &tensor.layout else { continue };
        let space = scop.elements(id)?.space()?;
        for (cell, extent) in layout.cell.iter().zip(&layout.extent) {
            let cell = cell.to_pw_aff(&space)?;
            let inside = cell.nonneg_set()?.intersect(&extent.to_pw_aff(&space)?.gt_set(&cell)?)?;
            if !scop.elements(id)?.is_subset(&inside)? {
                return Err(malformed(format!("the layout of `{}` has elements outside its cells", tensor.name)));
            }
        }
    }
    Ok(())
}

/// Instances that no part of the tree orders do not touch one cell, unless both only read it.
fn unordered(scop: &Scop, time: &isl::UnionMap) -> Result<(), Illegal> {
    if time.is_injective()? {
        return Ok(());
    }
    let together = time.apply_range(&time.reverse()?)?;
    let together = together.subtract(&scop.domain()?.identity()?)?;
    let places = crate::places::Places::new(scop, &scop.tree)?;
    let none = || isl::UnionMap::empty(&scop.ctx);
    let (mut writes, mut all) = (none()?, none()?);
    for stmt in scop.stmts.values() {
        for access in &stmt.reads {
            all = all.union(&places.cells(stmt, access)?)?;
        }
        for access in &stmt.writes {
            writes = writes.union(&places.cells(stmt, access)?)?;
        }
    }
    let all = all.union(&writes)?;
    let conflicts = writes.apply_range(&all.reverse()?)?.intersect(&together)?;
    if conflicts.is_empty()? {
        return Ok(());
    }
    let pairs = conflicts.maps()?;
    let names: Vec<String> = match pairs.first() {
        Some(map) => vec![map.tuple_name(isl::Dim::In)?, map.tuple_name(isl::Dim::Out)?],
        None => Vec::new(),
    };
    Err(malformed(format!("nothing orders instances of `{}` that touch one cell", names.join("` and `"))))
}
