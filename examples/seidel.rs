//! A program beyond TC, scheduled by hand: nine points in place, again and again, in boxes that lean through time.
//! `cargo run --release -p tilewright --example seidel`

use std::error::Error;
use std::time::Instant;

use tilewright::builder::Program;
use tilewright::{Compiler, DType, Script, Tensor};

/// Each step needs what the step before left to the right and below, so boxes are legal once the loops are skewed.
const BOXES: &str = "\
skew A.i by 1 of A.t as u
skew A.j by 1 of A.u as v
skew A.v by 1 of A.t as w
tile A.t A.u A.w by 16 64 256
";

fn main() -> Result<(), Box<dyn Error>> {
    let seidel = Program::build("seidel", |p| {
        let [steps, n] = ["T", "N"].map(|name| p.size(name));
        let a = p.inout("A", DType::F64, [n, n]);
        p.each("t", 0, steps, |_| {
            p.each("i", 1, n - 1, |i| {
                p.each("j", 1, n - 1, |j| {
                    let row = |i| a.at([i, j - 1]) + a.at([i, j]) + a.at([i, j + 1]);
                    p.set(a.at([i, j]), (row(i - 1) + row(i) + row(i + 1)) / 9.0);
                });
            });
        });
    })?;
    println!("{seidel}");

    let (steps, n) = (32, 1024);
    let start: Vec<f64> = (0..n * n).map(|at| (at % 97) as f64).collect();
    let host = Compiler::host().threads(1);
    let refused = host.clone().script("tile A.t A.i A.j by 16 64 256".parse::<Script>()?);
    if let Err(error) = refused.compile_program(&seidel).prepare_sizes(&[steps, n]) {
        println!("{error}\n");
    }
    let mut results = Vec::new();
    for (title, compiler) in
        [("as written", host.clone().script(Script::new())), ("in boxes", host.script(BOXES.parse()?))]
    {
        let kernel = compiler.compile_program(&seidel).with_sizes(&[("T", steps)])?;
        kernel.prepare_sizes(&[steps, n])?;
        let mut a = Tensor::from_slice(&start, &[n, n])?;
        let before = Instant::now();
        kernel.run(&[], &mut [&mut a])?;
        println!("{title:10} {:7.2?}", before.elapsed());
        results.push(a);
    }
    // The same operations on the same numbers: the same bits.
    assert_eq!(results[0].as_slice::<f64>()?, results[1].as_slice::<f64>()?);
    Ok(())
}
