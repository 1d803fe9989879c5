//! Functions that end early where something does not hold.

use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::basic_block::BasicBlock;
use inkwell::module::Linkage;
use inkwell::types::{BasicType, BasicTypeEnum};
use inkwell::values::{BasicValueEnum, FunctionValue, IntValue, PointerValue};
use inkwell::{GlobalVisibility, IntPredicate};

use super::super::ir::Ir;
use super::super::object::Machine;
use super::super::{Error, Result};
use super::spec::Library;

/// What the emission of all functions shares.
pub(super) struct Glue<'c, 'a> {
    pub ir: Ir<'c>,
    pub machine: &'a Machine,
    pub library: &'a Library,
}

/// A function under construction.
pub(super) struct Body<'c> {
    pub function: FunctionValue<'c>,
    /// Ends when the function is complete, so that stack slots can be added to it.
    entry: BasicBlock<'c>,
    start: BasicBlock<'c>,
}

impl<'c> Body<'c> {
    /// A parameter, by position.
    pub fn parameter(&self, at: usize) -> Result<BasicValueEnum<'c>> {
        let parameter = self.function.get_nth_param(at as u32);
        parameter.ok_or_else(|| Error::Malformed("LLVM lost a parameter".into()))
    }
}

impl<'c> Glue<'c, '_> {
    /// Begins a function that returns a status or, as `returned` says, something else.
    pub fn begin(
        &self,
        name: &str,
        returned: BasicTypeEnum<'c>,
        parameters: &[BasicTypeEnum<'c>],
        linkage: Linkage,
    ) -> Body<'c> {
        let parameters: Vec<_> = parameters.iter().map(|ty| (*ty).into()).collect();
        let function = self.ir.module.add_function(name, returned.fn_type(&parameters, false), Some(linkage));
        let entry = self.ir.context.append_basic_block(function, "entry");
        let start = self.ir.context.append_basic_block(function, "start");
        self.ir.builder.position_at_end(start);
        Body { function, entry, start }
    }

    /// Ends a function with what it returns.
    pub fn end(&self, body: &Body<'c>, value: BasicValueEnum<'c>) -> Result<()> {
        self.ir.builder.build_return(Some(&value))?;
        self.ir.builder.position_at_end(body.entry);
        self.ir.builder.build_unconditional_branch(body.start)?;
        Ok(())
    }

    /// Memory of the call.
    pub fn stack(&self, body: &Body<'c>, ty: BasicTypeEnum<'c>) -> Result<PointerValue<'c>> {
        let here = self.here()?;
        self.ir.builder.position_at_end(body.entry);
        let pointer = self.ir.builder.build_alloca(ty, "")?;
        self.ir.builder.position_at_end(here);
        Ok(pointer)
    }

    fn here(&self) -> Result<BasicBlock<'c>> {
        self.ir.builder.get_insert_block().ok_or_else(|| Error::Malformed("no block to write to".into()))
    }

    /// An array of 64-bit numbers on the stack; of none, one that nobody reads.
    pub fn numbers(&self, body: &Body<'c>, count: usize) -> Result<PointerValue<'c>> {
        self.stack(body, self.ir.context.i64_type().array_type(count.max(1) as u32).as_basic_type_enum())
    }

    /// Ends the function with a status where the condition holds.
    pub fn fail_if(&self, body: &Body<'c>, condition: IntValue<'c>, status: IntValue<'c>) -> Result<()> {
        let stop = self.ir.context.append_basic_block(body.function, "stop");
        let after = self.ir.context.append_basic_block(body.function, "");
        self.ir.builder.build_conditional_branch(condition, stop, after)?;
        self.ir.builder.position_at_end(stop);
        self.ir.builder.build_return(Some(&status))?;
        self.ir.builder.position_at_end(after);
        Ok(())
    }

    /// As [`Glue::fail_if`], with a status that is known.
    pub fn refuse_if(&self, body: &Body<'c>, condition: IntValue<'c>, status: i32) -> Result<()> {
        self.fail_if(body, condition, self.ir.i32(status))
    }

    /// Ends the function with the status that another one returned, when that is one of a failure.
    pub fn pass_on(&self, body: &Body<'c>, status: IntValue<'c>) -> Result<()> {
        let failed = self.ir.builder.build_int_compare(IntPredicate::NE, status, self.ir.i32(0), "")?;
        self.fail_if(body, failed, status)
    }

    pub fn is_null(&self, pointer: PointerValue<'c>) -> Result<IntValue<'c>> {
        Ok(self.ir.builder.build_is_null(pointer, "")?)
    }

    pub fn or(&self, a: IntValue<'c>, b: IntValue<'c>) -> Result<IntValue<'c>> {
        Ok(self.ir.builder.build_or(a, b, "")?)
    }

    pub fn and(&self, a: IntValue<'c>, b: IntValue<'c>) -> Result<IntValue<'c>> {
        Ok(self.ir.builder.build_and(a, b, "")?)
    }

    pub fn compare(&self, how: IntPredicate, a: IntValue<'c>, b: IntValue<'c>) -> Result<IntValue<'c>> {
        Ok(self.ir.builder.build_int_compare(how, a, b, "")?)
    }

    pub fn select(&self, condition: IntValue<'c>, a: IntValue<'c>, b: IntValue<'c>) -> Result<IntValue<'c>> {
        Ok(self.ir.builder.build_select(condition, a, b, "")?.into_int_value())
    }

    pub fn bool(&self, value: bool) -> IntValue<'c> {
        self.ir.context.bool_type().const_int(value.into(), false)
    }

    /// The address so many bytes after the structure's.
    pub fn field(&self, structure: PointerValue<'c>, offset: usize) -> Result<PointerValue<'c>> {
        self.ir.element(structure, self.ir.context.i8_type(), self.ir.i64(offset as i64))
    }

    pub fn load_pointer(&self, structure: PointerValue<'c>, offset: usize) -> Result<PointerValue<'c>> {
        let ty = self.ir.pointer_type();
        Ok(self.ir.builder.build_load(ty, self.field(structure, offset)?, "")?.into_pointer_value())
    }

    pub fn load_int(&self, structure: PointerValue<'c>, offset: usize, bits: u32) -> Result<IntValue<'c>> {
        let ty = self.ir.int_type(bits);
        Ok(self.ir.builder.build_load(ty, self.field(structure, offset)?, "")?.into_int_value())
    }

    pub fn store(
        &self,
        structure: PointerValue<'c>,
        offset: usize,
        value: impl Into<BasicValueEnum<'c>>,
    ) -> Result<()> {
        self.ir.builder.build_store(self.field(structure, offset)?, value.into())?;
        Ok(())
    }

    /// A function that threads.ll or another text defines.
    pub fn known(&self, name: &str) -> Result<FunctionValue<'c>> {
        let function = self.ir.module.get_function(name);
        function.ok_or_else(|| Error::Malformed(format!("no function `{name}` in the module")))
    }

    /// The address of a function that the module has.
    pub fn defined(&self, name: &str) -> Result<PointerValue<'c>> {
        Ok(self.known(name)?.as_global_value().as_pointer_value())
    }

    /// The value of a call.
    pub fn call(&self, function: FunctionValue<'c>, arguments: &[BasicValueEnum<'c>]) -> Result<IntValue<'c>> {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).into()).collect();
        let value = self.ir.builder.build_call(function, &arguments, "")?.try_as_basic_value().basic();
        Ok(value.ok_or_else(|| Error::Malformed("a function without a value".into()))?.into_int_value())
    }

    /// A constant of the module's own.
    pub fn constant(&self, name: &str, value: BasicValueEnum<'c>) -> Result<PointerValue<'c>> {
        let global = self.ir.module.add_global(value.get_type(), None, name);
        global.set_initializer(&value);
        global.set_constant(true);
        global.set_linkage(Linkage::Private);
        Ok(global.as_pointer_value())
    }

    /// A string of C.
    pub fn text(&self, text: &str) -> Result<PointerValue<'c>> {
        self.constant("text", self.ir.context.const_string(text.as_bytes(), true).into())
    }

    /// Says of all functions which processor they are for and what they do not do; objects beside this one see those that
    /// they call, and programs those of the header.
    pub fn describe(&self) -> Result<()> {
        let texts = [("target-cpu", self.machine.cpu.as_str()), ("no-builtins", ""), ("probe-stack", "inline-asm")];
        let nounwind = Attribute::get_named_enum_kind_id("nounwind");
        for function in self.ir.module.get_functions().filter(|function| function.count_basic_blocks() > 0) {
            for (key, value) in texts {
                let attribute = self.ir.context.create_string_attribute(key, value);
                function.add_attribute(AttributeLoc::Function, attribute);
            }
            function.add_attribute(AttributeLoc::Function, self.ir.context.create_enum_attribute(nounwind, 0));
        }
        for choice in &self.library.choices {
            let entry = self.known(&choice.entry)?;
            entry.as_global_value().set_visibility(GlobalVisibility::Hidden);
        }
        Ok(())
    }
}
