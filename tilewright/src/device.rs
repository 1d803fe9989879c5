//! Which figures a device is scheduled by, and what it refuses as errors of this crate.

use codegen::gpu::{self, NoCode};
use runtime::device::About;
use runtime::{Device, DeviceError, PlanError};
use support::{Diagnostic, Gpu};

use crate::{Error, Result, bind, compile};

/// What a program cannot have code for.
pub(crate) fn no_code(why: NoCode) -> Error {
    match why {
        NoCode::Unsupported(why) => unsupported(why),
        NoCode::Llvm(why) => compile::target(why),
        NoCode::NoPlan(why) => no_plan(why),
    }
}

/// Why nothing is launched for the sizes of a call.
pub(crate) fn no_plan(why: PlanError) -> Error {
    match why {
        PlanError::Malformed(_) => Error::bug(why),
        PlanError::TooMany | PlanError::TooLarge { .. } => Error::user(Diagnostic::call("TC0942", why.to_string())),
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
