//! The text of every stage.

use codegen::gpu::Language;
use codegen::llvm;
use polyhedral::{Scop, dependences, isl};
use support::{Stage, with_deep_stack};

use crate::compile::{self, Options};
use crate::{Definition, Error, Result};

/// The stages that print themselves, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageName {
    /// The program with every range explicit.
    Tc,
    /// Statements, domains, accesses, and the order of the source.
    Scop,
    /// Which instance depends on which other one, and why.
    Deps,
    /// The commands that made the schedule; replays with `--schedule`.
    Script,
    /// The schedule tree that they made.
    Schedule,
    /// Loops with vectors, guards and register tiles.
    Loops,
    /// LLVM's intermediate code after its passes.
    Llvm,
    /// Machine code as text.
    Asm,
    /// Kernels of a device in OpenCL C, with the schedule of the GPU policy unless a script is given.
    OpenCl,
    /// The same in CUDA C++.
    Cuda,
}

impl StageName {
    /// All of them, in order.
    pub const ALL: [StageName; 10] = [
        StageName::Tc,
        StageName::Scop,
        StageName::Deps,
        StageName::Script,
        StageName::Schedule,
        StageName::Loops,
        StageName::Llvm,
        StageName::Asm,
        StageName::OpenCl,
        StageName::Cuda,
    ];

    /// The name that `tilewright emit` takes.
    pub fn name(self) -> &'static str {
        match self {
            StageName::Tc => "tc",
            StageName::Scop => "scop",
            StageName::Deps => "deps",
            StageName::Script => "script",
            StageName::Schedule => "schedule",
            StageName::Loops => "loops",
            StageName::Llvm => "llvm",
            StageName::Asm => "asm",
            StageName::OpenCl => "opencl",
            StageName::Cuda => "cuda",
        }
    }

    /// Whether the stage can be had before the sizes are known without asking for [one kernel for all](Options::symbolic).
    pub fn is_symbolic(self) -> bool {
        self <= StageName::Deps
    }
}

/// The text of a stage; `sizes` may be absent for the stages that are [symbolic](StageName::is_symbolic),
/// and for all where [one kernel is made for all sizes](Options::symbolic).
///
/// # Errors
/// What compiling reports; a stage that needs sizes without them is a bug of the caller.
pub fn emit(stage: StageName, def: &Definition, sizes: Option<&[i64]>, options: &Options) -> Result<String> {
    with_deep_stack(|| emitted(stage, def, sizes, options))
}

fn emitted(stage: StageName, def: &Definition, sizes: Option<&[i64]>, options: &Options) -> Result<String> {
    if stage == StageName::Tc {
        return Ok(verified(def)?.to_string());
    }
    let scop = match sizes {
        Some(sizes) if !options.symbolic => frontend_tc::lower_at(def, &isl::Ctx::new(), sizes)?,
        _ if options.symbolic || stage.is_symbolic() => frontend_tc::lower(def, &isl::Ctx::new())?,
        _ => return Err(Error::bug(format!("stage `{}` needs sizes", stage.name()))),
    };
    match stage {
        StageName::Tc | StageName::Scop => Ok(scop.to_string()),
        StageName::Deps => Ok(verified(&dependences(&scop)?)?.to_string()),
        _ => later(stage, scop, options),
    }
}

fn later(stage: StageName, scop: Scop, options: &Options) -> Result<String> {
    match stage {
        StageName::OpenCl => return compile::source(scop, Language::OpenCl, options),
        StageName::Cuda => return compile::source(scop, Language::Cuda, options),
        _ => {}
    }
    let mut scheduled = compile::schedule(scop, options)?;
    match stage {
        StageName::Script => return Ok(scheduled.script.to_string()),
        StageName::Schedule => return Ok(verified(&scheduled)?.to_string()),
        _ => {}
    }
    let program = compile::program(&mut scheduled, &[], options)?;
    match stage {
        StageName::Llvm => llvm::ir(&program, &options.target).map_err(compile::target),
        StageName::Asm => llvm::assembly(&program, &options.target).map_err(compile::target),
        _ => Ok(program.to_string()),
    }
}

fn verified<S: Stage>(stage: &S) -> Result<&S> {
    stage.verify()?;
    Ok(stage)
}
