//! Single points of sets.

use crate::count::{Count, count};
use crate::isl;

/// Coordinates.
pub(super) type Point = Vec<i64>;

/// The lexicographically first point.
pub(super) fn first(set: &isl::Set) -> isl::Result<Option<Point>> {
    set.lexmin()?.sample_point()
}

/// The lexicographically last point.
pub(super) fn last(set: &isl::Set) -> isl::Result<Option<Point>> {
    set.lexmax()?.sample_point()
}

/// The points after `from` until `to`, that one included, in lexicographic order.
pub(super) fn between(ctx: &isl::Ctx, from: &Point, to: &Point) -> isl::Result<isl::Set> {
    let names: Vec<String> = (0..from.len()).map(|at| format!("t{at}")).collect();
    let equal = |point: &Point, upto: usize| (0..upto).map(|at| format!("t{at} = {}", point[at])).collect::<Vec<_>>();
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let mut parts = Vec::new();
    for at in common..from.len() {
        let mut after = equal(from, at);
        after.push(format!("t{at} > {}", from[at]));
        let mut before = equal(to, at);
        before.push(format!("t{at} < {}", to[at]));
        if at == common {
            after.push(format!("t{at} < {}", to[at]));
            parts.push(after);
        } else {
            parts.extend([after, before]);
        }
    }
    parts.push(equal(to, to.len()));
    let parts: Vec<String> = parts.iter().map(|part| format!("({})", part.join(" and "))).collect();
    isl::Set::read(ctx, &format!("{{ [{}] : {} }}", names.join(", "), parts.join(" or ")))
}

/// The point at `place`, from 0 to 1, of a set's points in lexicographic order; `None` when there are none.
pub(super) fn nth(set: &isl::Set, points: Count, place: f64) -> isl::Result<Option<Point>> {
    let mut rest = set.clone();
    let mut rank = (points.value() as f64 * place) as u64;
    let mut point = Vec::new();
    for dim in 0..set.dim(isl::Dim::Set)? {
        let (Ok(low), Ok(high)) = (rest.dim_min_val(dim as i32)?.to_i64(), rest.dim_max_val(dim as i32)?.to_i64())
        else {
            return Ok(None);
        };
        let (value, below) = coordinate(&rest, dim, (low, high), rank)?;
        rank = rank.saturating_sub(below);
        rest = rest.fix(isl::Dim::Set, dim, value)?;
        point.push(value);
    }
    Ok((!rest.is_empty()?).then_some(point))
}

/// The least value of a dimension such that more than `rank` points do not exceed it, and how many lie below.
fn coordinate(set: &isl::Set, dim: u32, (mut low, mut high): (i64, i64), rank: u64) -> isl::Result<(i64, u64)> {
    let upto = |value: i64| -> isl::Result<u64> {
        let value = i32::try_from(value).map_err(|_| isl::Error::Overflow)?;
        Ok(count(&set.upper_bound_si(isl::Dim::Set, dim, value)?)?.value())
    };
    let mut below = 0;
    while low < high {
        let middle = low + (high - low) / 2;
        let points = upto(middle)?;
        if points > rank {
            high = middle;
        } else {
            (low, below) = (middle + 1, points);
        }
    }
    Ok((low, below))
}
