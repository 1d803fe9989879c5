//! The threads that run parallel loops.

mod chunks;
mod fork_join;
mod observed;
mod pace;
mod team;
#[cfg(test)]
mod tests;

pub use fork_join::ForkJoin;
pub use observed::Observer;
pub use pace::Pace;
pub(crate) use pace::Paces;

use chunks::Chunks;
use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;
use team::Team;

use crate::abi::{STATUS_OK, STATUS_PANICKED};

/// Threads for parallel loops. Cheap to clone; clones share the threads.
///
/// One pool serves any number of kernels and callers at once: a caller whose pool is busy works with the threads that are
/// free, at worst by itself, and so does a loop inside a loop. Nobody ever waits for threads.
#[derive(Clone, Default)]
pub struct Pool {
    threads: Threads,
}

#[derive(Clone)]
enum Threads {
    /// The thread that calls the kernel.
    Caller,
    /// At most so many of the pool of the process.
    Global(usize),
    /// A pool of its own.
    Own(Arc<dyn ForkJoin>),
}

impl Default for Threads {
    fn default() -> Threads {
        Threads::Global(usize::MAX)
    }
}

/// The operating system did not give the threads asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {threads} threads: {reason}")]
pub struct PoolError {
    threads: usize,
    reason: std::io::Error,
}

impl Pool {
    /// The pool that the whole process shares, with one thread for each core. The default.
    pub fn global() -> Pool {
        Pool::default()
    }

    /// No threads: everything runs on the thread that calls the kernel.
    pub fn single() -> Pool {
        Pool { threads: Threads::Caller }
    }

    /// `threads` threads, of which the caller is one; with one, as [`Pool::single`]. They are those of the whole process when
    /// there are cores for as many, else threads of its own.
    pub fn with_threads(threads: usize) -> Result<Pool, PoolError> {
        match threads {
            0 | 1 => Ok(Pool::single()),
            _ if threads <= cores() => Ok(Pool { threads: Threads::Global(threads) }),
            _ => Ok(Pool::new(Team::start(threads).map_err(|reason| PoolError { threads, reason })?)),
        }
    }

    /// The caller's own threads, whatever they are.
    pub fn new(threads: impl ForkJoin + 'static) -> Pool {
        Pool { threads: Threads::Own(Arc::new(threads)) }
    }

    /// The same threads, whose parallel loops an observer is told of. Loops that run on the caller alone are none.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn Observer>) -> Pool {
        Pool::new(observed::Observed { pool: self, observer })
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        match &self.threads {
            Threads::Caller => 1,
            Threads::Global(most) => global_team().threads().min(*most),
            Threads::Own(threads) => threads.threads(),
        }
    }

    /// Runs `body` on contiguous chunks of `0 .. count`, at most a few for each thread, and waits for all.
    ///
    /// Returns [`STATUS_OK`], or what the first chunk returned, in the order of the iterations, that returned something
    /// else; chunks behind it that have not begun by then are left out. A panic becomes [`STATUS_PANICKED`]. With one iteration or one thread, `body` runs here and now. Does not
    /// allocate, unless the caller's own threads do.
    pub fn parallel(&self, count: i64, body: impl Fn(Range<i64>) -> i32 + Sync) -> i32 {
        self.parallel_at(&Pace::new(), count, body)
    }

    /// The same for a loop that may have run before: on no more threads than its pace is worth.
    pub fn parallel_at(&self, pace: &Pace, count: i64, body: impl Fn(Range<i64>) -> i32 + Sync) -> i32 {
        if count <= 0 {
            return STATUS_OK;
        }
        let run = |range| catch_unwind(AssertUnwindSafe(|| body(range))).unwrap_or(STATUS_PANICKED);
        match self.fork_join().filter(|_| count > 1) {
            None => run(0..count),
            Some(threads) => Loop { count, pace, body: run }.run(threads, self.threads()),
        }
    }

    fn fork_join(&self) -> Option<&dyn ForkJoin> {
        match &self.threads {
            Threads::Caller => None,
            Threads::Global(_) => Some(global_team()),
            Threads::Own(threads) => Some(&**threads),
        }
    }
}

/// A parallel loop of two iterations or more, whose body does not panic.
struct Loop<'a, F> {
    count: i64,
    pace: &'a Pace,
    body: F,
}

impl<F: Fn(Range<i64>) -> i32 + Sync> Loop<'_, F> {
    /// On so many of the threads at most.
    fn run(&self, threads: &dyn ForkJoin, most: usize) -> i32 {
        let worth = self.pace.expected(self.count).map_or(most, |work| threads.worth(work)).min(most);
        if worth <= 1 { self.alone() } else { self.share(threads, worth) }
    }

    fn alone(&self) -> i32 {
        let start = Instant::now();
        let status = (self.body)(0..self.count);
        self.pace.took(self.count, start.elapsed());
        status
    }

    /// Deals the chunks out to so many tasks.
    fn share(&self, threads: &dyn ForkJoin, tasks: usize) -> i32 {
        let chunks = Chunks::new(self.count, tasks);
        let tasks = chunks.tasks(tasks);
        let failure = Failure::none();
        let work = |task| {
            let (start, mut done) = (Instant::now(), 0);
            while let Some(chunk) = chunks.next(task, tasks) {
                let begin = chunk.start;
                if failure.is_before(begin) {
                    continue;
                }
                done += chunk.end - begin;
                let status = (self.body)(chunk);
                if status != STATUS_OK {
                    failure.at(begin, status);
                }
            }
            if task == 0 {
                self.pace.took(done, start.elapsed());
            }
        };
        let ended = catch_unwind(AssertUnwindSafe(|| threads.run(tasks, &work)));
        // What tasks that were left out would have begun with.
        work(0);
        if ended.is_err() { STATUS_PANICKED } else { failure.status() }
    }
}

/// The first chunk of a loop, in the order of the iterations, that failed so far.
struct Failure {
    /// The iteration that it begins with; there is none before the largest number.
    begin: AtomicI64,
    /// The same, and its status.
    first: Mutex<(i64, i32)>,
}

impl Failure {
    fn none() -> Failure {
        Failure { begin: AtomicI64::new(i64::MAX), first: Mutex::new((i64::MAX, STATUS_OK)) }
    }

    /// Whether the loop failed before this iteration: then it need not run.
    fn is_before(&self, begin: i64) -> bool {
        self.begin.load(Ordering::Relaxed) < begin
    }

    fn at(&self, begin: i64, status: i32) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if begin < first.0 {
            *first = (begin, status);
            self.begin.store(begin, Ordering::Relaxed);
        }
    }

    fn status(self) -> i32 {
        self.first.into_inner().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// The team of the process: a thread for each core, or as many as the system gives.
fn global_team() -> &'static Team {
    static TEAM: OnceLock<Team> = OnceLock::new();
    TEAM.get_or_init(|| Team::start_at_most(cores()))
}

/// How many threads the system runs at once; asked for once.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

impl From<Arc<rayon::ThreadPool>> for Pool {
    /// The threads of a pool of rayon's.
    fn from(pool: Arc<rayon::ThreadPool>) -> Pool {
        Pool { threads: Threads::Own(pool) }
    }
}

impl From<Arc<dyn ForkJoin>> for Pool {
    fn from(threads: Arc<dyn ForkJoin>) -> Pool {
        Pool { threads: Threads::Own(threads) }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.threads {
            Threads::Caller => f.write_str("Pool(the caller)"),
            Threads::Global(_) => write!(f, "Pool({} threads of the process)", self.threads()),
            Threads::Own(_) => write!(f, "Pool({} threads)", self.threads()),
        }
    }
}
