//! Static-control programs written in Rust: what reads like the mathematics becomes a [`Scop`].
//!
//! ```
//! use polyhedral::DType::F64;
//! use polyhedral::builder::Program;
//!
//! let lu = Program::build(&polyhedral::isl::Ctx::new(), "lu", |p| {
//!     let n = p.size("N");
//!     let a = p.inout("A", F64, [n, n]);
//!     p.each("k", 0, n, |k| {
//!         p.each("i", k + 1, n, |i| {
//!             p.set(a.at([i, k]), a.at([i, k]) / a.at([k, k]));
//!             p.each("j", k + 1, n, |j| p.set(a.at([i, j]), a.at([i, j]) - a.at([i, k]) * a.at([k, j])));
//!         });
//!     });
//! })?;
//! assert_eq!(lu.scop.stmts.len(), 2);
//! assert!(lu.source.contains("A[i, j] = A[i, j] - A[i, k] * A[k, j]"));
//! # Ok::<(), polyhedral::builder::ProgramError>(())
//! ```
//!
//! The closures run once and record: [`Builder::each`] is a loop, [`Builder::when`] a condition on indices, which
//! restricts the domains exactly, [`Builder::guard`] a condition on data, [`Builder::set`] and [`Builder::reduce`] are
//! statements. They run in the order that is written, nested as they are nested; what never runs is left out. Indices,
//! elements and values are small handles that copy. A function that records a part of a program takes
//! `p: &'p Builder` and handles `Index<'p>`, `Tensor<'p>`, ….
//!
//! Nothing has a place in a source text, so the program is written out as one ([`Program::source`]), and every
//! [`Span`] of the Scop points into it.
//!
//! # Names
//!
//! A statement is named after what it writes, as everywhere: `C` for an assignment, `C.init` for one that does not read
//! `C` and is followed by a reduction into it, `C.update` for a reduction; `.2` and so on where that is taken.
//! [`Statement::named`] gives another name.
//!
//! # What is refused
//!
//! [`Program::build`] never panics for a wrong program; [`ProgramError`] holds what is wrong with which statement:
//! besides everything that [`Stage::verify`](support::Stage::verify) finds, handles of another program, indices outside
//! of their loop, operands of different types, tensors with negative extents, elements of an output or temporary that
//! may be read before they are written, and outputs that are not written whole. Elements that are read through
//! computed subscripts are not known before the program runs, and not judged.

mod check;
mod index;
mod lower;
mod names;
mod print;
mod record;
mod value;

use std::cell::RefCell;
use std::fmt;

use support::Span;

pub use index::{Condition, Index, IntoIndex};
pub use value::{AnySubscript, Element, IntoIndices, IntoSubscript, IntoSubscripts, IntoValue, Tensor, Value};

use crate::{Builtin, DType, Monoid, Role, Scop, isl};
use record::{Bounds, Declaration, Draft, DraftId, Item, Loop, LoopId, Node, Record, ValueId};

/// A program that is well formed, with its text.
#[derive(Clone, Debug)]
pub struct Program {
    /// What is computed. Its spans point into `source`.
    pub scop: Scop,
    /// The program written out, for people and for diagnostics.
    pub source: String,
}

/// Why a program was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramError {
    /// The program's name.
    pub program: String,
    /// The program written out.
    pub source: String,
    /// At least one.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The statement, tensor or program, by name.
    pub entity: String,
    /// What is wrong with it.
    pub message: String,
    /// Where it is in the source.
    pub span: Span,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program `{}` is refused", self.program)?;
        for Fault { entity, message, span } in &self.faults {
            write!(f, "\n`{entity}`: {message}")?;
            match self.source.get(span.range()).unwrap_or("") {
                "" => {}
                place => write!(f, "\n    in `{place}`")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ProgramError {}

impl Program {
    /// The program that `define` records. The name is that of the Scop.
    ///
    /// # Errors
    /// When the program is wrong, or so large that isl's budget is spent on judging it.
    pub fn build<R>(ctx: &isl::Ctx, name: &str, define: impl FnOnce(&Builder) -> R) -> Result<Program, ProgramError> {
        let record = Record { name: name.into(), open: vec![Vec::new()], ..Record::default() };
        let builder = Builder { record: RefCell::new(record) };
        define(&builder);
        let mut record = builder.record.into_inner();
        let body = record.open.pop().unwrap_or_default();
        lower::lower(ctx, &record, &body)
    }
}

/// Records a program; see [the module](self).
pub struct Builder {
    record: RefCell<Record>,
}

/// A statement that was recorded.
#[derive(Clone, Copy)]
pub struct Statement<'p> {
    program: &'p Builder,
    id: DraftId,
}

impl Statement<'_> {
    /// Gives the statement a name of its own, unique in the program.
    pub fn named(self, name: &str) -> Self {
        self.program.record.borrow_mut().drafts[self.id].name = Some(name.into());
        self
    }
}

/// Parameters and tensors.
impl Builder {
    /// A size: a parameter that is not negative.
    pub fn size(&self, name: &str) -> Index<'_> {
        let size = self.param(name);
        self.assume(size.ge(0));
        size
    }

    /// A parameter: an integer that is the same in the whole run.
    pub fn param(&self, name: &str) -> Index<'_> {
        let at = {
            let params = &mut self.record.borrow_mut().params;
            params.push(name.into());
            params.len() - 1
        };
        self.new_index(Ok(crate::Index::Param(at)))
    }

    /// Promises a condition on the parameters: the program is right for these only.
    pub fn assume<'p>(&'p self, condition: Condition<'p>) {
        let condition = condition.of(self);
        self.record.borrow_mut().assumptions.push(condition.id);
    }

    /// A tensor that the caller fills and the program reads.
    pub fn input<'p>(&'p self, name: &str, dtype: DType, extent: impl IntoIndices<'p>) -> Tensor<'p> {
        self.declare(name, dtype, Role::Input, extent)
    }

    /// A tensor that the program fills whole; what the caller had in it is not read.
    pub fn output<'p>(&'p self, name: &str, dtype: DType, extent: impl IntoIndices<'p>) -> Tensor<'p> {
        self.declare(name, dtype, Role::Output, extent)
    }

    /// A tensor that the caller fills and the program changes.
    pub fn inout<'p>(&'p self, name: &str, dtype: DType, extent: impl IntoIndices<'p>) -> Tensor<'p> {
        self.declare(name, dtype, Role::InOut, extent)
    }

    /// A tensor that lives during the run.
    pub fn temporary<'p>(&'p self, name: &str, dtype: DType, extent: impl IntoIndices<'p>) -> Tensor<'p> {
        self.declare(name, dtype, Role::Temporary, extent)
    }

    fn declare<'p>(&'p self, name: &str, dtype: DType, role: Role, extent: impl IntoIndices<'p>) -> Tensor<'p> {
        let extent: Vec<_> = extent.into_indices(self).into_iter().map(|index| index.id).collect();
        let lower = extent.iter().map(|_| 0.into_index(self).id).collect();
        let declaration = Declaration { name: name.into(), dtype, role, lower, extent };
        Tensor { program: self, id: self.record.borrow_mut().tensors.push(declaration) }
    }
}

/// Loops and conditions. What `body` records is inside; its result does not matter.
impl Builder {
    /// A loop over `from <= i < to`, upwards.
    pub fn each<'p, R>(
        &'p self,
        name: &str,
        from: impl IntoIndex<'p>,
        to: impl IntoIndex<'p>,
        body: impl FnOnce(Index<'p>) -> R,
    ) {
        self.each_step(name, from, to, 1, body);
    }

    /// A loop over `from <= i < to`, downwards: from `to - 1` to `from`.
    ///
    /// Loops of a [`Scop`] run upwards. The dimension behind this one holds `-i`, and every use of the index is
    /// rewritten.
    pub fn each_down<'p, R>(
        &'p self,
        name: &str,
        from: impl IntoIndex<'p>,
        to: impl IntoIndex<'p>,
        body: impl FnOnce(Index<'p>) -> R,
    ) {
        self.each_step(name, from, to, -1, body);
    }

    /// A loop over `from`, `from + step`, `from + 2 * step`, … below `to`; when `step` is negative, over `to - 1`,
    /// `to - 1 + step`, … down to `from`.
    pub fn each_step<'p, R>(
        &'p self,
        name: &str,
        from: impl IntoIndex<'p>,
        to: impl IntoIndex<'p>,
        step: i64,
        body: impl FnOnce(Index<'p>) -> R,
    ) {
        let bounds = Bounds { from: from.into_index(self).id, to: to.into_index(self).id, step: step.saturating_abs() };
        let own = Loop { name: name.into(), bounds: Some(bounds), down: step < 0 };
        let (id, index) = self.new_loop(own);
        self.inside(|items| Item::Loop(id, items), || body(index));
    }

    /// Loops over the points at which `condition` holds, upwards in the order of `names`, the last one fastest. The
    /// condition must bound them.
    ///
    /// ```
    /// # use polyhedral::{DType, builder::Program};
    /// # Program::build(&polyhedral::isl::Ctx::new(), "corners", |p| {
    /// # let n = p.size("N");
    /// # let a = p.inout("A", DType::F32, [n, n]);
    /// p.points(["i", "j"], |[i, j]| i.ge(0) & j.ge(0) & (i + j).lt(n.min(3)), |[i, j]| p.set(a.at([i, j]), 0));
    /// # })?;
    /// # Ok::<(), polyhedral::builder::ProgramError>(())
    /// ```
    pub fn points<'p, R, const N: usize>(
        &'p self,
        names: [&str; N],
        condition: impl FnOnce([Index<'p>; N]) -> Condition<'p>,
        body: impl FnOnce([Index<'p>; N]) -> R,
    ) {
        let loops = names.map(|name| self.new_loop(Loop { name: name.into(), bounds: None, down: false }));
        let indices = loops.map(|(_, index)| index);
        let condition = condition(indices).of(self);
        let nested = |items| {
            let inner = vec![Item::When(condition.id, items)];
            loops.iter().rev().fold(inner, |items, (id, _)| vec![Item::Loop(*id, items)])
        };
        self.inside_all(nested, || body(indices));
    }

    /// Restricts what is inside to the points at which `condition` holds.
    pub fn when<'p, R>(&'p self, condition: Condition<'p>, body: impl FnOnce() -> R) {
        let condition = condition.of(self);
        self.inside(|items| Item::When(condition.id, items), body);
    }

    /// Does what is inside only where `condition`, a bool computed from data, holds.
    ///
    /// Every instance runs; where the condition does not hold it changes nothing: an assignment writes back the old
    /// element (which it therefore reads), a reduction contributes the neutral element, and computed subscripts are
    /// the first one of their dimension. The condition is evaluated once, before what is inside: when that writes to a
    /// tensor that the condition reads, the condition is kept in a temporary `guard`.
    pub fn guard<'p, R>(&'p self, condition: impl IntoValue<'p>, body: impl FnOnce() -> R) {
        let condition = condition.into_value(self);
        let id = self.record.borrow_mut().push_guard(condition.id);
        self.inside(|items| Item::Guard(id, items), body);
    }

    fn new_loop(&self, own: Loop) -> (LoopId, Index<'_>) {
        let id = self.record.borrow_mut().loops.push(own);
        (id, self.new_index(Ok(crate::Index::Dim(support::Entity::index(id)))))
    }

    fn inside<R>(&self, close: impl FnOnce(Vec<Item>) -> Item, body: impl FnOnce() -> R) {
        self.inside_all(|items| vec![close(items)], body);
    }

    fn inside_all<R>(&self, close: impl FnOnce(Vec<Item>) -> Vec<Item>, body: impl FnOnce() -> R) {
        self.record.borrow_mut().open.push(Vec::new());
        body();
        let items = self.record.borrow_mut().open.pop().unwrap_or_default();
        let closed = close(items);
        self.add(closed);
    }

    /// Ends the innermost open body with these.
    fn add(&self, items: Vec<Item>) {
        if let Some(open) = self.record.borrow_mut().open.last_mut() {
            open.extend(items);
        }
    }
}

/// Statements and what they compute.
impl Builder {
    /// `target = value`
    pub fn set<'p>(&'p self, target: Element<'p>, value: impl IntoValue<'p>) -> Statement<'p> {
        let value = value.into_value(self);
        self.set_all([(target, value)])
    }

    /// `target, … = value, …`: all values are computed before any is stored.
    pub fn set_all<'p, const N: usize>(&'p self, pairs: [(Element<'p>, Value<'p>); N]) -> Statement<'p> {
        self.state(&pairs, None)
    }

    /// `target += term`: a reduction.
    pub fn add_to<'p>(&'p self, target: Element<'p>, term: impl IntoValue<'p>) -> Statement<'p> {
        self.reduce(Monoid::sum, target, term)
    }

    /// `target = monoid(target, term)`: a reduction, whose instances may run in any order unless the caller is strict.
    /// The monoid is made for the type of the target: `p.reduce(Monoid::max, m.at(()), x.at([i]))`.
    pub fn reduce<'p>(
        &'p self,
        monoid: impl FnOnce(DType) -> Monoid,
        target: Element<'p>,
        term: impl IntoValue<'p>,
    ) -> Statement<'p> {
        let term = term.into_value(self);
        let dtype = target.program.record.borrow().dtype(target.id).unwrap_or(DType::F64);
        self.reduce_all(monoid(dtype), [(target, term)])
    }

    /// A reduction of several elements at once, one for each component of `monoid`.
    pub fn reduce_all<'p, const N: usize>(
        &'p self,
        monoid: Monoid,
        pairs: [(Element<'p>, Value<'p>); N],
    ) -> Statement<'p> {
        self.state(&pairs, Some(monoid))
    }

    /// A number of a given type, for where no other operand says which.
    pub fn constant(&self, dtype: DType, value: f64) -> Value<'_> {
        let exact = if dtype.is_float() {
            Ok(crate::Value::Float(value))
        } else if value.fract() == 0.0 {
            Ok(crate::Value::Int(value as i128))
        } else {
            Err(format!("{value:?} is no value of {dtype}"))
        };
        self.new_value(exact.map(|value| Node::Constant(value, dtype)))
    }

    /// A function of the language: `p.call(Builtin::Pow, [x, y])`.
    pub fn call<'p, const N: usize>(&'p self, function: Builtin, arguments: [Value<'p>; N]) -> Value<'p> {
        let arguments = arguments.map(|value| value.into_value(self).id);
        self.new_value(Ok(Node::Call(function, arguments.to_vec())))
    }

    fn state<'p>(&'p self, pairs: &[(Element<'p>, Value<'p>)], monoid: Option<Monoid>) -> Statement<'p> {
        let targets: Vec<ValueId> = pairs.iter().map(|(target, _)| target.into_value(self).id).collect();
        let values = pairs.iter().map(|(_, value)| value.into_value(self).id).collect();
        let id = self.record.borrow_mut().drafts.push(Draft { name: None, targets, values, monoid });
        self.add(vec![Item::Statement(id)]);
        Statement { program: self, id }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builder({})", self.record.borrow().name)
    }
}

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}
