//! isl's headers say of every argument whether the function takes it or only keeps it. A row of our tables that says
//! otherwise frees twice or leaks, so each row is compared with the header that declares its function.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Take,
    Keep,
}

/// The folder of isl's headers inside the sources that are built.
fn headers() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    // Packages for other systems need not be on this machine.
    let about = Command::new(&cargo).arg("-vV").output().expect("cargo says what it is");
    let about = String::from_utf8(about.stdout).expect("text");
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host, "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let isl = packages.iter().find(|package| package["name"] == "isl-rs").expect("isl-rs is a dependency");
    let manifest = Path::new(isl["manifest_path"].as_str().expect("a path"));
    manifest.parent().expect("a folder").join("isl/include/isl")
}

/// What each declared function does with each argument that is an object.
fn declared(folder: &Path) -> BTreeMap<String, Vec<Own>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("isl's headers") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().contains("cpp") {
            continue; // C++ headers call the functions, which looks like a declaration
        }
        let text = fs::read_to_string(path).expect("a header");
        for declaration in text.replace('\n', " ").split(';') {
            if let Some((name, arguments)) = function(declaration) {
                let own = |argument: &str| match () {
                    () if argument.contains("__isl_take") => Some(Own::Take),
                    () if argument.contains("__isl_keep") => Some(Own::Keep),
                    () => None,
                };
                all.insert(name, arguments.split(',').filter_map(own).collect());
            }
        }
    }
    all
}

/// Name and arguments of a declaration, when it is one.
fn function(declaration: &str) -> Option<(String, &str)> {
    let (head, arguments) = declaration.split_once('(')?;
    let name = head.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    name.starts_with("isl_").then(|| (name.to_string(), arguments))
}

/// The rows of our tables: function, what we do with its objects, how many there are.
fn rows() -> Vec<(String, Own, usize)> {
    let mut rows = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/isl");
    for entry in fs::read_dir(folder).expect("our layer") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a source");
        let mut own = None;
        for line in text.lines().map(str::trim) {
            match line {
                _ if line.starts_with("takes! {") => own = Some(Own::Take),
                _ if line.starts_with("keeps! {") => own = Some(Own::Keep),
                "} }" => own = None,
                _ => rows.extend(own.and_then(|own| row(line, own))),
            }
        }
    }
    rows
}

fn row(line: &str, own: Own) -> Option<(String, Own, usize)> {
    let (head, name) = line.strip_prefix("fn ")?.strip_suffix(';')?.split_once(" = ")?;
    let objects = head.matches(": &").count();
    Some((name.to_string(), own, 1 + objects))
}

#[test]
fn every_row_owns_what_isl_says() {
    let declared = declared(&headers());
    let rows = rows();
    assert!(rows.len() > 150, "the tables were found: {} rows", rows.len());
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (name, own, objects) in rows {
        match declared.get(&name) {
            // Declared by a macro of isl's, with the same rule for the whole family: nothing to compare with.
            None => continue,
            Some(theirs) if *theirs == vec![own; objects] => compared += 1,
            Some(theirs) => wrong.push(format!("{name}: ours {own:?} × {objects}, isl's {theirs:?}")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(compared > 120, "compared {compared} rows");
}
