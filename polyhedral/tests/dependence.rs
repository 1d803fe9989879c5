//! Dependences against what they must be, in isl's notation.

mod common;

use common::{Does, Program, c, d, matmul, p};
use polyhedral::{DependenceKind, Dependences, Nest, Role, Scop, dependences, isl};
use support::{Entity, Stage};

#[track_caller]
fn check(scop: &Scop, expected: [(DependenceKind, &str); 4]) -> Dependences {
    let deps = dependences(scop).expect("exact dependences");
    deps.verify().expect("inside the domain");
    for (kind, text) in expected {
        let expected = isl::UnionMap::read(&scop.ctx, text).expect("a relation");
        let expected = expected.intersect_params(&scop.context).expect("parameters");
        let found = deps.of(kind).intersect_params(&scop.context).expect("parameters");
        assert!(found.is_equal(&expected).expect("comparable"), "{kind}: found {found}, expected {expected}");
    }
    deps
}

use DependenceKind::{Anti, Flow, Output, Reduction};

#[test]
fn a_matrix_product() {
    let domain = "0 <= m < M and 0 <= n < N";
    check(
        &matmul(),
        [
            (Flow, &format!("[M, N, K] -> {{ C.init[m, n] -> C.update[m, n, k] : {domain} and 0 <= k < K }}")),
            (Anti, "{ }"),
            (Output, &format!("[M, N, K] -> {{ C.init[m, n] -> C.update[m, n, k] : {domain} and 0 <= k < K }}")),
            (
                Reduction,
                &format!("[M, N, K] -> {{ C.update[m, n, k] -> C.update[m, n, l] : {domain} and 0 <= k < l < K }}"),
            ),
        ],
    );
}

#[test]
fn every_update_reaches_the_reader() {
    let scop = Program::new(&["N"])
        .tensor("A", Role::Input, vec![p(0)])
        .tensor("s", Role::Temporary, vec![])
        .tensor("B", Role::Output, vec![p(0)])
        .stmt("s.init", &[], "", Does::Assigns, ("s", vec![]), vec![])
        .stmt("s.update", &["k"], "0 <= k < N", Does::Sums, ("s", vec![]), vec![("A", vec![d(0)])])
        .stmt("B", &["i"], "0 <= i < N", Does::Assigns, ("B", vec![d(0)]), vec![("s", vec![])])
        .in_order();
    check(
        &scop,
        [
            (
                Flow,
                "[N] -> { s.init[] -> s.update[k] : 0 <= k < N; s.init[] -> B[i] : 0 <= i < N; \
                 s.update[k] -> B[i] : 0 <= k < N and 0 <= i < N }",
            ),
            (Anti, "{ }"),
            (Output, "[N] -> { s.init[] -> s.update[k] : 0 <= k < N }"),
            (Reduction, "[N] -> { s.update[k] -> s.update[l] : 0 <= k < l < N }"),
        ],
    );
}

#[test]
fn two_statements_that_add_to_one_tensor_may_swap() {
    let scop = Program::new(&["N"])
        .tensor("A", Role::Input, vec![p(0)])
        .tensor("s", Role::InOut, vec![])
        .stmt("s.0", &["k"], "0 <= k < N", Does::Sums, ("s", vec![]), vec![("A", vec![d(0)])])
        .stmt("s.1", &[], "", Does::Sums, ("s", vec![]), vec![])
        .in_order();
    check(
        &scop,
        [
            (Flow, "{ }"),
            (Anti, "{ }"),
            (Output, "{ }"),
            (Reduction, "[N] -> { s.0[k] -> s.0[l] : 0 <= k < l < N; s.0[k] -> s.1[] : 0 <= k < N }"),
        ],
    );
}

#[test]
fn another_operator_or_a_reader_in_between_keeps_the_order() {
    let program = || {
        Program::new(&[]).tensor("s", Role::InOut, vec![]).tensor("t", Role::Output, vec![]).stmt(
            "s.0",
            &[],
            "",
            Does::Sums,
            ("s", vec![]),
            vec![],
        )
    };
    let operator = program()
        .stmt("s.1", &[], "", Does::Maxes, ("s", vec![]), vec![])
        .stmt("s.2", &[], "", Does::Sums, ("s", vec![]), vec![])
        .in_order();
    let all = "{ s.0[] -> s.1[]; s.0[] -> s.2[]; s.1[] -> s.2[] }";
    check(&operator, [(Flow, all), (Anti, "{ }"), (Output, all), (Reduction, "{ }")]);
    let reader = program()
        .stmt("t", &[], "", Does::Assigns, ("t", vec![]), vec![("s", vec![])])
        .stmt("s.2", &[], "", Does::Sums, ("s", vec![]), vec![])
        .in_order();
    check(
        &reader,
        [
            (Flow, "{ s.0[] -> t[]; s.0[] -> s.2[] }"),
            (Anti, "{ t[] -> s.2[] }"),
            (Output, "{ s.0[] -> s.2[] }"),
            (Reduction, "{ }"),
        ],
    );
}

#[test]
fn an_update_that_reads_its_own_element_is_in_order() {
    let scop = Program::new(&[])
        .tensor("s", Role::InOut, vec![])
        .stmt("s", &["k"], "0 <= k < 4", Does::Sums, ("s", vec![]), vec![("s", vec![])])
        .in_order();
    let chain = "{ s[k] -> s[l] : 0 <= k < l < 4 }";
    check(&scop, [(Flow, chain), (Anti, chain), (Reduction, "{ }"), (Reduction, "{ }")]);
}

#[test]
fn a_stencil_in_place() {
    let scop = Program::new(&["N"])
        .tensor("A", Role::InOut, vec![p(0)])
        .stmt(
            "A",
            &["i"],
            "1 <= i < N - 1",
            Does::Assigns,
            ("A", vec![d(0)]),
            vec![("A", vec![d(0) - 1]), ("A", vec![d(0) + 1])],
        )
        .in_order();
    let next = "[N] -> { A[i] -> A[i + 1] : 1 <= i < N - 2 }";
    check(&scop, [(Flow, next), (Anti, next), (Output, "{ }"), (Reduction, "{ }")]);
}

#[test]
fn a_second_write_hides_the_first() {
    let scop = Program::new(&[])
        .tensor("A", Role::Temporary, vec![c(8)])
        .tensor("B", Role::Output, vec![c(8)])
        .stmt("A.0", &["i"], "0 <= i < 8", Does::Assigns, ("A", vec![d(0)]), vec![])
        .stmt("A.1", &["i"], "0 <= i < 4", Does::Assigns, ("A", vec![2 * d(0)]), vec![])
        .stmt("B", &["i"], "0 <= i < 8", Does::Assigns, ("B", vec![d(0)]), vec![("A", vec![d(0)])])
        .in_order();
    check(
        &scop,
        [
            (Flow, "{ A.0[i] -> B[i] : (i mod 2) = 1 and 0 <= i < 8; A.1[i] -> B[2*i] : 0 <= i < 4 }"),
            (Anti, "{ }"),
            (Output, "{ A.0[j] -> A.1[i] : j = 2i and 0 <= i < 4 }"),
            (Reduction, "{ }"),
        ],
    );
}

#[test]
fn statements_of_one_nest_and_a_triangle() {
    // for i { x(i) = b(i); for j < i { x(i) += L(i, j) * x(j) } }
    let scop = Program::new(&["N"])
        .tensor("L", Role::Input, vec![p(0), p(0)])
        .tensor("b", Role::Input, vec![p(0)])
        .tensor("x", Role::Output, vec![p(0)])
        .stmt("x.init", &["i"], "0 <= i < N", Does::Assigns, ("x", vec![d(0)]), vec![("b", vec![d(0)])])
        .stmt(
            "x.update",
            &["i", "j"],
            "0 <= j < i < N",
            Does::Sums,
            ("x", vec![d(0)]),
            vec![("L", vec![d(0), d(1)]), ("x", vec![d(1)])],
        )
        .nested(vec![Nest::Loop {
            name: "i".into(),
            body: vec![
                Nest::Stmt(polyhedral::StmtId::new(0)),
                Nest::Loop { name: "j".into(), body: vec![Nest::Stmt(polyhedral::StmtId::new(1))] },
            ],
        }]);
    check(
        &scop,
        [
            (
                Flow,
                "[N] -> { x.init[i] -> x.update[i, j] : 0 <= j < i < N; \
                 x.init[i] -> x.update[l, i] : 0 <= i < l < N; \
                 x.update[i, j] -> x.update[l, i] : 0 <= j < i < l < N }",
            ),
            (Anti, "{ }"),
            (Output, "[N] -> { x.init[i] -> x.update[i, j] : 0 <= j < i < N }"),
            (Reduction, "[N] -> { x.update[i, j] -> x.update[i, k] : 0 <= j < k < i < N }"),
        ],
    );
}

#[test]
fn an_indirect_read_may_see_any_element() {
    let scop = Program::new(&[])
        .tensor("I", Role::Input, vec![c(4)])
        .tensor("T", Role::Temporary, vec![c(4)])
        .tensor("B", Role::Output, vec![c(4)])
        .stmt("T", &["i"], "0 <= i < 4", Does::Assigns, ("T", vec![d(0)]), vec![])
        .stmt("B", &["i"], "0 <= i < 4", Does::Assigns, ("B", vec![d(0)]), vec![("I", vec![d(0)]), ("T", vec![d(0)])])
        .indirect(1, 0)
        .in_order();
    let all = "{ T[i] -> B[j] : 0 <= i < 4 and 0 <= j < 4 }";
    check(&scop, [(Flow, all), (Anti, "{ }"), (Output, "{ }"), (Reduction, "{ }")]);
}

#[test]
fn the_text_names_every_kind() {
    let text = dependences(&matmul()).expect("exact dependences").to_string();
    assert!(text.starts_with("flow\n  [M, N, K] -> { C.init[m, n] -> C.update"), "{text}");
    assert!(text.contains("\nreduction\n  "), "{text}");
}
