//! What is computed does not depend on what shares loops.

#[allow(dead_code, reason = "the compilers are given")]
mod agreement;
#[path = "symbolic/random.rs"]
mod random;

use tilewright::{Compiler, Fusion, Source, check};

/// A softmax, a small network, a filter of several stages, a sweep over time.
const TEXTS: [&str; 4] = [
    include_str!("../../examples/softmax.tc"),
    include_str!("../../examples/mlp3.tc"),
    include_str!("../../examples/edges.tc"),
    include_str!("../../examples/sweep.tc"),
];

fn compilers() -> Vec<Compiler> {
    let of = |(_, fusion)| [1, 2].map(|threads| Compiler::host().threads(threads).fusion(fusion));
    Fusion::NAMES.into_iter().flat_map(of).collect()
}

#[test]
fn every_strategy_computes_what_the_evaluator_does() {
    let compilers = compilers();
    for text in TEXTS {
        let (defs, _) = check(&Source::load("a.tc".into(), text.into(), &mut |_, _| None)).expect("a program");
        for def in &defs {
            let sizes = agreement::sizes(def).expect("small sizes");
            agreement::runs_on(&compilers, def, &sizes).unwrap_or_else(|error| panic!("{}: {error}", def.name));
        }
    }
}

#[test]
fn so_it_does_of_programs_that_nobody_wrote() {
    let full = std::env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1");
    let compilers = compilers();
    for (text, def) in random::definitions(if full { 200 } else { 20 }) {
        let Some(sizes) = agreement::sizes(&def) else { continue };
        agreement::runs_on(&compilers, &def, &sizes).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}
