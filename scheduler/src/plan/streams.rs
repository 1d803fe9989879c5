//! Which results go past the caches.

use polyhedral::{Role, Tensor, TensorId};

use super::{Box, Planner};

/// The part of a shared cache that one program can count on: the others belong to whoever shares it. With all of a nest's
/// tensors below it, results stay for their readers; measured on a Xeon whose 480 MB are shared, streaming begins to pay
/// between a tenth and a fifth.
const SHARE: u64 = 8;
/// Lines of a row from which on it does not matter that its ends are parts of lines.
const LONG: u64 = 64;
/// The least bytes of a streaming store.
const LEAST: u32 = 16;

impl Planner<'_> {
    /// Streams what the statement writes where that pays: nothing in the program reads it, all that the statement touches
    /// together is more than its share of the last cache, and whole vectors are stored along rows that are whole lines.
    pub(super) fn stream(&mut self, columns: usize) {
        let mut tensors: Vec<TensorId> = self.stmt.accesses().map(|access| access.tensor).collect();
        tensors.sort_unstable();
        tensors.dedup();
        let touched: Option<u64> = tensors.iter().map(|&id| bytes_of(&self.scop.tensors[id])).sum();
        // What stays near its core is not asked about.
        let near = self.target.caches.iter().filter(|cache| !cache.shared).map(|cache| cache.bytes).max();
        if touched.is_some_and(|touched| near.is_some_and(|near| touched <= near)) {
            return;
        }
        let written: Vec<TensorId> = tensors.into_iter().filter(|&id| self.writes(id)).collect();
        for id in written {
            match self.why_not_streamed(id, columns, touched) {
                None => self.plan.streams.push(id),
                Some(why) => {
                    let name = &self.scop.tensors[id].name;
                    self.plan.remarks.push(("not streamed", format!("`{name}`: {why}")));
                }
            }
        }
    }

    fn why_not_streamed(&self, id: TensorId, columns: usize, touched: Option<u64>) -> Option<String> {
        let tensor = &self.scop.tensors[id];
        let Some(share) = self.share() else { return Some("the target has no caches".into()) };
        let line = u64::from(self.target.caches.first().map_or(64, |cache| cache.line));
        let mut others = self.scop.stmts.iter().filter(|(other, _)| *other != self.id);
        if self.stmt.reads.iter().any(|read| read.tensor == id)
            || others.any(|(_, stmt)| stmt.accesses().any(|access| access.tensor == id))
        {
            return Some("other accesses to it find it in a cache".into());
        }
        match touched {
            None => return Some("how large it is is known at the call only".into()),
            Some(touched) if touched <= share => {
                return Some(format!("all {touched} bytes of the loop's tensors may stay in the last cache"));
            }
            Some(_) => {}
        }
        let lanes = if let Some(Box::Vector(lanes)) = self.plan.boxes[columns] { lanes } else { 1 };
        if lanes * tensor.dtype.bytes() < LEAST || tensor.role == Role::Temporary {
            return Some("no whole vectors of it are stored to memory of the caller".into());
        }
        let row = tensor.extent.last().and_then(polyhedral::Index::as_const).unwrap_or(0).max(0).unsigned_abs();
        let row = row * u64::from(tensor.dtype.bytes());
        let is_in_lines = tensor.extent.len() == 1 || row.is_multiple_of(line) || row >= LONG * line;
        (!is_in_lines).then(|| format!("its rows of {row} bytes begin and end within lines"))
    }

    /// Bytes of the last cache that the program can count on.
    fn share(&self) -> Option<u64> {
        let last = self.target.caches.last()?;
        Some(if last.shared { last.bytes / SHARE } else { last.bytes })
    }

    fn writes(&self, id: TensorId) -> bool {
        self.stmt.writes.iter().any(|write| write.tensor == id)
    }
}

/// The size of a tensor, when it is a constant.
fn bytes_of(tensor: &Tensor) -> Option<u64> {
    let bytes = u64::from(tensor.dtype.bytes());
    tensor.extent.iter().try_fold(bytes, |all, extent| all.checked_mul(u64::try_from(extent.as_const()?).ok()?))
}
