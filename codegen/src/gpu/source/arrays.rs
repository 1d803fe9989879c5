//! Arrays of a kernel's own: of a block's threads together, and of each.

use polyhedral::TensorId;

use super::{Language, Printer, Result, Unsupported, rows};
use crate::Launch;

/// Shared memory that a kernel of CUDA may declare; more of it is an array whose size the host says (CUDA C++ Programming Guide,
/// technical specifications).
const DECLARED_BYTES: i64 = 48 << 10;

/// Where the arrays of such a kernel begin: vectors of CUDA lie at multiples of their size.
const ALIGNMENT: i64 = 16;

impl Printer<'_> {
    /// Declares what the threads of a block share.
    pub(super) fn shared_arrays(&self, launch: &Launch) -> Result<Vec<String>> {
        let shared = self.language.shared();
        if self.dynamic_shared_bytes(launch)? == 0 {
            return launch.shared.iter().map(|id| Ok(format!("{shared}{};", self.array(*id)?))).collect();
        }
        let mut lines = vec![format!("extern {shared}{}unsigned char shared_memory[];", self.language.aligned())];
        let mut offset = 0;
        for id in &launch.shared {
            let buffer = &self.program.buffers[*id];
            let (of, name) = (self.language.memory_type(buffer.dtype), &self.names.buffers[id]);
            let lengths = self.lengths(*id)?;
            lines.push(format!("{of} (&{name}){lengths} = *({of} (*){lengths})(shared_memory + {offset});"));
            offset += self.shared_bytes(*id)?;
        }
        Ok(lines)
    }

    /// Bytes that the host asks for when it launches; 0 where the kernel declares all.
    pub(super) fn dynamic_shared_bytes(&self, launch: &Launch) -> Result<i64> {
        let bytes = launch.shared.iter().map(|id| self.shared_bytes(*id)).sum::<Result<i64>>()?;
        Ok(if self.language == Language::Cuda && bytes > DECLARED_BYTES { bytes } else { 0 })
    }

    fn shared_bytes(&self, id: TensorId) -> Result<i64> {
        let buffer = &self.program.buffers[id];
        let bytes = buffer.constant_bytes().ok_or_else(|| Unsupported(format!("how large `{}` is", buffer.name)))?;
        Ok((bytes.max(1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)
    }

    /// `float T[4][5]`: rows are as far apart as the strides say.
    pub(super) fn array(&self, id: TensorId) -> Result<String> {
        let buffer = &self.program.buffers[id];
        let aligned = if self.moved.contains(&id) { self.language.aligned() } else { "" };
        let of = self.language.memory_type(buffer.dtype);
        Ok(format!("{aligned}{of} {}{}", self.names.buffers[&id], self.lengths(id)?))
    }

    fn lengths(&self, id: TensorId) -> Result<String> {
        let buffer = &self.program.buffers[id];
        let lengths = rows(buffer).ok_or_else(|| Unsupported(format!("how large `{}` is", buffer.name)))?;
        Ok(if buffer.extent.is_empty() {
            "[1]".into()
        } else {
            lengths.iter().map(|length| format!("[{length}]")).collect()
        })
    }
}
