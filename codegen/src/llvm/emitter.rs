//! What functions of a program have in common, on processors and on devices: ops, loops, registers, memory of their own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use inkwell::IntPredicate;
use inkwell::attributes::Attribute;
use inkwell::basic_block::BasicBlock;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{BasicValue, FunctionValue, InstructionValue, IntValue, PointerValue};
use polyhedral::{Memory as MemoryKind, TensorId};
use runtime::{Check, abi};
use support::Entity;

use super::alias::Alias;
use super::check::Checked;
use super::cpu::Addresses;
use super::ir::{Ir, Llvm, vector_of};
use super::lines::Lines;
use super::nvptx::Kernel;
use super::object::Machine;
use super::{Error, Result};
use crate::numbers::Numbers;
use crate::verify::has_meeting;
use crate::{Buffer, Int, Op, Place, Program, Reg, RegId, Stride, VarId};

/// Two registers of bytes on the widest machine. LLVM takes an access lane by lane apart where the machine has no better
/// way, and its time grows with the square of the lanes: a masked gather of 1024 takes minutes.
const MAX_LANES: u32 = 128;

/// What the emission of all functions shares.
pub(super) struct Emitter<'c, 'p> {
    pub ir: Ir<'c>,
    pub machine: &'p Machine,
    pub alias: Alias<'c>,
    /// The steps of formulas that the module has so far.
    pub formula_steps: Cell<usize>,
    /// What is never NaN.
    pub numbers: Numbers,
    pub program: &'p Program,
    /// The checks of the program, by number.
    pub checks: Vec<Check>,
    /// The functions of the context's table that are called.
    pub math: RefCell<BTreeSet<usize>>,
    /// What says which lines of the program's text instructions are of, where a report asks.
    pub lines: Option<Lines<'c>>,
}

/// What belongs to one function.
pub(super) struct Frame<'c> {
    pub function: FunctionValue<'c>,
    /// Ends when the function is complete, so that stack slots can be added to it.
    pub entry: BasicBlock<'c>,
    pub outside: Outside<'c>,
    /// By position; those that a kernel does not use it is not handed.
    pub params: Vec<Option<IntValue<'c>>>,
    /// By buffer; one of the stack has none outside of its [`Op::Local`].
    pub memory: Vec<Option<Memory<'c>>>,
    pub vars: Vec<Option<IntValue<'c>>>,
    pub registers: Vec<Option<PointerValue<'c>>>,
}

/// What a function meets the outside with.
pub(super) enum Outside<'c> {
    /// What the run time hands to a function of a processor.
    Processor(Addresses<'c>),
    /// What a kernel of a device keeps of its own.
    Device(Kernel<'c>),
}

/// A buffer's address and strides, in elements.
#[derive(Clone)]
pub(super) struct Memory<'c> {
    pub pointer: PointerValue<'c>,
    pub strides: Vec<IntValue<'c>>,
}

impl<'c> Frame<'c> {
    /// A frame whose parameters and memory are still to be filled in.
    pub fn new(program: &Program, function: FunctionValue<'c>, entry: BasicBlock<'c>, outside: Outside<'c>) -> Self {
        let (params, memory) = (Vec::new(), Vec::new());
        let (vars, registers) = (vec![None; program.vars.len()], vec![None; program.regs.len()]);
        Frame { function, entry, outside, params, memory, vars, registers }
    }

    /// The run time's addresses, which only functions of processors have.
    pub fn addresses(&self) -> Result<&Addresses<'c>> {
        match &self.outside {
            Outside::Processor(addresses) => Ok(addresses),
            Outside::Device(_) => Err(Error::Malformed("a kernel of a device has no run time to call".into())),
        }
    }

    /// What only kernels of devices have.
    pub fn kernel(&mut self) -> Result<&mut Kernel<'c>> {
        match &mut self.outside {
            Outside::Device(kernel) => Ok(kernel),
            Outside::Processor(_) => Err(Error::Malformed("kernels do not run on a processor's threads".into())),
        }
    }

    pub fn var(&self, var: VarId) -> Result<IntValue<'c>> {
        let bound = self.vars.get(var.index()).copied().flatten();
        bound.ok_or_else(|| Error::Malformed(format!("{var} is read outside its loop")))
    }

    pub fn param(&self, position: usize) -> Result<IntValue<'c>> {
        let value = self.params.get(position).copied().flatten();
        value.ok_or_else(|| Error::Malformed(format!("there is no parameter {position}")))
    }

    pub fn memory(&self, buffer: TensorId) -> Result<&Memory<'c>> {
        let memory = self.memory.get(buffer.index()).and_then(Option::as_ref);
        memory.ok_or_else(|| Error::Malformed(format!("the buffer {buffer} has no memory here")))
    }
}
impl<'c> Emitter<'c, '_> {
    pub fn attribute(&self, name: &str) -> Attribute {
        self.ir.context.create_enum_attribute(Attribute::get_named_enum_kind_id(name), 0)
    }

    /// Makes the entry block and goes there.
    pub fn begin(&self, function: FunctionValue<'c>) -> BasicBlock<'c> {
        let entry = self.ir.context.append_basic_block(function, "entry");
        self.ir.builder.position_at_end(entry);
        self.ir.builder.unset_current_debug_location();
        entry
    }

    /// Memory of the kernel's own, whose strides nobody gives.
    pub fn own_memory(&self, frame: &Frame<'c>, buffer: &Buffer, pointer: PointerValue<'c>) -> Result<Memory<'c>> {
        let strides = buffer.strides.iter().map(|stride| match stride {
            Stride::Known(stride) => self.int(frame, stride),
            Stride::Runtime => Err(Error::Malformed(format!("nobody gives `{}` its strides", buffer.name))),
        });
        Ok(Memory { pointer, strides: strides.collect::<Result<_>>()? })
    }

    /// An [`Op::Local`]: room in the frame of the function, which each run of the body begins with anything in.
    fn local(&self, frame: &mut Frame<'c>, buffer: TensorId, body: &[Op]) -> Result<()> {
        let row = self.buffer(buffer)?;
        if let Place::Workspace(_) = row.place {
            return self.ops(frame, body);
        }
        let bytes = row.constant_bytes().and_then(|bytes| u32::try_from(bytes).ok());
        let bytes = bytes.filter(|&bytes| i64::from(bytes) <= MemoryKind::STACK_BYTES);
        let bytes = bytes.ok_or_else(|| Error::Malformed(format!("`{}` is too large for the stack", row.name)))?;
        let slot = self.stack_slot(frame, self.ir.context.i8_type().array_type(bytes).into())?;
        let described = slot.as_instruction_value().map(|slot| slot.set_alignment(abi::ALIGNMENT as u32));
        described.transpose().map_err(|error| Error::Malformed(error.to_string()))?;
        let memory = self.own_memory(frame, row, slot)?;
        let outside = frame.memory[buffer.index()].replace(memory);
        self.lifetime("llvm.lifetime.start", slot, bytes)?;
        self.ops(frame, body)?;
        self.lifetime("llvm.lifetime.end", slot, bytes)?;
        frame.memory[buffer.index()] = outside;
        Ok(())
    }

    fn lifetime(&self, intrinsic: &str, slot: PointerValue<'c>, bytes: u32) -> Result<()> {
        let arguments = [self.ir.i64(bytes.into()).into(), slot.into()];
        self.ir.call_intrinsic(intrinsic, &[slot.get_type().into()], &arguments).map(drop)
    }

    pub fn buffer(&self, buffer: TensorId) -> Result<&Buffer> {
        self.program.buffers.get(buffer).ok_or_else(|| Error::Malformed(format!("there is no buffer {buffer}")))
    }

    pub fn register(&self, reg: RegId) -> Result<&Reg> {
        let row = self.program.regs.get(reg);
        let row = row.ok_or_else(|| Error::Malformed(format!("there is no register {reg}")))?;
        check_lanes(row.lanes)?;
        Ok(row)
    }

    /// A register's place on the stack, until LLVM finds a better one.
    pub fn register_slot(&self, frame: &mut Frame<'c>, reg: RegId) -> Result<PointerValue<'c>> {
        if let Some(slot) = frame.registers[reg.index()] {
            return Ok(slot);
        }
        let row = self.register(reg)?;
        let slot = self.stack_slot(frame, vector_of(self.value_type(row.dtype), row.lanes))?;
        frame.registers[reg.index()] = Some(slot);
        Ok(slot)
    }

    /// Room on the stack for the length of the call.
    pub fn stack_slot(&self, frame: &Frame<'c>, ty: BasicTypeEnum<'c>) -> Result<PointerValue<'c>> {
        let here = self.here()?;
        self.ir.builder.position_at_end(frame.entry);
        let slot = self.ir.builder.build_alloca(ty, "")?;
        self.ir.builder.position_at_end(here);
        Ok(slot)
    }

    pub fn here(&self) -> Result<BasicBlock<'c>> {
        self.ir.builder.get_insert_block().ok_or_else(|| Error::Malformed("the builder is nowhere".into()))
    }

    /// Ops in their order. In a kernel of a device, what a failed check leaves out ends before the next barrier.
    pub fn ops(&self, frame: &mut Frame<'c>, ops: &[Op]) -> Result<()> {
        let check = ops.iter().position(|op| matches!(op, Op::Check { .. }));
        let (Some(first), Outside::Device(_)) = (check, &frame.outside) else { return self.plain_ops(frame, ops) };
        let with_barrier = |op: &Op| has_meeting(std::slice::from_ref(op));
        let end = ops[first..].iter().position(with_barrier).map_or(ops.len(), |distance| first + distance);
        self.plain_ops(frame, &ops[..first])?;
        self.until_checks_fail(frame, |this, frame| this.plain_ops(frame, &ops[first..end]))?;
        self.ops(frame, &ops[end..])
    }

    fn plain_ops(&self, frame: &mut Frame<'c>, ops: &[Op]) -> Result<()> {
        let mut rest = ops;
        while let [op, after @ ..] = rest {
            match self.streamed_together(rest) {
                0 | 1 => {
                    self.on_its_line(frame, op, |this, frame| this.op(frame, op))?;
                    rest = after;
                }
                count => {
                    self.on_its_line(frame, op, |this, frame| this.stream_together(frame, &rest[..count]))?;
                    rest = &rest[count..];
                }
            }
        }
        Ok(())
    }

    fn op(&self, frame: &mut Frame<'c>, op: &Op) -> Result<()> {
        match op {
            Op::For { var, lower, upper, step, parallel, body } => {
                if let Some(step @ ..1) = step.as_const() {
                    return Err(Error::Malformed(format!("the loop of {var}, step {step}")));
                }
                if frame.vars.get(var.index()).is_none() {
                    return Err(Error::Malformed(format!("the loop of {var}, which there is not")));
                }
                if !parallel && matches!(frame.outside, Outside::Device(_)) {
                    return self.kernel_loop(frame, *var, [lower, upper, step], body);
                }
                let (lower, upper) = (self.int(frame, lower)?, self.int(frame, upper)?);
                if *parallel {
                    return self.parallel_loop(frame, *var, (lower, upper, step), body);
                }
                self.counted_loop(frame, *var, (lower, upper, step), body)
            }
            Op::If { cond, then, otherwise } => {
                let cond = self.cond(frame, cond)?;
                self.branch(frame, cond, then, otherwise)
            }
            Op::Store { buffer, at, lanes, value, mask } => {
                check_lanes(*lanes)?;
                self.store(frame, *buffer, at, *lanes, value, mask.as_ref())
            }
            Op::Set { reg, value } => self.set_register(frame, *reg, value),
            Op::Check { buffer, dim, extent, value, lanes, mask, report } => {
                check_lanes(*lanes)?;
                let (buffer, dim, lanes, mask) = (*buffer, *dim, *lanes, mask.as_ref());
                self.check(frame, Checked { buffer, dim, extent, value, lanes, mask, report })
            }
            Op::Local { buffer, body } => self.local(frame, *buffer, body),
            // A hint, for caches that devices fill themselves.
            Op::Prefetch { .. } if matches!(frame.outside, Outside::Device(_)) => Ok(()),
            Op::Prefetch { buffer, at, lanes } => {
                check_lanes(*lanes)?;
                self.prefetch(frame, *buffer, at, *lanes)
            }
            Op::LoadBlock { regs, buffer, at, along } => self.load_block(frame, regs, *buffer, at, *along),
            Op::StoreBlock { regs, buffer, at, along } => self.store_block(frame, regs, *buffer, at, *along),
            Op::Barrier => frame.kernel().and_then(|_| self.barrier()),
            Op::Wait => frame.kernel().and_then(|_| self.wait()),
            Op::Copy { to, to_at, from, from_at, lanes } => {
                check_lanes(*lanes)?;
                frame.kernel()?;
                self.copy(frame, (*to, to_at), (*from, from_at), *lanes)
            }
            Op::Combine { regs, by, threads } => self.combine(frame, (regs, by), threads),
            Op::Atomic { buffer, at, op, reg } => {
                frame.kernel()?;
                self.atomic(frame, (*buffer, at), *op, *reg)
            }
            Op::Launch(_) => Err(Error::Malformed("a kernel inside of a kernel, or on a processor's threads".into())),
        }
    }

    /// `if (lower < upper) do { body; var += step } while (var < upper)`: the shape that LLVM's passes want.
    pub fn counted_loop(
        &self,
        frame: &mut Frame<'c>,
        var: VarId,
        (lower, upper, step): (IntValue<'c>, IntValue<'c>, &Int),
        body: &[Op],
    ) -> Result<()> {
        if let (Some(first), Some(end)) = (lower.get_sign_extended_constant(), upper.get_sign_extended_constant()) {
            if first >= end {
                return Ok(());
            }
            if step.as_const().is_some_and(|step| first.checked_add(step).is_none_or(|second| second >= end)) {
                return self.with_var(frame, var, lower, body);
            }
        }
        let (step, name) = (self.int(frame, step)?, self.program.vars.get(var).map_or("", |var| var.name.as_str()));
        self.repeated(frame, name, (lower, upper, step), |this, frame, value| this.with_var(frame, var, value, body))?;
        Ok(())
    }

    /// A loop around what is made for each value; the branch to the next iteration.
    pub fn repeated(
        &self,
        frame: &mut Frame<'c>,
        name: &str,
        (lower, upper, step): (IntValue<'c>, IntValue<'c>, IntValue<'c>),
        body: impl FnOnce(&Self, &mut Frame<'c>, IntValue<'c>) -> Result<()>,
    ) -> Result<InstructionValue<'c>> {
        let builder = &self.ir.builder;
        let before = self.here()?;
        let repeat = self.ir.context.append_basic_block(frame.function, name);
        let after = self.ir.context.append_basic_block(frame.function, "");
        let enter = builder.build_int_compare(IntPredicate::SLT, lower, upper, "")?;
        builder.build_conditional_branch(enter, repeat, after)?;
        builder.position_at_end(repeat);
        let phi = builder.build_phi(self.ir.index_type(), name)?;
        let value = phi.as_basic_value().into_int_value();
        body(self, frame, value)?;
        let next = builder.build_int_nsw_add(value, step, "")?;
        let again = builder.build_int_compare(IntPredicate::SLT, next, upper, "")?;
        phi.add_incoming(&[(&lower, before), (&next, self.here()?)]);
        let branch = builder.build_conditional_branch(again, repeat, after)?;
        builder.position_at_end(after);
        Ok(branch)
    }

    pub fn with_var(&self, frame: &mut Frame<'c>, var: VarId, value: IntValue<'c>, body: &[Op]) -> Result<()> {
        let outside = frame.vars[var.index()].replace(value);
        self.ops(frame, body)?;
        frame.vars[var.index()] = outside;
        Ok(())
    }

    fn branch(&self, frame: &mut Frame<'c>, cond: IntValue<'c>, then: &[Op], otherwise: &[Op]) -> Result<()> {
        let block = || self.ir.context.append_basic_block(frame.function, "");
        let (yes, no, after) = (block(), block(), block());
        self.ir.builder.build_conditional_branch(cond, yes, no)?;
        for (block, ops) in [(yes, then), (no, otherwise)] {
            self.ir.builder.position_at_end(block);
            self.ops(frame, ops)?;
            self.ir.builder.build_unconditional_branch(after)?;
        }
        self.ir.builder.position_at_end(after);
        Ok(())
    }

    /// Runs `then` where the condition holds.
    pub fn run_if(&self, frame: &Frame<'c>, cond: IntValue<'c>, then: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        self.run_if_in(frame.function, cond, then)
    }

    /// The same in a function, whose frame `then` may change.
    pub fn run_if_in(
        &self,
        function: FunctionValue<'c>,
        cond: IntValue<'c>,
        then: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let yes = self.ir.context.append_basic_block(function, "");
        let after = self.ir.context.append_basic_block(function, "");
        self.ir.builder.build_conditional_branch(cond, yes, after)?;
        self.ir.builder.position_at_end(yes);
        then(self)?;
        self.ir.builder.build_unconditional_branch(after)?;
        self.ir.builder.position_at_end(after);
        Ok(())
    }

    /// Runs `then` where the condition holds, else `otherwise`.
    pub fn either(
        &self,
        frame: &Frame<'c>,
        cond: IntValue<'c>,
        then: impl FnOnce(&Self) -> Result<()>,
        otherwise: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let block = || self.ir.context.append_basic_block(frame.function, "");
        let (yes, no, after) = (block(), block(), block());
        self.ir.builder.build_conditional_branch(cond, yes, no)?;
        self.ir.builder.position_at_end(yes);
        then(self)?;
        self.ir.builder.build_unconditional_branch(after)?;
        self.ir.builder.position_at_end(no);
        otherwise(self)?;
        self.ir.builder.build_unconditional_branch(after)?;
        self.ir.builder.position_at_end(after);
        Ok(())
    }

    /// What `then` gives where the condition holds, else `otherwise`.
    pub fn value_if(
        &self,
        frame: &Frame<'c>,
        cond: IntValue<'c>,
        otherwise: Llvm<'c>,
        then: impl FnOnce(&Self) -> Result<Llvm<'c>>,
    ) -> Result<Llvm<'c>> {
        let before = self.here()?;
        let mut there = (otherwise, before);
        self.run_if(frame, cond, |this| {
            there = (then(this)?, this.here()?);
            Ok(())
        })?;
        let phi = self.ir.builder.build_phi(otherwise.get_type(), "")?;
        phi.add_incoming(&[(&otherwise, before), (&there.0, there.1)]);
        Ok(phi.as_basic_value())
    }
}

fn check_lanes(lanes: u32) -> Result<()> {
    match lanes {
        0 => Err(Error::Malformed("an operation on no lanes".into())),
        1..=MAX_LANES => Ok(()),
        _ => Err(Error::Unsupported(format!("vectors of {lanes} lanes; {MAX_LANES} at most"))),
    }
}
