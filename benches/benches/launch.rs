//! What a parallel loop costs beyond its work: on our own threads, and on a pool of rayon's, in turn.
//!
//! Two chunks for two threads, as most short loops have; microseconds. `--loaded` keeps every core busy with threads of
//! another kind meanwhile, as on a machine that others use too. `--package` measures what a call of a package's kernel costs
//! beyond its work, on the thread that calls.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use runtime::{Pace, Pool};

/// After which threads sleep.
const REST: Duration = Duration::from_millis(1);

fn main() {
    let is_given = |name: &str| std::env::args().any(|argument| argument == name);
    if is_given("--package") {
        package();
    } else if is_given("--loaded") {
        loaded(tables);
    } else {
        tables();
    }
}

/// Calls of a kernel with one, two and four arguments of 8 elements, which are added in a nanosecond or two; for these sizes
/// and for any.
fn package() {
    println!("{:<44}{:>12}{:>10}{:>10}{:>10}", "us, mean of 1000", "", "min", "median", "90 %");
    for (text, inputs) in [
        ("def one(float(N) A) -> (B) { B(i) = A(i) }", 1),
        ("def two(float(N) A, float(N) B) -> (C) { C(i) = A(i) + B(i) }", 2),
        ("def four(float(N) A, float(N) B, float(N) C, float(N) D) -> (E) { E(i) = A(i) + B(i) + C(i) + D(i) }", 4),
    ] {
        let source = tilewright::Source::new("launch.tc".into(), text.into());
        let (defs, _) = tilewright::check(&source).expect("a program");
        let targets = [tilewright::Options::new(tilewright::host_target())];
        for (choice, kind) in [(tilewright::Choice::of(&[8]), "fixed"), (tilewright::Choice::any(), "any sizes")] {
            let package = tilewright::package(&defs[0], &source, &targets, &[choice]).expect("a package");
            let kernel = package.kernel(&[("N", 8)]).expect("code for this machine");
            let (data, mut result) = ([1.0f32; 8], [0.0f32; 8]);
            let view = runtime::TensorView::new(&data, &[8]).expect("it fits");
            let views = vec![view; inputs];
            let mut outputs = [runtime::TensorViewMut::new(&mut result, &[8]).expect("it fits")];
            let pool = Pool::single();
            let call = || (0..1000).map(|_| i32::from(kernel.run(&views, &mut outputs, &pool).is_err())).sum();
            let times = measure(2000, None, call).into_iter().map(|time| time / 1000.0).collect();
            row(&format!("a call with {inputs} inputs"), kind, times);
        }
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
