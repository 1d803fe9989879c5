//! Programs built by hand, compiled, mapped and run, against the same computation in plain Rust.

mod build;
mod exact;
mod oracle;

mod agree;
mod arithmetic;
mod blocks;
mod kernels;
mod library;
mod loops;
mod math;
mod memory;
mod quotients;
mod streams;
mod targets;
