//! Packages: written, read, run, and refused when anything of them is damaged.

mod common;

use common::{ADD, SQUARES, object};
use proptest::prelude::*;
use runtime::device::{KernelEntry, Launch, Operand, Text};
use runtime::package::{Condition, HASH, MANIFEST, Machine, Parameter, Parts, VariantCode, VariantParts};
use runtime::plan::{Branch, Loop, OpenLaunch, OpenPart, Step};
use runtime::{
    Argument, CallError, DType, DeviceCode, Formula, OpenArgument, OpenCode, OpenDeviceCode, OpenPlan, OpenSignature,
    Package, PackageError, Plan, Pool, Role, Signature, Tensor, TensorView, TensorViewMut,
};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

fn formula(text: &str) -> Formula {
    text.parse().expect("a formula")
}

fn machine(features: &[&str]) -> Machine {
    Machine {
        triple: format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        cpu: "generic".into(),
        features: features.iter().map(|name| name.to_string()).collect(),
        scalable_bits: None,
    }
}

/// Of vectors: `C(i) = A(i) + B(i)`, or `B(i) = A(i) * A(i)` with a workspace.
fn code(source: &str, inputs: &[&str], output: &str, extent: &str, workspace: &str) -> OpenCode {
    let argument = |name: &str, role| OpenArgument {
        name: name.into(),
        dtype: DType::FLOAT32,
        role,
        shape: vec![formula(extent)],
        strides: vec![Some(Formula::Const(1))],
    };
    let mut arguments: Vec<OpenArgument> = inputs.iter().map(|name| argument(name, Role::Input)).collect();
    arguments.push(argument(output, Role::Output));
    let (parameters, workspace_bytes) = (vec![formula(extent)], formula(workspace));
    let signature = OpenSignature {
        name: "test".into(),
        arguments,
        parameters,
        workspace_bytes,
        checks: vec![],
        functions: Default::default(),
    };
    // SAFETY: the sources keep the ABI and stay inside the arguments that they ask for.
    unsafe { OpenCode::new(object(source), "entry", signature) }
}

fn parts(arguments: &[(&str, Role)]) -> Parts {
    let parameter = |(name, role): &(&str, Role)| Parameter {
        name: name.to_string(),
        dtype: DType::FLOAT32,
        role: *role,
        shape: vec![formula("N")],
        size: None,
    };
    Parts {
        version: "0.1.0".into(),
        definition: "squares".into(),
        sizes: vec!["N".into()],
        arguments: arguments.iter().map(parameter).collect(),
        conditions: vec![Condition {
            any: vec![formula("N - 2")],
            extents: vec![formula("N")],
            text: "2 <= N".into(),
            reason: "for the test".into(),
        }],
        program: "def squares(float(N) A) -> (B) { B(i) = A(i) * A(i) }\n".into(),
    }
}

fn named(name: &str, sizes: Option<i64>) -> VariantParts {
    VariantParts { name: name.into(), target: name.into(), sizes: sizes.map(|n| vec![n]), script: "# none\n".into() }
}

/// For any sizes, for 8, and for a device.
fn squares() -> Package {
    let mut package = Package::new(parts(&[("A", Role::Input), ("B", Role::Output)]));
    package.add_host(named("any", None), machine(&[]), &code(SQUARES, &["A"], "B", "N", "4*N"));
    package.add_host(named("eight", Some(8)), machine(&[]), &code(SQUARES, &["A"], "B", "8", "32"));
    package.add_device(named("gpu", Some(8)), &kernels().into(), None);
    package.add_device(named("gpu_any", None), &open_kernels(), None);
    package.add_file("squares.h".into(), b"/* for people */\n".to_vec());
    package
}

fn kernels() -> DeviceCode {
    let arguments = [("A", Role::Input), ("B", Role::Output)];
    let arguments = arguments.map(|(name, role)| Argument::dense(name, DType::FLOAT32, role, &[8])).to_vec();
    let name = "squares".to_string();
    let signature = Signature { name: name.clone(), arguments, sizes: vec![8], workspace_bytes: 0, checks: vec![] };
    let kernels = vec![KernelEntry { name, block: [8, 1, 1], shared_bytes: 0, dynamic_shared_bytes: 0 }];
    let operands = vec![Operand::Argument(0), Operand::Argument(1)];
    let launches = vec![Launch { kernel: 0, grid: [1; 3], operands }];
    let plan = Plan { signature, index_bits: 32, kernels, workspace: vec![], fault_words: 0, launches };
    let text =
        "kernel void squares(global float *A, global float *B) { int i = get_local_id(0); B[i] = A[i] * A[i]; }\n";
    // SAFETY: it is never launched.
    unsafe { DeviceCode::new(Text::OpenCl(text.into()), plan) }
}

/// Three temporaries, a loop that doubles its tile each second time and ends with a launch that may be empty.
fn open_kernels() -> OpenDeviceCode {
    let argument = |name: &str, role| OpenArgument {
        name: name.into(),
        dtype: DType::FLOAT32,
        role,
        shape: vec![formula("N")],
        strides: vec![Some(Formula::Const(1))],
    };
    let signature = OpenSignature {
        name: "squares".into(),
        arguments: vec![argument("A", Role::Input), argument("B", Role::Output)],
        parameters: vec![formula("N")],
        workspace_bytes: Formula::Const(0),
        checks: vec![],
        functions: Default::default(),
    };
    let kernels =
        vec![KernelEntry { name: "squares".into(), block: [64, 1, 1], shared_bytes: 0, dynamic_shared_bytes: 0 }];
    let launch = |blocks: &str, operands| {
        let grid = [formula(blocks), Formula::Const(1), Formula::Const(1)];
        Step::Launch(OpenLaunch { kernel: 0, grid, operands })
    };
    let with = |last| vec![Operand::Argument(0), Operand::Argument(1), Operand::Int(formula(last))];
    let odd = Branch {
        test: formula("-mod(t, 2)"),
        then: vec![launch("N - t", with("t"))],
        otherwise: vec![launch("2", with("mod(t, 2)"))],
    };
    let steps = Step::For(Loop {
        var: "t".into(),
        from: Formula::Const(0),
        to: formula("min(N, 5)"),
        step: Formula::Const(1),
        body: vec![Step::If(odd)],
    });
    let last = launch("floor(N/9)", vec![Operand::Workspace(1), Operand::Workspace(2), Operand::Int(formula("N"))]);
    let part = |slot, offset, bytes: &str| OpenPart { slot, offset, bytes: formula(bytes) };
    let plan = OpenPlan {
        signature,
        index_bits: 64,
        kernels,
        slots: vec![Formula::Const(1024), formula("max(8*N, 4)")],
        workspace: vec![part(0, 0, "4"), part(0, 512, "40"), part(1, 0, "8*N")],
        fault_words: 0,
        steps: vec![steps, last],
    };
    // SAFETY: it is never launched.
    unsafe { OpenDeviceCode::new(Text::OpenCl("kernel void squares() {}\n".into()), plan) }
}

/// The numbers of a plan are those of its formulas, whether it was written and read or not.
#[test]
fn plans_for_any_sizes_follow_from_the_sizes() {
    let read = load(written(&squares()).path()).expect("a package");
    let VariantCode::Device(code) = &read.manifest().variants[3].code else { panic!("kernels") };
    assert_eq!(&code.plan, open_kernels().plan());
    let at = |n: i64| code.plan.at(&|name| (name == "N").then_some(n)).expect("a plan");
    let shown = |n: i64| -> Vec<(u32, i64)> {
        let launches = at(n).launches;
        let last = |launch: &Launch| match launch.operands[2] {
            Operand::Int(value) => value,
            _ => panic!("a number"),
        };
        launches.iter().map(|launch| (launch.grid[0], last(launch))).collect()
    };
    assert_eq!(shown(3), [(3, 0), (2, 1), (1, 2)]);
    assert_eq!(shown(20), [(20, 0), (2, 1), (18, 2), (2, 1), (16, 4), (2, 20)]);
    assert_eq!(shown(0), []);
    let parts = |n: i64| at(n).workspace.iter().map(|part| (part.offset, part.bytes)).collect::<Vec<_>>();
    assert_eq!(parts(3), [(0, 4), (512, 40), (1024, 24)]);
    assert_eq!(parts(0), [(0, 4), (512, 40), (1024, 1)]);
    assert_eq!((at(3).workspace_bytes(), at(100).signature.workspace_bytes), (1048, 1824));
    assert_eq!(at(7).signature.arguments[1].shape, [7]);
    // The plan of one choice is the same with constants.
    let fixed = OpenPlan::from(at(20));
    assert_eq!(fixed.at(&|_| None), Ok(at(20)));
}

/// What a plan may not ask for, told before anything is launched.
#[test]
fn plans_that_go_nowhere_are_refused() {
    type Change = fn(&mut OpenPlan);
    fn each(plan: &mut OpenPlan) -> &mut Loop {
        match &mut plan.steps[0] {
            Step::For(each) => each,
            _ => panic!("a loop"),
        }
    }
    let wrong: [(&str, Change); 8] = [
        ("goes on by 0", |plan| each(plan).step = Formula::Const(0)),
        ("more than 1048576 launches", |plan| each(plan).to = Formula::Const(1 << 40)),
        ("more than 1048576 launches", |plan| {
            *each(plan) = Loop { to: Formula::Const(i64::MAX), body: vec![], ..each(plan).clone() }
        }),
        ("cannot be computed from the sizes: 9223372036854775807*N", |plan| {
            each(plan).to = formula("9223372036854775807*N")
        }),
        ("cannot be computed from the sizes: u", |plan| each(plan).to = formula("u")),
        ("larger than its slot", |plan| plan.slots[1] = formula("N")),
        ("more bytes than an address counts", |plan| plan.slots = vec![Formula::Const(1 << 62); 2]),
        ("the kernel `squares` has 3000000000000 blocks", |plan| each(plan).body = vec![plan_launch()]),
    ];
    fn plan_launch() -> Step {
        let grid = [formula("30000000000*N"), Formula::Const(1), Formula::Const(1)];
        Step::Launch(OpenLaunch { kernel: 0, grid, operands: vec![] })
    }
    for (said, change) in wrong {
        let mut plan = open_kernels().plan().clone();
        change(&mut plan);
        let error = plan.at(&|name| (name == "N").then_some(100)).expect_err(said).to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
    let mut deep = open_kernels().plan().clone();
    for at in 0..20 {
        let body = std::mem::take(&mut deep.steps);
        let (from, to, step) = (Formula::Const(0), Formula::Const(1), Formula::Const(1));
        deep.steps = vec![Step::For(Loop { var: format!("v{at}"), from, to, step, body })];
    }
    assert!(deep.check().expect_err("too deep").to_string().contains("nested too deeply"));
}

fn load(folder: &Path) -> Result<Package, PackageError> {
    // SAFETY: what the tests damage is not called.
    unsafe { Package::load(folder) }
}

fn written(package: &Package) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    package.write(folder.path()).expect("it is written");
    folder
}

fn run(package: &Package, n: i64) -> Result<Vec<f32>, PackageError> {
    let kernel = package.kernel(&[("N", n)])?;
    let a: Vec<f32> = (0..n).map(|at| at as f32).collect();
    let mut b = vec![0.0; n as usize];
    let (a, mut out) = (TensorView::new(&a, &[n]).unwrap(), [TensorViewMut::new(&mut b, &[n]).unwrap()]);
    kernel.run(&[a], &mut out, &Pool::single()).expect("it runs");
    Ok(b)
}

#[test]
fn what_is_written_is_read_and_runs() {
    let package = squares();
    let read = load(written(&package).path()).expect("a package");
    assert_eq!(read.manifest(), package.manifest());
    for n in [2, 8, 9, 1000, 0] {
        assert_eq!(run(&read, n).expect("code"), (0..n).map(|at| (at * at) as f32).collect::<Vec<_>>(), "{n}");
    }
    let taken = |n| read.host_code(&[n]).map(|(at, code)| (at, code.signature().workspace_bytes)).expect("code");
    assert_eq!((taken(8), taken(9)), ((1, 32), (0, 36)));
    // What every other tool reads: the format of `sha256sum`.
    let folder = written(&package);
    let line = fs::read_to_string(folder.path().join(HASH)).expect("text");
    assert_eq!(line, format!("{}  {MANIFEST}\n", hash(&fs::read(folder.path().join(MANIFEST)).expect("bytes"))));
}

/// A folder that is written again holds the new package, and what is no package's.
#[test]
fn no_file_of_a_package_before_stays() {
    let (old, folder) = (squares(), tempfile::tempdir().expect("a folder"));
    old.write(folder.path()).expect("it is written");
    fs::write(folder.path().join("notes.txt"), "mine").expect("a file");
    let new = Package::new(parts(&[("A", Role::Input), ("B", Role::Output)]));
    new.write(folder.path()).expect("it is written");
    let mut found: Vec<String> = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("text"))
        .collect();
    let mut expected: Vec<String> = new.contents().into_iter().map(|(name, _)| name).collect();
    expected.push("notes.txt".into());
    assert!(old.contents().len() > new.contents().len());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// A manifest that names files elsewhere removes none.
#[test]
fn nothing_outside_of_the_folder_is_removed() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("package");
    squares().write(&folder).expect("it is written");
    let kept = outer.path().join("kept.o");
    fs::write(&kept, "mine").expect("a file");
    let text = fs::read_to_string(folder.join("package.json")).expect("text");
    let first = squares().contents()[0].0.clone();
    for name in ["../kept.o".to_string(), kept.display().to_string()] {
        fs::write(folder.join("package.json"), text.replace(&first, &name)).expect("a file");
        squares().write(&folder).expect("it is written");
        assert!(kept.exists(), "{name}");
    }
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    let package = squares();
    let refused = |sizes: &[(&str, i64)]| package.kernel(sizes).expect_err("refused").to_string();
    assert_eq!(refused(&[("N", 1)]), "these sizes break the condition 2 <= N: N = 1 (for the test)");
    assert_eq!(refused(&[("N", -1)]), "the size `N` = -1 is negative");
    assert_eq!(refused(&[("N", 1 << 50)]), "the size `N` = 1125899906842624 is larger than any loop counts to");
    assert_eq!(refused(&[]), "the size `N` is not given");
    assert_eq!(refused(&[("N", 3), ("M", 3)]), "`squares` has no size `M`: it has N");
    assert_eq!(refused(&[("N", 3), ("N", 4)]), "the size `N` is given twice");
    // What is wrong with tensors is said as of any kernel.
    let kernel = package.kernel(&[("N", 4)]).expect("code");
    let (a, mut b) = (Tensor::zeros(DType::FLOAT32, &[4]).unwrap(), Tensor::zeros(DType::FLOAT32, &[5]).unwrap());
    let error = kernel.run(&[a.view()], &mut [b.view_mut()], &Pool::single()).expect_err("too long");
    assert!(matches!(error, CallError::WrongExtent { expected: 4, found: 5, .. }), "{error}");
}

#[test]
fn code_for_other_machines_is_refused_with_the_reason() {
    let mut package = Package::new(parts(&[("A", Role::Input), ("B", Role::Output)]));
    let of = code(SQUARES, &["A"], "B", "N", "4*N");
    let other = Machine { triple: "riscv64-unknown-linux-gnu".into(), ..machine(&[]) };
    package.add_host(named("foreign", None), other, &of);
    package.add_host(named("quantum", None), machine(&["quantum"]), &of);
    package.add_device(named("gpu", Some(8)), &kernels().into(), None);
    let error =
        load(written(&package).path()).expect("it is whole").kernel(&[("N", 9)]).expect_err("refused").to_string();
    for said in [
        "the package of `squares` has no code for this machine's processor and N = 9",
        "foreign (foreign): it is for riscv64, and this process runs on",
        "quantum (quantum): it needs quantum, and whether this machine has that cannot be told",
        "gpu (gpu): it is for a device",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
}

/// Of code that the machine runs, that which needs most: whatever comes first in the package.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_most_demanding_code_that_runs_is_taken() {
    for order in [["plain", "sse"], ["sse", "plain"]] {
        let mut package = Package::new(parts(&[("A", Role::Input), ("B", Role::Output)]));
        for name in order {
            let features: &[&str] = if name == "sse" { &["sse3"] } else { &[] };
            package.add_host(named(name, None), machine(features), &code(SQUARES, &["A"], "B", "N", "4*N"));
        }
        let (at, _) = package.host_code(&[5]).expect("code");
        let expected = if is_x86_feature_detected!("sse3") { "sse" } else { "plain" };
        assert_eq!(package.manifest().variants[at].name, expected);
    }
}

/// Every file with one byte changed, cut off anywhere, taken away, or another's.
#[test]
fn a_damaged_package_is_refused() {
    let folder = written(&squares());
    let names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 12, "{names:?}");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for name in &names {
        let path = folder.path().join(name);
        let good = fs::read(&path).unwrap();
        let refuse = |bytes: &[u8], how: &str| {
            fs::write(&path, bytes).unwrap();
            let error = load(folder.path()).err().unwrap_or_else(|| panic!("{name} {how} was taken"));
            assert!(!error.to_string().is_empty());
        };
        for _ in 0..100 {
            let (at, bit) = (next(good.len()), next(8));
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            refuse(&bad, &format!("with bit {bit} of byte {at} changed"));
            refuse(&good[..at], &format!("cut off at {at}"));
        }
        refuse(&[], "empty");
        refuse(&[&good[..], b"\n"].concat(), "with a byte more");
        fs::remove_file(&path).unwrap();
        let missing = load(folder.path()).expect_err("it is missing").to_string();
        assert!(missing.contains(name.as_str()), "{missing}");
        fs::write(&path, &good).unwrap();
    }
    load(folder.path()).expect("it is whole again");
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a manifest with the hash that belongs to it.
fn rewrite(folder: &Path, manifest: &str) {
    fs::write(folder.join(MANIFEST), manifest).unwrap();
    fs::write(folder.join(HASH), format!("{}  {MANIFEST}\n", hash(manifest.as_bytes()))).unwrap();
}

#[test]
fn a_manifest_that_makes_no_sense_is_refused() {
    let folder = written(&squares());
    let json = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
    for (from, to, said) in [
        ("\"format\": 3", "\"format\": 4", "it has the format 4 (compiler 0.1.0), and this version reads 3"),
        ("\"format\": 3", "\"format\": 2", "it has the format 2"),
        ("\"squares.h\"", "\"../squares.h\"", "it is not in the folder"),
        ("\"squares.h\"", "\"..\"", "it is not in the folder"),
        ("\"squares.h\"", "\"/etc/passwd\"", "it is not in the folder"),
        ("\"kernel\": 0", "\"kernel\": 9", "a launch names what there is not"),
        ("\"float32\"", "\"float33\"", "no element type is called `float33`"),
        ("\"plan\"", "\"plans\"", "missing field `plan`"),
        ("\"steps\"", "\"launches\"", "missing field `steps`"),
        ("\"for\"", "\"while\"", "is not `launch`, `for` or `if`"),
        ("\"if\"", "\"unless\"", "is not `launch`, `for` or `if`"),
        ("\"var\": \"t\"", "\"var\": \"u\"", "a formula names the size `t`, which there is not"),
        ("\"N - 1*t\"", "\"N - 1*M\"", "a formula names the size `M`, which there is not"),
        ("\"mod(t, 2)\"", "\"mod(t, 0)\"", "the divisor 0 is less than 1"),
        ("\"8*N\"", "\"8*M\"", "a formula names the size `M`, which there is not"),
        ("\"8*N\"", "\"8*\"", "it ends too early"),
        ("\"slot\": 1", "\"slot\": 2", "a part of the workspace is in no slot or not aligned"),
        ("\"offset\": 512", "\"offset\": 8", "a part of the workspace is in no slot or not aligned"),
        ("\"workspace\": 1\n", "\"workspace\": 7\n", "a launch names what there is not"),
        ("\"argument\": 1", "\"argument\": 2", "a launch names what there is not"),
        ("\"argument\": 1", "\"tensor\": 1", "is not an operand"),
        ("\"index_bits\": 64", "\"index_bits\": 16", "integers of 16 bits"),
        ("\"4*N\"", "\"4*M\"", "a formula names the size `M`, which there is not"),
        ("\"4*N\"", "\"4*\"", "it ends too early"),
        ("\"name\": \"any\"", "\"name\": \"eight\"", "two variants have one name"),
        ("\"alignment\": 64", "\"alignment\": 96", "a workspace aligned to 96 bytes"),
        ("\"program\": \"squares.tc\"", "\"program\": \"squares.TC\"", "`squares.TC` has no SHA-256"),
        ("\"N\": 8", "\"M\": 8", "its sizes are not those of the definition"),
    ] {
        assert!(json.contains(from), "{from}");
        rewrite(folder.path(), &json.replace(from, to));
        let error = load(folder.path()).expect_err("refused").to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A manifest that somebody has changed, hash and all, and an object that is damaged but has its hash: an error or a package,
    /// and never a crash. What is loaded of it is not called.
    #[test]
    fn damage_that_the_hashes_do_not_show_never_crashes(at in 0.0..1.0f64, byte in any::<u8>(), of_object: bool) {
        thread_local! {
            static PACKAGE: (tempfile::TempDir, String, Vec<u8>) = {
                let folder = written(&squares());
                let json = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
                let object = fs::read(folder.path().join("squares__any.o")).unwrap();
                (folder, json, object)
            };
        }
        PACKAGE.with(|(folder, json, object)| {
            let folder = folder.path();
            if of_object {
                let mut bad = object.clone();
                let place = (at * bad.len() as f64) as usize;
                bad[place] = byte;
                fs::write(folder.join("squares__any.o"), &bad).unwrap();
                rewrite(folder, &json.replace(&hash(object), &hash(&bad)));
            } else {
                let mut bad = json.clone().into_bytes();
                let place = (at * bad.len() as f64) as usize;
                bad[place] = byte & 0x7f;
                rewrite(folder, &String::from_utf8(bad).unwrap());
            }
            if let Ok(package) = load(folder) {
                for n in [8, 9] {
                    let _ = package.kernel(&[("N", n)]);
                }
            }
            fs::write(folder.join("squares__any.o"), object).unwrap();
            rewrite(folder, json);
        });
    }
}

#[test]
fn sizes_of_several_arguments_come_from_formulas() {
    let mut package = Package::new(parts(&[("A", Role::Input), ("B", Role::Input), ("C", Role::Output)]));
    package.add_host(named("any", None), machine(&[]), &code(ADD, &["A", "B"], "C", "N", "0"));
    let kernel = package.kernel(&[("N", 3)]).expect("code");
    let (a, mut c) = ([1.0f32, 2.0, 3.0], [0.0f32; 3]);
    let view = || TensorView::new(&a, &[3]).unwrap();
    kernel.run(&[view(), view()], &mut [TensorViewMut::new(&mut c, &[3]).unwrap()], &Pool::single()).expect("it runs");
    assert_eq!(c, [2.0, 4.0, 6.0]);
}
