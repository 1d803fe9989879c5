//! What cargo tells a build script.

use std::path::{Path, PathBuf};

use support::Diagnostic;
use tilewright::{Error, Result};

/// Where and for what machine a build script compiles.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The folder of the package's manifest: patterns of files begin there.
    pub root: PathBuf,
    /// Where the results go.
    pub out: PathBuf,
    /// The triple that the package is built for, as Rust calls it.
    pub triple: String,
    /// Instruction set extensions that the whole program may use, as Rust calls them: code for less is not needed.
    pub features: Vec<String>,
}

impl Environment {
    /// What cargo says to the build script that is running.
    ///
    /// # Errors
    /// TC0951 where this is no build script.
    pub fn of_cargo() -> Result<Environment> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| {
                let error = Diagnostic::call("TC0951", format!("cargo has not set {name}"));
                Error::user(error.help("`tilewright_build::kernels` is called in `build.rs`"))
            })
        };
        let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
        Ok(Environment {
            root: variable("CARGO_MANIFEST_DIR")?.into(),
            out: variable("OUT_DIR")?.into(),
            triple: variable("TARGET")?,
            features: features.split(',').filter(|feature| !feature.is_empty()).map(String::from).collect(),
        })
    }

    /// A path that a user gives.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}
