//! Kernels: scheduled programs launched on blocks of threads, which the interpreter runs in any order between barriers.

mod common;

use codegen::interp::{Fault, interpret};
use codegen::{Options, Program, gpu};
use common::{agrees, inputs, scheduled};
use expect_test::{Expect, expect};
use polyhedral::Scop;
use support::{Gpu, Stage};

/// The program that a text is, and one with kernels for a script.
fn mapped(text: &str, sizes: Option<&[i64]>, script: &str) -> (Scop, Scop) {
    let source = scheduled(text, sizes, "");
    let scop = scheduled(text, sizes, script);
    let started = std::time::Instant::now();
    let scop = gpu_mapper::kernels(&scop, &Gpu::cuda(), &mut Vec::new()).unwrap_or_else(|illegal| panic!("{illegal}"));
    eprintln!("mapped in {:?}", started.elapsed());
    scop.verify().unwrap_or_else(|error| panic!("{error}\n{scop}"));
    (source, scop)
}

fn lowered(scop: &Scop) -> Program {
    let started = std::time::Instant::now();
    let program = gpu::lower(scop, &Options::default(), &mut Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("lowered in {:?}", started.elapsed());
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    program
}

/// Runs the kernels of a script in the interpreter, for open and for fixed sizes, and takes out each barrier in turn:
/// threads must then be found to race, by the proof and by the interpreter.
#[track_caller]
fn check(text: &str, sizes: &[i64], script: &str) {
    for fixed in [None, Some(sizes)] {
        let (source, scop) = mapped(text, fixed, script);
        let program = lowered(&scop);
        let sizes = if fixed.is_some() { &[] } else { sizes };
        agrees(&source, &program, sizes);
        for at in 0..program.barriers() {
            let without = program.without_barrier(at);
            let given = inputs(&source, sizes);
            let faults: Vec<Fault> = (0..2).filter_map(|seed| interpret(&without, sizes, &given, seed).err()).collect();
            assert!(matches!(faults.as_slice(), [Fault::Race { .. }, ..]), "barrier {at}: {faults:?}\n{without}");
        }
    }
}

#[track_caller]
fn check_text(text: &str, sizes: &[i64], script: &str, expected: Expect) {
    let program = lowered(&mapped(text, None, script).1);
    expected.assert_eq(&program.to_string());
    check(text, sizes, script);
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
    check_text("matmul", &[7, 6, 9], script, expect![[r#"
        program matmul(M, N, K)
          input A: float32[M, K] argument 0
          input B: float32[K, N] argument 1
          output C: float32[M, N] argument 2
          temporary As: float32[4, 4] shared
          temporary Bs: float32[4, 4] shared
        launch matmul block bx < floor((N + 3)/4) block by < floor((M + 3)/4) thread tx < 4 thread ty < 4 {
          for mi in 4*by + ty..min(M, 4*by + 4) step 4 {
            for ni in 4*bx + tx..min(N, 4*bx + 4) step 4 {
              C[mi, ni] = float32(0.0)
            }
          }
        }
        launch matmul_2 block bx2 < floor((N + 3)/4) block by2 < floor((M + 3)/4) thread tx2 < 4 thread ty2 < 4 shared As, Bs {
          for ko in 0..floor((K + 3)/4) {
            if ty2 < min(4, -4*ko + K) && tx2 < min(4, -4*bx2 + N) {
              Bs[ty2, tx2] = B[ty2 + 4*ko, 4*bx2 + tx2]
            }
            if ty2 < min(4, -4*by2 + M) && tx2 < min(4, -4*ko + K) {
              As[ty2, tx2] = A[4*by2 + ty2, tx2 + 4*ko]
            }
            barrier
            for mi2 in 4*by2 + ty2..min(M, 4*by2 + 4) step 4 {
              for ni2 in 4*bx2 + tx2..min(N, 4*bx2 + 4) step 4 {
                r0: float32 = C[mi2, ni2]
                for ki in 4*ko..min(K, 4*ko + 4) {
                  r0: float32 = r0 + As[mi2 - 4*floor(mi2/4), -4*ko + ki] * Bs[-4*ko + ki, ni2 - 4*floor(ni2/4)]
                }
                C[mi2, ni2] = r0
              }
            }
            barrier
          }
        }
    "#]]);
}

