//! Copies that go on by themselves: `cp.async`, for devices from sm_80 on.

use inkwell::values::{IntValue, PointerValue};
use polyhedral::TensorId;

use super::emitter::{Emitter, Frame};
use super::memory::{Address, Lanes};
use super::{Error, Result};
use crate::At;

/// Bytes that one instruction copies, and which cache it goes through: 16 bytes may go past the first one, where what a block
/// copies once would only be in the way (PTX ISA, `cp.async`).
const COPIES: [(u32, &str); 3] = [(16, "cg"), (8, "ca"), (4, "ca")];

impl<'c> Emitter<'c, '_> {
    /// An [`Op::Copy`](crate::Op::Copy): as few instructions as what is known of the two addresses allows. Elements that are
    /// shorter than any of them, and not known to be neighbours at such addresses, are loaded and stored at once.
    pub fn copy(
        &self,
        frame: &mut Frame<'c>,
        (to, to_at): (TensorId, &[At]),
        (from, from_at): (TensorId, &[At]),
        lanes: u32,
    ) -> Result<()> {
        let (target, source) = (self.element(frame, to)?, self.element(frame, from)?);
        let addresses = [self.address(frame, to, to_at, lanes)?, self.address(frame, from, from_at, lanes)?];
        let bytes = source.dtype.bytes();
        let in_a_row = lanes == 1 || addresses.iter().all(|address| matches!(address.lanes, Lanes::Next));
        let (run, alignment) = match in_a_row {
            true => (lanes, self.alignment_at(frame, to, to_at)?.min(self.alignment_at(frame, from, from_at)?)),
            false => (1, bytes),
        };
        let fits = |(width, _): &&(u32, &str)| alignment.is_multiple_of(*width) && (run * bytes).is_multiple_of(*width);
        let instruction = COPIES.iter().find(fits);
        let together = instruction.map_or(1, |(width, _)| (width / bytes).max(1));
        let [to_offsets, from_offsets] = addresses.map(|address| self.offsets(&address, lanes));
        let pairs = to_offsets?.into_iter().zip(from_offsets?).step_by(together as usize);
        for (to_offset, from_offset) in pairs {
            let Some((width, cache)) = instruction else {
                let value = self.load_lanes(&source, from_offset, 1)?;
                self.store_lanes(frame, &target, to_offset, value)?;
                continue;
            };
            let scalar = self.memory_type(source.dtype);
            let to = self.ir.element(target.pointer, scalar, to_offset)?;
            let from = self.ir.element(source.pointer, scalar, from_offset)?;
            self.copy_bytes(to, from, &format!("cp.async.{cache}.shared.global [$0], [$1], {width};"))?;
        }
        Ok(())
    }

    /// LLVM 19 selects its intrinsics for such copies only where both addresses have one width, and ours have not: the
    /// instruction as text.
    fn copy_bytes(&self, to: PointerValue<'c>, from: PointerValue<'c>, text: &str) -> Result<()> {
        let (builder, context) = (&self.ir.builder, self.ir.context);
        let (short, long) = (context.i32_type(), context.i64_type());
        let ty = context.void_type().fn_type(&[short.into(), long.into()], false);
        let asm = context.create_inline_asm(ty, text.into(), "r,l,~{memory}".into(), true, false, None, false);
        let addresses = [builder.build_ptr_to_int(to, short, "")?, builder.build_ptr_to_int(from, long, "")?];
        builder.build_indirect_call(ty, asm, &addresses.map(Into::into), "")?;
        Ok(())
    }

    /// The element of each lane.
    fn offsets(&self, address: &Address<'c>, lanes: u32) -> Result<Vec<IntValue<'c>>> {
        match address.lanes {
            Lanes::Same => Ok(vec![address.base; lanes as usize]),
            Lanes::Next => self.lane_offsets(address.base, self.ir.index(1), lanes),
            Lanes::Previous => self.lane_offsets(address.base, self.ir.index(-1), lanes),
            Lanes::Step(step) => self.lane_offsets(address.base, step, lanes),
            Lanes::Each(_) => Err(Error::Malformed("a copy of elements that are found by data".into())),
        }
    }
}
