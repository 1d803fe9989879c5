//! Blocks: registers whose lanes lie apart in memory, while the registers lie next to each other.
//!
//! ```text
//! memory          chunks of 4, rows 0, 4, 8, 12        interleaved twice: register 0 has column 0
//! row 0   a0 a1 a2 a3    a0 a1 a2 a3 | e0 e1 e2 e3 | …        a0 b0 c0 d0 | e0 f0 g0 h0 | …
//! row 1   b0 b1 b2 b3    b0 b1 b2 b3 | f0 f1 f2 f3 | …        a1 b1 c1 d1 | …
//! row 2   c0 c1 c2 c3    c0 c1 c2 c3 | …                      a2 b2 c2 d2 | …
//! row 3   d0 d1 d2 d3    d0 d1 d2 d3 | …                      a3 b3 c3 d3 | …
//! ```
//!
//! A row of the block is loaded in chunks of at most 16 bytes, which are put into 16-byte groups of registers as they
//! come from memory. Within each group a square is transposed by perfect shuffles: interleaving the first half of the
//! registers with the second, element by element, as often as halving a chunk leaves more than one element. Every shuffle
//! stays within groups of 16 bytes, where each machine has one instruction for it (`unpcklps`, `zip1`). After Stone,
//! Parallel Processing with the Perfect Shuffle (IEEE Transactions on Computers, 1971).

use inkwell::values::IntValue;
use polyhedral::TensorId;

use super::cpu::{Emitter, Frame};
use super::ir::{Llvm, lanes_of, vector_of};
use super::memory::{Element, Lanes};
use super::{Error, Result};
use crate::program::along_by;
use crate::{At, RegId};

/// Bytes of the groups that shuffles stay within.
const GROUP: u32 = 16;

impl<'c> Emitter<'c, '_> {
    /// An [`Op::LoadBlock`](crate::Op::LoadBlock).
    pub fn load_block(
        &self,
        frame: &mut Frame<'c>,
        regs: &[RegId],
        buffer: TensorId,
        at: &[At],
        along: usize,
    ) -> Result<()> {
        let first = *regs.first().ok_or_else(|| Error::Malformed("a block without registers".into()))?;
        let lanes = self.register(first)?.lanes;
        let stride = frame.memory(buffer)?.strides.get(along).and_then(|stride| stride.get_sign_extended_constant());
        let address = self.address(frame, buffer, at, lanes)?;
        match address.lanes {
            Lanes::Step(step) if stride == Some(1) && regs.len() > 1 => {
                let element = self.element(frame, buffer)?;
                let rows = self.lane_offsets(address.base, step, lanes)?;
                self.transposed(frame, regs, &element, &rows)
            }
            _ => (0i64..).zip(regs).try_for_each(|(distance, reg)| {
                let value = self.load(frame, buffer, &along_by(at, along, distance), None, lanes)?;
                self.put_in_register(frame, *reg, value.llvm)
            }),
        }
    }

    /// Register `n` gets element `n` of every row; there are two or more. The last chunk may overlap the one before.
    fn transposed(
        &self,
        frame: &mut Frame<'c>,
        regs: &[RegId],
        element: &Element<'c>,
        rows: &[IntValue<'c>],
    ) -> Result<()> {
        let count = u32::try_from(regs.len()).map_err(|_| Error::Unsupported("a block of so many".into()))?;
        let height = u32::try_from(rows.len()).map_or(GROUP, u32::next_power_of_two);
        let chunk = (1 << count.ilog2()).min(height).min((GROUP / element.dtype.bytes()).max(1));
        let mut done = 0;
        while done < count {
            let from = done.min(count - chunk);
            let columns = self.square(element, rows, from, chunk)?;
            for (column, value) in (from..).zip(columns).filter(|(column, _)| *column >= done) {
                let value = self.unpack(element.dtype, value)?;
                self.put_in_register(frame, regs[column as usize], value)?;
            }
            done = from + chunk;
        }
        Ok(())
    }

    /// Elements `from .. from + chunk` of every row, each as a vector over the rows; `chunk` is a power of two.
    fn square(&self, element: &Element<'c>, rows: &[IntValue<'c>], from: u32, chunk: u32) -> Result<Vec<Llvm<'c>>> {
        let mut registers = Vec::new();
        for first in 0..chunk as usize {
            let chunks = rows.iter().skip(first).step_by(chunk as usize).map(|row| {
                let offset = self.add(*row, self.ir.i64(from.into()))?;
                self.load_lanes(element, offset, chunk)
            });
            let chunks = chunks.collect::<Result<Vec<_>>>()?;
            let groups = rows.len().div_ceil(chunk as usize);
            let nothing = vector_of(self.memory_type(element.dtype), chunk).into_vector_type().get_poison();
            registers.push(self.concatenated(chunks, nothing.into(), groups.next_power_of_two())?);
        }
        for _ in 0..chunk.ilog2() {
            registers = self.interleaved(&registers, chunk)?;
        }
        registers.into_iter().map(|register| self.first_lanes(register, rows.len() as u32)).collect()
    }

    /// So many vectors one after the other, in pairs of pairs; `nothing` in the place of those that are missing.
    fn concatenated(&self, mut parts: Vec<Llvm<'c>>, nothing: Llvm<'c>, count: usize) -> Result<Llvm<'c>> {
        parts.resize(count, nothing);
        while parts.len() > 1 {
            let pairs = parts.chunks(2).map(|pair| match pair {
                [a, b] => self.ir.shuffle(*a, *b, 0..2 * lanes_of(*a)),
                _ => Err(Error::Malformed("an odd number of parts".into())),
            });
            parts = pairs.collect::<Result<_>>()?;
        }
        parts.pop().ok_or_else(|| Error::Malformed("a block without rows".into()))
    }

    /// One round of the perfect shuffle, within groups of `chunk` lanes: registers `2n` and `2n + 1` are the lower and the
    /// upper halves of the old `n` and of the one half the registers further, taken in turn.
    fn interleaved(&self, registers: &[Llvm<'c>], chunk: u32) -> Result<Vec<Llvm<'c>>> {
        let (low, high) = registers.split_at(registers.len() / 2);
        let mut all = Vec::with_capacity(registers.len());
        for (a, b) in low.iter().zip(high) {
            let lanes = lanes_of(*a);
            for half in [0, chunk / 2] {
                let lane = |lane: u32| {
                    let (group, within) = (lane / chunk * chunk, lane % chunk);
                    group + half + within / 2 + (within % 2) * lanes
                };
                all.push(self.ir.shuffle(*a, *b, (0..lanes).map(lane))?);
            }
        }
        Ok(all)
    }

    fn first_lanes(&self, value: Llvm<'c>, lanes: u32) -> Result<Llvm<'c>> {
        if lanes_of(value) == lanes { Ok(value) } else { self.ir.shuffle(value, value, 0..lanes) }
    }
}
