//! Transposes: what is read runs along other loops than what is written, so that one of them is not contiguous for the
//! threads of a warp. A tile of it passes through shared memory.
//!
//! ```text
//! for i, j                          block.y io, block.x jo
//!   B[i, j] = A[j, i]       ->        thread.y j, thread.x i       A_tile[j, i] = A[j, i]
//!                                     thread.y ii, thread.x ji     B[i, j] = A_tile[j, i]
//! ```
//!
//! Rows of the tile are one element longer than they need be: what a warp reads along a column is in banks of their own. After
//! Ruetsch and Micikevicius, Optimizing Matrix Transpose in CUDA (2009).

use std::cell::RefCell;

use polyhedral::{Axis, Memory, StmtId};
use support::Gpu;
use transform::{Command, Promotion, Session};

use super::nests::{Loop, band_over, beside_all, free_loops, in_subscript, is_in, lettered, loops_over, nest_of, uses};
use super::steps::{Step, Steps};
use super::{Declined, to_u32};

/// Elements of a tile along each loop.
const TILE: i64 = 32;

/// Rows of threads that share out a tile.
const ROWS: i64 = 8;

/// Maps a nest of one statement that reads along another loop than it writes.
pub(super) fn map(device: &Gpu, session: &mut Session, head: &str) -> Result<(), Declined> {
    let transpose = Transpose::find(session, head).ok_or(Declined::NotMeant)?;
    let outcome = RefCell::new(Ok(()));
    session.together(|session| {
        let mut mapping = Mapping { steps: Steps::new(device, session, 1), transpose: &transpose };
        *outcome.borrow_mut() = mapping.run();
    });
    outcome.into_inner().map_err(Declined::Because)
}

struct Transpose {
    stmt: String,
    /// Along which the result is contiguous, and what is read.
    written: Loop,
    read: Loop,
    others: Vec<Loop>,
    /// The tensors that are contiguous along the second one only.
    tensors: Vec<String>,
}

impl Transpose {
    fn find(session: &Session, head: &str) -> Option<Transpose> {
        let scop = session.scop();
        let nest = nest_of(scop, head)?;
        let mut stmts = scop.stmts.iter().map(|(id, _)| id).filter(|id| is_in(nest, scop, *id));
        let (id, None): (StmtId, _) = (stmts.next()?, stmts.next()) else { return None };
        let stmt = &scop.stmts[id];
        let free = free_loops(session, band_over(nest, head));
        if free != loops_over(nest, &stmt.name) {
            return None;
        }
        let free = free.iter().map(|name| Loop::of(scop, name, id)).collect::<Option<Vec<Loop>>>()?;
        let [write] = stmt.writes.as_slice() else { return None };
        let along = |one: &Loop| write.index.last().is_some_and(|last| in_subscript(last, one.dim));
        let written = free.iter().find(|one| along(one))?.clone();
        let reads = stmt.reads.iter().filter(|read| read.affine().is_some());
        let across = reads.filter(|read| {
            let last = |dim| read.index.last().is_some_and(|last| in_subscript(last, dim));
            uses(read, written.dim) && !last(written.dim) && free.iter().any(|one| last(one.dim))
        });
        let across: Vec<_> = across.collect();
        let last = across.first()?.index.last()?;
        let read = free.iter().find(|one| in_subscript(last, one.dim))?.clone();
        let is_same = |one: &&&polyhedral::Access| one.index.last().is_some_and(|last| in_subscript(last, read.dim));
        let mut tensors: Vec<String> = Vec::new();
        for access in across.iter().filter(is_same) {
            let name = &scop.tensors[access.tensor].name;
            if access.tensor != write.tensor && !tensors.contains(name) {
                tensors.push(name.clone());
            }
        }
        let others = free.iter().filter(|one| one.dim != written.dim && one.dim != read.dim).cloned().collect();
        let is_worth = |one: &Loop| one.extent.is_none_or(|extent| extent >= TILE / 2);
        let found = Transpose { stmt: stmt.name.clone(), others, tensors, written, read };
        (!found.tensors.is_empty() && is_worth(&found.written) && is_worth(&found.read)).then_some(found)
    }
}

struct Mapping<'a> {
    steps: Steps<'a>,
    transpose: &'a Transpose,
}

impl Mapping<'_> {
    fn run(&mut self) -> Step {
        let Transpose { stmt, written, read, others, tensors } = self.transpose;
        let wanted = others.iter().chain([read, written]).map(|one| one.name.clone());
        self.steps.apply(Command::reorder(wanted))?;
        let names = |letter: &str| [read, written].map(|one| lettered(&one.name, letter));
        let tile = Command::tile([read.name.clone(), written.name.clone()], [to_u32(TILE), to_u32(TILE)]);
        self.steps.apply(tile.named(names("o"), names("i")))?;
        let loops = [read.name.clone(), written.name.clone()];
        let [outer, inner] = ["o", "i"].map(|letter| beside_all(&names(letter), &loops));
        let blocks: Vec<String> = others.iter().map(|one| one.name.clone()).chain(outer).collect();
        let blocks = self.steps.on_blocks(&blocks, [ROWS, TILE])?;
        for (name, axis) in inner.iter().zip([Axis::Thread(1), Axis::Thread(0)]) {
            self.steps.apply(Command::bind(name.clone(), axis))?;
        }
        let site = blocks.last().cloned().unwrap_or_default();
        for tensor in tensors {
            let name = self.steps.fresh(format!("{tensor}_tile"));
            let memory = Some(Memory::Shared);
            self.steps.apply(Command::Promote(Promotion {
                name,
                padded: 1,
                memory,
                ..Promotion::of(tensor, &site)
            }))?;
            let name = self.steps.promoted()?;
            self.copy(&format!("{name}.load"), blocks.len(), tensor)?;
        }
        debug_assert!(self.steps.session.scop().stmt_named(stmt).is_some());
        self.steps.within_limits()
    }

    /// The threads of a row copy a row, all of them.
    fn copy(&mut self, copy: &str, blocks: usize, tensor: &str) -> Step {
        let scop = self.steps.session.scop();
        let rank = scop.tensor_named(tensor).map_or(0, |id| scop.tensors[id].extent.len());
        let nest = nest_of(scop, copy).ok_or("a statement is gone")?;
        let loops = loops_over(nest, copy).split_off(blocks);
        let long = |name: &&String| {
            let member = scop.tree.member(name);
            member.and_then(super::nests::extent).is_none_or(|extent| extent > 1)
        };
        let long: Vec<String> = loops.iter().filter(long).cloned().collect();
        match (rank >= 2, long.as_slice()) {
            (true, [.., row, column]) => {
                let axes = [(row.clone(), Axis::Thread(1)), (column.clone(), Axis::Thread(0))];
                axes.into_iter().try_for_each(|(name, axis)| self.steps.apply(Command::bind(name, axis)))
            }
            _ => Err(format!("`{copy}` copies no tile")),
        }
    }
}
