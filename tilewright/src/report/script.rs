//! The commands, what each changed, and how it was proved.

use polyhedral::{Scop, isl};
use serde::Serialize;
use transform::{Command, Scheduled, Script};

use super::outline::outline;
use super::program::{self, Tensor};

/// A command of the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its text, which replays; an `order` has several lines.
    pub command: String,
    /// Why it was chosen, where a policy said so.
    pub reason: Option<String>,
    /// How it was proved: in a few words.
    pub proved: String,
    /// What it changed of the order.
    pub change: Option<Change>,
    /// The tensors that it made or changed, as they are after it.
    pub tensors: Vec<Tensor>,
}

/// The lines of an [outline](super::Report::source_order) that a command replaced: those from `line` on, as many as are
/// `removed`, by those that are `added`. From the order of the source on, one change after the other gives the outline after
/// each command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The first line, from 0.
    pub line: usize,
    /// What was there.
    pub removed: Vec<String>,
    /// What is there instead.
    pub added: Vec<String>,
}

impl Change {
    /// Between two outlines; none where they are equal.
    pub(super) fn between(before: &[String], after: &[String]) -> Option<Change> {
        let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
        let (old, new) = (&before[same..], &after[same..]);
        let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
        let (removed, added) = (old[..old.len() - tail].to_vec(), new[..new.len() - tail].to_vec());
        (!removed.is_empty() || !added.is_empty()).then_some(Change { line: same, removed, added })
    }

    /// The outline after it, given the one before.
    pub fn apply(&self, before: &[String]) -> Vec<String> {
        let from = self.line.min(before.len());
        let rest = (from + self.removed.len()).min(before.len());
        before[..from].iter().chain(&self.added).chain(&before[rest..]).cloned().collect()
    }
}

pub(super) fn steps(source: &Scop, scheduled: &Scheduled) -> isl::Result<Vec<Step>> {
    let (mut lines, mut tensors) = (outline(source)?, program::tensors(source));
    let mut steps = Vec::new();
    for ((command, reason), recorded) in scheduled.script.commands().zip(&scheduled.reasons).zip(&scheduled.history) {
        let (after, after_tensors) = (outline(&recorded.scop)?, program::tensors(&recorded.scop));
        steps.push(Step {
            command: command.to_string(),
            reason: reason.as_deref().map(str::to_string),
            proved: recorded.proved.word().into(),
            change: Change::between(&lines, &after),
            tensors: after_tensors.iter().filter(|tensor| !tensors.contains(tensor)).cloned().collect(),
        });
        (lines, tensors) = (after, after_tensors);
    }
    Ok(steps)
}

/// The commands of a program in parts: those that begin a part, and below them the steps of the parts that have some.
pub(super) fn of_parts(script: &Script, reasons: &[Option<String>], parts: Vec<Vec<Step>>) -> Vec<Step> {
    let mut own = parts.into_iter();
    let mut steps = Vec::new();
    for (command, reason) in script.commands().zip(reasons) {
        let Command::Part { like, .. } = command else { continue };
        let (command, proved) = (command.to_string(), "in the order of the source".into());
        steps.push(Step { command, reason: reason.clone(), proved, change: None, tensors: Vec::new() });
        if like.is_none() {
            steps.extend(own.next().into_iter().flatten());
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leads_from_one_outline_to_the_next() {
        let lines = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        for (before, after) in [("a b c", "a x y c"), ("a b", "a b c"), ("a a a", "a"), ("", "a"), ("a b", "c")] {
            let change = Change::between(&lines(before), &lines(after)).expect("they differ");
            assert_eq!(change.apply(&lines(before)), lines(after), "{before} to {after}");
        }
        assert_eq!(Change::between(&lines("a b"), &lines("a b")), None);
    }
}
