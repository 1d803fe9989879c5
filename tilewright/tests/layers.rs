//! The picture of the layers is a test: the manifests may hold no arrow that ARCHITECTURE.md does not draw, and `unsafe`
//! no place that it does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_path_buf()
}

/// The table under "Who may use whom".
fn drawn(architecture: &str) -> BTreeMap<String, BTreeSet<String>> {
    let (_, section) = architecture.split_once("## Who may use whom").expect("the section is there");
    let rows =
        section.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let uses = cells[1].split(',').map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect();
        (cells[0].to_string(), uses)
    })
    .collect()
}

fn manifest(path: &Path) -> toml::Table {
    fs::read_to_string(path).expect("a manifest").parse().expect("TOML")
}

/// Workspace members and the members that each one's manifest names (tests of a crate may use what they like, but
/// nothing that would point up).
fn actual() -> BTreeMap<String, BTreeSet<String>> {
    let root = root();
    let workspace = manifest(&root.join("Cargo.toml"));
    let members: Vec<&str> = workspace["workspace"]["members"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|m| m.as_str().expect("text"))
        .collect();
    let uses = |member: &str| -> BTreeSet<String> {
        let manifest = manifest(&root.join(member).join("Cargo.toml"));
        ["dependencies", "build-dependencies"]
            .iter()
            .filter_map(|section| manifest.get(*section)?.as_table())
            .flat_map(|table| table.keys().cloned())
            .filter(|name| members.contains(&name.as_str()))
            .collect()
    };
    members.iter().map(|member| (member.to_string(), uses(member))).collect()
}

fn undrawn(drawn: &BTreeMap<String, BTreeSet<String>>, actual: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut out = Vec::new();
    for (name, uses) in actual {
        match drawn.get(name) {
            None => out.push(format!("{name} is not in the table")),
            Some(allowed) => out.extend(uses.difference(allowed).map(|used| format!("{name} must not use {used}"))),
        }
    }
    out
}

#[test]
fn every_arrow_is_drawn() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    assert_eq!(undrawn(&drawn(&architecture), &actual()), Vec::<String>::new(), "see ARCHITECTURE.md");
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut wrong = actual();
    wrong.get_mut("polyhedral").expect("a member").insert("codegen".into());
    assert_eq!(undrawn(&drawn(&architecture), &wrong), ["polyhedral must not use codegen"]);
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        if entry.is_dir() && !name.starts_with("target") && !name.starts_with('.') {
            rust_files(&entry, found);
        } else if name.ends_with(".rs") {
            found.push(entry);
        }
    }
}

#[test]
fn unsafe_stays_where_it_may_be() {
    let root = root();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(files.len() > 30, "the walk found the sources");
    // The last is no part of the product: it calls libraries that it is compared with.
    let may = [
        "polyhedral/src/isl",
        "codegen/src/llvm",
        "codegen/src/gpu/code.rs",
        "tilewright/src/cache/kept.rs",
        "runtime",
        "benches/peers/rust",
    ];
    let is_code = |line: &str| !line.trim_start().starts_with("//") && !line.contains("\"unsafe");
    for file in files {
        let relative = file.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
        if may.iter().any(|folder| relative.starts_with(folder)) || relative.contains("tests/") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source");
        let found = text.lines().find(|line| is_code(line) && line.contains("unsafe {"));
        assert_eq!(found, None, "{relative} holds unsafe code: ARCHITECTURE.md, invariant 3");
    }
}
