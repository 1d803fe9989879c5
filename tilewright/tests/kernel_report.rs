//! What a report says of kernels, of commands that were tried, and of programs in parts.

use tilewright::report::{Asked, Kernel, Listing, Outcome, Report, WarpAccess, report, why_not};
use tilewright::{Definition, Gpu, Options, Script, Source, check, target_named};

const TRANSPOSE: &str = "def tr(float(M,N) A) -> (B) { B(n,m) = A(m,n) where m in 0:M, n in 0:N }";
const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";

fn definition(text: &str) -> Definition {
    let source = Source::new("test.tc".into(), text.into());
    check(&source).unwrap_or_else(|error| panic!("{error}")).0.remove(0)
}

fn options(device: Option<&str>, script: Option<&str>) -> Options {
    let script = script.map(|text| text.parse::<Script>().unwrap_or_else(|error| panic!("{error}")));
    let device = device.map(|name| Gpu::named(name).expect("a device"));
    Options { device, script, ..Options::new(target_named("x86-64-v3").expect("a target")) }
}

fn of(text: &str, sizes: &[i64], options: &Options) -> Report {
    let asked = Asked { code: true, tried: true, ..Asked::default() };
    report(&definition(text), Some(sizes), options, asked).unwrap_or_else(|error| panic!("{error}"))
}

/// A transpose through a tile of 32 by 32 in shared memory.
fn transposed(padding: &str) -> Report {
    let script = format!(
        "tile B.n B.m by 32 32 as no mo / ni mi\nbind B.no to block.y\nbind B.mo to block.x\n\
         launch B.no with 32 8 threads\nbind B.ni to thread.y\nbind B.mi to thread.x\n\
         promote A at B.mo as A_tile {padding}in shared\n\
         bind A_tile.load.x0 to thread.y\nbind A_tile.load.x1 to thread.x\n"
    );
    of(TRANSPOSE, &[64, 96], &options(Some("cuda:sm_80"), Some(&script)))
}

fn access<'k>(kernel: &'k Kernel, tensor: &str, writes: bool) -> &'k WarpAccess {
    let found = kernel.accesses.iter().find(|one| one.tensor == tensor && one.writes == writes);
    found.unwrap_or_else(|| panic!("no access of {tensor}: {:?}", kernel.accesses))
}

/// The example of the guides: a column of a tile whose rows are 32 words is one bank, unless rows are a word longer.
#[test]
fn a_transpose_conflicts_unless_it_is_padded() {
    for (padding, degree, row) in [("", 32, 32), ("padded 1 ", 1, 33), ("padded 2 ", 2, 34)] {
        let report = transposed(padding);
        let [kernel] = &report.kernels[..] else { panic!("{:?}", report.kernels) };
        assert_eq!(kernel.shared[0].strides, [row, 1]);
        assert_eq!((kernel.shared[0].bytes, kernel.shared_bytes), (4 * 32 * row, 4 * 32 * row));
        let (load, store) = (access(kernel, "A_tile", false), access(kernel, "A_tile", true));
        assert_eq!((load.degree, load.takes, load.least), (degree, degree, 1), "{padding}");
        assert_eq!((store.degree, store.takes), (1, 1), "{padding}");
        assert_eq!(load.takes_all, u64::from(degree * load.looked_at));
        // Both global accesses walk along rows.
        for (tensor, writes) in [("A", false), ("B", true)] {
            let access = access(kernel, tensor, writes);
            assert_eq!((access.memory.as_str(), access.takes, access.least, access.degree), ("global", 4, 4, 1));
            assert!(access.addresses.windows(2).all(|pair| pair[1].zip(pair[0]).is_some_and(|(b, a)| b - a == 4)));
        }
    }
}

/// Without a tile one of the two goes down columns: a sector for each thread.
#[test]
fn columns_take_a_sector_for_each_thread() {
    let script = "tile B.n B.m by 8 32 as no mo / ni mi\nbind B.no to block.y\nbind B.mo to block.x\n\
                  launch B.no with 32 8 threads\nbind B.ni to thread.y\nbind B.mi to thread.x\n";
    let report = of(TRANSPOSE, &[64, 96], &options(Some("cuda:sm_80"), Some(script)));
    let kernel = &report.kernels[0];
    assert_eq!((access(kernel, "A", false).takes, access(kernel, "B", true).takes), (32, 4));
    assert!(kernel.shared.is_empty() && kernel.barriers.is_empty());
}

#[test]
fn blocks_threads_and_barriers_are_told() {
    let report = transposed("padded 1 ");
    let kernel = &report.kernels[0];
    let counted = |all: &[tilewright::report::Dimension]| -> Vec<(String, Option<i64>)> {
        all.iter().map(|one| (one.axis.clone(), one.count)).collect()
    };
    assert_eq!(counted(&kernel.grid), [("block.x".into(), Some(2)), ("block.y".into(), Some(3))]);
    assert_eq!(counted(&kernel.block), [("thread.x".into(), Some(32)), ("thread.y".into(), Some(8))]);
    assert_eq!((kernel.blocks, kernel.threads, kernel.warp), (Some(6), 256, 32));
    for dimension in kernel.grid.iter().chain(&kernel.block) {
        assert!(!dimension.loops.is_empty());
        for name in &dimension.loops {
            assert_eq!(report.loop_named(name).map(|one| &one.kind), Some(&dimension.axis), "{name}");
        }
    }
    let loops: Vec<&str> =
        report.code.iter().find(|one| one.stage == Listing::LOOPS).expect("loops").text.lines().collect();
    let [barrier] = &kernel.barriers[..] else { panic!("{:?}", kernel.barriers) };
    assert_eq!(loops[barrier.line].trim(), "barrier");
    assert!(loops[kernel.lines.0].starts_with("launch ") && loops[kernel.lines.1] == "}");
    let told = |all: &[tilewright::report::Touch]| -> Vec<(String, bool)> {
        all.iter().map(|one| (one.tensor.clone(), one.writes)).collect()
    };
    assert_eq!(told(&barrier.before), [("A_tile".into(), true)]);
    assert_eq!(told(&barrier.after), [("A_tile".into(), false)]);
    let orders: Vec<String> =
        barrier.orders.iter().map(|one| format!("{} {} {}", one.from, one.to, one.kind)).collect();
    assert_eq!(orders, ["A_tile.load B flow"]);
}

/// Accesses are on lines that name their tensor, and cost between what they must and what 32 threads can.
#[test]
fn accesses_are_where_they_are_said_to_be() {
    for device in ["cuda:sm_70", "cuda:sm_80", "opencl"] {
        let report = of(MM, &[64, 64, 64], &options(Some(device), None));
        let loops: Vec<&str> =
            report.code.iter().find(|one| one.stage == Listing::LOOPS).expect("loops").text.lines().collect();
        let all: Vec<&WarpAccess> = report.kernels.iter().flat_map(|kernel| &kernel.accesses).collect();
        assert!(["A", "B", "C"].iter().all(|name| all.iter().any(|one| one.tensor == *name)), "{device}");
        for one in all {
            assert!(loops[one.line].contains(&format!("{}[", one.tensor)), "{device}: {}", loops[one.line]);
            assert!(one.least >= 1 && one.least <= one.takes && one.takes <= 32 * one.bytes.div_ceil(4), "{one:?}");
            assert!(one.least_all <= one.takes_all && one.degree >= 1 && one.addresses.len() == 32, "{one:?}");
        }
    }
}

#[test]
fn tried_commands_say_what_they_would_do() {
    let report = of(MM, &[16, 16, 16], &options(None, Some("split C.update.k by 4 as ko ki\n")));
    let told = |name: &str, begin: &str| {
        let tried = &report.loop_named(name).unwrap_or_else(|| panic!("no {name}")).tried;
        tried.iter().find(|one| one.command.starts_with(begin)).unwrap_or_else(|| panic!("{tried:?}")).clone()
    };
    assert_eq!(told("C.update.m", "reorder").outcome, Outcome::Legal);
    assert_eq!(told("C.update.m", "tile").outcome, Outcome::Legal);
    assert_eq!(told("C.update.n", "vectorise").outcome, Outcome::Legal);
    assert!(
        report.loops.iter().flat_map(|one| &one.tried).all(|one| one.outcome == Outcome::Legal || !one.why.is_empty())
    );
    let unasked =
        tilewright::report::report(&definition(MM), Some(&[16, 16, 16]), &options(None, None), Asked::default());
    assert!(unasked.expect("a report").loops.iter().all(|one| one.tried.is_empty()));
}

/// Where sums keep their written order, no two terms may be swapped: not by lanes, nor by another order of the loops.
#[test]
fn tried_commands_name_the_instances_that_they_would_swap() {
    let text = "def s(float(M,N) A) -> (S) { S +=! A(i,j) }";
    let report =
        of(text, &[16, 64], &Options { strict: true, ..options(None, Some("split S.update.j by 4 as jo ji\n")) });
    for (name, begin) in [("S.update.ji", "vectorise"), ("S.update.i", "reorder"), ("S.update.i", "tile")] {
        let tried = &report.loop_named(name).unwrap_or_else(|| panic!("no {name}")).tried;
        let one = tried.iter().find(|one| one.command.starts_with(begin)).unwrap_or_else(|| panic!("{tried:?}"));
        assert_eq!(one.outcome, Outcome::Conflict, "{one:?}");
        let pair = &one.conflict.as_ref().expect("two instances").pair;
        let at = (&pair.source.point, &pair.sink.point);
        assert!(at.0 < at.1 && pair.through.as_deref() == Some("S[]"), "{pair:?}");
        // What a tile or an exchange swaps differs in both loops, the inner one's strip at least.
        assert!(begin == "vectorise" || (at.0[0] < at.1[0] && at.0[1] > at.1[1]), "{begin}: {at:?}");
    }
}

#[test]
fn commands_are_tried_behind_the_schedule_or_on_the_source() {
    let (def, options) = (definition(MM), options(None, None));
    let asked = |command: &str| {
        let script = format!("{command}\n").parse::<Script>().expect("a command");
        why_not(&def, Some(&[64, 64, 64]), &options, &script).unwrap_or_else(|error| panic!("{error}"))
    };
    let behind = asked("parallel C.update.ko");
    assert_eq!((behind.tried.outcome, behind.on_source), (Outcome::Conflict, false), "{behind}");
    // The schedule has cut this loop: it is one of the source.
    let before = asked("parallel C.update.k");
    assert_eq!((before.tried.outcome, before.on_source), (Outcome::Conflict, true), "{before}");
    let pair = before.tried.conflict.expect("two instances").pair;
    assert_eq!((pair.source.point, pair.sink.point), (vec![0, 0, 0], vec![0, 0, 1]));
    let legal = asked("unroll C.update.ko by 2");
    assert!(legal.tried.outcome == Outcome::Legal && legal.change.is_some(), "{legal}");
    assert!(legal.to_string().contains("unrolled 2"), "{legal}");
    assert_eq!(asked("parallel C.update.q").tried.outcome, Outcome::DoesNotFit);
}

/// Equal parts count as often as they stand there, what instances use is that of the whole, and sums are bounds.
#[test]
fn traffic_of_parts_is_summed() {
    let text = "def two(float(N,N) A, float(N,N) B) -> (C, D) { C(i,j) = A(i,j) + 1 D(i,j) = B(i,j) + 1 }";
    let parts = of(text, &[40], &options(None, Some("part C\nauto\npart D like C\n")));
    let whole = of(text, &[40], &options(None, Some("auto\n")));
    let (parts, whole) = (parts.traffic.expect("traffic"), whole.traffic.expect("traffic"));
    assert_eq!(parts.used, whole.used);
    let [part] = &parts.parts[..] else { panic!("{:?}", parts.parts) };
    assert_eq!((part.part.as_str(), part.times), ("C", 2));
    for ((level, once), whole) in parts.levels.iter().zip(&part.levels).zip(&whole.levels) {
        assert_eq!(level.all.fetched.value, 2 * once.fetched.value);
        assert_eq!(level.all.written.value, 2 * once.written.value);
        assert!(!level.all.fetched.exact, "what is left in a cache is not counted");
        // Nothing is common to both: the sum is what the whole moves.
        assert_eq!(level.all.fetched.value, whole.all.fetched.value, "{}", level.name);
    }
    assert!(whole.parts.is_empty());
}
