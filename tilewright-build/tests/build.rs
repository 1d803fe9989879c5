//! What a build script gets, and what it is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tilewright_build::{Environment, Kernels};

const MM: &str = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }\n";

/// A package with these kernels.
fn package(kernels: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("kernels")).unwrap();
    for (name, text) in kernels {
        fs::write(root.path().join("kernels").join(name), text).unwrap();
    }
    root
}

fn environment(root: &TempDir, out: &str) -> Environment {
    let out = root.path().join(out);
    fs::create_dir_all(&out).unwrap();
    let triple = "x86_64-unknown-linux-gnu".into();
    Environment { root: root.path().into(), out, triple, features: vec!["sse2".into()] }
}

fn kernels() -> Kernels {
    Kernels::new(["kernels/*.tc"]).target("x86-64-v3")
}

fn refused(kernels: &Kernels, root: &TempDir) -> String {
    kernels.compile(&environment(root, "out")).unwrap_err().to_string()
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), PathBuf::from(entry.file_name()));
        match path.is_dir() {
            true => found.extend(files(&path).into_iter().map(|(inner, bytes)| (name.join(inner), bytes))),
            false => drop(found.insert(name, fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn a_package_for_each_definition_one_library_and_one_module() {
    let shared = "def twice(float(N) A) -> (B) { B(i) = A(i) + A(i) }\n";
    let root = package(&[("mm.tc", MM), ("shared.tc", shared)]);
    let built = kernels().sizes("mm", &[("M", 4), ("K", 8), ("N", 4)]).compile(&environment(&root, "out")).unwrap();
    assert_eq!(built.definitions, ["mm", "twice"]);
    let found = files(&root.path().join("out"));
    let names: Vec<String> = found.keys().map(|name| name.display().to_string()).collect();
    for name in ["kernels.rs", "mm/mm.rs", "mm/package.json", "mm/package.sha256", "mm/mm.tc", "twice/twice.rs"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("libtilewright_kernels_") && name.ends_with(".a")), "{names:?}");
    let module = String::from_utf8(found[Path::new("kernels.rs")].clone()).unwrap();
    assert!(module.contains("include!(\"mm/mm.rs\");") && module.contains("include!(\"twice/twice.rs\");"), "{module}");
    for line in ["cargo:rerun-if-changed=", "cargo:rustc-link-search=native=", "cargo:rustc-link-lib=static="] {
        assert!(built.lines.iter().any(|found| found.starts_with(line)), "{line} in {:?}", built.lines);
    }
    let mm = root.path().join("kernels/mm.tc").display().to_string();
    assert!(built.lines.contains(&format!("cargo:rerun-if-changed={mm}")), "{:?}", built.lines);
    // Again, elsewhere: the same bytes, wherever they are.
    kernels().sizes("mm", &[("M", 4), ("K", 8), ("N", 4)]).compile(&environment(&root, "again")).unwrap();
    assert!(files(&root.path().join("again")) == found, "two builds differ");
}

#[test]
fn what_is_wrong_with_a_kernel_is_shown_in_its_source() {
    let root = package(&[("mm.tc", MM), ("wrong.tc", "def wrong(float(N) A) -> (B) {\n  B(i) = A(i, j)\n}\n")]);
    let error = refused(&kernels(), &root);
    assert!(error.contains("kernels/wrong.tc:2:") && error.contains("B(i) = A(i, j)"), "{error}");
}

#[test]
fn what_is_wrong_with_the_build_script_is_said() {
    let root = package(&[("mm.tc", MM)]);
    let with = |kernels: Kernels, parts: &[&str]| {
        let error = refused(&kernels, &root);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    with(Kernels::new(["kernels/*.tcx"]), &["TC0951", "kernels/*.tcx", "no file"]);
    with(Kernels::new(["kernels/[.tc"]), &["TC0951"]);
    with(kernels().sizes("mm", &[("M", 4)]), &["TC0933", "the size K is not given"]);
    with(kernels().sizes("mm", &[("M", 4), ("N", 4), ("K", 4), ("L", 4)]), &["TC0930", "`L`", "M, K, N"]);
    with(kernels().sizes("nn", &[]), &["TC0903", "`nn`", "`mm`"]);
    with(kernels().script("mm", "mm.sched"), &["mm.sched"]);
    with(kernels().target("aarch64-neon"), &["TC0951", "aarch64"]);
    fs::write(root.path().join("kernels/other.tc"), MM).unwrap();
    with(kernels(), &["TC0951", "two definitions are called `mm`"]);
}
