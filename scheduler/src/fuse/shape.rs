//! The order in which a group of nests would run, as loops over boxes of instances, and what each place of it touches.
//!
//! A place knows, for each dimension of each statement, the values that it takes there in one iteration of the loops
//! around: an interval. What an access touches is then a box of its tensor, exact for boxes of instances and subscripts
//! that add multiples of dimensions. No isl object is made, so that many orders may be looked at.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{Access, Index, Scop, StmtId, Subscript, TensorId, isl};

use crate::nest;

/// Values from the first to the last.
pub(super) type Interval = (i64, i64);
/// For each dimension of each statement the values that it takes.
pub(super) type Ranges = BTreeMap<StmtId, Vec<Interval>>;

/// A part of what runs.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// A loop.
    Loop(Loop),
    /// What the loops around leave of a statement.
    Stmt(StmtId),
    /// A copy of what a statement reads of a tensor here.
    Copy(StmtId, TensorId),
}

/// A loop over strips of dimensions. A statement inside that it does not move runs in one of its iterations.
#[derive(Clone, Debug, Default)]
pub(super) struct Loop {
    /// Iterations.
    pub(super) trips: u64,
    /// What an iteration leaves of dimensions.
    pub(super) moves: Vec<Move>,
    /// Producers that compute in an iteration what a consumer of theirs reads in it, of this tensor.
    pub(super) derived: Vec<Derived>,
    /// What runs one after the other.
    pub(super) body: Vec<Part>,
}

/// A dimension takes so many values in one iteration, `behind` those of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) stmt: StmtId,
    pub(super) dim: usize,
    pub(super) size: i64,
    pub(super) behind: i64,
}

/// A statement that computes what another one reads of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Derived {
    pub(super) producer: StmtId,
    pub(super) consumer: StmtId,
    pub(super) tensor: TensorId,
}

/// Memory: a tensor, or a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Store {
    pub(super) tensor: TensorId,
    pub(super) is_copy: bool,
}

/// What a place touches of a tensor: a box.
#[derive(Clone, Debug)]
pub(super) struct Touched {
    pub(super) at: Vec<Interval>,
    pub(super) is_written: bool,
}

/// An order, with what it keeps where.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// What runs one after the other.
    pub(super) parts: Vec<Part>,
    /// Producers whose values are computed wherever they are read.
    pub(super) inlined: Vec<Derived>,
    /// Temporaries that are in no memory.
    pub(super) gone: BTreeSet<TensorId>,
    /// Copies in place of which tensors, by statement.
    pub(super) copied: BTreeSet<(StmtId, TensorId)>,
    /// Memory that a tensor has at most, in bytes: rows that take turns, what one iteration needs.
    pub(super) kept: BTreeMap<Store, u64>,
    /// Results that are stored past the caches.
    pub(super) streamed: BTreeSet<TensorId>,
}

/// The values of all dimensions; none where they depend on sizes.
pub(super) fn ranges(scop: &Scop, stmts: impl Iterator<Item = StmtId>) -> isl::Result<Option<Ranges>> {
    let mut all = Ranges::new();
    for id in stmts {
        let domain = &scop.stmts[id].domain;
        let mut own = Vec::new();
        for dim in 0..i32::try_from(domain.dim(isl::Dim::Set)?).unwrap_or(i32::MAX) {
            let (low, high) = (domain.dim_min_val(dim), domain.dim_max_val(dim));
            let (Ok(Ok(low)), Ok(Ok(high))) = (low.map(|v| v.to_i64()), high.map(|v| v.to_i64())) else {
                return Ok(None);
            };
            own.push((low, high));
        }
        all.insert(id, own);
    }
    Ok(Some(all))
}

impl Loop {
    /// The values in an iteration in which everything inside runs.
    pub(super) fn enter(&self, shape: &Shape, scop: &Scop, outside: &Ranges) -> Ranges {
        let mut inside = outside.clone();
        let first = |one: &Move| Some(outside.get(&one.stmt)?.get(one.dim)?.0 + one.behind);
        let from = self.moves.iter().filter_map(first).max().unwrap_or(0);
        for one in &self.moves {
            if let Some(values) = inside.get_mut(&one.stmt).and_then(|own| own.get_mut(one.dim)) {
                let low = (from - one.behind).min(values.1);
                *values = (low, values.1.min(low.saturating_add(one.size - 1)));
            }
        }
        derive(scop, &self.derived, &mut inside);
        derive(scop, &shape.inlined, &mut inside);
        inside
    }

    /// What of the body the loop moves, or what it does not.
    pub(super) fn moving(&self, shape: &Shape, is_moved: bool) -> Vec<Part> {
        let mut moved: BTreeSet<StmtId> = self.moves.iter().map(|one| one.stmt).collect();
        for one in self.derived.iter().chain(&shape.inlined) {
            if moved.contains(&one.consumer) {
                moved.insert(one.producer);
            }
        }
        let is_meant = |id: StmtId| moved.contains(&id) == is_moved;
        self.body.iter().filter_map(|part| part.only(&is_meant)).collect()
    }
}

impl Part {
    /// The statements that are meant; none where there are none.
    fn only(&self, is_meant: &impl Fn(StmtId) -> bool) -> Option<Part> {
        match self {
            Part::Stmt(id) | Part::Copy(id, _) => is_meant(*id).then(|| self.clone()),
            Part::Loop(inner) => {
                let body: Vec<Part> = inner.body.iter().filter_map(|part| part.only(is_meant)).collect();
                (!body.is_empty()).then(|| Part::Loop(Loop { body, ..inner.clone() }))
            }
        }
    }
}

/// Sets what producers compute to what their consumers read.
pub(super) fn derive(scop: &Scop, derived: &[Derived], ranges: &mut Ranges) {
    for one in derived {
        let (producer, consumer) = (&scop.stmts[one.producer], &scop.stmts[one.consumer]);
        let Some(write) = producer.writes.iter().find(|write| write.tensor == one.tensor) else { continue };
        let reads = consumer.reads.iter().filter(|read| read.tensor == one.tensor);
        let boxes: Vec<Vec<Interval>> = reads.filter_map(|read| touched_by(scop, one.consumer, read, ranges)).collect();
        let Some(values) = boxes.into_iter().reduce(|a, b| hull(&a, &b)) else { continue };
        for (subscript, values) in write.index.iter().zip(values) {
            let Subscript::Affine(index) = subscript else { continue };
            let Some(affine) = index.affine() else { continue };
            if let (Some((&dim, 1)), 1) = (affine.dims.iter().next().map(|(dim, by)| (dim, *by)), affine.dims.len())
                && let Some(own) = ranges.get_mut(&one.producer).and_then(|own| own.get_mut(dim))
            {
                *own = (values.0 - affine.constant, values.1 - affine.constant);
            }
        }
    }
}

/// The box that an access touches for some values of its statement's dimensions.
fn touched_by(scop: &Scop, id: StmtId, access: &Access, ranges: &Ranges) -> Option<Vec<Interval>> {
    let (stmt, values) = (&scop.stmts[id], ranges.get(&id)?);
    let tensor = &scop.tensors[access.tensor];
    let one = |(at, subscript): (usize, &Subscript)| {
        let low = tensor.lower.get(at).and_then(Index::as_const).unwrap_or(0);
        let high = low + tensor.extent[at].as_const()?.max(1) - 1;
        let (from, to) = match subscript {
            Subscript::Affine(index) => values_of(index, values)?,
            // Each value of what it depends on may choose another one.
            Subscript::Indirect(value) => {
                let chosen = (0..values.len()).filter(|&dim| nest::moves(stmt, value, dim));
                let count = chosen.map(|dim| values[dim].1 - values[dim].0 + 1).fold(1, i64::saturating_mul);
                (low, low.saturating_add(count - 1))
            }
        };
        Some((from.clamp(low, high), to.clamp(low, high)))
    };
    access.index.iter().enumerate().map(one).collect()
}

/// The least and the greatest value of an index expression.
fn values_of(index: &Index, dims: &[Interval]) -> Option<Interval> {
    let go = |index: &Index| values_of(index, dims);
    let both = |a: &Index, b: &Index| Some((go(a)?, go(b)?));
    Some(match index {
        Index::Const(value) => (*value, *value),
        Index::Dim(at) => *dims.get(*at)?,
        Index::Param(_) => return None,
        Index::Add(a, b) => both(a, b).map(|(a, b)| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)))?,
        Index::Mul(c, e) => {
            let (low, high) = go(e)?;
            let (a, b) = (low.saturating_mul(*c), high.saturating_mul(*c));
            (a.min(b), a.max(b))
        }
        Index::FloorDiv(e, c) => go(e).map(|(low, high)| (low.div_euclid(*c), high.div_euclid(*c)))?,
        Index::Mod(e, c) => match go(e)? {
            (low, high) if low.div_euclid(*c) == high.div_euclid(*c) => (low.rem_euclid(*c), high.rem_euclid(*c)),
            _ => (0, c - 1),
        },
        Index::Min(a, b) => both(a, b).map(|(a, b)| (a.0.min(b.0), a.1.min(b.1)))?,
        Index::Max(a, b) => both(a, b).map(|(a, b)| (a.0.max(b.0), a.1.max(b.1)))?,
        Index::Select(_, a, b) => both(a, b).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)))?,
    })
}

fn hull(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    a.iter().zip(b).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))).collect()
}

impl Shape {
    /// What some parts touch, for these values: boxes around all that they touch of each tensor.
    pub(super) fn touched(&self, scop: &Scop, parts: &[Part], ranges: &Ranges) -> BTreeMap<Store, Touched> {
        let mut all = BTreeMap::new();
        parts.iter().for_each(|part| self.add(scop, part, ranges, &mut all));
        all
    }

    /// This one, and then another one.
    pub(super) fn then(mut self, next: &Shape) -> Shape {
        self.parts.extend(next.parts.iter().cloned());
        self.inlined.extend(&next.inlined);
        self.gone.extend(&next.gone);
        self.copied.extend(&next.copied);
        self.kept.extend(&next.kept);
        self.streamed.extend(&next.streamed);
        self
    }

    /// Whether what is stored there goes past the caches.
    pub(super) fn is_streamed(&self, store: &Store) -> bool {
        !store.is_copy && self.streamed.contains(&store.tensor)
    }

    fn add(&self, scop: &Scop, part: &Part, ranges: &Ranges, all: &mut BTreeMap<Store, Touched>) {
        match part {
            Part::Loop(inner) => {
                let mut ranges = ranges.clone();
                derive(scop, &inner.derived, &mut ranges);
                inner.body.iter().for_each(|part| self.add(scop, part, &ranges, all));
            }
            Part::Stmt(id) => {
                let stmt = &scop.stmts[*id];
                let reads = stmt.reads.iter().map(|read| (read, false));
                for (access, is_written) in reads.chain(stmt.writes.iter().map(|write| (write, true))) {
                    let is_copy = self.copied.contains(&(*id, access.tensor));
                    self.touch(scop, (*id, access, ranges), (is_copy, is_written), all);
                }
            }
            Part::Copy(id, tensor) => {
                for read in scop.stmts[*id].reads.iter().filter(|read| read.tensor == *tensor) {
                    self.touch(scop, (*id, read, ranges), (false, false), all);
                    self.touch(scop, (*id, read, ranges), (true, true), all);
                }
            }
        }
    }

    fn touch(
        &self,
        scop: &Scop,
        (id, access, ranges): (StmtId, &Access, &Ranges),
        (is_copy, is_written): (bool, bool),
        all: &mut BTreeMap<Store, Touched>,
    ) {
        if self.gone.contains(&access.tensor) {
            return;
        }
        let Some(at) = touched_by(scop, id, access, ranges) else { return };
        let store = Store { tensor: access.tensor, is_copy };
        let one = all.entry(store).or_insert_with(|| Touched { at: at.clone(), is_written });
        one.at = hull(&one.at, &at);
        one.is_written |= is_written;
    }

    /// Bytes of the lines that a box lies in, on average over where it may begin.
    pub(super) fn bytes(&self, scop: &Scop, store: Store, touched: &Touched, line: u64) -> f64 {
        let tensor = &scop.tensors[store.tensor];
        let element = f64::from(tensor.dtype.bytes());
        let line = line as f64;
        if store.is_copy {
            // In the order of use.
            let elements: f64 = touched.at.iter().map(|&(low, high)| (high - low + 1) as f64).product();
            let bytes = (elements * element / line).ceil() * line;
            return self.kept.get(&store).map_or(bytes, |&most| bytes.min(most as f64));
        }
        let (mut run, mut runs, mut is_whole, mut row) = (element, 1.0, true, element);
        for (&(low, high), extent) in touched.at.iter().zip(&tensor.extent).rev() {
            let (width, extent) = ((high - low + 1) as f64, extent.as_const().unwrap_or(high - low + 1) as f64);
            match is_whole {
                true => run *= width,
                false => runs *= width,
            }
            row = if is_whole { row * extent } else { row };
            is_whole &= width >= extent;
        }
        let first = touched.at.last().map_or(0.0, |at| at.0 as f64 * element);
        let is_aligned = row % line == 0.0 && first % line == 0.0;
        let lines = if is_aligned { (run / line).ceil() } else { (run - element) / line + 1.0 };
        let bytes = runs * lines * line;
        self.kept.get(&store).map_or(bytes, |&most| bytes.min(most as f64))
    }
}
