//! What a report says is what the schedule does: names refer to each other, numbers are those of isl's sets, changes lead from
//! the order of the source to the final one, and examples are what they say.

use std::collections::BTreeMap;

use tilewright::report::{Asked, Loop, Node, Report, report};
use tilewright::{Definition, Options, Script, Source, check, target_named};

/// Programs of every kind, with sizes that cut tiles, on a machine with small caches and vectors.
const PROGRAMS: [(&str, &str, &[i64]); 8] = [
    ("mm", "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }", &[33, 20, 41]),
    ("softmax", include_str!("../../examples/softmax.tc"), &[9, 70]),
    ("conv", include_str!("../../examples/conv.tc"), &[1, 2, 9, 11, 3, 3, 3]),
    ("gather", include_str!("../../examples/gather.tc"), &[50, 24, 17]),
    ("edges", include_str!("../../examples/edges.tc"), &[12, 21, 3]),
    ("mlp3", include_str!("../../examples/mlp3.tc"), &[4, 10, 9, 8, 7]),
    ("rows", "def rows(double(N) A) -> (S, T) { S +=! A(i) T(i) = A(i) + 1 where i in 0:N }", &[37]),
    ("triangle", "def triangle(float(N,N) L, float(N) X) -> (Y) { Y(i) +=! L(i,j) * X(j) where j in 0:i+1 }", &[19]),
];

fn definition(text: &str) -> Definition {
    let source = Source::new("test.tc".into(), text.into());
    check(&source).unwrap_or_else(|error| panic!("{error}")).0.remove(0)
}

fn options() -> Options {
    let mut target = target_named("x86-64-v3").expect("a known target");
    target.threads = 2;
    Options::new(target)
}

/// The report on a program; sizes in the order in which the definition names them.
fn of(text: &str, sizes: &[i64], options: &Options) -> Report {
    let def = definition(text);
    assert_eq!(def.sizes.len(), sizes.len(), "{:?}", def.sizes);
    report(&def, Some(sizes), options, Asked::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn each(check: impl Fn(&str, &Report)) {
    for (name, text, sizes) in PROGRAMS {
        check(name, &of(text, sizes, &options()));
    }
}

fn leaves<'a>(node: &'a Node, around: &[&'a str], found: &mut Vec<(Vec<&'a str>, &'a [String])>) {
    let mut around = around.to_vec();
    match node {
        Node::Band { loops, .. } => around.extend(loops.iter().map(String::as_str)),
        Node::Leaf { statements } => found.push((around.clone(), statements)),
        _ => {}
    }
    node.children().into_iter().for_each(|child| leaves(child, &around, found));
}

#[test]
fn names_refer_to_what_there_is() {
    each(|name, report| {
        let mut found = Vec::new();
        leaves(&report.tree, &[], &mut found);
        for (loops, statements) in &found {
            for (depth, &one) in loops.iter().enumerate() {
                let known = report.loop_named(one).unwrap_or_else(|| panic!("{name}: no loop {one}"));
                assert_eq!((known.depth, known.parent.as_deref()), (depth, loops[..depth].last().copied()), "{name}");
                assert!(statements.iter().all(|stmt| known.statements.contains(stmt)), "{name}: {one}");
            }
        }
        let tensors: Vec<&str> = report.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        for stmt in &report.statements {
            assert!(found.iter().any(|(_, inside)| inside.contains(&stmt.name)), "{name}: {} runs nowhere", stmt.name);
            assert!(stmt.accesses.iter().all(|access| tensors.contains(&access.tensor.as_str())), "{name}");
        }
        assert_eq!(report.nests.iter().flatten().count() >= report.statements.len(), !report.statements.is_empty());
    });
}

/// Instances of a statement are as many as the points of the loops around it, over all of its places.
#[test]
fn loops_run_every_instance_once() {
    each(|name, report| {
        let mut found = Vec::new();
        leaves(&report.tree, &[], &mut found);
        let mut points: BTreeMap<&str, u64> = BTreeMap::new();
        for (loops, statements) in &found {
            let [statement] = statements else { panic!("{name}: {statements:?} at one point") };
            let innermost = loops.last().map(|one| report.loop_named(one).expect("a loop"));
            let runs = innermost.map_or(Some(1), |one| one.trips.map(|trips| trips.all.value));
            *points.entry(statement).or_default() += runs.unwrap_or(0);
        }
        for stmt in &report.statements {
            let instances = stmt.instances.expect("sizes are known");
            assert!(instances.exact, "{name}: {}", stmt.name);
            assert_eq!(points[stmt.name.as_str()], instances.value, "{name}: {}", stmt.name);
        }
    });
}

/// The final order as lines, from the tree and the loops alone.
fn outline(report: &Report, node: &Node, depth: usize, lines: &mut Vec<String>) {
    let mut depth = depth;
    match node {
        Node::Band { loops, .. } => {
            for one in loops {
                let kind = &report.loop_named(one).expect("a loop").kind;
                let how = if kind == "in order" { String::new() } else { format!(": {kind}") };
                lines.push(format!("{:1$}for {one}{how}", "", 2 * depth));
                depth += 1;
            }
        }
        Node::Leaf { statements } => lines.extend(statements.iter().map(|stmt| format!("{:1$}{stmt}", "", 2 * depth))),
        _ => {}
    }
    node.children().into_iter().for_each(|child| outline(report, child, depth, lines));
}

#[test]
fn changes_lead_from_the_source_to_the_schedule() {
    each(|name, report| {
        let mut lines = report.source_order.clone();
        for step in &report.script {
            let Some(change) = &step.change else { continue };
            let there: Vec<&String> = lines.iter().skip(change.line).take(change.removed.len()).collect();
            assert!(there.into_iter().eq(&change.removed), "{name}: {}", step.command);
            lines = change.apply(&lines);
        }
        let mut last = Vec::new();
        outline(report, &report.tree, 0, &mut last);
        assert_eq!(lines, last, "{name}");
        assert!(report.script.iter().all(|step| !step.proved.is_empty() && !step.command.is_empty()));
    });
}

/// The script of a report replays to the report.
#[test]
fn the_script_replays() {
    let (_, text, sizes) = PROGRAMS[0];
    let first = of(text, sizes, &options());
    let commands: Vec<&str> = first.script.iter().map(|step| step.command.as_str()).collect();
    let script: Script = (commands.join("\n") + "\n").parse().expect("a script");
    let again = of(text, sizes, &Options { script: Some(script), ..options() });
    assert_eq!(first.loops, again.loops);
    assert_eq!(first.traffic, again.traffic);
    assert!(again.script.iter().all(|step| step.reason.is_none() && step.proved != "with the others of its policy"));
}

#[test]
fn what_runs_at_once_has_no_conflict_but_sums() {
    each(|name, report| {
        for one in &report.loops {
            assert_eq!(one.coincident == Some(false), one.conflict.is_some(), "{name}: {}", one.name);
            let Some(conflict) = &one.conflict else { continue };
            let (from, to) = (&conflict.pair.source, &conflict.pair.sink);
            assert!(one.statements.contains(&from.statement) && one.statements.contains(&to.statement), "{name}");
            assert_ne!((&from.statement, &from.point), (&to.statement, &to.point), "{name}: {}", one.name);
            if one.kind == "parallel" || one.kind.starts_with("vector") {
                assert_eq!(conflict.kind, "reduction", "{name}: {}", one.name);
            }
        }
    });
}

#[test]
fn examples_are_as_far_apart_as_is_said() {
    each(|name, report| {
        for one in &report.dependences {
            let pair = one.example.as_ref().unwrap_or_else(|| panic!("{name}: {} -> {}", one.from, one.to));
            assert_eq!((&pair.source.statement, &pair.sink.statement), (&one.from, &one.to), "{name}");
            let apart = |dim: usize| pair.sink.point[dim] - pair.source.point[dim];
            let fits = |way: &Vec<tilewright::report::Distance>| {
                assert_eq!(way.len(), one.loops.len(), "{name}");
                way.iter().enumerate().all(|(dim, distance)| {
                    distance.least.is_none_or(|least| least <= apart(dim))
                        && distance.most.is_none_or(|most| apart(dim) <= most)
                })
            };
            assert!(one.loops.is_empty() == one.distances.is_empty(), "{name}: {one:?}");
            assert!(one.loops.is_empty() || one.distances.iter().any(fits), "{name}: {one:?}");
        }
    });
}

#[test]
fn distances_of_a_sweep_in_place() {
    let text = "def seidel(float(N) start, float(T) steps) -> (A) {
      A(i) = start(i)
      for t in 0:T { for i in 1:N-1 { A(i) = 0.5 * (A(i-1) + A(i+1)) } }
    }";
    let report = of(text, &[16, 7], &options());
    let one = |kind: &str| {
        let mut all = report.dependences.iter().filter(|one| one.kind == kind && one.from == "A.2" && one.to == "A.2");
        all.next().map(|one| (one.loops.join(" "), one.vectors()))
    };
    assert_eq!(one("flow"), Some(("t i".into(), "[0, 1] [1, -1]".into())));
    assert_eq!(one("output"), Some(("t i".into(), "[1, 0]".into())));
}

/// Numbers that are known without isl: a product without a schedule of its own.
#[test]
fn a_product_in_the_order_of_the_source() {
    let (m, k, n) = (6, 5, 7);
    let script: Script = "# nothing\n".parse().expect("a script");
    let report = of(PROGRAMS[0].1, &[m, k, n], &Options { script: Some(script), ..options() });
    let one = |name: &str| -> &Loop { report.loop_named(name).unwrap_or_else(|| panic!("no loop {name}")) };
    let touched = |name: &str| -> Vec<(&str, u64, bool)> {
        one(name).footprints.iter().map(|one| (one.tensor.as_str(), one.bytes.value, one.bytes.exact)).collect()
    };
    let bytes = |elements: i64| 4 * elements.unsigned_abs();
    assert_eq!(touched("C.update.m"), [("A", bytes(k), true), ("B", bytes(k * n), true), ("C", bytes(n), true)]);
    assert_eq!(touched("C.update.n"), [("A", bytes(k), true), ("B", bytes(k), true), ("C", bytes(1), true)]);
    assert_eq!(one("C.update.k").footprints[0].lower.as_deref(), Some(&["C.update.m".into(), "C.update.k".into()][..]));
    assert_eq!(one("C.update.k").trips.map(|trips| (trips.all.value, trips.entries.value)), Some((210, 42)));
    assert_eq!((one("C.update.n").coincident, one("C.update.k").coincident), (Some(true), Some(false)));
    let traffic = report.traffic.as_ref().expect("sizes are known");
    // Rows do not begin at lines: an average over all alignments.
    assert!(traffic.levels.iter().all(|level| level.all.fetched.exact && level.all.fetched.value > 0));
    let used: Vec<u64> = traffic.used.iter().map(|used| used.value).collect();
    assert_eq!(used, [bytes(m * k * n), bytes(m * k * n), bytes(2 * m * k * n + m * n)]);
    assert_eq!(report.work.as_ref().map(|work| work.flops), Some(2.0 * (m * k * n) as f64));
}

/// What is streamed is fetched by nobody: 16 MiB in, 16 MiB out.
#[test]
fn softmax_moves_each_element_once_in_and_once_out() {
    let mut options = options();
    options.target.caches.truncate(2);
    let report = of(PROGRAMS[1].1, &[2048, 2048], &options);
    assert!(report.script.iter().any(|step| step.command == "stream Y"), "{report}");
    assert_eq!(report.plans[0].bytes.last().map(|bytes| bytes >> 20), Some(32));
    let level = report.traffic.as_ref().and_then(|traffic| traffic.levels.last()).expect("two caches");
    let moved = |name: &str| {
        let moved = level.tensors.iter().find(|moved| moved.tensor == name).expect("a tensor");
        (moved.fetched.value >> 20, moved.written.value >> 20)
    };
    assert_eq!((moved("X"), moved("Y")), ((16, 0), (0, 16)));
}

#[test]
fn reports_are_data_and_the_same_each_time() {
    for (name, text, sizes) in PROGRAMS {
        let def = definition(text);
        let source = Source::new("test.tc".into(), text.into());
        let asked = Asked { source: Some(&source), code: true, ..Asked::default() };
        let once = || report(&def, Some(sizes), &options(), asked).expect("a report").to_json();
        let json = once();
        assert_eq!(json, once(), "{name}");
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let place = &value["statements"][0]["place"];
        let (from, to) = (place["start"].as_u64().unwrap() as usize, place["end"].as_u64().unwrap() as usize);
        assert!(!text[from..to].is_empty() && value["code"][0]["stage"] == "loops", "{name}");
        let links = value["code"][0]["links"].as_array().expect("links");
        assert!(name == "rows" || !links.is_empty(), "{name}");
    }
}

#[test]
fn all_sizes_and_devices_have_a_report_too() {
    let symbolic = Options { symbolic: true, ..options() };
    let of_all = report(&definition(PROGRAMS[0].1), None, &symbolic, Asked::default()).expect("a report");
    assert!(of_all.traffic.is_none() && of_all.work.is_none() && of_all.sizes.is_empty());
    assert!(of_all.loops.iter().all(|one| one.trips.is_none() && one.coincident.is_some()), "{of_all}");
    let device = Options { device: tilewright::Gpu::named("opencl"), ..options() };
    let source = Source::new("test.tc".into(), PROGRAMS[0].1.into());
    let asked = Asked { source: Some(&source), code: true, stages: true, ..Asked::default() };
    let of_device = report(&definition(PROGRAMS[0].1), Some(&[64, 64, 64]), &device, asked).expect("a report");
    assert!(of_device.loops.iter().any(|one| one.kind == "block.x"), "{of_device}");
    assert_eq!(of_device.code.iter().map(|one| one.stage.as_str()).collect::<Vec<_>>(), ["loops", "opencl"]);
    let stages: Vec<&str> = of_device.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages, ["scop", "schedule", "loops", "code"]);
}

#[test]
fn a_program_in_parts_is_told_part_by_part() {
    let text = "def two(float(N) A) -> (S, T) { S +=! A(i) T(i) = A(i) + S }";
    let script: Script = "part S.init\nauto\npart T\nsplit T.i by 8 as io ii\n".parse().expect("a script");
    let report = of(text, &[37], &Options { script: Some(script), ..options() });
    let commands: Vec<&str> = report.script.iter().map(|step| step.command.as_str()).collect();
    assert!(commands[0] == "part S.init" && commands.ends_with(&["part T", "split T.i by 8 as io ii"]), "{commands:?}");
    // The order that a part's first command finds is that of the source.
    let is_part = |command: &str| command.starts_with("part ");
    for (part, first) in report.script.iter().zip(&report.script[1..]).filter(|(step, _)| is_part(&step.command)) {
        assert!(part.change.is_none() && first.change.is_some(), "{first:?}");
    }
    let mut found = Vec::new();
    leaves(&report.tree, &[], &mut found);
    let of_t = found.iter().find(|(_, statements)| *statements == ["T".to_string()]).expect("T");
    assert_eq!(of_t.0, ["T.io", "T.ii"]);
    for (loops, statements) in found {
        assert!(loops.iter().all(|name| report.loop_named(name).is_some()), "{loops:?}");
        assert!(statements.iter().all(|name| report.statements.iter().any(|one| one.name == *name)), "{statements:?}");
    }
    assert_eq!(report.nests.concat().len(), report.source_statements.len());
}
