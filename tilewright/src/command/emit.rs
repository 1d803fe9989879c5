//! `tilewright emit`

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use tilewright::emit::{StageName, emit};
use tilewright::pictures::{self, Picture, USUAL_SIZE, Wanted};
use tilewright::{Definition, Result, Source, files};

use super::call;
use super::options::{Assignment, Machine, Program};
use super::terminal;

/// Print any stage of the compilation, or a picture
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright emit loops examples/mm.tc -s M=64,N=64,K=64
  tilewright emit deps examples/mm.tc
  tilewright emit asm examples/mm.tc -s M=64,N=64,K=64 -t x86-64-v3
  tilewright emit loops examples/mm.tc --symbolic
  tilewright emit ptx examples/mm.tc -s M=64,N=64,K=64 -t cuda:sm_90a
  tilewright emit domain.svg examples/mm.tc -s M=12,N=16,K=4 --stmt C.update --dims m,k -o mm.svg
  tilewright emit tree.svg examples/mm.tc -s M=512,N=512,K=512 -o tree.svg
  tilewright emit deps.dot examples/softmax.tc

tc, scop and deps are printed for all sizes unless -s gives some, the others with --symbolic.
With a device as the target (cuda, cuda:sm_70, cuda:sm_80, cuda:sm_90a, opencl) the later stages are those of its kernels.
Pictures have a size of 8 where none is given, and show the schedule of --schedule or the automatic one.")]
pub struct Emit {
    /// Which stage
    #[arg(value_enum)]
    stage: Stage,
    /// Of domain.svg and domain.json: the instances of this statement
    #[arg(long, value_name = "NAME")]
    stmt: Option<String>,
    /// Of domain.svg and domain.json: these dimensions, downwards and to the right
    #[arg(long, value_name = "I,J", value_delimiter = ',')]
    dims: Vec<String>,
    /// Write to this file in place of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    program: Program,
    #[command(flatten)]
    machine: Machine,
}

/// A [`StageName`] or a [`Picture`] as an argument.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Text(StageName),
    Picture(Picture),
}

impl ValueEnum for Stage {
    fn value_variants<'a>() -> &'a [Stage] {
        const TEXTS: usize = StageName::ALL.len();
        const ALL: [Stage; TEXTS + Picture::ALL.len()] = {
            let mut all = [Stage::Text(StageName::Tc); TEXTS + Picture::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = match at < TEXTS {
                    true => Stage::Text(StageName::ALL[at]),
                    false => Stage::Picture(Picture::ALL[at - TEXTS]),
                };
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Stage::Text(stage) => stage.name(),
            Stage::Picture(picture) => picture.name(),
        }))
    }
}

impl Emit {
    /// Prints the stage's text.
    pub fn run(self) -> Result<()> {
        let source = self.program.source()?;
        let def = self.program.definition(&source)?;
        let stage = match self.stage {
            Stage::Text(stage) => stage,
            Stage::Picture(picture) => return self.picture(picture, &def, &source),
        };
        let script = self.machine.script()?;
        let is_symbolic = stage.is_symbolic() || self.machine.symbolic;
        let (given, open) = (&self.program.sizes, call::open_sizes(script.as_ref()));
        let sizes = call::sizes_unless(is_symbolic, &def, &source, (given, &open))?;
        let (sizes, tile_sizes) = sizes.map_or_else(Default::default, |sizes| (Some(sizes.own), sizes.tiles));
        let options = self.machine.options(script, tile_sizes)?;
        self.machine.dump(&def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        let text = emit(stage, &def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        self.write(text)
    }

    fn write(&self, text: String) -> Result<()> {
        let Some(file) = &self.output else { return terminal::print(text) };
        files::write_text(file, &text)?;
        terminal::print(format!("{}: {} bytes\n", file.display(), text.len()))
    }

    /// Prints a picture; where no size is given, of a small one.
    fn picture(&self, picture: Picture, def: &Definition, source: &Source) -> Result<()> {
        let script = self.machine.script()?;
        let open = call::open_sizes(script.as_ref());
        let mut given = self.program.sizes.clone();
        for name in &def.sizes {
            if given.iter().all(|size| size.name != *name) {
                given.push(Assignment { name: name.clone(), value: USUAL_SIZE.to_string() });
            }
        }
        let sizes = call::sizes(def, source, (&given, &open), None)?;
        let options = self.machine.options(script, sizes.tiles)?;
        let wanted = Wanted { statement: self.stmt.clone(), dims: self.dims.clone() };
        let drawn = pictures::draw(picture, def, &sizes.own, &options, &wanted);
        self.write(drawn.map_err(|error| error.with_source(source))?)
    }
}
