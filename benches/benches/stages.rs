//! What each stage of a compilation costs: the shortest of several compilations, in milliseconds. With `--commands`, what is
//! behind `schedule`: the analysis of the source, the commands of the schedule with their proofs, the proof of the whole,
//! and what the policy needs beyond these to decide and to try.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use benches::workload::Workload;
use benches::{Result, workloads_file};
use clap::Parser;
use polyhedral::{Scop, isl};
use scheduler::Cpu;
use tilewright::Compiler;
use transform::{Policy, Script, Session};

/// What each stage of a compilation costs
#[derive(Parser)]
struct Arguments {
    /// Workloads whose GROUP/NAME contains one of these words, separated by `|`
    #[arg(long, default_value = "", value_name = "WORDS")]
    only: String,
    /// Another list of workloads; `benches/large.toml` has programs of many statements
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// For how many threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// How often each is compiled
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What is behind the stage `schedule`, by command
    #[arg(long)]
    commands: bool,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was measured, by name, in the order of a compilation.
type Row = Vec<(String, f64)>;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let compiler = Compiler::host().threads(arguments.threads);
    let mut header = Vec::new();
    let list = Workload::list(&arguments.list.clone().unwrap_or_else(workloads_file))?;
    for workload in list.iter().filter(|workload| workload.is_one_of(&arguments.only)) {
        let row = match arguments.commands {
            false => shortest(arguments.rounds, || stages(&compiler, workload))?,
            true if workload.scop(&isl::Ctx::new())?.is_none() => continue,
            true => shortest(arguments.rounds, || commands(&compiler, workload))?,
        };
        let names: Vec<&String> = row.iter().map(|(name, _)| name).collect();
        if header.iter().ne(names.iter().copied()) {
            print!("{:<24}", "ms");
            names.iter().for_each(|name| print!("{name:>12}"));
            println!();
            header = names.into_iter().cloned().collect();
        }
        print!("{:<24}", workload.name);
        row.iter().for_each(|(_, ms)| print!("{ms:>12.2}"));
        println!();
    }
    Ok(())
}

/// Every column's shortest time.
fn shortest(rounds: usize, measure: impl Fn() -> Result<Row>) -> Result<Row> {
    let mut best = measure()?;
    for _ in 1..rounds {
        best.iter_mut().zip(measure()?).for_each(|(best, (_, now))| best.1 = best.1.min(now));
    }
    Ok(best)
}

fn stages(compiler: &Compiler, workload: &Workload) -> Result<Row> {
    // A fresh kernel each time: a kernel keeps what it has compiled.
    let kernel = workload.kernel(compiler)?;
    let variant = workload.prepare(&kernel)?;
    let whole = ("total", variant.compile_time);
    let all = variant.stages.iter().copied().chain([whole]);
    Ok(all.map(|(stage, time)| (stage.to_owned(), time.as_secs_f64() * 1e3)).collect())
}

/// The automatic schedule, and then its script by itself: the difference is what the policy does beside the commands.
fn commands(compiler: &Compiler, workload: &Workload) -> Result<Row> {
    let scop = || -> Result<Scop> { Ok(workload.scop(&isl::Ctx::new())?.ok_or("a program without text")?) };
    let mut clock = Clock(Instant::now());
    let mut session = Session::new(scop()?, compiler.target())?;
    let _ = clock.lap();
    Cpu.schedule(&mut session)?;
    let scheduling = clock.lap();
    let script: Script = session.script().to_string().parse()?;

    let scop = scop()?;
    let _ = clock.lap();
    let mut session = Session::new(scop, compiler.target())?;
    let analysis = clock.lap();
    let mut commands: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for command in script.commands() {
        session.apply(command.clone())?;
        let (count, ms) = commands.entry(command.name()).or_default();
        *count += 1;
        *ms += clock.lap();
    }
    let replayed: f64 = commands.values().map(|(_, ms)| ms).sum();
    session.finish()?;
    let whole = clock.lap();
    let ends = [("analysis".to_owned(), analysis), ("policy".to_owned(), scheduling - replayed)];
    let commands = commands.into_iter().map(|(name, (count, ms))| (format!("{count} {name}"), ms));
    Ok(ends.into_iter().chain(commands).chain([("finish".to_owned(), whole)]).collect())
}

/// When something was last measured.
struct Clock(Instant);

impl Clock {
    /// Milliseconds since then.
    fn lap(&mut self) -> f64 {
        let last = std::mem::replace(&mut self.0, Instant::now());
        last.elapsed().as_secs_f64() * 1e3
    }
}
