//! What code generation costs: `cargo test --release -p codegen --test time -- --ignored --nocapture`.

mod common;

use std::time::Instant;

use codegen::{Options, llvm};
use common::{lower, scan, scheduled};

#[test]
#[ignore = "prints times"]
fn a_tiled_matrix_product() {
    let script = "
        vectorise C.init.n by 16
        tile C.update.m C.update.n C.update.k by 120 512 256 as mo no ko / mi ni ki
        vectorise C.update.ni by 16 as nv nl
        unroll C.update.nv by 2
        unroll C.update.mi by 12
        parallel C.update.mo";
    for sizes in [Some([1024, 1024, 1024].as_slice()), Some(&[960, 1024, 1024]), None] {
        let scop = scheduled("matmul", sizes, script);
        let options = Options { fma: true, ..Options::default() };
        for _ in 0..3 {
            let start = Instant::now();
            let (program, remarks) = scan(&scop, &options);
            let scanned = start.elapsed();
            let start = Instant::now();
            let lowered = lower(&scop, &options);
            let all = start.elapsed();
            let start = Instant::now();
            let host = llvm::host();
            let mut target = common::target();
            (target.triple, target.cpu, target.features) = (host.triple, host.cpu, host.features);
            let object = llvm::compile(&lowered, &target, &llvm::Options::default());
            println!(
                "{sizes:?}: scan {scanned:?}, scan and passes {all:?}, LLVM {:?}, {} and {} lines, {:?}, {remarks:?}",
                start.elapsed(),
                program.to_string().lines().count(),
                lowered.to_string().lines().count(),
                object.is_ok(),
            );
        }
        println!("{}", lower(&scop, &options));
    }
}
