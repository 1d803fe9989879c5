//! The guide to the language: every program in it runs, and computes what the evaluator does.

mod agreement;

use std::fs;
use std::path::Path;

/// The programs of a page of Markdown, with the lines that they begin at.
fn programs(page: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line) {
            (None, "```tc") => open = Some((number + 2, String::new())),
            (Some(_), "```") => all.extend(open.take()),
            (Some((_, text)), line) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => (),
        }
    }
    all
}

#[test]
fn every_program_of_the_guide_computes_what_the_evaluator_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("docs/language.md");
    let programs = programs(&fs::read_to_string(path).expect("the guide"));
    assert!(programs.len() >= 12, "{} programs", programs.len());
    let mut wrong = Vec::new();
    for (line, text) in programs {
        let checked = frontend_tc::check(&text);
        wrong.extend(checked.diagnostics.iter().map(|one| format!("line {line}: {one:?}")));
        for def in &checked.defs {
            wrong.extend(agreement::runs(def).err().map(|error| format!("line {line}, `{}`: {error}", def.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
