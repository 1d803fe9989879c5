//! [`Program`] to LLVM IR with explicit vectors, and on to an object that needs nothing from outside.
//!
//! ```text
//! compile = machine        what the target can do; unknown names are refused before LLVM sees them   isa, object
//!         · emit           a function for the kernel, one for each parallel loop                     cpu
//!                          or one for each kernel of a device                                        nvptx
//!             emitter        ops, loops, registers: what all functions have in common
//!             index          integers and conditions: addresses, bounds, guards
//!             expr, arith    values, scalar or <n x T>
//!             math           the functions of the language, as formulas over lanes
//!             memory         loads, stores, gathers, scatters, masks
//!             check          checks of subscripts, and what they report
//!             block          rectangles of registers, transposed as they are loaded
//!             stream         stores past the caches
//!             loops          of kernels: how often they run, which are unrolled
//!             combine        what threads of a block combine
//!             dot            sums of a few products in one instruction
//!             lines          which lines of the loops instructions were made from, for reports
//!         · optimise       a fixed list of passes                                                    object
//!         · object         ELF bytes; an undefined symbol is an error                                object
//! ```
//!
//! The code meets the outside in [`runtime::abi`] only: it is called as an `Entry`, runs parallel loops through
//! `Context::parallel`, reports through `Context::report`, and takes from `Context::math` the functions that have no
//! formula. A failing [`Op::Check`](crate::Op::Check) ends the kernel with a status.
//!
//! Values are what the documentation of [`polyhedral::Expr`] says, on every target: no fast-math flag is set, integers wrap,
//! division by zero gives 0. `float16` and `bfloat16` are computed in `float32` and rounded after each operation.

mod alias;
mod arith;
mod atomic;
mod block;
mod check;
mod code;
mod combine;
mod copy;
mod cpu;
mod dot;
mod emitter;
mod expr;
mod gather;
mod index;
mod ir;
mod isa;
pub mod library;
mod lines;
mod loops;
mod math;
mod memory;
mod needs;
mod nvptx;
mod object;
mod open;
mod remainder;
mod shared;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use inkwell::builder::BuilderError;
use inkwell::context::Context;
use inkwell::module::Module;
use support::{Gpu, Target, with_deep_stack};

use crate::Program;
use crate::gpu::PtxKernel;
use cpu::Emitted;
use lines::Form;

pub use lines::Listed;
pub(crate) use math::library_calls;
pub use needs::{Needs, needs};
pub(crate) use nvptx::ALIGNMENT;
pub use object::{Host, host, version};
pub(crate) use open::open_signature;

/// What [`compile`] is asked for beyond the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Keeps the text of the IR after the passes in [`Object::ir`].
    pub keep_ir: bool,
    /// The symbol of the entry, an identifier of C: the only one that other objects see, so that objects with different ones
    /// link into one library. `tw_` and the program's name unless it is given.
    pub entry: Option<String>,
}

/// A relocatable ELF object without undefined symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The file's contents.
    pub bytes: Arc<[u8]>,
    /// The symbol of its [`runtime::abi::Entry`].
    pub entry: String,
    /// The checks that its faults count.
    pub checks: Vec<runtime::Check>,
    /// The functions that it calls, by their position in [`runtime::math::table`].
    pub math: BTreeSet<usize>,
    /// The IR that it was made from, if asked for.
    pub ir: Option<String>,
}

/// Why there is no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The program is right, but this needs something that the target does not have.
    Unsupported(String),
    /// The target's description names something that LLVM does not know.
    Target(String),
    /// A bug of ours: the program breaks the rules of its documentation, or LLVM refused what was made of it.
    Malformed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsupported(what) => write!(f, "not supported on this target: {what}"),
            Error::Target(what) => write!(f, "not a target that can be compiled for: {what}"),
            Error::Malformed(what) => write!(f, "internal error in code generation: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<BuilderError> for Error {
    fn from(error: BuilderError) -> Error {
        Error::Malformed(format!("LLVM's builder: {error}"))
    }
}

/// Whether the target multiplies and adds in one instruction, rounded once.
///
/// # Errors
/// [`Error::Target`] when the description names what LLVM does not know.
pub fn has_fma(target: &Target) -> Result<bool> {
    Ok(object::Machine::new(target)?.instructions.fma)
}

/// Shorthand of this module.
type Result<T> = std::result::Result<T, Error>;

/// Makes an object of a program. Same program, same target: same bytes.
pub fn compile(program: &Program, target: &Target, options: &Options) -> Result<Object> {
    let entry = options.entry.as_deref();
    optimised(program, target, (entry, Locations::None), |machine, Emitted { module, entry, checks, math }| {
        let bytes = machine.object(&module)?.into();
        let ir = options.keep_ir.then(|| module.print_to_string().to_string());
        Ok(Object { bytes, entry, checks, math, ir })
    })
}

/// The text of LLVM's IR after the passes.
pub fn ir(program: &Program, target: &Target) -> Result<String> {
    ir_with(program, target, Locations::None)
}

fn ir_with(program: &Program, target: &Target, locations: Locations) -> Result<String> {
    optimised(program, target, (None, locations), |_, emitted| Ok(emitted.module.print_to_string().to_string()))
}

/// [`ir`], with the lines of the program's text that its own were made from.
pub fn ir_with_lines(program: &Program, target: &Target) -> Result<Listed> {
    let text = |locations| ir_with(program, target, locations);
    listed(Form::Module, text, &lines::alike(program))
}

/// [`assembly`], with the lines of the program's text that its own were made from.
pub fn assembly_with_lines(program: &Program, target: &Target) -> Result<Listed> {
    let text = |locations| assembly_with(program, target, locations);
    listed(Form::Assembly, text, &lines::alike(program))
}

fn listed(form: Form, text: impl Fn(Locations) -> Result<String>, alike: &[Vec<usize>]) -> Result<Listed> {
    Ok(lines::matched(text(Locations::None)?, &text(Locations::Lines)?, form, alike))
}

/// The text of the machine code.
pub fn assembly(program: &Program, target: &Target) -> Result<String> {
    assembly_with(program, target, Locations::None)
}

fn assembly_with(program: &Program, target: &Target, locations: Locations) -> Result<String> {
    optimised(program, target, (None, locations), |machine, emitted| machine.assembly(&emitted.module))
}

/// What `made` makes of the module of a program after the passes.
fn optimised<R>(
    program: &Program,
    target: &Target,
    named: (Option<&str>, Locations),
    made: impl FnOnce(&object::Machine, Emitted<'_>) -> Result<R>,
) -> Result<R> {
    with_deep_stack(|| {
        let context = Context::create();
        let machine = object::Machine::new(target)?;
        let emitted = cpu::emit(program, &machine, named, &context)?;
        machine.optimise(&emitted.module)?;
        made(&machine, emitted)
    })
}

/// Whether instructions say which lines of the program's text they were made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locations {
    None,
    Lines,
}

/// The text of the kernels of a program in PTX, and what each is called with.
pub(crate) fn ptx(program: &Program, device: &Gpu) -> Result<(String, Vec<PtxKernel>)> {
    kernels(program, device, Locations::None, |machine, module| machine.assembly(module))
}

/// The text of [`ptx`], with the lines of the program's text that its own were made from.
pub(crate) fn ptx_with_lines(program: &Program, device: &Gpu) -> Result<Listed> {
    let text = |locations| {
        kernels(program, device, locations, |machine, module| machine.assembly(module)).map(|(text, _)| text)
    };
    listed(Form::Assembly, text, &[])
}

/// The text of LLVM's IR of the kernels, after the passes.
pub fn kernel_ir(program: &Program, device: &Gpu) -> Result<String> {
    kernels(program, device, Locations::None, |_, module| Ok(module.print_to_string().to_string()))
        .map(|(text, _)| text)
}

fn kernels<R>(
    program: &Program,
    device: &Gpu,
    locations: Locations,
    made: impl FnOnce(&object::Machine, &Module<'_>) -> Result<R>,
) -> Result<(R, Vec<PtxKernel>)> {
    with_deep_stack(|| {
        let context = Context::create();
        let machine = object::Machine::of_device(device)?;
        let (module, kernels) = nvptx::emit(program, &machine, (device, locations), &context)?;
        machine.optimise(&module)?;
        Ok((made(&machine, &module)?, kernels))
    })
}
