//! The bytes that a schedule moves between the levels of memory, and how often what was fetched is used.

use polyhedral::count::{Count, count};
use polyhedral::traffic::{self, Traffic as Found};
use polyhedral::{Scop, TensorId, isl};
use serde::Serialize;
use support::Target;

use super::amount::Amount;
use super::loops::within;

/// isl operations that counting may take: some five seconds.
const OPERATIONS: u64 = 10_000_000;

/// What each cache exchanges with what is beyond it, with a model of a cache that evicts what was used longest ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// For each tensor, in the order of the program, the bytes that instances read and write: every access of each of them
    /// counted, an update twice.
    pub used: Vec<Amount>,
    /// From the cache next to the core outwards.
    pub levels: Vec<Level>,
}

/// What one cache exchanges with the level beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Level {
    /// `L1`, `L2`, …
    pub name: String,
    /// Bytes that it holds.
    pub capacity: u64,
    /// For each tensor, in the order of the program.
    pub tensors: Vec<Moved>,
    /// All together.
    pub all: Moved,
}

/// Bytes that a cache moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The tensor; empty for all.
    pub tensor: String,
    /// Fetched from the level beyond, in whole lines.
    pub fetched: Amount,
    /// Written back to it.
    pub written: Amount,
}

impl Moved {
    /// In both directions.
    pub fn bytes(&self) -> Amount {
        self.fetched.plus(self.written)
    }

    fn all(tensors: &[Moved]) -> Moved {
        let nothing = Amount { value: 0, exact: true };
        Moved {
            tensor: String::new(),
            fetched: tensors.iter().map(|one| one.fetched).fold(nothing, Amount::plus),
            written: tensors.iter().map(|one| one.written).fold(nothing, Amount::plus),
        }
    }
}

/// The traffic of a scheduled program without parameters. Where isl would take too long, bounds: every access misses.
pub(super) fn traffic(scop: &Scop, target: &Target) -> isl::Result<Traffic> {
    let found = within(scop, OPERATIONS, || traffic::traffic(scop, &[], target))?;
    let levels = match found {
        Some(Found { levels, .. }) => levels.iter().map(level).collect(),
        None => bounds(scop, target)?,
    };
    let used = scop.tensors.keys().map(|id| used(scop, id)).collect::<isl::Result<_>>()?;
    Ok(Traffic { used, levels })
}

fn level(found: &traffic::Level) -> Level {
    let moved = |one: &traffic::Moved| Moved {
        tensor: one.name.clone(),
        fetched: one.bytes_in.into(),
        written: one.bytes_out.into(),
    };
    let tensors: Vec<Moved> = found.tensors.iter().map(moved).collect();
    Level { name: found.name.clone(), capacity: found.capacity, all: Moved::all(&tensors), tensors }
}

/// How often a tensor is accessed, by reads and by writes; that an update reads what it writes counts as a read.
fn accesses(scop: &Scop, id: TensorId) -> isl::Result<(Count, Count)> {
    let (mut reads, mut writes) = (Count::Exact(0), Count::Exact(0));
    for stmt in scop.stmts.values().filter(|stmt| !stmt.writes.is_empty()) {
        let instances = count(&stmt.domain)?;
        let of = |list: &[polyhedral::Access]| list.iter().filter(|access| access.tensor == id).count();
        for _ in 0..of(&stmt.reads) {
            reads = reads + instances;
        }
        for _ in 0..of(&stmt.writes) {
            writes = writes + instances;
            reads = if stmt.body.is_reduce() { reads + instances } else { reads };
        }
    }
    Ok((reads, writes))
}

fn used(scop: &Scop, id: TensorId) -> isl::Result<Amount> {
    let (reads, writes) = accesses(scop, id)?;
    Ok(Amount::from(reads + writes).times(scop.tensors[id].dtype.bytes().into()))
}

/// A line for every access.
fn bounds(scop: &Scop, target: &Target) -> isl::Result<Vec<Level>> {
    let one = |(at, cache): (usize, &support::Cache)| -> isl::Result<Level> {
        let line = u64::from(cache.line);
        let bound = |count: Count| Amount { exact: count.value() == 0, ..Amount::from(count).times(line) };
        let moved = |id: TensorId| -> isl::Result<Moved> {
            let (reads, writes) = accesses(scop, id)?;
            let tensor = &scop.tensors[id];
            // What is written is fetched first, unless it goes past the caches.
            let fetched = if tensor.streamed { reads } else { reads + writes };
            Ok(Moved { tensor: tensor.name.clone(), fetched: bound(fetched), written: bound(writes) })
        };
        let tensors = scop.tensors.keys().map(moved).collect::<isl::Result<Vec<Moved>>>()?;
        Ok(Level { name: format!("L{}", at + 1), capacity: cache.bytes, all: Moved::all(&tensors), tensors })
    };
    target.caches.iter().enumerate().map(one).collect()
}
