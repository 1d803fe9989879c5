//! What a parallel loop costs beyond its work: on our own threads, and on a pool of rayon's, in turn.
//!
//! Two chunks for two threads, as most short loops have; microseconds. `--loaded` keeps every core busy with threads of
//! another kind meanwhile, as on a machine that others use too.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tilewright::Pool;

fn main() {
    if std::env::args().any(|argument| argument == "--loaded") {
        loaded(tables);
    } else {
        tables();
    }
}

fn tables() {
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    let pools = [
        ("ours", Pool::with_threads(2).expect("two threads")),
        ("rayon", Pool::from(Arc::new(rayon))),
        ("one thread", Pool::single()),
    ];
    println!("{:<44}{:>12}{:>10}{:>10}{:>10}", "us", "", "min", "median", "90 %");
    for (pause, name) in [(None, "back to back"), (Some(Duration::from_millis(1)), "after 1 ms of rest")] {
        let rounds = if pause.is_some() { 200 } else { 20_000 };
        for work in [0, 2, 10, 50, 250] {
            let rounds = rounds / (1 + work as usize / 10);
            for (kind, pool) in &pools {
                let times = measure(rounds, pause, || {
                    pool.parallel(2, |chunk| chunk.map(|_| spin(Duration::from_micros(work))).sum())
                });
                row(&format!("2 chunks of {work} us, {name}"), kind, times);
            }
        }
    }
    for (kind, pool) in &pools {
        let sweep = || (0..1000).map(|_| pool.parallel(64, |range| touch(range.end - range.start))).sum();
        row("1000 loops of 64 short iterations", kind, measure(20, None, sweep));
    }
}

/// Keeps a core busy for some time, whatever its speed.
fn spin(time: Duration) -> i32 {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
    0
}

/// About 20 ns for each iteration.
fn touch(count: i64) -> i32 {
    for at in 0..count * 20 {
        black_box(at);
    }
    0
}

fn measure(rounds: usize, pause: Option<Duration>, mut run: impl FnMut() -> i32) -> Vec<f64> {
    run();
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            pause.into_iter().for_each(thread::sleep);
            let start = Instant::now();
            black_box(run());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn row(what: &str, kind: &str, times: Vec<f64>) {
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{what:<44}{kind:>12}{:>10.2}{:>10.2}{:>10.2}", at(0), at(50), at(90));
}

fn loaded(run: impl Fn()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |cores| cores.get()) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        run();
        stop.store(true, Ordering::Relaxed);
    });
}
