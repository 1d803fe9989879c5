//! The programs there are.

use std::fs;
use std::path::{Path, PathBuf};

use tilewright::{Definition, Source};

/// Every definition, with a name that says where it is from.
pub fn all() -> Vec<(String, Definition)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let mut all = Vec::new();
    let page = fs::read_to_string(root.join("docs/language.md")).expect("the guide");
    for (at, text) in page.split("```tc\n").skip(1).filter_map(|part| part.split("```").next()).enumerate() {
        all.extend(definitions(&format!("language.md, program {}", at + 1), text));
    }
    for (name, text) in frontend_tc::library::FILES {
        all.extend(definitions(name, text));
    }
    for folder in ["benches/kernels", "examples"] {
        for file in texts(&root.join(folder)) {
            let name = file.strip_prefix(root).expect("inside of it").display().to_string();
            all.extend(definitions(&name, &fs::read_to_string(&file).expect("a text")));
        }
    }
    all
}

fn texts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the repository");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "tc"));
    files.sort();
    files
}

fn definitions(place: &str, text: &str) -> Vec<(String, Definition)> {
    let source = Source::load(place.into(), text.into(), &mut |_, _| None);
    let (defs, _warnings) = tilewright::check(&source).unwrap_or_else(|error| panic!("{place}: {error}"));
    defs.into_iter().map(|def| (format!("{place}, `{}`", def.name), def)).collect()
}
