//! `tilewright explain`

use clap::Args;
use support::Diagnostic;
use tilewright::report::why_not;
use tilewright::{Error, Result, Script, ScriptError};

use super::reported::{Prepared, Reported};
use super::terminal;

/// Say what was done to a definition and what was not, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright explain examples/softmax.tc -s M=512,N=1024
  tilewright explain examples/mm.tc -s M=64,N=64,K=64 -t x86-64-v3
  tilewright explain examples/mm.tc -s M=64,N=64,K=64 --measure
  tilewright explain examples/mm.tc --symbolic
  tilewright explain examples/mm.tc -s M=64,N=64,K=64 --why-not 'parallel C.update.k'

Which nests run together, what was expected of that and of the next best plan; the script with the reason of each
automatic command; the loops with what one iteration of each touches, and two iterations that cannot run at once;
the bytes that each cache moves of each tensor; operations for each byte; the remarks.

--measure runs the kernel with random inputs and measures what this machine can do at most: which limit binds, and
how long a call takes beside that. --json prints all of it, and more, as one object.")]
pub struct Explain {
    #[command(flatten)]
    reported: Reported,
    /// Try a command of the scheduling language behind the schedule, and say what it would change, or which two instances
    /// it would swap
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["measure", "stages"])]
    why_not: Option<String>,
    /// Machine-readable: one JSON object on a line, with the text of the program and of the later stages
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Prints the explanation.
    pub fn run(self) -> Result<()> {
        let prepared = self.reported.prepared()?;
        if let Some(commands) = &self.why_not {
            let commands = commands_of(commands)?;
            let Prepared { source, def, sizes, options } = &prepared;
            let found =
                why_not(def, sizes.as_deref(), options, &commands).map_err(|error| error.with_source(source))?;
            let json = || serde_json::to_string(&found).expect("only numbers, text and lists of them") + "\n";
            return terminal::print(if self.json { json() } else { found.to_string() });
        }
        let found = self.reported.report(&prepared, self.json)?;
        terminal::print(if self.json { found.to_json() + "\n" } else { found.to_string() })
    }
}

/// The commands of `--why-not`, one or several on lines.
fn commands_of(text: &str) -> Result<Script> {
    let wrong = |why: String| {
        let help = "a command is written as in a script: --why-not 'parallel C.update.k'";
        Error::user(Diagnostic::call("TC0961", format!("`{text}` is no command: {why}")).help(help))
    };
    let script: Script = format!("{}\n", text.trim()).parse().map_err(|error: ScriptError| wrong(error.to_string()))?;
    match script.is_empty() {
        true => Err(wrong("there is nothing".into())),
        false => Ok(script),
    }
}
