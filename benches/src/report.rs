//! Races as tables in Markdown and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::race::{Entry, Outcome};
use crate::workload::Rate;

/// The table of ours: time, the best peer, the limit, compile time.
pub fn summary(outcomes: &[Outcome]) -> String {
    let mut text =
        String::from("| workload | ours | median | speed | of limit | best peer | its time | ours to it | compile |\n");
    text += "|---|--:|--:|--:|--:|---|--:|--:|--:|\n";
    for outcome in outcomes {
        let best = outcome.best_peer();
        let (peer, its) = best.map_or((String::new(), String::new()), |(name, ns)| (name.into(), time(ns)));
        let compile = outcome.compile_ms.map_or(String::new(), |ms| format!("{ms:.0} ms"));
        let Some(ns) = outcome.ours.min() else {
            let reason = outcome.ours.failure.as_deref().unwrap_or("").lines().next().unwrap_or("").replace('|', "/");
            let _ = writeln!(text, "| {} | {reason} | | | | {peer} | {its} | | {compile} |", outcome.workload.name);
            continue;
        };
        let ratio = best.map_or(String::new(), |(_, its)| format!("{:.2}", its / ns));
        let median = outcome.ours.median().map_or(String::new(), time);
        let _ = writeln!(
            text,
            "| {} | {} | {median} | {} | {:.0}% | {peer} | {its} | {ratio} | {compile} |",
            outcome.workload.name,
            time(ns),
            speed(outcome, ns),
            100.0 * outcome.floor_ns / ns
        );
    }
    text
}

/// The times of everyone, the fastest in bold.
pub fn everyone(outcomes: &[Outcome]) -> String {
    let taking_part = |name: &&str| outcomes.iter().any(|outcome| outcome.peers.contains_key(name));
    let names: Vec<&str> = crate::peers::names().into_iter().filter(taking_part).collect();
    if names.is_empty() {
        return String::new();
    }
    let mut text =
        format!("| workload | limit | ours | {} |\n|---|{}\n", names.join(" | "), "--:|".repeat(names.len() + 2));
    for outcome in outcomes {
        let best =
            outcome.best_peer().map_or(f64::INFINITY, |(_, ns)| ns).min(outcome.ours.min().unwrap_or(f64::INFINITY));
        let cell = |entry: Option<&Entry>| match entry.map(|entry| (entry, entry.min())) {
            None => String::new(),
            Some((_, None)) => "failed".into(),
            Some((_, Some(ns))) if ns == best => format!("**{}**", time(ns)),
            Some((_, Some(ns))) => time(ns),
        };
        let cells: Vec<String> = names.iter().map(|name| cell(outcome.peers.get(name))).collect();
        let (floor, ours) = (time(outcome.floor_ns), cell(Some(&outcome.ours)));
        let _ = writeln!(text, "| {} | {floor} | {ours} | {} |", outcome.workload.name, cells.join(" | "));
    }
    text
}

/// Why contenders failed, a line each.
pub fn failures(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        for (name, entry) in outcome.peers.iter().map(|(name, entry)| (*name, entry)).chain([("ours", &outcome.ours)]) {
            if let Some(failure) = &entry.failure {
                let _ = writeln!(text, "- {}, {name}: {}", outcome.workload.name, failure.trim().replace('\n', " "));
            }
        }
    }
    text
}

/// One line of JSON with everything that is known of a race.
pub fn json(outcome: &Outcome, threads: usize) -> String {
    let entry = |entry: &Entry| EntryLine {
        min_ns: entry.min(),
        median_ns: entry.median(),
        calls: entry.times.len(),
        error: entry.error,
        failure: entry.failure.clone(),
    };
    let line = Line {
        workload: &outcome.workload.name,
        group: &outcome.workload.group,
        threads,
        compile_ms: outcome.compile_ms,
        floor_ns: outcome.floor_ns,
        f32_gflops: outcome.limits.f32_flops / 1e9,
        f64_gflops: outcome.limits.f64_flops / 1e9,
        read_gbytes_per_s: outcome.limits.read_bytes / 1e9,
        copied_gbytes_per_s: outcome.limits.copied_bytes / 1e9,
        best_peer: outcome.best_peer().map(|(name, _)| name),
        ours: entry(&outcome.ours),
        peers: outcome.peers.iter().map(|(name, of)| (*name, entry(of))).collect(),
    };
    serde_json::to_string(&line).expect("only numbers and text")
}

#[derive(Serialize)]
struct Line<'a> {
    workload: &'a str,
    group: &'a str,
    threads: usize,
    compile_ms: Option<f64>,
    floor_ns: f64,
    f32_gflops: f64,
    f64_gflops: f64,
    read_gbytes_per_s: f64,
    copied_gbytes_per_s: f64,
    best_peer: Option<&'a str>,
    ours: EntryLine,
    peers: BTreeMap<&'a str, EntryLine>,
}

#[derive(Serialize)]
struct EntryLine {
    min_ns: Option<f64>,
    median_ns: Option<f64>,
    calls: usize,
    error: Option<f64>,
    failure: Option<String>,
}

/// A time with three digits.
pub fn time(ns: f64) -> String {
    let (number, unit) = match ns {
        _ if ns < 1e3 => (ns, "ns"),
        _ if ns < 1e6 => (ns / 1e3, "µs"),
        _ => (ns / 1e6, "ms"),
    };
    let digits = if number < 10.0 { 2 } else { usize::from(number < 100.0) };
    format!("{number:.digits$} {unit}")
}

fn speed(outcome: &Outcome, ns: f64) -> String {
    match outcome.workload.rate {
        Rate::Flops => format!("{:.1} GFLOP/s", outcome.workload.flops / ns),
        Rate::Bytes => format!("{:.1} GB/s", outcome.workload.bytes / ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits() {
        assert_eq!([1.234e3, 56.78e3, 789.1e6].map(time), ["1.23 µs", "56.8 µs", "789 ms"]);
    }
}
