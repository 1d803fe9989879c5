//! Conditions on the sizes where the ends of the ranges do not say when a value is negative: an index stands in it more
//! than once, or a range depends on other indices and may have nothing in it. The sizes with an instance at which the
//! value is negative are found by projection (Pugh, The Omega test, CACM 1992; here isl's), and what none of them
//! satisfies is the condition.

use std::collections::BTreeMap;

use polyhedral::isl;

use super::Range;
use crate::quasi::Quasi;

/// isl operations for one condition: what ordinary ones need, a hundred times. Past it the ends of the ranges decide, which
/// never accepts what is wrong.
const OPERATIONS: u64 = 100_000;

/// Whether the least value over the ends of `ranges` is the least value of an instance, when there is one.
pub(super) fn is_exact(value: &Quasi, ranges: &[Range]) -> bool {
    let mut count: BTreeMap<usize, usize> = BTreeMap::new();
    value.indices(&mut |at| *count.entry(at).or_default() += 1);
    ranges.iter().all(|range| !range.is_dependent())
        && count.values().all(|&times| times == 1)
        && !value.has_remainder_of_index()
}

/// When no instance has a negative `value`: all of these, each a list of alternatives of which one must not be negative.
/// `sizes` is how many there are. What holds besides is left out: ranges that depend on nothing have something in them.
///
/// # Errors
/// isl's, also when the budget is spent.
pub(super) fn never_negative(value: &Quasi, ranges: &[Range], sizes: usize) -> isl::Result<Vec<Vec<Quasi>>> {
    let ctx = isl::Ctx::new();
    ctx.with_budget(OPERATIONS, || {
        let names = |letter: &str, count: usize| (0..count).map(|at| format!("{letter}{at}")).collect::<Vec<_>>();
        let params = isl::Space::parameters(&ctx, &names("n", sizes))?;
        let space = params.named_set("S", &names("i", ranges.len()))?;
        let nonneg = |value: &Quasi| value.to_index().to_pw_aff(&space)?.nonneg_set();
        let (mut instances, mut known) = (space.universe_set()?, space.universe_set()?);
        for size in 0..sizes {
            known = known.intersect(&nonneg(&Quasi::size(size))?)?;
        }
        for (at, range) in ranges.iter().enumerate() {
            let overflow = || isl::Error::Overflow;
            let index = Quasi::index(at);
            let from = index.minus(&range.first).ok_or_else(overflow)?;
            let to = range.last.minus(&index).ok_or_else(overflow)?;
            instances = instances.intersect(&nonneg(&from)?)?.intersect(&nonneg(&to)?)?;
            if !range.is_dependent() {
                known = known.intersect(&nonneg(&range.last.minus(&range.first).ok_or_else(overflow)?)?)?;
            }
        }
        let lacking = value.times(-1).and_then(|value| value.plus_constant(-1)).ok_or(isl::Error::Overflow)?;
        let wrong = instances.intersect(&nonneg(&lacking)?)?.params()?;
        let wrong = wrong.coalesce()?.compute_divs()?.gist(&known.params()?)?.compute_divs()?;
        // Fewer pieces are easier to read, but joined ones may hold a quotient without its definition.
        all_outside(&wrong.coalesce()?).or_else(|_| all_outside(&wrong))
    })
}

/// What is in none of the pieces of the set.
fn all_outside(set: &isl::Set) -> isl::Result<Vec<Vec<Quasi>>> {
    set.basic_sets()?.iter().map(outside).collect()
}

/// What is not in the set: one of these is at least 0.
fn outside(set: &isl::BasicSet) -> isl::Result<Vec<Quasi>> {
    let mut divs: Vec<Quasi> = Vec::new();
    for terms in set.divs()? {
        divs.push(floor(&terms).ok_or(isl::Error::Overflow)?);
    }
    let mut outside = Vec::new();
    for constraint in set.constraints()? {
        let isl::Constraint { equality, constant, params, divs: coefficients, .. } = constraint;
        let floors = coefficients.into_iter().zip(divs.iter().cloned());
        let value = weighted(constant, &params, floors).ok_or(isl::Error::Overflow)?;
        let below = value.times(-1).and_then(|value| value.plus_constant(-1)).ok_or(isl::Error::Overflow)?;
        outside.push(below);
        if equality {
            outside.push(value.plus_constant(-1).ok_or(isl::Error::Overflow)?);
        }
    }
    Ok(outside)
}

fn floor(terms: &isl::Terms) -> Option<Quasi> {
    let floors = terms.floors.iter().map(|(c, inner)| Some((*c, floor(inner)?))).collect::<Option<Vec<_>>>()?;
    weighted(terms.constant, &terms.params, floors.into_iter())?.floor_div(terms.denominator)
}

fn weighted(constant: i64, params: &[i64], others: impl Iterator<Item = (i64, Quasi)>) -> Option<Quasi> {
    let params = params.iter().enumerate().map(|(at, &factor)| (factor, Quasi::size(at)));
    let mut terms = params.chain(others);
    terms.try_fold(Quasi::constant(constant), |sum, (factor, term)| sum.plus_times(&term, factor))
}
