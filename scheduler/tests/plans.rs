//! The choice of a plan, beside all plans there are.

use fastrand::Rng;
use scheduler::fuse::{Candidate, Choice, Problem, choose};

/// Every legal plan, as ascending candidates: found one nest after another, without a solver.
fn plans(problem: &Problem) -> Vec<Vec<usize>> {
    fn extend(problem: &Problem, covered: &mut Vec<bool>, plan: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
        let Some(nest) = covered.iter().position(|covered| !covered) else {
            let mut plan = plan.clone();
            plan.sort_unstable();
            if is_legal(problem, &plan) {
                found.push(plan);
            }
            return;
        };
        for (c, candidate) in problem.candidates.iter().enumerate() {
            if candidate.nests.contains(&nest) && candidate.nests.iter().all(|&nest| !covered[nest]) {
                candidate.nests.iter().for_each(|&nest| covered[nest] = true);
                plan.push(c);
                extend(problem, covered, plan, found);
                plan.pop();
                candidate.nests.iter().for_each(|&nest| covered[nest] = false);
            }
        }
    }
    let mut found = Vec::new();
    extend(problem, &mut vec![false; problem.nests], &mut Vec::new(), &mut found);
    found
}

/// Whether what candidates say of each other holds, and their groups can run one after the other.
fn is_legal(problem: &Problem, plan: &[usize]) -> bool {
    let said = plan.iter().all(|&c| {
        let candidate = &problem.candidates[c];
        candidate.needs.iter().all(|need| plan.contains(need))
            && !candidate.excludes.iter().any(|other| plan.contains(other))
    });
    let mut left = plan.to_vec();
    let holds = |c: usize, nest: usize| problem.candidates[c].nests.contains(&nest);
    while said && !left.is_empty() {
        let waits = |&&c: &&usize| {
            problem
                .before
                .iter()
                .any(|&(a, b)| !holds(c, a) && holds(c, b) && left.iter().any(|&other| holds(other, a)))
        };
        let Some(&next) = left.iter().find(|c| !waits(c)) else { return false };
        left.retain(|&c| c != next);
    }
    said
}

fn cost(problem: &Problem, plan: &[usize]) -> u64 {
    plan.iter().map(|&c| problem.candidates[c].cost).sum()
}

/// A problem with up to ten nests and up to sixteen groups of several, each of which is a decision: taken or not.
fn random_problem(rng: &mut Rng) -> Problem {
    let nests = rng.usize(1..=10);
    let most = [4, 1 << 12, 1 << 30, 1 << 34][rng.usize(0..4)];
    let density = rng.f64() * 0.6;
    let mut pairs: Vec<(usize, usize)> = (0..nests).flat_map(|b| (0..b).map(move |a| (a, b))).collect();
    pairs.retain(|_| rng.f64() < density);
    // What comes first need not have the lower number.
    let mut numbers: Vec<usize> = (0..nests).collect();
    if rng.bool() {
        rng.shuffle(&mut numbers);
    }
    let before = pairs.iter().map(|&(a, b)| (numbers[a], numbers[b])).collect();
    let alone = |nest| Candidate { nests: vec![nest], cost: rng.u64(0..most), ..Candidate::default() };
    let mut candidates: Vec<Candidate> = (0..nests).map(alone).collect();
    for _ in 0..rng.usize(0..=16) {
        candidates.push(random_group(rng, nests, most));
    }
    let count = candidates.len();
    for (at, candidate) in candidates.iter_mut().enumerate().skip(nests) {
        let mut some = |likely: f64| if rng.f64() < likely { vec![rng.usize(0..count)] } else { Vec::new() };
        let (mut needs, mut excludes) = (some(0.15), some(0.15));
        needs.retain(|&other| other != at);
        excludes.retain(|&other| other != at);
        (candidate.needs, candidate.excludes) = (needs, excludes);
    }
    rng.shuffle(&mut candidates[nests..]);
    Problem { nests, before, candidates }
}

/// Nests that are neighbours, or any; about as expensive as they are alone.
fn random_group(rng: &mut Rng, nests: usize, most: u64) -> Candidate {
    let size = rng.usize(1..=nests.min(5));
    let mut group: Vec<usize> = (0..nests).collect();
    if rng.bool() {
        rng.shuffle(&mut group);
    } else {
        group.rotate_left(rng.usize(0..=nests - size));
    }
    group.truncate(size);
    group.sort_unstable();
    let cost = rng.u64(0..most) * size as u64 * 3 / 4;
    Candidate { nests: group, cost, ..Candidate::default() }
}

#[track_caller]
fn check(problem: &Problem, openings: &[Vec<usize>]) -> Choice {
    let choice = choose(problem, openings, 100_000);
    let mut all = plans(problem);
    all.sort_by_cached_key(|plan| (cost(problem, plan), plan.len(), plan.clone()));
    let mut chosen = choice.chosen.clone();
    chosen.sort_unstable();
    assert_eq!((choice.cost, &chosen), (cost(problem, &all[0]), &all[0]), "{problem:#?}");
    assert!(choice.exact, "{problem:#?}");
    assert!(runs_in_order(problem, &choice.chosen), "{choice:?} {problem:#?}");
    let apart: u64 = (0..problem.nests).map(|nest| cheapest_alone(problem, nest)).sum();
    let second = all.get(1).map(|plan| cost(problem, plan)).filter(|&cost| cost <= 2 * apart);
    if let Some(second) = second {
        let (plan, cost) = choice.runner_up.as_ref().unwrap_or_else(|| panic!("no runner-up: {problem:#?}"));
        let mut plan = plan.clone();
        plan.sort_unstable();
        assert_eq!(*cost, second, "{problem:#?}");
        assert!(plan != chosen && all.contains(&plan), "{problem:#?}");
    }
    choice
}

fn cheapest_alone(problem: &Problem, nest: usize) -> u64 {
    let alone = |c: &&Candidate| c.nests == [nest] && c.needs.is_empty() && c.excludes.is_empty();
    problem.candidates.iter().filter(alone).map(|c| c.cost).min().expect("each nest has a candidate alone")
}

/// Whether nothing runs before what it must wait for.
fn runs_in_order(problem: &Problem, chosen: &[usize]) -> bool {
    let at = |nest: usize| chosen.iter().position(|&c| problem.candidates[c].nests.contains(&nest));
    problem.before.iter().all(|&(a, b)| at(a) <= at(b))
}

#[test]
fn the_cheapest_of_all_legal_plans_is_chosen() {
    let mut circular = 0;
    for seed in 0..4000 {
        let problem = random_problem(&mut Rng::with_seed(seed));
        check(&problem, &[]);
        let free = Problem { before: Vec::new(), ..problem.clone() };
        circular += usize::from(plans(&free).len() > plans(&problem).len());
    }
    assert!(circular > 1000, "{circular} problems have groups that may not be together");
}

/// Nests in a row, all groups of neighbours, each saving a different part of what they cost apart.
fn chain(nests: usize) -> Problem {
    let mut problem = Problem { nests, before: (1..nests).map(|b| (b - 1, b)).collect(), candidates: Vec::new() };
    for from in 0..nests {
        for to in from + 1..=nests {
            let saved = (from * 7 + to * 3) % 11;
            let cost = 1000 * (to - from) - 10 * saved * (to - from - 1);
            problem.candidates.push(Candidate {
                nests: (from..to).collect(),
                cost: cost as u64,
                ..Candidate::default()
            });
        }
    }
    problem
}

/// The candidate of a problem with exactly these nests.
fn of(problem: &Problem, nests: &[usize]) -> usize {
    problem.candidates.iter().position(|c| c.nests == nests).expect("there is one")
}

#[test]
fn every_cut_of_a_chain_is_looked_at() {
    check(&chain(10), &[]);
}

#[test]
fn without_nodes_the_cheapest_opening_is_taken() {
    let problem = chain(4);
    let pairs = vec![of(&problem, &[0, 1]), of(&problem, &[2, 3])];
    let illegal = vec![of(&problem, &[0, 1, 2, 3]), of(&problem, &[3])];
    let choice = choose(&problem, &[illegal, pairs.clone()], 0);
    assert_eq!((choice.chosen, choice.exact), (pairs, false));
    let apart: Vec<usize> = (0..4).map(|nest| of(&problem, &[nest])).collect();
    assert_eq!(choice.runner_up, Some((apart, 4000)));
}

#[test]
fn groups_that_would_wait_for_each_other_are_not_together() {
    // 0 -> 1 and 2 -> 3: {0, 3} and {1, 2} each save much, and each would have to be first.
    let group = |nests: &[usize], cost| Candidate { nests: nests.to_vec(), cost, ..Candidate::default() };
    let mut candidates: Vec<Candidate> = (0..4).map(|nest| group(&[nest], 10)).collect();
    candidates.extend([group(&[0, 3], 5), group(&[1, 2], 4)]);
    let problem = Problem { nests: 4, before: vec![(0, 1), (2, 3)], candidates };
    let choice = check(&problem, &[]);
    assert_eq!((choice.chosen, choice.cost), (vec![0, 5, 3], 24));
    assert_eq!(choice.runner_up, Some((vec![2, 4, 1], 25)));
}

#[test]
fn a_group_around_what_runs_between_is_never_chosen() {
    let group = |nests: &[usize], cost| Candidate { nests: nests.to_vec(), cost, ..Candidate::default() };
    let candidates = vec![group(&[0], 10), group(&[1], 10), group(&[2], 10), group(&[0, 2], 1)];
    let problem = Problem { nests: 3, before: vec![(0, 1), (1, 2)], candidates };
    assert_eq!(check(&problem, &[]).chosen, [0, 1, 2]);
}

#[test]
fn what_differs_too_little_for_the_solver_is_said_to_be_unproved() {
    let group = |nests: &[usize], cost| Candidate { nests: nests.to_vec(), cost, ..Candidate::default() };
    let candidates =
        vec![group(&[0], 1 << 61), group(&[1], 1 << 61), group(&[0, 1], 1 << 61), group(&[0, 1], (1 << 61) + 1)];
    let problem = Problem { nests: 2, before: vec![(0, 1)], candidates };
    let choice = choose(&problem, &[], 1000);
    assert_eq!((choice.chosen, choice.exact), (vec![2], false));
}
