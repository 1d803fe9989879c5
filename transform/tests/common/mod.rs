//! The one place of the tests that knows the API.
#![allow(dead_code)]

pub mod draw;

use expect_test::Expect;
use polyhedral::text::print_tree;
use polyhedral::{Scop, isl, testing};
use support::Target;
use transform::{Options, Refused, Script, Session};

/// A machine with vectors of 64 bytes.
pub fn target() -> Target {
    Target {
        name: "test".into(),
        triple: "x86_64-unknown-linux-gnu".into(),
        cpu: "x86-64".into(),
        threads: 8,
        launch_cycles: 3000,
        vector_bytes: 64,
        vector_registers: 32,
        fma_per_cycle: 2,
        fma_latency: 4,
        caches: Vec::new(),
        features: String::new(),
    }
}

/// A session for the ready-made program of that name.
pub fn session(program: &str) -> Session {
    session_of(testing::program(&isl::Ctx::new(), program), Options::default())
}

/// A session for a program's text.
pub fn session_from(text: &str) -> Session {
    session_of(testing::scop(&isl::Ctx::new(), text), Options::default())
}

/// A session for any program.
pub fn session_of(scop: Scop, options: Options) -> Session {
    Session::with_options(scop, &target(), options).expect("its dependences are found")
}

/// Replays a script's text.
pub fn replay(session: &mut Session, script: &str) -> Result<(), Refused> {
    session.replay(&script.parse::<Script>().expect("a script"))
}

/// The tree's text.
pub fn tree(session: &Session) -> String {
    print_tree(session.scop(), &session.scop().tree).expect("printable")
}

/// The tree after a script, and then the script as it was recorded. The record replays to the same tree and bytes, and
/// the schedule as a whole is proved.
#[track_caller]
pub fn check(program: &str, script: &str, expected: Expect) {
    check_session(&session(program), script, expected);
}

/// The same for a program's text.
#[track_caller]
pub fn check_program(text: &str, script: &str, expected: Expect) {
    check_session(&session_from(text), script, expected);
}

#[track_caller]
fn check_session(initial: &Session, script: &str, expected: Expect) {
    let mut first = initial.clone();
    replay(&mut first, script).unwrap_or_else(|refused| panic!("{refused}"));
    let (recorded, after) = (first.script().to_string(), tree(&first));

    let mut second = initial.clone();
    replay(&mut second, &recorded).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(second.script().to_string(), recorded, "the record replays to the same bytes");
    assert_eq!(tree(&second), after, "the record replays to the same tree");

    first.finish().unwrap_or_else(|refused| panic!("{refused}"));
    expected.assert_eq(&format!("{after}---\n{recorded}"));
}

/// What is said of a script that is refused. The session stays as the commands before left it.
#[track_caller]
pub fn check_refused(program: &str, script: &str, expected: Expect) {
    expected.assert_eq(&refusal(session(program), script).to_string());
}

/// The refusal of the last command of a script.
#[track_caller]
pub fn refusal(mut session: Session, script: &str) -> Refused {
    let text = script;
    let script: Script = script.parse().expect("a script");
    let (last, before) =
        script.lines().rev().collect::<Vec<_>>().split_first().map(|(l, b)| (*l, b.to_vec())).expect("a command");
    for (_, command) in before.into_iter().rev() {
        session.apply(command.clone()).unwrap_or_else(|refused| panic!("{refused}"));
    }
    let (recorded, was) = (session.script().to_string(), tree(&session));
    let refused = session.apply(last.1.clone()).expect_err(text);
    assert_eq!(session.script().to_string(), recorded, "a refusal records nothing");
    assert_eq!(tree(&session), was, "a refusal changes nothing");
    refused
}
