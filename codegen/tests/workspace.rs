//! Temporaries in the workspace: those that are never alive at once share bytes, and nothing else changes.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;

use codegen::{Int, Op, Options, Place, Program, gpu};
use common::{agrees, inputs, lower, run_on_machine, scheduled, target};
use polyhedral::{Scop, eval, isl, testing};
use support::{Gpu, Stage};
use transform::{Command, Session};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

/// A program that is written down statement by statement.
struct Draft {
    tensors: String,
    stmts: String,
    source: String,
    /// Dimensions, and their ranges, of the loops around; how deep the source's lines are.
    around: (&'static str, &'static str, usize),
    /// What may be read, and its extent.
    readable: Vec<(String, &'static str)>,
}

const KNOWN: &[&str] = &["1", "5", "16", "17", "40", "100"];
const OPEN: &[&str] = &["N", "N", "2 * N", "N + 20", "M", "17"];

impl Draft {
    fn stmt(&mut self, name: &str, dims: &str, ranges: &str, body: &str) {
        let (outer, outer_ranges, depth) = self.around;
        let dims = [outer, dims].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let all = dims.join(", ");
        let ranges =
            [outer_ranges, ranges].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" and ");
        let _ = writeln!(self.stmts, "stmt {name}[{all}]\n  domain {{ {name}[{all}] : {ranges} }}\n  {body}");
        for (level, dim) in dims.iter().skip(usize::from(depth > 0)).flat_map(|dims| dims.split(", ")).enumerate() {
            let _ = writeln!(self.source, "{}for {dim}", "  ".repeat(1 + depth + level));
        }
        let level = dims.iter().skip(usize::from(depth > 0)).flat_map(|dims| dims.split(", ")).count();
        let _ = writeln!(self.source, "{}{name}", "  ".repeat(1 + depth + level));
    }

    /// What an element of this extent may be computed from.
    fn read(&self, random: &mut Random, extent: &str) -> String {
        let recent = self.readable.len().saturating_sub(3);
        let from = if random.below(4) == 0 { 0 } else { recent };
        let (name, other) = random.of(&self.readable[from..]);
        if other == extent { format!("{name}[i]") } else { format!("{name}[0]") }
    }

    fn temporary(&mut self, random: &mut Random, number: usize, extents: &[&'static str]) {
        let (name, extent) = (format!("T{number}"), random.of(extents));
        let _ = writeln!(self.tensors, "temporary {name}: float32[{extent}]");
        let (a, b) = (self.read(random, extent), self.read(random, extent));
        let rows = format!("0 <= i < {extent}");
        if random.below(3) == 0 {
            self.stmt(&format!("{name}.init"), "i", &rows, &format!("{name}[i] = {a}"));
            let terms = format!("{rows} and 0 <= k < 3");
            self.stmt(&format!("{name}.update"), "i, k", &terms, &format!("{name}[i] sum= {b}"));
        } else {
            self.stmt(&name, "i", &rows, &format!("{name}[i] = {a} + {b}"));
        }
        self.readable.push((name, extent));
    }
}

/// Many temporaries, each of a few others; `looped`: inside of a loop that runs four times, where some are kept from one
/// iteration to the next.
fn drawn(random: &mut Random, open: bool, looped: bool) -> String {
    let extents = if open { OPEN } else { KNOWN };
    let mut draft = Draft {
        tensors: String::new(),
        stmts: String::new(),
        source: String::new(),
        around: ("", "", 0),
        readable: vec![("A".into(), extents[0])],
    };
    let _ = writeln!(draft.tensors, "input A: float32[{}]", extents[0]);
    let count = 4 + random.below(6);
    let before = if looped { random.below(3) } else { 0 };
    (0..before).for_each(|number| draft.temporary(random, number, extents));
    let (rows, kept) = (extents[0], draft.readable.clone());
    if looped {
        draft.source.push_str("  for t\n");
        draft.around = ("t", "0 <= t < 4", 1);
    }
    (before..count).for_each(|number| draft.temporary(random, number, extents));
    for (name, extent) in kept.iter().skip(1) {
        // What was computed before the loop changes in it.
        let other = draft.read(random, extent);
        draft.stmt(
            &format!("{name}.again"),
            "i",
            &format!("0 <= i < {extent}"),
            &format!("{name}[i] = {name}[i] + {other}"),
        );
    }
    let (a, b) = (draft.read(random, rows), draft.read(random, rows));
    let (shape, at) = if looped { (format!("4, {rows}"), "t, i") } else { (rows.to_string(), "i") };
    let _ = writeln!(draft.tensors, "output B: float32[{shape}]");
    draft.stmt("B", "i", &format!("0 <= i < {rows}"), &format!("B[{at}] = {a} + {b}"));
    let (params, context) = if open { ("N, M", "context { : N > 0 and M > 0 }\n") } else { ("", "") };
    format!("scop drawn({params})\n{context}{}{}source\n{}", draft.tensors, draft.stmts, draft.source)
}

/// Any command; most do not fit, and are refused.
fn command(session: &Session, random: &mut Random) -> Option<Command> {
    let members: Vec<String> = session.scop().tree.root.members().iter().map(|member| member.name.clone()).collect();
    let stmts: Vec<String> = session.scop().stmts.values().map(|stmt| stmt.name.clone()).collect();
    if members.is_empty() {
        return None;
    }
    let member = random.of(&members);
    Some(match random.below(5) {
        0 | 1 => Command::parallel(member),
        2 => Command::split(member, random.of(&[2, 4])),
        3 => Command::vectorise(member, random.of(&[4, 8])),
        _ => Command::fuse(random.of(&stmts), random.of(&stmts), 1),
    })
}

fn with_random_schedule(text: &str, random: &mut Random) -> Scop {
    let scop = testing::scop(&isl::Ctx::new(), text);
    let mut session = Session::new(scop, &target()).unwrap();
    for _ in 0..random.below(6) {
        if let Some(command) = command(&session, random) {
            // A refusal leaves the session as it was.
            let _ = session.apply(command);
        }
    }
    session.finish().unwrap_or_else(|refused| panic!("{refused}\n{text}")).scop
}

/// Bytes of each temporary in the workspace.
fn rooms(program: &Program, sizes: &[i64]) -> BTreeMap<String, i64> {
    let in_workspace = program.buffers.values().filter(|buffer| matches!(buffer.place, Place::Workspace(_)));
    let bytes = |extent: &[Int]| -> i64 { extent.iter().map(|n| n.eval(&|_| None, sizes).unwrap()).product() };
    in_workspace
        .map(|buffer| {
            let bytes = bytes(&buffer.extent) * i64::from(buffer.dtype.bytes());
            (buffer.name.clone(), (bytes as u64).next_multiple_of(64) as i64)
        })
        .collect()
}

fn workspace(program: &Program, sizes: &[i64]) -> i64 {
    program.workspace().eval(&|_| None, sizes).unwrap()
}

/// The most bytes that hold something at one time, by the text of what the program runs one after the other.
fn most_alive(program: &Program) -> i64 {
    let texts: Vec<String> = (program.body.iter())
        .map(|op| Program { body: vec![op.clone()], ..program.clone() }.to_string())
        .map(|text| text.split_once("workspace").map_or(String::new(), |_| body_of(&text)))
        .collect();
    let rooms = rooms(program, &[]);
    let alive = |at: usize| {
        let is_alive = |name: &String| {
            let touches = |text: &String| text.contains(&format!("{name}["));
            let (first, last) = (texts.iter().position(touches), texts.iter().rposition(touches));
            first.zip(last).is_some_and(|(first, last)| (first..=last).contains(&at))
        };
        rooms.iter().filter(|(name, _)| is_alive(name)).map(|(_, bytes)| bytes).sum::<i64>()
    };
    (0..texts.len()).map(alive).max().unwrap_or(0)
}

/// Without the lines about buffers.
fn body_of(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("  temporary")).collect::<Vec<_>>().join("\n")
}

#[test]
fn chains_take_what_is_alive_at_once() {
    let (mut equal, mut most, mut bytes, mut apart) = (0, 1.0f64, 0, 0);
    let programs = 150;
    for seed in 0..programs {
        let mut random = Random(seed);
        let text = drawn(&mut random, false, false);
        let scop = with_random_schedule(&text, &mut random);
        let program = lower(&scop, &Options::default());
        agrees(&scop, &program, &[]);
        let (found, least) = (workspace(&program, &[]), most_alive(&program));
        assert!(found >= least, "{program}");
        equal += usize::from(found == least);
        most = most.max(found as f64 / least.max(64) as f64);
        (bytes, apart) = (bytes + found, apart + rooms(&program, &[]).values().sum::<i64>());
    }
    println!("{equal} of {programs} take what is alive at once, at most {most:.3} of it; {bytes} bytes, {apart} apart");
    assert!(equal as u64 * 100 >= programs * 95 && most <= 1.2, "{equal} of {programs}, at most {most}");
    assert!(5 * bytes < 4 * apart, "{bytes} of {apart}");
}

#[test]
fn open_sizes_share_too_and_never_overlap() {
    let (mut bytes, mut apart) = (0, 0);
    for seed in 0..80 {
        let mut random = Random(1000 + seed);
        let looped = seed % 3 == 0;
        let scop = with_random_schedule(&drawn(&mut random, true, looped), &mut random);
        let program = lower(&scop, &Options::default());
        for sizes in [[1, 30], [9, 2], [40, 40]] {
            agrees(&scop, &program, &sizes);
            bytes += workspace(&program, &sizes);
            apart += rooms(&program, &sizes).values().sum::<i64>();
        }
    }
    println!("{bytes} bytes, {apart} apart");
    assert!(5 * bytes < 4 * apart, "{bytes} of {apart}");
}

#[test]
fn iterations_share_what_they_do_not_keep() {
    let (mut bytes, mut apart, mut scoped) = (0, 0, 0);
    for seed in 0..80 {
        let mut random = Random(2000 + seed);
        let text = drawn(&mut random, false, true);
        let scop = with_random_schedule(&text, &mut random);
        let program = lower(&scop, &Options::default());
        agrees(&scop, &program, &[]);
        scoped += usize::from(program.to_string().contains("with new"));
        bytes += workspace(&program, &[]);
        apart += rooms(&program, &[]).values().sum::<i64>();
    }
    println!("{bytes} bytes, {apart} apart; {scoped} of 80 with temporaries of an iteration");
    assert!(scoped > 40 && 8 * bytes < 7 * apart, "{scoped}, {bytes} of {apart}");
}

#[test]
fn machine_code_of_shared_bytes_computes_the_same() {
    for seed in 0..24 {
        let mut random = Random(3000 + seed);
        let scop = with_random_schedule(&drawn(&mut random, false, seed % 2 == 0), &mut random);
        let program = lower(&scop, &Options::default());
        let inputs = inputs(&scop, &[]);
        let expected = eval::run(&scop, &[], &inputs, eval::Limits::default()).unwrap();
        assert_eq!(run_on_machine(&program, &inputs), expected, "{program}");
    }
}

const THREE: &str = "
scop three()
input A: float32[100]
output B: float32[100]
temporary T0: float32[100]
temporary T1: float32[100]
temporary T2: float32[100]
stmt T0[i]
  domain { T0[i] : 0 <= i < 100 }
  T0[i] = A[i] + 1.0f32
stmt T1[i]
  domain { T1[i] : 0 <= i < 100 }
  T1[i] = T0[99 - i]
stmt T2[i]
  domain { T2[i] : 0 <= i < 100 }
  T2[i] = T1[99 - i] + 1.0f32
stmt B[i]
  domain { B[i] : 0 <= i < 100 }
  B[i] = T2[99 - i]
";

fn three() -> (Scop, Program) {
    let scop = scheduled(THREE, None, "");
    let program = lower(&scop, &Options::default());
    (scop, program)
}

fn place(program: &mut Program, name: &str, offset: i64) {
    let buffers = program.buffers.iter_mut().map(|(_, buffer)| buffer);
    buffers.filter(|buffer| buffer.name == name).for_each(|buffer| buffer.place = Place::Workspace(Int::Const(offset)));
}

#[test]
fn the_verifier_and_the_interpreter_both_find_what_is_overwritten() {
    let (scop, program) = three();
    assert_eq!(program.workspace(), Int::Const(2 * 448));
    agrees(&scop, &program, &[]);
    let mut wrong = program.clone();
    (0..3).for_each(|at| place(&mut wrong, &format!("T{at}"), 0));
    let error = wrong.verify().expect_err("overlaps").to_string();
    assert!(error.contains("while both are alive"), "{error}");
    let found = std::panic::catch_unwind(|| {
        let (scop, mut wrong) = three();
        (0..3).for_each(|at| place(&mut wrong, &format!("T{at}"), 64 * at));
        agrees(&scop, &wrong, &[]);
    });
    assert!(found.is_err(), "what is overwritten is not read");
    let mut before = program;
    place(&mut before, "T0", -64);
    assert!(before.verify().expect_err("no such byte").to_string().contains("begins before"));
}

#[test]
fn what_is_kept_is_not_new_in_each_iteration() {
    let (_, mut program) = three();
    let of = |program: &Program, name: &str| program.buffers.iter().find(|(_, row)| row.name == name).unwrap().0;
    let (t0, body) = (of(&program, "T0"), program.body.clone());
    // Of the readers of `T0` only: it has nothing there.
    let last = body.len() - 2;
    let inside = Op::Local { buffer: t0, body: body[1..last].to_vec() };
    program.body.splice(1..last, [inside]);
    let scop = scheduled(THREE, None, "");
    let inputs = inputs(&scop, &[]);
    let expected = eval::run(&scop, &[], &inputs, eval::Limits::default()).unwrap();
    let actual = codegen::interp::interpret(&program, &[], &inputs, 0).unwrap();
    assert_ne!(actual["B"], expected["B"], "{program}");
    assert!(
        program.verify().expect_err("written outside").to_string().contains("not all of its accesses"),
        "{program}"
    );
    // One memory is not one for each of several threads.
    let (_, mut program) = three();
    let Op::For { parallel, body, .. } = &mut program.body[0] else { panic!("no loop") };
    *parallel = true;
    *body = vec![Op::Local { buffer: t0, body: std::mem::take(body) }];
    assert!(program.verify().expect_err("one of it").to_string().contains("each of several threads"), "{program}");
}

#[test]
fn launches_share_the_workspace() {
    let scop = scheduled(THREE, None, "");
    let bound: String = ["T0", "T1", "T2", "B"]
        .map(|name| format!("split {name}.i by 32\nbind {name}.io to block.x\nbind {name}.ii to thread.x\n"))
        .concat();
    let (_, mapped) = common::mapped(THREE, None, &bound, &Gpu::hopper());
    let program = common::lowered(&mapped, &Options::default());
    let plan = gpu::plan(&program, &[]).unwrap();
    assert_eq!(plan.launches.len(), 4);
    assert_eq!(plan.workspace.iter().map(|part| part.offset).collect::<Vec<_>>(), [0, 512, 0]);
    agrees(&scop, &program, &[]);
}

/// Nobody has so much memory, but that is said at the call.
#[test]
fn sizes_that_overflow_are_apart() {
    let text = THREE.replace("temporary T1: float32[100]", "temporary T1: float32[4611686018427387904]");
    let text = text.replace("temporary T2: float32[100]", "temporary T2: float32[4611686018427387904]");
    let program = lower(&scheduled(&text, None, ""), &Options::default());
    assert_eq!(program.workspace().eval(&|_| None, &[]), None);
}
