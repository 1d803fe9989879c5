//! Contractions by relations: one kind of script for all spellings, and scripts that replay when they are edited.

use std::collections::BTreeSet;

use codegen::interp;
use polyhedral::eval::{self, Limits, Tensors, Wide};
use polyhedral::testing::conditioned_tensors;
use polyhedral::{Scop, isl, testing};
use scheduler::Cpu;
use support::Target;
use transform::{Policy, Script, Session};

fn target() -> Target {
    let text = include_str!("../targets/znver5.toml");
    Target { threads: 1, ..Target::from_toml(text).expect("a target") }
}

/// A product as a program: the order of loops, and how result and factors are written.
fn product(dims: &str, result: &str, factors: [&str; 2]) -> String {
    format!(
        "
        scop product(N)
        input A: float32[N, N]
        input B: float32[N, N]
        inout C: float32[N, N]
        stmt C[{dims}]
          domain {{ C[{dims}] : 0 <= m < N and 0 <= n < N and 0 <= k < N }}
          C[{result}] sum= {} * {}
        ",
        factors[0], factors[1]
    )
}

fn program(text: &str, size: i64) -> Scop {
    testing::scop(&isl::Ctx::new(), text).specialise(&[size]).expect("a size that fits")
}

/// What the policy decides.
fn decided(scop: Scop) -> Script {
    let mut session = Session::new(scop, &target()).expect("a session");
    Cpu.schedule(&mut session).expect("a policy that takes what it gets");
    session.script().clone()
}

/// The commands that a script uses.
fn kind(script: &Script) -> BTreeSet<&'static str> {
    script.commands().map(|command| command.name()).collect()
}

#[test]
fn twenty_spellings_of_a_product_get_one_kind_of_script() {
    let mut spellings = Vec::new();
    for dims in ["m, n, k", "m, k, n", "n, m, k", "n, k, m", "k, m, n", "k, n, m"] {
        spellings.push(product(dims, "m, n", ["A[m, k]", "B[k, n]"]));
        spellings.push(product(dims, "m, n", ["B[k, n]", "A[m, k]"]));
    }
    for [a, b] in [["A[k, m]", "B[k, n]"], ["A[m, k]", "B[n, k]"], ["A[k, m]", "B[n, k]"]] {
        spellings.push(product("m, n, k", "m, n", [a, b]));
        spellings.push(product("m, n, k", "n, m", [a, b]));
    }
    spellings.push(product("m, n, k", "n, m", ["A[m, k]", "B[k, n]"]));
    // Other names.
    let renamed = product("m, n, k", "m, n", ["A[m, k]", "B[k, n]"]);
    spellings.push(renamed.replace("A[", "Weights[").replace("A:", "Weights:").replace("product(", "layer("));
    assert_eq!(spellings.len(), 20);
    let packed = ["layout", "prefetch", "promote", "reorder", "separate", "split", "unroll", "vectorise"];
    for text in spellings {
        let script = decided(program(&text, 1000));
        assert_eq!(kind(&script), BTreeSet::from(packed), "{text}\n{script}");
    }
}

/// The loops of a product of 1000 under a script.
fn loops(script: &str) -> String {
    let scop = program(&product("m, n, k", "m, n", ["A[m, k]", "B[k, n]"]), 1000);
    let mut session = Session::new(scop, &target()).expect("a session");
    let script: Script = script.parse().expect("a script");
    session.replay(&script).unwrap_or_else(|refused| panic!("{refused}\n{script}"));
    let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}\n{script}"));
    codegen::lower(&scheduled.scop, &codegen::Options::default(), &mut Vec::new()).expect("loops").to_string()
}

#[test]
fn the_script_of_a_product_can_be_edited() {
    let script = decided(program(&product("m, n, k", "m, n", ["A[m, k]", "B[k, n]"]), 1000)).to_string();
    let whole = loops(&script);
    assert!(whole.contains("B_local: float32[16, 500, 64]") && whole.contains("r5: float32 x64"), "{script}\n{whole}");

    // Other tile sizes.
    let smaller = script.replace("by 6 as", "by 5 as");
    assert_ne!(smaller, script);
    let text = loops(&smaller);
    assert!(text.contains("5*mio + 4, ") && !text.contains("6*mio"), "{text}");

    // Packing dropped.
    let without = |words: &[&str]| {
        script.lines().filter(|line| !words.iter().any(|word| line.contains(word))).collect::<Vec<_>>()
    };
    let text = loops(&without(&["B_local"]).join("\n"));
    assert!(!text.contains("B_local"), "{text}");

    // Loops swapped.
    let text = loops(&(without(&["separate", "prefetch"]).join("\n") + "\nreorder C.mio C.no\n"));
    let place = |name: &str| text.find(name).unwrap_or_else(|| panic!("{name} in\n{text}"));
    assert!(place("for mio in") < place("for no in"), "{text}");
}

/// A definition at some sizes.
fn definition(text: &str, sizes: &[i64]) -> Scop {
    let checked = frontend_tc::check(text);
    let [def] = checked.defs.as_slice() else { panic!("{:?}", checked.diagnostics) };
    let scop = frontend_tc::lower(def, &isl::Ctx::new()).expect("a program");
    scop.specialise(sizes).expect("sizes that fit")
}

/// A program with some values, and what the evaluator makes of them.
struct Case {
    scop: Scop,
    given: Tensors,
    reference: Wide,
}

impl Case {
    fn new(text: &str, sizes: &[i64]) -> Case {
        let scop = definition(text, sizes);
        let given = conditioned_tensors(&scop, &[], 3);
        let reference = eval::run_wide(&scop, &[], &given, Limits::default()).expect("the evaluator takes it");
        Case { scop, given, reference }
    }

    /// The loops under a script; the interpreter computes by them what the evaluator does.
    fn verified(&self, script: &str) -> String {
        let mut session = Session::new(self.scop.clone(), &target()).expect("a session");
        let parsed: Script = script.parse().expect("a script");
        session.replay(&parsed).unwrap_or_else(|refused| panic!("{refused}\n{script}"));
        let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}\n{script}"));
        let program = codegen::lower(&scheduled.scop, &codegen::Options::default(), &mut Vec::new()).expect("loops");
        let outputs = interp::interpret(&program, &[], &self.given, 1);
        let outputs = outputs.unwrap_or_else(|fault| panic!("{fault}\n{program}"));
        for name in self.reference.names() {
            let compared = self.reference.compare(name, &outputs[name]);
            compared.unwrap_or_else(|mismatch| panic!("{mismatch}\n{program}"));
        }
        program.to_string()
    }

    /// Each edit of the policy's script gives other loops, which compute the same.
    fn check_edits(&self, edits: &[&dyn Fn(&str) -> String]) {
        let script = decided(self.scop.clone()).to_string();
        let mut all = BTreeSet::from([self.verified(&script)]);
        for edit in edits {
            let changed = edit(&script);
            let loops = self.verified(&changed);
            assert!(all.insert(loops), "the same loops by\n{changed}\nas by\n{script}");
        }
    }
}

/// A script without the lines that have one of these words.
fn without(script: &str, words: &[&str]) -> String {
    let kept = script.lines().filter(|line| !words.iter().any(|word| line.contains(word)));
    kept.collect::<Vec<_>>().join("\n")
}

/// Replaces text that is there.
fn edited(script: &str, from: &str, to: &str) -> String {
    let edited = script.replace(from, to);
    assert_ne!(edited, script, "`{from}` is not in the script");
    edited
}

#[test]
fn the_script_of_a_convolution_can_be_edited() {
    let text = "
        def conv(float(N,C,H,W) I, float(F,C,R,S) V) -> (O) {
          O(n,f,h,w) +=! I(n,c,h+r,w+s) * V(f,c,r,s)
        }
    ";
    let case = Case::new(text, &[1, 32, 5, 20, 64, 3, 3]);
    let script = decided(case.scop.clone()).to_string();
    // Lanes along the channels of the result, which is not contiguous along them.
    assert!(script.contains("vectorise O.init.f by 64") && script.contains("layout V_local"), "{script}");
    case.check_edits(&[
        &|script| edited(script, "unroll O.init.w by 6", "unroll O.init.w by 4"),
        &|script| edited(script, "vectorise O.init.f by 64", "vectorise O.init.f by 32"),
        &|script| without(script, &["V_local"]),
        &|script| script.to_string() + "\nreorder O.init.wo O.init.h\n",
    ]);
}

#[test]
fn the_script_of_a_batched_product_can_be_edited() {
    let text = "
        def tbmm(float(B,N,M) X, float(B,K,M) Y) -> (Z) {
          Z(b,n,k) +=! X(b,n,m) * Y(b,k,m)
        }
    ";
    let case = Case::new(text, &[3, 26, 72, 26]);
    let script = decided(case.scop.clone()).to_string();
    assert!(script.contains("Y_local") || script.contains("X_local"), "{script}");
    case.check_edits(&[&|script| edited(script, "unroll Z.init.n by 13", "unroll Z.init.n by 5"), &|script| {
        without(script, &["_local"])
    }]);
}

#[test]
fn the_script_of_a_kronecker_product_can_be_edited() {
    let text = "
        def kronecker(float(D,K) U, float(E,L) V, float(F,N) W, float(M,K,L,N) X) -> (Y) {
          P(m,k,l,f) +=! X(m,k,l,n) * W(f,n)
          Q(m,k,e,f) +=! P(m,k,l,f) * V(e,l)
          Y(m,d,e,f) +=! Q(m,k,e,f) * U(d,k)
        }
    ";
    let case = Case::new(text, &[24, 8, 24, 8, 24, 8, 64]);
    case.check_edits(&[
        &|script| edited(script, "unroll Q.init.e by 12", "unroll Q.init.e by 4"),
        &|script| without(script, &["W_local"]),
        &|script| without(script, &["store "]),
    ]);
}
