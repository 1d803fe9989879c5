//! A network of several LSTM layers over time, as a wavefront: what a layer computes of a step needs that layer's step before and the
//! layer below, so that the layers of a diagonal run at once. Compilers whose loops cannot lean (Halide, TVM) cannot say this.
//! `cargo run --release -p tilewright --example lstm`

use std::error::Error;
use std::time::Instant;

use tilewright::builder::{Builtin, Program, Value};
use tilewright::{Compiler, DType, Script, Tensor};

/// Diagonals of steps and layers one after another; on each, the layers on threads, and the units of a layer in lanes.
pub const WAVEFRONT: &str = "\
skew gates.init.layer by 1 of gates.init.step as diagonal
reorder gates.init.diagonal gates.init.step
parallel gates.init.step
vectorise gates.init.unit by 16 as uo uv
vectorise gates.update.unit by 16 as uo uv
unroll gates.update.uo by 8 as ub uu
vectorise gates.update.2.unit by 16 as uo uv
unroll gates.update.2.uo by 8 as ub uu
vectorise cell.2.unit by 16 as uo uv
vectorise state.3.unit by 16 as uo uv
";

/// The program: `x[T, H]` is what the lowest layer sees, `y[T, H]` what the highest one says; the gates are input, forget, cell
/// and output (Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; forget gates of Gers and others, 2000).
///
/// # Errors
/// None: the program is well formed.
pub fn program() -> tilewright::Result<Program> {
    Program::build("lstm", |p| {
        let [steps, layers, units] = ["T", "L", "H"].map(|name| p.size(name));
        let x = p.input("x", DType::F32, [steps, units]);
        let w = p.input("w", DType::F32, (layers, 4, units, units));
        let u = p.input("u", DType::F32, (layers, 4, units, units));
        let bias = p.input("bias", DType::F32, (layers, 4, units));
        let y = p.output("y", DType::F32, [steps, units]);
        // Layer 0 is the input, step 0 is before the first.
        let state = p.temporary("state", DType::F32, [layers + 1, steps + 1, units]);
        let cell = p.temporary("cell", DType::F32, [layers, units]);
        let gates = p.temporary("gates", DType::F32, (layers, 4, units));
        p.each("step", 0, steps, |step| {
            p.each("unit", 0, units, |unit| {
                p.set(state.at((0, step + 1, unit)), *x.at([step, unit]));
            })
        });
        p.each("layer", 0, layers, |layer| {
            p.each("unit", 0, units, |unit| {
                p.set(state.at((layer + 1, 0, unit)), p.constant(DType::F32, 0.0));
                p.set(cell.at([layer, unit]), p.constant(DType::F32, 0.0));
            })
        });
        p.each("step", 0, steps, |step| {
            p.each("layer", 0, layers, |layer| {
                p.each("gate", 0, 4, |gate| {
                    p.each("unit", 0, units, |unit| {
                        p.set(gates.at([layer, gate, unit]), *bias.at([layer, gate, unit]));
                    })
                });
                p.each("gate", 0, 4, |gate| {
                    p.each("unit", 0, units, |unit| {
                        p.each("k", 0, units, |k| {
                            p.add_to(
                                gates.at([layer, gate, unit]),
                                w.at([layer, gate, k, unit]) * state.at([layer, step + 1, k]),
                            );
                        })
                    })
                });
                p.each("gate", 0, 4, |gate| {
                    p.each("unit", 0, units, |unit| {
                        p.each("k", 0, units, |k| {
                            p.add_to(
                                gates.at([layer, gate, unit]),
                                u.at([layer, gate, k, unit]) * state.at([layer + 1, step, k]),
                            );
                        })
                    })
                });
                p.each("unit", 0, units, |unit| {
                    let gate = |at: i64| *gates.at((layer, at, unit));
                    let kept = sigmoid(gate(1)) * cell.at([layer, unit]);
                    p.set(cell.at([layer, unit]), kept + sigmoid(gate(0)) * gate(2).call(Builtin::Tanh));
                });
                p.each("unit", 0, units, |unit| {
                    let gate = *gates.at((layer, 3, unit));
                    let shown = sigmoid(gate) * cell.at([layer, unit]).call(Builtin::Tanh);
                    p.set(state.at([layer + 1, step + 1, unit]), shown);
                });
            })
        });
        p.each("step", 0, steps, |step| {
            p.each("unit", 0, units, |unit| {
                p.set(y.at([step, unit]), *state.at([layers, step + 1, unit]));
            })
        });
    })
}

fn sigmoid(v: Value<'_>) -> Value<'_> {
    1.0 / (1.0 + (-v).exp())
}

#[allow(dead_code)]
fn main() -> Result<(), Box<dyn Error>> {
    let lstm = program()?;
    println!("{lstm}");
    let (steps, layers, units) = (64, 4, 256);
    let random = |shape: &[i64], seed: i64| {
        let count: i64 = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|at| ((at * 7919 + seed) % 1999) as f32 / 8000.0 - 0.125).collect();
        Tensor::from_slice(&values, shape)
    };
    let given = [
        random(&[steps, units], 1)?,
        random(&[layers, 4, units, units], 2)?,
        random(&[layers, 4, units, units], 3)?,
        random(&[layers, 4, units], 4)?,
    ];
    let given = [&given[0] as _, &given[1] as _, &given[2] as _, &given[3] as _];
    let threads = std::thread::available_parallelism()?.get();
    let mut results: Vec<Tensor> = Vec::new();
    for (title, threads, script) in [
        ("as written", 1, Some("")),
        ("the automatic schedule", threads, None),
        ("as a wavefront", threads, Some(WAVEFRONT)),
    ] {
        let host = Compiler::host().threads(threads);
        let compiler = match script {
            Some(script) => host.script(script.parse::<Script>()?),
            None => host,
        };
        let kernel = compiler.compile_program(&lstm);
        let first = kernel.call(&given)?;
        let before = Instant::now();
        kernel.call(&given)?;
        println!("{title:24} {threads} threads {:8.2?}", before.elapsed());
        results.push(first);
    }
    for other in &results[1..] {
        let pairs = results[0].as_slice::<f32>()?.iter().zip(other.as_slice::<f32>()?);
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "the results are {worst} apart");
    }
    Ok(())
}
