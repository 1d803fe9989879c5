//! Which nests run together, beside what else was possible.

use serde::Serialize;
use transform::{FusionGroup, FusionReport};

/// A choice of what runs together, with what the policy expects of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The chosen groups, in an order in which they may run.
    pub groups: Vec<Group>,
    /// Cycles of all groups, predicted.
    pub cost: u64,
    /// Cycles of all nests one after the other, each by itself.
    pub apart: u64,
    /// The second cheapest plan, where one was found.
    pub runner_up: Option<Vec<Group>>,
    /// Cycles of that one.
    pub runner_up_cost: Option<u64>,
    /// Bytes that each cache exchanges with what is beyond it, predicted, from the core outwards.
    pub bytes: Vec<u64>,
    /// Whether no other plan of the groups that were looked at is cheaper.
    pub exact: bool,
}

/// Nests that run together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The statements, in the order of the program.
    pub statements: Vec<String>,
    /// How they run together, in a word or two.
    pub form: String,
    /// Cycles, predicted.
    pub cost: u64,
    /// Bytes that each cache exchanges with what is beyond it, predicted.
    pub bytes: Vec<u64>,
    /// The bytes that its nests would exchange one after the other, each by itself.
    pub apart: Vec<u64>,
}

impl Plan {
    pub(super) fn of(report: &FusionReport) -> Plan {
        let groups = |groups: &[FusionGroup]| groups.iter().map(Group::of).collect::<Vec<_>>();
        Plan {
            groups: groups(&report.groups),
            cost: report.cost,
            apart: report.apart,
            runner_up: report.runner_up.as_ref().map(|(plan, _)| groups(plan)),
            runner_up_cost: report.runner_up.as_ref().map(|(_, cost)| *cost),
            bytes: report.bytes.clone(),
            exact: report.exact,
        }
    }
}

impl Group {
    fn of(group: &FusionGroup) -> Group {
        let FusionGroup { stmts, form, cost, bytes, apart } = group.clone();
        Group { statements: stmts, form: form.into(), cost, bytes, apart }
    }
}
