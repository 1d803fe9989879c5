//! Kernels that were compiled before: found, the same, and never wrong, whatever happens to the folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tilewright::builder::Program;
use tilewright::{AsTensor, Compiler, DType, Kernel, KernelCache, Tensor, TensorView, Variant};

const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";

/// A sum, a temporary in memory, and a checked subscript.
const PICKED: &str = "def picked(float(N,M) A, int32(K) I) -> (Out) {
    Sums(i) +=! A(i,j) where i in 0:N, j in 0:M
    Out(k) = Sums(I(k)) / 2
}";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    folder
}

fn compiler(folder: &Path) -> Compiler {
    Compiler::host().threads(1).cache(KernelCache::open(folder).expect("it is ours"))
}

/// Whole numbers that a type of any size holds, so that every order of a sum gives the same.
fn numbers(shape: &[i64], seed: i64) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|at| ((at * 7 + seed) % 11 - 5) as f32).collect();
    Tensor::from_slice(&values, shape).expect("as many as the shape has")
}

fn same(one: &Variant, other: &Variant) {
    assert_eq!(one.signature(), other.signature());
    assert_eq!(one.script.to_string(), other.script.to_string());
    assert_eq!((&one.remarks, &one.sizes), (&other.remarks, &other.sizes));
}

#[test]
fn what_was_compiled_is_found_and_is_the_same() {
    let folder = folder();
    let (a, b) = (numbers(&[13, 40], 1), numbers(&[40, 9], 2));
    for symbolic in [false, true] {
        let fresh = Compiler::host().threads(1).symbolic(symbolic).compile(MM).unwrap();
        let expected = fresh.call(&[&a, &b]).unwrap();
        let shapes: [&[i64]; 2] = [&[13, 40], &[40, 9]];
        for was_kept in [false, true] {
            let mm = compiler(folder.path()).symbolic(symbolic).compile(MM).unwrap();
            let variant = mm.prepare(&shapes).unwrap();
            assert_eq!(variant.was_kept, was_kept);
            same(&variant, &fresh.prepare(&shapes).unwrap());
            let found = mm.call(&[&a, &b]).unwrap();
            assert_eq!(found.as_slice::<f32>().unwrap(), expected.as_slice::<f32>().unwrap());
        }
        // For other sizes what is for any serves as well.
        let mm = compiler(folder.path()).symbolic(symbolic).compile(MM).unwrap();
        let other = mm.prepare(&[&[3, 5], &[5, 7]]).unwrap();
        assert_eq!(other.was_kept, symbolic);
        same(&other, &fresh.prepare(&[&[3, 5], &[5, 7]]).unwrap());
    }
}

#[test]
fn checks_and_workspaces_are_kept() {
    let folder = folder();
    let a = numbers(&[6, 50], 3);
    for was_kept in [false, true] {
        let picked = compiler(folder.path()).compile(PICKED).unwrap();
        assert_eq!(picked.prepare(&[&[6, 50], &[3]]).unwrap().was_kept, was_kept);
        let right = Tensor::from_slice(&[5, 0, 2], &[3]).unwrap();
        let plain = Compiler::host().threads(1).compile(PICKED).unwrap();
        let (found, expected) = (picked.call(&[&a, &right]).unwrap(), plain.call(&[&a, &right]).unwrap());
        assert_eq!(found.as_slice::<f32>().unwrap(), expected.as_slice::<f32>().unwrap());
        let wrong = Tensor::from_slice(&[5, 6, 2], &[3]).unwrap();
        let (found, expected) = (picked.call(&[&a, &wrong]).unwrap_err(), plain.call(&[&a, &wrong]).unwrap_err());
        assert_eq!(found.to_string(), expected.to_string());
        assert!(found.to_string().contains("TC0911"), "{found}");
    }
}

#[test]
fn code_for_other_strides_is_another_entry() {
    let folder = folder();
    let data: Vec<f32> = (0..80).map(|at| at as f32).collect();
    let view = TensorView::with_strides(&data, 0, &[4, 8], &[20, 2]).unwrap();
    let text = "def twice(float(M,N) A) -> (B) { B(i,j) = A(i,j) + A(i,j) }";
    for round in 0..2 {
        let twice = compiler(folder.path()).compile(text).unwrap();
        let b = twice.call(&[&view]).unwrap();
        assert_eq!(b.as_slice::<f32>().unwrap()[9], 2.0 * 22.0, "round {round}");
        let dense = view.to_dense().unwrap();
        assert_eq!(twice.call(&[&dense]).unwrap().as_slice::<f32>().unwrap()[9], 2.0 * 22.0);
    }
    assert_eq!(KernelCache::open(folder.path()).unwrap().size().unwrap().0, 2);
}

#[test]
fn programs_that_were_built_in_rust_are_kept() {
    let folder = folder();
    let floyd = Program::build("floyd", |p| {
        let n = p.size("N");
        let d = p.inout("D", DType::I64, [n, n]);
        p.each("k", 0, n, |k| {
            p.each("i", 0, n, |i| {
                p.each("j", 0, n, |j| {
                    p.set(d.at([i, j]), d.at([i, j]).min(d.at([i, k]) + d.at([k, j])));
                });
            });
        });
    })
    .unwrap();
    for was_kept in [false, true] {
        let kernel = compiler(folder.path()).compile_program(&floyd);
        assert_eq!(kernel.prepare_sizes(&[3]).unwrap().was_kept, was_kept);
        let mut d = Tensor::from_slice(&[0i64, 4, 9, 9, 0, 3, 2, 9, 0], &[3, 3]).unwrap();
        kernel.run(&[], &mut [&mut d]).unwrap();
        assert_eq!(d.as_slice::<i64>().unwrap(), [0, 4, 7, 5, 0, 3, 2, 6, 0]);
    }
}

#[test]
fn kernels_of_a_device_are_kept() {
    let Ok(device) = tilewright::open_device("opencl") else {
        eprintln!("there is no OpenCL here: not tested");
        return;
    };
    let folder = folder();
    let compiler = |symbolic| {
        let cache = KernelCache::open(folder.path()).unwrap();
        Compiler::for_device(&device).unwrap().symbolic(symbolic).cache(cache).compile(MM).unwrap()
    };
    let prepared = |symbolic, [m, k, n]: [i64; 3]| {
        let mm = compiler(symbolic);
        let (a, b) = (numbers(&[m, k], 1), numbers(&[k, n], 2));
        let was_kept = mm.prepare(&[&[m, k], &[k, n]]).unwrap().was_kept;
        let expected = Compiler::host().compile(MM).unwrap().call(&[&a, &b]).unwrap();
        let found = mm.call(&[&a, &b]).unwrap();
        assert_eq!(found.as_slice::<f32>().unwrap(), expected.as_slice::<f32>().unwrap(), "{symbolic} {m} {k} {n}");
        was_kept
    };
    for symbolic in [false, true] {
        assert!(!prepared(symbolic, [13, 40, 9]));
        assert!(prepared(symbolic, [13, 40, 9]));
        // For other sizes what is for any serves as well.
        assert_eq!(prepared(symbolic, [3, 5, 7]), symbolic);
    }
}

/// What cannot be kept is compiled all the same, and said.
#[test]
fn a_folder_that_cannot_be_written_leaves_a_remark() {
    let folder = folder();
    let compiler = compiler(folder.path());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let variant = compiler.compile(MM).unwrap().prepare(&[&[2, 3], &[3, 4]]).unwrap();
    let remark = variant.remarks.iter().find(|remark| remark.stage == "cache").expect("a remark");
    assert!(remark.why.contains("its mode is 777"), "{remark}");
}

#[test]
fn a_folder_of_others_is_refused() {
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o775)).unwrap();
    let error = KernelCache::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("TC0950") && error.contains("chmod 700"), "{error}");
    let error = KernelCache::open(Path::new("/proc/self/no/such")).unwrap_err().to_string();
    assert!(error.contains("TC0950") && error.contains("TILEWRIGHT_CACHE"), "{error}");
}

/// A kernel with its arguments and what it gives.
struct Case {
    text: &'static str,
    inputs: Vec<Tensor>,
    expected: Vec<f32>,
    symbolic: bool,
}

impl Case {
    fn all() -> Vec<Case> {
        let plain = |text, symbolic, inputs: Vec<Tensor>| {
            let kernel = Compiler::host().threads(1).symbolic(symbolic).compile(text).unwrap();
            let expected = called(&kernel, &inputs);
            Case { text, inputs, expected, symbolic }
        };
        let indices = Tensor::from_slice(&[5, 0, 2], &[3]).unwrap();
        vec![
            plain(MM, false, vec![numbers(&[13, 40], 1), numbers(&[40, 9], 2)]),
            plain(MM, true, vec![numbers(&[3, 17], 1), numbers(&[17, 20], 2)]),
            plain(PICKED, false, vec![numbers(&[6, 50], 3), indices]),
        ]
    }

    /// Runs it with a cache: whether it was kept.
    fn check(&self, folder: &Path) -> bool {
        let kernel = compiler(folder).symbolic(self.symbolic).compile(self.text).unwrap();
        assert_eq!(called(&kernel, &self.inputs), self.expected);
        let shapes: Vec<&[i64]> = self.inputs.iter().map(|input| input.shape()).collect();
        kernel.prepare(&shapes).unwrap().was_kept
    }
}

fn called(kernel: &Kernel, inputs: &[Tensor]) -> Vec<f32> {
    let inputs: Vec<&dyn AsTensor> = inputs.iter().map(|input| input as &dyn AsTensor).collect();
    kernel.call(&inputs).unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

/// A changed byte of any file: the kernel is compiled again, and its entry is whole. That a thousand are found is tested beside
/// the cache itself.
#[test]
fn what_is_damaged_is_compiled_again_and_replaced() {
    let folder = folder();
    let cases = Case::all();
    assert!(cases.iter().all(|case| !case.check(folder.path())));
    let mut all = Vec::new();
    files(folder.path(), &mut all);
    // Each entry: code, manifest, its hash, program, script, remarks, seal.
    assert_eq!(all.len(), 7 * cases.len(), "{all:?}");
    for (round, file) in all.iter().enumerate() {
        let mut bytes = fs::read(file).unwrap();
        match bytes.len() {
            0 => bytes.push(0),
            length => bytes[(round * 7919) % length] ^= 1 << (round % 8),
        }
        fs::write(file, &bytes).unwrap();
        let kept: Vec<bool> = cases.iter().map(|case| case.check(folder.path())).collect();
        assert_eq!(kept.iter().filter(|kept| !**kept).count(), 1, "{}", file.display());
        assert!(cases.iter().all(|case| case.check(folder.path())), "{}", file.display());
    }
}

/// Set in the processes that `processes_share_a_folder` starts: the folder.
const SHARED: &str = "TILEWRIGHT_TEST_CACHE";

/// What each of those processes does: nothing by itself.
#[test]
fn a_process_with_a_shared_folder() {
    let Some(folder) = std::env::var_os(SHARED) else { return };
    let cases = Case::all();
    for round in 0..6 {
        for case in &cases {
            case.check(Path::new(&folder));
        }
        if round == 2 {
            let cache = KernelCache::open(Path::new(&folder)).unwrap();
            // Another one may be removing the same entries.
            drop(cache.clear());
        }
    }
}

#[test]
fn processes_share_a_folder() {
    let folder = folder();
    let start = || {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "a_process_with_a_shared_folder"]).env(SHARED, folder.path());
        child.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(|_| start()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let left: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(left.iter().all(|name| name.len() == 64), "nothing is left half written: {left:?}");
    assert!(Case::all().iter().all(|case| case.check(folder.path()) || !case.check(folder.path())));
}
