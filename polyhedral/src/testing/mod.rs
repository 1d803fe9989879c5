//! Scops for tests: written as text, ready-made, or drawn at random from a seed.

mod generate;
mod inputs;
mod programs;
mod rng;

pub use generate::random;
pub use inputs::{Input, random_inputs};
pub use programs::{
    PROGRAMS, conv3x3, gather, matmul, matmul_bias_relu, prefix_sum, program, programs, stencil, strided,
    transpose_nest, triangular_solve,
};
pub use rng::Rng;

use crate::{Scop, isl};

/// The Scop with that text (see [`crate::text`]); short forms leave out `source`, `tree` and `origin`.
///
/// ```
/// let ctx = polyhedral::isl::Ctx::new();
/// let scop = polyhedral::testing::scop(&ctx, "
///     scop scale(N)
///     input A: float32[N]
///     output B: float32[N]
///     stmt B[i]
///       domain { B[i] : 0 <= i < N }
///       B[i] = 2.0f32 * A[i]
/// ");
/// assert_eq!(scop.stmts.len(), 1);
/// ```
///
/// # Panics
/// When the text is not a Scop: for tests only.
pub fn scop(ctx: &isl::Ctx, text: &str) -> Scop {
    Scop::parse(ctx, text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
