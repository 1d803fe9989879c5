//! Functions of isl as expressions over the dimensions of a statement.

use polyhedral::{Index, isl};

/// The function as one expression over the dimensions of `domain`, where it is meant; `None` when it takes several.
pub(super) fn index_of(function: &isl::PwAff, domain: &isl::Set, params: &[String]) -> isl::Result<Option<Index>> {
    let here = function.intersect_domain(domain)?.coalesce()?;
    match here.gist(domain)?.pieces()?.as_slice() {
        [] => Ok(Some(Index::Const(0))),
        [(_, only)] => Ok(of_terms(&only.terms()?, &positions(only, params)?)),
        _ => Ok(None),
    }
}

/// The expression in isl's normal form where that is one, and as it is elsewhere.
pub(super) fn simplified(index: &Index, domain: &isl::Set, params: &[String]) -> isl::Result<Index> {
    let function = index.to_pw_aff(&domain.space()?)?;
    Ok(index_of(&function, domain, params)?.unwrap_or_else(|| index.clone()))
}

/// Where the parameters of isl's function are in ours.
fn positions(function: &isl::Aff, params: &[String]) -> isl::Result<Vec<Option<usize>>> {
    let names = function.domain_space()?.param_names()?;
    Ok(names.iter().map(|name| params.iter().position(|param| param == name)).collect())
}

/// What isl divides at the end divides evenly wherever the function is meant.
fn of_terms(terms: &isl::Terms, positions: &[Option<usize>]) -> Option<Index> {
    let mut sum = Index::Const(0);
    for (at, &c) in terms.dims.iter().enumerate().filter(|(_, c)| **c != 0) {
        sum = sum + c * Index::Dim(at);
    }
    for (at, &c) in terms.params.iter().enumerate().filter(|(_, c)| **c != 0) {
        sum = sum + c * Index::Param((*positions.get(at)?)?);
    }
    for (c, floor) in &terms.floors {
        sum = sum + *c * of_terms(floor, positions)?;
    }
    Some((sum + terms.constant).floor_div(terms.denominator))
}
