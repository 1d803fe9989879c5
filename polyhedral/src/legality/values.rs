//! Proofs of values: that a program whose storage or instances were changed computes what its source does.

use super::Illegal;
use crate::{Scop, isl};

/// What a source program computes: of each read, which writes it may see, and what the live-out tensors hold at the end.
#[derive(Clone, Debug)]
pub struct Meaning {
    source: Scop,
    strict: bool,
}

impl Meaning {
    /// Of the program in the order of its source; `strict` keeps the order of reductions too.
    ///
    /// # Errors
    /// When isl fails or its budget is spent.
    pub fn of(source: &Scop, strict: bool) -> isl::Result<Meaning> {
        Ok(Meaning { source: source.clone(), strict })
    }
}

/// Does `scop`, in the order of its tree, compute what the source does?
///
/// # Errors
/// The instance that would see another value, or that isl could not decide.
pub fn values_kept(meaning: &Meaning, scop: &Scop) -> Result<(), Illegal> {
    let _ = (&meaning.source, meaning.strict, scop);
    Err(Illegal::Malformed("values are not proved yet".into()))
}
