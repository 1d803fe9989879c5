//! `package.json`, as data.

use super::{Language, json};
use crate::formula::Formula;
use crate::kernel::{OpenSignature, Role, SizeOf};
use crate::math;
use crate::named::Named;
use crate::tensor::DType;
use serde::Serialize;

/// `package.json`: a definition, compiled for one or more machines and sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// [`FORMAT`](super::FORMAT): a package of another one is refused.
    pub format: u32,
    /// The version of the compiler; told, and not compared.
    pub version: String,
    /// What the definition is called.
    pub definition: String,
    /// The names of its sizes, in their order.
    pub sizes: Vec<String>,
    /// The tensors of a call, in the order of the definition: inputs first.
    pub arguments: Vec<Parameter>,
    /// What must hold of the sizes of a call.
    pub conditions: Vec<Condition>,
    /// The file of the program.
    pub program: String,
    /// The code, for different machines and sizes.
    pub variants: Vec<Variant>,
    /// Of each file but this one the SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: Named<String>,
}

/// A tensor that a definition takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// What a call does with it.
    pub role: Role,
    /// The extent of each dimension, over the sizes.
    pub shape: Vec<Formula>,
    /// The size that is the value of this scalar, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

/// A condition on the sizes: one of `any` is at least 0, unless one of `extents` is 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// One of these must not be negative.
    pub any: Vec<Formula>,
    /// Where one of these is 0, nothing is computed.
    pub extents: Vec<Formula>,
    /// The condition as people write it.
    pub text: String,
    /// What it is for.
    pub reason: String,
}

/// The code for a machine and sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variant {
    /// Its name, an identifier that no other variant of the package has: `x86_64_v3__M512_N512_K512`.
    pub name: String,
    /// The target, as it was asked for: `x86-64-v3`, `cuda:sm_80`.
    pub target: String,
    /// The values of all sizes, where the code is for these alone.
    pub sizes: Option<Named<i64>>,
    /// The file of the script that scheduled it.
    pub script: String,
    /// The code.
    pub code: VariantCode,
}

/// Code, of a processor or of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VariantCode {
    /// Machine code of a processor.
    Host(HostCode),
    /// Kernels of a device.
    Device(KernelFile),
}

/// Machine code of a processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostCode {
    /// The file of the relocatable object.
    pub object: String,
    /// The symbol of its [`Entry`](crate::abi::Entry).
    pub entry: String,
    /// What it runs on.
    pub machine: Machine,
    /// What the address of the workspace is a multiple of, in bytes. Tensors are aligned as their elements are.
    pub alignment: usize,
    /// What it takes.
    pub signature: OpenSignature,
}

/// A processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// LLVM's target triple.
    pub triple: String,
    /// LLVM's name of the processor.
    pub cpu: String,
    /// The instruction set extensions that code for it may use, as LLVM calls them.
    pub features: Vec<String>,
    /// Bits of a vector at least, where vectors have the length of the machine's (SVE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scalable_bits: Option<u32>,
}

/// Kernels of a device and their launches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KernelFile {
    /// The language of the kernels.
    pub language: Language,
    /// The file of their text.
    pub text: String,
    /// The file of the same for one architecture, assembled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cubin: Option<String>,
    /// What a call runs.
    #[cfg(feature = "device")]
    pub plan: crate::plan::OpenPlan,
}

/// Machine code computes with sizes in 64 bits: with ones up to this no subscript and no end of a tile overflows.
const MOST_SIZE: i64 = 1 << 48;

impl Manifest {
    /// The sizes of a call in order, from pairs of a name and a value.
    ///
    /// # Errors
    /// When one is missing, given twice, or none of the definition's.
    pub fn in_order(&self, given: &[(&str, i64)]) -> Result<Vec<i64>, String> {
        for (at, (name, _)) in given.iter().enumerate() {
            if !self.sizes.iter().any(|own| own == name) {
                return Err(format!("`{}` has no size `{name}`: it has {}", self.definition, self.sizes.join(", ")));
            }
            if given[..at].iter().any(|(other, _)| other == name) {
                return Err(format!("the size `{name}` is given twice"));
            }
        }
        let value = |name: &String| given.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
        let all = self.sizes.iter().map(|name| value(name).ok_or_else(|| format!("the size `{name}` is not given")));
        all.collect()
    }

    /// Checks what must hold of sizes, one value for each of [`Manifest::sizes`].
    ///
    /// # Errors
    /// The first condition that they break.
    pub fn check_sizes(&self, sizes: &[i64]) -> Result<(), String> {
        if sizes.len() != self.sizes.len() {
            let (expected, found) = (self.sizes.len(), sizes.len());
            return Err(format!("`{}` expected {expected} sizes, found {found}", self.definition));
        }
        for (name, &value) in self.sizes.iter().zip(sizes) {
            if value < 0 {
                return Err(format!("the size `{name}` = {value} is negative"));
            }
            if value > MOST_SIZE {
                return Err(format!("the size `{name}` = {value} is larger than any loop counts to"));
            }
        }
        let size = self.values(sizes);
        let is_broken = |condition: &&Condition| {
            let value = |formula: &Formula| formula.value(&size);
            let runs = !condition.extents.iter().any(|extent| value(extent) == Some(0));
            runs && !condition.any.iter().any(|formula| value(formula).is_some_and(|value| value >= 0))
        };
        if let Some(condition) = self.conditions.iter().find(is_broken) {
            let given: Vec<String> =
                self.sizes.iter().zip(sizes).map(|(name, size)| format!("{name} = {size}")).collect();
            let Condition { text, reason, .. } = condition;
            return Err(format!("these sizes break the condition {text}: {} ({reason})", given.join(", ")));
        }
        self.arguments.iter().try_for_each(|argument| argument.check_bytes(&size))
    }

    /// The values of sizes by name.
    pub fn values<'a>(&'a self, sizes: &'a [i64]) -> impl Fn(&str) -> Option<i64> + 'a {
        |name| self.sizes.iter().position(|own| own == name).and_then(|at| sizes.get(at).copied())
    }

    /// The files that are named outside of [`Manifest::sha256`].
    pub fn files(&self) -> Vec<&str> {
        let mut files = vec![self.program.as_str()];
        for variant in &self.variants {
            files.push(&variant.script);
            match &variant.code {
                VariantCode::Host(code) => files.push(&code.object),
                VariantCode::Device(code) => {
                    files.extend([code.text.as_str()].into_iter().chain(code.cubin.as_deref()))
                }
            }
        }
        files
    }

    /// Reads the text of a [`MANIFEST`](super::MANIFEST).
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Manifest, String> {
        let manifest = json::manifest(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks that the manifest names only what there is.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self) -> Result<(), String> {
        if let Some(file) = self.files().into_iter().find(|file| !self.sha256.contains_key(file)) {
            return Err(format!("`{file}` has no SHA-256"));
        }
        let has_namesake =
            |(at, variant): (usize, &Variant)| self.variants[..at].iter().any(|it| it.name == variant.name);
        if self.variants.iter().enumerate().any(has_namesake) {
            return Err("two variants have one name".into());
        }
        self.check_formulas()?;
        for variant in &self.variants {
            variant.check(self).map_err(|reason| format!("the variant `{}`: {reason}", variant.name))?;
        }
        Ok(())
    }

    fn check_formulas(&self) -> Result<(), String> {
        let mut unknown = None;
        let mut see = |formula: &Formula| {
            formula.each_size(&mut |name| {
                if !self.sizes.iter().any(|own| own == name) {
                    unknown = Some(name.to_owned());
                }
            });
        };
        self.arguments.iter().flat_map(|argument| &argument.shape).for_each(&mut see);
        self.conditions.iter().flat_map(|condition| condition.any.iter().chain(&condition.extents)).for_each(&mut see);
        for variant in &self.variants {
            if let VariantCode::Host(code) = &variant.code {
                code.signature.each_formula(&mut see);
            }
        }
        match unknown {
            Some(name) => Err(format!("a formula names the size `{name}`, which there is not")),
            None => Ok(()),
        }
    }
}

impl Parameter {
    /// Checks that its bytes can be counted.
    fn check_bytes(&self, size: SizeOf<'_>) -> Result<(), String> {
        let mut extents = self.shape.iter().map(|extent| extent.value(size));
        let bytes = extents.try_fold(self.dtype.bytes() as i64, |all, extent| all.checked_mul(extent?.max(1)));
        match bytes {
            Some(bytes) if bytes <= isize::MAX as i64 / 4 => Ok(()),
            _ => Err(format!("`{}` would have more bytes than an address can count", self.name)),
        }
    }
}

impl HostCode {
    /// Checks that the functions that it calls are where it calls them.
    fn check_functions(&self) -> Result<(), String> {
        let is_elsewhere = |(symbol, slot): &(&String, &usize)| math::symbol(**slot).as_ref() != Some(*symbol);
        match self.signature.functions.iter().find(is_elsewhere) {
            Some((symbol, _)) => Err(format!("it calls `{symbol}` where this version has another function")),
            None => Ok(()),
        }
    }
}

impl Variant {
    /// Whether its code is for these sizes, which are those of the manifest in order.
    pub fn fits(&self, manifest: &Manifest, sizes: &[i64]) -> bool {
        let Some(own) = &self.sizes else { return true };
        manifest.sizes.iter().zip(sizes).all(|(name, size)| own.get(name) == Some(size))
    }

    fn check(&self, manifest: &Manifest) -> Result<(), String> {
        if let Some(sizes) = &self.sizes
            && !(sizes.len() == manifest.sizes.len() && manifest.sizes.iter().all(|name| sizes.contains_key(name)))
        {
            return Err("its sizes are not those of the definition".into());
        }
        match &self.code {
            VariantCode::Device(code) => match (&code.language, &code.cubin) {
                (Language::Opencl, Some(_)) => Err("OpenCL C is not assembled".into()),
                #[cfg(feature = "device")]
                _ => {
                    code.plan.check().map_err(|error| error.to_string())?;
                    code.plan.check_names(&manifest.sizes)
                }
                #[cfg(not(feature = "device"))]
                _ => Ok(()),
            },
            VariantCode::Host(code) if !code.alignment.is_power_of_two() || code.alignment > crate::abi::ALIGNMENT => {
                Err(format!("a workspace aligned to {} bytes", code.alignment))
            }
            VariantCode::Host(code) => code.check_functions(),
        }
    }
}
