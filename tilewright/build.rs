//! Says which compiler this is: a number made of all sources that decide what it compiles to. What was compiled by another one
//! is not taken from the cache, in a development build either.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// What the compiler is made of, from the root of the workspace; what is not there, where this crate is used without the others,
/// has a version that the crate's own depends on.
const SOURCES: [&str; 11] = [
    "support/src",
    "polyhedral/src",
    "transform/src",
    "frontend-tc/src",
    "scheduler/src",
    "gpu-mapper/src",
    "codegen/src",
    "runtime/src",
    "tilewright/src",
    "tilewright/targets",
    "Cargo.lock",
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate is in a folder");
    println!("cargo:rerun-if-changed=build.rs");
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        let path = root.join(source);
        println!("cargo:rerun-if-changed={}", path.display());
        for file in files(&path) {
            let name = file.strip_prefix(root).expect("below the root");
            (name, fs::read(&file).unwrap_or_default()).hash(&mut hasher);
        }
    }
    println!("cargo:rustc-env=TILEWRIGHT_SOURCES={:016x}", hasher.finish());
}

/// The files below a path, in one order.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.into()];
    }
    let mut inside: Vec<PathBuf> =
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    inside.sort();
    inside.iter().flat_map(|path| files(path)).collect()
}
