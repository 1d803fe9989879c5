//! Ranks with memory of their own: what they send each other is enough, nothing of it is too much, and in whichever order they
//! run the results are the evaluator's.

mod common;

use codegen::Options;
use codegen::interp::ranks::{Outcome, Ranks};
use codegen::interp::{Fault, interpret};
use common::{inputs, lower, target};
use polyhedral::DType::F64;
use polyhedral::builder::{Builder, Program};
use polyhedral::legality::{self, Illegal};
use polyhedral::{Index, Scop, Subscript, eval, isl, testing};
use support::Stage;
use transform::{Script, Session};

fn built(name: &str, define: impl FnOnce(&Builder)) -> Scop {
    Program::build(&isl::Ctx::new(), name, define).unwrap_or_else(|error| panic!("{error}")).scop
}

/// The program under a script, proved.
#[track_caller]
fn exchanged(source: &Scop, script: &str) -> Scop {
    let mut session = Session::new(source.clone(), &target()).unwrap();
    let script: Script = script.parse().unwrap();
    session.replay(&script).unwrap_or_else(|refused| panic!("{refused}"));
    let scop = session.finish().unwrap_or_else(|refused| panic!("{refused}")).scop;
    scop.verify().unwrap_or_else(|fault| panic!("{fault}\n{scop}"));
    scop
}

/// Runs ranks in several orders, and the loops of one process: all compute what the source does.
#[track_caller]
fn same_on_ranks(source: &Scop, scop: &Scop, sizes: &[i64]) -> Outcome {
    legality::isolated(scop).unwrap_or_else(|illegal| panic!("{illegal}\n{scop}"));
    let given = inputs(source, sizes);
    let expected = eval::run(source, sizes, &given, eval::Limits::default()).unwrap();
    let ranks = Ranks::of(scop).unwrap_or_else(|error| panic!("{error}\n{scop}"));
    let numbers = scop.rank_numbers(sizes).unwrap();
    let outcomes: Vec<Outcome> = (0..4)
        .map(|seed| {
            let outcome = ranks.run(numbers.clone(), sizes, &given, seed);
            outcome.unwrap_or_else(|fault| panic!("{fault}\n{scop}\n{}", ranks.program))
        })
        .collect();
    for outcome in &outcomes {
        assert_eq!(outcome.results, expected, "{}", ranks.program);
        assert_eq!(outcome.sent, outcomes[0].sent);
    }
    as_one_process(source, scop, sizes);
    outcomes.into_iter().next().unwrap()
}

/// The loops, after every pass, in one process compute what the source does.
#[track_caller]
fn as_one_process(source: &Scop, scop: &Scop, sizes: &[i64]) {
    let given = inputs(source, sizes);
    let expected = eval::run(source, sizes, &given, eval::Limits::default()).unwrap();
    let program = lower(scop, &Options::default());
    let results = interpret(&program, sizes, &given, 1).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
    assert_eq!(results, expected, "{program}");
}

/// Two sweeps of three points in each step, from `A` to `B` and back.
const JACOBI: &str =
    "split B.i by 4 as io ii\nsplit A.i by 4 as io ii\nbind B.io A.io to rank\nexchange A\nexchange B\n";

fn jacobi_1d() -> Scop {
    testing::polybench("jacobi_1d").scop(&isl::Ctx::new())
}

#[test]
fn a_halo_is_exchanged_in_each_step() {
    let source = jacobi_1d();
    let scop = exchanged(&source, JACOBI);
    for (steps, n) in [(1, 16), (3, 16), (2, 18), (4, 9)] {
        let outcome = same_on_ranks(&source, &scop, &[steps, n]);
        // The points that are computed are from 1 to n - 2.
        let ranks = (n - 2) / 4 + 1;
        let both_ways = |sweeps: i64| (2 * (ranks - 1) * sweeps) as u64;
        let sent = |name: &str| outcome.sent.get(name).copied().unwrap_or(0);
        assert_eq!(sent("B_rank_message"), both_ways(steps), "{n}");
        // What the last step writes to A nobody reads.
        assert_eq!(sent("A_rank_message"), both_ways((steps - 1).max(0)), "{n}");
    }
}

#[test]
fn rows_of_a_plane_are_exchanged_whole() {
    let source = testing::polybench("jacobi_2d").scop(&isl::Ctx::new());
    let scop = exchanged(&source, JACOBI);
    let outcome = same_on_ranks(&source, &scop, &[2, 12]);
    let (ranks, width) = (3, 10);
    assert_eq!(outcome.sent["B_rank_message"], 2 * (ranks - 1) * 2 * width);
    assert_eq!(outcome.sent["A_rank_message"], 2 * (ranks - 1) * width);
}

#[test]
fn two_stages_of_a_blur_meet_at_the_borders_of_blocks() {
    let source = built("blur", |p| {
        let [n, m] = ["N", "M"].map(|name| p.size(name));
        let (a, t, b) = (p.input("A", F64, [n, m]), p.temporary("T", F64, [n, m]), p.inout("B", F64, [n, m]));
        p.each("i", 0, n, |i| {
            p.each("j", 1, m - 1, |j| p.set(t.at([i, j]), a.at([i, j - 1]) + a.at([i, j]) + a.at([i, j + 1])))
        });
        p.each("i", 1, n - 1, |i| {
            p.each("j", 1, m - 1, |j| p.set(b.at([i, j]), t.at([i - 1, j]) + t.at([i, j]) + t.at([i + 1, j])))
        });
    });
    let script = "split T.i by 5 as io ii\nsplit B.i by 5 as io ii\nbind T.io B.io to rank\nexchange T as Tr\nexchange A\nexchange B\n";
    let scop = exchanged(&source, script);
    let outcome = same_on_ranks(&source, &scop, &[17, 8]);
    assert_eq!(outcome.sent, [("Tr_message".to_string(), 2 * 3 * 6)].into());
}

#[test]
fn rows_of_a_product_need_no_messages() {
    let source = testing::matmul(&isl::Ctx::new());
    let script = "split C.init.m by 3 as mo mi\nsplit C.update.m by 3 as mo mi\nbind C.init.mo C.update.mo to rank\nexchange C\nexchange A\n";
    let scop = exchanged(&source, script);
    let outcome = same_on_ranks(&source, &scop, &[10, 3, 4]);
    assert!(outcome.sent.is_empty(), "{:?}", outcome.sent);
    assert!(scop.stmt_named("A_rank.load").is_some() && scop.stmt_named("C_rank.send").is_none(), "{scop}");
}

#[test]
fn a_transpose_sends_from_all_to_all() {
    let source = built("transpose", |p| {
        let n = p.size("N");
        let (a, t, b) = (p.input("A", F64, [n, n]), p.temporary("T", F64, [n, n]), p.output("B", F64, [n, n]));
        p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.set(t.at([i, j]), 2.0 * a.at([i, j]))));
        p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.set(b.at([i, j]), t.at([j, i]))));
    });
    let scop =
        exchanged(&source, "split T.i by 3 as io ii\nsplit B.i by 3 as io ii\nbind T.io B.io to rank\nexchange T\n");
    let outcome = same_on_ranks(&source, &scop, &[9]);
    assert_eq!(outcome.sent["T_rank_message"], 9 * 9 - 3 * 9);
}

#[test]
fn blocks_of_a_wavefront_pass_their_borders_on() {
    let source = built("wave", |p| {
        let n = p.size("N");
        let a = p.inout("A", F64, [n, n]);
        p.each("i", 1, n, |i| p.each("j", 1, n, |j| p.set(a.at([i, j]), 0.5 * (a.at([i - 1, j]) + a.at([i, j - 1])))));
    });
    let scop = exchanged(&source, "skew A.j by 1 of A.i as w\nreorder A.w A.i\nbind A.i to rank\nexchange A\n");
    let outcome = same_on_ranks(&source, &scop, &[6]);
    // Each row but the last goes to the rank below, without its first element.
    assert_eq!(outcome.sent["A_rank_message"], 4 * 5);
}

/// The program without some statements.
fn without(scop: &Scop, names: &[&str]) -> Scop {
    let mut less = scop.clone();
    let gone = names.iter().map(|name| scop.stmts[scop.stmt_named(name).unwrap()].domain.to_union_set().unwrap());
    let gone = gone.reduce(|all, one| all.union(&one).unwrap()).unwrap();
    less.stmts = scop.stmts.values().filter(|stmt| !names.contains(&stmt.name.as_str())).cloned().collect();
    less.tree.domain = scop.tree.domain.subtract(&gone).unwrap();
    less
}

#[test]
fn a_message_that_is_left_out_is_found() {
    let source = jacobi_1d();
    let scop = exchanged(&source, JACOBI);
    let meaning = legality::Meaning::of(&source, false).unwrap();
    let given = inputs(&source, &[3, 16]);
    for tensor in ["A", "B"] {
        let (send, receive) = (format!("{tensor}_rank.send"), format!("{tensor}_rank.receive"));
        for names in [vec![send.as_str()], vec![receive.as_str()], vec![send.as_str(), receive.as_str()]] {
            let less = without(&scop, &names);
            let proved = legality::values_kept(&meaning, &less);
            assert!(proved.is_err(), "{names:?}");
            let ran = Ranks::of(&less).unwrap().run(0..4, &[3, 16], &given, 1);
            match names.as_slice() {
                [only] if *only == send => assert!(matches!(ran, Err(Fault::Deadlock { .. })), "{ran:?}"),
                [_] => assert!(matches!(ran, Err(Fault::LeftOver { .. })), "{ran:?}"),
                _ => {
                    let expected = eval::run(&source, &[3, 16], &given, eval::Limits::default()).unwrap();
                    assert_ne!(ran.unwrap().results, expected);
                }
            }
            assert!(names.len() == 2 || legality::isolated(&less).is_err(), "{names:?}");
        }
    }
}

#[test]
fn a_rank_that_touches_what_another_one_has_is_found() {
    let scop = exchanged(&jacobi_1d(), JACOBI);
    let mut wrong = scop.clone();
    let stmt = wrong.stmt_named("B").unwrap();
    let Subscript::Affine(rank) = wrong.stmts[stmt].reads[0].index[0].clone() else { panic!("an affine subscript") };
    // The rank of the element that is read, as if all memory were one.
    let shifted = rank.substitute(&|at| Index::Dim(at) - i64::from(at == 1), &Index::Param);
    assert_ne!(shifted, rank);
    wrong.stmts[stmt].reads[0].index[0] = Subscript::Affine(shifted);
    let illegal = legality::isolated(&wrong).unwrap_err();
    assert_eq!(illegal.to_string(), "`B` touches what another rank than its own has of `A_rank`");
    let given = inputs(&wrong, &[2, 16]);
    let ran = Ranks::of(&wrong).unwrap().run(0..4, &[2, 16], &given, 1);
    assert!(matches!(ran, Err(Fault::OtherRank { .. })), "{ran:?}");
}

#[test]
fn what_is_not_exchanged_is_found() {
    let source = jacobi_1d();
    let script = "split B.i by 4 as io ii\nsplit A.i by 4 as io ii\nbind B.io A.io to rank\nexchange A\n";
    let scop = exchanged(&source, script);
    let Err(Illegal::Violation(violation)) = legality::isolated(&scop) else { panic!("B is not exchanged") };
    assert!(violation.to_string().contains("two ranks run them, and no message is in between"), "{violation}");
    // As one process it is right all the same.
    as_one_process(&source, &scop, &[2, 16]);
}

/// Whether a random program with random loops on ranks could be run on these, and how much was sent.
fn one_drawn(seed: u64) -> Option<u64> {
    let source = testing::random(&isl::Ctx::new(), seed);
    let small = transform::Options { operations: 150_000, ..transform::Options::default() };
    let mut session = Session::with_options(source.clone(), &target(), small).ok()?;
    let mut random = testing::Rng::new(seed);
    let mut members: Vec<String> = source.tree.root.members().iter().map(|member| member.name.clone()).collect();
    random.shuffle(&mut members);
    for member in members {
        // What depends on itself, or is on ranks already, is refused.
        let _ = session.apply(transform::Command::bind(member, polyhedral::Axis::Rank));
    }
    for tensor in source.tensors.values() {
        let _ = session.apply(transform::Command::exchange(&tensor.name));
    }
    let scop = session.finish().ok()?.scop;
    legality::isolated(&scop).ok()?;
    let numbers = scop.rank_numbers(&[]).unwrap();
    let given = testing::random_tensors(&source, &[], seed);
    let expected = eval::run_wide(&source, &[], &given, eval::Limits::default()).unwrap();
    let ranks = Ranks::of(&scop).unwrap();
    for order in [0, 1] {
        let outcome = ranks.run(numbers.clone(), &[], &given, order);
        let outcome = outcome.unwrap_or_else(|fault| panic!("seed {seed}: {fault}\n{scop}\n{}", ranks.program));
        for (name, data) in &outcome.results {
            let compared = expected.compare(name, data);
            compared.unwrap_or_else(|mismatch| panic!("seed {seed}: {mismatch:?}\n{scop}\n{}", ranks.program));
        }
        if order == 1 {
            return (numbers.end - numbers.start > 1).then(|| outcome.sent.values().sum());
        }
    }
    None
}

#[test]
fn random_programs_on_random_ranks_compute_the_same() {
    let ran: Vec<u64> = (0..30).filter_map(one_drawn).collect();
    let with_messages = ran.iter().filter(|sent| **sent > 0).count();
    assert!(ran.len() >= 10 && with_messages >= 1, "{} ran, {with_messages} of them with messages", ran.len());
}
