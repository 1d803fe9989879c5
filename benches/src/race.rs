//! A race: all contenders of one workload are made ready and verified, then measured in turn for several rounds, with the
//! machine's ceilings between them.

use std::collections::BTreeMap;

use tilewright::{Compiler, Limits};

use crate::Result;
use crate::case::Case;
use crate::ours::Ours;
use crate::peers::Peer;
use crate::worker::{Answer, set_realtime};
use crate::workload::{Peak, Workload};

/// How long a race takes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often everyone has a turn.
    pub rounds: usize,
    /// Most calls in a turn.
    pub calls: usize,
    /// Seconds of a turn.
    pub seconds: f64,
    /// Measure with real-time priority.
    pub realtime: bool,
    /// Race our own code in the order of the source, too.
    pub source_order: bool,
}

/// What is known after a race.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was raced.
    pub workload: Workload,
    /// Ours: first in every table.
    pub ours: Entry,
    /// Ours in the order of the source, where that was asked for.
    pub source_order: Option<Entry>,
    /// Milliseconds from the definition to callable code.
    pub compile_ms: Option<f64>,
    /// The peers that take part in this workload.
    pub peers: BTreeMap<&'static str, Entry>,
    /// The ceilings, the highest of all rounds.
    pub limits: Limits,
    /// The shortest time that the ceilings allow, in nanoseconds.
    pub floor_ns: f64,
}

/// How one contender did.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// All times, in nanoseconds, ascending.
    pub times: Vec<u64>,
    /// How far its results are from the reference.
    pub error: Option<f64>,
    /// Why there are no times.
    pub failure: Option<String>,
}

impl Entry {
    /// The shortest time in nanoseconds, of a verified result.
    pub fn min(&self) -> Option<f64> {
        self.times.first().map(|&ns| ns as f64)
    }

    /// The middle one.
    pub fn median(&self) -> Option<f64> {
        self.times.get(self.times.len() / 2).map(|&ns| ns as f64)
    }

    fn failed(reason: impl ToString) -> Entry {
        Entry { failure: Some(reason.to_string()), ..Entry::default() }
    }

    fn verified(case: &Case, results: Result<Vec<Vec<f64>>>) -> Entry {
        match results.and_then(|results| case.check(&results)) {
            Ok(error) => Entry { error, ..Entry::default() },
            Err(reason) => Entry::failed(reason),
        }
    }

    fn add(&mut self, times: Result<Vec<u64>>) {
        match times {
            Ok(times) => self.times.extend(times),
            Err(reason) => *self = Entry::failed(reason),
        }
    }
}

impl Outcome {
    /// The fastest verified peer.
    pub fn best_peer(&self) -> Option<(&'static str, f64)> {
        let times = self.peers.iter().filter_map(|(&name, entry)| Some((name, entry.min()?)));
        times.min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Races a workload.
///
/// # Errors
/// When there is no such program, or no room for its data.
pub fn race(compiler: &Compiler, team: &mut [Peer], workload: &Workload, pace: Pace) -> Result<Outcome> {
    let case = Case::new(workload)?;
    let mut ours = Ours::new(compiler, &case, pace.realtime);
    let compile_ms = ours.as_ref().ok().map(|ours| ours.compile_time.as_secs_f64() * 1e3);
    let mut own = verified(&case, &mut ours);
    let mut plain = match pace.source_order {
        true => Some(Ours::new(&compiler.clone().script("".parse()?), &case, pace.realtime)),
        false => None,
    };
    let mut source_order = plain.as_mut().map(|plain| verified(&case, plain));
    let mut entries: Vec<Option<Entry>> = team.iter_mut().map(|peer| made_ready(&case, peer)).collect();
    let mut limits: Option<Limits> = None;
    for _ in 0..pace.rounds {
        let now = ceilings(compiler, workload, pace)?;
        limits = Some(limits.map_or(now, |known| known.max(now)));
        if let (Ok(ours), None) = (&mut ours, &own.failure) {
            own.add(ours.measure(pace.calls, pace.seconds));
        }
        if let (Some(Ok(plain)), Some(entry)) = (&mut plain, &mut source_order)
            && entry.failure.is_none()
        {
            entry.add(plain.measure(pace.calls, pace.seconds));
        }
        for (peer, entry) in team.iter_mut().zip(&mut entries) {
            if let Some(entry) = entry.as_mut().filter(|entry| entry.failure.is_none()) {
                entry.add(peer.measure(pace.calls, pace.seconds));
            }
        }
    }
    let mut peers: BTreeMap<&'static str, Entry> =
        team.iter().zip(entries).filter_map(|(peer, entry)| Some((peer.name, entry?))).collect();
    peers.values_mut().chain([&mut own]).chain(&mut source_order).for_each(|entry| entry.times.sort_unstable());
    let limits = limits.ok_or("no rounds")?;
    let floor_ns = floor_ns(workload, &case, &limits);
    Ok(Outcome { workload: workload.clone(), ours: own, source_order, compile_ms, peers, limits, floor_ns })
}

fn verified(case: &Case, ours: &mut Result<Ours>) -> Entry {
    match ours {
        Ok(ours) => Entry::verified(case, ours.results()),
        Err(error) => Entry::failed(error),
    }
}

/// None when it has no natural form of the workload.
fn made_ready(case: &Case, peer: &mut Peer) -> Option<Entry> {
    match peer.prepare(case) {
        Ok(Answer::Done) => Some(Entry::verified(case, peer.results(case))),
        Ok(Answer::Skip) => None,
        Ok(Answer::Error(reason)) => Some(Entry::failed(reason)),
        Ok(other) => Some(Entry::failed(format!("{other:?} to `prepare`"))),
        Err(error) => Some(Entry::failed(error)),
    }
}

fn ceilings(compiler: &Compiler, workload: &Workload, pace: Pace) -> Result<Limits> {
    if pace.realtime {
        set_realtime(std::process::id(), true);
    }
    let limits = Limits::measure(compiler.target(), compiler.pool(), workload.bytes);
    if pace.realtime {
        set_realtime(std::process::id(), false);
    }
    Ok(limits?)
}

fn floor_ns(workload: &Workload, case: &Case, limits: &Limits) -> f64 {
    let dtype = case.signature.outputs[0].dtype;
    let quarter = if workload.peak == Some(Peak::I8) { 0.25 } else { 1.0 };
    limits.floor_seconds(dtype, workload.flops * quarter, workload.bytes) * 1e9
}
