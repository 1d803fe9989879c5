//! Updates of one element that nothing comes in between.
//!
//! ```text
//! sums, integers, bits     one instruction of the memory: atom.add, atom.min, …
//! anything else            compare and exchange, again until no other thread was in between
//! ```
//!
//! An update orders nothing else, and nobody waits for it. As `atomicAdd` and its kin of the CUDA C++ Programming Guide, whose
//! example of a sum of doubles is the loop.

use inkwell::AtomicOrdering;
use inkwell::values::{InstructionOpcode as Op, PointerValue};
use polyhedral::{BinOp, DType, TensorId};

use super::Result;
use super::emitter::{Emitter, Frame};
use super::expr::Typed;
use super::ir::Update;
use crate::{At, RegId};

impl<'c> Emitter<'c, '_> {
    /// An [`Op::Atomic`](crate::Op::Atomic).
    pub fn atomic(&self, frame: &mut Frame<'c>, (buffer, at): (TensorId, &[At]), op: BinOp, reg: RegId) -> Result<()> {
        let element = self.element(frame, buffer)?;
        let address = self.address(frame, buffer, at, 1)?;
        let value = self.get_register(frame, reg, 1)?.expect(element.dtype)?;
        let pointer = self.ir.element(element.pointer, self.memory_type(element.dtype), address.base)?;
        match in_memory(op, element.dtype) {
            Some(update) => {
                self.ir.update(update, pointer, value.llvm);
                Ok(())
            }
            None => self.exchanged(frame, pointer, op, value),
        }
    }

    /// An update of an element that is computed here, and tried until the element was still what it was computed from.
    fn exchanged(&self, frame: &Frame<'c>, pointer: PointerValue<'c>, op: BinOp, by: Typed<'c>) -> Result<()> {
        let (builder, ty) = (&self.ir.builder, by.llvm.get_type());
        let bits = self.ir.int_type(by.dtype.bits());
        let first = builder.build_load(bits, pointer, "")?;
        let (before, again) = (self.here()?, self.ir.context.append_basic_block(frame.function, ""));
        let after = self.ir.context.append_basic_block(frame.function, "");
        builder.build_unconditional_branch(again)?;
        builder.position_at_end(again);
        let old = builder.build_phi(bits, "")?;
        let element = Typed { llvm: self.ir.cast(Op::BitCast, old.as_basic_value(), ty)?, dtype: by.dtype };
        let new = self.binary(frame, op, element, by)?;
        let new = self.ir.cast(Op::BitCast, new.llvm, bits)?.into_int_value();
        let relaxed = AtomicOrdering::Monotonic;
        let expected = old.as_basic_value().into_int_value();
        let exchange = builder.build_cmpxchg(pointer, expected, new, relaxed, relaxed)?;
        let found = builder.build_extract_value(exchange, 0, "")?;
        let is_done = builder.build_extract_value(exchange, 1, "")?.into_int_value();
        old.add_incoming(&[(&first, before), (&found, self.here()?)]);
        builder.build_conditional_branch(is_done, after, again)?;
        builder.position_at_end(after);
        Ok(())
    }
}

/// What the memory does by itself.
fn in_memory(op: BinOp, dtype: DType) -> Option<Update> {
    Some(match op {
        BinOp::Add if dtype.is_float() => Update::FAdd,
        _ if dtype.is_float() => return None,
        BinOp::Add => Update::Add,
        BinOp::Min if dtype.is_signed() => Update::Min,
        BinOp::Max if dtype.is_signed() => Update::Max,
        BinOp::Min => Update::UMin,
        BinOp::Max => Update::UMax,
        BinOp::BitAnd => Update::And,
        BinOp::BitOr => Update::Or,
        BinOp::BitXor => Update::Xor,
        _ => return None,
    })
}
