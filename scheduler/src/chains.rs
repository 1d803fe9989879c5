//! Chains of contractions that hand each other what one iteration of an outer loop makes.
//!
//! Each contraction of a chain alone writes its whole result to memory for the next one. Where all of them have one loop
//! outermost that stays there, they run in turn for each of its iterations: what is between them fits a cache, and is kept
//! on the stack of its thread. Loop fusion and contraction of arrays (Gao, Olsen, Sarkar, Thekkath, LCPC 1992).

use polyhedral::{Memory, Role, Scop, Stmt, StmtId, Subscript, TensorId};
use support::Target;
use transform::{Command, Session, UNASKED_STACK_BYTES};

use crate::cpu::attempt;
use crate::nest::{self, Nest};
use crate::plan::{Box, Piece, Plan};

/// Nests at the top, one after the other, that are to run in turn in one loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Statements of all of them, in order.
    stmts: Vec<StmtId>,
    /// What they hand each other.
    between: Vec<TensorId>,
}

/// The chains among nests at the top, which are in order.
pub(crate) fn find(session: &Session, nests: &[Nest]) -> Vec<Chain> {
    let scop = session.scop();
    let (mut chains, mut rest) = (Vec::new(), nests);
    while !rest.is_empty() {
        let links = rest.iter().take_while(|nest| may_join(session, nest) && same_length(nest, &rest[0])).count();
        let longest = (2..=links).rev().find_map(|count| Some((count, chain(scop, session.target(), &rest[..count])?)));
        let taken = longest.as_ref().map_or(1, |(count, _)| *count);
        chains.extend(longest.map(|(_, chain)| chain));
        rest = &rest[taken..];
    }
    chains
}

/// Runs the nests of a chain in one loop. The commands that keep what is between them on the stack come after the loop is
/// made parallel: [`keep`].
pub(crate) fn fuse(session: &mut Session, chain: &Chain, nests: &[Nest]) -> bool {
    let scop = session.scop();
    let linked: Vec<String> = nests
        .iter()
        .filter(|nest| nest.stmts.iter().any(|stmt| chain.stmts.contains(stmt)))
        .filter_map(|nest| Some(scop.stmts[*nest.stmts.last()?].name.clone()))
        .collect();
    let Some((first, others)) = linked.split_first() else { return false };
    others.iter().all(|other| attempt(session, other, "not in one loop", Command::fuse(first, other, 1)))
}

/// Keeps what the nests of a chain hand each other on the stack, for one iteration of the loop that they share.
pub(crate) fn keep(session: &mut Session, chain: &Chain) {
    let Some(at) = outermost_loop(session.scop(), chain) else { return };
    for &tensor in &chain.between {
        let name = session.scop().tensors[tensor].name.clone();
        attempt(session, &name, "kept in memory", Command::store_at(&name, &at));
    }
}

/// The outermost loop around the first statement of a chain.
fn outermost_loop(scop: &Scop, chain: &Chain) -> Option<String> {
    let first = chain.stmts.first()?;
    let nests = nest::nests(scop).ok()?;
    nests.iter().find(|nest| nest.stmts.contains(first))?.loops.first().map(|one| one.name.clone())
}

/// Whether the outermost loop may stay where it is: it sets values, or is a contraction that has that loop neither in its
/// box nor in strips.
fn may_join(session: &Session, nest: &Nest) -> bool {
    let (Some(id), Some(outer)) = (nest.only_stmt(), nest.loops.first()) else { return false };
    let enough = i64::from(session.target().threads) * 2;
    if !outer.coincident || outer.dim(id).is_none() || outer.extent.is_none_or(|extent| extent < enough) {
        return false;
    }
    let stmt = &session.scop().stmts[id];
    if !stmt.body.is_reduce() {
        return stmt.reads.is_empty();
    }
    let plan = Plan::of(session.scop(), session.target(), nest, id, (true, session.options().strict));
    let rows = |one: &Option<Box>| matches!(one, Some(Box::Unroll(_)));
    let is_free = plan.boxes[0].is_none() && plan.cuts[0].is_empty();
    is_free && plan.boxes.iter().any(rows) && plan.order.first() == Some(&Piece { of: 0, level: 0 })
}

fn same_length(nest: &Nest, other: &Nest) -> bool {
    nest.loops.first().map(|one| one.extent) == other.loops.first().map(|one| one.extent)
}

/// These nests as a chain, when all that they hand each other belongs to one iteration and what that saves is worth it.
fn chain(scop: &Scop, target: &Target, nests: &[Nest]) -> Option<Chain> {
    let stmts: Vec<StmtId> = nests.iter().filter_map(Nest::only_stmt).collect();
    let writes = |id: &StmtId| scop.stmts[*id].writes.iter().map(|write| write.tensor);
    let read_by_others = |tensor: TensorId| {
        let readers = stmts.iter().filter(|id| scop.stmts[**id].reads.iter().any(|read| read.tensor == tensor));
        readers.into_iter().any(|id| writes(id).all(|written| written != tensor))
    };
    let mut between: Vec<TensorId> = stmts.iter().flat_map(writes).filter(|&tensor| read_by_others(tensor)).collect();
    between.sort_unstable();
    between.dedup();
    // Every nest has a part in it.
    let last = nests.last()?.only_stmt()?;
    let takes = scop.stmts[last].reads.iter().any(|read| between.contains(&read.tensor));
    let (mut all, mut at_once) = (0u64, 0u64);
    for &tensor in &between {
        let (bytes, part) = handed_over(scop, tensor, nests)?;
        (all, at_once) = (all.saturating_add(bytes), at_once.saturating_add(part));
    }
    let cache = target.caches.get(1).or(target.caches.first()).map_or(1 << 20, |cache| cache.bytes);
    let fits = at_once <= Memory::STACK_BYTES.unsigned_abs() * 3 / 4;
    (takes && fits && all > cache).then_some(Chain { stmts, between })
}

/// Bytes of a temporary, and of the part of it that one iteration of the outermost loop touches; none when other
/// iterations, or other statements, touch that part too.
fn handed_over(scop: &Scop, tensor: TensorId, nests: &[Nest]) -> Option<(u64, u64)> {
    let row = &scop.tensors[tensor];
    let touches = |stmt: &Stmt| stmt.accesses().any(|access| access.tensor == tensor);
    let members: Vec<StmtId> = nests.iter().filter_map(Nest::only_stmt).collect();
    let is_alone = scop.stmts.iter().all(|(id, stmt)| members.contains(&id) || !touches(stmt));
    if row.role != Role::Temporary || row.layout.is_some() || !is_alone {
        return None;
    }
    let mut along = None;
    for nest in nests {
        let id = nest.only_stmt()?;
        let dim = nest.loops.first()?.dim(id)?;
        for access in scop.stmts[id].accesses().filter(|access| access.tensor == tensor) {
            let here = the_dimension(&access.index, dim)?;
            if along.is_some_and(|along| along != here) {
                return None;
            }
            along = Some(here);
        }
    }
    let along = along?;
    let extents: Vec<u64> =
        row.extent.iter().map(|extent| u64::try_from(extent.as_const()?).ok()).collect::<Option<_>>()?;
    let element = u64::from(row.dtype.bytes());
    let whole = extents.iter().fold(element, |all, extent| all.saturating_mul(*extent));
    let part = whole / extents.get(along).copied().filter(|extent| *extent > 0)?;
    (part <= UNASKED_STACK_BYTES.unsigned_abs()).then_some((whole, part))
}

/// The only subscript with dimension `dim`, which it is up to a constant.
fn the_dimension(subscripts: &[Subscript], dim: usize) -> Option<usize> {
    let mut found = None;
    for (at, subscript) in subscripts.iter().enumerate() {
        let Subscript::Affine(index) = subscript else { return None };
        if index.dims_used().contains(&dim) {
            let affine = index.affine()?;
            let is_plain = affine.dims.len() == 1 && affine.dims.get(&dim) == Some(&1) && affine.params.is_empty();
            if found.is_some() || !is_plain {
                return None;
            }
            found = Some(at);
        }
    }
    found
}
