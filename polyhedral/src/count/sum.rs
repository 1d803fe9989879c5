//! Sums over the integer points of a polyhedron, one variable after the other.

use super::polynomial::Polynomial;
use super::system::{Row, normalised};

/// Steps that counting one set may take: about ten milliseconds.
pub(super) const WORK: u32 = 20_000;

/// The number of integer points where every row is at least zero, of which there are finitely many; a variable in no row
/// does not count. `None` when the work is spent or a number does not fit.
pub(super) fn points(rows: &[Row], work: &mut u32) -> Option<i128> {
    let Some(first) = rows.first() else { return Some(1) };
    let variables = first.len() - 1;
    let mut product: i128 = 1;
    for component in components(rows, variables) {
        let one = Polynomial::constant(1, variables);
        let points = sum(component, &one, work)?;
        product = product.checked_mul(points)?;
    }
    Some(product)
}

/// The rows, apart where they have no variable in common.
fn components(rows: &[Row], variables: usize) -> Vec<Vec<Row>> {
    let mut leader: Vec<usize> = (0..variables).collect();
    for row in rows {
        let mut used = (0..variables).filter(|&v| row[1 + v] != 0);
        let Some(first) = used.next() else { continue };
        for other in used {
            let (to, from) = (leader[first], leader[other]);
            leader.iter_mut().filter(|l| **l == from).for_each(|l| *l = to);
        }
    }
    let belongs = |row: &Row, to: usize| (0..variables).any(|v| row[1 + v] != 0 && leader[v] == to);
    let parts = (0..variables).map(|v| rows.iter().filter(|row| belongs(row, v)).cloned().collect::<Vec<Row>>());
    parts.filter(|part| !part.is_empty()).collect()
}

/// The sum of a polynomial over the points.
fn sum(rows: Vec<Row>, of: &Polynomial, work: &mut u32) -> Option<i128> {
    *work = work.checked_sub(1)?;
    let Some(rows) = normalised(rows) else { return Some(0) };
    let Some(first) = rows.first() else { return of.to_constant()?.to_int() };
    let ranges = Ranges::of(&rows, first.len() - 1);
    if ranges.are_empty() {
        return Some(0);
    }
    let rows = ranges.without_redundant(rows);
    match choice(&rows, &ranges)? {
        Choice::Sum(variable) => sum_out(&rows, variable, of, work),
        Choice::Try(variable) => try_values(&rows, variable, &ranges, of, work),
    }
}

/// What to do next.
enum Choice {
    /// Sum a variable out: its coefficients are units.
    Sum(usize),
    /// Try each of its values.
    Try(usize),
}

/// The variable that splits into the fewest cases; `None` when one that must be tried is unbounded.
fn choice(rows: &[Row], ranges: &Ranges) -> Option<Choice> {
    let variables = rows.first()?.len() - 1;
    let used = || (0..variables).filter(|&v| rows.iter().any(|row| row[1 + v] != 0));
    let unit = |v: &usize| rows.iter().all(|row| row[1 + v].abs() <= 1);
    let cases = |v: &usize| {
        let (lower, upper) = bounds(rows, *v);
        lower.len() * upper.len()
    };
    if let Some(variable) = used().filter(unit).min_by_key(cases) {
        return Some(Choice::Sum(variable));
    }
    used().filter_map(|v| Some((ranges.size(v)?, v))).min().map(|(_, v)| Choice::Try(v))
}

/// The rows that bound a variable from below and from above.
fn bounds(rows: &[Row], variable: usize) -> (Vec<&Row>, Vec<&Row>) {
    let lower = rows.iter().filter(|row| row[1 + variable] > 0).collect();
    let upper = rows.iter().filter(|row| row[1 + variable] < 0).collect();
    (lower, upper)
}

/// One case for each pair of a greatest lower and a least upper bound; the first of equal ones is the one.
fn sum_out(rows: &[Row], variable: usize, of: &Polynomial, work: &mut u32) -> Option<i128> {
    let (lower, upper) = bounds(rows, variable);
    if lower.is_empty() || upper.is_empty() {
        return None;
    }
    // `variable + rest >= 0` bounds it by `-rest`; `rest - variable >= 0` by `rest`.
    let rest = |row: &Row, sign: i128| -> Row {
        let mut rest: Row = row.iter().map(|c| c * sign).collect();
        rest[1 + variable] = 0;
        rest
    };
    let lower: Vec<Row> = lower.into_iter().map(|row| rest(row, -1)).collect();
    let upper: Vec<Row> = upper.into_iter().map(|row| rest(row, 1)).collect();
    let others: Vec<Row> = rows.iter().filter(|row| row[1 + variable] == 0).cloned().collect();
    let mut total: i128 = 0;
    for (i, low) in lower.iter().enumerate() {
        for (j, high) in upper.iter().enumerate() {
            let mut case = others.clone();
            case.push(difference(high, low, 0)?);
            for (k, other) in lower.iter().enumerate().filter(|&(k, _)| k != i) {
                case.push(difference(low, other, i128::from(k < i))?);
            }
            for (k, other) in upper.iter().enumerate().filter(|&(k, _)| k != j) {
                case.push(difference(other, high, i128::from(k < j))?);
            }
            // The polynomial is only worked out for a case that has points.
            let Some(case) = normalised(case) else { continue };
            if case.first().is_some_and(|row| Ranges::of(&case, row.len() - 1).are_empty()) {
                continue;
            }
            let summed = of.sum_over(variable, &Polynomial::linear(low), &Polynomial::linear(high))?;
            total = total.checked_add(sum(case, &summed, work)?)?;
        }
    }
    Some(total)
}

/// `a - b - by`.
fn difference(a: &Row, b: &Row, by: i128) -> Option<Row> {
    let mut row = a.iter().zip(b).map(|(x, y)| x.checked_sub(*y)).collect::<Option<Row>>()?;
    row[0] = row[0].checked_sub(by)?;
    Some(row)
}

fn try_values(rows: &[Row], variable: usize, ranges: &Ranges, of: &Polynomial, work: &mut u32) -> Option<i128> {
    let (low, high) = (ranges.0[variable].0?, ranges.0[variable].1?);
    if high.checked_sub(low)? >= i128::from(*work) {
        return None;
    }
    let variables = rows.first()?.len() - 1;
    let mut total: i128 = 0;
    for value in low..=high {
        let mut here = rows.to_vec();
        for row in &mut here {
            let c = std::mem::take(&mut row[1 + variable]);
            row[0] = row[0].checked_add(c.checked_mul(value)?)?;
        }
        let of = of.substitute(variable, &Polynomial::constant(value, variables))?;
        total = total.checked_add(sum(here, &of, work)?)?;
    }
    Some(total)
}

/// Between what values each variable surely is: what constraints say of one variable when the others are in their ranges.
struct Ranges(Vec<(Option<i128>, Option<i128>)>);

impl Ranges {
    fn of(rows: &[Row], variables: usize) -> Ranges {
        let mut ranges = Ranges(vec![(None, None); variables]);
        // Each round lets what is known of one variable reach its neighbours.
        for _ in 0..=variables {
            let before = ranges.0.clone();
            for row in rows {
                for v in (0..variables).filter(|&v| row[1 + v] != 0) {
                    ranges.tighten(row, v);
                }
            }
            if ranges.0 == before || ranges.are_empty() {
                break;
            }
        }
        ranges
    }

    /// `c·v >= -(the most that the rest can be)`.
    fn tighten(&mut self, row: &Row, v: usize) {
        let c = row[1 + v];
        let Some(rest) = self.most(row, Some(v)) else { return };
        let (low, high) = &mut self.0[v];
        if c > 0 {
            let bound = -rest.div_euclid(c);
            *low = Some(low.map_or(bound, |known| known.max(bound)));
        } else {
            let bound = rest.div_euclid(-c);
            *high = Some(high.map_or(bound, |known| known.min(bound)));
        }
    }

    /// The most that a row can be, one variable left out.
    fn most(&self, row: &Row, without: Option<usize>) -> Option<i128> {
        let mut most = row[0];
        for (v, &c) in row[1..].iter().enumerate().filter(|&(v, &c)| c != 0 && Some(v) != without) {
            let (low, high) = self.0[v];
            most = most.checked_add(c.checked_mul(if c > 0 { high? } else { low? })?)?;
        }
        Some(most)
    }

    fn least(&self, row: &Row) -> Option<i128> {
        let mut least = row[0];
        for (v, &c) in row[1..].iter().enumerate().filter(|&(_, &c)| c != 0) {
            let (low, high) = self.0[v];
            least = least.checked_add(c.checked_mul(if c > 0 { low? } else { high? })?)?;
        }
        Some(least)
    }

    fn are_empty(&self) -> bool {
        self.0.iter().any(|range| matches!(range, (Some(low), Some(high)) if low > high))
    }

    fn size(&self, v: usize) -> Option<i128> {
        let (low, high) = self.0[v];
        high?.checked_sub(low?)
    }

    /// Leaves out rows on several variables that the ranges of these already satisfy, when rows on one variable give
    /// these ranges: so nothing leans on what is left out.
    fn without_redundant(&self, rows: Vec<Row>) -> Vec<Row> {
        let single = |row: &Row| row[1..].iter().filter(|&&c| c != 0).count() == 1;
        let (own, shared): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(single);
        let variables = self.0.len();
        let boxed = Ranges::of(&own, variables);
        let kept = shared.into_iter().filter(|row| boxed.least(row).is_none_or(|least| least < 0));
        let kept: Vec<Row> = kept.collect();
        own.into_iter().chain(kept).collect()
    }
}
