//! Checks of subscripts that are data, and what they report.

use std::mem::offset_of;
use std::num::NonZeroU32;

use inkwell::IntPredicate;
use inkwell::attributes::AttributeLoc;
use inkwell::types::BasicType;
use inkwell::values::{InstructionOpcode, IntValue, PointerValue};
use polyhedral::{DType, TensorId};
use runtime::abi;

use super::emitter::{Emitter, Frame, Outside};
use super::ir::{Llvm, lanes_of};
use super::{Error, Result};
use crate::checks::described;
use crate::{At, Int, Report, Value};

/// The fields of an [`Op::Check`].
#[derive(Clone, Copy)]
pub(super) struct Checked<'a> {
    pub buffer: TensorId,
    pub dim: usize,
    pub extent: &'a Int,
    pub value: &'a Value,
    pub lanes: u32,
    pub mask: Option<&'a Value>,
    pub report: &'a Report,
}

/// What a failed check says.
#[derive(Clone, Copy)]
pub(super) struct Failed<'c> {
    /// Of [`checks_of`].
    pub number: u32,
    /// These three have 64 bits.
    pub value: IntValue<'c>,
    pub lower: IntValue<'c>,
    pub extent: IntValue<'c>,
    /// The first lane outside, as a mask.
    pub lane: Llvm<'c>,
}

impl<'c> Emitter<'c, '_> {
    /// An [`Op::Check`]: reports the first lane that lies outside, and returns.
    pub fn check(&self, frame: &mut Frame<'c>, check: Checked<'_>) -> Result<()> {
        let extent = self.ir.value_of_index(self.int(frame, check.extent)?)?;
        let value = self.value(frame, check.value, check.lanes)?.expect(DType::I64)?.llvm;
        // As unsigned numbers the negative ones are the largest.
        let mut outside = self.ir.compare_ints(IntPredicate::UGE, value, extent.into())?;
        if let Some(mask) = check.mask {
            let mask = self.mask(frame, mask, check.lanes)?;
            outside = self.ir.binary(InstructionOpcode::And, outside, mask)?;
        }
        let any = self.ir.any(outside)?;
        let report = |frame: &mut Frame<'c>| -> Result<Failed<'c>> {
            let lane = self.first_lane(outside)?;
            let value = self.value_in(lane, value)?;
            let lower = self.ir.value_of_index(self.int(frame, &check.report.lower)?)?;
            Ok(Failed { number: self.number_of_check(check)?, value, lower, extent, lane })
        };
        match frame.outside {
            Outside::Processor(_) => self.return_if(frame, any, |frame| {
                let failed = report(frame)?;
                self.call_report(frame, check, failed)?;
                Ok(self.ir.i32(abi::STATUS_FAULT))
            }),
            Outside::Device(_) => self.skip_if(frame, any, |frame| {
                let failed = report(frame)?;
                self.write_report(frame, check, failed)
            }),
        }
    }

    fn number_of_check(&self, check: Checked<'_>) -> Result<u32> {
        let described = described(self.program, check.buffer, check.dim, check.report);
        let number = self.checks.iter().position(|one| *one == described);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| Error::Malformed("a check that the program does not have".into()))
    }

    /// The first lane of a mask that has one, alone: its lowest bit. In a few instructions for any number of lanes, since there
    /// is one of these for each subscript that is data.
    fn first_lane(&self, mask: Llvm<'c>) -> Result<Llvm<'c>> {
        if !matches!(mask, Llvm::VectorValue(_)) {
            return Ok(mask);
        }
        let lanes = NonZeroU32::new(lanes_of(mask)).ok_or("a vector without lanes");
        let all = lanes.and_then(|lanes| self.ir.context.custom_width_int_type(lanes));
        let all = all.map_err(|message| Error::Malformed(message.into()))?;
        let bits = self.ir.builder.build_bit_cast(mask, all, "")?.into_int_value();
        let lowest = self.ir.builder.build_and(bits, self.ir.builder.build_int_neg(bits, "")?, "")?;
        Ok(self.ir.builder.build_bit_cast(lowest, mask.get_type(), "")?)
    }

    /// The value in the only lane of the mask.
    fn value_in(&self, lane: Llvm<'c>, value: Llvm<'c>) -> Result<IntValue<'c>> {
        let Llvm::VectorValue(_) = value else { return Ok(value.into_int_value()) };
        if !matches!(lane, Llvm::VectorValue(_)) {
            return Ok(self.ir.extract(value, 0)?.into_int_value());
        }
        let others = self.ir.int_like(value.get_type(), 0)?;
        let alone = self.ir.select(lane, value, others)?;
        Ok(self.ir.intrinsic("llvm.vector.reduce.or", &[alone.get_type()], &[alone])?.into_int_value())
    }

    /// Fills in an [`abi::Fault`] and hands it over.
    fn call_report(&self, frame: &mut Frame<'c>, check: Checked<'_>, failed: Failed<'c>) -> Result<()> {
        let builder = &self.ir.builder;
        let fault = self.fault_slot(frame)?;
        let found_by = self.field(fault, size_of::<abi::Fault>())?;
        for (position, subscript) in self.subscripts(frame, check, failed.lane)?.into_iter().enumerate() {
            builder.build_store(self.field(found_by, size_of::<i64>() * position)?, subscript)?;
        }
        let fields: [(usize, IntValue<'c>); 5] = [
            (offset_of!(abi::Fault, code), self.ir.i32(abi::FAULT_SUBSCRIPT)),
            (offset_of!(abi::Fault, check), self.ir.i32(failed.number as i32)),
            (offset_of!(abi::Fault, value), failed.value),
            (offset_of!(abi::Fault, lower), failed.lower),
            (offset_of!(abi::Fault, extent), failed.extent),
        ];
        for (offset, field) in fields {
            builder.build_store(self.field(fault, offset)?, field)?;
        }
        builder.build_store(self.field(fault, offset_of!(abi::Fault, found_by))?, found_by)?;
        let context = frame.addresses()?.context;
        let report = self.read_pointer(context, offset_of!(abi::Context, report))?;
        let pointer = self.ir.pointer_type().into();
        let ty = self.ir.context.void_type().fn_type(&[pointer, pointer], false);
        let call = builder.build_indirect_call(ty, report, &[context.into(), fault.into()], "")?;
        call.add_attribute(AttributeLoc::Function, self.attribute("nounwind"));
        Ok(())
    }

    /// The subscripts of what the value was computed from, in the only lane of the mask.
    pub fn subscripts(&self, frame: &mut Frame<'c>, check: Checked<'_>, lane: Llvm<'c>) -> Result<Vec<IntValue<'c>>> {
        let all = check.report.found_by.iter().flat_map(|(_, at)| at);
        all.map(|at| self.subscript_in(frame, at, lane, check.lanes)).collect()
    }

    /// Room for a fault and the subscripts that it points to, as many as any check of the program has.
    fn fault_slot(&self, frame: &mut Frame<'c>) -> Result<PointerValue<'c>> {
        if let Some(fault) = frame.addresses()?.fault {
            return Ok(fault);
        }
        let subscripts = self.checks.iter().map(|check| check.found_by.iter().map(|(_, rank)| rank).sum::<usize>());
        let words = size_of::<abi::Fault>().div_ceil(size_of::<i64>()) + subscripts.max().unwrap_or(0);
        let fault = self.stack_slot(frame, self.ir.context.i64_type().array_type(words as u32).as_basic_type_enum())?;
        if let Outside::Processor(addresses) = &mut frame.outside {
            addresses.fault = Some(fault);
        }
        Ok(fault)
    }

    /// A subscript in the only lane of the mask.
    fn subscript_in(&self, frame: &mut Frame<'c>, at: &At, lane: Llvm<'c>, lanes: u32) -> Result<IntValue<'c>> {
        let value = match at {
            At::Affine { base, step } => &Value::Int { base: base.clone(), step: *step },
            At::Indirect(value) => &**value,
        };
        let value = self.value(frame, value, lanes)?.expect(DType::I64)?.llvm;
        self.value_in(lane, value)
    }
}
