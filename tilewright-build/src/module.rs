//! What is written: a package for each definition, the library, `kernels.rs`.

use std::fs;
use std::path::Path;

use runtime::Package;
use runtime::package::VariantCode;
use support::Diagnostic;
use tilewright::{Error, Result};

use crate::Environment;

/// A definition that was written.
pub struct Module {
    /// What it is called.
    pub definition: String,
    /// The file of its function, from `OUT_DIR`.
    file: String,
}

/// An object of the library: the file's name and its bytes.
pub type Object = (String, Vec<u8>);

/// Writes a package into a folder of its own; its objects are for the library.
pub fn write(package: &Package, environment: &Environment, objects: &mut Vec<Object>) -> Result<Module> {
    let definition = package.manifest().definition.clone();
    let folder = environment.out.join(&definition);
    // What another build left there may not be what this one writes.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    }
    package.write(&folder).map_err(|error| Error::user(Diagnostic::call("TC0946", error.to_string())))?;
    for variant in &package.manifest().variants {
        if let VariantCode::Host(code) = &variant.code {
            let bytes = package.file(&code.object).ok_or_else(|| Error::bug("a package lacks an object"))?;
            objects.push((code.object.clone(), bytes.to_vec()));
        }
    }
    Ok(Module { file: format!("{definition}/{definition}.rs"), definition })
}

/// The library of all objects, and the module of all functions.
pub fn write_all(modules: &[Module], objects: &[Object], library: &str, environment: &Environment) -> Result<()> {
    let archive = tilewright::archive(objects)?;
    let file = environment.out.join(format!("lib{library}.a"));
    fs::write(&file, archive).map_err(|error| failed(&file, error))?;
    let mut text = String::from("// The functions of the kernels, by `tilewright-build`.\n");
    for module in modules {
        text += &format!("include!(\"{}\");\n", module.file);
    }
    let file = environment.out.join("kernels.rs");
    fs::write(&file, text).map_err(|error| failed(&file, error))
}

/// No two definitions have one name: their functions are in one module.
pub fn distinct(modules: &[Module]) -> Result<()> {
    for (at, module) in modules.iter().enumerate() {
        if modules[..at].iter().any(|other| other.definition == module.definition) {
            let message = format!("two definitions are called `{}`", module.definition);
            let error = Diagnostic::call("TC0951", message);
            return Err(Error::user(error.help("give one another name: all functions are in one module")));
        }
    }
    Ok(())
}

/// The name of the package, from the name of its folder, as a library's name has it.
pub fn suffix(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

pub fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::user(Diagnostic::call("TC0951", format!("{}: {error}", path.display())))
}
