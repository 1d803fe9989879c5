//! Predicted traffic against a cache simulation. `--nocapture` prints the table.

#[path = "../common/mod.rs"]
mod common;
mod programs;
mod simulate;

use std::fmt::Write;

use common::replay;
use polyhedral::count::Count;
use polyhedral::traffic::{Traffic, traffic};
use polyhedral::{Scop, isl, testing};
use programs::{CASES, Case};
use simulate::{Moved, simulate};
use support::{Cache, Target};
use transform::Session;

/// Fully associative caches with lines of 64 bytes.
fn target(capacities: &[u64]) -> Target {
    let cache = |&bytes: &u64| Cache { bytes, ways: (bytes / 64) as u32, line: 64, shared: false };
    Target { caches: capacities.iter().map(cache).collect(), ..common::target() }
}

fn scheduled(case: &Case, target: &Target) -> Scop {
    let ready_made = testing::PROGRAMS.iter().any(|(name, _)| *name == case.program);
    let ctx = isl::Ctx::new();
    let scop = if ready_made { testing::program(&ctx, case.program) } else { testing::scop(&ctx, case.program) };
    let mut session = Session::new(scop, target).expect("its dependences are found");
    replay(&mut session, case.script).unwrap_or_else(|refused| panic!("{}: {refused}", case.name));
    session.finish().unwrap_or_else(|refused| panic!("{}: {refused}", case.name)).scop
}

fn both(case: &Case, target: &Target) -> (Traffic, Vec<Moved>) {
    let scop = scheduled(case, target);
    let predicted = traffic(&scop, case.sizes, target).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    (predicted, simulate(&scop, case.sizes, target))
}

/// Compares the bytes of each level, both directions together; prints a table.
fn compare<'a>(cases: impl Iterator<Item = &'a Case>, capacities: &[u64], most: f64) {
    let target = target(capacities);
    let mut table = format!(
        "{:28} {:>5} {:>10} {:>21} {:>21} {:>7}\n",
        "", "", "bytes", "predicted in, out", "simulated in, out", "off"
    );
    let mut wrong = Vec::new();
    for case in cases {
        let (predicted, simulated) = both(case, &target);
        for (level, moved) in predicted.levels.iter().zip(&simulated) {
            let off = level.bytes().value() as f64 / moved.bytes() as f64 - 1.0;
            let (bytes_in, bytes_out) = (level.bytes_in().to_string(), level.bytes_out().to_string());
            writeln!(
                table,
                "{:28} {:>5} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6.1}%",
                case.name,
                level.name,
                level.capacity,
                bytes_in,
                bytes_out,
                moved.bytes_in,
                moved.bytes_out,
                100.0 * off
            )
            .expect("a string takes everything");
            if off.abs() > most {
                wrong.push(format!("{} {}: {:.1} %", case.name, level.name, 100.0 * off));
            }
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{wrong:#?}\n{table}");
}

#[test]
fn predicted_bytes_are_within_a_fifth_of_a_simulation() {
    compare(CASES.iter(), &[1 << 10, 8 << 10], 0.2);
}

/// Capacities at which the working sets of these programs just fit, or just do not.
#[test]
fn so_they_are_where_data_barely_fits() {
    let names = ["matmul tiled 8 16 8", "symmetric update", "softmax by rows", "triangular solve", "conv3x3"];
    compare(CASES.iter().filter(|case| names.contains(&case.name)), &[3 << 9, 3 << 10], 0.2);
}

/// Nothing is fetched twice by a cache that holds everything: then the sets decide alone, and they are exact.
#[test]
fn a_cache_that_holds_everything_fetches_each_line_once() {
    let target = target(&[1 << 20]);
    for case in CASES.iter().filter(|case| case.has_aligned_rows) {
        let (predicted, simulated) = both(case, &target);
        let level = &predicted.levels[0];
        assert_eq!(level.bytes_in(), Count::Exact(simulated[0].bytes_in), "{}", case.name);
        assert_eq!(level.bytes_out(), Count::Exact(simulated[0].bytes_out), "{}", case.name);
    }
}
