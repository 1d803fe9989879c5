//! No text makes the front end panic, hang, or overflow its stack.

use std::time::Instant;

use frontend_tc::{check, lower};
use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::isl;
use proptest::prelude::*;

fn survives(text: &str) {
    let start = Instant::now();
    let checked = check(text);
    for kernel in &checked.defs {
        // Whatever was accepted prints to something that is accepted, and prints the same.
        let text_again = check(&kernel.to_string()).defs.first().map(ToString::to_string);
        assert_eq!(text_again, Some(kernel.to_string()), "{text}");
    }
    assert!(start.elapsed().as_secs() < 20, "{} bytes took {:?}", text.len(), start.elapsed());
}

const WORDS: [&str; 64] = [
    "def",
    "f",
    "(",
    ")",
    "(",
    ")",
    "->",
    "{",
    "}",
    ",",
    "float",
    "int32",
    "double",
    "bool",
    "N",
    "M",
    "A",
    "B",
    "C",
    "i",
    "j",
    "k",
    "=",
    "+=",
    "+=!",
    "max=!",
    "where",
    "in",
    ":",
    "exists",
    "min",
    "max",
    "+",
    "-",
    "*",
    "/",
    "%",
    "?",
    "<",
    "==",
    "&&",
    "||",
    "!",
    "0",
    "1",
    "2",
    "3",
    "17",
    "0.5",
    "1e-5",
    "9223372036854775807",
    "true",
    "exp",
    "<=>",
    "for",
    "argmin",
    "~",
    "..",
    "[",
    ";",
    "# c\n",
    "A(i)",
    "B(i) =",
    "where i in 0:N",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes(soup in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&String::from_utf8_lossy(&soup));
    }

    #[test]
    fn tokens(soup in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..120)) {
        survives(&soup.join(" "));
    }

    #[test]
    fn bodies(soup in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60)) {
        survives(&format!("def f(float(N) A, float(M, N) C) -> (B) {{ B(i) = {} }}", soup.join(" ")));
    }
}

#[test]
fn deep_and_long_text_ends() {
    let body = |text: &str| format!("def f(float(N) a) -> (B) {{ B(i) = {text}");
    for (unit, times) in
        [("(", 200_000), ("a||a&&a<a+a*-(", 4_000), ("a?", 100_000), ("-", 200_000), ("a(", 100_000), ("a+", 100_000)]
    {
        survives(&body(&unit.repeat(times)));
        survives(&unit.repeat(times));
    }
    survives(&body(&"a where x = ".repeat(50_000)));
    survives(&format!("def f(float(N) a) -> (B) {{ {} }}", "B(i) = ".repeat(100_000)));
    survives(&"def f(".repeat(100_000));
    survives(&format!("{}{}", "(".repeat(5 << 20), "("));
}

#[test]
fn expressions_of_all_allowed_depths_check() {
    for depth in [150, 195, 199, 200, 201] {
        let nested = format!("{}a(i){}", "exp(a(i)+1*-(".repeat(depth / 4), "))".repeat(depth / 4));
        survives(&format!("def f(float(N) a) -> (B) {{ B(i) = {nested} }}"));
        survives(&format!("def f(float(N) a) -> (B) {{ B(i) = {}a(i){} }}", "(".repeat(depth), ")".repeat(depth)));
        survives(&format!("def f(int32(N) a) -> (B) {{ B(i) = {}i{} }}", "a(".repeat(depth), ")".repeat(depth)));
    }
}

#[test]
fn names_that_double_end() {
    let lets: Vec<String> = (1..200).map(|at| format!("x{at} = x{} + x{}", at - 1, at - 1)).collect();
    survives(&format!("def f(float(N) a) -> (B) {{ B(i) = x199 where x0 = a(i), {} }}", lets.join(", ")));
    survives(&format!("def f(float(N) a) -> (B) {{ B(i) = a(x199) where x0 = i, {} }}", lets.join(", ")));
    survives(&format!("def f(float(N) a) -> (B) {{ B(i) = a(i) where x0 = N, {}, i in 0:x199 }}", lets.join(", ")));
}

#[test]
fn ranges_that_grow_end() {
    let mut text = "def f(float(N) A0, float(M) A1) -> (B) {".to_owned();
    for at in 2..60 {
        text += &format!(" A{at}(i) +=! A{}(i + j) * A{}(2 * j + i / 3)", at - 1, at - 2);
    }
    survives(&format!("{text} B(i) = A59(i) }}"));
    let sizes: Vec<String> = (0..100).map(|at| format!("float(N{at}) A{at}")).collect();
    let reads: Vec<String> = (0..100).map(|at| format!("A{at}(i + {at})")).collect();
    survives(&format!("def f({}) -> (B) {{ B(i) = {} }}", sizes.join(", "), reads.join(" + ")));
}

#[test]
fn large_files_end() {
    let repeated = |count: usize, each: &dyn Fn(usize) -> String| (0..count).map(each).collect::<String>();
    survives(&format!(
        "def f(float(N) A) -> (B) {{ {} }}",
        repeated(2_000, &|at| format!("B(i) = A(i) where i in 0:{at} "))
    ));
    survives(&format!(
        "def f(float(N) A) -> (B) {{ B(i) = A(i) {} }}",
        repeated(2_000, &|at| format!("T{at}(i) = B(i) + A(i) "))
    ));
    survives(&repeated(2_000, &|at| format!("def f{at}(float(N) A) -> (B) {{ B(i) = A(i) }}\n")));
    survives(&format!(
        "def f({}float(N) A) -> (B) {{ B(i) = A(i) }}",
        repeated(2_000, &|at| format!("float(N{at}) A{at}, "))
    ));
    survives(&format!("def f(float(N) A) -> (B) {{ B(i) +=! A(i) {} }}", repeated(2_000, &|at| format!("+ x{at} "))));
    let names = |count| (0..count).map(|at| format!("i{at}")).collect::<Vec<_>>().join(", ");
    survives(&format!("def f(float(N) A) -> (B) {{ B({}) = A(i0) }}", names(100_000)));
    survives(&format!("def f(float(N) A) -> (B) {{ B(i) = A({}) }}", names(100_000)));
    survives(&format!("def f(float(N) A) -> (B) {{ B({}) = A(i0) }}", names(900)));
    survives(&format!(
        "def f(float(N) A) -> (B) {{ B(i) = A(i) where {}j = 1 }}",
        repeated(50_000, &|at| format!("x{at} = 1, "))
    ));
    survives(&format!(
        "def f(float(N) A) -> (B) {{ {} }}",
        repeated(2_000, &|at| format!("Long{at}(i) = Lone{at}(i) "))
    ));
}

#[test]
fn a_thousand_errors_end_the_report() {
    let found = frontend_tc::check(&"def f(float(N) A) -> (B) { B(i) = A(i) }\n".repeat(5000));
    assert!(found.diagnostics.len() <= 1001, "{}", found.diagnostics.len());
    assert_eq!(found.diagnostics.iter().filter(|diagnostic| diagnostic.code == "TC0007").count(), 1);
}

#[test]
fn very_long_numbers_are_not_repeated_in_full() {
    let found = frontend_tc::check(&format!("def f(float(N) A) -> (B) {{ B(i) = A(i + {}) }}", "9".repeat(100_000)));
    assert!(found.has_errors() && found.diagnostics.iter().all(|diagnostic| diagnostic.message.len() < 200));
}

/// What is accepted prints as text that is accepted, up to the largest numbers.
#[test]
fn large_numbers_are_refused_or_check_again() {
    for number in [1 << 32, 1 << 61, (1 << 62) - 1, 1 << 62, i64::MAX - 1, i64::MAX] {
        for text in [
            format!("def f(float(N) A) -> (B) {{ B(i) = A(i + {number}) }}"),
            format!("def f(float(N) A) -> (B) {{ B(i) = A({number} * i) }}"),
            format!("def f(float(N) A) -> (B) {{ B(i) = A(i) where i in 0:{number} }}"),
            format!("def f(float({number}) A) -> (B) {{ B(i) = A(i) }}"),
        ] {
            let found = frontend_tc::check(&text);
            assert!(!found.defs.is_empty() || found.has_errors(), "{text}");
            for def in found.defs {
                support::Stage::verify(&def).unwrap_or_else(|error| panic!("{text}: {error}"));
            }
        }
    }
}

#[test]
fn loops_calls_and_constants_of_any_number_end() {
    let body = |text: &str| format!("def f(float(N) A) -> (B) {{ B(i) = A(i) {text} }}");
    survives(&body(&"for t in 0:3 { ".repeat(100_000)));
    survives(&body(&(0..50_000).map(|at| format!("for t{at} in 0:3 {{ B(i) = A(i) ")).collect::<String>()));
    survives(&body(&format!("{}{}", "for t in 0:3 { ".repeat(5000), "}".repeat(5000))));
    let calls = |at: usize| format!("def g{at}(float(N) A) -> (C) {{ T = g{}(A) C = g{}(T) }}\n", at - 1, at - 1);
    survives(&format!("def g0(float(N) A) -> (B) {{ B(i) = A(i) }}\n{}", (1..300).map(calls).collect::<String>()));
    let many = "B = g(A) ".repeat(5000);
    survives(&format!("def g(float(N) A) -> (B) {{ T(i) = A(i) B(i) = T(i) }}\ndef f(float(N) A) -> (B) {{ {many} }}"));
    let twice = |at: usize| format!("let x{at} = x{} + x{}\n", at - 1, at - 1);
    survives(&format!("let x0 = 1\n{}{}", (1..200).map(twice).collect::<String>(), body("")));
    survives(&((0..20_000).map(|at| format!("let x{at} = {at}\n")).collect::<String>() + &body("")));
    survives(&("import \"std/nn\"\n".repeat(5000) + &body("")));
    survives(&((0..5000).map(|at| format!("import \"file{at}\"\n")).collect::<String>() + &body("")));
}

#[test]
fn borders_inside_each_other_end() {
    let with = |text: String| format!("def f(float(N) A) -> (B) {{ B(i) = {text} where i in 0:N }}");
    for border in ["clamp", "wrap", "mirror"] {
        survives(&with(format!("A({}i{})", format!("{border}(").repeat(150), ")".repeat(150))));
        let moved = |at: usize| format!("A({border}(i + {at}))");
        survives(&with((0..60).map(moved).collect::<Vec<_>>().join(" + ")));
    }
    survives(&with(format!("{}A(i){}", "pad(".repeat(150), ", 0)".repeat(150))));
    survives(&with((0..60).map(|at| format!("pad(A(i - {at}), {at})")).collect::<Vec<_>>().join(" + ")));
}

/// The program whose value nests as deeply as is allowed.
fn deepest(before: &str, (open, inside, close): (&str, &str, &str), after: &str) -> String {
    let nested = |depth| format!("{before}{}{inside}{}{after}", open.repeat(depth), close.repeat(depth));
    let deepest = (1..=200).rev().map(nested).find(|program| !check(program).has_errors());
    deepest.expect("some nesting is allowed")
}

/// On the smallest stack that threads get by default, and on less; whatever the optimisation is that this was compiled with.
#[test]
fn small_stacks_are_enough() {
    let nested = [
        ("(", "A(i)", ")"),
        ("fabs(A(i)+1*-(", "A(i)", "))"),
        ("A(i) > 0 ? A(i) : (", "A(i)", ")"),
        ("exp(", "A(i)", ")"),
        ("-", "A(i)", ""),
        ("", "A(i)", "+(A(i)*2)"),
    ];
    let programs = nested.map(|parts| deepest("def f(float(N) A) -> (B) { B(i) = ", parts, " where i in 0:N }"));
    let gather = deepest("def f(int32(N) A) -> (B) { B(i) = ", ("A(", "i", ")"), " }");
    for program in programs.into_iter().chain([gather]) {
        for stack in [2 << 20, 256 << 10] {
            let program = program.clone();
            let work = move || {
                let checked = check(&program);
                assert!(!checked.has_errors(), "{program}: {:?}", checked.diagnostics);
                let kernel = &checked.defs[0];
                let scop = lower(kernel, &isl::Ctx::new()).expect("a program");
                let inputs = Tensors::from([("A".to_string(), Data::zeros(kernel.tensors[0].dtype, &[5]))]);
                eval::run(&scop, &[5], &inputs, Limits::default()).expect("it runs");
                let again = check(&kernel.to_string());
                assert!(!again.has_errors(), "{kernel}: {:?}", again.diagnostics);
            };
            std::thread::Builder::new().stack_size(stack).spawn(work).expect("a thread").join().expect("no panic");
        }
    }
}

/// Found by fuzzing: looking for the last write before each read took 1.4 GB here.
#[test]
fn statements_that_bound_each_other_are_checked_in_little_space() {
    let text = "def f(float(B,I) X, float(H1,I) W1, float(H2,I1) W2, float(H2) B2, float(O) B3) -> (Y) {
        H(b,n) +=! X(b,k) * W1(n,k)
        H(b,n) = max(H(b,n) + B2(n), 0)
        L(b,n) +=! H(b,1) * W2(n,k)
        L(b,n) = max(L(b,n) + B2(n), 0)
        Y(b,n) +=! L(b,k) * W2(n,k)
        Y(b,n) = Y(b,n) + B3(n)
    }";
    let found = frontend_tc::check(text);
    let ctx = polyhedral::isl::Ctx::new();
    let scop = frontend_tc::lower(&found.defs[0], &ctx).expect("lowered");
    let early = ctx.with_budget(500_000, || polyhedral::initialised::early_reads(&scop, &|_| true)).expect("in budget");
    assert_eq!(early.len(), 7, "reads of inputs alone have no writer");
}
