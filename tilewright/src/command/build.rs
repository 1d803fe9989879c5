//! `tilewright build`

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use runtime::package::{Package, VariantCode};
use support::Diagnostic;
use tilewright::{Choice, Definition, Error, Options, Result, Source, package};

use super::call::{self, Sizes};
use super::options::{Assignment, Machine, Program};
use super::terminal::{self, Progress};

/// Compile a program into a folder that runs without the compiler
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright build examples/mm.tc -s M=512,N=512,K=512 -o mm
  tilewright build examples/mm.tc -s N=64,K=64 --sizes M=1 --sizes M=8 --symbolic -o mm
  tilewright build examples/mm.tc --symbolic -t x86-64-v3,x86-64-v4 -o mm
  tilewright build examples/softmax.tc -s M=256,N=1000 -t cuda:sm_80,opencl -o softmax

The folder has the code of each target and choice of sizes (an object, PTX and where ptxas is what that makes of it, or OpenCL C), \
the program, the scripts that scheduled it, libraries and a header for C and C++, a module for Rust, and package.json: the \
arguments, what each code is for and takes, and the SHA-256 of each file. Neither the processors nor the devices need be here. \
From Rust, `runtime::Package` loads it and takes the best code that the machine runs: docs/package.md.")]
pub struct Build {
    #[command(flatten)]
    program: Program,
    /// Sizes to compile for, beside those of -s; repeatable, one kernel for each
    #[arg(long = "sizes", value_name = "M=1,K=64")]
    choices: Vec<Assignments>,
    /// One kernel for any sizes, beside those for the sizes that are given
    #[arg(long)]
    symbolic: bool,
    /// `host`, or names that `tilewright targets` lists, or cuda:sm_80, opencl, …; repeatable
    #[arg(short, long = "target", value_name = "T", default_value = "host", value_delimiter = ',')]
    targets: Vec<String>,
    /// Replay this script in place of the automatic schedule
    #[arg(long, value_name = "F.sched")]
    schedule: Option<PathBuf>,
    /// Keep the written order of reductions
    #[arg(long)]
    strict: bool,
    /// No run-time check of indirect subscripts
    #[arg(long)]
    trust_indices: bool,
    /// The folder; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// `M=1,K=64`
#[derive(Clone, Debug)]
struct Assignments(Vec<Assignment>);

impl FromStr for Assignments {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Assignments, Self::Err> {
        text.split(',').map(str::parse).collect::<std::result::Result<_, _>>().map(Assignments)
    }
}

impl Build {
    /// Compiles and writes.
    pub fn run(self) -> Result<()> {
        let source = self.program.source()?;
        let def = self.program.definition(&source)?;
        let targets = self.targets()?;
        let open = call::open_sizes(targets.first().and_then(|options| options.script.as_ref()));
        let choices = self.choices(&def, &source, &open)?;
        let progress = Progress::new(format!("compiling `{}`", def.name));
        let package = package(&def, &source, &targets, &choices)?;
        drop(progress);
        let refused = |error| Error::user(Diagnostic::call("TC0946", format!("{error}")));
        package.write(&self.output).map_err(refused)?;
        terminal::print(self.report(&package))
    }

    /// What to compile for.
    fn targets(&self) -> Result<Vec<Options>> {
        let of = |target: &String| {
            let machine = Machine {
                target: target.clone(),
                schedule: self.schedule.clone(),
                symbolic: false,
                fusion: None,
                strict: self.strict,
                trust_indices: self.trust_indices,
                dump: None,
            };
            machine.options(machine.script()?, Default::default())
        };
        self.targets.iter().map(of).collect()
    }

    /// Which sizes to compile for: those of each `--sizes` with those of `-s`, or those of `-s` alone, and any.
    fn choices(&self, def: &Definition, source: &Source, open: &[String]) -> Result<Vec<Choice>> {
        let mut choices = Vec::new();
        let mut add = |given: &[Assignment], is_any: bool| -> Result<()> {
            choices.push(match call::sizes_unless(is_any, def, source, (given, open))? {
                Some(Sizes { own, tiles }) => Choice { sizes: Some(own), tile_sizes: tiles },
                None => Choice { sizes: None, tile_sizes: call::tile_sizes(given, open)? },
            });
            Ok(())
        };
        let common = &self.program.sizes;
        for Assignments(own) in &self.choices {
            add(&[&common[..], own].concat(), false)?;
        }
        if self.choices.is_empty() {
            add(common, self.symbolic)?;
        }
        if self.symbolic && choices.iter().all(|choice| choice.sizes.is_some()) {
            let tile_sizes = call::tile_sizes(common, open)?;
            choices.push(Choice { sizes: None, tile_sizes });
        }
        Ok(choices)
    }

    /// A line for each variant.
    fn report(&self, package: &Package) -> String {
        let manifest = package.manifest();
        let mut text = format!("{}: {}\n", self.output.display(), manifest.definition);
        for variant in &manifest.variants {
            let sizes = match &variant.sizes {
                None => "any sizes".into(),
                Some(_) if manifest.sizes.is_empty() => "its sizes".into(),
                Some(sizes) => {
                    let each = manifest.sizes.iter().map(|name| format!("{name}={}", sizes[name]));
                    each.collect::<Vec<_>>().join(",")
                }
            };
            let code = match &variant.code {
                VariantCode::Host(code) => {
                    let bytes = package.file(&code.object).map_or(0, |object| object.len());
                    format!("{bytes} bytes, workspace {} bytes", code.signature.workspace_bytes)
                }
                VariantCode::Device(code) => {
                    let form = if code.cubin.is_some() { " in PTX and assembled" } else { "" };
                    // Of one choice of sizes; of any, both follow from these.
                    let work = variant.sizes.as_ref().and_then(|_| code.plan.at(&|_| None).ok()).map(|plan| {
                        format!(", {} launches, workspace {} bytes", plan.launches.len(), plan.workspace_bytes())
                    });
                    format!("{} kernels{form}{}", code.plan.kernels.len(), work.unwrap_or_default())
                }
            };
            text += &format!("  {} for {}, {sizes}: {code}\n", manifest.definition, variant.target);
        }
        text
    }
}
