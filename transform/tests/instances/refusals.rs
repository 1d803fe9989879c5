//! What does not fit, and what is said then.

use expect_test::{Expect, expect};

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
        expect!["`inline S` refused: the statements `S.init` and `S.update` write `S`; one assignment can be inlined"],
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
        expect!["`inline T` refused: the statement `T` updates `T`; only an assignment can be inlined"],
    );
    let two = "stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[i], B[i] = A[i], A[i]\n\
               stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[i]\n";
    check(&with_stmts(two), "inline T", expect!["`inline T` refused: the statement `T` writes other elements than that of `T` too"]);
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
        expect!["`inline T` refused: the statement `B` would have more than 4096 operations and operands, or 96 inside each other"],
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
    check(BLUR, "compute T at T.i", expect!["`compute T at T.i` refused: the statement `B` reads `T` outside of the loop `T.i`"]);
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
    check(BLUR, "store T at B.i", expect!["`store T at B.i` refused: the statement `T` uses `T` outside of the loop `B.i`: `compute` it there first"]);
    check(
        BLUR,
        "store A at B.i",
        expect!["`store A at B.i` refused: `A` is an input: the program does not compute it"],
    );
    check(BLUR, "store B at B.i", expect!["`store B at B.i` refused: `B` is the caller's: it is not a temporary"]);
    check(ROWS, "store S at R.m", expect!["`store S at R.m` refused: the statement `S.init` uses `S` outside of the loop `R.m`: `compute` it there first"]);
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
            "`privatise B at B.i` refused: `B` writes `B` in the loop `B.i`: it is neither only updated there nor only used there"
        ],
    );
    check(
        BLUR,
        "privatise T at B.i",
        expect![
            "`privatise T at B.i` refused: `B` reads `T` in the loop `B.i`: it is neither only updated there nor only used there"
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
            "`privatise S at S.update.i in stack` refused: the stack takes 65536 bytes at most, and this has a size that depends on the program's"
        ],
    );
    check(
        DOT,
        "privatise S at S.update.i by 100000 in stack",
        expect![
            "`privatise S at S.update.i by 100000 in stack` refused: the stack takes 65536 bytes at most, and this has 400000 bytes"
        ],
    );
    check(
        DOT,
        "unroll S.update.i by 8 as io iu\nprivatise S at S.update.iu",
        expect![
            "`privatise S at S.update.iu` refused: the loop `S.update.iu` is unrolled: its iterations hold nothing else"
        ],
    );
    check(ARGMAX, "privatise V at V.update.i", expect![[""]]);
    check(ROWS, "privatise R at S.update.m", expect![[""]]);
    check(COLUMNS, "fuse S.init S.update depth 1\nprivatise S at S.init.n", expect![[""]]);
    let maxed = "stmt T.sum[i]\n  domain { T.sum[i] : 0 <= i < N }\n  T[0] sum= A[i]\n\
                 stmt T.max[i]\n  domain { T.max[i] : 0 <= i < N }\n  T[0] max= A[i]\n\
                 stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[0]\n\
                 source\n  for i\n    T.sum\n    T.max\n  for i\n    B\n";
    check(&with_stmts(maxed), "privatise T at T.sum.i", expect![[""]]);
    let scattered = "stmt T[i]\n  domain { T[i] : 0 <= i < N }\n  T[value(I[i])] sum= A[i]\n\
                     stmt B[i]\n  domain { B[i] : 0 <= i < N }\n  B[i] = T[0]\n";
    check(&with_stmts(scattered), "privatise T at T.i", expect![[""]]);
}

#[test]
fn privatised_loops_have_boxes_of_one_size() {
    check(
        BLUR2,
        "privatise T at B.y",
        expect![
            "`privatise T at B.y` refused: `B` reads `T` in the loop `B.y`: it is neither only updated there nor only used there"
        ],
    );
}
