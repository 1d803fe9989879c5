//! Random small programs under random schedules, from the Scop to machine code.
//!
//! An accepted schedule computes what the reference evaluator does, in the loop interpreter and in machine code; a
//! refused command names two instances that do depend on each other and that it would really run the wrong way. Most
//! schedules change where values are kept and which instances there are, too.
//!
//! ```text
//! chains    random programs whose stages have temporaries between them
//! draw      random commands over the loops and tensors that there are
//! stencils  loops over time, tiled wherever that is legal
//! engines   the evaluator's tensors against the interpreter's and the machine's
//! witness   a refusal's counter-example, judged point by point
//! ```
//!
//! `TILEWRIGHT_TEST_FULL=1` draws ten times as many; `TILEWRIGHT_TEST_SEED=n` runs one, as a failure asks for.

mod chains;
mod draw;
mod engines;
mod stencils;
mod witness;

use std::collections::BTreeMap;
use std::env;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use engines::{Machine, Oracle};
use polyhedral::testing::{self, Rng};
use polyhedral::{Scop, isl};
use support::Stage;
use transform::{Command, Options, Reason, Refused, Session};

/// How many seeds are drawn, and how many programs of them must be judged to the end.
const SEEDS: u64 = 115;
const PROGRAMS: u64 = 100;

/// Schedules of one program: the source's own order, then random ones.
const SCRIPTS: u64 = 3;

/// Commands that are tried for one schedule.
const COMMANDS: u64 = 6;

/// isl's operations for the dependences of a program and for a proof: about half a second. Past it a program is left
/// out: what is counted is work and not time, so it is the same programs on every machine.
const BUDGET: u64 = 1_000_000;

/// How the cases ended.
#[derive(Clone, Debug, Default)]
struct Tally {
    programs: u64,
    too_large: u64,
    schedules: u64,
    /// Schedules by at least one command, and those with one on storage or on instances.
    scripts: u64,
    with_storage: u64,
    /// By the word of the command.
    applied: BTreeMap<&'static str, u64>,
    violations: u64,
    misfits: u64,
    undecided: u64,
    /// Refused although the results would be the same: values are proved by where they come from.
    cautious: u64,
    /// The same, or not decided, but only of the schedule as a whole.
    late: u64,
    /// Elements of outputs that were compared, and those that the program leaves open.
    checked: u64,
    ambiguous: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.programs += other.programs;
        self.too_large += other.too_large;
        self.schedules += other.schedules;
        self.scripts += other.scripts;
        self.with_storage += other.with_storage;
        for (word, count) in other.applied {
            *self.applied.entry(word).or_default() += count;
        }
        self.violations += other.violations;
        self.misfits += other.misfits;
        self.undecided += other.undecided;
        self.cautious += other.cautious;
        self.late += other.late;
        self.checked += other.checked;
        self.ambiguous += other.ambiguous;
    }
}

#[test]
fn accepted_schedules_compute_the_same_and_refusals_are_right() {
    if let Some(seed) = env::var("TILEWRIGHT_TEST_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let (_, failures) = judge(seed..seed + 1);
        assert!(failures.is_empty(), "{}", failures.join("\n\n"));
        return;
    }
    let times = if env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1") { 10 } else { 1 };
    let (tally, failures) = judge(0..SEEDS * times);
    let first_lines: Vec<&str> = failures.iter().filter_map(|failure| failure.lines().next()).collect();
    let shown = failures.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} programs fail:\n{}\n\n{shown}", failures.len(), first_lines.join("\n"));
    // So that what is tested cannot silently shrink.
    assert!(tally.programs >= PROGRAMS * times, "{tally:?}");
    assert!(tally.schedules == SCRIPTS * tally.programs, "{tally:?}");
    let applied: u64 = tally.applied.values().sum();
    assert!(applied > tally.programs && tally.violations > tally.programs / 2, "{tally:?}");
    assert!(tally.undecided * 12 < applied && tally.ambiguous * 20 < tally.checked, "{tally:?}");
    assert!(tally.with_storage * 2 >= tally.scripts && tally.late * 50 < tally.scripts, "{tally:?}");
    for command in draw::COMMANDS.iter().chain(draw::STORAGE) {
        let count = tally.applied.get(command).copied().unwrap_or(0);
        assert!(count * 100 > tally.programs, "`{command}` is accepted {count} times: {tally:?}");
    }
    println!("{tally:?}");
}

/// Judges the programs of all seeds, on as many threads as there are. Failures come in the order of their seeds.
fn judge(seeds: std::ops::Range<u64>) -> (Tally, Vec<String>) {
    let machine = Machine::host();
    let (next, all) = (AtomicU64::new(seeds.start), Mutex::new((Tally::default(), Vec::new())));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let mut tally = Tally::default();
            let outcome = catch_unwind(AssertUnwindSafe(|| program(seed, &machine, &mut tally)));
            let outcome = outcome.unwrap_or_else(|_| Err("it panics, see above".into()));
            let mut all = all.lock().expect("no other thread panics");
            all.0 += tally;
            if let Err(failure) = outcome {
                all.1.push((seed, failure));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (tally, mut failures) = all.into_inner().expect("no thread panics");
    failures.sort_unstable();
    (tally, failures.into_iter().map(|(seed, failure)| format!("TILEWRIGHT_TEST_SEED={seed}: {failure}")).collect())
}

/// One program under its schedules.
fn program(seed: u64, machine: &Machine, tally: &mut Tally) -> Result<(), String> {
    let ctx = isl::Ctx::new();
    let scop = if seed % 3 == 2 { chains::random(&ctx, seed) } else { testing::random(&ctx, seed) };
    let in_program = |failure: String| format!("{failure}\n{scop}");
    let options = Options { operations: BUDGET, ..Options::default() };
    let initial = match Session::with_options(scop.clone(), &machine.target, options) {
        Ok(session) => session,
        Err(Refused { reason: Reason::Quota(_), .. }) => {
            tally.too_large += 1;
            return Ok(());
        }
        Err(refused) => return Err(in_program(refused.to_string())),
    };
    let oracle = Oracle::of(&scop, seed).map_err(in_program)?;
    for number in 0..SCRIPTS {
        let mut session = initial.clone();
        let commands = if number == 0 { 0 } else { COMMANDS };
        let mut rng = Rng::new(seed ^ (number << 32));
        let outcome = schedule(&mut session, &mut rng, commands, tally)
            .and_then(|()| computes_the_same(&session, &oracle, machine, tally));
        outcome.map_err(|failure| in_program(format!("{failure}\nafter the script\n{}", session.script())))?;
        tally.schedules += 1;
    }
    tally.programs += 1;
    Ok(())
}

/// Tries some commands; those that are accepted stay.
fn schedule(session: &mut Session, rng: &mut Rng, commands: u64, tally: &mut Tally) -> Result<(), String> {
    // Before and between the commands on loops, until there is one.
    let mut storage = false;
    for _ in 0..commands {
        for _ in 0..if storage { rng.below(2) } else { 2 } {
            let drawn = draw::storage(rng, session).map_err(|error| error.to_string())?;
            storage |= try_command(session, drawn, tally)?;
        }
        let drawn = draw::command(rng, session).map_err(|error| error.to_string())?;
        try_command(session, drawn, tally)?;
    }
    tally.scripts += u64::from(!session.script().is_empty());
    tally.with_storage += u64::from(storage);
    Ok(())
}

/// Whether there is a command and it is accepted.
fn try_command(session: &mut Session, command: Option<Command>, tally: &mut Tally) -> Result<bool, String> {
    let Some(command) = command else { return Ok(false) };
    match session.apply(command.clone()) {
        Ok(()) => *tally.applied.entry(command.name()).or_default() += 1,
        Err(refused) => {
            let judged = refusal_is_right(session, &command, &refused, tally);
            judged.map_err(|failure| format!("{failure}\nof the refusal: {refused}\nof the command\n{command}"))?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// A refusal says why the command does not fit, or names two instances that it would run the wrong way.
fn refusal_is_right(session: &Session, command: &Command, refused: &Refused, tally: &mut Tally) -> Result<(), String> {
    match &refused.reason {
        Reason::Precondition(sentence) if sentence.is_empty() => return Err("nothing is said".into()),
        Reason::Precondition(_) => tally.misfits += 1,
        Reason::Quota(_) => tally.undecided += 1,
        Reason::Isl(error) => return Err(format!("isl fails: {error}")),
        Reason::Violation(violation) => {
            let changed = session.preview(command).map_err(|reason| reason.to_string())?;
            if changed.is_source() {
                witness::check(session.scop(), &changed.tree, violation)?;
                tally.violations += 1;
            } else if testing::same_results(session.source(), &changed, &[], 1) {
                tally.cautious += 1;
            } else {
                tally.violations += 1;
            }
        }
    }
    Ok(())
}

/// The schedule is proved as a whole, and gives the evaluator's tensors in both engines.
fn computes_the_same(session: &Session, oracle: &Oracle, machine: &Machine, tally: &mut Tally) -> Result<(), String> {
    let scheduled = match session.clone().finish() {
        Ok(scheduled) => scheduled,
        Err(Refused { reason: Reason::Quota(_), .. }) => {
            tally.late += 1;
            return Ok(());
        }
        // The proof of values asks for more than the results; the proofs of single loop commands ask for less.
        Err(_) if !session.scop().is_source() && testing::same_results(session.source(), session.scop(), &[], 1) => {
            tally.late += 1;
            return Ok(());
        }
        Err(refused) => return Err(format!("not legal as a whole: {refused}")),
    };
    scheduled.verify().map_err(|malformed| malformed.to_string())?;
    let scop: &Scop = &scheduled.scop;
    let report = engines::compare(scop, oracle, machine, &[]).map_err(|failure| {
        let tree = polyhedral::text::print_tree(scop, &scop.tree).unwrap_or_default();
        format!("{failure}\nwith the tree\n{tree}")
    })?;
    tally.checked += report.checked;
    tally.ambiguous += report.ambiguous;
    Ok(())
}
