use crate::{DType, isl};

/// How much the evaluator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Statement instances (and points of loops that turn out to be none).
    pub instances: u64,
    /// Bytes of the evaluator's own memory for tensors.
    pub bytes: u64,
}

impl Default for Limits {
    /// A run of a minute or so.
    fn default() -> Limits {
        Limits { instances: 4_000_000_000, bytes: 8 << 30 }
    }
}

/// Why a program could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// More instances than the limit.
    #[error("too large for the reference evaluator: about {instances} statement instances, the limit is {limit}")]
    TooLarge {
        /// How many there are, or an upper bound.
        instances: u64,
        /// [`Limits::instances`].
        limit: u64,
    },
    /// More memory than the limit.
    #[error("too large for the reference evaluator: its tensors take {bytes} bytes, the limit is {limit}")]
    TooMuchMemory {
        /// How many there are.
        bytes: u64,
        /// [`Limits::bytes`].
        limit: u64,
    },
    /// A subscript leaves its tensor. As whoever calls a kernel is told.
    #[error("subscript {dim} of `{tensor}` is {value}, outside of {lower}..{upper}{}", source_of(found_by))]
    IndexOutOfRange {
        /// The tensor's name.
        tensor: String,
        /// Which subscript, from 0.
        dim: usize,
        /// Its value.
        value: i128,
        /// The smallest value allowed.
        lower: i64,
        /// One more than the largest.
        upper: i64,
        /// The statement's name.
        stmt: Box<str>,
        /// The values of its dimensions.
        instance: Box<[i64]>,
        /// The elements that the subscript was computed from: their tensors' names and their subscripts.
        found_by: Box<[(String, Vec<i64>)]>,
    },
    /// Commands that change storage or instances leave a program that is ordered by its tree alone; what a program means
    /// is asked of the one that they began with.
    #[error("commands have changed the statements: only the program of the source can be evaluated")]
    NoSource,
    /// The number of sizes is not the number of parameters.
    #[error("{given} sizes given for {params} parameters")]
    WrongSizes {
        /// How many were given.
        given: usize,
        /// How many parameters there are.
        params: usize,
    },
    /// An input or in-out tensor was not given.
    #[error("no data given for `{tensor}`")]
    MissingInput {
        /// Its name.
        tensor: String,
    },
    /// The data given for a tensor do not have its type, shape or length.
    #[error("data of {given_dtype} {given:?} ({bytes} bytes) given for `{tensor}`, which is {dtype} {shape:?}")]
    WrongInput {
        /// The tensor's name.
        tensor: String,
        /// Its type.
        dtype: DType,
        /// Its extents.
        shape: Vec<i64>,
        /// The type of the data.
        given_dtype: DType,
        /// The extents of the data.
        given: Vec<i64>,
        /// How many bytes there are.
        bytes: usize,
    },
    /// A domain is unbounded, or its bounds leave 64 bits.
    #[error("{stmt}: dimension {dim} is unbounded or leaves 64 bits")]
    Unbounded {
        /// The statement's name.
        stmt: String,
        /// The dimension, or all of them.
        dim: String,
    },
    /// The program is not well formed: a bug of the stage that made it.
    #[error("{entity}: {message}")]
    Malformed {
        /// A statement or tensor by name.
        entity: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// isl failed.
    #[error(transparent)]
    Isl(#[from] isl::Error),
}

fn source_of(elements: &[(String, Vec<i64>)]) -> String {
    let name = |(tensor, at): &(String, Vec<i64>)| {
        let at: Vec<String> = at.iter().map(i64::to_string).collect();
        if at.is_empty() { format!("`{tensor}`") } else { format!("`{tensor}({})`", at.join(", ")) }
    };
    let names: Vec<String> = elements.iter().map(name).collect();
    if names.is_empty() { String::new() } else { format!("; it comes from {}", names.join(" and ")) }
}
