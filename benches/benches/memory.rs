//! Compiles and drops one definition ten thousand times in one process: resident memory must be flat after the first
//! thousand. `memory 500` does fewer rounds.

use benches::folder;
use tilewright::Compiler;

fn main() -> benches::Result<()> {
    let rounds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(10_000);
    let compiler = Compiler::host().threads(1);
    let text = std::fs::read_to_string(folder().join("kernels/gemm.tc"))?;
    let mut after_warm_up = 0;
    for round in 1..=rounds {
        let kernel = compiler.compile(&text)?;
        kernel.prepare(&[&[256, 256], &[256, 256]])?;
        if round == rounds / 10 {
            after_warm_up = resident_kib();
        }
        if round % (rounds / 10).max(1) == 0 {
            println!("{round:>8} compilations: {:>8} KiB resident", resident_kib());
        }
    }
    println!("growth since the first tenth: {} KiB", resident_kib().saturating_sub(after_warm_up));
    Ok(())
}

/// From the kernel's accounts; 0 where there are none.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
