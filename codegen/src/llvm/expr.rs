//! Values: a tree becomes instructions on scalars or on vectors with the lanes of the op.

use inkwell::types::BasicTypeEnum;
use polyhedral::{BinOp, DType};

use super::emitter::{Emitter, Frame};
use super::ir::{Llvm, lanes_of, vector_of};
use super::{Error, Result};
use crate::{Int, RegId, Value, combined_in};

/// A value and its type. One lane counts for all.
#[derive(Clone, Copy)]
pub(super) struct Typed<'c> {
    pub llvm: Llvm<'c>,
    pub dtype: DType,
}

impl<'c> Typed<'c> {
    /// Refuses a value of another type.
    pub fn expect(self, dtype: DType) -> Result<Typed<'c>> {
        if self.dtype == dtype {
            return Ok(self);
        }
        Err(Error::Malformed(format!("a value of type {} where {dtype} is expected", self.dtype)))
    }
}

impl<'c> Emitter<'c, '_> {
    /// The type that values of `dtype` have in registers: `bool` is one bit, the short floats are `float32`.
    pub fn value_type(&self, dtype: DType) -> BasicTypeEnum<'c> {
        match dtype {
            DType::F16 | DType::BF16 | DType::F32 => self.ir.context.f32_type().into(),
            DType::F64 => self.ir.context.f64_type().into(),
            _ => self.ir.int_type(dtype.bits()).into(),
        }
    }

    /// A value with one lane or with `lanes`.
    pub fn value(&self, frame: &mut Frame<'c>, value: &Value, lanes: u32) -> Result<Typed<'c>> {
        match value {
            Value::Const(constant, dtype) => self.constant(*constant, *dtype),
            Value::Int { base, step } => self.iota(frame, base, *step, lanes),
            Value::Load { buffer, at, mask } => {
                let mask = mask.as_ref().map(|mask| self.mask(frame, mask, lanes)).transpose()?;
                self.load(frame, *buffer, at, mask, lanes)
            }
            Value::Reg(reg) => self.get_register(frame, *reg, lanes),
            Value::Unary(op, e) => {
                let e = self.value(frame, e, lanes)?;
                self.unary(*op, e)
            }
            Value::Binary(op @ (BinOp::Min | BinOp::Max), a, b) => {
                // A number goes second, where nobody asks whether it is one.
                let (a, b) = if self.numbers.contains(a) { (b, a) } else { (a, b) };
                let is_number = self.numbers.contains(b);
                let (a, b) = (self.value(frame, a, lanes)?, self.value(frame, b, lanes)?);
                if is_number { self.better(*op, a, b) } else { self.binary(frame, *op, a, b) }
            }
            Value::Binary(op, a, b) => {
                let (a, b) = (self.value(frame, a, lanes)?, self.value(frame, b, lanes)?);
                self.binary(frame, *op, a, b)
            }
            Value::Compare(op, a, b) => {
                let (a, b) = (self.value(frame, a, lanes)?, self.value(frame, b, lanes)?);
                self.compare(*op, a, b)
            }
            Value::Select(condition, a, b) => {
                let condition = self.value(frame, condition, lanes)?.expect(DType::Bool)?;
                let a = self.value(frame, a, lanes)?;
                let b = self.value(frame, b, lanes)?.expect(a.dtype)?;
                Ok(Typed { llvm: self.ir.select(condition.llvm, a.llvm, b.llvm)?, dtype: a.dtype })
            }
            Value::Cast(dtype, e) => {
                let e = self.value(frame, e, lanes)?;
                self.cast(e, *dtype)
            }
            Value::Call(builtin, arguments) => {
                let arguments =
                    arguments.iter().map(|e| self.value(frame, e, lanes)).collect::<Result<Vec<Typed<'c>>>>()?;
                self.call(frame, *builtin, &arguments)
            }
            Value::MulAdd(a, b, c) => {
                let a = self.value(frame, a, lanes)?;
                let b = self.value(frame, b, lanes)?.expect(a.dtype)?;
                let c = self.value(frame, c, lanes)?.expect(a.dtype)?;
                self.fused_multiply_add(frame, a, b, c)
            }
            Value::Dot { sum, left, right } => self.dot(frame, sum, left, right, lanes),
            Value::Reduce { op, value, from, to } => {
                let is_best = matches!(op, BinOp::Min | BinOp::Max) && self.numbers.contains(value);
                let value = self.value(frame, value, *from)?;
                let all = Typed { llvm: self.ir.splat(value.llvm, *from)?, dtype: value.dtype };
                let combine = |a, b| if is_best { self.better(*op, a, b) } else { self.binary(frame, *op, a, b) };
                self.reduce(combine, all, *to)
            }
        }
    }

    /// Groups of lanes combined, in the order of [`combined_in`].
    fn reduce(
        &self,
        combine: impl Fn(Typed<'c>, Typed<'c>) -> Result<Typed<'c>>,
        value: Typed<'c>,
        to: u32,
    ) -> Result<Typed<'c>> {
        combined_in(lanes_of(value.llvm), to).iter().try_fold(value, |all, parts| {
            let part = |lanes: &Vec<u32>| Ok(Typed { llvm: self.ir.pick(all.llvm, lanes)?, dtype: all.dtype });
            let mut parts = parts.iter().map(part).collect::<Result<Vec<_>>>()?.into_iter();
            let first = parts.next().ok_or_else(|| Error::Malformed("nothing to reduce".into()))?;
            parts.try_fold(first, &combine)
        })
    }

    /// A `bool` value: an `i1` or a vector of them.
    pub fn mask(&self, frame: &mut Frame<'c>, mask: &Value, lanes: u32) -> Result<Llvm<'c>> {
        Ok(self.value(frame, mask, lanes)?.expect(DType::Bool)?.llvm)
    }

    fn constant(&self, constant: polyhedral::Value, dtype: DType) -> Result<Typed<'c>> {
        let ty = self.value_type(dtype);
        let llvm = match constant {
            polyhedral::Value::Int(value) if !dtype.is_float() => self.ir.int_like(ty, value)?,
            polyhedral::Value::Int(value) => return self.constant(polyhedral::Value::Float(value as f64), dtype),
            polyhedral::Value::Float(value) if dtype.is_float() => {
                let double = self.ir.float_like(self.value_type(DType::F64), value)?;
                return self.cast(Typed { llvm: double, dtype: DType::F64 }, dtype);
            }
            polyhedral::Value::Float(value) => {
                return Err(Error::Malformed(format!("the constant {value} of type {dtype}")));
            }
        };
        Ok(Typed { llvm, dtype })
    }

    /// `base + lane·step`.
    fn iota(&self, frame: &Frame<'c>, base: &Int, step: i64, lanes: u32) -> Result<Typed<'c>> {
        let base = self.ir.value_of_index(self.int(frame, base)?)?.into();
        let llvm = if step == 0 || lanes == 1 { base } else { self.ramp(base, self.ir.i64(step), lanes)?.into() };
        Ok(Typed { llvm, dtype: DType::I64 })
    }

    /// A register's value, of one lane or of `lanes`.
    pub fn get_register(&self, frame: &mut Frame<'c>, reg: RegId, lanes: u32) -> Result<Typed<'c>> {
        let row = self.register(reg)?;
        if row.lanes != 1 && row.lanes != lanes {
            return Err(Error::Malformed(format!("{reg} has {} lanes where {lanes} are expected", row.lanes)));
        }
        let slot = self.register_slot(frame, reg)?;
        let ty = vector_of(self.value_type(row.dtype), row.lanes);
        Ok(Typed { llvm: self.ir.builder.build_load(ty, slot, "")?, dtype: row.dtype })
    }

    /// Sets a register, all lanes.
    pub fn set_register(&self, frame: &mut Frame<'c>, reg: RegId, value: &Value) -> Result<()> {
        let row = self.register(reg)?;
        let value = self.value(frame, value, row.lanes)?.expect(row.dtype)?;
        self.put_in_register(frame, reg, value.llvm)
    }

    /// Sets a register to a value of its type, in one lane or all.
    pub fn put_in_register(&self, frame: &mut Frame<'c>, reg: RegId, value: Llvm<'c>) -> Result<()> {
        let value = self.ir.splat(value, self.register(reg)?.lanes)?;
        let slot = self.register_slot(frame, reg)?;
        self.ir.builder.build_store(slot, value)?;
        Ok(())
    }

    /// The lanes of a value as scalars, one result for each from `scalar`; a value without a vector among its operands stays one.
    pub fn each_lane(
        &self,
        operands: &[Llvm<'c>],
        mut scalar: impl FnMut(&[Llvm<'c>]) -> Result<Llvm<'c>>,
    ) -> Result<Llvm<'c>> {
        let lanes = operands.iter().map(|operand| lanes_of(*operand)).max().unwrap_or(1);
        let results = (0..lanes)
            .map(|lane| {
                let operands =
                    operands.iter().map(|operand| self.ir.extract(*operand, lane)).collect::<Result<Vec<_>>>()?;
                scalar(&operands)
            })
            .collect::<Result<Vec<_>>>()?;
        self.ir.gather(&results)
    }
}
