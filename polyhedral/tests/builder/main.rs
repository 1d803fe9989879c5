//! Programs written with the builder: what they compute, and what is refused.

mod plain;
mod polybench;
mod programs;
mod random;
mod refused;
