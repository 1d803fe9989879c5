//! Cases on as many threads as there are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What is wrong with each case, in their order; a panic is wrong.
pub fn failures<C: Sync>(cases: &[C], judge: impl Fn(&C) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let (at, Some(case)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            (at, cases.get(at))
        } {
            let outcome = catch_unwind(AssertUnwindSafe(|| judge(case)));
            let outcome = outcome.unwrap_or_else(|_| Err("it panics, see above".into()));
            if let Err(failure) = outcome {
                failures.lock().expect("no other thread panics").push((at, failure));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().expect("no thread panics");
    failures.sort_unstable();
    failures.into_iter().map(|(_, failure)| failure).collect()
}
