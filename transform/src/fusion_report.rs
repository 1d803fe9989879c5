//! What a policy expected of running nests together.

/// Which nests run together, beside what else was possible. A policy [notes](crate::Session::note_fusion) it; it changes
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FusionReport {
    /// The chosen groups, in an order in which they may run.
    pub groups: Vec<FusionGroup>,
    /// Cycles of all groups, predicted.
    pub cost: u64,
    /// Cycles of all nests one after the other, each by itself.
    pub apart: u64,
    /// The second cheapest plan and its cycles, where one was found.
    pub runner_up: Option<(Vec<FusionGroup>, u64)>,
    /// Bytes that each cache exchanges with what is beyond it, from the core outwards; none where sizes are not known.
    pub bytes: Vec<u64>,
    /// Whether no other plan of the groups that were looked at is cheaper.
    pub exact: bool,
}

/// Nests at the top that run together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FusionGroup {
    /// The statements of its nests, in the order of the program.
    pub stmts: Vec<String>,
    /// How they run together, in a word or two: `apart`, `in tiles`, `rows`, `inlined`, `shared loops`.
    pub form: &'static str,
    /// Cycles, predicted.
    pub cost: u64,
    /// Bytes that each cache exchanges with what is beyond it, from the core outwards; none where sizes are not known.
    pub bytes: Vec<u64>,
    /// The bytes that its nests would exchange one after the other, each by itself.
    pub apart: Vec<u64>,
}
