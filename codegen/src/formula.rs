//! Integers of the host as formulas over the sizes of a call.

use polyhedral::CmpOp;
use runtime::Formula;

use crate::{Cond, Int, VarId};

/// What a variable of the host's loops is called.
pub(crate) type NameOf<'a> = &'a dyn Fn(VarId) -> Option<Formula>;

/// An expression as a formula: `parameters` and `vars` say what its parameters and variables are. `None` where one of them is
/// nothing.
pub(crate) fn formula(int: &Int, parameters: &[Formula], vars: NameOf<'_>) -> Option<Formula> {
    let of = |int: &Int| formula(int, parameters, vars);
    Some(match int {
        Int::Const(value) => Formula::Const(*value),
        Int::Var(var) => vars(*var)?,
        Int::Param(at) => parameters.get(*at)?.clone(),
        Int::Add(a, b) => plus(of(a)?, of(b)?),
        Int::Mul(a, b) => times(of(a)?, of(b)?),
        Int::FloorDiv(a, c) => folded(Formula::FloorDiv(Box::new(of(a)?), *c)),
        Int::Mod(a, c) => folded(Formula::Mod(Box::new(of(a)?), *c)),
        Int::Min(a, b) => folded(Formula::Min(Box::new(of(a)?), Box::new(of(b)?))),
        // A size is nowhere negative; the variable of a loop may be.
        Int::Max(a, b) if has_vars(a) || has_vars(b) => folded(Formula::Max(Box::new(of(a)?), Box::new(of(b)?))),
        Int::Max(a, b) => larger(of(a)?, of(b)?),
        Int::Select(cond, then, otherwise) => {
            let test = Box::new(test(cond, parameters, vars)?);
            folded(Formula::Select(test, Box::new(of(then)?), Box::new(of(otherwise)?)))
        }
    })
}

fn has_vars(int: &Int) -> bool {
    let mut found = false;
    int.each_var(&mut |_| found = true);
    found
}

/// What is at least 0 exactly where the condition holds.
pub(crate) fn test(cond: &Cond, parameters: &[Formula], vars: NameOf<'_>) -> Option<Formula> {
    let of = |int: &Int| formula(int, parameters, vars);
    let min = |a, b| folded(Formula::Min(Box::new(a), Box::new(b)));
    let max = |a, b| folded(Formula::Max(Box::new(a), Box::new(b)));
    let all = |parts: &[Cond], none: i64, join: &dyn Fn(Formula, Formula) -> Formula| {
        let mut tests = parts.iter().map(|part| test(part, parameters, vars));
        let first = tests.next().unwrap_or(Some(Formula::Const(none)));
        tests.try_fold(first?, |all, one| Some(join(all, one?)))
    };
    match cond {
        Cond::Compare(op, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            Some(match op {
                CmpOp::Ge => minus(a, b),
                CmpOp::Le => minus(b, a),
                CmpOp::Lt => not(minus(a, b)),
                CmpOp::Gt => not(minus(b, a)),
                CmpOp::Eq => min(minus(a.clone(), b.clone()), minus(b, a)),
                CmpOp::Ne => not(min(minus(a.clone(), b.clone()), minus(b, a))),
            })
        }
        Cond::All(parts) => all(parts, 0, &min),
        Cond::Any(parts) => all(parts, -1, &max),
        Cond::Not(inner) => Some(not(test(inner, parameters, vars)?)),
    }
}

/// At least 0 exactly where `test` is not.
fn not(test: Formula) -> Formula {
    minus(Formula::Const(-1), test)
}

/// The formula, or its value where that is the same for all sizes.
fn folded(formula: Formula) -> Formula {
    formula.value(&|_| None).map_or(formula, Formula::Const)
}

fn minus(a: Formula, b: Formula) -> Formula {
    plus(a, times(Formula::Const(-1), b))
}

pub(crate) fn plus(a: Formula, b: Formula) -> Formula {
    match (a, b) {
        (Formula::Const(0), other) | (other, Formula::Const(0)) => other,
        (a, b) => folded(Formula::Add(Box::new(a), Box::new(b))),
    }
}

pub(crate) fn times(a: Formula, b: Formula) -> Formula {
    match (a, b) {
        (Formula::Const(1), other) | (other, Formula::Const(1)) => other,
        (a, b) => folded(Formula::Mul(Box::new(a), Box::new(b))),
    }
}

/// Of formulas over sizes: none is negative.
pub(crate) fn larger(a: Formula, b: Formula) -> Formula {
    match (a, b) {
        (a, b) if a == b => a,
        (Formula::Const(0), other @ Formula::Size(_)) | (other @ Formula::Size(_), Formula::Const(0)) => other,
        (a, b) => folded(Formula::Max(Box::new(a), Box::new(b))),
    }
}

pub(crate) fn at_least_0(extent: Formula) -> Formula {
    larger(extent, Formula::Const(0))
}
