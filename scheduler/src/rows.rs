//! Which neighbouring nests share rows, so that running them row by row in turn saves memory traffic.
//!
//! A picture that one nest writes and the next one reads comes back from memory when it is larger than the caches. When
//! both run row by row in turn, the second some rows behind the first, the rows are still near: loop fusion with shifts
//! (Kennedy, McKinley 1993; the line buffers of image pipelines, PolyMage, ASPLOS 2015). The innermost loop stays each
//! nest's own, for its own vectors.

use std::collections::BTreeSet;

use polyhedral::{Access, Memory, Role, Scop, StmtId, Subscript, TensorId};
use support::Target;

use crate::nest::{self, Nest, Stride};

/// What is to be done with nests, each named by a statement of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Two nests are joined; so many loops become common.
    Join { first: StmtId, second: StmtId, depth: u32 },
    /// Of what joined nests hand on, so many rows live at once.
    Fold(Fold),
    /// The last nest runs in strips of rows, apart from each other; the stages before it are joined to each, and compute
    /// what it needs, each of them with what keeps its rows.
    Strips {
        stages: Vec<StmtId>,
        last: StmtId,
        rows: String,
        by: u32,
        blocks: Option<Blocks>,
        folds: Vec<Fold>,
        parallel: Threads,
    },
}

/// Rows that both nests of a strip compute at a time, first those of the one and then those of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// The first nest's loop over rows.
    pub(crate) first: String,
    /// How many rows.
    pub(crate) rows: u32,
}

/// What runs on several threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// Nothing: there is one.
    One,
    /// A loop around the strips.
    Around(String),
    /// The strips.
    Strips,
}

/// A temporary that keeps some of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fold {
    pub(crate) tensor: TensorId,
    /// The dimension of rows.
    pub(crate) dim: u32,
    /// How many rows.
    pub(crate) by: u32,
}

/// The place of a subscript that no loop moves.
const FIXED: usize = usize::MAX;
/// Rows that a nest may stay behind another.
const FURTHEST: i64 = 16;
/// Rows of a strip for each one that two strips compute both, and at least.
const STRIP: (i64, i64) = (16, 32);
/// Strips for each thread, at least.
const STRIPS: u64 = 4;
/// Rows of a block: as many as the copies of a row loop that share loads.
const BLOCK: i64 = 4;

/// What a remark calls nests that do not share rows.
pub(crate) const WHAT: &str = "rows not fused";

/// Nests that run row by row in turn.
#[derive(Clone, Debug)]
pub(crate) struct Together {
    /// What makes them so, in order.
    pub(crate) steps: Vec<Step>,
    /// The rows that each is behind the first.
    pub(crate) behind: Vec<i64>,
    /// What keeps some rows.
    pub(crate) folds: Vec<Fold>,
    /// The rows of a strip, where they run in strips.
    pub(crate) strips: Option<u32>,
}

/// Whether a nest may run row by row with others.
pub(crate) fn is_member(scop: &Scop, nest: &Nest) -> bool {
    Member::of(scop, nest).is_some()
}

/// What makes nests run row by row in turn; none where they share no rows that are worth it, and a reason where they better
/// do not.
pub(crate) fn together(scop: &Scop, target: &Target, nests: &[&Nest]) -> Option<Result<Together, String>> {
    let (first, others) = nests.split_first()?;
    let mut group = Group { members: vec![(Member::of(scop, first)?, 0)] };
    let mut against = None;
    for other in others {
        let one = Member::of(scop, other)?;
        let shift = group.shift(scop, target, &one)?;
        against = against.or_else(|| group.against(scop, target, &one, shift));
        group.members.push((one, shift));
    }
    let behind: Vec<i64> = group.members.iter().map(|(_, behind)| *behind).collect();
    let has_to_wait = behind.iter().any(|by| *by > 0);
    let strips = group.strips(scop, target).filter(|_| has_to_wait || against.is_some());
    Some(match (strips, against) {
        // What is handed on is on the stack then.
        (Some(strips), _) => Ok(Together::of(vec![strips], behind)),
        (None, Some(why)) => Err(why),
        (None, None) => Ok(Together::of(group.joined(scop), behind)),
    })
}

impl Together {
    fn of(steps: Vec<Step>, behind: Vec<i64>) -> Together {
        let folds = |step: &Step| match step {
            Step::Fold(fold) => vec![*fold],
            Step::Strips { folds, .. } => folds.clone(),
            Step::Join { .. } => Vec::new(),
        };
        let strips = steps.iter().find_map(|step| match step {
            Step::Strips { by, .. } => Some(*by),
            _ => None,
        });
        Together { folds: steps.iter().flat_map(folds).collect(), steps, behind, strips }
    }
}

/// A nest of one statement that writes row by row.
#[derive(Clone, Copy)]
struct Member<'a> {
    stmt: StmtId,
    nest: &'a Nest,
}

/// Nests that run row by row in turn, each with the rows that it is behind the first.
#[derive(Default)]
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
        // A loop of one iteration is no dimension's, and moves nothing.
        let is_plain = nest.loops.iter().all(|one| one.is_plain() || one.extent == Some(1));
        (contiguous && is_map && is_plain).then_some(Member { stmt, nest })
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

    /// For each dimension of an accessed tensor the loop whose value it is, or [`FIXED`], and what is added to it.
    fn places(&self, scop: &Scop, access: &Access) -> Option<Vec<(usize, i64)>> {
        let place = |subscript: &Subscript| {
            let Subscript::Affine(index) = subscript else { return None };
            let affine = index.affine().filter(|affine| affine.params.is_empty())?;
            match affine.dims.iter().map(|(dim, c)| (*dim, *c)).collect::<Vec<_>>()[..] {
                [] => Some((FIXED, affine.constant)),
                [(dim, 1)] => match self.nest.loops.iter().position(|one| one.dim(self.stmt) == Some(dim)) {
                    Some(at) => Some((at, affine.constant)),
                    None => Some((FIXED, affine.constant.checked_add(self.only_value(scop, dim)?)?)),
                },
                _ => None,
            }
        };
        access.index.iter().map(place).collect()
    }

    /// The value of a dimension that has only one.
    fn only_value(&self, scop: &Scop, dim: usize) -> Option<i64> {
        let (domain, at) = (&scop.stmts[self.stmt].domain, i32::try_from(dim).ok()?);
        let [least, most] = [domain.dim_min_val(at), domain.dim_max_val(at)].map(|value| value.ok()?.to_i64().ok());
        least.filter(|_| least == most)
    }

    /// How many rows further on than `other` this one accesses a tensor in one iteration of the common loops; none when
    /// that is not the same everywhere.
    fn rows_ahead(&self, scop: &Scop, access: &Access, other: &Member<'_>, theirs: &Access) -> Option<i64> {
        let (mine, theirs) = (self.places(scop, access)?, other.places(scop, theirs)?);
        let mut ahead = Some(0);
        for ((at, by), (other_at, other_by)) in mine.into_iter().zip(theirs) {
            match at.cmp(&self.rows()) {
                _ if at != other_at || (at == FIXED && by != other_by) => return None,
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
        let first = &self.members.first()?.0.nest.loops;
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
                    shift = shift.max(one.rows_ahead(scop, read, member, theirs)? + behind);
                    saved += nest::bytes(scop, read.tensor, 1);
                }
                for theirs in member.reads(scop).iter().filter(|theirs| theirs.tensor == read.tensor) {
                    if one.rows_ahead(scop, read, member, theirs).is_some_and(|ahead| ahead.abs() <= FURTHEST) {
                        saved += nest::bytes(scop, read.tensor, 1);
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

impl Group<'_> {
    /// What makes the group, row by row over whole tensors.
    fn joined(&self, scop: &Scop) -> Vec<Step> {
        let Some(((first, _), others)) = self.members.split_first() else { return Vec::new() };
        let depth = u32::try_from(first.rows() + 1).unwrap_or(u32::MAX);
        let joins = others.iter().map(|(one, _)| Step::Join { first: first.stmt, second: one.stmt, depth });
        joins.chain(self.folds(scop).into_iter().map(Step::Fold)).collect()
    }

    /// The rows that live at once of what only the members touch, where one runs behind another: rows then run one after
    /// the other all the same.
    fn folds(&self, scop: &Scop) -> Vec<Fold> {
        let is_behind = self.members.iter().any(|(_, behind)| *behind > 0);
        let written = self.members.iter().filter(|_| is_behind).flat_map(|(member, _)| member.writes(scop));
        written.filter_map(|write| self.fold(scop, write.tensor)).collect()
    }

    fn fold(&self, scop: &Scop, tensor: TensorId) -> Option<Fold> {
        let (write, reads) = self.rows_read(scop, tensor)?;
        let by = u32::try_from(1 - reads.first()?).ok()?.checked_next_power_of_two()?;
        Some(Fold { tensor, dim: write, by })
    }

    /// Of a tensor that only the members touch and one of them writes: its dimension of rows, and the rows that are read,
    /// counted from the one that was written last, in order.
    fn rows_read(&self, scop: &Scop, tensor: TensorId) -> Option<(u32, Vec<i64>)> {
        let is_member = |id: StmtId| self.members.iter().any(|(member, _)| member.stmt == id);
        let is_own = scop.tensors[tensor].role == Role::Temporary
            && scop
                .stmts
                .iter()
                .all(|(id, stmt)| is_member(id) || stmt.accesses().all(|access| access.tensor != tensor));
        if !is_own {
            return None;
        }
        let mut writes = self.members.iter().flat_map(|(member, behind)| {
            let of = member.writes(scop).iter().filter(|write| write.tensor == tensor);
            of.map(move |write| (member, behind, write))
        });
        let (writer, writer_behind, write) = writes.next().filter(|_| writes.next().is_none())?;
        let dim = writer.places(scop, write)?.iter().position(|(at, _)| *at == writer.rows())?;
        let mut read_rows = BTreeSet::from([0]);
        for (reader, behind) in &self.members {
            for read in reader.reads(scop).iter().filter(|read| read.tensor == tensor) {
                read_rows.insert(reader.rows_ahead(scop, read, writer, write)? - (behind - writer_behind));
            }
        }
        Some((u32::try_from(dim).ok()?, read_rows.into_iter().collect()))
    }

    /// Rows in blocks, where those that live at once do not stay in the first cache: each is then loaded once for the rows
    /// of a block that read it, and not for each of them. With what is folded then.
    fn blocks(&self, scop: &Scop, target: &Target, fold: Fold, shift: i64) -> Option<(Blocks, Fold)> {
        let (dim, reads) = self.rows_read(scop, fold.tensor)?;
        let row = row_bytes(scop, fold.tensor);
        let first_cache = target.caches.first()?.bytes;
        if row.saturating_mul(fold.by.into()) <= first_cache || reads.len() < 2 {
            return None;
        }
        // The second nest is so many blocks behind, and its first row reads so far back from there.
        let behind = (BLOCK - 1 + shift).div_euclid(BLOCK);
        let nearest = reads.first()? + shift;
        let live = BLOCK * (behind + 1) - nearest.min(0);
        let by = u32::try_from(live).ok()?.checked_next_power_of_two()?;
        let first = self.members.first()?.0;
        let name = first.nest.loops[first.rows()].name.clone();
        Some((Blocks { first: name, rows: u32::try_from(BLOCK).ok()? }, Fold { tensor: fold.tensor, dim, by }))
    }

    /// Strips of rows for threads, where all but the last member hand what they write to later ones alone: what two strips
    /// need both is little against a strip, and the rows in use fit the stack of a thread.
    fn strips(&self, scop: &Scop, target: &Target) -> Option<Step> {
        let ((last, behind), producers) = self.members.split_last()?;
        let written = |(member, _): &(Member<'_>, i64)| match member.writes(scop) {
            [write] => self.fold(scop, write.tensor),
            _ => None,
        };
        let folds: Vec<Fold> = producers.iter().map(written).collect::<Option<_>>()?;
        let fits = |folds: &[Fold]| {
            let kept = folds.iter().map(|fold| row_bytes(scop, fold.tensor).saturating_mul(fold.by.into()));
            i64::try_from(kept.fold(0, u64::saturating_add)).is_ok_and(|kept| kept <= Memory::STACK_BYTES / 2)
        };
        let blocks = match folds.as_slice() {
            [fold] => self.blocks(scop, target, *fold, *behind).filter(|(_, fold)| fits(&[*fold])),
            _ => None,
        };
        let (blocks, folds) = match blocks {
            Some((blocks, fold)) => (Some(blocks), vec![fold]),
            None => (None, folds),
        };
        let rows = &last.nest.loops[last.rows()];
        let by = (behind.max(&1) * STRIP.0).max(STRIP.1).unsigned_abs().checked_next_power_of_two()?;
        let enough = rows.estimate().max(0).unsigned_abs() >= by * u64::from(target.threads) * STRIPS;
        let threads = u64::from(target.threads);
        let around = last.nest.loops[..last.rows()].iter().find(|one| one.estimate().unsigned_abs() >= 2 * threads);
        let parallel = match around {
            _ if threads <= 1 => Threads::One,
            Some(around) => Threads::Around(around.name.clone()),
            None => Threads::Strips,
        };
        (!folds.is_empty() && enough && fits(&folds)).then(|| Step::Strips {
            stages: producers.iter().map(|(member, _)| member.stmt).collect(),
            last: last.stmt,
            rows: rows.name.clone(),
            by: u32::try_from(by).unwrap_or(u32::MAX),
            blocks,
            folds,
            parallel,
        })
    }
}

fn second_cache(target: &Target) -> u64 {
    target.caches.get(1).or(target.caches.first()).map_or(1 << 20, |cache| cache.bytes)
}

/// Bytes of a row of a tensor.
pub(crate) fn row_bytes(scop: &Scop, tensor: TensorId) -> u64 {
    let row = &scop.tensors[tensor];
    let extent = row.extent.last().and_then(|extent| extent.as_const()).unwrap_or(1).max(0).unsigned_abs();
    extent.saturating_mul(row.dtype.bytes().into())
}
