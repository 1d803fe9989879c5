//! How long a call takes: repeated until the median is steady.

use std::time::{Duration, Instant};

/// Fewest and most repetitions when the caller does not say.
const REPS: std::ops::RangeInclusive<usize> = 5..=100_000;
/// How long the repetitions take together, at least and at most.
const BUDGET: std::ops::RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(4);
/// The median is steady when doubling the repetitions changes it by less than this.
const STEADY: f64 = 0.01;

/// The times of repeated calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// The shortest.
    pub min: Duration,
    /// The middle one.
    pub median: Duration,
    /// How many there were.
    pub reps: usize,
}

/// Calls `run` `reps` times, or until the median is steady; `prepare` goes before each call and is not timed.
///
/// # Errors
/// The first error of either.
pub fn time<E>(
    reps: Option<usize>,
    mut prepare: impl FnMut() -> Result<(), E>,
    mut run: impl FnMut() -> Result<(), E>,
) -> Result<Times, E> {
    time_by(reps, || {
        prepare()?;
        let start = Instant::now();
        run()?;
        Ok(start.elapsed())
    })
}

/// As [`time`], for calls that say themselves how long they took.
///
/// # Errors
/// The first error of a call.
pub fn time_by<E>(reps: Option<usize>, mut once: impl FnMut() -> Result<Duration, E>) -> Result<Times, E> {
    let mut times = Vec::new();
    if let Some(reps) = reps {
        for _ in 0..reps.max(1) {
            times.push(once()?);
        }
        return Ok(summary(&mut times));
    }
    let begin = Instant::now();
    let mut before: Option<Duration> = None;
    loop {
        let goal = (2 * times.len()).max(*REPS.start());
        while times.len() < goal && (times.len() < *REPS.start() || begin.elapsed() < *BUDGET.end()) {
            times.push(once()?);
        }
        let now = summary(&mut times);
        let steady = before.is_some_and(|before| is_steady(before, now.median)) && begin.elapsed() >= *BUDGET.start();
        if steady || begin.elapsed() >= *BUDGET.end() || times.len() >= *REPS.end() {
            return Ok(now);
        }
        before = Some(now.median);
    }
}

fn is_steady(before: Duration, now: Duration) -> bool {
    now.abs_diff(before).as_secs_f64() <= STEADY * now.as_secs_f64()
}

fn summary(times: &mut [Duration]) -> Times {
    times.sort_unstable();
    Times { min: times[0], median: times[times.len() / 2], reps: times.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_asked_for() {
        let mut calls = (0, 0);
        let (prepared, called) = (std::cell::RefCell::new(&mut calls.0), std::cell::RefCell::new(&mut calls.1));
        let count = |counter: &std::cell::RefCell<&mut i32>| {
            **counter.borrow_mut() += 1;
            Ok::<(), ()>(())
        };
        let times = time(Some(7), || count(&prepared), || count(&called)).unwrap();
        assert_eq!(times.reps, 7);
        assert!(times.min <= times.median);
        assert_eq!(calls, (7, 7));
    }

    #[test]
    fn an_error_ends_it() {
        assert_eq!(time(None, || Ok(()), || Err("no")), Err("no"));
    }

    #[test]
    fn a_steady_call_ends_soon() {
        let start = Instant::now();
        let wait = || {
            std::thread::sleep(Duration::from_millis(1));
            Ok::<(), ()>(())
        };
        let times = time(None, || Ok(()), wait).unwrap();
        assert!(times.min >= Duration::from_millis(1));
        assert!(times.reps >= 5 && start.elapsed() < Duration::from_secs(8));
    }

    #[test]
    fn the_median_is_the_middle() {
        let mut times: Vec<Duration> = [5, 1, 3].map(Duration::from_secs).to_vec();
        assert_eq!(summary(&mut times), Times { min: Duration::from_secs(1), median: Duration::from_secs(3), reps: 3 });
    }
}
