//! From loops on the axes of a device to its kernels.
//!
//! ```text
//! scheduled Scop, loops bound to axes
//!   outline      a mark above each part that becomes a kernel, with the threads of a block
//!   synchronise  the fewest barriers between what threads do to the same cells
//!   -> Scop with kernels, proved free of races
//! ```
//!
//! Both steps only add to the tree: which loops are on which axis is what the script says.

mod barriers;
mod outline;
mod shape;

pub use barriers::synchronise;
pub use outline::outline;

use polyhedral::Scop;
use polyhedral::legality::{self, Illegal};
use support::{Gpu, Remark};

/// The program with its kernels and barriers, proved.
///
/// # Errors
/// When loops on axes are not those of kernels, when threads race and no barrier could keep them from it, or when isl
/// fails.
pub fn kernels(scop: &Scop, gpu: &Gpu, remarks: &mut Vec<Remark>) -> Result<Scop, Illegal> {
    let scop = synchronise(&outline(scop, gpu, remarks)?)?;
    legality::race_free(&scop)?;
    Ok(scop)
}
