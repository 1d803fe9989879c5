//! `tilewright bench`

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tilewright::cost::{Cost, cost};
use tilewright::timing::{self, Times};
use tilewright::verify::Agreement;
use tilewright::{Limits, Result};

use super::call::Call;
use super::options::{Data, Machine, Program};
use super::terminal::{self, Progress};

/// Time a program; speed as a fraction of this machine's measured limit
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright bench examples/mm.tc -s M=256,N=256,K=256 --verify
  tilewright bench examples/softmax.tc -s M=256,N=1000 -j 1 --json

The limit is the longer of two times: the operations at the rate of fused multiply-adds, and the \
compulsory bytes at the rate at which as many bytes can be read or copied, over and over, both \
measured in this process with as many threads. On a device (-t opencl, -t cuda) both are measured \
there; times are those of the device's clock with tensors that stay there, and first_call_ms is with copies.

--json prints one object per line with the keys def target threads sizes compile_ms first_call_ms \
min_ns median_ns reps flops bytes gflops gbytes_per_s peak_fraction verified max_rel_error script. \
Rates are those of the shortest time; `verified` is null without --verify.")]
pub struct Bench {
    #[command(flatten)]
    program: Program,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    data: Data,
    /// Timed repetitions; enough for a steady median unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    reps: Option<u32>,
    /// Machine-readable: one JSON object per line, nothing else on standard output
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Compiles, calls once, verifies and writes that call's results, then times.
    pub fn run(self) -> Result<()> {
        let mut call = Call::prepare(&self.program, &self.machine, &self.data, None)?;
        let first_call = call.run()?;
        let agreement = self.data.verify.then(|| call.verify()).transpose()?;
        call.write(&self.data)?;
        let (times, limits) =
            if call.compiler.device().is_some() { self.on_device(&call)? } else { self.on_host(&mut call)? };
        let measured = Measured::new(&call, first_call, times, &limits, agreement);
        terminal::print(if self.json { measured.json(&call) } else { measured.text(&call, &limits) })
    }
}

impl Bench {
    fn reps(&self) -> Option<usize> {
        self.reps.map(|reps| reps as usize)
    }

    fn on_host(&self, call: &mut Call) -> Result<(Times, Limits)> {
        let progress = Progress::new("timing");
        let shared = RefCell::new(&mut *call);
        let prepare = || {
            shared.borrow_mut().reset();
            Ok(())
        };
        let times = timing::time(self.reps(), prepare, || shared.borrow_mut().run().map(|_| ()))?;
        drop(progress);
        let _progress = Progress::new("measuring this machine's limits");
        let limits = Limits::measure(call.compiler.target(), call.compiler.pool(), cost(&call.def, &call.sizes).bytes)?;
        Ok((times, limits))
    }

    /// With tensors that stay on the device, between two moments of a stream.
    fn on_device(&self, call: &Call) -> Result<(Times, Limits)> {
        let progress = Progress::new("timing");
        let mut resident = call.resident()?;
        // The first calls pay for what is set up once.
        let warm = resident.time(WARM)?;
        let batch =
            if resident.updates() { 1 } else { (BATCH.as_secs_f64() / warm.as_secs_f64().max(1e-9)).ceil() as u32 };
        let times = timing::time_by(self.reps(), || resident.time(batch.clamp(1, MOST_BATCH)))?;
        drop(progress);
        let _progress = Progress::new("measuring this device's limits");
        let cost = cost(&call.def, &call.sizes);
        Ok((times, Limits::measure_on(&call.compiler, cost.dtype, cost.bytes)?))
    }
}

/// Calls before the timed ones on a device.
const WARM: u32 = 3;
/// How long the calls take together that are timed as one on a device: its clock is no finer than half a microsecond.
const BATCH: Duration = Duration::from_micros(200);
/// As many are timed as one at most.
const MOST_BATCH: u32 = 64;

/// What a benchmark found.
struct Measured {
    first_call: Duration,
    times: Times,
    cost: Cost,
    agreement: Option<Agreement>,
    peak_fraction: f64,
}

impl Measured {
    fn new(call: &Call, first_call: Duration, times: Times, limits: &Limits, agreement: Option<Agreement>) -> Measured {
        let cost = cost(&call.def, &call.sizes);
        let floor = limits.floor_seconds(cost.dtype, cost.flops, cost.bytes);
        let peak_fraction = floor / seconds(&times);
        Measured { first_call, times, cost, agreement, peak_fraction }
    }

    fn gflops(&self) -> f64 {
        self.cost.flops / seconds(&self.times) / 1e9
    }

    fn gbytes_per_s(&self) -> f64 {
        self.cost.bytes / seconds(&self.times) / 1e9
    }

    fn text(&self, call: &Call, limits: &Limits) -> String {
        let Measured { first_call, times, cost, agreement, peak_fraction } = self;
        let peak = limits.flops(cost.dtype);
        let verified = agreement.as_ref().map_or(String::new(), |agreement| format!("  {}\n", verified(agreement)));
        format!(
            "{}\n  time     min {}, median {} ({} runs)\n  speed    {:.1} GFLOP/s, {:.1} GB/s: {:.0} % of the limit \
             here ({:.0} GFLOP/s, {:.0} GB/s)\n  compile  {}, first call {}\n{verified}",
            call.title(),
            duration(times.min),
            duration(times.median),
            times.reps,
            self.gflops(),
            self.gbytes_per_s(),
            100.0 * peak_fraction,
            peak / 1e9,
            limits.bytes() / 1e9,
            duration(call.variant.compile_time),
            duration(*first_call),
        )
    }

    fn json(&self, call: &Call) -> String {
        let def = &call.def;
        let line = Line {
            def: &def.name,
            target: call.compiler.device().map_or(&call.compiler.target().name, |device| &device.about().name),
            threads: call.compiler.pool().threads(),
            sizes: def.sizes.iter().map(String::as_str).zip(call.sizes.iter().copied()).collect(),
            compile_ms: milliseconds(call.variant.compile_time),
            first_call_ms: milliseconds(self.first_call),
            min_ns: nanoseconds(self.times.min),
            median_ns: nanoseconds(self.times.median),
            reps: self.times.reps,
            flops: self.cost.flops,
            bytes: self.cost.bytes,
            gflops: self.gflops(),
            gbytes_per_s: self.gbytes_per_s(),
            peak_fraction: self.peak_fraction,
            verified: self.agreement.map(|_| true),
            max_rel_error: self.agreement.map(|agreement| agreement.max_rel_error),
            script: call.variant.script.to_string(),
        };
        serde_json::to_string(&line).expect("only numbers and text") + "\n"
    }
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    def: &'a str,
    target: &'a str,
    threads: usize,
    sizes: BTreeMap<&'a str, i64>,
    compile_ms: f64,
    first_call_ms: f64,
    min_ns: u64,
    median_ns: u64,
    reps: usize,
    flops: f64,
    bytes: f64,
    gflops: f64,
    gbytes_per_s: f64,
    peak_fraction: f64,
    verified: Option<bool>,
    max_rel_error: Option<f64>,
    script: String,
}

/// The shortest time; never 0, which clocks can show.
fn seconds(times: &Times) -> f64 {
    times.min.max(Duration::from_nanos(1)).as_secs_f64()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A time with three digits: `9.87 ms`.
pub fn duration(time: Duration) -> String {
    let ns = time.as_nanos() as f64;
    let (value, unit) = match ns {
        _ if ns < 1e3 => (ns, "ns"),
        _ if ns < 1e6 => (ns / 1e3, "µs"),
        _ if ns < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

/// How the results agree with the evaluator's.
pub fn verified(agreement: &Agreement) -> String {
    let Agreement { elements, ambiguous, max_rel_error } = agreement;
    let open = if *ambiguous == 0 { String::new() } else { format!(", {ambiguous} left open by the program") };
    format!("verified {elements} elements, largest relative error {max_rel_error:.1e}{open}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let of = |ns| duration(Duration::from_nanos(ns));
        assert_eq!(
            [of(7), of(12_345), of(123_456), of(9_876_543), of(2_000_000_000)],
            ["7.00 ns", "12.3 µs", "123 µs", "9.88 ms", "2.00 s"]
        );
    }
}
