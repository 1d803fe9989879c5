//! `tilewright explain`

use clap::Args;
use tilewright::{Options, Result, explain, host_target};

use super::call;
use super::options::{Machine, Program};
use super::terminal;

/// Say what was done to a definition and what was not, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright explain examples/softmax.tc -s M=512,N=1024
  tilewright explain examples/mm.tc -s M=64,N=64,K=64 -t x86-64-v3
  tilewright explain examples/mm.tc --symbolic

Which nests run together, what was expected of that and of the next best plan; the script with the reason of each
automatic command; the remarks.")]
pub struct Explain {
    #[command(flatten)]
    program: Program,
    #[command(flatten)]
    machine: Machine,
}

impl Explain {
    /// Prints the explanation.
    pub fn run(self) -> Result<()> {
        let source = self.program.source()?;
        let def = self.program.definition(&source)?;
        let script = self.machine.script()?;
        let (asked, open) = (&self.program.sizes, call::open_sizes(script.as_ref()));
        let sizes = match self.machine.symbolic && asked.is_empty() {
            true => None,
            false => Some(call::sizes(&def, &source, (asked, &open), None)?),
        };
        let (sizes, tile_sizes) = sizes.map_or_else(Default::default, |sizes| (Some(sizes.own), sizes.tiles));
        let device = self.machine.device();
        let options = Options {
            target: if device.is_some() { host_target() } else { self.machine.target()? },
            device,
            script,
            symbolic: self.machine.symbolic,
            strict: self.machine.strict,
            trust_indices: self.machine.trust_indices,
            tile_sizes,
        };
        let explanation = explain(&def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        terminal::print(explanation)
    }
}
