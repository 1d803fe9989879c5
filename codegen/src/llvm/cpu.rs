//! A [`Program`] as functions for CPU threads: the kernel, and one function for each parallel loop.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::mem::offset_of;
use std::rc::Rc;

use inkwell::IntPredicate;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::basic_block::BasicBlock;
use inkwell::context::Context as LlvmContext;
use inkwell::module::{Linkage, Module};
use inkwell::types::{BasicType, BasicTypeEnum};
use inkwell::values::{BasicMetadataValueEnum, BasicValue, CallSiteValue, FunctionValue, IntValue, PointerValue};
use polyhedral::{Role, TensorId};
use runtime::{Check, abi};
use support::Entity;

use super::alias::Alias;
use super::emitter::{Emitter, Frame, Memory, Outside};
use super::ir::{Ir, Llvm};
use super::lines::Lines;
use super::object::Machine;
use super::shared::{Shared, Time, buffers_of};
use super::{Error, Locations, Result};
use crate::checks::checks_of;
use crate::numbers::Numbers;
use crate::{Buffer, Int, Op, Place, Program, Stride, VarId, arena};

/// Of a pointer, and so of subscripts.
const POINTER_BITS: u32 = 64;

/// A module with the function that runs the kernel.
pub(super) struct Emitted<'c> {
    pub module: Module<'c>,
    /// The function's name.
    pub entry: String,
    /// What its faults count.
    pub checks: Vec<Check>,
    /// The functions of the context's table that it calls.
    pub math: BTreeSet<usize>,
}

/// Builds the module; `entry` is what its only visible function is called, when it is not named after the program.
pub(super) fn emit<'c>(
    program: &Program,
    machine: &Machine,
    (entry, locations): (Option<&str>, Locations),
    context: &'c LlvmContext,
) -> Result<Emitted<'c>> {
    let ir = Ir::new(context, &program.name, POINTER_BITS);
    machine.describe(&ir.module);
    let is_constant = |buffer: TensorId| program.buffers[buffer].role == Role::Input;
    let alias = |buffers: &BTreeSet<TensorId>| {
        Alias::of(context, program, buffers, is_constant, |a, b| arena::are_apart(program, a, b))
    };
    let shared = Shared::of(program);
    let own = own_of(program, &shared);
    let (formula_steps, numbers, checks) = (Cell::new(0), Numbers::of(program), checks_of(program));
    let math = RefCell::default();
    let lines = (locations == Locations::Lines).then(|| Lines::new(&ir, program));
    let alias_of_own = alias(&own);
    let mut emitter =
        Emitter { ir, machine, alias: alias_of_own, formula_steps, numbers, program, checks, math, lines };
    let mut functions = Vec::new();
    for run in &shared.runs {
        let ops = &program.body[run.first().ops.clone()];
        let apart = |a, b| run.are_apart(a, b, program);
        let constant = |buffer| run.is_constant(buffer, program);
        let outside = std::mem::replace(
            &mut emitter.alias,
            Alias::of(context, program, &buffers_of(program, ops), constant, apart),
        );
        functions.push(emitter.shared_function(run.first(), ops)?);
        emitter.alias = outside;
    }
    let entry = entry.map_or_else(|| format!("tw_{}", program.name), String::from);
    emitter.kernel(&entry, &shared, &functions)?;
    emitter.lines.iter().for_each(Lines::finish);
    let (checks, math) = (emitter.checks, emitter.math.into_inner());
    Ok(Emitted { module: emitter.ir.module, entry, checks, math })
}

/// The buffers of what only the kernel itself runs.
fn own_of(program: &Program, shared: &Shared) -> BTreeSet<TensorId> {
    let mut own = BTreeSet::new();
    let mut at = 0;
    while at < program.body.len() {
        match shared.at(at) {
            Some((_, time)) => at = time.ops.end,
            None => {
                own.extend(buffers_of(program, &program.body[at..=at]));
                at += 1;
            }
        }
    }
    own
}

/// What the run time hands to a function.
#[derive(Clone)]
pub(super) struct Addresses<'c> {
    pub context: PointerValue<'c>,
    arguments: PointerValue<'c>,
    /// In a function that several parts share: the buffers to whose addresses `arguments` points, one after the other.
    table: Option<Rc<[TensorId]>>,
    sizes: PointerValue<'c>,
    /// The context's table of functions.
    pub math: PointerValue<'c>,
    /// Where faults are put together, once one may be.
    pub fault: Option<PointerValue<'c>>,
}

impl<'c> Emitter<'c, '_> {
    /// `int entry(context, arguments, sizes)`
    fn kernel(&self, name: &str, shared: &Shared, functions: &[FunctionValue<'c>]) -> Result<()> {
        let pointer = self.ir.pointer_type().into();
        let function = self.function(name, &[pointer, pointer, pointer], Linkage::External)?;
        let [context, arguments, sizes] = [0, 1, 2].map(|n| function.get_nth_param(n).map(Llvm::into_pointer_value));
        let (Some(context), Some(arguments), Some(sizes)) = (context, arguments, sizes) else {
            return Err(Error::Malformed("LLVM lost the kernel's parameters".into()));
        };
        let entry = self.begin(function);
        let addresses = self.addresses([context, arguments, sizes], None)?;
        let all = self.program.buffers.keys().collect();
        self.define(function, entry, addresses, &all, |this, frame| this.body(frame, shared, functions))
    }

    /// The body of the kernel, with calls of the functions that parts share.
    fn body(&self, frame: &mut Frame<'c>, shared: &Shared, functions: &[FunctionValue<'c>]) -> Result<()> {
        let body = &self.program.body;
        let mut from = 0;
        while from < body.len() {
            if let Some((run, time)) = shared.at(from) {
                let first = &body[from];
                self.on_its_line(frame, first, |this, frame| this.call_shared(frame, functions[run], time))?;
                from = time.ops.end;
                continue;
            }
            let to = (from + 1..body.len()).find(|at| shared.at(*at).is_some()).unwrap_or(body.len());
            self.ops(frame, &body[from..to])?;
            from = to;
        }
        Ok(())
    }

    /// `int part(context, addresses, sizes)`: ops that other parts have too, with other buffers.
    fn shared_function(&self, first: &Time, ops: &[Op]) -> Result<FunctionValue<'c>> {
        let pointer = self.ir.pointer_type().into();
        let name = format!("{}.part", self.program.name);
        let function = self.function(&name, &[pointer, pointer, pointer], Linkage::Internal)?;
        let [context, table, sizes] = [0, 1, 2].map(|n| function.get_nth_param(n).map(Llvm::into_pointer_value));
        let (Some(context), Some(table), Some(sizes)) = (context, table, sizes) else {
            return Err(Error::Malformed("LLVM lost a part's parameters".into()));
        };
        let entry = self.begin(function);
        let addresses = self.addresses([context, table, sizes], Some(first.buffers.as_slice().into()))?;
        self.define(function, entry, addresses, &buffers_of(self.program, ops), |this, frame| this.ops(frame, ops))?;
        Ok(function)
    }

    /// Runs a part with its buffers.
    fn call_shared(&self, frame: &mut Frame<'c>, function: FunctionValue<'c>, time: &Time) -> Result<()> {
        let builder = &self.ir.builder;
        let table = self.stack_slot(frame, self.closure_type(time.buffers.len()))?;
        for (position, buffer) in time.buffers.iter().enumerate() {
            builder.build_store(self.field(table, FIELD_BYTES * position)?, frame.memory(*buffer)?.pointer)?;
        }
        let given = frame.addresses()?;
        let arguments: [BasicMetadataValueEnum<'c>; 3] = [given.context.into(), table.into(), given.sizes.into()];
        let call = builder.build_call(function, &arguments, "")?;
        self.continue_after(frame, call)
    }

    /// Ends the function where a call has failed, with its status.
    fn continue_after(&self, frame: &mut Frame<'c>, call: CallSiteValue<'c>) -> Result<()> {
        call.add_attribute(AttributeLoc::Function, self.attribute("nounwind"));
        let status = call.try_as_basic_value().basic().map(Llvm::into_int_value);
        let status = status.ok_or_else(|| Error::Malformed("a call without a status".into()))?;
        let failed = self.ir.builder.build_int_compare(IntPredicate::NE, status, self.ir.i32(abi::STATUS_OK), "")?;
        self.return_if(frame, failed, |_| Ok(status))
    }

    /// A function that returns a status, for the target's processor, without unwinding or calls of its own making.
    fn function(&self, name: &str, parameters: &[BasicTypeEnum<'c>], linkage: Linkage) -> Result<FunctionValue<'c>> {
        let parameters: Vec<_> = parameters.iter().map(|ty| (*ty).into()).collect();
        let ty = self.ir.context.i32_type().fn_type(&parameters, false);
        let function = self.ir.module.add_function(name, ty, Some(linkage));
        self.describe_function(function);
        self.lines.iter().for_each(|lines| lines.describe(function));
        Ok(function)
    }

    /// Says what machine a function is compiled for, and what it does not do.
    pub fn describe_function(&self, function: FunctionValue<'c>) {
        let width = self.machine.vector_bits.to_string();
        let texts = [
            ("target-cpu", self.machine.cpu.as_str()),
            ("tune-cpu", self.machine.architecture.tuned_as(&self.machine.cpu)),
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

    /// What a function is handed.
    fn addresses(
        &self,
        [context, arguments, sizes]: [PointerValue<'c>; 3],
        table: Option<Rc<[TensorId]>>,
    ) -> Result<Addresses<'c>> {
        let math = self.read_pointer(context, offset_of!(abi::Context, math))?;
        Ok(Addresses { context, arguments, table, sizes, math, fault: None })
    }

    /// The rest of a function whose parameters are known: what it needs of the arguments for these buffers, its body, success.
    fn define(
        &self,
        function: FunctionValue<'c>,
        entry: BasicBlock<'c>,
        addresses: Addresses<'c>,
        buffers: &BTreeSet<TensorId>,
        body: impl FnOnce(&Self, &mut Frame<'c>) -> Result<()>,
    ) -> Result<()> {
        let mut frame = Frame::new(self.program, function, entry, Outside::Processor(addresses));
        self.read_arguments(&mut frame, buffers)?;
        let start = self.ir.context.append_basic_block(frame.function, "start");
        self.ir.builder.position_at_end(start);
        body(self, &mut frame)?;
        self.fence_streams()?;
        self.ir.builder.build_return(Some(&self.ir.i32(abi::STATUS_OK)))?;
        self.ir.builder.position_at_end(frame.entry);
        self.ir.builder.build_unconditional_branch(start)?;
        Ok(())
    }

    /// Sizes, and the addresses and strides of buffers. What nobody uses goes away in the passes.
    fn read_arguments(&self, frame: &mut Frame<'c>, buffers: &BTreeSet<TensorId>) -> Result<()> {
        let given = frame.addresses()?.clone();
        frame.params = (0..self.program.params.len())
            .map(|position| self.read_int(given.sizes, size_of::<i64>() * position).map(Some))
            .collect::<Result<_>>()?;
        for (id, buffer) in self.program.buffers.iter() {
            let memory = match (&buffer.place, &given.table) {
                (Place::Stack | Place::Shared, _) => None,
                _ if !buffers.contains(&id) => None,
                (_, Some(table)) => Some(self.in_table(frame, table, id)?),
                (Place::Argument(position), None) => Some(self.argument(frame, buffer, *position)?),
                (Place::Workspace(offset), None) => Some(self.workspace(frame, buffer, offset)?),
            };
            frame.memory.push(memory);
        }
        Ok(())
    }

    fn argument(&self, frame: &Frame<'c>, buffer: &Buffer, position: usize) -> Result<Memory<'c>> {
        let (arguments, argument) = (frame.addresses()?.arguments, size_of::<abi::Arg>() * position);
        let pointer = self.read_pointer(arguments, argument + offset_of!(abi::Arg, data))?;
        let given = self.read_pointer(arguments, argument + offset_of!(abi::Arg, strides))?;
        let strides = buffer.strides.iter().enumerate().map(|(dim, stride)| match stride {
            Stride::Known(stride) => self.int(frame, stride),
            Stride::Runtime => self.read_int(given, size_of::<i64>() * dim),
        });
        Ok(Memory { pointer, strides: strides.collect::<Result<_>>()? })
    }

    /// A buffer whose address a shared function is given.
    fn in_table(&self, frame: &Frame<'c>, table: &[TensorId], id: TensorId) -> Result<Memory<'c>> {
        let position = table.iter().position(|own| *own == id);
        let position = position.ok_or_else(|| Error::Malformed(format!("a part has no address of the buffer {id}")))?;
        let pointer = self.read_pointer(frame.addresses()?.arguments, FIELD_BYTES * position)?;
        self.own_memory(frame, self.buffer(id)?, pointer)
    }

    fn workspace(&self, frame: &Frame<'c>, buffer: &Buffer, offset: &Int) -> Result<Memory<'c>> {
        let workspace = self.read_pointer(frame.addresses()?.context, offset_of!(abi::Context, workspace))?;
        let pointer = self.ir.element(workspace, self.ir.context.i8_type(), self.int(frame, offset)?)?;
        self.own_memory(frame, buffer, pointer)
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

    /// Hands the iterations to [`abi::Context::parallel`], as a function over their numbers.
    pub fn parallel_loop(
        &self,
        frame: &mut Frame<'c>,
        var: VarId,
        (lower, upper, step): (IntValue<'c>, IntValue<'c>, &Int),
        body: &[Op],
    ) -> Result<()> {
        let builder = &self.ir.builder;
        let captured: Vec<VarId> = self.program.vars.keys().filter(|var| frame.vars[var.index()].is_some()).collect();
        let given = frame.addresses()?.clone();
        let mut fields: Vec<Llvm<'c>> = vec![given.arguments.into(), given.sizes.into(), lower.into(), upper.into()];
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
        let parallel = self.read_pointer(given.context, offset_of!(abi::Context, parallel))?;
        let arguments: [BasicMetadataValueEnum<'c>; 4] = [
            given.context.into(),
            outlined.as_global_value().as_pointer_value().into(),
            closure.into(),
            self.iterations(lower, upper, self.int(frame, step)?)?.into(),
        ];
        let pointer = self.ir.pointer_type().into();
        let ty =
            self.ir.context.i32_type().fn_type(&[pointer, pointer, pointer, self.ir.context.i64_type().into()], false);
        self.fence_streams()?;
        let call = builder.build_indirect_call(ty, parallel, &arguments, "")?;
        self.continue_after(frame, call)
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
        let (here, line) = (self.here()?, builder.get_current_debug_location());
        let (pointer, int) = (self.ir.pointer_type().into(), self.ir.context.i64_type().into());
        let name = format!("{}.{}", self.program.name, self.program.vars.get(var).map_or("", |var| var.name.as_str()));
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
        let addresses = self.addresses([context, arguments, sizes], outside.addresses()?.table.clone())?;
        self.define(function, entry, addresses, &buffers_of(self.program, body), |this, frame| {
            this.continue_in(function, line);
            frame.vars = vars;
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
        self.on_line_of(line);
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
        self.math.borrow_mut().insert(slot);
        self.read_pointer(frame.addresses()?.math, size_of::<abi::MathFn>() * slot)
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

impl<'c> Addresses<'c> {
    /// Those of a function that only calls the table of functions, whose address it is given.
    pub fn of_arithmetic(math: PointerValue<'c>) -> Addresses<'c> {
        Addresses { context: math, arguments: math, table: None, sizes: math, math, fault: None }
    }
}
