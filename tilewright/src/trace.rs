//! A timeline of compiling and of one run, in the format of Chrome's `about:tracing` and of Perfetto: events with a name, a
//! beginning and a duration in microseconds, on threads that are numbered in the order in which they first do something.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use runtime::Observer;
use serde::Serialize;

use crate::compile::StageTimes;

/// What happened when. An [`Observer`] of a pool, so that parts of parallel loops are events of their threads.
#[derive(Debug)]
pub struct Trace {
    begin: Instant,
    regions: AtomicU64,
    events: Mutex<Events>,
}

#[derive(Debug, Default)]
struct Events {
    all: Vec<Event>,
    threads: HashMap<ThreadId, u64>,
    left_out: u64,
}

/// Events that are kept at most; more are counted.
const MOST: usize = 200_000;

/// An event of the format, which is complete: with its duration.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Event {
    name: String,
    cat: &'static str,
    ph: &'static str,
    /// Microseconds.
    ts: f64,
    dur: f64,
    pid: u64,
    tid: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    display_time_unit: &'static str,
    trace_events: &'a [Event],
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

impl Default for Trace {
    fn default() -> Trace {
        Trace { begin: Instant::now(), regions: AtomicU64::new(0), events: Mutex::default() }
    }
}

impl Trace {
    /// The stages of a compilation that ended at a moment, one after the other.
    pub fn compiled(&self, stages: &StageTimes, end: Instant) {
        let whole: Duration = stages.iter().map(|(_, took)| *took).sum();
        let mut from = end.checked_sub(whole).unwrap_or(end);
        for (name, took) in stages {
            self.add(name.to_string(), "compile", from, from + *took);
            from += *took;
        }
    }

    /// A call, from one moment to another.
    pub fn called(&self, name: &str, from: Instant, to: Instant) {
        self.add(format!("call {name}"), "run", from, to);
    }

    /// The text of a file, with the events in the order of their beginnings.
    pub fn to_json(&self) -> String {
        let mut events = self.locked();
        let key = |event: &Event| (event.ts, event.tid);
        events.all.sort_by(|a, b| key(a).partial_cmp(&key(b)).expect("times are numbers"));
        let left_out = (events.left_out > 0).then_some(events.left_out);
        let file = File { display_time_unit: "ms", trace_events: &events.all, left_out };
        serde_json::to_string(&file).expect("only numbers and text") + "\n"
    }

    fn add(&self, name: String, cat: &'static str, from: Instant, to: Instant) {
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let (ts, dur) =
            (micros(from.saturating_duration_since(self.begin)), micros(to.saturating_duration_since(from)));
        let mut events = self.locked();
        let next = events.threads.len() as u64;
        let tid = *events.threads.entry(thread::current().id()).or_insert(next);
        match events.all.len() < MOST {
            true => events.all.push(Event { name, cat, ph: "X", ts, dur, pid: 1, tid }),
            false => events.left_out += 1,
        }
    }

    fn locked(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Trace {
    fn begun(&self, _tasks: usize) -> u64 {
        self.regions.fetch_add(1, Ordering::Relaxed)
    }

    fn ran(&self, region: u64, task: usize, from: Instant, to: Instant) {
        self.add(format!("parallel loop {region}, task {task}"), "parallel", from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::Pool;
    use std::sync::Arc;

    #[test]
    fn every_task_of_a_loop_is_an_event_inside_of_the_call() {
        let trace = Arc::new(Trace::default());
        let pool = Pool::with_threads(2).expect("two threads").observed(trace.clone());
        trace.compiled(&vec![("scop", Duration::from_micros(3)), ("loops", Duration::from_micros(4))], Instant::now());
        let from = Instant::now();
        let wait = |_| {
            thread::sleep(Duration::from_millis(1));
            0
        };
        assert_eq!(pool.parallel(8, wait), 0);
        trace.called("f", from, Instant::now());
        let file: serde_json::Value = serde_json::from_str(&trace.to_json()).expect("JSON");
        let events = file["traceEvents"].as_array().expect("a list");
        let of = |cat: &str| events.iter().filter(|event| event["cat"] == cat).collect::<Vec<_>>();
        assert_eq!(
            of("compile").iter().map(|event| event["name"].as_str()).collect::<Vec<_>>(),
            [Some("scop"), Some("loops")]
        );
        let call = of("run")[0];
        let end = |event: &serde_json::Value| event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap();
        let tasks = of("parallel");
        assert!(!tasks.is_empty() && tasks.len() <= 2, "{tasks:?}");
        for task in &tasks {
            assert!(task["ts"].as_f64() >= call["ts"].as_f64() && end(task) <= end(call) + 1.0, "{task} in {call}");
            assert!(task["name"].as_str().is_some_and(|name| name.starts_with("parallel loop 0, task ")));
        }
    }
}
