//! The files of a package for programs in C and C++: header, object, static library and, where something links it, a shared one.

use std::cmp::Reverse;

use codegen::llvm::library::{self, Argument, Choice, Condition, Library};
use runtime::package::{HostCode, Package, Variant, VariantCode};

use super::c_names::c_name;
use super::{archive, header, shared};
use crate::Result;
use crate::compile::target;

/// Machine code of a package: the variant that it is of.
type Host<'a> = (&'a Variant, &'a HostCode);

/// For each architecture of the package's machine code a library, in files that are named after the definition: `mm.h`, `mm.o`
/// (the functions of the header), `libmm.a`, `libmm.so`. Of several architectures all but the header have their name too:
/// `libmm-aarch64.a`. What a library cannot be made of is left out and told in the header.
///
/// # Errors
/// Only bugs of ours.
pub(super) fn files(package: &Package) -> Result<Vec<(String, Vec<u8>)>> {
    let hosts = hosts(package);
    let mut architectures: Vec<&str> = hosts.iter().map(|(_, code)| architecture(code)).collect();
    architectures.sort_unstable();
    architectures.dedup();
    let mut files = Vec::new();
    let mut libraries = Vec::new();
    for of in &architectures {
        let own: Vec<Host<'_>> = hosts.iter().copied().filter(|(_, code)| architecture(code) == *of).collect();
        let suffix = if architectures.len() == 1 { String::new() } else { format!("-{of}") };
        let (library, left_out) = library_of(package, &own)?;
        if !library.choices.is_empty() {
            files.extend(binaries(package, &library, &own, &suffix)?);
        }
        libraries.push((library, left_out));
    }
    if !files.is_empty() {
        let name = c_name(&package.manifest().definition);
        files.push((format!("{name}.h"), header::header(&libraries, &package.manifest().definition).into_bytes()));
        files.extend([header::COMMON, header::POOL].map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    }
    Ok(files)
}

/// The machine code of a package, in the order in which it is tried: what needs most of the processor first, and of that what is
/// for some sizes alone.
fn hosts(package: &Package) -> Vec<Host<'_>> {
    let variants = package.manifest().variants.iter();
    let mut hosts: Vec<Host<'_>> = variants
        .filter_map(|variant| match &variant.code {
            VariantCode::Host(code) => Some((variant, code)),
            VariantCode::Device(_) => None,
        })
        .collect();
    hosts.sort_by_key(|(variant, code)| Reverse((code.machine.features.len(), variant.sizes.is_some())));
    hosts
}

/// `x86_64` of `x86_64-unknown-linux-gnu`.
fn architecture(code: &HostCode) -> &str {
    code.machine.triple.split('-').next().unwrap_or_default()
}

/// What a library of this machine code is made of, and why some of it is left out.
fn library_of(package: &Package, hosts: &[Host<'_>]) -> Result<(Library, Vec<String>)> {
    let manifest = package.manifest();
    let position = |name: &String| manifest.sizes.iter().position(|size| size == name);
    let strided = |at: usize| {
        let of = |code: &HostCode| code.signature.arguments.get(at).is_some_and(|own| own.strides.contains(&None));
        hosts.iter().all(|(_, code)| of(code)) && !hosts.is_empty()
    };
    let arguments = manifest.arguments.iter().enumerate().map(|(at, argument)| Argument {
        name: argument.name.clone(),
        dtype: argument.dtype,
        role: argument.role,
        extent: argument.shape.clone(),
        is_strided: strided(at),
        size: argument.size.as_ref().and_then(position),
    });
    let conditions = manifest.conditions.iter().map(|condition| Condition {
        any: condition.any.clone(),
        extents: condition.extents.clone(),
        text: condition.text.clone(),
    });
    let mut library = Library {
        name: c_name(&manifest.definition),
        triple: hosts.first().map(|(_, code)| code.machine.triple.clone()).unwrap_or_default(),
        sizes: manifest.sizes.clone(),
        arguments: arguments.collect(),
        conditions: conditions.collect(),
        choices: Vec::new(),
    };
    let mut left_out = Vec::new();
    for (variant, code) in hosts {
        match library::can_choose(&library.triple, &code.machine.features) {
            Ok(()) => library.choices.push(choice(&manifest.sizes, variant, code)),
            Err(why) => left_out.push(format!("{}: {why}", variant.target)),
        }
    }
    Ok((library, left_out))
}

fn choice(names: &[String], variant: &Variant, code: &HostCode) -> Choice {
    let sizes = variant.sizes.as_ref().map(|sizes| names.iter().filter_map(|name| sizes.get(name).copied()).collect());
    Choice {
        target: variant.target.clone(),
        entry: code.entry.clone(),
        features: code.machine.features.clone(),
        scalable_bits: code.machine.scalable_bits,
        sizes,
        parameters: code.signature.parameters.clone(),
        workspace: code.signature.workspace_bytes.clone(),
        checks: code.signature.checks.clone(),
        math: code.signature.functions.values().copied().collect(),
    }
}

/// The object of a library's functions, and the libraries.
fn binaries(package: &Package, library: &Library, hosts: &[Host<'_>], suffix: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let name = &library.name;
    let functions = (format!("{name}{suffix}.o"), library::library(library).map_err(target)?);
    let mut objects = vec![functions.clone()];
    for (_, code) in hosts.iter().filter(|(_, code)| library.choices.iter().any(|choice| choice.entry == code.entry)) {
        objects.extend(package.file(&code.object).map(|bytes| (code.object.clone(), bytes.to_vec())));
    }
    let mut files = vec![functions, (format!("lib{name}{suffix}.a"), archive::archive(&objects)?)];
    if let Ok(bytes) = shared::shared(&format!("{name}{suffix}"), &library.triple, &objects) {
        files.push((format!("lib{name}{suffix}.so"), bytes));
    }
    Ok(files)
}
