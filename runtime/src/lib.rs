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
//! - [`device`]: other processors, which run kernels of their own.
//! - [`package`]: kernels in a folder.

pub mod abi;
pub mod device;
pub mod image;
pub mod kernel;
pub mod math;
pub mod package;
pub mod pool;
pub mod tensor;

pub use device::{Device, DeviceCode, DeviceError, DeviceKernel, DeviceTensor, Plan, Stream};
pub use image::{Image, ImageError};
pub use kernel::{Argument, CallError, Check, Code, Kernel, LoadError, Position, Role, Signature, Workspace};
pub use package::{Package, PackageError};
pub use pool::{ForkJoin, Observer, Pace, Pool, PoolError};
pub use tensor::{DType, Element, Tensor, TensorError, TensorView, TensorViewMut};
