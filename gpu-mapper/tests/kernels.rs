//! What becomes of loops on axes: the tree with its kernels and barriers, and what is refused.

use expect_test::{Expect, expect};
use polyhedral::legality::race_free;
use polyhedral::{Node, Scop, isl, testing};
use support::{Gpu, Remark, Stage, Target};
use transform::{Script, Session};

fn target() -> Target {
    Target {
        name: "test".into(),
        triple: "x86_64-unknown-linux-gnu".into(),
        cpu: "x86-64".into(),
        threads: 2,
        launch_cycles: 3000,
        vector_bytes: 32,
        vector_registers: 16,
        fma_per_cycle: 2,
        fma_latency: 4,
        caches: Vec::new(),
        features: String::new(),
    }
}

fn scheduled(program: &str, script: &str) -> Scop {
    let mut session = Session::new(testing::scop(&isl::Ctx::new(), program), &target()).unwrap();
    let script: Script = script.parse().unwrap();
    session.replay(&script).unwrap_or_else(|refused| panic!("{refused}"));
    session.finish().unwrap_or_else(|refused| panic!("{refused}")).scop
}

/// The tree with kernels, and the remarks.
#[track_caller]
fn check(program: &str, script: &str, expected: Expect) -> Scop {
    let mut remarks: Vec<Remark> = Vec::new();
    let scop = gpu_mapper::kernels(&scheduled(program, script), &Gpu::opencl(), &mut remarks)
        .unwrap_or_else(|illegal| panic!("{illegal}"));
    scop.verify().unwrap_or_else(|error| panic!("{error}\n{scop}"));
    let tree = scop.to_string();
    let (_, tree) = tree.split_once("\ntree\n").expect("a Scop has a tree");
    let (tree, _) = tree.split_once("\norigin").expect("the origin is last");
    let remarks: String = remarks.iter().map(|remark| format!("\n{remark}")).collect();
    expected.assert_eq(&format!("{tree}\n---{remarks}\n"));
    scop
}

#[track_caller]
fn check_refused(program: &str, script: &str, expected: Expect) {
    match gpu_mapper::kernels(&scheduled(program, script), &Gpu::cuda(), &mut Vec::new()) {
        Ok(scop) => panic!("{scop}"),
        Err(illegal) => expected.assert_eq(&illegal.to_string()),
    }
}

/// Rows that are turned round twice.
const TURNED: &str = "
scop turned(N)
context { : N > 0 }
input A: int32[N, 100]
output B: int32[N, 100]
output C: int32[N, 100]
stmt B[b, i]
  domain { B[b, i] : 0 <= b < N and 0 <= i < 100 }
  B[b, i] = A[b, 99 - i]
stmt C[b, i]
  domain { C[b, i] : 0 <= b < N and 0 <= i < 100 }
  C[b, i] = B[b, 99 - i]
source
  for b
    for i
      B
    for i
      C
";

#[test]
fn a_barrier_between_two_nests_of_a_block() {
    let scop = check(
        TURNED,
        "bind B.b to block.x\nbind B.i to thread.x\nbind C.i to thread.x",
        expect![[r#"
          mark "kernel of 100 x 1 x 1 threads"
            band permutable
              B.b = { B[b, i] -> [(b)]; C[b, i] -> [(b)]; sync[b] -> [(b)] } coincident bound block.x
              sequence
                filter { B[b, i] }
                  band permutable
                    B.i = { B[b, i] -> [(i)] } coincident bound thread.x
                filter { sync[b] }
                filter { C[b, i] }
                  band permutable
                    C.i = { C[b, i] -> [(i)] } coincident bound thread.x
        ---
    "#]],
    );
    let again = Scop::parse(&isl::Ctx::new(), &scop.to_string()).unwrap();
    assert_eq!(again.to_string(), scop.to_string());
    assert_eq!(race_free(&again), Ok(()));
}

#[test]
fn no_barrier_where_each_thread_reads_what_it_wrote() {
    let same = TURNED.replace("B[b, 99 - i]\n", "B[b, i]\n");
    check(
        &same,
        "bind B.b to block.x\nbind B.i to thread.x\nbind C.i to thread.x",
        expect![[r#"
          mark "kernel of 100 x 1 x 1 threads"
            band permutable
              B.b = { B[b, i] -> [(b)]; C[b, i] -> [(b)] } coincident bound block.x
              sequence
                filter { B[b, i] }
                  band permutable
                    B.i = { B[b, i] -> [(i)] } coincident bound thread.x
                filter { C[b, i] }
                  band permutable
                    C.i = { C[b, i] -> [(i)] } coincident bound thread.x
        ---
    "#]],
    );
}

#[test]
fn long_loops_run_in_strides() {
    check(
        TURNED,
        "distribute B.b\nbind B.b to thread.x\nbind C.b to block.x\nbind C.i to thread.y",
        expect![[r#"
          sequence
            filter { B[b, i] }
              mark "kernel of 256 x 1 x 1 threads"
                band
                  B.b = { B[b, i] -> [(b)] } coincident bound thread.x
                  B.i = { B[b, i] -> [(i)] } coincident
            filter { C[b, i] }
              mark "kernel of 1 x 100 x 1 threads"
                band
                  C.b = { C[b, i] -> [(b)] } coincident bound block.x
                  C.i = { C[b, i] -> [(i)] } coincident bound thread.y
        ---
        gpu-mapper: B.b: not one iteration per thread: 256 threads run it in strides: the block has no more
    "#]],
    );
}

#[test]
fn blocks_do_not_wait_for_each_other() {
    let script = "bind B.b to block.y\nbind B.i to block.x\nbind C.i to block.x";
    check_refused(
        TURNED,
        script,
        expect![
            "`C[0, 99]` must run after `B[0, 0]` (flow through `B[0, 0]`), but two blocks run them, which nothing orders, for example for N = 1"
        ],
    );
}

#[test]
fn blocks_are_outside_of_threads() {
    check_refused(
        TURNED,
        "bind B.b to thread.x\nbind B.i to block.x",
        expect!["the loop `B.i` is bound to blocks, but other loops of its kernel are around it"],
    );
    check_refused(
        TURNED,
        "bind B.b to block.x\nbind B.i to lane",
        expect!["a kernel has no axis `lane` for the loop `B.i`"],
    );
}

/// A row that is turned round again and again, by threads of which each runs the steps by itself.
#[test]
fn a_barrier_cannot_be_inside_of_threads() {
    let steps = "
scop steps()
inout A: int32[10, 100]
inout B: int32[10, 100]
stmt B[b, t, i]
  domain { B[b, t, i] : 0 <= b < 10 and 0 <= t < 5 and 0 <= i < 100 }
  B[b, i] = A[b, 99 - i]
stmt A[b, t, i]
  domain { A[b, t, i] : 0 <= b < 10 and 0 <= t < 5 and 0 <= i < 100 }
  A[b, i] = B[b, 99 - i]
source
  for b
    for t
      for i
        B
      for i
        A
";
    let axes = "bind B.i to thread.x\nbind A.i to thread.x";
    check(
        steps,
        &format!("bind B.b to block.x\n{axes}"),
        expect![[r#"
          mark "kernel of 100 x 1 x 1 threads"
            band permutable
              B.b = { A[b, t, i] -> [(b)]; B[b, t, i] -> [(b)]; sync2[b, t] -> [(b)]; sync[b, t] -> [(b)] } coincident bound block.x
              B.t = { A[b, t, i] -> [(t)]; B[b, t, i] -> [(t)]; sync2[b, t] -> [(t)]; sync[b, t] -> [(t)] }
              sequence
                filter { B[b, t, i] }
                  band permutable
                    B.i = { B[b, t, i] -> [(i)] } coincident bound thread.x
                filter { sync[b, t] }
                filter { A[b, t, i] }
                  band permutable
                    A.i = { A[b, t, i] -> [(i)] } coincident bound thread.x
                filter { sync2[b, t] }
        ---
    "#]],
    );
    check_refused(
        steps,
        &format!("bind B.b to thread.y\n{axes}"),
        expect![
            "`A[0, 0, 99]` must run after `B[0, 0, 0]` (anti through `A[0, 99]`), but two threads run them, and no barrier is in between"
        ],
    );
}

#[test]
fn a_barrier_that_some_threads_do_not_get_to_is_refused() {
    let script = "bind B.b to block.x\nbind B.i to thread.x\nbind C.i to thread.x";
    let mut scop = gpu_mapper::kernels(&scheduled(TURNED, script), &Gpu::cuda(), &mut Vec::new()).unwrap();
    // The loop on blocks becomes one on threads: the barrier is then inside of it.
    fn rebind(node: &mut Node) {
        if let Node::Band(band) = node {
            for member in &mut band.members {
                if member.kind == polyhedral::Kind::Bound(polyhedral::Axis::Block(0)) {
                    member.kind = polyhedral::Kind::Bound(polyhedral::Axis::Thread(1));
                }
            }
        }
        node.children_mut().into_iter().for_each(rebind);
    }
    rebind(&mut scop.tree.root);
    let refused = race_free(&scop).map_err(|illegal| illegal.to_string());
    assert_eq!(refused, Err("not all threads of a block get to the barrier `sync`".into()));
}
