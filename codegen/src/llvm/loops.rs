//! Loops of kernels: how often they run, where that is known, and which of them are unrolled.

use polyhedral::TensorId;

use super::Result;
use super::emitter::{Emitter, Frame, Outside};
use super::nvptx::{ALIGNMENT, Kernel};
use crate::{At, Int, Op, Stride, Value, VarId};

/// How a loop is unrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unrolling {
    /// All iterations, one after the other.
    Whole,
    /// So many at once, and not more.
    By(u32),
}

/// As many iterations at most are unrolled as a whole, and so large they are together, in operations of lanes.
const SHORT: i64 = 16;
const SMALL: usize = 4096;

/// From so many iterations on a loop is unrolled by [`AT_ONCE`].
const LONG: i64 = 32;
const AT_ONCE: u32 = 4;

impl<'c> Emitter<'c, '_> {
    /// A loop of a kernel. Where it is known how often all threads run it, LLVM is told by the loop's form: a number counts
    /// from 0 on.
    pub fn kernel_loop(
        &self,
        frame: &mut Frame<'c>,
        var: VarId,
        [lower, upper, step]: [&Int; 3],
        body: &[Op],
    ) -> Result<()> {
        let kernel = frame.kernel()?;
        let (count, around) = (kernel.iterations(lower, upper, step), kernel.loops);
        let multiple = gcd(kernel.multiple(lower), kernel.multiple(step));
        frame.kernel()?.multiples.insert(var, multiple);
        let (first, by) = (self.int(frame, lower)?, self.int(frame, step)?);
        if matches!(count, Some(0 | 1)) {
            return if count == Some(0) { Ok(()) } else { self.with_var(frame, var, first, body) };
        }
        frame.kernel()?.loops += 1;
        let name = self.program.vars.get(var).map_or("", |var| var.name.as_str());
        let branch = match count {
            None => {
                let bounds = (first, self.int(frame, upper)?, by);
                self.repeated(frame, name, bounds, |this, frame, value| this.with_var(frame, var, value, body))?
            }
            Some(count) => {
                let bounds = (self.ir.index(0), self.ir.index(count), self.ir.index(1));
                self.repeated(frame, name, bounds, |this, frame, number| {
                    let distance = this.ir.builder.build_int_nsw_mul(number, by, "")?;
                    let value = this.ir.builder.build_int_nsw_add(first, distance, "")?;
                    this.with_var(frame, var, value, body)
                })?
            }
        };
        frame.kernel()?.loops = around;
        if let Some(unrolling) = count.and_then(|count| self.unrolling(around, count, body)) {
            self.ir.unroll(branch, unrolling);
        }
        Ok(())
    }

    /// How an innermost loop of a kernel is unrolled here; none leaves it to the assembler.
    ///
    /// What is short becomes one run of instructions, so that loads of neighbouring elements are one and products need not
    /// wait for them. The assembler unrolls the whole of loops that run a few hundred times, too, and takes what their
    /// iterations load out of the loops around, where it stays the same: into more registers than there are. So those are
    /// unrolled less.
    fn unrolling(&self, around: usize, count: i64, body: &[Op]) -> Option<Unrolling> {
        if body.iter().any(|op| matches!(op, Op::For { .. })) {
            return None;
        }
        // Several iterations' checks are together already (`gpu/gathers.rs`), and each that fails has much to say.
        if body.iter().any(|op| matches!(op, Op::Check { .. })) {
            return Some(Unrolling::By(1));
        }
        if count <= SHORT && self.size(body).saturating_mul(count as usize) <= SMALL {
            return Some(Unrolling::Whole);
        }
        (count > LONG && around > 0).then_some(Unrolling::By(AT_ONCE))
    }

    /// Operations of lanes.
    fn size(&self, ops: &[Op]) -> usize {
        let of = |op: &Op| match op {
            Op::Store { value, lanes, .. } => *lanes as usize * operations(value),
            Op::Set { reg, value } => {
                self.program.regs.get(*reg).map_or(1, |reg| reg.lanes) as usize * operations(value)
            }
            Op::For { body, .. } | Op::Local { body, .. } => self.size(body),
            Op::If { then, otherwise, .. } => 1 + self.size(then) + self.size(otherwise),
            Op::LoadBlock { regs, .. } | Op::StoreBlock { regs, .. } => regs.len(),
            Op::Copy { lanes, .. } => *lanes as usize,
            Op::Check { .. }
            | Op::Prefetch { .. }
            | Op::Barrier
            | Op::Wait
            | Op::Combine { .. }
            | Op::Atomic { .. }
            | Op::Launch(_) => 1,
        };
        ops.iter().map(of).sum()
    }

    /// Bytes of which the address of an access' first lane is known to be a multiple.
    pub fn alignment_at(&self, frame: &Frame<'c>, buffer: TensorId, at: &[At]) -> Result<u32> {
        let row = self.buffer(buffer)?;
        let element = row.dtype.bytes();
        let Outside::Device(kernel) = &frame.outside else { return Ok(element) };
        if !row.is_aligned() {
            return Ok(element);
        }
        let elements = at.iter().zip(&row.strides).map(|(at, stride)| {
            let stride = match stride {
                Stride::Known(stride) => kernel.multiple(stride),
                Stride::Runtime => unreachable!("only others get here"),
            };
            let base = match at {
                At::Affine { base, .. } => kernel.multiple(base),
                At::Indirect(_) => 1,
            };
            base.saturating_mul(stride)
        });
        let all = elements.fold(0, gcd).saturating_mul(element.into());
        Ok(u32::try_from(gcd(all, ALIGNMENT.into())).unwrap_or(element).max(element))
    }
}

impl Kernel<'_> {
    /// How often all threads run a loop, where that is known: its length is, or it hands a multiple of the block's threads
    /// out to them.
    fn iterations(&self, lower: &Int, upper: &Int, step: &Int) -> Option<i64> {
        let step = step.as_const().filter(|step| *step >= 1)?;
        if let Some(length) = (upper.clone() - lower.clone()).as_const() {
            return Some(length.max(0) / step + i64::from(length.max(0) % step > 0));
        }
        let Int::Var(var) = lower else { return None };
        let is_dealt = self.block.contains(&(*var, step));
        upper.as_const().filter(|upper| is_dealt && *upper >= 0 && upper % step == 0).map(|upper| upper / step)
    }

    /// A number that an integer is known to be a multiple of; 0 only for one that is 0.
    fn multiple(&self, int: &Int) -> i64 {
        match int {
            Int::Const(value) => value.checked_abs().unwrap_or(1),
            Int::Var(var) => self.multiples.get(var).copied().unwrap_or(1),
            Int::Param(_) => 1,
            Int::Add(a, b) | Int::Min(a, b) | Int::Max(a, b) | Int::Select(_, a, b) => {
                gcd(self.multiple(a), self.multiple(b))
            }
            Int::Mul(a, b) => self.multiple(a).checked_mul(self.multiple(b)).unwrap_or(1),
            Int::FloorDiv(e, by) => match self.multiple(e) {
                multiple if multiple % by.max(&1) == 0 => multiple / by.max(&1),
                _ => 1,
            },
            Int::Mod(e, by) => gcd(self.multiple(e), *by),
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

fn operations(value: &Value) -> usize {
    1 + value.children().into_iter().map(operations).sum::<usize>()
}
