//! One statement at one point, or at the lanes of one vector: loads, arithmetic, stores.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{Access, BinOp, Body, CmpOp, DType, Expr, Index, Monoid, Scop, Stmt, Subscript, TensorId};

use super::boxes::{Test, Tests};
use super::layout::over_params;
use super::{Error, Options, malformed};
use crate::{At, Cond, Int, Op, Program, Reg, RegId, Report, Value, neutral};

/// A coordinate: lane `l` is at `base + l·step`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lane {
    pub(super) base: Int,
    pub(super) step: i64,
}

impl Lane {
    /// The same in every lane.
    pub(super) fn uniform(base: Int) -> Lane {
        Lane { base, step: 0 }
    }

    fn plus(&self, other: &Lane) -> Option<Lane> {
        Some(Lane { base: self.base.clone() + other.base.clone(), step: self.step.checked_add(other.step)? })
    }

    fn times(&self, c: i64) -> Option<Lane> {
        Some(Lane { base: c * self.base.clone(), step: c.checked_mul(self.step)? })
    }

    fn floor_div(&self, c: i64, lanes: u32) -> Option<Lane> {
        let quotient = self.base.clone().floor_div(c);
        match self.step % c == 0 {
            true => Some(Lane { base: quotient, step: self.step / c }),
            false => self.one_quotient(c, lanes).then_some(Lane::uniform(quotient)),
        }
    }

    fn modulo(&self, c: i64, lanes: u32) -> Option<Lane> {
        let remainder = self.base.clone().modulo(c);
        match self.step % c == 0 {
            true => Some(Lane::uniform(remainder)),
            false => self.one_quotient(c, lanes).then_some(Lane { base: remainder, step: self.step }),
        }
    }

    /// Whether all lanes are between the same two multiples of `divisor`: the first one is so far behind a multiple of
    /// some divisor of it that the others are before the next.
    fn one_quotient(&self, divisor: i64, lanes: u32) -> bool {
        let (behind, apart) = self.base.remainder_and_modulus(divisor);
        let span = self.step.checked_mul(i64::from(lanes) - 1);
        let last = span.and_then(|span| span.checked_add(behind));
        last.is_some_and(|last| (0..apart).contains(&last))
    }

    /// Combined by a function of integers, when both are the same in every lane.
    fn uniformly(&self, other: &Lane, f: fn(Int, Int) -> Int) -> Option<Lane> {
        (self.step == 0 && other.step == 0).then(|| Lane::uniform(f(self.base.clone(), other.base.clone())))
    }
}

/// Where a statement runs.
pub(super) struct Point<'a> {
    /// Extras and dimensions.
    pub(super) coordinates: &'a [Lane],
    /// How many of the coordinates are extras.
    pub(super) extras: usize,
    /// At least 1.
    pub(super) lanes: u32,
    /// By which operator the lanes are combined before the one element that they all update; none where each has its own.
    pub(super) combined: Option<BinOp>,
    /// What a reduction updates.
    pub(super) place: Place<'a>,
}

/// What a reduction updates at a point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// The elements that the statement writes.
    Element,
    /// The partial results of a thread, in registers; the statement writes nothing.
    Partial(&'a [RegId]),
    /// The elements, by what is in registers.
    From(&'a [RegId]),
    /// The same in one step, as other blocks update it too.
    Atomically(&'a [RegId]),
}

/// Turns statements into ops.
pub(super) struct Lowering<'a> {
    pub(super) scop: &'a Scop,
    pub(super) options: &'a Options,
    pub(super) program: &'a mut Program,
}

impl Lowering<'_> {
    /// What a reduction makes of two of its states, each in registers.
    pub(super) fn states_combined(
        &mut self,
        stmt: &Stmt,
        monoid: &Monoid,
        own: &[RegId],
        other: &[RegId],
    ) -> Result<Vec<Value>, Error> {
        let point = Point { coordinates: &[], extras: 0, lanes: 1, combined: None, place: Place::Partial(own) };
        let guard = Guard::of(&Tests::new(), &point);
        let computation =
            Computation { lowering: self, stmt, point: &point, guard, ops: Vec::new(), found: BTreeMap::new() };
        let mut computation = computation;
        let values = |regs: &[RegId]| regs.iter().map(|reg| Value::Reg(*reg)).collect::<Vec<Value>>();
        let (states, terms) = (values(own), values(other));
        monoid.combine.iter().map(|expr| computation.expr(expr, &states, &terms)).collect()
    }

    /// The ops of `stmt` at a point where `tests` are still to be made.
    pub(super) fn guarded(&mut self, stmt: &Stmt, point: &Point<'_>, tests: &Tests) -> Result<Vec<Op>, Error> {
        let guard = Guard::of(tests, point);
        if guard.cond.as_const() == Some(false) {
            return Ok(Vec::new());
        }
        let cond = guard.cond.clone();
        let then = Computation { lowering: self, stmt, point, guard, ops: Vec::new(), found: BTreeMap::new() }.run()?;
        Ok(match cond.as_const() {
            Some(true) => then,
            _ => vec![Op::If { cond, then, otherwise: Vec::new() }],
        })
    }

    /// Whether the lanes of `stmt` may run at once, each storing to an element of its own. `coordinates` are those of the
    /// dimensions.
    pub(super) fn has_lanes(&self, stmt: &Stmt, coordinates: &[Lane], lanes: u32) -> bool {
        let moves = |index: &Index| lane(index, coordinates, lanes).is_some_and(|lane| lane.step != 0);
        stmt.writes.iter().all(|write| write.affine().is_some_and(|indices| indices.into_iter().any(moves)))
    }

    /// The operator by which all lanes of `stmt` update one element, where they do and it has a neutral element.
    pub(super) fn combines_lanes(&self, stmt: &Stmt, coordinates: &[Lane], lanes: u32) -> Option<BinOp> {
        let (Body::Reduce { monoid, .. }, [write]) = (&stmt.body, stmt.writes.as_slice()) else { return None };
        let stays = |index: &Index| lane(index, coordinates, lanes).is_some_and(|lane| lane.step == 0);
        let one_element = write.affine().is_some_and(|indices| indices.into_iter().all(stays));
        let op = monoid.operator().filter(|op| neutral(*op, self.scop.tensors[write.tensor].dtype).is_some());
        op.filter(|_| one_element)
    }
}

/// The tests at a point: what is the same in every lane, and what differs.
struct Guard {
    cond: Cond,
    mask: Option<Value>,
    /// Where the condition holds, the mask keeps a lane: what is the same in every lane may be loaded.
    keeps_one: bool,
}

impl Guard {
    fn of(tests: &Tests, point: &Point<'_>) -> Guard {
        match tests.as_slice() {
            [] => Guard { cond: Cond::always(), mask: None, keeps_one: true },
            [all] => Guard::of_all(all, point),
            any if any.iter().flatten().any(|test| differs(test, point)) => {
                let one = |all: &Vec<Test>| all.iter().map(|test| lane_test(test, point)).reduce(both);
                let always = || Value::Const(polyhedral::Value::Int(1), DType::Bool);
                let either = |a, b| Value::Binary(BinOp::Or, Box::new(a), Box::new(b));
                let mask = any.iter().map(|all| one(all).unwrap_or_else(always)).reduce(either);
                Guard { cond: Cond::always(), mask, keeps_one: false }
            }
            any => {
                let all = |all: &Vec<Test>| Cond::all(all.iter().map(|test| condition(test, point)));
                Guard { cond: Cond::any(any.iter().map(all)), mask: None, keeps_one: true }
            }
        }
    }

    fn of_all(tests: &[Test], point: &Point<'_>) -> Guard {
        let (lanes, scalar): (Vec<&Test>, Vec<&Test>) = tests.iter().partition(|test| differs(test, point));
        let mut conds: Vec<Cond> = scalar.into_iter().map(|test| condition(test, point)).collect();
        // One bound on the lanes keeps a lane when it keeps the one where it is weakest.
        let weakest = match lanes.as_slice() {
            [only] if !only.equality => lane(&only.value, point.coordinates, point.lanes),
            _ => None,
        };
        let keeps_one = lanes.is_empty() || weakest.is_some();
        conds.extend(
            weakest.map(|Lane { base, step }| at_least_zero(base + step.max(0) * (i64::from(point.lanes) - 1))),
        );
        let mask = lanes.into_iter().map(|test| lane_test(test, point)).reduce(both);
        Guard { cond: Cond::all(conds), mask, keeps_one }
    }
}

fn both(a: Value, b: Value) -> Value {
    Value::Binary(BinOp::And, Box::new(a), Box::new(b))
}

fn differs(test: &Test, point: &Point<'_>) -> bool {
    test.value.dims_used().into_iter().any(|at| point.coordinates[at].step != 0)
}

fn condition(test: &Test, point: &Point<'_>) -> Cond {
    let value = Int::from_index(&test.value, &|at| point.coordinates[at].base.clone());
    if test.equality { Cond::compare(CmpOp::Eq, value, Int::Const(0)) } else { at_least_zero(value) }
}

/// `value >= 0`, with the terms of positive weight on one side and the others on the other.
fn at_least_zero(value: Int) -> Cond {
    let (positive, negative) = value.linear().by_sign();
    if positive.as_const().is_some() {
        Cond::compare(CmpOp::Le, negative, positive)
    } else {
        Cond::compare(CmpOp::Ge, positive, negative)
    }
}

fn lane_test(test: &Test, point: &Point<'_>) -> Value {
    let zero = Value::Int { base: Int::Const(0), step: 0 };
    let (op, left, right) = match lane(&test.value, point.coordinates, point.lanes) {
        _ if test.equality => (CmpOp::Eq, index_value(&test.value, point.coordinates, point.lanes), zero),
        // A bound on the lanes reads better, and is cheaper, with the rest on the other side.
        Some(Lane { base, step }) if step < 0 => {
            let lanes = Value::Int { base: Int::Const(0), step: -step };
            (CmpOp::Le, lanes, Value::Int { base, step: 0 })
        }
        Some(Lane { base, step }) => {
            (CmpOp::Ge, Value::Int { base: Int::Const(0), step }, Value::Int { base: -base, step: 0 })
        }
        None => (CmpOp::Ge, index_value(&test.value, point.coordinates, point.lanes), zero),
    };
    Value::Compare(op, Box::new(left), Box::new(right))
}

/// An integer in every lane.
#[derive(Clone, Debug)]
enum Coordinate {
    /// By the same step from lane to lane.
    Lane(Lane),
    /// An `int64` value.
    Value(Value),
}

impl Coordinate {
    fn uniform(base: Int) -> Coordinate {
        Coordinate::Lane(Lane::uniform(base))
    }

    /// An index over `dims`.
    fn of(index: &Index, dims: &dyn Fn(usize) -> Coordinate, lanes: u32) -> Coordinate {
        let go = |e: &Index| Coordinate::of(e, dims, lanes);
        match index {
            Index::Const(value) => Coordinate::uniform(Int::Const(*value)),
            Index::Param(at) => Coordinate::uniform(Int::Param(*at)),
            Index::Dim(at) => dims(*at),
            Index::Add(a, b) => go(a).with(BinOp::Add, go(b), Lane::plus),
            Index::Mul(c, e) => go(e).by(BinOp::Mul, *c, |lane| lane.times(*c)),
            Index::FloorDiv(e, c) => go(e).by(BinOp::Div, *c, |lane| lane.floor_div(*c, lanes)),
            Index::Mod(e, c) => go(e).by(BinOp::Mod, *c, |lane| lane.modulo(*c, lanes)),
            Index::Min(a, b) => go(a).with(BinOp::Min, go(b), |a, b| a.uniformly(b, Int::min)),
            Index::Max(a, b) => go(a).with(BinOp::Max, go(b), |a, b| a.uniformly(b, Int::max)),
            Index::Select(test, then, otherwise) => Coordinate::chosen(go(test), go(then), go(otherwise)),
        }
    }

    /// The second where the first is not negative, else the third: in a lane's form where all lanes choose the same one and
    /// both move alike.
    fn chosen(test: Coordinate, then: Coordinate, otherwise: Coordinate) -> Coordinate {
        if let (Coordinate::Lane(test), Coordinate::Lane(a), Coordinate::Lane(b)) = (&test, &then, &otherwise)
            && test.step == 0
            && a.step == b.step
        {
            let base = Int::select(at_least_zero(test.base.clone()), a.base.clone(), b.base.clone());
            return Coordinate::Lane(Lane { base, step: a.step });
        }
        let zero = Value::Int { base: Int::Const(0), step: 0 };
        let test = Value::Compare(CmpOp::Ge, Box::new(test.into_value()), Box::new(zero));
        let (then, otherwise) = (Box::new(then.into_value()), Box::new(otherwise.into_value()));
        Coordinate::Value(Value::Select(Box::new(test), then, otherwise))
    }

    /// The two combined: in a lane's form where `lanes` finds one.
    fn with(self, op: BinOp, other: Coordinate, lanes: impl Fn(&Lane, &Lane) -> Option<Lane>) -> Coordinate {
        if let (Coordinate::Lane(a), Coordinate::Lane(b)) = (&self, &other)
            && let Some(lane) = lanes(a, b)
        {
            return Coordinate::Lane(lane);
        }
        let (a, b) = (Box::new(self.into_value()), Box::new(other.into_value()));
        Coordinate::Value(Value::Binary(op, a, b))
    }

    /// Combined with a constant, which a product has on the left.
    fn by(self, op: BinOp, constant: i64, lane: impl Fn(&Lane) -> Option<Lane>) -> Coordinate {
        let number = Coordinate::uniform(Int::Const(constant));
        match op {
            BinOp::Mul => number.with(op, self, |_, e| lane(e)),
            _ => self.with(op, number, |e, _| lane(e)),
        }
    }

    fn less(self, by: Int) -> Coordinate {
        match self {
            Coordinate::Lane(lane) => Coordinate::Lane(Lane { base: lane.base - by, ..lane }),
            Coordinate::Value(value) => Coordinate::Value(less(value, by)),
        }
    }

    fn into_value(self) -> Value {
        match self {
            Coordinate::Lane(Lane { base, step }) => Value::Int { base, step },
            Coordinate::Value(value) => value,
        }
    }

    fn into_at(self) -> At {
        match self {
            Coordinate::Lane(Lane { base, step }) => At::Affine { base, step },
            Coordinate::Value(value) => At::Indirect(Box::new(value)),
        }
    }
}

/// An `int64` value less an integer.
fn less(value: Value, by: Int) -> Value {
    if by == Int::Const(0) {
        return value;
    }
    Value::Binary(BinOp::Sub, Box::new(value), Box::new(Value::Int { base: by, step: 0 }))
}

/// The value of an index in every lane, when it moves by the same step from lane to lane.
fn lane(index: &Index, coordinates: &[Lane], lanes: u32) -> Option<Lane> {
    match Coordinate::of(index, &|at| Coordinate::Lane(coordinates[at].clone()), lanes) {
        Coordinate::Lane(lane) => Some(lane),
        Coordinate::Value(_) => None,
    }
}

/// An index as an `int64` value.
fn index_value(index: &Index, coordinates: &[Lane], lanes: u32) -> Value {
    Coordinate::of(index, &|at| Coordinate::Lane(coordinates[at].clone()), lanes).into_value()
}

/// One statement on its way.
struct Computation<'a, 'b> {
    lowering: &'a mut Lowering<'b>,
    stmt: &'a Stmt,
    point: &'a Point<'a>,
    guard: Guard,
    ops: Vec<Op>,
    /// The subscripts of each read that was lowered, in the coordinates of the source.
    found: BTreeMap<usize, Vec<At>>,
}

impl Computation<'_, '_> {
    fn run(mut self) -> Result<Vec<Op>, Error> {
        if self.is_prefetch() {
            return self.prefetches();
        }
        let writes = self.stmt.writes.iter().map(|write| self.address(write)).collect::<Result<Vec<_>, _>>()?;
        if let Place::Atomically(regs) = self.point.place {
            return self.atomic(regs, writes);
        }
        let mut values = match &self.stmt.body {
            Body::Assign(values) => values.iter().map(|value| self.value(value)).collect::<Result<Vec<_>, _>>()?,
            Body::Reduce { monoid, terms } => self.combined(monoid, terms, &writes)?,
        };
        if let Place::Partial(regs) = self.point.place {
            // Of several components the old values are in registers of their own.
            self.ops.extend(regs.iter().zip(values).map(|(reg, value)| Op::Set { reg: *reg, value }));
            return Ok(self.ops);
        }
        if values.len() != writes.len() {
            return Err(malformed(&self.stmt.name, "one value for each write"));
        }
        // All values are known before any is stored.
        if values.len() > 1 {
            let dtypes = self.stmt.writes.iter().map(|write| self.lowering.scop.tensors[write.tensor].dtype);
            let dtypes: Vec<DType> = dtypes.collect();
            values = values.into_iter().zip(dtypes).map(|(value, dtype)| self.in_register(value, dtype)).collect();
        }
        let (lanes, mask) = match self.point.combined {
            Some(_) => (1, self.any_lane()),
            None => (self.point.lanes, self.guard.mask.clone()),
        };
        for ((write, at), value) in self.stmt.writes.iter().zip(writes).zip(values) {
            let (buffer, mask) = (write.tensor, mask.clone());
            self.ops.push(Op::Store { buffer, at, lanes, value, mask });
        }
        Ok(self.ops)
    }

    /// An update of one element by what is in a register, in one step.
    fn atomic(mut self, regs: &[RegId], writes: Vec<Vec<At>>) -> Result<Vec<Op>, Error> {
        let Body::Reduce { monoid, .. } = &self.stmt.body else { return Err(self.outside("operator")) };
        let op = monoid.operator().ok_or_else(|| self.outside("operator"))?;
        let updates = self.stmt.writes.iter().zip(writes).zip(regs);
        self.ops.extend(updates.map(|((write, at), &reg)| Op::Atomic { buffer: write.tensor, at, op, reg }));
        Ok(self.ops)
    }

    /// Whether the statement writes nothing.
    fn is_prefetch(&self) -> bool {
        self.stmt.writes.is_empty() && self.point.place == Place::Element
    }

    /// The type of a component of what is written.
    fn written(&self, component: usize) -> Option<DType> {
        match self.point.place {
            Place::Partial(regs) => regs.get(component).map(|reg| self.lowering.program.regs[*reg].dtype),
            _ => self.stmt.writes.get(component).map(|write| self.lowering.scop.tensors[write.tensor].dtype),
        }
    }

    /// What a statement that writes nothing does: all that it reads is brought near, lanes that a mask would drop too. What
    /// it finds others by is read.
    fn prefetches(mut self) -> Result<Vec<Op>, Error> {
        let found_by: BTreeSet<usize> = self.stmt.reads.iter().flat_map(Access::found_by).collect();
        for (_, read) in self.stmt.reads.iter().enumerate().filter(|(at, _)| !found_by.contains(at)) {
            let at = self.address(read)?;
            self.ops.push(Op::Prefetch { buffer: read.tensor, at, lanes: self.point.lanes });
        }
        Ok(self.ops)
    }

    /// The new states of a reduction.
    fn combined(&mut self, monoid: &Monoid, terms: &[Expr], writes: &[Vec<At>]) -> Result<Vec<Value>, Error> {
        let mut states = Vec::new();
        for (write, at) in self.stmt.writes.iter().zip(writes) {
            states.push(match self.point.combined {
                Some(_) => {
                    let mask = self.any_lane().map(Box::new);
                    Value::Load { buffer: write.tensor, at: at.clone(), mask }
                }
                None => self.masked_load(write.tensor, at.clone()),
            });
        }
        let mut terms = match self.point.place {
            Place::From(regs) => regs.iter().map(|reg| Value::Reg(*reg)).collect(),
            _ => terms.iter().map(|term| self.value(term)).collect::<Result<Vec<_>, _>>()?,
        };
        if let Place::Partial(regs) = self.point.place {
            states.extend(regs.iter().map(|reg| Value::Reg(*reg)));
        }
        if let Some(op) = self.point.combined {
            terms = terms.into_iter().map(|term| self.over_lanes(op, term)).collect::<Result<_, _>>()?;
        }
        if !used_once(monoid) {
            let hold = |body: &mut Self, values: Vec<Value>| -> Vec<Value> {
                values.into_iter().zip(&monoid.dtypes).map(|(value, &dtype)| body.in_register(value, dtype)).collect()
            };
            states = hold(self, states);
            terms = hold(self, terms);
        }
        monoid.combine.iter().map(|expr| self.expr(expr, &states, &terms)).collect()
    }

    /// A term of all lanes that are kept, as one.
    fn over_lanes(&self, op: BinOp, term: Value) -> Result<Value, Error> {
        let neutral =
            self.written(0).and_then(|dtype| neutral(op, dtype)).ok_or_else(|| self.outside("neutral element"))?;
        let kept = match self.guard.mask.clone() {
            Some(mask) => Value::Select(Box::new(mask), Box::new(term), Box::new(neutral)),
            None => term,
        };
        Ok(Value::Reduce { op, value: Box::new(kept), from: self.point.lanes, to: 1 })
    }

    /// Where lanes are combined: whether one is kept, unless that is known.
    fn any_lane(&self) -> Option<Value> {
        let mask = self.guard.mask.clone().filter(|_| !self.guard.keeps_one)?;
        Some(Value::Reduce { op: BinOp::Or, value: Box::new(mask), from: self.point.lanes, to: 1 })
    }

    fn in_register(&mut self, value: Value, dtype: DType) -> Value {
        let lanes = value.lanes(&self.lowering.program.regs, self.point.lanes);
        let name = self.stmt.writes.first().map(|write| self.lowering.scop.tensors[write.tensor].name.clone());
        let reg = self.lowering.program.regs.push(Reg { name: name.unwrap_or_default(), dtype, lanes });
        self.ops.push(Op::Set { reg, value });
        Value::Reg(reg)
    }

    /// The subscripts of an access in storage coordinates; indirect ones are computed and checked first.
    fn address(&mut self, access: &Access) -> Result<Vec<At>, Error> {
        let subscripts = self.subscripts(access)?;
        Ok(self.cell(access.tensor, subscripts))
    }

    /// The subscripts of an access in the coordinates of the source.
    fn subscripts(&mut self, access: &Access) -> Result<Vec<Coordinate>, Error> {
        let mut subscripts: Vec<Coordinate> = Vec::new();
        for (dim, subscript) in access.index.iter().enumerate() {
            subscripts.push(match subscript {
                Subscript::Affine(index) => self.affine_subscript(index),
                Subscript::Indirect(expr) => {
                    let value = self.indirect_subscript(expr)?;
                    self.check(access, dim, &value, expr);
                    Coordinate::Value(value)
                }
            });
        }
        Ok(subscripts)
    }

    /// Where an element is in storage coordinates.
    fn cell(&self, tensor: TensorId, subscripts: Vec<Coordinate>) -> Vec<At> {
        let tensor = &self.lowering.scop.tensors[tensor];
        let cells: Vec<Coordinate> = match &tensor.layout {
            Some(layout) => {
                let cell = |index| Coordinate::of(index, &|at| subscripts[at].clone(), self.point.lanes);
                layout.cell.iter().map(cell).collect()
            }
            None => subscripts.into_iter().zip(&tensor.lower).map(|(at, lower)| at.less(over_params(lower))).collect(),
        };
        cells.into_iter().map(Coordinate::into_at).collect()
    }

    fn affine_subscript(&self, index: &Index) -> Coordinate {
        let coordinates = &self.point.coordinates[self.point.extras..];
        Coordinate::of(index, &|at| Coordinate::Lane(coordinates[at].clone()), self.point.lanes)
    }

    /// The value of an indirect subscript, in the coordinates of the source.
    fn indirect_subscript(&mut self, expr: &Expr) -> Result<Value, Error> {
        let dtype = expr.dtype(&self.lowering.scop.load_types(self.stmt), &[]);
        let mut value = self.value(expr)?;
        match dtype {
            Some(DType::I64) => {}
            Some(dtype) if dtype.is_int() => value = Value::Cast(DType::I64, Box::new(value)),
            _ => return Err(malformed(&self.stmt.name, "an indirect subscript that is no integer")),
        }
        Ok(self.in_register(value, DType::I64))
    }

    fn check(&mut self, access: &Access, dim: usize, value: &Value, computed: &Expr) {
        // A prefetch touches nothing.
        if !self.lowering.options.trust_indices && !self.is_prefetch() {
            let tensor = &self.lowering.scop.tensors[access.tensor];
            let (buffer, lanes, mask) = (access.tensor, self.point.lanes, self.guard.mask.clone());
            let unsigned = computed.is_unsigned_subscript(&self.lowering.scop.load_types(self.stmt));
            let found_by = self.found_by(computed);
            let report = Report { lower: over_params(&tensor.lower[dim]), unsigned, found_by };
            let value = less(value.clone(), report.lower.clone());
            let extent = over_params(&tensor.extent[dim]);
            self.ops.push(Op::Check { buffer, dim, extent, value, lanes, mask, report });
        }
    }

    /// The elements that a value was computed from, each once, in the order in which they stand in it.
    fn found_by(&self, computed: &Expr) -> Vec<(TensorId, Vec<At>)> {
        let mut reads = Vec::new();
        computed.visit(&mut |part| {
            if let Expr::Load(read) = part
                && !reads.contains(read)
            {
                reads.push(*read);
            }
        });
        let element = |read: usize| Some((self.stmt.reads.get(read)?.tensor, self.found.get(&read)?.clone()));
        reads.into_iter().filter_map(element).collect()
    }

    fn value(&mut self, expr: &Expr) -> Result<Value, Error> {
        self.expr(expr, &[], &[])
    }

    fn expr(&mut self, expr: &Expr, states: &[Value], terms: &[Value]) -> Result<Value, Error> {
        let mut go = |e: &Expr| self.expr(e, states, terms).map(Box::new);
        let component = |values: &[Value], at: usize| values.get(at).cloned();
        Ok(match expr {
            Expr::Const(value, dtype) => Value::Const(*value, *dtype),
            Expr::Index(index) => index_value(index, &self.point.coordinates[self.point.extras..], self.point.lanes),
            Expr::Load(read) => return self.load(*read),
            Expr::Unary(op, e) => Value::Unary(*op, go(e)?),
            Expr::Binary(op, a, b) => {
                let (a, b) = (go(a)?, go(b)?);
                match (*a, *b) {
                    (Value::Binary(BinOp::Mul, x, y), state) | (state, Value::Binary(BinOp::Mul, x, y))
                        if self.accumulates(expr) =>
                    {
                        Value::MulAdd(x, y, Box::new(state))
                    }
                    (a, b) => Value::Binary(*op, Box::new(a), Box::new(b)),
                }
            }
            Expr::Compare(op, a, b) => Value::Compare(*op, go(a)?, go(b)?),
            Expr::Select(c, a, b) => Value::Select(go(c)?, go(a)?, go(b)?),
            Expr::Cast(dtype, e) => Value::Cast(*dtype, go(e)?),
            Expr::Call(builtin, arguments) => {
                Value::Call(*builtin, arguments.iter().map(|e| go(e).map(|e| *e)).collect::<Result<_, _>>()?)
            }
            Expr::State(at) => component(states, *at).ok_or_else(|| self.outside("state"))?,
            Expr::Term(at) => component(terms, *at).ok_or_else(|| self.outside("term"))?,
        })
    }

    /// Whether `expr` adds a term to the state of a reduction of floats: then a product is rounded once, with the sum.
    fn accumulates(&self, expr: &Expr) -> bool {
        let Expr::Binary(BinOp::Add, a, b) = expr else { return false };
        let component = match (&**a, &**b) {
            (Expr::State(at), Expr::Term(_)) | (Expr::Term(_), Expr::State(at)) => *at,
            _ => return false,
        };
        self.lowering.options.fma && matches!(self.written(component), Some(DType::F32 | DType::F64))
    }

    fn load(&mut self, read: usize) -> Result<Value, Error> {
        let access = self.stmt.reads.get(read).ok_or_else(|| self.outside("read"))?;
        let subscripts = self.subscripts(access)?;
        self.found.insert(read, subscripts.iter().cloned().map(Coordinate::into_at).collect());
        let at = self.cell(access.tensor, subscripts);
        Ok(self.masked_load(access.tensor, at))
    }

    /// A load of the lanes that are kept.
    fn masked_load(&self, buffer: TensorId, at: Vec<At>) -> Value {
        let uniform = at.iter().all(|at| matches!(at, At::Affine { step: 0, .. }));
        let mask = self.guard.mask.clone().filter(|_| !(uniform && self.guard.keeps_one));
        Value::Load { buffer, at, mask: mask.map(Box::new) }
    }

    fn outside(&self, what: &str) -> Error {
        malformed(&self.stmt.name, format!("a {what} that there is not"))
    }
}

/// Whether every component's state and term stands in one place: then nothing is computed twice.
fn used_once(monoid: &Monoid) -> bool {
    let mut uses = 0;
    for expr in &monoid.combine {
        expr.visit(&mut |e| uses += usize::from(matches!(e, Expr::State(_) | Expr::Term(_))));
    }
    monoid.combine.len() == 1 && uses <= 2
}

impl Value {
    /// 1, or `lanes` when lanes may differ.
    pub fn lanes(&self, regs: &support::Table<RegId, Reg>, lanes: u32) -> u32 {
        let of = |value: &Value| value.lanes(regs, lanes);
        match self {
            Value::Const(..) => 1,
            Value::Int { step, .. } => {
                if *step == 0 {
                    1
                } else {
                    lanes
                }
            }
            Value::Load { at, mask, .. } => {
                let moves = |at: &At| match at {
                    At::Affine { step, .. } => {
                        if *step == 0 {
                            1
                        } else {
                            lanes
                        }
                    }
                    At::Indirect(value) => of(value),
                };
                at.iter().map(moves).chain(mask.iter().map(|mask| of(mask))).max().unwrap_or(1)
            }
            Value::Reg(reg) => regs.get(*reg).map_or(1, |reg| reg.lanes),
            Value::Unary(_, e) | Value::Cast(_, e) => of(e),
            Value::Binary(_, a, b) | Value::Compare(_, a, b) => of(a).max(of(b)),
            Value::Select(a, b, c) | Value::MulAdd(a, b, c) => of(a).max(of(b)).max(of(c)),
            Value::Call(_, arguments) => arguments.iter().map(of).max().unwrap_or(1),
            Value::Dot { sum, left, right } => left.iter().chain(right).map(of).max().unwrap_or(1).max(of(sum)),
            Value::Reduce { to, .. } => *to,
        }
    }
}
