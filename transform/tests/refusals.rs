//! What is refused, by family, and what is said.

mod common;

use common::{check_refused, refusal, replay, session, session_of};
use expect_test::{Expect, expect};
use polyhedral::{isl, testing};
use transform::{Options, Reason, Script, Session};

/// In place, each point from the one above and to the right: distance (1, -1).
const SKEWED: &str = "
scop skewed(N)
context { : N > 2 }
inout A: float32[N, N]
stmt A[i, j]
  domain { A[i, j] : 0 < i < N and 0 <= j < N - 1 }
  A[i, j] = A[i - 1, j + 1]
";

fn session_from(text: &str) -> Session {
    session_of(testing::scop(&isl::Ctx::new(), text), Options::default())
}

#[track_caller]
fn check_skewed(script: &str, expected: Expect) {
    expected.assert_eq(&refusal(session_from(SKEWED), script).to_string());
}

#[test]
fn a_tile_across_a_skewed_dependence() {
    check_skewed(
        "tile A.i A.j by 4 4",
        expect![
            "`tile A.i A.j by 4 4` refused: `A[2, 3]` must run after `A[1, 4]` (flow through `A[1, 4]`), but the loop `A.jo` would run it before, for example for N = 6"
        ],
    );
}

#[test]
fn an_interchange_of_a_skewed_dependence() {
    check_skewed(
        "reorder A.j A.i",
        expect![
            "`reorder A.j A.i` refused: `A[2, 0]` must run after `A[1, 1]` (flow through `A[1, 1]`), but the loop `A.j` would run it before, for example for N = 3"
        ],
    );
}

#[test]
fn an_unroll_and_jam_of_a_skewed_dependence() {
    check_skewed(
        "unroll A.i by 2",
        expect![
            "`unroll A.i by 2` refused: `A[3, 0]` must run after `A[2, 1]` (flow through `A[2, 1]`), but the loop `A.j` would run it before, for example for N = 4"
        ],
    );
}

#[test]
fn a_parallel_loop_that_carries_a_dependence() {
    check_skewed(
        "parallel A.i",
        expect![
            "`parallel A.i` refused: `A[2, 0]` must run after `A[1, 1]` (flow through `A[1, 1]`), but the parallel loop `A.i` would run them at once, for example for N = 3"
        ],
    );
}

#[test]
fn the_counter_example_has_two_instances() {
    let refused = refusal(session_from(SKEWED), "parallel A.i");
    let violation = refused.violation().expect("a counter-example");
    assert_eq!((violation.source.stmt.as_str(), violation.sink.stmt.as_str()), ("A", "A"));
    assert_eq!(violation.sink.point[0], violation.source.point[0] + 1);
}

#[test]
fn a_parallel_reduction() {
    check_refused(
        "matmul",
        "parallel C.update.k",
        expect![
            "`parallel C.update.k` refused: `C.update[0, 0, 0]` and `C.update[0, 0, 1]` update one element (reduction through `C[0, 0]`), but the parallel loop `C.update.k` would run them at once, for example for M = 1, N = 1, K = 2"
        ],
    );
}

#[test]
fn a_vectorised_recurrence() {
    let running = "
scop running(N)
context { : N > 1 }
input A: float32[N]
inout B: float32[N]
stmt B[i]
  domain { B[i] : 0 < i < N }
  B[i] = B[i - 1] + A[i]
source
  for i
    B
";
    expect!["`vectorise B.i by 8` refused: `B[2]` must run after `B[1]` (flow through `B[1]`), but the vector loop `B.iv` would run them at once, for example for N = 3"].assert_eq(&refusal(session_from(running), "vectorise B.i by 8").to_string());
}

#[test]
fn a_fusion_that_reads_too_early() {
    let backwards = "
scop backwards(N)
context { : N > 1 }
input A: float32[N]
output B: float32[N]
output C: float32[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = A[i]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = B[N - 1 - i]
";
    expect!["`fuse B C` refused: `C[0]` must run after `B[1]` (flow through `B[1]`), but the loop `B.i` would run it before, for example for N = 2"].assert_eq(&refusal(session_from(backwards), "fuse B C").to_string());
}

#[test]
fn a_distribution_that_breaks_a_loop() {
    check_refused(
        "triangular_solve",
        "distribute x.init.i",
        expect![
            "`distribute x.init.i` refused: `x.update[1, 0]` must run after `x.scale[0]` (flow through `x[0]`), but the sequence would run it before, for example for N = 2"
        ],
    );
}

#[test]
fn an_order_that_runs_backwards() {
    check_refused(
        "prefix_sum",
        "order {\n  sequence\n    filter { S.first[] }\n    filter { S[i] }\n      band\n        S.i = { S[i] -> [(-i)] }\n}",
        expect![
            "`order` refused: `S[2]` must run after `S[1]` (flow through `S[1]`), but the loop `S.i` would run it before, for example for N = 3"
        ],
    );
}

#[test]
fn an_order_that_leaves_instances_out() {
    check_refused(
        "matmul",
        "order {\n  sequence\n    filter { C.init[m, n] }\n      band\n        m = { C.init[m, n] -> [(m)] }\n        n = { C.init[m, n] -> [(n)] }\n}",
        expect!["`order` refused: the children of a sequence or set leave out instances"],
    );
}

#[test]
fn an_order_that_leaves_instances_unordered() {
    check_refused(
        "transpose_nest",
        "order {\n  band\n    B.i = { B[i, j] -> [(i)] }\n}",
        expect!["`order` refused: the tree leaves instances of `B` in no order"],
    );
    let updates = "scop total()\ninput A: float32[9]\ninout S: float32[]\nstmt S[i]\n  domain { S[i] : 0 <= i < 9 }\n  S[] sum= A[i]";
    let refused = refusal(session_from(updates), "order {\n  band\n    S.i = { S[i] -> [(i mod 2)] }\n}");
    expect!["`order` refused: the tree leaves instances of `S` in no order"].assert_eq(&refused.to_string());
}

#[test]
fn values_that_no_machine_integer_holds() {
    let far = "split S.i by 3\nshift S.io by 2147483647\nskew S.ii by 2147483647 of S.io";
    let refused = refusal(
        session_from(
            "scop copy()\ninput A: float32[9]\noutput S: float32[9]\nstmt S[i]\n  domain { S[i] : 0 <= i < 9 }\n  S[i] = A[i]",
        ),
        far,
    );
    expect!["`skew S.ii by 2147483647 of S.io` refused: the values of the loop `S.ii` would reach 4611686014132420609; at most 281474976710656"].assert_eq(&refused.to_string());
}

#[test]
fn an_order_that_is_not_a_tree() {
    check_refused(
        "matmul",
        "order {\n  band\n    m = 7 of 9\n}",
        expect!["`order` refused: line 2 of the tree: isl refused: syntax error"],
    );
}

#[test]
fn an_order_with_a_name_twice() {
    check_refused(
        "strided",
        "order {\n  band\n    i = { B.even[i] -> [(i)]; B.odd[i] -> [(i)] }\n    i = { B.even[i] -> [(0)]; B.odd[i] -> [(1)] }\n}",
        expect!["`order` refused: two loops are called `i`"],
    );
}

#[test]
fn an_order_with_lanes_that_cross_strips() {
    check_refused(
        "strided",
        "order {\n  band\n    i = { B.even[i] -> [(i)]; B.odd[i] -> [(i)] } vector 8\n}",
        expect!["`order` refused: no loop outside `i` runs over its strips of 8"],
    );
}

#[test]
fn a_loop_that_does_not_exist() {
    check_refused(
        "matmul",
        "split C.updat.k by 4",
        expect![
            "`split C.updat.k by 4` refused: there is no loop `C.updat.k`; did you mean `C.update.k`? (loops: C.init.m, C.init.n, C.update.m, C.update.n, C.update.k)"
        ],
    );
}

#[test]
fn loops_that_are_not_perfectly_nested() {
    check_refused(
        "matmul",
        "fuse C.init C.update depth 2\ntile C.init.m C.update.k by 4 4",
        expect![
            "`tile C.init.m C.update.k by 4 4` refused: the loops `C.init.m` and `C.update.k` are not perfectly nested"
        ],
    );
    check_refused(
        "matmul",
        "reorder C.init.m C.update.m",
        expect![
            "`reorder C.init.m C.update.m` refused: the loops `C.init.m` and `C.update.m` are not perfectly nested"
        ],
    );
}

#[test]
fn a_loop_named_twice() {
    check_refused(
        "matmul",
        "reorder C.update.m C.update.m",
        expect!["`reorder C.update.m C.update.m` refused: the loop `C.update.m` is named twice"],
    );
}

#[test]
fn names_that_are_taken() {
    check_refused(
        "matmul",
        "split C.update.m by 4 as n mi",
        expect!["`split C.update.m by 4 as n mi` refused: there is already a loop `C.update.n`"],
    );
    check_refused(
        "matmul",
        "tile C.update.m C.update.n by 4 4 as o o / mi ni",
        expect!["`tile C.update.m C.update.n by 4 4 as o o / mi ni` refused: there is already a loop `C.update.o`"],
    );
}

#[test]
fn numbers_that_do_not_match() {
    check_refused(
        "matmul",
        "tile C.update.m C.update.n by 4",
        expect!["`tile C.update.m C.update.n by 4` refused: there are 2 loops, and sizes for 1"],
    );
    check_refused(
        "matmul",
        "tile C.update.m C.update.n by 4 4 as mo / mi ni",
        expect!["`tile C.update.m C.update.n by 4 4 as mo / mi ni` refused: there are 2 loops, and names for 1"],
    );
}

#[test]
fn a_loop_that_is_laid_out_already() {
    check_refused(
        "matmul",
        "parallel C.update.m\nparallel C.update.m",
        expect!["`parallel C.update.m` refused: the loop `C.update.m` is already parallel"],
    );
    check_refused(
        "matmul",
        "vectorise C.update.n by 8\nsplit C.update.nv by 2",
        expect!["`split C.update.nv by 2` refused: the loop `C.update.nv` is already vectorised"],
    );
}

#[test]
fn lanes_that_would_not_be_innermost() {
    check_refused(
        "matmul",
        "vectorise C.update.n by 8\nreorder C.update.nv C.update.k",
        expect![
            "`reorder C.update.nv C.update.k` refused: the loop `C.update.nv` is vectorised, but `C.update.k` is inside it"
        ],
    );
    check_refused(
        "matmul",
        "vectorise C.update.n by 8\nvectorise C.update.m by 8",
        expect![
            "`vectorise C.update.m by 8` refused: the loop `C.update.nv` is vectorised, but `C.update.mv` is inside it"
        ],
    );
}

#[test]
fn copies_that_would_cross_strips() {
    check_refused(
        "matmul",
        "unroll C.update.n by 2\nvectorise C.update.no by 4",
        expect!["`vectorise C.update.no by 4` refused: no loop outside `C.update.nu` runs over its strips of 2"],
    );
    check_refused(
        "matmul",
        "unroll C.update.n by 2\nunroll C.update.no by 3\nreorder C.update.nu C.update.nou",
        expect!["`reorder C.update.nu C.update.nou` refused: no loop outside `C.update.nu` runs over its strips of 2"],
    );
}

#[test]
fn more_lanes_or_copies_than_there_may_be() {
    check_refused(
        "matmul",
        "vectorise C.update.n by 12",
        expect!["`vectorise C.update.n by 12` refused: 12 lanes: the number is a power of two up to 256 on test"],
    );
    check_refused(
        "matmul",
        "vectorise C.update.n by 512",
        expect!["`vectorise C.update.n by 512` refused: 512 lanes: the number is a power of two up to 256 on test"],
    );
    check_refused(
        "matmul",
        "unroll C.update.m by 5000",
        expect!["`unroll C.update.m by 5000` refused: `C.update.mu` would make 5000 copies and lanes; at most 4096"],
    );
}

#[test]
fn more_loops_than_there_may_be() {
    let splits = |n: usize| "split S.i by 2\n".repeat(n);
    let refused = refusal(session("prefix_sum"), &splits(64)).to_string();
    assert!(refused.ends_with("is inside 64 loops already"), "{refused}");
    let refused = refusal(session("prefix_sum"), &format!("{}parallel S.j", splits(30))).to_string();
    assert!(refused.ends_with("and 7 more)"), "a list of names is cut short: {refused}");
}

#[test]
fn nests_that_cannot_be_fused() {
    check_refused(
        "matmul_bias_relu",
        "fuse T.init R",
        expect![
            "`fuse T.init R` refused: `R[0, 0]` must run after `T.update[0, 0, 0]` (flow through `T[0, 0]`), but the sequence would run it before, for example for M = 1, N = 1, K = 1"
        ],
    );
    check_refused(
        "matmul",
        "fuse C.init C.update depth 4",
        expect!["`fuse C.init C.update depth 4` refused: the two nests have 2 perfectly nested loops in common, not 4"],
    );
    check_refused(
        "matmul",
        "fuse C.init C.updates",
        expect![
            "`fuse C.init C.updates` refused: there is no statement `C.updates`; did you mean `C.update`? (statements: C.init, C.update)"
        ],
    );
    check_refused("stencil", "fuse A A", expect!["`fuse A A` refused: `A` and `A` are in one nest already"]);
    check_refused(
        "matmul",
        "parallel C.init.m\nfuse C.init C.update",
        expect!["`fuse C.init C.update` refused: `C.init.m` is parallel and `C.update.m` is sequential"],
    );
}

#[test]
fn nests_that_cannot_be_distributed() {
    check_refused(
        "matmul",
        "distribute C.update.k",
        expect!["`distribute C.update.k` refused: the nest of `C.update.k` holds one thing only"],
    );
    check_refused(
        "triangular_solve",
        "distribute x.update.j",
        expect!["`distribute x.update.j` refused: the nest of `x.update.j` holds one thing only"],
    );
}

#[test]
fn a_strict_caller_keeps_the_order_of_reductions() {
    let reversed = "order {
  sequence
    filter { C.init[m, n] }
      band
        m0 = { C.init[m, n] -> [(m)] }
        n0 = { C.init[m, n] -> [(n)] }
    filter { C.update[m, n, k] }
      band
        k = { C.update[m, n, k] -> [(-k)] }
        m = { C.update[m, n, k] -> [(m)] }
        n = { C.update[m, n, k] -> [(n)] }
}";
    replay(&mut session("matmul"), reversed).expect("updates may be swapped");
    let strict = Options { strict: true, ..Options::default() };
    let session = session_of(testing::matmul(&isl::Ctx::new()), strict);
    expect!["`order` refused: `C.update[0, 0, 1]` must run after `C.update[0, 0, 0]` (flow through `C[0, 0]`), but the loop `k` would run it before, for example for M = 1, N = 1, K = 2"].assert_eq(&refusal(session, reversed).to_string());
}

#[test]
fn a_proof_past_its_budget_is_a_refusal() {
    let scop = testing::matmul(&isl::Ctx::new());
    let few = Options { operations: 10, ..Options::default() };
    let refused = Session::with_options(scop, &common::target(), few).expect_err("too few operations");
    assert!(matches!(refused.reason, Reason::Quota(10)), "{refused}");
}

#[test]
fn a_replay_says_the_line() {
    let mut session = session("matmul");
    let script = "# a comment\n\nsplit C.update.k by 4\n  parallel C.update.ko # the sum\n";
    let refused = replay(&mut session, script).expect_err("a reduction");
    assert_eq!(refused.line, Some(4));
    assert_eq!(session.script().len(), 1, "the commands before it stay");
}

/// What is left over beside full vectors has a place in the tree, whatever the sizes.
#[test]
fn commands_after_a_separate_tail_of_a_gather() {
    let mut session = session("gather");
    let script: Script = "vectorise O.update.d by 2 tail separate
        vectorise O.init.b by 4 tail shifted
        peel O.update.l first 3"
        .parse()
        .expect("a script");
    session.replay(&script).unwrap_or_else(|refused| panic!("{refused}"));
    session.finish().unwrap_or_else(|refused| panic!("{refused}"));
}
