//! What devices run: text and plans of kernels, and which figures a device is scheduled by.

use codegen::Program;
use codegen::gpu::{self, Language, NoPlan, PtxKernel};
use runtime::device::{About, Text};
use runtime::{Device, DeviceCode, DeviceError};
use support::{Diagnostic, Gpu, KernelCode};

use crate::{Error, Result, bind, compile};

/// The text of a program's kernels.
pub(crate) struct Kernels {
    text: Text,
    /// What the kernels are called in the text, and how much of what their blocks share a launch says, in the order of the
    /// program; none when they are called and share what the plan says.
    symbols: Vec<(String, u32)>,
}

impl Kernels {
    /// In the language of the device.
    pub fn of(program: &Program, device: &Gpu) -> Result<Kernels> {
        match device.code {
            KernelCode::OpenCl => {
                let text = gpu::source(program, Language::OpenCl).map_err(unsupported)?;
                Ok(Kernels { text: Text::OpenCl(text.into()), symbols: Vec::new() })
            }
            KernelCode::Ptx(name) => {
                let ptx = gpu::ptx(program, device).map_err(compile::target)?;
                let text = Text::Ptx { text: ptx.text.into(), architecture: name.into() };
                let symbol = |kernel: PtxKernel| {
                    u32::try_from(kernel.dynamic_shared_bytes).map(|bytes| (kernel.symbol, bytes)).map_err(Error::bug)
                };
                Ok(Kernels { text, symbols: ptx.kernels.into_iter().map(symbol).collect::<Result<_>>()? })
            }
        }
    }

    /// For these values of the program's parameters.
    pub fn code(&self, program: &Program, values: &[i64]) -> Result<DeviceCode> {
        let mut plan = gpu::plan(program, values).map_err(|error| match error {
            NoPlan::Malformed(_) => Error::bug(error),
            NoPlan::TooMany | NoPlan::TooLarge { .. } => Error::user(Diagnostic::call("TC0942", error.to_string())),
        })?;
        for (kernel, (symbol, bytes)) in plan.kernels.iter_mut().zip(&self.symbols) {
            kernel.name.clone_from(symbol);
            kernel.dynamic_shared_bytes = *bytes;
        }
        // SAFETY: the text was made from this program, whose loads and stores lie inside the buffers that the plan's signature
        // describes: the subscripts of a verified program do, and indirect ones are checked before use. It was proved free
        // of races.
        Ok(unsafe { DeviceCode::new(self.text.clone(), plan) })
    }
}

/// What a language has no words for.
pub(crate) fn unsupported(why: gpu::Unsupported) -> Error {
    Error::user(Diagnostic::call("TC0943", why.to_string()))
}

/// The device with a name that [`Device::open`] takes: `opencl`, `cuda:1`, `cuda:sm_80`.
///
/// # Errors
/// `TC0944` when there is no library, no device, or none with that name.
pub fn open_device(name: &str) -> Result<Device> {
    Device::open(name).map_err(error)
}

/// The figures that kernels for a device are made by: those of its kind, within its own limits.
///
/// # Errors
/// `TC0944` when the device is older than every kind that is known.
pub fn figures(about: &About) -> Result<Gpu> {
    let kind = match about.capability {
        None => Gpu::opencl(),
        Some((9, 0)) => Gpu::hopper(),
        Some((major, _)) if major >= 8 => Gpu::ampere(),
        Some((7, _)) => Gpu::volta(),
        Some((major, minor)) => {
            let message = format!("`{}` is sm_{major}{minor}: kernels are made for sm_70 and later", about.name);
            return Err(Error::user(Diagnostic::call("TC0944", message)));
        }
    };
    Ok(within(kind, about))
}

/// The figures of a kind, none of them larger than the device's own.
pub(crate) fn within(kind: Gpu, about: &About) -> Gpu {
    let least = |kind: i64, own: u64| kind.min(i64::try_from(own).unwrap_or(i64::MAX));
    let mut gpu = kind;
    gpu.threads = least(gpu.threads, about.threads.into());
    gpu.usual_threads = gpu.usual_threads.min(gpu.threads);
    for (kind, own) in gpu.block.iter_mut().zip(about.block).chain(gpu.grid.iter_mut().zip(about.grid)) {
        *kind = least(*kind, own.into());
    }
    gpu.shared_bytes = least(gpu.shared_bytes, about.shared_bytes);
    gpu.most_shared_bytes = least(gpu.most_shared_bytes, about.shared_bytes);
    gpu
}

/// A device's refusal as an error of this crate.
pub fn error(error: DeviceError) -> Error {
    let code = match error {
        DeviceError::Call(error) => return bind::call(error),
        DeviceError::Tensor(error) => return bind::tensor(error),
        DeviceError::Malformed(_) => return Error::bug(error),
        DeviceError::NoLibrary { .. } | DeviceError::NoDevice { .. } | DeviceError::NoSuchDevice { .. } => "TC0944",
        _ => "TC0945",
    };
    Error::user(Diagnostic::call(code, error.to_string()))
}
