//! A product in TC: whatever stands around it, its own part of the script is of one kind.

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
