//! Boxes: the points of a statement that the innermost `vector` and `unroll` members put next to each other.
//!
//! A member that can be expanded has, on the statement, the function `floor(f / s)` where `f = d + shift`: `d` is a
//! dimension of its own, and `shift` is constant within the box. Several such members of one `f`, with strides that
//! continue each other (`floor(n / 16)` by 2, `n` by 16), make one dimension of the box, of the product of their widths.

use polyhedral::{Index, Kind, isl};

/// One loop inside a box: `width` points, `stride` apart in dimension `dim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Factor {
    pub(super) dim: usize,
    pub(super) stride: i64,
    pub(super) width: i64,
}

/// A dimension of a statement along which boxes extend: `width` points from where `d + shift` is a multiple of `width`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoxDim {
    pub(super) dim: usize,
    pub(super) width: i64,
    /// Over the dimensions that are not of the box and the parameters.
    pub(super) shift: Index,
}

/// The box of a statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Boxing {
    pub(super) dims: Vec<BoxDim>,
    /// The loops that are copied out, outermost first.
    pub(super) unrolled: Vec<Factor>,
    /// The lanes.
    pub(super) vector: Option<Factor>,
}

impl Boxing {
    /// The boxes that members with these functions may make of a statement with `dims` dimensions; none when there is a
    /// function that is not of the form. Of `t + j` either dimension may be that of the box: what is outside tells which.
    pub(super) fn all(members: &[(Kind, &isl::PwAff)], dims: usize) -> isl::Result<Vec<Boxing>> {
        let mut rows = Vec::new();
        for &(kind, function) in members {
            let (Some(width), Some(row)) = (width(kind), Row::of(function, dims)?) else { return Ok(Vec::new()) };
            // A constant function puts one point of every box there: nothing to expand.
            if !row.base.is_constant() {
                rows.push((row, width, matches!(kind, Kind::Vector(_))));
            }
        }
        let (first, last) = (Boxing::of_rows(&rows, false), Boxing::of_rows(&rows, true));
        let other = last.filter(|last| first.as_ref() != Some(last));
        Ok(first.into_iter().chain(other).collect())
    }

    /// The box, each function of the first dimension that it may be of, or of the `last`.
    fn of_rows(rows: &[(Row, i64, bool)], last: bool) -> Option<Boxing> {
        let mut bases: Vec<&Base> = Vec::new();
        for (row, _, _) in rows {
            if !bases.contains(&&row.base) {
                bases.push(&row.base);
            }
        }
        let dims: Option<Vec<usize>> = bases.iter().map(|base| base.own_dim(&bases, last)).collect();
        let dims = dims?;
        let mut boxing = Boxing::default();
        for (base, &dim) in bases.iter().zip(&dims) {
            boxing.dims.push(BoxDim { dim, width: chained_width(rows, base)?, shift: base.without(dim) });
        }
        for (row, width, is_vector) in rows {
            let at = bases.iter().position(|base| **base == row.base)?;
            let factor = Factor { dim: dims[at], stride: row.stride, width: *width };
            // Of several vector members the last gives the lanes.
            if let (true, Some(outer)) = (*is_vector, boxing.vector) {
                boxing.unrolled.push(outer);
            }
            if *is_vector { boxing.vector = Some(factor) } else { boxing.unrolled.push(factor) }
        }
        Some(boxing)
    }
}

fn width(kind: Kind) -> Option<i64> {
    match kind {
        Kind::Vector(width) | Kind::Unroll(width) => Some(i64::from(width)).filter(|&width| width >= 1),
        Kind::Sequential | Kind::Parallel | Kind::Bound(_) | Kind::Atomic(_) => None,
    }
}

/// The product of the widths of the rows of one base, when each continues the next inner one: strides from 1 outwards.
fn chained_width(rows: &[(Row, i64, bool)], base: &Base) -> Option<i64> {
    rows.iter()
        .rev()
        .filter(|(row, _, _)| row.base == *base)
        .try_fold(1i64, |next, (row, width, _)| if row.stride == next { next.checked_mul(*width) } else { None })
}

/// `floor(base / stride)`.
struct Row {
    base: Base,
    stride: i64,
}

/// An affine function of a statement's dimensions and the parameters.
#[derive(PartialEq)]
struct Base {
    constant: i64,
    params: Vec<i64>,
    dims: Vec<i64>,
}

impl Row {
    fn of(function: &isl::PwAff, dims: usize) -> isl::Result<Option<Row>> {
        let pieces = function.pieces()?;
        let [(_, only)] = pieces.as_slice() else { return Ok(None) };
        let terms = only.terms()?;
        debug_assert_eq!(terms.dims.len(), dims);
        Ok(Row::of_terms(&terms))
    }

    fn of_terms(terms: &isl::Terms) -> Option<Row> {
        if terms.denominator != 1 {
            return None;
        }
        if terms.floors.is_empty() {
            let base = Base { constant: terms.constant, params: terms.params.clone(), dims: terms.dims.clone() };
            return Some(Row { base, stride: 1 });
        }
        let only_floors = terms.constant == 0 && terms.params.iter().chain(&terms.dims).all(|&c| c == 0);
        let ([(1, inner)], true) = (terms.floors.as_slice(), only_floors) else { return None };
        // floor(floor(f / a) / b) = floor(f / (a·b)).
        let row = Row::of_terms(&isl::Terms { denominator: 1, ..inner.clone() })?;
        Some(Row { stride: row.stride.checked_mul(inner.denominator)?, ..row })
    }
}

impl Base {
    fn is_constant(&self) -> bool {
        self.dims.iter().all(|&c| c == 0)
    }

    fn uses(&self, dim: usize) -> bool {
        self.dims.get(dim).is_some_and(|&c| c != 0)
    }

    /// A dimension with coefficient 1 that no other base uses: the first, or the `last`.
    fn own_dim(&self, all: &[&Base], last: bool) -> Option<usize> {
        let free = |dim: usize| all.iter().all(|other| **other == *self || !other.uses(dim));
        let mut own = (0..self.dims.len()).filter(|&dim| self.dims[dim] == 1 && free(dim));
        if last { own.next_back() } else { own.next() }
    }

    /// The function less dimension `dim`.
    fn without(&self, dim: usize) -> Index {
        let dims = self.dims.iter().enumerate().filter(|&(at, &c)| at != dim && c != 0);
        let dims = dims.map(|(at, &c)| c * Index::Dim(at));
        let params = self.params.iter().enumerate().filter(|&(_, &c)| c != 0).map(|(at, &c)| c * Index::Param(at));
        dims.chain(params).fold(Index::Const(0), |sum, term| sum + term) + self.constant
    }
}

/// `value >= 0`, or `value = 0`, over the coordinates of a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) value: Index,
    pub(super) equality: bool,
}

/// Where a point must lie: in one of these conjunctions.
pub(super) type Tests = Vec<Vec<Test>>;

/// Which boxes are whole.
#[derive(Clone, Debug)]
pub(super) enum Whole {
    /// All.
    Always,
    /// None.
    Never,
    /// Those with an origin in this set.
    Where(isl::Set),
}

/// What is to be known about the boxes of one statement.
pub(super) struct Cover<'a> {
    /// The points.
    pub(super) domain: &'a isl::Set,
    /// The origins of boxes that hold a point.
    pub(super) origins: &'a isl::Set,
    /// From points to origins.
    pub(super) to_origin: &'a isl::MultiAff,
    /// The first point of a box, for each coordinate of the domain over those of the origins.
    pub(super) first: &'a [Index],
    /// For each coordinate of the domain the width of the box; 1 outside of the box.
    pub(super) widths: &'a [i64],
}

impl Cover<'_> {
    /// Which boxes are whole, and what the points of the others are to be tested for.
    pub(super) fn whole(&self) -> isl::Result<(Whole, Tests)> {
        let pieces = self.pieces()?;
        if let [only] = pieces.as_slice()
            && only.iter().all(|test| !self.in_box(&test.value) || (!test.equality && test.value.affine().is_some()))
        {
            return self.whole_by_corners(only);
        }
        let cut = self.domain.complement()?.apply(&self.to_origin.to_map()?)?;
        let whole = self.origins.subtract(&cut)?.coalesce()?;
        let tests = match pieces.as_slice() {
            [only] => vec![self.needed(only)?],
            _ => pieces,
        };
        if whole.is_empty()? {
            Ok((Whole::Never, tests))
        } else if self.origins.is_subset(&whole)? {
            Ok((Whole::Always, Vec::new()))
        } else {
            Ok((Whole::Where(whole), tests))
        }
    }

    /// Of a conjunction, the tests that not every point of every box passes.
    fn needed(&self, tests: &[Test]) -> isl::Result<Vec<Test>> {
        let mut needed = Vec::new();
        for test in tests.iter().filter(|test| self.in_box(&test.value)) {
            if !(test.value.affine().is_some() && !test.equality && self.origins.is_subset(&self.where_whole(test)?)?) {
                needed.push(test.clone());
            }
        }
        Ok(needed)
    }

    /// The origins of the boxes in which an affine test holds at every point: at the corner where it is smallest.
    fn where_whole(&self, test: &Test) -> isl::Result<isl::Set> {
        let corner = self.smallest(&test.value).ok_or(isl::Error::Overflow)?;
        corner.to_pw_aff(&self.origins.space()?)?.nonneg_set()
    }

    /// Of a convex domain: a box is whole when each constraint holds at its corner.
    fn whole_by_corners(&self, tests: &[Test]) -> isl::Result<(Whole, Tests)> {
        let needed = self.needed(tests)?;
        let whole =
            needed.iter().try_fold(self.origins.clone(), |all, test| all.intersect(&self.where_whole(test)?))?;
        if needed.is_empty() {
            Ok((Whole::Always, Vec::new()))
        } else if whole.is_empty()? {
            Ok((Whole::Never, vec![needed]))
        } else {
            Ok((Whole::Where(whole), vec![needed]))
        }
    }

    /// The smallest value of an affine function in a box, over the coordinates of its origin.
    fn smallest(&self, value: &Index) -> Option<Index> {
        let first = value.substitute(&|at| self.first[at].clone(), &Index::Param);
        value.affine()?.dims.iter().try_fold(first, |sum, (&at, &c)| {
            let span = self.widths[at].checked_sub(1)?;
            Some(sum + c.min(0).checked_mul(span)?)
        })
    }

    fn in_box(&self, value: &Index) -> bool {
        value.dims_used().into_iter().any(|at| self.widths[at] > 1)
    }

    /// The disjuncts of the domain, each as its constraints.
    fn pieces(&self) -> isl::Result<Tests> {
        let domain = self.domain.coalesce()?.compute_divs()?;
        let domain = if domain.n_basic_set()? == 1 { domain.remove_redundancies()? } else { domain };
        domain.basic_sets()?.iter().map(tests_of).collect()
    }
}

fn tests_of(piece: &isl::BasicSet) -> isl::Result<Vec<Test>> {
    let floors: Vec<Index> = piece.divs()?.iter().map(floor).collect();
    let constraints = piece.constraints()?;
    // isl also bounds each division as a constraint would; these hold by definition.
    let mut tests: Vec<Test> = Vec::new();
    for constraint in constraints {
        let floors = floors.iter().cloned().zip(&constraint.divs);
        let value = weighted(floors.map(|(floor, &c)| (c, floor)).collect(), &constraint.params, &constraint.dims)
            + constraint.constant;
        let test = Test { value, equality: constraint.equality };
        if !tests.contains(&test) {
            tests.push(test);
        }
    }
    Ok(tests)
}

fn floor(terms: &isl::Terms) -> Index {
    let floors = terms.floors.iter().map(|(c, inner)| (*c, floor(inner))).collect();
    (weighted(floors, &terms.params, &terms.dims) + terms.constant).floor_div(terms.denominator)
}

fn weighted(others: Vec<(i64, Index)>, params: &[i64], dims: &[i64]) -> Index {
    let dims = dims.iter().enumerate().map(|(at, &c)| (c, Index::Dim(at)));
    let params = params.iter().enumerate().map(|(at, &c)| (c, Index::Param(at)));
    let terms = dims.chain(params).chain(others).filter(|(c, _)| *c != 0);
    terms.fold(Index::Const(0), |sum, (c, e)| sum + c * e)
}
