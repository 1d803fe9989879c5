//! Packages: built, loaded, run, and refused.

use std::path::Path;

use runtime::package::{Package, VariantCode};
use runtime::{Kernel, Pool};
use tilewright::{Choice, Options, Source, Tensor, check, host_target, package, target_named};

const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";

/// Compiles the only definition of a text.
fn built(text: &str, targets: &[Options], choices: &[Choice]) -> Package {
    let source = Source::new("a.tc".into(), text.into());
    let (defs, _) = check(&source).expect("a program");
    package(&defs[0], &source, targets, choices).expect("a package")
}

fn for_host(text: &str, choices: &[Choice]) -> Package {
    built(text, &[Options::new(host_target())], choices)
}

/// The package as it is read from a folder.
fn reloaded(package: &Package) -> Package {
    let folder = tempfile::tempdir().expect("a folder");
    package.write(folder.path()).expect("it is written");
    loaded(folder.path())
}

fn loaded(folder: &Path) -> Package {
    // SAFETY: the tests write the folders.
    unsafe { Package::load(folder) }.expect("a package")
}

fn ramp(shape: &[i64], factor: f32) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|at| (at % 13) as f32 * factor - 1.0).collect();
    Tensor::from_slice(&values, shape).expect("it fits")
}

/// Runs a kernel of [`MM`] and compares it with the plain sum.
#[track_caller]
fn multiplies(kernel: &Kernel, [m, k, n]: [i64; 3]) {
    let (a, b) = (ramp(&[m, k], 0.5), ramp(&[k, n], 0.25));
    let mut c = Tensor::zeros(runtime::DType::FLOAT32, &[m, n]).expect("room");
    kernel.run(&[a.view(), b.view()], &mut [c.view_mut()], &Pool::with_threads(2).expect("threads")).expect("it runs");
    let (a, b) = (a.as_slice::<f32>().unwrap(), b.as_slice::<f32>().unwrap());
    let [m, k, n] = [m, k, n].map(|size| size as usize);
    for (at, found) in c.as_slice::<f32>().unwrap().iter().enumerate() {
        let expected: f32 = (0..k).map(|inner| a[at / n * k + inner] * b[inner * n + at % n]).sum();
        assert!((found - expected).abs() <= 1e-3 * expected.abs().max(1.0), "{m} {k} {n}: {found} {expected}");
    }
}

fn sizes([m, k, n]: [i64; 3]) -> [(&'static str, i64); 3] {
    [("M", m), ("K", k), ("N", n)]
}

#[test]
fn a_package_for_one_choice_of_sizes_runs_on_this_processor() {
    let package = reloaded(&for_host(MM, &[Choice::of(&[33, 7, 20])]));
    let manifest = package.manifest();
    assert_eq!((manifest.definition.as_str(), manifest.sizes.join(" ")), ("mm", "M K N".into()));
    assert_eq!(
        manifest.variants[0].sizes,
        Some(sizes([33, 7, 20]).map(|(name, at)| (name.into(), at)).into_iter().collect())
    );
    assert_eq!(package.program(), MM);
    multiplies(&package.kernel(&sizes([33, 7, 20])).expect("a kernel"), [33, 7, 20]);
    let error = package.kernel(&sizes([33, 7, 21])).expect_err("it is for others").to_string();
    assert!(error.contains("host__M33_K7_N20 (host): it is for other sizes"), "{error}");
}

#[test]
fn code_for_any_sizes_is_taken_where_there_is_none_for_these() {
    let package = reloaded(&for_host(MM, &[Choice::of(&[16, 16, 16]), Choice::any()]));
    for of in [[16, 16, 16], [1, 1, 1], [5, 70, 33], [64, 3, 1], [0, 4, 4], [4, 0, 4]] {
        multiplies(&package.kernel(&sizes(of)).expect("a kernel"), of);
    }
    let taken = |of: [i64; 3]| {
        let (at, _) = package.host_code(&of).expect("code");
        package.manifest().variants[at].name.clone()
    };
    assert_eq!((taken([16, 16, 16]), taken([16, 16, 17])), ("host__M16_K16_N16".into(), "host__open".into()));
}

#[test]
fn code_that_this_machine_lacks_instructions_for_is_never_taken() {
    let targets = ["x86-64-v3", "x86-64-v4", "aarch64-neon", "aarch64-sve"];
    let options = targets.map(|name| Options::new(target_named(name).expect("a target")));
    let package = reloaded(&built(MM, &options, &[Choice::of(&[8, 8, 8])]));
    for variant in &package.manifest().variants {
        let VariantCode::Host(code) = &variant.code else { panic!("a processor's") };
        println!("{} needs {}", variant.name, code.machine.features.join(" "));
    }
    let kernel = package.kernel(&sizes([8, 8, 8]));
    let (v4, v3, arm) = runs();
    match (&kernel, v4 || v3 || arm) {
        (Ok(kernel), true) => multiplies(kernel, [8, 8, 8]),
        (Err(error), false) => assert!(error.to_string().contains("needs") || error.to_string().contains("is for")),
        (other, _) => panic!("{other:?}"),
    }
    if v4 || v3 {
        let (at, _) = package.host_code(&[8, 8, 8]).expect("code");
        assert_eq!(package.manifest().variants[at].target, if v4 { "x86-64-v4" } else { "x86-64-v3" });
    }
    let arm = built(MM, &options[2..], &[Choice::of(&[8, 8, 8])]);
    if cfg!(target_arch = "x86_64") {
        let error = arm.kernel(&sizes([8, 8, 8])).expect_err("another processor's").to_string();
        assert!(error.contains("it is for aarch64, and this process runs on x86_64"), "{error}");
    }
}

/// Which levels this machine has: x86-64-v4, x86-64-v3, any of 64-bit Arm.
fn runs() -> (bool, bool, bool) {
    #[cfg(target_arch = "x86_64")]
    {
        let v3 =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("bmi2");
        let v4 = v3 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        (v4, v3, false)
    }
    #[cfg(not(target_arch = "x86_64"))]
    (false, false, cfg!(target_arch = "aarch64"))
}
