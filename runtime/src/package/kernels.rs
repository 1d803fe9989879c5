//! Kernels of a package on a device.

use super::{KernelFile, Language, Package, PackageError, VariantCode};
use crate::device::{Device, DeviceCode, DeviceKernel, Text, architecture};
use std::sync::PoisonError;

/// How well code fits a device: later architectures are better, assembled ones best.
type Fit = (u32, u32, bool, bool);

/// How well a variant fits a device, and whether it is for these sizes alone; its position; its code.
type Candidate<'a> = ((Fit, bool), usize, &'a KernelFile);

impl Package {
    /// The kernels for these sizes on a device: of the variants that it runs, that for the latest architecture, of these the one
    /// for these sizes alone, else the one for any. What is for any sizes is built once.
    ///
    /// # Errors
    /// When the sizes do not fit the definition, when no variant is for them or for this device, when they ask for too many launches
    /// or blocks, and when the device refuses the kernels.
    pub fn device_kernel(&self, device: &Device, sizes: &[(&str, i64)]) -> Result<DeviceKernel, PackageError> {
        let sizes = self.manifest.in_order(sizes).map_err(PackageError::Sizes)?;
        let (at, code) = self.device_variant(device, &sizes)?;
        if self.manifest.variants[at].sizes.is_some() {
            return Ok(device.load(&code)?);
        }
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, first)) = built.iter().find(|(other, first)| *other == at && first.device().is(device)) {
            return Ok(first.load_beside(&code)?);
        }
        let kernel = device.load(&code)?;
        built.push((at, kernel.clone()));
        Ok(kernel)
    }

    /// What [`Package::device_kernel`] loads; a value for each size in the order of the manifest.
    ///
    /// # Errors
    /// As [`Package::device_kernel`].
    pub fn device_code(&self, device: &Device, sizes: &[i64]) -> Result<DeviceCode, PackageError> {
        Ok(self.device_variant(device, sizes)?.1)
    }

    /// The same, and the position of its variant.
    fn device_variant(&self, device: &Device, sizes: &[i64]) -> Result<(usize, DeviceCode), PackageError> {
        self.manifest.check_sizes(sizes).map_err(PackageError::Sizes)?;
        let (mut best, mut obstacles): (Option<Candidate<'_>>, _) = (None, Vec::new());
        for (at, variant) in self.manifest.variants.iter().enumerate() {
            let obstacle = match &variant.code {
                VariantCode::Host(_) => "it is for a processor".to_owned(),
                VariantCode::Device(_) if !variant.fits(&self.manifest, sizes) => "it is for other sizes".to_owned(),
                VariantCode::Device(code) => match fit(code, device.about().capability) {
                    Ok(fit) => {
                        let rank = (fit, variant.sizes.is_some());
                        if best.is_none_or(|(before, ..)| before < rank) {
                            best = Some((rank, at, code));
                        }
                        continue;
                    }
                    Err(why) => why,
                },
            };
            obstacles.push(format!("{} ({}): {obstacle}", variant.name, variant.target));
        }
        match best {
            Some((((.., is_assembled), _), at, code)) => Ok((at, self.code_of(code, is_assembled, sizes)?)),
            None => Err(self.no_variant(&format!("the device `{}`", device.about().name), sizes, obstacles)),
        }
    }

    fn code_of(&self, code: &KernelFile, is_assembled: bool, sizes: &[i64]) -> Result<DeviceCode, PackageError> {
        let text = match (&code.language, &code.cubin) {
            (Language::Opencl, _) => Text::OpenCl(self.text(&code.text).into()),
            (Language::Ptx(architecture), Some(cubin)) if is_assembled => {
                let bytes = self.file(cubin).cloned().unwrap_or_default();
                Text::Cubin { bytes, architecture: architecture.clone() }
            }
            (Language::Ptx(architecture), _) => {
                Text::Ptx { text: self.text(&code.text).into(), architecture: architecture.clone() }
            }
        };
        let plan = code.plan.at(&self.manifest.values(sizes))?;
        // SAFETY: whoever loaded the package vouched for its code, or it was put together of such; the sizes were checked above.
        Ok(unsafe { DeviceCode::new(text, plan) })
    }
}

/// How well code fits a device with that capability; a reason where it does not.
fn fit(code: &KernelFile, capability: Option<(u32, u32)>) -> Result<Fit, String> {
    match (&code.language, capability) {
        (Language::Opencl, None) => Ok((0, 0, false, false)),
        (Language::Opencl, Some(_)) => Err("it is for OpenCL, and this is a CUDA device".into()),
        (Language::Ptx(name), None) => Err(format!("it is for {name}, and this is an OpenCL device")),
        (Language::Ptx(name), Some(found)) => match architecture(name) {
            Some(needed) if needed.runs_on(found) => {
                let is_assembled = code.cubin.is_some() && needed.runs_assembled_on(found);
                Ok((needed.major, needed.minor, needed.exact, is_assembled))
            }
            _ => Err(format!("it is for {name}, and this device is sm_{}{}", found.0, found.1)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Signature;
    use crate::plan::Plan;

    fn kernels(language: Language, cubin: bool) -> KernelFile {
        let signature =
            Signature { name: "f".into(), arguments: vec![], sizes: vec![], workspace_bytes: 0, checks: vec![] };
        let (kernels, workspace, launches) = (vec![], vec![], vec![]);
        let plan = Plan { signature, index_bits: 32, kernels, workspace, fault_words: 0, launches };
        KernelFile { language, text: "f.ptx".into(), cubin: cubin.then(|| "f.cubin".into()), plan: plan.into() }
    }

    #[test]
    fn the_latest_architecture_that_a_device_runs_is_taken() {
        let of = |name: &str, cubin| kernels(Language::Ptx(name.into()), cubin);
        let on = |code: &KernelFile, major, minor| fit(code, Some((major, minor)));
        let (old, new, exact) = (of("sm_70", false), of("sm_80", true), of("sm_90a", true));
        assert!(on(&old, 8, 0) < on(&new, 8, 0) && on(&new, 9, 0) < on(&exact, 9, 0));
        assert_eq!(on(&new, 7, 5), Err("it is for sm_80, and this device is sm_75".into()));
        assert!(on(&exact, 10, 0).is_err(), "it is of one architecture alone");
        // What is assembled runs on later ones of the same generation.
        let is_assembled = |fit: Result<Fit, String>| fit.expect("it runs").3;
        assert!(is_assembled(on(&new, 8, 0)) && is_assembled(on(&new, 8, 6)) && !is_assembled(on(&new, 9, 0)));
        assert!(is_assembled(on(&exact, 9, 0)));
        assert!(fit(&new, None).is_err() && fit(&kernels(Language::Opencl, false), Some((8, 0))).is_err());
        assert!(fit(&kernels(Language::Opencl, false), None).is_ok());
    }
}
