//! Policies for CPUs: which steps to take.
//!
//! | policy | what it does |
//! |---|---|
//! | [`SourceOrder`] | nothing: the program runs as it is written |
//! | [`Isl`] | isl's scheduler, with one of five strategies of fusion, recorded as one `order` |
//! | [`Fused`] | that order, then tiles, vectors and threads nest by nest |
//! | [`Cpu`] | isl's order, then tiles for caches and registers, vectors and threads for the session's target |
//!
//! Large programs are divided into [`parts`], each of which a policy schedules by itself.
//!
//! A policy only decides. `transform` applies each command and has it proved; a refused one leaves the program as it was
//! and becomes a remark. Decisions come from access relations, extents and the `Target`, never from names or spelling.

mod blocks;
mod clusters;
mod contract;
mod cost;
mod cpu;
#[doc(hidden)]
pub mod fuse;
mod fusing;
mod lines;
mod nest;
mod order;
mod packing;
mod parts;
mod plan;
mod prologue;
mod reasons;
mod registers;
mod rest;
mod rows;
mod sharing;
mod time;
mod windows;

pub use cost::bytes_per_cycle;
pub use cpu::{Cpu, Fused, Given, InTime};
pub use order::{Fusion, Isl, SourceOrder};
pub use parts::parts;
pub use time::Time;

/// The stage's name in remarks.
const STAGE: &str = "scheduler";
