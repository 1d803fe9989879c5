//! Single points of sets.

use crate::count::count;
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

/// The points with these first coordinates.
pub(super) fn fixed(set: &isl::Set, first: &[i64]) -> isl::Result<isl::Set> {
    let fix = |set: isl::Set, (at, &x): (usize, &i64)| set.fix(isl::Dim::Set, at as u32, x);
    first.iter().enumerate().try_fold(set.clone(), fix)
}

/// The points that agree in their first coordinates and have the next one in a range.
pub(super) struct Strip {
    /// The first coordinates.
    pub prefix: Vec<i64>,
    /// The least value of the next one.
    low: Option<i64>,
    /// The greatest.
    high: Option<i64>,
    /// How many coordinates points have.
    depth: usize,
}

impl Strip {
    /// One point.
    pub fn point(point: &Point) -> Strip {
        let (last, prefix) = point.split_last().map_or((None, Vec::new()), |(last, rest)| (Some(*last), rest.to_vec()));
        Strip { prefix, low: last, high: last, depth: point.len() }
    }

    /// Whether the range is empty.
    pub fn is_empty(&self) -> bool {
        self.low.zip(self.high).is_some_and(|(low, high)| low > high)
    }

    /// The points of a set, whose first coordinates are those of the strip, with the next one in its range.
    pub fn bound(&self, set: &isl::Set) -> isl::Result<isl::Set> {
        let at = self.prefix.len() as u32;
        let value = |value: i64| i32::try_from(value).map_err(|_| isl::Error::Overflow);
        let mut set = set.clone();
        if let Some(low) = self.low {
            set = set.lower_bound_si(isl::Dim::Set, at, value(low)?)?;
        }
        if let Some(high) = self.high {
            set = set.upper_bound_si(isl::Dim::Set, at, value(high)?)?;
        }
        Ok(set)
    }

    /// All points of some strips.
    pub fn set(ctx: &isl::Ctx, strips: &[Strip]) -> isl::Result<isl::Set> {
        let depth = strips.first().map_or(0, |strip| strip.depth);
        let names: Vec<String> = (0..depth).map(|at| format!("t{at}")).collect();
        let one = |strip: &Strip| {
            let equal = strip.prefix.iter().enumerate().map(|(at, x)| format!("t{at} = {x}"));
            let at = strip.prefix.len();
            let low = strip.low.map(|low| format!("t{at} >= {low}"));
            let high = strip.high.map(|high| format!("t{at} <= {high}"));
            format!("({})", equal.chain(low).chain(high).collect::<Vec<_>>().join(" and "))
        };
        let strips: Vec<String> = strips.iter().map(one).collect();
        isl::Set::read(ctx, &format!("{{ [{}] : {} }}", names.join(", "), strips.join(" or ")))
    }
}

/// The points between two, both left out, in lexicographic order: first the whole iterations of the coordinate in which
/// the two differ, then what is left of theirs, from the outside in.
pub(super) fn between(from: &Point, to: &Point) -> Vec<Strip> {
    let depth = from.len();
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    if common == depth {
        return vec![Strip { low: Some(1), high: Some(0), ..Strip::point(from) }];
    }
    let strip = |point: &Point, at: usize, low, high| Strip { prefix: point[..at].to_vec(), low, high, depth };
    let mut strips = vec![strip(from, common, Some(from[common] + 1), Some(to[common] - 1))];
    for at in common + 1..depth {
        strips.push(strip(from, at, Some(from[at] + 1), None));
        strips.push(strip(to, at, None, Some(to[at] - 1)));
    }
    strips
}

/// The `number`th of a sequence of points of a set; `None` when there are none. Any beginning of the sequence is evenly
/// spread: each coordinate follows multiples of its own power of a generalised golden ratio, over the points that agree
/// in the coordinates before (Roberts: The Unreasonable Effectiveness of Quasirandom Sequences, 2018).
pub(super) fn spread(set: &isl::Set, number: u32) -> isl::Result<Option<Point>> {
    let dims = set.dim(isl::Dim::Set)?;
    let step = 1.0 / golden(dims);
    let mut rest = set.clone();
    let mut point = Vec::new();
    for dim in 0..dims {
        let place = (0.5 + f64::from(number) * step.powi(dim as i32 + 1)).fract();
        let (low, high) = (rest.dim_min_val(dim as i32)?.to_i64(), rest.dim_max_val(dim as i32)?.to_i64());
        let (Ok(low), Ok(high)) = (low, high) else { return Ok(None) };
        let value = if low == high { low } else { coordinate(&rest, dim, (low, high), place)? };
        rest = rest.fix(isl::Dim::Set, dim, value)?;
        point.push(value);
    }
    Ok((!rest.is_empty()?).then_some(point))
}

/// The positive solution of `x^(dims + 1) = x + 1`.
fn golden(dims: u32) -> f64 {
    let root = 1.0 / f64::from(dims + 1);
    (0..30).fold(1.5, |x: f64, _| (1.0 + x).powf(root))
}

/// The least value of a dimension that a share `place` of the points do not exceed.
fn coordinate(set: &isl::Set, dim: u32, (mut low, mut high): (i64, i64), place: f64) -> isl::Result<i64> {
    let rank = (count(set)?.value() as f64 * place) as u64;
    while low < high {
        let middle = low + (high - low) / 2;
        let value = i32::try_from(middle).map_err(|_| isl::Error::Overflow)?;
        if count(&set.upper_bound_si(isl::Dim::Set, dim, value)?)?.value() > rank {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
