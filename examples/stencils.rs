//! A stencil over many steps, as it is written and as the automatic schedule tiles it over time: the times, and how far the
//! results differ. `cargo run --release -p tilewright --example stencils -- jacobi_2d 100,2000 1`: a kernel in the manner of
//! PolyBench, its sizes with the steps first, and threads.

use std::error::Error;
use std::time::Instant;

use polyhedral::{isl, testing};
use tilewright::builder::Program;
use tilewright::{AsTensor, AsTensorMut, Compiler, Script, Tensor};

/// Calls of which the fastest counts.
const CALLS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let (name, sizes, threads) = match given[..] {
        [] => ("jacobi_2d", "50,1000", "1"),
        [name, sizes, threads] => (name, sizes, threads),
        _ => return Err("a kernel, its sizes, threads".into()),
    };
    let sizes: Vec<i64> = sizes.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let program = Program::from(&testing::polybench(name).program(&isl::Ctx::new()));
    let host = Compiler::host().threads(threads.parse()?);
    let mut results = Vec::new();
    for (title, compiler) in [("as written", host.clone().script(Script::new())), ("automatic", host)] {
        let kernel = compiler.compile_program(&program).with_sizes(&[("T", sizes[0])])?;
        let variant = kernel.prepare_sizes(&sizes)?;
        println!("{}", variant.script);
        let (mut least, mut changed) = (f64::INFINITY, Vec::new());
        for _ in 0..CALLS {
            let all = variant.signature().arguments.iter().map(|one| Ok((one.role, values(&one.shape)?)));
            let all = all.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
            let (inputs, others): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|(role, _)| *role == runtime::Role::Input);
            changed = others.into_iter().map(|(_, tensor)| tensor).collect::<Vec<Tensor>>();
            let inputs: Vec<&dyn AsTensor> = inputs.iter().map(|(_, tensor)| tensor as _).collect();
            let mut outputs: Vec<&mut dyn AsTensorMut> = changed.iter_mut().map(|tensor| tensor as _).collect();
            let before = Instant::now();
            kernel.run(&inputs, &mut outputs)?;
            least = least.min(before.elapsed().as_secs_f64());
        }
        println!("{title:10} {:8.1} ms\n", least * 1e3);
        results.push(changed);
    }
    for (one, other) in results[0].iter().zip(&results[1]) {
        let pairs = one.as_slice::<f64>()?.iter().zip(other.as_slice::<f64>()?);
        println!("differs by {:e}", pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max));
    }
    Ok(())
}

fn values(shape: &[i64]) -> Result<Tensor, Box<dyn Error>> {
    let count: i64 = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|at| (at * 7 % 97) as f64 / 97.0).collect();
    Ok(Tensor::from_slice(&values, shape)?)
}
