//! What `explain` and `inspect` are about: the options that they share, and the report.

use std::time::Duration;

use clap::Args;
use support::Diagnostic;
use tilewright::cost::cost;
use tilewright::report::{Asked, Measured, Rates, Report, report};
use tilewright::{Definition, Error, Options, Pool, Result, Source, host_target, timing};

use super::call::{self, Call};
use super::options::{Data, Machine, Program};
use super::terminal::Progress;

/// What is reported on.
#[derive(Debug, Args)]
pub struct Reported {
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
    /// How long each stage of compiling takes
    #[arg(long, alias = "times")]
    stages: bool,
}

/// What a report is made of.
pub struct Prepared {
    /// The text.
    pub source: Source,
    /// The definition that is asked for.
    pub def: Definition,
    /// Its sizes; none for all.
    pub sizes: Option<Vec<i64>>,
    /// What the compiler may do.
    pub options: Options,
}

impl Reported {
    /// Reads the program and the script. Stages are dumped where that is asked for.
    pub fn prepared(&self) -> Result<Prepared> {
        let source = self.program.source()?;
        let def = self.program.definition(&source)?;
        let script = self.machine.script()?;
        let (given, open) = (&self.program.sizes, call::open_sizes(script.as_ref()));
        let sizes = call::sizes_unless(self.machine.symbolic, &def, &source, (given, &open))?;
        let (sizes, tile_sizes) = sizes.map_or_else(Default::default, |sizes| (Some(sizes.own), sizes.tiles));
        let options = self.machine.options(script, tile_sizes)?;
        self.machine.dump(&def, sizes.as_deref(), &options).map_err(|error| error.with_source(&source))?;
        Ok(Prepared { source, def, sizes, options })
    }

    /// The report, with the texts of the later stages and commands that are tried where these are wanted.
    pub fn report(&self, prepared: &Prepared, whole: bool) -> Result<Report> {
        let Prepared { source, def, sizes, options } = prepared;
        let asked = Asked { source: Some(source), code: whole, tried: whole, stages: self.stages };
        let found = report(def, sizes.as_deref(), options, asked).map_err(|error| error.with_source(source))?;
        if self.measure { self.measured(found, source) } else { Ok(found) }
    }

    /// The same with the time that the kernel takes here.
    fn measured(&self, found: Report, source: &Source) -> Result<Report> {
        if self.machine.device().is_some() {
            let message = "`--measure` runs kernels of processors only";
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
