//! `tilewright inspect`

use std::path::PathBuf;

use clap::Args;
use tilewright::page::page;
use tilewright::{Result, files};

use super::reported::Reported;
use super::terminal;

/// Write a page that shows what was done to a definition, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright inspect examples/mm.tc -s M=512,N=512,K=512 -o mm.html
  tilewright inspect examples/sweep.tc -s N=64,T=20 -t x86-64-v3 -o sweep.html
  tilewright inspect examples/mm.tc -s M=1024,N=1024,K=1024 -t cuda:sm_80 -o kernel.html
  tilewright inspect examples/softmax.tc -s M=512,N=1024 --measure --stages -o softmax.html

One file of HTML, for any browser, that needs no network: the source beside the instances of each statement in their
tiles and their order, the schedule tree and each command of the script, the graph of dependences, what each loop and
each cache touches, a roofline, and the loops, LLVM's code and the assembly (or the text of kernels) line by line.

It is the same file each time, byte for byte, unless --measure or --stages has times measured.")]
pub struct Inspect {
    #[command(flatten)]
    reported: Reported,
    /// The file; the definition's name and `.html` unless given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Inspect {
    /// Writes the page.
    pub fn run(self) -> Result<()> {
        let prepared = self.reported.prepared()?;
        let report = self.reported.report(&prepared, true)?;
        let text = page(&prepared.def, &report, &prepared.options)?;
        let file = self.output.unwrap_or_else(|| PathBuf::from(format!("{}.html", prepared.def.name)));
        files::write_text(&file, &text)?;
        terminal::print(format!("{}: {} bytes\n", file.display(), text.len()))
    }
}
