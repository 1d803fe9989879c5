//! Random schedules: what a session accepts runs as the source does.

mod common;

use codegen::Options;
use common::{agrees, agrees_closely, lower, scan, target};
use polyhedral::{isl, testing};
use transform::{Command, Session};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Any command; most do not fit, and are refused.
fn command(session: &Session, random: &mut Random) -> Option<Command> {
    let members: Vec<String> = session.scop().tree.root.members().iter().map(|member| member.name.clone()).collect();
    if members.is_empty() {
        return None;
    }
    let stmts: Vec<String> = session.scop().stmts.values().map(|stmt| stmt.name.clone()).collect();
    let member = random.of(&members).clone();
    let by = *random.of(&[2, 3, 4, 8]);
    Some(match random.below(8) {
        0 => Command::split(member, by),
        1 => Command::tile([member, random.of(&members).clone()], [by, *random.of(&[2, 4, 5])]),
        2 => Command::reorder([member, random.of(&members).clone()]),
        3 => Command::parallel(member),
        4 | 5 => Command::vectorise(member, by),
        6 => Command::unroll(member, by),
        _ => Command::fuse(random.of(&stmts).clone(), random.of(&stmts).clone(), 1 + random.below(2) as u32),
    })
}

#[test]
fn accepted_schedules_run_as_the_source_does() {
    for (name, _) in testing::PROGRAMS {
        let mut random = Random(name.len() as u64);
        for _ in 0..8 {
            one(name, &mut random);
        }
    }
}

fn one(name: &str, random: &mut Random) {
    let scop = testing::program(&isl::Ctx::new(), name);
    let sizes: Vec<i64> = scop.params.iter().map(|_| 3 + random.below(9) as i64).collect();
    let sizes = if name == "gather" { vec![2, 3, 4 + random.below(3) as i64, sizes[3]] } else { sizes };
    let symbolic = random.below(3) == 0;
    let scop = if symbolic { scop } else { scop.specialise(&sizes).unwrap() };
    let mut session = Session::new(scop, &target()).unwrap();
    for _ in 0..10 {
        if let Some(command) = command(&session, random) {
            // A refusal leaves the session as it was.
            let _ = session.apply(command);
        }
    }
    let scop = session.finish().unwrap().scop;
    let given = if symbolic { sizes.as_slice() } else { &[] };
    agrees(&scop, &scan(&scop, &Options::default()).0, given);
    agrees(&scop, &lower(&scop, &Options { fma: random.below(2) == 0, ..Options::default() }), given);
}

#[test]
fn random_programs_under_random_schedules_run_as_the_source_does() {
    let mut scheduled = 0;
    for seed in 0..60 {
        scheduled += usize::from(one_drawn(seed));
    }
    assert!(scheduled > 30, "only {scheduled} are within the budget");
}

/// Whether a schedule was found within the budget.
fn one_drawn(seed: u64) -> bool {
    let scop = testing::random(&isl::Ctx::new(), seed);
    let mut random = Random(seed);
    let small = transform::Options { operations: 150_000, ..transform::Options::default() };
    let Ok(mut session) = Session::with_options(scop, &target(), small) else { return false };
    for _ in 0..8 {
        if let Some(command) = command(&session, &mut random) {
            // A refusal leaves the session as it was.
            let _ = session.apply(command);
        }
    }
    let Ok(scheduled) = session.finish() else { return false };
    let scop = scheduled.scop;
    agrees_closely(&scop, &scan(&scop, &Options::default()).0, seed);
    agrees_closely(&scop, &lower(&scop, &Options { fma: seed.is_multiple_of(2), ..Options::default() }), seed);
    true
}
