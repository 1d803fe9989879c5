//! Comparison of a kernel's results with the reference evaluator, which shares nothing with the compiler.

use frontend_tc::Kernel;
use polyhedral::eval::{self, Data, EvalError, Limits, Tensors, Wide};
use polyhedral::{Builtin, Expr, isl};
use runtime::Tensor;
use support::Diagnostic;

use crate::{Error, Result, convert};

/// How results are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// Against double precision: the tolerance of an element fits the length of its reduction. Integers exactly.
    Wide,
    /// Every operation rounds as the types say, in the order of the source: equal to the last bit.
    Exact,
}

impl Judge {
    /// Exact for a strict kernel whose functions all have one correctly rounded result; wide for every other.
    pub fn of(def: &Kernel, strict: bool) -> Judge {
        let exact = def.statements.iter().all(|statement| calls_only_exact(&statement.value));
        if strict && exact { Judge::Exact } else { Judge::Wide }
    }
}

/// What a definition computes.
pub struct Reference(Results);

enum Results {
    Wide(Wide),
    Exact(Tensors),
}

/// Results that agree with the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Elements compared.
    pub elements: u64,
    /// Elements that the program leaves open, because a decision in them hangs on rounding.
    pub ambiguous: u64,
    /// The largest difference, relative to the sum of the absolute values of the element's terms.
    pub max_rel_error: f64,
}

impl Agreement {
    fn and(self, other: Agreement) -> Agreement {
        Agreement {
            elements: self.elements + other.elements,
            ambiguous: self.ambiguous + other.ambiguous,
            max_rel_error: self.max_rel_error.max(other.max_rel_error),
        }
    }
}

/// Checks that the evaluator can run `def` for these sizes, before anybody waits for the kernel.
///
/// # Errors
/// When there are too many instances.
pub fn check_size(def: &Kernel, sizes: &[i64]) -> Result<()> {
    let scop = frontend_tc::lower(def, &isl::Ctx::new())?;
    eval::count(&scop, sizes, Limits::default()).map(|_| ()).map_err(refused)
}

impl Reference {
    /// Evaluates `def`; `given` are its inputs, and what is in the tensors that it updates, by name.
    ///
    /// # Errors
    /// When the program is too large to be evaluated, and when a subscript leaves its tensor.
    pub fn evaluate<'a>(
        def: &Kernel,
        sizes: &[i64],
        given: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
        judge: Judge,
    ) -> Result<Reference> {
        let scop = frontend_tc::lower(def, &isl::Ctx::new())?;
        let given: Result<Tensors> = given.into_iter().map(|(name, tensor)| Ok((name.into(), data(tensor)?))).collect();
        let limits = Limits::default();
        let results = match judge {
            Judge::Wide => eval::run_wide(&scop, sizes, &given?, limits).map(Results::Wide),
            Judge::Exact => eval::run(&scop, sizes, &given?, limits).map(Results::Exact),
        };
        results.map(Reference).map_err(refused)
    }

    /// Compares every one of `results`, by name.
    ///
    /// # Errors
    /// When an element is wrong: says where, what it is and what it should be.
    pub fn check<'a>(&self, results: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Agreement> {
        results
            .into_iter()
            .try_fold(Agreement::default(), |sum, (name, tensor)| Ok(sum.and(self.check_one(name, tensor)?)))
    }

    fn check_one(&self, name: &str, tensor: &Tensor) -> Result<Agreement> {
        let actual = data(tensor)?;
        match &self.0 {
            Results::Wide(wide) => {
                let report = wide.compare(name, &actual).map_err(|mismatch| wrong(mismatch.to_string()))?;
                let (elements, ambiguous, max_rel_error) = (report.checked, report.ambiguous, report.max_rel_error);
                Ok(Agreement { elements, ambiguous, max_rel_error })
            }
            Results::Exact(tensors) => {
                let expected = tensors.get(name).ok_or_else(|| Error::bug(format!("no output is called `{name}`")))?;
                exactly(name, expected, &actual)
            }
        }
    }
}

fn exactly(name: &str, expected: &Data, actual: &Data) -> Result<Agreement> {
    let agreement = Agreement { elements: actual.len() as u64, ..Agreement::default() };
    if expected.bytes == actual.bytes {
        return Ok(agreement);
    }
    if !actual.dtype.is_float() {
        return Err(wrong(format!("`{name}` differs from the evaluator's")));
    }
    let (expected, actual_values) = (expected.to_f64s(), actual.to_f64s());
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    match expected.iter().zip(&actual_values).position(|pair| !same(pair)) {
        None => Ok(agreement),
        Some(at) => {
            let place = subscripts(at, &actual.shape);
            Err(wrong(format!("`{name}`{place:?} is {:?}, expected exactly {:?}", actual_values[at], expected[at])))
        }
    }
}

fn subscripts(mut at: usize, shape: &[i64]) -> Vec<usize> {
    let mut out: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&extent| {
            let extent = extent.max(1) as usize;
            let here = at % extent;
            at /= extent;
            here
        })
        .collect();
    out.reverse();
    out
}

fn data(tensor: &Tensor) -> Result<Data> {
    let dtype = convert::from_runtime(tensor.dtype()).ok_or_else(|| Error::bug("an element type without a name"))?;
    Ok(Data { dtype, shape: tensor.shape().to_vec(), bytes: tensor.as_bytes().to_vec() })
}

/// Whether every function in `value` has one correctly rounded result.
fn calls_only_exact(value: &Expr) -> bool {
    let mut exact = true;
    value.visit(&mut |e| {
        if let Expr::Call(builtin, _) = e {
            exact &= matches!(
                builtin,
                Builtin::Sqrt
                    | Builtin::Fabs
                    | Builtin::Floor
                    | Builtin::Ceil
                    | Builtin::Trunc
                    | Builtin::Round
                    | Builtin::RoundEven
                    | Builtin::Fmin
                    | Builtin::Fmax
                    | Builtin::Copysign
                    | Builtin::Fma
            );
        }
    });
    exact
}

fn wrong(message: String) -> Error {
    Error::bug(format!("the kernel's result is wrong: {message}"))
}

fn refused(error: EvalError) -> Error {
    match error {
        EvalError::TooLarge { .. } | EvalError::TooMuchMemory { .. } => {
            let help = "verify with smaller sizes, or leave out --verify";
            Error::user(Diagnostic::call("TC0941", format!("cannot verify: {error}")).help(help))
        }
        EvalError::IndexOutOfRange { .. } => Error::user(Diagnostic::call("TC0911", error.to_string())),
        EvalError::WrongInput { .. } | EvalError::MissingInput { .. } | EvalError::WrongSizes { .. } => {
            Error::bug(error)
        }
        EvalError::NoSource | EvalError::Unbounded { .. } | EvalError::Malformed { .. } | EvalError::Isl(_) => {
            Error::bug(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "def sum(float(N) A) -> (S) { S +=! A(i) }";

    fn reference(text: &str, sizes: &[i64], inputs: &[(&str, &Tensor)], judge: Judge) -> Result<Reference> {
        Reference::evaluate(&frontend_tc::check(text).defs[0], sizes, inputs.iter().copied(), judge)
    }

    #[test]
    fn a_right_result_agrees_and_a_wrong_one_does_not() {
        let a = Tensor::from_slice(&[0.1_f32, 0.2, 0.3], &[3]).unwrap();
        let sum = |value: f32| Tensor::from_slice(&[value], &[]).unwrap();
        for judge in [Judge::Wide, Judge::Exact] {
            let reference = reference(SUM, &[3], &[("A", &a)], judge).unwrap();
            let agreement = reference.check([("S", &sum(0.1 + 0.2 + 0.3))]).unwrap();
            assert_eq!(agreement.elements, 1);
            let error = reference.check([("S", &sum(0.61))]).unwrap_err();
            assert!(error.to_string().contains("expected"), "{error}");
        }
        let other_order = 0.1_f32 + (0.2 + 0.3);
        let wide = reference(SUM, &[3], &[("A", &a)], Judge::Wide).unwrap();
        assert!(wide.check([("S", &sum(other_order))]).is_ok());
    }

    #[test]
    fn what_is_too_large_says_so() {
        let text = "def f(float(N) A) -> (C) { C(i) +=! A(j) * A(k) }".replace("C(i)", "C");
        let a = Tensor::zeros(runtime::DType::FLOAT32, &[1 << 20]).unwrap();
        let error = reference(&text, &[1 << 20], &[("A", &a)], Judge::Wide).err().unwrap();
        assert_eq!((error.diagnostics()[0].code, error.fault()), ("TC0941", crate::Fault::User));
    }

    #[test]
    fn strict_is_exact_where_functions_are() {
        let judge = |text: &str, strict| Judge::of(&frontend_tc::check(text).defs[0], strict);
        let exp = SUM.replace("A(i)", "exp(A(i))");
        assert_eq!(judge(SUM, true), Judge::Exact);
        assert_eq!(judge(SUM, false), Judge::Wide);
        assert_eq!(judge(&exp, true), Judge::Wide);
    }
}
