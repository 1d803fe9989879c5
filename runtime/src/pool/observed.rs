//! Threads that are looked at while they work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ForkJoin, Pool};

/// Told what the threads of a pool do.
pub trait Observer: Send + Sync {
    /// A loop was begun by this thread, as so many tasks; the number that is given back is passed on with each of them.
    fn begun(&self, tasks: usize) -> u64;

    /// This thread has run a task of a loop, from one moment to another.
    fn ran(&self, region: u64, task: usize, from: Instant, to: Instant);
}

/// A pool whose loops an observer is told of.
pub(super) struct Observed {
    pub(super) pool: Pool,
    pub(super) observer: Arc<dyn Observer>,
}

impl ForkJoin for Observed {
    fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        let region = self.observer.begun(tasks);
        let observed = |task| {
            let from = Instant::now();
            body(task);
            self.observer.ran(region, task, from, Instant::now());
        };
        match self.pool.fork_join() {
            Some(threads) => threads.run(tasks, &observed),
            None => (0..tasks).for_each(observed),
        }
    }

    fn worth(&self, work: Duration) -> usize {
        self.pool.fork_join().map_or(1, |threads| threads.worth(work))
    }
}
