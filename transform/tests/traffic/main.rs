//! Predicted traffic against a cache simulation.

#[path = "../common/mod.rs"]
mod common;
mod programs;
mod simulate;

use common::replay;
use polyhedral::traffic::traffic;
use polyhedral::{isl, testing};
use programs::{CASES, Case};
use simulate::simulate;
use support::{Cache, Target};
use transform::{Scheduled, Session};

/// Two small fully associative caches with lines of 64 bytes.
fn target() -> Target {
    let cache = |bytes: u64| Cache { bytes, ways: (bytes / 64) as u32, line: 64, shared: false };
    Target { caches: std::env::var("CACHES").unwrap_or("1024,8192".into()).split(',').map(|c| cache(c.parse().unwrap())).collect(), ..common::target() }
}

fn scheduled(case: &Case) -> Scheduled {
    let scop = match testing::PROGRAMS.iter().any(|(name, _)| *name == case.program) {
        true => testing::program(&isl::Ctx::new(), case.program),
        false => testing::scop(&isl::Ctx::new(), case.program),
    };
    let mut session = Session::new(scop, &target()).expect("its dependences are found");
    replay(&mut session, case.script).unwrap_or_else(|refused| panic!("{}: {refused}", case.name));
    session.finish().unwrap_or_else(|refused| panic!("{}: {refused}", case.name))
}

#[test]
fn predicted_bytes_are_within_a_fifth_of_a_simulation() {
    let target = target();
    let mut wrong = Vec::new();
    println!("{:28} {:>4} {:>21} {:>21} {:>7}", "", "", "predicted (in + out)", "simulated (in + out)", "off");
    for case in CASES {
        if !case.name.contains(&std::env::var("ONLY").unwrap_or_default()) { continue }
        let scop = scheduled(case).scop;
        let begun = std::time::Instant::now();
        let predicted = traffic(&scop, case.sizes, &target).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let took = begun.elapsed();
        let simulated = simulate(&scop, case.sizes, &target);
        for (level, moved) in predicted.levels.iter().zip(&simulated) {
            let off = level.bytes().value() as f64 / moved.bytes() as f64 - 1.0;
            println!(
                "{:28} {:>4} {:>10} {:>10} {:>10} {:>10} {:>6.1}% {}",
                case.name,
                level.name,
                level.bytes_in().to_string(),
                level.bytes_out().to_string(),
                moved.bytes_in,
                moved.bytes_out,
                100.0 * off,
                if level.name == "L1" { format!("{} ms", took.as_millis()) } else { String::new() },
            );
            if off.abs() > 0.2 {
                wrong.push(format!("{} {}: {:.0} %", case.name, level.name, 100.0 * off));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
