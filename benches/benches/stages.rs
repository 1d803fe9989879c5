//! What each stage of a compilation costs: the median of five compilations, in milliseconds, optimised build.

use std::collections::BTreeMap;

use benches::workload::Workload;
use benches::{Result, workloads_file};
use tilewright::Compiler;

const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let compiler = Compiler::host().threads(1);
    let tables = Workload::list(&workloads_file())?
        .into_iter()
        .map(|workload| medians(&compiler, &workload).map(|row| (workload.name, row)))
        .collect::<Result<Vec<_>>>()?;
    let stages: Vec<&str> =
        tables.first().map(|(_, row)| row.iter().map(|(name, _)| *name).collect()).unwrap_or_default();
    print!("{:<24}", "ms");
    stages.iter().for_each(|stage| print!("{stage:>11}"));
    println!();
    for (name, row) in tables {
        print!("{name:<24}");
        row.iter().for_each(|(_, ms)| print!("{ms:>11.2}"));
        println!();
    }
    Ok(())
}

fn medians(compiler: &Compiler, workload: &Workload) -> Result<Vec<(&'static str, f64)>> {
    let mut times: BTreeMap<usize, (&'static str, Vec<f64>)> = BTreeMap::new();
    for _ in 0..ROUNDS {
        // A fresh kernel each time: a kernel keeps what it has compiled.
        let kernel = workload.kernel(compiler)?;
        let variant = workload.prepare(&kernel)?;
        let whole = ("total", variant.compile_time);
        for (at, (stage, time)) in variant.stages.iter().copied().chain([whole]).enumerate() {
            times.entry(at).or_insert((stage, Vec::new())).1.push(time.as_secs_f64() * 1e3);
        }
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Ok(times.into_values().map(|(stage, all)| (stage, median(all))).collect())
}
