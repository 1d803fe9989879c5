//! Contractions by relations: one kind of script for all spellings, and scripts that replay when they are edited.

use std::collections::BTreeSet;

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
    assert!(whole.contains("B_local: float32[32, ") && whole.contains("r13: float32 x32"), "{script}\n{whole}");

    // Other tile sizes.
    let smaller = script.replace("by 14 as", "by 6 as");
    assert_ne!(smaller, script);
    let text = loops(&smaller);
    assert!(text.contains("C[6*mio + 5, ") && !text.contains("14*mio"), "{text}");

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
