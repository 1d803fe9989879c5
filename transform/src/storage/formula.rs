//! Functions of isl as expressions.

use polyhedral::{Index, isl};

/// The function in the shortest form that isl finds for it on `domain`.
pub(crate) fn simplified(index: Index, domain: &isl::Set) -> isl::Result<Index> {
    let function = index.to_pw_aff(&domain.space()?)?.gist(domain)?;
    Ok(index_of(&function)?.unwrap_or(index))
}

/// The function as an expression over its tuple and the parameters; `None` when it has several pieces.
pub(crate) fn index_of(function: &isl::PwAff) -> isl::Result<Option<Index>> {
    match function.coalesce()?.pieces()?.as_slice() {
        [(_, only)] => Ok(Some(index_of_terms(&only.terms()?))),
        _ => Ok(None),
    }
}

fn index_of_terms(terms: &isl::Terms) -> Index {
    let linear = |coefficients: &[i64], one: fn(usize) -> Index| {
        coefficients.iter().enumerate().fold(Index::Const(0), |sum, (at, &c)| sum + c * one(at))
    };
    let floors = terms.floors.iter().fold(Index::Const(0), |sum, (c, floor)| sum + *c * index_of_terms(floor));
    let sum =
        linear(&terms.dims, Index::Dim) + linear(&terms.params, Index::Param) + floors + Index::Const(terms.constant);
    // The value of the whole is an integer, and what stands under a floor is rounded down anyway.
    sum.floor_div(terms.denominator)
}
