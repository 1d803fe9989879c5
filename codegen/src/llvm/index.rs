//! Integers and conditions: bounds, guards, addresses. All as wide as subscripts of the module are, and free of overflow in
//! a checked program.

use inkwell::IntPredicate;
use inkwell::values::IntValue;
use polyhedral::CmpOp;

use super::emitter::{Emitter, Frame};
use super::{Error, Result};
use crate::{Cond, Int};

impl<'c> Emitter<'c, '_> {
    /// The value of an integer expression.
    pub fn int(&self, frame: &Frame<'c>, int: &Int) -> Result<IntValue<'c>> {
        let builder = &self.ir.builder;
        Ok(match int {
            Int::Const(value) => self.ir.index(*value),
            Int::Var(var) => frame.var(*var)?,
            Int::Param(position) => frame.param(*position)?,
            Int::Add(a, b) => builder.build_int_nsw_add(self.int(frame, a)?, self.int(frame, b)?, "")?,
            Int::Mul(a, b) => builder.build_int_nsw_mul(self.int(frame, a)?, self.int(frame, b)?, "")?,
            Int::FloorDiv(e, c) => self.floor_div(self.int(frame, e)?, divisor(*c)?)?,
            Int::Mod(e, c) => self.modulo(self.int(frame, e)?, divisor(*c)?)?,
            Int::Min(a, b) => self.minmax("llvm.smin", self.int(frame, a)?, self.int(frame, b)?)?,
            Int::Max(a, b) => self.minmax("llvm.smax", self.int(frame, a)?, self.int(frame, b)?)?,
            Int::Select(cond, a, b) => {
                let (a, b) = (self.int(frame, a)?, self.int(frame, b)?);
                builder.build_select(self.cond(frame, cond)?, a, b, "")?.into_int_value()
            }
        })
    }

    /// The value of a condition, an `i1`.
    pub fn cond(&self, frame: &Frame<'c>, cond: &Cond) -> Result<IntValue<'c>> {
        let builder = &self.ir.builder;
        let bit = |value: bool| self.ir.context.bool_type().const_int(value as u64, false);
        match cond {
            Cond::Compare(op, a, b) => {
                let (a, b) = (self.int(frame, a)?, self.int(frame, b)?);
                Ok(builder.build_int_compare(signed(*op), a, b, "")?)
            }
            Cond::All(conds) => {
                conds.iter().try_fold(bit(true), |all, cond| Ok(builder.build_and(all, self.cond(frame, cond)?, "")?))
            }
            Cond::Any(conds) => {
                conds.iter().try_fold(bit(false), |any, cond| Ok(builder.build_or(any, self.cond(frame, cond)?, "")?))
            }
            Cond::Not(cond) => Ok(builder.build_not(self.cond(frame, cond)?, "")?),
        }
    }

    /// The smaller or larger of two, by the name of LLVM's intrinsic.
    pub fn minmax(&self, name: &str, a: IntValue<'c>, b: IntValue<'c>) -> Result<IntValue<'c>> {
        Ok(self.ir.intrinsic(name, &[a.get_type().into()], &[a.into(), b.into()])?.into_int_value())
    }

    /// `floor(e / c)` for `c ≥ 1`: a shift, or the quotient towards zero less one where the remainder is negative.
    fn floor_div(&self, e: IntValue<'c>, c: i64) -> Result<IntValue<'c>> {
        let builder = &self.ir.builder;
        if c & (c - 1) == 0 {
            return Ok(builder.build_right_shift(e, self.ir.index(c.trailing_zeros() as i64), true, "")?);
        }
        let quotient = builder.build_int_signed_div(e, self.ir.index(c), "")?;
        let remainder = builder.build_int_signed_rem(e, self.ir.index(c), "")?;
        let borrow = builder.build_right_shift(
            remainder,
            self.ir.index(i64::from(e.get_type().get_bit_width()) - 1),
            true,
            "",
        )?;
        Ok(builder.build_int_add(quotient, borrow, "")?)
    }

    /// `e mod c` for `c ≥ 1`, never negative.
    fn modulo(&self, e: IntValue<'c>, c: i64) -> Result<IntValue<'c>> {
        let builder = &self.ir.builder;
        if c & (c - 1) == 0 {
            return Ok(builder.build_and(e, self.ir.index(c - 1), "")?);
        }
        let remainder = builder.build_int_signed_rem(e, self.ir.index(c), "")?;
        let negative = builder.build_right_shift(
            remainder,
            self.ir.index(i64::from(e.get_type().get_bit_width()) - 1),
            true,
            "",
        )?;
        Ok(builder.build_int_add(remainder, builder.build_and(negative, self.ir.index(c), "")?, "")?)
    }
}

fn divisor(c: i64) -> Result<i64> {
    if c >= 1 { Ok(c) } else { Err(Error::Malformed(format!("division by the constant {c}"))) }
}

/// The comparison of signed integers.
pub(super) fn signed(op: CmpOp) -> IntPredicate {
    match op {
        CmpOp::Lt => IntPredicate::SLT,
        CmpOp::Le => IntPredicate::SLE,
        CmpOp::Gt => IntPredicate::SGT,
        CmpOp::Ge => IntPredicate::SGE,
        CmpOp::Eq => IntPredicate::EQ,
        CmpOp::Ne => IntPredicate::NE,
    }
}
