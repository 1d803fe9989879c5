//! The cheapest legal plan.

use std::collections::BTreeSet;

use super::integer::{Program, Row};
use super::problem::{Choice, Problem, Space};

/// The cheapest legal plan of a problem; of several, one with the fewest groups, then the one whose ascending list of
/// candidates comes first.
///
/// An integer program has a variable for each candidate: each nest is covered once, a candidate comes with what it needs
/// and without what it excludes. That groups do not wait for each other in a circle is asked for when a solution has such
/// a circle, and it is solved again: of the groups along the circle, not all may be there (the subtour cuts of Dantzig,
/// Fulkerson and Johnson, 1954). Candidates that have to do with each other make a part; parts are solved by themselves
/// until a circle joins some. That fusion is partitioning of an acyclic graph is due to Kennedy and McKinley (LCPC 1993), as
/// an integer program to Megiddo and Sarkar (SPAA 1997).
///
/// `openings` are plans that are known. `nodes` bounds the search of all programs together; when it is spent, the
/// cheapest plan known is the answer and [`Choice::exact`] is false. Weights that differ in the 40th bit only are not
/// told apart by the solver; then too. Candidates that cost more than twice all nests apart are not looked at, so there
/// is no runner-up with them.
pub fn choose(problem: &Problem, openings: &[Vec<usize>], nodes: usize) -> Choice {
    let space = Space::new(problem);
    let mut search = Search::new(&space, nodes);
    let mut known: Vec<Vec<usize>> =
        openings.iter().filter(|plan| space.is_complete(plan)).map(|p| sorted(p)).collect();
    known.push(sorted(&space.apart()));
    if let Some(best) = search.best(&[]) {
        known.extend(search.neighbours(&best));
        known.push(best);
    }
    known.sort_by_cached_key(|plan| (search.weight(plan), plan.clone()));
    known.dedup();
    let mut ordered = known.iter().filter_map(|plan| Some((space.ordered(plan)?, space.cost(plan))));
    let (chosen, cost) = ordered.next().unwrap_or_else(|| ((space.apart()), space.cost(&space.apart())));
    Choice { chosen, cost, exact: search.exact, runner_up: ordered.next() }
}

fn sorted(plan: &[usize]) -> Vec<usize> {
    let mut plan = plan.to_vec();
    plan.sort_unstable();
    plan
}

/// Candidates that have to do with each other, and the nests that they cover.
#[derive(Clone, Debug)]
struct Part {
    candidates: Vec<usize>,
    nests: Vec<usize>,
    /// The best plan of the part alone, once it is known.
    best: Option<Vec<usize>>,
}

struct Search<'a> {
    space: &'a Space<'a>,
    parts: Vec<Part>,
    /// What keeps groups from waiting for each other in a circle.
    cuts: Vec<Row>,
    /// Nodes left.
    nodes: usize,
    exact: bool,
}

impl<'a> Search<'a> {
    fn new(space: &'a Space<'a>, nodes: usize) -> Search<'a> {
        let mut search = Search { space, parts: Vec::new(), cuts: Vec::new(), nodes, exact: true };
        for &c in &space.usable {
            let candidate = &space.problem.candidates[c];
            search.parts.push(Part { candidates: vec![c], nests: candidate.nests.clone(), best: None });
            // Those with a higher number join when their turn comes: both look at both.
            let related = |other: usize| {
                let others = &space.problem.candidates[other];
                let needs = candidate.needs.contains(&other) || others.needs.contains(&c);
                needs || space.clash(c, other)
            };
            search.join(related, &[c]);
        }
        search
    }

    /// Makes one part of all that have a candidate that is `related` or one of `also`.
    fn join(&mut self, related: impl Fn(usize) -> bool, also: &[usize]) {
        let touches = |part: &Part| part.candidates.iter().any(|&c| also.contains(&c) || related(c));
        let (joined, mut others): (Vec<Part>, Vec<Part>) = self.parts.drain(..).partition(touches);
        if !joined.is_empty() {
            let candidates: BTreeSet<usize> = joined.iter().flat_map(|part| part.candidates.iter().copied()).collect();
            let nests: BTreeSet<usize> = joined.iter().flat_map(|part| part.nests.iter().copied()).collect();
            let best = joined.iter().map(|part| part.best.clone()).collect::<Option<Vec<_>>>();
            let best =
                best.map(|plans| sorted(&plans.concat())).filter(|plan| self.cuts.iter().all(|cut| cut.holds(plan)));
            others.push(Part { candidates: Vec::from_iter(candidates), nests: Vec::from_iter(nests), best });
        }
        self.parts = others;
    }

    /// What is to be least: the cost, then the number of groups.
    fn weight(&self, plan: &[usize]) -> i128 {
        plan.iter().map(|&c| self.weight_of(c)).sum()
    }

    fn weight_of(&self, candidate: usize) -> i128 {
        let groups = (self.space.problem.nests + 1).next_power_of_two() as i128;
        i128::from(self.space.problem.candidates[candidate].cost) * groups + 1
    }

    /// The legal plan of least weight that keeps to `rows`, each about candidates of one part; ascending. None when there
    /// is none, or the nodes are spent.
    fn best(&mut self, rows: &[Row]) -> Option<Vec<usize>> {
        loop {
            let mut plan = Vec::new();
            for at in 0..self.parts.len() {
                plan.extend(self.best_of(at, rows)?);
            }
            let Some(cycle) = self.space.cycle(&plan) else { return Some(sorted(&plan)) };
            let cut = self.cut(&cycle);
            let about: Vec<usize> = cut.terms.iter().map(|(c, _)| *c).collect();
            self.cuts.push(cut);
            self.join(|_| false, &about);
        }
    }

    fn best_of(&mut self, at: usize, rows: &[Row]) -> Option<Vec<usize>> {
        let part = &self.parts[at];
        let rows: Vec<Row> = rows.iter().filter(|row| is_about(row, part)).cloned().collect();
        if let (true, Some(best)) = (rows.is_empty(), &part.best) {
            return Some(best.clone());
        }
        let free = rows.is_empty();
        let plan = self.solve(at, rows)?;
        if free {
            self.parts[at].best = Some(plan.clone());
        }
        Some(plan)
    }

    fn solve(&mut self, at: usize, rows: Vec<Row>) -> Option<Vec<usize>> {
        if self.nodes == 0 {
            self.exact = false;
            return None;
        }
        let solved = self.program(&self.parts[at], rows).solve(self.nodes);
        self.nodes = self.nodes.saturating_sub(solved.nodes);
        self.exact &= solved.proved;
        solved.plan
    }

    fn program(&self, part: &Part, mut rows: Vec<Row>) -> Program {
        let candidates = &self.space.problem.candidates;
        let covers = part.nests.iter().map(|nest| {
            part.candidates.iter().copied().filter(|&c| candidates[c].nests.binary_search(nest).is_ok()).collect()
        });
        for &c in &part.candidates {
            rows.extend(candidates[c].needs.iter().map(|&need| Row { terms: vec![(c, 1), (need, -1)], limit: 0 }));
            rows.extend(candidates[c].excludes.iter().map(|&other| Row { terms: vec![(c, 1), (other, 1)], limit: 1 }));
        }
        rows.extend(self.cuts.iter().filter(|cut| is_about(cut, part)).cloned());
        Program { weights: self.weights(part), covers: covers.collect(), rows }
    }

    /// The weight of each candidate against its nests alone: every plan's sum is less by the same, and so are the numbers
    /// that the solver sees.
    fn weights(&self, part: &Part) -> Vec<(usize, i128)> {
        let nests = |c: usize| &self.space.problem.candidates[c].nests;
        let alone = |nest: usize| {
            let alone = part.candidates.iter().filter(|&&c| nests(c) == &[nest]);
            alone.map(|&c| self.weight_of(c)).min().unwrap_or(0)
        };
        let saved = |c: usize| nests(c).iter().map(|&nest| alone(nest)).sum::<i128>();
        part.candidates.iter().map(|&c| (c, self.weight_of(c) - saved(c))).collect()
    }

    /// Of the groups along a cycle, not all at once.
    ///
    /// Along the cycle a group is entered at one nest and left at another. Whatever groups hold these two nests, for each
    /// of the pairs, they are a cycle again, unless one group holds them all: no nest is between, as candidates are convex.
    fn cut(&self, cycle: &[(usize, usize)]) -> Row {
        let entries = cycle.iter().map(|edge| edge.1);
        let exits = cycle.iter().cycle().skip(1).map(|edge| edge.0);
        let pairs: Vec<(usize, usize)> = entries.zip(exits).filter(|(entry, exit)| entry != exit).collect();
        let count = |c: usize| {
            let nests = &self.space.problem.candidates[c].nests;
            let holds = |nest: &usize| nests.binary_search(nest).is_ok();
            pairs.iter().filter(|(entry, exit)| holds(entry) && holds(exit)).count()
        };
        let counted = self.space.usable.iter().map(|&c| (c, count(c)));
        let terms = counted.filter(|(_, count)| (1..pairs.len()).contains(count)).map(|(c, count)| (c, count as i32));
        Row { terms: terms.collect(), limit: pairs.len() as i32 - 1 }
    }

    /// The best plans besides `best`, each different in one part; where one is as good, the first of all that are.
    fn neighbours(&mut self, best: &[usize]) -> Vec<Vec<usize>> {
        let exact = self.exact;
        let mut found = Vec::new();
        let firsts: Vec<usize> = self
            .parts
            .iter()
            .filter(|part| part.candidates.len() > part.nests.len())
            .map(|part| part.candidates[0])
            .collect();
        let mut tied = false;
        for first in firsts {
            let Some(part) = self.parts.iter().find(|part| part.candidates.contains(&first)) else { continue };
            let own: Vec<usize> = best.iter().copied().filter(|c| part.candidates.contains(c)).collect();
            if let Some(other) = self.best(&[Row::other_than(&own)]) {
                tied |= self.weight(&other) == self.weight(best);
                found.push(other);
            }
        }
        if tied {
            found.push(self.first_of_equals(best));
        }
        // The runner-up need not be proved for the best to be.
        self.exact = exact;
        found
    }

    /// Of all plans that weigh as little as `best`, the one whose ascending list of candidates comes first.
    fn first_of_equals(&mut self, best: &[usize]) -> Vec<usize> {
        let (mut first, weight) = (best.to_vec(), self.weight(best));
        let mut rows: Vec<Row> = Vec::new();
        let mut taken: Vec<usize> = Vec::new();
        for &c in &self.space.usable {
            if taken.iter().any(|&other| self.space.clash(c, other)) {
                continue;
            }
            if !first.contains(&c) {
                rows.push(Row::with(c));
                match self.best(&rows) {
                    Some(plan) if self.weight(&plan) == weight => first = plan,
                    _ => {
                        rows.pop();
                        rows.push(Row::without(c));
                        continue;
                    }
                }
            } else {
                rows.push(Row::with(c));
            }
            taken.push(c);
        }
        first
    }
}

/// Whether a row is about candidates of a part; those of the others are in other parts, all of them.
fn is_about(row: &Row, part: &Part) -> bool {
    row.terms.iter().any(|(c, _)| part.candidates.binary_search(c).is_ok())
}
