//! What a loop took last time, by which the next time is judged.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// How long an iteration of a loop takes, as seen when it ran last; unknown at first.
///
/// It decides how many threads are worth starting, and nothing else: results never depend on it.
#[derive(Debug, Default)]
pub struct Pace {
    /// Nanoseconds as the bits of an `f32`; 0 if unknown.
    nanoseconds: AtomicU32,
}

impl Pace {
    /// A loop that has not run yet.
    pub const fn new() -> Pace {
        Pace { nanoseconds: AtomicU32::new(0) }
    }

    /// How long so many iterations take on one thread.
    pub(super) fn expected(&self, iterations: i64) -> Option<Duration> {
        let nanoseconds = f32::from_bits(self.nanoseconds.load(Ordering::Relaxed));
        let known = nanoseconds > 0.0;
        known.then(|| Duration::from_secs_f64((f64::from(nanoseconds) * iterations as f64 * 1e-9).min(1e6)))
    }

    /// So many iterations took so long on one thread.
    pub(super) fn took(&self, iterations: i64, time: Duration) {
        if iterations > 0 {
            let nanoseconds = (time.as_secs_f64() * 1e9 / iterations as f64) as f32;
            self.nanoseconds.store(nanoseconds.max(f32::MIN_POSITIVE).to_bits(), Ordering::Relaxed);
        }
    }
}

/// The paces of the loops of a program, found by the addresses of their bodies: the first sixteen that run. Others are run
/// as if their pace were never known.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    known: [(AtomicUsize, Pace); 16],
}

impl Paces {
    /// The pace of the loop with its body at that address, which is not 0.
    pub(crate) fn of(&self, body: usize) -> Option<&Pace> {
        let has_place = |(address, _): &&(AtomicUsize, Pace)| {
            let found = address.load(Ordering::Relaxed);
            // Whoever comes first takes a free place; of two at once the other one looks whose it is now.
            let claim = || address.compare_exchange(0, body, Ordering::Relaxed, Ordering::Relaxed);
            found == body || (found == 0 && claim().map_or_else(|now| now == body, |_| true))
        };
        self.known.iter().find(has_place).map(|(_, pace)| pace)
    }
}
