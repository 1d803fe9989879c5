//! What would become of commands that the script does not have.

use serde::Serialize;

use super::dependences::Conflict;

/// A command that was tried on the finished schedule, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The command, as a script has it.
    pub command: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The pair of instances that it would run in the wrong order, or at once; of a command that is not legal for them.
    pub conflict: Option<Conflict>,
    /// Why it was refused, as a sentence; empty where it is legal.
    pub why: String,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It keeps what the program computes.
    Legal,
    /// It would run two instances in the wrong order, or at once.
    Conflict,
    /// It does not fit the schedule or the target.
    DoesNotFit,
    /// The proof was too much work.
    TooMuchWork,
}
