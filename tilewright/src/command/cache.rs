//! `tilewright cache`, and the cache that `run` uses.

use std::env;
use std::path::PathBuf;

use clap::Args;
use support::Diagnostic;
use tilewright::{Error, KernelCache, Result};

use super::terminal;

/// Where compiled kernels are kept between runs, and how many
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tilewright cache
  tilewright cache --clear

`run` keeps what it compiles in $XDG_CACHE_HOME/tilewright (~/.cache/tilewright), a folder that is this user's alone, and \
finds it there the next time; a change of the program, the sizes, the script, the options, the machine or the compiler compiles \
again. TILEWRIGHT_CACHE names another folder, or is `off`; TILEWRIGHT_CACHE_MB says how many megabytes it may have \
(512 unless given): what was not used for the longest time is removed. `bench` compiles in any case: it says how long that takes.")]
pub struct Cache {
    /// Remove all kernels that are kept
    #[arg(long)]
    clear: bool,
}

impl Cache {
    /// Says where it is and how much it has; clears it before, if asked to.
    pub fn run(self) -> Result<()> {
        let Some((folder, _)) = folder() else {
            return terminal::print("kernels are not kept: TILEWRIGHT_CACHE is off, or there is no home folder\n");
        };
        let cache = open_at(&folder)?;
        if self.clear {
            cache.clear()?;
        }
        let (kernels, bytes) = cache.size()?;
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let folder = cache.folder().display();
        let (size, limit) = (megabytes(bytes), megabytes(cache.limit()));
        terminal::print(format!("{folder}\n  {kernels} kernels, {size:.1} of {limit:.0} MB\n"))
    }
}

/// The cache of this user; none where it is switched off. A usual folder that cannot be used is no reason not to run.
///
/// # Errors
/// When the folder that was named cannot be used.
pub fn open() -> Result<Option<KernelCache>> {
    let Some((folder, is_named)) = folder() else { return Ok(None) };
    match open_at(&folder) {
        Ok(cache) => Ok(Some(cache)),
        Err(error) if is_named => Err(error),
        Err(error) => {
            terminal::warning(&error);
            Ok(None)
        }
    }
}

fn open_at(folder: &std::path::Path) -> Result<KernelCache> {
    let limit = match env::var("TILEWRIGHT_CACHE_MB") {
        Err(_) => KernelCache::LIMIT,
        Ok(text) => text.parse::<u32>().map(|megabytes| u64::from(megabytes) << 20).map_err(|_| {
            let error = Diagnostic::call("TC0950", format!("TILEWRIGHT_CACHE_MB is `{text}`"));
            Error::user(error.help("write a number of megabytes: TILEWRIGHT_CACHE_MB=512"))
        })?,
    };
    KernelCache::with_limit(folder, limit)
}

/// The folder, and whether the user has named it.
fn folder() -> Option<(PathBuf, bool)> {
    match env::var_os("TILEWRIGHT_CACHE").filter(|value| !value.is_empty()) {
        Some(value) if value == "off" => None,
        Some(value) => Some((value.into(), true)),
        None => Some((KernelCache::user_folder()?, false)),
    }
}
