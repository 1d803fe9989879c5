//! Tensors between pages that may not be touched: machine code that reads or writes outside of one is killed, or leaves a
//! mark beside it. Sanitizers do not see generated code.

mod kernels;
mod large;
mod lookups;
mod memory;

use std::process::Command;

/// Set in the processes that [`apart`] starts, to the name of the test.
const CHILD: &str = "TILEWRIGHT_TEST_APART";

/// Runs the body of the test `name` in a process of its own, so that a fault fails the test and says what ran.
fn apart(name: &str, body: impl FnOnce()) {
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        return body();
    }
    let program = std::env::current_exe().expect("the tests are a program");
    let arguments = [name, "--exact", "--nocapture", "--test-threads=1"];
    let output = Command::new(program)
        .args(arguments)
        .env(CHILD, name)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the tests run");
    let told = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = told.lines().rev().take(12).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    assert!(output.status.success(), "{}; the last lines:\n{}", output.status, last.join("\n"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{name} is no test");
}

/// Says what runs next, for when nothing can be said any more.
fn next(what: impl std::fmt::Display) {
    eprintln!("{what}");
}
