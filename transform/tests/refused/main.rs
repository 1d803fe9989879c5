//! Refused commands as tables, by family: the last command of each script is refused, with these words.

#[path = "../common/mod.rs"]
mod common;

mod loops;
mod remedies;

use common::{refusal, session, session_from};

/// A program's name or its text, a script whose last command is refused, and words of the refusal in their order.
type Case = (&'static str, &'static str, &'static [&'static str]);

/// Checks every case of a table; all that fail are shown.
#[track_caller]
fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (program, script, words) in cases {
        let session = if program.trim_start().starts_with("scop ") { session_from(program) } else { session(program) };
        let said = refusal(session, script).to_string();
        let mut rest = said.as_str();
        for word in *words {
            match rest.find(word) {
                Some(at) => rest = &rest[at + word.len()..],
                None => wrong.push(format!("no `{word}` after {script:?}:\n  {said}")),
            }
        }
        assert!(!words.is_empty(), "a case without words: {script:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
