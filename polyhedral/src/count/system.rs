//! A basic set as inequalities in variables that are free of equalities, with as many integer solutions.

use std::collections::BTreeMap;

use super::polynomial::gcd;
use crate::isl::{self, Terms};

/// `row[0] + Σ row[1 + v]·v`, at least zero.
pub(super) type Row = Vec<i128>;

/// What a system comes to.
pub(super) enum Solved {
    /// It has no solution.
    Empty,
    /// A number does not fit.
    Overflow,
    /// Rows of one length, each at least zero, in lowest terms; none is constant.
    Inequalities(Vec<Row>),
}

/// The inequalities of a set whose integer divisions are explicit.
pub(super) fn of_basic_set(set: &isl::BasicSet) -> isl::Result<Solved> {
    let dims = set.dim(isl::Dim::Set)? as usize;
    let mut lifted = Lifted { floors: Vec::new(), dims, inequalities: Vec::new() };
    let mut divs = Vec::new();
    for terms in set.divs()? {
        divs.push(lifted.variable(&terms));
    }
    let mut equalities = Vec::new();
    for constraint in set.constraints()? {
        let mut row = lifted.row(constraint.constant, &constraint.dims);
        for (&variable, &c) in divs.iter().zip(&constraint.divs) {
            row[1 + variable] += i128::from(c);
        }
        if constraint.equality {
            equalities.push(row);
        } else {
            lifted.inequalities.push(row);
        }
    }
    let columns = 1 + dims + lifted.floors.len();
    let mut inequalities = lifted.inequalities;
    for row in equalities.iter_mut().chain(&mut inequalities) {
        row.resize(columns, 0);
    }
    Ok(solve(equalities, inequalities))
}

/// The tuple's dimensions, and a variable for each different floor.
struct Lifted {
    floors: Vec<Terms>,
    dims: usize,
    inequalities: Vec<Row>,
}

impl Lifted {
    fn row(&self, constant: i64, dims: &[i64]) -> Row {
        let mut row = vec![0; 1 + self.dims + self.floors.len()];
        row[0] = i128::from(constant);
        for (at, &c) in dims.iter().enumerate() {
            row[1 + at] = i128::from(c);
        }
        row
    }

    /// The variable that is the floor of `terms`: `0 <= numerator - denominator·variable < denominator`.
    fn variable(&mut self, terms: &Terms) -> usize {
        if let Some(at) = self.floors.iter().position(|known| known == terms) {
            return self.dims + at;
        }
        let inner: Vec<(i64, usize)> = terms.floors.iter().map(|(c, floor)| (*c, self.variable(floor))).collect();
        let mut rest = self.row(terms.constant, &terms.dims);
        for (c, variable) in inner {
            rest[1 + variable] += i128::from(c);
        }
        self.floors.push(terms.clone());
        rest.push(-i128::from(terms.denominator));
        let mut below: Row = rest.iter().map(|c| -c).collect();
        below[0] += i128::from(terms.denominator) - 1;
        self.inequalities.extend([rest, below]);
        self.dims + self.floors.len() - 1
    }
}

/// Solves the equalities, those that two opposite inequalities make included.
fn solve(mut equalities: Vec<Row>, mut inequalities: Vec<Row>) -> Solved {
    loop {
        while let Some(row) = equalities.pop() {
            match eliminate(row, &mut equalities, &mut inequalities) {
                Eliminated::Done => {}
                Eliminated::Empty => return Solved::Empty,
                Eliminated::Overflow => return Solved::Overflow,
            }
        }
        match tighten(inequalities) {
            None => return Solved::Empty,
            Some((rows, found)) if found.is_empty() => return Solved::Inequalities(rows),
            Some((rows, found)) => (inequalities, equalities) = (rows, found),
        }
    }
}

enum Eliminated {
    Done,
    Empty,
    Overflow,
}

/// Takes a variable out of every row by means of one equality. Euclid's algorithm on its coefficients, as changes of
/// variables `v = v' - Σ q·w` that keep the integer points, makes one of them a unit.
fn eliminate(mut row: Row, equalities: &mut [Row], inequalities: &mut [Row]) -> Eliminated {
    let common = row[1..].iter().fold(0, |g, &c| gcd(g, c));
    if common == 0 {
        return if row[0] == 0 { Eliminated::Done } else { Eliminated::Empty };
    }
    if row[0] % common != 0 {
        return Eliminated::Empty;
    }
    row.iter_mut().for_each(|c| *c /= common);
    loop {
        let smallest = (1..row.len()).filter(|&at| row[at] != 0).min_by_key(|&at| row[at].abs());
        let Some(pivot) = smallest else { return Eliminated::Overflow };
        let others = equalities.iter_mut().chain(inequalities.iter_mut());
        if row[pivot].abs() == 1 {
            let done = others.map(|other| substitute(other, &row, pivot)).collect::<Option<Vec<()>>>();
            return if done.is_some() { Eliminated::Done } else { Eliminated::Overflow };
        }
        let quotients: Vec<i128> =
            (0..row.len()).map(|at| if at == 0 || at == pivot { 0 } else { row[at].div_euclid(row[pivot]) }).collect();
        for other in others.chain(std::iter::once(&mut row)) {
            if add_scaled(other, &quotients, -other[pivot]).is_none() {
                return Eliminated::Overflow;
            }
        }
    }
}

/// `row += factor·other`.
fn add_scaled(row: &mut Row, other: &[i128], factor: i128) -> Option<()> {
    for (mine, &theirs) in row.iter_mut().zip(other) {
        *mine = mine.checked_add(factor.checked_mul(theirs)?)?;
    }
    Some(())
}

/// Uses an equality, whose coefficient at `pivot` is a unit, to clear that column of `row`.
fn substitute(row: &mut Row, equality: &[i128], pivot: usize) -> Option<()> {
    let factor = row[pivot].checked_mul(-equality[pivot])?;
    add_scaled(row, equality, factor)
}

/// Divides each inequality by what its coefficients have in common, rounding the constant; keeps the stronger of two
/// that are parallel; finds those that are equalities together. `None` when two contradict each other.
fn tighten(rows: Vec<Row>) -> Option<(Vec<Row>, Vec<Row>)> {
    let mut strongest: BTreeMap<Row, i128> = BTreeMap::new();
    for row in rows {
        let common = row[1..].iter().fold(0, |g, &c| gcd(g, c));
        if common == 0 {
            if row[0] < 0 {
                return None;
            }
            continue;
        }
        let coefficients: Row = row[1..].iter().map(|c| c / common).collect();
        let constant = row[0].div_euclid(common);
        strongest.entry(coefficients).and_modify(|known| *known = constant.min(*known)).or_insert(constant);
    }
    let (mut inequalities, mut equalities) = (Vec::new(), Vec::new());
    for (coefficients, &constant) in &strongest {
        let opposite: Row = coefficients.iter().map(|c| -c).collect();
        let row: Row = std::iter::once(constant).chain(coefficients.iter().copied()).collect();
        match strongest.get(&opposite) {
            Some(other) if other + constant < 0 => return None,
            // Of the two, one becomes the equality and the other goes.
            Some(other) if other + constant == 0 => {
                if *coefficients < opposite {
                    equalities.push(row);
                }
            }
            _ => inequalities.push(row),
        }
    }
    Some((inequalities, equalities))
}

/// The inequalities in lowest terms, the weaker of parallel ones left out; `None` when two contradict each other. What
/// they make equal stays two inequalities.
pub(super) fn normalised(rows: Vec<Row>) -> Option<Vec<Row>> {
    let (mut rows, equalities) = tighten(rows)?;
    for row in equalities {
        rows.push(row.iter().map(|c| -c).collect());
        rows.push(row);
    }
    Some(rows)
}
