//! The iterations of a loop, dealt out to the threads that run it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many chunks a loop is cut into for each thread: enough that a thread that was held up does not delay the
/// others by its whole share, few enough that a chunk keeps its locality.
pub(super) const CHUNKS_PER_THREAD: usize = 4;

/// Shares that are kept apart; with more threads some begin in the same share.
const SHARES: usize = 16;

/// What is left of a share of chunks, first and end packed into one word. Alone on its cache line.
#[repr(align(64))]
struct Share(AtomicU64);

/// The chunks of a loop that nobody has begun.
///
/// Each thread has a share of neighbouring chunks and takes them in order, so that it walks through memory; when its own
/// share is used up, it takes the last chunks of the others (Blumofe, Leiserson, "Scheduling multithreaded computations by
/// work stealing", JACM 1999). Where chunks begin and end depends on the numbers of iterations and threads alone.
pub(super) struct Chunks {
    count: i64,
    chunks: u32,
    shares: usize,
    left: [Share; SHARES],
}

impl Chunks {
    /// The iterations `0 .. count`, at least one, for that many threads, at least one.
    pub(super) fn new(count: i64, threads: usize) -> Chunks {
        let most = threads.saturating_mul(CHUNKS_PER_THREAD).min(1 << 30);
        let chunks = usize::try_from(count).unwrap_or(usize::MAX).min(most);
        let shares = threads.min(chunks).min(SHARES);
        let mut all =
            Chunks { count, chunks: chunks as u32, shares, left: [const { Share(AtomicU64::new(0)) }; SHARES] };
        for at in 0..shares {
            let (first, end) = (at * chunks / shares, (at + 1) * chunks / shares);
            *all.left[at].0.get_mut() = pack(first as u32, end as u32);
        }
        all
    }

    /// How many threads can be of use.
    pub(super) fn tasks(&self, threads: usize) -> usize {
        threads.min(self.chunks as usize)
    }

    /// The next chunk for thread number `task` of `tasks`; none when all have been begun.
    pub(super) fn next(&self, task: usize, tasks: usize) -> Option<Range<i64>> {
        let own = task * self.shares / tasks.max(1) % self.shares;
        let first = self.take(own, |first, end| (first, first + 1, end));
        let chunk = first.or_else(|| {
            let others = (1..self.shares).map(|distance| (own + distance) % self.shares);
            others.into_iter().find_map(|other| self.take(other, |first, end| (end - 1, first, end - 1)))
        })?;
        Some(self.start(chunk)..self.start(chunk + 1))
    }

    /// Takes a chunk of a share: `split` says which one, and what is left then.
    ///
    /// The words order nothing but themselves: they are made before the threads begin, and what a chunk wrote is seen by
    /// the caller because it waits for the threads.
    fn take(&self, share: usize, split: impl Fn(u32, u32) -> (u32, u32, u32)) -> Option<u32> {
        let rest = |packed: u64| {
            let (first, end) = unpack(packed);
            (first < end).then(|| split(first, end))
        };
        let update = |packed| rest(packed).map(|(_, first, end)| pack(first, end));
        let taken = self.left[share].0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).ok()?;
        rest(taken).map(|(chunk, ..)| chunk)
    }

    /// The iteration that `chunk` begins with.
    fn start(&self, chunk: u32) -> i64 {
        let start = i128::from(chunk) * i128::from(self.count) / i128::from(self.chunks);
        i64::try_from(start).expect("at most `count`")
    }
}

fn pack(first: u32, end: u32) -> u64 {
    u64::from(first) << 32 | u64::from(end)
}

fn unpack(packed: u64) -> (u32, u32) {
    ((packed >> 32) as u32, packed as u32)
}
