//! The thirty kernels of PolyBench: our own code in the order of the source and by the automatic schedule, beside what C
//! compilers make of the same loops. Measured in turn, in one run, and verified; geometric means last.

use std::fs::File;
use std::io::Write;

use benches::peers::team;
use benches::race::{Entry, Outcome, Pace, race};
use benches::report::time;
use benches::workload::Workload;
use benches::{Result, report};
use clap::Parser;
use polyhedral::testing::{POLYBENCH, SETS};
use tilewright::Compiler;

/// The kernels of PolyBench, beside C compilers
#[derive(Parser)]
struct Arguments {
    /// The data set: MINI, SMALL, MEDIUM or LARGE
    #[arg(long, default_value = "LARGE", value_parser = SETS)]
    set: String,
    /// Kernels whose names contain one of these words, separated by `|`
    #[arg(long, default_value = "", value_name = "WORDS")]
    only: String,
    /// What to race against
    #[arg(long, default_value = "clang,polly,gcc", value_name = "NAMES", value_delimiter = ',')]
    peers: Vec<String>,
    /// Numbers of threads, each a table
    #[arg(long, default_value = "1,2", value_delimiter = ',', value_name = "1,2")]
    threads: Vec<usize>,
    /// How often everyone has a turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Most calls in a turn
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// Seconds of a turn
    #[arg(long, default_value_t = 0.1)]
    seconds: f64,
    /// Measure with real-time priority, where that is allowed
    #[arg(long)]
    realtime: bool,
    /// Print the automatic schedules and what was not done, in place of racing
    #[arg(long)]
    scripts: bool,
    /// Leave out our own code in the order of the source
    #[arg(long)]
    no_source_order: bool,
    /// Write a line of JSON for each race
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let set = SETS.iter().position(|set| *set == arguments.set).ok_or("no such data set")?;
    let all = POLYBENCH.iter().map(|kernel| Workload::polybench(*kernel, set)).collect::<Result<Vec<_>>>()?;
    let workloads: Vec<Workload> = all.into_iter().filter(|workload| workload.is_one_of(&arguments.only)).collect();
    let mut json = arguments.json.as_ref().map(File::create).transpose()?;
    let Arguments { rounds, calls, seconds, realtime, .. } = arguments;
    let pace = Pace { rounds, calls, seconds, realtime, source_order: !arguments.no_source_order };
    for &threads in &arguments.threads {
        let compiler = Compiler::host().threads(threads);
        if arguments.scripts {
            workloads.iter().try_for_each(|workload| schedule(&compiler, workload))?;
            continue;
        }
        let (mut team, missing) = team(&arguments.peers, threads, realtime);
        let mut outcomes = Vec::new();
        for workload in &workloads {
            let outcome = race(&compiler, &mut team, workload, pace)?;
            eprintln!("{}", row(&outcome, &arguments.peers));
            if let Some(file) = &mut json {
                writeln!(file, "{}", report::json(&outcome, threads))?;
            }
            outcomes.push(outcome);
        }
        print(&outcomes, &arguments, threads, &missing);
    }
    Ok(())
}

/// Prints what the automatic policy does.
fn schedule(compiler: &Compiler, workload: &Workload) -> Result<()> {
    let variant = workload.prepare(&workload.kernel(compiler)?)?;
    println!("# {} {}\n{}", workload.name, workload.group, variant.script);
    variant.remarks.iter().for_each(|remark| println!("# {remark}"));
    println!("# {:?}\n", variant.stages);
    Ok(())
}

fn print(outcomes: &[Outcome], arguments: &Arguments, threads: usize, missing: &[String]) {
    println!("## {}, {threads} thread{}\n", arguments.set, if threads == 1 { "" } else { "s" });
    if !missing.is_empty() {
        println!("Missing: {}.\n", missing.join("; "));
    }
    let names: Vec<&String> = arguments.peers.iter().collect();
    let times: Vec<String> = names.iter().map(|name| format!("{name} |")).collect();
    let ratios: Vec<String> = names.iter().map(|name| format!("to {name} |")).collect();
    println!(
        "| kernel | automatic | source order | {} to source order | {} compile |",
        times.join(" "),
        ratios.join(" ")
    );
    println!("|---|{}", "--:|".repeat(4 + 2 * names.len()));
    outcomes.iter().for_each(|outcome| println!("{}", row(outcome, &arguments.peers)));
    let means = contenders(&arguments.peers).map(|name| ratio_text(mean(outcomes, name)));
    println!("| geometric mean | | | {}{} | |", "| ".repeat(names.len()), means.collect::<Vec<_>>().join(" | "));
    let failures = report::failures(outcomes);
    if !failures.is_empty() {
        println!("\nFailures:\n\n{failures}");
    }
    println!();
}

/// Everyone that the automatic schedule is compared with; the order of the source is none of the peers.
fn contenders(peers: &[String]) -> impl Iterator<Item = Option<&str>> {
    [None].into_iter().chain(peers.iter().map(|name| Some(name.as_str())))
}

fn row(outcome: &Outcome, peers: &[String]) -> String {
    let cell = |entry: Option<&Entry>| match entry.map(|entry| (entry.min(), &entry.failure)) {
        None => String::new(),
        Some((Some(ns), _)) => time(ns),
        Some((None, _)) => "failed".into(),
    };
    let times = contenders(peers).map(|name| cell(entry(outcome, name)));
    let ratios = contenders(peers).map(|name| ratio_text(ratio(outcome, name)));
    let cells: Vec<String> = [cell(Some(&outcome.ours))].into_iter().chain(times).chain(ratios).collect();
    let compile = outcome.compile_ms.map_or(String::new(), |ms| format!("{ms:.0} ms"));
    format!("| {} | {} | {compile} |", outcome.workload.name, cells.join(" | "))
}

fn entry<'a>(outcome: &'a Outcome, name: Option<&str>) -> Option<&'a Entry> {
    name.map_or(outcome.source_order.as_ref(), |name| outcome.peers.get(name))
}

/// How many times longer it takes than the automatic schedule.
fn ratio(outcome: &Outcome, name: Option<&str>) -> Option<f64> {
    Some(entry(outcome, name)?.min()? / outcome.ours.min()?)
}

fn ratio_text(ratio: Option<f64>) -> String {
    ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))
}

/// The geometric mean over the kernels that both have a time of.
fn mean(outcomes: &[Outcome], name: Option<&str>) -> Option<f64> {
    let logs: Vec<f64> = outcomes.iter().filter_map(|outcome| Some(ratio(outcome, name)?.ln())).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}
