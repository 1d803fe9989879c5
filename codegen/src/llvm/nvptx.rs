//! Kernels of a [`Program`] as functions for NVIDIA's devices: a `.entry` for each launch, with the parameters of its
//! [`Entry`].
//!
//! ```text
//! block and thread    special registers, whose ranges the launch says
//! arguments           pointers to global memory, and integers as wide as subscripts
//! shared memory       arrays of the module; where they are larger than kernels get unasked, one whose size the host says
//! Local               allocated in the frame: registers, once subscripts are constants
//! Barrier             bar.sync
//! Copy, Wait          cp.async, 16, 8 or 4 bytes at a time, and cp.async.wait_all
//! Combine             shuffles, and shared memory between warps
//! Check               jumps to where the ops end that it stands for; the first one that fails writes the report
//! ```
//!
//! What runs in between is emitted as for processors. After the NVPTX back end's guide (llvm.org/docs/NVPTXUsage.html).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::basic_block::BasicBlock;
use inkwell::context::Context as LlvmContext;
use inkwell::module::{Linkage, Module};
use inkwell::types::BasicMetadataTypeEnum;
use inkwell::values::{BasicMetadataValueEnum, FunctionValue, InstructionValueError, IntValue, PointerValue};
use inkwell::{AddressSpace, AtomicOrdering};
use polyhedral::TensorId;
use support::{Entity, Gpu};

use super::alias::Alias;
use super::check::{Checked, Failed};
use super::emitter::{Emitter, Frame, Memory, Outside};
use super::ir::Ir;
use super::lines::Lines;
use super::object::Machine;
use super::{Error, Locations, Result};
use crate::checks::checks_of;
use crate::gpu::{Argument, Entry, PtxKernel, launches};
use crate::numbers::Numbers;
use crate::{Launch, Op, Place, Program, Stride, VarId};

/// The multiple of bytes that the addresses of all buffers are: of the longest access of a thread.
pub(crate) const ALIGNMENT: u32 = 16;

/// LLVM's number for functions that a host launches.
const KERNEL: u32 = 71;
/// Memory of the device.
const GLOBAL: u16 = 1;
/// Memory that the threads of a block share.
pub(super) const SHARED: u16 = 3;
/// Threads that a multiprocessor runs at least of kernels whose threads keep values: each then has 128 registers, which hold
/// 64 sums and what it takes to go on; twice as many where sizes and strides are in registers too.
const RESIDENT: i64 = 512;
/// Blocks that a multiprocessor runs at most (CUDA C++ Programming Guide, technical specifications).
const MOST_BLOCKS: i64 = 32;
/// The array whose size the host says.
const DYNAMIC: &str = "tw_shared";

/// What a kernel has of its own, while it is emitted.
#[derive(Default)]
pub(super) struct Kernel<'c> {
    /// Where the first failed check reports.
    fault: Option<PointerValue<'c>>,
    /// Where a failed check goes on.
    resume: Option<BasicBlock<'c>>,
    /// The variables that count threads, from x on, and how many there are.
    pub block: Vec<(VarId, i64)>,
    /// How many loops are around.
    pub loops: usize,
    /// What variables of loops are known to be multiples of.
    pub multiples: BTreeMap<VarId, i64>,
}

/// Builds a module with the kernels of a program.
pub(super) fn emit<'c>(
    program: &Program,
    machine: &Machine,
    (device, locations): (&Gpu, Locations),
    context: &'c LlvmContext,
) -> Result<(Module<'c>, Vec<PtxKernel>)> {
    let ir = Ir::new(context, &program.name, Entry::index_bits(program));
    machine.describe(&ir.module);
    let alias = Alias::new(context, program, |_| false);
    let (formula_steps, numbers, checks) = (Cell::new(0), Numbers::of(program), checks_of(program));
    let math = RefCell::default();
    let lines = (locations == Locations::Lines).then(|| Lines::new(&ir, program));
    let mut emitter = Emitter { ir, machine, alias, formula_steps, numbers, program, checks, math, lines };
    let mut kernels = Vec::new();
    for launch in launches(&program.body) {
        // What no thread of a launch writes stays as it is while it runs.
        let written = written(&launch.body);
        let is_constant = |buffer| is_global(program, buffer) && !written.contains(&buffer);
        emitter.alias = Alias::new(context, program, is_constant);
        kernels.push(emitter.launch(launch, device, &written)?);
    }
    emitter.lines.iter().for_each(Lines::finish);
    Ok((emitter.ir.module, kernels))
}

fn is_global(program: &Program, buffer: TensorId) -> bool {
    let place = program.buffers.get(buffer).map(|buffer| &buffer.place);
    matches!(place, Some(Place::Argument(_) | Place::Workspace(_)))
}

/// The buffers that ops store to.
fn written(ops: &[Op]) -> BTreeSet<TensorId> {
    let mut all = BTreeSet::new();
    for op in ops {
        match op {
            Op::Store { buffer, .. }
            | Op::StoreBlock { buffer, .. }
            | Op::Copy { to: buffer, .. }
            | Op::Atomic { buffer, .. } => {
                all.insert(*buffer);
            }
            Op::For { body, .. } | Op::Local { body, .. } => all.extend(written(body)),
            Op::If { then, otherwise, .. } => all.extend(written(then).into_iter().chain(written(otherwise))),
            Op::Launch(launch) => all.extend(written(&launch.body)),
            Op::Set { .. }
            | Op::Check { .. }
            | Op::Prefetch { .. }
            | Op::LoadBlock { .. }
            | Op::Barrier
            | Op::Wait
            | Op::Combine { .. } => {}
        }
    }
    all
}

impl<'c> Emitter<'c, '_> {
    /// The kernel of a launch.
    fn launch(&self, launch: &Launch, device: &Gpu, written: &BTreeSet<TensorId>) -> Result<PtxKernel> {
        let entry = Entry::of(self.program, launch);
        let symbol = format!("tw_{}_{}", identifier(&self.program.name), identifier(&launch.name));
        let function = self.kernel_function(&symbol, launch, &entry, written)?;
        let begin = self.begin(function);
        let kernel = Kernel { block: launch.block.clone(), ..Kernel::default() };
        let mut frame = Frame::new(self.program, function, begin, Outside::Device(kernel));
        self.read_parameters(&mut frame, &entry)?;
        let dynamic_shared_bytes = self.share_memory(&mut frame, launch, &symbol, device)?;
        for (var, name, count) in numbers(launch) {
            frame.vars[var.index()] = Some(self.special_register(&name, count)?);
        }
        let start = self.ir.context.append_basic_block(function, "start");
        self.ir.builder.position_at_end(start);
        self.ops(&mut frame, &launch.body)?;
        self.ir.builder.build_return(None)?;
        self.ir.builder.position_at_end(begin);
        self.ir.builder.build_unconditional_branch(start)?;
        let (launch, arguments) = (launch.name.clone(), entry.arguments);
        Ok(PtxKernel { launch, symbol, arguments, dynamic_shared_bytes })
    }

    fn kernel_function(
        &self,
        symbol: &str,
        launch: &Launch,
        entry: &Entry,
        written: &BTreeSet<TensorId>,
    ) -> Result<FunctionValue<'c>> {
        let pointer = self.ir.context.ptr_type(AddressSpace::from(GLOBAL)).into();
        let parameters: Vec<BasicMetadataTypeEnum<'c>> = entry
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Buffer(_) | Argument::Fault => pointer,
                Argument::Param(_) | Argument::Var(_) | Argument::Stride(..) => self.ir.index_type().into(),
            })
            .collect();
        let ty = self.ir.context.void_type().fn_type(&parameters, false);
        let function = self.ir.module.add_function(symbol, ty, Some(Linkage::External));
        function.set_call_conventions(KERNEL);
        self.lines.iter().for_each(|lines| lines.describe(function));
        let texts = [
            ("target-cpu", self.machine.cpu.as_str()),
            ("target-features", self.machine.features.as_str()),
            ("no-builtins", ""),
        ];
        for (key, value) in texts {
            function.add_attribute(AttributeLoc::Function, self.ir.context.create_string_attribute(key, value));
        }
        function.add_attribute(AttributeLoc::Function, self.attribute("nounwind"));
        for (at, argument) in (0u32..).zip(&entry.arguments) {
            let Argument::Buffer(buffer) = argument else { continue };
            if self.program.buffers[*buffer].is_aligned() {
                let align = Attribute::get_named_enum_kind_id("align");
                let align = self.ir.context.create_enum_attribute(align, ALIGNMENT.into());
                function.add_attribute(AttributeLoc::Param(at), align);
            }
            function.add_attribute(AttributeLoc::Param(at), self.attribute("noalias"));
            if !written.contains(buffer) {
                function.add_attribute(AttributeLoc::Param(at), self.attribute("readonly"));
            }
        }
        for (axis, threads) in ["x", "y", "z"].into_iter().zip(threads(launch)) {
            self.annotate(function, &format!("reqntid{axis}"), threads)?;
        }
        // Left alone, the assembler keeps to few registers so that more threads fit, and what threads keep goes to memory.
        if keeps(&launch.body) {
            let together = threads(launch).iter().product::<i64>().max(1);
            let resident = if self.program.params.is_empty() { RESIDENT } else { RESIDENT / 2 };
            self.annotate(function, "minctasm", (resident / together).clamp(1, MOST_BLOCKS))?;
        }
        Ok(function)
    }

    /// Says something of a kernel in the module's list of such sayings.
    fn annotate(&self, function: FunctionValue<'c>, what: &str, value: i64) -> Result<()> {
        let value = i32::try_from(value).map_err(|_| Error::Malformed(format!("{what} of {value}")))?;
        let context = self.ir.context;
        let row: [BasicMetadataValueEnum<'c>; 3] = [
            function.as_global_value().as_pointer_value().into(),
            context.metadata_string(what).into(),
            self.ir.i32(value).into(),
        ];
        let node = context.metadata_node(&row);
        self.ir
            .module
            .add_global_metadata("nvvm.annotations", &node)
            .map_err(|error| Error::Malformed(error.to_string()))
    }

    /// Sizes, addresses and strides.
    fn read_parameters(&self, frame: &mut Frame<'c>, entry: &Entry) -> Result<()> {
        let values = frame.function.get_params();
        frame.params = vec![None; self.program.params.len()];
        frame.memory = vec![None; self.program.buffers.len()];
        let given = || entry.arguments.iter().zip(&values);
        for (argument, value) in given() {
            match argument {
                Argument::Param(at) => frame.params[*at] = Some(value.into_int_value()),
                Argument::Var(var) => frame.vars[var.index()] = Some(value.into_int_value()),
                Argument::Fault => frame.kernel()?.fault = Some(value.into_pointer_value()),
                Argument::Buffer(_) | Argument::Stride(..) => {}
            }
        }
        for (argument, value) in given() {
            let Argument::Buffer(buffer) = argument else { continue };
            let strides = self.buffer(*buffer)?.strides.iter().enumerate().map(|(dim, stride)| match stride {
                Stride::Known(stride) => self.int(frame, stride),
                Stride::Runtime => {
                    let found = given().find(|(argument, _)| **argument == Argument::Stride(*buffer, dim));
                    let stride = found.map(|(_, value)| value.into_int_value());
                    stride.ok_or_else(|| Error::Malformed(format!("nobody gives {buffer} its strides")))
                }
            });
            let strides = strides.collect::<Result<_>>()?;
            frame.memory[buffer.index()] = Some(Memory { pointer: value.into_pointer_value(), strides });
        }
        Ok(())
    }

    /// Gives the shared buffers of a launch memory; how much of it the host has to ask for.
    fn share_memory(&self, frame: &mut Frame<'c>, launch: &Launch, symbol: &str, device: &Gpu) -> Result<i64> {
        let mut rows = Vec::new();
        let mut end = 0i64;
        for id in &launch.shared {
            let bytes = self.buffer(*id)?.constant_bytes().and_then(|bytes| u32::try_from(bytes.max(1)).ok());
            let bytes = bytes.ok_or_else(|| Error::Malformed(format!("{id} is too large to be shared")))?;
            rows.push((*id, end, bytes));
            end += i64::from(bytes.next_multiple_of(ALIGNMENT));
        }
        let dynamic = end > device.shared_bytes;
        for (id, offset, bytes) in rows {
            let row = self.buffer(id)?;
            let pointer = match dynamic {
                true => {
                    let base = self.shared_array(DYNAMIC, None);
                    self.ir.element(base, self.ir.context.i8_type(), self.ir.i32(offset as i32))?
                }
                false => self.shared_array(&format!("{symbol}_{}", identifier(&row.name)), Some(bytes)),
            };
            frame.memory[id.index()] = Some(self.own_memory(frame, row, pointer)?);
        }
        Ok(if dynamic { end } else { 0 })
    }

    /// An array of so many bytes, or the one whose size the host says.
    fn shared_array(&self, name: &str, bytes: Option<u32>) -> PointerValue<'c> {
        let ty = self.ir.context.i8_type().array_type(bytes.unwrap_or(0));
        if let (None, Some(array)) = (bytes, self.ir.module.get_global(name)) {
            return array.as_pointer_value();
        }
        let array = self.ir.module.add_global(ty, Some(AddressSpace::from(SHARED)), name);
        array.set_alignment(ALIGNMENT);
        if bytes.is_some() {
            array.set_linkage(Linkage::Internal);
            array.set_initializer(&ty.get_undef());
        }
        array.as_pointer_value()
    }

    /// A block's or a thread's number, below `count` where that is known.
    fn special_register(&self, name: &str, count: Option<i64>) -> Result<IntValue<'c>> {
        if count == Some(1) {
            return Ok(self.ir.index(0));
        }
        let number = self.ir.intrinsic(&format!("llvm.nvvm.read.ptx.sreg.{name}"), &[], &[])?.into_int_value();
        if let (Some(call), Some(count)) = (number.as_instruction(), count.and_then(|count| i32::try_from(count).ok()))
        {
            let range = self.ir.context.metadata_node(&[self.ir.i32(0).into(), self.ir.i32(count.max(1)).into()]);
            let described = call.set_metadata(range, self.ir.context.get_kind_id("range"));
            described.map_err(|error: InstructionValueError| Error::Malformed(error.to_string()))?;
        }
        let index = self.ir.index_type();
        if index == number.get_type() {
            Ok(number)
        } else {
            Ok(self.ir.builder.build_int_z_extend(number, index, "")?)
        }
    }

    /// An [`Op::Barrier`].
    pub fn barrier(&self) -> Result<()> {
        self.ir.call_intrinsic("llvm.nvvm.barrier0", &[], &[]).map(drop)
    }

    /// An [`Op::Wait`].
    pub fn wait(&self) -> Result<()> {
        self.ir.call_intrinsic("llvm.nvvm.cp.async.wait.all", &[], &[]).map(drop)
    }

    /// Ops that are left, for what comes after them, where a check among them fails.
    pub fn until_checks_fail(
        &self,
        frame: &mut Frame<'c>,
        ops: impl FnOnce(&Self, &mut Frame<'c>) -> Result<()>,
    ) -> Result<()> {
        let resume = self.ir.context.append_basic_block(frame.function, "");
        let outside = frame.kernel()?.resume.replace(resume);
        ops(self, frame)?;
        self.ir.builder.build_unconditional_branch(resume)?;
        self.ir.builder.position_at_end(resume);
        frame.kernel()?.resume = outside;
        Ok(())
    }

    /// Runs `then` where the condition holds, which it rarely does, and leaves the ops.
    pub fn skip_if(
        &self,
        frame: &mut Frame<'c>,
        cond: IntValue<'c>,
        then: impl FnOnce(&mut Frame<'c>) -> Result<()>,
    ) -> Result<()> {
        let resume = frame.kernel()?.resume;
        let resume = resume.ok_or_else(|| Error::Malformed("a check that nothing stands behind".into()))?;
        let stop = self.ir.context.append_basic_block(frame.function, "stop");
        let after = self.ir.context.append_basic_block(frame.function, "");
        let branch = self.ir.builder.build_conditional_branch(cond, stop, after)?;
        self.alias.describe_rare(self.ir.context, branch).map_err(|error| Error::Malformed(error.to_string()))?;
        self.ir.builder.position_at_end(stop);
        then(frame)?;
        self.ir.builder.build_unconditional_branch(resume)?;
        self.ir.builder.position_at_end(after);
        Ok(())
    }

    /// Fills in the words of [`Argument::Fault`], unless another thread was first.
    pub fn write_report(&self, frame: &mut Frame<'c>, check: Checked<'_>, failed: Failed<'c>) -> Result<()> {
        let builder = &self.ir.builder;
        let words = frame.kernel()?.fault.ok_or_else(|| Error::Malformed("a kernel without room for faults".into()))?;
        let number = self.ir.i32(failed.number as i32 + 1);
        let relaxed = AtomicOrdering::Monotonic;
        let claim = builder.build_cmpxchg(words, self.ir.i32(0), number, relaxed, relaxed)?;
        let is_first = builder.build_extract_value(claim, 1, "")?.into_int_value();
        let mut fields: Vec<IntValue<'c>> = vec![failed.value, failed.lower, failed.extent];
        fields.extend(self.subscripts(frame, check, failed.lane)?);
        self.run_if(frame, is_first, |this| {
            (1i64..).zip(fields).try_for_each(|(at, field)| {
                let word = this.ir.element(words, this.ir.context.i64_type(), this.ir.i64(at))?;
                this.ir.builder.build_store(word, field)?;
                Ok(())
            })
        })
    }
}

/// Whether threads keep values of their own.
fn keeps(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::Local { .. } => true,
        Op::For { body, .. } => keeps(body),
        Op::If { then, otherwise, .. } => keeps(then) || keeps(otherwise),
        _ => false,
    })
}

/// Threads of a block along x, y and z.
fn threads(launch: &Launch) -> [i64; 3] {
    let on = |axis: usize| launch.block.get(axis).map_or(1, |(_, threads)| *threads);
    [on(0), on(1), on(2)]
}

/// The variables that count blocks and threads, their special registers, and how many there are where that is known.
fn numbers(launch: &Launch) -> Vec<(VarId, String, Option<i64>)> {
    let axes = || ["x", "y", "z"].into_iter();
    let blocks = axes().zip(&launch.grid).map(|(axis, (var, count))| (*var, format!("ctaid.{axis}"), count.as_const()));
    let threads = axes().zip(&launch.block).map(|(axis, (var, count))| (*var, format!("tid.{axis}"), Some(*count)));
    blocks.chain(threads).collect()
}

/// A name with what PTX has in names.
fn identifier(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}
