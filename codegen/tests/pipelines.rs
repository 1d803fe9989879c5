//! Two buffers that are filled in turn: what is copied while threads compute.

mod common;
#[path = "ptx/machine.rs"]
mod machine;
#[path = "ptx/run.rs"]
mod ptx;

use codegen::gpu::Language;
use codegen::interp::{Fault, interpret};
use codegen::{Op, Options, Program, gpu};
use common::{agrees, inputs};
use expect_test::expect;
use polyhedral::Scop;
use polyhedral::legality::race_free;
use support::{Gpu, Stage};

/// A product whose threads have four elements each, the factors in two buffers each.
const PRODUCT: &str = "
fuse C.init C.update depth 2
tile C.init.m C.init.n by 4 8 as mo no / mi ni
bind C.init.mo to block.y
bind C.init.no to block.x
launch C.init.mo with 4 2 threads
distribute C.init.mi
split C.update.k by 4 as ko ki
reorder C.update.ko C.update.ki C.update.mi C.update.ni
promote C at C.init.no as acc in registers
bind C.init.mi C.update.mi acc.store.x0 to thread.y
bind C.init.ni C.update.ni acc.store.x1 to thread.x
layout acc [i, j] = [floor(i/2), floor(j/4)] of [2, 2]
promote A at C.update.ko as As transposed 1 0 padded 1 double in shared
promote B at C.update.ko as Bs double in shared
bind As.load.x0 to thread.x
bind As.load.x1 to thread.y
bind Bs.load.x0 to thread.y
";

/// The same with four neighbours of B moved at once.
const ROWS: &str = "vectorise Bs.load.x1 by 4 as xv xl\nbind Bs.load.xv to thread.x\n";
const ELEMENTS: &str = "bind Bs.load.x1 to thread.x\n";

fn mapped(script: &str, fixed: Option<&[i64]>) -> (Scop, Scop) {
    common::mapped("matmul", fixed, script, &Gpu::cuda())
}

fn lowered(scop: &Scop, async_copies: bool) -> Program {
    common::lowered(scop, &Options { async_copies, ..Options::default() })
}

/// The ops of a program, with those inside of others.
fn each_op(ops: &mut Vec<Op>, change: &mut dyn FnMut(&mut Vec<Op>)) {
    change(ops);
    for op in ops {
        match op {
            Op::For { body, .. } | Op::Local { body, .. } => each_op(body, change),
            Op::If { then, otherwise, .. } => {
                each_op(then, change);
                each_op(otherwise, change);
            }
            Op::Launch(launch) => each_op(&mut launch.body, change),
            _ => {}
        }
    }
}

fn count(program: &Program, is_meant: fn(&Op) -> bool) -> usize {
    let mut found = 0;
    each_op(&mut program.body.clone(), &mut |ops| found += ops.iter().filter(|op| is_meant(op)).count());
    found
}

fn is_copy(op: &Op) -> bool {
    matches!(op, Op::Copy { .. })
}

#[test]
fn what_the_next_step_needs_is_on_its_way() {
    let program = lowered(&mapped(&format!("{PRODUCT}{ROWS}"), Some(&[8, 8, 12])).1, true);
    expect![[r#"
        program matmul()
          input A: float32[8, 12] argument 0
          input B: float32[12, 8] argument 1
          output C: float32[8, 8] argument 2
          temporary acc: float32[2, 2] stack
          temporary As: float32[2, 4, 5] shared
          temporary Bs: float32[2, 4, 8] shared
        launch matmul block bx < 1 block by < 2 thread tx < 4 thread ty < 2 shared As, Bs {
          with stack acc {
            acc[0, 0] = float32(0.0)
            acc[0, 1] = float32(0.0)
            acc[1, 0] = float32(0.0)
            acc[1, 1] = float32(0.0)
            if tx < 2 {
              for x0 in 0..2 {
                Bs[0, ty + 2*x0, 4*tx .. +4] = B[ty + 2*x0, 4*tx .. +4]
              }
            }
            for x1 in 0..2 {
              As[0, tx, ty + 2*x1] = A[4*by + ty + 2*x1, tx]
            }
            barrier
            for ko in 0..3 {
              if ko <= 1 && tx < 2 {
                copy Bs[-ko + 1, ty, 4*tx .. +4] = B[ty + 4*ko + 4, 4*tx .. +4]
                copy Bs[-ko + 1, ty + 2, 4*tx .. +4] = B[ty + 4*ko + 6, 4*tx .. +4]
              }
              if ko <= 1 {
                copy As[-ko + 1, tx, ty] = A[4*by + ty, tx + 4*ko + 4]
                copy As[-ko + 1, tx, ty + 2] = A[4*by + ty + 2, tx + 4*ko + 4]
              }
              for ki in 4*ko..4*ko + 4 {
                acc[0, 0] = acc[0, 0] + As[ko - 2*floor(ko/2), -4*ko + ki, ty] * Bs[ko - 2*floor(ko/2), -4*ko + ki, tx]
                acc[0, 1] = acc[0, 1] + As[ko - 2*floor(ko/2), -4*ko + ki, ty] * Bs[ko - 2*floor(ko/2), -4*ko + ki, tx + 4]
                acc[1, 0] = acc[1, 0] + As[ko - 2*floor(ko/2), -4*ko + ki, ty + 2] * Bs[ko - 2*floor(ko/2), -4*ko + ki, tx]
                acc[1, 1] = acc[1, 1] + As[ko - 2*floor(ko/2), -4*ko + ki, ty + 2] * Bs[ko - 2*floor(ko/2), -4*ko + ki, tx + 4]
              }
              wait
              barrier
            }
            C[4*by + ty, tx] = acc[0, 0]
            C[4*by + ty, tx + 4] = acc[0, 1]
            C[4*by + ty + 2, tx] = acc[1, 0]
            C[4*by + ty + 2, tx + 4] = acc[1, 1]
          }
        }
    "#]].assert_eq(&program.to_string());
}

#[test]
fn registers_take_it_where_devices_do_not_copy() {
    let program = lowered(&mapped(&format!("{PRODUCT}{ROWS}"), Some(&[8, 8, 12])).1, false);
    expect![[r#"
        program matmul()
          input A: float32[8, 12] argument 0
          input B: float32[12, 8] argument 1
          output C: float32[8, 8] argument 2
          temporary acc: float32[2, 2] stack
          temporary As: float32[2, 4, 5] shared
          temporary Bs: float32[2, 4, 8] shared
        launch matmul block bx < 1 block by < 2 thread tx < 4 thread ty < 2 shared As, Bs {
          with stack acc {
            acc[0, 0] = float32(0.0)
            acc[0, 1] = float32(0.0)
            acc[1, 0] = float32(0.0)
            acc[1, 1] = float32(0.0)
            if tx < 2 {
              for x0 in 0..2 {
                Bs[0, ty + 2*x0, 4*tx .. +4] = B[ty + 2*x0, 4*tx .. +4]
              }
            }
            for x1 in 0..2 {
              As[0, tx, ty + 2*x1] = A[4*by + ty + 2*x1, tx]
            }
            barrier
            for ko in 0..3 {
              if ko <= 1 && tx < 2 {
                r0: float32 x4 = B[ty + 4*ko + 4, 4*tx .. +4]
                r1: float32 x4 = B[ty + 4*ko + 6, 4*tx .. +4]
              } else {
                r0: float32 x4 = float32(0.0)
                r1: float32 x4 = float32(0.0)
              }
              if ko <= 1 {
                r2: float32 = A[4*by + ty, tx + 4*ko + 4]
                r3: float32 = A[4*by + ty + 2, tx + 4*ko + 4]
              } else {
                r2: float32 = float32(0.0)
                r3: float32 = float32(0.0)
              }
              for ki in 4*ko..4*ko + 4 {
                acc[0, 0] = acc[0, 0] + As[ko - 2*floor(ko/2), -4*ko + ki, ty] * Bs[ko - 2*floor(ko/2), -4*ko + ki, tx]
                acc[0, 1] = acc[0, 1] + As[ko - 2*floor(ko/2), -4*ko + ki, ty] * Bs[ko - 2*floor(ko/2), -4*ko + ki, tx + 4]
                acc[1, 0] = acc[1, 0] + As[ko - 2*floor(ko/2), -4*ko + ki, ty + 2] * Bs[ko - 2*floor(ko/2), -4*ko + ki, tx]
                acc[1, 1] = acc[1, 1] + As[ko - 2*floor(ko/2), -4*ko + ki, ty + 2] * Bs[ko - 2*floor(ko/2), -4*ko + ki, tx + 4]
              }
              if ko <= 1 && tx < 2 {
                Bs[-ko + 1, ty, 4*tx .. +4] = r0
                Bs[-ko + 1, ty + 2, 4*tx .. +4] = r1
              }
              if ko <= 1 {
                As[-ko + 1, tx, ty] = r2
                As[-ko + 1, tx, ty + 2] = r3
              }
              barrier
            }
            C[4*by + ty, tx] = acc[0, 0]
            C[4*by + ty, tx + 4] = acc[0, 1]
            C[4*by + ty + 2, tx] = acc[1, 0]
            C[4*by + ty + 2, tx + 4] = acc[1, 1]
          }
        }
    "#]].assert_eq(&program.to_string());
}

/// Open and fixed sizes, whole tiles and not; the results, one barrier for each step, none too many.
#[test]
fn two_buffers_compute_what_one_does() {
    for (sizes, rows) in [([8, 8, 12], ROWS), ([7, 9, 10], ELEMENTS), ([8, 16, 4], ROWS), ([5, 3, 1], ELEMENTS)] {
        for (fixed, async_copies) in [(None, true), (Some(&sizes[..]), true), (None, false), (Some(&sizes[..]), false)]
        {
            let script = format!("{PRODUCT}{}", if fixed.is_some() { rows } else { ELEMENTS });
            let (source, scop) = mapped(&script, fixed);
            let program = lowered(&scop, async_copies);
            let open: &[i64] = if fixed.is_some() { &[] } else { &sizes };
            agrees(&source, &program, open);
            ptx::agrees(&source, &program, open, &inputs(&source, open));
            assert!(scop.stmts.values().filter(|stmt| stmt.is_barrier()).count() <= 1, "{scop}");
            // A barrier behind the only step has nothing to keep apart.
            for at in (0..program.barriers()).filter(|_| sizes[2] > 4) {
                let without = program.without_barrier(at);
                let given = inputs(&source, open);
                let faults = (0..4).filter_map(|seed| interpret(&without, open, &given, seed).err());
                let is_found = |fault: &Fault| matches!(fault, Fault::Race { .. } | Fault::UnderWay { .. });
                assert!(faults.collect::<Vec<_>>().iter().any(is_found), "barrier {at} of {sizes:?}\n{without}");
            }
        }
    }
}

#[test]
fn the_barrier_of_a_step_is_needed() {
    let (_, mut scop) = mapped(&format!("{PRODUCT}{ELEMENTS}"), Some(&[8, 8, 12]));
    assert_eq!(race_free(&scop).map_err(|illegal| illegal.to_string()), Ok(()));
    let barriers: Vec<_> =
        scop.stmts.values().filter(|stmt| stmt.is_barrier()).map(|stmt| stmt.domain.clone()).collect();
    let [barrier] = barriers.as_slice() else { panic!("{scop}") };
    scop.tree.domain = scop.tree.domain.subtract(&barrier.to_union_set().unwrap()).unwrap();
    assert!(race_free(&scop).is_err(), "{scop}");
}

/// A copy that nobody waits for is found by the verifier and by the interpreter, and so is who touches it too early.
#[test]
fn copies_that_are_not_waited_for_are_found() {
    let (source, scop) = mapped(&format!("{PRODUCT}{ELEMENTS}"), Some(&[8, 8, 12]));
    let program = lowered(&scop, true);
    assert!(count(&program, is_copy) > 0, "{program}");
    let given = inputs(&source, &[]);
    let mut without = program.clone();
    each_op(&mut without.body, &mut |ops| ops.retain(|op| *op != Op::Wait));
    let refused = without.verify().unwrap_err().to_string();
    assert!(refused.contains("behind a barrier, copies from before it are under way"), "{refused}");
    assert!(matches!(interpret(&without, &[], &given, 1), Err(Fault::UnderWay { .. })));

    // A barrier before the wait is none for the others.
    let mut late = program.clone();
    each_op(&mut late.body, &mut |ops| {
        if let Some(at) = ops.iter().position(|op| *op == Op::Wait)
            && ops.get(at + 1) == Some(&Op::Barrier)
        {
            ops.swap(at, at + 1);
        }
    });
    assert!(late.verify().is_err(), "{late}");
    assert!(interpret(&late, &[], &given, 1).is_err(), "{late}");

    // The half that the step computes with.
    let mut same = program;
    each_op(&mut same.body, &mut |ops| {
        for op in ops {
            if let Op::Copy { to_at, .. } = op {
                let half = to_at.first_mut().expect("two halves");
                if let codegen::At::Affine { base, .. } = half {
                    *base = codegen::Int::Const(1) - base.clone();
                }
            }
        }
    });
    let refused = same.verify().unwrap_err().to_string();
    assert!(refused.contains("is touched while a copy may be under way"), "{refused}");
    assert!(matches!(interpret(&same, &[], &given, 1), Err(Fault::UnderWay { .. } | Fault::Race { .. })));
}

#[test]
fn languages_without_such_copies_copy_at_once() {
    let program = lowered(&mapped(&format!("{PRODUCT}{ROWS}"), Some(&[8, 8, 12])).1, true);
    let cuda = gpu::source(&program, Language::Cuda).unwrap();
    assert!(cuda.contains("copy_16_bytes(&Bs[") && cuda.contains("copy_4_bytes(&As["), "{cuda}");
    let opencl = gpu::source(&program, Language::OpenCl).unwrap();
    assert!(!opencl.contains("copy") && opencl.contains("vload4"), "{opencl}");
    let ptx = |device: &Gpu| gpu::ptx(&program, device).unwrap().text;
    let (new, old) = (ptx(&Gpu::ampere()), ptx(&Gpu::volta()));
    assert!(new.contains("cp.async.cg.shared.global") && new.contains("cp.async.wait_all"), "{new}");
    assert!(!old.contains("cp.async"), "{old}");
}
