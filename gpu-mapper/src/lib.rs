//! From loops to the kernels of a device.
//!
//! ```text
//! Scop
//!   Mapper       the policy: a script that binds loops to blocks and threads
//!   outline      a mark above each part that becomes a kernel, with the threads of a block
//!   synchronise  the fewest barriers between what threads do to the same cells
//!   -> Scop with kernels, proved free of races
//! ```
//!
//! The last two only add to the tree: which loops are on which axis is what the script says, the policy's or a person's.

mod barriers;
mod outline;
mod policy;
mod shape;

pub use barriers::synchronise;
pub use outline::outline;
pub use policy::Mapper;

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
