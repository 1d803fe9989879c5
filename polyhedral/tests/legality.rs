//! Verdicts of legality on trees written by hand.

mod common;

use common::{Does, Program, d, matmul, p};
use polyhedral::legality::{self, Conflict, Illegal, Violation};
use polyhedral::{
    Band, DependenceKind, Filtered, Kind, Member, Nest, Node, Role, ScheduleTree, Scop, StmtId, dependences, isl,
};
use support::Entity;

/// A member with the same function text for each statement: `{ C.update[m, n, k] -> [(k)] }`.
fn member(scop: &Scop, name: &str, function: &str, kind: Kind) -> Member {
    let function = isl::UnionPwAff::read(&scop.ctx, function).expect("a function");
    Member { name: name.into(), schedule: function, coincident: false, kind }
}

fn band(members: Vec<Member>, child: Node) -> Node {
    Node::Band(Band { members, permutable: false, child: Box::new(child) })
}

fn filtered(scop: &Scop, stmts: &[&str], node: Node) -> Filtered {
    let named = |name: &&str| scop.stmts[scop.stmt_named(name).expect("a statement")].domain.to_union_set();
    let filter = stmts
        .iter()
        .map(named)
        .try_fold(isl::UnionSet::empty(&scop.ctx).expect("empty"), |all, set| all.union(&set?))
        .expect("a union");
    Filtered { filter, node }
}

fn tree(scop: &Scop, root: Node) -> ScheduleTree {
    ScheduleTree { domain: scop.domain().expect("a domain"), root }
}

/// Initialisation in its own loops, then the update under `members`.
fn matmul_tree(scop: &Scop, members: Vec<Member>) -> ScheduleTree {
    let Node::Sequence(mut children) = scop.tree.root.clone() else { panic!("a sequence") };
    children[1].node = band(members, Node::Leaf);
    tree(scop, Node::Sequence(children))
}

#[track_caller]
fn refused(verdict: Result<(), Illegal>) -> Violation {
    match verdict {
        Err(Illegal::Violation(violation)) => *violation,
        other => panic!("expected a violation, got {other:?}"),
    }
}

const M: &str = "[M, N, K] -> { C.update[m, n, k] -> [(m)] }";
const N: &str = "[M, N, K] -> { C.update[m, n, k] -> [(n)] }";
const K: &str = "[M, N, K] -> { C.update[m, n, k] -> [(k)] }";

#[test]
fn the_source_order_is_legal() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    legality::order_respected(&scop.tree, &deps, &scop).expect("legal");
}

#[test]
fn a_reduction_may_run_backwards_but_not_when_strict() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let backwards = "[M, N, K] -> { C.update[m, n, k] -> [(-k)] }";
    let tree = matmul_tree(
        &scop,
        vec![
            member(&scop, "k", backwards, Kind::Sequential),
            member(&scop, "m", M, Kind::Sequential),
            member(&scop, "n", N, Kind::Sequential),
        ],
    );
    legality::order_respected(&tree, &deps, &scop).expect("legal");
    let violation = refused(legality::order_respected(&tree, &deps.strict().expect("strict"), &scop));
    assert_eq!(
        violation.to_string(),
        "`C.update[0, 0, 1]` must run after `C.update[0, 0, 0]` (flow through `C[0, 0]`), but the loop `k` would run \
         it before, for example for M = 1, N = 1, K = 2"
    );
}

/// `m` and `n` around the sum, whose loop is of this kind.
fn with_sum(scop: &Scop, kind: Kind) -> ScheduleTree {
    matmul_tree(
        scop,
        vec![member(scop, "m", M, Kind::Parallel), member(scop, "n", N, Kind::Sequential), member(scop, "k", K, kind)],
    )
}

#[test]
fn a_reduction_loop_is_not_parallel() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let violation = refused(legality::order_respected(&with_sum(&scop, Kind::Parallel), &deps, &scop));
    assert_eq!(violation.conflict, Conflict::AtOnce { member: "k".into(), kind: Kind::Parallel });
    assert_eq!(violation.dependence, DependenceKind::Reduction);
    assert_eq!(violation.through, Some(("C".into(), Some(vec![0, 0]))));
}

#[test]
fn lanes_that_update_one_element_are_combined() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    legality::order_respected(&with_sum(&scop, Kind::Vector(4)), &deps, &scop).expect("one element in all lanes");
}

#[test]
fn an_update_before_its_initialisation_is_refused() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let Node::Sequence(mut children) = scop.tree.root.clone() else { panic!("a sequence") };
    children.reverse();
    let violation = refused(legality::order_respected(&tree(&scop, Node::Sequence(children.clone())), &deps, &scop));
    assert_eq!(violation.conflict, Conflict::BackwardSequence);
    let violation = refused(legality::order_respected(&tree(&scop, Node::Set(children)), &deps, &scop));
    assert_eq!(violation.conflict, Conflict::AnyOrder);
    let violation = refused(legality::order_respected(&tree(&scop, Node::Leaf), &deps, &scop));
    assert_eq!(violation.conflict, Conflict::Unordered);
}

#[test]
fn a_tree_that_forgets_instances_is_refused() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let sequence = Node::Sequence(vec![filtered(&scop, &["C.init"], Node::Leaf)]);
    let cases = [
        tree(&scop, sequence),
        matmul_tree(
            &scop,
            vec![member(&scop, "m", "[M, N, K] -> { C.update[m, n, k] -> [(m)] : m > 0 }", Kind::Sequential)],
        ),
        ScheduleTree { domain: isl::UnionSet::empty(&scop.ctx).expect("empty"), root: Node::Leaf },
    ];
    for tree in cases {
        let verdict = legality::order_respected(&tree, &deps, &scop);
        assert!(matches!(verdict, Err(Illegal::Malformed(_))), "{verdict:?}");
    }
}

#[test]
fn out_of_budget_is_refused() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let verdict = scop.ctx.with_budget(10, || Ok(legality::order_respected(&scop.tree, &deps, &scop)));
    assert_eq!(verdict, Ok(Err(Illegal::Isl(isl::Error::Quota))));
}

fn stencil() -> Scop {
    // for t { for i { A(i) = A(i - 1) * A(i) * A(i + 1) } }
    Program::new(&["T", "N"])
        .tensor("A", Role::InOut, vec![p(1)])
        .stmt(
            "A",
            &["t", "i"],
            "0 <= t < T and 1 <= i < N - 1",
            Does::Assigns,
            ("A", vec![d(1)]),
            vec![("A", vec![d(1) - 1]), ("A", vec![d(1)]), ("A", vec![d(1) + 1])],
        )
        .in_order()
}

#[test]
fn permutability_of_a_stencil_needs_a_skew() {
    let scop = stencil();
    let deps = dependences(&scop).expect("dependences");
    let violation = refused(legality::permutable(&scop.tree, &deps, &scop, &["A.t", "A.i"]));
    assert_eq!(violation.conflict, Conflict::NotPermutable { member: "A.i".into() });
    assert!(violation.source.point[0] < violation.sink.point[0] && violation.source.point[1] > violation.sink.point[1]);
    let skewed = tree(
        &scop,
        band(
            vec![
                member(&scop, "t", "[T, N] -> { A[t, i] -> [(t)] }", Kind::Sequential),
                member(&scop, "w", "[T, N] -> { A[t, i] -> [(i + 2t)] }", Kind::Sequential),
            ],
            Node::Leaf,
        ),
    );
    legality::permutable(&skewed, &deps, &scop, &["w", "t"]).expect("permutable");
    legality::permutable(&scop.tree, &deps, &scop, &["A.i"]).expect("the innermost by itself");
    refused(legality::coincident(&scop.tree, &deps, &scop, "A.i"));
}

#[test]
fn attributes_are_found() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    let tree = legality::with_attributes(&scop.tree, &deps).expect("attributes");
    let coincident: Vec<_> = tree.root.members().iter().map(|member| member.coincident).collect();
    assert_eq!(coincident, [true, true, true, true, false]);
    assert!(tree.root.band_of("C.update.k").expect("a member").0.permutable);
    let stencil = stencil();
    let deps = dependences(&stencil).expect("dependences");
    let tree = legality::with_attributes(&stencil.tree, &deps).expect("attributes");
    assert!(!tree.root.band_of("A.t").expect("a member").0.permutable);
}

#[test]
fn unknown_members_are_an_error() {
    let scop = matmul();
    let deps = dependences(&scop).expect("dependences");
    assert!(matches!(legality::coincident(&scop.tree, &deps, &scop, "x"), Err(Illegal::Malformed(_))));
    let apart = legality::permutable(&scop.tree, &deps, &scop, &["C.init.m", "C.update.m"]);
    assert!(matches!(apart, Err(Illegal::Malformed(_))));
}

#[test]
fn to_isl_and_back_keeps_the_order() {
    for scop in [matmul(), stencil(), triangle(), two_in_a_nest()] {
        let there = scop.tree.to_isl().expect("isl's tree");
        let back = ScheduleTree::from_isl(&there, &scop).expect("our tree");
        let names = |tree: &ScheduleTree| tree.root.members().iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&back), names(&scop.tree));
        let same = back.to_map().expect("a map").is_equal(&scop.tree.to_map().expect("a map"));
        assert!(same.expect("comparable"));
    }
}

#[test]
fn the_scheduler_of_isl_gives_legal_trees() {
    for scop in [matmul(), stencil(), triangle(), two_in_a_nest()] {
        let deps = dependences(&scop).expect("dependences");
        for serialize_sccs in [false, true] {
            let constraints = isl::Constraints {
                domain: scop.domain().expect("a domain"),
                context: scop.context.clone(),
                validity: deps.ordering(false).expect("a union"),
                coincidence: deps.ordering(true).expect("a union"),
                proximity: deps.ordering(true).expect("a union"),
            };
            let options = isl::SchedulerOptions { serialize_sccs, ..isl::SchedulerOptions::default() };
            let found = constraints.schedule(&options).expect("a schedule");
            let tree = ScheduleTree::from_isl(&found, &scop).expect("our tree");
            legality::order_respected(&tree, &deps, &scop).expect("legal");
        }
    }
}

fn triangle() -> Scop {
    Program::new(&["N"])
        .tensor("L", Role::Input, vec![p(0), p(0)])
        .tensor("x", Role::InOut, vec![p(0)])
        .stmt(
            "x",
            &["i", "j"],
            "0 <= j < i < N",
            Does::Sums,
            ("x", vec![d(0)]),
            vec![("L", vec![d(0), d(1)]), ("x", vec![d(1)])],
        )
        .in_order()
}

fn two_in_a_nest() -> Scop {
    let loop_of = |name: &str, body| Nest::Loop { name: name.into(), body };
    let stmt = |at| Nest::Stmt(StmtId::new(at));
    Program::new(&["N"])
        .tensor("A", Role::InOut, vec![p(0) + 1])
        .tensor("B", Role::InOut, vec![p(0) + 1])
        .stmt("A", &["i"], "0 <= i < N", Does::Assigns, ("A", vec![d(0)]), vec![("B", vec![d(0)])])
        .stmt("B", &["i"], "0 <= i < N", Does::Assigns, ("B", vec![d(0) + 1]), vec![("A", vec![d(0)])])
        .nested(vec![loop_of("i", vec![stmt(0), stmt(1)])])
}
