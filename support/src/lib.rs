//! What every stage shares, and nothing that only one of them needs.
//!
//! - [`Span`], [`Diagnostic`]: a place in the source, and a message for people with a stable code.
//! - [`Malformed`]: a bug of ours, found by a verifier, at an entity.
//! - [`Remark`]: what was not done, where, and why.
//! - [`Table`] and [`entity!`]: rows owned in one place, reached by ids that print as text (`S0`, `T1`).
//! - [`Target`]: what a machine has, as plain data; [`DotProduct`]: what it multiplies and adds in groups;
//!   [`Gpu`]: what a device for kernels has, [`KernelCode`]: what it is programmed in.
//! - [`Repeat`]: what stands in a sequence several times in a row.
//! - [`with_deep_stack`]: room for programs that nest as deeply as they may.
//! - [`Stage`], [`Watch`]: every stage's output prints itself and says whether it is well formed.

mod deep;
mod diagnostic;
mod dots;
mod gpu;
mod remark;
mod repeats;
mod span;
mod stage;
mod table;
mod target;

pub use deep::with_deep_stack;
pub use diagnostic::{Diagnostic, Label, Severity};
pub use dots::DotProduct;
pub use gpu::{Gpu, KernelCode};
pub use remark::Remark;
pub use repeats::Repeat;
pub use span::Span;
pub use stage::{Malformed, Stage, Watch};
pub use table::{Entity, Table};
pub use target::{Cache, Features, Target, TargetError};
