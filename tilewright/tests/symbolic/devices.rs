//! The same as kernels of a device, run by the run time alone: each definition becomes a package for any sizes, which is written,
//! read again, and called with several sizes.

use polyhedral::Role;
use runtime::{Device, Package, PackageError, Stream, Tensor};
use tilewright::random::Random;
use tilewright::verify::{Judge, Reference};
use tilewright::{Choice, Compiler, Definition, Options, Source, package_for};

use crate::{PART, call, is_full, programs, random};

/// The first OpenCL device, and what its kernels are compiled with.
fn opencl() -> Option<(Device, Stream, Options)> {
    match Device::open("opencl") {
        Ok(device) => {
            let options = options(&Compiler::for_device(&device).expect("figures"));
            let stream = device.stream().expect("a stream");
            Some((device, stream, options))
        }
        Err(error) => {
            eprintln!("NOT TESTED: {error}");
            None
        }
    }
}

fn options(compiler: &Compiler) -> Options {
    Options { device: compiler.gpu().cloned(), ..Options::new(compiler.target().clone()) }
}

/// A package with kernels for any sizes, as it is read from its folder.
fn built(def: &Definition, options: &Options) -> Result<Package, String> {
    let source = Source::new("a.tc".into(), def.to_string().into());
    let text = |error: tilewright::Error| error.to_string();
    let make = || package_for(&[], def, &source, std::slice::from_ref(options), &[Choice::any()]).map_err(text);
    let package = make()?;
    if package.contents() != make()?.contents() {
        return Err("the same package has other bytes".into());
    }
    let folder = tempfile::tempdir().expect("a folder");
    package.write(folder.path()).map_err(|error| error.to_string())?;
    // SAFETY: it was written just now.
    unsafe { Package::load(folder.path()) }.map_err(|error| error.to_string())
}

/// Calls the package with several sizes, and compares with the evaluator.
fn agrees(def: &Definition, (device, stream, options): &(Device, Stream, Options)) -> Result<(), String> {
    let package = built(def, options)?;
    let all = call::sizes(def);
    if all.is_empty() {
        return Err("no small sizes satisfy its conditions".into());
    }
    for sizes in &all {
        called(def, &package, (device, stream), sizes).map_err(|error| format!("{sizes:?}: {error}"))?;
    }
    refused(def, &package, device)
}

fn called(
    def: &Definition,
    package: &Package,
    (device, stream): (&Device, &Stream),
    sizes: &[i64],
) -> Result<(), String> {
    let text = |error: tilewright::Error| error.to_string();
    let random = Random::new(3, def, sizes).map_err(text)?;
    let inputs = def.inputs().map(|input| random.argument(input)).collect::<Result<Vec<Tensor>, _>>().map_err(text)?;
    let mut outputs = def.outputs().map(|it| call::contents(it, &random, sizes)).collect::<Result<Vec<_>, _>>()?;
    let given = def.inputs().map(|input| input.name.as_str()).zip(&inputs);
    let updated = def.outputs().zip(&outputs).filter(|(output, _)| output.role == Role::InOut);
    let given = given.chain(updated.map(|(output, tensor)| (output.name.as_str(), tensor)));
    let reference = Reference::evaluate(def, sizes, given, Judge::Wide);
    let named: Vec<(&str, i64)> = def.sizes.iter().map(String::as_str).zip(sizes.iter().copied()).collect();
    let kernel = package.device_kernel(device, &named).map_err(|error| error.to_string())?;
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let ran = kernel.run(stream, &views, &mut outputs.iter_mut().map(Tensor::view_mut).collect::<Vec<_>>());
    match (reference, ran) {
        (Ok(reference), Ok(())) => {
            let results = def.outputs().map(|output| output.name.as_str()).zip(&outputs);
            reference.check(results).map(|_| ()).map_err(|error| error.to_string())
        }
        // A subscript that is data was out of range.
        (Err(_), Err(runtime::DeviceError::Call(runtime::CallError::IndexOutOfRange { .. }))) => Ok(()),
        (Err(expected), ran) => Err(format!("{ran:?}, and not {expected}")),
        (Ok(_), Err(error)) => Err(error.to_string()),
    }
}

/// Sizes that break a condition are refused before anything is launched, with the condition.
fn refused(def: &Definition, package: &Package, device: &Device) -> Result<(), String> {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..40 {
        let sizes: Vec<i64> = def.sizes.iter().map(|_| rng.i64(-1..9)).collect();
        let is_wrong = sizes.iter().any(|size| *size < 0) || !def.check_sizes(&sizes).is_empty();
        match (is_wrong, package.device_code(device, &sizes)) {
            (true, Err(PackageError::Sizes(_))) | (false, Ok(_)) => (),
            (true, Ok(_)) => return Err(format!("{sizes:?} are taken")),
            (_, Err(error)) => return Err(format!("{sizes:?}: {error}")),
        }
    }
    Ok(())
}

#[test]
fn kernels_of_a_package_for_any_sizes_compute_what_the_evaluator_does() {
    let Some(place) = opencl() else { return };
    let full = is_full();
    let only = std::env::var("TILEWRIGHT_TEST_ONLY").ok();
    let all = programs::all();
    let chosen = all.iter().enumerate().filter(|(at, (name, _))| match &only {
        Some(word) => name.contains(word.as_str()),
        None => full || at % (4 * PART) == 1,
    });
    let wrong: Vec<String> = chosen
        .filter_map(|(_, (name, def))| agrees(def, &place).err().map(|error| format!("{name}: {error}")))
        .collect();
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn so_do_those_of_programs_that_nobody_wrote() {
    let Some(place) = opencl() else { return };
    let all = random::definitions(if is_full() { 200 } else { 10 });
    let differ = |(text, def): &(String, _)| agrees(def, &place).err().map(|error| format!("{text}: {error}"));
    let wrong: Vec<String> = all.iter().filter_map(differ).collect();
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// The end of a loop is a choice where a step of a sum is peeled: text that once never ended.
#[test]
fn ends_of_loops_that_are_choices_hold_together() {
    let Some(place) = opencl() else { return };
    let text = "def half(float16(M, K) A, float16(K, N) B) -> (C) { C(m, n) +=! A(m, k) * B(k, n) }";
    let (defs, _) = tilewright::check(&Source::new("half.tc".into(), text.into())).expect("a definition");
    agrees(&defs[0], &place).unwrap_or_else(|error| panic!("{error}"));
}

/// Loops of the host whose bounds follow from sizes, with launches that are empty at their ends.
#[test]
fn the_host_has_loops_over_the_sizes_of_a_call() {
    let Some(place) = opencl() else { return };
    let text = "def heat(float(N) A, int64 T) -> (B) {
        B(i) = A(i) where i in 0:N
        for t in 0:T { C(i) = 0.25 * B(max(i - 1, 0)) + 0.5 * B(i) + 0.25 * B(min(i + 1, N - 1)) where i in 0:N
                       B(i) = C(i) where i in 0:N } }";
    let source = Source::new("heat.tc".into(), text.into());
    let (defs, _) = tilewright::check(&source).unwrap_or_else(|error| panic!("{error}"));
    agrees(&defs[0], &place).unwrap_or_else(|error| panic!("{error}"));
    let package = built(&defs[0], &place.2).expect("a package");
    let launches = |t| package.device_code(&place.0, &[100, t]).expect("a plan").plan().launches.len();
    assert!(
        launches(7) - launches(6) > 0 && launches(7) - launches(6) == launches(101) - launches(100),
        "one round each"
    );
    let error = package.device_code(&place.0, &[100, 1 << 40]).expect_err("nobody waits so long").to_string();
    assert_eq!(error, "there are more than 1048576 launches in one call");
    let built_once = [3, 50].map(|n| package.device_kernel(&place.0, &[("N", n), ("T", 2)]).expect("kernels"));
    assert_eq!(built_once[1].signature().arguments[0].shape, [50]);
}

/// A package for devices that are elsewhere: what goes into it for PTX has a plan for any sizes, too.
#[test]
fn definitions_have_kernels_for_any_sizes_of_cuda() {
    let options = Options { device: Some(support::Gpu::hopper()), ..Options::new(tilewright::host_target()) };
    for (_, (name, def)) in programs::all().iter().enumerate().filter(|(at, _)| is_full() || at % (12 * PART) == 2) {
        let package = built(def, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
        let runtime::package::VariantCode::Device(code) = &package.manifest().variants[0].code else {
            panic!("kernels")
        };
        for sizes in call::sizes(def) {
            code.plan
                .at(&package.manifest().values(&sizes))
                .unwrap_or_else(|error| panic!("{name}, {sizes:?}: {error}"));
        }
    }
}
