//! `tilewright emit`

use std::collections::BTreeMap;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use tilewright::emit::{StageName, emit};
use tilewright::{Definition, Options, Result, Source};

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

tc, scop and deps are printed for all sizes unless -s gives some.")]
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
        let options = Options {
            target: self.machine.target()?,
            script: self.machine.script()?,
            strict: self.machine.strict,
            trust_indices: self.machine.trust_indices,
            tile_sizes: BTreeMap::new(),
        };
        let sizes = self.sizes(stage, &def, &source)?;
        let text = emit(stage, &def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        terminal::print(text)
    }

    fn sizes(&self, stage: StageName, def: &Definition, source: &Source) -> Result<Option<Vec<i64>>> {
        if stage.is_symbolic() && self.program.sizes.is_empty() {
            return Ok(None);
        }
        call::sizes(def, source, &self.program.sizes, None).map(Some)
    }
}
