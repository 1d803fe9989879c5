//! Inequalities over indices: which range each index gets, and which hold in all of it.

use std::collections::BTreeSet;

use super::{Inequality, Range};
use crate::quasi::{Atom, Quasi};
use crate::sema::Guard;

/// Whether `value >= 0` wherever the guards hold: alone, or because it is at least something that the guards say is.
pub(super) fn follows(value: &Quasi, guards: &[Guard], ranges: &[Range]) -> Option<bool> {
    if settled(value, ranges)?.is_never_negative() {
        return Some(true);
    }
    for fact in guards.iter().flat_map(|guard| guard.known.iter()) {
        if settled(&value.minus(fact)?, ranges)?.is_never_negative() {
            return Some(true);
        }
    }
    Some(false)
}

/// The least value while all indices run through `ranges`.
pub(super) fn settled(value: &Quasi, ranges: &[Range]) -> Option<Quasi> {
    least(value, &|at| ranges.get(at))
}

/// The least value while the indices that `range` knows run through theirs. Indices go in the order in which no range
/// that is left mentions them, so that one whose range depends on others leaves the others behind.
pub(super) fn least<'a>(value: &Quasi, range: &dyn Fn(usize) -> Option<&'a Range>) -> Option<Quasi> {
    /// More ranges are never inside of each other.
    const DEEPEST: usize = 64;
    let mut value = value.clone();
    for _ in 0..DEEPEST {
        let mut known = BTreeSet::new();
        value.indices(&mut |at| {
            if range(at).is_some() {
                known.insert(at);
            }
        });
        if known.is_empty() {
            break;
        }
        let mut mentioned = BTreeSet::new();
        let mut open: Vec<usize> = known.iter().copied().collect();
        while let Some(at) = open.pop() {
            let Some(Range { first, last }) = range(at) else { continue };
            for end in [first, last] {
                end.indices(&mut |inner| {
                    if mentioned.insert(inner) {
                        open.push(inner);
                    }
                });
            }
        }
        let ends = |at: usize| {
            let Range { first, last } = range(at).filter(|_| !mentioned.contains(&at))?;
            Some((first.clone(), last.clone()))
        };
        value = value.least(&ends)?;
    }
    Some(value)
}

/// Gives ranges to as many indices as it can. What is left are the inequalities that no index was solved from, with the
/// indices of known range replaced by the ends of their ranges; `None` when the numbers get too large.
pub(super) fn solve(mut inequalities: Vec<Inequality>, ranges: &mut [Option<Range>]) -> Option<Vec<Inequality>> {
    loop {
        for inequality in &mut inequalities {
            inequality.value = least(&inequality.value, &|at| ranges[at].as_ref())?;
        }
        let mut found = Vec::new();
        let mut used = BTreeSet::new();
        for at in (0..ranges.len()).filter(|at| ranges[*at].is_none()) {
            if let Some((range, from)) = bounded(at, &inequalities)? {
                found.push((at, range));
                used.extend(from);
            }
        }
        if found.is_empty() {
            return Some(inequalities);
        }
        for (at, range) in found {
            ranges[at] = Some(range);
        }
        let mut position = 0;
        inequalities.retain(|_| {
            position += 1;
            !used.contains(&(position - 1))
        });
    }
}

/// The range of index `at` from the inequalities in which no other index occurs, and which these are.
#[allow(clippy::type_complexity, reason = "the outer option is failure, the inner one is the answer")]
pub(super) fn bounded(at: usize, inequalities: &[Inequality]) -> Option<Option<(Range, Vec<usize>)>> {
    let (mut firsts, mut lasts, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for (position, inequality) in inequalities.iter().enumerate() {
        let mut alone = true;
        let mut occurs = false;
        inequality.value.indices(&mut |index| {
            occurs |= index == at;
            alone &= index == at;
        });
        if occurs && alone {
            let (before, after) = (firsts.len(), lasts.len());
            if solve_for(&inequality.value, &mut firsts, &mut lasts)? {
                used.push(position);
            } else {
                firsts.truncate(before);
                lasts.truncate(after);
            }
        }
    }
    if firsts.is_empty() || lasts.is_empty() {
        return Some(None);
    }
    Some(Some((Range { first: Quasi::max(&firsts)?, last: Quasi::min(&lasts)? }, used)))
}

/// Turns `value >= 0`, in which one index occurs, into bounds of that index. `Some(false)` when there is no such
/// form.
pub(super) fn solve_for(value: &Quasi, firsts: &mut Vec<Quasi>, lasts: &mut Vec<Quasi>) -> Option<bool> {
    let mut holders = value.terms().filter(|(atom, _)| atom.has_index());
    let (Some((atom, coefficient)), None) = (holders.next(), holders.next()) else { return Some(false) };
    let rest = value.without(atom);
    match atom {
        Atom::Index(_) if coefficient > 0 => firsts.push(rest.floor_div(coefficient)?.times(-1)?),
        Atom::Index(_) => lasts.push(rest.floor_div(coefficient.checked_neg()?)?),
        Atom::Floor(inner, divisor) => {
            let inequality = if coefficient > 0 {
                // floor(e/d) >= -r  is  e + d·r >= 0
                inner.plus_times(&rest.floor_div(coefficient)?, *divisor)?
            } else {
                // floor(e/d) <= r  is  d·r + d - 1 - e >= 0
                let most = rest.floor_div(coefficient.checked_neg()?)?;
                most.times(*divisor)?.plus_constant(divisor - 1)?.minus(inner)?
            };
            return solve_for(&inequality, firsts, lasts);
        }
        Atom::Min(options) if coefficient > 0 => {
            for option in options {
                let inequality = rest.plus_times(option, coefficient)?;
                if inequality.has_index() && !solve_for(&inequality, firsts, lasts)? {
                    return Some(false);
                }
                if !inequality.has_index() && !inequality.is_never_negative() {
                    return Some(false);
                }
            }
        }
        Atom::Min(_) | Atom::Mod(..) | Atom::Size(_) => return Some(false),
    }
    Some(true)
}

/// The open indices that share an inequality with `at`, directly or not, `at` first.
pub(super) fn entangled(at: usize, open: &BTreeSet<usize>, rest: &[Inequality]) -> Vec<usize> {
    let mut group = vec![at];
    let mut next = 0;
    while let Some(&current) = group.get(next) {
        next += 1;
        for inequality in rest {
            let mut here = BTreeSet::new();
            inequality.value.indices(&mut |index| {
                here.insert(index);
            });
            if here.contains(&current) {
                let more: Vec<usize> =
                    here.into_iter().filter(|index| open.contains(index) && !group.contains(index)).collect();
                group.extend(more);
            }
        }
    }
    group
}

/// The box of a tensor that had `old` and gets `new` written, and what must hold for it to be written as a whole, should no
/// other statement write the rest.
pub(super) fn join(old: &[Range], new: &[Range]) -> Option<(Vec<Range>, Vec<Quasi>)> {
    let inside = |a: &[Range], b: &[Range]| -> Option<Vec<Quasi>> {
        let gaps = a.iter().zip(b).map(|(a, b)| Some([a.first.minus(&b.first)?, b.last.minus(&a.last)?]));
        Some(gaps.collect::<Option<Vec<_>>>()?.concat())
    };
    let proved = |conditions: &[Quasi]| conditions.iter().all(Quasi::is_never_negative);
    let (new_in_old, old_in_new) = (inside(new, old)?, inside(old, new)?);
    if proved(&new_in_old) {
        return Some((old.to_vec(), Vec::new()));
    }
    if proved(&old_in_new) {
        return Some((new.to_vec(), Vec::new()));
    }
    let different: Vec<usize> = (0..old.len()).filter(|dim| old[*dim] != new[*dim]).collect();
    if let [dim] = different[..] {
        let (a, b) = (&old[dim], &new[dim]);
        let touching = [b.last.minus(&a.first)?.plus_constant(1)?, a.last.minus(&b.first)?.plus_constant(1)?];
        let open = touching.into_iter().filter(|gap| !gap.is_never_negative()).collect();
        return Some((hull(old, new)?, open));
    }
    Some((hull(old, new)?, new_in_old.into_iter().filter(|gap| !gap.is_never_negative()).collect()))
}

/// The smallest box that holds both.
fn hull(a: &[Range], b: &[Range]) -> Option<Vec<Range>> {
    let both = |(a, b): (&Range, &Range)| {
        let first = Quasi::min(&[a.first.clone(), b.first.clone()])?;
        Some(Range { first, last: Quasi::max(&[a.last.clone(), b.last.clone()])? })
    };
    a.iter().zip(b).map(both).collect()
}
