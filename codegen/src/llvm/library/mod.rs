//! What a C program calls: a function that checks its arguments, chooses one of several objects and calls that.
//!
//! ```text
//! spec       what a library is made of, where its sizes come from, what its statuses say
//! features   which bits a processor's features are
//! threads.ll, x86.ll, aarch64.ll, special.ll      what is the same in every library
//! mathematics      the table of functions
//! glue       blocks that end the function where something does not hold
//! formula    expressions over the sizes, with every overflow found
//! arguments  shapes, strides, alignment, overlap
//! choose     by what the processor has and by the sizes; the workspace
//! functions  the functions of the header
//! ```
//!
//! The object has no state but what it has found out of the processor, which is the same whoever asks first. It calls the
//! entries of the objects beside it, functions of the C library's mathematics (those that the objects ask for) and, on 64-bit
//! ARM, `getauxval`; it does not allocate, print or exit. It runs on every processor of its architecture.

mod arguments;
mod choose;
mod features;
mod formula;
mod functions;
mod glue;
mod mathematics;
mod spec;

use std::mem::{offset_of, size_of};

use inkwell::context::Context;
use inkwell::memory_buffer::MemoryBuffer;
use inkwell::module::Module;
use runtime::abi;
use support::with_deep_stack;

pub use spec::{Argument, Choice, Condition, Library, Origin, Status, statuses};

use super::ir::Ir;
use super::isa::Architecture;
use super::object::Machine;
use super::{Error, Result};
use glue::Glue;

/// The version of what the functions of a library take: of the structures of `tilewright.h`.
pub const ABI: i32 = 1;

/// As [`abi::STATUS_FAULT`], what a parallel loop returns whose iterations have not all run once. No program of ours does.
const MISSED: i32 = -2;

// threads.ll has these layouts.
const _: () = assert!(offset_of!(abi::Context, parallel) == 0 && offset_of!(abi::Context, report) == 8);
const _: () = assert!(offset_of!(abi::Context, workspace) == 16 && offset_of!(abi::Context, math) == 24);
const _: () = assert!(offset_of!(abi::Context, state) == 32 && size_of::<abi::Context>() == 40);
const _: () = assert!(offset_of!(abi::Fault, code) == 0 && offset_of!(abi::Fault, check) == 4);
const _: () = assert!(offset_of!(abi::Fault, value) == 8 && offset_of!(abi::Fault, lower) == 16);
const _: () = assert!(offset_of!(abi::Fault, extent) == 24 && offset_of!(abi::Fault, found_by) == 32);
const _: () = assert!(offset_of!(abi::Arg, data) == 0 && offset_of!(abi::Arg, strides) == 8);
const _: () = assert!(size_of::<abi::Arg>() == 16 && abi::STATUS_OK == 0 && abi::STATUS_FAULT == 1);

/// The relocatable object with the functions of a library's header. Same library: same bytes.
///
/// # Errors
/// [`Error::Target`] when the triple is none of ours; [`Error::Unsupported`] when a choice asks for a feature that a program
/// cannot ask the processor for.
pub fn library(library: &Library) -> Result<Vec<u8>> {
    built(library, |machine, module| machine.object_calling(module, |name| library.may_call(name)))
}

/// Whether a library for a triple can find out that a processor has these features, by LLVM's names.
///
/// # Errors
/// As [`library`].
pub fn can_choose(triple: &str, features: &[String]) -> Result<()> {
    let architecture = Machine::baseline(triple)?.architecture;
    features.iter().try_for_each(|feature| features::bits(architecture, feature).map(drop))
}

/// The text of LLVM's IR of [`library`], after the passes.
///
/// # Errors
/// As [`library`].
pub fn library_ir(library: &Library) -> Result<String> {
    built(library, |_, module| Ok(module.print_to_string().to_string()))
}

fn built<R>(library: &Library, made: impl FnOnce(&Machine, &Module<'_>) -> Result<R>) -> Result<R> {
    library.check()?;
    with_deep_stack(|| {
        let context = Context::create();
        let machine = Machine::baseline(&library.triple)?;
        let module = fixed(&context, machine.architecture)?;
        module.set_name(&library.name);
        machine.describe(&module);
        let glue = Glue { ir: Ir::of_module(&context, module), machine: &machine, library };
        glue.functions()?;
        glue.describe()?;
        machine.optimise_library(&glue.ir.module)?;
        made(&machine, &glue.ir.module)
    })
}

/// The module of what is the same in every library of an architecture.
fn fixed(context: &Context, architecture: Architecture) -> Result<Module<'_>> {
    let processor = match architecture {
        Architecture::X86 => include_str!("x86.ll"),
        Architecture::AArch64 => include_str!("aarch64.ll"),
        Architecture::Nvptx => return Err(Error::Target("a C library is for processors".into())),
    };
    let threads = include_str!("threads.ll").replace("POOL", &MISSED.to_string());
    let text = format!("{threads}\n{processor}\n{}", include_str!("special.ll"));
    let buffer = MemoryBuffer::create_from_memory_range_copy(text.as_bytes(), "library");
    let malformed = |error| Error::Malformed(format!("LLVM's reader: {error}"));
    context.create_module_from_ir(buffer).map_err(malformed)
}
