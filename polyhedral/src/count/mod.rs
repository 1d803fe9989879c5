//! How many integer points a set has.
//!
//! Disjoint disjuncts are counted one by one. In each, integer divisions become variables, each determined by the others;
//! equalities are solved over the integers, which takes strides away; then one variable after the other is summed out,
//! the sums being polynomials in the variables that remain. After Pugh: Counting Solutions to Presburger Formulas (PLDI
//! 1994). Where a variable has a coefficient other than one in several directions, values are tried one after another.
//!
//! The work is bounded; past the bound the size of a box around the set is given, and [`Count::Bound`] says so.

mod polynomial;
mod sum;
mod system;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Add;

use crate::footprint::coalesced;
use crate::isl;

/// A number of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exact(u64),
    /// At most so many.
    Bound(u64),
}

impl Count {
    /// The number, exact or not.
    pub fn value(self) -> u64 {
        match self {
            Count::Exact(n) | Count::Bound(n) => n,
        }
    }

    /// Whether the number is exact.
    pub fn is_exact(self) -> bool {
        matches!(self, Count::Exact(_))
    }
}

impl Add for Count {
    type Output = Count;

    /// Exact when both are, and the sum fits.
    fn add(self, other: Count) -> Count {
        match (self, other, self.value().checked_add(other.value())) {
            (Count::Exact(_), Count::Exact(_), Some(sum)) => Count::Exact(sum),
            (_, _, sum) => Count::Bound(sum.unwrap_or(u64::MAX)),
        }
    }
}

/// `96`, or `bound 96`.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Exact(n) => write!(f, "{n}"),
            Count::Bound(n) => write!(f, "bound {n}"),
        }
    }
}

/// isl operations that making one set disjoint may use: a few tens of milliseconds.
const OPERATIONS: u64 = 100_000;

/// The number of points of a set without parameters; an unbounded one has at most `u64::MAX`.
///
/// # Errors
/// When the set has parameters, or isl fails.
pub fn count(set: &isl::Set) -> isl::Result<Count> {
    if set.involves_dims(isl::Dim::Param, 0, set.dim(isl::Dim::Param)?)? {
        return Err(isl::Error::Text("the number of points depends on a parameter"));
    }
    if !set.is_bounded()? {
        return Ok(Count::Bound(u64::MAX));
    }
    let disjoint = set.ctx().with_budget(OPERATIONS, || disjuncts(set));
    let disjuncts = match disjoint {
        Ok(disjuncts) => disjuncts,
        Err(isl::Error::Quota) => return box_size(set),
        Err(error) => return Err(error),
    };
    let mut work = sum::WORK;
    let mut all = Count::Exact(0);
    for disjunct in &disjuncts {
        match exact(disjunct, &mut work)? {
            Some(points) => all = all + Count::Exact(points),
            None => all = all + box_size(&disjunct.to_set()?)?,
        }
    }
    // The box around everything may be smaller than the sum of many.
    if all.is_exact() { Ok(all) } else { Ok(Count::Bound(all.value().min(box_size(set)?.value()))) }
}

fn disjuncts(set: &isl::Set) -> isl::Result<Vec<isl::BasicSet>> {
    let set = coalesced(&set.compute_divs()?, isl::Set::coalesce)?;
    let disjoint = if set.n_basic_set()? > 1 { set.make_disjoint()?.compute_divs()? } else { set };
    disjoint.remove_redundancies()?.basic_sets()
}

/// The points of a bounded set; `None` when the work is spent or a number does not fit.
fn exact(set: &isl::BasicSet, work: &mut u32) -> isl::Result<Option<u64>> {
    let points = match system::of_basic_set(set)? {
        system::Solved::Empty => Some(0),
        system::Solved::Overflow => None,
        system::Solved::Inequalities(rows) => sum::points(&rows, work),
    };
    Ok(points.and_then(|points| u64::try_from(points).ok()))
}

/// The size of the smallest box around a set.
fn box_size(set: &isl::Set) -> isl::Result<Count> {
    if set.is_empty()? {
        return Ok(Count::Exact(0));
    }
    let mut size: u64 = 1;
    for dim in 0..set.dim(isl::Dim::Set)? as i32 {
        let (low, high) = (set.dim_min_val(dim)?.to_i64(), set.dim_max_val(dim)?.to_i64());
        let (Ok(low), Ok(high)) = (low, high) else { return Ok(Count::Bound(u64::MAX)) };
        size = size.saturating_mul(high.abs_diff(low).saturating_add(1));
    }
    Ok(Count::Bound(size))
}
