//! Whether what a reduction combines depends on the order, as far as a few terms show.
//!
//! A [`Monoid`] promises to commute and to associate, and whoever puts updates in another order relies on it. A pair of a value
//! and its place that keeps the first of two equals breaks the promise: which one is first is then a matter of who asks. So
//! before threads combine states that no operator combines, the statement's own terms are tried, for small data with equals
//! among them. That is no proof of the laws; what it finds is a proof of the contrary.

use super::numbers;
use crate::{BinOp, Body, DType, Expr, Monoid, Stmt, TensorId, UnOp, Value};

/// Terms that are tried.
const TERMS: i64 = 5;
/// How far floats of two orders may be apart, relatively: further than those of 16 bits are.
const APART: f64 = 1.0 / 64.0;

/// Two orders of one reduction's terms that give different results, in words; `dtype` says what a tensor holds.
///
/// `None` where none was found: for an operator, and for what calls functions.
pub fn broken_order(stmt: &Stmt, dtype: &dyn Fn(TensorId) -> DType) -> Option<&'static str> {
    let Body::Reduce { monoid, terms } = &stmt.body else { return None };
    if monoid.operator().is_some() {
        return None;
    }
    let samples = (0..TERMS).map(|number| {
        let sample = Sample { number, stmt, dtype, states: &[], terms: &[], types: &monoid.dtypes };
        terms.iter().map(|term| Some(sample.value(term)?.0)).collect::<Option<State>>()
    });
    let mut states = samples.collect::<Option<Vec<State>>>()?;
    let neutral: State = monoid.identity.iter().zip(&monoid.dtypes).map(|(value, of)| constant(*value, *of)).collect();
    let both = |a: &State, b: &State| combined(stmt, monoid, dtype, a, b);
    states.push(both(&states[0], &states[1])?);
    states.push(both(&states[2], &states[3])?);
    for a in &states {
        if !(are_alike(&both(a, &neutral)?, a) && are_alike(&both(&neutral, a)?, a)) {
            return Some("what it begins with is not neutral");
        }
        for b in &states {
            if !are_alike(&both(a, b)?, &both(b, a)?) {
                return Some("what combines two results depends on which is the first one");
            }
            for c in &states {
                if !are_alike(&both(&both(a, b)?, c)?, &both(a, &both(b, c)?)?) {
                    return Some("what combines three results depends on which two are the first ones");
                }
            }
        }
    }
    None
}

/// A number: of an integer type, `bool` among them, or of a float.
#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

type State = Vec<Number>;

fn are_alike(a: &State, b: &State) -> bool {
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Number::Int(a), Number::Int(b)) => a == b,
        (Number::Float(a), Number::Float(b)) => {
            a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= APART * (a.abs() + b.abs())
        }
        _ => false,
    })
}

fn constant(value: Value, dtype: DType) -> Number {
    if dtype.is_float() {
        Number::Float(numbers::constant_float(value, dtype))
    } else {
        Number::Int(numbers::constant_int(value, dtype))
    }
}

fn combined(
    stmt: &Stmt,
    monoid: &Monoid,
    dtype: &dyn Fn(TensorId) -> DType,
    states: &State,
    terms: &State,
) -> Option<State> {
    let sample = Sample { number: 0, stmt, dtype, states, terms, types: &monoid.dtypes };
    monoid.combine.iter().map(|expr| Some(sample.value(expr)?.0)).collect()
}

/// What expressions are computed from.
struct Sample<'a> {
    /// What all dimensions are.
    number: i64,
    stmt: &'a Stmt,
    dtype: &'a dyn Fn(TensorId) -> DType,
    states: &'a [Number],
    terms: &'a [Number],
    types: &'a [DType],
}

impl Sample<'_> {
    fn value(&self, expr: &Expr) -> Option<(Number, DType)> {
        match expr {
            Expr::Const(value, dtype) => Some((constant(*value, *dtype), *dtype)),
            Expr::Index(index) => {
                let (dims, sizes) = (vec![self.number; self.stmt.dims.len()], [2 * TERMS; 64]);
                Some((Number::Int(index.eval(&dims, &sizes)?), DType::I64))
            }
            Expr::Load(read) => {
                let dtype = (self.dtype)(self.stmt.reads.get(*read)?.tensor);
                // Some equals, in no order.
                let number = [1, 2, 0, 2, 1][(self.number as usize + read) % 5];
                let number = if dtype == DType::Bool { number % 2 } else { number };
                Some((constant(Value::Int(number.into()), dtype), dtype))
            }
            Expr::State(at) => Some((*self.states.get(*at)?, *self.types.get(*at)?)),
            Expr::Term(at) => Some((*self.terms.get(*at)?, *self.types.get(*at)?)),
            Expr::Unary(op, e) => {
                let (value, dtype) = self.value(e)?;
                let value = match (op, value) {
                    (UnOp::Neg, Number::Int(value)) => Number::Int(numbers::wrap(dtype, value.wrapping_neg())),
                    (UnOp::Neg, Number::Float(value)) => Number::Float(-value),
                    (UnOp::Not, Number::Int(value)) => Number::Int(i64::from(value == 0)),
                    (UnOp::Not, Number::Float(_)) => return None,
                };
                Some((value, dtype))
            }
            Expr::Binary(op, a, b) => self.binary(*op, self.value(a)?, self.value(b)?),
            Expr::Compare(op, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                let holds = match (a.0, b.0) {
                    (Number::Int(x), Number::Int(y)) if a.1 == DType::U64 => numbers::compare(*op, x as u64, y as u64),
                    (Number::Int(x), Number::Int(y)) => numbers::compare(*op, x, y),
                    (Number::Float(x), Number::Float(y)) => numbers::compare(*op, x, y),
                    _ => return None,
                };
                Some((Number::Int(holds.into()), DType::Bool))
            }
            Expr::Select(cond, a, b) => match self.value(cond)?.0 {
                Number::Int(0) => self.value(b),
                _ => self.value(a),
            },
            Expr::Cast(to, e) => {
                let (value, from) = self.value(e)?;
                let value = match (value, to.is_float()) {
                    (Number::Int(value), true) => Number::Float(numbers::int_to_float(from, *to, value)),
                    (Number::Int(value), false) if *to == DType::Bool => Number::Int((value != 0).into()),
                    (Number::Int(value), false) => Number::Int(numbers::wrap(*to, value)),
                    (Number::Float(value), true) => Number::Float(numbers::round(*to, value)),
                    (Number::Float(value), false) => Number::Int(numbers::float_to_int(*to, value)),
                };
                Some((value, *to))
            }
            Expr::Call(..) => None,
        }
    }

    fn binary(&self, op: BinOp, a: (Number, DType), b: (Number, DType)) -> Option<(Number, DType)> {
        let dtype = a.1;
        let value = match (a.0, b.0) {
            (Number::Int(a), Number::Int(b)) => Number::Int(numbers::int_binary(op, dtype, a, b)),
            (Number::Float(a), Number::Float(b)) => {
                Number::Float(numbers::round(dtype, numbers::float_binary(op, a, b)))
            }
            _ => return None,
        };
        Some((value, dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{isl, testing};

    /// What is wrong with a reduction of `A[i]` and `i` to a `float64` and an `int64`.
    fn broken(identity: &str, combine: &str, terms: &str) -> Option<&'static str> {
        let text = format!(
            "
scop r(N)
input A: float32[N]
inout y: float64[]
inout z: int64[]
stmt y[i]
  domain {{ y[i] : 0 <= i < N }}
  monoid together(float64, int64) identity ({identity}) combine ({combine})
  y[], z[] together= {terms}
"
        );
        let scop = testing::scop(&isl::Ctx::new(), &text);
        let stmt = scop.stmts.values().next().expect("a statement");
        broken_order(stmt, &|tensor| scop.tensors[tensor].dtype)
    }

    #[test]
    fn what_keeps_the_first_of_equals_depends_on_the_order() {
        let wins = "term(0) > state(0)";
        let combine = |wins: &str| format!("select({wins}, term(0), state(0)), select({wins}, term(1), state(1))");
        let terms = "float64(A[i]), index(i)";
        let found = broken("-inf_f64, -1i64", &combine(wins), terms);
        assert!(found.is_some_and(|why| why.contains("which is the first one")), "{found:?}");
        let first = format!("{wins} || term(0) == state(0) && term(1) < state(1)");
        assert_eq!(broken("-inf_f64, 9223372036854775807i64", &combine(&first), terms), None);
        // Nothing is equal where the values are the places.
        assert_eq!(broken("-inf_f64, -1i64", &combine(wins), "float64(index(i)), index(i)"), None);
    }

    #[test]
    fn neutral_values_and_groupings_are_tried() {
        let terms = "float64(A[i]), index(i)";
        let sums = "state(0) + term(0), state(1) + term(1)";
        assert_eq!(broken("0.0f64, 0i64", sums, terms), None);
        assert!(broken("0.0f64, 1i64", sums, terms).is_some_and(|why| why.contains("neutral")));
        let mean =
            "select(state(1) == 0i64, term(0), select(term(1) == 0i64, state(0), (state(0) + term(0)) * 0.5f64))";
        let found = broken("0.0f64, 0i64", &format!("{mean}, state(1) + term(1)"), "float64(A[i]), 1i64");
        assert!(found.is_some_and(|why| why.contains("three results")), "{found:?}");
    }

    /// States that no terms make are not asked for: a mean of nothing.
    #[test]
    fn only_states_of_the_program_are_tried() {
        let share = "(term(0) - state(0)) * float64(term(1)) / float64(state(1) + term(1))";
        let mean = format!("select(term(1) == 0i64, state(0), state(0) + {share}), state(1) + term(1)");
        assert_eq!(broken("0.0f64, 0i64", &mean, "float64(A[i]), 1i64"), None);
    }
}
