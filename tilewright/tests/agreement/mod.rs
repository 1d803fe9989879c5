//! Whether a definition computes what the reference evaluator does.

use frontend_tc::Kernel;
use polyhedral::Role;
use tilewright::random::Random;
use tilewright::verify::{Judge, Reference};
use tilewright::{AsTensor, AsTensorMut, Compiler, Tensor, runtime_dtype};

/// Small sizes that a call may have.
pub fn sizes(def: &Kernel) -> Option<Vec<i64>> {
    let mut rng = fastrand::Rng::with_seed(7);
    let fits = |sizes: &Vec<i64>| {
        let filled = def.tensors.iter().all(|tensor| {
            let elements: Option<i64> =
                tensor.extent.iter().try_fold(1i64, |all, e| all.checked_mul(e.eval(&[], sizes)?));
            // Where all sizes are numbers there is no choice.
            let most = if def.sizes.is_empty() { 1 << 26 } else { 1 << 16 };
            elements.is_some_and(|elements| (1..=most).contains(&elements))
        });
        filled && def.check_sizes(sizes).is_empty()
    };
    (0..20_000).map(|round| def.sizes.iter().map(|_| rng.i64(1..3 + round / 1000)).collect()).find(fits)
}

/// Runs it for small sizes, on one thread and on two, and compares with the evaluator.
pub fn runs(def: &Kernel) -> Result<(), String> {
    let sizes = sizes(def).ok_or("no small sizes satisfy its conditions")?;
    runs_on(&[1, 2].map(|threads| Compiler::host().threads(threads)), def, &sizes)
}

/// Runs it for these sizes with each of the compilers, and compares with the evaluator.
pub fn runs_on(compilers: &[Compiler], def: &Kernel, sizes: &[i64]) -> Result<(), String> {
    let values: Vec<String> = def.sizes.iter().zip(sizes).map(|(name, size)| format!("{name}={size}")).collect();
    let shown = |what: &str, error: tilewright::Error| format!("{what} for {}: {error}", values.join(","));
    let random = Random::new(3, def, sizes).map_err(|error| shown("no inputs", error))?;
    let inputs: Result<Vec<Tensor>, _> = def.inputs().map(|input| random.argument(input)).collect();
    let inputs = inputs.map_err(|error| shown("no inputs", error))?;
    let before: Result<Vec<Tensor>, String> = def.outputs().map(|output| contents(output, &random, sizes)).collect();
    let before = before?;
    let given = def.inputs().map(|input| input.name.as_str()).zip(&inputs);
    let updated = def.outputs().zip(&before).filter(|(output, _)| output.role == Role::InOut);
    let given = given.chain(updated.map(|(output, tensor)| (output.name.as_str(), tensor)));
    let reference =
        Reference::evaluate(def, sizes, given, Judge::Wide).map_err(|error| shown("not evaluated", error))?;
    let names: Vec<(&str, i64)> = def.sizes.iter().map(String::as_str).zip(sizes.iter().copied()).collect();
    for compiler in compilers {
        let mut outputs = before.clone();
        let kernel = compiler.definition(def.clone());
        let kernel = kernel.with_sizes(&names).map_err(|error| shown("sizes", error))?;
        let inputs: Vec<&dyn AsTensor> = inputs.iter().map(|input| input as &dyn AsTensor).collect();
        let mut targets: Vec<&mut dyn AsTensorMut> =
            outputs.iter_mut().map(|output| output as &mut dyn AsTensorMut).collect();
        kernel.run(&inputs, &mut targets).map_err(|error| shown("does not run", error))?;
        let results = def.outputs().map(|output| output.name.as_str()).zip(&outputs);
        reference.check(results).map_err(|error| shown("wrong", error))?;
    }
    Ok(())
}

/// What is in an output before the call.
fn contents(output: &frontend_tc::Tensor, random: &Random, sizes: &[i64]) -> Result<Tensor, String> {
    if output.role == Role::InOut {
        return random.argument(output).map_err(|error| error.to_string());
    }
    let shape: Vec<i64> = output.extent.iter().map(|extent| extent.eval(&[], sizes).unwrap_or(0)).collect();
    Tensor::zeros(runtime_dtype(output.dtype), &shape).map_err(|error| error.to_string())
}
