//! A [`Program`] as functions for CPU threads: the kernel, and one function for each parallel loop.

use std::cell::Cell;
use std::mem::offset_of;

use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::basic_block::BasicBlock;
use inkwell::context::Context as LlvmContext;
use inkwell::module::{Linkage, Module};
use inkwell::types::BasicTypeEnum;
use inkwell::values::{
    BasicMetadataValueEnum, BasicValue, FunctionValue, InstructionValue, InstructionValueError, IntValue,
    MetadataValue, PointerValue,
};
use inkwell::{IntPredicate, types::BasicType};
use polyhedral::{Memory as MemoryKind, Role, TensorId};
use runtime::{Check, abi};
use support::{Entity, Table};

use super::check::{Checked, checks_of};
use super::ir::{Ir, Llvm, vector_of};
use super::object::Machine;
use super::{Error, Result};
use crate::numbers::Numbers;
use crate::{Buffer, Int, Op, Place, Program, Reg, RegId, Stride, VarId};

/// Two registers of bytes on the widest machine. LLVM takes an access lane by lane apart where the machine has no better
/// way, and its time grows with the square of the lanes: a masked gather of 1024 takes minutes.
const MAX_LANES: u32 = 128;

/// A module with the function that runs the kernel.
pub(super) struct Emitted<'c> {
    pub module: Module<'c>,
    /// The function's name.
    pub entry: String,
    /// What its faults count.
    pub checks: Vec<Check>,
}

/// Builds the module.
pub(super) fn emit<'c>(program: &Program, machine: &Machine, context: &'c LlvmContext) -> Result<Emitted<'c>> {
    let ir = Ir::new(context, &program.name);
    machine.describe(&ir.module);
    let alias = Alias::new(context, &program.buffers);
    let (formula_steps, numbers, checks) = (Cell::new(0), Numbers::of(program), checks_of(program));
    let emitter = Emitter { ir, machine, alias, formula_steps, numbers, program, checks };
    let entry = format!("tw_{}", program.name);
    emitter.kernel(&entry)?;
    Ok(Emitted { module: emitter.ir.module, entry, checks: emitter.checks })
}

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
}

/// What belongs to one function.
pub(super) struct Frame<'c> {
    function: FunctionValue<'c>,
    /// Ends when the function is complete, so that stack slots can be added to it.
    entry: BasicBlock<'c>,
    pub context: PointerValue<'c>,
    arguments: PointerValue<'c>,
    sizes: PointerValue<'c>,
    math: PointerValue<'c>,
    params: Vec<IntValue<'c>>,
    /// By buffer; one of the stack has none outside of its [`Op::Local`].
    memory: Vec<Option<Memory<'c>>>,
    vars: Vec<Option<IntValue<'c>>>,
    registers: Vec<Option<PointerValue<'c>>>,
    /// Where faults are put together.
    pub fault: Option<PointerValue<'c>>,
}

/// A buffer's address and strides, in elements.
#[derive(Clone)]
pub(super) struct Memory<'c> {
    pub pointer: PointerValue<'c>,
    pub strides: Vec<IntValue<'c>>,
}

impl<'c> Frame<'c> {
    pub fn var(&self, var: VarId) -> Result<IntValue<'c>> {
        let bound = self.vars.get(var.index()).copied().flatten();
        bound.ok_or_else(|| Error::Malformed(format!("{var} is read outside its loop")))
    }

    pub fn param(&self, position: usize) -> Result<IntValue<'c>> {
        let value = self.params.get(position).copied();
        value.ok_or_else(|| Error::Malformed(format!("there is no parameter {position}")))
    }

    pub fn memory(&self, buffer: TensorId) -> Result<&Memory<'c>> {
        let memory = self.memory.get(buffer.index()).and_then(Option::as_ref);
        memory.ok_or_else(|| Error::Malformed(format!("the buffer {buffer} has no memory here")))
    }
}

impl<'c> Emitter<'c, '_> {
    /// `int entry(context, arguments, sizes)`
    fn kernel(&self, name: &str) -> Result<()> {
        let pointer = self.ir.pointer_type().into();
        let function = self.function(name, &[pointer, pointer, pointer], Linkage::External)?;
        let [context, arguments, sizes] = [0, 1, 2].map(|n| function.get_nth_param(n).map(Llvm::into_pointer_value));
        let (Some(context), Some(arguments), Some(sizes)) = (context, arguments, sizes) else {
            return Err(Error::Malformed("LLVM lost the kernel's parameters".into()));
        };
        let entry = self.begin(function);
        let vars = vec![None; self.program.vars.len()];
        self.define(Frame::new(function, entry, context, arguments, sizes), vars, |this, frame| {
            this.ops(frame, &this.program.body)
        })
    }

    /// A function that returns a status, for the target's processor, without unwinding or calls of its own making.
    fn function(&self, name: &str, parameters: &[BasicTypeEnum<'c>], linkage: Linkage) -> Result<FunctionValue<'c>> {
        let parameters: Vec<_> = parameters.iter().map(|ty| (*ty).into()).collect();
        let ty = self.ir.context.i32_type().fn_type(&parameters, false);
        let function = self.ir.module.add_function(name, ty, Some(linkage));
        self.describe_function(function);
        Ok(function)
    }

    /// Says what machine a function is compiled for, and what it does not do.
    pub fn describe_function(&self, function: FunctionValue<'c>) {
        let width = self.machine.vector_bits.to_string();
        let texts = [
            ("target-cpu", self.machine.cpu.as_str()),
            ("target-features", self.machine.features.as_str()),
            ("prefer-vector-width", width.as_str()),
            ("no-builtins", ""),
            // A large frame touches its pages in order, so that the guard page below the stack is not jumped over.
            ("probe-stack", "inline-asm"),
        ];
        for (key, value) in texts.into_iter().filter(|(key, value)| *key != "target-features" || !value.is_empty()) {
            function.add_attribute(AttributeLoc::Function, self.ir.context.create_string_attribute(key, value));
        }
        function.add_attribute(AttributeLoc::Function, self.attribute("nounwind"));
        if let Some(range) = self.machine.scalable_range() {
            let kind = Attribute::get_named_enum_kind_id("vscale_range");
            function.add_attribute(AttributeLoc::Function, self.ir.context.create_enum_attribute(kind, range));
        }
    }

    pub fn attribute(&self, name: &str) -> Attribute {
        self.ir.context.create_enum_attribute(Attribute::get_named_enum_kind_id(name), 0)
    }

    /// Makes the entry block and goes there.
    pub fn begin(&self, function: FunctionValue<'c>) -> BasicBlock<'c> {
        let entry = self.ir.context.append_basic_block(function, "entry");
        self.ir.builder.position_at_end(entry);
        entry
    }

    /// The rest of a function whose parameters are known: what it needs of the arguments, its body, success.
    fn define(
        &self,
        mut frame: Frame<'c>,
        vars: Vec<Option<IntValue<'c>>>,
        body: impl FnOnce(&Self, &mut Frame<'c>) -> Result<()>,
    ) -> Result<()> {
        frame.vars = vars;
        frame.registers = vec![None; self.program.regs.len()];
        self.read_arguments(&mut frame)?;
        let start = self.ir.context.append_basic_block(frame.function, "start");
        self.ir.builder.position_at_end(start);
        body(self, &mut frame)?;
        self.fence_streams()?;
        self.ir.builder.build_return(Some(&self.ir.i32(abi::STATUS_OK)))?;
        self.ir.builder.position_at_end(frame.entry);
        self.ir.builder.build_unconditional_branch(start)?;
        Ok(())
    }

    /// Sizes, addresses and strides. What nobody uses goes away in the passes.
    fn read_arguments(&self, frame: &mut Frame<'c>) -> Result<()> {
        frame.math = self.read_pointer(frame.context, offset_of!(abi::Context, math))?;
        frame.params = (0..self.program.params.len())
            .map(|position| self.read_int(frame.sizes, size_of::<i64>() * position))
            .collect::<Result<_>>()?;
        for buffer in self.program.buffers.values() {
            let memory = match &buffer.place {
                Place::Argument(position) => Some(self.argument(frame, buffer, *position)?),
                Place::Workspace(offset) => Some(self.workspace(frame, buffer, offset)?),
                Place::Stack | Place::Shared => None,
            };
            frame.memory.push(memory);
        }
        Ok(())
    }

    fn argument(&self, frame: &Frame<'c>, buffer: &Buffer, position: usize) -> Result<Memory<'c>> {
        let argument = size_of::<abi::Arg>() * position;
        let pointer = self.read_pointer(frame.arguments, argument + offset_of!(abi::Arg, data))?;
        let given = self.read_pointer(frame.arguments, argument + offset_of!(abi::Arg, strides))?;
        let strides = buffer.strides.iter().enumerate().map(|(dim, stride)| match stride {
            Stride::Known(stride) => self.int(frame, stride),
            Stride::Runtime => self.read_int(given, size_of::<i64>() * dim),
        });
        Ok(Memory { pointer, strides: strides.collect::<Result<_>>()? })
    }

    fn workspace(&self, frame: &Frame<'c>, buffer: &Buffer, offset: &Int) -> Result<Memory<'c>> {
        let workspace = self.read_pointer(frame.context, offset_of!(abi::Context, workspace))?;
        let pointer = self.ir.element(workspace, self.ir.context.i8_type(), self.int(frame, offset)?)?;
        self.own_memory(frame, buffer, pointer)
    }

    /// Memory of the kernel's own, whose strides nobody gives.
    fn own_memory(&self, frame: &Frame<'c>, buffer: &Buffer, pointer: PointerValue<'c>) -> Result<Memory<'c>> {
        let strides = buffer.strides.iter().map(|stride| match stride {
            Stride::Known(stride) => self.int(frame, stride),
            Stride::Runtime => Err(Error::Malformed(format!("nobody gives `{}` its strides", buffer.name))),
        });
        Ok(Memory { pointer, strides: strides.collect::<Result<_>>()? })
    }

    /// An [`Op::Local`]: room in the frame of the function, which each run of the body begins with anything in.
    fn local(&self, frame: &mut Frame<'c>, buffer: TensorId, body: &[Op]) -> Result<()> {
        let row = self.buffer(buffer)?;
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

    /// A pointer in a structure that stays as it is during the call.
    pub fn read_pointer(&self, structure: PointerValue<'c>, offset: usize) -> Result<PointerValue<'c>> {
        Ok(self.read(structure, offset, self.ir.pointer_type().into())?.into_pointer_value())
    }

    /// A 64-bit integer in a structure that stays as it is during the call.
    fn read_int(&self, structure: PointerValue<'c>, offset: usize) -> Result<IntValue<'c>> {
        Ok(self.read(structure, offset, self.ir.context.i64_type().into())?.into_int_value())
    }

    fn read(&self, structure: PointerValue<'c>, offset: usize, ty: BasicTypeEnum<'c>) -> Result<Llvm<'c>> {
        let value = self.ir.builder.build_load(ty, self.field(structure, offset)?, "")?;
        if let Some(load) = value.as_instruction_value() {
            self.alias
                .describe_invariant(self.ir.context, load)
                .map_err(|error| Error::Malformed(error.to_string()))?;
        }
        Ok(value)
    }

    /// The address so many bytes after the structure's.
    pub fn field(&self, structure: PointerValue<'c>, offset: usize) -> Result<PointerValue<'c>> {
        self.ir.element(structure, self.ir.context.i8_type(), self.ir.i64(offset as i64))
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

    fn ops(&self, frame: &mut Frame<'c>, ops: &[Op]) -> Result<()> {
        let mut rest = ops;
        while let [op, after @ ..] = rest {
            match self.streamed_together(rest) {
                0 | 1 => {
                    self.op(frame, op)?;
                    rest = after;
                }
                count => {
                    self.stream_together(frame, &rest[..count])?;
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
            Op::Prefetch { buffer, at, lanes } => {
                check_lanes(*lanes)?;
                self.prefetch(frame, *buffer, at, *lanes)
            }
            Op::LoadBlock { regs, buffer, at, along } => self.load_block(frame, regs, *buffer, at, *along),
            Op::StoreBlock { regs, buffer, at, along } => self.store_block(frame, regs, *buffer, at, *along),
            Op::Launch(_) | Op::Barrier | Op::Combine { .. } => Err(Error::Malformed("kernels do not run on a processor's threads".into())),
        }
    }

    /// `if (lower < upper) do { body; var += step } while (var < upper)`: the shape that LLVM's passes want.
    fn counted_loop(
        &self,
        frame: &mut Frame<'c>,
        var: VarId,
        (lower, upper, step): (IntValue<'c>, IntValue<'c>, &Int),
        body: &[Op],
    ) -> Result<()> {
        let builder = &self.ir.builder;
        if let (Some(first), Some(end)) = (lower.get_sign_extended_constant(), upper.get_sign_extended_constant()) {
            if first >= end {
                return Ok(());
            }
            if step.as_const().is_some_and(|step| first.checked_add(step).is_none_or(|second| second >= end)) {
                return self.with_var(frame, var, lower, body);
            }
        }
        let step = self.int(frame, step)?;
        let before = self.here()?;
        let name = self.program.vars.get(var).map_or("", |name| name.as_str());
        let repeat = self.ir.context.append_basic_block(frame.function, name);
        let after = self.ir.context.append_basic_block(frame.function, "");
        let enter = builder.build_int_compare(IntPredicate::SLT, lower, upper, "")?;
        builder.build_conditional_branch(enter, repeat, after)?;
        builder.position_at_end(repeat);
        let phi = builder.build_phi(self.ir.context.i64_type(), name)?;
        self.with_var(frame, var, phi.as_basic_value().into_int_value(), body)?;
        let next = builder.build_int_nsw_add(phi.as_basic_value().into_int_value(), step, "")?;
        let again = builder.build_int_compare(IntPredicate::SLT, next, upper, "")?;
        phi.add_incoming(&[(&lower, before), (&next, self.here()?)]);
        builder.build_conditional_branch(again, repeat, after)?;
        builder.position_at_end(after);
        Ok(())
    }

    fn with_var(&self, frame: &mut Frame<'c>, var: VarId, value: IntValue<'c>, body: &[Op]) -> Result<()> {
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
        let yes = self.ir.context.append_basic_block(frame.function, "");
        let after = self.ir.context.append_basic_block(frame.function, "");
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

    /// Hands the iterations to [`abi::Context::parallel`], as a function over their numbers.
    fn parallel_loop(
        &self,
        frame: &mut Frame<'c>,
        var: VarId,
        (lower, upper, step): (IntValue<'c>, IntValue<'c>, &Int),
        body: &[Op],
    ) -> Result<()> {
        let builder = &self.ir.builder;
        let captured: Vec<VarId> = self.program.vars.keys().filter(|var| frame.vars[var.index()].is_some()).collect();
        let mut fields: Vec<Llvm<'c>> = vec![frame.arguments.into(), frame.sizes.into(), lower.into(), upper.into()];
        for var in &captured {
            fields.push(frame.var(*var)?.into());
        }
        let shared: Vec<(usize, &Memory<'c>)> = self.on_the_stack(frame).collect();
        fields.extend(shared.iter().map(|(_, memory)| Llvm::from(memory.pointer)));
        let outlined = self.outline(frame, var, step, &captured, body)?;
        let closure = self.stack_slot(frame, self.closure_type(fields.len()))?;
        for (position, field) in fields.iter().enumerate() {
            builder.build_store(self.field(closure, FIELD_BYTES * position)?, *field)?;
        }
        let parallel = self.read_pointer(frame.context, offset_of!(abi::Context, parallel))?;
        let arguments: [BasicMetadataValueEnum<'c>; 4] = [
            frame.context.into(),
            outlined.as_global_value().as_pointer_value().into(),
            closure.into(),
            self.iterations(lower, upper, self.int(frame, step)?)?.into(),
        ];
        let pointer = self.ir.pointer_type().into();
        let ty =
            self.ir.context.i32_type().fn_type(&[pointer, pointer, pointer, self.ir.context.i64_type().into()], false);
        self.fence_streams()?;
        let call = builder.build_indirect_call(ty, parallel, &arguments, "")?;
        call.add_attribute(AttributeLoc::Function, self.attribute("nounwind"));
        let status = call.try_as_basic_value().basic().map(Llvm::into_int_value);
        let status = status.ok_or_else(|| Error::Malformed("a call without a status".into()))?;
        let failed = builder.build_int_compare(IntPredicate::NE, status, self.ir.i32(abi::STATUS_OK), "")?;
        self.return_if(frame, failed, |_| Ok(status))
    }

    /// The buffers of the stack that have memory here, which threads share.
    fn on_the_stack<'f>(&'f self, frame: &'f Frame<'c>) -> impl Iterator<Item = (usize, &'f Memory<'c>)> {
        let here = self.program.buffers.values().zip(&frame.memory).enumerate();
        here.filter(|(_, (row, _))| row.place == Place::Stack)
            .filter_map(|(at, (_, memory))| memory.as_ref().map(|memory| (at, memory)))
    }

    /// `ceil((upper - lower) / step)`, or 0 where that is negative.
    fn iterations(&self, lower: IntValue<'c>, upper: IntValue<'c>, step: IntValue<'c>) -> Result<IntValue<'c>> {
        let builder = &self.ir.builder;
        let distance = builder.build_int_nsw_sub(upper, lower, "")?;
        let distance = self.minmax("llvm.smax", distance, self.ir.i64(0))?;
        let rounded = builder.build_int_nsw_add(distance, builder.build_int_nsw_sub(step, self.ir.i64(1), "")?, "")?;
        Ok(builder.build_int_unsigned_div(rounded, step, "")?)
    }

    /// Pointers and 64-bit integers, one after another.
    fn closure_type(&self, fields: usize) -> BasicTypeEnum<'c> {
        self.ir.context.i64_type().array_type(fields as u32).as_basic_type_enum()
    }

    /// The [`abi::Body`] of a parallel loop: iteration `n` has the value `lower + n·step` of the variable.
    fn outline(
        &self,
        outside: &Frame<'c>,
        var: VarId,
        step: &Int,
        captured: &[VarId],
        body: &[Op],
    ) -> Result<FunctionValue<'c>> {
        let builder = &self.ir.builder;
        let here = self.here()?;
        let (pointer, int) = (self.ir.pointer_type().into(), self.ir.context.i64_type().into());
        let name = format!("{}.{}", self.program.name, self.program.vars.get(var).map_or("", |name| name.as_str()));
        let function = self.function(&name, &[pointer, pointer, int, int], Linkage::Internal)?;
        let parameters = function.get_params();
        let [context, closure, begin, end] = parameters[..] else {
            return Err(Error::Malformed("LLVM lost a body's parameters".into()));
        };
        let (context, closure) = (context.into_pointer_value(), closure.into_pointer_value());
        let (begin, end) = (begin.into_int_value(), end.into_int_value());

        let entry = self.begin(function);
        let arguments = self.read_pointer(closure, 0)?;
        let sizes = self.read_pointer(closure, FIELD_BYTES)?;
        let lower = self.read_int(closure, 2 * FIELD_BYTES)?;
        let upper = self.read_int(closure, 3 * FIELD_BYTES)?;
        let mut vars = vec![None; outside.vars.len()];
        for (position, var) in captured.iter().enumerate() {
            vars[var.index()] = Some(self.read_int(closure, (4 + position) * FIELD_BYTES)?);
        }
        let mut shared = Vec::new();
        for (position, (at, _)) in self.on_the_stack(outside).enumerate() {
            shared.push((at, self.read_pointer(closure, (4 + captured.len() + position) * FIELD_BYTES)?));
        }
        self.define(Frame::new(function, entry, context, arguments, sizes), vars, |this, frame| {
            for (at, pointer) in shared {
                let row = this.buffer(TensorId::new(at))?;
                frame.memory[at] = Some(this.own_memory(frame, row, pointer)?);
            }
            let by = this.int(frame, step)?;
            let at = |iteration| -> Result<IntValue<'c>> {
                let distance = builder.build_int_nsw_mul(iteration, by, "")?;
                Ok(builder.build_int_nsw_add(lower, distance, "")?)
            };
            let (first, last) = (at(begin)?, at(end)?);
            let last = this.minmax("llvm.smin", last, upper)?;
            this.counted_loop(frame, var, (first, last, step), body)
        })?;
        builder.position_at_end(here);
        Ok(function)
    }

    /// Ends the function with a status where the condition holds, which it rarely does.
    pub fn return_if(
        &self,
        frame: &mut Frame<'c>,
        cond: IntValue<'c>,
        status: impl FnOnce(&mut Frame<'c>) -> Result<IntValue<'c>>,
    ) -> Result<()> {
        let builder = &self.ir.builder;
        let stop = self.ir.context.append_basic_block(frame.function, "stop");
        let after = self.ir.context.append_basic_block(frame.function, "");
        let branch = builder.build_conditional_branch(cond, stop, after)?;
        self.alias.describe_rare(self.ir.context, branch).map_err(|error| Error::Malformed(error.to_string()))?;
        builder.position_at_end(stop);
        let status = status(frame)?;
        builder.build_return(Some(&status))?;
        builder.position_at_end(after);
        Ok(())
    }

    /// The address of a function in the context's table.
    pub fn math_function(&self, frame: &Frame<'c>, slot: usize) -> Result<PointerValue<'c>> {
        self.read_pointer(frame.math, size_of::<abi::MathFn>() * slot)
    }

    /// Calls a function of scalars that touches no memory.
    pub fn call_math(
        &self,
        function: PointerValue<'c>,
        ty: BasicTypeEnum<'c>,
        operands: &[Llvm<'c>],
    ) -> Result<Llvm<'c>> {
        let parameters = vec![ty.into(); operands.len()];
        let arguments: Vec<BasicMetadataValueEnum<'c>> = operands.iter().map(|operand| (*operand).into()).collect();
        let call = self.ir.builder.build_indirect_call(ty.fn_type(&parameters, false), function, &arguments, "")?;
        for attribute in ["nounwind", "willreturn", "memory"] {
            call.add_attribute(AttributeLoc::Function, self.attribute(attribute));
        }
        call.try_as_basic_value().basic().ok_or_else(|| Error::Malformed("a function without a result".into()))
    }
}

/// Bytes of a pointer or an integer in a closure.
const FIELD_BYTES: usize = size_of::<i64>();

impl<'c> Frame<'c> {
    /// The frame of a function that only calls the table of functions, whose address it is given.
    pub fn of_arithmetic(function: FunctionValue<'c>, entry: BasicBlock<'c>, math: PointerValue<'c>) -> Frame<'c> {
        Frame::new(function, entry, math, math, math)
    }

    /// The address of the context's table of functions.
    pub fn math(&self) -> PointerValue<'c> {
        self.math
    }

    /// A frame before [`Emitter::define`] fills it.
    fn new(
        function: FunctionValue<'c>,
        entry: BasicBlock<'c>,
        context: PointerValue<'c>,
        arguments: PointerValue<'c>,
        sizes: PointerValue<'c>,
    ) -> Frame<'c> {
        Frame {
            function,
            entry,
            context,
            arguments,
            sizes,
            math: context,
            params: Vec::new(),
            memory: Vec::new(),
            vars: Vec::new(),
            registers: Vec::new(),
            fault: None,
        }
    }
}

fn check_lanes(lanes: u32) -> Result<()> {
    match lanes {
        0 => Err(Error::Malformed("an operation on no lanes".into())),
        1..=MAX_LANES => Ok(()),
        _ => Err(Error::Unsupported(format!("vectors of {lanes} lanes; {MAX_LANES} at most"))),
    }
}

/// Metadata: which accesses cannot touch the same memory.
pub(super) struct Alias<'c> {
    scope: u32,
    noalias: u32,
    invariant: u32,
    weights: u32,
    nontemporal: u32,
    /// For each buffer: its scope, the scopes of all others, and whether nobody writes it.
    buffers: Vec<(MetadataValue<'c>, MetadataValue<'c>, bool)>,
}

impl<'c> Alias<'c> {
    fn new(context: &'c LlvmContext, buffers: &Table<TensorId, Buffer>) -> Alias<'c> {
        let domain = context.metadata_node(&[context.metadata_string("buffers").into()]);
        let scopes: Vec<MetadataValue<'c>> = buffers
            .iter()
            .map(|(id, buffer)| {
                let name = context.metadata_string(&format!("{id} {}", buffer.name));
                context.metadata_node(&[name.into(), domain.into()])
            })
            .collect();
        let all_but = |own: usize| {
            let others: Vec<BasicMetadataValueEnum<'c>> = scopes
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != own)
                .map(|(_, scope)| (*scope).into())
                .collect();
            context.metadata_node(&others)
        };
        let rows = buffers.values().enumerate().map(|(index, buffer)| {
            (context.metadata_node(&[scopes[index].into()]), all_but(index), buffer.role == Role::Input)
        });
        Alias {
            scope: context.get_kind_id("alias.scope"),
            noalias: context.get_kind_id("noalias"),
            invariant: context.get_kind_id("invariant.load"),
            weights: context.get_kind_id("prof"),
            nontemporal: context.get_kind_id("nontemporal"),
            buffers: rows.collect(),
        }
    }

    /// Marks an access of a buffer.
    pub fn describe(
        &self,
        context: &'c LlvmContext,
        access: InstructionValue<'c>,
        buffer: TensorId,
    ) -> std::result::Result<(), InstructionValueError> {
        let Some((own, others, constant)) = self.buffers.get(buffer.index()) else { return Ok(()) };
        access.set_metadata(*own, self.scope)?;
        access.set_metadata(*others, self.noalias)?;
        if *constant { self.describe_invariant(context, access) } else { Ok(()) }
    }

    /// Marks a load of what nobody writes during the call.
    fn describe_invariant(
        &self,
        context: &'c LlvmContext,
        load: InstructionValue<'c>,
    ) -> std::result::Result<(), InstructionValueError> {
        load.set_metadata(context.metadata_node(&[]), self.invariant)
    }

    /// Marks a store of what is not read soon.
    pub fn describe_nontemporal(
        &self,
        context: &'c LlvmContext,
        store: InstructionValue<'c>,
    ) -> std::result::Result<(), InstructionValueError> {
        let one = context.i32_type().const_int(1, false).into();
        store.set_metadata(context.metadata_node(&[one]), self.nontemporal)
    }

    /// Marks a branch whose first way is rarely taken.
    pub fn describe_rare(
        &self,
        context: &'c LlvmContext,
        branch: InstructionValue<'c>,
    ) -> std::result::Result<(), InstructionValueError> {
        let weight = |weight: u64| context.i32_type().const_int(weight, false).into();
        let weights =
            context.metadata_node(&[context.metadata_string("branch_weights").into(), weight(1), weight(1 << 20)]);
        branch.set_metadata(weights, self.weights)
    }
}
