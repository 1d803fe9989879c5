//! The fuzz targets over good texts with damage: panics and broken promises without a fuzzer at hand.

use polyhedral::isl;
use polyhedral::testing::{self, PROGRAMS, Rng};

/// How many inputs a target gets: the same ones each time, and forty times as many with `TILEWRIGHT_TEST_FULL`.
fn rounds(few: usize) -> usize {
    if std::env::var_os("TILEWRIGHT_TEST_FULL").is_some() { 40 * few } else { few }
}

/// Hands the texts of the corpus to the target, and then `few` times one of them with damage.
fn run(target: fn(&[u8]), few: usize, corpus: &[String], pieces: &[&str]) {
    for text in corpus {
        target(text.as_bytes());
    }
    let mut random = Rng::new(42);
    for _ in 0..rounds(few) {
        let mut text = random.pick(corpus).into_bytes();
        for _ in 0..1 + random.below(4) {
            damage(&mut text, &mut random, corpus, pieces);
        }
        target(&text);
    }
}

fn damage(text: &mut Vec<u8>, random: &mut Rng, corpus: &[String], pieces: &[&str]) {
    let at = random.below(text.len() + 1);
    let to = (at + random.below(40)).min(text.len());
    match random.below(6) {
        0 => drop(text.drain(at..to)),
        1 => drop(text.splice(at..at, random.pick(pieces).bytes())),
        2 => drop(text.splice(at..to, random.pick(pieces).bytes())),
        3 => {
            let copied = text[at..to].to_vec();
            drop(text.splice(at..at, copied));
        }
        4 => {
            // A line of another text.
            let other = random.pick(corpus);
            let lines: Vec<&str> = other.lines().collect();
            let line = if lines.is_empty() { "" } else { lines[random.below(lines.len())] };
            let begin = text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
            drop(text.splice(begin..begin, line.bytes().chain([b'\n'])));
        }
        _ => {
            if let Some(byte) = text.get_mut(at) {
                *byte = random.next_u64() as u8;
            }
        }
    }
}

#[test]
fn scop() {
    let ctx = isl::Ctx::new();
    let short = PROGRAMS.iter().map(|(_, text)| text.to_string());
    let long = testing::programs(&ctx).into_iter().map(|scop| scop.to_string());
    let random = (0..20).map(|seed| testing::random(&ctx, seed).to_string());
    let evolved = EVOLVED.iter().map(|text| text.to_string());
    let corpus: Vec<String> = short.chain(long).chain(random).chain(evolved).collect();
    run(fuzz::scop, 400, &corpus, SCOP);
}

const SCOP: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    " : ",
    " -> ",
    " mod ",
    "floor(",
    " from ",
    "value(",
    "\n",
    "  ",
    "    ",
    "#",
    "\"",
    "é",
    "0",
    "-1",
    "99999999999999999999",
    "9223372036854775807",
    "i",
    "N",
    " coincident",
    " parallel",
    " vector 4",
    "layout",
    " stack",
    "source none",
    "band",
    "sequence",
    "filter",
    "tree",
    "origin",
    "nan_f32",
    "1.5e300f64",
];

/// What commands make of programs: axes, no source, copies without an origin.
const EVOLVED: &[&str] =
    &["scop scale(N)\ninput A: float32[N]\noutput B: float32[N]\nstmt B[i]\n  domain { B[i] : 0 <= i < N }\n  \
     B[i] = 2.0f32 * A[i]\ntree\n  band\n    B.i = { B[i] -> [(i)] } coincident bound block.x\n"];

#[test]
fn script() {
    let ctx = isl::Ctx::new();
    let mut random = Rng::new(3);
    let mut corpus: Vec<String> = SCRIPTS.iter().map(|text| text.to_string()).collect();
    for like in transform::testing::each() {
        let scop = testing::matmul(&ctx);
        let commands = (0..6).map(|_| transform::testing::redrawn(&like, &mut random, &scop));
        corpus.push(commands.collect::<transform::Script>().to_string());
    }
    run(fuzz::script, 4000, &corpus, SCRIPT);
}

const SCRIPTS: &[&str] = &[
    "# of a library\ndefine rows(S, n) {\n  split S.m by n as mo mi\n  parallel mo\n}\nrows(C.update, 8)\n",
    "define a(x) {\n  unroll x by 2\n}\ndefine b(x, y) {\n  a(x)\n  tile x y by 2 3 as u v / w z\n  a(w)\n}\nb(m, n)\nauto C\n",
    "order {\n    band\n      m = { S[m] -> [(m)] }\n\n      # and\n      n = { S[m] -> [(m)] }\n}\nparallel m\n",
];

const SCRIPT: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    ",",
    "/",
    ".",
    "#",
    " as ",
    " by ",
    " at ",
    "\n",
    " ",
    "0",
    "1",
    "4294967296",
    "define ",
    "order {",
    "auto",
    "é",
    "[",
    "]",
    "=",
    "-",
];

/// Every file of the library and of the examples, definition by definition.
fn definitions() -> Vec<String> {
    let examples = [
        include_str!("../../examples/mm.tc"),
        include_str!("../../examples/conv.tc"),
        include_str!("../../examples/edges.tc"),
        include_str!("../../examples/gather.tc"),
        include_str!("../../examples/mlp3.tc"),
        include_str!("../../examples/softmax.tc"),
        include_str!("../../examples/tmm.tc"),
    ];
    let library = frontend_tc::library::FILES.iter().map(|(_, text)| *text);
    let parts = library.flat_map(|text| text.split("\n\n").filter(|part| part.contains("def ")));
    examples.into_iter().chain(parts).map(String::from).collect()
}

#[test]
fn parse() {
    run(fuzz::parse, 8000, &definitions(), TC);
}

#[test]
fn tc() {
    run(fuzz::tc, 1500, &definitions(), TC);
}

#[test]
fn the_largest_factors_are_printed_and_read() {
    for factor in ["4611686018427387904", "9223372036854775807", "-9223372036854775807", "3037000499 * 3037000499"] {
        for range in ["", " where i in 0:1", " where i in -9223372036854775807:N"] {
            fuzz::lower(format!("def f(float(N) A) -> (B) {{ B(i) = A({factor} * i){range} }}").as_bytes());
            fuzz::lower(format!("def f(float(N) A) -> (B) {{ B({factor} * i + N) = A(i){range} }}").as_bytes());
            fuzz::lower(format!("def f(float(N) A) -> (B) {{ B(i) = A(i + {factor}){range} }}").as_bytes());
        }
    }
}

#[test]
fn lower() {
    run(fuzz::lower, 500, &definitions(), TC);
}

const TC: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "?",
    "+=!",
    "max=!",
    " = ",
    " where ",
    " in ",
    "exists ",
    "0",
    "-",
    "*",
    "/",
    "%",
    "&&",
    "==",
    "1e400",
    "9223372036854775808",
    "float",
    "int32",
    "fmax(",
    "é",
    "\n",
    "#",
    "def ",
    "->",
    "i",
    "N",
    "let K = 2\n",
    "import \"std/nn\"\n",
    "for t in 0:N { ",
    "argmax=!",
    "||=!",
    "<=>",
    "<<",
    "&",
    "~",
    "clamp(",
    "wrap(",
    "mirror(",
    "pad(",
    "sat_int8(",
    "bool",
    "float16",
    "uint64",
    "true",
    "min(",
    "I(i)",
    "2*i+1",
    "0x7fffffffffffffff",
    "..",
    "[",
    ";",
];

#[test]
fn replay() {
    let mut random = Rng::new(5);
    for _ in 0..rounds(15) {
        let bytes: Vec<u8> = (0..1 + 8 * random.below(10)).map(|_| random.next_u64() as u8).collect();
        fuzz::replay(&bytes);
    }
}

/// Statement names hold dots, which isl reads under another name: whatever a program calls its own things.
#[test]
fn names_may_be_those_that_stand_for_dots() {
    for name in ["__dot__", "Y__dot__", "__dot1__"] {
        let text = format!("def f(float(N,{name}) A) -> (B{name}) {{ B{name}(i) +=! A(i,r{name}) }}");
        assert!(!frontend_tc::check(&text).has_errors(), "{text}");
        fuzz::lower(text.as_bytes());
    }
}

/// What the front end takes is read back, however many levels one of the language becomes.
#[test]
fn the_deepest_programs_are_printed_and_read() {
    let forms = [
        ("int32", "~", ""),
        ("int8", "-", ""),
        ("float32", "sat_int8(", ")"),
        ("float16", "-", ""),
        ("float16", "1 + (", ")"),
        ("float16", "fmax(A(i), ", ")"),
        ("bfloat16", "sat_uint8(", ")"),
        ("float16", "tanh(", ")"),
        ("float32", "pad(A(i + 1), 0) * (", ")"),
        ("int32", "(A(i) == 1 ? 1 : ", ")"),
    ];
    for (dtype, open, close) in forms {
        let deepest = (1..=200).rev().find(|&deep| {
            let value = format!("{}A(i){}", open.repeat(deep), close.repeat(deep));
            let text = format!("def f({dtype}(N) A) -> (B) {{ B(i) = {value} where i in 0:N }}");
            let taken = !frontend_tc::check(&text).has_errors();
            fuzz::lower(text.as_bytes());
            taken
        });
        assert!(deepest.is_some_and(|deep| deep > 50), "{open} {deepest:?}");
    }
}
