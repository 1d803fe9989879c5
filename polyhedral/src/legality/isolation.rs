//! Whether ranks that run as they like, each in the order of the tree, compute what the program does.
//!
//! A rank runs its own iterations of the loops on ranks and everything outside of these, and has a copy of all memory but
//! what is in messages. So what a read finds is there when the last write before it was
//!
//! - by the same rank, or by all of them;
//! - or to a message: what reads it waits for it.
//!
//! A rank leaves out writes of other ranks only, so the last write that it has is the last one of the program where that one is
//! its own. Messages are written once and read once, so that which rank waits for which element does not depend on who
//! is faster: the ranks are a Kahn network (The Semantics of a Simple Language for Parallel Programming, IFIP 1974), whose results
//! are the same in every interleaving. None waits forever: of all that was not yet run, what is first in the order of the tree
//! has all that it waits for before it.

use super::violation::witness;
use super::{Conflict, Illegal};
use crate::{Access, Dependences, Memory, Scop, Stmt, dependences, isl};

/// Do only messages go from rank to rank, is each of them sent once and received once, does no rank touch what another one
/// has `in rank`, and is each element of a result one rank's, or the same on all of them?
///
/// # Errors
/// [`Illegal::Violation`] with a write and a read on two ranks, [`Illegal::Malformed`] with the statement that is
/// wrong otherwise.
pub fn isolated(scop: &Scop) -> Result<(), Illegal> {
    let ranks = scop.tree.ranks()?.to_union_map()?;
    let checks = Isolation { scop, here: ranks.domain()?, same: ranks.apply_range(&ranks.reverse()?)?, ranks };
    checks.own_memory()?;
    checks.messages()?;
    checks.results()?;
    checks.flow()
}

struct Isolation<'a> {
    scop: &'a Scop,
    /// The instances inside of loops on ranks.
    here: isl::UnionSet,
    /// To the rank of each of them.
    ranks: isl::UnionMap,
    /// The pairs of one rank.
    same: isl::UnionMap,
}

impl Isolation<'_> {
    /// The first subscript of what is in a rank's memory is the rank.
    fn own_memory(&self) -> Result<(), Illegal> {
        for stmt in self.scop.stmts.values() {
            for access in stmt.accesses().filter(|access| self.memory(access) == Memory::Rank) {
                let cells = self.scop.relation(stmt, access)?;
                let whose = cells.reset_tuple_id(isl::Dim::Out)?;
                let whose = whose.project_out(isl::Dim::Out, 1, (access.index.len() as u32).saturating_sub(1))?;
                if access.index.is_empty() || !whose.to_union_map()?.is_subset(&self.ranks)? {
                    return Err(self.wrong(stmt, access, "touches what another rank than its own has of"));
                }
            }
        }
        Ok(())
    }

    /// What is written to messages is read, each element once.
    fn messages(&self) -> Result<(), Illegal> {
        for (tensor, row) in self.scop.tensors.iter().filter(|(_, row)| row.memory == Memory::Message) {
            let none = isl::UnionMap::empty(&self.scop.ctx)?;
            let (mut sent, mut received) = (none.clone(), none);
            for stmt in self.scop.stmts.values() {
                for access in stmt.accesses().filter(|access| access.tensor == tensor) {
                    let only = stmt.writes.len() == 1 && stmt.reads.len() == 1 && !stmt.body.is_reduce();
                    if !only || !stmt.domain.to_union_set()?.is_subset(&self.here)? {
                        return Err(self.wrong(stmt, access, "is no copy on a rank to or from"));
                    }
                    let cells = self.scop.relation(stmt, access)?.to_union_map()?;
                    let side = if stmt.writes.contains(access) { &mut sent } else { &mut received };
                    *side = side.union(&cells)?;
                }
            }
            let once = sent.is_injective()? && received.is_injective()?;
            if !once || !sent.range()?.is_equal(&received.range()?)? {
                let sentence = format!("not each element of `{}` is sent once and received once", row.name);
                return Err(Illegal::Malformed(sentence));
            }
        }
        Ok(())
    }

    /// Whoever writes an element of the caller's is one rank, or all of them.
    fn results(&self) -> Result<(), Illegal> {
        for (tensor, row) in self.scop.tensors.iter().filter(|(_, row)| row.role != crate::Role::Temporary) {
            let mut writes = isl::UnionMap::empty(&self.scop.ctx)?;
            for stmt in self.scop.stmts.values() {
                for access in stmt.writes.iter().filter(|access| access.tensor == tensor) {
                    writes = writes.union(&self.scop.relation(stmt, access)?.to_union_map()?)?;
                }
            }
            let on_ranks = writes.intersect_domain(&self.here)?;
            let on_all = writes.subtract_domain(&self.here)?;
            let pairs = on_ranks.apply_range(&on_ranks.reverse()?)?;
            if !pairs.is_subset(&self.same)? || !on_ranks.range()?.is_disjoint(&on_all.range()?)? {
                let name = &row.name;
                let sentence =
                    format!("two ranks write an element of `{name}`, and the caller gets one: `exchange {name}`");
                return Err(Illegal::Malformed(sentence));
            }
        }
        Ok(())
    }

    /// What a rank writes only this rank reads, but for messages.
    fn flow(&self) -> Result<(), Illegal> {
        let deps = dependences(self.scop)?;
        let is_sender = |stmt: &&Stmt| stmt.writes.iter().any(|access| self.memory(access) == Memory::Message);
        let mut writers = self.here.clone();
        for stmt in self.scop.stmts.values().filter(is_sender) {
            writers = writers.subtract(&stmt.domain.to_union_set()?)?;
        }
        let crossing = |pairs: &isl::UnionMap| pairs.intersect_domain(&writers)?.subtract(&self.same);
        let (flow, reduction) = (crossing(&deps.flow)?, crossing(&deps.reduction)?);
        let pairs = flow.union(&reduction)?;
        if pairs.is_empty()? {
            return Ok(());
        }
        let deps = Dependences { flow, reduction, ..deps };
        Err(Illegal::Violation(Box::new(witness(self.scop, &deps, &pairs, Conflict::NoMessage)?)))
    }

    fn memory(&self, access: &Access) -> Memory {
        self.scop.tensors[access.tensor].memory
    }

    fn wrong(&self, stmt: &Stmt, access: &Access, what: &str) -> Illegal {
        Illegal::Malformed(format!("`{}` {what} `{}`", stmt.name, self.scop.tensors[access.tensor].name))
    }
}
