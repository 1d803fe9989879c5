//! Which neighbouring nests share rows, so that running them row by row in turn saves memory traffic.
//!
//! A picture that one nest writes and the next one reads comes back from memory when it is larger than the caches. When
//! both run row by row in turn, the second some rows behind the first, the rows are still near: loop fusion with shifts
//! (Kennedy, McKinley 1993; the line buffers of image pipelines, PolyMage, ASPLOS 2015). The innermost loop stays each
//! nest's own, for its own vectors.

use polyhedral::{Access, Scop, StmtId, Subscript, TensorId};
use support::Target;

use crate::nest::{self, Nest, Stride};

/// Two nests to be joined, by a statement of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) first: StmtId,
    pub(crate) second: StmtId,
    /// How many loops become common.
    pub(crate) depth: u32,
    /// Why it is not done after all.
    pub(crate) against: Option<String>,
}

/// Rows that a nest may stay behind another.
const FURTHEST: i64 = 16;

/// The joins of nests at the top, in order; joined nests count as one for the next.
pub(crate) fn joins(scop: &Scop, target: &Target, nests: &[Nest]) -> Vec<Join> {
    let mut joins = Vec::new();
    let mut group: Option<Group<'_>> = None;
    for nest in nests {
        let one = Member::of(scop, nest);
        let shift = group.as_ref().zip(one.as_ref()).and_then(|(group, one)| group.shift(scop, target, one));
        group = match (group, one, shift) {
            (Some(mut group), Some(one), Some(shift)) => {
                let against = group.against(scop, target, &one, shift);
                let (first, second) = (group.members[0].0.stmt, one.stmt);
                let depth = u32::try_from(one.rows() + 1).unwrap_or(u32::MAX);
                joins.push(Join { first, second, depth, against: against.clone() });
                if against.is_none() {
                    group.members.push((one, shift));
                    Some(group)
                } else {
                    Some(Group { members: vec![(one, 0)] })
                }
            }
            (_, one, _) => one.map(|one| Group { members: vec![(one, 0)] }),
        };
    }
    joins
}

/// A nest of one statement that writes row by row.
struct Member<'a> {
    stmt: StmtId,
    nest: &'a Nest,
}

/// Nests that run row by row in turn, each with the rows that it is behind the first.
struct Group<'a> {
    members: Vec<(Member<'a>, i64)>,
}

impl<'a> Member<'a> {
    /// A nest that is a map along rows: two loops at least, without dependences, the innermost contiguous.
    fn of(scop: &Scop, nest: &'a Nest) -> Option<Member<'a>> {
        let stmt = nest.only_stmt().filter(|_| nest.loops.len() >= 2)?;
        let (row, body) = (nest.loops.last()?, &scop.stmts[stmt]);
        let dim = row.dim(stmt)?;
        let contiguous = body.writes.iter().all(|write| nest::stride(body, write, dim) == Stride::Unit);
        let is_map = !body.body.is_reduce() && nest.loops.iter().all(|one| one.coincident && one.extent.is_some());
        (contiguous && is_map && nest.is_plain()).then_some(Member { stmt, nest })
    }

    /// The loop over rows: the last but one.
    fn rows(&self) -> usize {
        self.nest.loops.len() - 2
    }

    fn reads<'s>(&self, scop: &'s Scop) -> &'s [Access] {
        &scop.stmts[self.stmt].reads
    }

    fn writes<'s>(&self, scop: &'s Scop) -> &'s [Access] {
        &scop.stmts[self.stmt].writes
    }

    /// For each dimension of an accessed tensor the loop whose value it is, and what is added to it.
    fn places(&self, access: &Access) -> Option<Vec<(usize, i64)>> {
        let place = |subscript: &Subscript| {
            let Subscript::Affine(index) = subscript else { return None };
            let affine = index.affine().filter(|affine| affine.params.is_empty())?;
            let [(dim, 1)] = affine.dims.iter().map(|(dim, c)| (*dim, *c)).collect::<Vec<_>>()[..] else { return None };
            let at = self.nest.loops.iter().position(|one| one.dim(self.stmt) == Some(dim))?;
            Some((at, affine.constant))
        };
        access.index.iter().map(place).collect()
    }

    /// How many rows further on than `other` this one accesses a tensor in one iteration of the common loops; none when
    /// that is not the same everywhere.
    fn rows_ahead(&self, access: &Access, other: &Member<'_>, theirs: &Access) -> Option<i64> {
        let (mine, theirs) = (self.places(access)?, other.places(theirs)?);
        let mut ahead = Some(0);
        for ((at, by), (other_at, other_by)) in mine.into_iter().zip(theirs) {
            match at.cmp(&self.rows()) {
                _ if at != other_at => return None,
                std::cmp::Ordering::Less if by != other_by => return None,
                std::cmp::Ordering::Equal => ahead = by.checked_sub(other_by),
                _ => {}
            }
        }
        ahead
    }
}

impl Group<'_> {
    /// How many rows behind the first nest `one` has to be, when it shares a tensor that is worth it.
    fn shift(&self, scop: &Scop, target: &Target, one: &Member<'_>) -> Option<i64> {
        let first = &self.members[0].0.nest.loops;
        let alike = first.len() == one.nest.loops.len()
            && first
                .iter()
                .zip(&one.nest.loops)
                .all(|(a, b)| a.estimate().min(b.estimate()) * 10 >= a.estimate().max(b.estimate()) * 9);
        if !alike {
            return None;
        }
        let (mut shift, mut saved) = (0, 0u64);
        for (member, behind) in &self.members {
            let touched =
                |id: TensorId| member.reads(scop).iter().chain(member.writes(scop)).any(|theirs| theirs.tensor == id);
            if one.writes(scop).iter().any(|write| touched(write.tensor)) {
                return None;
            }
            for read in one.reads(scop) {
                for theirs in member.writes(scop).iter().filter(|write| write.tensor == read.tensor) {
                    shift = shift.max(one.rows_ahead(read, member, theirs)? + behind);
                    saved += bytes(scop, read.tensor);
                }
                for theirs in member.reads(scop).iter().filter(|theirs| theirs.tensor == read.tensor) {
                    if one.rows_ahead(read, member, theirs).is_some_and(|ahead| ahead.abs() <= FURTHEST) {
                        saved += bytes(scop, read.tensor);
                    }
                }
            }
        }
        let cache = second_cache(target);
        (saved > cache && shift <= FURTHEST).then_some(shift)
    }

    /// Why `one` should not join: the rows in use must stay in a cache, and threads must keep their work.
    fn against(&self, scop: &Scop, target: &Target, one: &Member<'_>, shift: i64) -> Option<String> {
        let mut tensors: Vec<TensorId> = Vec::new();
        for member in self.members.iter().map(|(member, _)| member).chain([one]) {
            tensors.extend(member.reads(scop).iter().chain(member.writes(scop)).map(|access| access.tensor));
        }
        tensors.sort_unstable();
        tensors.dedup();
        let row: u64 = tensors.iter().map(|&id| row_bytes(scop, id)).sum();
        let used = row.saturating_mul(shift.unsigned_abs() + 2);
        if used > second_cache(target) / 2 {
            return Some(format!("the {} rows in use would not stay in the second cache", shift + 2));
        }
        let outer =
            one.nest.loops[..one.rows()].iter().map(|one| one.estimate().max(1).unsigned_abs()).product::<u64>();
        let threads = u64::from(target.threads);
        let rounds = outer.div_ceil(threads) * threads;
        if shift > 0 && threads > 1 && outer * 10 < rounds * 9 {
            return Some(format!(
                "rows would wait for each other, and {outer} iterations of the loops outside do not keep {threads} threads busy"
            ));
        }
        None
    }
}

fn second_cache(target: &Target) -> u64 {
    target.caches.get(1).or(target.caches.first()).map_or(1 << 20, |cache| cache.bytes)
}

/// Bytes of a tensor of known extents.
fn bytes(scop: &Scop, tensor: TensorId) -> u64 {
    let row = &scop.tensors[tensor];
    let elements = row.extent.iter().map(|extent| extent.as_const().unwrap_or(1).max(0).unsigned_abs());
    elements.fold(u64::from(row.dtype.bytes()), u64::saturating_mul)
}

fn row_bytes(scop: &Scop, tensor: TensorId) -> u64 {
    let row = &scop.tensors[tensor];
    let extent = row.extent.last().and_then(|extent| extent.as_const()).unwrap_or(1).max(0).unsigned_abs();
    extent.saturating_mul(row.dtype.bytes().into())
}
