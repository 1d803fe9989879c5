//! `tilewright explain`

use clap::Args;
use tilewright::Result;

use super::reported::Reported;
use super::terminal;

/// Say what was done to a definition and what was not, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright explain examples/softmax.tc -s M=512,N=1024
  tilewright explain examples/mm.tc -s M=64,N=64,K=64 -t x86-64-v3
  tilewright explain examples/mm.tc -s M=64,N=64,K=64 --measure
  tilewright explain examples/mm.tc --symbolic

Which nests run together, what was expected of that and of the next best plan; the script with the reason of each
automatic command; the loops with what one iteration of each touches, and two iterations that cannot run at once;
the bytes that each cache moves of each tensor; operations for each byte; the remarks.

--measure runs the kernel with random inputs and measures what this machine can do at most: which limit binds, and
how long a call takes beside that. --json prints all of it, and more, as one object.")]
pub struct Explain {
    #[command(flatten)]
    reported: Reported,
    /// Machine-readable: one JSON object on a line, with the text of the program and of the later stages
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Prints the explanation.
    pub fn run(self) -> Result<()> {
        let found = self.reported.report(self.json)?.report;
        terminal::print(if self.json { found.to_json() + "\n" } else { found.to_string() })
    }
}
