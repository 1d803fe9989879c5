use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use support::{Malformed, Stage};

use crate::refused::{Reason, Refused};
use crate::{Command, define};

/// A schedule as a list of commands: what a policy, a person and a file have in common.
///
/// One command a line; `#` starts a comment. [`Display`](fmt::Display) and [`FromStr`] are inverse to each other, so a
/// script that was printed replays to the same bytes. A comment on lines of its own stays with the command that follows
/// it. A text may also [define](crate::Definition) commands of its own; what is read is then the commands that they stand
/// for, under a comment that says so.
///
/// ```
/// let text = "# panels of B\nsplit C.update.k by 256 as ko ki\nparallel C.update.m\n";
/// let script: transform::Script = text.parse().unwrap();
/// assert_eq!(script.to_string(), text);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Script {
    steps: Vec<Step>,
}

/// A command, where it stands, and how it came there.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) command: Command,
    /// Of the command; that of the definition's body when there are uses.
    pub(crate) line: usize,
    /// The uses of definitions that it comes from, outermost first.
    pub(crate) within: Vec<Use>,
    /// The comment above it, line by line, without `#`.
    pub(crate) notes: Vec<String>,
}

/// A use of a [`Definition`](crate::Definition): `NAME(ARGUMENT, …)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Its text.
    pub text: String,
    /// The line on which it stands, from 1; none when it was asked for by a program.
    pub line: Option<usize>,
}

/// What a script says of a [part](Command::Part) of a program.
#[derive(Clone, Debug)]
pub struct ScriptPart {
    /// A statement of its first nest.
    pub stmt: String,
    /// The first statement of the part that is equal.
    pub like: Option<String>,
    /// The line of the `part`.
    pub line: usize,
    /// The commands about it; their lines are those of the whole script.
    pub script: Script,
}

/// A text that is not a script: where, and what should stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: expected {expected}, found {found}", used(.within), place(self))]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters. Inside of a definition, of the line with the arguments put in.
    pub column: usize,
    /// The uses of definitions that lead to the line, outermost first.
    pub within: Vec<Use>,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

/// What stands before the line of a message: the uses that lead there.
pub(crate) fn used(within: &[Use]) -> String {
    within
        .iter()
        .map(|Use { text, line }| match line {
            Some(line) => format!("line {line}: in `{text}`, "),
            None => format!("in `{text}`, "),
        })
        .collect()
}

fn place(error: &ScriptError) -> String {
    match error.within.is_empty() {
        true => format!("line {}, column {}", error.line, error.column),
        false => format!("line {} of the definition", error.line),
    }
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
        self.push_step(Step { command, line, within: Vec::new(), notes: Vec::new() });
    }

    /// The names of the sizes of tiles that it leaves open (`tile … by T`), each once, in the order of the alphabet.
    pub fn tile_sizes(&self) -> BTreeSet<&str> {
        let open = self.commands().filter_map(|command| match command {
            Command::TileBy { by, .. } => Some(by),
            _ => None,
        });
        open.flatten().map(String::as_str).collect()
    }

    /// The commands and the lines on which they stand, from 1.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = (usize, &Command)> + ExactSizeIterator {
        self.steps.iter().map(|step| (step.line, &step.command))
    }

    /// Adds the commands of another one, with their comments, below the last line.
    pub fn append(&mut self, other: &Script) {
        for Step { command, within, notes, .. } in &other.steps {
            let before = self.steps.last().map_or(0, |last| last.line + last.command.to_string().lines().count() - 1);
            let (line, within, notes) = (before + notes.len() + 1, within.clone(), notes.clone());
            self.push_step(Step { command: command.clone(), line, within, notes });
        }
    }

    /// Whether it divides a program into [parts](Command::Part).
    pub fn has_parts(&self) -> bool {
        self.commands().any(|command| matches!(command, Command::Part { .. }))
    }

    /// The parts that it divides a program into, each with its own commands.
    ///
    /// ```
    /// use transform::Script;
    ///
    /// let script: Script = "part A.init\nparallel A.update.i\npart B.init like A.init\n".parse().unwrap();
    /// let parts = script.parts().unwrap();
    /// assert_eq!(parts[0].script.to_string(), "parallel A.update.i\n");
    /// assert_eq!((parts[1].stmt.as_str(), parts[1].like.as_deref()), ("B.init", Some("A.init")));
    /// ```
    ///
    /// # Errors
    /// Where a command is in no part, or in one that is [like](Command::Part::like) another.
    pub fn parts(&self) -> Result<Vec<ScriptPart>, Refused> {
        let mut parts: Vec<ScriptPart> = Vec::new();
        for step in &self.steps {
            let why = match (&step.command, parts.last_mut()) {
                (Command::Part { stmt, like }, _) => {
                    let (stmt, like, line) = (stmt.clone(), like.clone(), step.line);
                    parts.push(ScriptPart { stmt, like, line, script: Script::new() });
                    continue;
                }
                (_, Some(part)) if part.like.is_none() => {
                    part.script.push_step(step.clone());
                    continue;
                }
                (_, Some(_)) => "it is below a `part … like …`, which says already what is done: leave `like` out",
                (_, None) => "it is above the first `part`: begin with a `part` that has the first statement",
            };
            let refused = Refused::new(&step.command, Reason::Precondition(why.into()));
            return Err(Refused { line: Some(step.line), within: step.within.clone(), ..refused });
        }
        Ok(parts)
    }

    /// Puts a comment above the command `at`; below it, lines move.
    pub(crate) fn note(&mut self, at: usize, notes: impl IntoIterator<Item = String>) {
        let mut added: Vec<String> = notes.into_iter().collect();
        let moved = added.len();
        if let Some(step) = self.steps.get_mut(at) {
            added.append(&mut step.notes);
            step.notes = added;
        }
        self.steps.iter_mut().skip(at).for_each(|step| step.line += moved);
    }

    pub(crate) fn push_step(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// Scripts are equal when their commands are, whatever the lines on which these stand and what is said of them.
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
        for Step { command, notes, .. } in &self.steps {
            for note in notes {
                writeln!(f, "{}", format!("# {note}").trim_end())?;
            }
            writeln!(f, "{command}")?;
        }
        Ok(())
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Script, ScriptError> {
        define::read(text).map(|(script, _)| script)
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
