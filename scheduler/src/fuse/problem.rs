//! What may be chosen, and which choices are legal.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// What may be chosen: nests at the top numbered in order, what must come before what, and groups with their price.
///
/// Each nest has a candidate alone that needs and excludes nothing, so that a legal plan exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// How many nests there are; they are numbered from 0.
    pub nests: usize,
    /// `(a, b)`: nest `a` must run before nest `b`, or together with it. Without cycles.
    pub before: Vec<(usize, usize)>,
    /// What may run together.
    pub candidates: Vec<Candidate>,
}

/// Nests that run together in one form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// The nests, ascending.
    pub nests: Vec<usize>,
    /// Cycles.
    pub cost: u64,
    /// Other candidates that must be chosen too; may be empty.
    pub needs: Vec<usize>,
    /// Other candidates that must not be chosen too; may be empty. One of two that exclude each other need say it.
    pub excludes: Vec<usize>,
}

/// A plan: each nest is in one of the chosen candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Candidates, in a legal order of execution: of those that may come next, the one with the lowest nest.
    pub chosen: Vec<usize>,
    /// Their cost in cycles.
    pub cost: u64,
    /// Whether no other plan is cheaper. Not known when the solver ran out of nodes.
    pub exact: bool,
    /// The second cheapest plan, in an order of execution, with its cost, when there is one and it was found.
    pub runner_up: Option<(Vec<usize>, u64)>,
}

/// A problem with what follows from it: what comes before what by way of others, and which candidates may be chosen.
pub(super) struct Space<'a> {
    pub problem: &'a Problem,
    /// Row `a` has `b` when `a` comes before `b`, at once or by way of others.
    reach: Vec<Vec<bool>>,
    /// Candidates that some legal plan worth its price may have, ascending.
    pub usable: Vec<usize>,
}

/// A nest of one group of a plan, and one of another that it must come before.
type Edge = (usize, usize);

/// For each group of a plan, the groups after it, each with an edge that leads there.
type Edges = Vec<Vec<(usize, Edge)>>;

impl<'a> Space<'a> {
    pub fn new(problem: &'a Problem) -> Space<'a> {
        let mut space = Space { problem, reach: reach(problem), usable: Vec::new() };
        space.usable = space.find_usable();
        space
    }

    /// The cheapest candidates of single nests that need and exclude nothing: the plan that is always legal.
    pub fn apart(&self) -> Vec<usize> {
        let mut alone: Vec<Option<usize>> = vec![None; self.problem.nests];
        for (c, candidate) in self.problem.candidates.iter().enumerate() {
            if let [nest] = candidate.nests[..]
                && let Some(best) = alone.get_mut(nest)
                && candidate.needs.is_empty()
                && candidate.excludes.is_empty()
                && best.is_none_or(|best| candidate.cost < self.problem.candidates[best].cost)
            {
                *best = Some(c);
            }
        }
        alone.into_iter().flatten().collect()
    }

    /// What no legal plan has is left out, and what costs more than twice all nests apart.
    ///
    /// A candidate that a nest outside must come between is in no legal plan, wherever that nest runs.
    fn find_usable(&self) -> Vec<usize> {
        let limit = self.cost(&self.apart()).saturating_mul(2);
        let candidates = &self.problem.candidates;
        let is_sound = |c: &Candidate| {
            let ascending = c.nests.windows(2).all(|pair| pair[0] < pair[1]);
            ascending && c.nests.last().is_some_and(|&last| last < self.problem.nests)
        };
        let mut usable: Vec<bool> =
            candidates.iter().map(|c| is_sound(c) && c.cost <= limit && self.is_convex(&c.nests)).collect();
        loop {
            let lacks = |c: usize| candidates[c].needs.iter().any(|&n| !usable.get(n).copied().unwrap_or(false));
            let Some(lacking) = (0..candidates.len()).find(|&c| usable[c] && lacks(c)) else { break };
            usable[lacking] = false;
        }
        (0..candidates.len()).filter(|&c| usable[c]).collect()
    }

    /// Whether no nest outside comes both after and before nests of the group.
    fn is_convex(&self, group: &[usize]) -> bool {
        (0..self.problem.nests).all(|nest| {
            let after = || group.iter().any(|&inside| self.reach[inside][nest]);
            let before = || group.iter().any(|&inside| self.reach[nest][inside]);
            group.binary_search(&nest).is_ok() || !after() || !before()
        })
    }

    /// Cycles of a plan.
    pub fn cost(&self, plan: &[usize]) -> u64 {
        plan.iter().fold(0, |sum, &c| self.problem.candidates[c].cost.saturating_add(sum))
    }

    /// Whether two candidates may not both be chosen: they share a nest, or one excludes the other.
    pub fn clash(&self, a: usize, b: usize) -> bool {
        let (one, other) = (&self.problem.candidates[a], &self.problem.candidates[b]);
        one.excludes.contains(&b)
            || other.excludes.contains(&a)
            || one.nests.iter().any(|nest| other.nests.binary_search(nest).is_ok())
    }

    /// Whether a plan has each nest once, and what its candidates need, and nothing that they exclude.
    pub fn is_complete(&self, plan: &[usize]) -> bool {
        let known = plan.iter().all(|c| self.problem.candidates.get(*c).is_some_and(|c| !c.nests.is_empty()));
        let count = || plan.iter().map(|&c| self.problem.candidates[c].nests.len()).sum::<usize>();
        let has_needs = |c: &usize| self.problem.candidates[*c].needs.iter().all(|need| plan.contains(need));
        let apart = || plan.iter().enumerate().all(|(at, &a)| plan[..at].iter().all(|&b| !self.clash(a, b)));
        known && count() == self.problem.nests && plan.iter().all(has_needs) && apart()
    }

    /// A legal plan in an order of execution; none when its groups wait for each other.
    pub fn ordered(&self, plan: &[usize]) -> Option<Vec<usize>> {
        let edges = self.edges(plan);
        let mut waits = vec![0; plan.len()];
        edges.iter().flatten().for_each(|&(to, _)| waits[to] += 1);
        let entry = |at: usize| Reverse((self.problem.candidates[plan[at]].nests[0], at));
        let mut ready: BinaryHeap<_> = (0..plan.len()).filter(|&at| waits[at] == 0).map(entry).collect();
        let mut order = Vec::with_capacity(plan.len());
        while let Some(Reverse((_, at))) = ready.pop() {
            order.push(plan[at]);
            for &(to, _) in &edges[at] {
                waits[to] -= 1;
                if waits[to] == 0 {
                    ready.push(entry(to));
                }
            }
        }
        (order.len() == plan.len()).then_some(order)
    }

    /// For each group of a plan, those that come after one of its nests, each with an edge that leads there.
    fn edges(&self, plan: &[usize]) -> Edges {
        let mut group = vec![None; self.problem.nests];
        for (at, &c) in plan.iter().enumerate() {
            self.problem.candidates[c].nests.iter().for_each(|&nest| group[nest] = Some(at));
        }
        let mut edges = vec![Vec::new(); plan.len()];
        for &(a, b) in &self.problem.before {
            if let (Some(from), Some(to)) = (group[a], group[b])
                && from != to
                && !edges[from].iter().any(|&(other, _)| other == to)
            {
                edges[from].push((to, (a, b)));
            }
        }
        edges
    }

    /// A shortest cycle of groups that wait for each other in a plan, as the edges along it; none when the plan is legal.
    pub fn cycle(&self, plan: &[usize]) -> Option<Vec<Edge>> {
        if self.ordered(plan).is_some() {
            return None;
        }
        let edges = self.edges(plan);
        (0..plan.len()).filter_map(|start| shortest_cycle(&edges, start)).min_by_key(Vec::len)
    }
}

/// The shortest way from a group back to itself, as the edges along it.
fn shortest_cycle(edges: &Edges, start: usize) -> Option<Vec<Edge>> {
    let mut from: Vec<Option<(usize, Edge)>> = vec![None; edges.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for &(to, edge) in &edges[at] {
            if from[to].is_none() {
                from[to] = Some((at, edge));
                queue.push_back(to);
            }
        }
    }
    let (mut cycle, mut at) = (Vec::new(), start);
    loop {
        let (previous, edge) = from[at]?;
        cycle.push(edge);
        at = previous;
        if at == start {
            cycle.reverse();
            return Some(cycle);
        }
    }
}

/// The transitive closure of what comes before what.
fn reach(problem: &Problem) -> Vec<Vec<bool>> {
    let mut next = vec![Vec::new(); problem.nests];
    problem.before.iter().for_each(|&(a, b)| next[a].push(b));
    let from = |start: usize| {
        let (mut seen, mut open) = (vec![false; problem.nests], vec![start]);
        while let Some(at) = open.pop() {
            for &to in &next[at] {
                if !std::mem::replace(&mut seen[to], true) {
                    open.push(to);
                }
            }
        }
        seen
    };
    (0..problem.nests).map(from).collect()
}
