//! What a device is asked to run, as plain data: a run time executes it without a compiler.
//!
//! - [`OpenPlan`]: what the host does for any sizes, as loops, conditions and launches over [formulas](crate::Formula).
//! - [`Plan`]: the same for the sizes of a call, a list: what [`OpenPlan::at`] makes of it.

mod open;

pub use open::{Branch, Loop, OpenLaunch, OpenPart, OpenPlan, Step};

use crate::kernel::{Check, LoadError, Signature};
use serde::Serialize;

/// As many launches are written down; more take longer to start than anybody waits.
const MOST_LAUNCHES: usize = 1 << 20;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// So many launches are not listed one by one.
    #[error("there are more than {MOST_LAUNCHES} launches in one call")]
    TooMany,
    /// A kernel would have more blocks along one axis than a device counts.
    #[error("the kernel `{kernel}` has {blocks} blocks along one axis")]
    TooLarge {
        /// The kernel's name.
        kernel: String,
        /// How many blocks.
        blocks: i64,
    },
    /// Something of it cannot be computed, or contradicts itself.
    #[error("{0}")]
    Malformed(String),
}

/// The host's part of a program for the sizes of a call: launches, one after the other.
///
/// Each launch sees what those before it have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What a call takes.
    pub signature: Signature,
    /// How wide the integers are that kernels take: 32 or 64 bits.
    pub index_bits: u32,
    /// The kernels of the text.
    pub kernels: Vec<KernelEntry>,
    /// Where each temporary lies in the workspace; multiples of [`Plan::ALIGNMENT`]. Those that overlap hold something at
    /// different times.
    pub workspace: Vec<Part>,
    /// 64-bit words for what a failed check reports; 0 when nothing is checked.
    pub fault_words: usize,
    /// What runs, in order. None has an empty grid.
    pub launches: Vec<Launch>,
}

/// A kernel of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KernelEntry {
    /// Its name in the text.
    pub name: String,
    /// Threads of a block, in x, y and z.
    pub block: [u32; 3],
    /// Bytes that the threads of a block share.
    pub shared_bytes: u32,
    /// Those of them that have no size in the text, so that a launch says how many there are.
    pub dynamic_shared_bytes: u32,
}

/// Bytes of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first.
    pub offset: usize,
    /// How many.
    pub bytes: usize,
}

/// A grid of blocks that run a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Which of [`Plan::kernels`].
    pub kernel: usize,
    /// Blocks in x, y and z; at least 1 each.
    pub grid: [u32; 3],
    /// What the kernel is called with.
    pub operands: Vec<Operand>,
}

/// A parameter of a kernel; integers of an [`OpenPlan`] are formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand<I = i64> {
    /// The address of the first element of an argument: its position in the signature.
    Argument(usize),
    /// The address of a part of the workspace.
    Workspace(usize),
    /// An integer of [`Plan::index_bits`].
    Int(I),
    /// The stride of an argument in a dimension, in elements, as an integer of [`Plan::index_bits`].
    Stride(usize, usize),
    /// The address of [`Plan::fault_words`] words, zeros at first.
    Faults,
}

impl Plan {
    /// Of the parts of a workspace, in bytes: no device that there is asks for more of a part of a buffer
    /// (`CL_DEVICE_MEM_BASE_ADDR_ALIGN` is 4096 bits at most).
    pub const ALIGNMENT: usize = 512;

    /// Bytes of which an argument's address is a multiple where all its strides are known: kernels for CUDA move so many at
    /// once.
    pub const VECTOR_BYTES: usize = 16;

    /// Words of a report before the subscripts: the number of the check plus one, the value, the smallest subscript, the extent.
    pub const FAULT_HEAD: usize = 4;

    /// Words of the longest report of these checks; 0 when nothing is checked.
    pub fn words(checks: &[Check]) -> usize {
        checks.iter().map(|check| check.subscripts() + Plan::FAULT_HEAD).max().unwrap_or(0)
    }

    /// Bytes of workspace.
    pub fn workspace_bytes(&self) -> usize {
        self.workspace.iter().map(|part| part.offset.saturating_add(part.bytes)).max().unwrap_or(0)
    }

    /// Checks that the plan names only what there is.
    ///
    /// # Errors
    /// [`LoadError::Signature`] with what is wrong.
    pub fn check(&self) -> Result<(), LoadError> {
        self.signature.check()?;
        let wrong = |reason: String| Err(LoadError::Signature { reason });
        if !matches!(self.index_bits, 32 | 64) {
            return wrong(format!("integers of {} bits", self.index_bits));
        }
        if let Some(kernel) = self.kernels.iter().find(|kernel| kernel.name.is_empty() || kernel.block.contains(&0)) {
            return wrong(format!("the kernel `{}` has no name or no threads", kernel.name));
        }
        let most = Plan::words(&self.signature.checks);
        if self.fault_words < most {
            return wrong(format!("{} words for reports of {most}", self.fault_words));
        }
        let aligned = |part: &Part| {
            part.offset.is_multiple_of(Plan::ALIGNMENT)
                && part.bytes > 0
                && part.offset.checked_add(part.bytes).is_some()
        };
        if !self.workspace.iter().all(aligned) {
            return wrong("a part of the workspace is not aligned, empty or too large".into());
        }
        let is_known = |operand: &Operand| match *operand {
            Operand::Argument(at) => at < self.signature.arguments.len(),
            Operand::Stride(at, dim) => {
                self.signature.arguments.get(at).is_some_and(|argument| dim < argument.shape.len())
            }
            Operand::Workspace(at) => at < self.workspace.len(),
            Operand::Int(value) => self.index_bits == 64 || i32::try_from(value).is_ok(),
            Operand::Faults => self.fault_words > 0,
        };
        for launch in &self.launches {
            if launch.kernel >= self.kernels.len() || launch.grid.contains(&0) || !launch.operands.iter().all(is_known)
            {
                return wrong("a launch names what there is not".into());
            }
        }
        Ok(())
    }
}
