//! `tilewright build`

use std::path::PathBuf;

use clap::Args;
use support::Diagnostic;
use tilewright::{Error, Options, Result, host_target, package};

use super::call::{self, Sizes};
use super::options::{Machine, Program};
use super::terminal::{self, Progress};

/// Compile a program for a device into a folder that runs without the compiler
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright build examples/mm.tc -s M=512,N=512,K=512 --target cuda:sm_80 -o mm
  tilewright build examples/softmax.tc -s M=256,N=1000 --target opencl -o softmax

The folder has the kernels (PTX or OpenCL C), the program, the script that scheduled it, and package.json: the sizes, the \
kernels and their launches, the buffers and the workspace, and the SHA-256 of each file. No device is needed to build. From \
Rust, `runtime::Package` loads and launches it.")]
pub struct Build {
    #[command(flatten)]
    program: Program,
    #[command(flatten)]
    machine: Machine,
    /// The folder; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

impl Build {
    /// Compiles and writes.
    pub fn run(self) -> Result<()> {
        let source = self.program.source()?;
        let def = self.program.definition(&source)?;
        let script = self.machine.script()?;
        let open = call::open_sizes(script.as_ref());
        let Sizes { own, tiles } = call::sizes(&def, &source, (&self.program.sizes, &open), None)?;
        let device = self.machine.device();
        let options = Options {
            target: if device.is_some() { host_target() } else { self.machine.target()? },
            device,
            script,
            symbolic: self.machine.symbolic,
            strict: self.machine.strict,
            trust_indices: self.machine.trust_indices,
            tile_sizes: tiles,
        };
        let progress = Progress::new(format!("compiling `{}`", def.name));
        let package = package(&def, &source, &own, &options)?;
        drop(progress);
        let refused = |error| Error::user(Diagnostic::call("TC0946", format!("{error}")));
        package.write(&self.output).map_err(refused)?;
        let plan = package.code.plan();
        terminal::print(format!(
            "{}: {} for {}, {} kernels, {} launches, {} bytes of workspace\n",
            self.output.display(),
            def.name,
            package.manifest.target,
            plan.kernels.len(),
            plan.launches.len(),
            plan.workspace_bytes(),
        ))
    }
}
