//! What was compiled is kept in a folder, for the next process.
//!
//! - [`KernelCache`]: the folder, as a [`Compiler`](crate::Compiler) is given it;
//! - `key`: all that machine code depends on;
//! - `kept`: an entry as a package with its remarks;
//! - `store`: files under keys, whatever they are.

mod kept;
mod key;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::Diagnostic;

pub(crate) use kept::Kept;
pub(crate) use store::Key;

pub(crate) use key::key;
use store::Store;

use crate::{Error, Result};

/// Kernels in a folder: what a [`Compiler`](crate::Compiler) with [a cache](crate::Compiler::cache) has compiled, it or another
/// one finds there in the next process, in milliseconds. Cheap to clone.
///
/// An entry is found by the SHA-256 of the program, the sizes, the script and the options, the figures of the target and of
/// the compiler itself, so that a change of any of them compiles again. Each is a package: machine code, program,
/// script. Processes may share the folder. It must be this user's alone (mode 0700), since machine code is taken from it, and
/// is made so; what is damaged there is compiled again and replaced. Entries that were not used for the longest time are
/// removed when all have more bytes than [the limit](KernelCache::with_limit).
///
/// ```
/// use tilewright::{Compiler, KernelCache, Tensor};
///
/// let folder = std::env::temp_dir().join(format!("kernels-{}", std::process::id()));
/// let cache = KernelCache::open(&folder)?;
/// let twice = "def twice(float(N) A) -> (B) { B(i) = A(i) + A(i) }";
/// for was_kept in [false, true] {
///     let variant = Compiler::host().cache(cache.clone()).compile(twice)?.prepare(&[&[8]])?;
///     assert_eq!(variant.was_kept, was_kept);
/// }
/// cache.clear()?;
/// # std::fs::remove_dir(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KernelCache {
    store: Arc<Store>,
}

impl KernelCache {
    /// As many bytes as a cache may have unless another limit is given.
    pub const LIMIT: u64 = 512 << 20;

    /// The cache in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// TC0950 when the folder cannot be made, belongs to another user, or is open to others.
    pub fn open(folder: &Path) -> Result<KernelCache> {
        KernelCache::with_limit(folder, KernelCache::LIMIT)
    }

    /// The same with another limit, in bytes. A process looks at what others have added when it has added a 64th of the limit itself.
    ///
    /// # Errors
    /// As [`KernelCache::open`].
    pub fn with_limit(folder: &Path, bytes: u64) -> Result<KernelCache> {
        let refused = |error: store::Refused| {
            let help = match &error {
                store::Refused::NotPrivate { path, .. } => format!(
                    "machine code is taken from it, so it must be yours alone: `chmod 700 {}`, or another folder",
                    path.display()
                ),
                store::Refused::File { .. } => "name another folder in TILEWRIGHT_CACHE, or `off`".into(),
            };
            Error::user(Diagnostic::call("TC0950", format!("kernels cannot be kept: {error}")).help(help))
        };
        Ok(KernelCache { store: Arc::new(Store::open(folder, bytes).map_err(refused)?) })
    }

    /// Where a user's programs keep such things: `$XDG_CACHE_HOME/tilewright`, or `$HOME/.cache/tilewright`. `None` where
    /// neither is set to an absolute path.
    pub fn user_folder() -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        Some(caches?.join("tilewright"))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.store.root()
    }

    /// As many bytes as it may have.
    pub fn limit(&self) -> u64 {
        self.store.limit()
    }

    /// How many kernels it has, and how many bytes they are.
    ///
    /// # Errors
    /// TC0950 when the folder cannot be read.
    pub fn size(&self) -> Result<(usize, u64)> {
        self.store.size().map_err(|error| self.failed(error))
    }

    /// Removes all kernels.
    ///
    /// # Errors
    /// TC0950 when one cannot be removed.
    pub fn clear(&self) -> Result<()> {
        self.store.clear().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::user(Diagnostic::call("TC0950", format!("{}: {error}", self.folder().display())))
    }

    /// What is kept under a key; nothing where it is damaged.
    pub(crate) fn get(&self, key: &Key) -> Option<Kept> {
        Kept::of_files(self.store.read(key)?)
    }

    /// Keeps it; says why not.
    pub(crate) fn put(&self, key: &Key, kept: &Kept) -> std::result::Result<(), String> {
        self.store.write(key, &kept.to_files()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
