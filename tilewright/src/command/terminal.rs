//! Standard output and error: colours, progress, and pipes that close early.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use support::{Diagnostic, Remark, Severity};
use tilewright::{Error, Result, Source, render};

/// Prints to standard output. A reader that has gone away is no error.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.to_string().as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::user(Diagnostic::call("TC0925", format!("cannot write to standard output: {error}"))))
        }
        _ => Ok(()),
    }
}

/// Says what went wrong.
pub fn error(error: &Error) {
    complain(error.render(colours()));
}

/// Shows warnings.
pub fn warnings(warnings: &[Diagnostic], source: &Source) {
    if !warnings.is_empty() {
        complain(format!("{}\n", render(warnings, Some(source), colours())));
    }
}

/// Says what went wrong and does not matter.
pub fn warning(error: &Error) {
    let of = |diagnostic: &Diagnostic| Diagnostic { severity: Severity::Warning, ..diagnostic.clone() };
    let all: Vec<Diagnostic> = error.diagnostics().iter().map(of).collect();
    complain(format!("{}\n", render(&all, None, colours())));
}

/// Shows what the compiler did not do, and why.
pub fn remarks(remarks: &[Remark]) {
    for remark in remarks {
        complain(format!("note: {remark}"));
    }
}

/// A panic is a bug of ours, whatever it says.
pub fn bug(panic: &dyn Display) {
    error(&Error::bug(panic));
}

/// Nothing can be done when standard error is closed.
fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether diagnostics have colours: <https://no-color.org>, and never in a pipe.
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Shows that something is going on until it is dropped; only on a terminal, and only when it takes a moment.
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins to show `what` is being done.
    pub fn new(what: impl Into<String>) -> Progress {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("a constant template");
        let bar = ProgressBar::new_spinner().with_style(style).with_message(what.into());
        bar.enable_steady_tick(Duration::from_millis(150));
        Progress(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
