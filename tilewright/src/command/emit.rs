//! `tilewright emit`

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use tilewright::Result;
use tilewright::emit::{StageName, emit};

use super::call;
use super::options::{Machine, Program};
use super::terminal;

/// Print any stage of the compilation
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright emit loops examples/mm.tc -s M=64,N=64,K=64
  tilewright emit deps examples/mm.tc
  tilewright emit asm examples/mm.tc -s M=64,N=64,K=64 -t x86-64-v3
  tilewright emit loops examples/mm.tc --symbolic
  tilewright emit ptx examples/mm.tc -s M=64,N=64,K=64 -t cuda:sm_90a

tc, scop and deps are printed for all sizes unless -s gives some, the others with --symbolic.
With a device as the target (cuda, cuda:sm_70, cuda:sm_80, cuda:sm_90a, opencl) the later stages are those of its kernels.")]
pub struct Emit {
    /// Which stage
    #[arg(value_enum)]
    stage: Stage,
    #[command(flatten)]
    program: Program,
    #[command(flatten)]
    machine: Machine,
}

/// A [`StageName`] as an argument.
#[derive(Clone, Copy, Debug)]
struct Stage(StageName);

impl ValueEnum for Stage {
    fn value_variants<'a>() -> &'a [Stage] {
        const ALL: [Stage; StageName::ALL.len()] = {
            let mut all = [Stage(StageName::Tc); StageName::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = Stage(StageName::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

impl Emit {
    /// Prints the stage's text.
    pub fn run(self) -> Result<()> {
        let Stage(stage) = self.stage;
        let source = self.program.source()?;
        let def = self.program.definition(&source)?;
        let script = self.machine.script()?;
        let is_symbolic = stage.is_symbolic() || self.machine.symbolic;
        let (given, open) = (&self.program.sizes, call::open_sizes(script.as_ref()));
        let sizes = call::sizes_unless(is_symbolic, &def, &source, (given, &open))?;
        let (sizes, tile_sizes) = sizes.map_or_else(Default::default, |sizes| (Some(sizes.own), sizes.tiles));
        let options = self.machine.options(script, tile_sizes)?;
        let text = emit(stage, &def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        terminal::print(text)
    }
}
