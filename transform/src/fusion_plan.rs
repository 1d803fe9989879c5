//! What a policy expected of running nests together.

/// Which nests run together, beside what else was possible. A policy [notes](crate::Session::note_fusion) it; it changes
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FusionReport {
    /// What was chosen.
    pub chosen: FusionPlan,
    /// Each nest by itself.
    pub apart: FusionPlan,
    /// The second cheapest plan, when there is one.
    pub runner_up: Option<FusionPlan>,
    /// Whether no plan that was looked at is cheaper than the chosen one.
    pub is_exact: bool,
}

/// A way to run all nests at the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FusionPlan {
    /// In order of execution.
    pub groups: Vec<FusionGroup>,
}

/// Nests at the top that run together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FusionGroup {
    /// The nests by the names of statements, in order of execution.
    pub nests: Vec<String>,
    /// How they run together, in a word or two: `alone`, `rows`, `strips`, `epilogue`.
    pub form: String,
    /// Bytes between the last cache and memory, predicted.
    pub bytes: u64,
    /// Cycles, predicted.
    pub cost: u64,
}

impl FusionPlan {
    /// Bytes between the last cache and memory, predicted.
    pub fn bytes(&self) -> u64 {
        self.groups.iter().fold(0, |sum, group| sum.saturating_add(group.bytes))
    }

    /// Cycles, predicted.
    pub fn cost(&self) -> u64 {
        self.groups.iter().fold(0, |sum, group| sum.saturating_add(group.cost))
    }
}
