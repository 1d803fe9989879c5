//! The functions of a library's header, as [`super::Library`] lists them.

use std::mem::{offset_of, size_of};

use inkwell::IntPredicate;
use inkwell::module::Linkage;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{BasicValueEnum, FunctionValue, IntValue, PointerValue};
use runtime::abi;

use super::super::Result;
use super::glue::{Body, Glue};
use super::spec::{Status, statuses};
use super::{ABI, MISSED};

/// Offsets in a `tilewright_call`.
const CALL_ABI: usize = 0;
const CALL_WORKSPACE: usize = 24;
const CALL_BYTES: usize = 32;
const CALL_FAULT: usize = 40;
const CALL: usize = 48;

/// Offsets in threads.ll's `%state`, and its size; the fault that it ends with is a `tilewright_fault`.
const STATE_CALL: usize = 0;
const STATE_CHECKS: usize = 8;
const STATE_HAS: usize = 16;
const STATE_TOLD: usize = 24;
const TOLD: usize = 120;

/// A `tilewright_tensor`: data, shape, strides.
const TENSOR: usize = 24;

impl<'c> Glue<'c, '_> {
    /// All of them.
    pub fn functions(&self) -> Result<()> {
        let processor = self.processor()?;
        let plan = self.plan(self.choose(processor)?)?;
        let check = self.sizes_checked()?;
        let run = self.run(plan)?;
        let whole = self.whole(check, run)?;
        self.of_dense(check, whole)?;
        self.workspace_bytes(check, plan)?;
        self.error_text()?;
        let version = self.begin(&self.named("abi"), self.status_type(), &[], Linkage::External);
        self.end(&version, self.ir.i32(ABI).into())
    }

    fn named(&self, what: &str) -> String {
        format!("{}_{what}", self.library.name)
    }

    fn status_type(&self) -> BasicTypeEnum<'c> {
        self.ir.context.i32_type().into()
    }

    fn number_type(&self) -> BasicTypeEnum<'c> {
        self.ir.context.i64_type().into()
    }

    fn pointer(&self) -> BasicTypeEnum<'c> {
        self.ir.pointer_type().into()
    }

    fn bytes(&self, body: &Body<'c>, count: usize) -> Result<PointerValue<'c>> {
        // Of numbers, so that it is aligned as what is in it.
        self.numbers(body, count.div_ceil(size_of::<i64>()))
    }

    /// `i32 sizes(sizes)`: refuses sizes that nobody may call with.
    fn sizes_checked(&self) -> Result<FunctionValue<'c>> {
        let body = self.begin("sizes", self.status_type(), &[self.pointer()], Linkage::Internal);
        let sizes = self.listed(body.parameter(0)?.into_pointer_value())?;
        self.check_sizes(&body, &sizes)?;
        self.end(&body, self.ir.i32(0).into())?;
        Ok(body.function)
    }

    /// The sizes of a list.
    fn listed(&self, list: PointerValue<'c>) -> Result<Vec<IntValue<'c>>> {
        (0..self.library.sizes.len()).map(|size| self.load_int(list, size_of::<i64>() * size, 64)).collect()
    }

    /// A list of sizes.
    fn list(&self, body: &Body<'c>, sizes: &[IntValue<'c>]) -> Result<PointerValue<'c>> {
        let list = self.numbers(body, sizes.len())?;
        for (at, size) in sizes.iter().enumerate() {
            self.store(list, size_of::<i64>() * at, *size)?;
        }
        Ok(list)
    }

    /// `i32 run(arguments, sizes, call)`: calls an object with arguments that fit.
    fn run(&self, plan: FunctionValue<'c>) -> Result<FunctionValue<'c>> {
        // Some of the table's functions are written here, so they come before this one.
        let (math, [checks, entries]) = (self.table()?, self.tables()?);
        let body = self.begin("run", self.status_type(), &[self.pointer(); 3], Linkage::Internal);
        let [arguments, sizes, call] = [0, 1, 2].map(|at| body.parameter(at).map(|p| p.into_pointer_value()));
        let (arguments, sizes, call) = (arguments?, sizes?, call?);
        let choice = self.stack(&body, self.status_type())?;
        let (bytes, parameters) = (self.numbers(&body, 1)?, self.numbers(&body, self.most_parameters())?);
        let status = self.call(plan, &[sizes.into(), choice.into(), bytes.into(), parameters.into()])?;
        self.pass_on(&body, status)?;
        let workspace = self.workspace(&body, call, self.load_int(bytes, 0, 64)?)?;

        let choice =
            self.ir.builder.build_int_s_extend(self.load_int(choice, 0, 32)?, self.ir.context.i64_type(), "")?;
        let pick = |table| -> Result<PointerValue<'c>> {
            let at = self.ir.element(table, self.ir.pointer_type(), choice)?;
            self.load_pointer(at, 0)
        };
        let state = self.bytes(&body, STATE_TOLD + TOLD)?;
        self.store(state, STATE_CALL, call)?;
        self.store(state, STATE_CHECKS, pick(checks)?)?;
        self.store(state, STATE_HAS, self.ir.i32(0))?;
        let context = self.bytes(&body, size_of::<abi::Context>())?;
        self.store(context, offset_of!(abi::Context, parallel), self.defined("parallel")?)?;
        self.store(context, offset_of!(abi::Context, report), self.defined("report")?)?;
        self.store(context, offset_of!(abi::Context, workspace), workspace)?;
        self.store(context, offset_of!(abi::Context, math), math)?;
        self.store(context, offset_of!(abi::Context, state), state)?;
        let status = self.entered(pick(entries)?, [context, arguments, parameters])?;
        self.tell(&body, call, state)?;
        let missed = self.compare(IntPredicate::EQ, status, self.ir.i32(MISSED))?;
        let status = self.select(missed, self.ir.i32(Status::Pool.about(0)), status)?;
        self.end(&body, status.into())?;
        Ok(body.function)
    }

    /// How many integers the object takes that takes most.
    fn most_parameters(&self) -> usize {
        self.library.choices.iter().map(|choice| choice.parameters.len()).max().unwrap_or(0)
    }

    /// The workspace of a call that needs so many bytes; refuses one that is smaller or not aligned.
    fn workspace(&self, body: &Body<'c>, call: PointerValue<'c>, bytes: IntValue<'c>) -> Result<PointerValue<'c>> {
        let workspace = self.load_pointer(call, CALL_WORKSPACE)?;
        let there = self.load_int(call, CALL_BYTES, 64)?;
        let address = self.ir.builder.build_ptr_to_int(workspace, self.ir.context.i64_type(), "")?;
        let low = self.and(address, self.ir.i64(abi::ALIGNMENT as i64 - 1))?;
        let is_unaligned = self.compare(IntPredicate::NE, low, self.ir.i64(0))?;
        let is_short = self.compare(IntPredicate::ULT, there, bytes)?;
        let is_wrong = self.or(self.is_null(workspace)?, self.or(is_unaligned, is_short)?)?;
        let is_needed = self.compare(IntPredicate::NE, bytes, self.ir.i64(0))?;
        self.refuse_if(body, self.and(is_needed, is_wrong)?, Status::Workspace.about(0))?;
        Ok(workspace)
    }

    /// Calls an [`abi::Entry`].
    fn entered(&self, entry: PointerValue<'c>, arguments: [PointerValue<'c>; 3]) -> Result<IntValue<'c>> {
        let ty = self.ir.context.i32_type().fn_type(&[self.ir.pointer_type().into(); 3], false);
        let arguments = arguments.map(|argument| argument.into());
        let status = self.ir.builder.build_indirect_call(ty, entry, &arguments, "")?.try_as_basic_value().basic();
        let none = || super::super::Error::Malformed("an entry without a status".into());
        Ok(status.ok_or_else(none)?.into_int_value())
    }

    /// Copies what a check has reported to where the caller wants it.
    fn tell(&self, body: &Body<'c>, call: PointerValue<'c>, state: PointerValue<'c>) -> Result<()> {
        let builder = &self.ir.builder;
        let wanted = self.load_pointer(call, CALL_FAULT)?;
        let has = self.compare(IntPredicate::NE, self.load_int(state, STATE_HAS, 32)?, self.ir.i32(0))?;
        let both = self.and(has, builder.build_is_not_null(wanted, "")?)?;
        let tell = self.ir.context.append_basic_block(body.function, "tell");
        let after = self.ir.context.append_basic_block(body.function, "");
        builder.build_conditional_branch(both, tell, after)?;
        builder.position_at_end(tell);
        for at in (0..TOLD).step_by(size_of::<i64>()) {
            self.store(wanted, at, self.load_int(state, STATE_TOLD + at, 64)?)?;
        }
        builder.build_unconditional_branch(after)?;
        builder.position_at_end(after);
        Ok(())
    }

    /// The call that a function was given, or, of a null pointer, one with nothing in it.
    fn call_or_default(&self, body: &Body<'c>, call: PointerValue<'c>) -> Result<PointerValue<'c>> {
        let numbers = self.ir.context.i64_type();
        let mut words = vec![numbers.const_zero(); CALL / size_of::<i64>()];
        words[0] = numbers.const_int(ABI as u64, false);
        let default = self.constant("call", numbers.const_array(&words).into())?;
        let is_default = self.is_null(call)?;
        let call = self.ir.builder.build_select(is_default, default, call, "")?.into_pointer_value();
        let version = self.load_int(call, CALL_ABI, 32)?;
        self.refuse_if(body, self.compare(IntPredicate::NE, version, self.ir.i32(ABI))?, Status::Abi.about(0))?;
        Ok(call)
    }

    /// `int NAME(tensor *…, int64_t given…, call *)`
    fn whole(&self, check: FunctionValue<'c>, run: FunctionValue<'c>) -> Result<FunctionValue<'c>> {
        let (count, explicit) = (self.library.arguments.len(), self.library.given().len());
        let mut parameters = vec![self.pointer(); count];
        parameters.extend(vec![self.number_type(); explicit]);
        parameters.push(self.pointer());
        let body = self.begin(&self.library.name, self.status_type(), &parameters, Linkage::External);
        let call = self.call_or_default(&body, body.parameter(count + explicit)?.into_pointer_value())?;
        let given = self.given(&body)?;
        let numbers = (0..explicit).map(|at| Ok(body.parameter(count + at)?.into_int_value()));
        let numbers = numbers.collect::<Result<Vec<_>>>()?;
        let sizes = self.sizes(&body, &given, &numbers)?;
        let list = self.list(&body, &sizes)?;
        self.pass_on(&body, self.call(check, &[list.into()])?)?;
        let tensors = given.iter().enumerate().map(|(at, given)| self.tensor(&body, at, given, &sizes));
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        self.check_overlap(&body, &tensors)?;
        let arguments = self.bytes(&body, size_of::<abi::Arg>() * count.max(1))?;
        for (at, (given, tensor)) in given.iter().zip(&tensors).enumerate() {
            self.store(arguments, size_of::<abi::Arg>() * at + offset_of!(abi::Arg, data), given.data)?;
            self.store(arguments, size_of::<abi::Arg>() * at + offset_of!(abi::Arg, strides), tensor.strides)?;
        }
        let status = self.call(run, &[arguments.into(), list.into(), call.into()])?;
        self.end(&body, status.into())?;
        Ok(body.function)
    }

    /// `int NAME_dense(T *…, int64_t sizes…, call *)`: makes the shapes and calls [`Glue::whole`].
    fn of_dense(&self, check: FunctionValue<'c>, whole: FunctionValue<'c>) -> Result<()> {
        let (count, asked) = (self.library.arguments.len(), self.library.not_values());
        let mut parameters = vec![self.pointer(); count];
        parameters.extend(vec![self.number_type(); asked.len()]);
        parameters.push(self.pointer());
        let body = self.begin(&self.named("dense"), self.status_type(), &parameters, Linkage::External);
        let mut sizes = self.values(&body)?;
        for (at, size) in asked.iter().enumerate() {
            sizes[*size] = body.parameter(count + at)?.into_int_value();
        }
        self.pass_on(&body, self.call(check, &[self.list(&body, &sizes)?.into()])?)?;
        let mut passed: Vec<BasicValueEnum<'c>> = Vec::new();
        for (at, argument) in self.library.arguments.iter().enumerate() {
            let shape = self.list(&body, &self.extents(&body, argument, &sizes)?)?;
            let tensor = self.bytes(&body, TENSOR)?;
            self.store(tensor, 0, body.parameter(at)?.into_pointer_value())?;
            self.store(tensor, 8, shape)?;
            self.store(tensor, 16, self.ir.pointer_type().const_null())?;
            passed.push(tensor.into());
        }
        passed.extend(self.library.given().into_iter().map(|size| BasicValueEnum::from(sizes[size])));
        passed.push(body.parameter(count + asked.len())?);
        let status = self.call(whole, &passed)?;
        self.end(&body, status.into())
    }

    /// The sizes that are values of scalars, where they are; 0 for the others.
    fn values(&self, body: &Body<'c>) -> Result<Vec<IntValue<'c>>> {
        let mut sizes = vec![self.ir.i64(0); self.library.sizes.len()];
        for (at, argument) in self.library.arguments.iter().enumerate() {
            if let Some(size) = argument.size {
                sizes[size] = self.value_at(body, at, body.parameter(at)?.into_pointer_value())?;
            }
        }
        Ok(sizes)
    }

    /// `int NAME_workspace_bytes(int64_t sizes…, size_t *)`
    fn workspace_bytes(&self, check: FunctionValue<'c>, plan: FunctionValue<'c>) -> Result<()> {
        let count = self.library.sizes.len();
        let mut parameters = vec![self.number_type(); count];
        parameters.push(self.pointer());
        let body = self.begin(&self.named("workspace_bytes"), self.status_type(), &parameters, Linkage::External);
        let sizes = (0..count).map(|at| Ok(body.parameter(at)?.into_int_value())).collect::<Result<Vec<_>>>()?;
        let list = self.list(&body, &sizes)?;
        self.pass_on(&body, self.call(check, &[list.into()])?)?;
        let (choice, bytes) = (self.stack(&body, self.status_type())?, self.numbers(&body, 1)?);
        let parameters = self.numbers(&body, self.most_parameters())?;
        let status = self.call(plan, &[list.into(), choice.into(), bytes.into(), parameters.into()])?;
        self.pass_on(&body, status)?;
        let to = body.parameter(count)?.into_pointer_value();
        self.store(to, 0, self.load_int(bytes, 0, 64)?)?;
        self.end(&body, self.ir.i32(0).into())
    }

    /// `const char *NAME_error_text(int)`
    fn error_text(&self) -> Result<()> {
        let builder = &self.ir.builder;
        let name = self.named("error_text");
        let body = self.begin(&name, self.pointer(), &[self.status_type()], Linkage::External);
        let status = body.parameter(0)?.into_int_value();
        let mut cases = Vec::new();
        let here = builder.get_insert_block();
        for (number, text) in statuses(self.library) {
            let block = self.ir.context.append_basic_block(body.function, "");
            builder.position_at_end(block);
            builder.build_return(Some(&self.text(&text)?))?;
            cases.push((self.ir.i32(number), block));
        }
        let other = self.ir.context.append_basic_block(body.function, "");
        if let Some(here) = here {
            builder.position_at_end(here);
        }
        builder.build_switch(status, other, &cases)?;
        builder.position_at_end(other);
        let text = self.text(&format!("no status of `{}`", self.library.name))?;
        self.end(&body, text.into())
    }
}
