//! Kernels in the interpreter.

use codegen::{FullTiles, Program, gpu, interp};
use frontend_tc::Kernel;
use polyhedral::eval::{self, Data, Limits, Tensors};
use polyhedral::testing::random_inputs;
use polyhedral::{Scop, isl};
use support::{Gpu, KernelCode, Stage, Target};
use tilewright::host_target;
use transform::{Policy, Session};

use crate::ptx;

/// Runs a definition as kernels for a device of OpenCL, blocks and threads in a random order, and compares with the evaluator.
pub fn runs(def: &Kernel, sizes: &[i64]) -> Result<(), String> {
    runs_for(def, sizes, &Gpu::opencl())
}

/// The same as kernels for any device.
pub fn runs_for(def: &Kernel, sizes: &[i64], device: &Gpu) -> Result<(), String> {
    let scop = frontend_tc::lower_at(def, &isl::Ctx::new(), sizes).map_err(|error| error.to_string())?;
    let program = kernels(&scop, device, &host_target())?;
    agrees(&scop, &program, 5)
}

/// Runs a definition as PTX, on a machine of the tests, and compares with the evaluator. What calls a function that there is no
/// PTX for is left out.
pub fn runs_as_ptx(def: &Kernel, sizes: &[i64]) -> Result<(), String> {
    let scop = frontend_tc::lower_at(def, &isl::Ctx::new(), sizes).map_err(|error| error.to_string())?;
    let program = kernels(&scop, &Gpu::cuda(), &host_target())?;
    match ptx::agrees_closely(&scop, &program, 5) {
        Err(why) if !why.starts_with("the function") => Err(why),
        _ => Ok(()),
    }
}

/// The kernels of the policy for a device.
pub fn kernels(scop: &Scop, device: &Gpu, target: &Target) -> Result<Program, String> {
    let mut session = Session::new(scop.clone(), target).map_err(|error| error.to_string())?;
    let mapper = gpu_mapper::Mapper { device: device.clone() };
    mapper.schedule(&mut session).map_err(|error| error.to_string())?;
    let scheduled = session.finish().map_err(|error| error.to_string())?;
    lowered(&scheduled.scop, device)
}

/// The kernels of a scheduled Scop.
pub fn lowered(scop: &Scop, device: &Gpu) -> Result<Program, String> {
    let mut remarks = Vec::new();
    let mapped = gpu_mapper::kernels(scop, device, &mut remarks).map_err(|error| error.to_string())?;
    let full_tiles = if device.code == KernelCode::OpenCl { FullTiles::Steps } else { FullTiles::Blocks };
    let async_copies = device.has_async_copies;
    let options = codegen::Options { fma: true, full_tiles, async_copies, ..codegen::Options::default() };
    let program = gpu::lower(&mapped, &options, &mut remarks).map_err(|error| error.to_string())?;
    program.verify().map_err(|error| error.to_string())?;
    Ok(program)
}

/// Whether a program computes what the source of the Scop says.
pub fn agrees(source: &Scop, program: &Program, seed: u64) -> Result<(), String> {
    let inputs = inputs(source, seed);
    let wide = eval::run_wide(source, &[], &inputs, Limits::default()).map_err(|error| error.to_string())?;
    let outputs = interp::interpret(program, &[], &inputs, seed).map_err(|fault| format!("{fault}\n{program}"))?;
    for name in wide.names() {
        let data = outputs.get(name).ok_or_else(|| format!("there is no `{name}`"))?;
        wide.compare(name, data).map_err(|mismatch| format!("{mismatch}\n{program}"))?;
    }
    Ok(())
}

/// Tensors that the program is given.
pub fn inputs(scop: &Scop, seed: u64) -> Tensors {
    let inputs = random_inputs(scop, &[], seed).into_iter();
    inputs.map(|input| (input.name, Data::from_f64s(input.dtype, &input.shape, &input.values))).collect()
}
