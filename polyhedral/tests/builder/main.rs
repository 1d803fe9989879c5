//! Programs written with the builder: what they compute, and what is refused.

mod polybench;
mod programs;
mod random;
mod refused;
