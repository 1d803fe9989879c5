//! Names survive: a command leaves the loops of other nests as they are, and a script survives small edits of its program.

mod common;

use std::collections::BTreeMap;

use common::{session_of, target};
use polyhedral::testing::{self, Rng};
use polyhedral::text::print_tree;
use polyhedral::{Node, ScheduleTree, Scop, isl};
use support::Stage;
use transform::testing::command;
use transform::{Command, Options, Session};

/// The nests at the top, as text, by the names of their statements.
fn nests(scop: &Scop) -> BTreeMap<Vec<String>, String> {
    let text = |domain: &isl::UnionSet, node: &Node| {
        let tree = ScheduleTree { domain: domain.clone(), root: node.clone() };
        let names: Vec<String> = domain.sets().expect("isl").iter().map(|set| set.tuple_name().expect("isl")).collect();
        (names, print_tree(scop, &tree).expect("printable"))
    };
    match &scop.tree.root {
        Node::Sequence(children) => children.iter().map(|child| text(&child.filter, &child.node)).collect(),
        root => [text(&scop.tree.domain, root)].into(),
    }
}

/// Whether the command speaks of the nest: of a loop or a statement in it, or of a tensor that one of these touches.
fn speaks_of(command: &Command, scop: &Scop, stmts: &[String], nest: &str) -> bool {
    let text = command.to_string();
    let is_in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.split(|c| !is_in_word(c)).any(|word| {
        let is_loop = nest.lines().any(|line| line.trim().starts_with(&format!("{word} = ")));
        let touches = |name: &String| {
            let Some(id) = scop.stmt_named(name) else { return false };
            let mut tensors = scop.stmts[id].accesses().map(|access| scop.tensors[access.tensor].name.as_str());
            name == word
                || word.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))
                || tensors.any(|tensor| tensor == word)
        };
        !word.is_empty() && (is_loop || stmts.iter().any(touches))
    })
}

/// Attributes may become weaker when a tree is proved anew; names and functions may not.
fn without_attributes(nest: &str) -> String {
    nest.replace(" permutable", "").replace(" coincident", "")
}

#[test]
fn commands_leave_the_other_nests_as_they_are() {
    let ctx = isl::Ctx::new();
    let mut checked = 0;
    for (at, (name, _)) in testing::PROGRAMS.iter().enumerate() {
        let mut random = Rng::new(at as u64);
        let mut session = session_of(testing::program(&ctx, name), Options::default());
        for _ in 0..25 {
            let before = session.scop().clone();
            if session.apply(command(&mut random, &before)).is_err() {
                continue;
            }
            let applied = session.script().commands().next_back().expect("a command").clone();
            let after = nests(session.scop());
            for (stmts, nest) in nests(&before) {
                if !speaks_of(&applied, &before, &stmts, &nest) {
                    let now = after.get(&stmts).unwrap_or_else(|| panic!("`{applied}` took {stmts:?} away"));
                    assert_eq!(without_attributes(now), without_attributes(&nest), "after `{applied}`");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 30, "{checked}");
}

const PROGRAM: &str = "
scop edited(M, N, K)
context { : M > 0 and N > 0 and K > 0 }
input A: float32[M, K]
input B: float32[K, N]
input E: float32[M, N]
output C: float32[M, N]
output D: float32[M, N]
stmt C.init[m, n]
  domain { C.init[m, n] : 0 <= m < M and 0 <= n < N }
  C[m, n] = 0.0f32
stmt C.update[m, n, k]
  domain { C.update[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  C[m, n] sum= A[m, k] * B[k, n]
stmt D[i, j]
  domain { D[i, j] : 0 <= i < M and 0 <= j < N }
  D[i, j] = C[i, j] + E[i, j]
";

/// Small edits of [`PROGRAM`] that are no matter of the nest of `C.update`'s order.
const EDITS: &[(&str, &[(&str, &str)])] = &[
    (
        "an index of another nest has another name",
        &[
            ("stmt D[i, j]", "stmt D[row, column]"),
            ("{ D[i, j] : 0 <= i < M and 0 <= j < N }", "{ D[row, column] : 0 <= row < M and 0 <= column < N }"),
            ("D[i, j] = C[i, j] + E[i, j]", "D[row, column] = C[row, column] + E[row, column]"),
        ],
    ),
    (
        "another statement before",
        &[
            ("output D", "output F: float32[M]\noutput D"),
            ("stmt C.init", "stmt F[i]\n  domain { F[i] : 0 <= i < M }\n  F[i] = A[i, 0]\nstmt C.init"),
        ],
    ),
    (
        "another statement after",
        &[
            ("output D: float32[M, N]", "output D: float32[M, N]\noutput F: float32[N]"),
            ("C[i, j] + E[i, j]\n", "C[i, j] + E[i, j]\nstmt F[i]\n  domain { F[i] : 0 <= i < N }\n  F[i] = D[0, i]\n"),
        ],
    ),
    ("other sizes", &[("0 <= k < K", "0 <= k < K - 1")]),
    ("another term", &[("A[m, k] * B[k, n]\n", "A[m, k] * B[k, n] + E[m, n] * 0.5f32\n")]),
    ("one more size", &[("scop edited(M, N, K)", "scop edited(M, N, K, Unused)")]),
    ("a reader less", &[("C[i, j] + E[i, j]", "E[i, j]")]),
];

fn edited(edits: &[(&str, &str)]) -> Scop {
    let text = edits.iter().fold(PROGRAM.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    testing::scop(&isl::Ctx::new(), &text)
}

/// The nest that holds the statement: its loops, without the sets of their instances, which other sizes change.
fn nest_of(scop: &Scop, stmt: &str) -> String {
    let all = nests(scop);
    let nest = all.into_iter().find(|(stmts, _)| stmts.iter().any(|name| name == stmt));
    let nest = without_attributes(&nest.expect("every statement has a nest").1);
    let is_set = |line: &&str| ["domain", "filter"].iter().any(|word| line.trim_start().starts_with(word));
    nest.lines().filter(|line| !is_set(line)).collect::<Vec<_>>().join("\n")
}

/// A random script for the nest of `C.update` alone.
fn scheduled(seed: u64) -> Session {
    let mut random = Rng::new(seed);
    let mut session = session_of(edited(&[]), Options::default());
    for _ in 0..60 {
        let command = command(&mut random, session.scop());
        let own = |(stmts, _): (&Vec<String>, &String)| stmts.iter().any(|name| name == "C.update");
        let all = nests(session.scop());
        let others = all.iter().filter(|(stmts, nest)| !own((stmts, nest)));
        if others.into_iter().all(|(stmts, nest)| !speaks_of(&command, session.scop(), stmts, nest)) {
            // A refused command leaves the session as it was.
            let _ = session.apply(command);
        }
        if session.script().len() >= 6 {
            break;
        }
    }
    session
}

#[test]
fn a_script_survives_small_edits_of_its_program() {
    let mut commands = 0;
    for seed in 0..6 {
        let first = scheduled(seed);
        let script = first.script().to_string();
        commands += first.script().len();
        for (what, edits) in EDITS {
            let mut second = Session::new(edited(edits), &target()).expect("a session");
            second
                .replay(&script.parse().expect("a script"))
                .unwrap_or_else(|refused| panic!("with {what}: {refused}\n{script}"));
            assert_eq!(second.script().to_string(), script, "with {what}");
            assert_eq!(nest_of(second.scop(), "C.update"), nest_of(first.scop(), "C.update"), "with {what}\n{script}");
        }
    }
    assert!(commands > 20, "{commands}");
}

#[test]
fn a_script_that_no_longer_fits_says_which_line_and_what_is_near() {
    let mut session = Session::new(
        edited(&[
            ("stmt D[i, j]", "stmt D[row, column]"),
            ("{ D[i, j] : 0 <= i < M and 0 <= j < N }", "{ D[row, column] : 0 <= row < M and 0 <= column < N }"),
            ("D[i, j] = C[i, j] + E[i, j]", "D[row, column] = C[row, column] + E[row, column]"),
        ]),
        &target(),
    )
    .expect("a session");
    let script = "# of before\nparallel D.rows\n".parse().expect("a script");
    let refused = session.replay(&script).expect_err("there is none");
    assert_eq!(refused.line, Some(2));
    assert!(refused.to_string().contains("there is no loop `D.rows`; did you mean `D.row`?"), "{refused}");
}

#[test]
fn loops_around_no_instances_have_names() {
    for text in ["vectorise A.i by 8", "unroll A.i by 2", "distribute A.i"] {
        let lu = testing::polybench("lu_right_looking").scop(&isl::Ctx::new()).specialise(&[1]).expect("isl");
        let mut session = session_of(lu, Options::default());
        session.replay(&text.parse().expect("a script")).unwrap_or_else(|refused| panic!("{refused}"));
        let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}"));
        scheduled.scop.verify().unwrap_or_else(|malformed| panic!("{text}: {malformed}\n{}", scheduled.scop));
    }
}
