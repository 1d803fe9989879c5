//! Definitions compiled to be kept, and called without the compiler.

use runtime::package::{Package, Parts};
use support::{Diagnostic, Watch};

use crate::compile::{self, Code, Options};
use crate::error::Source;
use crate::routine::Routine;
use crate::{Definition, Error, Result, bind};
use polyhedral::isl;

/// A definition of `source` compiled for these sizes and the device of the options, with all that a call needs.
///
/// # Errors
/// When the sizes do not fit, a script is refused, or the options name no device.
pub fn package(def: &Definition, source: &Source, sizes: &[i64], options: &Options) -> Result<Package> {
    let Some(device) = &options.device else {
        let error = Diagnostic::call("TC0946", "packages are made for devices, and this target is a processor");
        return Err(Error::user(error.help("build with `--target opencl` or `--target cuda:sm_80`")));
    };
    let routine = Routine::of_definition(def.clone(), Some(source.clone()));
    bind::preconditions(&routine, sizes).map_err(|error| error.with_source(source))?;
    let scop = routine.scop(&isl::Ctx::new(), (!options.symbolic).then_some(sizes))?;
    let translated = compile::translate(scop, &[], options, &mut Watch::new(&mut |_, _| ()))
        .map_err(|error| error.with_source(source))?;
    let Code::Device(code) = translated.code(&def.sizes, sizes, options)? else {
        return Err(Error::bug("kernels for a device are machine code"));
    };
    Ok(Package::new(Parts {
        version: env!("CARGO_PKG_VERSION"),
        definition: &def.name,
        sizes: def.sizes.iter().cloned().zip(sizes.iter().copied()).collect(),
        target: &device.name,
        code,
        program: source.text.to_string(),
        script: translated.script.to_string(),
    }))
}
