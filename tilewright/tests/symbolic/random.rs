//! Programs drawn at random from what the language has: whole numbers, so that every difference is a mistake.

use std::collections::BTreeSet;

use tilewright::Definition;

/// So many definitions; always the same ones.
pub fn definitions(count: usize) -> Vec<(String, Definition)> {
    let mut all = Vec::new();
    let mut seed = 0;
    while all.len() < count {
        seed += 1;
        let text = text(&mut fastrand::Rng::with_seed(seed));
        let checked = frontend_tc::check(&text);
        // What is drawn may be refused, such as a subscript that is outside for all sizes.
        if !checked.has_errors() {
            all.extend(checked.defs.into_iter().map(|def| (format!("{text}, seed {seed}"), def)));
        }
        assert!(seed < 20 * count as u64, "hardly any program that is drawn is right");
    }
    all
}

fn text(rng: &mut fastrand::Rng) -> String {
    let mut returned = BTreeSet::new();
    let statements: Vec<String> = (0..rng.usize(1..=3)).map(|at| statement(rng, at, &mut returned)).collect();
    let returned: Vec<String> = returned.into_iter().collect();
    let inputs = "int32(N) A, int32(M) B, int32(N, M) C, int32(K) D";
    format!("def f({inputs}) -> ({}) {{\n  {}\n}}", returned.join(", "), statements.join("\n  "))
}

/// Statement number `at`, which writes `T0`, `T1`, …
fn statement(rng: &mut fastrand::Rng, at: usize, returned: &mut BTreeSet<String>) -> String {
    let target = format!("T{at}");
    returned.insert(target.clone());
    let (a, b, c) = (rng.i64(-2..=3), rng.i64(-3..=3), rng.i64(1..=3));
    let border = ["clamp", "wrap", "mirror"][rng.usize(0..3)];
    let size = ["N", "M", "K", "N + 2", "min(N, M)", "(N + 1) / 2", "N - 1"][rng.usize(0..7)];
    let own = if at == 0 { "A(i)".to_owned() } else { format!("T{}(clamp(i))", at - 1) };
    match rng.u8(0..12) {
        0 => format!("{target}(i) = A(i + {}) - {c} * D(i)", b.abs()),
        1 => format!("{target}(i) = A({border}({c} * i + {b})) + {own} where i in 0:N"),
        2 => format!("{target}(i) +=! C(i, j) * B(j)"),
        3 => format!("{target}(i) max=! C(i, j) + D(clamp(j + {a})) where i in 0:N, j in {}:min(i + {c}, M)", b.abs()),
        4 => format!("{target}(i) = pad(A(i + {b}), {a}) where i in 0:{size}"),
        5 => format!("{target}(i + {c}) +=! D(({} * i + k) / {c}) where i in 0:N, k in 0:3", a.abs()),
        6 => format!("{target}(0) = A(0)\n  for t in 1:N {{ {target}(t) = {target}(t - 1) + {c} * A(t) }}"),
        7 => format!("{target}(i) +=! C(j, i) where i in 0:M, j in i:N"),
        8 => format!("{target}({c} * i) = A(i)"),
        9 => format!("{target}(i) = (i % {c} == 0) ? A(i / {c}) : {own} where i in 0:N"),
        10 => format!("{target}(i) argmax=! C(i, j)"),
        _ => format!("{target}(i) = N * A(i) + i + M + {own}"),
    }
}
