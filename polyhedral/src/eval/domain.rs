//! The domains of the statements as numbers: ranges of loops and tests of membership, read once from isl's constraints.

use super::EvalError;
use crate::isl::{self, Constraint, Dim, Terms};
use crate::{Index, Stmt};

/// `constant + Σ coefficient·dim`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Linear {
    pub constant: i64,
    /// By dimension, ascending, without zeros.
    pub dims: Vec<(usize, i64)>,
}

impl Linear {
    fn new(constant: i64, coefficients: &[i64]) -> Linear {
        let dims = coefficients.iter().copied().enumerate().filter(|&(_, c)| c != 0).collect();
        Linear { constant, dims }
    }

    /// The coefficients of an affine expression without parameters.
    pub fn of_index(index: &Index) -> Option<Linear> {
        let affine = index.affine()?;
        affine.params.is_empty().then(|| Linear { constant: affine.constant, dims: affine.dims.into_iter().collect() })
    }

    /// The value at a point; the caller has checked with [`Linear::fits`] that it does not overflow.
    #[inline]
    pub fn at(&self, point: &[i64]) -> i64 {
        self.dims.iter().fold(self.constant, |sum, &(dim, c)| sum.wrapping_add(c.wrapping_mul(point[dim])))
    }

    /// The value at a point, whatever its size.
    fn exact(&self, point: &[i64]) -> i128 {
        let term = |&(dim, c): &(usize, i64)| i128::from(c) * i128::from(point[dim]);
        i128::from(self.constant) + self.dims.iter().map(term).sum::<i128>()
    }

    /// By how much the value grows with dimension `dim`.
    pub fn stride(&self, dim: usize) -> i64 {
        self.dims.iter().find(|&&(at, _)| at == dim).map_or(0, |&(_, c)| c)
    }

    /// `self += factor·other`; `None` on overflow.
    pub fn add_scaled(&mut self, factor: i64, other: &Linear) -> Option<()> {
        self.constant = self.constant.checked_add(factor.checked_mul(other.constant)?)?;
        for &(dim, c) in &other.dims {
            let c = factor.checked_mul(c)?;
            match self.dims.iter_mut().find(|(at, _)| *at == dim) {
                Some((_, mine)) => *mine = mine.checked_add(c)?,
                None => self.dims.push((dim, c)),
            }
        }
        self.dims.retain(|&(_, c)| c != 0);
        self.dims.sort_unstable();
        Some(())
    }

    /// Whether every partial sum stays within 62 bits at every point of `hull`.
    fn fits(&self, hull: &[(i64, i64)]) -> bool {
        let reach = |&(dim, c): &(usize, i64)| {
            let (low, high) = hull[dim];
            i128::from(c.unsigned_abs()) * i128::from(low.unsigned_abs().max(high.unsigned_abs()))
        };
        i128::from(self.constant.unsigned_abs()) + self.dims.iter().map(reach).sum::<i128>() < 1 << 62
    }
}

/// `floor((linear + Σ c·floor) / divisor)`: an integer division of a set.
#[derive(Clone, Debug)]
struct Floor {
    linear: Linear,
    floors: Vec<(i64, Floor)>,
    divisor: i64,
}

impl Floor {
    fn of_terms(terms: &Terms) -> Floor {
        let linear = Linear::new(terms.constant, &terms.dims);
        let floors = terms.floors.iter().map(|(c, inner)| (*c, Floor::of_terms(inner))).collect();
        Floor { linear, floors, divisor: terms.denominator }
    }

    fn at(&self, point: &[i64]) -> i128 {
        let inner = self.floors.iter().map(|(c, floor)| i128::from(*c) * floor.at(point)).sum::<i128>();
        (self.linear.exact(point) + inner).div_euclid(self.divisor.into())
    }
}

/// One constraint of a disjunct: `linear + Σ c·div` is zero or not negative.
#[derive(Clone, Debug)]
struct Condition {
    equality: bool,
    linear: Linear,
    divs: Vec<(usize, i64)>,
}

#[derive(Clone, Debug)]
struct Disjunct {
    divs: Vec<Floor>,
    conditions: Vec<Condition>,
}

impl Disjunct {
    fn holds(&self, point: &[i64]) -> bool {
        self.conditions.iter().all(|condition| {
            let divs = condition.divs.iter().map(|&(div, c)| i128::from(c) * self.divs[div].at(point)).sum::<i128>();
            let value = condition.linear.exact(point) + divs;
            if condition.equality { value == 0 } else { value >= 0 }
        })
    }
}

/// Whether a point is an instance of the statement.
#[derive(Clone, Debug)]
pub(super) struct Membership(Vec<Disjunct>);

impl Membership {
    pub fn holds(&self, point: &[i64]) -> bool {
        self.0.iter().any(|disjunct| disjunct.holds(point))
    }
}

/// `x ≥ ceil(linear / divisor)` or `x ≤ floor(linear / divisor)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bound {
    linear: Linear,
    divisor: i64,
}

/// A dimension's range over the dimensions around it, for one disjunct.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    low: i64,
    high: i64,
    lower: Vec<Bound>,
    upper: Vec<Bound>,
}

impl Interval {
    fn at(&self, point: &[i64]) -> (i64, i64) {
        let ceil = |bound: &Bound| -(-bound.linear.at(point)).div_euclid(bound.divisor);
        let floor = |bound: &Bound| bound.linear.at(point).div_euclid(bound.divisor);
        (self.lower.iter().map(ceil).fold(self.low, i64::max), self.upper.iter().map(floor).fold(self.high, i64::min))
    }

    /// Adds a constraint, of which `dim` is the last dimension; `None` on overflow.
    fn restrict(&mut self, constraint: &Constraint, dim: usize) -> Option<()> {
        let c = constraint.dims[dim];
        let rest = Linear::new(constraint.constant, &constraint.dims[..dim]);
        let mut minus = Linear::default();
        minus.add_scaled(-1, &rest)?;
        let divisor = c.checked_abs()?;
        // c·x + rest ≥ 0
        let (below, above) = if c > 0 { (Some(minus.clone()), None) } else { (None, Some(rest.clone())) };
        // c·x + rest ≤ 0 as well
        let (below, above) = match constraint.equality {
            true if c > 0 => (below, Some(minus)),
            true => (Some(rest), above),
            false => (below, above),
        };
        if let Some(linear) = below {
            self.bound_below(Bound { linear, divisor });
        }
        if let Some(linear) = above {
            self.bound_above(Bound { linear, divisor });
        }
        Some(())
    }

    fn bound_below(&mut self, bound: Bound) {
        if bound.linear.dims.is_empty() {
            self.low = self.low.max(-(-bound.linear.constant).div_euclid(bound.divisor));
        } else {
            self.lower.push(bound);
        }
    }

    fn bound_above(&mut self, bound: Bound) {
        if bound.linear.dims.is_empty() {
            self.high = self.high.min(bound.linear.constant.div_euclid(bound.divisor));
        } else {
            self.upper.push(bound);
        }
    }

    fn normalise(&mut self) {
        for side in [&mut self.lower, &mut self.upper] {
            side.sort();
            side.dedup();
        }
    }
}

/// The range of one dimension: the hull of its disjuncts' intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range(Vec<Interval>);

impl Range {
    /// Whether it is the same wherever the dimensions before this one are.
    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|interval| interval.lower.is_empty() && interval.upper.is_empty())
    }

    /// First and last value, over the dimensions before this one.
    #[inline]
    pub fn at(&self, point: &[i64]) -> (i64, i64) {
        match self.0.as_slice() {
            [only] if only.lower.is_empty() && only.upper.is_empty() => (only.low, only.high),
            intervals => intervals
                .iter()
                .map(|interval| interval.at(point))
                .filter(|(low, high)| low <= high)
                .fold((i64::MAX, i64::MIN), |(low, high), (l, h)| (low.min(l), high.max(h))),
        }
    }
}

/// The instances of a statement for fixed sizes.
#[derive(Clone, Debug)]
pub(super) struct Instances {
    /// By dimension. Every instance is within the ranges.
    pub ranges: Vec<Range>,
    /// What a point within the ranges must pass; `None` when the ranges hold instances only.
    pub membership: Option<Membership>,
    /// The same, whether needed or not.
    pub exact: Membership,
}

/// A statement's domain with the parameters fixed and gone.
pub(super) fn fix_params(domain: &isl::Set, space: &isl::Space, sizes: &[i64]) -> isl::Result<isl::Set> {
    let aligned = domain.align_params(space)?;
    let fixed = sizes.iter().enumerate().try_fold(aligned, |set, (at, &size)| set.fix(Dim::Param, at as u32, size))?;
    fixed.project_out(Dim::Param, 0, fixed.dim(Dim::Param)?)?.compute_divs()?.coalesce()
}

/// Reads a domain without parameters; `None` when it is empty.
pub(super) fn read(stmt: &Stmt, domain: &isl::Set) -> Result<Option<Instances>, EvalError> {
    if domain.is_empty()? {
        return Ok(None);
    }
    let n = stmt.dims.len();
    let hull = (0..n).map(|dim| hull_of(stmt, domain, dim)).collect::<Result<Vec<_>, _>>()?;
    let exact = membership(domain)?;
    let single = matches!(exact.0.as_slice(), [only] if only.divs.is_empty());
    let own = if single { constraints(domain)?.pop().unwrap_or_default() } else { Vec::new() };
    let mut ranges = Vec::with_capacity(n);
    for (dim, &hull) in hull.iter().enumerate() {
        ranges.push(range_of(domain, dim, hull, &own)?);
    }
    check_magnitudes(stmt, &hull, &ranges)?;
    let needed = !(single && ranges.iter().all(|range| range.0.len() == 1));
    let membership = needed.then(|| exact.clone());
    Ok(Some(Instances { ranges, membership, exact }))
}

fn hull_of(stmt: &Stmt, domain: &isl::Set, dim: usize) -> Result<(i64, i64), EvalError> {
    let unbounded = || EvalError::Unbounded { stmt: stmt.name.clone(), dim: stmt.dims[dim].clone() };
    let (low, high) = (domain.dim_min_val(dim as i32)?, domain.dim_max_val(dim as i32)?);
    match (low.to_i64(), high.to_i64()) {
        (Ok(low), Ok(high)) => Ok((low, high)),
        _ => Err(unbounded()),
    }
}

/// The range of `dim` over the dimensions before it: from the projection of the domain, whose integer divisions are
/// relaxed, and from those of the domain's own constraints that end at `dim`, so that none is lost when the projection
/// is relaxed.
fn range_of(domain: &isl::Set, dim: usize, hull: (i64, i64), own: &[Constraint]) -> isl::Result<Range> {
    let inner = domain.dim(Dim::Set)? - dim as u32 - 1;
    let projected = domain.project_out(Dim::Set, dim as u32 + 1, inner)?.remove_divs()?.coalesce()?;
    let own: Vec<&Constraint> =
        own.iter().filter(|c| c.dims[dim] != 0 && c.dims[dim + 1..].iter().all(|&c| c == 0)).collect();
    let interval = |constraints: &Vec<Constraint>| {
        let mut interval = Interval { low: hull.0, high: hull.1, lower: Vec::new(), upper: Vec::new() };
        for constraint in constraints.iter().filter(|c| c.dims[dim] != 0).chain(own.iter().copied()) {
            interval.restrict(constraint, dim).ok_or(isl::Error::Overflow)?;
        }
        interval.normalise();
        Ok(interval)
    };
    let mut intervals = constraints(&projected)?.iter().map(interval).collect::<isl::Result<Vec<Interval>>>()?;
    intervals.sort();
    intervals.dedup();
    Ok(Range(intervals))
}

fn constraints(set: &isl::Set) -> isl::Result<Vec<Vec<Constraint>>> {
    set.basic_sets()?.iter().map(|basic| basic.constraints()).collect()
}

fn membership(domain: &isl::Set) -> isl::Result<Membership> {
    let one = |basic: &isl::BasicSet| -> isl::Result<Disjunct> {
        let divs = basic.divs()?.iter().map(Floor::of_terms).collect();
        let condition = |c: &Constraint| Condition {
            equality: c.equality,
            linear: Linear::new(c.constant, &c.dims),
            divs: c.divs.iter().copied().enumerate().filter(|&(_, c)| c != 0).collect(),
        };
        Ok(Disjunct { divs, conditions: basic.constraints()?.iter().map(condition).collect() })
    };
    Ok(Membership(domain.basic_sets()?.iter().map(one).collect::<isl::Result<_>>()?))
}

/// Refuses domains so large that a bound could leave 64 bits.
fn check_magnitudes(stmt: &Stmt, hull: &[(i64, i64)], ranges: &[Range]) -> Result<(), EvalError> {
    let mut bounds =
        ranges.iter().flat_map(|range| &range.0).flat_map(|interval| interval.lower.iter().chain(&interval.upper));
    match bounds.all(|bound| bound.linear.fits(hull)) {
        true => Ok(()),
        false => Err(EvalError::Unbounded { stmt: stmt.name.clone(), dim: stmt.dims.join(", ") }),
    }
}
