//! What a cache still holds when a chunk begins, and so what it has to fetch.

use super::chunks::Chunks;
use super::lines::Lines;
use crate::count::{Count, count};
use crate::isl;

/// The bytes fetched and written back of each tensor.
pub(super) fn moved(lines: &Lines, chunks: &[Chunks], capacity: u64) -> isl::Result<Vec<(Count, Count)>> {
    let Some(first) = chunks.first() else { return Ok(vec![(Count::Exact(0), Count::Exact(0)); lines.tensors.len()]) };
    let none = isl::UnionMap::empty(first.times.ctx())?;
    let all = chunks.iter().try_fold(none, |all, chunks| all.union(&chunks.times))?;
    let times = all.range()?.as_set()?;
    let previous = earlier(&times)?.lexmax()?;
    let tensors: Vec<Tensor> = lines
        .tensors
        .iter()
        .map(|tensor| {
            let (touched, written) = tensor.footprints(&all)?;
            Ok(Tensor { touched, written, bytes: tensor.bytes, exact: tensor.exact })
        })
        .collect::<isl::Result<_>>()?;
    let held = held(chunks, capacity as f64, &times, &previous, &tensors)?;
    tensors.iter().map(|tensor| tensor.moved(&held)).collect()
}

/// What the chunks touch of one tensor.
struct Tensor {
    touched: Option<isl::Map>,
    written: Option<isl::Map>,
    bytes: u64,
    exact: bool,
}

impl Tensor {
    fn moved(&self, held: &isl::Map) -> isl::Result<(Count, Count)> {
        let fetched = self.bytes_of(self.touched.as_ref(), held)?;
        let written = self.bytes_of(self.written.as_ref(), held)?;
        // A line is written back once at most while it is held.
        Ok((fetched, if written.value() > fetched.value() { fetched } else { written }))
    }

    fn bytes_of(&self, footprint: Option<&isl::Map>, held: &isl::Map) -> isl::Result<Count> {
        let Some(footprint) = footprint else { return Ok(Count::Exact(0)) };
        let points = count(&fresh(footprint, held)?.wrap()?)?;
        let bytes = points.value().saturating_mul(self.bytes);
        Ok(if points.is_exact() && self.exact { Count::Exact(bytes) } else { Count::Bound(bytes) })
    }
}

/// The part of a footprint that is in none of the chunks held.
fn fresh(footprint: &isl::Map, held: &isl::Map) -> isl::Result<isl::Map> {
    footprint.subtract(&held.apply_range(footprint)?)?.coalesce()
}

/// From each time to all times before it.
fn earlier(times: &isl::Set) -> isl::Result<isl::Map> {
    let depth = times.dim(isl::Dim::Set)? as usize;
    lexicographic(times, depth, None)
}

/// From each time to those times before it that agree with it up to `member`, and there lie at most `window` back.
fn within(times: &isl::Set, member: usize, window: i64) -> isl::Result<isl::Map> {
    lexicographic(times, times.dim(isl::Dim::Set)? as usize, Some((member, window)))
}

fn lexicographic(times: &isl::Set, depth: usize, window: Option<(usize, i64)>) -> isl::Result<isl::Map> {
    let names = |prefix: char| (0..depth).map(|at| format!("{prefix}{at}")).collect::<Vec<_>>().join(", ");
    let from = window.map_or(0, |(member, _)| member);
    let before = (from..depth).map(|at| {
        let equal = (0..at).map(|outer| format!("s{outer} = t{outer}"));
        format!("({})", equal.chain([format!("s{at} < t{at}")]).collect::<Vec<_>>().join(" and "))
    });
    let mut condition = format!("({})", before.collect::<Vec<_>>().join(" or "));
    if depth == 0 {
        condition = "1 = 0".into();
    }
    if let Some((member, window)) = window {
        condition += &format!(" and s{member} >= t{member} - {window}");
    }
    let text = format!("{{ [{}] -> [{}] : {condition} }}", names('t'), names('s'));
    isl::Map::read(times.ctx(), &text)?.intersect_domain(times)?.intersect_range(times)
}

/// From each chunk to the chunks before it that the cache still holds: always the one just before, and along the
/// innermost member as many more as fit beside it, given what each of them newly brings in.
fn held(
    chunks: &[Chunks],
    capacity: f64,
    times: &isl::Set,
    previous: &isl::Map,
    tensors: &[Tensor],
) -> isl::Result<isl::Map> {
    let mut held = previous.clone();
    let fresh: Vec<Fresh> = tensors.iter().map(|tensor| Fresh::of(tensor, previous)).collect::<isl::Result<_>>()?;
    if fresh.iter().all(|fresh| fresh.is_cold) {
        return Ok(held);
    }
    let classes: Vec<Class<'_>> = chunks
        .iter()
        .map(|chunks| {
            let own = chunks.times.range()?.as_set()?;
            let brought = bytes_brought(&own, &fresh)?;
            Ok(Class { chunks, own, brought })
        })
        .collect::<isl::Result<_>>()?;
    for class in &classes {
        let window = class.window(class, capacity);
        let Some(member) = class.chunks.member.filter(|_| class.brought > 0.0) else { continue };
        if window > 0 {
            held = held.union(&within(times, member, window)?.intersect_domain(&class.own)?)?;
        }
        // Back to the chunk before this run of the member, while it is still there.
        for last in &classes {
            let window = class.window(last, capacity);
            let back = previous.intersect_range(&last.own)?;
            if window > 0 && !back.is_empty()? {
                held = held.union(
                    &within(times, member, window)?
                        .intersect_domain(&class.own)?
                        .intersect_range(&class.own)?
                        .apply_range(&back)?,
                )?;
            }
        }
    }
    held.coalesce()
}

/// Chunks of one place of the tree.
struct Class<'a> {
    chunks: &'a Chunks,
    /// Their times.
    own: isl::Set,
    /// Bytes that one of them newly brings into the cache, on average.
    brought: f64,
}

impl Class<'_> {
    /// How many of these chunks run before a chunk of `last` is evicted.
    fn window(&self, last: &Class<'_>, capacity: f64) -> i64 {
        let free = capacity - last.chunks.bytes;
        if free < self.brought || self.brought <= 0.0 { 0 } else { (free / self.brought).min(1e9) as i64 }
    }
}

/// What is fetched of a tensor when only the chunk just before is held.
struct Fresh {
    fetched: Option<isl::Map>,
    /// Whether that is once for each line: no cache can do with less.
    is_cold: bool,
    bytes: u64,
}

impl Fresh {
    fn of(tensor: &Tensor, previous: &isl::Map) -> isl::Result<Fresh> {
        let Some(touched) = &tensor.touched else { return Ok(Fresh { fetched: None, is_cold: true, bytes: 0 }) };
        let fetched = fresh(touched, previous)?;
        let is_cold = count(&fetched.wrap()?)?.value() <= count(&touched.range()?)?.value();
        Ok(Fresh { fetched: Some(fetched), is_cold, bytes: tensor.bytes })
    }
}

fn bytes_brought(own: &isl::Set, fresh: &[Fresh]) -> isl::Result<f64> {
    let mut bytes = 0.0;
    for Fresh { fetched, bytes: each, .. } in fresh {
        if let Some(fetched) = fetched {
            bytes += count(&fetched.intersect_domain(own)?.wrap()?)?.value() as f64 * *each as f64;
        }
    }
    Ok(bytes / count(own)?.value().max(1) as f64)
}
