//! Scripts that change storage, from the Scop to machine code: the evaluator's tensors of the source are those of the
//! interpreter and of the machine.

#[path = "../random_scops/engines.rs"]
mod engines;

use engines::{Machine, Oracle};
use polyhedral::{isl, testing};
use tilewright::{Compiler, Tensor};
use transform::{Script, Session};

/// The program of that name for these sizes, scheduled by the script.
#[track_caller]
fn check(program: &str, sizes: &[i64], script: &str) {
    let machine = Machine::host();
    let scop = testing::program(&isl::Ctx::new(), program).specialise(sizes).expect("sizes of the program");
    let oracle = Oracle::of(&scop, 7).expect("the evaluator runs it");
    let mut session = Session::new(scop, &machine.target).expect("dependences");
    session.replay(&script.parse::<Script>().expect("a script")).unwrap_or_else(|refused| panic!("{refused}"));
    let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}"));
    engines::compare(&scheduled.scop, &oracle, &machine, &[])
        .unwrap_or_else(|failure| panic!("{failure}\n{scheduled}"));
}

/// Two levels of tiles, both operands packed in panels as wide as a register tile, and a tile of the result kept while
/// it is summed up.
const PACKED: &str = "
tile C.update.m C.update.n C.update.k by 24 32 16 as mo no ko / mi ni ki
reorder C.update.no C.update.ko C.update.mo
tile C.update.mi C.update.ni by 6 16 as mr nr / mu nu
reorder C.update.mo C.update.nr C.update.mr C.update.ki
promote B at C.update.ko as Bp
promote A at C.update.mo as Ap transposed 1 0
layout Bp [k, n] = [floor((n)/16), k, n mod 16] of [2, 16, 16]
layout Ap [k, m] = [floor((m)/6), k, m mod 6] of [4, 16, 6]
promote C at C.update.mr as Ct
";

#[test]
fn a_packed_matrix_product() {
    check("matmul", &[50, 70, 40], PACKED);
    check("matmul", &[3, 5, 1], PACKED);
}

#[test]
fn its_innermost_loops_are_vectors_and_copies() {
    let script = format!("{PACKED}vectorise C.update.nu by 16\nunroll C.update.mu by 6\nvectorise Bp.load.x1 by 8\n");
    check("matmul", &[50, 70, 40], &script);
}

#[test]
fn panels_of_threads() {
    let script = "tile C.update.m C.update.k by 8 16 as mo ko / mi ki\nparallel C.update.mo\n";
    check("matmul", &[29, 20, 37], &format!("{script}promote A at C.update.ko as Ap transposed 1 0 padded 3 in stack"));
    check("matmul", &[29, 20, 37], &format!("{script}promote A at C.update.mo as Ap in global"));
}

#[test]
fn a_box_that_threads_share() {
    let script = "split C.update.k by 8\nreorder C.update.ko C.update.m\nparallel C.update.m\npromote B at C.update.ko";
    check("matmul", &[9, 20, 37], script);
    check("matmul", &[9, 20, 37], &format!("{script} in stack"));
    check("matmul", &[9, 20, 37], "split C.update.m by 4\nprefetch C at C.update.mo\nparallel C.update.mo");
}

#[test]
fn a_statement_partly_inside() {
    check("matmul", &[9, 10, 11], "peel C.update.k first 1 as first rest\npromote A at C.update.rest as row");
    check("conv3x3", &[15, 21], "cut O.update.h at 4 as top rest\npromote O at O.update.rest of O.update");
}

#[test]
fn two_boxes_in_turn() {
    check(
        "matmul",
        &[9, 10, 37],
        "split C.update.k by 8\nreorder C.update.ko C.update.m\npromote B at C.update.ko double",
    );
}

#[test]
fn a_halo() {
    let tiles = "tile O.update.h O.update.w by 4 8 as ho wo / hi wi\n";
    check("conv3x3", &[15, 21], &format!("{tiles}promote I at O.update.wo padded 1\npromote F transposed 1 0"));
    check("conv3x3", &[15, 21], &format!("{tiles}parallel O.update.ho\npromote I at O.update.ho in global"));
}

#[test]
fn in_place_and_triangular() {
    check("stencil", &[12], "promote A at A.i as rows");
    check("stencil", &[12], "split A.i by 4\npromote A at A.io");
    check("triangular_solve", &[13], "promote x at x.init.i\npromote L at x.init.i as row");
    check("prefix_sum", &[17], "split S.i by 4\npromote S at S.io");
    check("strided", &[21], "split B.odd.i by 4\npromote A at B.odd.io\npromote B at B.odd.io");
    check("transpose_nest", &[11], "promote B at B.j\nprefetch A at B.i");
}

#[test]
fn lines_of_later_iterations() {
    check(
        "matmul",
        &[20, 40, 30],
        "split C.update.k by 8\nreorder C.update.ko C.update.m\nprefetch B at C.update.ko ahead 2",
    );
}

#[test]
fn a_temporary_that_shrinks() {
    let fused = "fuse T.init T.update depth 1\nfuse T.update R depth 1\n";
    check("matmul_bias_relu", &[9, 11, 5], &format!("{fused}promote T at T.init.m"));
    check("matmul_bias_relu", &[9, 11, 5], &format!("{fused}fold T dim 0 by 1"));
    check("matmul_bias_relu", &[9, 11, 5], &format!("{fused}parallel T.init.m\npromote T at T.init.m in stack"));
    check("matmul_bias_relu", &[9, 11, 5], "layout T [i, j] = [floor((j)/4), i, j mod 4] of [3, 9, 4]");
}

#[test]
fn from_the_text_of_the_language() {
    let text = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
    let kernel = Compiler::host().script(PACKED.parse().expect("a script")).compile(text).expect("it compiles");
    let (m, n, k) = (31, 45, 23);
    let values = |count: i64, by: i64| (0..count).map(|at| ((at * by) % 7 - 3) as f32).collect::<Vec<f32>>();
    let (a, b) = (values(m * k, 5), values(k * n, 3));
    let result = kernel
        .call(&[&Tensor::from_slice(&a, &[m, k]).expect("A"), &Tensor::from_slice(&b, &[k, n]).expect("B")])
        .expect("it runs");
    let at = |row: i64, column: i64| -> f32 {
        (0..k).map(|i| a[(row * k + i) as usize] * b[(i * n + column) as usize]).sum()
    };
    let expected: Vec<f32> = (0..m * n).map(|cell| at(cell / n, cell % n)).collect();
    assert_eq!(result.as_slice::<f32>().expect("floats"), expected);
}
