//! Random scripts over small programs: each command applies or is refused, and both mean what they say.

mod common;

use common::draw::command;
use common::{replay, session_of, tree};
use polyhedral::legality::{Violation, with_attributes};
use polyhedral::testing::{self, Rng};
use polyhedral::{Node, Scop, isl};
use support::Stage;
use transform::{Command, Options, Reason, Refused, Session, Tail};

/// How the commands of a run ended.
#[derive(Default)]
struct Tally {
    applied: usize,
    violations: usize,
    misfits: usize,
}

/// Applies `steps` random commands to a program.
fn run(scop: &Scop, seed: u64, steps: usize, tally: &mut Tally) {
    let (mut random, initial) = (Rng::new(seed), session_of(scop.clone(), Options::default()));
    let mut session = initial.clone();
    for _ in 0..steps {
        let command = command(&mut random, session.scop());
        let (recorded, was) = (session.script().to_string(), tree(&session));
        match session.apply(command.clone()) {
            Ok(()) => tally.applied += 1,
            Err(refused) => {
                assert_eq!(session.script().to_string(), recorded, "a refusal records nothing: {refused}");
                assert_eq!(tree(&session), was, "a refusal changes nothing: {refused}");
                explained(&session, &command, &refused, tally);
            }
        }
    }
    attributes_hold(&session);
    replays(&initial, &session);
    let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}"));
    scheduled.verify().unwrap_or_else(|malformed| panic!("{malformed}\n{}", scheduled.script));
}

/// A refusal is a sentence, or a pair of instances that do depend on each other.
fn explained(session: &Session, command: &Command, refused: &Refused, tally: &mut Tally) {
    match &refused.reason {
        Reason::Precondition(sentence) => {
            assert!(!sentence.is_empty());
            tally.misfits += 1;
        }
        Reason::Violation(violation) => {
            assert!(depends(session, violation), "{command}: no such dependence: {violation}");
            tally.violations += 1;
        }
        other => panic!("{command}: {other}"),
    }
}

fn depends(session: &Session, violation: &Violation) -> bool {
    let scop = session.scop();
    let instance = |stmt: &str, point: &[i64]| format!("{stmt}{point:?}");
    let Violation { source, sink, sizes, .. } = violation;
    let mut sizes: Vec<String> = sizes.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    sizes.push("0 = 0".into());
    let pair = format!(
        "[{}] -> {{ {} -> {} : {} }}",
        scop.params.join(", "),
        instance(&source.stmt, &source.point),
        instance(&sink.stmt, &sink.point),
        sizes.join(" and ")
    );
    let pair = isl::UnionMap::read(&scop.ctx, &pair).expect("a relation");
    let dependence = session.dependences().expect("found").of(violation.dependence);
    !dependence.intersect(&pair).and_then(|both| both.is_empty()).expect("decidable")
}

/// An attribute that is set holds.
fn attributes_hold(session: &Session) {
    fn claims(node: &Node, all: &mut Vec<(String, bool)>) {
        if let Node::Band(band) = node {
            all.push((format!("permutable {}", band.members[0].name), band.permutable));
            all.extend(band.members.iter().map(|member| (format!("coincident {}", member.name), member.coincident)));
        }
        node.children().into_iter().for_each(|child| claims(child, all));
    }
    let exact = with_attributes(&session.scop().tree, session.dependences().expect("found")).expect("decidable");
    let (mut claimed, mut true_ones) = (Vec::new(), Vec::new());
    claims(&session.scop().tree.root, &mut claimed);
    claims(&exact.root, &mut true_ones);
    for ((what, claim), (_, truth)) in claimed.into_iter().zip(true_ones) {
        assert!(truth || !claim, "{what} is said, but does not hold after\n{}", session.script());
    }
}

/// The record replays to the same bytes, and its tree as a literal `order` is the same tree.
fn replays(initial: &Session, session: &Session) {
    let recorded = session.script().to_string();
    let mut again = initial.clone();
    replay(&mut again, &recorded).unwrap_or_else(|refused| panic!("{refused}\n{recorded}"));
    assert_eq!(again.script().to_string(), recorded);
    assert_eq!(tree(&again), tree(session));

    let order = Command::order(session.scop(), &session.scop().tree).expect("printable");
    let mut literal = initial.clone();
    literal.apply(order.clone()).unwrap_or_else(|refused| panic!("{refused}\n{recorded}\n{order}"));
    let back = Command::order(literal.scop(), &literal.scop().tree).expect("printable");
    assert_eq!(back, order, "after\n{recorded}");
}

#[test]
fn ready_made_programs() {
    let ctx = isl::Ctx::new();
    let mut tally = Tally::default();
    for (at, (name, _)) in testing::PROGRAMS.iter().enumerate() {
        for seed in 0..4 {
            run(&testing::program(&ctx, name), 1000 * at as u64 + seed, 12, &mut tally);
        }
    }
    let Tally { applied, violations, misfits } = tally;
    assert!(applied > 60 && violations > 15 && misfits > 40, "{applied} {violations} {misfits}");
}

#[test]
fn random_programs() {
    let ctx = isl::Ctx::new();
    let mut tally = Tally::default();
    // A few of them: the dependences of some seeds take isl seconds.
    for seed in 24..44 {
        run(&testing::random(&ctx, seed), seed, 8, &mut tally);
    }
    let Tally { applied, violations, misfits } = tally;
    assert!(applied > 50 && violations > 5 && misfits > 20, "{applied} {violations} {misfits}");
}

#[test]
fn shifted_tails_are_drawn_and_some_are_accepted() {
    let ctx = isl::Ctx::new();
    let vectorise = transform::testing::each().into_iter().find(|like| like.name() == "vectorise").expect("a kind");
    let (mut accepted, mut violations) = (Vec::new(), 0);
    for (at, (name, _)) in testing::PROGRAMS.iter().enumerate() {
        let (scop, mut random) = (testing::program(&ctx, name), Rng::new(at as u64));
        let initial = session_of(scop, Options::default());
        for _ in 0..24 {
            let command = transform::testing::redrawn(&vectorise, &mut random, initial.scop());
            if !matches!(command, Command::Vectorise { tail: Tail::Shifted, .. }) {
                continue;
            }
            let mut session = initial.clone();
            match session.apply(command) {
                Err(refused) => violations += usize::from(refused.violation().is_some()),
                Ok(()) if session.scop().is_source() => {}
                Ok(()) => {
                    let scheduled = session.finish().unwrap_or_else(|refused| panic!("{name}: {refused}"));
                    scheduled.verify().unwrap_or_else(|malformed| panic!("{name}: {malformed}"));
                    accepted.push(format!("{name}: {}", scheduled.script));
                }
            }
        }
    }
    assert!(accepted.len() > 5 && violations > 5, "{violations} {accepted:#?}");
}
