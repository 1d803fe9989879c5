//! Elements that lie anywhere, one for each lane.
//!
//! The widest machines gather words of 32 bits by 32-bit subscripts, sixteen at once; subscripts of 64 bits take twice
//! as many registers, and bytes they do not gather at all: LLVM fetches those lane by lane. So subscripts are shortened
//! where the buffer is small enough, and a short element is cut out of the word that holds it.

use inkwell::values::{BasicValue, InstructionOpcode as Op, VectorValue};

use super::Result;
use super::emitter::Emitter;
use super::ir::{Llvm, lanes_of};
use super::memory::Element;
use crate::{Buffer, Stride};

/// Bits of a vector register from which on a machine gathers words as one instruction.
const GATHERS: u32 = 512;
/// Bytes of a gathered word.
const WORD: i64 = 4;

impl<'c> Emitter<'c, '_> {
    /// The elements at `offsets` in the lanes that the mask keeps, 0 in the others.
    pub fn gather(
        &self,
        element: &Element<'c>,
        offsets: VectorValue<'c>,
        mask: Option<Llvm<'c>>,
        lanes: u32,
    ) -> Result<Llvm<'c>> {
        let known = elements_known(self.buffer(element.buffer)?);
        let bytes = i64::from(element.dtype.bytes());
        let short = known.filter(|elements| elements.checked_mul(bytes).is_some_and(|all| all <= i64::from(i32::MAX)));
        let Some(elements) = short else { return self.gather_words(element, offsets.into(), mask, lanes) };
        let offsets = self.ir.cast(Op::Trunc, offsets.into(), self.ir.context.i32_type())?;
        if bytes < WORD && elements * bytes >= WORD && self.machine.vector_bits >= GATHERS {
            return self.gather_short(element, offsets, mask, elements);
        }
        self.gather_words(element, offsets, mask, lanes)
    }

    fn gather_words(
        &self,
        element: &Element<'c>,
        offsets: Llvm<'c>,
        mask: Option<Llvm<'c>>,
        lanes: u32,
    ) -> Result<Llvm<'c>> {
        let memory = self.memory_type(element.dtype);
        let pointers = self.ir.elements(element.pointer, memory, offsets.into_vector_value())?;
        self.gather_at(element, pointers, self.zero(element.dtype, lanes), mask)
    }

    /// Elements of one or two bytes, cut out of words. The word begins at the element, or so far before it that it ends
    /// with the buffer: nothing outside is touched.
    fn gather_short(
        &self,
        element: &Element<'c>,
        offsets: Llvm<'c>,
        mask: Option<Llvm<'c>>,
        elements: i64,
    ) -> Result<Llvm<'c>> {
        let bytes = i64::from(element.dtype.bytes());
        let ty = offsets.get_type();
        let last = self.ir.int_like(ty, i128::from(elements - WORD / bytes))?;
        let word = self.ir.intrinsic("llvm.umin", &[ty], &[offsets, last])?;
        let pointers = self.ir.elements(element.pointer, self.memory_type(element.dtype), word.into_vector_value())?;
        let zeros = self.ir.int_like(ty, 0)?;
        let words = self.gather_at(element, pointers, zeros, mask)?;
        let skipped = self.ir.binary(Op::Sub, offsets, word)?;
        let bits = self.ir.binary(Op::Shl, skipped, self.ir.int_like(ty, 3 + i128::from(bytes / 2))?)?;
        // A lane that the mask drops may have any subscript, but must not shift by it.
        let bits = match mask {
            Some(_) => self.ir.binary(Op::And, bits, self.ir.int_like(ty, i128::from(8 * WORD - 1))?)?,
            None => bits,
        };
        let first = self.ir.binary(Op::LShr, words, bits)?;
        self.ir.cast(Op::Trunc, first, self.memory_type(element.dtype))
    }

    /// LLVM's gather; lanes that the mask drops are as in `otherwise`.
    fn gather_at(
        &self,
        element: &Element<'c>,
        pointers: Llvm<'c>,
        otherwise: Llvm<'c>,
        mask: Option<Llvm<'c>>,
    ) -> Result<Llvm<'c>> {
        let mask = self.lane_mask(mask, lanes_of(otherwise))?;
        let arguments = [pointers, self.alignment(element), mask, otherwise];
        let types = [otherwise.get_type(), pointers.get_type()];
        let value = self.ir.intrinsic("llvm.masked.gather", &types, &arguments)?;
        self.describe_access(element, value.as_instruction_value(), false)?;
        Ok(value)
    }
}

/// Elements from a buffer's first to its last, where extents and strides are known.
fn elements_known(buffer: &Buffer) -> Option<i64> {
    let mut last = 0i64;
    for (extent, stride) in buffer.extent.iter().zip(&buffer.strides) {
        let Stride::Known(stride) = stride else { return None };
        let steps = extent.as_const()?.checked_sub(1).filter(|&steps| steps >= 0)?;
        last = last.checked_add(steps.checked_mul(stride.as_const().filter(|&stride| stride >= 0)?)?)?;
    }
    last.checked_add(1)
}
