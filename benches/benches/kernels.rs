//! Speed of the default schedule on every workload, beside the machine's limit and, with `--peers`, beside what a user
//! would pick instead. Everything is measured in turn, in one run, and verified.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use benches::peers::{Peer, names, team, usual};
use benches::race::{Outcome, Pace, race};
use benches::workload::Workload;
use benches::{Result, report, workloads_file};
use clap::Parser;
use tilewright::Compiler;

/// Speed of the default schedule, against the machine's limit and against peers
#[derive(Parser)]
struct Arguments {
    /// Workloads whose GROUP/NAME contains one of these words, separated by `|`
    #[arg(long, default_value = "", value_name = "WORDS")]
    only: String,
    /// Race against peers: the usual ones, or those named
    #[arg(long, value_name = "NAMES", value_delimiter = ',', num_args = 0.., default_missing_value = "all")]
    peers: Vec<String>,
    /// Numbers of threads, each a table
    #[arg(long, value_delimiter = ',', value_name = "1,2")]
    threads: Vec<usize>,
    /// How often everyone has a turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Most calls in a turn
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Seconds of a turn
    #[arg(long, default_value_t = 0.1)]
    seconds: f64,
    /// Measure with real-time priority, where that is allowed
    #[arg(long)]
    realtime: bool,
    /// A list of workloads in place of benches/workloads.toml
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Write a line of JSON for each race
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let workloads: Vec<Workload> = Workload::list(&arguments.list.clone().unwrap_or_else(workloads_file))?
        .into_iter()
        .filter(|workload| workload.is_one_of(&arguments.only))
        .collect();
    let mut json = arguments.json.as_ref().map(File::create).transpose()?;
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = if arguments.threads.is_empty() { vec![1, all] } else { arguments.threads.clone() };
    for threads in threads {
        let compiler = Compiler::host().threads(threads);
        let (mut team, missing) = team(&wanted(&arguments.peers)?, threads, arguments.realtime);
        let mut outcomes = Vec::new();
        for workload in &workloads {
            let outcome = run(&compiler, &mut team, workload, &arguments)?;
            if let Some(file) = &mut json {
                writeln!(file, "{}", report::json(&outcome, threads))?;
            }
            outcomes.push(outcome);
        }
        print(&outcomes, threads, &missing);
    }
    Ok(())
}

fn wanted(peers: &[String]) -> Result<Vec<String>> {
    let known = names();
    if peers.iter().any(|peer| peer == "all") {
        return Ok(usual().into_iter().map(String::from).collect());
    }
    match peers.iter().find(|peer| !known.contains(&peer.as_str())) {
        Some(peer) => Err(format!("no peer is called `{peer}`; there are {}", known.join(", ")).into()),
        None => Ok(peers.to_vec()),
    }
}

fn run(compiler: &Compiler, team: &mut [Peer], workload: &Workload, arguments: &Arguments) -> Result<Outcome> {
    let Arguments { rounds, calls, seconds, realtime, .. } = *arguments;
    let outcome = race(compiler, team, workload, Pace { rounds, calls, seconds, realtime, source_order: false })?;
    let best = outcome.best_peer().map_or(String::new(), |(name, ns)| format!(", {name} {}", report::time(ns)));
    let ours = outcome.ours.min().map_or("failed".into(), report::time);
    eprintln!("{}: ours {ours}{best}, limit {}", workload.name, report::time(outcome.floor_ns));
    Ok(outcome)
}

fn print(outcomes: &[Outcome], threads: usize, missing: &[String]) {
    println!("## {threads} thread{}\n", if threads == 1 { "" } else { "s" });
    let most = |of: fn(&Outcome) -> f64| outcomes.iter().map(of).fold(0.0, f64::max) / 1e9;
    let (single, double) = (most(|outcome| outcome.limits.f32_flops), most(|outcome| outcome.limits.f64_flops));
    println!("Fused multiply-adds: {single:.0} GFLOP/s in float32, {double:.0} in float64.");
    if !missing.is_empty() {
        println!("Missing: {}.", missing.join("; "));
    }
    println!("\n{}\n{}", report::summary(outcomes), report::everyone(outcomes));
    let failures = report::failures(outcomes);
    if !failures.is_empty() {
        println!("Failures:\n\n{failures}");
    }
}
