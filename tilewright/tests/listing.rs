//! Lines of machine code and kernels lead to the lines of the loops that they were made from.

use tilewright::report::{Asked, Listing, Report, report};
use tilewright::{Definition, Gpu, Options, Source, check, target_named};

/// Programs of every kind, with sizes that cut tiles.
const PROGRAMS: [(&str, &str, &[i64]); 8] = [
    ("mm", MM, &[33, 41, 20]),
    ("softmax", include_str!("../../examples/softmax.tc"), &[9, 70]),
    ("conv", include_str!("../../examples/conv.tc"), &[1, 2, 9, 11, 3, 3, 3]),
    ("gather", include_str!("../../examples/gather.tc"), &[50, 24, 17]),
    ("edges", include_str!("../../examples/edges.tc"), &[12, 21, 3]),
    ("mlp3", include_str!("../../examples/mlp3.tc"), &[4, 10, 9, 8, 7]),
    ("rows", "def rows(double(N) A) -> (S, T) { S +=! A(i) T(i) = A(i) + 1 where i in 0:N }", &[37]),
    ("triangle", "def triangle(float(N,N) L, float(N) X) -> (Y) { Y(i) +=! L(i,j) * X(j) where j in 0:i+1 }", &[19]),
];

const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";

fn definition(text: &str) -> Definition {
    let source = Source::new("test.tc".into(), text.into());
    check(&source).unwrap_or_else(|error| panic!("{error}")).0.remove(0)
}

/// A processor or a device.
fn options(name: &str) -> Options {
    match target_named(name) {
        Some(target) => Options::new(target),
        None => {
            let device = Gpu::named(name).unwrap_or_else(|| panic!("no target {name}"));
            Options { device: Some(device), ..Options::new(target_named("x86-64-v3").expect("a target")) }
        }
    }
}

fn of(text: &str, sizes: &[i64], target: &str) -> Report {
    let asked = Asked { code: true, ..Asked::default() };
    report(&definition(text), Some(sizes), &options(target), asked).unwrap_or_else(|error| panic!("{error}"))
}

fn listing<'r>(report: &'r Report, stage: &str) -> &'r Listing {
    report.code.iter().find(|one| one.stage == stage).unwrap_or_else(|| panic!("no text of {stage}"))
}

/// The lines of a listing, each with the lines of the loops.
fn linked<'r>(report: &'r Report, stage: &str) -> Vec<(&'r str, Vec<&'r str>)> {
    let loops: Vec<&str> = listing(report, Listing::LOOPS).text.lines().collect();
    let Listing { text, lines, .. } = listing(report, stage);
    assert_eq!(text.lines().count(), lines.len(), "{stage}");
    let of = |lines: &Vec<usize>| lines.iter().map(|&line| loops[line].trim()).collect();
    text.lines().map(str::trim).zip(lines.iter().map(of)).collect()
}

/// Processors and devices, with what each line of machine code is called.
const TARGETS: [(&str, &[&str]); 6] = [
    ("x86-64", &["llvm", "asm"]),
    ("x86-64-v4", &["llvm", "asm"]),
    ("aarch64-neon", &["llvm", "asm"]),
    ("aarch64-sve", &["llvm", "asm"]),
    ("cuda:sm_80", &["cuda", "ptx"]),
    ("opencl", &["opencl"]),
];

/// Instructions, statements of C and of LLVM that a `muladd` of the loops becomes.
const FUSED: [&str; 4] = ["vfmadd", "fmla", "fmadd", "fma.rn"];

/// What multiplies and adds in one step comes from a line that says so, calls a function with a formula or divides,
/// wherever it is linked; and code with locations is the same code.
#[test]
fn lines_lead_to_what_they_were_made_from() {
    for (target, stages) in TARGETS {
        let mut fused = 0;
        for (name, text, sizes) in PROGRAMS {
            let report = of(text, sizes, target);
            for stage in stages {
                // A function with locations says how its frame is found, which AArch64 does not move instructions across.
                let may_differ = target.starts_with("aarch64") && *stage == "asm";
                assert!(may_differ || listing(&report, stage).is_complete, "{name} for {target}: {stage}");
                let lines = linked(&report, stage);
                assert!(lines.iter().any(|(_, loops)| !loops.is_empty()), "{name} for {target}: {stage}");
                for (line, loops) in lines.iter().filter(|(_, loops)| !loops.is_empty()) {
                    let is_fused = FUSED.iter().any(|word| line.starts_with(word))
                        || *stage == "llvm" && line.contains("call") && line.contains("@llvm.fma")
                        || matches!(*stage, "cuda" | "opencl") && (line.contains("fma(") || line.contains("fmaf("));
                    if is_fused {
                        let words = ["muladd(", "exp(", " / "];
                        let computes = |line: &&str| words.iter().any(|word| line.contains(word));
                        assert!(loops.iter().any(computes), "{name} for {target}: `{line}` from {loops:?}");
                        fused += 1;
                    }
                }
            }
        }
        assert!(fused > 0 || target == "x86-64", "{target} multiplies and adds nowhere");
    }
}

/// Every fused multiplication of a product leads to a line of an innermost loop over `k`.
#[test]
fn all_multiplications_of_a_product_lead_to_its_innermost_loop() {
    for (target, stage, instruction) in
        [("x86-64-v3", "asm", "vfmadd"), ("aarch64-sve", "asm", "fmla"), ("cuda:sm_80", "ptx", "fma.rn")]
    {
        let report = of(MM, &[64, 64, 64], target);
        let loops = listing(&report, Listing::LOOPS);
        let Listing { text, lines, .. } = listing(&report, stage);
        let inner = |line: usize| {
            let around = loops.links.iter().filter(|link| (link.line..=link.end).contains(&line));
            around.max_by_key(|link| link.line).map(|link| link.loops.clone()).unwrap_or_default()
        };
        let all: Vec<&Vec<usize>> = text
            .lines()
            .zip(lines)
            .filter(|(line, _)| line.trim().starts_with(instruction))
            .map(|(_, lines)| lines)
            .collect();
        assert!(all.len() >= 8, "{target}");
        for lines in all {
            let [line] = lines[..] else { panic!("{target}: {lines:?}") };
            let around = inner(line);
            assert!(
                around.iter().all(|name| name.starts_with("C.update.k")) && !around.is_empty(),
                "{target}: {around:?}"
            );
        }
    }
}

/// The loops of the text are loops of the report, or were made by a pass or for a prologue.
#[test]
fn loops_of_the_text_are_loops_of_the_report() {
    for target in ["x86-64-v3", "cuda:sm_80", "opencl"] {
        for (name, text, sizes) in PROGRAMS {
            let report = of(text, sizes, target);
            let Listing { text, links, lines, .. } = listing(&report, Listing::LOOPS);
            let text: Vec<&str> = text.lines().collect();
            assert_eq!(text.len(), lines.len(), "{name} for {target}");
            for link in links {
                let head = text[link.line].trim_start().trim_start_matches("parallel ");
                assert!(head.starts_with(&format!("for {} in ", link.variable)), "{name}: {head}");
                let indent = |line: &str| line.len() - line.trim_start().len();
                let (own, close) = (indent(text[link.line]), text[link.end + 1]);
                assert!(close.trim() == "}" && indent(close) == own, "{name}: {head}");
                assert!(text[link.line + 1..=link.end].iter().all(|line| indent(line) > own), "{name}: {head}");
            }
            for link in links {
                for one in &link.loops {
                    assert!(report.loop_named(one).is_some(), "{name} for {target}: no loop {one}");
                }
            }
            let named = links.iter().filter(|link| !link.loops.is_empty()).count();
            assert!(2 * named >= links.len(), "{name} for {target}: {named} of {} loops are known", links.len());
        }
    }
}

/// What is shown is the code without locations: the product's.
#[test]
fn the_text_has_no_locations() {
    for (target, stages) in TARGETS {
        let report = of(MM, &[33, 41, 20], target);
        for stage in stages {
            let text = &listing(&report, stage).text;
            let words = [".loc", "!dbg", "DILocation", "\0", ".debug"];
            assert!(words.iter().all(|word| !text.contains(word)), "{target}: {stage}");
        }
    }
}

/// Code that equal parts share is of the lines of each of them.
#[test]
fn shared_code_leads_to_all_parts() {
    let text = "def two(float(N,N) A, float(N,N) B) -> (C, D) { C(i,j) = A(i,j) + 1 D(i,j) = B(i,j) + 1 }";
    let script = "part C\nauto\npart D like C\n".parse().expect("a script");
    let asked = Asked { code: true, ..Asked::default() };
    let options = Options { script: Some(script), ..options("x86-64-v3") };
    let report = report(&definition(text), Some(&[40]), &options, asked).unwrap_or_else(|error| panic!("{error}"));
    let lines = linked(&report, "asm");
    let added: Vec<_> = lines.iter().filter(|(line, loops)| line.starts_with("vaddps") && !loops.is_empty()).collect();
    assert!(!added.is_empty());
    for (line, loops) in added {
        let [c, d] = loops[..] else { panic!("`{line}` from {loops:?}") };
        assert!(c.starts_with("C[") && d.starts_with("D["), "`{line}` from {loops:?}");
    }
}
