//! What would become of commands that the script does not have.

use std::fmt;

use frontend_tc::Kernel as Definition;
use polyhedral::isl;
use serde::Serialize;
use support::{Diagnostic, Target, with_deep_stack};
use transform::{Command, Reason, Refused, Script, Session};

use super::dependences::Conflict;
use super::loops::Loop;
use super::outline::outline;
use super::script::Change;
use crate::compile::{self, Options};
use crate::parts;
use crate::refusal::refused;
use crate::{Error, Result};

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

/// isl operations that one command may use, its proof included: a second at most.
const OPERATIONS: u64 = 1_000_000;

/// Loops for which commands are tried: those of a report that people read.
const MOST_LOOPS: usize = 40;

/// Extent of the tiles that are tried.
const TILE: u32 = 8;

/// Tries commands on the loops of a finished schedule, and says at each what came of them.
pub(super) fn try_each(session: &Session, loops: &mut [Loop], target: &Target) {
    let session = session.limited(OPERATIONS);
    let all = loops.to_vec();
    for one in loops.iter_mut().take(MOST_LOOPS) {
        one.tried = commands(one, &all, target).into_iter().map(|command| tried(&session, command)).collect();
    }
}

/// The commands that are worth an answer for a loop which runs its iterations in order or on threads.
fn commands(one: &Loop, all: &[Loop], target: &Target) -> Vec<Command> {
    let is_plain = |one: &Loop| one.kind == "in order" || one.kind == "parallel";
    if !is_plain(one) {
        return Vec::new();
    }
    let mut commands = vec![Command::vectorise(&one.name, (target.vector_bytes / 4).max(2))];
    let inside: Vec<&Loop> = all.iter().filter(|other| other.parent.as_ref() == Some(&one.name)).collect();
    if let [inner] = inside[..]
        && is_plain(inner)
    {
        commands.push(Command::reorder([&inner.name, &one.name]));
        commands.push(Command::tile([&one.name, &inner.name], [TILE, TILE]));
    }
    let mut beside = all.iter().filter(|other| other.parent == one.parent && other.depth == one.depth);
    if beside.any(|other| other.name == one.name)
        && let Some(next) = beside.next()
    {
        let (first, second) = (one.name.clone(), next.name.clone());
        commands.push(Command::Fuse { first, second, depth: Some(1), shift: None });
    }
    commands
}

fn tried(session: &Session, command: Command) -> Tried {
    let text = command.to_string();
    match session.clone().apply(command) {
        Ok(()) => Tried { command: text, outcome: Outcome::Legal, conflict: None, why: String::new() },
        Err(refused) => Tried { command: text, ..Tried::of(&refused) },
    }
}

impl Tried {
    fn of(refused: &Refused) -> Tried {
        let (outcome, conflict) = match &refused.reason {
            Reason::Violation(violation) => (Outcome::Conflict, Some(Conflict::of(violation))),
            Reason::Precondition(_) => (Outcome::DoesNotFit, None),
            Reason::Quota(_) | Reason::Isl(_) => (Outcome::TooMuchWork, None),
        };
        let instead = refused.instead.as_ref().map_or_else(String::new, |instead| format!("; `{instead}` is legal"));
        Tried { command: refused.command.clone(), outcome, conflict, why: format!("{}{instead}", refused.reason) }
    }
}

/// What would come of some commands, behind the schedule of a definition, or in place of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyNot {
    /// What came of them; of several, the first that was refused.
    pub tried: Tried,
    /// Whether they were tried on the order of the source, where they did not fit the finished schedule.
    pub on_source: bool,
    /// What they change of the order, where they are legal.
    pub change: Option<Change>,
}

/// Tries commands behind the schedule of a definition, and, where they do not fit there, on the order of the source: a loop
/// that the schedule has cut has another name at its end.
///
/// # Errors
/// What scheduling reports; for a program in parts, that it has no one schedule.
pub fn why_not(def: &Definition, sizes: Option<&[i64]>, options: &Options, commands: &Script) -> Result<WhyNot> {
    with_deep_stack(|| {
        let ctx = isl::Ctx::new();
        let scop = match sizes.filter(|_| !options.symbolic) {
            Some(sizes) => frontend_tc::lower_at(def, &ctx, sizes)?,
            None => frontend_tc::lower(def, &ctx)?,
        };
        if options.device.is_none() && parts::divided(&scop, &[], options)?.is_some() {
            let message = "the program is scheduled in parts: it has no one schedule that commands could be tried on";
            let help = "write the nests of one part as a definition of their own";
            return Err(Error::user(Diagnostic::call("TC0960", message).help(help)));
        }
        let plain = transform::Options { strict: options.strict, ..transform::Options::default() };
        let source = Session::with_options(scop.clone(), &options.target, plain).map_err(refused)?;
        let scheduled = compile::session(scop, options)?;
        let behind = replayed(scheduled, commands, false)?;
        if behind.tried.outcome != Outcome::DoesNotFit {
            return Ok(behind);
        }
        let before = replayed(source, commands, true)?;
        Ok(if before.tried.outcome == Outcome::DoesNotFit { behind } else { before })
    })
}

fn replayed(mut session: Session, commands: &Script, on_source: bool) -> Result<WhyNot> {
    let before = outline(session.program())?;
    let command = commands.to_string().trim_end().to_string();
    Ok(match session.replay(commands) {
        Ok(()) => {
            let tried = Tried { command, outcome: Outcome::Legal, conflict: None, why: String::new() };
            WhyNot { tried, on_source, change: Change::between(&before, &outline(session.program())?) }
        }
        Err(refused) => WhyNot { tried: Tried::of(&refused), on_source, change: None },
    })
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tried { command, outcome, why, .. } = &self.tried;
        let place = if self.on_source { "on the order of the source" } else { "behind the schedule" };
        match outcome {
            Outcome::Legal => writeln!(f, "`{command}` is legal {place}")?,
            Outcome::Conflict => writeln!(f, "`{command}` is not legal {place}: {why}")?,
            Outcome::DoesNotFit => writeln!(f, "`{command}` does not fit {place}: {why}")?,
            Outcome::TooMuchWork => writeln!(f, "`{command}` could not be decided {place}: {why}")?,
        }
        let Some(Change { removed, added, .. }) = &self.change else { return Ok(()) };
        removed.iter().try_for_each(|line| writeln!(f, "  - {line}"))?;
        added.iter().try_for_each(|line| writeln!(f, "  + {line}"))
    }
}
