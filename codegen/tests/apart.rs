//! Loops whose iterations run apart: each is one loop, whatever its body is divided into.

mod common;

use std::fmt::Write;

use codegen::interp::interpret;
use codegen::{Op, Options, Program};
use common::{agrees, inputs, lower, run_on_machine, scan, scheduled};
use polyhedral::testing::{self, Rng};
use polyhedral::{eval, isl};

const PRODUCT: &str = "
scop product(M, N, K)
input A: float32[M, K]
input B: float32[N, K]
inout C: float32[M, N]
stmt C[m, n, k]
  domain { C[m, n, k] : 0 <= m < M and 0 <= n < N and 0 <= k < K }
  C[m, n] sum= A[m, k] * B[n, k]
";

/// The parallel loops, and those among them that are inside of another one.
fn parallel(ops: &[Op], inside: bool) -> (usize, usize) {
    let add = |(a, b): (usize, usize), (c, d): (usize, usize)| (a + c, b + d);
    ops.iter().fold((0, 0), |all, op| {
        add(
            all,
            match op {
                Op::For { parallel: true, body, .. } => add((1, usize::from(inside)), parallel(body, true)),
                Op::For { body, .. } | Op::Local { body, .. } => parallel(body, inside),
                Op::If { then, otherwise, .. } => add(parallel(then, inside), parallel(otherwise, inside)),
                _ => (0, 0),
            },
        )
    })
}

/// A schedule of the product that divides edges, keeps copies and runs strips of one loop on threads.
fn script(sizes: &[i64], random: &mut Rng) -> String {
    let mut script = String::new();
    let mut line = |text: String| writeln!(script, "{text}").expect("memory");
    // Of each size: strips for threads, and in these strips of a few boxes.
    let dims = ["m", "n", "k"];
    let strips = [random.pick(&[8, 12, 20, 24]), random.pick(&[8, 16, 24, 32]), random.pick(&[4, 7, 8])];
    let boxes = [random.pick(&[2, 3, 4, 6]), 8];
    for (dim, by) in dims.iter().zip(strips) {
        line(format!("split C.{dim} by {by} as {dim}o {dim}i"));
    }
    line(format!("vectorise C.ni by {} as nio niv", boxes[1]));
    line(format!("unroll C.mi by {} as mio miu", boxes[0]));
    let threads = random.below(2);
    let mut outer = [dims[threads], dims[1 - threads], "k"];
    if random.percent(30) {
        outer.swap(1, 2);
    }
    let [first, second, third] = [outer[0], outer[1], outer[2]];
    line(format!("reorder C.{first}o C.{second}o C.{third}o C.nio C.mio C.ki"));
    line(format!("parallel C.{first}o"));
    for (tensor, percent) in [("A", 50), ("B", 80)] {
        if random.percent(percent) {
            let at = random.pick(&[first, second, third]);
            line(format!("promote {tensor} at C.{at}o as {tensor}_local in stack"));
        }
    }
    let is_cut = |at: usize, by: i64| sizes[at] % by != 0 && sizes[at] > by;
    if is_cut(0, boxes[0]) && random.percent(80) {
        line("separate C.mio".into());
    } else if is_cut(1, boxes[1]) && random.percent(80) {
        line("separate C.nio".into());
    }
    script
}

/// The loops as they are scanned; they, and those after every pass, compute what the source does.
#[track_caller]
fn same_values(sizes: [i64; 3], script: &str) -> Program {
    let source = testing::scop(&isl::Ctx::new(), PRODUCT).specialise(&sizes).expect("sizes that fit");
    let scop = scheduled(PRODUCT, Some(&sizes), script);
    let (scanned, _) = scan(&scop, &Options::default());
    let lowered = lower(&scop, &Options::default());
    let given = inputs(&source, &[]);
    let expected = eval::run(&source, &[], &given, eval::Limits::default()).expect("it runs");
    for program in [&scanned, &lowered] {
        let actual = interpret(program, &[], &given, 1).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
        assert!(actual == expected, "{sizes:?}\n{script}\n{program}");
    }
    assert!(run_on_machine(&lowered, &given) == expected, "{sizes:?}\n{script}\n{lowered}");
    scanned
}

#[test]
fn threads_have_one_loop_and_all_of_their_strips() {
    let (mut separated, mut kept) = (0, 0);
    for seed in 0..12 {
        let mut random = Rng::new(seed);
        // At least two strips for threads.
        let sizes = [(26, 60), (34, 70), (5, 20)].map(|(low, high)| random.between(low, high));
        let script = script(&sizes, &mut random);
        let program = same_values(sizes, &script);
        assert_eq!(parallel(&program.body, false), (1, 0), "{sizes:?}\n{script}\n{program}");
        separated += usize::from(script.contains("separate"));
        kept += usize::from(script.contains("separate") && script.contains("promote"));
    }
    assert!(separated >= 6 && kept >= 5, "{separated} {kept}");
}

/// The last rows, 6 of 13, are in the strip of the second thread alone: isl would run them behind the loop over strips.
#[test]
fn edges_of_the_last_strip_are_in_its_iteration() {
    let script = "split C.m by 52 as mo mi\nunroll C.mi by 13 as mio miu\nvectorise C.n by 8 as no nv\n\
                  reorder C.mo C.no C.mio C.k\nparallel C.mo\npromote A at C.mo in stack\nseparate C.mio";
    let program = same_values([84, 8, 10], script);
    assert!(matches!(program.body.as_slice(), [Op::For { parallel: true, .. }]), "{program}");
}

/// A thread's iteration may hold one strip only, whose loop isl leaves out, or be all that there is.
#[test]
fn loops_that_run_once_keep_their_memory() {
    for (strip, sizes) in [(64, [40, 33, 9]), (20, [40, 8, 9]), (20, [37, 33, 1])] {
        let script = format!(
            "split C.m by {strip} as mo mi\nvectorise C.n by 8 as no nv\nparallel C.mo\npromote B at C.mo in stack"
        );
        same_values(sizes, &script);
    }
}

/// The sizes are parameters, and threads are inside of a loop that carries what they compute.
#[test]
fn threads_inside_of_another_loop_have_a_loop_for_each_of_its_iterations() {
    let script = "split C.k by 4 as ko ki\nsplit C.m by 12 as mo mi\nvectorise C.n by 8 as no nv\n\
                  unroll C.mi by 5 as mio miu\nreorder C.ko C.mo C.no C.mio C.ki\nparallel C.mo\nseparate C.mio";
    let scop = scheduled(PRODUCT, None, script);
    let (scanned, _) = scan(&scop, &Options::default());
    assert_eq!(parallel(&scanned.body, false), (1, 0), "{scanned}");
    for sizes in [[31, 17, 9], [1, 1, 1], [12, 8, 4], [50, 3, 30]] {
        agrees(&scop, &scanned, &sizes);
    }
}

/// Panels of sizes that are parameters, for threads of which there are as many as it takes.
#[test]
fn panels_and_edges_go_together_for_any_size() {
    let script = "split C.n by 16 as no ni\nsplit C.k by 8 as ko ki\nvectorise C.ni by 8 as nio niv\n\
                  unroll C.m by 4 as mo mu\nreorder C.no C.ko C.nio C.mo C.ki\nparallel C.no\n\
                  promote B at C.ko as Bp in global\n\
                  layout Bp [i0, i1, i2] = [i0, floor(i1/8), i2, i1 mod 8] of [floor((N+15)/16), 2, 8, 8]\n\
                  separate C.mo";
    let source = testing::scop(&isl::Ctx::new(), PRODUCT);
    let scop = scheduled(PRODUCT, None, script);
    let (scanned, _) = scan(&scop, &Options::default());
    assert_eq!(parallel(&scanned.body, false), (1, 0), "{scanned}");
    let lowered = lower(&scop, &Options::default());
    for sizes in [[31, 17, 9], [1, 1, 1], [4, 16, 8], [3, 40, 30], [9, 33, 0]] {
        let given = inputs(&source, &sizes);
        let expected = eval::run(&source, &sizes, &given, eval::Limits::default()).expect("it runs");
        for program in [&scanned, &lowered] {
            let actual = interpret(program, &sizes, &given, 1).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
            assert!(actual == expected, "{sizes:?}\n{program}");
        }
    }
}
