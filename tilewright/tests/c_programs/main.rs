//! Packages in programs of C and C++: the examples do what their READMEs say, headers are clean under strict warnings, libraries
//! ask for nothing but the C library, and what a C program gets is what the evaluator computes.
//!
//! Without a C compiler, and for C++ without CMake, the tests say so and pass.

mod driver;
#[path = "../symbolic/random.rs"]
mod random;

use std::path::{Path, PathBuf};
use std::process::Command;

use driver::Machine;
use object::{Object as _, ObjectSymbol as _};
use runtime::package::Package;
use support::Target;
use tempfile::TempDir;
use tilewright::{Choice, Options, Source, check, host_target, package, target_named};

/// Whether a program is there; says so when it is not.
pub fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("there is no `{program}` here: this test does nothing");
    }
    there
}

/// Runs a command that must succeed, and gives what it wrote.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The package of the only definition of a text.
#[track_caller]
pub fn built(text: &str, targets: &[Target], choices: &[Choice]) -> Package {
    let source = Source::new("a.tc".into(), text.into());
    let (defs, _) = check(&source).expect("a program");
    let targets: Vec<Options> = targets.iter().cloned().map(Options::new).collect();
    package(&defs[0], &source, &targets, choices).expect("a package")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// What the examples are built for: several processors, where this machine runs their code.
fn targets() -> &'static str {
    if cfg!(target_arch = "x86_64") { "x86-64,x86-64-v3,x86-64-v4" } else { "host" }
}

#[test]
fn the_example_in_c_is_right() {
    if !has("cc") || !has("make") {
        return;
    }
    let folder = folder();
    let make = |goal: &str| {
        let mut command = Command::new("make");
        command.arg("-C").arg(examples().join("c")).arg(goal);
        command.arg(format!("TILEWRIGHT={}", env!("CARGO_BIN_EXE_tilewright")));
        command.arg(format!("BUILD={}", folder.path().display())).arg(format!("TARGETS={}", targets()));
        command
    };
    let said = run(&mut make("check"));
    assert!(said.contains("all numbers are right") && said.contains("it comes from Index(61)"), "{said}");
    if sanitizes() {
        run(&mut make("sanitize"));
    }
}

/// Whether the compiler has the sanitizers, and this system runs them.
fn sanitizes() -> bool {
    let folder = folder();
    let source = folder.path().join("empty.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("it is written");
    let works = ["address,undefined", "thread"].iter().all(|sanitizer| {
        let program = folder.path().join("empty");
        let mut compile = Command::new("cc");
        compile.arg(format!("-fsanitize={sanitizer}")).arg("-o").arg(&program).arg(&source);
        let compiles = compile.output().is_ok_and(|output| output.status.success());
        compiles && Command::new(&program).output().is_ok_and(|output| output.status.success())
    });
    if !works {
        eprintln!("there are no sanitizers here: the example is not run under them");
    }
    works
}

#[test]
fn the_example_in_cpp_is_right() {
    if !has("c++") || !has("cmake") {
        return;
    }
    let folder = folder();
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(examples().join("cpp")).arg("-B").arg(folder.path());
    configure.arg(format!("-DTILEWRIGHT={}", env!("CARGO_BIN_EXE_tilewright"))).arg(format!("-DTARGETS={}", targets()));
    run(&mut configure);
    run(Command::new("cmake").arg("--build").arg(folder.path()));
    let said = run(Command::new("ctest").arg("--test-dir").arg(folder.path()).args(["--output-on-failure", "-V"]));
    assert!(said.contains("all numbers are right"), "{said}");
}

/// Every type of an element, names that C and C++ have for something else, a size that is a scalar's value, and one that the
/// caller gives.
const NAMES: &str = "def template(bool(N) class, int8(N) new, int16(N) I, int32(N) EOF, int64(N) call, uint8(N) a, uint16(N) b,
                                  uint32(N) c, uint64(N) d, float16(N) e, bfloat16(N) f, float(N) g, double(N) h, int32 T)
                     -> (register, status) {
    register(i) = double(new(i)) + I(i) + EOF(i) + call(i) + a(i) + b(i) + c(i) + d(i) + e(i) + f(i) + g(i) + h(i) where i in 0:T
    status(i) = class(i)
}";

#[test]
fn headers_are_clean_in_c_and_cpp() {
    if !has("cc") || !has("c++") {
        return;
    }
    let folder = folder();
    built(NAMES, &[host_target()], &[Choice::any()]).write(folder.path()).expect("it is written");
    let text = "#include \"template_tc.h\"\n#include \"tilewright_pool.h\"\n\
                int main(void) { return template_tc_abi() != TILEWRIGHT_ABI || template_tc_error_text(0)[0] == 0; }\n";
    for (compiler, standard, file) in [("cc", "c99", "main.c"), ("cc", "c17", "main.c"), ("c++", "c++11", "main.cpp")] {
        std::fs::write(folder.path().join(file), text).expect("it is written");
        let mut command = Command::new(compiler);
        command.current_dir(folder.path()).arg(format!("-std={standard}"));
        command.args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wstrict-aliasing", "-Werror"]);
        command.args([file, "-pthread", "-o", "main", "libtemplate_tc.a", "-lm"]);
        run(&mut command);
        run(&mut Command::new(folder.path().join("main")));
    }
}

/// The symbols that a static library needs and does not have.
fn missing(package: &Package, library: &str) -> Vec<String> {
    let functions = package.file(library).expect("the object of the functions");
    let objects = package
        .manifest()
        .sha256
        .iter()
        .map(|(name, _)| name)
        .filter(|name| name.ends_with(".o") && name.contains("__"));
    let files: Vec<_> = objects.map(|name| package.file(name).expect("an object")).chain([functions]).collect();
    let (mut defined, mut needed) = (Vec::new(), Vec::new());
    for bytes in files {
        let file = object::File::parse(&bytes[..]).expect("an object");
        for symbol in file.symbols().filter(|symbol| symbol.name().is_ok_and(|name| !name.is_empty())) {
            let list = if symbol.is_undefined() { &mut needed } else { &mut defined };
            list.push(symbol.name().expect("a name").to_owned());
        }
    }
    needed.retain(|name| !defined.contains(name) && name != "_GLOBAL_OFFSET_TABLE_");
    needed.sort();
    needed.dedup();
    needed
}

/// A processor without fused multiply-add, so that all functions are called.
fn plain_target() -> Target {
    let host = host_target();
    let cpu = if cfg!(target_arch = "x86_64") { "x86-64" } else { "generic" };
    Target { name: "plain".into(), cpu: cpu.into(), features: String::new(), vector_bytes: 16, ..host }
}

#[test]
fn a_library_asks_for_the_c_library_alone() {
    let text = "def f(float(N) A) -> (B) { B(i) = exp(A(i)) + tgamma(A(i)) + erfcx(A(i)) }";
    let package = built(text, &[plain_target()], &[Choice::any()]);
    let needed = missing(&package, "f.o");
    assert!(needed.contains(&"tgammaf".into()) && needed.contains(&"erfc".into()), "{needed:?}");
    let of_c = ["erfc", "exp", "expf", "fma", "tgammaf"];
    assert!(needed.iter().all(|name| of_c.contains(&name.as_str())), "{needed:?}");
}

#[test]
fn packages_for_another_architecture_have_their_libraries() {
    let arm = Target { triple: "aarch64-unknown-linux-gnu".into(), cpu: "generic".into(), ..plain_target() };
    let x86 = Target { triple: "x86_64-unknown-linux-gnu".into(), cpu: "x86-64".into(), ..plain_target() };
    let arm = Target { name: "arm".into(), ..arm };
    let package = built("def f(float(N) A) -> (B) { B(i) = A(i) + 1.0 }", &[arm, x86], &[Choice::any()]);
    for (file, architecture) in
        [("libf-aarch64.a", object::Architecture::Aarch64), ("libf-x86_64.a", object::Architecture::X86_64)]
    {
        assert!(package.file(file).is_some(), "{file}");
        let functions =
            package.file(&file.replace("lib", "").replace(".a", ".o")).expect("the object of the functions");
        assert_eq!(
            object::Object::architecture(&object::File::parse(&functions[..]).expect("an object")),
            architecture
        );
    }
    assert!(package.file("f.h").is_some() && package.file("libf.a").is_none());
    assert_eq!(missing(&package, "f-aarch64.o"), ["getauxval"]);
}

#[test]
fn the_same_package_has_the_same_libraries() {
    let text = "def f(float(N) A) -> (B) { B(i) = A(i) * A(i) }";
    let [first, second] = [(); 2].map(|()| built(text, &[host_target()], &[Choice::of(&[7]), Choice::any()]));
    for file in ["libf.a", "libf.so", "f.h", "f.o"] {
        assert_eq!(first.file(file), second.file(file), "{file}");
    }
}

/// Every function that C programs have no name for in their library, and some that they have, against those of the run time.
#[test]
fn functions_are_those_of_the_run_time() {
    if !has("cc") {
        return;
    }
    driver::functions(&plain_target());
}

#[test]
fn a_c_program_gets_what_the_evaluator_computes() {
    if !has("cc") {
        return;
    }
    drawn(Machine::host(), 12);
}

/// Code for another architecture computes the same, in an emulator: with vectors of each length that code may meet, and none.
#[test]
fn so_does_one_for_another_architecture() {
    let compiler: &[&str] = &["aarch64-linux-gnu-gcc", "-static"];
    if !has(compiler[0]) || !has("qemu-aarch64") {
        return;
    }
    let cpus = ["cortex-a57", "max,sve128=on,sve256=off,sve512=off", "max,sve256=on,sve512=off", "max,sve512=on"];
    let runners = cpus.map(|cpu| vec!["qemu-aarch64", "-cpu", cpu]).to_vec();
    let targets = ["aarch64-neon", "aarch64-sve"].map(|name| target_named(name).expect("a target")).to_vec();
    drawn(Machine { compiler, runners, targets }, 6);
}

/// Random programs, as many in the short form, and some more.
fn drawn(machine: Machine, short: usize) {
    let full = std::env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1");
    let mut batch = driver::Batch::new(machine);
    for (at, (text, _)) in random::definitions(if full { 150 } else { short }).into_iter().enumerate() {
        let text = text
            .rsplit_once(", seed")
            .map_or(text.as_str(), |(text, _)| text)
            .replace("def f(", &format!("def f{at}("));
        batch.add(&text);
    }
    for text in driver::WITH_MORE {
        batch.add(text);
    }
    batch.check();
}
