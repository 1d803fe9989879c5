//! An entry: a package of one variant, with the remarks of the compiler. The only place of this crate that vouches for machine
//! code: the store gives back what was written under a key, byte for byte, and nothing else.

use std::path::Path;
use std::sync::Arc;

use runtime::package::{KernelFile, Language, Package, PackageError, Variant, VariantCode};
use runtime::{DeviceCode, OpenCode};
use serde::{Deserialize, Serialize};
use support::Remark;
use transform::Script;

use super::store::Files;
use crate::compile::{Code, Options, Translated};
use crate::device;
use crate::package;
use crate::routine::Routine;
use crate::{Error, Result};

/// The file of the remarks.
const REMARKS: &str = "remarks.json";

/// What was compiled, by this process or another one.
pub struct Kept {
    package: Package,
    /// The schedule, as a script that replays.
    pub script: Script,
    /// What was not done, and why.
    pub remarks: Vec<Remark>,
}

/// A [`Remark`] in a file.
#[derive(Serialize, Deserialize)]
struct Told {
    stage: String,
    entity: String,
    what: String,
    why: String,
}

impl Kept {
    /// What is kept of code for these sizes, or for all; why not, where it cannot be.
    pub fn of(
        translated: &Translated,
        routine: &Routine,
        sizes: Option<&[i64]>,
        options: &Options,
    ) -> std::result::Result<Kept, String> {
        let why = |error: Error| error.diagnostics().first().map(|it| it.message.clone()).unwrap_or_default();
        let mut package = package::of_translated(translated, routine, sizes, options).map_err(why)?;
        let told = translated.remarks.iter().map(|remark| Told {
            stage: remark.stage.into(),
            entity: remark.entity.clone(),
            what: remark.what.clone(),
            why: remark.why.clone(),
        });
        let told = serde_json::to_vec(&told.collect::<Vec<_>>()).map_err(|error| error.to_string())?;
        package.add_file(REMARKS.into(), told);
        Ok(Kept { package, script: translated.script.clone(), remarks: translated.remarks.clone() })
    }

    /// The files of the package.
    pub fn to_files(&self) -> Files {
        self.package.contents().into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect()
    }

    /// What [`Kept::to_files`] gave; `None` of files that this version does not write.
    pub fn of_files(files: Files) -> Option<Kept> {
        let files = files.into_iter().map(|(name, bytes)| (name, Arc::<[u8]>::from(bytes)));
        let files: std::collections::BTreeMap<_, _> = files.collect();
        let mut read = |name: &str| {
            let missing = || PackageError::Malformed { path: name.into(), reason: "it is missing".into() };
            files.get(name).cloned().ok_or_else(missing)
        };
        // SAFETY: the store has found that these are the bytes that `to_files` gave to a process of this user, which had them
        // from the compiler; nobody else can write there.
        let package = unsafe { Package::read(Path::new(""), &mut read) }.ok()?;
        let script = package.script(package.manifest().variants.first()?).parse().ok()?;
        let told: Vec<Told> = serde_json::from_slice(package.file(REMARKS)?).ok()?;
        let remarks = told.into_iter().map(|told| Remark::new(stage(&told.stage), told.entity, told.what, told.why));
        Some(Kept { script, remarks: remarks.collect(), package })
    }

    /// The code for `sizes`, which hold what the routine asks of them. All codes have the same object or text.
    ///
    /// # Errors
    /// When something cannot be computed from the sizes.
    pub fn code(&self, sizes: &[i64]) -> Result<Code> {
        let variant =
            self.package.manifest().variants.first().ok_or_else(|| Error::bug("a kept kernel has no code"))?;
        match &variant.code {
            VariantCode::Host(_) => self.machine_code(variant, sizes),
            VariantCode::Device(kernels) => self.kernels(kernels, sizes),
        }
    }

    fn machine_code(&self, variant: &Variant, sizes: &[i64]) -> Result<Code> {
        let VariantCode::Host(code) = &variant.code else { return Err(Error::bug("kernels are no machine code")) };
        let object = self.bytes(&code.object)?;
        let size = self.package.manifest().values(sizes);
        // SAFETY: the package is what the compiler made of the program, with the signature that it has there, and the caller has
        // checked the sizes.
        let code = unsafe { OpenCode::new(object, code.entry.clone(), code.signature.clone()).at(&size) };
        code.map(Code::Host).map_err(Error::bug)
    }

    fn kernels(&self, kernels: &KernelFile, sizes: &[i64]) -> Result<Code> {
        let text = String::from_utf8_lossy(&self.bytes(&kernels.text)?).into_owned();
        let text = match &kernels.language {
            Language::Opencl => runtime::device::Text::OpenCl(text.into()),
            Language::Ptx(architecture) => {
                runtime::device::Text::Ptx { text: text.into(), architecture: architecture.clone() }
            }
        };
        let plan = kernels.plan.at(&self.package.manifest().values(sizes)).map_err(device::no_plan)?;
        // SAFETY: as above.
        Ok(Code::Device(unsafe { DeviceCode::new(text, plan) }))
    }

    fn bytes(&self, file: &str) -> Result<Arc<[u8]>> {
        self.package.file(file).cloned().ok_or_else(|| Error::bug(format!("a kept kernel lacks `{file}`")))
    }
}

/// The stages that speak, by the names that remarks have.
fn stage(name: &str) -> &'static str {
    let known = ["codegen", "gpu", "gpu-mapper", "scheduler", "script"];
    known.into_iter().find(|known| *known == name).unwrap_or("compiler")
}
