//! `tilewright explain`

use std::time::Duration;

use clap::Args;
use support::Diagnostic;
use tilewright::cost::cost;
use tilewright::report::{Asked, Measured, Rates, Report, report, why_not};
use tilewright::{Error, Pool, Result, Script, ScriptError, Source, host_target, timing};

use super::call::{self, Call};
use super::options::{Data, Machine, Program};
use super::terminal::{self, Progress};

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
    program: Program,
    #[command(flatten)]
    machine: Machine,
    /// Run it here too: time beside what the machine can do at most
    #[arg(long, conflicts_with = "symbolic")]
    measure: bool,
    /// Worker threads of what is measured; all cores unless given
    #[arg(short = 'j', long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Try a command of the scheduling language behind the schedule, and say what it would change, or which two instances
    /// it would swap
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["measure", "stages"])]
    why_not: Option<String>,
    /// How long each stage of compiling takes
    #[arg(long)]
    stages: bool,
    /// Machine-readable: one JSON object on a line, with the text of the program and of the later stages
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Prints the explanation.
    pub fn run(self) -> Result<()> {
        let source = self.program.source()?;
        let def = self.program.definition(&source)?;
        let script = self.machine.script()?;
        let (given, open) = (&self.program.sizes, call::open_sizes(script.as_ref()));
        let sizes = call::sizes_unless(self.machine.symbolic, &def, &source, (given, &open))?;
        let (sizes, tile_sizes) = sizes.map_or_else(Default::default, |sizes| (Some(sizes.own), sizes.tiles));
        let options = self.machine.options(script, tile_sizes)?;
        self.machine.dump(&def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        if let Some(commands) = &self.why_not {
            let commands = commands_of(commands)?;
            let found =
                why_not(&def, sizes.as_deref(), &options, &commands).map_err(|error| error.with_source(&source))?;
            let json = || serde_json::to_string(&found).expect("only numbers, text and lists of them") + "\n";
            return terminal::print(if self.json { json() } else { found.to_string() });
        }
        let asked = Asked { source: Some(&source), code: self.json, tried: self.json, stages: self.stages };
        let found = report(&def, sizes.as_deref(), &options, asked).map_err(|error| error.with_source(&source))?;
        let found = if self.measure { self.measured(found, &source)? } else { found };
        terminal::print(if self.json { found.to_json() + "\n" } else { found.to_string() })
    }

    /// The same with the time that the kernel takes here.
    fn measured(&self, found: Report, source: &Source) -> Result<Report> {
        if self.machine.device().is_some() {
            let message = "`explain` measures kernels of processors only";
            let help = "`tilewright bench` times kernels on devices";
            return Err(Error::user(Diagnostic::call("TC0947", message).help(help)));
        }
        let data = Data::random(self.threads);
        let mut call =
            Call::prepare(&self.program, &self.machine, &data, None).map_err(|error| error.with_source(source))?;
        call.run()?;
        let shared = std::cell::RefCell::new(&mut call);
        let prepare = || {
            shared.borrow_mut().reset();
            Ok(())
        };
        let progress = Progress::new("timing");
        let times = timing::time(None, prepare, || shared.borrow_mut().run().map(|_| ()))?;
        drop(progress);
        let _progress = Progress::new("measuring this machine's limits");
        let pool = if found.is_parallel() { call.compiler.pool().clone() } else { Pool::single() };
        let dtype = cost(&call.def, &call.sizes).dtype;
        let rates = Rates::measure(&host_target(), &pool, dtype)?;
        let seconds = |time: Duration| time.max(Duration::from_nanos(1)).as_secs_f64();
        let measured =
            Measured { seconds: seconds(times.min), median: seconds(times.median), calls: times.reps, rates };
        Ok(found.measured(measured))
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
