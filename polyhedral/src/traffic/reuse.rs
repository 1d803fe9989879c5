//! How often a line is fetched: once at first, and again whenever it was evicted between two touches.
//!
//! Time is cut into grains, much smaller than the cache. Two touches of a line that follow each other are a *pair*,
//! *carried* by the first coordinate of time in which they differ. With `n(d)` the number of `(t1, …, td, line)` such
//! that the line is touched at that prefix of time, `n(d) - n(d - 1)` pairs are carried by coordinate `d`: a count. How
//! many of them find their line evicted is decided by their stack distance, the lines touched in between (Mattson and
//! others: Evaluation Techniques for Storage Hierarchies, 1970; by isl for every pair: Gysi and others, A Fast Analytical
//! Model of Fully Associative Caches, PLDI 2019), here for a few pairs of each coordinate, which mostly agree.

use super::grains::Grains;
use super::lines::Lines;
use super::point::{Point, Strip, between, first, fixed, last, spread};
use super::touches::Touches;
use crate::count::{Count, count};
use crate::isl;

/// How many pairs of a class are looked at first.
const FEW: u32 = 8;
/// How many are looked at when these do not agree.
const MANY: u32 = 24;
/// Pairs that are a smaller share of what is fetched of their tensor are not looked at.
const NEGLIGIBLE: f64 = 0.01;

/// The bytes fetched and written back of each tensor.
pub(super) fn moved(lines: &Lines, grains: &Grains, capacity: u64) -> isl::Result<Vec<(Count, Count)>> {
    let history = History::new(lines, grains, capacity as f64)?;
    (0..lines.tensors.len()).map(|tensor| history.moved(tensor)).collect()
}

/// Pairs of touches, by their second ones: `[prefix of time -> line]`. The prefix's last coordinate carries them.
struct Class {
    length: usize,
    seconds: isl::Set,
    pairs: Count,
}

/// What is touched when.
struct History {
    touched: Vec<Option<Touches>>,
    written: Vec<Option<Touches>>,
    /// Bytes that a point of each tensor's relations stands for.
    bytes: Vec<u64>,
    exact: Vec<bool>,
    streamed: Vec<bool>,
    /// By length of the prefix of time: the iterations of each part of the tree, and the bytes of the lines touched in
    /// one of them on average.
    parts: Vec<Vec<(isl::Set, f64)>>,
    capacity: f64,
}

impl History {
    fn new(lines: &Lines, grains: &Grains, capacity: f64) -> isl::Result<History> {
        let all = |which: fn(&super::lines::TensorLines) -> &isl::UnionMap| -> isl::Result<Vec<Option<Touches>>> {
            lines.tensors.iter().map(|tensor| Touches::new(grains, which(tensor))).collect()
        };
        let mut history = History {
            touched: all(|tensor| &tensor.touched)?,
            written: all(|tensor| &tensor.written)?,
            bytes: lines.tensors.iter().map(|tensor| tensor.bytes).collect(),
            exact: lines.tensors.iter().map(|tensor| tensor.exact).collect(),
            streamed: lines.tensors.iter().map(|tensor| tensor.streamed).collect(),
            parts: Vec::new(),
            capacity,
        };
        for length in 0..=grains.depth {
            let mut parts: Vec<(isl::Set, f64)> = Vec::new();
            for part in grains.prefixes(length)? {
                let bytes = history.average(&part)?;
                parts.push((part, bytes));
            }
            history.parts.push(parts);
        }
        Ok(history)
    }

    /// Bytes of the lines touched in one of `iterations`, prefixes of one length, on average.
    fn average(&self, iterations: &isl::Set) -> isl::Result<f64> {
        let length = iterations.dim(isl::Dim::Set)? as usize;
        let mut bytes = 0.0;
        for (touches, each) in self.touched.iter().zip(&self.bytes) {
            if let Some(touches) = touches {
                let here = touches.prefixes[length].lines.intersect_domain(iterations)?;
                bytes += count(&here.wrap()?)?.value() as f64 * *each as f64;
            }
        }
        Ok(bytes / count(iterations)?.value().max(1) as f64)
    }

    fn moved(&self, tensor: usize) -> isl::Result<(Count, Count)> {
        let nothing = Count::Exact(0);
        if self.streamed[tensor] {
            let episodes = |of: &Option<Touches>| of.as_ref().map_or(Ok(nothing), |of| self.episodes(tensor, of, of));
            return Ok((episodes(&self.touched[tensor])?, episodes(&self.written[tensor])?));
        }
        let Some(touched) = &self.touched[tensor] else { return Ok((nothing, nothing)) };
        let fetched = self.episodes(tensor, touched, touched)?;
        let written = match &self.written[tensor] {
            None => Count::Exact(0),
            Some(written) if written.at.is_equal(&touched.at)? => fetched,
            Some(written) => self.episodes(tensor, written, touched)?,
        };
        // A line is written back once at most while it is held.
        Ok((fetched, if written.value() > fetched.value() { fetched } else { written }))
    }

    /// Bytes of the lines times how often each is in the cache anew when one of the touches `of` comes.
    fn episodes(&self, tensor: usize, of: &Touches, touched: &Touches) -> isl::Result<Count> {
        let mut points = of.prefixes[0].points;
        let mut classes = Vec::new();
        for length in 1..of.prefixes.len() {
            classes.extend(self.classes(of, length)?);
        }
        // The largest classes first; those at the end that cannot matter any more are left out.
        classes.sort_by_key(|class| std::cmp::Reverse(class.pairs.value()));
        let mut left: u64 = classes.iter().map(|class| class.pairs.value()).fold(0, u64::saturating_add);
        for class in classes {
            if (left as f64) < NEGLIGIBLE * points.value() as f64 {
                break;
            }
            let (share, pairs) = (self.evicted(of, touched, &class)?, class.pairs.value());
            let evicted = (pairs as f64 * share).round() as u64;
            points = points + if class.pairs.is_exact() { Count::Exact(evicted) } else { Count::Bound(evicted) };
            left = left.saturating_sub(pairs);
        }
        let bytes = points.value().saturating_mul(self.bytes[tensor]);
        Ok(if points.is_exact() && self.exact[tensor] { Count::Exact(bytes) } else { Count::Bound(bytes) })
    }

    /// The pairs that the last coordinate of a prefix carries, by part of the tree and by how far they reach, but for
    /// those that are surely held.
    fn classes(&self, of: &Touches, length: usize) -> isl::Result<Vec<Class>> {
        let mut parts = Vec::new();
        for (part, _) in &self.parts[length] {
            // All between the two touches is in one iteration of the coordinate before. That is an average, which says
            // little of the largest.
            if self.bytes_around(part)? > 0.6 * self.capacity {
                parts.push(part);
            }
        }
        let mut classes = Vec::new();
        if parts.is_empty() {
            return Ok(classes);
        }
        for seconds in of.seconds(length)? {
            for part in &parts {
                let seconds = seconds.intersect_domain(part)?.wrap()?;
                let pairs = count(&seconds)?;
                if pairs.value() > 0 {
                    classes.push(Class { length, seconds, pairs });
                }
            }
        }
        Ok(classes)
    }

    /// Bytes of the lines touched in the iterations around these, one coordinate shorter, on average; where these are in
    /// several parts of the tree, in the heaviest.
    fn bytes_around(&self, iterations: &isl::Set) -> isl::Result<f64> {
        let outer = iterations.dim(isl::Dim::Set)? - 1;
        let around = iterations.project_out(isl::Dim::Set, outer, 1)?;
        let mut most: f64 = 0.0;
        for (part, bytes) in &self.parts[outer as usize] {
            if !part.is_disjoint(&around)? {
                most = most.max(*bytes);
            }
        }
        Ok(most)
    }

    /// Which share of the pairs of a class finds its line evicted.
    fn evicted(&self, of: &Touches, touched: &Touches, class: &Class) -> isl::Result<f64> {
        let (mut looked_at, mut evicted) = (0, 0);
        for number in 0..MANY {
            if number == FEW && (evicted == 0 || evicted == looked_at) {
                break;
            }
            let Some(second) = spread(&class.seconds, number)? else { continue };
            looked_at += 1;
            evicted += u32::from(self.is_evicted(of, touched, &second, class.length)?);
        }
        Ok(f64::from(evicted) / f64::from(looked_at.max(1)))
    }

    /// Whether a line is evicted between two touches that follow each other among those `of`. `second` is a prefix of
    /// time and the line; the pair is carried by the prefix's last coordinate.
    fn is_evicted(&self, of: &Touches, touched: &Touches, second: &[i64], length: usize) -> isl::Result<bool> {
        let (prefix, line) = second.split_at(length);
        let around = fixed(&of.times_of(line)?, &prefix[..length - 1])?;
        let coordinate = length as u32 - 1;
        let here = around.fix(isl::Dim::Set, coordinate, prefix[length - 1])?;
        let before = i32::try_from(prefix[length - 1] - 1).map_err(|_| isl::Error::Overflow)?;
        let before = around.upper_bound_si(isl::Dim::Set, coordinate, before)?;
        let (Some(from), Some(to)) = (last(&before)?, first(&here)?) else { return Ok(false) };
        if std::ptr::eq(of, touched) {
            return self.is_past_capacity(&from, &to);
        }
        // Other touches may lie between; those next to the two ends stand for all of them.
        let inside = fixed(&touched.times_of(line)?, &prefix[..length - 1])?;
        let inside = inside.intersect(&Strip::set(inside.ctx(), &between(&from, &to))?)?;
        let (Some(next), Some(previous)) = (first(&inside)?, last(&inside)?) else {
            return self.is_past_capacity(&from, &to);
        };
        Ok(self.is_past_capacity(&from, &next)? || self.is_past_capacity(&previous, &to)?)
    }

    /// Whether the lines touched after `from` until `to` are more than the cache holds.
    fn is_past_capacity(&self, from: &Point, to: &Point) -> isl::Result<bool> {
        let mut strips = between(from, to);
        // The whole iterations in between are often enough.
        if !strips[0].is_empty() && self.bytes_in(&strips[..1])? > self.capacity {
            return Ok(true);
        }
        strips.push(Strip::point(to));
        Ok(self.bytes_in(&strips)? > self.capacity)
    }

    /// Bytes of the lines touched in some strips of time.
    fn bytes_in(&self, strips: &[Strip]) -> isl::Result<f64> {
        let mut bytes = 0.0;
        for (touches, each) in self.touched.iter().zip(&self.bytes) {
            let Some(touches) = touches else { continue };
            bytes += count(&touches.lines_in(strips)?)?.value() as f64 * *each as f64;
            if bytes > self.capacity {
                break;
            }
        }
        Ok(bytes)
    }
}
