//! Changed programs, written by hand: right ones are accepted, wrong ones are refused with a sentence.

mod programs;

use std::time::Instant;

use crate::legality::{self, Illegal, Meaning};
use crate::{Scop, dependences, isl};
use programs::{CASES, Case};

/// The order of the tree and the values, as a session has them judged.
fn judge(meaning: &Meaning, scop: &Scop) -> Result<(), Illegal> {
    let deps = dependences(scop)?;
    let deps = if meaning.strict { deps.strict()? } else { deps };
    legality::order_respected(&scop.tree, &deps, scop)?;
    legality::values_kept(meaning, scop)
}

fn verdict(source: &str, changed: &str, strict: bool) -> Result<(), Illegal> {
    let ctx = isl::Ctx::new();
    let read = |text: &str| Scop::parse(&ctx, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let meaning = Meaning::of(&read(source), strict).expect("isl");
    judge(&meaning, &read(changed))
}

#[test]
fn right_programs_are_accepted() {
    for Case { name, source, changed, .. } in CASES {
        let start = Instant::now();
        if let Err(illegal) = verdict(source, changed, false) {
            panic!("{name}: {illegal}");
        }
        println!("{name}: {:?}", start.elapsed());
    }
}

#[test]
fn wrong_programs_are_refused() {
    let mut failures = Vec::new();
    for Case { name, source, changed, wrong } in CASES {
        for (from, to, sentence) in *wrong {
            assert!(changed.contains(from), "{name}: no `{from}`");
            match verdict(source, &changed.replacen(from, to, 1), false) {
                Ok(()) => failures.push(format!("{name} with `{to}` is accepted")),
                Err(illegal) => {
                    let said = illegal.to_string();
                    println!("{name}, `{to}`:\n    {said}");
                    if !said.contains(sentence) {
                        failures.push(format!("{name} with `{to}`: {said}"));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
