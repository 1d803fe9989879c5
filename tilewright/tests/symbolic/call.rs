//! One definition, compiled once and called with several sizes.

use polyhedral::eval::{self, Limits};
use polyhedral::{Role, Scop, isl};
use tilewright::random::Random;
use tilewright::verify::{Judge, Reference};
use tilewright::{AsTensor, AsTensorMut, Compiler, Definition, Kernel, Pool, Tensor, runtime_dtype};

use crate::memory;

/// More instances are not evaluated here.
const MAX_INSTANCES: u64 = 200_000;
/// Tensors are no larger.
const MAX_ELEMENTS: i64 = 1 << 16;

/// Calls the kernel for all sizes and the specialised ones, and compares both with the evaluator.
pub fn compare(def: &Definition, compiler: &Compiler) -> Result<(), String> {
    let open = compiler.clone().symbolic(true).definition(def.clone());
    let all = sizes(def);
    if all.is_empty() {
        return Err("no small sizes satisfy its conditions".into());
    }
    for (at, sizes) in all.iter().enumerate() {
        let shown = |error: String| {
            let values: Vec<String> =
                def.sizes.iter().zip(sizes).map(|(name, size)| format!("{name}={size}")).collect();
            format!("{}: {error}", values.join(","))
        };
        // What a specialised kernel computes is what other tests are about: here once for each definition.
        let special = (at + 1 == all.len()).then(|| compiler.definition(def.clone()));
        let kernels = [Some(&open), special.as_ref()].into_iter().flatten();
        agree(def, sizes, kernels, compiler.pool()).map_err(shown)?;
    }
    Ok(())
}

/// A few sizes that a call may have: with zeros and ones, small, and larger than tiles of registers.
pub fn sizes(def: &Definition) -> Vec<Vec<i64>> {
    let scop = frontend_tc::lower(def, &isl::Ctx::new()).expect("a checked definition");
    let mut rng = fastrand::Rng::with_seed(def.name.bytes().map(u64::from).sum());
    let mut chosen: Vec<Vec<i64>> = Vec::new();
    for (least, most) in [(0, 2), (1, 4), (3, 11), (17, 40), (30, 90)] {
        // Where all of one order are too many, some are smaller.
        let mut draw = |round: i64| {
            let one =
                |_| if rng.i64(0..64) < round { rng.i64(least.min(1)..=most.min(6)) } else { rng.i64(least..=most) };
            def.sizes.iter().map(one).collect::<Vec<i64>>()
        };
        let found = (0..400).map(|round| draw(round / 7)).find(|sizes| is_small(def, &scop, sizes));
        chosen.extend(found.filter(|sizes| !chosen.contains(sizes)));
    }
    chosen
}

/// Whether the sizes are right and the evaluator is done soon.
fn is_small(def: &Definition, scop: &Scop, sizes: &[i64]) -> bool {
    let is_few = def.tensors.iter().all(|tensor| {
        let elements = tensor.extent.iter().try_fold(1i64, |all, e| all.checked_mul(e.eval(&[], sizes)?.max(0)));
        elements.is_some_and(|elements| elements <= MAX_ELEMENTS)
    });
    let limits = Limits { instances: MAX_INSTANCES, bytes: 1 << 30 };
    is_few && def.check_sizes(sizes).is_empty() && eval::count(scop, sizes, limits).is_ok()
}

fn agree<'a>(
    def: &Definition,
    sizes: &[i64],
    kernels: impl Iterator<Item = &'a Kernel>,
    pool: &Pool,
) -> Result<(), String> {
    let text = |error: tilewright::Error| error.to_string();
    let random = Random::new(3, def, sizes).map_err(text)?;
    let inputs = def.inputs().map(|input| random.argument(input)).collect::<Result<Vec<Tensor>, _>>().map_err(text)?;
    let before = def.outputs().map(|output| contents(output, &random, sizes)).collect::<Result<Vec<_>, _>>()?;
    let given = def.inputs().map(|input| input.name.as_str()).zip(&inputs);
    let updated = def.outputs().zip(&before).filter(|(output, _)| output.role == Role::InOut);
    let given = given.chain(updated.map(|(output, tensor)| (output.name.as_str(), tensor)));
    let reference = Reference::evaluate(def, sizes, given, Judge::Wide);
    let names: Vec<(&str, i64)> = def.sizes.iter().map(String::as_str).zip(sizes.iter().copied()).collect();
    for (which, kernel) in ["for all sizes", "specialised"].iter().zip(kernels) {
        let mut outputs = before.clone();
        let views: Vec<&dyn AsTensor> = inputs.iter().map(|input| input as &dyn AsTensor).collect();
        let mut targets: Vec<&mut dyn AsTensorMut> =
            outputs.iter_mut().map(|output| output as &mut dyn AsTensorMut).collect();
        let ran = kernel.with_sizes(&names).and_then(|kernel| kernel.run(&views, &mut targets));
        match (&reference, ran) {
            (Ok(reference), Ok(())) => {
                let results = def.outputs().map(|output| output.name.as_str()).zip(&outputs);
                reference.check(results).map_err(|error| format!("{which}: {error}"))?;
                let variant = kernel.prepare_sizes(sizes).map_err(text)?;
                memory::run_guarded(&variant, &inputs, &before, pool);
            }
            (Err(_), Err(error)) if error.diagnostics()[0].code == "TC0911" => (),
            (Err(expected), ran) => return Err(format!("{which}: {ran:?}, and not {expected}")),
            (Ok(_), Err(error)) => return Err(format!("{which}: {error}")),
        }
    }
    Ok(())
}

/// What is in an output before the call.
pub fn contents(output: &frontend_tc::Tensor, random: &Random, sizes: &[i64]) -> Result<Tensor, String> {
    if output.role == Role::InOut {
        return random.argument(output).map_err(|error| error.to_string());
    }
    let shape: Vec<i64> = output.extent.iter().map(|extent| extent.eval(&[], sizes).unwrap_or(0)).collect();
    Tensor::zeros(runtime_dtype(output.dtype), &shape).map_err(|error| error.to_string())
}
