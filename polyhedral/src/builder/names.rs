//! What the statements are called.

use std::collections::BTreeSet;

use super::record::{Draft, Node, Record, ValueId};
use crate::TensorId;

/// The names of statements, each once.
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// `base`, or the first of `base.2`, `base.3`, … that no statement has and that is not `reserved`.
    pub fn fresh(&mut self, base: &str, reserved: impl Fn(&str) -> bool) -> String {
        let numbered = (2..).map(|n| format!("{base}.{n}"));
        let is_free = |name: &String| !self.taken.contains(name) && !reserved(name);
        let free = std::iter::once(base.to_owned()).chain(numbered).find(is_free);
        let name = free.expect("the numbers do not end");
        self.taken.insert(name.clone());
        name
    }
}

/// The names of all statements in source order, and those that are taken.
pub(super) fn statement_names(record: &Record) -> (Vec<String>, Names) {
    let taken = record.drafts.values().filter_map(|draft| draft.name.clone()).collect();
    let mut names = Names { taken };
    let drafts: Vec<&Draft> = record.drafts.values().collect();
    let named = drafts.iter().enumerate().map(|(at, draft)| match &draft.name {
        Some(name) => name.clone(),
        None => names.fresh(&base_name(record, draft, &drafts[at + 1..]), |_| false),
    });
    (named.collect(), names)
}

/// The tensor that a value is an element of.
pub(super) fn tensor_of(record: &Record, value: ValueId) -> Option<TensorId> {
    match &record.values[value].as_ref().ok()?.node {
        Node::Load(tensor, _) => Some(*tensor),
        _ => None,
    }
}

/// Every tensor of which `value` reads an element.
pub(super) fn tensors_read(record: &Record, value: ValueId) -> BTreeSet<TensorId> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        if !seen.insert(value) {
            continue;
        }
        found.extend(tensor_of(record, value));
        if let Ok(typed) = &record.values[value] {
            left.extend(typed.node.children());
        }
    }
    found
}

fn base_name(record: &Record, draft: &Draft, later: &[&Draft]) -> String {
    let Some(tensor) = draft.targets.first().and_then(|&target| tensor_of(record, target)) else { return "S".into() };
    let name = &record.tensors[tensor].name;
    if draft.monoid.is_some() {
        return format!("{name}.update");
    }
    let into_it = |draft: &&&Draft| draft.targets.iter().any(|&target| tensor_of(record, target) == Some(tensor));
    let reduced_next = later.iter().find(into_it).is_some_and(|draft| draft.monoid.is_some());
    let reads_it = draft.values.iter().any(|&value| tensors_read(record, value).contains(&tensor));
    if reduced_next && !reads_it { format!("{name}.init") } else { name.clone() }
}
