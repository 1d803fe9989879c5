//! A product in TC: whatever stands around it, its own part of the script is of one kind. And what runs together stays
//! together, whatever stands around it, between it, and in which order.

use std::collections::BTreeSet;

use polyhedral::isl;
use scheduler::Cpu;
use support::Target;
use transform::{Policy, Session};

/// The names of the commands for the loops, and the operands, of the statement that is the product into `result`.
fn commands_of_product(text: &str, result: &str, second: &str) -> BTreeSet<&'static str> {
    let target = Target::from_toml(include_str!("../targets/znver5.toml")).expect("a target");
    let checked = frontend_tc::check(text);
    let [kernel] = &checked.defs[..] else { panic!("{:?}", checked.diagnostics) };
    let scop = frontend_tc::lower(kernel, &isl::Ctx::new()).expect("a program");
    let sizes = vec![1000; scop.params.len()];
    let scop = scop.specialise(&sizes).expect("sizes that fit");
    let mut session = Session::new(scop, &Target { threads: 1, ..target }).expect("a session");
    Cpu.schedule(&mut session).expect("a policy that takes what it gets");
    let script = session.script();
    // Loops that are shared with initial values are called after these.
    let own = [format!(" {result}."), format!("{second}_local"), format!("promote {second} ")];
    let commands = script.commands().filter(|command| own.iter().any(|word| command.to_string().contains(word)));
    // A result that nothing but its tile needs is stored there, and then is in no memory to ask for ahead.
    let of_memory = ["prefetch", "store"];
    commands.map(|command| command.name()).filter(|name| !of_memory.contains(name)).collect()
}

#[test]
fn what_stands_around_a_product_does_not_change_its_script() {
    let inputs = "float(M,K) A, float(K,N) B";
    let alone = commands_of_product(&format!("def f({inputs}) -> (C) {{ C(m,n) +=! A(m,k) * B(k,n) }}"), "C", "B");
    for command in ["split", "reorder", "unroll", "vectorise", "promote", "layout", "separate"] {
        assert!(alone.contains(command), "{command} in {alone:?}");
    }
    let spellings = [
        // Through a temporary that is copied out, and from one that is copied in.
        (format!("def f({inputs}) -> (C) {{ T(m,n) +=! A(m,k) * B(k,n)  C(m,n) = T(m,n) }}"), "T", "B"),
        (format!("def f({inputs}) -> (C) {{ T(m,k) = A(m,k)  C(m,n) +=! T(m,k) * B(k,n) }}"), "C", "B"),
        // Part of a chain, as its first and its second link.
        (chain(), "T", "B"),
        (chain(), "C", "D"),
        // With the sum begun by hand.
        (format!("def f({inputs}, float(M,N) X) -> (C) {{ C(m,n) = X(m,n)  C(m,n) += A(m,k) * B(k,n) }}"), "C", "B"),
        // Arguments and factors in another order, long names.
        (
            "def f(float(K,N) B, float(M,K) A) -> (C) { C(row,column) +=! B(inner,column) * A(row,inner) }".into(),
            "C",
            "B",
        ),
    ];
    for (text, result, second) in &spellings {
        assert_eq!(commands_of_product(text, result, second), alone, "{text}");
    }
}

fn chain() -> String {
    let inputs = "float(M,K) A, float(K,N) B, float(N,L) D";
    format!("def f({inputs}) -> (C) {{ T(m,n) +=! A(m,k) * B(k,n)  C(m,l) +=! T(m,n) * D(n,l) }}")
}

/// The groups of statements that run together, of a definition at sizes in the order of its text.
fn groups(text: &str, sizes: &[i64]) -> BTreeSet<BTreeSet<String>> {
    let target = Target::from_toml(include_str!("../targets/znver5.toml")).expect("a target");
    let checked = frontend_tc::check(text);
    let [kernel] = &checked.defs[..] else { panic!("{:?}", checked.diagnostics) };
    let scop =
        frontend_tc::lower(kernel, &isl::Ctx::new()).expect("a program").specialise(sizes).expect("sizes that fit");
    let mut session = Session::new(scop, &Target { threads: 2, ..target }).expect("a session");
    Cpu.schedule(&mut session).expect("a policy that takes what it gets");
    let refused: Vec<String> =
        session.remarks().iter().map(ToString::to_string).filter(|text| text.contains('`')).collect();
    assert!(!refused.iter().any(|text| text.contains("`fuse")), "{refused:?}");
    let scheduled = session.finish().expect("legal");
    let groups = scheduled.fusion.iter().flat_map(|report| &report.groups);
    groups.map(|group| group.stmts.iter().cloned().collect()).collect()
}

/// Asserts that some statements run together, perhaps with others.
#[track_caller]
fn assert_together(text: &str, sizes: &[i64], stmts: &[&str]) {
    let groups = groups(text, sizes);
    let holds = |group: &BTreeSet<String>| stmts.iter().all(|stmt| group.contains(*stmt));
    assert!(groups.iter().any(holds), "{stmts:?} in {groups:?}\n{text}");
}

const SOFTMAX: &str = "def softmax(float(N,D) I) -> (O) {
    Largest(n) max=! I(n,d)
    E(n,d) = exp(I(n,d) - Largest(n))
    Sum(n) +=! E(n,d)
    O(n,d) = E(n,d) / Sum(n)
}";
const OF_SOFTMAX: [&str; 6] = ["Largest.init", "Largest.update", "E", "Sum.init", "Sum.update", "O"];

#[test]
fn rows_stay_together_however_they_are_spelled() {
    let sizes = [4096, 1024];
    assert_together(SOFTMAX, &sizes, &OF_SOFTMAX);
    // Another output, of what was a temporary.
    assert_together(&SOFTMAX.replace("-> (O)", "-> (O, E, Sum)"), &sizes, &OF_SOFTMAX);
    // A statement that follows.
    let trailing = SOFTMAX.replace("-> (O)", "-> (P)").replace("/ Sum(n)\n", "/ Sum(n)\n    P(n,d) = O(n,d) * 0.5\n");
    let with_trailing: Vec<&str> = OF_SOFTMAX.into_iter().chain(["P"]).collect();
    assert_together(&trailing, &sizes, &with_trailing);
    // Other names, in another order of the alphabet.
    let renamed = SOFTMAX.replace("Largest", "z").replace("Sum", "a").replace("E(", "Q(");
    assert_together(&renamed, &sizes, &["z.init", "z.update", "Q", "a.init", "a.update", "O"]);
    // Something else in between.
    let between = SOFTMAX
        .replace("I) -> (O)", "I, float(M) W) -> (O, Z)")
        .replace("    Sum(n)", "    Z(m) = W(m) * 2\n    Sum(n)");
    assert_together(&between, &[4096, 1024, 1000], &OF_SOFTMAX);
}

#[test]
fn statements_may_be_swapped() {
    let moments = ["mean(n) +=! I(n,k)", "var(n) +=! I(n,k) * I(n,k)", "mean(n) = mean(n) / K"];
    let last = "var(n) = var(n) / K - mean(n) * mean(n)";
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2]] {
        let [a, b, c] = order.map(|at| moments[at]);
        let text = format!("def moments(float(N,K) I) -> (mean, var) {{\n {a}\n {b}\n {c}\n {last}\n}}");
        assert_together(&text, &[4096, 1024], &["mean.init", "mean.update", "var.init", "var.update"]);
    }
}

#[test]
fn a_product_keeps_what_follows_in_its_tiles() {
    let layer = "def layer(float(M,K) A, float(K,N) B, float(N) b) -> (O) {
        O(m,n) +=! A(m,k) * B(k,n)
        O(m,n) = fmax(O(m,n) + b(n), 0)
    }";
    let all = ["O.init", "O.update", "O.2"];
    let sizes = [512, 512, 512];
    assert_together(layer, &sizes, &all);
    let between = layer
        .replace("-> (O)", "-> (O, Z)")
        .replace("        O(m,n) = fmax", "        Z(n) = b(n) * 2\n        O(m,n) = fmax");
    assert_together(&between, &sizes, &all);
    let trailing = layer.replace("-> (O)", "-> (O, P)").replace(", 0)\n", ", 0)\n        P(m,n) = O(m,n) * 0.5\n");
    assert_together(&trailing, &sizes, &["O.init", "O.update", "O.2", "P"]);
    // A reader that has loops of its own does not take them apart.
    let read = layer.replace("-> (O)", "-> (O, L)").replace(", 0)\n", ", 0)\n        L(m) max=! O(m,n)\n");
    assert_together(&read, &sizes, &all);
}
