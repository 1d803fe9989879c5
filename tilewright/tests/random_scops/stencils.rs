//! Random stencils in time: of one to three dimensions, statements and tensors, each reading at random distances. Wherever
//! tiles over time are legal they are made, small ones, and compute what the evaluator does.

use std::fmt::Write as _;

use polyhedral::testing::{self, Rng};
use polyhedral::{Scop, isl};
use scheduler::{InTime, Time};
use support::Target;
use transform::{Policy, Session};

use crate::engines::{Machine, Oracle, compare};

/// How many are drawn, and how many of them must be tiled.
const STENCILS: u64 = 30;
const TILED: u64 = 15;

/// A stencil as text.
fn draw(rng: &mut Rng) -> String {
    let rank = 1 + rng.below(3);
    let (tensors, stmts) = (1 + rng.below(3), 1 + rng.below(3));
    let reach = 1 + rng.below(2) as i64;
    let extent = [23, 11, 8][rank - 1] as i64;
    let dims = &["i", "j", "k"][..rank];
    let steps = 2 + rng.below(6);
    let mut text = "scop stencil()\n".to_string();
    for tensor in 0..tensors {
        writeln!(text, "inout A{tensor}: float64[{}]", vec![extent.to_string(); rank].join(", ")).unwrap();
    }
    let mut source = "source\n  for t\n".to_string();
    for stmt in 0..stmts {
        let written = rng.below(tensors);
        let mut bounds = vec![format!("0 <= t < {steps}")];
        for dim in dims {
            bounds.push(format!("{} <= {dim} < {}", reach + rng.below(2) as i64, extent - reach));
        }
        let place = |rng: &mut Rng, reach: i64| {
            let offset = |dim: &&str| {
                let by = rng.between(-reach, reach);
                if by < 0 { format!("{dim} - {}", -by) } else { format!("{dim} + {by}") }
            };
            dims.iter().map(offset).collect::<Vec<_>>().join(", ")
        };
        let mut sum = Vec::new();
        for _ in 0..1 + rng.below(4) {
            let read = rng.below(tensors);
            // Mostly no instance needs another of its own step and statement.
            let reach = if read == written && rng.below(8) > 0 { 0 } else { reach };
            sum.push(format!("0.25f64 * A{read}[{}]", place(rng, reach)));
        }
        let (tuple, bounds) = (format!("S{stmt}[t, {}]", dims.join(", ")), bounds.join(" and "));
        writeln!(text, "stmt {tuple}\n  domain {{ {tuple} : {bounds} }}").unwrap();
        writeln!(text, "  A{written}[{}] = {}", place(rng, 0), sum.join(" + ")).unwrap();
        for (depth, dim) in dims.iter().enumerate() {
            writeln!(source, "{}for {dim}", "  ".repeat(depth + 2)).unwrap();
        }
        writeln!(source, "{}S{stmt}", "  ".repeat(rank + 2)).unwrap();
    }
    text + &source
}

/// The program with its tiles; none where there are none.
fn tiled(scop: &Scop, target: &Target) -> Option<Scop> {
    let mut session = Session::new(scop.clone(), target).expect("a session");
    InTime { when: Time::Always }.schedule(&mut session).expect("a policy that takes what it gets");
    let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}\n{scop}"));
    scheduled.script.to_string().contains("order").then_some(scheduled.scop)
}

#[test]
fn tiles_over_time_compute_the_same() {
    let machine = Machine::host();
    let (mut parallelograms, mut diamonds) = (0, 0);
    for seed in 0..STENCILS {
        let text = draw(&mut Rng::new(seed));
        let scop = testing::scop(&isl::Ctx::new(), &text);
        let oracle = Oracle::of(&scop, seed).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        for (threads, count) in [(1, &mut parallelograms), (3, &mut diamonds)] {
            let target = Target { threads, ..machine.target.clone() };
            if let Some(scop) = tiled(&scop, &target) {
                *count += 1;
                compare(&scop, &oracle, &machine, &[])
                    .unwrap_or_else(|failure| panic!("seed {seed}, {threads} threads: {failure}\n{text}"));
            }
        }
    }
    // So that what is tested cannot silently shrink.
    assert!(parallelograms >= TILED && diamonds >= TILED, "{parallelograms} and {diamonds} of {STENCILS}");
}
