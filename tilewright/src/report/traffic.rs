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
    /// Of a program in parts, what the parts move, each for itself: that something is still in a cache when the next part
    /// begins is not counted, so that the sum is a bound. Empty for others.
    pub parts: Vec<PartTraffic>,
}

/// What one part of a program moves, and all that are equal to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartTraffic {
    /// The statement that scripts call the part by.
    pub part: String,
    /// How many parts are equal to it, itself among them.
    pub times: u64,
    /// For each level, what it moves once.
    pub levels: Vec<Moved>,
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
    limited(scop, target, OPERATIONS)
}

fn limited(scop: &Scop, target: &Target, operations: u64) -> isl::Result<Traffic> {
    let found = within(scop, operations, || traffic::traffic(scop, &[], target))?;
    let levels = match found {
        Some(Found { levels, .. }) => levels.iter().map(level).collect(),
        None => bounds(scop, target)?,
    };
    let used = scop.tensors.keys().map(|id| used(scop, id)).collect::<isl::Result<_>>()?;
    Ok(Traffic { used, levels, parts: Vec::new() })
}

/// A part that is scheduled, and where it stands in the whole.
pub(super) struct Scheduled<'a> {
    /// The statement that scripts call it by.
    pub part: String,
    /// The program with its tree.
    pub scop: &'a Scop,
    /// For each time that it stands there, what its tensors are called; those without a name there are its own.
    pub times: Vec<Vec<String>>,
}

/// The traffic of a program in parts, the tensors being called `names`: each part counted for itself, once for all that are
/// equal.
pub(super) fn of_parts(names: &[String], parts: &[Scheduled<'_>], target: &Target) -> isl::Result<Traffic> {
    let nothing = Amount { value: 0, exact: true };
    let empty = |name: &String| Moved { tensor: name.clone(), fetched: nothing, written: nothing };
    let level = |(at, cache): (usize, &support::Cache)| Level {
        name: format!("L{}", at + 1),
        capacity: cache.bytes,
        tensors: names.iter().map(empty).collect(),
        all: empty(&String::new()),
    };
    let levels = target.caches.iter().enumerate().map(level).collect();
    let mut all = Traffic { used: vec![nothing; names.len()], levels, parts: Vec::new() };
    for part in parts {
        let one = limited(part.scop, target, OPERATIONS / parts.len() as u64)?;
        for names_here in &part.times {
            let own = part.scop.tensors.values().map(|tensor| &tensor.name);
            for (at, own) in own.enumerate() {
                let name = names_here.get(at).unwrap_or(own);
                let Some(row) = names.iter().position(|known| known == name) else { continue };
                all.used[row] = all.used[row].plus(one.used[at]);
                for (sum, level) in all.levels.iter_mut().zip(&one.levels) {
                    let (sum, moved) = (&mut sum.tensors[row], &level.tensors[at]);
                    sum.fetched = sum.fetched.plus(moved.fetched);
                    sum.written = sum.written.plus(moved.written);
                }
            }
        }
        let levels = one.levels.into_iter().map(|level| level.all).collect();
        all.parts.push(PartTraffic { part: part.part.clone(), times: part.times.len() as u64, levels });
    }
    let several = all.parts.iter().map(|part| part.times).sum::<u64>() > 1;
    for level in &mut all.levels {
        for moved in &mut level.tensors {
            moved.fetched.exact &= !several || moved.fetched.value == 0;
            moved.written.exact &= !several || moved.written.value == 0;
        }
        level.all = Moved::all(&level.tensors);
    }
    Ok(all)
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
