//! The functions of the language as arithmetic on lanes, at the width of the value, without calls or branches.
//!
//! ```text
//! formula   straight-line arithmetic, written once for scalars and vectors of either type
//! exp, log, trig, atan, hyperbolic, erf, pow, root      the functions, a family a file; pair: more digits than a float
//! division  many values by one, without dividing
//! emit      a formula as LLVM's instructions, in the place where its value is needed
//! ```
//!
//! A vector longer than a register is taken apart first, so that the registers hold one part after another.
//!
//! Errors stay below two units in the last place, and special values are those of C's annex F; the tests go through
//! every `float32` (`docs/decisions/0010-mathematics.md` has the figures). What is not here, and everything on a target
//! without fused multiply-add, is called lane by lane in the table of [`runtime::math`].

mod atan;
mod division;
mod emit;
mod erf;
mod exp;
mod formula;
mod hyperbolic;
mod log;
mod pair;
mod pow;
mod remarks;
mod root;
mod trig;

use inkwell::module::Linkage;
use inkwell::types::{BasicMetadataTypeEnum, BasicType};
use inkwell::values::{BasicMetadataValueEnum, FunctionValue};
use polyhedral::{Builtin, DType};

use self::formula::{Float, Formula, Lanes, Type};
pub(crate) use self::remarks::library_calls;
use super::cpu::Addresses;
use super::emitter::{Emitter, Frame, Outside};
use super::ir::{Llvm, lanes_of};
use super::{Error, Result};

/// The steps of formulas that a module gets in the places where their values are needed; from then on, formulas become
/// functions that are called. A hundred steps cost LLVM about 2 ms.
const INLINE_STEPS: usize = 3000;

impl<'c> Emitter<'c, '_> {
    /// A function at values; `None` if it has no formula for this target. The short floats are `float32` here.
    pub fn formula(
        &self,
        frame: &Frame<'c>,
        builtin: Builtin,
        dtype: DType,
        operands: &[Llvm<'c>],
    ) -> Result<Option<Llvm<'c>>> {
        let ty = if dtype == DType::F64 { Type::F64 } else { Type::F32 };
        let lanes = operands.iter().map(|operand| lanes_of(*operand)).max().unwrap_or(1);
        let register = (self.machine.vector_bits / dtype.bits().max(32)).max(2);
        let scale = self.machine.instructions.avx512 && self.machine.vector_bits == 512 && lanes % register == 0;
        let library = matches!(frame.outside, Outside::Processor(_));
        let formula =
            if self.machine.instructions.fma { formula_of(builtin, Lanes { ty, scale, library }) } else { None };
        let Some(formula) = formula else { return Ok(None) };
        let operands = operands.iter().map(|operand| self.ir.splat(*operand, lanes)).collect::<Result<Vec<_>>>()?;
        self.by_register(&operands, register, |part| self.formula_in_register(frame, builtin, &formula, part)).map(Some)
    }

    /// A function of operands that have equally many lanes, of one register of lanes after another.
    fn by_register(
        &self,
        operands: &[Llvm<'c>],
        register: u32,
        function: impl Fn(&[Llvm<'c>]) -> Result<Llvm<'c>>,
    ) -> Result<Llvm<'c>> {
        let lanes = operands.iter().map(|operand| lanes_of(*operand)).max().unwrap_or(1);
        if lanes <= register {
            return function(operands);
        }
        let mut parts = Vec::new();
        for first in (0..lanes).step_by(register as usize) {
            let count = register.min(lanes - first);
            let part = |operand: &Llvm<'c>| self.ir.lanes(*operand, first, count);
            parts.push(function(&operands.iter().map(part).collect::<Result<Vec<_>>>()?)?);
        }
        self.ir.concatenate(&parts)
    }

    /// The value of a formula, in the place where it is needed.
    fn formula_at(&self, frame: &Frame<'c>, formula: &Formula, operands: &[Llvm<'c>]) -> Result<Llvm<'c>> {
        self.formula_steps.set(self.formula_steps.get() + formula.len());
        emit::emit(self, frame, formula, operands)
    }

    fn formula_in_register(
        &self,
        frame: &Frame<'c>,
        builtin: Builtin,
        formula: &Formula,
        operands: &[Llvm<'c>],
    ) -> Result<Llvm<'c>> {
        // A call on a device costs more than what is called.
        let is_device = matches!(frame.outside, Outside::Device(_));
        if is_device || self.formula_steps.get() + formula.len() <= INLINE_STEPS {
            return self.formula_at(frame, formula, operands);
        }
        let function = self.formula_function(builtin, formula, operands)?;
        let mut arguments: Vec<BasicMetadataValueEnum<'c>> = vec![frame.addresses()?.math.into()];
        arguments.extend(operands.iter().map(|operand| BasicMetadataValueEnum::from(*operand)));
        let call = self.ir.builder.build_call(function, &arguments, "")?;
        call.set_call_convention(FAST);
        call.try_as_basic_value().basic().ok_or_else(|| Error::Malformed("a function without a result".into()))
    }

    /// The function of the module that computes a formula for operands of these types.
    fn formula_function(
        &self,
        builtin: Builtin,
        formula: &Formula,
        operands: &[Llvm<'c>],
    ) -> Result<FunctionValue<'c>> {
        let ty = operands[0].get_type();
        let bits = if formula.is_double() { 64 } else { 32 };
        let name = format!("math:{}.v{}f{bits}", builtin.name(), lanes_of(operands[0]));
        if let Some(function) = self.ir.module.get_function(&name) {
            return Ok(function);
        }
        let (here, line) = (self.here()?, self.ir.builder.get_current_debug_location());
        let mut parameters: Vec<BasicMetadataTypeEnum<'c>> = vec![self.ir.pointer_type().into()];
        parameters.extend(operands.iter().map(|operand| BasicMetadataTypeEnum::from(operand.get_type())));
        let function = self.ir.module.add_function(&name, ty.fn_type(&parameters, false), Some(Linkage::Internal));
        self.describe_function(function);
        function.set_call_conventions(FAST);
        let entry = self.begin(function);
        let [table, operands @ ..] = &function.get_params()[..] else {
            return Err(Error::Malformed("LLVM lost a function's parameters".into()));
        };
        let outside = Outside::Processor(Addresses::of_arithmetic(table.into_pointer_value()));
        let frame = Frame::new(self.program, function, entry, outside);
        let value = emit::emit(self, &frame, formula, operands)?;
        self.ir.builder.build_return(Some(&value))?;
        self.ir.builder.position_at_end(here);
        self.on_line_of(line);
        Ok(function)
    }
}

/// LLVM's number for its own calling convention.
const FAST: u32 = 8;

/// The formula of a function, if it has one.
fn formula_of(builtin: Builtin, lanes: Lanes) -> Option<Formula> {
    let arity = builtin.arity() as u32;
    let unary = |function: for<'f> fn(Float<'f>) -> Float<'f>| Formula::new(lanes, 1, |x| function(x[0]));
    let several = |function: for<'f> fn(&[Float<'f>]) -> Float<'f>| Formula::new(lanes, arity, function);
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
