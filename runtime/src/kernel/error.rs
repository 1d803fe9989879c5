//! Why a kernel could not be loaded or called.

use super::Role;
use crate::image::ImageError;
use crate::tensor::DType;
use std::fmt;

/// Why a kernel could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object cannot be mapped.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The object lacks the function that runs the kernel.
    #[error("the object has no function `{name}`")]
    NoEntry {
        /// The name of the function.
        name: String,
    },
    /// The signature contradicts itself.
    #[error("the signature is malformed: {reason}")]
    Signature {
        /// What is wrong.
        reason: String,
    },
}

/// Why a call failed. About the arguments: what was expected, what was found, of which argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Too few or too many tensors.
    #[error("expected {expected} {}, found {found}", plural(*role))]
    WrongCount {
        /// [`Role::Input`] or [`Role::Output`].
        role: Role,
        /// How many the kernel takes.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The elements of a tensor have another type.
    #[error("`{argument}`: expected elements of type {expected}, found {found}")]
    WrongType {
        /// The name of the argument.
        argument: String,
        /// The type that the kernel takes.
        expected: DType,
        /// The type that was given.
        found: DType,
    },
    /// A tensor has another number of dimensions.
    #[error("`{argument}`: expected {expected} dimensions, found {found}")]
    WrongRank {
        /// The name of the argument.
        argument: String,
        /// The rank that the kernel takes.
        expected: usize,
        /// The rank that was given.
        found: usize,
    },
    /// A tensor has another size.
    #[error("`{argument}`: expected extent {expected} in dimension {dim}, found {found}")]
    WrongExtent {
        /// The name of the argument.
        argument: String,
        /// The dimension, from 0.
        dim: usize,
        /// The extent that the kernel takes.
        expected: i64,
        /// The extent that was given.
        found: i64,
    },
    /// A tensor lies in memory in another way than the kernel was compiled for.
    #[error("`{argument}`: expected stride {expected} in dimension {dim}, found {found}")]
    WrongStride {
        /// The name of the argument.
        argument: String,
        /// The dimension, from 0.
        dim: usize,
        /// The stride that the kernel takes.
        expected: i64,
        /// The stride that was given.
        found: i64,
    },
    /// A tensor that is written shares memory with another one.
    #[error("`{output}` overlaps `{other}` in memory")]
    Overlap {
        /// The name of the tensor that is written.
        output: String,
        /// The name of the other one.
        other: String,
    },
    /// The scratch memory of the caller is too small.
    #[error("expected a workspace of {expected} bytes, found {found}")]
    WorkspaceTooSmall {
        /// How much the kernel needs.
        expected: usize,
        /// How much was given.
        found: usize,
    },
    /// There is no memory for a workspace.
    #[error("there is no memory for a workspace of {bytes} bytes")]
    OutOfMemory {
        /// How much the kernel needs.
        bytes: usize,
    },
    /// A subscript that was read from a tensor lies outside the tensor that it subscripts. Of several, the first one in the
    /// order in which the kernel runs on one thread.
    #[error("subscript {dim} of `{tensor}` is {value}, outside of {lower}..{upper}{}", source_of(found_by))]
    IndexOutOfRange {
        /// The name of the tensor that was subscripted.
        tensor: String,
        /// The dimension, from 0.
        dim: usize,
        /// The subscript.
        value: i128,
        /// The smallest subscript that there is.
        lower: i64,
        /// One past the largest.
        upper: i64,
        /// The elements that the subscript was computed from.
        found_by: Vec<Position>,
    },
    /// The machine code stopped for another reason, such as threads that could not be started.
    #[error("the kernel stopped with status {status}")]
    Failed {
        /// What it returned.
        status: i32,
    },
}

/// Which element of which tensor; prints as `I(3, 7)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The name of the tensor.
    pub tensor: String,
    /// Its subscripts.
    pub at: Vec<i64>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tensor)?;
        if self.at.is_empty() {
            return Ok(());
        }
        let subscripts: Vec<String> = self.at.iter().map(i64::to_string).collect();
        write!(f, "({})", subscripts.join(", "))
    }
}

fn source_of(positions: &[Position]) -> String {
    let names: Vec<String> = positions.iter().map(|position| format!("`{position}`")).collect();
    if names.is_empty() { String::new() } else { format!("; it comes from {}", names.join(" and ")) }
}

fn plural(role: Role) -> &'static str {
    match role {
        Role::Input => "inputs",
        Role::Output | Role::InOut => "outputs",
    }
}
