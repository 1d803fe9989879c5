//! What a pool needs of threads, and where they come from other than our own [`Team`](super::team::Team).

use std::ops::Range;
use std::time::Duration;

/// Threads that run tasks side by side: the one thing that a [`Pool`](super::Pool) needs of a library of threads.
///
/// An implementation may run the tasks in any order, on any threads, even all on the caller. It need not balance them:
/// each task of a pool goes on with what the others have not begun. A task that is left out costs speed and nothing else.
///
/// ```
/// /// New threads for every loop.
/// struct Scoped(usize);
///
/// impl runtime::ForkJoin for Scoped {
///     fn threads(&self) -> usize {
///         self.0
///     }
///
///     fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
///         std::thread::scope(|scope| {
///             (1..tasks).for_each(|task| drop(scope.spawn(move || body(task))));
///             body(0);
///         });
///     }
/// }
///
/// let pool = runtime::Pool::new(Scoped(4));
/// assert_eq!(pool.parallel(1000, |_| 0), 0);
/// ```
pub trait ForkJoin: Send + Sync {
    /// How many threads there are, the caller's included where it helps; at least 1, and always the same.
    fn threads(&self) -> usize;

    /// Runs `body(0)`, `body(1)`, … `body(tasks - 1)` and waits for all. A pool asks for at most [`threads`] tasks, and
    /// its bodies do not panic. Called from several threads at once, and from inside a body.
    ///
    /// [`threads`]: ForkJoin::threads
    fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync));

    /// How many tasks a loop should be that takes one thread so long; 1 leaves it to the caller alone. Asked right before
    /// [`run`](ForkJoin::run), when a loop has run before. The default supposes 10 µs for each thread.
    fn worth(&self, work: Duration) -> usize {
        worth(work, Duration::from_micros(10), self.threads())
    }
}

/// How many of `most` threads `work` is worth when each costs so much to start: the last one takes work / (n · (n - 1))
/// off the time of n - 1.
pub(super) fn worth(work: Duration, each: Duration, most: usize) -> usize {
    let ratio = work.as_nanos() / each.as_nanos().max(1);
    let threads = (1 + 4 * ratio).isqrt().div_ceil(2);
    usize::try_from(threads).unwrap_or(usize::MAX).clamp(1, most.max(1))
}

impl ForkJoin for rayon::ThreadPool {
    fn threads(&self) -> usize {
        self.current_num_threads()
    }

    fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        if tasks > 0 {
            self.install(|| halve(0..tasks, body));
        }
    }
}

/// Offers halves to other threads. `rayon::join` does not allocate, as spawned tasks do.
fn halve(tasks: Range<usize>, body: &(dyn Fn(usize) + Sync)) {
    if tasks.len() > 1 {
        let middle = tasks.start + tasks.len() / 2;
        rayon::join(|| halve(tasks.start..middle, body), || halve(middle..tasks.end, body));
    } else {
        body(tasks.start);
    }
}
