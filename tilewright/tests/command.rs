//! The command as a user meets it: every example of every help text, every option, and every kind of bad input, with the
//! exit status and the message that a stranger can act on.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }\n";

/// A directory of its own with `mm.tc`, `a.npy` (2×3 float32) and the repository's examples in `examples`.
struct Place {
    dir: TempDir,
}

/// What a run of the command did.
struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { dir };
        place.file("mm.tc", MM);
        place.npy("a.npy", "<f4", "2, 3", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        fs::create_dir(place.path("examples")).unwrap();
        let examples = fs::read_dir(repository().join("examples")).unwrap().flatten();
        for entry in examples.filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), place.path("examples").join(entry.file_name())).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    fn npy(&self, name: &str, descr: &str, shape: &str, data: &[u8]) {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let length = (header.len() as u16).to_le_bytes();
        self.file(name, [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat());
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_os(arguments.iter().map(OsStr::new))
    }

    fn run_os<'a>(&self, arguments: impl IntoIterator<Item = &'a OsStr>) -> Ran {
        let output = command().args(arguments).current_dir(self.dir.path()).output().unwrap();
        Ran::from(output)
    }

    /// The arguments are refused with this status; all `words` are on standard error, and nothing panicked.
    #[track_caller]
    fn refused(&self, status: i32, arguments: &[&str], words: &[&str]) {
        let ran = self.run(arguments);
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        assert_eq!(ran.out, "", "{arguments:?}");
        for word in words {
            assert!(ran.err.contains(word), "{arguments:?}: no {word:?} in {}", ran.err);
        }
    }

    /// The arguments are accepted; standard output.
    #[track_caller]
    fn accepted(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.status, 0, "{arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { status: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tilewright"));
    // What a test finds must not depend on what ran before.
    command.stdin(Stdio::null()).env("TILEWRIGHT_CACHE", "off");
    command
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The elements of a file that the command wrote.
fn read_floats(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].chunks_exact(4).map(|element| f32::from_le_bytes(element.try_into().unwrap())).collect()
}

const SUBCOMMANDS: [&str; 9] =
    ["check", "run", "bench", "build", "emit", "explain", "inspect", "targets", "explain-code"];

#[test]
fn the_examples_of_every_help_work() {
    let place = Place::new();
    let mut helps = vec![place.accepted(&["--help"])];
    helps.extend(SUBCOMMANDS.map(|name| place.accepted(&[name, "--help"])));
    for help in helps {
        let (_, examples) = help.split_once("Example").expect("an example in every help");
        let examples: Vec<&str> = examples.lines().filter_map(|line| line.strip_prefix("  tilewright ")).collect();
        assert!(!examples.is_empty(), "{help}");
        for example in examples {
            let words = shlex::split(example).expect("quotes that end");
            let out = place.accepted(&words.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(!out.is_empty(), "{example}");
        }
    }
    assert!(place.path("edges.png").exists());
}

#[test]
fn the_help_lists_every_subcommand() {
    let help = Place::new().accepted(&["--help"]);
    for name in SUBCOMMANDS {
        assert!(help.contains(&format!("\n  {name}")), "{name}");
    }
}

#[test]
fn run_computes_what_is_in_the_files() {
    let place = Place::new();
    place.npy("b.npy", "<f4", "3, 1", &floats(&[1.0, 10.0, 100.0]));
    let out = place.accepted(&["run", "mm.tc", "-i", "A=a.npy", "-i", "B=b.npy", "-o", "C=c.npy", "--verify"]);
    assert!(out.contains("= [321, 654]"), "{out}");
    assert!(out.contains("verified 2 elements"), "{out}");
    assert_eq!(read_floats(&place.path("c.npy")), [321.0, 654.0]);
}

#[test]
fn directories_of_inputs_and_outputs() {
    let place = Place::new();
    fs::create_dir(place.path("in")).unwrap();
    fs::rename(place.path("a.npy"), place.path("in/A.npy")).unwrap();
    place.npy("in/B.npy", "<f4", "3, 2", &floats(&[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]));
    let arguments = ["--input-dir", "in", "--output-dir", "out/deep", "--reps", "3", "--json", "-j", "1"];
    let out = place.accepted(&[&["bench", "mm.tc", "-s", "M=2"], &arguments[..]].concat());
    assert_eq!(out.lines().count(), 1);
    assert_eq!(read_floats(&place.path("out/deep/C.npy")), [1.0, 2.0, 4.0, 5.0]);
    fs::remove_file(place.path("in/B.npy")).unwrap();
    place.refused(1, &[&["run", "mm.tc"], &arguments[..2]].concat(), &["TC0920", "B.npy"]);
}

#[test]
fn what_is_updated_is_read_and_counted_once() {
    let place = Place::new();
    place.file("add.tc", "def add(float(N) A) -> (S) { S(i) += A(i) }");
    place.npy("x.npy", "<f4", "2,", &floats(&[1.0, 2.0]));
    place.npy("s.npy", "<f4", "2,", &floats(&[10.0, 20.0]));
    let files = ["-i", "A=x.npy", "-i", "S=s.npy", "-o", "S=t.npy", "--verify"];
    place.accepted(&[&["run", "add.tc"], &files[..]].concat());
    assert_eq!(read_floats(&place.path("t.npy")), [11.0, 22.0]);
    place.accepted(&[&["bench", "add.tc", "--reps", "5"], &files[..]].concat());
    assert_eq!(read_floats(&place.path("t.npy")), [11.0, 22.0]);
}

#[test]
fn bench_prints_one_object_with_these_keys() {
    let place = Place::new();
    let out = place
        .accepted(&["bench", "mm.tc", "-s", "M=8,N=8", "-s", "K=4", "--reps", "4", "--json", "--verify", "-j", "2"]);
    let line: Value = serde_json::from_str(&out).unwrap();
    let keys = "def target threads sizes compile_ms first_call_ms min_ns median_ns reps flops bytes gflops gbytes_per_s \
                peak_fraction verified max_rel_error script";
    let in_order: Vec<Option<usize>> = keys.split_whitespace().map(|key| out.find(&format!("\"{key}\":"))).collect();
    assert!(in_order.iter().all(Option::is_some) && in_order.is_sorted(), "{out}");
    assert_eq!(line.as_object().unwrap().len(), keys.split_whitespace().count());
    assert_eq!(line["def"], "mm");
    assert_eq!(line["threads"], 2);
    assert_eq!(line["sizes"], serde_json::json!({"K": 4, "M": 8, "N": 8}));
    assert_eq!(line["reps"], 4);
    assert_eq!(line["flops"], 512.0);
    assert_eq!(line["bytes"], 4.0 * (32.0 + 32.0 + 64.0));
    assert_eq!(line["verified"], true);
    assert!(line["min_ns"].as_u64() <= line["median_ns"].as_u64());
    let out = place.accepted(&["bench", "mm.tc", "-s", "M=8,N=8,K=4", "--reps", "1", "--json"]);
    assert!(out.contains("\"verified\":null,\"max_rel_error\":null"), "{out}");
}

#[test]
fn the_seed_decides_the_inputs() {
    let place = Place::new();
    let with = |seed| {
        place.accepted(&["run", "mm.tc", "-s", "M=1,N=2,K=3", "--seed", seed]).lines().nth(2).unwrap().to_string()
    };
    assert_eq!(with("1"), with("1"));
    assert_ne!(with("1"), with("2"));
}

#[test]
fn a_script_replays_to_itself() {
    let place = Place::new();
    let sizes = ["mm.tc", "-s", "M=32,N=32,K=32"];
    let script = place.accepted(&[&["emit", "script"], &sizes[..]].concat());
    place.file("mm.sched", &script);
    let again = place.accepted(&[&["emit", "script", "--schedule", "mm.sched"], &sizes[..]].concat());
    assert_eq!(again, script);
    place.file("tiled.sched", "tile C.update.m C.update.n by 8 16\n");
    place.accepted(&[&["run", "--schedule", "tiled.sched", "--verify"], &sizes[..]].concat());
    let loops = place.accepted(&[&["emit", "loops", "--schedule", "tiled.sched"], &sizes[..]].concat());
    assert_ne!(loops, place.accepted(&[&["emit", "loops"], &sizes[..]].concat()));
}

#[test]
fn explain_has_every_command_with_its_reason() {
    let place = Place::new();
    let of = |target: &'static str| ["mm.tc", "-s", "M=96,N=96,K=96", "-t", target];
    for target in ["x86-64-v3", "opencl"] {
        let explained = place.accepted(&[&["explain"], &of(target)[..]].concat());
        assert!(explained.starts_with(&format!("mm (M=96, K=96, N=96) for {target}\n")), "{explained}");
        assert_eq!(explained, place.accepted(&[&["explain"], &of(target)[..]].concat()));
        let script = place.accepted(&[&["emit", "script"], &of(target)[..]].concat());
        let commands: Vec<&str> = script.lines().filter(|line| !line.starts_with(['#', ' ', '}'])).collect();
        assert!(commands.len() > 3, "{script}");
        for command in commands {
            assert!(explained.contains(&format!("\n  {command}")), "no {command} in {explained}");
        }
        for heading in ["script\n", "loops: iterations, how they run, what one of them touches\n  for C.init."] {
            assert!(explained.contains(&format!("\n{heading}")), "no {heading} in {explained}");
        }
    }
    let explained = place.accepted(&[&["explain"], &of("x86-64-v3")[..]].concat());
    assert!(explained.contains("      16 lanes, in registers of 32 bytes\n"), "{explained}");
    for heading in
        ["why not at once\n  C.update.", "dependences of the source\n  C.init -> C.update ", "traffic: ", "work: "]
    {
        assert!(explained.contains(&format!("\n{heading}")), "no {heading} in {explained}");
    }
    assert!(!explained.contains("measured"), "nothing is run unless that is asked for: {explained}");
    place.refused(1, &["explain", "mm.tc", "-s", "M=96"], &["TC0933"]);
    assert!(place.accepted(&["explain", "mm.tc", "--symbolic"]).starts_with("mm (all sizes) for "));
}

#[test]
fn every_stage_is_written_and_every_moment_too() {
    let place = Place::new();
    place.accepted(&[
        "run",
        "mm.tc",
        "-s",
        "M=96,N=96,K=96",
        "-j",
        "2",
        "--dump",
        "stages",
        "--trace",
        "t.json",
        "--verify",
    ]);
    let mut names: Vec<String> = std::fs::read_dir(place.path("stages"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    let stages = ["tc", "scop", "deps", "script", "schedule", "loops", "llvm", "asm"];
    let expected: Vec<String> =
        stages.iter().enumerate().map(|(at, stage)| format!("{:02}-{stage}.txt", at + 1)).collect();
    assert_eq!(names, expected);
    let of_file = |name: &str| std::fs::read_to_string(place.path(name)).expect("a text");
    let sizes = ["mm.tc", "-s", "M=96,N=96,K=96"];
    assert_eq!(of_file("stages/02-scop.txt"), place.accepted(&[&["emit", "scop"], &sizes[..]].concat()));
    let trace: serde_json::Value = serde_json::from_str(&of_file("t.json")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let named = |name: &str| events.iter().filter(|event| event["name"].as_str() == Some(name)).count();
    assert_eq!([named("scop"), named("schedule"), named("loops"), named("object"), named("call mm")], [1; 5]);
    assert!(events.iter().all(|event| event["ph"] == "X" && event["dur"].as_f64().is_some_and(|dur| dur >= 0.0)));
}

#[test]
fn pictures_are_emitted() {
    let place = Place::new();
    let out = place.accepted(&["emit", "domain.svg", "mm.tc", "--stmt", "C.update", "--dims", "m,k", "-o", "mm.svg"]);
    assert!(out.starts_with("mm.svg: "), "{out}");
    let svg = std::fs::read_to_string(place.path("mm.svg")).expect("the picture");
    // Sizes that are not given are 8.
    assert_eq!(svg.matches("<circle ").count(), 64);
    assert!(place.accepted(&["emit", "deps.dot", "mm.tc"]).starts_with("digraph \"mm\""));
    place.refused(1, &["emit", "domain.svg", "mm.tc", "--stmt", "D"], &["TC0948", "it is one of C.init, C.update"]);
    place.refused(1, &["emit", "domain.svg", "mm.tc", "--dims", "m,x"], &["TC0948", "it is one of m, n, k"]);
    place.refused(1, &["emit", "domain.svg", "mm.tc", "-s", "M=99,N=99,K=99"], &["TC0949", "smaller sizes"]);
    place.refused(2, &["emit", "domain.png", "mm.tc"], &["domain.svg"]);
}

#[test]
fn explain_measures_when_asked_to() {
    let place = Place::new();
    let sizes = ["mm.tc", "-s", "M=64,N=64,K=64"];
    let measured = place.accepted(&[&["explain", "--measure", "-j", "1", "--stages"], &sizes[..]].concat());
    for part in
        ["\ntime on 1 thread: ", "\n  arithmetic  524288 operations", " binds\n", "\n  predicted ", "\n  measured  "]
    {
        assert!(measured.contains(part), "no {part} in {measured}");
    }
    assert!(measured.contains("\ncompiling\n  scop "), "{measured}");
    place.refused(2, &["explain", "mm.tc", "--symbolic", "--measure"], &["cannot be used with"]);
    place.refused(1, &[&["explain", "--measure", "-t", "opencl"], &sizes[..]].concat(), &["TC0947", "bench"]);
}

#[test]
fn explain_is_data_too() {
    let place = Place::new();
    let of = ["explain", "--json", "mm.tc", "-s", "M=64,N=64,K=64", "-t", "x86-64-v3"];
    let text = place.accepted(&of);
    assert_eq!(text, place.accepted(&of), "the same each time");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["sizes"][0], serde_json::json!({"name": "M", "value": 64}));
    assert!(report["source"]["text"].as_str().is_some_and(|text| text.contains("def mm")));
    let stages: Vec<&str> = report["code"].as_array().unwrap().iter().filter_map(|one| one["stage"].as_str()).collect();
    assert_eq!(stages, ["loops", "llvm", "asm"]);
    assert!(report["loops"].as_array().is_some_and(|loops| loops.len() > 4));
}

#[test]
fn tiles_that_a_script_leaves_open() {
    let place = Place::new();
    place.file("open.sched", "tile C.update.m C.update.n by T U\n");
    let given = |how: &[&'static str], sizes: &'static str| {
        [how, &["mm.tc", "--schedule", "open.sched", "-s", "M=20,N=30,K=10", "-s", sizes]].concat()
    };
    place.accepted(&given(&["run", "--verify"], "T=8,U=16"));
    place.accepted(&given(&["bench", "--verify", "--reps", "1"], "T=3,U=1000"));
    let loops = place.accepted(&given(&["emit", "loops"], "T=8,U=16"));
    assert!(loops.contains("step T"), "{loops}");
    place.accepted(&given(&["emit", "scop"], "T=8,U=16"));
    place.accepted(&["emit", "deps", "mm.tc", "--schedule", "open.sched", "-s", "T=8"]);
    let refused = |sizes, words: &[&str]| place.refused(1, &given(&["run"], sizes), words);
    refused("U=16", &["TC0933", "this size is not known: T", "-s T=32"]);
    refused("T=0,U=16", &["TC0931", "a tile has at least 1"]);
    refused("T=8,U=16,V=2", &["TC0930", "no size `V`", "the script tiles by T, U"]);
    refused("T=8,T=8,U=16", &["TC0932", "given twice"]);
    place.refused(1, &["run", "mm.tc", "-s", "M=20,N=30,K=10,T=8"], &["TC0930", "no size `T`"]);
    // A tile as large as a dimension.
    place.file("open.sched", "tile C.update.m C.update.k by M T\n");
    place.accepted(&given(&["run", "--verify"], "T=8"));
}

#[test]
fn part_of_a_schedule_by_hand() {
    let place = Place::new();
    place.file("mm.tc", MM);
    let sizes = ["mm.tc", "-s", "M=64,N=64,K=64", "-t", "x86-64-v3"];
    place.file(
        "part.sched",
        "define rows(S, n) {\n  split S.m by n as mo mi\n  parallel mo\n}\nrows(C.init, 8)\nauto\n",
    );
    let script = place.accepted(&[&["emit", "script", "--schedule", "part.sched"], &sizes[..]].concat());
    assert!(script.starts_with("# rows(C.init, 8): 2 commands\nsplit C.init.m by 8 as mo mi\n"), "{script}");
    assert!(script.contains("\n# auto: ") && script.contains("\nvectorise C.update.n "), "{script}");
    place.file("whole.sched", &script);
    let again = place.accepted(&[&["emit", "script", "--schedule", "whole.sched"], &sizes[..]].concat());
    assert_eq!(again, script, "the record replays to the same bytes");
    place.accepted(&["run", "mm.tc", "-s", "M=64,N=64,K=64", "--schedule", "part.sched", "--verify"]);
    place.file("wrong.sched", "define rows(S, n) {\n  split S.m by n as mo mi\n  parallel mo\n}\n\nrows(C.updat, 8)\n");
    place.refused(
        1,
        &["run", "mm.tc", "-s", "M=8,N=8,K=8", "--schedule", "wrong.sched"],
        &["line 6: in `rows(C.updat, 8)`, line 2: `split C.updat.m", "did you mean `C.update.m`"],
    );
}

#[test]
fn strict_and_trusting_runs_verify() {
    let place = Place::new();
    place.accepted(&["run", "mm.tc", "-s", "M=20,N=30,K=40", "--strict", "--verify"]);
    place.accepted(&["run", "examples/gather.tc", "-s", "Rows=5,D=7,N=100", "--trust-indices", "--verify"]);
    place.accepted(&["run", "examples/softmax.tc", "-s", "M=5,N=70", "--strict", "--verify"]);
}

#[test]
fn remarks_are_said_when_asked_for() {
    let place = Place::new();
    let small = ["run", "mm.tc", "-s", "M=4,N=4,K=4", "-j", "2"];
    let quiet = place.run(&small);
    assert_eq!((quiet.status, quiet.err.as_str()), (0, ""));
    let said = place.run(&[&small[..], &["--remarks"]].concat());
    assert!(said.status == 0 && said.err.contains("note: scheduler: C.init, C.update: not parallel"), "{}", said.err);
}

#[test]
fn every_stage_prints_and_twice_the_same() {
    let place = Place::new();
    for stage in ["tc", "scop", "deps", "script", "schedule", "loops", "llvm", "asm"] {
        let emit = || place.accepted(&["emit", stage, "examples/softmax.tc", "-s", "M=8,N=16"]);
        assert_eq!(emit(), emit(), "{stage}");
    }
    let scop = place.accepted(&["emit", "scop", "mm.tc"]);
    assert!(scop.contains('M'), "for all sizes: {scop}");
    place.refused(1, &["emit", "loops", "mm.tc"], &["TC0933", "M, K, N"]);
    let loops = place.run(&["emit", "loops", "mm.tc"]).err;
    assert!(!loops.contains("-i"), "`emit` reads no tensors: {loops}");
}

#[test]
fn check_prints_ranges_and_shapes() {
    let place = Place::new();
    let out = place.accepted(&["check", "examples/conv.tc", "mm.tc"]);
    assert!(out.contains("y in 0:H - KH + 1"), "{out}");
    assert!(out.contains("# output    float32 C(M, N)"), "{out}");
    let out = place.accepted(&["check", "--json", "examples/conv.tc", "mm.tc"]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["tensors"][2]["extent"], serde_json::json!(["M", "N"]));
    assert_eq!([&lines[1]["kind"], &lines[1]["file"]], ["definition", "mm.tc"]);
    assert_eq!(lines[1]["span"]["end"], serde_json::json!({"byte": 72, "line": 1, "column": 73}));
}

#[test]
fn check_prints_diagnostics_as_json() {
    let place = Place::new();
    place.file("one.tc", "# é\ndef f(float(N) A) -> (B) {\n  B(i) = A(i, i) + a(i)\n}\n");
    place.file("two.tc", "def f(float(N, M) A) -> (B) { B(i) += A(i, j) }");
    let ran = place.run(&["check", "--json", "one.tc", "missing.tc", "two.tc"]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<String> = lines.iter().map(|line| format!("{} {}", line["file"], line["code"])).collect();
    assert_eq!(
        told,
        [
            "\"one.tc\" \"TC0107\"",
            "\"one.tc\" \"TC0101\"",
            "\"missing.tc\" \"TC0920\"",
            "\"two.tc\" \"TC0302\"",
            "\"two.tc\" null"
        ]
    );
    let expected = serde_json::json!({
        "kind": "diagnostic",
        "file": "one.tc",
        "code": "TC0107",
        "severity": "error",
        "message": "`A` has rank 1, and 2 subscripts are given",
        "labels": [
            {
                "file": "one.tc",
                "span": {
                    "start": {"byte": 41, "line": 3, "column": 10},
                    "end": {"byte": 48, "line": 3, "column": 17},
                },
                "text": "",
            },
            {
                "file": "one.tc",
                "span": {
                    "start": {"byte": 20, "line": 2, "column": 16},
                    "end": {"byte": 21, "line": 2, "column": 17},
                },
                "text": "declared here",
            },
        ],
        "help": "write `A(i)`",
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[2]["labels"], serde_json::json!([]));
    assert_eq!([&lines[3]["severity"], &lines[4]["kind"]], ["warning", "definition"]);
}

#[test]
fn all_wrong_files_are_shown() {
    let place = Place::new();
    place.file("one.tc", "def f(float(N) A) -> (B) { B(i) = A(i, j) }");
    place.file("two.tc", "def f(float(N) A) -> (B) { B(i) = A(i }");
    let ran = place.run(&["check", "one.tc", "mm.tc", "two.tc"]);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("one.tc:1:") && ran.err.contains("two.tc:1:"), "{}", ran.err);
    assert!(ran.out.contains("def mm"), "{}", ran.out);
}

#[test]
fn diagnostics_underline_the_source_without_colours() {
    let place = Place::new();
    place.file("one.tc", "def f(float(N) A) -> (B) { B(i) = A(i, j) }");
    place.refused(1, &["run", "one.tc", "-s", "N=4"], &["error[TC", "one.tc:1:35", "^^^"]);
    assert!(!place.run(&["check", "one.tc"]).err.contains('\u{1b}'));
}

#[test]
fn which_definition() {
    let place = Place::new();
    place.file("two.tc", format!("{MM}def id(float(N) A) -> (B) {{ B(i) = A(i) }}"));
    place.refused(1, &["run", "two.tc", "-s", "N=4"], &["TC0902", "`mm`, `id`"]);
    place.refused(1, &["run", "two.tc", "-d", "mmm"], &["TC0903", "`mm`, `id`"]);
    place.accepted(&["run", "two.tc", "-d", "id", "-s", "N=4", "--verify"]);
    place.file("none.tc", "# nothing\n");
    place.refused(1, &["run", "none.tc"], &["error[TC"]);
}

#[test]
fn usage_is_status_2() {
    let place = Place::new();
    for arguments in [
        &["fly"][..],
        &[],
        &["run"],
        &["run", "mm.tc", "-s", "M"],
        &["run", "mm.tc", "-j", "0"],
        &["run", "mm.tc", "-j", "many"],
        &["bench", "mm.tc", "--reps", "0"],
        &["emit", "soup", "mm.tc"],
        &["run", "mm.tc", "--no-such-option"],
    ] {
        place.refused(2, arguments, &["--help"]);
    }
}

#[test]
fn files_that_cannot_be_programs() {
    let place = Place::new();
    place.refused(1, &["check", "absent.tc"], &["TC0920", "absent.tc", "No such file"]);
    place.refused(1, &["check", "examples"], &["TC0920", "directory"]);
    place.file("latin.tc", b"# caf\xe9\n");
    place.refused(1, &["check", "latin.tc"], &["TC0920", "UTF-8", "byte 5"]);
    place.file("deep.tc", "(".repeat(10 << 20));
    place.refused(1, &["check", "deep.tc"], &["error[TC"]);
    place.file("deep.tc", format!("def f(float(N) A) -> (B) {{ B(i) = {}A(i) }}", "(".repeat(1 << 20)));
    place.refused(1, &["check", "deep.tc"], &["error[TC"]);
    place.file("empty.tc", "");
    place.refused(1, &["run", "empty.tc"], &["error[TC"]);
    place.file("zeros.tc", [0; 4096]);
    place.refused(1, &["check", "zeros.tc"], &["error[TC"]);
}

#[test]
fn wrong_types_and_empty_ranges() {
    let place = Place::new();
    place.file("type.tc", "def f(float(N) A, bool(N) B) -> (C) { C(i) = A(i) + (B(i) && A(i)) }");
    place.refused(1, &["check", "type.tc"], &["error[TC", "type.tc:1:"]);
    place.file("empty.tc", "def f(float(N) A) -> (B) { B(i) = A(i) where i in 5:2 }");
    place.refused(1, &["check", "empty.tc"], &["error[TC", "empty.tc:1:"]);
    let conv = ["run", "examples/conv.tc", "-s", "N=1,C=1,M=1,H=2,W=9,KH=5,KW=3"];
    place.refused(1, &conv, &["TC0501", "KH = 5", "examples/conv.tc:"]);
}

#[test]
fn wrong_sizes() {
    let place = Place::new();
    let with = |sizes: &str, words: &[&str]| place.refused(1, &["run", "mm.tc", "-s", sizes], words);
    with("M=2,N=2", &["TC0933", "this size is not known: K", "-s K=128"]);
    with("M=2", &["TC0933", "these sizes are not known: K, N"]);
    with("M=2,N=2,K=2,Q=2", &["TC0930", "`Q`", "M, K, N"]);
    with("M=2,N=2,K=2,M=3", &["TC0932", "given twice"]);
    with("M=-2,N=2,K=2", &["TC0931", "not negative"]);
    with("M=two,N=2,K=2", &["TC0931", "whole number"]);
    with("M=1000000000,N=1000000000,K=1000000000", &["TC0909", "GB"]);
    with("M=9223372036854775807,N=9223372036854775807,K=9223372036854775807", &["TC0909"]);
    with("M=99999999999999999999,N=1,K=1", &["TC0931", "so large"]);
    place.refused(
        1,
        &["run", "mm.tc", "-s", "M=2,N=2,K=2", "-i", "A=a.npy"],
        &["TC0932", "`K` is 2", "dimension 1 of `A`"],
    );
}

#[test]
fn sizes_of_zero_are_sizes() {
    let place = Place::new();
    for sizes in ["M=0,N=2,K=2", "M=2,N=2,K=0", "M=0,N=0,K=0"] {
        place.accepted(&["run", "mm.tc", "-s", sizes, "--verify"]);
    }
    let out = place.accepted(&["bench", "mm.tc", "-s", "M=0,N=0,K=0", "--reps", "2", "--json"]);
    assert!(serde_json::from_str::<Value>(&out).is_ok(), "{out}");
}

#[test]
fn wrong_npy_files() {
    let place = Place::new();
    let with = |words: &[&str]| place.refused(1, &["run", "mm.tc", "-s", "N=2", "-i", "A=x.npy"], words);
    place.refused(1, &["run", "mm.tc", "-s", "N=2", "-i", "A=absent.npy"], &["TC0920", "absent.npy"]);
    place.file("x.npy", "no array");
    with(&["TC0922", "not a .npy file"]);
    place.npy("x.npy", "<f8", "2, 3", &[0; 48]);
    with(&["TC0923", "`A`", "float32", "float64", "astype"]);
    place.npy("x.npy", "<f4", "2, 3", &[0; 23]);
    with(&["TC0922", "24 bytes", "23 follow"]);
    place.npy("x.npy", "<f4", "6,", &[0; 24]);
    with(&["TC0924", "2 dimensions"]);
    place.npy("x.npy", "|O", "2, 3", &[0; 48]);
    with(&["TC0922", "pickled"]);
    place.npy("x.npy", "<f4", "9223372036854775807, 9223372036854775807", &[0; 24]);
    with(&["TC0922", "larger than any memory"]);
    place.npy("x.npy", &"(".repeat(9000), "2, 3", &[0; 24]);
    with(&["TC0922", "plain array"]);
    fs::create_dir(place.path("d.npy")).unwrap();
    place.refused(1, &["run", "mm.tc", "-s", "N=2", "-i", "A=d.npy"], &["TC0920", "directory"]);
    place.refused(1, &["run", "mm.tc", "-s", "N=2", "-i", "A=a.txt"], &["TC0921", ".npy"]);
}

#[test]
fn wrong_names_of_tensors_and_outputs() {
    let place = Place::new();
    let sizes = ["run", "mm.tc", "-s", "M=2,N=2,K=3"];
    let with = |more: &[&str], words: &[&str]| place.refused(1, &[&sizes[..], more].concat(), words);
    with(&["-i", "Q=a.npy"], &["TC0934", "`A`, `B`"]);
    with(&["-i", "C=a.npy"], &["TC0934", "no input `C`"]);
    with(&["-i", "A=a.npy", "-i", "A=a.npy"], &["TC0934", "twice"]);
    with(&["-o", "A=a.npy"], &["TC0934", "no output `A`"]);
    with(&["-o", "C=c.txt"], &["TC0921"]);
    with(&["-o", "C=absent/c.npy"], &["TC0925", "absent/c.npy"]);
    with(&["-t", "pentium"], &["TC0937", "x86-64-v3"]);
}

#[test]
fn pictures_that_do_not_fit() {
    let place = Place::new();
    place.refused(1, &["run", "examples/edges.tc", "-i", "Picture=a.png"], &["TC0920"]);
    place.file("a.png", "no picture");
    place.refused(1, &["run", "examples/edges.tc", "-i", "Picture=a.png"], &["TC0922"]);
    place.refused(1, &["run", "mm.tc", "-s", "N=2", "-i", "A=examples/lake.png"], &["TC0924", "3 channels"]);
    place.refused(1, &["run", "examples/softmax.tc", "-s", "M=2,N=0", "-o", "Y=y.png"], &["TC0925"]);
}

#[test]
fn scripts_that_do_not_fit() {
    let place = Place::new();
    let with = |words: &[&str]| {
        place.refused(1, &["run", "mm.tc", "-s", "M=8,N=8,K=8", "--schedule", "x.sched"], words);
    };
    place.refused(1, &["run", "mm.tc", "-s", "M=8,N=8,K=8", "--schedule", "absent.sched"], &["TC0920"]);
    place.file("x.sched", "bake C.update.m\n");
    with(&["TC0936", "line 1", "bake"]);
    place.file("x.sched", "# of another program\nparallel Y.row\n");
    with(&["TC0913", "line 2"]);
    place.file("x.sched", "parallel C.update.k\n");
    with(&["TC0913", "C.update", "mm.tc:", "^^^", "legal in its place: `privatise C at C.update.k"]);
    let emit = ["emit", "loops", "mm.tc", "-s", "M=8,N=8,K=8", "--schedule", "x.sched"];
    place.refused(1, &emit, &["TC0913", "mm.tc:", "^^^"]);
    place.file("x.sched", [0xff, 0xfe]);
    with(&["TC0920", "UTF-8"]);
    place.file("x.sched", "(".repeat(1 << 20));
    with(&["TC0936"]);
}

#[test]
fn an_index_out_of_range_is_named() {
    let place = Place::new();
    place.npy("i.npy", "<i4", "2,", &[1, 0, 0, 0, 99, 0, 0, 0]);
    let arguments = ["run", "examples/gather.tc", "-s", "Rows=5,D=3", "-i", "Index=i.npy"];
    place.refused(1, &arguments, &["TC0911", "Table", "99"]);
}

#[test]
fn what_is_too_large_to_verify_says_so() {
    let place = Place::new();
    place.file("many.tc", "def many(float(N) A) -> (S) { S +=! A(i) * A(j) }");
    place.refused(
        1,
        &["run", "many.tc", "-s", "N=100000", "--verify", "--schedule", "/dev/null"],
        &["TC0941", "smaller sizes"],
    );
}

#[test]
fn codes_are_explained() {
    let place = Place::new();
    assert!(place.accepted(&["explain-code", "TC0501"]).starts_with("TC0501"));
    assert!(place.accepted(&["explain-code"]).lines().count() > 50);
    place.refused(1, &["explain-code", "TC0000"], &["TC0939"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut child = command()
        .args(["explain-code"])
        .current_dir(place.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(unix)]
#[test]
fn names_of_files_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let name = OsStr::from_bytes(b"m\xffm.tc");
    fs::copy(place.path("mm.tc"), place.dir.path().join(name)).unwrap();
    assert_eq!(place.run_os([OsStr::new("check"), name]).status, 0);
}

/// On a device `run` and `bench` take what they take on the processor; where there is none, what is missing is named.
#[test]
fn devices_run_and_time_programs() {
    let place = Place::new();
    let targets = place.accepted(&["targets"]);
    assert!(targets.contains("devices, for `run` and `bench`:"), "{targets}");
    let run = ["run", "mm.tc", "-t", "opencl", "-i", "A=a.npy", "-s", "N=4", "--verify", "-o", "C=c.npy"];
    if !targets.contains("opencl:0") {
        eprintln!("NOT TESTED: there is no OpenCL here");
        place.refused(1, &run, &["TC0944", "OpenCL"]);
        return;
    }
    let out = place.accepted(&run);
    assert!(out.contains("opencl:0") && out.contains("verified 8 elements"), "{out}");
    assert_eq!(read_floats(&place.path("c.npy")).len(), 8);
    place.accepted(&["run", "mm.tc", "-t", "opencl:0", "-s", "M=3,N=4,K=5", "--verify", "--symbolic", "--strict"]);
    place.refused(1, &["run", "mm.tc", "-t", "opencl:7", "-s", "M=3,N=4,K=5"], &["TC0944", "opencl:7", "opencl:0"]);
    let bench = ["bench", "mm.tc", "-t", "opencl", "-s", "M=3,N=4,K=5", "--reps", "3", "--json", "--verify"];
    let line: Value = serde_json::from_str(&place.accepted(&bench)).unwrap();
    assert_eq!((line["target"].as_str(), line["verified"].as_bool()), (Some("opencl:0"), Some(true)));
    assert!(line["min_ns"].as_u64() <= line["median_ns"].as_u64() && line["peak_fraction"].as_f64() > Some(0.0));
}

#[test]
fn devices_without_a_driver_are_named() {
    let place = Place::new();
    if place.accepted(&["targets"]).contains("cuda:0") {
        return;
    }
    let run = ["run", "mm.tc", "-t", "cuda:sm_80", "-s", "M=3,N=4,K=5"];
    place.refused(1, &run, &["TC0944", "there is no CUDA here", "libcuda.so.1"]);
    place.refused(1, &["bench", "mm.tc", "-t", "cuda", "-s", "M=3,N=4,K=5"], &["TC0944", "libcuda.so.1"]);
    place.refused(
        1,
        &["run", "mm.tc", "-t", "cuda:sm_12", "-s", "M=3,N=4,K=5"],
        &["TC0937", "cuda:sm_12", "cuda:sm_80"],
    );
}

#[test]
fn packages_are_built_for_devices_that_are_elsewhere() {
    let place = Place::new();
    let out = place.accepted(&["build", "mm.tc", "-s", "M=30,N=40,K=50", "-t", "cuda:sm_90a", "-o", "folder/mm"]);
    assert!(out.contains("mm for cuda:sm_90a"), "{out}");
    let json: Value = serde_json::from_slice(&fs::read(place.path("folder/mm/package.json")).unwrap()).unwrap();
    let variant = &json["variants"][0];
    assert_eq!((&json["definition"], &variant["sizes"]["K"]), (&Value::from("mm"), &Value::from(50)));
    for file in [&json["program"], &variant["script"], &variant["code"]["device"]["text"]] {
        assert!(place.path("folder/mm").join(file.as_str().unwrap()).exists(), "{file}");
    }
    let size = ["-s", "M=30,N=40,K=50", "-o"];
    let build = |rest: [&'static str; 3]| [&["build", "mm.tc"], &size[..], &rest[..]].concat();
    let out = place.accepted(&["build", "mm.tc", "--symbolic", "-t", "opencl", "-o", "x"]);
    assert!(out.contains("mm for opencl, any sizes: 1 kernels"), "{out}");
    place.refused(1, &build(["mm.tc/x", "-t", "opencl"]), &["TC0946", "mm.tc/x"]);
    place.refused(1, &["build", "mm.tc", "-o", "x", "-t", "opencl"], &["TC0933"]);
}

/// The folder is made, private, and named by the variable; the second run compiles nothing.
#[test]
fn what_run_compiled_is_found_again() {
    let place = Place::new();
    let folder = place.path("kept/kernels");
    let run = |arguments: &[&str]| {
        let ran = command().args(arguments).current_dir(place.dir.path()).env("TILEWRIGHT_CACHE", &folder).output();
        let ran = Ran::from(ran.unwrap());
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.out
    };
    let mm = ["run", "mm.tc", "-s", "M=5,N=4,K=3", "--verify"];
    assert!(run(&mm).contains("  compiled in "));
    assert!(run(&mm).contains("  found in the cache in "));
    assert!(run(&["run", "mm.tc", "-s", "M=5,N=4,K=2"]).contains("  compiled in "));
    let shown = run(&["cache"]);
    assert!(shown.contains("kept/kernels") && shown.contains("2 kernels"), "{shown}");
    assert!(run(&["cache", "--clear"]).contains("0 kernels"));
    assert!(run(&mm).contains("  compiled in "));
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ran = command().args(mm).current_dir(place.dir.path()).env("TILEWRIGHT_CACHE", &folder).output().unwrap();
    let ran = Ran::from(ran);
    assert!(ran.status == 1 && ran.err.contains("TC0950") && ran.err.contains("chmod 700"), "{}", ran.err);
    // The usual folder is not a reason not to run.
    let caches = place.path("caches");
    let mut usual = command();
    usual.args(mm).current_dir(place.dir.path()).env_remove("TILEWRIGHT_CACHE").env("XDG_CACHE_HOME", &caches);
    assert!(Ran::from(usual.output().unwrap()).out.contains("  compiled in "));
    fs::set_permissions(caches.join("tilewright"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ran = Ran::from(usual.output().unwrap());
    assert!(
        ran.status == 0 && ran.err.contains("warning[TC0950]") && ran.out.contains("  compiled in "),
        "{}",
        ran.err
    );
}
