//! The smallest box around the elements that one iteration touches: an offset that follows the iteration, and sizes
//! that do not.

use polyhedral::{Index, isl};

use crate::storage::formula::simplified;

/// A box of elements for every iteration of a site.
///
/// ```text
/// { [ko] -> B[k, n] : 256ko <= k < 256ko + 256 and k < K and 0 <= n < N }
///
/// lower = [256ko, 0]    extent = [256, N]
/// ```
pub(crate) struct Hull {
    /// The smallest element, over the values of the site's members.
    pub(crate) lower: Vec<Index>,
    /// How many there are in each dimension, over the parameters: enough for every iteration.
    pub(crate) extent: Vec<Index>,
}

impl Hull {
    /// Of `touched`, from the values of the site's members to the elements; `None` when there is no box of sizes that
    /// stay the same.
    ///
    /// The offsets are lower bounds that isl's hull of the elements has; of several, one whose box is smallest is taken.
    /// After Verdoolaege et al., Polyhedral Parallel Code Generation for CUDA (TACO 2013), section 4.1.
    pub(crate) fn of(touched: &isl::Map, context: &isl::Set) -> isl::Result<Option<Hull>> {
        let mut hull = Hull { lower: Vec::new(), extent: Vec::new() };
        for at in 0..touched.dim(isl::Dim::Out)? {
            let Some((lower, extent)) = Interval::of(touched, at, context)? else { return Ok(None) };
            hull.lower.push(lower);
            hull.extent.push(extent);
        }
        Ok(Some(hull))
    }
}

/// The elements along one dimension.
struct Interval<'a> {
    /// From the values of the site's members to what the dimension may be.
    touched: isl::Map,
    context: &'a isl::Set,
}

impl Interval<'_> {
    /// The best offset and size for dimension `at`.
    fn of(touched: &isl::Map, at: u32, context: &isl::Set) -> isl::Result<Option<(Index, Index)>> {
        let after = touched.dim(isl::Dim::Out)? - at - 1;
        let touched = touched.project_out(isl::Dim::Out, at + 1, after)?.project_out(isl::Dim::Out, 0, at)?;
        let interval = Interval { touched, context };
        if interval.touched.is_empty()? {
            return Ok(Some((Index::Const(0), Index::Const(0))));
        }
        let mut best: Option<(Index, Index)> = None;
        for lower in interval.lower_bounds()? {
            let Some(extent) = interval.extent_from(&lower)? else { continue };
            let better = match &best {
                None => true,
                Some((_, known)) => interval.is_smaller(&extent, known)?,
            };
            if better {
                best = Some((lower, extent));
            }
        }
        Ok(best)
    }

    /// The affine lower bounds of the hull, over the values of the site's members, and those of all iterations together.
    fn lower_bounds(&self) -> isl::Result<Vec<Index>> {
        let mut bounds = Vec::new();
        for set in [self.touched.wrap()?, self.touched.range()?] {
            for isl::Constraint { constant, params, dims, .. } in constraints(&set)? {
                let Some((&c, members)) = dims.split_last() else { continue };
                // `c·e + rest >= 0`, so `e >= ceil(-rest / c)`.
                if c > 0 {
                    let bound = -sum(members, &params, constant).floor_div(c);
                    if !bounds.contains(&bound) {
                        bounds.push(bound);
                    }
                }
            }
        }
        Ok(bounds)
    }

    /// How many elements there are from `lower` on, at most, over the parameters alone.
    fn extent_from(&self, lower: &Index) -> isl::Result<Option<Index>> {
        let distances = self.distances(lower)?;
        // What the context says of a size is no reason to take its largest value.
        let most = distances.gist_params(self.context)?.dim_max_val(0)?;
        if let Ok(most) = most.to_i64() {
            return Ok(Some(Index::Const(most) + 1));
        }
        let bounds = constraints(&distances)?.into_iter().filter(|bound| bound.dims[0] < 0);
        let extents = bounds.map(|bound| sum(&[], &bound.params, bound.constant).floor_div(-bound.dims[0]) + 1);
        let Some(extent) = extents.reduce(Index::min) else { return Ok(None) };
        // Where nothing is touched it would be negative.
        Ok(Some(simplified(extent.max(Index::Const(0)), &self.context.set_from_params()?)?))
    }

    /// The set of all `e - lower`.
    fn distances(&self, lower: &Index) -> isl::Result<isl::Set> {
        let iterations = self.touched.domain()?.space()?;
        let pairs = self.touched.flat_range_product(&lower.to_pw_aff(&iterations)?.to_map()?)?.range()?;
        let difference = (Index::Dim(0) - Index::Dim(1)).to_pw_aff(&pairs.space()?)?.to_map()?;
        pairs.apply(&difference)
    }

    /// Whether the first is smaller than the second for all sizes, or constant when the second is not.
    fn is_smaller(&self, a: &Index, b: &Index) -> isl::Result<bool> {
        match (a.as_const(), b.as_const()) {
            (Some(a), Some(b)) => return Ok(a < b),
            (Some(_), None) => return Ok(true),
            (None, Some(_)) => return Ok(false),
            (None, None) => {}
        }
        let space = self.context.space()?.set_from_params()?;
        let not_smaller = (a.clone() - b.clone()).to_pw_aff(&space)?.nonneg_set()?;
        not_smaller.params()?.intersect(self.context)?.is_empty()
    }
}

/// The range of a function of the parameters and of `[t…]`, as a dimension: what values it takes.
pub(crate) fn range_of(values: &isl::Map, context: &isl::Set) -> isl::Result<Option<(Index, Index)>> {
    let anywhere = values.domain()?.space()?.universe_set()?;
    let n = anywhere.dim(isl::Dim::Set)?;
    let from_nothing = anywhere.identity()?.project_out(isl::Dim::Out, 0, n)?.reverse()?;
    Interval::of(&from_nothing.apply_range(values)?, 0, context)
}

/// The constraints of a convex set around `set` that has no integer divisions.
fn constraints(set: &isl::Set) -> isl::Result<Vec<isl::Constraint>> {
    set.remove_divs()?.simple_hull()?.constraints().map(both_ways)
}

/// An equality bounds from both sides.
fn both_ways(constraints: Vec<isl::Constraint>) -> Vec<isl::Constraint> {
    let negated = |c: &isl::Constraint| isl::Constraint {
        equality: true,
        constant: -c.constant,
        params: c.params.iter().map(|c| -c).collect(),
        dims: c.dims.iter().map(|c| -c).collect(),
        divs: c.divs.iter().map(|c| -c).collect(),
    };
    constraints.into_iter().flat_map(|c| if c.equality { vec![negated(&c), c] } else { vec![c] }).collect()
}

fn sum(dims: &[i64], params: &[i64], constant: i64) -> Index {
    let dims = dims.iter().enumerate().map(|(at, &c)| c * Index::Dim(at));
    let params = params.iter().enumerate().map(|(at, &c)| c * Index::Param(at));
    dims.chain(params).fold(Index::Const(0), |sum, term| sum + term) + constant
}
