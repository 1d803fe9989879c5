//! Devices that run kernels of their own: through OpenCL or the CUDA driver, loaded while the program runs.
//!
//! - [`Device`]: found by name. [`DeviceTensor`]: memory of a device, its own or the caller's.
//! - [`Stream`]: what runs in order, apart from the host. [`Mark`]: a moment of it.
//! - [`Plan`]: what a call runs, as plain data. [`DeviceCode`]: a plan and the text of its kernels; [`OpenDeviceCode`]: for any
//!   sizes.
//! - [`DeviceKernel`]: these together, as something to launch.
//!
//! Everything builds and runs where there is neither library: [`Device::open`] says so.

mod code;
mod cuda;
mod driver;
mod error;
mod kernel;
mod library;
mod opencl;
mod stream;
mod tensor;

pub use crate::plan::{KernelEntry, Launch, Operand, Part, Plan};
pub use code::{DeviceCode, OpenDeviceCode, Text};
pub use error::DeviceError;
pub use kernel::DeviceKernel;
pub use stream::{Mark, Stream};
pub use tensor::DeviceTensor;

use crate::tensor::{DType, Tensor, TensorView};
use driver::{Driver, Kind, Object};
use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

/// An interface to devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// OpenCL 1.2 and later.
    OpenCl,
    /// The driver interface of CUDA.
    Cuda,
}

impl Api {
    /// Both.
    pub const ALL: [Api; 2] = [Api::Cuda, Api::OpenCl];

    /// How names of devices begin: `opencl`, `cuda`.
    pub fn name(self) -> &'static str {
        match self {
            Api::OpenCl => "opencl",
            Api::Cuda => "cuda",
        }
    }
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What [`Device::open`] takes: `cuda:0`.
    pub name: String,
    /// What people call it.
    pub description: String,
    /// How it is reached.
    pub api: Api,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// Bytes of the largest tensor.
    pub largest_bytes: u64,
    /// Threads of a block at most.
    pub threads: u32,
    /// Threads of a block at most in x, y and z.
    pub block: [u32; 3],
    /// Blocks of a launch at most in x, y and z.
    pub grid: [u32; 3],
    /// Bytes that the threads of a block share at most.
    pub shared_bytes: u64,
    /// What the offsets of parts of memory are multiples of.
    pub alignment: usize,
    /// Of a CUDA device, the version of its instructions: (8, 0) is `sm_80`.
    pub capability: Option<(u32, u32)>,
    /// Whether it computes with 64-bit floats.
    pub float64: bool,
}

/// A device that is open. Cheap to clone, `Send + Sync`.
#[derive(Clone)]
pub struct Device {
    driver: Arc<dyn Driver>,
}

impl Device {
    /// The device with that name: `cuda` and `opencl` are the first ones, `cuda:1` and `opencl:1` the second ones, and
    /// `cuda:sm_80` is the first that runs code for `sm_80`.
    ///
    /// Who opens a device again gets the same one, and it stays open. A CUDA device is opened in its primary context, which
    /// other libraries of the process use too.
    ///
    /// # Errors
    /// When there is no library, no device, or none with that name.
    pub fn open(name: &str) -> Result<Device, DeviceError> {
        let (api, which) = name.split_once(':').unwrap_or((name, "0"));
        let api = Api::ALL.into_iter().find(|known| known.name() == api);
        let Some(api) = api else {
            return Err(DeviceError::NoSuchDevice { name: name.into(), found: Device::names() });
        };
        let driver = match api {
            Api::OpenCl => chosen(name, which, opencl::devices()?, |found| &found.about)?.open()?,
            Api::Cuda => chosen(name, which, cuda::devices()?, |found| &found.about)?.open()?,
        };
        Ok(Device { driver })
    }

    /// The OpenCL device with that number in a `cl_context` of the caller's.
    ///
    /// # Safety
    /// It is a context with this device, and stays one as long as the device or anything of it lives.
    pub unsafe fn open_opencl_in(number: usize, context: *mut c_void) -> Result<Device, DeviceError> {
        let name = format!("opencl:{number}");
        let found = chosen(&name, &number.to_string(), opencl::devices()?, |found| &found.about)?;
        // SAFETY: the caller says so.
        Ok(Device { driver: unsafe { found.open_in(context) }? })
    }

    /// What is here: all devices of both interfaces, and why there are none of one.
    pub fn list() -> Vec<Result<About, DeviceError>> {
        let mut all = Vec::new();
        match cuda::devices() {
            Ok(found) => all.extend(found.iter().map(|found| Ok(found.about.clone()))),
            Err(error) => all.push(Err(error)),
        }
        match opencl::devices() {
            Ok(found) => all.extend(found.iter().map(|found| Ok(found.about.clone()))),
            Err(error) => all.push(Err(error)),
        }
        all
    }

    fn names() -> Vec<String> {
        Device::list().into_iter().flatten().map(|about| about.name).collect()
    }

    /// What it says of itself.
    pub fn about(&self) -> &About {
        self.driver.about()
    }

    /// A stream of its own.
    ///
    /// # Errors
    /// When the interface refuses.
    pub fn stream(&self) -> Result<Stream, DeviceError> {
        let queue = self.driver.queue(true)?;
        Ok(Stream::new(self, Object::own(&self.driver, Kind::Queue, queue)))
    }

    /// A stream of the caller's: a `CUstream` (null is the default one), or a `cl_command_queue` that runs in order, in the
    /// context of the device.
    ///
    /// # Safety
    /// It is one, of this device, and outlives the result.
    pub unsafe fn stream_of(&self, queue: *mut c_void) -> Stream {
        Stream::new(self, Object::borrow(&self.driver, driver::Handle(queue.expose_provenance() as u64)))
    }

    /// Memory for a tensor in row-major order, with any contents.
    ///
    /// # Errors
    /// When there is not so much.
    pub fn allocate(&self, dtype: DType, shape: &[i64]) -> Result<DeviceTensor, DeviceError> {
        DeviceTensor::allocate(self, dtype, shape)
    }

    /// A copy of a tensor of the host, in row-major order.
    ///
    /// # Errors
    /// When there is not so much memory, or the device fails.
    pub fn upload(&self, stream: &Stream, tensor: &TensorView<'_>) -> Result<DeviceTensor, DeviceError> {
        let mut copy = self.allocate(tensor.dtype(), tensor.shape())?;
        stream.write(&mut copy, tensor)?;
        Ok(copy)
    }

    /// A copy of a tensor of the device on the host, when the stream has done what it was given before.
    ///
    /// # Errors
    /// When the device fails, and when a check of a kernel on the stream did.
    pub fn download(&self, stream: &Stream, tensor: &DeviceTensor) -> Result<Tensor, DeviceError> {
        let mut copy = Tensor::zeros(tensor.dtype(), tensor.shape())?;
        stream.read(tensor, &mut copy.view_mut())?;
        Ok(copy)
    }

    /// Builds the kernels of the code.
    ///
    /// # Errors
    /// When the code is for another kind of device, or the device's compiler refuses it, or its kernels are too large.
    pub fn load(&self, code: &DeviceCode) -> Result<DeviceKernel, DeviceError> {
        DeviceKernel::load(self, code)
    }

    pub(crate) fn is(&self, other: &Device) -> bool {
        self.about().api == other.about().api && self.driver.context() == other.driver.context()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}, {})", self.about().name, self.about().description)
    }
}

/// The device of a list that the part of a name behind the colon means.
fn chosen<D>(
    name: &str,
    which: &str,
    found: &'static [D],
    about: impl Fn(&D) -> &About,
) -> Result<&'static D, DeviceError> {
    let names: Vec<String> = found.iter().map(|device| about(device).name.clone()).collect();
    let at = match (which.parse::<usize>(), architecture(which)) {
        (Ok(number), _) => (number < found.len()).then_some(number),
        (_, Some(code)) => {
            found.iter().position(|device| about(device).capability.is_some_and(|has| code.runs_on(has)))
        }
        _ => None,
    };
    match at {
        Some(at) => Ok(&found[at]),
        None => Err(DeviceError::NoSuchDevice { name: name.into(), found: names }),
    }
}

/// What PTX is made for: `sm_90a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Architecture {
    pub major: u32,
    pub minor: u32,
    /// Whether it runs on this one only: the `a` of `sm_90a`.
    pub exact: bool,
}

impl Architecture {
    /// PTX for one version runs on later ones, but for what is of one alone.
    pub fn runs_on(self, (major, minor): (u32, u32)) -> bool {
        let (needed, found) = ((self.major, self.minor), (major, minor));
        if self.exact { needed == found } else { needed <= found }
    }

    /// The same for what is assembled: that runs within one generation ("CUDA C++ Programming Guide", binary compatibility).
    pub fn runs_assembled_on(self, found: (u32, u32)) -> bool {
        self.major == found.0 && self.runs_on(found)
    }
}

pub(crate) fn architecture(name: &str) -> Option<Architecture> {
    let number = name.strip_prefix("sm_")?;
    let exact = number.ends_with('a');
    let number: u32 = number.trim_end_matches('a').parse().ok()?;
    Some(Architecture { major: number / 10, minor: number % 10, exact })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_runs_on_later_devices_unless_it_is_of_one_alone() {
        let of = |name| architecture(name).expect("a name");
        assert!(of("sm_80").runs_on((8, 0)) && of("sm_80").runs_on((9, 0)) && !of("sm_80").runs_on((7, 5)));
        assert!(of("sm_90a").runs_on((9, 0)) && !of("sm_90a").runs_on((10, 0)) && !of("sm_90a").runs_on((8, 0)));
        assert_eq!(of("sm_100"), Architecture { major: 10, minor: 0, exact: false });
        for name in ["80", "sm_", "sm_x", "compute_80"] {
            assert_eq!(architecture(name), None, "{name}");
        }
    }

    #[test]
    fn an_unknown_interface_has_no_devices() {
        let error = Device::open("vulkan:0").expect_err("no such interface");
        assert!(matches!(&error, DeviceError::NoSuchDevice { name, .. } if name == "vulkan:0"), "{error}");
    }
}
