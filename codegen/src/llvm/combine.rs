//! What threads of a block combine: by shuffles within a warp, and through shared memory between warps.
//!
//! ```text
//! up to 32 threads that follow each other     butterflies of shuffles
//! whole warps                                 the same in each warp; the first thread of each leaves its warp's value in shared
//!                                             memory, and after a barrier every warp combines what all have left
//! other threads                               a tree in shared memory, a barrier for each round
//! ```
//!
//! The order is that of [`threads_combined_in`] in each case.

use inkwell::module::Linkage;
use inkwell::types::BasicType;
use inkwell::values::{InstructionOpcode as Op, IntValue, PointerValue};
use inkwell::{AddressSpace, IntPredicate};
use polyhedral::DType;

use super::emitter::{Emitter, Frame};
use super::expr::Typed;
use super::ir::{Llvm, element_type};
use super::nvptx::SHARED;
use super::{Error, Result};
use crate::{Combining, RegId, VarId, WARP, threads_combined_in};

/// The registers that are combined, and how.
type What<'a> = (&'a [RegId], &'a Combining);

/// Threads of a block that are combined, as this one sees them.
struct Group<'c> {
    /// How many there are.
    threads: u32,
    /// The number of this thread among them.
    number: IntValue<'c>,
    /// How many such groups a block has, and the number of this thread's.
    groups: u32,
    group: IntValue<'c>,
    /// Whether they can shuffle: they are whole warps, or divide one.
    shuffle: bool,
    /// The threads of a warp that there are, as bits.
    mask: u32,
}

impl<'c> Emitter<'c, '_> {
    /// An [`Op::Combine`](crate::Op::Combine).
    pub fn combine(&self, frame: &mut Frame<'c>, what: What<'_>, threads: &[VarId]) -> Result<()> {
        let group = self.group(frame, threads)?;
        let values = what.0.iter().map(|reg| self.get_register(frame, *reg, 1)).collect::<Result<Vec<_>>>()?;
        let combined = match group.shuffle {
            true if group.threads <= WARP => self.in_warp(frame, what, values, group.threads, group.mask)?,
            true => self.in_warps(frame, what, values, &group)?,
            false => self.in_memory(frame, what, values, &group)?,
        };
        what.0.iter().zip(combined).try_for_each(|(reg, value)| self.put_in_register(frame, *reg, value.llvm))
    }

    /// What this thread and another one have, combined.
    fn both(
        &self,
        frame: &mut Frame<'c>,
        (regs, by): What<'_>,
        own: &[Typed<'c>],
        other: &[Typed<'c>],
    ) -> Result<Vec<Typed<'c>>> {
        match by {
            Combining::Operator(op) => own.iter().zip(other).map(|(a, b)| self.binary(frame, *op, *a, *b)).collect(),
            Combining::Values { others, values } => {
                for (reg, value) in regs.iter().chain(others).zip(own.iter().chain(other)) {
                    self.put_in_register(frame, *reg, value.llvm)?;
                }
                values.iter().zip(own).map(|(value, own)| self.value(frame, value, 1)?.expect(own.dtype)).collect()
            }
        }
    }

    fn group(&self, frame: &mut Frame<'c>, threads: &[VarId]) -> Result<Group<'c>> {
        let axes: Vec<(VarId, i64)> = frame.kernel()?.block.iter().copied().filter(|(_, length)| *length > 1).collect();
        let is_own = |(var, _): &&(VarId, i64)| threads.contains(var);
        let (own, others): (Vec<_>, Vec<_>) = axes.iter().partition(is_own);
        let ((number, threads), (group, groups)) = (self.linear(frame, &own)?, self.linear(frame, &others)?);
        let all = threads.saturating_mul(groups);
        // Threads that are combined follow each other where their axes are the first.
        let follow = axes.starts_with(&own.into_iter().copied().collect::<Vec<_>>());
        let divides =
            all.is_multiple_of(WARP) && (threads.is_multiple_of(WARP) || threads < WARP && threads.is_power_of_two());
        let alone = all < WARP && threads.is_power_of_two();
        let mask = if all < WARP { (1 << all) - 1 } else { u32::MAX };
        Ok(Group { threads, number, groups, group, shuffle: follow && (divides || alone), mask })
    }

    /// The number of a thread along some axes, x fastest, and how many there are.
    fn linear(&self, frame: &Frame<'c>, axes: &[&(VarId, i64)]) -> Result<(IntValue<'c>, u32)> {
        let start = (self.ir.index(0), 1u32);
        axes.iter().try_fold(start, |(number, length), (var, threads)| {
            let own = self.ir.builder.build_int_nsw_mul(frame.var(*var)?, self.ir.index(length.into()), "")?;
            let threads = u32::try_from(*threads).map_err(|_| Error::Malformed(format!("{threads} threads")))?;
            Ok((self.add(number, own)?, length.saturating_mul(threads)))
        })
    }

    /// Threads that follow each other in a warp, a power of two of them.
    fn in_warp(
        &self,
        frame: &mut Frame<'c>,
        what: What<'_>,
        values: Vec<Typed<'c>>,
        threads: u32,
        mask: u32,
    ) -> Result<Vec<Typed<'c>>> {
        threads_combined_in(threads).into_iter().try_fold(values, |values, distance| {
            let others =
                values.iter().map(|value| self.shuffled(*value, distance, mask)).collect::<Result<Vec<_>>>()?;
            self.both(frame, what, &values, &others)
        })
    }

    /// What the thread whose number differs in one bit has.
    fn shuffled(&self, value: Typed<'c>, distance: u32, mask: u32) -> Result<Typed<'c>> {
        const LAST_LANE: i32 = 31;
        let shuffle = |word: Llvm<'c>| {
            let arguments = [mask as i32, distance as i32, LAST_LANE].map(|number| Llvm::from(self.ir.i32(number)));
            let [mask, distance, last] = arguments;
            self.ir.intrinsic("llvm.nvvm.shfl.sync.bfly.i32", &[], &[mask, word, distance, last])
        };
        let (ty, bits) = (value.llvm.get_type(), value.dtype.bits().max(1));
        let is_float = value.dtype.is_float();
        let width = if is_float { bits.max(32) } else { bits };
        let int = self.ir.int_type(width);
        let whole = if is_float { self.ir.cast(Op::BitCast, value.llvm, int)? } else { value.llvm };
        let word = self.ir.context.i32_type();
        let other = match width {
            64 => {
                let half = self.ir.int_like(int.into(), 32)?;
                let high = shuffle(self.ir.cast(Op::Trunc, self.ir.binary(Op::LShr, whole, half)?, word)?)?;
                let low = shuffle(self.ir.cast(Op::Trunc, whole, word)?)?;
                let high = self.ir.binary(Op::Shl, self.ir.cast(Op::ZExt, high, int)?, half)?;
                self.ir.binary(Op::Or, high, self.ir.cast(Op::ZExt, low, int)?)?
            }
            32 => shuffle(whole)?,
            _ => {
                let wide = shuffle(self.ir.cast(Op::ZExt, whole, word)?)?;
                self.ir.cast(Op::Trunc, wide, element_type(ty))?
            }
        };
        let llvm = if is_float { self.ir.cast(Op::BitCast, other, ty)? } else { other };
        Ok(Typed { llvm, dtype: value.dtype })
    }

    /// Whole warps.
    fn in_warps(
        &self,
        frame: &mut Frame<'c>,
        what: What<'_>,
        values: Vec<Typed<'c>>,
        group: &Group<'c>,
    ) -> Result<Vec<Typed<'c>>> {
        let builder = &self.ir.builder;
        let values = self.in_warp(frame, what, values, WARP, group.mask)?;
        let warps = group.threads / WARP;
        let parts = self.all_parts(frame, &values, warps, group)?;
        let lane = builder.build_and(group.number, self.ir.index(i64::from(WARP) - 1), "")?;
        let warp = builder.build_int_unsigned_div(group.number, self.ir.index(WARP.into()), "")?;
        let is_first = builder.build_int_compare(IntPredicate::EQ, lane, self.ir.index(0), "")?;
        self.run_if(frame, is_first, |this| this.put_parts(&parts, warp, &values))?;
        self.barrier()?;
        let of_warps = self.ir.index(warps.into());
        let is_part = builder.build_int_compare(IntPredicate::ULT, lane, of_warps, "")?;
        let mut left = Vec::new();
        for (value, parts) in values.iter().zip(&parts) {
            let dtype = value.dtype;
            let llvm = self.value_if(frame, is_part, value.llvm, |this| Ok(this.part(*parts, lane, dtype)?.llvm))?;
            left.push(Typed { llvm, dtype });
        }
        if warps.is_power_of_two() {
            return self.in_warp(frame, what, left, warps, u32::MAX);
        }
        for distance in threads_combined_in(warps) {
            let others =
                left.iter().map(|value| self.shuffled(*value, distance, u32::MAX)).collect::<Result<Vec<_>>>()?;
            let both = self.both(frame, what, &left, &others)?;
            let other = builder.build_xor(lane, self.ir.index(distance.into()), "")?;
            let is_there = builder.build_int_compare(IntPredicate::ULT, other, of_warps, "")?;
            for (value, both) in left.iter_mut().zip(both) {
                value.llvm = self.ir.select(is_there.into(), both.llvm, value.llvm)?;
            }
        }
        Ok(left)
    }

    /// Any threads.
    fn in_memory(
        &self,
        frame: &mut Frame<'c>,
        what: What<'_>,
        values: Vec<Typed<'c>>,
        group: &Group<'c>,
    ) -> Result<Vec<Typed<'c>>> {
        let builder = &self.ir.builder;
        let (parts, number, function) =
            (self.all_parts(frame, &values, group.threads, group)?, group.number, frame.function);
        let part = |this: &Self, at: IntValue<'c>| -> Result<Vec<Typed<'c>>> {
            parts.iter().zip(&values).map(|(parts, value)| this.part(*parts, at, value.dtype)).collect()
        };
        self.put_parts(&parts, number, &values)?;
        self.barrier()?;
        for distance in threads_combined_in(group.threads) {
            let distance = self.ir.index(distance.into());
            let other = self.add(number, distance)?;
            let bit = builder.build_and(number, distance, "")?;
            let is_lower = builder.build_int_compare(IntPredicate::EQ, bit, self.ir.index(0), "")?;
            let is_there =
                builder.build_int_compare(IntPredicate::ULT, other, self.ir.index(group.threads.into()), "")?;
            let takes = builder.build_and(is_lower, is_there, "")?;
            self.run_if_in(function, takes, |this| {
                let (mine, theirs) = (part(this, number)?, part(this, other)?);
                let both = this.both(frame, what, &mine, &theirs)?;
                this.put_parts(&parts, number, &both)
            })?;
            self.barrier()?;
        }
        part(self, self.ir.index(0))
    }

    /// Shared memory for so many of the values of each group: for each value where this group's begin. In a loop the threads
    /// first wait for those that still read what the last round left.
    fn all_parts(
        &self,
        frame: &mut Frame<'c>,
        values: &[Typed<'c>],
        count: u32,
        group: &Group<'c>,
    ) -> Result<Vec<PointerValue<'c>>> {
        if frame.kernel()?.loops > 0 {
            self.barrier()?;
        }
        values.iter().map(|value| self.parts(frame, value.dtype, count, group)).collect()
    }

    /// The same for one of the values.
    fn parts(&self, frame: &Frame<'c>, dtype: DType, count: u32, group: &Group<'c>) -> Result<PointerValue<'c>> {
        let ty = self.memory_type(dtype);
        let array = ty.array_type(count.saturating_mul(group.groups));
        let name = format!("{}_parts", frame.function.get_name().to_string_lossy());
        let global = self.ir.module.add_global(array, Some(AddressSpace::from(SHARED)), &name);
        global.set_linkage(Linkage::Internal);
        global.set_initializer(&array.get_undef());
        let first = self.ir.builder.build_int_nsw_mul(group.group, self.ir.index(count.into()), "")?;
        self.ir.element(global.as_pointer_value(), ty, first)
    }

    fn put_parts(&self, parts: &[PointerValue<'c>], at: IntValue<'c>, values: &[Typed<'c>]) -> Result<()> {
        parts.iter().zip(values).try_for_each(|(parts, value)| self.put_part(*parts, at, *value))
    }

    fn put_part(&self, parts: PointerValue<'c>, at: IntValue<'c>, value: Typed<'c>) -> Result<()> {
        let pointer = self.ir.element(parts, self.memory_type(value.dtype), at)?;
        self.ir.builder.build_store(pointer, self.pack(value)?)?;
        Ok(())
    }

    fn part(&self, parts: PointerValue<'c>, at: IntValue<'c>, dtype: DType) -> Result<Typed<'c>> {
        let ty = self.memory_type(dtype);
        let bits = self.ir.builder.build_load(ty, self.ir.element(parts, ty, at)?, "")?;
        Ok(Typed { llvm: self.unpack(dtype, bits)?, dtype })
    }
}
