//! Commands on storage and on the set of instances: where values are kept, and how often they are computed.
//!
//! Each edits a copy of the program; that every instance still computes what the source gives it is proved afterwards
//! ([`polyhedral::legality::values_kept`]).

pub(crate) mod compute_at;
pub(crate) mod exchange;
pub(crate) mod inline;
pub(crate) mod layout;
pub(crate) mod prefetch;
pub(crate) mod privatise;
pub(crate) mod promote;
pub(crate) mod rescale;
pub(crate) mod store_at;
pub(crate) mod stream;

mod formula;
mod gathered;
mod hull;
mod parts;
mod site;
mod uses;

mod evolve;
mod insertion;
mod instances;
mod partial;
