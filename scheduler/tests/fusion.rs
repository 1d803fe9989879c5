//! What the fusion plan predicts: the bytes that a chosen plan moves, against `polyhedral::traffic` of the schedule that it
//! becomes, which is itself tested against a cache simulation.

use std::fmt::Write;

use polyhedral::traffic::traffic;
use polyhedral::{Scop, isl, testing};
use scheduler::{Cpu, Given, fuse};
use support::{Cache, Target};
use transform::{Policy, Session};

/// A program and sizes at which its tensors are several times as large as the caches.
struct Case {
    name: &'static str,
    text: &'static str,
    sizes: &'static [i64],
}

macro_rules! case {
    ($name:literal, $sizes:expr) => {
        Case { name: $name, text: include_str!(concat!("fused/", $name, ".scop")), sizes: &$sizes }
    };
}

const CASES: [Case; 12] = [
    case!("softmax", [64, 192]),
    case!("layernorm", [64, 256]),
    // With rows of 256 an iteration touches a little more than the first cache holds, and the prediction takes all of it for lost.
    case!("rmsnorm_gate", [32, 192]),
    case!("cross_entropy", [64, 256]),
    case!("batchnorm", [2, 8, 16, 32]),
    case!("moments", [64, 256]),
    case!("boxblur", [1, 258, 258]),
    case!("blur3", [262, 130]),
    case!("mlp1", [64, 64, 128]),
    case!("mlp3", [64, 64, 48, 32, 16]),
    case!("chain", [16384]),
    case!("attention", [4, 32, 16]),
];

/// Fully associative caches with lines of 64 bytes, on one thread.
fn target(capacities: &[u64]) -> Target {
    let text = include_str!("../../tilewright/targets/znver5.toml");
    let cache = |&bytes: &u64| Cache { bytes, ways: (bytes / 64) as u32, line: 64, shared: false };
    let caches = capacities.iter().map(cache).collect();
    Target { caches, threads: 1, ..Target::from_toml(text).expect("a target") }
}

fn program(case: &Case) -> Scop {
    testing::scop(&isl::Ctx::new(), case.text).specialise(case.sizes).expect("sizes that fit")
}

#[test]
fn predicted_bytes_are_within_a_quarter_of_what_the_schedule_moves() {
    let target = target(&[4 << 10, 32 << 10]);
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for case in &CASES {
        let mut session = Session::new(program(case), &target).expect("a session");
        let report = fuse::report(&session).expect("its loops can be examined");
        Cpu.schedule(&mut session).expect("a policy that takes what it gets");
        let scheduled = session.finish().expect("legal");
        let found = traffic(&scheduled.scop, &[], &target).expect("within the budget of isl");
        for (level, &predicted) in found.levels.iter().zip(&report.bytes) {
            let found = level.bytes().value();
            let off = predicted as f64 / found as f64 - 1.0;
            writeln!(table, "{:14} {} {predicted:>9} {found:>9} {:>6.1}%", case.name, level.name, 100.0 * off)
                .expect("a string takes everything");
            if off.abs() > 0.25 {
                wrong.push(format!("{} {}: {:.1} %", case.name, level.name, 100.0 * off));
                writeln!(table, "{report:?}\n{}", scheduled.script).expect("a string takes everything");
            }
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{wrong:#?}\n{table}");
}

/// Each group can be made by itself: no step of it is refused, and the schedule is legal.
#[test]
fn every_group_that_is_looked_at_can_be_made() {
    let target = target(&[4 << 10, 32 << 10]);
    for case in CASES.iter().filter(|case| case.name != "attention") {
        let begun = Session::new(program(case), &target).expect("a session");
        let (problem, forms, _) = fuse::candidates(&begun).expect("its loops can be examined");
        let alone =
            |nest: usize| problem.candidates.iter().position(|one| one.nests == [nest]).expect("one of its own");
        for (at, group) in problem.candidates.iter().enumerate().filter(|(_, group)| group.nests.len() > 1) {
            let others = (0..problem.nests).filter(|nest| !group.nests.contains(nest)).map(alone);
            let chosen = in_order(&problem, others.chain([at]).collect());
            let mut session = begun.clone();
            Given { chosen }.schedule(&mut session).expect("a policy that takes what it gets");
            let refused: Vec<String> =
                session.remarks().iter().map(ToString::to_string).filter(|text| text.contains("fused: `")).collect();
            assert!(refused.is_empty(), "{} {} {:?}: {refused:?}", case.name, forms[at], group.nests);
            session.finish().expect("legal");
        }
    }
}

/// Groups in an order in which they may run: those first that no other one has to run before.
fn in_order(problem: &fuse::Problem, mut left: Vec<usize>) -> Vec<usize> {
    let mut order = Vec::new();
    while !left.is_empty() {
        let holds = |at: usize, nest: usize| problem.candidates[at].nests.contains(&nest);
        let waits = |at: usize| {
            let is_late =
                |&(a, b): &(usize, usize)| holds(at, b) && !holds(at, a) && left.iter().any(|&one| holds(one, a));
            problem.before.iter().any(is_late)
        };
        let next = left.iter().position(|&at| !waits(at)).expect("groups do not wait for each other");
        order.push(left.remove(next));
    }
    order
}
