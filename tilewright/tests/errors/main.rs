//! What is said of wrong programs, word for word and underlined, as the command prints it.
//!
//! The `.txt` files hold the cases: a line `## title`, the program, a line `--`, what is said. `UPDATE_EXPECT=1` writes what is
//! said now in its place.

mod calls;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tilewright::{Source, render};

/// A wrong program.
struct Case {
    title: String,
    program: String,
    said: String,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let entries = fs::read_dir(folder).expect("the folder of this test");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    files
}

fn cases(file: &Path) -> Vec<Case> {
    let text = fs::read_to_string(file).expect("a text");
    let parts = text.split("## ").filter(|part| !part.trim().is_empty());
    let case = |part: &str| {
        let (title, rest) = part.split_once('\n').expect("a title on a line of its own");
        let (program, said) = rest.split_once("\n--").unwrap_or((rest.trim_end(), ""));
        Case { title: title.into(), program: format!("{}\n", program.trim_end()), said: said.trim().into() }
    };
    parts.map(case).collect()
}

#[test]
fn wrong_programs_are_told_so() {
    // What takes more text than anybody wants to read, and what needs the sizes of a call: their pages are tested alone.
    let elsewhere = ["TC0001", "TC0002", "TC0003", "TC0007", "TC0009", "TC0015", "TC0501"];
    let mut codes: BTreeSet<&str> = elsewhere.into();
    let (mut count, mut faults) = (0, Vec::new());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    for file in files() {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut written = String::new();
        for Case { title, program, said } in cases(&file) {
            let found = frontend_tc::check(&program);
            if found.has_errors() != (name != "warnings") {
                faults.push(format!("{name}, {title}: is not what it was to be"));
            }
            let no_help = found.diagnostics.iter().find(|diagnostic| diagnostic.help.is_none());
            assert!(no_help.is_none(), "{name}, {title}: {no_help:?}");
            codes.extend(found.diagnostics.iter().map(|diagnostic| diagnostic.code));
            let source = Source::load("f.tc".into(), program.as_str().into(), &mut |_, _| None);
            let text = render(&found.diagnostics, Some(&source), false);
            written += &format!("## {title}\n{program}--\n{text}\n\n");
            if !update && text != said {
                faults.push(format!("{name}, {title}; UPDATE_EXPECT=1 writes what is said now:\n{text}"));
            }
            count += 1;
        }
        if update {
            fs::write(&file, written.trim_end().to_owned() + "\n").expect("it can be written");
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count >= 80, "{count} programs");
    let pages: BTreeSet<&str> = frontend_tc::codes::PAGES.iter().map(|page| page.code).collect();
    assert_eq!(pages, codes, "every code is shown by a program");
}
