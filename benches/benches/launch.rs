//! What a parallel loop costs beyond its work: on our own threads, and on a pool of rayon's, in turn.
//!
//! Two chunks for two threads, as most short loops have; microseconds. `--loaded` keeps every core busy with threads of
//! another kind meanwhile, as on a machine that others use too.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use runtime::{Pace, Pool};

/// After which threads sleep.
const REST: Duration = Duration::from_millis(1);

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
    let paced = |pace: &Pace, pool: &Pool, count, body: &(dyn Fn(i64) -> i32 + Sync)| {
        pool.parallel_at(pace, count, |chunk| chunk.map(body).sum())
    };
    println!("{:<44}{:>12}{:>10}{:>10}{:>10}", "us", "", "min", "median", "90 %");
    for (kind, pool) in &pools {
        row("2 empty chunks", kind, measure(20_000, None, || pool.parallel(2, |_| 0)));
    }
    for (kind, pool) in &pools {
        row("2 empty chunks, after 1 ms of rest", kind, measure(200, Some(REST), || pool.parallel(2, |_| 0)));
    }
    for (pause, name) in [(None, "back to back"), (Some(REST), "after 1 ms of rest")] {
        let rounds = if pause.is_some() { 200 } else { 20_000 };
        for work in [2, 10, 50, 250] {
            let rounds = rounds / (1 + work as usize / 10);
            for (kind, pool) in &pools {
                let pace = Pace::new();
                let body = |_| spin(Duration::from_micros(work));
                let times = measure(rounds, pause, || paced(&pace, pool, 2, &body));
                row(&format!("2 chunks of {work} us, {name}"), kind, times);
            }
        }
    }
    for (kind, pool) in &pools {
        let pace = Pace::new();
        let sweep = || (0..1000).map(|_| paced(&pace, pool, 64, &touch)).sum();
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

/// About 10 ns.
fn touch(_: i64) -> i32 {
    for at in 0..20 {
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
