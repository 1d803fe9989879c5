//! Stores, and those that go past the caches.
//!
//! A streamed buffer's vectors are stored with a hint that they are not read soon. On x86-64 such a store (`movntps`) must be
//! aligned, and callers promise the alignment of an element only. So the address decides while running, once for stores in a
//! row that are multiples of a vector apart:
//!
//! ```text
//! a multiple of the register's bytes    one streaming store for each register
//! a multiple of 16                      streaming stores of 16 bytes, which the processor gathers into lines
//! else                                  ordinary stores
//! ```
//!
//! Streaming stores of one thread become visible to others in any order: a fence ends each thread's part, and goes before the
//! threads of a parallel loop start.

use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};
use polyhedral::TensorId;

use super::emitter::{Emitter, Frame};
use super::ir::{Llvm, lanes_of};
use super::isa::Architecture;
use super::memory::Element;
use super::{Error, Result};
use crate::{At, Buffer, Int, Op, Stride, Value};

/// The least bytes that a streaming store has.
const LEAST: u32 = 16;
/// The most registers that wait for one test.
const TOGETHER: u32 = 16;

impl<'c> Emitter<'c, '_> {
    /// Stores a scalar, or lanes one after another.
    pub fn store_lanes(
        &self,
        frame: &Frame<'c>,
        element: &Element<'c>,
        offset: IntValue<'c>,
        value: Llvm<'c>,
    ) -> Result<()> {
        let pointer = self.ir.element(element.pointer, self.memory_type(element.dtype), offset)?;
        if self.may_stream(element.buffer, lanes_of(value)) {
            return self.stream(frame, element, &[(pointer, value)]);
        }
        self.store_at(element, pointer, value, Way::Cached)
    }

    fn may_stream(&self, buffer: TensorId, lanes: u32) -> bool {
        let row = self.program.buffers.get(buffer);
        let is_device = self.machine.architecture == Architecture::Nvptx;
        !is_device && row.is_some_and(|row| row.streamed && (lanes * row.dtype.bytes()).is_multiple_of(LEAST))
    }

    /// How many of the first ops store contiguous vectors to one streamed buffer, at addresses that are aligned alike, so
    /// that one test does for all. None of the values reads the buffer.
    pub fn streamed_together(&self, ops: &[Op]) -> usize {
        let Some(Op::Store { buffer, at: first, lanes, .. }) = ops.first() else { return 0 };
        if !self.may_stream(*buffer, *lanes) {
            return 0;
        }
        let row = &self.program.buffers[*buffer];
        let bytes = lanes * row.dtype.bytes();
        let most = (TOGETHER * self.machine.vector_bits / 8 / bytes).max(1) as usize;
        let joins = |op: &&Op| match op {
            Op::Store { buffer: to, at, lanes: also, value, mask: None } => {
                let apart = distance(row, first, at).map(|elements| elements * i64::from(row.dtype.bytes()));
                to == buffer
                    && also == lanes
                    && is_contiguous(row, at)
                    && apart.is_some_and(|apart| apart % i64::from(self.alignment_of(bytes)) == 0)
                    && !reads(value, *buffer)
            }
            _ => false,
        };
        ops.iter().take(most).take_while(joins).count()
    }

    /// Stores what [`Self::streamed_together`] has found.
    pub fn stream_together(&self, frame: &mut Frame<'c>, ops: &[Op]) -> Result<()> {
        let (mut stores, mut to) = (Vec::new(), None);
        for op in ops {
            let Op::Store { buffer, at, lanes, value, .. } = op else { continue };
            let element = self.element(frame, *buffer)?;
            let value = self.value(frame, value, *lanes)?.expect(element.dtype)?;
            let value = self.ir.splat(self.pack(value)?, *lanes)?;
            let offset = self.address(frame, *buffer, at, *lanes)?.base;
            stores.push((self.ir.element(element.pointer, self.memory_type(element.dtype), offset)?, value));
            to = Some(element);
        }
        to.map_or(Ok(()), |element| self.stream(frame, &element, &stores))
    }

    /// The alignment that streaming stores of so many bytes are best at: a power of two that divides them.
    fn alignment_of(&self, bytes: u32) -> u32 {
        (1 << bytes.trailing_zeros()).min(self.machine.vector_bits / 8).max(LEAST)
    }

    /// Vectors of one size, at addresses that are aligned alike.
    fn stream(&self, frame: &Frame<'c>, element: &Element<'c>, stores: &[(PointerValue<'c>, Llvm<'c>)]) -> Result<()> {
        let all = |this: &Self, way: Way| {
            stores.iter().try_for_each(|(pointer, value)| this.store_at(element, *pointer, *value, way))
        };
        let Some((first, value)) = stores.first() else { return Ok(()) };
        if self.machine.architecture != Architecture::X86 {
            return all(self, Way::Streamed(element.dtype.bytes()));
        }
        let widest = self.alignment_of(lanes_of(*value) * element.dtype.bytes());
        self.if_aligned(frame, *first, widest, |this, aligned| match aligned {
            true => all(this, Way::Streamed(widest)),
            false if widest == LEAST => all(this, Way::Cached),
            false => this.if_aligned(frame, *first, LEAST, |this, aligned| {
                all(this, if aligned { Way::Streamed(LEAST) } else { Way::Cached })
            }),
        })
    }

    fn if_aligned(
        &self,
        frame: &Frame<'c>,
        pointer: PointerValue<'c>,
        bytes: u32,
        store: impl Fn(&Self, bool) -> Result<()>,
    ) -> Result<()> {
        let address = self.ir.builder.build_ptr_to_int(pointer, self.ir.context.i64_type(), "")?;
        let beyond = self.ir.builder.build_and(address, self.ir.i64(i64::from(bytes) - 1), "")?;
        let aligned = self.ir.builder.build_int_compare(IntPredicate::EQ, beyond, self.ir.i64(0), "")?;
        self.either(frame, aligned, |this| store(this, true), |this| store(this, false))
    }

    fn store_at(&self, element: &Element<'c>, pointer: PointerValue<'c>, value: Llvm<'c>, way: Way) -> Result<()> {
        let store = self.ir.builder.build_store(pointer, value)?;
        self.describe_access(element, Some(store), true)?;
        if let Way::Streamed(alignment) = way {
            let refused = |error: &dyn std::fmt::Display| Error::Malformed(format!("LLVM's store: {error}"));
            store.set_alignment(alignment).map_err(|error| refused(&error))?;
            self.alias.describe_nontemporal(self.ir.context, store).map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    /// Waits until what this thread has streamed is where others see it.
    pub fn fence_streams(&self) -> Result<()> {
        let streams = self.program.buffers.values().any(|buffer| buffer.streamed);
        if streams && self.machine.architecture == Architecture::X86 {
            self.ir.call_intrinsic("llvm.x86.sse.sfence", &[], &[])?;
        }
        Ok(())
    }
}

/// How a vector is stored.
#[derive(Clone, Copy)]
enum Way {
    Cached,
    /// Past the caches, at an address that is a multiple of so many bytes.
    Streamed(u32),
}

/// Whether the lanes of an access lie one after another.
fn is_contiguous(row: &Buffer, at: &[At]) -> bool {
    row.strides.len() == at.len()
        && at.iter().zip(&row.strides).all(|(at, stride)| match at {
            At::Affine { step: 0, .. } => true,
            At::Affine { step: 1, .. } => *stride == Stride::Known(Int::Const(1)),
            _ => false,
        })
        && at.iter().any(|at| matches!(at, At::Affine { step: 1, .. }))
}

/// Elements from one access to another, when that is a constant.
fn distance(row: &Buffer, from: &[At], to: &[At]) -> Option<i64> {
    from.iter().zip(to).zip(&row.strides).try_fold(0i64, |sum, ((from, to), stride)| {
        let (At::Affine { base: from, .. }, At::Affine { base: to, .. }) = (from, to) else { return None };
        let apart = (to.clone() - from.clone()).as_const()?;
        match stride {
            Stride::Known(stride) if apart != 0 => sum.checked_add(apart.checked_mul(stride.as_const()?)?),
            Stride::Runtime if apart != 0 => None,
            _ => Some(sum),
        }
    })
}

fn reads(value: &Value, buffer: TensorId) -> bool {
    matches!(value, Value::Load { buffer: from, .. } if *from == buffer)
        || value.children().into_iter().any(|child| reads(child, buffer))
}
