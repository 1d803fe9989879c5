//! What is printed is read back: random commands of every kind, and the programs that random scripts make.

mod common;

use common::{session_of, tree};
use polyhedral::testing::{self, Rng};
use polyhedral::{Scop, isl};
use support::Stage;
use transform::testing::{command, each, redrawn};
use transform::{Command, Options, Script, Session};

/// Reads back as the same script, with the same bytes.
fn check_script(script: &Script) {
    let text = script.to_string();
    let again: Script = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again, *script, "{text}");
    assert_eq!(again.to_string(), text);
}

/// Reads back as a program with the same text.
fn check_scop(scop: &Scop, after: &Script) {
    let text = scop.to_string();
    let again = Scop::parse(&scop.ctx, &text).unwrap_or_else(|error| panic!("{error}\n{text}\nafter\n{after}"));
    assert_eq!(again.to_string(), text, "after\n{after}");
}

/// Applies random commands and checks the text of the program after each; how many applied.
fn run(scop: Scop, seed: u64, steps: usize) -> Vec<&'static str> {
    let (mut random, mut session) = (Rng::new(seed), session_of(scop, Options::default()));
    let mut applied = Vec::new();
    for _ in 0..steps {
        let command = command(&mut random, session.scop());
        let name = command.name();
        if session.apply(command).is_ok() {
            applied.push(name);
            check_scop(session.scop(), session.script());
        }
    }
    check_script(session.script());
    let malformed = |malformed| panic!("{malformed}\nafter\n{}", session.script());
    session.scop().verify().unwrap_or_else(malformed);
    replays(&session);
    applied
}

/// The recorded text makes the same program and the same record.
fn replays(session: &Session) {
    let text = session.script().to_string();
    let mut again = session_of(session.source().clone(), session.options());
    again.replay(&text.parse().expect("a script")).unwrap_or_else(|refused| panic!("{refused}\n{text}"));
    assert_eq!(again.script().to_string(), text);
    assert_eq!(tree(&again), tree(session), "after\n{text}");
}

#[test]
fn every_kind_of_command() {
    let ctx = isl::Ctx::new();
    let mut random = Rng::new(7);
    let programs = testing::programs(&ctx);
    for like in each() {
        for _ in 0..100 {
            let scop = &programs[random.below(programs.len())];
            let command = redrawn(&like, &mut random, scop);
            assert_eq!(command.name(), like.name());
            check_script(&[command].into_iter().collect());
        }
    }
}

#[test]
fn scripts_of_many_commands_keep_their_lines() {
    let ctx = isl::Ctx::new();
    let (mut random, kinds) = (Rng::new(11), each());
    for _ in 0..50 {
        let scop = testing::matmul(&ctx);
        let commands: Vec<Command> = (0..20).map(|_| redrawn(&random.pick(&kinds), &mut random, &scop)).collect();
        let script: Script = commands.into_iter().collect();
        check_script(&script);
        let again: Script = script.to_string().parse().expect("a script");
        let lines = |script: &Script| script.lines().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines(&again), lines(&script));
    }
}

#[test]
fn programs_that_scripts_made() {
    let ctx = isl::Ctx::new();
    let mut applied: Vec<&str> = Vec::new();
    for (at, (name, _)) in testing::PROGRAMS.iter().enumerate() {
        applied.extend(run(testing::program(&ctx, name), at as u64, 14));
    }
    assert!(applied.len() > 25, "{}", applied.len());
    applied.sort_unstable();
    applied.dedup();
    assert!(applied.len() > 9, "only {applied:?}");
}

#[test]
fn random_programs_that_scripts_made() {
    let ctx = isl::Ctx::new();
    let applied: usize = (0..6).map(|seed| run(testing::random(&ctx, 200 + seed), seed, 6).len()).sum();
    assert!(applied > 5, "{applied}");
}
