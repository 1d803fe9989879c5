//! `tilewright check`

mod json;

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use frontend_tc::{Kernel, Tensor};
use polyhedral::{Index, Role};
use tilewright::{Error, Result};

use super::{options, terminal};

/// Check programs: diagnostics, every inferred range, every shape
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tilewright check examples/mm.tc")]
pub struct Check {
    /// The programs
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// One JSON object per line: definitions, errors and warnings with their places (docs/check-json.md)
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Checks every file; the first wrong one decides the status, after all were shown.
    pub fn run(self) -> Result<()> {
        let mut first = None;
        for file in &self.files {
            match self.check(file) {
                Ok(()) => {}
                Err(error) if first.is_none() => first = Some(error),
                Err(error) => terminal::error(&error),
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn check(&self, file: &std::path::Path) -> Result<()> {
        let source = options::source(file);
        let checked = source.as_ref().map_err(Clone::clone).and_then(tilewright::check);
        if self.json {
            let name = file.display().to_string();
            let diagnostics = checked.as_ref().map_or_else(Error::diagnostics, |(_, warnings)| warnings);
            for diagnostic in diagnostics {
                terminal::print(json::diagnostic(diagnostic, &name, source.as_ref().ok()))?;
            }
        }
        let (source, (defs, warnings)) = (source?, checked?);
        terminal::warnings(&warnings, &source);
        for def in &defs {
            terminal::print(if self.json { json::definition(def, &source) } else { text(def) })?;
        }
        Ok(())
    }
}

/// The definition with every range, then the shapes and the conditions on sizes.
fn text(def: &Kernel) -> String {
    let mut out = def.to_string();
    for tensor in &def.tensors {
        let role = role(tensor);
        let origin =
            if starts_at_zero(tensor) { String::new() } else { format!(" from ({})", indices(def, &tensor.lower)) };
        let shape = format!("{} {}({})", tensor.dtype, tensor.name, indices(def, &tensor.extent));
        writeln!(out, "# {role:<9} {shape}{origin}").expect("a string takes text");
    }
    for condition in &def.preconditions {
        writeln!(out, "# needs     {}   ({})", condition.text, condition.reason).expect("a string takes text");
    }
    out.push('\n');
    out
}

fn role(tensor: &Tensor) -> &'static str {
    match tensor.role {
        Role::Input => "input",
        Role::Output => "output",
        Role::InOut => "updated",
        Role::Temporary => "temporary",
    }
}

fn starts_at_zero(tensor: &Tensor) -> bool {
    tensor.lower.iter().all(|lower| lower.as_const() == Some(0))
}

fn indices(def: &Kernel, all: &[Index]) -> String {
    all.iter().map(|index| named(def, index)).collect::<Vec<_>>().join(", ")
}

/// An expression over the sizes as text.
fn named(def: &Kernel, index: &Index) -> String {
    index.display(&[], &def.sizes).to_string()
}
