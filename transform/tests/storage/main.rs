//! Commands on storage: what they make, and what is refused.

#[path = "../common/mod.rs"]
mod common;

mod accepted;
mod refusals;
mod text;
#[cfg(feature = "testing")]
mod well_formed;
