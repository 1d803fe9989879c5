//! A folder with everything that a call needs: the compiler is not.
//!
//! - `package.json`: what it is ([`Manifest`]): the arguments of a call, and of each [`Variant`] what it is for and what it takes;
//! - the code of each variant: an object of a processor, or kernels in the language of a device;
//! - the program that they were made of and the scripts that scheduled it, for people and for the compiler;
//! - other files, which the run time does not read: headers, libraries;
//! - `package.sha256`: the SHA-256 of `package.json`, which has those of all other files. `sha256sum -c` reads it too.
//!
//! So a file that was changed, cut off or mixed up is refused, whichever it is. What the hashes do not say is who made the
//! package: machine code is trusted, as that of any library.

mod cpu;
mod json;
#[cfg(feature = "device")]
mod json_plan;
mod linked;
mod manifest;
mod value;

pub use linked::{Linked, RunError};
pub use manifest::{Condition, HostCode, KernelFile, Machine, Manifest, Parameter, Variant, VariantCode};

use crate::abi::Entry;
use crate::kernel::{Code, Kernel, LoadError, OpenCode};
use crate::named::Named;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

/// The version of the format; a package of another one is refused. The version of the compiler is told, and does not matter:
/// what machine code and run time agree on is part of the format.
pub const FORMAT: u32 = 3;

/// What describes a package.
pub const MANIFEST: &str = "package.json";

/// The hash of that.
pub const HASH: &str = "package.sha256";

/// Why a package cannot be written or loaded, or has no code for a call.
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
    /// The sizes are not those of a call.
    #[error("{0}")]
    Sizes(String),
    /// No variant is for this machine and these sizes.
    #[error("the package of `{definition}` has no code for {wanted}{}", obstacles.iter().map(|it| format!("\n  {it}")).collect::<String>())]
    NoVariant {
        /// What the definition is called.
        definition: String,
        /// What was asked for.
        wanted: String,
        /// For each variant, why it is not it.
        obstacles: Vec<String>,
    },
    /// Machine code cannot be mapped.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There are no launches for the sizes.
    #[cfg(feature = "device")]
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    /// A device refuses its kernels.
    #[cfg(feature = "device")]
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
}

/// A language of code for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// OpenCL C.
    Opencl,
    /// PTX, for the device of that name: `sm_80`.
    Ptx(String),
}

/// Gives the bytes of the file with a name.
pub type ReadFile<'a> = dyn FnMut(&str) -> Result<Arc<[u8]>, PackageError> + 'a;

/// A definition compiled for machines and sizes, to be kept and loaded elsewhere.
#[derive(Clone, Debug)]
pub struct Package {
    manifest: Manifest,
    /// By name: all but [`MANIFEST`] and [`HASH`].
    files: Named<Arc<[u8]>>,
    /// Machine code for any sizes that is mapped already, with the position of its variant.
    mapped: Arc<Mutex<Vec<(usize, Kernel)>>>,
    /// The same of kernels that a device has built.
    #[cfg(feature = "device")]
    built: Arc<Mutex<Vec<(usize, crate::DeviceKernel)>>>,
    /// By their symbols, the functions of a package that is part of the program, which has none of its files.
    linked: Arc<[(String, Entry)]>,
}

/// What a package is made of, but for its code.
pub struct Parts {
    /// The version of the compiler.
    pub version: String,
    /// What the definition is called.
    pub definition: String,
    /// The names of its sizes.
    pub sizes: Vec<String>,
    /// The tensors of a call.
    pub arguments: Vec<Parameter>,
    /// What must hold of the sizes of a call.
    pub conditions: Vec<Condition>,
    /// The text of the program.
    pub program: String,
}

/// What a variant is for.
pub struct VariantParts {
    /// An identifier that no other variant has.
    pub name: String,
    /// The target, as it was asked for.
    pub target: String,
    /// The values of the sizes in order, where the code is for these alone.
    pub sizes: Option<Vec<i64>>,
    /// The script that scheduled it.
    pub script: String,
}

impl Package {
    /// A package without code.
    pub fn new(parts: Parts) -> Package {
        let Parts { version, definition, sizes, arguments, conditions, program } = parts;
        let file = format!("{definition}.tc");
        let manifest = Manifest {
            format: FORMAT,
            version,
            definition,
            sizes,
            arguments,
            conditions,
            program: file.clone(),
            variants: Vec::new(),
            sha256: Named::default(),
        };
        let mut package = Package::of(manifest, Named::default(), Arc::default());
        package.add_file(file, program.into_bytes());
        package
    }

    fn of(manifest: Manifest, files: Named<Arc<[u8]>>, linked: Arc<[(String, Entry)]>) -> Package {
        Package {
            manifest,
            files,
            mapped: Arc::default(),
            #[cfg(feature = "device")]
            built: Arc::default(),
            linked,
        }
    }

    /// Adds machine code.
    pub fn add_host(&mut self, about: VariantParts, machine: Machine, code: &OpenCode) {
        let object = self.file_of(&about.name, "o");
        self.add_file(object.clone(), code.object().clone());
        let (entry, signature) = (code.entry().to_owned(), code.signature().clone());
        let alignment = crate::abi::ALIGNMENT;
        self.add(about, VariantCode::Host(HostCode { object, entry, machine, alignment, signature }));
    }

    /// Adds kernels, and the same assembled, where they are.
    #[cfg(feature = "device")]
    pub fn add_device(&mut self, about: VariantParts, code: &crate::OpenDeviceCode, cubin: Option<Vec<u8>>) {
        use crate::device::Text;
        let (language, ending, text): (_, _, &[u8]) = match code.text() {
            Text::OpenCl(text) => (Language::Opencl, "cl", text.as_bytes()),
            Text::Ptx { text, architecture } => (Language::Ptx(architecture.clone()), "ptx", text.as_bytes()),
            Text::Cubin { bytes, architecture } => (Language::Ptx(architecture.clone()), "cubin", bytes),
        };
        let file = self.file_of(&about.name, ending);
        self.add_file(file.clone(), text);
        let cubin = cubin.map(|bytes| {
            let file = self.file_of(&about.name, "cubin");
            self.add_file(file.clone(), bytes);
            file
        });
        self.add(about, VariantCode::Device(KernelFile { language, text: file, cubin, plan: code.plan().clone() }));
    }

    fn file_of(&self, variant: &str, ending: &str) -> String {
        format!("{}__{variant}.{ending}", self.manifest.definition)
    }

    fn add(&mut self, about: VariantParts, code: VariantCode) {
        let VariantParts { name, target, sizes, script } = about;
        let file = self.file_of(&name, "sched");
        self.add_file(file.clone(), script.into_bytes());
        let sizes = sizes.map(|sizes| self.manifest.sizes.iter().cloned().zip(sizes).collect());
        self.manifest.variants.push(Variant { name, target, sizes, script: file, code });
    }

    /// Adds a file; one of that name is replaced.
    pub fn add_file(&mut self, name: String, bytes: impl Into<Arc<[u8]>>) {
        let bytes = bytes.into();
        self.manifest.sha256.insert(name.clone(), digest(&bytes));
        self.files.insert(name, bytes);
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bytes of a file.
    pub fn file(&self, name: &str) -> Option<&Arc<[u8]>> {
        self.files.get(name)
    }

    /// The text of the program.
    pub fn program(&self) -> String {
        self.text(&self.manifest.program)
    }

    /// The script of a variant.
    pub fn script(&self, variant: &Variant) -> String {
        self.text(&variant.script)
    }

    fn text(&self, name: &str) -> String {
        self.file(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }

    /// Writes it into a folder, which is made if need be. Files of the same names are replaced, and those removed that a package
    /// of the same definition had there before and this one has not, so that no program is linked with code of another build.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub fn write(&self, folder: &Path) -> Result<(), PackageError> {
        fs::create_dir_all(folder).map_err(|error| PackageError::File { path: folder.into(), error })?;
        self.remove_others(folder)?;
        // What describes the files comes last: a folder with a hash that fits is whole.
        for (name, bytes) in self.contents() {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|error| PackageError::File { path, error })?;
        }
        Ok(())
    }

    /// Removes the files of the package that a folder holds and this one does not write. Of a manifest that cannot be read, and
    /// names that lead out of the folder, nothing is known to be a package's.
    fn remove_others(&self, folder: &Path) -> Result<(), PackageError> {
        let before = fs::read(folder.join(MANIFEST)).ok().and_then(|text| Manifest::parse(&text).ok());
        let before = before.filter(|manifest| manifest.definition == self.manifest.definition);
        for name in before.iter().flat_map(|manifest| manifest.sha256.iter()).map(|(name, _)| name) {
            let path = folder.join(name);
            if self.files.contains_key(name) || path.parent() != Some(folder) || path.file_name() != Some(name.as_ref())
            {
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(PackageError::File { path, error });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a folder that [`Package::write`] has written, and checks every file of it.
    ///
    /// # Errors
    /// When a file is missing, malformed, or not the one that was written.
    ///
    /// # Safety
    /// As [`Code::new`]: the code of the folder does what its manifest says, as that does which the compiler has written and
    /// nobody has changed.
    pub unsafe fn load(folder: &Path) -> Result<Package, PackageError> {
        let mut read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map(Arc::from).map_err(|error| PackageError::File { path, error })
        };
        // SAFETY: the caller says so.
        unsafe { Package::read(folder, &mut read) }
    }

    /// As [`Package::load`], of files that are elsewhere: `read` gives the bytes of the one with a name, and `place` is what
    /// errors call the folder.
    ///
    /// # Errors
    /// As [`Package::load`].
    ///
    /// # Safety
    /// As [`Package::load`].
    pub unsafe fn read(place: &Path, read: &mut ReadFile<'_>) -> Result<Package, PackageError> {
        let text = read(MANIFEST)?;
        let wrong = |name: &str, reason: String| PackageError::Malformed { path: place.join(name), reason };
        let manifest = Manifest::parse(&text);
        // Of another format, that is what is said, and not that its hash is elsewhere.
        if let Err(reason) = &manifest
            && reason.starts_with(json::OTHER_FORMAT)
        {
            return Err(wrong(MANIFEST, reason.clone()));
        }
        if *read(HASH)? != *hash_line(&text).as_bytes() {
            let reason = format!("it is not the file that {HASH} is about: its SHA-256 is another one");
            return Err(wrong(MANIFEST, reason));
        }
        let manifest = manifest.map_err(|reason| wrong(MANIFEST, reason))?;
        let mut files = Named::default();
        for (name, hash) in manifest.sha256.iter() {
            if Path::new(name).components().count() != 1 || Path::new(name).file_name().is_none() {
                return Err(wrong(name, "it is not in the folder".into()));
            }
            let bytes = read(name)?;
            if *hash != digest(&bytes) {
                let reason = format!("it is not the file that {MANIFEST} is about: its SHA-256 is another one");
                return Err(wrong(name, reason));
            }
            files.insert(name.clone(), bytes);
        }
        Ok(Package::of(manifest, files, Arc::default()))
    }

    /// The package that a manifest describes, with functions that are part of the program in the place of its files.
    ///
    /// # Errors
    /// What is wrong with the text.
    ///
    /// # Safety
    /// As [`Linked::new`].
    unsafe fn linked(text: &str, entries: &[(&str, Entry)]) -> Result<Package, String> {
        let manifest = Manifest::parse(text.as_bytes())?;
        let linked = entries.iter().map(|(name, entry)| (name.to_string(), *entry)).collect();
        Ok(Package::of(manifest, Named::default(), linked))
    }

    /// The name and the bytes of all files, [`MANIFEST`] and [`HASH`] last: those that [`Package::write`] writes.
    pub fn contents(&self) -> Vec<(String, Arc<[u8]>)> {
        let manifest = serde_json::to_string_pretty(&self.manifest).expect("text, numbers and lists") + "\n";
        let hash = hash_line(manifest.as_bytes());
        let files = self.files.iter().map(|(name, bytes)| (name.clone(), bytes.clone()));
        let about = [(MANIFEST, manifest), (HASH, hash)].map(|(name, text)| (name.into(), text.into_bytes().into()));
        files.chain(about).collect()
    }

    /// Checks that what [`Package::write`] writes is read again.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let text = serde_json::to_string(&self.manifest).map_err(|error| error.to_string())?;
        Manifest::parse(text.as_bytes()).map(|_| ())
    }

    /// The kernel for these sizes on this machine's processor: of the variants that the machine has the instructions for those
    /// that need most of them, of these the one for these sizes alone, else the one for any. What is for any sizes is mapped
    /// once.
    ///
    /// # Errors
    /// When the sizes do not fit the definition, when no variant is for them or for this machine, and when the object is
    /// damaged.
    pub fn kernel(&self, sizes: &[(&str, i64)]) -> Result<Kernel, PackageError> {
        self.kernel_at(&self.manifest.in_order(sizes).map_err(PackageError::Sizes)?)
    }

    /// As [`Package::kernel`], with a value for each size in the order of the manifest.
    ///
    /// # Errors
    /// As [`Package::kernel`].
    pub fn kernel_at(&self, sizes: &[i64]) -> Result<Kernel, PackageError> {
        let (at, host) = self.host_variant(sizes)?;
        if let Some(&(_, entry)) = self.linked.iter().find(|(name, _)| *name == host.entry) {
            let signature = host.signature.at(&self.manifest.values(sizes))?;
            // SAFETY: whoever linked the package vouched for its functions; the sizes were checked above.
            return Ok(unsafe { Kernel::linked(entry, signature) }?);
        }
        let code = self.code_at(host, sizes)?;
        if self.manifest.variants[at].sizes.is_some() {
            return Ok(Kernel::load(&code)?);
        }
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, first)) = mapped.iter().find(|(other, _)| *other == at) {
            return Ok(first.load_beside(&code)?);
        }
        let kernel = Kernel::load(&code)?;
        mapped.push((at, kernel.clone()));
        Ok(kernel)
    }

    /// The machine code that [`Package::kernel_at`] maps, and the position of its variant.
    ///
    /// # Errors
    /// As [`Package::kernel`].
    pub fn host_code(&self, sizes: &[i64]) -> Result<(usize, Code), PackageError> {
        let (at, host) = self.host_variant(sizes)?;
        Ok((at, self.code_at(host, sizes)?))
    }

    /// The variant of [`Package::kernel_at`], for sizes that are found to hold what the definition asks.
    fn host_variant(&self, sizes: &[i64]) -> Result<(usize, &HostCode), PackageError> {
        self.manifest.check_sizes(sizes).map_err(PackageError::Sizes)?;
        let (mut best, mut obstacles): (Option<(usize, &HostCode)>, _) = (None, Vec::new());
        let rank =
            |at: usize, code: &HostCode| (code.machine.features.len(), self.manifest.variants[at].sizes.is_some());
        for (at, variant) in self.manifest.variants.iter().enumerate() {
            let obstacle = match &variant.code {
                VariantCode::Device(_) => Some("it is for a device".to_owned()),
                VariantCode::Host(_) if !variant.fits(&self.manifest, sizes) => {
                    Some("it is for other sizes".to_owned())
                }
                VariantCode::Host(code) => match cpu::obstacle(&code.machine) {
                    None => {
                        if best.is_none_or(|(before, other)| rank(before, other) < rank(at, code)) {
                            best = Some((at, code));
                        }
                        None
                    }
                    obstacle => obstacle,
                },
            };
            obstacles.extend(obstacle.map(|why| format!("{} ({}): {why}", variant.name, variant.target)));
        }
        best.ok_or_else(|| self.no_variant("this machine's processor", sizes, obstacles))
    }

    /// The code of a variant for sizes that hold what the definition asks.
    fn code_at(&self, code: &HostCode, sizes: &[i64]) -> Result<Code, PackageError> {
        let object = self.file(&code.object).cloned().unwrap_or_default();
        let signature = code.signature.at(&self.manifest.values(sizes))?;
        // SAFETY: whoever loaded the package vouched for its code, or it was put together of such; the sizes were checked above.
        Ok(unsafe { Code::new(object, code.entry.clone(), signature) })
    }

    fn no_variant(&self, machine: &str, sizes: &[i64], obstacles: Vec<String>) -> PackageError {
        let all: Vec<String> =
            self.manifest.sizes.iter().zip(sizes).map(|(name, size)| format!("{name} = {size}")).collect();
        let of = if all.is_empty() { String::new() } else { format!(" and {}", all.join(", ")) };
        let definition = self.manifest.definition.clone();
        PackageError::NoVariant { definition, wanted: format!("{machine}{of}"), obstacles }
    }
}

/// What [`HASH`] holds.
fn hash_line(manifest: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", digest(manifest))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(feature = "device")]
mod kernels;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_everyone() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
