//! What the measurements share: the workloads, their data and reference results, the peers, the race between them, tables.
//!
//! Machines are shared and noisy: only ratios taken in one run hold. So the contenders of a workload are measured in turn
//! (A B C A B C …), the machine's ceilings between them, and every result that is timed is verified.

pub mod case;
pub mod ours;
pub mod peers;
pub mod polybench;
pub mod race;
pub mod report;
pub mod set;
pub mod worker;
pub mod workload;

use std::path::{Path, PathBuf};

/// Why a measurement could not be made, in words.
pub type Error = Box<dyn std::error::Error>;
/// The result of a step of a measurement.
pub type Result<T> = std::result::Result<T, Error>;

/// The folder of this crate.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The list of workloads that is measured unless another is named.
pub fn workloads_file() -> PathBuf {
    folder().join("workloads.toml")
}

/// Where compiled peers are kept: below `target`, which holds nothing else that is precious.
pub fn peers_folder() -> PathBuf {
    folder().join("../target/peers")
}
