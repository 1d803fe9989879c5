//! How many bytes a scheduled program moves between the levels of memory.
//!
//! A cache fetches a line when it is first touched, and again at a later touch if more other lines were touched since the
//! touch before than the cache holds. The pairs of touches that follow each other are grouped by the loop that carries
//! them, and counted: the sets are isl's and exact, their sizes our own [count](crate::count). What decides for a group
//! is the number of lines touched in between, found for a few of its pairs. A line is written back as often as it is
//! written again after having been evicted, and once in the end.
//!
//! ```text
//! grains    time, down to iterations that are small beside the cache
//! lines     { instance -> line }, exact where rows begin at lines, else an average over all alignments
//! touches   { time -> line }, and for each prefix of time
//! reuse     first touches, pairs by the coordinate that carries them, stack distances
//! ```
//!
//! A streamed tensor is stored past every cache: its lines are not fetched for that, take no place, and count as written at
//! each level.
//!
//! The cache of the model is fully associative, evicts the least recently used line, allocates on a write, writes back,
//! and belongs to one thread. Not in it: conflicts between lines of a set, prefetching (statements that only prefetch are
//! left out), threads that vie for a shared cache. Each level is taken to see all touches, not only those that miss the one before.
//!
//! The work does not grow with the sizes. A caller who wants it bounded gives isl a budget.

mod grains;
mod lines;
mod point;
mod reuse;
#[cfg(test)]
mod tests;
mod touches;

use std::fmt;

use support::Target;

use crate::count::Count;
use crate::footprint::coalesced;
use crate::{Scop, TensorId, isl};

/// The bytes that a program moves, by level of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The program's name.
    pub name: String,
    /// From the cache next to the core outwards.
    pub levels: Vec<Level>,
}

/// What one cache exchanges with the level beyond it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// `L1`, `L2`, …
    pub name: String,
    /// Bytes that it holds.
    pub capacity: u64,
    /// What it moves, for each tensor in the order of the program.
    pub tensors: Vec<Moved>,
}

/// What a cache moves of one tensor. A number is called exact when the sets behind it were counted exactly; where rows do
/// not begin at lines, it is then an average over all alignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The tensor.
    pub tensor: TensorId,
    /// Its name.
    pub name: String,
    /// Bytes fetched from the level beyond, in whole lines.
    pub bytes_in: Count,
    /// Bytes written back to it.
    pub bytes_out: Count,
}

impl Level {
    /// Bytes fetched, of all tensors.
    pub fn bytes_in(&self) -> Count {
        self.tensors.iter().fold(Count::Exact(0), |sum, moved| sum + moved.bytes_in)
    }

    /// Bytes written back, of all tensors.
    pub fn bytes_out(&self) -> Count {
        self.tensors.iter().fold(Count::Exact(0), |sum, moved| sum + moved.bytes_out)
    }

    /// Bytes moved in both directions.
    pub fn bytes(&self) -> Count {
        self.bytes_in() + self.bytes_out()
    }
}

/// How many grains of time fill a cache: what happens inside one is not looked at.
const GRAINS: u64 = 32;

/// Predicts the bytes that a scheduled program moves for `sizes`, one for each parameter, on a target's caches.
///
/// A subscript that is computed while running is taken to be another one for every value of the loops that it depends on:
/// its numbers are bounds.
///
/// # Errors
/// When isl fails; `sizes` must have one value for each parameter.
pub fn traffic(scop: &Scop, sizes: &[i64], target: &Target) -> isl::Result<Traffic> {
    if sizes.len() != scop.params.len() {
        return Err(isl::Error::Text("traffic needs one size for each parameter"));
    }
    let mut levels = Vec::new();
    let mut known: Option<(u32, lines::Lines)> = None;
    for (at, cache) in target.caches.iter().enumerate() {
        let lines = match known.take() {
            Some((line, lines)) if line == cache.line => lines,
            _ => lines::Lines::new(scop, sizes, cache.line)?,
        };
        let grains = grains::grains(scop, &lines, cache.bytes / GRAINS)?;
        let moved = reuse::moved(&lines, &grains, cache.bytes)?;
        levels.push(Level { name: format!("L{}", at + 1), capacity: cache.bytes, tensors: named(scop, moved) });
        known = Some((cache.line, lines));
    }
    Ok(Traffic { name: scop.name.clone(), levels })
}

fn named(scop: &Scop, moved: Vec<(Count, Count)>) -> Vec<Moved> {
    let one = |((id, tensor), (bytes_in, bytes_out)): ((TensorId, &crate::Tensor), (Count, Count))| Moved {
        tensor: id,
        name: tensor.name.clone(),
        bytes_in,
        bytes_out,
    };
    scop.tensors.iter().zip(moved).map(one).collect()
}

impl Traffic {
    /// The cells of the table: a row for each tensor, one for their sum.
    fn rows(&self) -> Vec<Vec<String>> {
        let tensors = self.levels.first().map_or(0, |level| level.tensors.len());
        let mut rows = Vec::new();
        for at in 0..tensors {
            let name = self.levels[0].tensors[at].name.clone();
            let cells = self.levels.iter().flat_map(|level| {
                let moved = &level.tensors[at];
                [bytes(moved.bytes_in), bytes(moved.bytes_out)]
            });
            rows.push(std::iter::once(name).chain(cells).collect());
        }
        let sums = self.levels.iter().flat_map(|level| [bytes(level.bytes_in()), bytes(level.bytes_out())]);
        rows.push(std::iter::once("all".to_string()).chain(sums).collect());
        rows
    }
}

/// ```text
/// matmul: bytes moved
///           L1, 32 KiB           L2, 1 MiB
///             in       out        in       out
///   A     64 KiB         0    64 KiB         0
///   C     16 KiB    16 KiB    16 KiB    16 KiB
///   all   80 KiB    16 KiB    80 KiB    16 KiB
/// ```
impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: bytes moved", self.name)?;
        let titles: Vec<String> =
            self.levels.iter().map(|level| format!("{}, {}", level.name, size(level.capacity))).collect();
        let directions = std::iter::once(String::new())
            .chain(self.levels.iter().flat_map(|_| ["in".to_string(), "out".to_string()]))
            .collect();
        let mut rows = vec![directions];
        rows.extend(self.rows());
        let columns = 1 + 2 * self.levels.len();
        let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..columns).map(widest).collect();
        // A level's title stands over its two columns.
        for (at, title) in titles.iter().enumerate() {
            let short = title.chars().count().saturating_sub(widths[1 + 2 * at] + 2 + widths[2 + 2 * at]);
            widths[1 + 2 * at] += short;
        }
        write!(f, "  {:1$}", "", widths[0])?;
        for (at, title) in titles.iter().enumerate() {
            write!(f, "    {:>1$}", title, widths[1 + 2 * at] + 2 + widths[2 + 2 * at])?;
        }
        writeln!(f)?;
        for row in &rows {
            write!(f, "  {:1$}", row[0], widths[0])?;
            for (at, cell) in row[1..].iter().enumerate() {
                let gap = if at % 2 == 0 { "    " } else { "  " };
                write!(f, "{gap}{:>1$}", cell, widths[1 + at])?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn bytes(count: Count) -> String {
    match count {
        Count::Exact(n) => size(n),
        Count::Bound(n) => format!("bound {}", size(n)),
    }
}

/// `640`, `1.5 KiB`, `12 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
}

/// A set or relation that depends on sizes, at fixed ones and without parameters.
pub(crate) fn at_sizes(map: &isl::UnionMap, scop: &Scop, sizes: &[i64]) -> isl::Result<isl::UnionMap> {
    let space = scop.param_space()?;
    map.maps()?.iter().try_fold(isl::UnionMap::empty(map.ctx())?, |all, map| {
        let aligned = map.align_params(&space)?;
        let fixed =
            sizes.iter().enumerate().try_fold(aligned, |map, (at, &size)| map.fix(isl::Dim::Param, at as u32, size))?;
        let n = fixed.dim(isl::Dim::Param)?;
        all.union(&coalesced(&fixed.project_out(isl::Dim::Param, 0, n)?, isl::Map::coalesce)?.to_union_map()?)
    })
}
