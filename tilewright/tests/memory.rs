//! Compiling and dropping leaves nothing behind. The long form is `cargo bench -p benches --bench memory`.

use std::fs;

use tilewright::{Compiler, Tensor};

const TEXT: &str = "def mlp(float(B,M) I, float(N,M) W, float(N) bias) -> (O) {
    O(b,n) +=! I(b,m) * W(n,m)
    O(b,n) = fmax(O(b,n) + bias(n), 0.0)
}";

/// What the allocator may keep for itself, in KiB: a leak of one isl context or one mapped object for each compilation
/// is far more.
const SLACK: u64 = 8 << 10;

/// Compiles the definition and calls it once.
fn round(compiler: &Compiler) {
    let kernel = compiler.compile(TEXT).expect("a good definition");
    let ones = |shape: &[i64]| {
        let elements = vec![1.0f32; shape.iter().product::<i64>() as usize];
        Tensor::from_slice(&elements, shape).expect("as many elements as the shape has")
    };
    let output = kernel.call(&[&ones(&[4, 16]), &ones(&[8, 16]), &ones(&[8])]).expect("tensors that fit");
    assert!(output.as_slice::<f32>().expect("floats").iter().all(|&element| element == 17.0));
}

/// From the system's accounts, in KiB; none where there are none.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn memory_stays_flat() {
    if resident().is_none() {
        println!("skipped: this system does not say how much memory a process has");
        return;
    }
    let full = std::env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1");
    let rounds = if full { 3_000 } else { 300 };
    let compiler = Compiler::host().threads(1);
    (0..rounds / 10).for_each(|_| round(&compiler));
    let before = resident().expect("it was there");
    (rounds / 10..rounds).for_each(|_| round(&compiler));
    let after = resident().expect("it was there");
    println!("{before} KiB after {} compilations, {after} KiB after {rounds}", rounds / 10);
    assert!(after <= before + SLACK, "from {before} KiB to {after} KiB in {} compilations", rounds - rounds / 10);
}
