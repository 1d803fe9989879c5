//! The plan of a program: the groups that were chosen.

use polyhedral::{Scop, StmtId, isl};
use support::Remark;
use transform::{FusionGroup, FusionReport, Session};

use super::choose;
use super::graph::Graph;
use super::groups::{Form, Group, Search};
use super::problem::{Candidate, Problem};
use super::shape::Shape;
use crate::nest::{self, Nest};

/// Nodes of the search for a plan. Ten decisions take a few.
const NODES: usize = 2000;

/// Which nests run together.
pub(crate) struct Plan {
    /// The program that is planned: what ids and names mean.
    pub(crate) scop: Scop,
    /// The statements of each nest at the top.
    pub(crate) nests: Vec<Vec<StmtId>>,
    /// The chosen groups, in an order in which they may run.
    pub(crate) groups: Vec<Group>,
    pub(crate) remarks: Vec<Remark>,
    /// For people.
    pub(crate) report: FusionReport,
    /// What the choice was made of.
    pub(crate) problem: Problem,
    /// The words for the forms of its candidates.
    pub(crate) forms: Vec<String>,
}

impl Form {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Form::Apart => "apart",
            Form::Around(_) => "in tiles",
            Form::Rows(_) => "rows",
            Form::Inlined(_) => "inlined",
            Form::Shared { .. } => "shared loops",
        }
    }
}

impl Plan {
    /// The cheapest plan for the nests at the top, of which those that are not `chosen` stay as they are; or the one with
    /// these candidates, where it is given.
    ///
    /// # Errors
    /// When the loops cannot be examined.
    pub(crate) fn of(
        session: &Session,
        chosen: impl Fn(&Scop, &Nest) -> bool,
        given: Option<&[usize]>,
    ) -> isl::Result<Plan> {
        let scop = session.scop().clone();
        scop.ctx.with_budget(session.options().operations, || {
            let nests = nest::nests(&scop)?;
            let is_chosen: Vec<bool> = nests.iter().map(|nest| chosen(&scop, nest)).collect();
            let graph = Graph::of(&scop, &nests);
            let search = Search::run(session, &nests, &graph, &is_chosen)?;
            let problem = problem(&nests, &graph, &search.groups);
            let mut choice = choose(&problem, &openings(&problem, &search.groups), NODES);
            if let Some(given) = given {
                choice.chosen = given.to_vec();
            }
            let nests: Vec<Vec<StmtId>> = nests.iter().map(|nest| nest.stmts.clone()).collect();
            let report = described(&search, &nests, &choice);
            let Search { groups, remarks, .. } = search;
            let forms = groups.iter().map(|group| group.form.word().to_string()).collect();
            let groups: Vec<Group> = choice.chosen.iter().map(|&at| groups[at].clone()).collect();
            let is_apart = |nests: &[usize]| {
                let holds = |group: &Group| nests.iter().all(|nest| group.nests.contains(nest));
                nests.is_empty() || !groups.iter().any(holds)
            };
            let remarks = remarks.into_iter().filter(|(nests, _)| is_apart(nests)).map(|(_, remark)| remark).collect();
            Ok(Plan { scop: scop.clone(), nests, groups, remarks, report, problem, forms })
        })
    }
}

/// Plans that are easily found: what saves most first, with and without what is computed again.
fn openings(problem: &Problem, groups: &[Group]) -> [Vec<usize>; 2] {
    [greedy(problem, |_| true), greedy(problem, |at| !matches!(groups[at].form, Form::Inlined(_)))]
}
fn problem(nests: &[Nest], graph: &Graph, groups: &[Group]) -> Problem {
    let candidate = |group: &Group| Candidate {
        nests: group.nests.clone(),
        cost: group.cycles.round().clamp(0.0, 1e15) as u64,
        ..Candidate::default()
    };
    Problem { nests: nests.len(), before: graph.before.clone(), candidates: groups.iter().map(candidate).collect() }
}

/// Groups that save most first, as long as none of their nests is taken.
fn greedy(problem: &Problem, is_meant: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut alone = vec![0; problem.nests];
    for one in problem.candidates.iter().filter(|one| one.nests.len() == 1) {
        alone[one.nests[0]] = one.cost;
    }
    let saved = |at: usize| {
        let one = &problem.candidates[at];
        one.nests.iter().map(|&nest| alone[nest]).sum::<u64>().saturating_sub(one.cost)
    };
    let mut order: Vec<usize> = (0..problem.candidates.len()).filter(|&at| is_meant(at)).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(saved(at)), at));
    let (mut taken, mut plan) = (vec![false; problem.nests], Vec::new());
    for at in order {
        let nests = &problem.candidates[at].nests;
        if nests.iter().all(|&nest| !taken[nest]) {
            nests.iter().for_each(|&nest| taken[nest] = true);
            plan.push(at);
        }
    }
    plan
}

fn described(search: &Search<'_>, nests: &[Vec<StmtId>], choice: &super::Choice) -> FusionReport {
    let (scop, groups) = (search.program.scop, &search.groups);
    let alone = |nest: usize| groups.iter().find(|group| group.nests == [nest]);
    let row = |&at: &usize| {
        let group = &groups[at];
        let bytes = search.program.bytes(&group.shape);
        let of_parts: Vec<Vec<u64>> =
            group.nests.iter().filter_map(|&nest| Some(search.program.bytes(&alone(nest)?.shape))).collect();
        let apart = |level: usize| of_parts.iter().filter_map(|bytes| bytes.get(level)).sum();
        let stmts = group.nests.iter().flat_map(|&nest| &nests[nest]).map(|&id| scop.stmts[id].name.clone()).collect();
        FusionGroup {
            stmts,
            form: group.form.word(),
            cost: group.cycles.round() as u64,
            apart: (0..bytes.len()).map(apart).collect(),
            bytes,
        }
    };
    let apart = (0..nests.len()).filter_map(|nest| Some(alone(nest)?.cycles.round() as u64)).sum();
    let rows = |plan: &[usize]| plan.iter().map(row).collect::<Vec<_>>();
    let runner_up = choice.runner_up.as_ref().map(|(plan, cost)| (rows(plan), *cost));
    let shapes = choice.chosen.iter().map(|&at| &groups[at].shape);
    let bytes = search.program.bytes(&shapes.fold(Shape::default(), Shape::then));
    FusionReport { groups: rows(&choice.chosen), cost: choice.cost, apart, runner_up, bytes, exact: choice.exact }
}

/// The plan that the CPU policy has for a program whose schedule has not begun.
///
/// # Errors
/// When the loops cannot be examined.
pub fn report(session: &Session) -> isl::Result<FusionReport> {
    Ok(crate::cpu::plan(session)?.report)
}

/// All groups that were looked at, one a line, for whoever doubts a plan.
#[doc(hidden)]
pub fn candidates(session: &Session) -> isl::Result<(Problem, Vec<String>, FusionReport)> {
    let plan = crate::cpu::plan(session)?;
    Ok((plan.problem, plan.forms, plan.report))
}
