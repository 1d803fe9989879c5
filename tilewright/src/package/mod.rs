//! Definitions compiled to be kept, and called without the compiler.

mod archive;
mod c;
mod c_names;
mod cubin;
mod describe;
mod header;
mod rust;
mod shared;

pub use archive::archive;

use std::collections::BTreeMap;

use polyhedral::isl;
use runtime::package::{Machine, Package, Parts, VariantParts};
use support::{Diagnostic, Watch};

use crate::compile::{self, Options, Translated};
use crate::error::Source;
use crate::routine::Routine;
use crate::{Definition, Error, Result, bind};

/// Sizes that a package has code for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The values of all sizes of the definition; without them, the code is for any.
    pub sizes: Option<Vec<i64>>,
    /// Sizes of tiles that the script leaves open, beside those of [`Options::tile_sizes`].
    pub tile_sizes: BTreeMap<String, i64>,
}

impl Choice {
    /// These sizes alone.
    pub fn of(sizes: &[i64]) -> Choice {
        Choice { sizes: Some(sizes.to_vec()), tile_sizes: BTreeMap::new() }
    }

    /// Any sizes.
    pub fn any() -> Choice {
        Choice::default()
    }
}

/// A definition of `source` compiled for each of the targets and each choice of sizes, with all that a call needs.
/// [`Options::symbolic`] is left to the choices.
///
/// # Errors
/// When the sizes do not fit, a script is refused, or there is nothing that could be compiled for a target.
pub fn package(def: &Definition, source: &Source, targets: &[Options], choices: &[Choice]) -> Result<Package> {
    package_for(&Linked::ALL, def, source, targets, choices)
}

/// The program's text, and the files that it imports beside it: names and texts.
fn files_of(source: &Source, definition: &str) -> (String, Vec<(String, String)>) {
    let files = source.sources.as_ref().map(|sources| sources.in_one_folder(&format!("{definition}.tc")));
    let mut files = files.unwrap_or_default().into_iter();
    let program = files.next().map_or_else(|| source.text.to_string(), |(_, text)| text);
    (program, files.collect())
}

/// Programs that a package is linked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// Programs in C and C++: a header, a static and a shared library.
    C,
    /// Programs in Rust: a module.
    Rust,
}

impl Linked {
    /// All of them.
    pub const ALL: [Linked; 2] = [Linked::C, Linked::Rust];

    /// Makes the files for these programs, which the run time does not read: names and bytes.
    fn files(self, def: &Definition, source: &Source, package: &Package) -> Result<Vec<(String, Vec<u8>)>> {
        match self {
            Linked::C => c::files(package),
            Linked::Rust => rust::files(def, source, package),
        }
    }
}

/// As [`package`], with what these programs need and not what others do.
///
/// # Errors
/// As [`package`].
pub fn package_for(
    programs: &[Linked],
    def: &Definition,
    source: &Source,
    targets: &[Options],
    choices: &[Choice],
) -> Result<Package> {
    let routine = Routine::of_definition(def.clone(), Some(source.clone()));
    let (program, imported) = files_of(source, &def.name);
    let mut package = Package::new(Parts {
        version: env!("CARGO_PKG_VERSION").into(),
        definition: def.name.clone(),
        sizes: def.sizes.clone(),
        arguments: describe::arguments(def)?,
        conditions: describe::conditions(def)?,
        program,
    });
    for (name, text) in imported {
        package.add_file(name, text.into_bytes());
    }
    for sizes in choices.iter().filter_map(|choice| choice.sizes.as_ref()) {
        bind::preconditions(&routine, sizes).map_err(|error| error.with_source(source))?;
    }
    for options in targets {
        for choice in choices {
            add_variant(&mut package, &routine, options, choice).map_err(|error| error.with_source(source))?;
        }
    }
    readable(&package)?;
    for program in programs {
        for (name, bytes) in program.files(def, source, &package)? {
            package.add_file(name, bytes);
        }
    }
    Ok(package)
}

/// What was compiled of a routine for these sizes, or for any, as a package of one variant, for the process that compiled it and its
/// like: of a program that was built in Rust it has neither arguments nor conditions.
///
/// # Errors
/// Where its numbers are no formulas.
pub(crate) fn of_translated(
    translated: &Translated,
    routine: &Routine,
    sizes: Option<&[i64]>,
    options: &Options,
) -> Result<Package> {
    let (arguments, conditions) = match routine.definition() {
        Some(def) => (describe::arguments(def)?, describe::conditions(def)?),
        None => (Vec::new(), Vec::new()),
    };
    let (definition, own) = (routine.name.clone(), routine.sizes.clone());
    let version = env!("CARGO_PKG_VERSION").into();
    let mut package =
        Package::new(Parts { version, definition, sizes: own, arguments, conditions, program: routine.text() });
    let target = options.device.as_ref().map_or(&options.target.name, |device| &device.name).clone();
    let script = translated.script.to_string();
    let about = VariantParts { name: "kept".into(), target, sizes: sizes.map(<[i64]>::to_vec), script };
    match &options.device {
        None => {
            let code = translated.open_code(&routine.sizes, sizes, options)?;
            package.add_host(about, machine(options)?, &code);
        }
        Some(_) => {
            package.add_device(about, &translated.open_kernels(&routine.sizes, sizes, options)?, None);
        }
    }
    readable(&package)?;
    Ok(package)
}

/// Compiles for one target and one choice of sizes.
fn add_variant(package: &mut Package, routine: &Routine, options: &Options, choice: &Choice) -> Result<()> {
    let target = options.device.as_ref().map_or(&options.target.name, |device| &device.name);
    let name = variant_name(target, &routine.sizes, choice);
    if package.manifest().variants.iter().any(|variant| variant.name == name) {
        return Ok(());
    }
    let mut options = Options { symbolic: choice.sizes.is_none(), ..options.clone() };
    options.tile_sizes.extend(choice.tile_sizes.clone());
    let entry = format!("tw_{}__{name}", routine.name);
    let scop = routine.scop(&isl::Ctx::new(), choice.sizes.as_deref())?;
    let translated = compile::translate_as(scop, Some(&entry), &[], &options, &mut Watch::new(&mut |_, _| ()))?;
    let (sizes, script) = (choice.sizes.clone(), translated.script.to_string());
    let about = VariantParts { name, target: target.clone(), sizes, script };
    match &options.device {
        None => {
            let code = translated.open_code(&routine.sizes, choice.sizes.as_deref(), &options)?;
            package.add_host(about, machine(&options)?, &code);
        }
        Some(_) => {
            let code = translated.open_kernels(&routine.sizes, choice.sizes.as_deref(), &options)?;
            let cubin = cubin::assembled(&code);
            package.add_device(about, &code, cubin);
        }
    }
    Ok(())
}

/// Refuses what no run time reads: of programs of thousands of statements, formulas may be longer than a text of one may be.
fn readable(package: &Package) -> Result<()> {
    let unreadable = |reason| {
        let message = format!("a package cannot describe `{}`: {reason}", package.manifest().definition);
        Error::user(
            Diagnostic::call("TC0952", message).help("divide the definition, or build it for given sizes with -s"),
        )
    };
    package.check().map_err(unreadable)
}

/// What code for the target of the options runs on.
fn machine(options: &Options) -> Result<Machine> {
    let target = &options.target;
    let codegen::llvm::Needs { features, scalable_bits } = codegen::llvm::needs(target).map_err(compile::target)?;
    Ok(Machine { triple: target.triple.clone(), cpu: target.cpu.clone(), features, scalable_bits })
}

/// An identifier for a target and sizes: `x86_64_v3__M512_N512_K512`, `x86_64_v3__open`. Of a definition without sizes it is the
/// target's alone.
fn variant_name(target: &str, names: &[String], choice: &Choice) -> String {
    let clean = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let sizes: Vec<String> = match &choice.sizes {
        Some(sizes) => names.iter().zip(sizes).map(|(name, size)| format!("{}{size}", clean(name))).collect(),
        None if names.is_empty() => Vec::new(),
        None => vec!["open".into()],
    };
    let sizes = if sizes.is_empty() { String::new() } else { format!("__{}", sizes.join("_")) };
    format!("{}{sizes}", clean(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variants_are_identifiers() {
        let sizes = ["M".to_string(), "K'".to_string()];
        assert_eq!(variant_name("cuda:sm_80", &sizes, &Choice::of(&[3, 40])), "cuda_sm_80__M3_K_40");
        assert_eq!(variant_name("x86-64-v3", &sizes, &Choice::any()), "x86_64_v3__open");
        assert_eq!(variant_name("host", &[], &Choice::of(&[])), "host");
    }
}
