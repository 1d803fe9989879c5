//! The command that lets stores go past the caches: stream.

use polyhedral::{Role, Scop};

use super::uses::tensor_named;
use crate::Command;
use crate::proof::{Edit, Proof};
use crate::refused::Reason;

/// Lets the stores to a tensor go past the caches: what is stored is not read into a cache first, and takes nobody's
/// place there.
///
/// ```text
/// stream Z
///
/// output Z: float32[N]   ->   output Z: float32[N] streamed
/// ```
///
/// It pays for results that are larger than the caches, as every line is then moved once instead of twice, and costs where
/// they are read again soon. Only whole vectors are stored in this way, and only where the machine has such stores.
///
/// Needs a tensor in the memory that all threads share, to which some statement writes. Proof: same order, since a thread's
/// stores are complete before it says that its part is done.
pub(crate) fn stream(scop: &Scop, tensor: &str) -> Result<Edit, Reason> {
    let id = tensor_named(scop, tensor)?;
    let row = &scop.tensors[id];
    if row.role == Role::Input || !scop.stmts.values().any(|stmt| stmt.writes.iter().any(|write| write.tensor == id)) {
        return Reason::precondition(format!("no statement writes `{tensor}`"));
    }
    if row.memory.is_own() {
        return Reason::precondition(format!("`{tensor}` is in memory of its threads' own, which is near anyway"));
    }
    if row.streamed {
        return Reason::precondition(format!("`{tensor}` is streamed already"));
    }
    let mut edited = scop.clone();
    edited.tensors[id].streamed = true;
    Ok(Edit { scop: edited, command: Command::Stream { tensor: tensor.into() }, proof: Proof::SameOrder })
}
