//! Commands on instances and on where their values are kept: inline, compute at, store at, privatise.

#[path = "../common/mod.rs"]
mod common;

mod accepted;
mod compute_at;
mod inline;
mod privatise;
mod programs;
mod refusals;
mod store_at;
