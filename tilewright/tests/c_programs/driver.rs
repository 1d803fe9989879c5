//! One C program that calls many libraries with tensors of a file, and what it must write.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use runtime::math::{FUNCTIONS, call_f32, call_f64};
use runtime::package::Package;
use support::Target;
use tempfile::TempDir;
use tilewright::random::Random;
use tilewright::verify::{Judge, Reference};
use tilewright::{Choice, Definition, Source, Tensor, check, host_target, runtime_dtype};

use crate::{built, run};

/// Programs with what the random ones lack: a workspace, floats, a subscript that is data and may be wrong, an output that is
/// updated, a size that is a scalar's value, an extent that is a number.
pub const WITH_MORE: &[&str] = &[
    "def more0(float(M,N) X) -> (Y) { E(m,n) = exp(X(m,n)) Total(m) +=! E(m,n) Y(m,n) = E(m,n) / Total(m) }",
    "def more1(float(E,D) Table, int32(N) At) -> (O) { O(n,d) = Table(At(n),d) }",
    "def more2(float(E,D) Table, int32(N) At) -> (O) { O(n,d) = Table(At(n) + 2,d) }",
    "def more3(int32(N) A) -> (B) { B(i) += A(i) where i in 0:N }",
    "def more4(int32(N) A, int64 T) -> (B) { B(i) = A(i) + 1 where i in 0:T }",
    "def more5(int32(N, 4) A) -> (S) { S +=! A(i, j) * j }",
    "def more6(uint8(N) A, double(N) B) -> (C) { C(i) = double(A(i)) * B(i) }",
];

/// A call.
struct Case {
    name: String,
    def: Definition,
    sizes: Vec<i64>,
    inputs: Vec<Tensor>,
    /// What the outputs are before the call.
    before: Vec<Tensor>,
}

/// What C programs are compiled with and run on.
pub struct Machine {
    /// The command of the compiler, and what it is given beside the usual.
    pub compiler: &'static [&'static str],
    /// Commands that run a program; its path comes last.
    pub runners: Vec<Vec<&'static str>>,
    /// What the libraries have code for.
    pub targets: Vec<Target>,
}

impl Machine {
    /// This one.
    pub fn host() -> Machine {
        Machine { compiler: &["cc"], runners: vec![Vec::new()], targets: vec![host_target()] }
    }
}

/// Libraries, and calls of them.
pub struct Batch {
    machine: Machine,
    folder: TempDir,
    libraries: Vec<String>,
    cases: Vec<Case>,
    /// Sizes, good and bad, of a library, and whether a call may have them.
    sizes: Vec<(String, Vec<i64>, bool)>,
}

impl Batch {
    /// None yet.
    pub fn new(machine: Machine) -> Batch {
        let folder = tempfile::tempdir().expect("a folder");
        Batch { machine, folder, libraries: Vec::new(), cases: Vec::new(), sizes: Vec::new() }
    }

    /// A definition, for sizes of its own and for any, with a few calls.
    pub fn add(&mut self, text: &str) {
        let (defs, _) = check(&Source::new("a.tc".into(), text.into())).expect("a program");
        let def = &defs[0];
        let mut rng = fastrand::Rng::with_seed(def.name.bytes().map(u64::from).sum());
        let mut good: Vec<Vec<i64>> = Vec::new();
        let mut drawn = Vec::new();
        for round in 0..300 {
            let (least, most) = [(0, 2), (1, 6), (3, 30), (-2, 9)][round % 4];
            let sizes: Vec<i64> = def.sizes.iter().map(|_| rng.i64(least..=most)).collect();
            let is_good = sizes.iter().all(|size| *size >= 0) && def.check_sizes(&sizes).is_empty();
            if is_good && good.len() < 4 && !good.contains(&sizes) && (round > 12 || most < 30) {
                good.push(sizes.clone());
            }
            if round < 40 {
                drawn.push((def.name.clone(), sizes, is_good));
            }
        }
        let Some(own) = good.last() else { return };
        let package = built(text, &self.machine.targets, &[Choice::of(own), Choice::any()]);
        self.write(&package);
        for (_, sizes, is_good) in &drawn {
            assert_eq!(package.manifest().check_sizes(sizes).is_ok(), *is_good, "{text}: {sizes:?}");
        }
        self.sizes.extend(drawn);
        for sizes in good {
            let random = Random::new(3, def, &sizes).expect("random inputs");
            let inputs = def.inputs().map(|input| random.argument(input).expect("room")).collect();
            let before = def.outputs().map(|output| contents(output, &random, &sizes)).collect();
            let name = def.name.clone();
            self.cases.push(Case { name, def: def.clone(), sizes, inputs, before });
        }
    }

    fn write(&mut self, package: &Package) {
        package.write(self.folder.path()).expect("it is written");
        self.libraries.push(package.manifest().definition.clone());
    }

    /// Compiles the program, runs it and judges what it wrote: each call alone and with threads.
    pub fn check(&self) {
        let given: Vec<u8> = self.cases.iter().flat_map(Case::given).collect();
        for written in self.outcomes(&self.program(), &given) {
            self.judge(&written);
        }
        assert!(self.cases.len() >= 3 * self.libraries.len(), "hardly any sizes are right");
    }

    fn judge(&self, written: &[u8]) {
        let mut at = written;
        for (name, sizes, is_good) in &self.sizes {
            let status = number(&mut at);
            assert_eq!(status == 0, *is_good, "{name} with {sizes:?}: {status}");
        }
        for threads in ["alone", "with threads"] {
            for case in &self.cases {
                if let Err(why) = case.judge(&mut at) {
                    panic!("`{}` {:?} {threads}: {why}\n{}", case.name, case.sizes, case.def.def());
                }
            }
        }
        assert!(at.is_empty(), "{} bytes more than expected", at.len());
    }

    fn program(&self) -> String {
        let mut text = String::from("#include \"driver.h\"\n");
        for library in &self.libraries {
            let _ = writeln!(text, "#include \"{library}.h\"");
        }
        for (at, case) in self.cases.iter().enumerate() {
            text += &case.function(at);
        }
        text += "int main(void)\n{\n    size_t bytes;\n    begin();\n";
        for (name, sizes, _) in &self.sizes {
            let _ = writeln!(text, "    put_status({name}_workspace_bytes({}&bytes));", listed(sizes));
        }
        for call in ["alone", "threads"] {
            text += "    rewind(given);\n";
            for at in 0..self.cases.len() {
                let _ = writeln!(text, "    case_{at}(&{call});");
            }
        }
        text + "    return end();\n}\n"
    }

    /// Compiles a program with the libraries and runs it in each way: what it writes of what it is given.
    fn outcomes(&self, program: &str, given: &[u8]) -> Vec<Vec<u8>> {
        let folder = self.folder.path();
        for (name, bytes) in [("driver.h", HEADER.as_bytes()), ("main.c", program.as_bytes()), ("given", given)] {
            std::fs::write(folder.join(name), bytes).expect("it is written");
        }
        let mut compile = Command::new(self.machine.compiler[0]);
        compile.current_dir(folder).args(&self.machine.compiler[1..]);
        compile.args(["-std=c99", "-O0", "-Wall", "-Wextra", "-Wno-unused", "-Werror", "-pthread", "main.c"]);
        compile.args(self.libraries.iter().map(|library| format!("lib{library}.a"))).args(["-o", "main", "-lm"]);
        run(&mut compile);
        let outcome = |runner: &Vec<&str>| {
            let program = folder.join("main");
            let words = runner.iter().map(Path::new).chain([program.as_path()]).collect::<Vec<_>>();
            run(Command::new(words[0]).args(&words[1..]).current_dir(folder));
            std::fs::read(folder.join("written")).expect("it was written")
        };
        self.machine.runners.iter().map(outcome).collect()
    }
}

fn listed(sizes: &[i64]) -> String {
    sizes.iter().map(|size| format!("{size}, ")).collect()
}

fn number(at: &mut &[u8]) -> i32 {
    let (first, rest) = at.split_first_chunk::<4>().expect("four bytes");
    *at = rest;
    i32::from_ne_bytes(*first)
}

/// What is in an output before the call.
fn contents(output: &frontend_tc::Tensor, random: &Random, sizes: &[i64]) -> Tensor {
    if output.role == polyhedral::Role::InOut {
        return random.argument(output).expect("room");
    }
    let shape: Vec<i64> = output.extent.iter().map(|extent| extent.eval(&[], sizes).unwrap_or(0)).collect();
    Tensor::zeros(runtime_dtype(output.dtype), &shape).expect("room")
}

impl Case {
    /// The bytes of all tensors, in the order of the call.
    fn given(&self) -> Vec<u8> {
        self.inputs.iter().chain(&self.before).flat_map(|tensor| tensor.as_bytes().to_vec()).collect()
    }

    /// The C function of the call.
    fn function(&self, number: usize) -> String {
        let mut text = format!("static void case_{number}(const tilewright_call *how)\n{{\n");
        text += "    tilewright_call call = *how;\n    size_t bytes = 0;\n    int status;\n";
        let tensors: Vec<&Tensor> = self.inputs.iter().chain(&self.before).collect();
        for (at, tensor) in tensors.iter().enumerate() {
            let (shape, bytes) = (listed(tensor.shape()), tensor.as_bytes().len());
            if tensor.shape().is_empty() {
                let _ = writeln!(text, "    tilewright_tensor t{at} = {{ take({bytes}), NULL, NULL }};");
            } else {
                let _ = writeln!(text, "    int64_t s{at}[] = {{ {shape} }};");
                let _ = writeln!(text, "    tilewright_tensor t{at} = {{ take({bytes}), s{at}, NULL }};");
            }
        }
        let Case { name, sizes, .. } = self;
        let _ = writeln!(text, "    status = {name}_workspace_bytes({}&bytes);", listed(sizes));
        text += "    call.workspace = scratch(bytes);\n    call.workspace_bytes = bytes;\n";
        let arguments: Vec<String> = (0..tensors.len()).map(|at| format!("&t{at}")).collect();
        let _ = writeln!(
            text,
            "    if (status == 0) status = {name}({}, &call);\n    put_status(status);",
            arguments.join(", ")
        );
        for (at, tensor) in tensors.iter().enumerate().skip(self.inputs.len()) {
            let _ = writeln!(text, "    put(t{at}.data, {});", tensor.as_bytes().len());
        }
        text + "}\n\n"
    }

    /// Compares what was written with the evaluator.
    fn judge(&self, at: &mut &[u8]) -> Result<(), String> {
        let status = number(at);
        let mut outputs = Vec::new();
        for before in &self.before {
            let (bytes, rest) = at.split_at(before.as_bytes().len());
            *at = rest;
            let output = Tensor::from_bytes(before.dtype(), before.shape(), bytes);
            outputs.push(output.map_err(|error| error.to_string())?);
        }
        let given = self.def.inputs().map(|input| input.name.as_str()).zip(&self.inputs);
        let updated = self.def.outputs().zip(&self.before).filter(|(it, _)| it.role == polyhedral::Role::InOut);
        let given = given.chain(updated.map(|(output, tensor)| (output.name.as_str(), tensor)));
        match (Reference::evaluate(&self.def, &self.sizes, given, Judge::Wide), status) {
            (Ok(reference), 0) => {
                let results = self.def.outputs().map(|output| output.name.as_str()).zip(&outputs);
                reference.check(results).map(drop).map_err(|error| error.to_string())
            }
            (Err(_), 1) => Ok(()),
            (Err(error), status) => Err(format!("status {status}, and the evaluator says {error}")),
            (Ok(_), status) => Err(format!("status {status}")),
        }
    }
}

/// What every program has.
const HEADER: &str = r#"
#include "tilewright_pool.h"
#include <stdio.h>

static FILE *given, *written;
static tilewright_call alone = TILEWRIGHT_CALL, threads = TILEWRIGHT_CALL;
static void *kept[100000];
static int count;

static inline void *memory(size_t bytes)
{
    char *all = (char *)malloc(bytes + 128);
    if (all == NULL)
        exit(2);
    kept[count++] = all;
    return all + (64 - (uintptr_t)all % 64);
}

static inline void *take(size_t bytes)
{
    void *data = memory(bytes);
    if (fread(data, 1, bytes, given) != bytes)
        exit(3);
    return data;
}

static inline void *scratch(size_t bytes)
{
    size_t at;
    unsigned char *data = (unsigned char *)memory(bytes);
    for (at = 0; at < bytes; at += 1)
        data[at] = 0xa5;
    return bytes == 0 ? NULL : data;
}

static inline void put(const void *data, size_t bytes)
{
    fwrite(data, 1, bytes, written);
}

static inline void put_status(int status)
{
    int32_t value = status;
    put(&value, sizeof value);
}

static inline void begin(void)
{
    given = fopen("given", "rb");
    written = fopen("written", "wb");
    if (given == NULL || written == NULL)
        exit(4);
    threads.parallel = tilewright_pool_parallel;
    threads.pool = tilewright_pool_create(3);
}

static inline int end(void)
{
    tilewright_pool_destroy((tilewright_pool *)threads.pool);
    while (count > 0)
        free(kept[--count]);
    fclose(given);
    return fclose(written);
}
"#;

/// Calls every function of the table in C, in both precisions, and compares it with the run time. The last digits differ where the
/// two have different libraries of mathematics: that of a Rust program need not be the system's.
pub fn functions(target: &Target) {
    let mut batch = Batch::new(Machine::host());
    let mut program = String::from("#include \"driver.h\"\n");
    let mut body = String::new();
    let values: Vec<f64> = vec![
        -31.5, -9.0, -2.5, -1.0, -0.4375, -0.0, 0.0, 0.03125, 0.25, 0.4375, 0.5, 0.75, 0.96875, 1.0, 1.5, 7.0, 8.5,
        40.0,
    ];
    for (ty, short) in [("double", "d"), ("float", "s")] {
        for function in FUNCTIONS.iter().filter(|function| is_spoken(function.name)) {
            let (name, arity) = (function.name, function.arity);
            let arguments: Vec<&str> = ["A(i)", "B(i)", "B(i)", "A(i)"][..arity].to_vec();
            let own = format!("{short}_{name}");
            let text = format!("def {own}({ty}(N) A, {ty}(N) B) -> (O) {{ O(i) = {name}({}) }}", arguments.join(", "));
            batch.write(&built(&text, std::slice::from_ref(target), &[Choice::any()]));
            let _ = writeln!(program, "#include \"{own}.h\"");
            let count = values.len();
            let _ = writeln!(
                body,
                "    put_status({own}_dense(({ty} *){short}a, ({ty} *){short}b, ({ty} *)out, {count}, NULL));"
            );
            let _ = writeln!(body, "    put(out, {count} * sizeof({ty}));");
        }
    }
    let count = values.len();
    let _ = write!(
        program,
        "int main(void)\n{{\n    void *da, *db, *sa, *sb, *out;\n    begin();\n    da = take({0}); db = take({0}); sa = take({1}); \
         sb = take({1}); out = memory({0});\n{body}    return end();\n}}\n",
        8 * count,
        4 * count
    );
    let doubles = |turned: bool| values.iter().enumerate().map(move |(at, _)| (at * 7 % count, turned));
    let value = |(at, turned): (usize, bool), n: usize| if turned { values[at] } else { values[n] };
    let wide = |turned| doubles(turned).enumerate().map(move |(n, it)| value(it, n)).collect::<Vec<f64>>();
    let (a, b) = (wide(false), wide(true));
    let mut given: Vec<u8> = a.iter().chain(&b).flat_map(|value| value.to_ne_bytes()).collect();
    given.extend(a.iter().chain(&b).flat_map(|value| (*value as f32).to_ne_bytes()));
    let written = batch.outcomes(&program, &given);
    let mut at = &written[0][..];
    for is_double in [true, false] {
        for function in FUNCTIONS.iter().filter(|function| is_spoken(function.name)) {
            assert_eq!(number(&mut at), 0, "{}", function.name);
            for (a, b) in a.iter().zip(&b) {
                compare(function.name, function.arity, (*a, *b), is_double, &mut at);
            }
        }
    }
}

/// Whether the language has the function under this name.
fn is_spoken(name: &str) -> bool {
    polyhedral::Builtin::ALL.iter().any(|builtin| builtin.name() == name)
}

fn compare(name: &str, arity: usize, (a, b): (f64, f64), is_double: bool, at: &mut &[u8]) {
    let arguments = &[a, b, b, a][..arity];
    let (found, expected) = if is_double {
        let (first, rest) = at.split_first_chunk::<8>().expect("a number");
        *at = rest;
        (f64::from_ne_bytes(*first), call_f64(name, arguments).expect("a function"))
    } else {
        let (first, rest) = at.split_first_chunk::<4>().expect("a number");
        *at = rest;
        let arguments: Vec<f32> = arguments.iter().map(|value| *value as f32).collect();
        (f64::from(f32::from_ne_bytes(*first)), f64::from(call_f32(name, &arguments).expect("a function")))
    };
    let near = if is_double { 1e-13 } else { 1e-6 };
    let is_same = found == expected || (found.is_nan() && expected.is_nan());
    assert!(
        is_same || (found - expected).abs() <= near * expected.abs(),
        "{name}({arguments:?}), double {is_double}: {found:e} and not {expected:e}"
    );
}
