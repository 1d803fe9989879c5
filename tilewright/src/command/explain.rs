//! `tilewright explain`

use clap::Args;
use tilewright::{Result, explain};

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
        let (given, open) = (&self.program.sizes, call::open_sizes(script.as_ref()));
        let sizes = call::sizes_unless(self.machine.symbolic, &def, &source, (given, &open))?;
        let (sizes, tile_sizes) = sizes.map_or_else(Default::default, |sizes| (Some(sizes.own), sizes.tiles));
        let options = self.machine.options(script, tile_sizes)?;
        let explanation = explain(&def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        terminal::print(explanation)
    }
}
