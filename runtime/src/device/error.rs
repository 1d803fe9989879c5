//! Why a device does not do what it was asked to.

use crate::kernel::{CallError, LoadError};
use crate::tensor::TensorError;

/// Why a device could not be opened, or does not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The interface's library is not installed.
    #[error("there is no {api} here: {library} cannot be loaded ({reason})")]
    NoLibrary {
        /// `OpenCL` or `CUDA`.
        api: &'static str,
        /// The names of the library that were tried.
        library: String,
        /// What the system says.
        reason: String,
    },
    /// The library is there, and no device.
    #[error("{api} finds no device here{}", reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default())]
    NoDevice {
        /// `OpenCL` or `CUDA`.
        api: &'static str,
        /// What the library says, if anything.
        reason: Option<String>,
    },
    /// No device has this name.
    #[error("no device is called `{name}`: {}", if found.is_empty() { "there are none".into() } else { format!("there are {}", found.join(", ")) })]
    NoSuchDevice {
        /// The name that was asked for.
        name: String,
        /// The names of those that there are.
        found: Vec<String>,
    },
    /// The code is for another kind of device.
    #[error("this code is for {expected}, and `{device}` is {found}")]
    WrongDevice {
        /// The device.
        device: String,
        /// What the code is for.
        expected: String,
        /// What the device is.
        found: String,
    },
    /// A kernel asks for more of something than the device has.
    #[error("the kernel `{kernel}` needs {needed} {what}, and `{device}` has {found}")]
    TooLarge {
        /// The device.
        device: String,
        /// The kernel.
        kernel: String,
        /// Of what.
        what: &'static str,
        /// How much the kernel needs.
        needed: u64,
        /// How much there is.
        found: u64,
    },
    /// The device has not so much memory left.
    #[error("`{device}` has no memory left for {bytes} bytes")]
    OutOfMemory {
        /// The device.
        device: String,
        /// How much was asked for.
        bytes: usize,
    },
    /// The device's own compiler refuses the text.
    #[error("`{device}` does not build the kernels: {reason}{}", if log.is_empty() { String::new() } else { format!("\n{log}") })]
    Build {
        /// The device.
        device: String,
        /// What the interface says.
        reason: String,
        /// What its compiler says.
        log: String,
    },
    /// A kernel could not be started.
    #[error("`{device}` does not launch the kernel `{kernel}`: {reason}")]
    Launch {
        /// The device.
        device: String,
        /// The kernel.
        kernel: String,
        /// What the interface says.
        reason: String,
    },
    /// Work on the device has failed, and with it everything that the device holds for this process.
    #[error("`{device}` failed while it ran kernels and takes no more work from this process: {reason}")]
    Lost {
        /// The device.
        device: String,
        /// What the interface says.
        reason: String,
    },
    /// Another call of the interface failed.
    #[error("{call} fails on `{device}`: {reason}")]
    Failed {
        /// The device.
        device: String,
        /// The function.
        call: &'static str,
        /// What it says.
        reason: String,
    },
    /// A tensor or a stream of one device was handed to another.
    #[error("`{what}` is on `{found}`, and the call is on `{expected}`")]
    AnotherDevice {
        /// The argument, or `stream`.
        what: String,
        /// Where the call is.
        expected: String,
        /// Where the tensor is.
        found: String,
    },
    /// A part of memory that OpenCL cannot hand to a kernel.
    #[error(
        "`{device}` cannot use memory from byte {offset} on: offsets are multiples of {alignment} there, and no element lies before them"
    )]
    Misaligned {
        /// The device.
        device: String,
        /// The byte.
        offset: usize,
        /// What offsets are multiples of.
        alignment: usize,
    },
    /// A tensor begins where a kernel's vectors cannot.
    #[error(
        "`{argument}` begins at an address that is no multiple of {alignment} bytes, which this kernel needs: copy it, or compile it for strides of the call"
    )]
    Unaligned {
        /// The argument.
        argument: String,
        /// What the address is to be a multiple of.
        alignment: usize,
    },
    /// The arguments of a call do not fit, or a check has failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Memory cannot be seen as a tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The plan contradicts itself.
    #[error("{0}")]
    Malformed(String),
}

impl From<LoadError> for DeviceError {
    fn from(error: LoadError) -> DeviceError {
        DeviceError::Malformed(error.to_string())
    }
}
