//! What does not fit, and what is said then.

use expect_test::{Expect, expect};
use polyhedral::{isl, testing};
use transform::Options;

use crate::common;
use crate::programs::{ARGMAX, BLUR, BLUR2, COLUMNS, DOT, ROWS, session};

/// The last command of the script is refused, for that reason.
#[track_caller]
fn check(text: &str, script: &str, expected: Expect) {
    expected.assert_eq(&common::refusal(session(text), script).to_string());
}

/// A program with an input `A`, an index tensor, an output `B` and a temporary `T`, by its statements.
fn with_stmts(stmts: &str) -> String {
    format!(
        "scop p(N)\ncontext {{ : N > 8 }}\ninput A: float32[N]\ninput I: int32[N]\noutput B: float32[N]\n\
         temporary T: float32[2 * N]\n{stmts}"
    )
}

/// `T` from one statement with this domain and body, read by `B` with this subscript.
fn producer(domain: &str, write: &str, read: &str) -> String {
    with_stmts(&format!(
        "stmt T[i]\n  domain {{ T[i] : {domain} }}\n  {write}\n\
         stmt B[i]\n  domain {{ B[i] : 0 <= i < N }}\n  B[i] = T[{read}]\n"
    ))
}

#[test]
fn inline_needs_one_assignment_of_a_temporary() {
    check(
        BLUR,
        "inline C",
        expect!["`inline C` refused: there is no tensor `C`; did you mean `A`? (tensors: A, B, T)"],
    );
    check(BLUR, "inline A", expect!["`inline A` refused: `A` is an input: the program does not compute it"]);
    check(BLUR, "inline B", expect!["`inline B` refused: `B` is the caller's: it is not a temporary"]);
    check(
        ROWS,
        "inline S",
        expect![
            "`inline S` refused: the statement `S.update` updates an element of `S` more than 64 times, or some oftener than others"
        ],
    );
    check(
        &with_stmts("stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[i]\n"),
        "inline T",
        expect!["`inline T` refused: no statement writes `T`"],
    );
    let sum = "stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[0] sum= A[i]\n\
               stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[0]\n";
    check(
        &with_stmts(sum),
        "inline T",
        expect!["`inline T` refused: the statement `T` updates `T`, and no assignment begins it"],
    );
    let two = "stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[i], B[i] = A[i], A[i]\n\
               stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[i]\n";
    check(
        &with_stmts(two),
        "inline T",
        expect!["`inline T` refused: the statement `T` writes other elements than that of `T` too"],
    );
}

#[test]
fn inline_needs_the_instance_that_writes_what_is_read() {
    check(
        &producer("0 <= i < N", "T[value(I[i])] = A[i]", "i"),
        "inline T",
        expect!["`inline T` refused: the statement `T` writes elements of `T` that depend on data"],
    );
    check(
        &producer("0 <= i < N", "T[i] = A[i]", "value(I[i])"),
        "inline T",
        expect!["`inline T` refused: the statement `B` reads `T` by subscripts that depend on data"],
    );
    check(
        &producer("0 < i < N", "T[i] = A[i]", "i"),
        "inline T",
        expect!["`inline T` refused: the statement `B` reads elements of `T` that the statement `T` does not write"],
    );
    check(
        &producer("0 <= i < N", "T[2*i] = A[i]", "i"),
        "inline T",
        expect!["`inline T` refused: the statement `B` reads elements of `T` that the statement `T` does not write"],
    );
    check(
        &producer("0 <= i < N", "T[floor((i)/2)] = A[i]", "floor((i)/2)"),
        "inline T",
        expect!["`inline T` refused: several instances of the statement `T` write one element of `T`"],
    );
    check(
        &producer("0 < i < N", "T[i] = T[i - 1] + A[i]", "i"),
        "inline T",
        expect!["`inline T` refused: the statement `T` computes `T` from itself"],
    );
}

#[test]
fn inline_does_not_let_a_statement_grow_without_end() {
    let sum = |from: &str| vec![format!("{from}[i]"); 60].join(" + ");
    let text = with_stmts(&format!(
        "stmt T[i]\n  domain {{ T[i] : 0 <= i < N }}\n  T[i] = {}\n\
         stmt B[i]\n  domain {{ B[i] : 0 <= i < N }}\n  B[i] = {}\n",
        sum("A"),
        sum("T")
    ));
    check(
        &text,
        "inline T",
        expect![
            "`inline T` refused: the statement `B` would have more than 4096 operations and operands, or 96 inside each other"
        ],
    );
}

#[test]
fn compute_needs_a_loop_around_all_readers() {
    check(
        BLUR,
        "compute A at B.i",
        expect!["`compute A at B.i` refused: `A` is an input: the program does not compute it"],
    );
    check(BLUR, "compute B at B.i", expect!["`compute B at B.i` refused: `B` is the caller's: it is not a temporary"]);
    check(
        BLUR,
        "compute T at B.j",
        expect!["`compute T at B.j` refused: there is no loop `B.j`; did you mean `B.i`? (loops: T.i, B.i)"],
    );
    check(
        BLUR,
        "compute T at T.i",
        expect!["`compute T at T.i` refused: the statement `B` reads `T` outside of the loop `T.i`"],
    );
    check(
        ROWS,
        "compute E at S.update.m",
        expect!["`compute E at S.update.m` refused: the statement `R` reads `E` outside of the loop `S.update.m`"],
    );
    check(
        BLUR,
        "vectorise B.i by 8 as io iv\ncompute T at B.iv",
        expect!["`compute T at B.iv` refused: the loop `B.iv` is vectorised: its iterations hold nothing else"],
    );
    check(
        BLUR,
        "unroll B.i by 4 as io iu\ncompute T at B.iu",
        expect!["`compute T at B.iu` refused: the loop `B.iu` is unrolled: its iterations hold nothing else"],
    );
    check(
        &with_stmts(
            "stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[i] = A[i]\nstmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = A[i]\n",
        ),
        "compute T at B.i",
        expect!["`compute T at B.i` refused: nothing reads `T` in the loop `B.i`"],
    );
}

#[test]
fn compute_needs_producers_that_can_be_taken_apart() {
    check(
        &producer("0 <= i < N", "T[value(I[i])] = A[i]", "i"),
        "compute T at B.i",
        expect!["`compute T at B.i` refused: the statement `T` writes elements of `T` that depend on data"],
    );
    check(
        &producer("0 < i < N", "T[i] = T[i - 1] + A[i]", "i"),
        "compute T at B.i",
        expect!["`compute T at B.i` refused: the statement `T` computes elements of `T` from other ones"],
    );
    check(
        &with_stmts("stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[i]\n"),
        "compute T at B.i",
        expect!["`compute T at B.i` refused: no statement writes `T`"],
    );
    let two = "stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[i], B[i] = A[i], A[i]\n\
               stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[i]\n";
    check(
        &with_stmts(two),
        "compute T at B.i",
        expect!["`compute T at B.i` refused: the statement `T` writes other elements than that of `T` too"],
    );
}

#[test]
fn store_needs_all_uses_inside() {
    check(
        BLUR,
        "store T at B.i",
        expect![
            "`store T at B.i` refused: the statement `T` uses `T` outside of the loop `B.i`: `compute` it there first"
        ],
    );
    check(
        BLUR,
        "store A at B.i",
        expect!["`store A at B.i` refused: `A` is an input: the program does not compute it"],
    );
    check(BLUR, "store B at B.i", expect!["`store B at B.i` refused: `B` is the caller's: it is not a temporary"]);
    check(
        ROWS,
        "store S at R.m",
        expect![
            "`store S at R.m` refused: the statement `S.init` uses `S` outside of the loop `R.m`: `compute` it there first"
        ],
    );
    let by_data = producer("0 <= i < N", "T[i] = A[i]", "value(I[i])") + "source\n  for i\n    T\n    B\n";
    check(&by_data, "store T at T.i", expect!["`store T at T.i` refused: `B` finds its element of `T` by data"]);
}

#[test]
fn privatise_needs_updates_alone() {
    check(
        BLUR,
        "privatise A at B.i",
        expect!["`privatise A at B.i` refused: no statement inside the loop `B.i` uses `A`"],
    );
    check(
        BLUR,
        "privatise B at B.i",
        expect![
            "`privatise B at B.i` refused: the statement `B` writes `B` in the loop `B.i`: it is neither only updated there nor only used there"
        ],
    );
    check(
        BLUR,
        "privatise T at B.i",
        expect![
            "`privatise T at B.i` refused: the statement `B` reads `T` in the loop `B.i`: it is neither only updated there nor only used there"
        ],
    );
    check(
        DOT,
        "privatise X at S.update.i",
        expect!["`privatise X at S.update.i` refused: there is no tensor `X`; did you mean `A`? (tensors: A, B, S)"],
    );
    check(
        DOT,
        "privatise S at S.update.j",
        expect![
            "`privatise S at S.update.j` refused: there is no loop `S.update.j`; did you mean `S.update.i`? (loops: S.update.i)"
        ],
    );
    check(
        DOT,
        "privatise S at S.update.i as A",
        expect!["`privatise S at S.update.i as A` refused: there is already a tensor `A`"],
    );
    check(
        DOT,
        "privatise S at S.update.i as S.private",
        expect!["`privatise S at S.update.i as S.private` refused: `S.private` cannot be the name of a tensor"],
    );
    check(
        DOT,
        "privatise S at S.update.i in stack",
        expect![
            "`privatise S at S.update.i in stack` refused: the stack takes 262144 bytes at most, and this has a size that depends on the program's: put it `in global`"
        ],
    );
    check(
        DOT,
        "privatise S at S.update.i by 100000 in stack",
        expect![
            "`privatise S at S.update.i by 100000 in stack` refused: the stack takes 262144 bytes at most, and this has 400000 bytes: put it `in global`"
        ],
    );
    check(
        DOT,
        "unroll S.update.i by 8 as io iu\nprivatise S at S.update.iu",
        expect![
            "`privatise S at S.update.iu` refused: the loop `S.update.iu` is unrolled: its iterations hold nothing else"
        ],
    );
    check(
        ARGMAX,
        "privatise V at V.update.i",
        expect![
            "`privatise V at V.update.i` refused: of what the statement `V.update` updates, what combines two results depends on which is the first one"
        ],
    );
    check(
        ROWS,
        "privatise R at S.update.m",
        expect!["`privatise R at S.update.m` refused: no statement inside the loop `S.update.m` uses `R`"],
    );
    check(
        COLUMNS,
        "reorder S.update.n S.update.m\nfuse S.init S.update depth 1\nprivatise S at S.init.n",
        expect![
            "`privatise S at S.init.n` refused: the statement `S.init` writes `S` in the loop `S.init.n`: it is neither only updated there nor only used there"
        ],
    );
    let maxed = "stmt T.sum[i]\n  domain { T.sum[i] : 0 <= i < N }\n  T[0] sum= A[i]\n\
                 stmt T.max[i]\n  domain { T.max[i] : 0 <= i < N }\n  T[0] max= A[i]\n\
                 stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[0]\n\
                 source\n  for i\n    T.sum\n    T.max\n  for i\n    B\n";
    check(
        &with_stmts(maxed),
        "privatise T at T.sum.i",
        expect![
            "`privatise T at T.sum.i` refused: the statements `T.sum` and `T.max` update `T` by different operators"
        ],
    );
    let scattered = "stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[value(I[i])] sum= A[i]\n\
                     stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[0]\n";
    check(
        &with_stmts(scattered),
        "privatise T at T.i",
        expect!["`privatise T at T.i` refused: the statement `T` finds its element of `T` by data"],
    );
}

#[test]
fn privatised_loops_have_boxes_of_one_size() {
    check(
        BLUR2,
        "privatise T at B.y",
        expect![
            "`privatise T at B.y` refused: the statement `B` reads `T` in the loop `B.y`: it is neither only updated there nor only used there"
        ],
    );
}

#[test]
fn iterations_that_share_a_tensor_do_not_run_at_once() {
    let tiled = "split B.i by 32 as io ii\ncompute T at B.io\n";
    check(
        BLUR,
        &format!("{tiled}parallel B.io"),
        expect![
            "`parallel B.io` refused: `T[1, 31]` must run after `B[30]` (anti through `T[31]`), but the parallel loop `B.io` would run them at once, for example for N = 35"
        ],
    );
    check(
        BLUR,
        &format!("{tiled}store T at B.io in global\nparallel B.io"),
        expect![
            "`parallel B.io` refused: `T[1, 33]` must run after `B[2]` (anti through `T[2]`), but the parallel loop `B.io` would run them at once, for example for N = 35"
        ],
    );
    check(
        BLUR,
        "parallel B.i\ncompute T at B.i",
        expect![
            "`compute T at B.i` refused: `T[3, 2]` must run after `B[2]` (anti through `T[2]`), but the parallel loop `B.i` would run them at once, for example for N = 6"
        ],
    );
    check(
        ROWS,
        "compute S at R.m\ncompute E at R.m\nstore E at R.m\nparallel R.m",
        expect![
            "`parallel R.m` refused: `E[1, 0]` must run after `R[0, 0]` (anti through `E[0, 0]`), but the parallel loop `R.m` would run them at once, for example for M = 2, N = 1"
        ],
    );
    check(
        DOT,
        "split S.update.i by 64 as io ii\nprivatise S at S.update.io as P\nparallel S.combine.io",
        expect![
            "`parallel S.combine.io` refused: `S.combine[0]` and `S.combine[1]` update one element (reduction through `S[]`), but the parallel loop `S.combine.io` would run them at once, for example for N = 65"
        ],
    );
    check(
        DOT,
        "privatise S at S.update.i by 8\nvectorise S.update.i by 16",
        expect![
            "`vectorise S.update.i by 16` refused: `S.update[0]` and `S.update[8]` update one element (reduction through `S_partial[0]`), but the vector loop `S.update.iv` would run them at once, for example for N = 9"
        ],
    );
    check(
        DOT,
        "split S.update.i by 64 as io ii\nprivatise S at S.update.io as P\nparallel S.update.ii",
        expect![
            "`parallel S.update.ii` refused: `S.update[0]` and `S.update[1]` update one element (reduction through `P[0]`), but the parallel loop `S.update.ii` would run them at once, for example for N = 2"
        ],
    );
}

#[test]
fn what_a_producer_read_may_be_gone() {
    let overwritten = "scop over(N)\ncontext { : N > 8 }\ninout A: float32[N]\noutput B: float32[N]\n\
                       temporary T: float32[N]\n\
                       stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[i] = 2.0f32 * A[i]\n\
                       stmt A[i]\n  domain { A[i] : 0 <= i < N }\n  A[i] = 1.0f32\n\
                       stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[i]\n";
    check(
        overwritten,
        "inline T",
        expect![
            "`inline T` refused: `B[0]` finds in `A[0]` what `A[0]` computes, but must find what the caller gave as `A[0]`, for example for N = 9"
        ],
    );
    check(
        overwritten,
        "compute T at B.i",
        expect![
            "`compute T at B.i` refused: `T[0]` finds in `A[0]` what `A[0]` computes, but must find what the caller gave as `A[0]`, for example for N = 9"
        ],
    );
}

#[test]
fn an_iteration_does_not_keep_what_the_next_one_reads() {
    let carried = with_stmts(
        "stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[i] = A[i]\n\
         stmt B[i]\n  domain { B[i] : 0 < i < N }\n  B[i] = T[i - 1]\n\
         stmt B.first[]\n  domain { B.first[] }\n  B[0] = 0.0f32\n\
         source\n  for i\n    T\n    B\n  B.first\n",
    );
    check(
        &carried,
        "store T at T.i",
        expect![
            "`store T at T.i` refused: `B[1]` finds in `T[0]` what nobody wrote, but must find what `T[0]` computes, for example for N = 9"
        ],
    );
    check(
        &carried,
        "privatise T at T.i",
        expect![
            "`privatise T at T.i` refused: `B[1]` finds in `T[0]` what nobody wrote, but must find what `T[0]` computes, for example for N = 9"
        ],
    );
}

#[test]
fn a_strict_caller_keeps_the_order_of_sums() {
    let strict = Options { strict: true, ..Options::default() };
    let session = || common::session_of(testing::scop(&isl::Ctx::new(), DOT), strict);
    let refused = |script: &str| common::refusal(session(), script).to_string();
    expect!["`privatise S at S.update.i by 16` refused: `S.update[0]` finds in `S_partial[0]` the constant that a reduction begins with, but must find what `S.init[]` computes, for example for N = 1"].assert_eq(&refused("privatise S at S.update.i by 16"));
    expect!["`privatise S at S.update.io` refused: `S.update[0]` finds in `S_partial[0]` the constant that a reduction begins with, but must find what `S.init[]` computes, for example for N = 1"].assert_eq(&refused("split S.update.i by 64 as io ii\nprivatise S at S.update.io"));
}
