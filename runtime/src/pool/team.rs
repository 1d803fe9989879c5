//! Threads that stay: they spin for a moment when they have nothing to do, then sleep.
//!
//! A parallel loop often lasts some microseconds, and waking a sleeping thread takes as long. So the caller is a member of
//! the team and never waits for one that has not begun: it *offers* a task to each free worker, works itself, and *takes
//! back* what nobody has begun in the meantime. With workers that spin, a loop costs two transfers of a cache line for each
//! of them; with sleeping ones, a system call for each, and no waiting.
//!
//! # Offers
//!
//! Each worker has one word: a state, or an offer, which is the address of a job and, in its low bits, the number of a task.
//!
//! ```text
//!            offer                begin (worker)
//!  IDLE ──────────────► an offer ────────────────► RUNNING
//!  │ ▲                   ▲    │ take back             │ finish (worker)
//!  │ └───────────────────┼────┴───────────────────────┘
//!  └─────► ASLEEP ───────┘
//! ```
//!
//! - *offer* releases and *begin* acquires, so the worker sees the job.
//! - *begin* and *take back* are compare-and-swaps from the offer: one of them wins, so a task runs exactly once. The job is
//!   alive as long as its caller may take back, so no other job has its address: nobody takes back what somebody else
//!   offered. A worker that read an offer and begins an equal one made later begins that one, whose release it acquires.
//! - A worker that falls asleep goes from `IDLE` to `ASLEEP` by a compare-and-swap, and then parks until the word is another.
//!   Whoever moved the word away from `ASLEEP` unparks it afterwards, and an unpark before a park is not lost; one that comes
//!   too late finds a worker that looks around once more.
//!
//! # The end of a job
//!
//! A [`Job`] lies on the stack of its caller. `pending` counts the offers that are neither taken back nor finished; it is
//! raised before the offer, and lowering it is the last thing that a worker does with the job. The caller returns, even by a
//! panic, only after it has read 0 with `Acquire`; the decrements release and form one release sequence, so the caller
//! sees everything that the tasks wrote. If it sleeps until then, it has set the top bit before. The worker whose decrement
//! finds that bit and no other task wakes it by the *address* of `pending`, which need not be alive any more: at an address
//! where nobody waits, a wake-up does nothing.
//!
//! # No deadlock
//!
//! A caller waits only for tasks that have begun. A task that waits itself waits for tasks that it offered after it had begun;
//! so the waits form a forest, and its leaves run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{hint, io, ptr};

use smallvec::SmallVec;

use super::fork_join::{ForkJoin, worth};

/// The worker looks for a task.
const IDLE: *mut Job = ptr::null_mut();
/// It is parked, or will be.
const ASLEEP: *mut Job = ptr::without_provenance_mut(1);
/// It runs a task.
const RUNNING: *mut Job = ptr::without_provenance_mut(2);
/// It ends.
const STOP: *mut Job = ptr::without_provenance_mut(3);

/// The low bits of the address of a job, where an offer has the number of a task: 1 to 1023.
const TASK: usize = 1023;

/// Of a team; as many as one job can have tasks on offer, and the caller.
const MOST_THREADS: usize = TASK + 1;

/// In [`Job::pending`]: the caller sleeps.
const SLEEPING: u32 = 1 << 31;

/// How long a worker without a task spins before it sleeps: about what waking it costs, so that it never spends more than
/// twice what it would have, had it known (Karlin, Li, Manasse, Owicki, "Empirical studies of competitive spinning for a
/// shared-memory multiprocessor", SOSP 1991). Not at all where there are fewer cores than threads.
const SPIN: Duration = Duration::from_micros(50);
/// How long a caller that waits for the last tasks spins at least before it sleeps.
const JOIN_SPIN: Duration = Duration::from_micros(100);
/// And this part of the time since the job began, if that is more: waking up late should cost little of a long job, too.
const JOIN_SHARE: u32 = 8;

/// What one more thread costs while it spins: half of what an empty loop takes on two.
const SPINNING: Duration = Duration::from_nanos(500);
/// What one more thread costs while it sleeps: the system call, and half of the time until it works.
const PARKED: Duration = Duration::from_micros(40);

/// Worker threads. The caller of [`Team::run`] is one thread more.
pub(super) struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    workers: Box<[Worker]>,
    /// How many workers sleep.
    asleep: AtomicUsize,
    missed: Missed,
    /// Whether to spin at all: when there is a core for each thread. One that spins delays another otherwise.
    spins: bool,
}

/// What others see of a worker: its state. Alone on its cache lines; processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Worker(AtomicPtr<Job>);

/// What one call of [`Team::run`] shares with the workers.
#[repr(align(1024))]
struct Job {
    body: Body,
    begin: Instant,
    pending: AtomicU32,
    /// The first panic of a worker.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A body that is borrowed until nothing is pending.
struct Body(*const (dyn Fn(usize) + Sync));

// SAFETY: the body is `Sync`, so threads may share a reference to it.
unsafe impl Sync for Body {}

impl Team {
    /// A team of so many threads, the caller counted.
    pub(super) fn start(threads: usize) -> io::Result<Team> {
        if threads > MOST_THREADS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("more than {MOST_THREADS}")));
        }
        let mut team = Team::of(threads);
        (1..threads).try_for_each(|_| team.spawn())?;
        Ok(team)
    }

    /// A team of so many threads, or of as many as the system gives.
    pub(super) fn start_at_most(threads: usize) -> Team {
        let mut team = Team::of(threads.min(MOST_THREADS));
        // Nothing is offered to a worker without a thread.
        let _ = (1..threads).try_for_each(|_| team.spawn());
        team
    }

    fn of(threads: usize) -> Team {
        let workers = (1..threads).map(|_| Worker::default()).collect();
        Team {
            shared: Arc::new(Shared {
                workers,
                asleep: AtomicUsize::new(0),
                missed: Missed::new(),
                spins: threads <= super::cores(),
            }),
            threads: Vec::new(),
        }
    }

    /// The workers that have a thread.
    fn served(&self) -> &[Worker] {
        &self.shared.workers[..self.threads.len()]
    }

    fn spawn(&mut self) -> io::Result<()> {
        let (at, shared) = (self.threads.len(), Arc::clone(&self.shared));
        let spin = if shared.spins { SPIN } else { Duration::ZERO };
        let thread = thread::Builder::new().name(format!("kernel-{}", at + 1));
        self.threads.push(thread.spawn(move || shared.workers[at].serve(spin, &shared.asleep))?);
        Ok(())
    }
}

impl ForkJoin for Team {
    fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        let job = Job::new(body);
        let mut offers = Offers { job: &job, team: self, made: SmallVec::new() };
        offers.make(tasks.saturating_sub(1));
        let next = offers.made.len() + 1;
        if tasks > 0 {
            body(0);
        }
        offers.take_back(body);
        (next..tasks).for_each(body);
        drop(offers);
        let panic = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn worth(&self, work: Duration) -> usize {
        let (all, asleep) = (self.threads(), self.shared.asleep.load(Ordering::Relaxed).min(self.threads.len()));
        let now = worth(work, SPINNING, all - asleep).max(worth(work, PARKED, all));
        let wished = if asleep == 0 { now } else { worth(work, SPINNING, all) };
        if wished > now && self.shared.missed.is_enough(work, now, wished) { wished } else { now }
    }
}

/// What loops have lost because nobody was awake, and waking was not worth it for one of them alone: when a row of loops has
/// lost as much as waking costs, they are worth it together.
pub(super) struct Missed {
    start: Instant,
    /// When the last loop ends, in nanoseconds from the start.
    end: AtomicU64,
    /// What was lost, in nanoseconds.
    time: AtomicU64,
}

impl Missed {
    pub(super) fn new() -> Missed {
        Missed { start: Instant::now(), end: AtomicU64::new(0), time: AtomicU64::new(0) }
    }

    /// Work of so long is to run on `now` threads, and would on `wished` if they were awake: is it time to wake them?
    fn is_enough(&self, work: Duration, now: usize, wished: usize) -> bool {
        self.is_enough_at(self.start.elapsed(), work, now, wished)
    }

    /// The same at a time since the start.
    pub(super) fn is_enough_at(&self, begin: Duration, work: Duration, now: usize, wished: usize) -> bool {
        let (begin, work) = (begin.as_nanos() as u64, work.as_nanos() as u64);
        let end = self.end.swap(begin.saturating_add(work / now as u64), Ordering::Relaxed);
        let lost = work / now as u64 - work / wished as u64;
        // Had they been woken by the last loop, they would be awake.
        let is_row = begin.saturating_sub(end) <= SPIN.as_nanos() as u64;
        let missed = lost + if is_row { self.time.load(Ordering::Relaxed) } else { 0 };
        let is_enough = missed >= PARKED.as_nanos() as u64 * (wished - now) as u64;
        self.time.store(if is_enough { 0 } else { missed }, Ordering::Relaxed);
        is_enough
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // No `run` is going on, so the workers are idle or asleep, and stay so.
        self.shared.workers.iter().for_each(|worker| worker.0.store(STOP, Ordering::Release));
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // Workers catch the panics of tasks.
            let _ = thread.join();
        }
    }
}

/// The offers of a job. Dropped, they are taken back unless they have begun, and those are waited for.
struct Offers<'a> {
    job: &'a Job,
    team: &'a Team,
    /// To which workers; the one at `n` was offered task `n + 1`.
    made: SmallVec<[usize; 64]>,
}

impl Offers<'_> {
    /// Offers tasks `1 ..= most`, or as many as workers are free.
    fn make(&mut self, most: usize) {
        self.make_to(IDLE, most);
        let awake = self.made.len();
        self.make_to(ASLEEP, most);
        // Those who are awake work already.
        self.made[awake..].iter().for_each(|&worker| self.team.threads[worker].thread().unpark());
    }

    fn make_to(&mut self, state: *mut Job, most: usize) {
        for (at, worker) in self.team.served().iter().enumerate() {
            if self.made.len() == most.min(TASK) {
                return;
            }
            if worker.offer(state, self.job, self.made.len() + 1) {
                self.made.push(at);
            }
        }
    }

    /// Runs what nobody has begun, the offers that were made last first.
    fn take_back(&mut self, body: &(dyn Fn(usize) + Sync)) {
        while let Some(worker) = self.made.pop() {
            let task = self.made.len() + 1;
            if self.team.shared.workers[worker].take_back(self.job, task) {
                body(task);
            }
        }
    }
}

impl Drop for Offers<'_> {
    fn drop(&mut self) {
        // Tasks that are left after a panic of the caller's own are left out.
        self.take_back(&|_| {});
        self.job.join(self.team.shared.spins);
    }
}

impl Worker {
    /// Offers a task to a worker that is in that state, idle or asleep.
    fn offer(&self, state: *mut Job, job: &Job, task: usize) -> bool {
        if self.0.load(Ordering::Relaxed) != state {
            return false;
        }
        job.pending.fetch_add(1, Ordering::Relaxed);
        let offered = self.0.compare_exchange(state, job.offer(task), Ordering::Release, Ordering::Relaxed);
        if offered.is_err() {
            job.pending.fetch_sub(1, Ordering::Relaxed);
        }
        offered.is_ok()
    }

    /// Takes back what was offered, unless the worker has begun it.
    fn take_back(&self, job: &Job, task: usize) -> bool {
        let is_back = self.0.compare_exchange(job.offer(task), IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_back {
            job.pending.fetch_sub(1, Ordering::Relaxed);
        }
        is_back
    }

    /// The thread of the worker, which spins so long before it sleeps.
    fn serve(&self, spin: Duration, asleep: &AtomicUsize) {
        while let Some(offer) = self.begin(spin, asleep) {
            let (job, task) = (offer.map_addr(|address| address & !TASK), offer.addr() & TASK);
            // SAFETY: an offer of this job has begun, so its caller waits until it is no longer pending.
            if let Err(panic) = unsafe { (*job).run(task) } {
                // SAFETY: as above.
                unsafe { (*job).failed(panic) };
            }
            // Free before the caller goes on, so that its next job finds this worker.
            self.0.store(IDLE, Ordering::Release);
            // SAFETY: as above; this is the last use of the job.
            unsafe { Job::finish(job) };
        }
    }

    /// Waits for an offer and begins it; none when the team ends.
    fn begin(&self, spin: Duration, asleep: &AtomicUsize) -> Option<*mut Job> {
        let mut idle = Instant::now();
        loop {
            let state = self.0.load(Ordering::Relaxed);
            if state == STOP {
                return None;
            }
            if state != IDLE && self.0.compare_exchange(state, RUNNING, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Some(state);
            }
            if idle.elapsed() < spin {
                hint::spin_loop();
            } else {
                asleep.fetch_add(1, Ordering::Relaxed);
                self.sleep();
                asleep.fetch_sub(1, Ordering::Relaxed);
                idle = Instant::now();
            }
        }
    }

    fn sleep(&self) {
        if self.0.compare_exchange(IDLE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            while self.0.load(Ordering::Relaxed) == ASLEEP {
                thread::park();
            }
        }
    }
}

impl Job {
    fn new(body: &(dyn Fn(usize) + Sync)) -> Job {
        let body: *const (dyn Fn(usize) + Sync + '_) = body;
        // SAFETY: the types differ in the lifetime only, and `Job::run` says when the body is alive.
        let body =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync)>(body) };
        Job { body: Body(body), begin: Instant::now(), pending: AtomicU32::new(0), panic: Mutex::new(None) }
    }

    /// The word that offers a task, at least 1.
    fn offer(&self, task: usize) -> *mut Job {
        ptr::from_ref(self).cast_mut().map_addr(|address| address | task)
    }

    /// Runs a task; catches its panic.
    ///
    /// # Safety
    ///
    /// The caller of [`Team::run`] has not returned.
    unsafe fn run(&self, task: usize) -> thread::Result<()> {
        // SAFETY: `Team::run` borrows the body until it returns.
        let body = unsafe { &*self.body.0 };
        catch_unwind(AssertUnwindSafe(|| body(task)))
    }

    fn failed(&self, panic: Box<dyn Any + Send>) {
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
    }

    /// One task is no longer pending.
    ///
    /// # Safety
    ///
    /// The task was pending.
    unsafe fn finish(job: *const Job) {
        // SAFETY: it is pending still.
        let pending = unsafe { &raw const (*job).pending };
        // SAFETY: as above. From here on the job may be gone.
        let was = unsafe { (*pending).fetch_sub(1, Ordering::Release) };
        if was == SLEEPING | 1 {
            atomic_wait::wake_one(pending);
        }
    }

    /// Waits until nothing is pending.
    fn join(&self, spins: bool) {
        if self.pending.load(Ordering::Acquire) == 0 {
            return;
        }
        let start = Instant::now();
        let spin = if spins { JOIN_SPIN.max((start - self.begin) / JOIN_SHARE) } else { Duration::ZERO };
        while start.elapsed() < spin {
            hint::spin_loop();
            if self.pending.load(Ordering::Acquire) == 0 {
                return;
            }
        }
        let mut pending = self.pending.fetch_or(SLEEPING, Ordering::Acquire) | SLEEPING;
        while pending != SLEEPING {
            atomic_wait::wait(&self.pending, pending);
            pending = self.pending.load(Ordering::Acquire);
        }
    }
}
