//! A folder of entries: named files under a key, written at once, verified when they are read, the least recently used ones
//! removed when there are too many bytes.
//!
//! ```text
//! FOLDER/                   0700, of this user
//!   <key>/                  64 hexadecimal digits
//!     seal                  the key; of each file its name, its length and its SHA-256; the SHA-256 of these lines
//!     …                     the files
//!   .new-…/                 an entry that is being written, or one that is being removed
//! ```
//!
//! An entry comes and goes by one `rename`, so that processes which share the folder see all of it or nothing. A reader
//! believes no byte that the seal does not vouch for, and no seal that its own last line does not vouch for: whatever is
//! damaged, missing or left over is not there. A seal's time of change says when the entry was last used.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// The first line of a seal.
const HEADER: &str = "tilewright cache 1";

/// The file that says what an entry is.
const SEAL: &str = "seal";

/// What the names of folders begin with that are no entries.
const TEMPORARY: &str = ".new-";

/// A folder that is being written is one of a process that has ended when it is older than this.
const ABANDONED: Duration = Duration::from_secs(3600);

/// No seal is longer: an entry has a handful of files.
const LONGEST_SEAL: u64 = 1 << 20;

/// Named files.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What an entry is found by: 64 hexadecimal digits, the SHA-256 of all that the files depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

/// The parts of a [`Key`], each with its name and length, so that no two lists of parts look alike.
#[derive(Clone, Default)]
pub struct KeyOf(Sha256);

impl KeyOf {
    /// One more part.
    pub fn part(mut self, name: &str, bytes: impl AsRef<[u8]>) -> KeyOf {
        for field in [name.as_bytes(), bytes.as_ref()] {
            self.0.update((field.len() as u64).to_le_bytes());
            self.0.update(field);
        }
        self
    }

    /// The key of all of them.
    pub fn key(self) -> Key {
        Key(hex(&self.0.finalize()))
    }
}

/// A folder of entries.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// As many bytes as the entries may have.
    limit: u64,
    /// How many they had when they were counted last, and what this process has added since.
    counted: AtomicU64,
    added: AtomicU64,
}

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be made or looked at.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others could put machine code there.
    #[error("{} {reason}", path.display())]
    NotPrivate {
        /// Which.
        path: PathBuf,
        /// Who could.
        reason: String,
    },
}

impl Store {
    /// The entries of `root`, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or is not this user's alone.
    pub fn open(root: &Path, limit: u64) -> Result<Store, Refused> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.map_err(|error| Refused::File { path: root.into(), error })?;
        // Wherever the process goes from here.
        let root = root.canonicalize().map_err(|error| Refused::File { path: root.into(), error })?;
        is_private(&root)?;
        let (counted, added) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        Ok(Store { root, limit, counted, added })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// As many bytes as its entries may have.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The files that were written under this key; `None` when there are none, or any byte is not as it was written.
    pub fn read(&self, key: &Key) -> Option<Files> {
        is_private(&self.root).ok()?;
        let folder = self.root.join(&key.0);
        let mut seal = File::open(folder.join(SEAL)).ok()?;
        let mut text = String::new();
        seal.by_ref().take(LONGEST_SEAL).read_to_string(&mut text).ok()?;
        let listed = unsealed(&text, key)?;
        let files = listed.into_iter().map(|file| Some((file.name.to_owned(), file.read(&folder)?)));
        let files = files.collect::<Option<Files>>()?;
        // Where the time cannot be changed the entry only seems older.
        let _ = seal.set_modified(SystemTime::now());
        Some(files)
    }

    /// Keeps files under a key; another process that does so at the same time has the same ones. Entries that have not been
    /// used for the longest time make room.
    ///
    /// # Errors
    /// When the system refuses: then nothing is kept.
    pub fn write(&self, key: &Key, files: &Files) -> io::Result<()> {
        is_private(&self.root).map_err(io::Error::other)?;
        let new = self.temporary()?;
        for (name, bytes) in files {
            fs::write(new.path().join(name), bytes)?;
        }
        fs::write(new.path().join(SEAL), sealed(key, files))?;
        let folder = self.root.join(&key.0);
        if fs::rename(new.path(), &folder).is_err() {
            // An entry is in the way. When it is whole, another process was faster.
            if self.read(key).is_none() {
                self.discard(&folder)?;
                fs::rename(new.path(), &folder)?;
            }
        }
        let bytes = files.values().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.make_room(bytes)
    }

    /// How many entries there are, and how many bytes they have.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn size(&self) -> io::Result<(usize, u64)> {
        let entries = self.entries()?;
        Ok((entries.len(), entries.iter().map(|entry| entry.bytes).sum()))
    }

    /// Removes all entries; the folder stays.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        self.sweep(Duration::ZERO)?;
        self.entries()?.iter().try_for_each(|entry| self.discard(&entry.folder))
    }

    /// Removes what was not used for the longest time until the entries are within the limit. They are counted when what this
    /// process has added may have brought them there, and once at least; what others add is seen then.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let added = self.added.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let counted = self.counted.load(Ordering::Relaxed);
        if counted.saturating_add(added) <= self.limit && added <= self.limit / 64 {
            return Ok(());
        }
        self.sweep(ABANDONED)?;
        let mut entries = self.entries()?;
        let mut all = entries.iter().map(|entry| entry.bytes).sum::<u64>();
        entries.sort_by_key(|entry| entry.used);
        for entry in entries {
            if all <= self.limit {
                break;
            }
            // Another process may have removed it.
            let _ = self.discard(&entry.folder);
            all -= entry.bytes;
        }
        self.added.store(0, Ordering::Relaxed);
        self.counted.store(all, Ordering::Relaxed);
        Ok(())
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let found = fs::read_dir(&self.root)?.flatten();
        let entries = found.filter(|entry| is_key(&entry.file_name().to_string_lossy()));
        Ok(entries.map(|entry| Entry::at(entry.path())).collect())
    }

    /// A folder of its own, which is removed when it is dropped where it is.
    fn temporary(&self) -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&self.root)
    }

    /// Removes an entry at once, for readers, and then its files.
    fn discard(&self, folder: &Path) -> io::Result<()> {
        let old = self.temporary()?;
        match fs::rename(folder, old.path().join("entry")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => old.close(),
        }
    }

    /// Removes folders that processes were writing when they ended.
    fn sweep(&self, age: Duration) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)?.flatten() {
            let is_old = |time: SystemTime| time.elapsed().is_ok_and(|elapsed| elapsed >= age);
            let is_temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
            if is_temporary && entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(is_old) {
                // Another process may be doing so too.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }
}

/// An entry as the system sees it.
struct Entry {
    folder: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Entry {
    fn at(folder: PathBuf) -> Entry {
        let files = fs::read_dir(&folder).into_iter().flatten().flatten();
        let bytes = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        let used = fs::metadata(folder.join(SEAL)).and_then(|metadata| metadata.modified());
        Entry { folder, bytes, used: used.unwrap_or(SystemTime::UNIX_EPOCH) }
    }
}

/// Checks that nobody else can put anything into a folder, or look into it.
fn is_private(path: &Path) -> Result<(), Refused> {
    let metadata = fs::metadata(path).map_err(|error| Refused::File { path: path.into(), error })?;
    let refused = |reason: String| Err(Refused::NotPrivate { path: path.into(), reason });
    if !metadata.is_dir() {
        return refused("is no folder".into());
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return refused(format!("belongs to user {}, and this is user {user}", metadata.uid()));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 { refused(format!("is open to others: its mode is {mode:o}")) } else { Ok(()) }
}

/// A line of a seal.
struct Sealed<'a> {
    name: &'a str,
    bytes: u64,
    digest: &'a str,
}

impl Sealed<'_> {
    /// The file's bytes, when they are those that were sealed.
    fn read(&self, folder: &Path) -> Option<Vec<u8>> {
        let file = File::open(folder.join(self.name)).ok()?;
        if file.metadata().ok()?.len() != self.bytes {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(self.bytes).read_to_end(&mut bytes).ok()?;
        (hex(&Sha256::digest(&bytes)) == self.digest).then_some(bytes)
    }
}

fn sealed(key: &Key, files: &Files) -> String {
    let mut text = format!("{HEADER}\n{}\n", key.0);
    for (name, bytes) in files {
        writeln!(text, "{} {} {name}", hex(&Sha256::digest(bytes)), bytes.len()).expect("a string takes text");
    }
    let digest = hex(&Sha256::digest(text.as_bytes()));
    text + &digest + "\n"
}

/// What a seal lists, when it is whole and of this key.
fn unsealed<'a>(text: &'a str, key: &Key) -> Option<Vec<Sealed<'a>>> {
    let body = text.strip_suffix('\n')?;
    let body = &text[..=body.rfind('\n')?];
    if text[body.len()..] != hex(&Sha256::digest(body.as_bytes())) + "\n" {
        return None;
    }
    let mut lines = body.lines();
    if (lines.next()?, lines.next()?) != (HEADER, &key.0) {
        return None;
    }
    let line = |line: &'a str| {
        let (digest, rest) = line.split_once(' ')?;
        let (bytes, name) = rest.split_once(' ')?;
        let is_inside = Path::new(name).file_name().is_some_and(|file| file == name);
        is_inside.then_some(Sealed { name, bytes: bytes.parse().ok()?, digest })
    };
    lines.map(line).collect()
}

fn is_key(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes text");
    }
    text
}

#[cfg(test)]
mod tests;
