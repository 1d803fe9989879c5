use super::chunks::CHUNKS_PER_THREAD;
use super::*;
use rayon::ThreadPoolBuilder;
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
        let panics = |range: Range<i64>| if range.contains(&3) { std::panic::resume_unwind(Box::new(())) } else { 0 };
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
