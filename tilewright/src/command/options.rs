//! The options that subcommands share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use runtime::Pool;
use scheduler::Fusion;
use support::{Diagnostic, Gpu, Target};
use tilewright::trace::Trace;
use tilewright::{Compiler, Error, Options, Result, Source, emit, files, host_target};
use transform::Script;

use super::{targets, terminal};

/// A larger file is not a program.
const LARGEST_TEXT: u64 = 64 << 20;

/// Which definition, and for which sizes.
#[derive(Debug, Args)]
pub struct Program {
    /// The program
    pub file: PathBuf,
    /// Which definition; needed when the file has several
    #[arg(short, long = "def", value_name = "NAME")]
    pub definition: Option<String>,
    /// Sizes of symbolic dimensions, and of tiles that a script leaves open; repeatable
    #[arg(short, long = "size", value_name = "M=128,K=64", value_delimiter = ',')]
    pub sizes: Vec<Assignment>,
}

/// For which machine, and how.
#[derive(Debug, Args)]
pub struct Machine {
    /// `host`, or a name that `tilewright targets` lists
    #[arg(short, long, default_value = "host")]
    pub target: String,
    /// Replay this script in place of the automatic schedule
    #[arg(long, value_name = "F.sched")]
    pub schedule: Option<PathBuf>,
    /// One kernel for all sizes
    #[arg(long)]
    pub symbolic: bool,
    /// What shares loops on a processor, in place of what is predicted to be fastest
    #[arg(long, value_parser = fusions())]
    pub fusion: Option<Fusion>,
    /// Keep the written order of reductions
    #[arg(long)]
    pub strict: bool,
    /// No run-time check of indirect subscripts
    #[arg(long)]
    pub trust_indices: bool,
    /// Write the text of every stage to files DIR/01-tc.txt, DIR/02-scop.txt, …
    #[arg(long, value_name = "DIR")]
    pub dump: Option<PathBuf>,
}

/// The strategies by their names.
fn fusions() -> impl TypedValueParser<Value = Fusion> {
    let named = |name: String| Fusion::NAMES.into_iter().find(|(own, _)| *own == name);
    PossibleValuesParser::new(Fusion::NAMES.map(|(name, _)| name))
        .try_map(move |name| named(name).map(|(_, fusion)| fusion).ok_or("none of the strategies"))
}

/// What goes in and out.
#[derive(Debug, Args)]
pub struct Data {
    /// Read a tensor from a .npy or .png file (pictures are uint8 or float, H×W or H×W×C); repeatable
    #[arg(short, long = "input", value_name = "A=a.npy")]
    pub inputs: Vec<Assignment>,
    /// Write a tensor to a .npy or .png file; repeatable
    #[arg(short, long = "output", value_name = "C=c.npy")]
    pub outputs: Vec<Assignment>,
    /// Read every input from DIR/<name>.npy
    #[arg(long, value_name = "DIR")]
    pub input_dir: Option<PathBuf>,
    /// Write every output to DIR/<name>.npy
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// For random inputs
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Worker threads; all cores unless given
    #[arg(short = 'j', long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Compare with the reference evaluator; fail on a mismatch and print where
    #[arg(long)]
    pub verify: bool,
    /// Say on standard error what the compiler did not do, and why
    #[arg(long)]
    pub remarks: bool,
    /// Told of parallel loops.
    #[arg(skip)]
    pub observer: Option<Observing>,
}

/// A [`Trace`] that pools tell of their loops.
pub type Observing = std::sync::Arc<Trace>;

impl Data {
    /// Random inputs, and results that nobody looks at.
    pub fn random(threads: Option<u16>) -> Data {
        let (inputs, outputs) = (Vec::new(), Vec::new());
        let (input_dir, output_dir) = (None, None);
        Data { inputs, outputs, input_dir, output_dir, seed: 0, threads, verify: false, remarks: false, observer: None }
    }
}

/// `name=value`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Before the `=`.
    pub name: String,
    /// After it.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Assignment, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
                Ok(Assignment { name: name.trim().into(), value: value.trim().into() })
            }
            _ => Err("expected NAME=VALUE"),
        }
    }
}

impl Program {
    /// The text.
    pub fn source(&self) -> Result<Source> {
        source(&self.file)
    }

    /// The definition that is asked for. Warnings are shown.
    pub fn definition(&self, source: &Source) -> Result<frontend_tc::Kernel> {
        let (defs, warnings) = tilewright::check(source)?;
        terminal::warnings(&warnings, source);
        tilewright::select(defs, self.definition.as_deref())
    }
}

/// A program's text and its name, with what it imports: paths are relative to the importing file.
pub fn source(file: &Path) -> Result<Source> {
    let text = files::read_text(file, LARGEST_TEXT)?;
    let mut read = |from: &str, path: &str| {
        let path = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
        // The same file by another way is the same file.
        let name = path.components().collect::<PathBuf>().display().to_string();
        Some((name, files::read_text(&path, LARGEST_TEXT).ok()?))
    };
    Ok(Source::load(file.display().to_string(), text.into(), &mut read))
}

impl Machine {
    /// The device to compile kernels for, where the target is one.
    pub fn device(&self) -> Option<Gpu> {
        Gpu::named(&self.target)
    }

    /// What to compile for.
    pub fn target(&self) -> Result<Target> {
        targets::named(&self.target)
    }

    /// The script that replaces the automatic schedule.
    pub fn script(&self) -> Result<Option<Script>> {
        let Some(file) = &self.schedule else { return Ok(None) };
        let text = files::read_text(file, LARGEST_TEXT)?;
        let malformed = |error: transform::ScriptError| {
            let message = format!("{} is not a script: {error}", file.display());
            Error::user(
                Diagnostic::call("TC0936", message)
                    .help("`tilewright emit script` prints the automatic schedule as a script"),
            )
        };
        text.parse().map(Some).map_err(malformed)
    }

    /// Writes the text of every stage, where that is asked for.
    pub fn dump(&self, def: &frontend_tc::Kernel, sizes: Option<&[i64]>, options: &Options) -> Result<()> {
        let Some(dir) = &self.dump else { return Ok(()) };
        files::create_dir(dir)?;
        for (at, (stage, text)) in emit::every(def, sizes, options)?.iter().enumerate() {
            files::write_text(&dir.join(format!("{:02}-{}.txt", at + 1, stage.name())), text)?;
        }
        Ok(())
    }

    /// What the compiler may do, with [the script](Machine::script) and the sizes of the tiles that it leaves open.
    pub fn options(&self, script: Option<Script>, tile_sizes: BTreeMap<String, i64>) -> Result<Options> {
        let device = self.device();
        self.is_fusion_of_a_processor()?;
        Ok(Options {
            target: if device.is_some() { host_target() } else { self.target()? },
            device,
            script,
            symbolic: self.symbolic,
            fusion: self.fusion,
            strict: self.strict,
            trust_indices: self.trust_indices,
            tile_sizes,
        })
    }

    /// Refuses a strategy of fusion for a device, which has a policy of its own.
    fn is_fusion_of_a_processor(&self) -> Result<()> {
        if self.fusion.is_none() || !targets::is_device(&self.target) {
            return Ok(());
        }
        let message = format!("`--fusion` is for processors, and `{}` is a device", self.target);
        Err(Error::user(
            Diagnostic::call("TC0962", message).help("say what shares loops in a script: `fuse`, `distribute`"),
        ))
    }

    /// A compiler for this machine, with `threads` threads and [the script](Machine::script).
    pub fn compiler(&self, threads: Option<u16>, script: Option<Script>) -> Result<Compiler> {
        self.is_fusion_of_a_processor()?;
        let compiler = match targets::is_device(&self.target) {
            true => targets::device(&self.target)?,
            false => {
                let target = self.target()?;
                targets::runs_here(&target)?;
                Compiler::new(target)
            }
        };
        let mut compiler = compiler.symbolic(self.symbolic).strict(self.strict).trust_indices(self.trust_indices);
        if let Some(fusion) = self.fusion {
            compiler = compiler.fusion(fusion);
        }
        if let Some(threads) = threads {
            let refused =
                |error| Error::user(Diagnostic::call("TC0935", format!("{error}")).help("ask for fewer threads"));
            compiler = compiler.with_pool(Pool::with_threads(threads.into()).map_err(refused)?);
        }
        Ok(match script {
            Some(script) => compiler.script(script),
            None => compiler,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_has_two_sides() {
        let parsed: Assignment = " M = 4 ".parse().unwrap();
        assert_eq!(parsed, Assignment { name: "M".into(), value: "4".into() });
        assert_eq!("A=b=c.npy".parse::<Assignment>().unwrap().value, "b=c.npy");
        for text in ["", "M", "=4", "M=", " = "] {
            assert!(text.parse::<Assignment>().is_err(), "{text:?}");
        }
    }
}
