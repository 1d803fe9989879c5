//! Whether tiles pass through shared memory in one buffer or in two.
//!
//! With two, what the next step needs is on its way while threads compute, and a step has one barrier in place of two. But
//! two take twice the memory, and on devices whose threads copy for themselves each has registers for what is on its way.
//! As the main loops of NVIDIA's CUTLASS (`mma_pipelined.h`, `mma_multistage.h`).

use polyhedral::{Memory, Tensor};
use support::Gpu;

/// A block that passes tiles through shared memory.
pub(super) struct Staged {
    /// How many threads it has.
    pub(super) threads: i64,
    /// Sums that a thread keeps.
    pub(super) sums: i64,
    /// Steps that fill the buffers, if that is known.
    pub(super) steps: Option<i64>,
    /// Bytes of shared memory, with one buffer for each tile.
    pub(super) bytes: i64,
}

/// Registers that a thread has beside its sums: what it multiplies, addresses, counters (measured: 119 to 127 with 64 sums).
const BESIDE: i64 = 56;

impl Staged {
    /// Why the block is to have one buffer for each tile, if so: nothing is left to overlap, or fewer blocks would be on a
    /// multiprocessor, and it is these that hide what a block waits for otherwise.
    pub(super) fn is_single(&self, device: &Gpu) -> Option<String> {
        if self.steps.is_some_and(|steps| steps < 2) {
            return Some("there is one step, and nothing to copy meanwhile".into());
        }
        let doubled = self.bytes.saturating_mul(2);
        if doubled > device.shared_bytes {
            let most = device.shared_bytes;
            return Some(format!("two buffers would share {doubled} bytes, and a block has {most}"));
        }
        let [one, two] = [(self.bytes, 0), (doubled, self.on_their_way(device))].map(|(bytes, registers)| {
            let by_memory = device.resident_shared_bytes / bytes.max(1);
            let of_thread = (self.sums + BESIDE + registers).min(device.thread_registers);
            let by_registers = device.registers / (of_thread * self.threads).max(1);
            let by_threads = device.resident_threads / self.threads.max(1);
            by_memory.min(by_registers).min(by_threads).max(1)
        });
        (two < one && two < ENOUGH_BLOCKS)
            .then(|| format!("with two buffers a multiprocessor would hold {two} of its blocks in place of {one}"))
    }

    /// Registers for what a thread copies itself.
    fn on_their_way(&self, device: &Gpu) -> i64 {
        if device.has_async_copies { 0 } else { self.bytes / (4 * self.threads.max(1)) }
    }
}

/// Blocks on a multiprocessor beyond which another one hides little more.
const ENOUGH_BLOCKS: i64 = 4;

/// Bytes that all shared tensors take.
pub(super) fn shared_bytes<'t>(tensors: impl Iterator<Item = &'t Tensor>) -> i64 {
    let bytes = |tensor: &Tensor| {
        let extent = tensor.layout.as_ref().map_or(&tensor.extent, |layout| &layout.extent);
        let element = i64::from(tensor.dtype.bytes());
        extent.iter().try_fold(element, |all, extent| all.checked_mul(extent.as_const()?)).unwrap_or(i64::MAX)
    };
    tensors.filter(|tensor| tensor.memory == Memory::Shared).map(bytes).fold(0, i64::saturating_add)
}
