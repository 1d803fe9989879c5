#![doc = include_str!("../../README.md")]

mod bind;
pub mod builder;
mod cache;
pub mod codes;
mod compile;
mod compiler;
mod convert;
pub mod cost;
mod device;
pub mod emit;
mod error;
pub mod files;
mod host;
mod limits;
mod package;
pub mod page;
mod parts;
pub mod pictures;
pub mod random;
mod refusal;
pub mod report;
mod routine;
pub mod timing;
pub mod trace;
pub mod verify;

pub use bind::scalar;
pub use cache::KernelCache;
pub use compile::{Compiled, Options, StageTimes, compile};
pub use compiler::{AsTensor, AsTensorMut, Compiler, Kernel, Variant, check, select};
pub use convert::{dtype as runtime_dtype, from_runtime as dtype_of};
pub use device::{error as device_error, figures, open_device};
pub use error::{Error, Fault, Result, Source, render};
pub use host::{host_target, known_targets, target_named};
pub use limits::Limits;
pub use package::{Choice, Linked, archive, package, package_for};
pub use report::{Report, report};

pub use frontend_tc::Kernel as Definition;
pub use polyhedral::DType;
pub use runtime::{
    Device, DeviceTensor, ForkJoin, Pool, PoolError, Stream, Tensor, TensorError, TensorView, TensorViewMut,
};
pub use scheduler::Fusion;
pub use support::{Diagnostic, Gpu, Remark, Severity, Target};
pub use transform::{FusionGroup, FusionReport, Script, ScriptError};
