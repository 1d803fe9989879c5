//! The text of every stage.

use codegen::gpu::{self, Language};
use codegen::llvm;
use polyhedral::{Scop, dependences, isl};
use support::{Gpu, KernelCode, Stage, with_deep_stack};

use crate::compile::{self, Options};
use crate::parts;
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
    /// The same as NVIDIA's virtual machine code, which its driver takes.
    Ptx,
}

impl StageName {
    /// All of them, in order.
    pub const ALL: [StageName; 11] = [
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
        StageName::Ptx,
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
            StageName::Ptx => "ptx",
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

/// The text of every stage for the processor or for the device of the options, in order: what is made once is made once.
///
/// # Errors
/// As for [`emit`].
pub fn every(def: &Definition, sizes: Option<&[i64]>, options: &Options) -> Result<Vec<(StageName, String)>> {
    with_deep_stack(|| all(def, sizes, options))
}

fn all(def: &Definition, sizes: Option<&[i64]>, options: &Options) -> Result<Vec<(StageName, String)>> {
    let mut texts = Vec::new();
    for stage in [StageName::Tc, StageName::Scop, StageName::Deps] {
        texts.push((stage, emitted(stage, def, sizes, options)?));
    }
    let scop = match sizes {
        Some(sizes) if !options.symbolic => frontend_tc::lower_at(def, &isl::Ctx::new(), sizes)?,
        _ if options.symbolic => frontend_tc::lower(def, &isl::Ctx::new())?,
        _ => return Err(Error::bug("the later stages need sizes")),
    };
    let mut scheduled = match &options.device {
        Some(device) => compile::schedule_for(scop, device, options)?,
        None => compile::schedule(scop, options)?,
    };
    texts.push((StageName::Script, scheduled.script.to_string()));
    texts.push((StageName::Schedule, scheduled.to_string()));
    match &options.device {
        None => {
            let program = compile::program(&mut scheduled, &[], options)?;
            texts.push((StageName::Loops, program.to_string()));
            texts.push((StageName::Llvm, llvm::ir(&program, &options.target).map_err(compile::target)?));
            texts.push((StageName::Asm, llvm::assembly(&program, &options.target).map_err(compile::target)?));
        }
        Some(device) => {
            let (program, ..) = compile::launched(scheduled, device, &[], options)?;
            texts.push((StageName::Loops, program.to_string()));
            let (stage, language) = match device.code {
                KernelCode::Ptx(_) => (StageName::Cuda, Language::Cuda),
                KernelCode::OpenCl => (StageName::OpenCl, Language::OpenCl),
            };
            texts.push((stage, gpu::source(&program, language).map_err(crate::device::unsupported)?));
            if stage == StageName::Cuda {
                texts.push((StageName::Ptx, gpu::ptx(&program, device).map_err(compile::target)?.text));
            }
        }
    }
    Ok(texts)
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
    // What a stage is about, unless the device that was asked for is one of its own.
    let device = |code: fn(&Gpu) -> bool, usual: Gpu| options.device.clone().filter(code).unwrap_or(usual);
    let nvidia = || device(|device| matches!(device.code, KernelCode::Ptx(_)), Gpu::cuda());
    let opencl = || device(|device| device.code == KernelCode::OpenCl, Gpu::opencl());
    match stage {
        StageName::OpenCl => return compile::kernel_source(scop, Language::OpenCl, &opencl(), options),
        StageName::Cuda => return compile::kernel_source(scop, Language::Cuda, &nvidia(), options),
        StageName::Ptx => return of_device(stage, scop, &nvidia(), options),
        _ => {}
    }
    if let Some(device) = &options.device {
        return of_device(stage, scop, device, options);
    }
    let program = match parts::divided(&scop, &[], options)? {
        Some(divided) => {
            let joined = divided.joined(&[], options)?;
            match stage {
                StageName::Script => return Ok(joined.script.to_string()),
                StageName::Schedule => return Ok(joined.schedule),
                _ => joined.program,
            }
        }
        None => {
            let mut scheduled = compile::schedule(scop, options)?;
            match stage {
                StageName::Script => return Ok(scheduled.script.to_string()),
                StageName::Schedule => return Ok(verified(&scheduled)?.to_string()),
                _ => compile::program(&mut scheduled, &[], options)?,
            }
        }
    };
    match stage {
        StageName::Llvm => llvm::ir(&program, &options.target).map_err(compile::target),
        StageName::Asm => llvm::assembly(&program, &options.target).map_err(compile::target),
        _ => Ok(program.to_string()),
    }
}

/// A stage on the way to kernels; machine code is what a driver takes.
fn of_device(stage: StageName, scop: Scop, device: &Gpu, options: &Options) -> Result<String> {
    match stage {
        StageName::Script => return Ok(compile::schedule_for(scop, device, options)?.script.to_string()),
        StageName::Schedule => return Ok(verified(&compile::schedule_for(scop, device, options)?)?.to_string()),
        _ => {}
    }
    let program = compile::kernels(scop, device, options)?;
    match stage {
        StageName::Llvm => llvm::kernel_ir(&program, device).map_err(compile::target),
        StageName::Asm | StageName::Ptx => Ok(gpu::ptx(&program, device).map_err(compile::target)?.text),
        _ => Ok(program.to_string()),
    }
}

fn verified<S: Stage>(stage: &S) -> Result<&S> {
    stage.verify()?;
    Ok(stage)
}
