//! Shared libraries, where there is something that links them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Links objects into a shared library; `None` where nothing here links for that triple, and why.
///
/// A compiler of C is asked first, since it knows where the libraries of the system are; then `ld`, which finds them only for
/// the system itself. The file says nothing of the folder or of the time, so that the same objects and linker give the same
/// bytes.
pub fn shared(name: &str, triple: &str, objects: &[(String, Vec<u8>)]) -> std::result::Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    for (file, bytes) in objects {
        fs::write(folder.path().join(file), bytes).map_err(|error| error.to_string())?;
    }
    let mut tried = Vec::new();
    for linker in linkers(triple) {
        match link(&linker, name, folder.path(), objects) {
            Ok(bytes) => return Ok(bytes),
            Err(why) => tried.push(format!("{linker}: {why}")),
        }
    }
    Err(tried.join("; "))
}

/// What may link for a triple.
fn linkers(triple: &str) -> Vec<String> {
    let architecture = triple.split('-').next().unwrap_or_default();
    let mut names = Vec::new();
    if architecture == std::env::consts::ARCH {
        names.extend(["cc", "gcc", "clang", "ld"].map(String::from));
    }
    let short = triple.replace("-unknown", "").replace("-pc", "");
    names.extend([format!("{short}-gcc"), format!("{short}-ld")]);
    names
}

fn link(
    linker: &str,
    name: &str,
    folder: &Path,
    objects: &[(String, Vec<u8>)],
) -> std::result::Result<Vec<u8>, String> {
    let library = format!("lib{name}.so");
    let mut command = Command::new(linker);
    // Names without the folder, which would be written into the file.
    command.current_dir(folder).args(["-shared", "-o", &library]);
    command.args(objects.iter().map(|(file, _)| file));
    let is_plain = linker.ends_with("ld");
    let for_linker = |option: &str| if is_plain { option.to_owned() } else { format!("-Wl,{option}") };
    let options =
        [format!("-soname={library}"), "--build-id=none".into(), "--as-needed".into(), "--no-undefined".into()];
    command.args(options.iter().map(|option| for_linker(option)));
    // The C library too: on 64-bit ARM it says what the processor has.
    command.args(["-lm", "-lc"]);
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    fs::read(folder.join(&library)).map_err(|error| error.to_string())
}
