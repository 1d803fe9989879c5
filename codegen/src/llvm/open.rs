//! An object and the signature of its program for all sizes of a call, which follow from formulas.

use polyhedral::CmpOp;
use runtime::{Formula, Named, OpenArgument, OpenCode, OpenSignature};

use super::code::{argument_role, dtype};
use super::{Error, Object, Result};
use crate::{Buffer, Cond, Int, Place, Program, Stride};

impl Object {
    /// As [`Object::code`] for all sizes of a call: `parameters` says what the values of the program's parameters are, over the
    /// sizes of the call.
    ///
    /// # Errors
    /// [`Error::Malformed`] when an extent or an offset is no formula.
    pub fn open_code(&self, program: &Program, parameters: &[Formula]) -> Result<OpenCode> {
        let functions = self.math.iter().filter_map(|slot| Some((runtime::math::symbol(*slot)?, *slot))).collect();
        let checks = self.checks.clone();
        let signature = OpenSignature { checks, functions, ..open_signature(program, parameters)? };
        // SAFETY: as in `code`: the program is verified for all values of its parameters that it takes.
        Ok(unsafe { OpenCode::new(self.bytes.clone(), self.entry.clone(), signature) })
    }
}

/// The arguments in the order of the call, the sizes, and how much workspace there must be.
fn open_signature(program: &Program, parameters: &[Formula]) -> Result<OpenSignature> {
    let formula = |buffer: &Buffer, int: &Int| {
        formula(int, parameters).ok_or_else(|| Error::Malformed(format!("the size of `{}` is no formula", buffer.name)))
    };
    let mut arguments: Vec<(usize, OpenArgument)> = Vec::new();
    let mut workspace_bytes = Formula::Const(0);
    for buffer in program.buffers.values() {
        let shape = buffer.shape().iter().map(|extent| formula(buffer, extent)).collect::<Result<Vec<_>>>()?;
        match &buffer.place {
            Place::Argument(at) => {
                let stride = |stride: &Stride| match stride {
                    Stride::Known(stride) => formula(buffer, stride).map(Some),
                    Stride::Runtime => Ok(None),
                };
                let strides = buffer.strides_of_shape().iter().map(stride).collect::<Result<_>>()?;
                let (name, dtype, role) = (buffer.name.clone(), dtype(buffer.dtype), argument_role(buffer)?);
                arguments.push((*at, OpenArgument { name, dtype, role, shape, strides }));
            }
            Place::Workspace(offset) => {
                let elements = shape.into_iter().fold(Formula::Const(1), |all, extent| times(all, at_least_0(extent)));
                let bytes = times(Formula::Const(buffer.dtype.bytes().into()), elements);
                workspace_bytes = larger(workspace_bytes, plus(formula(buffer, offset)?, bytes));
            }
            Place::Stack | Place::Shared => {}
        }
    }
    arguments.sort_by_key(|(at, _)| *at);
    Ok(OpenSignature {
        name: program.name.clone(),
        arguments: arguments.into_iter().map(|(_, argument)| argument).collect(),
        parameters: parameters.to_vec(),
        workspace_bytes,
        checks: Vec::new(),
        functions: Named::default(),
    })
}

/// An expression over parameters as a formula; `None` of one with variables, or with a parameter that has no formula.
fn formula(int: &Int, parameters: &[Formula]) -> Option<Formula> {
    let of = |int: &Int| formula(int, parameters);
    Some(match int {
        Int::Const(value) => Formula::Const(*value),
        Int::Var(_) => return None,
        Int::Param(at) => parameters.get(*at)?.clone(),
        Int::Add(a, b) => plus(of(a)?, of(b)?),
        Int::Mul(a, b) => times(of(a)?, of(b)?),
        Int::FloorDiv(a, c) => folded(Formula::FloorDiv(Box::new(of(a)?), *c)),
        Int::Mod(a, c) => folded(Formula::Mod(Box::new(of(a)?), *c)),
        Int::Min(a, b) => folded(Formula::Min(Box::new(of(a)?), Box::new(of(b)?))),
        Int::Max(a, b) => larger(of(a)?, of(b)?),
        Int::Select(cond, then, otherwise) => select(cond, &of(then)?, &of(otherwise)?, parameters)?,
    })
}

/// `then` where the condition holds, else `otherwise`.
fn select(cond: &Cond, then: &Formula, otherwise: &Formula, parameters: &[Formula]) -> Option<Formula> {
    let of = |int: &Int| formula(int, parameters);
    let from = |test: Formula, then: &Formula, otherwise: &Formula| {
        folded(Formula::Select(Box::new(test), Box::new(then.clone()), Box::new(otherwise.clone())))
    };
    let minus = |a: Formula, b: Formula| plus(a, times(Formula::Const(-1), b));
    Some(match cond {
        Cond::Compare(op, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            match op {
                CmpOp::Ge => from(minus(a, b), then, otherwise),
                CmpOp::Lt => from(minus(a, b), otherwise, then),
                CmpOp::Le => from(minus(b, a), then, otherwise),
                CmpOp::Gt => from(minus(b, a), otherwise, then),
                CmpOp::Eq => from(minus(a.clone(), b.clone()), &from(minus(b, a), then, otherwise), otherwise),
                CmpOp::Ne => from(minus(a.clone(), b.clone()), &from(minus(b, a), otherwise, then), then),
            }
        }
        Cond::All(parts) => {
            let folded =
                parts.iter().rev().try_fold(then.clone(), |inner, part| select(part, &inner, otherwise, parameters));
            folded?
        }
        Cond::Any(parts) => {
            let folded =
                parts.iter().rev().try_fold(otherwise.clone(), |inner, part| select(part, then, &inner, parameters));
            folded?
        }
        Cond::Not(inner) => select(inner, otherwise, then, parameters)?,
    })
}

/// The formula, or its value where that is the same for all sizes.
fn folded(formula: Formula) -> Formula {
    formula.value(&|_| None).map_or(formula, Formula::Const)
}

fn plus(a: Formula, b: Formula) -> Formula {
    match (a, b) {
        (Formula::Const(0), other) | (other, Formula::Const(0)) => other,
        (a, b) => folded(Formula::Add(Box::new(a), Box::new(b))),
    }
}

fn times(a: Formula, b: Formula) -> Formula {
    match (a, b) {
        (Formula::Const(1), other) | (other, Formula::Const(1)) => other,
        (a, b) => folded(Formula::Mul(Box::new(a), Box::new(b))),
    }
}

fn larger(a: Formula, b: Formula) -> Formula {
    match (a, b) {
        (a, b) if a == b => a,
        // What is nowhere negative.
        (Formula::Const(0), other @ Formula::Size(_)) | (other @ Formula::Size(_), Formula::Const(0)) => other,
        (a, b) => folded(Formula::Max(Box::new(a), Box::new(b))),
    }
}

fn at_least_0(extent: Formula) -> Formula {
    larger(extent, Formula::Const(0))
}
