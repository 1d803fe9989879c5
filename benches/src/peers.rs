//! What a user would pick instead: libraries and compilers, each in a process of its own. One that is not installed is
//! missing from the table, and said to be.

use std::path::PathBuf;
use std::process::Command;

use tilewright::DType;

use crate::case::{Case, run};
use crate::worker::{Answer, Worker};
use crate::{Result, folder, peers_folder};

/// A contender that is not us.
pub struct Peer {
    /// How it prints.
    pub name: &'static str,
    kind: Kind,
    threads: usize,
    realtime: bool,
    worker: Option<Worker>,
}

/// How a peer is started.
#[derive(Clone, Copy)]
enum Kind {
    /// A library or compiler driven from Python, with what it needs in its environment.
    Python(&'static [(&'static str, &'static str)]),
    /// A library written in Rust.
    Rust,
    /// A C compiler that gets plain loops: the first of these commands that there is.
    C(&'static [&'static str]),
}

/// Every peer, by name.
const PEERS: &[(&str, Kind)] = &[
    ("numpy", Kind::Python(&[])),
    // OpenBLAS takes its AVX2 kernels on AMD unless told otherwise.
    ("numpy-avx512", Kind::Python(&[("OPENBLAS_CORETYPE", "SKYLAKEX")])),
    ("mkl", Kind::Python(&[])),
    ("jax", Kind::Python(&[])),
    ("torch", Kind::Python(&[])),
    ("inductor", Kind::Python(&[])),
    ("onnxruntime", Kind::Python(&[])),
    ("halide", Kind::Python(&[])),
    ("halide-auto", Kind::Python(&[])),
    ("gemm", Kind::Rust),
    ("matrixmultiply", Kind::Rust),
    ("gcc", Kind::C(&["gcc"])),
    ("clang", Kind::C(&["clang-19", "clang"])),
    // Debian's LLVM has it built in.
    ("polly", Kind::C(&["clang-19", "clang"])),
];

/// The names of all peers.
pub fn names() -> Vec<&'static str> {
    PEERS.iter().map(|(name, _)| *name).collect()
}

/// The names of those that are raced against unless some are named: without what is slow to compile, or of use elsewhere.
pub fn usual() -> Vec<&'static str> {
    let amd = std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("AuthenticAMD"));
    names()
        .into_iter()
        .filter(|&name| !["inductor", "polly"].contains(&name) && (amd || name != "numpy-avx512"))
        .collect()
}

/// The peers with these names that can be started here, and those that cannot, with the reason.
pub fn team(wanted: &[String], threads: usize, realtime: bool) -> (Vec<Peer>, Vec<String>) {
    let (mut team, mut missing) = (Vec::new(), Vec::new());
    for &(name, kind) in PEERS.iter().filter(|(name, _)| wanted.iter().any(|wanted| wanted == name)) {
        match available(name, kind) {
            Ok(()) => team.push(Peer { name, kind, threads, realtime, worker: None }),
            Err(reason) => missing.push(format!("{name}: {reason}")),
        }
    }
    (team, missing)
}

fn available(name: &str, kind: Kind) -> Result<()> {
    match kind {
        Kind::Python(_) => {
            let modules = match name {
                "numpy-avx512" => "numpy",
                "inductor" => "torch",
                "halide-auto" => "halide",
                "mkl" => "numpy mkl",
                "onnxruntime" => "onnx onnxruntime",
                other => other,
            };
            let python = python();
            if !python.exists() {
                return Err(format!("no {}", python.display()).into());
            }
            let mut command = Command::new(python);
            let check = "import sys; from importlib.metadata import version; list(map(version, sys.argv[1:]))";
            run(command.args(["-c", check]).args(modules.split(' '))).map_err(|_| "not installed".into())
        }
        Kind::Rust => rust_peers().map(|_| ()),
        Kind::C(_) => {
            let compiler = c_compiler(kind).ok_or("not installed")?;
            if name == "polly" {
                let mut command = Command::new(compiler);
                command.args(["-mllvm", "-polly", "-x", "c", "-c", "/dev/null", "-o", "/dev/null"]);
                run(&mut command).map_err(|_| "clang is built without it")?;
            }
            Ok(())
        }
    }
}

/// The Python of the environment that `TILEWRIGHT_PEERS` names, or of the one below `target`.
fn python() -> PathBuf {
    let environment = std::env::var_os("TILEWRIGHT_PEERS").map_or_else(|| peers_folder().join("venv"), PathBuf::from);
    environment.join("bin/python")
}

/// The program of the libraries in Rust, built where that has not been done.
fn rust_peers() -> Result<PathBuf> {
    let target = peers_folder().join("rust");
    let manifest = folder().join("peers/rust/Cargo.toml");
    run(Command::new("cargo")
        .args(["build", "--release", "-q", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target))?;
    Ok(target.join("release/rust-peers"))
}

fn c_compiler(kind: Kind) -> Option<&'static str> {
    let Kind::C(commands) = kind else { return None };
    commands.iter().copied().find(|command| Command::new(command).arg("--version").output().is_ok())
}

impl Peer {
    /// Makes it ready for a case. [`Answer::Done`] when it is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn prepare(&mut self, case: &Case) -> Result<Answer> {
        if let Kind::C(_) = self.kind {
            self.worker = Some(self.compiled(case)?);
            return Ok(Answer::Done);
        }
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.started()?,
        };
        let answer = worker.ask(&format!("prepare {}", case.folder().display()));
        if !matches!(answer, Answer::Error(_)) {
            self.worker = Some(worker);
        }
        Ok(answer)
    }

    /// Its results for the case that it is ready for.
    ///
    /// # Errors
    /// When it fails.
    pub fn results(&mut self, case: &Case) -> Result<Vec<Vec<f64>>> {
        match self.ask("results") {
            Answer::Done => case.results(self.name),
            Answer::Error(reason) => Err(reason.into()),
            other => Err(format!("{other:?} instead of results").into()),
        }
    }

    /// Times of up to `most` calls within `seconds`, in nanoseconds.
    ///
    /// # Errors
    /// When it fails.
    pub fn measure(&mut self, most: usize, seconds: f64) -> Result<Vec<u64>> {
        match self.ask(&format!("measure {most} {seconds}")) {
            Answer::Times(times) => Ok(times),
            Answer::Error(reason) => Err(reason.into()),
            other => Err(format!("{other:?} instead of times").into()),
        }
    }

    fn ask(&mut self, request: &str) -> Answer {
        match &mut self.worker {
            Some(worker) => worker.ask(request),
            None => Answer::Error("it is not running".into()),
        }
    }

    fn started(&self) -> Result<Worker> {
        let mut command = match self.kind {
            Kind::Python(environment) => {
                let mut command = Command::new(python());
                command.arg(folder().join("peers/worker.py")).envs(environment.iter().copied());
                command
            }
            _ => Command::new(rust_peers()?),
        };
        command.args([self.name, &self.threads.to_string()]);
        self.start(command)
    }

    fn compiled(&self, case: &Case) -> Result<Worker> {
        let compiler = c_compiler(self.kind).ok_or("not installed")?;
        let mut flags = vec!["-O3", "-ffast-math"];
        if case.signature.outputs.iter().any(|output| output.dtype == DType::F64) {
            flags.push("-Dreal=double");
        }
        if self.name != "gcc" {
            flags.push("-fveclib=libmvec");
        }
        if self.name == "polly" {
            flags.extend(["-mllvm", "-polly"]);
            // Its threads are its own: it does not know OpenMP's loops.
            if self.threads > 1 {
                flags.extend(["-mllvm", "-polly-parallel"]);
            }
        } else if self.threads > 1 {
            flags.push(if self.name == "clang" { "-fopenmp=libgomp" } else { "-fopenmp" });
        }
        // Loops that nobody marked.
        let parallel = format!("-ftree-parallelize-loops={}", self.threads);
        if self.name == "gcc" && self.threads > 1 && case.workload.built().is_some() {
            flags.push(&parallel);
        }
        let mut command = Command::new(case.compile_c(compiler, &flags, self.name)?);
        command.args(case.driver_arguments(self.name, None));
        self.start(command)
    }

    fn start(&self, mut command: Command) -> Result<Worker> {
        for threads in
            ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "HL_NUM_THREADS", "MATMUL_NUM_THREADS"]
        {
            command.env(threads, self.threads.to_string());
        }
        // Freed memory is kept: libraries that allocate their results would pay for fresh pages in every call.
        command.env(
            "GLIBC_TUNABLES",
            "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184",
        );
        command.envs([("JAX_PLATFORMS", "cpu"), ("CUDA_VISIBLE_DEVICES", ""), ("TF_CPP_MIN_LOG_LEVEL", "3")]);
        if self.threads == 1 {
            command.env("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false");
        }
        Worker::start(command, self.name, self.realtime)
    }
}
