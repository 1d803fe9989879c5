//! A folder with everything that a call needs: the compiler is not.
//!
//! - `package.json`: what it is, and the [`Plan`] of a call ([`Manifest`]);
//! - the kernels, in the language of the device;
//! - the program that they were made of and the script that scheduled it, for people and for the compiler.
//!
//! Files are named in `package.json`, relative to the folder, with the SHA-256 of their bytes, so that a file that was
//! changed or mixed up is refused.

use crate::device::{DeviceCode, Plan, Text};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The version of the format; a package of another one is refused.
pub const FORMAT: u32 = 1;

/// What describes a package.
const MANIFEST: &str = "package.json";

/// Why a package cannot be written or loaded.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file is not what a package has.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// `package.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the compiler.
    pub version: String,
    /// What the definition is called.
    pub definition: String,
    /// The values of its sizes.
    pub sizes: BTreeMap<String, i64>,
    /// What it was compiled for: `cuda:sm_80`, `opencl`.
    pub target: String,
    /// The language of the code.
    pub language: Language,
    /// The file of the code.
    pub code: String,
    /// The file of the program.
    pub program: String,
    /// The file of the script.
    pub script: String,
    /// Of each file the SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: BTreeMap<String, String>,
    /// What a call runs.
    pub plan: Plan,
}

/// A language of code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// OpenCL C.
    Opencl,
    /// PTX, for the device of that name: `sm_80`.
    Ptx(String),
}

/// A definition compiled for some sizes and a device, to be kept and loaded elsewhere.
#[derive(Clone, Debug)]
pub struct Package {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The kernels and what a call runs.
    pub code: DeviceCode,
    /// The program.
    pub program: String,
    /// The script.
    pub script: String,
}

/// What a package is made of.
pub struct Parts<'a> {
    /// The version of the compiler.
    pub version: &'a str,
    /// What the definition is called.
    pub definition: &'a str,
    /// The values of its sizes.
    pub sizes: BTreeMap<String, i64>,
    /// What it was compiled for.
    pub target: &'a str,
    /// The kernels and what a call runs.
    pub code: DeviceCode,
    /// The program.
    pub program: String,
    /// The script.
    pub script: String,
}

impl Package {
    /// Puts a package together.
    pub fn new(parts: Parts<'_>) -> Package {
        let Parts { version, definition, sizes, target, code, program, script } = parts;
        let (language, ending, text) = match code.text() {
            Text::OpenCl(text) => (Language::Opencl, "cl", text),
            Text::Ptx { text, architecture, .. } => (Language::Ptx(architecture.clone()), "ptx", text),
        };
        let [code_file, program_file, script_file] =
            [ending, "tc", "sched"].map(|ending| format!("{definition}.{ending}"));
        let files = [(&code_file, &**text), (&program_file, &program), (&script_file, &script)];
        let manifest = Manifest {
            format: FORMAT,
            version: version.into(),
            definition: definition.into(),
            sizes,
            target: target.into(),
            language,
            sha256: files.iter().map(|(name, text)| (name.to_string(), digest(text))).collect(),
            code: code_file,
            program: program_file,
            script: script_file,
            plan: code.plan().clone(),
        };
        Package { manifest, code, program, script }
    }

    /// Writes it into a folder, which is made if need be; files of the same names are replaced.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), PackageError> {
        fs::create_dir_all(folder).map_err(|error| PackageError::File { path: folder.into(), error })?;
        let (Text::OpenCl(code) | Text::Ptx { text: code, .. }) = self.code.text();
        let manifest = serde_json::to_string_pretty(&self.manifest).expect("text, numbers and lists") + "\n";
        let Manifest { code: code_file, program, script, .. } = &self.manifest;
        let files = [(code_file, &**code), (program, &self.program), (script, &self.script)];
        // The description comes last: a folder with one is whole.
        for (name, text) in files.into_iter().chain([(&MANIFEST.to_string(), manifest.as_str())]) {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| PackageError::File { path, error })?;
        }
        Ok(())
    }

    /// Reads a folder that [`Package::write`] has written.
    ///
    /// # Errors
    /// When a file is missing, malformed, or not the one that was written.
    ///
    /// # Safety
    /// As [`DeviceCode::new`]: the kernels of the folder do what its plan says, as those do that the compiler has written and
    /// nobody has changed.
    pub unsafe fn load(folder: &Path) -> Result<Package, PackageError> {
        let path = folder.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|error| PackageError::File { path: path.clone(), error })?;
        let wrong = |reason: String| PackageError::Malformed { path: path.clone(), reason };
        let format: Format = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if format.format != FORMAT {
            return Err(wrong(format!("it has the format {}, and this version reads {FORMAT}", format.format)));
        }
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        manifest.plan.check().map_err(|error| wrong(error.to_string()))?;
        let read = |name: &String| manifest.file(folder, name);
        let (code, program, script) = (read(&manifest.code)?, read(&manifest.program)?, read(&manifest.script)?);
        let text = match &manifest.language {
            Language::Opencl => Text::OpenCl(code.into()),
            Language::Ptx(architecture) => Text::Ptx { text: code.into(), architecture: architecture.clone() },
        };
        // SAFETY: the caller says so.
        let code = unsafe { DeviceCode::new(text, manifest.plan.clone()) };
        Ok(Package { manifest, code, program, script })
    }
}

/// What every version of the format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Manifest {
    /// The text of a file, when it is the one that was written.
    fn file(&self, folder: &Path, name: &str) -> Result<String, PackageError> {
        let path = folder.join(name);
        if Path::new(name).components().count() != 1 || path.parent() != Some(folder) {
            return Err(PackageError::Malformed { path, reason: "it is not in the folder".into() });
        }
        let text = fs::read_to_string(&path).map_err(|error| PackageError::File { path: path.clone(), error })?;
        if self.sha256.get(name) != Some(&digest(&text)) {
            let reason = format!("it is not the file that {MANIFEST} is about: its SHA-256 is another one");
            return Err(PackageError::Malformed { path, reason });
        }
        Ok(text)
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_everyone() {
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
