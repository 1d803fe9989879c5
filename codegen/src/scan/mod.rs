//! From a scheduled Scop to a [`Program`].
//!
//! isl scans the tree down to the origins of boxes: a box is what the innermost `vector` and `unroll` members of a leaf
//! make of one statement. The boxes are expanded here: whole ones without guards, cut ones with a test for each point
//! and masked lanes.

mod boxes;
mod combine;
mod iterations;
mod kernels;
mod layout;
mod leaves;
mod lower;
mod stack;
mod subtrees;
mod tiles;
mod walk;

use std::fmt;

use polyhedral::{Scop, isl};
use support::{DotProduct, Malformed, Remark};

use crate::Program;

pub(crate) use layout::empty_program;

/// What code generation may assume and do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Products that a declared sum of `float32` or `float64` accumulates are rounded once, with the sum.
    pub fma: bool,
    /// The instructions of the target for sums of a few products.
    pub dots: Vec<DotProduct>,
    /// Indirect subscripts are not checked while running.
    pub trust_indices: bool,
    /// The device copies to shared memory while its threads go on.
    pub async_copies: bool,
    /// Which arguments have strides that only the call knows; those beyond its end are dense and row-major.
    pub runtime_strides: Vec<bool>,
    /// What of kernels runs code of its own where tiles are full.
    pub full_tiles: FullTiles,
    /// Which tensors, by their numbers, keep the dimensions that they have: those that other parts of the program touch
    /// too. Those beyond its end may become others.
    pub kept: Vec<bool>,
}

/// What of a kernel is apart where its tiles are full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FullTiles {
    /// Nothing: full and partial tiles share their code.
    #[default]
    Together,
    /// The steps between which threads wait for each other, the full ones before the others; and blocks that do not wait at all.
    Steps,
    /// Blocks too, by a condition that all of a block's threads decide alike.
    Blocks,
}

/// Why there is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// isl failed or its budget is spent.
    Isl(isl::Error),
    /// The tensor of this name is in the registers of a kernel's threads, and the schedule is not for a device.
    NoKernel(String),
    /// A bug of ours.
    Malformed(Malformed),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Isl(error) => write!(f, "code generation: {error}"),
            Error::NoKernel(tensor) => {
                write!(f, "`{tensor}` is in the registers of a device's threads, and there is no kernel around it")
            }
            Error::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<isl::Error> for Error {
    fn from(error: isl::Error) -> Error {
        Error::Isl(error)
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Error {
        Error::Malformed(error)
    }
}

/// A bug of ours, at `entity`.
fn malformed(entity: impl Into<String>, message: impl Into<String>) -> Error {
    Malformed::new("loops", entity, message).into()
}

/// isl operations that one scan may use: some seconds, a hundred times what an ordinary kernel needs.
const OPERATIONS: u64 = 10_000_000;

/// The loops that run `scop` in the order of its tree, as they come; [`crate::lower`] also improves them. What could
/// not be done as the tree says becomes a remark.
///
/// # Errors
/// isl's, also when its budget is spent; [`Error::Malformed`] when the tree is not well formed, or when the tensors on the
/// stack do not fit: [`Memory::STACK_BYTES`](polyhedral::Memory::STACK_BYTES).
pub fn scan(scop: &Scop, options: &Options, remarks: &mut Vec<Remark>) -> Result<Program, Error> {
    let mut failed = None;
    let scanned = scop.ctx.with_budget(OPERATIONS, || match scanned(scop, options, remarks) {
        Err(Error::Isl(error)) => Err(error),
        Err(error) => {
            failed = Some(error);
            Ok(None)
        }
        Ok(program) => Ok(Some(program)),
    })?;
    scanned.ok_or_else(|| failed.unwrap_or_else(|| malformed("scan", "neither loops nor an error")))
}

fn scanned(scop: &Scop, options: &Options, remarks: &mut Vec<Remark>) -> Result<Program, Error> {
    let combined = combine::of_threads(scop)?;
    let scop = &combined.scop;
    let leaves = leaves::collect(scop, remarks)?;
    let mut program = layout::empty_program(scop, options);
    stack::check(&program)?;
    walk::fill(&combined, options, &leaves, &mut program, remarks)?;
    stack::check_initialised(&program)?;
    Ok(program)
}
