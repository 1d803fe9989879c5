//! Caller-owned tensors, mapped objects, threads: runs compiled kernels without a compiler.
//!
//! Everything here works on machine code that already exists. Suggested reading order:
//!
//! - [`abi`]: what machine code and this crate agree on; `codegen` reads it too.
//! - [`math`]: the scalar functions that machine code calls.
//! - [`tensor`]: caller-owned memory, described as DLPack describes it.
//! - [`image`]: a relocatable object becomes executable memory.
//! - [`pool`]: the threads.
//! - [`kernel`]: all of these together, as something to call.
//! - [`formula`]: what follows from the sizes of a call.
//! - [`plan`]: what a device is asked to run.
//! - `device`: other processors, which run kernels of their own (the feature `device`, which is on unless it is left out).
//! - [`package`]: kernels in a folder.

pub mod abi;
#[cfg(feature = "device")]
pub mod device;
pub mod formula;
pub mod image;
pub mod kernel;
pub mod math;
mod named;
pub mod package;
pub mod plan;
pub mod pool;
pub mod tensor;

#[cfg(feature = "device")]
pub use device::{Device, DeviceCode, DeviceError, DeviceKernel, DeviceTensor, OpenDeviceCode, Stream};
pub use formula::Formula;
pub use image::{Image, ImageError};
pub use kernel::{Argument, CallError, Check, Code, Kernel, LoadError, Position, Role, Signature, Workspace};
pub use kernel::{OpenArgument, OpenCode, OpenSignature};
pub use named::Named;
pub use package::{Linked, Package, PackageError, RunError};
pub use plan::{OpenPlan, Plan, PlanError};
pub use pool::{ForkJoin, Observer, Pace, Pool, PoolError};
pub use tensor::{DType, Element, Tensor, TensorError, TensorView, TensorViewMut};
