//! Every definition of the repository: of the library, the guide, the examples and the benchmarks.

use std::fs;
use std::path::{Path, PathBuf};

use frontend_tc::library;
use tilewright::{Definition, Source, check};

use crate::{agreement, full, interpreter, opencl, work};

/// What has no kernels yet, and why: nothing.
const UNSUPPORTED: [(&str, &str); 0] = [];

/// Of the definitions of the library every one in so many, but for the long form.
const EVERY: usize = 6;

/// A definition, and where it is from.
struct Case {
    place: String,
    def: Definition,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_path_buf()
}

fn cases_of(place: &str, text: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<Case> {
    let mut reader = |_: &str, path: &str| Some((path.to_string(), read(path)?));
    let source = Source::load(place.into(), text.into(), &mut reader);
    let (defs, _) = check(&source).unwrap_or_else(|error| panic!("{place}: {error}"));
    defs.into_iter().map(|def| Case { place: place.into(), def }).collect()
}

fn files(folder: &str) -> Vec<Case> {
    let folder = repository().join(folder);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("it").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "tc"));
    paths.sort();
    let read = |path: &str| fs::read_to_string(folder.join(path)).ok();
    let cases = |path: &PathBuf| {
        let name = path.strip_prefix(repository()).expect("inside").display().to_string();
        cases_of(&name, &fs::read_to_string(path).expect("a text"), &read)
    };
    paths.iter().flat_map(cases).collect()
}

/// The programs of the guide.
fn guide() -> Vec<Case> {
    let page = fs::read_to_string(repository().join("docs/language.md")).expect("the guide");
    let programs = page.split("```tc\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let numbered = programs.enumerate();
    numbered
        .flat_map(|(number, text)| cases_of(&format!("docs/language.md, program {number}"), text, &|_| None))
        .collect()
}

fn corpus() -> Vec<Case> {
    let mut all = files("examples");
    all.extend(files("benches/kernels"));
    all.extend(guide());
    let library = library::FILES.iter().flat_map(|(name, text)| cases_of(name, text, &|_| None));
    let every = if full() { 1 } else { EVERY };
    all.extend(library.step_by(every));
    assert!(all.len() >= 80, "{} definitions", all.len());
    all
}

/// Small sizes for which most loops are neither empty nor a multiple of anything.
fn judged(case: &Case, run: impl Fn(&[i64]) -> Result<(), String>) -> Result<(), String> {
    let Case { place, def } = case;
    let sizes = agreement::sizes(def).ok_or("no small sizes satisfy its conditions")?;
    let outcome = run(&sizes).map_err(|error| format!("{place}, `{}`: {error}", def.name));
    match UNSUPPORTED.iter().find(|(name, _)| *name == def.name) {
        None => outcome,
        Some((_, why)) if outcome.is_ok() => Err(format!("`{}` runs, and is listed as what does not: {why}", def.name)),
        Some(_) => Ok(()),
    }
}

#[test]
fn every_definition_computes_on_a_device_what_the_evaluator_does() {
    let Some(compiler) = opencl() else { return };
    let wrong = work::failures(&corpus(), |case| {
        judged(case, |sizes| agreement::runs_on(std::slice::from_ref(&compiler), &case.def, sizes))
    });
    assert!(wrong.is_empty(), "{} fail:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_definition_computes_in_any_order_of_threads_what_the_evaluator_does() {
    let wrong = work::failures(&corpus(), |case| judged(case, |sizes| interpreter::runs(&case.def, sizes)));
    assert!(wrong.is_empty(), "{} fail:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_definition_computes_as_ptx_what_the_evaluator_does() {
    let wrong = work::failures(&corpus(), |case| judged(case, |sizes| interpreter::runs_as_ptx(&case.def, sizes)));
    assert!(wrong.is_empty(), "{} fail:\n{}", wrong.len(), wrong.join("\n"));
}
