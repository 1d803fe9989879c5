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

fn tilewright(arguments: &[&str]) -> std::process::Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tilewright"));
    command.current_dir(root).args(arguments).output().expect("the command is there")
}

/// The names and bytes of a folder's files.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut files: Vec<_> = names
        .map(|name| (name.to_string_lossy().into_owned(), std::fs::read(folder.join(&name)).expect("a file")))
        .collect();
    files.sort();
    files
}

/// All kinds of variants, in two processes and two folders.
#[test]
fn the_same_package_is_the_same_bytes() {
    let folders = [(), ()].map(|()| {
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("package");
        let built = tilewright(&[
            "build",
            "examples/softmax.tc",
            "-s",
            "N=100",
            "--sizes",
            "M=3",
            "--sizes",
            "M=40",
            "--symbolic",
            "-t",
            "host,x86-64-v3,x86-64-v4,aarch64-neon,aarch64-sve,cuda:sm_80,cuda:sm_90a,opencl",
            "-o",
            output.to_str().expect("text"),
        ]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        (contents(&output), folder)
    });
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let [(first, _), (second, _)] = &folders;
    assert_eq!(names(first), names(second));
    for ((name, one), (_, other)) in first.iter().zip(second) {
        assert!(one == other, "{name} differs");
    }
    let count = |ending: &str| first.iter().filter(|(name, _)| name.ends_with(ending)).count();
    assert_eq!((count(".ptx"), count(".cl")), (6, 3));
    // Three choices for each of five processors; other objects are for those who link.
    assert!(count(".o") >= 15, "{:?}", names(first));
}

/// What is wrong with a command is said with a code and what to write.
#[test]
fn commands_that_cannot_be_done_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("package").display().to_string();
    for (arguments, said) in [
        (&["-t", "pentium", "--symbolic"][..], &["TC0937", "pentium"][..]),
        (&["-s", "M=1"], &["TC0933", "K, N"]),
        (&["-s", "M=1,N=1", "--sizes", "K=-1"], &["TC0931", "not negative"]),
        (&["-s", "M=1,N=1", "--sizes", "Q=1"], &["TC0930", "`Q`"]),
        (&["-s", "M=1,N=1,K=1", "--sizes", "K=1"], &["TC0932", "twice"]),
    ] {
        let built = tilewright(&[&["build", "examples/mm.tc", "-o", &output], arguments].concat());
        let error = String::from_utf8_lossy(&built.stderr).into_owned();
        assert_eq!(built.status.code(), Some(1), "{error}");
        assert!(said.iter().all(|said| error.contains(said)), "{said:?}: {error}");
    }
    assert!(!Path::new(&output).exists());
}

/// A package has the files that its program imports, so that it can be built again from its folder alone.
#[test]
fn a_program_is_kept_with_what_it_imports() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(path("lib")).expect("a folder");
    let root =
        "import \"lib/twice.tc\"\nimport \"std/nn.tc\"\ndef both(float(N) A) -> (B) { T = twice(A) B(i) = T(i) + 1 }";
    std::fs::write(path("both.tc"), root).expect("a file");
    std::fs::write(path("lib/twice.tc"), "def twice(float(N) A) -> (B) { B(i) = 2 * A(i) }").expect("a file");
    for (from, to) in [("both.tc", "one"), ("one/both.tc", "two")] {
        let built = tilewright(&["build", &path(from), "-d", "both", "-s", "N=9", "-o", &path(to)]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    let (one, two) = (loaded(&folder.path().join("one")), loaded(&folder.path().join("two")));
    assert_eq!(one.program().lines().next(), Some("import \"twice.tc\""));
    let files = |package: &Package| package.contents().into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let (one, two) = (files(&one), files(&two));
    let differ: Vec<&String> = one.keys().filter(|name| one.get(*name) != two.get(*name)).collect();
    assert!(differ.is_empty() && one.len() == two.len(), "{differ:?}");
}

/// PTX goes with what `ptxas` makes of it, where that is.
#[test]
fn kernels_for_cuda_are_assembled_where_ptxas_is() {
    let options = Options { device: tilewright::Gpu::named("cuda:sm_80"), ..Options::new(host_target()) };
    let package = reloaded(&built(MM, &[options], &[Choice::of(&[64, 64, 64])]));
    let VariantCode::Device(code) = &package.manifest().variants[0].code else { panic!("a device's") };
    let text = package.file(&code.text).expect("a file");
    assert!(String::from_utf8_lossy(text).contains(".target sm_80"));
    let ptxas = std::env::var_os("TILEWRIGHT_PTXAS").unwrap_or_else(|| "ptxas".into());
    let is_there =
        std::process::Command::new(ptxas).arg("--version").output().is_ok_and(|output| output.status.success());
    assert_eq!(code.cubin.is_some(), is_there);
    if let Some(cubin) = &code.cubin {
        assert!(package.file(cubin).expect("a file").starts_with(b"\x7fELF"));
    }
}

/// What a package computes from its formulas is what the compiler computes for the sizes of a call.
#[test]
fn signatures_for_any_sizes_are_those_of_the_compiler() {
    let softmax = include_str!("../../examples/softmax.tc");
    let stencil = "def stencil(float(N) A) -> (C) { B(i) = A(i) + A(i + 3) C(i) = B(i) * B(i + 1) }";
    let pool = "def pool(float(H,W) A) -> (B) { B(y,x) max=! A(2 * y + r, x) where r in 0:2 }";
    let lookup = "def lookup(float(E,D) T, int32(L) I) -> (O) { O(l,d) = T(I(l), d) }";
    let mut random = fastrand::Rng::with_seed(7);
    for text in [MM, softmax, stencil, pool, lookup] {
        let package = reloaded(&for_host(text, &[Choice::any()]));
        let compiled = tilewright::Compiler::host().symbolic(true).compile(text).expect("a program");
        let count = package.manifest().sizes.len();
        for _ in 0..20 {
            let sizes: Vec<i64> = (0..count).map(|_| random.i64(0..70)).collect();
            match (package.kernel_at(&sizes), compiled.prepare_sizes(&sizes)) {
                (Ok(kernel), Ok(variant)) => assert_eq!(kernel.signature(), variant.signature(), "{sizes:?}"),
                (Err(one), Err(other)) => println!("{sizes:?}: {one} / {other}"),
                (one, other) => panic!("{text} {sizes:?}: {one:?} {}", other.is_ok()),
            }
        }
    }
}
