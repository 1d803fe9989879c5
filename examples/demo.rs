//! Compiles real programs for this machine, runs them, checks every result against the reference evaluator, and shows
//! how fast they are. `./x demo` builds and runs it.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tilewright::cost::cost;
use tilewright::files::{self, Wanted};
use tilewright::random::Random;
use tilewright::timing;
use tilewright::verify::{Judge, Reference};
use tilewright::{AsTensor, AsTensorMut, Compiler, Definition, Limits, Source, Tensor, runtime_dtype};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A program of this directory, and the sizes to run it with.
struct Example {
    file: &'static str,
    title: &'static str,
    sizes: &'static [(&'static str, i64)],
    /// An input that comes from a picture, and the output that becomes one.
    picture: Option<(&'static str, &'static str)>,
}

const EXAMPLES: [Example; 4] = [
    Example {
        file: "tmm.tc",
        title: "transposed product 128×1024×1024",
        sizes: &[("M", 128), ("N", 1024), ("K", 1024)],
        picture: None,
    },
    Example {
        file: "mlp3.tc",
        title: "three-layer perceptron, batch 128",
        sizes: &[("B", 128), ("I", 512), ("H1", 256), ("H2", 128), ("O", 10)],
        picture: None,
    },
    Example {
        file: "conv.tc",
        title: "3×3 convolution, 32→32 channels, 56×56",
        sizes: &[("N", 1), ("C", 32), ("M", 32), ("H", 58), ("W", 58), ("KH", 3), ("KW", 3)],
        picture: None,
    },
    Example {
        file: "edges.tc",
        title: "edges of a picture, 768×512",
        sizes: &[("H", 512), ("W", 768), ("C", 3)],
        picture: Some(("Picture", "Edges")),
    },
];

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<()> {
    let compiler = Compiler::host();
    let limits = Limits::measure(compiler.target(), compiler.pool(), f64::INFINITY)?;
    println!(
        "This machine ({}, {} threads) was measured to do {:.0} GFLOP/s and to move {:.1} GB/s.\n",
        compiler.target().cpu,
        compiler.pool().threads(),
        limits.f32_flops / 1e9,
        limits.bytes() / 1e9
    );
    println!("{:<41}{:>9}{:>10}{:>14}{:>10}   result", "program", "compiled", "time", "speed", "of limit");
    let mut picture = None;
    for example in &EXAMPLES {
        picture = run(example, &compiler, &limits)?.or(picture);
    }
    if let Some(path) = picture {
        let here = std::env::current_dir()?;
        let path = path.strip_prefix(here).unwrap_or(&path);
        println!("\nThe edges of examples/lake.png are in {}.", path.display());
    }
    Ok(())
}

/// Compiles, runs, verifies, times and prints one example; the picture that it wrote.
fn run(example: &Example, compiler: &Compiler, limits: &Limits) -> Result<Option<PathBuf>> {
    print!("{:<41}", example.title);
    std::io::stdout().flush()?;
    let (def, sizes) = definition(example)?;
    let kernel = compiler.definition(def.clone());
    let variant = kernel.prepare_sizes(&sizes)?;
    let inputs = inputs(example, &def, &sizes)?;
    let views: Vec<&dyn AsTensor> = inputs.iter().map(|(_, tensor)| tensor as &dyn AsTensor).collect();
    let mut outputs = kernel.call_all(&views)?;

    let judge = Judge::of(&def, false);
    let reference = Reference::evaluate(&def, &sizes, named(&inputs), judge)?;
    let names = def.outputs().map(|output| output.name.as_str());
    let agreement = reference.check(names.zip(&outputs))?;

    let mut targets: Vec<&mut dyn AsTensorMut> =
        outputs.iter_mut().map(|tensor| tensor as &mut dyn AsTensorMut).collect();
    let times = timing::time(None, || Ok(()), || kernel.run(&views, &mut targets))?;
    let (work, seconds) = (cost(&def, &sizes), times.min.as_secs_f64());
    let (flops, bytes) = (work.flops / seconds / 1e9, work.bytes / seconds / 1e9);
    let bound_by_memory = work.bytes / limits.bytes() > work.flops / limits.f32_flops;
    let speed = if bound_by_memory { format!("{bytes:.1} GB/s") } else { format!("{flops:.1} GFLOP/s") };
    let fraction = limits.floor_seconds(work.dtype, work.flops, work.bytes) / seconds;
    println!(
        "{:>9}{:>10}{speed:>14}{:>8.0} %   {} elements verified",
        milliseconds(variant.compile_time),
        milliseconds(times.min),
        100.0 * fraction,
        agreement.elements
    );
    save(example, &def, &outputs)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").join("examples")
}

fn definition(example: &Example) -> Result<(Definition, Vec<i64>)> {
    let text = files::read_text(&examples().join(example.file), 1 << 20)?;
    let (defs, _) = tilewright::check(&Source::new(example.file.into(), text.into()))?;
    let def = tilewright::select(defs, None)?;
    let size = |name: &String| example.sizes.iter().find(|(known, _)| known == name).map(|(_, size)| *size);
    let sizes: Option<Vec<i64>> = def.sizes.iter().map(size).collect();
    Ok((def, sizes.ok_or("a size of the example is missing")?))
}

/// Random tensors, but for the picture.
fn inputs(example: &Example, def: &Definition, sizes: &[i64]) -> Result<Vec<(String, Tensor)>> {
    let random = Random::new(1, def, sizes)?;
    let input = |input: &frontend_tc::Tensor| {
        let name = input.name.clone();
        let tensor = match example.picture {
            Some((picture, _)) if picture == name => {
                let wanted = Wanted { name: picture, dtype: runtime_dtype(input.dtype), rank: input.extent.len() };
                files::read(&examples().join("lake.png"), &wanted)?
            }
            _ => random.argument(input)?,
        };
        Ok((name, tensor))
    };
    def.inputs().map(input).collect()
}

fn named(tensors: &[(String, Tensor)]) -> impl Iterator<Item = (&str, &Tensor)> {
    tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
}

/// Writes the output that is a picture into `target/demo`.
fn save(example: &Example, def: &Definition, outputs: &[Tensor]) -> Result<Option<PathBuf>> {
    let Some((_, picture)) = example.picture else { return Ok(None) };
    let at = def.outputs().position(|output| output.name == picture).ok_or("the example has no such output")?;
    let dir = examples().with_file_name("target").join("demo");
    files::create_dir(&dir)?;
    let path = dir.join("edges.png");
    files::write(&path, &outputs[at])?;
    Ok(Some(path))
}
