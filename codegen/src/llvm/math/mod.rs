//! The functions of the language as arithmetic on lanes, at the width of the value, without calls or branches.
//!
//! ```text
//! formula   straight-line arithmetic, written once for scalars and vectors of either type
//! exp, log, trig, atan, hyperbolic, erf, pow, root      the functions, a family a file; pair: more digits than a float
//! emit      a formula as LLVM's instructions
//! ```
//!
//! Errors stay below two units in the last place, and special values are those of C's annex F; the tests go through
//! every `float32` (`docs/decisions/0010-mathematics.md` has the figures). What is not here, and everything on a target
//! without fused multiply-add, is called lane by lane in the table of [`runtime::math`].

mod atan;
mod emit;
mod erf;
mod exp;
mod formula;
mod hyperbolic;
mod log;
mod pair;
mod pow;
mod root;
mod trig;

use polyhedral::{Builtin, DType};

use self::formula::{Float, Formula, Type};
use super::Result;
use super::cpu::{Emitter, Frame};
use super::ir::Llvm;

impl<'c> Emitter<'c, '_> {
    /// A function at values with equally many lanes; `None` if it has no formula for this target. The short floats are
    /// `float32` here.
    pub fn formula(
        &self,
        frame: &Frame<'c>,
        builtin: Builtin,
        dtype: DType,
        operands: &[Llvm<'c>],
    ) -> Result<Option<Llvm<'c>>> {
        let ty = if dtype == DType::F64 { Type::F64 } else { Type::F32 };
        if !self.machine.instructions.fma {
            return Ok(None);
        }
        let Some(formula) = formula_of(builtin, ty) else { return Ok(None) };
        let operands = self.equally_wide(operands)?;
        emit::emit(self, frame, &formula, &operands).map(Some)
    }

    fn equally_wide(&self, operands: &[Llvm<'c>]) -> Result<Vec<Llvm<'c>>> {
        let lanes = operands.iter().map(|operand| super::ir::lanes_of(*operand)).max().unwrap_or(1);
        operands.iter().map(|operand| self.ir.splat(*operand, lanes)).collect()
    }
}

/// The formula of a function, if it has one.
fn formula_of(builtin: Builtin, ty: Type) -> Option<Formula> {
    let unary = |function: for<'f> fn(Float<'f>) -> Float<'f>| Formula::new(ty, 1, |x| function(x[0]));
    let several = |function: for<'f> fn(&[Float<'f>]) -> Float<'f>| Formula::new(ty, builtin.arity() as u32, function);
    Some(match builtin {
        Builtin::Exp => unary(exp::exp),
        Builtin::Exp2 => unary(exp::exp2),
        Builtin::Exp10 => unary(exp::exp10),
        Builtin::Expm1 => unary(exp::expm1),
        Builtin::Log => unary(log::log),
        Builtin::Log2 => unary(log::log2),
        Builtin::Log10 => unary(log::log10),
        Builtin::Log1p => unary(log::log1p),
        Builtin::Sin => unary(trig::sin),
        Builtin::Cos => unary(trig::cos),
        Builtin::Tan => unary(trig::tan),
        Builtin::Sinpi => unary(trig::sinpi),
        Builtin::Cospi => unary(trig::cospi),
        Builtin::Asin => unary(atan::asin),
        Builtin::Acos => unary(atan::acos),
        Builtin::Atan => unary(atan::atan),
        Builtin::Sinh => unary(hyperbolic::sinh),
        Builtin::Cosh => unary(hyperbolic::cosh),
        Builtin::Tanh => unary(hyperbolic::tanh),
        Builtin::Asinh => unary(hyperbolic::asinh),
        Builtin::Acosh => unary(hyperbolic::acosh),
        Builtin::Atanh => unary(hyperbolic::atanh),
        Builtin::Erf => unary(erf::erf),
        Builtin::Erfc => unary(erf::erfc),
        Builtin::Erfcx => unary(erf::erfcx),
        Builtin::Normcdf => unary(erf::normcdf),
        Builtin::Cbrt => unary(root::cbrt),
        Builtin::Rcbrt => unary(root::rcbrt),
        Builtin::Atan2 => several(|x| atan::atan2(x[0], x[1])),
        Builtin::Pow => several(|x| pow::pow(x[0], x[1])),
        Builtin::Hypot | Builtin::Norm3d | Builtin::Norm4d => several(root::norm),
        Builtin::Rhypot | Builtin::Rnorm3d | Builtin::Rnorm4d => several(root::inverse_norm),
        _ => return None,
    })
}
