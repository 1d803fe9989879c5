//! PTX without a device: what is generated for the benchmark set assembles for its target, in registers alone.
//!
//! `ptxas` is taken from where `TILEWRIGHT_PTXAS` says, else from the path; `./x test` installs one. `TILEWRIGHT_TEST_FULL`
//! asks for every program on every device, at small sizes too.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use support::Gpu;
use tilewright::emit::{StageName, emit};
use tilewright::{Options, Source, check, host_target};

/// A program and its sizes.
struct Case {
    name: String,
    text: String,
    sizes: Vec<(String, i64)>,
}

/// What `ptxas` says of a kernel.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    kernel: String,
    registers: i64,
    /// Bytes of memory for what registers do not hold.
    stack: i64,
}

/// The assembler, if there is one; says so where there is none.
fn ptxas() -> Option<PathBuf> {
    let named = env::var_os("TILEWRIGHT_PTXAS").map(PathBuf::from);
    let ptxas = named.unwrap_or_else(|| "ptxas".into());
    let runs = Command::new(&ptxas).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if runs.is_ok_and(|status| status.success()) {
        return Some(ptxas);
    }
    // Not by a macro, whose output the test harness keeps to itself.
    let _ = std::io::stderr().write_all(b"no ptxas: skipped (./x setup --ptxas installs one)\n");
    None
}

/// The benchmark sets of processors and of devices, as far as they are TC.
fn benchmarks() -> Vec<Case> {
    ["workloads.toml", "gpu/workloads.toml"].into_iter().flat_map(benchmarks_of).collect()
}

fn benchmarks_of(list: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches");
    let list: toml::Table = std::fs::read_to_string(folder.join(list)).unwrap().parse().unwrap();
    let case = |workload: &toml::Value| {
        let kernel = workload["kernel"].as_str().unwrap();
        let text = std::fs::read_to_string(folder.join("kernels").join(format!("{kernel}.tc"))).ok()?;
        let sizes = workload["sizes"].as_table().unwrap();
        let sizes = sizes.iter().map(|(name, size)| (name.clone(), size.as_integer().unwrap())).collect();
        Some(Case { name: workload["name"].as_str().unwrap().into(), text, sizes })
    };
    list["workload"].as_array().unwrap().iter().filter_map(case).collect()
}

/// The kernels of a program for a device. A size that is not given is that of the program's own default.
fn kernels(case: &Case, device: &Gpu) -> String {
    scripted(case, device, None)
}

/// The same by a script.
fn scripted(case: &Case, device: &Gpu, script: Option<&str>) -> String {
    let (defs, _) = check(&Source::new(format!("{}.tc", case.name), case.text.as_str().into())).unwrap();
    let def = defs.last().unwrap();
    let size = |name: &String| case.sizes.iter().find(|(own, _)| own == name).map(|(_, size)| *size);
    let sizes: Vec<i64> = def.sizes.iter().map(|name| size(name).unwrap()).collect();
    let script = script.map(|script| script.parse().unwrap());
    let options = Options { device: Some(device.clone()), script, ..Options::new(host_target()) };
    emit(StageName::Ptx, def, Some(&sizes), &options).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// What the assembler makes of a text.
fn assembled(ptxas: &Path, device: &Gpu, text: &str) -> Result<Vec<Usage>, String> {
    let architecture = device.name.trim_start_matches("cuda:");
    let folder = tempfile::tempdir().unwrap();
    let (file, object) = (folder.path().join("kernels.ptx"), folder.path().join("kernels.cubin"));
    std::fs::write(&file, text).unwrap();
    let run =
        Command::new(ptxas).arg("-v").args(["-arch", architecture, "-o"]).args([&object, &file]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    if run.status.success() { Ok(usages(&said)) } else { Err(said) }
}

/// The kernels in what `ptxas -v` prints.
fn usages(said: &str) -> Vec<Usage> {
    let (mut all, mut kernel, mut stack) = (Vec::new(), String::new(), 0);
    for line in said.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let before = |word: &str| {
            let at = words.iter().position(|one| one.trim_end_matches(',') == word)?;
            words[at.checked_sub(1)?].parse().ok()
        };
        if line.contains("Compiling entry function") {
            kernel = line.split('\'').nth(1).unwrap_or_default().to_owned();
        } else if line.contains("stack frame") {
            stack = words.first().and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        } else if let Some(registers) = before("registers") {
            all.push(Usage { kernel: kernel.clone(), registers, stack });
        }
    }
    all
}

#[test]
fn what_the_assembler_says_is_understood() {
    let said = "ptxas info    : Compiling entry function 'tw_a_b' for 'sm_80'
ptxas info    : Function properties for tw_a_b
    64 bytes stack frame, 60 bytes spill stores, 60 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 376 bytes cmem[0]";
    assert_eq!(usages(said), [Usage { kernel: "tw_a_b".into(), registers: 255, stack: 64 }]);
}

#[test]
fn a_product_is_an_entry() {
    let case = benchmarks().into_iter().find(|case| case.name == "sgemm_256").unwrap();
    for (device, target, load) in [
        ("cuda:sm_70", ".target sm_70", "ld.global.nc."),
        ("cuda", ".target sm_80", "cp.async.cg.shared.global"),
        ("cuda:sm_90a", ".target sm_90a", "cp.async.cg.shared.global"),
    ] {
        let text = kernels(&case, &Gpu::named(device).unwrap());
        for part in [target, ".visible .entry tw_gemm", ".reqntid", load, "fma.rn.f32"] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        assert!(!text.contains(".func"), "{text}");
    }
}

#[test]
fn atomic_updates_and_strips_assemble() {
    let Some(ptxas) = ptxas() else { return };
    let script = "split O.update.m by 64 as O.update.mo O.update.mi\nreorder O.update.mo O.update.n O.update.mi\n\
                  bind O.update.mo to block.x atomically\nbind O.update.n to thread.x";
    let strips = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
    let sizes = |all: &[(&str, i64)]| all.iter().map(|(name, size)| (name.to_string(), *size)).collect::<Vec<_>>();
    for (at, device) in ["cuda:sm_70", "cuda:sm_80", "cuda:sm_90a"].into_iter().enumerate() {
        let device = Gpu::named(device).unwrap();
        let of_device = |(number, _): &(usize, (&str, &str))| number % 3 == at;
        let types = ["float", "double", "int32", "uint32", "int64", "uint64"];
        let reductions = types.iter().flat_map(|of| ["+", "*", "min", "max"].map(|op| (*of, op)));
        let mut texts = Vec::new();
        for (_, (of, op)) in reductions.enumerate().filter(of_device) {
            let text = format!("def c({of}(M,N) A) -> (O) {{ O(n) {op}=! A(m,n) }}");
            let case = Case { name: format!("{op} of {of}"), text, sizes: sizes(&[("M", 1000), ("N", 100)]) };
            let text = scripted(&case, &device, Some(script));
            assert!(text.contains("atom.global."), "{text}");
            texts.push((case.name, text));
        }
        let case =
            Case { name: "strips".into(), text: strips.into(), sizes: sizes(&[("M", 64), ("N", 64), ("K", 65536)]) };
        texts.push((case.name.clone(), kernels(&case, &device)));
        for (name, text) in texts {
            let usages = assembled(&ptxas, &device, &text).unwrap_or_else(|why| panic!("{name}: {why}\n{text}"));
            assert!(usages.len() == 2 && usages.iter().all(|usage| usage.stack == 0), "{name}: {usages:?}");
        }
    }
}

/// All threads of a block look for a place: in one kernel where there are rows enough, else in two.
#[test]
fn places_assemble_in_registers() {
    let Some(ptxas) = ptxas() else { return };
    let sizes = |all: &[(&str, i64)]| all.iter().map(|(name, size)| (name.to_string(), *size)).collect::<Vec<_>>();
    for of in ["float", "double", "int8", "int64"] {
        let rows = format!("def rows({of}(N,M) A) -> (K) {{ K(n) argmax=! A(n,m) }}");
        let all = format!("def all({of}(M) A) -> (K) {{ K argmin=! A(m) }}");
        for (text, sizes, kernels_of) in
            [(rows, sizes(&[("N", 2048), ("M", 8192)]), 1), (all, sizes(&[("M", 10_000_000)]), 2)]
        {
            let case = Case { name: of.into(), text, sizes };
            let device = Gpu::named("cuda:sm_90a").unwrap();
            let text = kernels(&case, &device);
            assert!(text.contains("shfl.sync.bfly"), "{text}");
            let usages = assembled(&ptxas, &device, &text).unwrap_or_else(|why| panic!("{of}: {why}\n{text}"));
            assert!(usages.len() == kernels_of && usages.iter().all(|usage| usage.stack == 0), "{of}: {usages:?}");
        }
    }
}

#[test]
fn the_benchmark_set_assembles_in_registers() {
    let Some(ptxas) = ptxas() else { return };
    let full = env::var_os("TILEWRIGHT_TEST_FULL").is_some();
    let devices = ["cuda:sm_70", "cuda:sm_80", "cuda:sm_90a"].map(|name| Gpu::named(name).unwrap());
    let cases = benchmarks();
    let each =
        |at: usize| (0..devices.len()).filter(move |device| full || *device == at % 3).map(move |device| (at, device));
    let jobs = Mutex::new((0..cases.len()).flat_map(each).collect::<Vec<_>>());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(4));
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, device)) = { jobs.lock().unwrap().pop() } {
                    let (case, device) = (&cases[at], &devices[device]);
                    match assembled(&ptxas, device, &kernels(case, device)) {
                        Ok(usages) if usages.iter().all(|usage| usage.stack == 0) => {}
                        other => wrong.lock().unwrap().push(format!("{} on {}: {other:?}", case.name, device.name)),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
