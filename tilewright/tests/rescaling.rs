//! Sums of terms relative to a maximum that still grows: what `rescale` makes computes what the source does, and a program
//! that does not is never taken for one that does.

use codegen::interp;
use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::testing::{Rng, random_inputs};
use polyhedral::{Scop, isl, legality};
use support::Target;
use transform::{Command, Options, Session};

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
    let program = codegen::lower(changed, &codegen::Options::default(), &mut Vec::new()).map_err(|error| error.to_string())?;
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
            agrees(&scop, &scheduled.scop, seed, special)
                .unwrap_or_else(|why| panic!("seed {seed}, by {by}, rows {rows:?}, special {special}: {why}\n{}", drawn.text));
        }
    }
}
