//! The remainder of floats on devices, where there is no library to ask.

use inkwell::values::{InstructionOpcode as Op, IntValue};
use inkwell::{FloatPredicate, IntPredicate};
use polyhedral::DType;

use super::emitter::Emitter;
use super::ir::Llvm;
use super::{Error, Result};

/// What is known of a format: all bits, those of the fraction, and the exponent's bias.
struct Format {
    bits: u32,
    fraction: i64,
    bias: i64,
}

impl<'c> Emitter<'c, '_> {
    /// `a - trunc(a / b)·b` without rounding, as C's `fmod` of two floats.
    ///
    /// Long division of the integers before the exponents: the remainder takes in as many zeros at a time as 64 bits have room
    /// for, as often as the exponents are apart.
    pub fn float_remainder(&self, dtype: DType, a: Llvm<'c>, b: Llvm<'c>) -> Result<Llvm<'c>> {
        let format = match dtype {
            DType::F64 => Format { bits: 64, fraction: 52, bias: 1023 },
            _ => Format { bits: 32, fraction: 23, bias: 127 },
        };
        let ty = a.get_type();
        let [x, y] = [a, b].map(|float| self.ir.intrinsic("llvm.fabs", &[ty], &[float]));
        let (x, y) = (x?, y?);
        let ((dividend, from), (divisor, to)) = (self.taken_apart(&format, x)?, self.taken_apart(&format, y)?);
        // By 0 there is another value in the end, and a division all the same.
        let divisor = self.larger(divisor, 1)?;
        let apart = self.larger(self.ir.builder.build_int_nsw_sub(from, to, "")?, 0)?;
        let first = self.ir.builder.build_int_unsigned_rem(dividend, divisor, "")?;
        let remainder = self.with_zeros(&format, first, divisor, apart)?;
        let value = self.put_together(&format, dtype, remainder, to)?;
        let value = self.ir.intrinsic("llvm.copysign", &[ty], &[value, a])?;
        let value = self.ir.select(self.ir.compare_floats(FloatPredicate::OLT, x, y)?, a, value)?;
        self.number_or_none(a, b, value)
    }

    /// The value, but no number for what has none: of an infinity, by 0, and of what is no number itself.
    fn number_or_none(&self, a: Llvm<'c>, b: Llvm<'c>, value: Llvm<'c>) -> Result<Llvm<'c>> {
        let zero = self.ir.float_like(a.get_type(), 0.0)?;
        let is_finite = self.ir.compare_floats(FloatPredicate::OEQ, self.ir.binary(Op::FMul, a, zero)?, zero)?;
        // True for what is no number.
        let by_zero = self.ir.compare_floats(FloatPredicate::UEQ, b, zero)?;
        let by_something = self.ir.int_like(by_zero.get_type(), 1)?;
        let by_something = self.ir.binary(Op::Xor, by_zero, by_something)?;
        let product = self.ir.binary(Op::FMul, a, b)?;
        let none = self.ir.binary(Op::FDiv, product, product)?;
        self.ir.select(self.ir.binary(Op::And, is_finite, by_something)?, value, none)
    }

    /// A float that is not negative as an integer times a power of two: the integer, and the biased exponent, 1 for the smallest
    /// numbers too.
    fn taken_apart(&self, format: &Format, x: Llvm<'c>) -> Result<(IntValue<'c>, IntValue<'c>)> {
        let builder = &self.ir.builder;
        let bits = self.ir.cast(Op::BitCast, x, self.ir.int_type(format.bits))?;
        let bits = self.ir.cast(Op::ZExt, bits, self.ir.context.i64_type())?.into_int_value();
        let exponent = builder.build_right_shift(bits, self.ir.i64(format.fraction), false, "")?;
        let fraction = builder.build_and(bits, self.ir.i64((1 << format.fraction) - 1), "")?;
        let is_usual = builder.build_int_compare(IntPredicate::NE, exponent, self.ir.i64(0), "")?;
        let whole = builder.build_or(fraction, self.ir.i64(1 << format.fraction), "")?;
        let digits = self.ir.select(is_usual.into(), whole.into(), fraction.into())?.into_int_value();
        Ok((digits, self.larger(exponent, 1)?))
    }

    fn larger(&self, value: IntValue<'c>, least: i64) -> Result<IntValue<'c>> {
        let arguments = [value.into(), self.ir.i64(least).into()];
        Ok(self.ir.intrinsic("llvm.smax", &[value.get_type().into()], &arguments)?.into_int_value())
    }

    /// What is left of `remainder·2^apart`, by division.
    fn with_zeros(
        &self,
        format: &Format,
        remainder: IntValue<'c>,
        divisor: IntValue<'c>,
        apart: IntValue<'c>,
    ) -> Result<IntValue<'c>> {
        let (context, builder) = (self.ir.context, &self.ir.builder);
        let before = self.here()?;
        let test = context.insert_basic_block_after(before, "remainder");
        let step = context.insert_basic_block_after(test, "");
        let after = context.insert_basic_block_after(step, "");
        builder.build_unconditional_branch(test)?;
        builder.position_at_end(test);
        let int = context.i64_type();
        let (rest, left) = (builder.build_phi(int, "")?, builder.build_phi(int, "")?);
        let (so_far, zeros) = (rest.as_basic_value().into_int_value(), left.as_basic_value().into_int_value());
        let goes_on = builder.build_int_compare(IntPredicate::SGT, zeros, self.ir.i64(0), "")?;
        builder.build_conditional_branch(goes_on, step, after)?;
        builder.position_at_end(step);
        let room = self.ir.i64(63 - format.fraction);
        let now = self.ir.intrinsic("llvm.smin", &[int.into()], &[zeros.into(), room.into()])?.into_int_value();
        let longer = builder.build_left_shift(so_far, now, "")?;
        let next = builder.build_int_unsigned_rem(longer, divisor, "")?;
        let fewer = builder.build_int_nsw_sub(zeros, now, "")?;
        builder.build_unconditional_branch(test)?;
        rest.add_incoming(&[(&remainder, before), (&next, step)]);
        left.add_incoming(&[(&apart, before), (&fewer, step)]);
        builder.position_at_end(after);
        Ok(so_far)
    }

    /// An integer of as many bits as a fraction with its first has, times the power of two of a biased exponent.
    fn put_together(
        &self,
        format: &Format,
        dtype: DType,
        digits: IntValue<'c>,
        exponent: IntValue<'c>,
    ) -> Result<Llvm<'c>> {
        const BIAS: i64 = 1023;
        const FRACTION: i64 = 52;
        let (context, builder) = (self.ir.context, &self.ir.builder);
        let double = context.f64_type();
        // Of the power, from -1074 on: the smallest are single bits.
        let of_power = self.ir.i64(BIAS - format.bias - format.fraction);
        let exponent = builder.build_int_nsw_add(exponent, of_power, "")?;
        let usual = builder.build_left_shift(exponent, self.ir.i64(FRACTION), "")?;
        let bit = builder.build_int_nsw_add(exponent, self.ir.i64(FRACTION - 1), "")?;
        let bit = builder.build_and(bit, self.ir.i64(63), "")?;
        let small = builder.build_left_shift(self.ir.i64(1), bit, "")?;
        let is_usual = builder.build_int_compare(IntPredicate::SGT, exponent, self.ir.i64(0), "")?;
        let power = self.ir.select(is_usual.into(), usual.into(), small.into())?;
        let power = self.ir.cast(Op::BitCast, power, double)?;
        let digits = self.ir.cast(Op::UIToFP, digits.into(), double)?;
        let value = self.ir.binary(Op::FMul, digits, power)?;
        match dtype {
            DType::F64 => Ok(value),
            DType::F32 => self.ir.cast(Op::FPTrunc, value, context.f32_type()),
            _ => Err(Error::Malformed(format!("the remainder of {dtype}"))),
        }
    }
}
