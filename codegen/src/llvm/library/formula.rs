//! Expressions over the sizes of a call, in 64 bits: what a person multiplies on paper must not wrap around here.

use inkwell::IntPredicate;
use inkwell::values::IntValue;
use runtime::Formula;

use super::super::{Error, Result};
use super::glue::Glue;

/// The value of an expression, and whether it is none because a step overflowed.
#[derive(Clone, Copy)]
pub(super) struct Checked<'c> {
    pub value: IntValue<'c>,
    pub overflow: IntValue<'c>,
}

impl<'c> Glue<'c, '_> {
    /// As [`Formula::value`]: an overflow counts wherever it is, also in what is not chosen.
    pub fn formula(&self, formula: &Formula, sizes: &[IntValue<'c>]) -> Result<Checked<'c>> {
        let go = |part: &Formula| self.formula(part, sizes);
        match formula {
            Formula::Const(value) => Ok(self.sure(self.ir.i64(*value))),
            Formula::Size(name) => {
                let at = self.library.sizes.iter().position(|size| size == name);
                let size = at.and_then(|at| sizes.get(at));
                Ok(self.sure(*size.ok_or_else(|| Error::Malformed(format!("there is no size `{name}`")))?))
            }
            Formula::Add(a, b) => self.with_overflow("llvm.sadd.with.overflow", go(a)?, go(b)?),
            Formula::Mul(a, b) => self.with_overflow("llvm.smul.with.overflow", go(a)?, go(b)?),
            Formula::FloorDiv(a, c) => {
                let Checked { value, overflow } = go(a)?;
                let (quotient, rest) = self.divided(value, *c)?;
                let is_below = self.compare(IntPredicate::SLT, rest, self.ir.i64(0))?;
                let less = self.ir.builder.build_int_sub(quotient, self.ir.i64(1), "")?;
                Ok(Checked { value: self.select(is_below, less, quotient)?, overflow })
            }
            Formula::Mod(a, c) => {
                let Checked { value, overflow } = go(a)?;
                let (_, rest) = self.divided(value, *c)?;
                let is_below = self.compare(IntPredicate::SLT, rest, self.ir.i64(0))?;
                let more = self.ir.builder.build_int_add(rest, self.ir.i64(*c), "")?;
                Ok(Checked { value: self.select(is_below, more, rest)?, overflow })
            }
            Formula::Min(a, b) => self.chosen(IntPredicate::SLE, go(a)?, go(b)?),
            Formula::Max(a, b) => self.chosen(IntPredicate::SGE, go(a)?, go(b)?),
            Formula::Select(test, a, b) => {
                let (test, a, b) = (go(test)?, go(a)?, go(b)?);
                let first = self.compare(IntPredicate::SGE, test.value, self.ir.i64(0))?;
                let overflow = self.or(test.overflow, self.or(a.overflow, b.overflow)?)?;
                Ok(Checked { value: self.select(first, a.value, b.value)?, overflow })
            }
        }
    }

    /// A value that is there.
    pub fn sure(&self, value: IntValue<'c>) -> Checked<'c> {
        Checked { value, overflow: self.bool(false) }
    }

    /// The sum, difference or product.
    pub fn with_overflow(&self, intrinsic: &str, a: Checked<'c>, b: Checked<'c>) -> Result<Checked<'c>> {
        let ty = self.ir.context.i64_type().into();
        let pair = self.ir.intrinsic(intrinsic, &[ty], &[a.value.into(), b.value.into()])?.into_struct_value();
        let value = self.ir.builder.build_extract_value(pair, 0, "")?.into_int_value();
        let now = self.ir.builder.build_extract_value(pair, 1, "")?.into_int_value();
        Ok(Checked { value, overflow: self.or(now, self.or(a.overflow, b.overflow)?)? })
    }

    /// The quotient rounded to zero, and what is left.
    fn divided(&self, value: IntValue<'c>, by: i64) -> Result<(IntValue<'c>, IntValue<'c>)> {
        if by < 1 {
            return Err(Error::Malformed(format!("a division by {by}")));
        }
        let by = self.ir.i64(by);
        let quotient = self.ir.builder.build_int_signed_div(value, by, "")?;
        Ok((quotient, self.ir.builder.build_int_signed_rem(value, by, "")?))
    }

    fn chosen(&self, how: IntPredicate, a: Checked<'c>, b: Checked<'c>) -> Result<Checked<'c>> {
        let first = self.compare(how, a.value, b.value)?;
        Ok(Checked { value: self.select(first, a.value, b.value)?, overflow: self.or(a.overflow, b.overflow)? })
    }
}
