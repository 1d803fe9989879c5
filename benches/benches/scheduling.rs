//! What scheduling with proof costs by stage, for the kernels of Tensor Comprehensions with a script of two levels of
//! tiles: milliseconds of this thread's processor time, the median of several rounds, optimised build. The whole is judged
//! against 20 ms.
//!
//! `dependences` is the analysis, `finish` the proof of the whole tree once more; between them are the commands with
//! their proofs, by name. Lowering from TC comes before, and is shown beside. `once for all sizes` has them as parameters.

use std::collections::BTreeMap;

use benches::set::{LIBRARY, SET, Scheduled};
use polyhedral::{Scop, isl};
use rustix::time::{ClockId, clock_gettime};
use transform::{Script, Session};

/// What proof and scheduling of one program may take together.
const LIMIT_MS: f64 = 20.0;

const ROUNDS: usize = 7;

/// The columns, in order: stages and commands.
const STAGES: &[&str] =
    &["dependences", "tile", "split", "reorder", "vectorise", "unroll", "parallel", "finish", "total", "(lower)"];

fn main() {
    for symbolic in [false, true] {
        println!("{}", if symbolic { "\nonce for all sizes" } else { "for fixed sizes" });
        print!("{:<26}{:>9}", "ms", "commands");
        STAGES.iter().for_each(|stage| print!("{stage:>12}"));
        println!();
        let slow = SET.iter().filter(|case| !row(case, symbolic)).count();
        println!("{} of {} within {LIMIT_MS} ms", SET.len() - slow, SET.len());
    }
}

/// Prints a row; whether its total is within the limit.
fn row(case: &Scheduled, symbolic: bool) -> bool {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let script: Script = format!("{LIBRARY}\n{}", case.script).parse().expect("a script of ours");
    for _ in 0..ROUNDS {
        let mut round: BTreeMap<&str, f64> = STAGES.iter().map(|stage| (*stage, 0.0)).collect();
        if let Err(refused) = measure(case, symbolic, &script, &mut round) {
            println!("{:<26}{refused}", case.name);
            return false;
        }
        round.into_iter().for_each(|(stage, ms)| times.entry(stage).or_default().push(ms));
    }
    print!("{:<26}{:>9}", case.name, script.len());
    let median = |stage: &str| {
        let mut all = times[stage].clone();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    STAGES.iter().for_each(|stage| print!("{:>12.2}", median(stage)));
    let within = median("total") <= LIMIT_MS;
    println!("{}", if within { "" } else { "  too slow" });
    within
}

fn measure(
    case: &Scheduled,
    symbolic: bool,
    script: &Script,
    round: &mut BTreeMap<&str, f64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut last = milliseconds();
    let mut took = |stage: &'static str, round: &mut BTreeMap<&str, f64>| {
        let now = milliseconds();
        *round.get_mut(stage).expect("a column") += now - last;
        last = now;
    };
    let scop = lowered(case, symbolic)?;
    took("(lower)", round);
    let mut session = Session::new(scop, &tilewright::host_target())?;
    took("dependences", round);
    for command in script.commands() {
        session.apply(command.clone())?;
        took(command.name(), round);
    }
    session.finish()?;
    took("finish", round);
    let total = round.iter().filter(|(stage, _)| !["total", "(lower)"].contains(*stage)).map(|(_, ms)| ms).sum();
    round.insert("total", total);
    Ok(())
}

/// The time that this thread has had a processor, which on a shared machine is less than what has passed.
fn milliseconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn lowered(case: &Scheduled, symbolic: bool) -> Result<Scop, Box<dyn std::error::Error>> {
    let checked = frontend_tc::check(case.text);
    let def = checked.defs.first().unwrap_or_else(|| panic!("{}: {:?}", case.name, checked.diagnostics));
    let scop = frontend_tc::lower(def, &isl::Ctx::new())?;
    if symbolic {
        return Ok(scop);
    }
    let size = |name: &String| {
        let size = case.sizes.iter().find(|(other, _)| other == name);
        size.unwrap_or_else(|| panic!("{}: no size `{name}`", case.name)).1
    };
    Ok(scop.specialise(&scop.params.iter().map(size).collect::<Vec<_>>())?)
}
