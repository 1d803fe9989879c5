//! Scops for tests: written as text, ready-made, or drawn at random from a seed.

mod enumerate;
mod execute;
mod generate;
mod inputs;
pub mod polybench;
mod programs;
mod rng;

pub use enumerate::{Enumeration, Point};
pub use execute::{AtOnce, Contents, contents, execute, same_results};
pub use generate::random;
pub use inputs::{Input, random_inputs, random_tensors};
pub use polybench::{Kernel, LU_RIGHT_LOOKING, POLYBENCH, SETS, conditioned_tensors, plain, polybench};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{Limits, run, run_wide};

    #[test]
    fn each_program_is_named_by_its_entry() {
        let ctx = isl::Ctx::new();
        for (name, _) in PROGRAMS {
            assert_eq!(program(&ctx, name).name, *name);
        }
    }

    /// Runs in the types' own precision, and in double precision, which must agree; gives the largest magnitude.
    fn evaluate(scop: &Scop, sizes: &[i64], seed: u64) -> f64 {
        let inputs = random_tensors(scop, sizes, seed);
        let wide = run_wide(scop, sizes, &inputs, Limits::default()).unwrap_or_else(|error| panic!("{error}\n{scop}"));
        let typed = run(scop, sizes, &inputs, Limits::default()).unwrap_or_else(|error| panic!("{error}\n{scop}"));
        assert!(!typed.is_empty(), "{scop}");
        for (name, data) in &typed {
            wide.compare(name, data).unwrap_or_else(|wrong| panic!("{wrong}\n{scop}"));
        }
        let floats = typed.values().filter(|data| data.dtype.is_float());
        floats.flat_map(|data| data.to_f64s()).fold(0.0, |largest, x| if x.is_nan() { x } else { x.abs().max(largest) })
    }

    #[test]
    fn ready_made_programs_run() {
        let ctx = isl::Ctx::new();
        for scop in programs(&ctx) {
            let sizes: Vec<i64> = (0..scop.params.len()).map(|at| 4 + at as i64).collect();
            assert!(evaluate(&scop, &sizes, 1).is_finite(), "{scop}");
        }
    }

    #[test]
    fn random_ones_run_and_floats_stay_finite() {
        for seed in 0..150 {
            let scop = random(&isl::Ctx::new(), seed);
            let largest = evaluate(&scop, &[], seed);
            // The neutral elements of min and max are infinite, where a reduction has no terms.
            let neutral = scop.stmts.values().any(|stmt| stmt.name.contains("init"));
            assert!(largest.is_finite() || (neutral && !largest.is_nan()), "seed {seed}: {largest}\n{scop}");
        }
    }

    #[test]
    fn a_seed_gives_one_program_and_the_kinds_occur() {
        let texts: Vec<String> = (0..200).map(|seed| random(&isl::Ctx::new(), seed).to_string()).collect();
        assert_eq!(texts[7], random(&isl::Ctx::new(), 7).to_string());
        for kind in
            ["sum=", "prod=", "min=", "max=", "value(", "mod", "inout", "temporary", "select(", ".init", "from -1"]
        {
            assert!(texts.iter().any(|text| text.contains(kind)), "no `{kind}` in 200 programs");
        }
    }
}
