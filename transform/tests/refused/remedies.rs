//! What a refused command's remedy is: other commands that are accepted.

use polyhedral::{isl, testing};
use transform::Options;

use super::common::{replay, session_of};
use super::loops::{BACKWARDS, ROWS, SKEWED};

/// The remedy of the last command of a script, as text; empty when there is none.
fn remedy(program: &str, script: &str) -> String {
    let ctx = isl::Ctx::new();
    let scop = match program.trim_start().starts_with("scop ") {
        true => testing::scop(&ctx, program),
        false => testing::program(&ctx, program),
    };
    let mut session = session_of(scop, Options::default());
    let refused = replay(&mut session, script).expect_err(script);
    let Some(remedy) = session.remedy(&refused) else { return String::new() };
    session.replay(&remedy).expect("what is suggested is accepted");
    session.finish().expect("and legal as a whole");
    remedy.commands().map(|command| command.to_string()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_skew_makes_a_tile_legal() {
    assert_eq!(
        remedy(SKEWED, "tile A.i A.j by 4 8"),
        "skew A.j by 1 of A.i as j; tile A.i A.j by 4 8 as io jo / ii ji"
    );
    assert_eq!(remedy(SKEWED, "reorder A.j A.i"), "skew A.j by 1 of A.i as j; reorder A.j A.i");
    assert_eq!(remedy(SKEWED, "unroll A.i by 2"), "skew A.j by 1 of A.i as j; unroll A.i by 2 as io iu");
}

#[test]
fn a_wavefront_or_another_loop_runs_at_once() {
    assert_eq!(remedy("stencil", "parallel A.j"), "skew A.i by 1 of A.j as i; parallel A.j");
    assert_eq!(remedy(SKEWED, "parallel A.i"), "parallel A.j");
    assert_eq!(remedy(SKEWED, "bind A.i to block.x"), "bind A.j to block.x");
}

#[test]
fn a_smaller_shift_lets_loops_fuse() {
    assert_eq!(remedy(ROWS, "fuse B C depth 1 shift 1"), "fuse B C depth 1 shift 2");
}

#[test]
fn sometimes_there_is_none() {
    for (program, script) in [
        (BACKWARDS, "fuse B C"),
        ("prefix_sum", "parallel S.i"),
        ("prefix_sum", "reverse S.i"),
        ("triangular_solve", "distribute x.init.i"),
        ("matmul", "split C.update.q by 4"),
    ] {
        assert_eq!(remedy(program, script), "", "{script}");
    }
}
