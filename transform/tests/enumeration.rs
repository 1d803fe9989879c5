//! Single edits of legal schedules, commands and literal trees: the session judges each as brute force does.

mod common;

use common::draw;
use common::session_of;
use polyhedral::testing::{self, Enumeration, Rng};
use polyhedral::{Scop, isl};
use transform::{Command, Options, Reason, Session};

/// Programs with more instances are left out.
const MOST: usize = 60;

/// How the edits of a run were judged.
#[derive(Default)]
struct Tally {
    legal: usize,
    illegal: usize,
    misfits: usize,
}

/// Judges `edits` edits of each of some legal schedules of a program, which has no parameters.
fn judge(scop: &Scop, seed: u64, [schedules, edits]: [usize; 2], tally: &mut Tally) {
    let Some(all) = Enumeration::of(scop, MOST).expect("decidable") else { return };
    let (mut random, initial) = (Rng::new(seed), session_of(scop.clone(), Options::default()));
    for _ in 0..schedules {
        let mut session = initial.clone();
        for _ in 0..random.below(5) {
            // What is refused here is judged below, among the single edits.
            let _ = session.apply(draw::command(&mut random, session.scop()));
        }
        for _ in 0..edits {
            let command = match random.below(3) {
                0 => draw::literal(&mut random, session.scop()).expect("printable"),
                _ => draw::command(&mut random, session.scop()),
            };
            agree(&session, &command, &all, tally);
        }
    }
}

/// Compares the verdict on one edit with brute force.
fn agree(session: &Session, command: &Command, all: &Enumeration, tally: &mut Tally) {
    let scop = session.scop();
    let context = || format!("{command}\nafter\n{}\nof\n{scop}", session.script());
    let mut after = session.clone();
    match after.apply(command.clone()).map_err(|refused| refused.reason) {
        Ok(()) => {
            let broken = all.broken(scop, &after.scop().tree).expect("decidable");
            assert!(broken.is_empty(), "accepted, but {:?} are broken by {}", broken[0], context());
            tally.legal += 1;
        }
        Err(Reason::Violation(violation)) => {
            let tree = session.preview(command).expect("an edit that fits").tree;
            let broken = all.broken(scop, &tree).expect("decidable");
            let id = |name: &str| scop.stmt_named(name).expect("a statement");
            let [source, sink] =
                [&violation.source, &violation.sink].map(|instance| (id(&instance.stmt), instance.point.clone()));
            assert!(broken.contains(&(source, sink)), "`{violation}` is not so after {}", context());
            tally.illegal += 1;
        }
        Err(Reason::Precondition(_)) => tally.misfits += 1,
        Err(other) => panic!("{other} after {}", context()),
    }
}

#[test]
fn single_edits_are_judged_as_brute_force_does() {
    let ctx = isl::Ctx::new();
    let mut tally = Tally::default();
    for (at, scop) in testing::programs(&ctx).iter().enumerate() {
        let scop = scop.specialise(&vec![3; scop.params.len()]).expect("sizes that fit");
        judge(&scop, 77 + at as u64, [6, 8], &mut tally);
    }
    for seed in 0..60 {
        judge(&testing::random(&ctx, seed), seed, [2, 8], &mut tally);
    }
    let Tally { legal, illegal, misfits } = tally;
    assert!(legal + illegal >= 500 && legal >= 150 && illegal >= 100, "{legal} {illegal} {misfits}");
}
