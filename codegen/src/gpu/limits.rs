//! What a device has room for.

use std::fmt;

use support::Gpu;

use crate::{Launch, Op, Program};

/// Why a device cannot run a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The kernel's name.
    pub kernel: String,
    /// What it has too much of.
    pub why: String,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel `{}` {}", self.kernel, self.why)
    }
}

impl std::error::Error for TooLarge {}

/// Whether a device can run the kernels of a program, as far as that does not depend on its sizes: the memory that the
/// threads of a block share, the threads of a block, and the blocks of a launch.
///
/// # Errors
/// With the first kernel that is too large.
pub fn within_limits(program: &Program, device: &Gpu) -> Result<(), TooLarge> {
    launches(&program.body).into_iter().try_for_each(|launch| {
        let too_large = |why| Err(TooLarge { kernel: launch.name.clone(), why });
        let bytes = launch.shared.iter().map(|buffer| program.buffers[*buffer].constant_bytes().unwrap_or(i64::MAX));
        let bytes = bytes.fold(0i64, i64::saturating_add);
        if bytes > device.most_shared_bytes {
            let most = device.most_shared_bytes;
            return too_large(format!(
                "shares {bytes} bytes among the threads of a block, and `{}` has {most}",
                device.name
            ));
        }
        let threads = launch.block.iter().fold(1i64, |all, (_, threads)| all.saturating_mul(*threads));
        if threads > device.threads {
            return too_large(format!("has blocks of {threads} threads, and `{}` has {}", device.name, device.threads));
        }
        for ((_, blocks), most) in launch.grid.iter().zip(device.grid) {
            if let Some(blocks) = blocks.as_const().filter(|blocks| *blocks > most) {
                return too_large(format!("has {blocks} blocks along one axis, and `{}` has {most}", device.name));
            }
        }
        Ok(())
    })
}

/// The launches of a host, in the order of the text.
pub fn launches(ops: &[Op]) -> Vec<&Launch> {
    let mut found = Vec::new();
    for op in ops {
        match op {
            Op::Launch(launch) => found.push(launch),
            Op::For { body, .. } => found.extend(launches(body)),
            Op::If { then, otherwise, .. } => found.extend(launches(then).into_iter().chain(launches(otherwise))),
            _ => {}
        }
    }
    found
}
