//! Speed of the default schedule: time, GFLOP/s, and the fraction of the machine's limit measured in the same run, in turn
//! with the kernel. One thread, then all.

use benches::{CASES, Case, random_inputs, time};
use tilewright::{Compiler, DType, Limits};

fn main() {
    for threads in [1, std::thread::available_parallelism().map_or(1, |n| n.get())] {
        let compiler = Compiler::host().threads(threads);
        println!(
            "{threads} thread(s)\n{:<24}{:>12}{:>12}{:>12}{:>12}",
            "kernel", "min ms", "median ms", "GFLOP/s", "of limit"
        );
        for case in CASES {
            row(&compiler, case);
        }
    }
}

fn row(compiler: &Compiler, case: &Case) {
    let kernel = compiler.compile(case.text).expect("the benchmark compiles");
    let inputs = random_inputs(case.shapes);
    let (mut best, mut median, mut fraction) = (f64::INFINITY, f64::INFINITY, 0.0f64);
    for _ in 0..3 {
        let limits = Limits::measure(compiler.target(), compiler.pool()).expect("the ceilings can be measured");
        let (min, mid) = time(&kernel, &inputs);
        (best, median) = (best.min(min), median.min(mid));
        let bytes: i64 = 4 * case.shapes.iter().map(|shape| shape.iter().product::<i64>()).sum::<i64>();
        fraction = fraction.max(limits.floor_seconds(DType::F32, case.flops, bytes as f64) / min);
    }
    let gflops = case.flops / best / 1e9;
    println!("{:<24}{:>12.3}{:>12.3}{:>12.1}{:>11.0}%", case.name, best * 1e3, median * 1e3, gflops, fraction * 100.0);
}
