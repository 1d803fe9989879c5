//! The machine, what it can do at most, and how long a call takes beside that.
//!
//! A roofline with a roof for each level of memory (Williams, Waterman and Patterson, Roofline, CACM 2009; Ilic, Pratas and
//! Sousa, Cache-aware Roofline Model, 2014): a call takes as long as its arithmetic at the rate of fused multiply-adds, or
//! as the bytes of one level at the rate at which that level can be read or copied, whichever is longest.

use polyhedral::DType;
use runtime::Pool;
use serde::Serialize;
use support::Target;

use super::Report;
use crate::cost::Cost;
use crate::{Limits, Result};

/// A machine as its description has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The target's name.
    pub name: String,
    /// LLVM's name of the processor.
    pub cpu: String,
    /// Worker threads.
    pub threads: u32,
    /// Bytes of a vector register.
    pub vector_bytes: u32,
    /// How many vector registers there are.
    pub vector_registers: u32,
    /// Fused multiply-adds that start in one cycle.
    pub fma_per_cycle: u32,
    /// From the cache next to the core outwards.
    pub caches: Vec<Cache>,
}

/// A cache as one core sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// `L1`, `L2`, …
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Bytes of a line.
    pub line: u32,
    /// Ways of associativity.
    pub ways: u32,
    /// Whether other cores share it.
    pub shared: bool,
}

impl Machine {
    pub(super) fn of(target: &Target) -> Machine {
        let cache = |(at, cache): (usize, &support::Cache)| Cache {
            name: format!("L{}", at + 1),
            bytes: cache.bytes,
            line: cache.line,
            ways: cache.ways,
            shared: cache.shared,
        };
        Machine {
            name: target.name.clone(),
            cpu: target.cpu.clone(),
            threads: target.threads,
            vector_bytes: target.vector_bytes,
            vector_registers: target.vector_registers,
            fma_per_cycle: target.fma_per_cycle,
            caches: target.caches.iter().enumerate().map(cache).collect(),
        }
    }
}

/// The work of a call, whatever the schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Work {
    /// Operations, as [`Cost::flops`](crate::cost::Cost::flops).
    pub flops: f64,
    /// Bytes that any schedule must move.
    pub bytes: f64,
    /// The type whose arithmetic limits it.
    pub dtype: String,
}

impl Work {
    pub(super) fn of(cost: &Cost) -> Work {
        Work { flops: cost.flops, bytes: cost.bytes, dtype: cost.dtype.to_string() }
    }
}

/// What a machine can do at most, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Threads that took part.
    pub threads: usize,
    /// Floating-point operations a second, in fused multiply-adds of the type that limits the program.
    pub flops: f64,
    /// For each cache, bytes a second that can be brought from beyond it.
    pub beyond: Vec<f64>,
    /// How many bytes were in use for that.
    pub footprints: Vec<f64>,
}

impl Rates {
    /// Measures with the threads of a pool: about a tenth of a second for each cache.
    ///
    /// What is beyond a cache is measured with as many bytes as are half of the next one, of all threads together where each
    /// has one of its own, or four times the last one: as far as a measurement goes, 128 MiB.
    ///
    /// # Errors
    /// When no code can be made for the target.
    pub fn measure(target: &Target, pool: &Pool, dtype: DType) -> Result<Rates> {
        let flops = Limits::measure_flops(target, pool, dtype)?;
        let threads = pool.threads();
        let all = |cache: &support::Cache| cache.bytes as f64 * if cache.shared { 1.0 } else { threads as f64 };
        let (mut beyond, mut footprints) = (Vec::new(), Vec::new());
        for (at, cache) in target.caches.iter().enumerate() {
            let footprint = match target.caches.get(at + 1) {
                Some(next) => (all(next) / 2.0).max(2.0 * all(cache)),
                None => 4.0 * all(cache),
            };
            let (bytes, used) = Limits::measure_bytes(target, pool, footprint)?;
            beyond.push(bytes);
            footprints.push(used);
        }
        Ok(Rates { threads, flops, beyond, footprints })
    }
}

/// What was measured of a kernel and the machine that it ran on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The shortest call, in seconds.
    pub seconds: f64,
    /// The middle one.
    pub median: f64,
    /// How many there were.
    pub calls: usize,
    /// What the machine can do.
    pub rates: Rates,
}

/// Something that limits how fast a call can be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// `arithmetic`, or the cache that brings bytes from beyond it.
    pub name: String,
    /// Operations, or bytes.
    pub amount: f64,
    /// Whether that was counted exactly.
    pub exact: bool,
    /// How many a second there can be.
    pub rate: f64,
    /// How long that takes.
    pub seconds: f64,
    /// Operations for each byte; absent for arithmetic.
    pub intensity: Option<f64>,
}

/// How long a call takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Time {
    /// What limits it, arithmetic first, then the caches from the core outwards.
    pub limits: Vec<Limit>,
    /// The limit that takes longest.
    pub bound_by: String,
    /// How long that one takes: a call cannot be faster by the model.
    pub predicted: f64,
    /// What the plan of the policy expects, where it made one: its cycles at the rate that the measured arithmetic gives.
    pub planned: Option<f64>,
    /// What was measured.
    pub measured: Measured,
}

impl Time {
    /// The part of the measured time that the limits explain.
    pub fn fraction(&self) -> f64 {
        self.predicted / self.measured.seconds
    }
}

impl Report {
    /// The same report with what was measured of the kernel, and what limits it. Does nothing for all sizes.
    #[must_use]
    pub fn measured(mut self, measured: Measured) -> Report {
        let Some(work) = &self.work else { return self };
        let rates = &measured.rates;
        let limit = |name: &str, amount: f64, exact: bool, rate: f64, intensity: Option<f64>| Limit {
            name: name.into(),
            amount,
            exact,
            rate,
            seconds: amount / rate,
            intensity,
        };
        let mut limits = vec![limit("arithmetic", work.flops, true, rates.flops, None)];
        let levels = self.traffic.iter().flat_map(|traffic| &traffic.levels);
        for (level, &rate) in levels.zip(&rates.beyond) {
            let bytes = level.all.bytes();
            let amount = bytes.value as f64;
            limits.push(limit(&level.name, amount, bytes.exact, rate, Some(work.flops / amount)));
        }
        let longest = limits.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds)).expect("there is arithmetic");
        let (bound_by, predicted) = (longest.name.clone(), longest.seconds);
        let planned = self.planned(rates);
        self.time = Some(Time { limits, bound_by, predicted, planned, measured });
        self
    }

    /// The plan's cycles in seconds.
    fn planned(&self, rates: &Rates) -> Option<f64> {
        let work = self.work.as_ref()?;
        let plan = self.plans.last()?;
        let element = if work.dtype == DType::F64.to_string() { 8 } else { 4 };
        let lanes = self.machine.vector_bytes / element;
        let in_cycle = f64::from(2 * lanes * self.machine.fma_per_cycle) * rates.threads as f64;
        Some(plan.cost as f64 * in_cycle / rates.flops)
    }
}
