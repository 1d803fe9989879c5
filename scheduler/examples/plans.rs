//! How long the choice of a plan takes, by the number of decisions.
//!
//! `cargo run --release -p scheduler --example plans`

use std::time::Instant;

use fastrand::Rng;
use scheduler::fuse::{Candidate, Problem, choose};

/// Nests of which each reads some of the three before it; groups of nests that read each other, of up to six.
fn random_problem(rng: &mut Rng, decisions: usize) -> Problem {
    let nests = decisions / 2 + 2;
    let mut before = Vec::new();
    for b in 1..nests {
        let reads = (b.saturating_sub(3)..b).filter(|&a| a + 1 == b || rng.f64() < 0.4);
        before.extend(reads.map(|a| (a, b)));
    }
    let alone = |nest| Candidate { nests: vec![nest], cost: rng.u64(1 << 20..1 << 26), ..Candidate::default() };
    let mut candidates: Vec<Candidate> = (0..nests).map(alone).collect();
    while candidates.len() < nests + decisions {
        let (size, start) = (rng.usize(2..=nests.min(6)), rng.usize(0..nests));
        let mut group = vec![start];
        for _ in 0..40 {
            let &(a, b) = &before[rng.usize(0..before.len())];
            if group.len() < size && group.contains(&a) != group.contains(&b) {
                group.push(if group.contains(&a) { b } else { a });
            }
        }
        group.sort_unstable();
        let cost: u64 = group.iter().map(|&nest| candidates[nest].cost).sum();
        candidates.push(Candidate { nests: group, cost: rng.u64(cost / 2..cost), ..Candidate::default() });
    }
    Problem { nests, before, candidates }
}

fn main() {
    println!("decisions  nests  problems  median ms  longest ms  not proved");
    for decisions in [5, 10, 16, 20, 40, 80, 200, 400] {
        let mut times = Vec::new();
        let mut unproved = 0;
        for seed in 0..100 {
            let problem = random_problem(&mut Rng::with_seed(seed), decisions);
            let start = Instant::now();
            let choice = choose(&problem, &[], 10_000);
            times.push(start.elapsed().as_secs_f64() * 1e3);
            unproved += usize::from(!choice.exact);
        }
        times.sort_by(f64::total_cmp);
        let nests = decisions / 2 + 2;
        println!("{decisions:9}  {nests:5}  {:8}  {:9.2}  {:10.2}  {unproved:10}", times.len(), times[50], times[99]);
    }
}
