//! Operators, conversions and functions, with the meaning that [`polyhedral::Expr`] gives them.

use inkwell::types::BasicTypeEnum;
use inkwell::values::InstructionOpcode as Op;
use inkwell::{FloatPredicate, IntPredicate};
use polyhedral::{BinOp, Builtin, CmpOp, DType, UnOp};

use super::emitter::{Emitter, Frame, Outside};
use super::expr::Typed;
use super::index::signed;
use super::ir::{Llvm, element_type};
use super::{Error, Result};

/// Numbers of that many bits are exact in `float64`, whatever comes after.
const DOUBLE_BITS: u32 = 53;
/// The same for `float32`.
const SINGLE_BITS: u32 = 24;

/// The floats that an integer type holds when they are truncated.
struct Bounds {
    least: f64,
    /// The largest float that is not too large.
    most: f64,
    /// Whether `most` is the largest integer, and not only the largest float below the next power of two.
    is_exact: bool,
    /// Without the sign.
    bits: u32,
}

impl Bounds {
    fn of(from: DType, to: DType) -> Bounds {
        let bits = to.bits() - u32::from(to.is_signed());
        // Shorter floats are held as `float32`.
        let precision = if from == DType::F64 { DOUBLE_BITS } else { SINGLE_BITS };
        let end = (1u128 << bits) as f64;
        let least = if to.is_signed() { -end } else { 0.0 };
        let is_exact = bits <= precision;
        let below = if is_exact { 1.0 } else { (1u128 << (bits - precision)) as f64 };
        Bounds { least, most: end - below, is_exact, bits }
    }
}

impl<'c> Emitter<'c, '_> {
    pub fn unary(&self, op: UnOp, e: Typed<'c>) -> Result<Typed<'c>> {
        let llvm = match op {
            UnOp::Not => self.ir.binary(Op::Xor, e.expect(DType::Bool)?.llvm, self.like(e.llvm, 1)?)?,
            UnOp::Neg if e.dtype.is_float() => self.ir.negate_float(e.llvm)?,
            UnOp::Neg if e.dtype.is_int() => self.ir.binary(Op::Sub, self.like(e.llvm, 0)?, e.llvm)?,
            UnOp::Neg => return Err(Error::Malformed("the negative of a bool".into())),
        };
        Ok(Typed { llvm, dtype: e.dtype })
    }

    pub fn binary(&self, frame: &Frame<'c>, op: BinOp, a: Typed<'c>, b: Typed<'c>) -> Result<Typed<'c>> {
        let dtype = a.dtype;
        if op == BinOp::Div
            && dtype.is_float()
            && let Some(llvm) = self.quotient(frame, dtype, a.llvm, b.expect(dtype)?.llvm)?
        {
            return Ok(Typed { llvm: self.round_to(dtype, llvm)?, dtype });
        }
        let (x, y) = self.ir.same_lanes(a.llvm, b.expect(dtype)?.llvm)?;
        let llvm = match dtype {
            DType::Bool => self.binary_bools(op, x, y)?,
            _ if dtype.is_float() => self.round_to(dtype, self.binary_floats(frame, op, dtype, x, y)?)?,
            _ => self.binary_ints(op, dtype.is_signed(), x, y)?,
        };
        Ok(Typed { llvm, dtype })
    }

    pub fn compare(&self, op: CmpOp, a: Typed<'c>, b: Typed<'c>) -> Result<Typed<'c>> {
        let (x, y) = (a.llvm, b.expect(a.dtype)?.llvm);
        let llvm = if a.dtype.is_float() {
            self.ir.compare_floats(ordered(op), x, y)?
        } else if a.dtype.is_signed() {
            self.ir.compare_ints(signed(op), x, y)?
        } else {
            self.ir.compare_ints(unsigned(op), x, y)?
        };
        Ok(Typed { llvm, dtype: DType::Bool })
    }

    fn binary_bools(&self, op: BinOp, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        match op {
            BinOp::And => self.ir.binary(Op::And, a, b),
            BinOp::Or => self.ir.binary(Op::Or, a, b),
            _ => Err(Error::Malformed(format!("{op:?} of bools"))),
        }
    }

    fn binary_ints(&self, op: BinOp, signed: bool, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let minmax = |name: &str| self.ir.intrinsic(name, &[a.get_type()], &[a, b]);
        match op {
            BinOp::Add => self.ir.binary(Op::Add, a, b),
            BinOp::Sub => self.ir.binary(Op::Sub, a, b),
            BinOp::Mul => self.ir.binary(Op::Mul, a, b),
            BinOp::Div if signed => self.signed_quotient(a, b),
            BinOp::Mod if signed => self.signed_remainder(a, b),
            BinOp::Div => self.unless_zero(b, self.ir.binary(Op::UDiv, a, self.nonzero(b)?)?),
            BinOp::Mod => self.unless_zero(b, self.ir.binary(Op::URem, a, self.nonzero(b)?)?),
            BinOp::Min => minmax(if signed { "llvm.smin" } else { "llvm.umin" }),
            BinOp::Max => minmax(if signed { "llvm.smax" } else { "llvm.umax" }),
            BinOp::BitAnd => self.ir.binary(Op::And, a, b),
            BinOp::BitOr => self.ir.binary(Op::Or, a, b),
            BinOp::BitXor => self.ir.binary(Op::Xor, a, b),
            BinOp::Shl | BinOp::Shr => self.shifted(op, signed, a, b),
            BinOp::And | BinOp::Or => Err(Error::Malformed(format!("{op:?} of integers"))),
        }
    }

    /// A shift by less than 0 or by as many bits as there are, which machines and LLVM leave open, is one by all bits.
    fn shifted(&self, op: BinOp, signed: bool, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let bits = i128::from(self.ir.bits_of(a));
        let inside = self.ir.compare_ints(IntPredicate::ULT, b, self.like(b, bits)?)?;
        let by = self.ir.select(inside, b, self.like(b, bits - 1)?)?;
        match (op, signed) {
            (BinOp::Shr, true) => self.ir.binary(Op::AShr, a, by),
            (BinOp::Shr, false) => self.ir.select(inside, self.ir.binary(Op::LShr, a, by)?, self.like(a, 0)?),
            _ => self.ir.select(inside, self.ir.binary(Op::Shl, a, by)?, self.like(a, 0)?),
        }
    }

    /// The divisor with 1 for 0: what is divided by 0 is replaced afterwards, but must not trap.
    fn nonzero(&self, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let zero = self.ir.compare_ints(IntPredicate::EQ, b, self.like(b, 0)?)?;
        self.ir.select(zero, self.like(b, 1)?, b)
    }

    /// `value`, but 0 where the divisor is.
    fn unless_zero(&self, b: Llvm<'c>, value: Llvm<'c>) -> Result<Llvm<'c>> {
        let zero = self.ir.compare_ints(IntPredicate::EQ, b, self.like(b, 0)?)?;
        self.ir.select(zero, self.like(b, 0)?, value)
    }

    /// The divisor with 1 for 0 and for -1: the smallest number divided by -1 would trap.
    fn harmless(&self, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let next = self.ir.binary(Op::Add, b, self.like(b, 1)?)?;
        let special = self.ir.compare_ints(IntPredicate::ULE, next, self.like(b, 1)?)?;
        self.ir.select(special, self.like(b, 1)?, b)
    }

    /// Lanes where the remainder of a division towards zero has the sign that `floor` does not give it.
    fn wrong_side(&self, remainder: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let zero = self.like(b, 0)?;
        let inexact = self.ir.compare_ints(IntPredicate::NE, remainder, zero)?;
        let signs_differ = self.ir.compare_ints(IntPredicate::SLT, self.ir.binary(Op::Xor, remainder, b)?, zero)?;
        self.ir.binary(Op::And, inexact, signs_differ)
    }

    fn signed_quotient(&self, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let divisor = self.harmless(b)?;
        let quotient = self.ir.binary(Op::SDiv, a, divisor)?;
        let remainder = self.ir.binary(Op::SRem, a, divisor)?;
        let lower = self.ir.binary(Op::Sub, quotient, self.like(b, 1)?)?;
        let floor = self.ir.select(self.wrong_side(remainder, divisor)?, lower, quotient)?;
        let by_minus_one = self.ir.compare_ints(IntPredicate::EQ, b, self.like(b, -1)?)?;
        let negative = self.ir.binary(Op::Sub, self.like(a, 0)?, a)?;
        self.unless_zero(b, self.ir.select(by_minus_one, negative, floor)?)
    }

    /// By 0 and by -1 the remainder is 0, as it is by the 1 that stands for them.
    fn signed_remainder(&self, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let divisor = self.harmless(b)?;
        let remainder = self.ir.binary(Op::SRem, a, divisor)?;
        let other_side = self.ir.binary(Op::Add, remainder, divisor)?;
        self.ir.select(self.wrong_side(remainder, divisor)?, other_side, remainder)
    }

    fn binary_floats(&self, frame: &Frame<'c>, op: BinOp, dtype: DType, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        match op {
            BinOp::Add => self.ir.binary(Op::FAdd, a, b),
            BinOp::Sub => self.ir.binary(Op::FSub, a, b),
            BinOp::Mul => self.ir.binary(Op::FMul, a, b),
            BinOp::Div => self.ir.binary(Op::FDiv, a, b),
            BinOp::Mod if matches!(frame.outside, Outside::Device(_)) => {
                self.each_lane(&[a, b], |operands| self.float_remainder(dtype, operands[0], operands[1]))
            }
            BinOp::Mod => self.library(frame, "fmod", dtype, &[a, b]),
            BinOp::Min => self.number_of(FloatPredicate::OLT, a, b),
            BinOp::Max => self.number_of(FloatPredicate::OGT, a, b),
            BinOp::And | BinOp::Or | BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr => {
                Err(Error::Malformed(format!("{op:?} of floats")))
            }
        }
    }

    /// The smaller or the larger of two, the second of which is a number: one instruction where the machine has it.
    pub fn better(&self, op: BinOp, a: Typed<'c>, b: Typed<'c>) -> Result<Typed<'c>> {
        let dtype = a.dtype;
        let (a, b) = self.ir.same_lanes(a.llvm, b.expect(dtype)?.llvm)?;
        if !dtype.is_float() {
            return Ok(Typed { llvm: self.binary_ints(op, dtype.is_signed(), a, b)?, dtype });
        }
        let wins = if op == BinOp::Min { FloatPredicate::OLT } else { FloatPredicate::OGT };
        Ok(Typed { llvm: self.ir.select(self.ir.compare_floats(wins, a, b)?, a, b)?, dtype })
    }

    /// The one of two that compares so with the other; a NaN loses. A constant goes second, where LLVM folds the test for NaN away.
    fn number_of(&self, better: FloatPredicate, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let (a, b) = if self.is_constant(a) { (b, a) } else { (a, b) };
        let first = self.ir.compare_floats(better, a, b)?;
        let chosen = self.ir.select(first, a, b)?;
        let b_is_nan = self.ir.compare_floats(FloatPredicate::UNO, b, b)?;
        self.ir.select(b_is_nan, a, chosen)
    }

    fn is_constant(&self, value: Llvm<'c>) -> bool {
        match value {
            Llvm::FloatValue(value) => value.is_const(),
            Llvm::VectorValue(value) => value.is_const(),
            _ => false,
        }
    }

    /// Conversion to a type.
    pub fn cast(&self, e: Typed<'c>, to: DType) -> Result<Typed<'c>> {
        let llvm = match (e.dtype, to) {
            (from, _) if from == to => e.llvm,
            (from, DType::Bool) if from.is_float() => {
                self.ir.compare_floats(FloatPredicate::UNE, e.llvm, self.float_like(e.llvm, 0.0)?)?
            }
            (_, DType::Bool) => self.ir.compare_ints(IntPredicate::NE, e.llvm, self.like(e.llvm, 0)?)?,
            (from, _) if from.is_float() && to.is_float() => self.float_to_float(e.llvm, from, to)?,
            (from, _) if from.is_float() => self.float_to_int(e.llvm, from, to)?,
            (from, _) if to.is_float() => self.int_to_float(e.llvm, from, to)?,
            (from, _) => self.int_to_int(e.llvm, from, to)?,
        };
        Ok(Typed { llvm, dtype: to })
    }

    fn int_to_int(&self, value: Llvm<'c>, from: DType, to: DType) -> Result<Llvm<'c>> {
        let op = if to.bits() < from.bits() {
            Op::Trunc
        } else if from.is_signed() {
            Op::SExt
        } else {
            Op::ZExt
        };
        self.ir.cast(op, value, self.value_type(to))
    }

    /// Towards zero; what is too large becomes the bound, a NaN 0. LLVM's own intrinsic does so too, but takes vectors
    /// apart lane by lane: here lanes are clamped as floats, converted, and mended.
    fn float_to_int(&self, value: Llvm<'c>, from: DType, to: DType) -> Result<Llvm<'c>> {
        let result = super::ir::vector_of(self.value_type(to), super::ir::lanes_of(value));
        let is_short = to.bits() < 32;
        if !is_short && super::ir::lanes_of(value) == 1 {
            let name = if to.is_signed() { "llvm.fptosi.sat" } else { "llvm.fptoui.sat" };
            return self.ir.intrinsic(name, &[result, value.get_type()], &[value]);
        }
        let bounds = Bounds::of(from, to);
        let least = self.float_like(value, bounds.least)?;
        let most = self.float_like(value, bounds.most)?;
        // A NaN compares with nothing, and becomes the lower bound: one instruction for each line.
        let above = self.ir.select(self.ir.compare_floats(FloatPredicate::OGT, value, least)?, value, least)?;
        let inside = self.ir.select(self.ir.compare_floats(FloatPredicate::OLT, above, most)?, above, most)?;
        let mut int = match is_short {
            // Machines convert to 32 bits at least.
            true => self.ir.cast(Op::FPToSI, inside, self.ir.context.i32_type())?,
            false if to.is_signed() => self.ir.cast(Op::FPToSI, inside, self.value_type(to))?,
            false => self.ir.cast(Op::FPToUI, inside, self.value_type(to))?,
        };
        if !bounds.is_exact {
            let too_large = self.ir.compare_floats(FloatPredicate::OGT, value, most)?;
            let largest = self.like(int, (1i128 << bounds.bits) - 1)?;
            int = self.ir.select(too_large, largest, int)?;
        }
        if to.is_signed() {
            let nan = self.ir.compare_floats(FloatPredicate::UNO, value, value)?;
            int = self.ir.select(nan, self.like(int, 0)?, int)?;
        }
        self.ir.cast(Op::Trunc, int, self.value_type(to))
    }

    fn int_to_float(&self, value: Llvm<'c>, from: DType, to: DType) -> Result<Llvm<'c>> {
        let op = if from.is_signed() { Op::SIToFP } else { Op::UIToFP };
        if matches!(to, DType::F32 | DType::F64) {
            return self.ir.cast(op, value, self.value_type(to));
        }
        let exact = if from.bits() == 64 { self.shorten(value, from.is_signed())? } else { value };
        let double = self.ir.cast(op, exact, self.ir.context.f64_type())?;
        self.float_to_float(double, DType::F64, to)
    }

    /// A 64-bit integer that `float64` holds exactly and that rounds to every shorter float as `value` does: of
    /// numbers with more bits the lowest ones become one bit that says whether any was set.
    fn shorten(&self, value: Llvm<'c>, signed: bool) -> Result<Llvm<'c>> {
        let dropped = (1i128 << (64 - DOUBLE_BITS + 1)) - 1;
        let low = self.ir.binary(Op::And, value, self.like(value, dropped)?)?;
        let inexact = self.ir.compare_ints(IntPredicate::NE, low, self.like(value, 0)?)?;
        let sticky = self.ir.select(inexact, self.like(value, (dropped + 1) / 2)?, self.like(value, 0)?)?;
        let high = self.ir.binary(Op::And, value, self.like(value, !dropped)?)?;
        let short = self.ir.binary(Op::Or, high, sticky)?;
        let limit = 1i128 << DOUBLE_BITS;
        let (distance, width) = if signed {
            (self.ir.binary(Op::Add, value, self.like(value, limit)?)?, 2 * limit)
        } else {
            (value, limit)
        };
        let exact = self.ir.compare_ints(IntPredicate::ULE, distance, self.like(value, width)?)?;
        self.ir.select(exact, value, short)
    }

    fn float_to_float(&self, value: Llvm<'c>, from: DType, to: DType) -> Result<Llvm<'c>> {
        match (from, to) {
            (DType::F64, DType::F32) => self.ir.cast(Op::FPTrunc, value, self.ir.context.f32_type()),
            (DType::F64, _) => self.round_to(to, self.double_to_odd(value)?),
            (_, DType::F64) => self.ir.cast(Op::FPExt, value, self.ir.context.f64_type()),
            _ => self.round_to(to, value),
        }
    }

    /// A `float64` as `float32`, rounded to odd: of the two neighbours of an inexact value the one whose last bit
    /// is set. Rounding that to a type with fewer than 23 bits gives what one rounding would have (Boldo and Melquiond,
    /// "Emulation of FMA and correctly rounded sums", 2008).
    fn double_to_odd(&self, value: Llvm<'c>) -> Result<Llvm<'c>> {
        let nearest = self.ir.cast(Op::FPTrunc, value, self.ir.context.f32_type())?;
        let back = self.ir.cast(Op::FPExt, nearest, self.ir.context.f64_type())?;
        let bits = self.ir.cast(Op::BitCast, nearest, self.ir.context.i32_type())?;
        let magnitude = |value| self.ir.intrinsic("llvm.fabs", &[back.get_type()], &[value]);
        let too_far = self.ir.compare_floats(FloatPredicate::OGT, magnitude(back)?, magnitude(value)?)?;
        let down = self.ir.select(too_far, self.like(bits, -1)?, self.like(bits, 1)?)?;
        let neighbour = self.ir.binary(Op::Add, bits, down)?;
        let inexact = self.ir.compare_floats(FloatPredicate::ONE, back, value)?;
        let last_bit = self.ir.cast(Op::Trunc, bits, self.ir.context.bool_type())?;
        let even = self.ir.binary(Op::Xor, last_bit, self.like(last_bit, 1)?)?;
        let odd = self.ir.select(self.ir.binary(Op::And, inexact, even)?, neighbour, bits)?;
        self.ir.cast(Op::BitCast, odd, self.ir.context.f32_type())
    }

    /// A result in the precision of its type: rounds the `float32` in which the short types are computed.
    fn round_to(&self, dtype: DType, value: Llvm<'c>) -> Result<Llvm<'c>> {
        match dtype {
            DType::F16 => self.widen_bits(dtype, self.narrow_bits(dtype, value)?),
            DType::BF16 => self.round_to_bfloat(value),
            _ => Ok(value),
        }
    }

    /// To the nearest `float32` with 16 zeros at the end, of two equally near ones the even.
    fn round_to_bfloat(&self, value: Llvm<'c>) -> Result<Llvm<'c>> {
        let bits = self.ir.cast(Op::BitCast, value, self.ir.context.i32_type())?;
        let odd = self.ir.binary(Op::LShr, bits, self.like(bits, 16)?)?;
        let odd = self.ir.binary(Op::And, odd, self.like(bits, 1)?)?;
        let half = self.ir.binary(Op::Add, odd, self.like(bits, 0x7fff)?)?;
        let up = self.ir.binary(Op::Add, bits, half)?;
        let rounded = self.ir.binary(Op::And, up, self.like(bits, 0xffff_0000)?)?;
        let rounded = self.ir.cast(Op::BitCast, rounded, self.ir.context.f32_type())?;
        let nan = self.ir.compare_floats(FloatPredicate::UNO, value, value)?;
        self.ir.select(nan, self.float_like(value, f64::NAN)?, rounded)
    }

    /// A value as it lies in memory.
    pub fn pack(&self, value: Typed<'c>) -> Result<Llvm<'c>> {
        match value.dtype {
            DType::Bool => self.ir.cast(Op::ZExt, value.llvm, self.ir.context.i8_type()),
            DType::F16 | DType::BF16 => self.narrow_bits(value.dtype, value.llvm),
            _ => Ok(value.llvm),
        }
    }

    /// What lies in memory as a value.
    pub fn unpack(&self, dtype: DType, value: Llvm<'c>) -> Result<Llvm<'c>> {
        match dtype {
            DType::Bool => self.ir.compare_ints(IntPredicate::NE, value, self.like(value, 0)?),
            DType::F16 | DType::BF16 => self.widen_bits(dtype, value),
            _ => Ok(value),
        }
    }

    /// The type of an element in memory; the short floats travel as their bits.
    pub fn memory_type(&self, dtype: DType) -> BasicTypeEnum<'c> {
        match dtype {
            DType::Bool => self.ir.context.i8_type().into(),
            DType::F16 | DType::BF16 => self.ir.context.i16_type().into(),
            _ => self.value_type(dtype),
        }
    }

    fn narrow_bits(&self, dtype: DType, value: Llvm<'c>) -> Result<Llvm<'c>> {
        if dtype == DType::F16 {
            self.require_half()?;
            let half = self.ir.cast(Op::FPTrunc, value, self.ir.context.f16_type())?;
            return self.ir.cast(Op::BitCast, half, self.ir.context.i16_type());
        }
        let bits = self.ir.cast(Op::BitCast, value, self.ir.context.i32_type())?;
        let high = self.ir.binary(Op::LShr, bits, self.like(bits, 16)?)?;
        self.ir.cast(Op::Trunc, high, self.ir.context.i16_type())
    }

    fn widen_bits(&self, dtype: DType, bits: Llvm<'c>) -> Result<Llvm<'c>> {
        if dtype == DType::F16 {
            self.require_half()?;
            let half = self.ir.cast(Op::BitCast, bits, self.ir.context.f16_type())?;
            return self.ir.cast(Op::FPExt, half, self.ir.context.f32_type());
        }
        let wide = self.ir.cast(Op::ZExt, bits, self.ir.context.i32_type())?;
        let high = self.ir.binary(Op::Shl, wide, self.like(wide, 16)?)?;
        self.ir.cast(Op::BitCast, high, self.ir.context.f32_type())
    }

    fn require_half(&self) -> Result<()> {
        if self.machine.instructions.half {
            return Ok(());
        }
        Err(Error::Unsupported(format!("float16: `{}` has no instructions that convert it", self.machine.cpu)))
    }

    /// A function of the language. What the target has no instructions for is called through the context.
    pub fn call(&self, frame: &Frame<'c>, builtin: Builtin, arguments: &[Typed<'c>]) -> Result<Typed<'c>> {
        let dtype = match arguments {
            [first, ..] if arguments.len() == builtin.arity() && first.dtype.is_float() => first.dtype,
            _ => return Err(Error::Malformed(format!("a call of `{}` with wrong arguments", builtin.name()))),
        };
        let operands =
            arguments.iter().map(|argument| Ok(argument.expect(dtype)?.llvm)).collect::<Result<Vec<Llvm<'c>>>>()?;
        if let (Builtin::Fma, [a, b, c]) = (builtin, arguments) {
            return self.fused_multiply_add(frame, *a, *b, *c);
        }
        let llvm = match self.inline(builtin, dtype, &operands)? {
            Some(llvm) => llvm,
            None => match self.formula(frame, builtin, dtype, &operands)? {
                Some(llvm) => llvm,
                None => self.library(frame, builtin.name(), dtype, &operands)?,
            },
        };
        Ok(Typed { llvm: self.round_to(dtype, llvm)?, dtype })
    }

    /// The functions that are a few instructions.
    fn inline(&self, builtin: Builtin, dtype: DType, operands: &[Llvm<'c>]) -> Result<Option<Llvm<'c>>> {
        let simple = |name: &str| self.ir.intrinsic(name, &[operands[0].get_type()], &operands[..1]);
        let round = self.machine.instructions.round;
        Ok(Some(match (builtin, operands) {
            (Builtin::Sqrt, _) => simple("llvm.sqrt")?,
            (Builtin::Fabs, _) => simple("llvm.fabs")?,
            (Builtin::Floor, _) if round => simple("llvm.floor")?,
            (Builtin::Ceil, _) if round => simple("llvm.ceil")?,
            (Builtin::Trunc, _) if round => simple("llvm.trunc")?,
            (Builtin::RoundEven, _) if round => simple("llvm.roundeven")?,
            (Builtin::Round, [x]) if round => self.half_away_from_zero(*x)?,
            (Builtin::Rsqrt, [x]) => {
                let root = self.round_to(dtype, simple("llvm.sqrt")?)?;
                self.ir.binary(Op::FDiv, self.float_like(*x, 1.0)?, root)?
            }
            (Builtin::Fdivide, [x, y]) => self.ir.binary(Op::FDiv, *x, *y)?,
            (Builtin::Fmin, [x, y]) => self.number_of(FloatPredicate::OLT, *x, *y)?,
            (Builtin::Fmax, [x, y]) => self.number_of(FloatPredicate::OGT, *x, *y)?,
            (Builtin::Copysign, [x, y]) => {
                let (x, y) = self.ir.same_lanes(*x, *y)?;
                self.ir.intrinsic("llvm.copysign", &[x.get_type()], &[x, y])?
            }
            (Builtin::Fdim, [x, y]) => {
                let difference = self.ir.binary(Op::FSub, *x, *y)?;
                let none = self.ir.compare_floats(FloatPredicate::OLE, *x, *y)?;
                self.ir.select(none, self.float_like(difference, 0.0)?, difference)?
            }
            _ => return Ok(None),
        }))
    }

    /// C's `round`: the distance to the whole number towards zero is exact, so it tells which side is nearer.
    fn half_away_from_zero(&self, x: Llvm<'c>) -> Result<Llvm<'c>> {
        let types = [x.get_type()];
        let whole = self.ir.intrinsic("llvm.trunc", &types, &[x])?;
        let distance = self.ir.intrinsic("llvm.fabs", &types, &[self.ir.binary(Op::FSub, x, whole)?])?;
        let far = self.ir.compare_floats(FloatPredicate::OGE, distance, self.float_like(x, 0.5)?)?;
        let one = self.ir.intrinsic("llvm.copysign", &types, &[self.float_like(x, 1.0)?, x])?;
        self.ir.select(far, self.ir.binary(Op::FAdd, whole, one)?, whole)
    }

    /// `a·b + c`. The short types go through `float64`, in which their products are exact.
    pub fn fused_multiply_add(&self, frame: &Frame<'c>, a: Typed<'c>, b: Typed<'c>, c: Typed<'c>) -> Result<Typed<'c>> {
        let dtype = a.dtype;
        match dtype {
            DType::F32 | DType::F64 => {
                let (x, y) = self.ir.same_lanes(a.llvm, b.expect(dtype)?.llvm)?;
                let (x, z) = self.ir.same_lanes(x, c.expect(dtype)?.llvm)?;
                let (y, z) = self.ir.same_lanes(y, z)?;
                let llvm = if self.machine.instructions.fma {
                    self.ir.intrinsic("llvm.fma", &[x.get_type()], &[x, y, z])?
                } else {
                    self.library(frame, "fma", dtype, &[x, y, z])?
                };
                Ok(Typed { llvm, dtype })
            }
            DType::F16 | DType::BF16 => {
                let wide = |e: Typed<'c>| self.cast(e, DType::F64);
                let sum = self.fused_multiply_add(frame, wide(a)?, wide(b)?, wide(c)?)?;
                self.cast(sum, dtype)
            }
            _ => Err(Error::Malformed(format!("a fused multiply-add of {dtype}"))),
        }
    }

    /// A function of the table in the context, lane by lane.
    pub fn library(&self, frame: &Frame<'c>, name: &str, dtype: DType, operands: &[Llvm<'c>]) -> Result<Llvm<'c>> {
        let double = dtype == DType::F64;
        let slot = runtime::math::slot(name, double)
            .filter(|_| matches!(frame.outside, Outside::Processor(_)))
            .ok_or_else(|| Error::Unsupported(format!("the function `{name}` on {dtype}")))?;
        let function = self.math_function(frame, slot)?;
        self.each_lane(operands, |operands| self.call_math(function, self.value_type(dtype), operands))
    }

    /// An integer constant in every lane of a value's type.
    fn like(&self, value: Llvm<'c>, constant: i128) -> Result<Llvm<'c>> {
        match element_type(value.get_type()) {
            BasicTypeEnum::IntType(_) => self.ir.int_like(value.get_type(), constant),
            _ => Err(Error::Malformed("an integer operation on something else".into())),
        }
    }

    /// A floating-point constant in every lane of a value's type.
    fn float_like(&self, value: Llvm<'c>, constant: f64) -> Result<Llvm<'c>> {
        match element_type(value.get_type()) {
            BasicTypeEnum::FloatType(_) => self.ir.float_like(value.get_type(), constant),
            _ => Err(Error::Malformed("a floating-point operation on something else".into())),
        }
    }
}

fn ordered(op: CmpOp) -> FloatPredicate {
    match op {
        CmpOp::Lt => FloatPredicate::OLT,
        CmpOp::Le => FloatPredicate::OLE,
        CmpOp::Gt => FloatPredicate::OGT,
        CmpOp::Ge => FloatPredicate::OGE,
        CmpOp::Eq => FloatPredicate::OEQ,
        CmpOp::Ne => FloatPredicate::UNE,
    }
}

fn unsigned(op: CmpOp) -> IntPredicate {
    match op {
        CmpOp::Lt => IntPredicate::ULT,
        CmpOp::Le => IntPredicate::ULE,
        CmpOp::Gt => IntPredicate::UGT,
        CmpOp::Ge => IntPredicate::UGE,
        CmpOp::Eq => IntPredicate::EQ,
        CmpOp::Ne => IntPredicate::NE,
    }
}
