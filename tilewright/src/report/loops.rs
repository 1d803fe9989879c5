//! The loops of a schedule: how often and how they run, what one iteration touches, and why one does not run at once.

use std::collections::BTreeSet;

use polyhedral::count::{Count, count};
use polyhedral::footprint::{self, hull, touched};
use polyhedral::legality::{self, Illegal};
use polyhedral::{Dependences, Member, Node, Scop, StmtId, TensorId, dependences, isl};
use serde::Serialize;
use support::Target;
use transform::Scheduled;

use super::amount::Amount;
use super::dependences::Conflict;
use super::marks::Marks;
use super::outline::word;
use super::refusals::Tried;
use super::tree::names;

/// isl operations that looking at one loop may take: about a second.
const OPERATIONS: u64 = 2_000_000;

/// isl operations that finding the dependences of the scheduled program may take.
const DEPENDENCES: u64 = 8_000_000;

/// A loop of the schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Loop {
    /// Its name, as scripts call it.
    pub name: String,
    /// The loops around it.
    pub depth: usize,
    /// The innermost of these.
    pub parent: Option<String>,
    /// How its iterations run: `in order`, `parallel`, `vector 16`, `unrolled 6`, `block.x`.
    pub kind: String,
    /// The statements inside, in the order of the program.
    pub statements: Vec<String>,
    /// How often it runs; absent where sizes are open, or past the budget for counting.
    pub trips: Option<Trips>,
    /// Whether its iterations could run at once; absent where that was too much work to find out.
    pub coincident: Option<bool>,
    /// Two iterations that cannot run at once, where there are some.
    pub conflict: Option<Conflict>,
    /// Commands that change how this loop runs, tried on the finished schedule: to run it in lanes, to exchange it with the
    /// next loop, to cut both into tiles, to run its nest together with the next one. Empty unless
    /// [asked for](super::Asked::tried).
    pub tried: Vec<Tried>,
    /// What commands do here: copies, prefetches, storage.
    pub marks: Vec<String>,
    /// What one iteration touches, by tensor; empty past the budget.
    pub footprints: Vec<Footprint>,
    /// The bytes of these together.
    pub bytes: Option<Amount>,
    /// The first cache that holds so many, where one does.
    pub held_by: Option<String>,
}

/// How often a loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trips {
    /// Its least value.
    pub first: i64,
    /// Its greatest value.
    pub last: i64,
    /// Its iterations, all together.
    pub all: Amount,
    /// How often it is begun.
    pub entries: Amount,
}

impl Trips {
    /// Iterations each time that it is begun, on average.
    pub fn each(&self) -> f64 {
        self.all.value as f64 / self.entries.value.max(1) as f64
    }
}

/// What one iteration of a loop touches of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Footprint {
    /// The tensor.
    pub tensor: String,
    /// Whether it is written.
    pub writes: bool,
    /// Bytes of the elements, on average over all iterations, rounded up.
    pub bytes: Amount,
    /// The first element of a box around them, over the values of the loops, where one of constant extents exists.
    pub lower: Option<Vec<String>>,
    /// The extents of that box.
    pub extent: Option<Vec<i64>>,
}

/// All loops of a schedule. `target` is the machine whose caches are looked at.
pub(super) fn loops(scheduled: &Scheduled, target: Option<&Target>) -> isl::Result<Vec<Loop>> {
    let scop = &scheduled.scop;
    let deps = within(scop, DEPENDENCES, || dependences(scop))?;
    let mut walk = Walk { scop, deps, target, marks: Marks::of(scheduled), found: Vec::new() };
    walk.node(&scop.tree.root, &mut Vec::new())?;
    Ok(walk.found)
}

/// Something that may take so much work; `None` past it.
pub(super) fn within<T>(scop: &Scop, operations: u64, work: impl FnOnce() -> isl::Result<T>) -> isl::Result<Option<T>> {
    match scop.ctx.with_budget(operations, work) {
        Ok(value) => Ok(Some(value)),
        // isl refuses some sets for reasons of its own: what it cannot say is left out of a report.
        Err(isl::Error::Quota | isl::Error::Refused(_) | isl::Error::Overflow) => Ok(None),
        Err(error) => Err(error),
    }
}

struct Walk<'a> {
    scop: &'a Scop,
    deps: Option<Dependences>,
    target: Option<&'a Target>,
    marks: Marks,
    found: Vec<Loop>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, around: &mut Vec<String>) -> isl::Result<()> {
        let depth = around.len();
        if let Node::Band(band) = node {
            for member in &band.members {
                self.member(member, around)?;
                around.push(member.name.clone());
            }
        }
        for child in node.children() {
            self.node(child, around)?;
        }
        around.truncate(depth);
        Ok(())
    }

    fn member(&mut self, member: &Member, around: &[String]) -> isl::Result<()> {
        let scop = self.scop;
        let Some(place) = footprint::Place::iteration(scop, &member.name)? else { return Ok(()) };
        let trips = if scop.params.is_empty() { within(scop, OPERATIONS, || trips(&place))?.flatten() } else { None };
        let footprints = within(scop, OPERATIONS, || footprints(scop, &place, trips))?.unwrap_or_default();
        let bytes = footprints.iter().map(|one| one.bytes).reduce(Amount::plus);
        let (coincident, conflict) = self.conflict(&member.name)?;
        let marks = self.marks.at(&member.name, member.kind, conflict.as_ref(), |tensor| {
            footprints.iter().find(|one| one.tensor == tensor).map(|one| (one.bytes, self.held_by(one.bytes)))
        });
        self.found.push(Loop {
            name: member.name.clone(),
            depth: around.len(),
            parent: around.last().cloned(),
            kind: word(member.kind),
            statements: names(scop, place.instances())?,
            trips,
            coincident: coincident.or(member.coincident.then_some(true)),
            conflict,
            tried: Vec::new(),
            marks,
            held_by: bytes.and_then(|bytes| self.held_by(bytes)),
            footprints,
            bytes,
        });
        Ok(())
    }

    fn conflict(&self, member: &str) -> isl::Result<(Option<bool>, Option<Conflict>)> {
        let Some(deps) = &self.deps else { return Ok((None, None)) };
        let judged =
            within(self.scop, OPERATIONS, || match legality::coincident(&self.scop.tree, deps, self.scop, member) {
                Err(Illegal::Isl(error)) => Err(error),
                other => Ok(other),
            })?;
        Ok(match judged {
            Some(Ok(())) => (Some(true), None),
            Some(Err(Illegal::Violation(violation))) => (Some(false), Some(Conflict::of(&violation))),
            _ => (None, None),
        })
    }

    fn held_by(&self, bytes: Amount) -> Option<String> {
        let at = self.target?.caches.iter().position(|cache| cache.bytes >= bytes.value)?;
        Some(format!("L{}", at + 1))
    }
}

/// How often a loop runs, at fixed sizes.
fn trips(place: &footprint::Place) -> isl::Result<Option<Trips>> {
    let times = place.prefix()?.range()?;
    if times.is_empty()? {
        return Ok(None);
    }
    let times = times.as_set()?;
    let own = times.dim(isl::Dim::Set)? - 1;
    let outer = times.project_out(isl::Dim::Set, own, 1)?;
    let entries = if own == 0 { Count::Exact(1) } else { count(&outer)? };
    let ends = (times.dim_min_val(own as i32)?.to_i64(), times.dim_max_val(own as i32)?.to_i64());
    let (Ok(first), Ok(last)) = ends else { return Ok(None) };
    Ok(Some(Trips { first, last, all: count(&times)?.into(), entries: entries.into() }))
}

/// What one iteration touches, by tensor in the order of the program.
fn footprints(scop: &Scop, place: &footprint::Place, trips: Option<Trips>) -> isl::Result<Vec<Footprint>> {
    let inside = names(scop, place.instances())?;
    let stmts: Vec<StmtId> = inside.iter().filter_map(|name| scop.stmt_named(name)).collect();
    let all = accesses(scop, &stmts);
    let tensors: BTreeSet<TensorId> = all.iter().map(|(tensor, ..)| *tensor).collect();
    let mut found = Vec::new();
    for id in tensors {
        let mine: Vec<_> = all.iter().filter(|(tensor, ..)| *tensor == id).collect();
        let pairs: Vec<(StmtId, usize)> = mine.iter().map(|(_, access, _)| *access).collect();
        let elements = touched(scop, place, &pairs)?;
        if elements.is_empty()? {
            continue;
        }
        let elements = elements.as_map()?;
        let is_known = mine.iter().all(|(_, (stmt, at), _)| {
            scop.stmts[*stmt].accesses().nth(*at).is_some_and(|access| access.affine().is_some())
        });
        let hull = hull(&elements)?;
        let element = u64::from(scop.tensors[id].dtype.bytes());
        let counted = match (trips, &hull) {
            (Some(trips), _) => {
                let pairs = count(&elements.wrap()?)?;
                let exact = pairs.is_exact() && trips.all.exact && is_known;
                Amount { value: pairs.value().div_ceil(trips.all.value.max(1)), exact }
            }
            (None, Some(hull)) => {
                let elements = hull.extent.iter().map(|&extent| extent.max(0).unsigned_abs());
                Amount { value: elements.fold(1, u64::saturating_mul), exact: false }
            }
            (None, None) => continue,
        };
        let dims: Vec<String> = place.members.clone();
        let shown = |lower: &[polyhedral::Index]| -> Vec<String> {
            lower.iter().map(|index| index.display(&dims, &scop.params).to_string()).collect()
        };
        found.push(Footprint {
            tensor: scop.tensors[id].name.clone(),
            writes: mine.iter().any(|(.., writes)| *writes),
            bytes: counted.times(element),
            lower: hull.as_ref().map(|hull| shown(&hull.lower)),
            extent: hull.map(|hull| hull.extent),
        });
    }
    Ok(found)
}

/// The accesses of some statements: the tensor, the statement with the number of the access, whether it writes. Prefetches
/// touch what others do later.
fn accesses(scop: &Scop, stmts: &[StmtId]) -> Vec<(TensorId, (StmtId, usize), bool)> {
    let of = |&id: &StmtId| {
        let stmt = &scop.stmts[id];
        let reads = stmt.reads.len();
        let is_hint = stmt.writes.is_empty();
        let accesses = stmt.accesses().enumerate().filter(move |_| !is_hint);
        accesses.map(move |(at, access)| (access.tensor, (id, at), at >= reads)).collect::<Vec<_>>()
    };
    stmts.iter().flat_map(of).collect()
}
