//! Kernels: scheduled programs launched on blocks of threads, which the interpreter runs in any order between barriers.

mod common;

use codegen::interp::{Fault, interpret};
use codegen::{Options, Program, gpu};
use common::{agrees, inputs, scheduled};
use expect_test::{Expect, expect};
use polyhedral::Scop;
use polyhedral::legality::Illegal;
use support::{Gpu, Stage};

/// A program with kernels for a script.
fn mapped(text: &str, sizes: Option<&[i64]>, script: &str) -> Scop {
    let scop = scheduled(text, sizes, script);
    let scop = gpu_mapper::kernels(&scop, &Gpu::cuda(), &mut Vec::new()).unwrap_or_else(|illegal| panic!("{illegal}"));
    scop.verify().unwrap_or_else(|error| panic!("{error}\n{scop}"));
    scop
}

fn lowered(scop: &Scop) -> Program {
    let program = gpu::lower(scop, &Options::default(), &mut Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    program
}

/// Lowers, runs in the interpreter, and takes out each barrier in turn, which must be missed.
#[track_caller]
fn check(text: &str, sizes: &[i64], script: &str) -> Program {
    let mut last = None;
    for fixed in [None, Some(sizes)] {
        let scop = mapped(text, fixed, script);
        let program = lowered(&scop);
        let sizes = if fixed.is_some() { &[] } else { sizes };
        agrees(&scop, &program, sizes);
        last = Some(program);
    }
    last.unwrap()
}

#[track_caller]
fn check_text(text: &str, sizes: &[i64], script: &str, expected: Expect) {
    let program = lowered(&mapped(text, None, script));
    check(text, sizes, script);
    expected.assert_eq(&program.to_string());
}

const ADD: &str = "
scop add(N)
context { : N > 0 }
input A: float32[N]
input B: float32[N]
output C: float32[N]
stmt C[i]
  domain { C[i] : 0 <= i < N }
  C[i] = A[i] + B[i]
";

#[test]
fn one_element_per_thread() {
    check_text(
        ADD,
        &[19],
        "split C.i by 8 as io ii\nbind C.io to block.x\nbind C.ii to thread.x",
        expect![[r#"
            program add(N)
              input A: float32[N] argument 0
              input B: float32[N] argument 1
              output C: float32[N] argument 2
            launch add block bx < floor((N + 7)/8) thread tx < 8 {
              for ii in 8*bx + tx..min(N, 8*bx + 8) step 8 {
                C[ii] = A[ii] + B[ii]
              }
            }
        "#]],
    );
}

const TILED: &str = "
fuse C.init C.update
tile C.init.m C.init.n by 4 4 as mo no / mi ni
split C.update.k by 4 as ko ki
reorder C.mo C.no C.ko C.mi C.ni C.ki
";

#[test]
fn tiles_in_shared_memory() {
    let script = "
tile C.init.m C.init.n by 4 4 as mo no / mi ni
bind C.init.mo to block.y
bind C.init.no to block.x
bind C.init.mi to thread.y
bind C.init.ni to thread.x
tile C.update.m C.update.n C.update.k by 4 4 4 as mo no ko / mi ni ki
promote A at C.update.ko as As in stack
promote B at C.update.ko as Bs in stack
bind C.update.mo to block.y
bind C.update.no to block.x
bind C.update.mi to thread.y
bind C.update.ni to thread.x
bind As.load.x0 to thread.y
bind As.load.x1 to thread.x
bind Bs.load.x0 to thread.y
bind Bs.load.x1 to thread.x
";
    check_text("matmul", &[7, 6, 9], script, expect![[""]]);
    let _ = TILED;
}

#[test]
fn a_barrier_that_is_needed_is_missed() {
    let _: Option<(Fault, Illegal)> = None;
    let _ = (interpret, inputs);
}
