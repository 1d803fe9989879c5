//! The result of wide evaluation, and the comparison with what a kernel computed.

use super::memory::{Buffer, Memory};
use super::numbers::Unit;
use super::{Data, Tensors};
use crate::{DType, Role, Value};

/// What an element carries beside its value. Its error is at most `(terms + 4)·u·magnitude + terms·tiny·growth + e`, `u`
/// being the unit round-off of its type and `tiny` its smallest positive number: a sum of `terms` terms in any order
/// (Higham, section 4.2) with a little room, or a product whose partial products may underflow in some order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Carried {
    /// Sum of the absolute values of the terms.
    pub magnitude: f64,
    /// How many terms were added.
    pub terms: f64,
    /// What the largest partial product of any order is at most; 0 where nothing was multiplied.
    pub growth: f64,
    /// What the terms brought along. For integers, all there is.
    pub e: f64,
}

impl Carried {
    /// Of an element that nobody has written.
    pub const UNWRITTEN: Carried = Carried { magnitude: 0.0, terms: 0.0, growth: 0.0, e: f64::INFINITY };

    /// Of an element just stored, with the error of its value.
    pub fn stored(value: f64, e: f64) -> Carried {
        Carried { magnitude: finite(value), terms: 0.0, growth: 0.0, e }
    }

    /// After a minimum or maximum, which rounds nothing.
    pub fn picked(e: f64) -> Carried {
        Carried { magnitude: 0.0, terms: 0.0, growth: 0.0, e }
    }

    /// After adding a term.
    #[inline]
    pub fn plus(self, term: f64, e: f64) -> Carried {
        Carried { magnitude: self.magnitude + finite(term), terms: self.terms + 1.0, e: self.e + e, ..self }
    }

    /// After multiplying `value`, which carries this, by a factor: the errors are relative ones.
    pub fn times(self, unit: &Unit, value: f64, factor: f64, e: f64) -> Carried {
        let scaled = |e: f64, x: f64| if e == 0.0 { 0.0 } else { e * x.abs() };
        let excess = (self.magnitude - value.abs()).max(0.0) * unit.round * (self.terms + 4.0);
        let own = self.e + if excess.is_nan() { 0.0 } else { excess };
        let e = scaled(own, factor) + scaled(e, value) + if own == 0.0 { 0.0 } else { own * e };
        Carried {
            magnitude: finite(value * factor),
            terms: self.terms + 1.0,
            growth: self.growth.max(finite(value)).max(1.0) * finite(factor).max(1.0),
            e: if e.is_nan() { f64::INFINITY } else { e },
        }
    }

    /// The bound.
    #[inline]
    pub fn error(&self, unit: &Unit) -> f64 {
        let rounded = (self.terms + 4.0) * (unit.round * self.magnitude);
        let bound = rounded + self.terms * (unit.tiny * self.growth) + self.e;
        // Some order of the terms or factors may overflow.
        if bound + self.magnitude.max(self.growth) <= unit.max { bound } else { f64::INFINITY }
    }
}

/// The absolute value, or 0 when there is none: what is infinite stays so in every order.
#[inline]
fn finite(value: f64) -> f64 {
    let magnitude = value.abs();
    if magnitude < f64::INFINITY { magnitude } else { 0.0 }
}

/// What a correct kernel computes, element by element, and how far it may be off.
pub struct Wide {
    buffers: Vec<Buffer>,
}

/// The outcome of a comparison that found nothing wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Elements compared.
    pub checked: u64,
    /// Elements that the program leaves open, because a decision in them hangs on rounding or nothing writes them.
    pub ambiguous: u64,
    /// The largest difference, relative to the sum of the absolute values of the element's terms.
    pub max_rel_error: f64,
    /// The largest difference as a part of its tolerance.
    pub max_of_tolerance: f64,
}

/// Why data are not what the program computes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// An element is wrong.
    #[error(transparent)]
    Element(Box<WrongElement>),
    /// The data are not of the tensor's type and shape.
    #[error("`{tensor}` is {dtype} {shape:?}, the data are {given_dtype} {given:?}")]
    Shape {
        /// The tensor's name.
        tensor: String,
        /// Its type.
        dtype: DType,
        /// Its extents.
        shape: Vec<i64>,
        /// The type of the data.
        given_dtype: DType,
        /// The extents of the data.
        given: Vec<i64>,
    },
    /// The program has no output of that name.
    #[error("no output is called `{tensor}`")]
    NoSuchOutput {
        /// The name.
        tensor: String,
    },
}

/// The first wrong element of a tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "`{tensor}`{subscripts:?} is {}, expected {} (tolerance {tolerance:.3e}); {wrong} of {elements} elements are wrong",
    show(got),
    show(expected)
)]
pub struct WrongElement {
    /// The tensor's name.
    pub tensor: String,
    /// Where it is, in the coordinates of the source.
    pub subscripts: Vec<i64>,
    /// What the program computes.
    pub expected: Value,
    /// What the data hold.
    pub got: Value,
    /// How far they may be apart.
    pub tolerance: f64,
    /// How many elements are wrong.
    pub wrong: u64,
    /// How many there are.
    pub elements: u64,
}

fn show(value: &Value) -> String {
    match value {
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
    }
}

impl Wide {
    pub(super) fn new(memory: Memory) -> Wide {
        let is_result = |buffer: &Buffer| matches!(buffer.role, Role::Output | Role::InOut);
        Wide { buffers: memory.buffers.into_iter().filter(is_result).collect() }
    }

    /// The names of the outputs and in-outs, in the order of the call.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.buffers.iter().map(|buffer| buffer.name.as_str())
    }

    /// The outputs and in-outs, each value rounded to its type once.
    pub fn tensors(&self) -> Tensors {
        self.buffers.iter().map(|buffer| (buffer.name.clone(), buffer.to_data())).collect()
    }

    /// How far each element of an output may be off: 0 for exact integers, infinite where the program leaves it open.
    pub fn tolerances(&self, name: &str) -> Option<Vec<f64>> {
        let buffer = self.buffers.iter().find(|buffer| buffer.name == name)?;
        Some((0..buffer.len()).map(|at| buffer.tolerance(at)).collect())
    }

    /// Compares what a kernel computed for an output or in-out.
    ///
    /// # Errors
    /// The first wrong element in row-major order and how many there are; or that the data do not fit at all.
    pub fn compare(&self, name: &str, actual: &Data) -> Result<Report, Mismatch> {
        let buffer = self
            .buffers
            .iter()
            .find(|buffer| buffer.name == name)
            .ok_or_else(|| Mismatch::NoSuchOutput { tensor: name.to_string() })?;
        if (actual.dtype, &actual.shape) != (buffer.dtype, &buffer.extent)
            || actual.bytes.len() != buffer.len() * buffer.dtype.bytes() as usize
        {
            return Err(Mismatch::Shape {
                tensor: name.to_string(),
                dtype: buffer.dtype,
                shape: buffer.extent.clone(),
                given_dtype: actual.dtype,
                given: actual.shape.clone(),
            });
        }
        if buffer.dtype.is_float() {
            buffer.compare_floats(&actual.to_f64s())
        } else {
            buffer.compare_ints(&actual.to_i64s())
        }
    }
}

impl Buffer {
    fn tolerance(&self, at: usize) -> f64 {
        let float = self.dtype.is_float();
        let own = if float { self.carried[at].error(&self.unit()) } else { self.carried[at].e };
        if self.tainted { f64::INFINITY } else { own }
    }

    fn compare_floats(&self, actual: &[f64]) -> Result<Report, Mismatch> {
        let mut tally = Tally::default();
        for (at, (&got, &expected)) in actual.iter().zip(&self.floats).enumerate() {
            let tolerance = self.tolerance(at);
            let (fits, difference) = match () {
                () if tolerance == f64::INFINITY => {
                    tally.report.ambiguous += 1;
                    continue;
                }
                () if expected.is_nan() => (got.is_nan(), 0.0),
                () if expected.is_infinite() => (got == expected, 0.0),
                () => ((got - expected).abs() <= tolerance, (got - expected).abs()),
            };
            tally.report.checked += 1;
            if !fits {
                tally.wrong(at);
            } else if difference > 0.0 {
                let magnitude = self.carried[at].magnitude.max(expected.abs());
                let report = &mut tally.report;
                report.max_rel_error = report.max_rel_error.max(difference / magnitude);
                report.max_of_tolerance = report.max_of_tolerance.max(difference / tolerance);
            }
        }
        self.verdict(tally, |at| (Value::Float(self.floats[at]), Value::Float(actual[at])))
    }

    fn compare_ints(&self, actual: &[i64]) -> Result<Report, Mismatch> {
        let value = |x: i64| if self.dtype == DType::U64 { i128::from(x as u64) } else { i128::from(x) };
        let mut tally = Tally::default();
        for (at, (&got, &expected)) in actual.iter().zip(&self.ints).enumerate() {
            if self.tolerance(at) > 0.0 {
                tally.ambiguous(self.tolerance(at), (value(got) - value(expected)).unsigned_abs() as f64, at);
                continue;
            }
            tally.report.checked += 1;
            if got != expected {
                tally.wrong(at);
            }
        }
        self.verdict(tally, |at| (Value::Int(value(self.ints[at])), Value::Int(value(actual[at]))))
    }

    fn verdict(&self, tally: Tally, values: impl Fn(usize) -> (Value, Value)) -> Result<Report, Mismatch> {
        let Some(first) = tally.first else { return Ok(tally.report) };
        let (expected, got) = values(first);
        Err(Mismatch::Element(Box::new(WrongElement {
            tensor: self.name.clone(),
            subscripts: self.subscripts(first),
            expected,
            got,
            tolerance: self.tolerance(first),
            wrong: tally.wrong,
            elements: self.len() as u64,
        })))
    }
}

#[derive(Default)]
struct Tally {
    report: Report,
    wrong: u64,
    first: Option<usize>,
}

impl Tally {
    fn wrong(&mut self, at: usize) {
        self.wrong += 1;
        self.first.get_or_insert(at);
    }

    /// An integer that hangs on rounding: within its bound or wrong.
    fn ambiguous(&mut self, tolerance: f64, difference: f64, at: usize) {
        self.report.ambiguous += 1;
        if difference > tolerance {
            self.wrong(at);
        }
    }
}
