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
//! A row of the block is moved in chunks of at most 16 bytes, which are put into 16-byte groups of registers as they
//! come from memory. Within each group a square is transposed by perfect shuffles: interleaving the first half of the
//! registers with the second, element by element, as often as halving a chunk leaves more than one element. Every shuffle
//! stays within groups of 16 bytes, where each machine has one instruction for it (`unpcklps`, `zip1`). A store is the
//! same backwards. Where the rows are as long as the block has columns, and follow each other, the whole block is one run
//! of elements, and is stored as such. After Stone, Parallel Processing with the Perfect Shuffle (IEEE Transactions on Computers, 1971).

use std::ops::Range;

use inkwell::values::IntValue;
use polyhedral::{DType, TensorId};

use super::emitter::{Emitter, Frame};
use super::ir::{Llvm, lanes_of, vector_of};
use super::memory::{Element, Lanes};
use super::{Error, Result};
use crate::program::along_by;
use crate::{At, RegId, Value};

/// Bytes of the groups that shuffles stay within.
const GROUP: u32 = 16;
/// The most groups that are stored at once.
const JOINED: usize = 4;

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
        let Some(rows) = self.rows(frame, regs, buffer, at, along)? else {
            return (0i64..).zip(regs).try_for_each(|(distance, reg)| {
                let lanes = self.register(*reg)?.lanes;
                let value = self.load(frame, buffer, &along_by(at, along, distance), None, lanes)?;
                self.put_in_register(frame, *reg, value.llvm)
            });
        };
        let element = self.element(frame, buffer)?;
        for (from, chunk) in chunks(regs.len(), rows.len(), element.dtype) {
            let columns = self.load_square(&element, &rows, from, chunk)?;
            for (reg, value) in regs[from..].iter().zip(columns) {
                let value = self.unpack(element.dtype, value)?;
                self.put_in_register(frame, *reg, value)?;
            }
        }
        Ok(())
    }

    /// An [`Op::StoreBlock`](crate::Op::StoreBlock).
    pub fn store_block(
        &self,
        frame: &mut Frame<'c>,
        regs: &[RegId],
        buffer: TensorId,
        at: &[At],
        along: usize,
    ) -> Result<()> {
        if let Some(first) = self.run_of_rows(frame, regs, buffer, at, along)? {
            let element = self.element(frame, buffer)?;
            let columns = self.packed_registers(frame, regs, element.dtype)?;
            return self.store_lanes(frame, &element, first, self.merged(columns)?);
        }
        let Some(rows) = self.rows(frame, regs, buffer, at, along)? else {
            return (0i64..).zip(regs).try_for_each(|(distance, reg)| {
                let lanes = self.register(*reg)?.lanes;
                self.store(frame, buffer, &along_by(at, along, distance), lanes, &Value::Reg(*reg), None)
            });
        };
        let element = self.element(frame, buffer)?;
        let mut pieces = vec![Vec::new(); rows.len()];
        for (from, chunk) in chunks(regs.len(), rows.len(), element.dtype) {
            let columns = self.packed_registers(frame, &regs[from..from + chunk], element.dtype)?;
            let turned = self.turned(rows.len() as u32, columns)?;
            pieces.iter_mut().zip(turned).for_each(|(row, piece)| row.push((from, piece)));
        }
        for (row, pieces) in rows.iter().zip(pieces) {
            for (from, piece) in self.joined(pieces)? {
                self.store_lanes(frame, &element, self.add(*row, self.ir.index(from as i64))?, piece)?;
            }
        }
        Ok(())
    }

    /// What registers hold, as it lies in memory.
    fn packed_registers(&self, frame: &mut Frame<'c>, regs: &[RegId], dtype: DType) -> Result<Vec<Llvm<'c>>> {
        let packed = |reg: &RegId| {
            let lanes = self.register(*reg)?.lanes;
            let value = self.get_register(frame, *reg, lanes)?.expect(dtype)?;
            self.ir.splat(self.pack(value)?, lanes)
        };
        regs.iter().map(packed).collect()
    }

    /// Where a block begins whose rows follow each other without anything between them; none for others.
    fn run_of_rows(
        &self,
        frame: &mut Frame<'c>,
        regs: &[RegId],
        buffer: TensorId,
        at: &[At],
        along: usize,
    ) -> Result<Option<IntValue<'c>>> {
        let [first, _, ..] = regs else { return Ok(None) };
        let lanes = self.register(*first)?.lanes;
        let stride = frame.memory(buffer)?.strides.get(along).and_then(|stride| stride.get_sign_extended_constant());
        let address = self.address(frame, buffer, at, lanes)?;
        match address.lanes {
            Lanes::Step(step) if stride == Some(1) && regs.len().is_power_of_two() => {
                Ok((step.get_sign_extended_constant() == Some(regs.len() as i64)).then_some(address.base))
            }
            _ => Ok(None),
        }
    }

    /// The first lanes of all vectors, a power of two of them, then their second lanes, and so on: merged in pairs.
    fn merged(&self, mut parts: Vec<Llvm<'c>>) -> Result<Llvm<'c>> {
        while parts.len() > 1 {
            let (low, high) = parts.split_at(parts.len() / 2);
            let pairs = low.iter().zip(high).map(|(a, b)| {
                let lanes = lanes_of(*a);
                self.ir.shuffle(*a, *b, (0..2 * lanes).map(|lane| lane / 2 + lane % 2 * lanes))
            });
            parts = pairs.collect::<Result<_>>()?;
        }
        parts.pop().ok_or_else(|| Error::Malformed("a block without columns".into()))
    }

    /// Where the rows of a block begin, one for each lane; none for a block that is no transpose.
    fn rows(
        &self,
        frame: &mut Frame<'c>,
        regs: &[RegId],
        buffer: TensorId,
        at: &[At],
        along: usize,
    ) -> Result<Option<Vec<IntValue<'c>>>> {
        let [first, _, ..] = regs else { return Ok(None) };
        let lanes = self.register(*first)?.lanes;
        let stride = frame.memory(buffer)?.strides.get(along).and_then(|stride| stride.get_sign_extended_constant());
        let address = self.address(frame, buffer, at, lanes)?;
        match address.lanes {
            // Rows that lie so near to each other are loaded with all between them.
            Lanes::Step(step) if stride == Some(1) && !self.is_short(step, lanes) => {
                self.lane_offsets(address.base, step, lanes).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Elements `from .. from + chunk` of every row, each as a vector over the rows.
    fn load_square(
        &self,
        element: &Element<'c>,
        rows: &[IntValue<'c>],
        from: usize,
        chunk: usize,
    ) -> Result<Vec<Llvm<'c>>> {
        let mut registers = Vec::new();
        for first in 0..chunk {
            let chunks = rows.iter().skip(first).step_by(chunk).map(|row| {
                let offset = self.add(*row, self.ir.index(from as i64))?;
                self.load_lanes(element, offset, chunk as u32)
            });
            let chunks = chunks.collect::<Result<Vec<_>>>()?;
            let nothing = vector_of(self.memory_type(element.dtype), chunk as u32).into_vector_type().get_poison();
            let groups = rows.len().div_ceil(chunk).next_power_of_two();
            registers.push(self.concatenated(chunks, nothing.into(), groups)?);
        }
        let columns = self.transposed(registers)?;
        columns.into_iter().map(|column| self.lanes(column, 0..rows.len() as u32)).collect()
    }

    /// Vectors over so many rows, as one vector for each row.
    fn turned(&self, rows: u32, columns: Vec<Llvm<'c>>) -> Result<Vec<Llvm<'c>>> {
        let chunk = columns.len() as u32;
        let whole = rows.next_multiple_of(chunk);
        let columns = columns.into_iter().map(|column| self.lanes(column, 0..whole)).collect::<Result<_>>()?;
        let registers = self.transposed(columns)?;
        let row = |at: u32| {
            let (group, within) = (at / chunk * chunk, at % chunk);
            self.lanes(registers[within as usize], group..group + chunk)
        };
        (0..rows).map(row).collect()
    }

    /// Pieces of one row, each with its first column: those that follow each other as one, four or two at a time.
    fn joined(&self, pieces: Vec<(usize, Llvm<'c>)>) -> Result<Vec<(usize, Llvm<'c>)>> {
        let mut all = Vec::new();
        let follows = |a: &(usize, Llvm<'c>), b: &(usize, Llvm<'c>)| {
            a.0 + lanes_of(a.1) as usize == b.0 && lanes_of(a.1) == lanes_of(b.1)
        };
        for run in pieces.chunk_by(follows) {
            let mut run = run;
            while let Some((first, _)) = run.first() {
                let count = (1 << run.len().ilog2()).min(JOINED);
                let (now, rest) = run.split_at(count);
                let parts: Vec<Llvm<'c>> = now.iter().map(|(_, piece)| *piece).collect();
                let nothing = parts[0];
                all.push((*first, self.concatenated(parts, nothing, count)?));
                run = rest;
            }
        }
        Ok(all)
    }

    /// As many registers as a group has lanes, a power of two, with the square in each group transposed.
    fn transposed(&self, mut registers: Vec<Llvm<'c>>) -> Result<Vec<Llvm<'c>>> {
        for _ in 0..registers.len().ilog2() {
            registers = self.interleaved(&registers)?;
        }
        Ok(registers)
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

    /// One round of the perfect shuffle, within groups of as many lanes as there are registers: registers `2n` and `2n + 1` are the lower and the
    /// upper halves of the old `n` and of the one half the registers further, taken in turn.
    fn interleaved(&self, registers: &[Llvm<'c>]) -> Result<Vec<Llvm<'c>>> {
        let chunk = registers.len() as u32;
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

    /// These lanes; anything in the place of those that there are not.
    fn lanes(&self, value: Llvm<'c>, lanes: Range<u32>) -> Result<Llvm<'c>> {
        let have = lanes_of(value);
        if lanes == (0..have) {
            return Ok(value);
        }
        let Llvm::VectorValue(vector) = value else { return Ok(value) };
        self.ir.shuffle(value, vector.get_type().get_poison().into(), lanes.map(|lane| lane.min(have)))
    }
}

/// The chunks that the columns of a block are moved in, as their first columns and lengths, powers of two. The last may
/// overlap the one before.
fn chunks(columns: usize, rows: usize, dtype: DType) -> impl Iterator<Item = (usize, usize)> {
    let widest = (GROUP / dtype.bytes()).max(1) as usize;
    let chunk = (1 << columns.ilog2()).min(widest).min(rows.next_power_of_two());
    (0..columns).step_by(chunk).map(move |from| (from.min(columns - chunk), chunk))
}
