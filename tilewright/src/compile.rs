//! The pipeline: one line per stage.

use std::fmt;
use std::time::{Duration, Instant};

use codegen::Program;
use polyhedral::isl;
use scheduler::Cpu;
use support::{Diagnostic, Remark, Target, Watch};
use transform::{Policy, Refused, Script, Session};

use crate::{Error, Result};

/// What the compiler may do. Plain data, handed in.
#[derive(Clone, Debug)]
pub struct Options {
    /// The machine to compile for.
    pub target: Target,
    /// Replayed in place of the automatic schedule.
    pub script: Option<Script>,
    /// Keep the written order of reductions.
    pub strict: bool,
    /// No run-time check of indirect subscripts.
    pub trust_indices: bool,
}

impl Options {
    /// The defaults for a machine.
    pub fn new(target: Target) -> Options {
        Options { target, script: None, strict: false, trust_indices: false }
    }
}

/// A compiled definition for fixed sizes: machine code, and what is to be said of it.
pub struct Compiled {
    /// Ready to be mapped, or to be kept in a file.
    pub code: runtime::Code,
    /// The schedule, as a script that replays.
    pub script: Script,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
}

/// How long each stage took, in order; a stage's time includes printing for whoever watches.
pub type StageTimes = Vec<(&'static str, Duration)>;

/// A definition and its sizes to machine code. Each line is a stage; each stage is one function of one crate.
///
/// # Errors
/// A script that does not fit or is not legal; anything else is a bug of ours and says so.
pub fn compile(def: &frontend_tc::Kernel, sizes: &[i64], strided: &[bool], options: &Options, watch: &mut Watch<'_>) -> Result<Compiled> {
    let ctx = isl::Ctx::new();
    let scop = watch.at(frontend_tc::lower(def, &ctx)?.specialise(sizes)?)?;
    let mut session = Session::new(scop, &options.target, options.strict).map_err(refused)?;
    match &options.script {
        Some(script) => session.replay(script).map_err(refused)?,
        None => Cpu.schedule(&mut session).map_err(refused)?,
    }
    let scheduled = watch.at(session.finish().map_err(refused)?)?;
    let program = watch.at(codegen::lower(&scheduled.scop, &codegen_options(strided, options))?)?;
    let object = watch.at(codegen::llvm::compile(&program, &options.target)?)?;
    Ok(Compiled { code: object.code, script: scheduled.script, remarks: scheduled.remarks })
}
