//! What code generation costs and what its code reaches:
//! `cargo test -p codegen --test time -- --ignored --nocapture`.

mod common;

use std::time::Instant;

use codegen::{Options, Program, llvm};
use common::{lower, scan, scheduled};
use runtime::kernel::Kernel;
use runtime::pool::Pool;
use runtime::tensor::{Tensor, TensorView, TensorViewMut};

const SCRIPT: &str = "
    vectorise C.init.n by 16
    tile C.update.m C.update.n C.update.k by 120 512 256 as mo no ko / mi ni ki
    vectorise C.update.ni by 16 as nv nl
    unroll C.update.nv by 2
    unroll C.update.mi by 12";

#[test]
#[ignore = "prints times"]
fn a_tiled_matrix_product() {
    for sizes in [[1024, 1024, 1024], [960, 1024, 1024], [1000, 1000, 1000], [128, 1024, 1024], [100, 100, 100]] {
        let scop = scheduled("matmul", Some(&sizes), SCRIPT);
        let options = Options { fma: true, ..Options::default() };
        let scanned = best(9, || scan(&scop, &options));
        let lowered = best(9, || lower(&scop, &options));
        let program = lower(&scop, &options);
        let compiled = best(5, || kernel(&program));
        let run = run(&kernel(&program), sizes);
        let flops = 2.0 * sizes.iter().product::<i64>() as f64;
        println!(
            "{sizes:?}: scan {:.1} ms, scan and passes {:.1} ms, LLVM {:.1} ms, {:.1} GFLOP/s, {} lines",
            1e3 * scanned,
            1e3 * lowered,
            1e3 * compiled,
            flops / run / 1e9,
            program.to_string().lines().count(),
        );
    }
}

/// The shortest of `times` runs, in seconds.
fn best<T>(times: usize, mut work: impl FnMut() -> T) -> f64 {
    let one = |_| {
        let start = Instant::now();
        std::hint::black_box(work());
        start.elapsed().as_secs_f64()
    };
    (0..times).map(one).fold(f64::INFINITY, f64::min)
}

fn kernel(program: &Program) -> Kernel {
    let llvm::Host { triple, cpu, features } = llvm::host();
    let target = support::Target { triple, cpu, features, ..common::target() };
    let object = llvm::compile(program, &target, &llvm::Options::default()).unwrap();
    Kernel::load(&object.code(program, &[]).unwrap()).unwrap()
}

fn run(kernel: &Kernel, [m, n, k]: [i64; 3]) -> f64 {
    let zeros = |shape: &[i64]| Tensor::zeros("float32".parse().unwrap(), shape).unwrap();
    let (a, b, mut c) = (zeros(&[m, k]), zeros(&[k, n]), zeros(&[m, n]));
    let inputs: [TensorView<'_>; 2] = [a.view(), b.view()];
    let mut outputs: [TensorViewMut<'_>; 1] = [c.view_mut()];
    best(7, || kernel.run(&inputs, &mut outputs, &Pool::single()).unwrap())
}
