//! Loops after every pass.

mod common;

use codegen::Options;
use common::{agrees, lower, scheduled};
use expect_test::{Expect, expect};
use polyhedral::testing;

/// The loops of a program after every pass, which must agree with the evaluator.
#[track_caller]
fn check(program: &str, sizes: &[i64], script: &str, expected: Expect) {
    let scop = scheduled(program, Some(sizes), script);
    let program = lower(&scop, &Options { fma: true, ..Options::default() });
    agrees(&scop, &program, &[]);
    expected.assert_eq(&program.to_string());
}

#[test]
fn every_ready_made_program() {
    for (name, _) in testing::PROGRAMS {
        let sizes = |n: usize| [7, 5, 6, 4][..n].to_vec();
        let params = testing::program(&polyhedral::isl::Ctx::new(), name).params.len();
        let fixed = scheduled(name, Some(&sizes(params)), "");
        agrees(&fixed, &lower(&fixed, &Options::default()), &[]);
        let symbolic = scheduled(name, None, "");
        agrees(&symbolic, &lower(&symbolic, &Options::default()), &sizes(params));
    }
}

const TILED: &str = "
    vectorise C.init.n by 4
    tile C.update.m C.update.n by 8 16 as mo no / mi ni
    vectorise C.update.ni by 4
    unroll C.update.mi by 2
    parallel C.update.mo";

#[test]
fn the_test_of_a_whole_box_leaves_the_reduction_loop() {
    check("matmul", &[16, 19, 5], TILED, expect![[""]]);
}

#[test]
fn accumulators_of_a_symbolic_product() {
    let scop = scheduled("matmul", None, TILED);
    let program = lower(&scop, &Options::default());
    for sizes in [[8, 16, 3], [9, 17, 1], [1, 1, 1], [7, 30, 2]] {
        agrees(&scop, &program, &sizes);
    }
    expect![[""]].assert_eq(&program.to_string());
}

#[test]
fn an_accumulator_in_a_plain_loop() {
    check("matmul", &[4, 3, 5], "", expect![[""]]);
}

#[test]
fn boxes_that_are_never_whole() {
    check("matmul", &[3, 3, 5], "vectorise C.update.n by 4\nunroll C.update.m by 2", expect![[""]]);
}

#[test]
fn what_the_loop_changes_stays_in_memory() {
    check("prefix_sum", &[5], "", expect![[""]]);
    check("triangular_solve", &[4], "", expect![[""]]);
}
