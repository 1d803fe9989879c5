//! Loops as they are scanned.

mod common;

use codegen::Options;
use common::{agrees, scan, scheduled};
use expect_test::{Expect, expect};
use polyhedral::testing;

/// The loops of a ready-made program, which must agree with the evaluator, and the remarks.
#[track_caller]
fn check(program: &str, sizes: &[i64], script: &str, expected: Expect) {
    let scop = scheduled(program, Some(sizes), script);
    let (program, remarks) = scan(&scop, &Options { fma: true, ..Options::default() });
    agrees(&scop, &program, &[]);
    let remarks: String = remarks.iter().map(|remark| format!("{remark}\n")).collect();
    expected.assert_eq(&format!("{program}{remarks}"));
}

#[test]
fn every_ready_made_program_runs_in_source_order() {
    for (name, _) in testing::PROGRAMS {
        let sizes = |n: usize| [7, 5, 6, 4][..n].to_vec();
        let ctx = polyhedral::isl::Ctx::new();
        let params = testing::program(&ctx, name).params.len();
        let fixed = scheduled(name, Some(&sizes(params)), "");
        agrees(&fixed, &scan(&fixed, &Options::default()).0, &[]);
        let symbolic = scheduled(name, None, "");
        agrees(&symbolic, &scan(&symbolic, &Options::default()).0, &sizes(params));
    }
}

#[test]
fn a_matrix_product_as_written() {
    check("matmul", &[4, 3, 5], "", expect![[""]]);
}

#[test]
fn a_register_tile() {
    let script = "
        vectorise C.init.n by 4
        tile C.update.m C.update.n by 8 16 as mo no / mi ni
        vectorise C.update.ni by 4
        unroll C.update.mi by 2
        parallel C.update.mo";
    check("matmul", &[8, 16, 5], script, expect![[""]]);
    check("matmul", &[10, 19, 5], script, expect![[""]]);
}

#[test]
fn several_vectors_of_one_dimension() {
    let script = "
        tile C.update.m C.update.n by 4 16 as mo no / mi ni
        vectorise C.update.ni by 4 as nv nl
        unroll nv by 2
        unroll C.update.mi by 2";
    check("matmul", &[6, 19, 3], script, expect![[""]]);
}

#[test]
fn a_box_that_straddles_tiles() {
    let script = "
        tile C.update.m C.update.n by 8 20 as mo no / mi ni
        vectorise C.update.ni by 8";
    check("matmul", &[3, 44, 2], script, expect![[""]]);
}

#[test]
fn lanes_of_a_triangle() {
    let text = "
scop triangle(N)
context { : N > 0 }
input A: float32[N, N]
output B: float32[N, N]
stmt B[i, j]
  domain { B[i, j] : 0 <= j <= i < N }
  B[i, j] = A[j, i] + 1.0f32
";
    check(text, &[9], "vectorise B.j by 4 as jo ji", expect![[""]]);
}

#[test]
fn lanes_of_a_strided_domain() {
    check("strided", &[21], "vectorise B.even.i by 8 as io ii\nunroll B.odd.i by 2", expect![[""]]);
}

#[test]
fn lanes_that_gather() {
    check(
        "gather",
        &[2, 3, 3, 9],
        "reorder O.update.b O.update.l O.update.d\nvectorise O.update.d by 4",
        expect![[""]],
    );
}

#[test]
fn indices_that_differ_in_every_lane() {
    let text = "
scop indices(N)
context { : N > 0 }
input A: int64[N]
output B: int64[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = A[floor((i)/3)] * i + (i mod 5)
";
    check(text, &[12], "vectorise B.i by 4", expect![[""]]);
}

#[test]
fn statements_that_share_iterations() {
    check("transpose_nest", &[6], "", expect![[""]]);
}

#[test]
fn sizes_that_the_call_knows() {
    let script = "
        tile C.update.m C.update.n by 8 16 as mo no / mi ni
        vectorise C.update.ni by 4
        unroll C.update.mi by 2
        parallel C.update.mo";
    let scop = scheduled("matmul", None, script);
    let (program, _) = scan(&scop, &Options::default());
    for sizes in [[8, 16, 3], [9, 17, 1], [1, 1, 1], [7, 30, 2]] {
        agrees(&scop, &program, &sizes);
    }
    expect![[""]].assert_eq(&program.to_string());
}
