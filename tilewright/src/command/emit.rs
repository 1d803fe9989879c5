//! `tilewright emit`

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use tilewright::emit::{StageName, emit};
use tilewright::{Definition, Options, Result, Source, host_target};

use super::call::{self, Sizes};
use super::options::{Assignment, Machine, Program};
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
        let sizes = self.sizes(stage, (&def, &source), &call::open_sizes(script.as_ref()))?;
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
        let text = emit(stage, &def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        terminal::print(text)
    }

    /// The sizes, unless the stage needs none and only tiles are given some.
    fn sizes(&self, stage: StageName, (def, source): (&Definition, &Source), open: &[String]) -> Result<Option<Sizes>> {
        let sizes = &self.program.sizes;
        let of_tile = |size: &Assignment| open.contains(&size.name) && !def.sizes.contains(&size.name);
        if (stage.is_symbolic() || self.machine.symbolic) && sizes.iter().all(of_tile) {
            return Ok(None);
        }
        call::sizes(def, source, (sizes, open), None).map(Some)
    }
}
