//! Runs a corpus of definitions through the compiler: which are accepted, which are rejected, and where that differs from
//! what the corpus says; those that are accepted run, for small sizes, and are compared with the evaluator.
//!
//! ```text
//! cargo run --example corpus -- CASES.json [NUMBER]
//! ```
//! A case has `case`, a number; `verdict`, `compile` or `reject` or a sentence; `notes`, of which one may say what ranges
//! must be inferred; and `definitions`, each a text.

use std::collections::BTreeMap;
use std::process::ExitCode;

use frontend_tc::{Checked, Kernel, check};
use polyhedral::Index;
use serde::Deserialize;

#[path = "../tests/agreement/mod.rs"]
mod agreement;

#[derive(Deserialize)]
struct Case {
    case: u32,
    verdict: String,
    #[serde(default)]
    notes: Vec<String>,
    definitions: Vec<String>,
}

/// What happened to a definition.
enum Outcome {
    /// Cut out of a text in another language, with what that put in between.
    Unreadable,
    Rejected(Vec<String>),
    /// What is wrong, and what could not be tried.
    Accepted(Vec<String>, Vec<String>),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next() else {
        eprintln!("usage: corpus CASES.json [NUMBER]");
        return ExitCode::from(2);
    };
    let only: Option<u32> = arguments.next().and_then(|number| number.parse().ok());
    let cases: Vec<Case> = match std::fs::read_to_string(&file).map(|text| serde_json::from_str(&text)) {
        Ok(Ok(cases)) => cases,
        Ok(Err(error)) => return failed(&file, &error.to_string()),
        Err(error) => return failed(&file, &error.to_string()),
    };
    let (mut accepted, mut rejected, mut unreadable, mut differences) = (0, 0, 0, 0);
    for case in cases.iter().filter(|case| only.is_none_or(|only| case.case == only)) {
        for definition in &case.definitions {
            let mut said = Vec::new();
            match outcome(case, definition) {
                Outcome::Unreadable => {
                    unreadable += 1;
                    said.push("not a text of the language".to_owned());
                }
                Outcome::Rejected(errors) => {
                    rejected += 1;
                    if case.verdict != "reject" {
                        differences += 1;
                        said.push("DIFFERENCE: rejected".to_owned());
                    }
                    said.extend(errors);
                }
                Outcome::Accepted(wrong, untried) => {
                    accepted += 1;
                    if case.verdict == "reject" {
                        said.push("accepted, and upstream rejects it".to_owned());
                    }
                    differences += usize::from(!wrong.is_empty());
                    said.extend(untried);
                    said.extend(wrong.into_iter().map(|wrong| format!("DIFFERENCE: {wrong}")));
                }
            }
            said.iter().for_each(|line| println!("{:4}  {line}", case.case));
        }
    }
    println!("{accepted} accepted, {rejected} rejected, {unreadable} unreadable, {differences} differences");
    if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failed(file: &str, error: &str) -> ExitCode {
    eprintln!("{file}: {error}");
    ExitCode::FAILURE
}

fn outcome(case: &Case, definition: &str) -> Outcome {
    let Checked { defs, diagnostics } = check(definition);
    let errors: Vec<String> = diagnostics
        .iter()
        .filter(|one| one.severity == tilewright::Severity::Error)
        .map(|one| {
            let place = one.span().and_then(|span| definition.get(span.range())).unwrap_or("").replace('\n', " ");
            format!("{} at `{place}`: {}", one.code, one.message)
        })
        .collect();
    if case.verdict != "reject" && diagnostics.iter().any(|one| one.code == "TC0004") {
        return Outcome::Unreadable;
    }
    if !errors.is_empty() {
        return Outcome::Rejected(errors);
    }
    let (mut wrong, mut untried) = (Vec::new(), Vec::new());
    for def in &defs {
        wrong.extend(case.notes.iter().filter_map(|note| other_ranges(def, note)));
        match agreement::runs(def) {
            Ok(()) => (),
            // Sizes that are numbers, and subscripts that only some data keeps inside.
            Err(error) if error.starts_with("no small sizes") || error.contains("TC0911") => {
                untried.push(format!("does not run for small random data: {error}"));
            }
            Err(error) => wrong.push(error),
        }
    }
    Outcome::Accepted(wrong, untried)
}

/// What a note says of inferred minima and extents, and is not so.
fn other_ranges(def: &Kernel, note: &str) -> Option<String> {
    let (_, said) = note.split_once("must infer mins ")?;
    let (minima, extents) = said.split_once(" / extents ")?;
    let names = their_names(def, extents);
    for (kind, list) in [("minimum", minima), ("extent", extents)] {
        for (name, values) in list.split(']').filter_map(|one| one.trim_start_matches(['.', ';', ' ']).split_once("@["))
        {
            let Some(tensor) = def.tensors.iter().find(|tensor| tensor.name == name) else { continue };
            let ours = if kind == "extent" { &tensor.extent } else { &tensor.lower };
            let theirs: Vec<&str> = values.split(';').map(str::trim).filter(|value| !value.is_empty()).collect();
            if theirs.len() != ours.len() {
                return Some(format!("`{name}` has {} dimensions, not {}", ours.len(), theirs.len()));
            }
            for (own, their) in ours.iter().zip(theirs) {
                if !same(def, own, their, &names) {
                    let own = own.display(&[], &def.sizes).to_string();
                    return Some(format!("the {kind} of `{name}` is {own}, not {their}"));
                }
            }
        }
    }
    None
}

/// The names that the corpus has for our sizes: what it says of inputs, whose extents are sizes.
fn their_names(def: &Kernel, extents: &str) -> BTreeMap<String, usize> {
    let mut names: BTreeMap<String, usize> = def.sizes.iter().cloned().zip(0..).collect();
    for (name, values) in extents.split(']').filter_map(|one| one.trim_start_matches(['.', ';', ' ']).split_once("@["))
    {
        let Some(input) = def.inputs().find(|input| input.name == name) else { continue };
        for (own, their) in input.extent.iter().zip(values.split(';')) {
            if let Index::Param(at) = own {
                names.entry(their.trim().to_owned()).or_insert(*at);
            }
        }
    }
    names
}

/// Whether both give the same for many sizes.
fn same(def: &Kernel, own: &Index, their: &str, names: &BTreeMap<String, usize>) -> bool {
    let mut rng = fastrand::Rng::with_seed(1);
    (0..200).all(|_| {
        let sizes: Vec<i64> = def.sizes.iter().map(|_| rng.i64(0..60)).collect();
        let values: BTreeMap<&str, i64> = names.iter().map(|(name, &at)| (name.as_str(), sizes[at])).collect();
        !def.check_sizes(&sizes).is_empty() || own.eval(&[], &sizes) == number(their, &values)
    })
}

/// The value of an expression as the corpus writes it; `None` when it is none.
fn number(text: &str, values: &BTreeMap<&str, i64>) -> Option<i64> {
    let bytes: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let mut at = 0;
    let value = sum(&bytes, &mut at, values)?;
    (at == bytes.len()).then_some(value)
}

fn sum(text: &[char], at: &mut usize, values: &BTreeMap<&str, i64>) -> Option<i64> {
    let mut value = product(text, at, values)?;
    while let Some(op @ ('+' | '-')) = text.get(*at) {
        *at += 1;
        let right = product(text, at, values)?;
        value = if *op == '+' { value + right } else { value - right };
    }
    Some(value)
}

fn product(text: &[char], at: &mut usize, values: &BTreeMap<&str, i64>) -> Option<i64> {
    let mut value = atom(text, at, values)?;
    while let Some(op @ ('*' | '/' | '%')) = text.get(*at) {
        *at += 1;
        let right = atom(text, at, values)?;
        value = match op {
            '*' => value * right,
            '/' => value.checked_div_euclid(right)?,
            _ => value.checked_rem_euclid(right)?,
        };
    }
    Some(value)
}

fn atom(text: &[char], at: &mut usize, values: &BTreeMap<&str, i64>) -> Option<i64> {
    let start = *at;
    match text.get(start)? {
        '(' => {
            *at += 1;
            let value = sum(text, at, values)?;
            *at += 1;
            Some(value)
        }
        '-' => {
            *at += 1;
            Some(-atom(text, at, values)?)
        }
        _ => {
            while text.get(*at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                *at += 1;
            }
            let word: String = text[start..*at].iter().collect();
            if (word == "min" || word == "max") && text.get(*at) == Some(&'(') {
                *at += 1;
                let a = sum(text, at, values)?;
                *at += 1;
                let b = sum(text, at, values)?;
                *at += 1;
                return Some(if word == "min" { a.min(b) } else { a.max(b) });
            }
            word.parse().ok().or_else(|| values.get(word.as_str()).copied())
        }
    }
}
