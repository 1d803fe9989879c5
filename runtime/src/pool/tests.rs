use super::chunks::CHUNKS_PER_THREAD;
use super::*;
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

fn pools() -> Vec<Pool> {
    let rayon = Arc::new(ThreadPoolBuilder::new().num_threads(3).build().expect("three threads"));
    let team = Pool::with_threads(4).expect("four threads");
    vec![Pool::single(), Pool::global(), team, Pool::from(rayon), Pool::new(Careless)]
}

/// Leaves out the first task, runs the second one twice and on several threads, and the rest in the wrong order.
struct Careless;

impl ForkJoin for Careless {
    fn threads(&self) -> usize {
        5
    }

    fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        thread::scope(|scope| {
            for task in [1, 1].into_iter().chain((1..tasks).rev()) {
                scope.spawn(move || body(task));
            }
        });
    }
}

/// Fails when `work` takes much longer than it could: threads that wait for each other must not hang the tests.
fn before_long(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        // The receiver is gone only after it has given up.
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the threads wait for each other"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    }
}

/// A body that sums up lengths.
fn adds(total: &AtomicI64) -> impl Fn(Range<i64>) -> i32 + Sync {
    |range| {
        total.fetch_add(range.end - range.start, Ordering::Relaxed);
        STATUS_OK
    }
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

proptest! {
    #[test]
    fn whatever_the_tasks_take_is_every_iteration_once(
        count in 1i64..500,
        threads in 1usize..80,
        takes in proptest::collection::vec(0usize..80, 0..400),
    ) {
        let chunks = Chunks::new(count, threads);
        let tasks = chunks.tasks(threads);
        let mut seen = vec![0; count as usize];
        let mut take = |task: usize| {
            let chunk = chunks.next(task % tasks, tasks);
            chunk.clone().into_iter().flatten().for_each(|at| seen[at as usize] += 1);
            chunk.is_some()
        };
        takes.into_iter().map(&mut take).for_each(|_| {});
        while take(0) {}
        prop_assert!(seen.iter().all(|&times| times == 1), "{seen:?}");
    }

    #[test]
    fn a_task_walks_through_neighbouring_chunks(count in 1i64..10_000, threads in 1usize..40) {
        let chunks = Chunks::new(count, threads);
        let tasks = chunks.tasks(threads);
        let own = (0..).map_while(|_| chunks.next(0, tasks)).take(CHUNKS_PER_THREAD.min(count as usize / tasks));
        let own: Vec<_> = own.collect();
        prop_assert!(own.windows(2).all(|pair| pair[0].end == pair[1].start), "{own:?}");
    }

    #[test]
    fn an_additional_thread_is_worth_what_it_costs(work in 0u64..1 << 40, each in 1u64..1 << 20, most in 1usize..300) {
        let threads = fork_join::worth(Duration::from_nanos(work), Duration::from_nanos(each), most);
        let gain = |n: usize| work as f64 / (n * (n - 1)) as f64;
        prop_assert!((1..=most).contains(&threads));
        prop_assert!(threads == 1 || gain(threads) >= each as f64 * 0.999);
        prop_assert!(threads == most || gain(threads + 1) <= each as f64 * 1.001);
    }
}

#[test]
fn counts_without_bounds_do_not_overflow() {
    for pool in pools() {
        let total = AtomicI64::new(0);
        assert_eq!(pool.parallel(i64::MAX, adds(&total)), 0);
        assert_eq!(total.load(Ordering::Relaxed), i64::MAX);
        assert_eq!(pool.parallel(i64::MIN, |_| 1), 0);
        let pace = Pace::new();
        pace.took(1, Duration::MAX);
        assert_eq!(pool.parallel_at(&pace, i64::MAX, |_| 0), 0);
        pace.took(i64::MAX, Duration::ZERO);
        assert_eq!(pool.parallel_at(&pace, i64::MAX, |_| 0), 0);
    }
}

#[test]
fn a_failure_is_returned_and_a_panic_is_caught() {
    for pool in pools() {
        assert_eq!(pool.parallel(100, |range| if range.contains(&57) { 9 } else { 0 }), 9);
        let panics = |range: Range<i64>| if range.contains(&3) { resume_unwind(Box::new(())) } else { 0 };
        assert_eq!(pool.parallel(100, panics), STATUS_PANICKED);
        assert_eq!(pool.parallel(1, |_| resume_unwind(Box::new(()))), STATUS_PANICKED);
        assert_eq!(pool.parallel(100, |_| 0), STATUS_OK);
    }
}

#[test]
fn of_several_failures_the_first_one_is_returned() {
    for pool in pools() {
        for _ in 0..50 {
            let status = pool.parallel(1000, |range| {
                let first = [(100, 3), (101, 4), (400, 5), (999, 6)].into_iter().find(|(at, _)| range.contains(at));
                first.map_or(0, |(_, status)| status)
            });
            assert_eq!(status, 3);
        }
    }
}

#[test]
fn a_loop_inside_a_loop_runs() {
    for pool in pools() {
        let total = AtomicI64::new(0);
        pool.parallel(10, |outer| {
            outer.map(|_| pool.parallel(10, |inner| pool.parallel(inner.end - inner.start, adds(&total)))).sum()
        });
        assert_eq!(total.into_inner(), 100);
    }
}

#[test]
fn the_process_shares_its_threads() {
    let cores = cores();
    for threads in 2..=cores {
        let pool = Pool::with_threads(threads).expect("the threads are there");
        assert!(matches!(pool.threads, Threads::Global(_)));
        assert_eq!(pool.threads(), threads);
    }
    let more = Pool::with_threads(cores + 1).expect("one thread more");
    assert!(matches!(more.threads, Threads::Own(_)));
    assert_eq!(more.threads(), cores + 1);
    assert!(Pool::with_threads(usize::MAX).is_err());
}

#[test]
fn a_loop_is_run_on_as_many_threads_as_it_is_worth() {
    /// Counts the tasks that it is asked for; a thread costs 10 µs.
    struct Counting(AtomicUsize);
    impl ForkJoin for Counting {
        fn threads(&self) -> usize {
            8
        }
        fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
            self.0.store(tasks, Ordering::Relaxed);
            (0..tasks).for_each(body);
        }
    }
    let threads = Arc::new(Counting(AtomicUsize::new(0)));
    let pool = Pool::from(Arc::clone(&threads) as Arc<dyn ForkJoin>);
    let tasks = |pace: &Pace, count| {
        threads.0.store(0, Ordering::Relaxed);
        assert_eq!(pool.parallel_at(pace, count, |_| 0), 0);
        threads.0.load(Ordering::Relaxed)
    };
    assert_eq!(tasks(&Pace::new(), 100), 8, "nothing is known of it");
    let paced = |nanoseconds: u64| {
        let pace = Pace::new();
        pace.took(10, Duration::from_nanos(nanoseconds * 10));
        pace
    };
    assert_eq!(tasks(&paced(100), 100), 0, "10 µs");
    assert_eq!(tasks(&paced(210), 100), 2, "21 µs");
    assert_eq!(tasks(&paced(210), 1000), 5, "210 µs");
    assert_eq!(tasks(&paced(100_000), 100), 8, "10 ms");
    assert_eq!(tasks(&paced(100_000), 3), 3, "three iterations");
    let pace = paced(100_000);
    tasks(&pace, 100);
    assert_eq!(tasks(&pace, 100), 0, "it is faster now");
}

#[test]
fn a_row_of_short_loops_wakes_the_threads_and_single_ones_do_not() {
    let missed = team::Missed::new();
    let work = Duration::from_micros(20);
    // Each loses 10 µs; waking one thread costs 40.
    let loops = |rest: u64| {
        let at = |loops| Duration::from_micros(loops * (20 + rest));
        (0..8).map(|before| missed.is_enough_at(at(before), work, 1, 2)).collect::<Vec<_>>()
    };
    assert_eq!(loops(5), [false, false, false, true, false, false, false, true]);
    assert_eq!(loops(60), [false; 8], "they would sleep again before the next one");
}

#[test]
fn sixteen_paces_are_kept() {
    let paces = Paces::default();
    let time = |body| Duration::from_nanos(1u64 << body);
    for body in 1..=16 {
        paces.of(body).expect("a place").took(1, time(body));
    }
    for body in 1..=16 {
        assert_eq!(paces.of(body).and_then(|pace| pace.expected(2)), Some(2 * time(body)));
    }
    assert!(paces.of(17).is_none());
}

/// Offers, naps and stolen chunks in many interleavings: the rests between loops are around the time that threads spin.
#[test]
fn what_threads_write_is_seen_after_the_loop() {
    before_long(|| {
        for threads in [2, 3, 8] {
            let pool = Pool::new(Team::start(threads).expect("threads"));
            let mut cells = vec![0u64; 64];
            for round in 0..3000u64 {
                let chunks = cells.chunks_mut(1).map(Mutex::new).collect::<Vec<_>>();
                let status = pool.parallel(64, |range| {
                    range.for_each(|at| chunks[at as usize].try_lock().expect("each once")[0] += round ^ at as u64);
                    0
                });
                drop(chunks);
                assert_eq!(status, 0);
                assert!(cells.iter().zip(0..).all(|(cell, at)| *cell == (0..=round).map(|r| r ^ at).sum::<u64>()));
                match round % 16 {
                    0 => thread::sleep(Duration::from_micros(round % 200)),
                    1..8 => rest(Duration::from_nanos(round * 7919 % 80_000)),
                    _ => {}
                }
            }
        }
    });
}

fn rest(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn many_callers_share_a_team() {
    before_long(|| {
        for threads in [2, 4] {
            let pool = Pool::new(Team::start(threads).expect("threads"));
            let start = Barrier::new(6);
            thread::scope(|scope| {
                for caller in 0..6i64 {
                    let (pool, start) = (&pool, &start);
                    scope.spawn(move || {
                        start.wait();
                        for round in 0..400 {
                            let (count, total) = (1 + (round * 31 + caller * 17) % 40, AtomicI64::new(0));
                            let inner = |range: Range<i64>| range.map(|at| pool.parallel(at % 5, adds(&total))).sum();
                            match (round + caller) % 8 {
                                0 => {
                                    let expected = (0..count).map(|at| at % 5).sum::<i64>();
                                    assert_eq!(pool.parallel(count, inner), 0);
                                    assert_eq!(total.into_inner(), expected);
                                }
                                1 => {
                                    let at = round % count;
                                    let panics = |range: Range<i64>| {
                                        if range.contains(&at) { resume_unwind(Box::new(())) } else { 0 }
                                    };
                                    assert_eq!(pool.parallel(count, panics), STATUS_PANICKED);
                                }
                                2 => {
                                    let at = round % count;
                                    assert_eq!(pool.parallel(count, |r| if r.contains(&at) { 7 } else { 0 }), 7);
                                }
                                _ => {
                                    assert_eq!(pool.parallel(count, adds(&total)), 0);
                                    assert_eq!(total.into_inner(), count);
                                }
                            }
                        }
                    });
                }
            });
        }
    });
}

#[test]
fn teams_come_and_go() {
    before_long(|| {
        for round in 0..60 {
            let pool = Pool::new(Team::start(1 + round % 5).expect("threads"));
            let total = AtomicI64::new(0);
            if round % 3 > 0 {
                assert_eq!(pool.parallel(100, adds(&total)), 0);
                assert_eq!(total.into_inner(), 100);
            }
            if round % 7 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
}

#[test]
fn a_team_passes_on_the_panics_of_its_tasks() {
    before_long(|| {
        let team = Team::start(3).expect("three threads");
        for task in [0, 1, 2, 5] {
            for _ in 0..50 {
                let body = |at| {
                    rest(Duration::from_micros(5));
                    if at == task {
                        resume_unwind(Box::new(at));
                    }
                };
                let panic = catch_unwind(AssertUnwindSafe(|| team.run(6, &body))).expect_err("a task panics");
                assert_eq!(panic.downcast_ref(), Some(&task));
            }
            let ran = AtomicUsize::new(0);
            team.run(6, &|_| {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(ran.into_inner(), 6, "the team works on");
        }
    });
}
