//! Kernels in PTX.

use support::Gpu;

use super::Argument;
use super::copies::at_once;
use crate::llvm::Listed;
use crate::{Program, llvm};

/// The kernels of a program as a module that NVIDIA's driver loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ptx {
    /// The module.
    pub text: String,
    /// Its kernels, in the order of the program's launches.
    pub kernels: Vec<PtxKernel>,
}

/// How a kernel of a [`Ptx`] is launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PtxKernel {
    /// The name of the [`Launch`](crate::Launch).
    pub launch: String,
    /// The name in the module.
    pub symbol: String,
    /// The parameters: addresses that are multiples of [`Ptx::ALIGNMENT`] but for tensors with a stride that only the call
    /// knows, and integers of [`index_bits`](super::Entry::index_bits).
    pub arguments: Vec<Argument>,
    /// Bytes of shared memory to launch it with, for which the host raises the kernel's limit; 0 where the module says
    /// all that there is to share.
    pub dynamic_shared_bytes: i64,
}

impl Ptx {
    /// Bytes of which the addresses of buffers are multiples: of the longest access of a thread.
    pub const ALIGNMENT: usize = llvm::ALIGNMENT as usize;
}

/// The kernels of a program for an NVIDIA device. Same program, same device: same text.
///
/// # Errors
/// When the device is not one of NVIDIA's, or the program calls a function that devices have not.
pub fn ptx(program: &Program, device: &Gpu) -> Result<Ptx, llvm::Error> {
    let plain;
    let program = match device.has_async_copies {
        true => program,
        false => {
            plain = at_once(program.clone());
            &plain
        }
    };
    let (text, kernels) = llvm::ptx(program, device)?;
    Ok(Ptx { text, kernels })
}

/// The text of [`ptx`], with the lines of the program's text that its own were made from: of a program with copies that go on
/// for a device that has none, they are not known.
///
/// # Errors
/// As [`ptx`].
pub fn ptx_with_lines(program: &Program, device: &Gpu) -> Result<Listed, llvm::Error> {
    if !device.has_async_copies && at_once(program.clone()) != *program {
        let text = ptx(program, device)?.text;
        let lines = vec![Vec::new(); text.lines().count()];
        return Ok(Listed { text, lines, is_complete: false });
    }
    llvm::ptx_with_lines(program, device)
}
