//! An edge detector whose result takes the place of the picture: what is written to the picture is read by no later ring, so that
//! both steps share their loops. A pipeline of functions without cycles (Halide) has no word for it; after the edge detector of
//! Baghdadi and others, Tiramisu (CGO 2019), Fig. 6. `cargo run --release -p tilewright --example edge_in_place`

use std::error::Error;
use std::time::Instant;

use tilewright::builder::Program;
use tilewright::{Compiler, DType, Script, Tensor};

/// Both steps in one pass, the second two rows behind, and only the rings of three rows kept.
pub const ONE_PASS: &str = "\
fuse ring picture depth 1
fold ring dim 0 by 3
vectorise ring.x by 16 as xo xv
vectorise picture.x by 16 as xo xv
";

/// The program: a blur over the eight neighbours, and differences along both diagonals of it.
///
/// # Errors
/// None: the program is well formed.
pub fn program() -> tilewright::Result<Program> {
    Program::build("edge", |p| {
        let [height, width] = ["H", "W"].map(|name| p.size(name));
        p.assume(height.ge(4));
        p.assume(width.ge(4));
        let picture = p.inout("picture", DType::F32, [height, width]);
        let ring = p.temporary("ring", DType::F32, [height, width]);
        p.each("y", 1, height - 1, |y| {
            p.each("x", 1, width - 1, |x| {
                let row = |y| picture.at([y, x - 1]) + picture.at([y, x]) + picture.at([y, x + 1]);
                let sides = picture.at([y, x - 1]) + picture.at([y, x + 1]);
                p.set(ring.at([y, x]), (row(y - 1) + sides + row(y + 1)) * p.constant(DType::F32, 0.125));
            })
        });
        p.each("y", 1, height - 2, |y| {
            p.each("x", 2, width - 1, |x| {
                let down = (ring.at([y, x]) - ring.at([y + 1, x - 1])).abs();
                let up = (ring.at([y + 1, x]) - ring.at([y, x - 1])).abs();
                p.set(picture.at([y, x]), down + up);
            })
        });
    })
}

#[allow(dead_code)]
fn main() -> Result<(), Box<dyn Error>> {
    let edge = program()?;
    println!("{edge}");
    let shape = [2112i64, 3520];
    let start: Vec<f32> = (0..shape[0] * shape[1]).map(|at| (at * 31 % 255) as f32).collect();
    let mut results: Vec<Tensor> = Vec::new();
    for (title, script) in [("as written", Some("")), ("the automatic schedule", None), ("in one pass", Some(ONE_PASS))]
    {
        let host = Compiler::host().threads(1);
        let compiler = match script {
            Some(script) => host.script(script.parse::<Script>()?),
            None => host,
        };
        let kernel = compiler.compile_program(&edge);
        kernel.prepare_sizes(&shape)?;
        let mut picture = Tensor::from_slice(&start, &shape)?;
        let before = Instant::now();
        kernel.run(&[], &mut [&mut picture])?;
        println!("{title:24} {:8.2?}", before.elapsed());
        results.push(picture);
    }
    for other in &results[1..] {
        let pairs = results[0].as_slice::<f32>()?.iter().zip(other.as_slice::<f32>()?);
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-3, "the results are {worst} apart");
    }
    Ok(())
}
