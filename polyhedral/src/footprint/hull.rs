use super::coalesced;
use crate::{Index, isl};

/// A box around the elements that a place touches: in every iteration, element `x` of dimension `d` satisfies
/// `lower[d] <= x < lower[d] + extent[d]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxHull {
    /// The first element in each dimension, over the values of the members ([`Index::Dim`]) and the parameters. It may
    /// lie outside the tensor where an iteration is a partial one.
    pub lower: Vec<Index>,
    /// How many elements in each dimension, the same for all iterations and sizes.
    pub extent: Vec<i64>,
}

/// The smallest box of constant extents that holds `touched`, a map `{ [t0, …, tk] -> T[…] }` with parameters; `None`
/// when an extent has no constant bound (it grows with a size or with the iteration), or when nothing is touched.
///
/// The lower bounds are among those that isl finds for single iterations: one that holds in all of them and leaves the
/// smallest extent. After PPCG (Verdoolaege and others: Polyhedral Parallel Code Generation for CUDA, TACO 2013), which
/// looks for an affine offset and a constant size too.
///
/// # Errors
/// When isl fails.
pub fn hull(touched: &isl::Map) -> isl::Result<Option<BoxHull>> {
    if touched.is_empty()? {
        return Ok(None);
    }
    let rank = touched.dim(isl::Dim::Out)?;
    let mut hull = BoxHull { lower: Vec::new(), extent: Vec::new() };
    for dim in 0..rank {
        let after = touched.project_out(isl::Dim::Out, dim + 1, rank - dim - 1)?;
        let Some((lower, extent)) = interval(&after.project_out(isl::Dim::Out, 0, dim)?)? else { return Ok(None) };
        hull.lower.push(lower);
        hull.extent.push(extent);
    }
    Ok(Some(hull))
}

/// The best lower bound of a map to one dimension, and the extent from there.
fn interval(map: &isl::Map) -> isl::Result<Option<(Index, i64)>> {
    let (Some(lowest), Some(highest)) = (function(&map.lexmin())?, function(&map.lexmax())?) else { return Ok(None) };
    let Ok(best) = highest.sub(&lowest)?.max_val()?.to_i64() else { return Ok(None) };
    let mut found: Option<(Index, i64)> = None;
    for (candidate, index) in candidates(&lowest)? {
        let Some(extent) = extent_from(&candidate, &lowest, &highest)? else { continue };
        if found.as_ref().is_none_or(|(_, smallest)| extent < *smallest) {
            found = Some((index, extent));
        }
        if extent == best + 1 {
            break;
        }
    }
    Ok(found)
}

/// What may be a lower bound: each piece, their largest, their smallest. Single pieces come first, since they make the
/// simplest code; the smallest of all holds everywhere.
fn candidates(lowest: &isl::PwAff) -> isl::Result<Vec<(isl::PwAff, Index)>> {
    let one = |(_, aff): &(isl::Set, isl::Aff)| Ok((aff.to_pw_aff()?, from_terms(&aff.terms()?)));
    let mut all = lowest.pieces()?.iter().map(one).collect::<isl::Result<Vec<(isl::PwAff, Index)>>>()?;
    let Some((first, rest)) = all.split_first() else { return Ok(all) };
    let (mut largest, mut smallest) = (first.clone(), first.clone());
    for (function, index) in rest {
        largest = (largest.0.max(function)?, largest.1.max(index.clone()));
        smallest = (smallest.0.min(function)?, smallest.1.min(index.clone()));
    }
    all.extend([largest, smallest]);
    Ok(all)
}

/// How many elements there are from `candidate` to the highest one, when it is a lower bound everywhere.
fn extent_from(candidate: &isl::PwAff, lowest: &isl::PwAff, highest: &isl::PwAff) -> isl::Result<Option<i64>> {
    let slack = lowest.sub(candidate)?.min_val()?.to_i64();
    if !slack.is_ok_and(|slack| slack >= 0) {
        return Ok(None);
    }
    let reach = highest.sub(candidate)?.max_val()?.to_i64();
    Ok(reach.ok().and_then(|reach| reach.checked_add(1)))
}

/// The only row of a single-valued map to one dimension; `None` when it has no value (it is unbounded).
fn function(map: &isl::Result<isl::Map>) -> isl::Result<Option<isl::PwAff>> {
    match map {
        Ok(map) => coalesced(&map.to_pw_multi_aff()?.at(0)?, isl::PwAff::coalesce).map(Some),
        Err(isl::Error::Refused(_)) => Ok(None),
        Err(error) => Err(error.clone()),
    }
}

/// The same function as an [`Index`] over the domain's tuple and the parameters. What isl divides at the end divides
/// evenly wherever the function is meant.
fn from_terms(terms: &isl::Terms) -> Index {
    let dims = terms.dims.iter().enumerate().map(|(at, &c)| (c, Index::Dim(at)));
    let params = terms.params.iter().enumerate().map(|(at, &c)| (c, Index::Param(at)));
    let floors = terms.floors.iter().map(|(c, floor)| (*c, from_terms(floor)));
    let sum = dims.chain(params).chain(floors).filter(|(c, _)| *c != 0);
    (sum.fold(Index::Const(0), |sum, (c, e)| sum + c * e) + terms.constant).floor_div(terms.denominator)
}
