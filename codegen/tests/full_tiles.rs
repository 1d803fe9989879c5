//! Blocks and steps whose tiles are full, apart from those at a border.

mod common;
#[path = "ptx/machine.rs"]
mod machine;
#[path = "ptx/run.rs"]
mod ptx;

use codegen::gpu::Language;
use codegen::{FullTiles, Op, Options, Program, gpu};
use common::{agrees, inputs, scheduled};
use expect_test::expect;
use polyhedral::Scop;
use support::{Gpu, Remark, Stage};
use transform::{Policy, Session};

fn lowered(scop: &Scop, full_tiles: FullTiles) -> (Program, Vec<Remark>) {
    let mut remarks = Vec::new();
    let scop = gpu_mapper::kernels(scop, &Gpu::cuda(), &mut remarks).unwrap_or_else(|illegal| panic!("{illegal}"));
    let options = Options { full_tiles, ..Options::default() };
    let program = gpu::lower(&scop, &options, &mut remarks).unwrap_or_else(|error| panic!("{error}"));
    program.verify().unwrap_or_else(|error| panic!("{error}\n{program}"));
    (program, remarks)
}

/// What the policy for devices makes of a program, with its source.
fn mapped(text: &str, sizes: Option<&[i64]>) -> (Scop, Scop) {
    let source = scheduled(text, sizes, "");
    let mut session = Session::new(source.clone(), &common::target()).unwrap();
    gpu_mapper::Mapper { device: Gpu::cuda() }.schedule(&mut session).unwrap();
    (source, session.finish().unwrap().scop)
}

/// A product whose factors pass through shared memory.
const PRODUCT: &str = "
tile C.init.m C.init.n by 4 4 as mo no / mi ni
bind C.init.mo to block.y
bind C.init.no to block.x
bind C.init.mi to thread.y
bind C.init.ni to thread.x
tile C.update.m C.update.n C.update.k by 4 4 4 as mo no ko / mi ni ki
bind C.update.mo to block.y
bind C.update.no to block.x
promote A at C.update.ko as As in shared
promote B at C.update.ko as Bs in shared
bind C.update.mi to thread.y
bind C.update.ni to thread.x
bind As.load.x0 to thread.y
bind As.load.x1 to thread.x
bind Bs.load.x0 to thread.y
bind Bs.load.x1 to thread.x
";

#[test]
fn a_product_has_full_blocks_and_full_steps() {
    let (program, _) = lowered(&scheduled("matmul", None, PRODUCT), FullTiles::Blocks);
    expect![[r#"
        program matmul(M, N, K)
          input A: float32[M, K] argument 0
          input B: float32[K, N] argument 1
          output C: float32[M, N] argument 2
          temporary As: float32[4, 4] shared
          temporary Bs: float32[4, 4] shared
        launch matmul block bx < floor((N + 3)/4) block by < floor((M + 3)/4) thread tx < 4 thread ty < 4 {
          if 4*by + ty < M && 4*bx + tx < N {
            C[4*by + ty, 4*bx + tx] = float32(0.0)
          }
        }
        launch matmul_2 block bx < floor((N + 3)/4) block by < floor((M + 3)/4) thread tx < 4 thread ty < 4 shared As, Bs {
          if 4*bx + 4 <= N && 4*by + 4 <= M {
            for ko in 0..floor(K/4) {
              Bs[ty, tx] = B[ty + 4*ko, 4*bx + tx]
              As[ty, tx] = A[4*by + ty, tx + 4*ko]
              barrier
              r0: float32 = C[4*by + ty, 4*bx + tx]
              for ki in 4*ko..4*ko + 4 {
                r0: float32 = r0 + As[ty, -4*ko + ki] * Bs[-4*ko + ki, tx]
              }
              C[4*by + ty, 4*bx + tx] = r0
              barrier
            }
            for ko in max(0, floor(K/4))..floor((K + 3)/4) {
              if ty < -4*ko + K {
                Bs[ty, tx] = B[ty + 4*ko, 4*bx + tx]
              }
              if tx < -4*ko + K {
                As[ty, tx] = A[4*by + ty, tx + 4*ko]
              }
              barrier
              r1: float32 = C[4*by + ty, 4*bx + tx]
              for ki in 4*ko..min(4*ko + 4, K) {
                r1: float32 = r1 + As[ty, -4*ko + ki] * Bs[-4*ko + ki, tx]
              }
              C[4*by + ty, 4*bx + tx] = r1
              barrier
            }
          } else {
            for ko in 0..floor((K + 3)/4) {
              if ty < -4*ko + K && tx < -4*bx + N {
                Bs[ty, tx] = B[ty + 4*ko, 4*bx + tx]
              }
              if ty < -4*by + M && tx < -4*ko + K {
                As[ty, tx] = A[4*by + ty, tx + 4*ko]
              }
              barrier
              if 4*by + ty < M && 4*bx + tx < N {
                r2: float32 = C[4*by + ty, 4*bx + tx]
                for ki in 4*ko..min(K, 4*ko + 4) {
                  r2: float32 = r2 + As[ty, -4*ko + ki] * Bs[-4*ko + ki, tx]
                }
                C[4*by + ty, 4*bx + tx] = r2
              }
              barrier
            }
          }
        }
    "#]].assert_eq(&program.to_string());
}

/// Barriers in conditions are for languages that can have them; full steps are for all.
#[test]
fn steps_are_apart_without_conditions() {
    let sizes = [17, 18, 19];
    let scop = scheduled("matmul", Some(&sizes), PRODUCT);
    let (program, remarks) = lowered(&scop, FullTiles::Steps);
    let text = gpu::source(&program, Language::OpenCl).unwrap();
    assert!(text.contains("ko < 4;"), "{text}");
    let said: Vec<String> = remarks.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|remark| remark.contains("inside of conditions")), "{said:#?}");
    assert!(!conditions_around_barriers(&program.body), "{program}");
    agrees(&scheduled("matmul", Some(&sizes), ""), &program, &[]);
}

#[test]
fn few_full_blocks_are_not_worth_code_of_their_own() {
    let (program, remarks) = lowered(&scheduled("matmul", Some(&[5, 5, 8]), PRODUCT), FullTiles::Blocks);
    let said: Vec<String> = remarks.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|remark| remark.contains("most of its blocks are at a border")), "{said:#?}");
    assert!(!conditions_around_barriers(&program.body), "{program}");
}

/// A test that each thread makes once costs no more than the one that would tell full blocks apart.
#[test]
fn a_single_test_stays_where_it_is() {
    let script = "split B.i by 8 as io ii\nbind B.io to block.x\nbind B.ii to thread.x";
    let text = "
scop one(N)
context { : N > 0 }
input A: float32[N]
output B: float32[N]
stmt B[i]
  domain { B[i] : 0 <= i < N }
  B[i] = A[i] + A[i]
";
    let scop = scheduled(text, None, script);
    let programs = [FullTiles::Together, FullTiles::Blocks].map(|full| lowered(&scop, full).0);
    assert_eq!(programs[0].to_string(), programs[1].to_string());
}

fn conditions_around_barriers(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::If { then, otherwise, .. } => [then, otherwise].into_iter().any(|ops| has_barrier(ops)),
        Op::For { body, .. } | Op::Local { body, .. } => conditions_around_barriers(body),
        Op::Launch(launch) => conditions_around_barriers(&launch.body),
        _ => false,
    })
}

fn has_barrier(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::Barrier => true,
        Op::If { then, otherwise, .. } => has_barrier(then) || has_barrier(otherwise),
        Op::For { body, .. } | Op::Local { body, .. } => has_barrier(body),
        _ => false,
    })
}

/// Sizes around those of tiles, primes, and some in between: in the interpreter and as PTX.
#[test]
fn products_of_odd_sizes() {
    for sizes in [[4, 4, 4], [5, 4, 4], [4, 4, 5], [13, 17, 11], [16, 9, 3], [23, 21, 8], [1, 31, 2], [12, 16, 1]] {
        for fixed in [None, Some(&sizes[..])] {
            let open: &[i64] = if fixed.is_some() { &[] } else { &sizes };
            let source = scheduled("matmul", fixed, "");
            for full_tiles in [FullTiles::Steps, FullTiles::Blocks] {
                let (program, _) = lowered(&scheduled("matmul", fixed, PRODUCT), full_tiles);
                agrees(&source, &program, open);
                ptx::agrees(&source, &program, open, &inputs(&source, open));
            }
        }
    }
}

/// The tiles that the policy chooses are larger.
#[test]
fn products_of_the_policy_at_odd_sizes() {
    for sizes in [[130, 70, 33], [67, 131, 9], [129, 257, 17], [200, 100, 12]] {
        let (source, scop) = mapped("matmul", Some(&sizes));
        let (program, _) = lowered(&scop, FullTiles::Blocks);
        agrees(&source, &program, &[]);
        ptx::agrees(&source, &program, &[], &inputs(&source, &[]));
    }
    let (source, scop) = mapped("matmul", None);
    let (program, _) = lowered(&scop, FullTiles::Blocks);
    assert!(conditions_around_barriers(&program.body), "{program}");
    for sizes in [[128, 128, 16], [129, 140, 17], [260, 131, 5], [1, 2, 3]] {
        ptx::agrees(&source, &program, &sizes, &inputs(&source, &sizes));
    }
}
