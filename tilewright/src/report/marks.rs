//! What commands do at a loop, in a few words.

use polyhedral::{DependenceKind, Kind};
use transform::{Command, Scheduled};

use super::amount::Amount;
use super::dependences::Conflict;

/// What is said of loops, by name.
pub(super) struct Marks {
    said: Vec<Said>,
}

struct Said {
    /// The loop.
    member: String,
    /// Whose bytes are said too.
    tensor: String,
    words: String,
}

impl Marks {
    /// Those of a script's commands whose loops are still there under their names.
    pub(super) fn of(scheduled: &Scheduled) -> Marks {
        let said = scheduled.script.commands().filter_map(|command| {
            let one = |member: &str, tensor: &str, words: String| {
                Some(Said { member: member.into(), tensor: tensor.into(), words })
            };
            match command {
                Command::Promote(copy) => {
                    let name = copy.name.as_deref().unwrap_or(&copy.tensor);
                    one(copy.member.as_deref()?, name, format!("{} packed as {name}", copy.tensor))
                }
                Command::StoreAt { tensor, member, memory } => {
                    let place = memory.map_or("of its own", polyhedral::Memory::word);
                    one(member, tensor, format!("{tensor} kept here, {place}"))
                }
                Command::ComputeAt { tensor, member } => one(member, tensor, format!("{tensor} computed here")),
                Command::Prefetch { tensor, member, ahead } => {
                    one(member, "", format!("{tensor} asked for, {} ahead", ahead.unwrap_or(1)))
                }
                Command::Privatise(parts) => {
                    one(&parts.member, "", format!("{} has partial results here", parts.tensor))
                }
                _ => None,
            }
        });
        Marks { said: said.collect() }
    }

    /// What is said of a loop. `size` has the bytes of a tensor that one iteration touches, and the cache that holds them.
    pub(super) fn at(
        &self,
        member: &str,
        kind: Kind,
        conflict: Option<&Conflict>,
        size: impl Fn(&str) -> Option<(Amount, Option<String>)>,
    ) -> Vec<String> {
        let words = |said: &Said| match size(&said.tensor) {
            Some((bytes, Some(cache))) => format!("{}: {}, {cache}", said.words, bytes.bytes()),
            Some((bytes, None)) => format!("{}: {}", said.words, bytes.bytes()),
            None => said.words.clone(),
        };
        let mut all: Vec<String> = self.said.iter().filter(|said| said.member == member).map(words).collect();
        let combines = conflict.is_some_and(|conflict| conflict.kind == DependenceKind::Reduction.to_string());
        if combines && matches!(kind, Kind::Vector(_)) {
            all.push("lanes added up".into());
        } else if combines && kind.at_once() {
            all.push("results combined".into());
        }
        all
    }
}
