//! Changed programs, written by hand: right ones are accepted, wrong ones are refused with a sentence.

mod edits;
mod programs;

use std::time::Instant;

use crate::legality::{self, Illegal, Meaning};
use crate::testing::Rng;
use crate::{Scop, dependences, isl, testing};
use programs::{CASES, Case, Edit};

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

/// What the oracle says, for several sizes.
fn same(source: &str, changed: &str) -> bool {
    let ctx = isl::Ctx::new();
    let (source, changed) = (testing::scop(&ctx, source), testing::scop(&ctx, changed));
    same_for_sizes(&source, &changed)
}

fn same_for_sizes(source: &Scop, changed: &Scop) -> bool {
    let sizes = |base: i64| (0..source.params.len() as i64).map(|at| base + at).collect::<Vec<_>>();
    [1, 4, 5, 9].into_iter().all(|base| testing::same_results(source, changed, &sizes(base), 1))
}

#[test]
fn right_programs_are_accepted() {
    for Case { name, source, changed, .. } in CASES {
        let start = Instant::now();
        if let Err(illegal) = verdict(source, changed, false) {
            panic!("{name}: {illegal}");
        }
        assert!(same(source, changed), "{name}: accepted, but other results");
        println!("{name}: {:?}", start.elapsed());
    }
}

fn refusal(case: &Case, (from, to, sentence): &Edit, right: bool, failures: &mut Vec<String>) {
    let Case { name, source, changed, .. } = case;
    assert!(changed.contains(from), "{name}: no `{from}`");
    let text = changed.replacen(from, to, 1);
    if same(source, &text) != right {
        failures.push(format!("{name} with `{to}`: is it right?"));
    }
    match verdict(source, &text, false) {
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

#[test]
fn wrong_programs_are_refused() {
    let mut failures = Vec::new();
    for case in CASES {
        for edit in case.wrong {
            refusal(case, edit, false, &mut failures);
        }
        for edit in case.refused {
            refusal(case, edit, true, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_reduction_written_out_keeps_its_order() {
    let Case { source, changed, .. } = &programs::WRITTEN_OUT;
    verdict(source, changed, true).expect("in the order of the source");
    let sum = "A[i] * W[0] + A[i + 1] * W[1]";
    let turned = changed.replacen(sum, "A[i + 1] * W[1] + A[i] * W[0]", 1);
    assert!(changed.contains(sum) && verdict(source, &turned, true).is_err());
}

#[test]
fn what_is_read_off_a_changed_program_is_what_a_search_finds() {
    let mut counts = (0, 0);
    for Case { name, changed, .. } in CASES {
        let ctx = isl::Ctx::new();
        let changed = Scop::parse(&ctx, changed).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut rng = Rng::new(name.len() as u64);
        let edited = (0..2).filter_map(|_| edits::edited(&changed, &mut rng).map(|(scop, _)| scop));
        for scop in [changed.clone()].into_iter().chain(edited.collect::<Vec<_>>()) {
            let placement = super::Placement::of(&scop, &scop.tree).ok();
            if super::runs_in_memory(&scop, placement.as_ref()).is_ok() {
                super::flows::tests::read_off_as_searched(&scop, &mut counts);
            }
        }
    }
    println!("{counts:?}");
    assert!(counts.0 > 200, "{counts:?}: few are read off");
}

/// How many random edits of each program are judged; more by `EDITS=1000`.
const EDITS: u64 = 5;

#[test]
fn random_edits_are_judged_like_the_oracle() {
    let edits = std::env::var("EDITS").ok().and_then(|text| text.parse().ok()).unwrap_or(EDITS);
    let (mut accepted, mut refused, mut refused_though_right, mut wrong) = (0, 0, Vec::new(), Vec::new());
    for Case { name, source, changed, .. } in CASES {
        let ctx = isl::Ctx::new();
        let (source, changed) = (testing::scop(&ctx, source), testing::scop(&ctx, changed));
        let meaning = Meaning::of(&source, false).expect("isl");
        let mut rng = Rng::new(name.len() as u64 + 7);
        for _ in 0..edits {
            let Some((edited, what)) = edits::edited(&changed, &mut rng) else { continue };
            let right = same_for_sizes(&source, &edited);
            match judge(&meaning, &edited) {
                Ok(()) if right => accepted += 1,
                Ok(()) => wrong.push(format!("{name}: {what}: accepted, but other results\n{edited}")),
                Err(Illegal::Isl(error)) => wrong.push(format!("{name}: {what}: {error}")),
                Err(reason) if right => refused_though_right.push(format!("{name}: {what}: {reason}")),
                Err(_) => refused += 1,
            }
        }
    }
    println!("{}", refused_though_right.join("\n"));
    println!("{accepted} accepted, {refused} refused, {} refused though right", refused_though_right.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(accepted > 0 && refused > accepted);
}

/// Milliseconds that this thread has run.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|text| text.parse::<f64>().ok()).expect("nanoseconds") / 1e6
}

#[test]
#[ignore = "prints times"]
fn times() {
    for Case { name, source, changed, .. } in CASES {
        let ctx = isl::Ctx::new();
        let read = |text: &str| Scop::parse(&ctx, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let (source, changed) = (read(source), read(changed));
        for _ in 0..2 {
            let start = cpu();
            let mut last = 0.0;
            let mut lap = |what: &str| {
                let now = cpu() - start;
                println!("{name}: {what} {:.1} ms", now - last);
                last = now;
            };
            let meaning = Meaning::of(&source, false).expect("isl");
            lap("meaning");
            let deps = dependences(&changed).expect("isl");
            lap("dependences");
            legality::order_respected(&changed.tree, &deps, &changed).expect("ordered");
            lap("order");
            let placement = super::Placement::of(&changed, &changed.tree).ok();
            super::runs_in_memory(&changed, placement.as_ref()).expect("inside");
            lap("runs in memory");
            let parts = changed
                .stmts
                .iter()
                .map(|(id, stmt)| (id, super::parts::part(&source, &changed, stmt).expect("a part")));
            let parts: Vec<_> = parts.collect();
            lap("parts");
            let flows = super::Flows::of(&changed, &changed.tree, placement.as_ref()).expect("isl");
            lap("flows");
            let carried = super::Carried::of(&changed, &parts, &flows).expect("followed");
            lap("carried");
            let proof = super::Proof { meaning: &meaning, scop: &changed, parts, flows, carried };
            proof.computations().expect("right");
            lap("computations");
            proof.updates().expect("right");
            lap("updates");
            proof.results().expect("right");
            lap("results");
            proof.once().expect("right");
            lap("once");
        }
    }
}
