//! Sums of terms relative to a maximum that still grows: what `rescale` makes computes what the source does, and a program
//! that does not is never taken for one that does.

use codegen::interp;
use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::testing::{Rng, random_inputs};
use polyhedral::{BinOp, Builtin, Expr, Memory, Node, Role, Scop, Value, isl, legality};
use support::Target;
use transform::{Command, Options, Policy, Session};

fn target() -> Target {
    Target::from_toml(include_str!("../targets/znver5.toml")).expect("a target")
}

/// A program of rows, drawn at random: what the terms are of, how they are scaled, which sums there are.
struct Drawn {
    text: String,
    sizes: Vec<i64>,
    sums: Vec<&'static str>,
    /// The statements of terms.
    terms: Vec<&'static str>,
    /// Dimensions before the reduced one.
    rank: usize,
}

fn drawn(rng: &mut Rng) -> Drawn {
    let factor = rng.pick(&["1.0", "0.125", "0.3"]);
    let function = rng.pick(&["exp", "exp2", "exp10"]);
    let (scores, of_max) = (rng.percent(50), rng.percent(50));
    let score = if scores { "X(b,i,j) + Y(i,j)" } else { "X(b,i,j) * Y(i,j)" };
    let (compared, exponent) = match of_max {
        true => (format!("S(b,i,j) * {factor}"), format!("S(b,i,j) * {factor} - M(b,i)")),
        false => ("S(b,i,j)".into(), format!("(S(b,i,j) - M(b,i)) * {factor}")),
    };
    let term = format!("{function}({exponent})");
    let inline = rng.percent(30);
    let (stored, used) = match inline {
        true => (String::new(), term),
        false => (format!("    P(b,i,j) = {term}\n"), "P(b,i,j)".to_string()),
    };
    let weighted = rng.pick(&[
        "@ * V(b,j,d)",
        "V(b,j,d) * (0.5 * @)",
        "@ * V(b,j,d) - @ * W(j)",
        "-@ / (2.0 + V(b,j,d) * V(b,j,d))",
    ]);
    let weighted = weighted.replace('@', &used);
    let text = format!(
        "def rows(float(B,I,J) X, float(I,J) Y, float(B,J,D) V, float(J) W) -> (O, Z, L) {{
    S(b,i,j) = {score}
    M(b,i) max=! {compared}
{stored}    Z(b,i) +=! {used}
    O(b,i,d) +=! {weighted}
    O(b,i,d) = O(b,i,d) / Z(b,i)
    L(b,i) = log(Z(b,i)) + M(b,i) + 0 * W(0)
}}"
    );
    let size = |rng: &mut Rng, most: i64| rng.between(1, most);
    // In the order of the text: B, I, J, D.
    let sizes = vec![size(rng, 2), size(rng, 5), rng.between(2, 9), size(rng, 3)];
    let terms = if inline { vec![] } else { vec!["P"] };
    Drawn { text, sizes, sums: vec!["Z", "O"], terms, rank: 2 }
}

fn lowered(text: &str, sizes: &[i64]) -> Scop {
    let checked = frontend_tc::check(text);
    let [def] = checked.defs.as_slice() else { panic!("{text}\n{:?}", checked.diagnostics) };
    let scop = frontend_tc::lower(def, &isl::Ctx::new()).expect("a program");
    scop.specialise(sizes).unwrap_or_else(|error| panic!("{sizes:?}: {error}"))
}

/// Blocks of the reduced loop outside of what is in a block, then the law.
fn commands(drawn: &Drawn, by: u32, rows: Option<u32>) -> Vec<Command> {
    let mut all = Vec::new();
    let nests = drawn.terms.iter().map(|term| term.to_string());
    let sums = drawn.sums.iter().map(|sum| format!("{sum}.update"));
    for stmt in ["M.update".to_string()].into_iter().chain(nests).chain(sums) {
        let loops = |names: &[&str]| -> Vec<String> { names.iter().map(|name| format!("{stmt}.{name}")).collect() };
        let mut order: Vec<&str> = vec!["b"];
        all.push(Command::split(format!("{stmt}.j"), by).named(["jb"], ["jr"]));
        match rows {
            Some(rows) => {
                all.push(Command::split(format!("{stmt}.i"), rows).named(["ib"], ["ir"]));
                order.extend(["ib", "jb", "ir"]);
            }
            None => order.extend(["i", "jb"]),
        }
        if stmt == "O.update" {
            order.push("d");
        }
        order.push("jr");
        all.push(Command::reorder(loops(&order)));
    }
    assert_eq!(drawn.rank, 2);
    all.push(Command::rescale(drawn.sums.iter().copied(), "M", "M.update.jb"));
    all
}

fn inputs(scop: &Scop, seed: u64, special: bool) -> Tensors {
    let mut rng = Rng::new(seed + 11);
    let inputs = random_inputs(scop, &[], seed).into_iter().map(|mut input| {
        for value in &mut input.values {
            *value *= 8.0;
            // What a mask makes of a score, and what a score may be that has gone wrong.
            if special && input.name == "X" && rng.percent(40) {
                *value = rng.pick(&[f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NAN]);
            }
        }
        (input.name, Data::from_f64s(input.dtype, &input.shape, &input.values))
    });
    inputs.collect()
}

/// Runs the program in the order of its tree and compares with what the source computes.
fn agrees(source: &Scop, changed: &Scop, seed: u64, special: bool) -> Result<(), String> {
    let inputs = inputs(source, seed, special);
    let wide = eval::run_wide(source, &[], &inputs, Limits::default()).map_err(|error| error.to_string())?;
    let program =
        codegen::lower(changed, &codegen::Options::default(), &mut Vec::new()).map_err(|error| error.to_string())?;
    let outputs = interp::interpret(&program, &[], &inputs, seed).map_err(|fault| format!("{fault}\n{program}"))?;
    for name in wide.names() {
        let data = outputs.get(name).ok_or_else(|| format!("there is no `{name}`"))?;
        wide.compare(name, data).map_err(|mismatch| format!("{mismatch}\n{program}"))?;
    }
    Ok(())
}

fn session(scop: &Scop) -> Session {
    Session::new(scop.clone(), &target()).expect("a session")
}

#[test]
fn rescaled_sums_are_those_of_the_source() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let drawn = drawn(&mut rng);
        let scop = lowered(&drawn.text, &drawn.sizes);
        let (by, rows) = (rng.between(1, drawn.sizes[2] - 1) as u32, rng.percent(50).then(|| rng.between(1, 4) as u32));
        let mut session = session(&scop);
        for command in commands(&drawn, by, rows) {
            session.apply(command).unwrap_or_else(|refused| panic!("seed {seed}: {refused}\n{}", drawn.text));
        }
        let scheduled = session.finish().unwrap_or_else(|refused| panic!("seed {seed}: {refused}"));
        for special in [false, true] {
            agrees(&scop, &scheduled.scop, seed, special).unwrap_or_else(|why| {
                panic!("seed {seed}, by {by}, rows {rows:?}, special {special}: {why}\n{}", drawn.text)
            });
        }
    }
}

/// Scaled between exponential and maximum.
const ATTENTION: &str = "def attention(float(B,S,D) Q, float(B,S,D) K, float(B,S,D) V) -> (O) {
    Score(b,i,j) +=! Q(b,i,d) * K(b,j,d)
    Largest(b,i) max=! Score(b,i,j)
    P(b,i,j) = exp((Score(b,i,j) - Largest(b,i)) * 0.125)
    Sum(b,i) +=! P(b,i,j)
    O(b,i,d) +=! P(b,i,j) * V(b,j,d)
    O(b,i,d) = O(b,i,d) / Sum(b,i)
}";

/// Scaled and masked before the maximum.
const CAUSAL: &str = "def causal(float(B,S,D) Q, float(B,S,D) K, float(B,S,D) V) -> (O) {
    Score(b,i,j) +=! Q(b,i,d) * K(b,j,d)
    Masked(b,i,j) = j <= i ? Score(b,i,j) * 0.125 : -1e30
    Largest(b,i) max=! Masked(b,i,j)
    P(b,i,j) = exp(Masked(b,i,j) - Largest(b,i))
    Sum(b,i) +=! P(b,i,j)
    O(b,i,d) +=! P(b,i,j) * V(b,j,d)
    O(b,i,d) = O(b,i,d) / Sum(b,i)
}";

/// Other lengths of keys and of values, more loops around, no statement for the terms.
const CROSS: &str = "def cross(float(B,H,S,D) Q, float(B,H,T,D) K, float(B,H,T,E) V) -> (O) {
    X(b,h,i,j) +=! Q(b,h,i,d) * K(b,h,j,d)
    M(b,h,i) max=! X(b,h,i,j)
    Z(b,h,i) +=! exp((X(b,h,i,j) - M(b,h,i)) / 8)
    O(b,h,i,e) +=! exp((X(b,h,i,j) - M(b,h,i)) / 8) * V(b,h,j,e)
    O(b,h,i,e) = O(b,h,i,e) / Z(b,h,i)
}";

/// The policy's schedule for a target.
fn scheduled(text: &str, sizes: &[i64], target: &Target, strict: bool) -> (Scop, transform::Scheduled) {
    let scop = lowered(text, sizes);
    let options = Options { strict, ..Options::default() };
    let mut session = Session::with_options(scop.clone(), target, options).expect("a session");
    scheduler::Cpu.schedule(&mut session).expect("a policy that takes what it gets");
    let scheduled = session.finish().unwrap_or_else(|refused| panic!("{refused}"));
    (scop, scheduled)
}

/// Bytes of the temporaries that hold a score for each pair of rows, in memory and on the stack.
fn bytes_of_scores(scop: &Scop) -> (i64, i64) {
    let (mut global, mut stack) = (0, 0);
    for tensor in scop.tensors.values().filter(|tensor| tensor.role == Role::Temporary) {
        let extents = tensor.extent.iter().map(|extent| extent.as_const().expect("known"));
        let bytes = extents.product::<i64>() * i64::from(tensor.dtype.bytes());
        match tensor.memory {
            _ if ["K_local", "V_local"].iter().any(|name| tensor.name.starts_with(name)) => {}
            Memory::Stack => stack += bytes,
            _ => global += bytes,
        }
    }
    (global, stack)
}

#[test]
fn scores_never_reach_memory() {
    for threads in [1, 2] {
        let target = Target { threads, ..target() };
        let all: [(&str, &[i64], bool); 8] = [
            (ATTENTION, &[16, 512, 64], false),
            (ATTENTION, &[8, 2048, 64], false),
            (ATTENTION, &[8, 2048, 64], true),
            (ATTENTION, &[1, 32768, 64], false),
            (CAUSAL, &[8, 2048, 64], false),
            // In the order of the text: B, H, S, D, T, E.
            (CROSS, &[2, 4, 2048, 64, 1500, 128], false),
            (CROSS, &[1, 8, 700, 64, 400, 128], false),
            (CROSS, &[1, 1, 5000, 64, 3000, 128], false),
        ];
        for (text, sizes, strict) in all {
            let (_, scheduled) = scheduled(text, sizes, &target, strict);
            let (global, stack) = bytes_of_scores(&scheduled.scop);
            let script = &scheduled.script;
            assert_eq!(global, 0, "{text}\n{sizes:?} on {threads}\n{script}");
            assert!(stack <= Memory::STACK_BYTES, "{text}\n{sizes:?}: {stack} bytes on the stack\n{script}");
        }
    }
}

#[test]
fn what_the_policy_makes_computes_what_the_source_does() {
    let mut target = target();
    // Small caches, so that small matrices are too large for them.
    target.caches[1].bytes = 192 << 10;
    let all: [(&str, &[i64], bool); 4] = [
        (ATTENTION, &[2, 130, 5], true),
        (CAUSAL, &[1, 150, 3], true),
        (CROSS, &[1, 2, 130, 3, 300, 4], true),
        (ATTENTION, &[2, 150, 4], false),
    ];
    for (text, sizes, is_rescaled) in all {
        let (scop, scheduled) = scheduled(text, sizes, &target, !is_rescaled);
        let used = scheduled.script.commands().any(|command| command.name() == "rescale");
        assert_eq!(used, is_rescaled, "{text}\n{}", scheduled.script);
        for special in [false, true] {
            agrees(&scop, &scheduled.scop, 3, special).unwrap_or_else(|why| {
                panic!("{sizes:?}, special {special}: {}", why.lines().next().unwrap_or_default())
            });
        }
    }
}

#[test]
fn another_order_of_sums_is_refused_where_the_written_one_is_kept() {
    let mut rng = Rng::new(3);
    let drawn = drawn(&mut rng);
    let scop = lowered(&drawn.text, &drawn.sizes);
    let options = Options { strict: true, ..Options::default() };
    let mut session = Session::with_options(scop, &target(), options).expect("a session");
    let mut commands = commands(&drawn, 1, None);
    let rescale = commands.pop().expect("the last one");
    commands.into_iter().for_each(|command| session.apply(command).expect("an order"));
    let refused = session.apply(rescale).expect_err("terms would be rounded in another order");
    assert!(refused.to_string().contains("keep their order"), "{refused}");
}

/// A program with one thing about it changed: a part of its tree or an expression.
fn spoiled(scop: &Scop, rng: &mut Rng, added: usize) -> Scop {
    let mut scop = scop.clone();
    let stmts: Vec<_> = scop.stmts.keys().collect();
    let id = if rng.percent(70) { stmts[stmts.len() - 1 - rng.below(added)] } else { stmts[rng.below(stmts.len())] };
    match rng.below(4) {
        // Another order of two neighbours.
        0 | 1 => swapped(&mut scop.tree.root, rng),
        // Other reads.
        2 => {
            let reads = &mut scop.stmts[id].reads;
            if reads.len() > 1 {
                let (a, b) = (rng.below(reads.len()), rng.below(reads.len()));
                reads.swap(a, b);
            }
        }
        // Another operator, or constant.
        _ => {
            for expr in scop.stmts[id].body.exprs_mut() {
                *expr = expr.map(&mut |e| match e {
                    Expr::Binary(BinOp::Mul, a, b) if rng.percent(40) => Expr::Binary(BinOp::Add, a, b),
                    Expr::Binary(BinOp::Sub, a, b) if rng.percent(40) => Expr::Binary(BinOp::Sub, b, a),
                    Expr::Const(Value::Float(value), dtype) if rng.percent(40) => {
                        Expr::Const(Value::Float(value * 0.5 + 0.25), dtype)
                    }
                    Expr::Call(Builtin::Exp, arguments) => Expr::Call(Builtin::Exp2, arguments),
                    e => e,
                });
            }
        }
    }
    scop
}

/// Swaps two neighbours of a sequence in the loops.
fn swapped(node: &mut Node, rng: &mut Rng) {
    let mut node = node;
    loop {
        match node {
            Node::Sequence(children) if children.len() > 2 && rng.percent(70) => {
                let inner = children.iter().position(|child| {
                    matches!(&child.node, Node::Band(band)
                    if matches!(&*band.child, Node::Sequence(parts) if parts.len() > 4))
                });
                match inner {
                    Some(at) => node = &mut children[at].node,
                    None => {
                        let at = rng.below(children.len() - 1);
                        children.swap(at, at + 1);
                        return;
                    }
                }
            }
            Node::Band(band) => node = &mut band.child,
            _ => return,
        }
    }
}

/// Whether the law's checker takes the program for what `rescale` makes.
fn is_law(source: &Scop, changed: &Scop) -> bool {
    let tensor = |name: &str| changed.tensor_named(name).expect("a tensor");
    let claim = legality::Rescaling {
        max: tensor("M"),
        sums: vec![tensor("Z"), tensor("O")],
        member: "M.update.jb".into(),
        reference: tensor("M_seen"),
        factor: tensor("M_factor"),
    };
    legality::rescaled(source, changed, &claim).is_ok()
        && legality::own_order(changed, false).is_ok_and(|tree| tree.is_some())
}

#[test]
fn a_wrong_program_is_never_taken_for_a_law() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let drawn = drawn(&mut rng);
        let scop = lowered(&drawn.text, &drawn.sizes);
        let mut session = session(&scop);
        let by = rng.between(1, drawn.sizes[2] - 1) as u32;
        commands(&drawn, by, None).into_iter().for_each(|command| session.apply(command).expect("a law"));
        let changed = session.scop().clone();
        let added = changed.stmts.len() - scop.stmts.len();
        assert!(is_law(&scop, &changed), "seed {seed}: what `rescale` makes");
        for _ in 0..6 {
            let spoiled = spoiled(&changed, &mut rng, added);
            if is_law(&scop, &spoiled) {
                accepted += 1;
                agrees(&scop, &spoiled, seed, true)
                    .unwrap_or_else(|why| panic!("seed {seed}: accepted, and {why}\n{}", drawn.text));
            } else {
                refused += 1;
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(refused > 60 && accepted > 10, "{accepted} accepted, {refused} refused");
}
