//! Programs whose instances and storage commands have changed, by proved scripts: inline, compute, store, privatise. The
//! loops, in the interpreter and as machine code, against the source's values.

mod common;

use std::collections::BTreeMap;

use codegen::Options;
use codegen::interp::interpret;
use common::{inputs, lower, run_on_machine, scheduled};
use polyhedral::testing::Rng;
use polyhedral::{Role, Scop, eval, isl, testing};
use support::Stage;
use transform::{Command, Script, Session};

const BLUR: &str = "
scop blur(N)
context { : N > 4 }
input A: float32[N]
output B: float32[N - 4 from 2]
temporary T: float32[N - 2 from 1]
stmt T[i]
  domain { T[i] : 0 < i < N - 1 }
  T[i] = A[i - 1] + A[i] + A[i + 1]
stmt B[i]
  domain { B[i] : 1 < i < N - 2 }
  B[i] = T[i - 1] + T[i] + T[i + 1]
";

const BLUR2: &str = "
scop blur2(H, W)
context { : H > 2 and W > 2 }
input A: float32[H, W]
output B: float32[H - 2 from 1, W - 2 from 1]
temporary T: float32[H, W - 2 from 1]
stmt T[y, x]
  domain { T[y, x] : 0 <= y < H and 0 < x < W - 1 }
  T[y, x] = A[y, x - 1] + A[y, x] + A[y, x + 1]
stmt B[y, x]
  domain { B[y, x] : 0 < y < H - 1 and 0 < x < W - 1 }
  B[y, x] = T[y - 1, x] + T[y, x] + T[y + 1, x]
";

/// Rows divided by their largest element after being summed up, so that small whole numbers stay exact.
const ROWS: &str = "
scop rows(M, N)
context { : M > 0 and N > 0 }
input A: float32[M, N]
output R: float32[M, N]
temporary E: float32[M, N]
temporary S: float32[M]
stmt E[m, n]
  domain { E[m, n] : 0 <= m < M and 0 <= n < N }
  E[m, n] = A[m, n] * A[m, n]
stmt S.init[m]
  domain { S.init[m] : 0 <= m < M }
  S[m] = 0.0f32
stmt S.update[m, n]
  domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
  S[m] sum= E[m, n]
stmt R[m, n]
  domain { R[m, n] : 0 <= m < M and 0 <= n < N }
  R[m, n] = E[m, n] / S[m]
";

const DOT: &str = "
scop dot(N)
context { : N > 0 }
input A: float32[N]
input B: float32[N]
output S: float32[]
stmt S.init[]
  domain { S.init[] }
  S[] = 0.0f32
stmt S.update[i]
  domain { S.update[i] : 0 <= i < N }
  S[] sum= A[i] * B[i]
";

const COLUMNS: &str = "
scop columns(M, N)
context { : M > 0 and N > 0 }
input A: float32[M, N]
output S: float32[N]
stmt S.init[n]
  domain { S.init[n] : 0 <= n < N }
  S[n] = 0.0f32
stmt S.update[m, n]
  domain { S.update[m, n] : 0 <= m < M and 0 <= n < N }
  S[n] sum= A[m, n]
";

/// Three stages along one dimension.
const CHAIN: &str = "
scop chain(N)
context { : N > 8 }
input A: float32[N]
output B: float32[N - 6 from 3]
temporary T: float32[N - 2 from 1]
temporary U: float32[N - 4 from 2]
stmt T[i]
  domain { T[i] : 0 < i < N - 1 }
  T[i] = A[i - 1] + A[i + 1]
stmt U[i]
  domain { U[i] : 1 < i < N - 2 }
  U[i] = T[i - 1] - T[i + 1] + A[i]
stmt B[i]
  domain { B[i] : 2 < i < N - 3 }
  B[i] = U[i - 1] + U[i] * U[i + 1]
";

/// A program's text, or that of the ready-made one of that name.
fn text_of(text: &str) -> &str {
    testing::PROGRAMS.iter().find(|(name, _)| *name == text).map_or(text, |(_, text)| text)
}

/// The script's program, for these sizes and with its parameters, computes what the source does.
#[track_caller]
fn check(text: &str, script: &str, sizes: &[&[i64]]) {
    for &sizes in sizes {
        let source = testing::scop(&isl::Ctx::new(), text_of(text)).specialise(sizes).expect("sizes of the context");
        let given = inputs(&source, &[]);
        let expected = eval::run(&source, &[], &given, eval::Limits::default()).expect("it runs");
        let program = lower(&scheduled(text, Some(sizes), script), &Options::default());
        for seed in 0..2 {
            let actual = interpret(&program, &[], &given, seed).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
            assert_eq!(actual, expected, "{program}");
        }
        assert_eq!(run_on_machine(&program, &given), expected, "{program}");

        let program = lower(&scheduled(text, None, script), &Options::default());
        let actual = interpret(&program, sizes, &given, 1).unwrap_or_else(|fault| panic!("{fault}\n{program}"));
        assert_eq!(actual, expected, "{program}");
    }
}

#[test]
fn inlined_producers() {
    check(BLUR, "inline T", &[&[5], &[40]]);
    check(ROWS, "inline E", &[&[3, 5]]);
}

#[test]
fn stages_computed_in_tiles() {
    check(BLUR, "split B.i by 8 as io ii\ncompute T at B.io", &[&[5], &[50]]);
    check(BLUR2, "tile B.y B.x by 4 8 as yo xo / yi xi\ncompute T at B.xo", &[&[3, 3], &[13, 21]]);
    check(ROWS, "compute S at R.m\ncompute E at R.m", &[&[1, 1], &[4, 7]]);
}

#[test]
fn tiles_with_storage_of_their_own() {
    check(BLUR, "split B.i by 8 as io ii\ncompute T at B.io\nstore T at B.io\nparallel B.io", &[&[5], &[50]]);
    let tiled = "tile B.y B.x by 4 8 as yo xo / yi xi\ncompute T at B.xo\nstore T at B.xo\nparallel B.yo\n";
    check(BLUR2, tiled, &[&[3, 3], &[13, 21]]);
    check(BLUR2, &format!("{tiled}vectorise B.xi by 8\nvectorise T.x by 8"), &[&[13, 21]]);
    let rows = "compute S at R.m\ncompute E at R.m\n";
    check(ROWS, &format!("{rows}store E at R.m\nstore S at R.m"), &[&[4, 7]]);
    check(ROWS, &format!("{rows}privatise E at R.m\nprivatise S at R.m\nparallel R.m"), &[&[4, 7]]);
}

#[test]
fn sums_of_partial_sums() {
    let strips = "split S.update.i by 8 as io ii\nprivatise S at S.update.io as P\nparallel S.update.io";
    check(DOT, strips, &[&[1], &[8], &[51]]);
    check(DOT, "privatise S at S.update.i by 8\nvectorise S.update.i by 8", &[&[3], &[16], &[51]]);
    let columns = "split S.update.m by 4 as mo mi\nprivatise S at S.update.mo\nparallel S.update.mo";
    check(COLUMNS, columns, &[&[1, 1], &[9, 5]]);
    check(COLUMNS, &format!("{columns}\nvectorise S.update.n by 8"), &[&[9, 19]]);
}

#[test]
fn lanes_have_sums_beside_each_other() {
    let script = "privatise S at S.update.i by 8 as P\nvectorise S.update.i by 8";
    let program = lower(&scheduled(DOT, None, script), &Options::default()).to_string();
    let whole = "r0: float32 x8 = r0 + A[8*io .. +8] * B[8*io .. +8]\n";
    assert!(program.contains(whole), "no `{whole}` in {program}");
}

#[test]
fn chains_of_producers() {
    let sizes: &[&[i64]] = &[&[9], &[40]];
    check(CHAIN, "inline T\ninline U", sizes);
    check(CHAIN, "inline U\ninline T", sizes);
    let tiled = "split B.i by 8 as io ii\ncompute U at B.io\ncompute T at B.io\n";
    check(CHAIN, tiled, sizes);
    check(CHAIN, &format!("{tiled}store T at B.io\nstore U at B.io\nparallel B.io"), sizes);
    check(
        CHAIN,
        "split B.i by 8 as io ii\ncompute U at B.io\ncompute T at U.i\nstore U at B.io\nstore T at U.i",
        sizes,
    );
    check(CHAIN, "split B.i by 8 as io ii\ncompute U at B.io\ninline T\nstore U at B.io\nparallel B.io", sizes);
}

#[test]
fn products_with_private_sums() {
    let sizes: &[&[i64]] = &[&[3, 5, 20]];
    let split = "split C.update.k by 8 as ko ki\n";
    check("matmul", &format!("{split}privatise C at C.update.ko"), sizes);
    check(
        "matmul",
        &format!("{split}reorder C.update.ko C.update.m C.update.n\nprivatise C at C.update.ko\nparallel C.update.ko"),
        sizes,
    );
    check("matmul", &format!("parallel C.update.m\n{split}privatise C at C.update.ko"), sizes);
    check("matmul", "privatise C at C.update.k by 8\nvectorise C.update.k by 8", sizes);
    check("matmul", "parallel C.update.m\nprivatise C at C.update.k by 8\nvectorise C.update.k by 8", sizes);
    check(
        "matmul_bias_relu",
        "tile R.m R.n by 2 4 as mo no / mi ni\ncompute T at R.no\nstore T at R.no\nparallel R.mo",
        sizes,
    );
    check("matmul_bias_relu", "compute T at R.n\nstore T at R.n\nparallel R.m", sizes);
    check(
        "matmul_bias_relu",
        "compute T at R.n\nstore T at R.n\nprivatise T at T.update.k by 8 as P\nvectorise T.update.k by 8\nparallel R.m",
        sizes,
    );
}

#[test]
fn both_at_once() {
    // Strips on threads, and in each strip sums of lanes.
    let script = "split S.update.i by 32 as io ii\nprivatise S at S.update.io as P\nparallel S.update.io\n\
                  privatise P at S.update.ii by 8 as L\nvectorise S.update.ii by 8";
    check(DOT, script, &[&[5], &[64], &[131]]);
}

/// A command, drawn: it may fit or not.
fn drawn(random: &mut Rng, scop: &Scop) -> String {
    let loops: Vec<String> = scop.tree.root.members().iter().map(|member| member.name.clone()).collect();
    let tensors: Vec<String> = scop.tensors.values().map(|tensor| tensor.name.clone()).collect();
    let (at, other, tensor) = (random.pick(&loops), random.pick(&loops), random.pick(&tensors));
    let by = random.pick(&[2, 3, 4]);
    let temporaries = scop.tensors.values().filter(|tensor| tensor.role == Role::Temporary);
    let temporary = random.pick(&temporaries.map(|tensor| tensor.name.clone()).chain(tensors).collect::<Vec<_>>());
    match random.below(11) {
        0 => format!("split {at} by {by}"),
        1 => format!("tile {at} {other} by {by} 3"),
        2 => format!("reorder {at} {other}"),
        3 => format!("parallel {at}"),
        4 => format!("vectorise {at} by 4"),
        5 => format!("inline {temporary}"),
        6 | 7 => format!("compute {temporary} at {at}"),
        8 => format!("store {temporary} at {at}"),
        9 => format!("privatise {tensor} at {at}"),
        _ => format!("privatise {tensor} at {at} by {by}"),
    }
}

/// How many scripts.
const SEEDS: u64 = 48;

/// Whatever is accepted computes what the source does.
#[test]
fn random_commands_keep_the_values() {
    let programs: [(&str, &[i64]); 8] = [
        (BLUR, &[11]),
        (BLUR2, &[5, 7]),
        (ROWS, &[3, 4]),
        (DOT, &[9]),
        (COLUMNS, &[5, 4]),
        (CHAIN, &[12]),
        ("matmul", &[3, 4, 5]),
        ("matmul_bias_relu", &[3, 4, 5]),
    ];
    let mut accepted: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..SEEDS {
        let (text, sizes) = programs[seed as usize % programs.len()];
        let mut random = Rng::new(seed);
        let source = testing::scop(&isl::Ctx::new(), text_of(text)).specialise(sizes).expect("sizes of the context");
        let mut session = Session::new(source.clone(), &common::target()).expect("its dependences are found");
        for _ in 0..14 {
            let command: Script = drawn(&mut random, session.scop()).parse().expect("a command");
            if session.replay(&command).is_err() {
                continue;
            }
            let command = command.commands().next().expect("one command");
            *accepted.entry(command.name()).or_default() += 1;
            // What is computed at a loop can mostly be stored there.
            if let Command::ComputeAt { tensor, member } = command
                && random.percent(70)
                && session.apply(Command::store_at(tensor, member)).is_ok()
            {
                *accepted.entry("store").or_default() += 1;
            }
        }
        let script = session.script().to_string();
        let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}\n{script}"));
        scheduled.verify().unwrap_or_else(|fault| panic!("{fault}\n{script}\n{scheduled}"));
        let given = inputs(&source, &[]);
        let expected = eval::run(&source, &[], &given, eval::Limits::default()).expect("it runs");
        let program = lower(&scheduled.scop, &Options::default());
        let actual =
            interpret(&program, &[], &given, seed).unwrap_or_else(|fault| panic!("{fault}\n{script}{program}"));
        assert_eq!(actual, expected, "seed {seed}\n{script}{scheduled}{program}");
    }
    for kind in ["inline", "compute", "store", "privatise"] {
        assert!(accepted.get(kind).is_some_and(|&count| count >= 5), "{kind} in {accepted:?}");
    }
}
