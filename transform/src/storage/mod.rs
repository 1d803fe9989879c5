//! Commands on storage and on the set of instances: where values are kept, and how often they are computed.
//!
//! Each edits a copy of the program; that every instance still computes what the source gives it is proved afterwards
//! ([`polyhedral::legality::values_kept`]).

mod compute_at;
mod evolve;
mod inline;
mod instances;
mod iteration;
mod quasi;

pub(crate) use compute_at::compute_at;
pub(crate) use inline::inline;
