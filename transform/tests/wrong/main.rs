//! The proof under attack: programs that commands changed, spoiled in every place that could be wrong, are refused.
//!
//! ```text
//! programs  programs, and scripts that change their storage and their instances
//! spoil     the ways to spoil what they become: one variant for each place
//! ```
//!
//! Whether a variant is wrong is found by running it, in the order of its tree, on values that nothing confuses: what
//! happens to leave the results as they are is not counted.

#[path = "../common/mod.rs"]
mod common;

mod programs;
mod spoil;
#[path = "../instances/programs.rs"]
#[allow(dead_code)]
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ops::AddAssign;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use polyhedral::legality::{self, Illegal, Meaning};
use polyhedral::{Scop, dependences, isl, testing};
use programs::{Case, FOLDS, Fold, PROGRAMS};
use spoil::Variant;
use transform::{Options, Refused, Script, Session};

/// How many wrong variants there must be, and how many of each family.
const WRONG: usize = 250;
const OF_EACH: usize = 2;

/// Wrong variants of one program and family that are judged; all of them when `TILEWRIGHT_TEST_FULL=1`.
const JUDGED: usize = 2;

/// How the variants of a family were judged.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Wrong, and refused with two instances or with what is found.
    shown: usize,
    /// Wrong, and refused as no program at all.
    malformed: usize,
    /// Wrong, and refused because isl gives up.
    undecided: usize,
    /// The results are the same.
    right: usize,
}

impl Tally {
    fn wrong(self) -> usize {
        self.shown + self.malformed + self.undecided
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.shown += other.shown;
        self.malformed += other.malformed;
        self.undecided += other.undecided;
        self.right += other.right;
    }
}

/// What is known of all programs so far.
#[derive(Default)]
struct Findings {
    tallies: BTreeMap<&'static str, Tally>,
    /// Wrong programs that the proof accepts, and scripts that it refuses.
    failures: Vec<String>,
}

/// The program after a script that is accepted.
fn changed(source: &str, script: &str) -> Result<Session, String> {
    let mut session = common::session_of(testing::scop(&isl::Ctx::new(), source), Options::default());
    common::replay(&mut session, script).map_err(|refused| format!("{refused}\n{}", session.scop()))?;
    Ok(session)
}

/// The proof of a session for a program that commands changed.
fn judge(meaning: &Meaning, scop: &Scop) -> Result<(), Illegal> {
    legality::order_respected(&scop.tree, &dependences(scop)?, scop)?;
    legality::values_kept(meaning, scop)
}

/// Whether it computes the same for sizes that cut the boxes of the scripts, and for others.
fn is_right(source: &Scop, scop: &Scop) -> bool {
    let bases = match source.params.len() {
        1 => [11, 6],
        2 => [7, 5],
        _ => [5, 3],
    };
    let sizes = |base: i64| (0..source.params.len() as i64).map(|at| base + at).collect::<Vec<_>>();
    bases.into_iter().all(|base| testing::same_results(source, scop, &sizes(base), 1))
}

/// Spoils one program in every family.
fn attack(case: &Case, judged: usize) -> Result<Findings, String> {
    let session = changed(case.source, case.script)?;
    let (source, mut findings, mut seen) = (session.source(), Findings::default(), BTreeSet::new());
    if !is_right(source, session.scop()) {
        return Err(format!("accepted, but other results\n{}", session.scop()));
    }
    let meaning = Meaning::of(source, false).map_err(|error| error.to_string())?;
    for (family, variants) in spoil::variants(session.scop()).map_err(|error| error.to_string())? {
        let tally = findings.tallies.entry(family).or_default();
        for Variant { what, scop } in spread(variants) {
            if tally.wrong() == judged || !seen.insert(scop.to_string()) {
                continue;
            }
            if is_right(source, &scop) {
                tally.right += 1;
                continue;
            }
            match judge(&meaning, &scop) {
                Err(Illegal::Violation(_)) => tally.shown += 1,
                Err(Illegal::Malformed(_)) => tally.malformed += 1,
                Err(Illegal::Isl(_)) => tally.undecided += 1,
                Ok(()) => findings.failures.push(format!("{}, {family}: {what}\n{scop}", case.name)),
            }
        }
    }
    Ok(findings)
}

/// Neighbours are alike: every third one comes first.
fn spread<T>(all: Vec<T>) -> impl Iterator<Item = T> {
    let mut all: Vec<(usize, T)> = all.into_iter().enumerate().map(|(at, one)| (at % 3, one)).collect();
    all.sort_by_key(|(turn, _)| *turn);
    all.into_iter().map(|(_, one)| one)
}

/// All programs, on two threads.
fn attack_all(judged: usize) -> Findings {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Findings::default()));
    let work = || {
        while let Some(case) = PROGRAMS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = attack(case, judged);
            let mut all = all.lock().expect("no other thread panics");
            match found {
                Ok(found) => {
                    for (family, tally) in found.tallies {
                        *all.tallies.entry(family).or_default() += tally;
                    }
                    all.failures.extend(found.failures);
                }
                Err(failure) => all.failures.push(format!("{}: {failure}", case.name)),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    all.into_inner().expect("no thread panics")
}

#[test]
fn spoiled_programs_are_refused() {
    let full = env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1");
    let Findings { tallies, failures } = attack_all(if full { usize::MAX } else { JUDGED });
    let table: Vec<String> = tallies.iter().map(|(family, tally)| format!("{family}: {tally:?}")).collect();
    let table = table.join("\n");
    let shown: usize = tallies.values().map(|tally| tally.shown).sum();
    println!("{table}\n{shown} wrong variants are refused with a counter-example");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(shown >= WRONG, "{shown} of\n{table}");
    let rare = tallies.iter().find(|(_, tally)| tally.wrong() < OF_EACH);
    assert!(rare.is_none(), "{rare:?} of\n{table}");
}

#[test]
fn folds_below_the_smallest_legal_one_are_refused() {
    let mut spoiled = 0;
    for Fold { source, script, tensor, dim, smallest } in FOLDS {
        let session = changed(source, script).unwrap_or_else(|failure| panic!("{failure}"));
        for by in 1..=smallest + 1 {
            let command = format!("fold {tensor} dim {dim} by {by}");
            let context = || format!("{command} after\n{script}\nof {source}");
            let fold: Script = command.parse().expect("a script");
            let Ok(folded) = session.preview(fold.commands().next().expect("one")) else {
                assert!(by >= *smallest, "it does not fit: {}", context());
                continue;
            };
            assert_eq!(is_right(session.source(), &folded), by >= *smallest, "{}", context());
            match common::replay(&mut session.clone(), &command) {
                Ok(()) => assert!(by >= *smallest, "accepted: {}", context()),
                Err(Refused { reason, .. }) => {
                    assert!(by < *smallest, "{reason}: {}", context());
                    spoiled += 1;
                }
            }
        }
    }
    let below: u32 = FOLDS.iter().map(|fold| fold.smallest - 1).sum();
    assert_eq!(spoiled, below);
    assert!(spoiled >= 15, "{spoiled}");
}
