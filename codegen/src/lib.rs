//! Scop to loops, LLVM IR and objects.
//!
//! [`Program`] is the loop form. `scan` makes it from a scheduled Scop, its passes improve it, `interp` runs it without
//! LLVM, `llvm` makes an object of it; `gpu` is about kernels of devices.

mod arena;
mod checks;
mod formula;
pub mod gpu;
mod int;
pub mod interp;
mod joining;
pub mod llvm;
mod numbers;
mod passes;
mod places;
mod program;
mod reduction;
mod renaming;
mod scan;
mod text;
mod verify;

pub use joining::{Piece, joined};
pub use passes::{
    accumulators, coalesce, dots, forwarding, lines, lower, lower_part, peel, prefetches, registers, shifts, simplify,
    split, spread, transposes, unswitch, values,
};
pub use places::{Head, Places};
pub use program::{
    At, Buffer, Combining, Cond, Int, Launch, Op, Place, Program, Reg, RegId, Report, Stride, Value, Var, VarId,
};
pub use reduction::{WARP, combined_in, neutral, threads_combined_in};
pub use scan::{Error, FullTiles, Options, scan};
