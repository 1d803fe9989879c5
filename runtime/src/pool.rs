//! The threads that run parallel loops.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::abi::{STATUS_OK, STATUS_PANICKED};

/// How many chunks a loop is cut into for each thread: enough that a thread that was held up does not delay the
/// others by its whole share, few enough that a chunk keeps its locality.
const CHUNKS_PER_THREAD: usize = 4;

/// Threads for parallel loops. Cheap to clone; clones share the threads.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    threads: Threads,
}

#[derive(Clone, Debug, Default)]
enum Threads {
    /// The thread that calls the kernel.
    Caller,
    /// The pool of the process.
    #[default]
    Global,
    /// A pool of its own.
    Own(Arc<ThreadPool>),
}

/// The operating system did not give the threads asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {threads} threads: {reason}")]
pub struct PoolError {
    threads: usize,
    reason: rayon::ThreadPoolBuildError,
}

impl Pool {
    /// The pool that the whole process shares, with one thread for each core. The default.
    pub fn global() -> Pool {
        Pool { threads: Threads::Global }
    }

    /// No threads: everything runs on the thread that calls the kernel.
    pub fn single() -> Pool {
        Pool { threads: Threads::Caller }
    }

    /// `threads` threads of its own; with one, as [`Pool::single`].
    pub fn with_threads(threads: usize) -> Result<Pool, PoolError> {
        if threads <= 1 {
            return Ok(Pool::single());
        }
        let name = |index| format!("kernel-{index}");
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
        Ok(Pool::from(Arc::new(pool.map_err(|reason| PoolError { threads, reason })?)))
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        match &self.threads {
            Threads::Caller => 1,
            Threads::Global => rayon::current_num_threads(),
            Threads::Own(pool) => pool.current_num_threads(),
        }
    }

    /// Runs `body` on contiguous chunks of `0 .. count`, at most a few for each thread, and waits for all.
    ///
    /// Returns [`STATUS_OK`], or what a chunk returned that was not that; chunks that have not begun by then are left
    /// out. A panic becomes [`STATUS_PANICKED`]. With one iteration or one thread, `body` runs here and now.
    pub fn parallel(&self, count: i64, body: impl Fn(Range<i64>) -> i32 + Sync) -> i32 {
        let Some(last) = usize::try_from(count).ok().and_then(|count| count.checked_sub(1)) else {
            return STATUS_OK;
        };
        let threads = if last == 0 { 1 } else { self.threads() };
        let run = || {
            if threads == 1 {
                return body(0..count);
            }
            let chunks = threads.saturating_mul(CHUNKS_PER_THREAD).min(last.saturating_add(1));
            let team = Team { body: &body, count, chunks, status: AtomicI32::new(STATUS_OK) };
            self.install(|| team.run(0..chunks));
            team.status.into_inner()
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or(STATUS_PANICKED)
    }

    fn install(&self, work: impl FnOnce() + Send) {
        match &self.threads {
            Threads::Own(pool) => pool.install(work),
            Threads::Caller | Threads::Global => work(),
        }
    }
}

impl From<Arc<ThreadPool>> for Pool {
    /// The threads of the caller's own pool.
    fn from(pool: Arc<ThreadPool>) -> Pool {
        Pool { threads: Threads::Own(pool) }
    }
}

/// A parallel loop that is running.
struct Team<'a, F> {
    body: &'a F,
    count: i64,
    chunks: usize,
    status: AtomicI32,
}

impl<F: Fn(Range<i64>) -> i32 + Sync> Team<'_, F> {
    /// Runs these chunks. Halves are offered to the other threads, so that each takes a contiguous part.
    fn run(&self, chunks: Range<usize>) {
        if chunks.len() > 1 {
            let middle = chunks.start + chunks.len() / 2;
            rayon::join(|| self.run(chunks.start..middle), || self.run(middle..chunks.end));
        } else if self.status.load(Ordering::Relaxed) == STATUS_OK {
            let status = (self.body)(self.start(chunks.start)..self.start(chunks.end));
            if status != STATUS_OK {
                self.status.store(status, Ordering::Relaxed);
            }
        }
    }

    /// The iteration that `chunk` begins with.
    fn start(&self, chunk: usize) -> i64 {
        let start = chunk as i128 * i128::from(self.count) / self.chunks as i128;
        i64::try_from(start).expect("at most `count`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicI64;

    fn pools() -> Vec<Pool> {
        let own = Arc::new(ThreadPoolBuilder::new().num_threads(3).build().expect("three threads"));
        vec![Pool::single(), Pool::global(), Pool::with_threads(4).expect("four threads"), Pool::from(own)]
    }

    #[test]
    fn chunks_cover_every_iteration_once() {
        for pool in pools() {
            for count in [0, 1, 2, 3, 7, 16, 1000, 12_345] {
                let chunks = Mutex::new(Vec::new());
                let status = pool.parallel(count, |range| {
                    chunks.lock().unwrap().push((range.start, range.end));
                    0
                });
                let mut chunks = chunks.into_inner().unwrap();
                chunks.sort_unstable();
                assert_eq!(status, 0);
                assert!(chunks.len() <= pool.threads() * CHUNKS_PER_THREAD);
                assert!(chunks.iter().all(|(begin, end)| begin < end), "{chunks:?}");
                let end = chunks.iter().fold(0, |at, &(begin, end)| if at == begin { end } else { -1 });
                assert_eq!(end, count, "{chunks:?}");
            }
        }
    }

    #[test]
    fn counts_without_bounds_do_not_overflow() {
        for pool in pools() {
            let total = AtomicI64::new(0);
            let add = |range: Range<i64>| {
                total.fetch_add(range.end - range.start, Ordering::Relaxed);
                0
            };
            assert_eq!(pool.parallel(i64::MAX, add), 0);
            assert_eq!(total.load(Ordering::Relaxed), i64::MAX);
            assert_eq!(pool.parallel(i64::MIN, |_| 1), 0);
        }
    }

    #[test]
    fn a_failure_is_returned_and_a_panic_is_caught() {
        for pool in pools() {
            assert_eq!(pool.parallel(100, |range| if range.contains(&57) { 9 } else { 0 }), 9);
            let panics =
                |range: Range<i64>| if range.contains(&3) { std::panic::resume_unwind(Box::new(())) } else { 0 };
            assert_eq!(pool.parallel(100, panics), STATUS_PANICKED);
        }
    }

    #[test]
    fn a_loop_inside_a_loop_runs() {
        for pool in pools() {
            let total = AtomicI64::new(0);
            pool.parallel(10, |outer| {
                pool.parallel(10, |inner| {
                    total.fetch_add((outer.end - outer.start) * (inner.end - inner.start), Ordering::Relaxed);
                    0
                })
            });
            assert_eq!(total.into_inner(), 100);
        }
    }
}
