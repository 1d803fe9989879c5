use polyhedral::isl;
use polyhedral::legality::{Illegal, Violation};

use crate::script::used;
use crate::{Command, Use};

/// A command that was not applied. The session is as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{}`{command}` refused: {reason}{}", used(.within), .line.map_or_else(String::new, |line| format!("line {line}: ")), .instead.as_ref().map_or_else(String::new, |instead| format!("; `{instead}` is legal")))]
pub struct Refused {
    /// The command's text as it was given; the first line of an `order`.
    pub command: String,
    /// The line of the script that holds it, from 1; none for a command that came from elsewhere.
    pub line: Option<usize>,
    /// The uses of definitions that it comes from, outermost first; the line is then one of the last one's definition.
    pub within: Vec<Use>,
    /// Why.
    pub reason: Reason,
    /// A command like it that would be applied, where one was found.
    pub instead: Option<Box<Command>>,
}

/// Why a command was not applied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Reason {
    /// Two instances would run in the wrong order, or at once.
    #[error("{0}")]
    Violation(Box<Violation>),
    /// The command does not fit the tree or the target; a sentence.
    #[error("{0}")]
    Precondition(String),
    /// The proof would take more of isl's operations than a command may use.
    #[error("its proof needs more than {0} operations of isl")]
    Quota(u64),
    /// isl failed in another way.
    #[error("{0}")]
    Isl(isl::Error),
}

impl Refused {
    /// `command` was refused for `reason`.
    pub(crate) fn new(command: &impl ToString, reason: Reason) -> Refused {
        let text = command.to_string();
        let command = text.lines().next().unwrap_or_default().trim_end_matches(" {").to_string();
        Refused { command, line: None, within: Vec::new(), reason, instead: None }
    }

    /// The counter-example, when there is one.
    pub fn violation(&self) -> Option<&Violation> {
        match &self.reason {
            Reason::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

impl Reason {
    pub(crate) fn precondition<T>(sentence: impl Into<String>) -> Result<T, Reason> {
        Err(Reason::Precondition(sentence.into()))
    }
}

impl From<Illegal> for Reason {
    fn from(illegal: Illegal) -> Reason {
        match illegal {
            Illegal::Violation(violation) => Reason::Violation(violation),
            Illegal::Malformed(sentence) => Reason::Precondition(sentence),
            Illegal::Isl(error) => Reason::Isl(error),
        }
    }
}

impl From<isl::Error> for Reason {
    fn from(error: isl::Error) -> Reason {
        Reason::Isl(error)
    }
}
