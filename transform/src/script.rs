use std::fmt;
use std::str::FromStr;

use support::{Malformed, Stage};

use crate::{Command, grammar};

/// A schedule as a list of commands: what a policy, a person and a file have in common.
///
/// One command a line; `#` starts a comment. [`Display`](fmt::Display) and [`FromStr`] are inverse to each other, so a
/// script that was printed replays to the same bytes.
///
/// ```
/// let text = "split C.update.k by 256 as ko ki\nparallel C.update.m\n";
/// let script: transform::Script = text.parse().unwrap();
/// assert_eq!(script.to_string(), text);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Script {
    steps: Vec<Step>,
}

/// A command and the line on which it stands.
#[derive(Clone, Debug)]
struct Step {
    command: Command,
    line: usize,
}

/// A text that is not a script: where, and what should stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl Script {
    /// The empty script: the order of the source.
    pub fn new() -> Script {
        Script::default()
    }

    /// The commands, in order.
    pub fn commands(&self) -> impl DoubleEndedIterator<Item = &Command> + ExactSizeIterator {
        self.steps.iter().map(|step| &step.command)
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds a command, on the line after the last.
    pub fn push(&mut self, command: Command) {
        let line = self.steps.last().map_or(1, |last| last.line + last.command.to_string().lines().count());
        self.push_at(line, command);
    }

    /// The commands and the lines on which they stand, from 1.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = (usize, &Command)> + ExactSizeIterator {
        self.steps.iter().map(|step| (step.line, &step.command))
    }

    pub(crate) fn push_at(&mut self, line: usize, command: Command) {
        self.steps.push(Step { command, line });
    }
}

/// Scripts are equal when their commands are, whatever the lines on which these stand.
impl PartialEq for Script {
    fn eq(&self, other: &Script) -> bool {
        self.commands().eq(other.commands())
    }
}

impl Eq for Script {}

impl FromIterator<Command> for Script {
    fn from_iter<I: IntoIterator<Item = Command>>(commands: I) -> Script {
        let mut script = Script::new();
        commands.into_iter().for_each(|command| script.push(command));
        script
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.commands().try_for_each(|command| writeln!(f, "{command}"))
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Script, ScriptError> {
        grammar::script(text)
    }
}

impl Stage for Script {
    const NAME: &'static str = "script";

    /// A script's text reads back as the same script.
    fn verify(&self) -> Result<(), Malformed> {
        match self.to_string().parse::<Script>() {
            Ok(again) if again == *self => Ok(()),
            Ok(_) => Err(Malformed::new(Self::NAME, "the script", "its text reads back as another script")),
            Err(error) => {
                Err(Malformed::new(Self::NAME, "the script", format!("its text does not read back: {error}")))
            }
        }
    }
}
