//! What each access of a program sees when the program runs in an order.

use std::cell::OnceCell;

use support::Table;

use super::last;
use crate::legality::placed::{Piece, Placement};
use crate::places::{Places, renamed};
use crate::{Access, Body, Role, ScheduleTree, Scop, Stmt, StmtId, Subscript, TensorId, isl};

/// What an access finds in its cell: the last write that surely happened, all updates since, and what was there at first
/// when no write surely happened. Relations from the reader, which is `[instance -> element]` where a subscript is known
/// only while running.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    /// To the writers, as [`writer_name`] calls them.
    pub writers: isl::UnionMap,
    /// To the cells, as [`initial_name`] calls them.
    pub initial: isl::UnionMap,
}

impl Sight {
    /// Both in one.
    pub fn all(&self) -> isl::Result<isl::UnionMap> {
        self.writers.union(&self.initial)
    }
}

/// What all accesses of a program see.
#[derive(Clone, Debug)]
pub(super) struct Flows {
    /// By statement and read.
    pub reads: Table<StmtId, Vec<Sight>>,
    /// What updates find in their own elements, by statement and component; nothing for assignments.
    pub states: Table<StmtId, Vec<Sight>>,
    /// What the caller finds at the end, for each of its tensors: from the elements.
    pub results: Vec<(TensorId, Sight)>,
}

/// How a component of a statement is called as a writer.
pub(super) fn writer_name(stmt: &Stmt, component: usize) -> String {
    if component == 0 { stmt.name.clone() } else { format!("{} #{component}", stmt.name) }
}

/// How what was in a tensor at first is called: no statement has a name with a space.
pub(super) fn initial_name(tensor: &str) -> String {
    format!("{tensor}{INITIALLY}")
}

/// The end of [`initial_name`].
pub(super) const INITIALLY: &str = " initially";

/// Whether an element is known only while running.
pub(super) fn is_indirect(access: &Access) -> bool {
    access.index.iter().any(|subscript| matches!(subscript, Subscript::Indirect(_)))
}

impl Flows {
    /// Of `scop` in the order of `tree`, every instance after the other.
    pub fn of(scop: &Scop, tree: &ScheduleTree, placement: Option<&Placement>) -> isl::Result<Flows> {
        let analysis = Analysis::new(scop, tree, placement)?;
        let (mut reads, mut states) = (Table::new(), Table::new());
        for (id, stmt) in scop.stmts.iter() {
            let mut seen: Vec<Sight> = Vec::new();
            for (at, read) in stmt.reads.iter().enumerate() {
                let same = |other: &&Access| other.tensor == read.tensor && other.index == read.index;
                let sight = match stmt.reads[..at].iter().position(|other| same(&other)) {
                    Some(earlier) => seen[earlier].clone(),
                    None => analysis.sight(id, at)?,
                };
                seen.push(sight);
            }
            reads.push(seen);
            states.push(match stmt.body {
                Body::Assign(_) => Vec::new(),
                Body::Reduce { .. } => {
                    let writes = stmt.reads.len()..stmt.reads.len() + stmt.writes.len();
                    writes.map(|at| analysis.sight(id, at)).collect::<isl::Result<_>>()?
                }
            });
        }
        let callers = scop.tensors.iter().filter(|(_, tensor)| matches!(tensor.role, Role::Output | Role::InOut));
        let results = callers.map(|(id, _)| Ok((id, analysis.result(id)?))).collect::<isl::Result<_>>()?;
        Ok(Flows { reads, states, results })
    }
}

/// The writers of one tensor: relations to its cells, and when they run.
struct Writers {
    must: isl::UnionMap,
    may: isl::UnionMap,
    times: isl::UnionMap,
}

struct Analysis<'a> {
    scop: &'a Scop,
    tree: &'a ScheduleTree,
    places: Places<'a>,
    /// None where a number is too large for isl.
    placement: Option<&'a Placement>,
    /// What is read off the tree, by tensor; none where a writer's element is known only while running.
    writers: Table<TensorId, Option<Vec<last::Access>>>,
    searched: OnceCell<Searched>,
}

/// What isl's analysis asks for.
struct Searched {
    /// By statement.
    times: Table<StmtId, isl::UnionMap>,
    /// By tensor.
    writers: Table<TensorId, Writers>,
}

impl<'a> Analysis<'a> {
    fn new(scop: &'a Scop, tree: &'a ScheduleTree, placement: Option<&'a Placement>) -> isl::Result<Analysis<'a>> {
        let mut writers = Table::new();
        for _ in scop.tensors.values() {
            writers.push(Some(Vec::new()));
        }
        let places = Places::new(scop, tree)?;
        let mut analysis = Analysis { scop, tree, places, placement, writers, searched: OnceCell::new() };
        for (id, stmt) in scop.stmts.iter() {
            for (component, write) in stmt.writes.iter().enumerate() {
                let at = stmt.reads.len() + component;
                let here = analysis.accesses(id, at, &writer_name(stmt, component), is_sure(stmt, write))?;
                let known = analysis.writers[write.tensor].take();
                analysis.writers[write.tensor] = known.zip(here).map(|(known, here)| [known, here].concat());
            }
        }
        Ok(analysis)
    }

    /// Access `at` of a statement at each place of the tree where it stands; `None` when an element is known only while
    /// running.
    fn accesses(&self, id: StmtId, at: usize, name: &str, hides: bool) -> isl::Result<Option<Vec<last::Access>>> {
        let Some(placement) = self.placement else { return Ok(None) };
        if self.scop.stmts[id].accesses().nth(at).is_none_or(is_indirect) {
            return Ok(None);
        }
        let access = self.scop.stmts[id].accesses().nth(at);
        let is_shared = access.is_some_and(|access| self.scop.tensors[access.tensor].layout.is_some());
        let one = |piece: &Piece| {
            let (cells, instances) = (piece.cells[at].clone(), piece.instances.clone());
            let elements = piece.elements[at].clone().filter(|_| is_shared);
            let (rows, is_in_order) = (piece.rows.clone(), piece.is_in_order()?);
            let name = name.to_owned();
            Ok(last::Access { name, cells, elements, instances, hides, rows, is_in_order, is_end: false })
        };
        placement.pieces[id].iter().map(one).collect::<isl::Result<_>>().map(Some)
    }

    /// What access `at` of a statement finds.
    fn sight(&self, id: StmtId, at: usize) -> isl::Result<Sight> {
        let stmt = &self.scop.stmts[id];
        let access = stmt.accesses().nth(at).expect("an access of the statement");
        let read_off = match self.accesses(id, at, &stmt.name, false)? {
            Some(readers) => self.read_off(access.tensor, &readers)?,
            None => None,
        };
        read_off.map_or_else(|| self.searched_sight(stmt, access), Ok)
    }

    fn searched_sight(&self, stmt: &Stmt, access: &Access) -> isl::Result<Sight> {
        let id = self.scop.stmt_named(&stmt.name).expect("a statement of the program");
        let searched = self.searched()?;
        let time = &searched.times[id];
        let (cells, time) = if is_indirect(access) {
            let instances = self.scop.relation(stmt, access)?.to_union_map()?.domain_map()?;
            (self.places.cells_by_element(stmt, access)?, instances.apply_range(time)?)
        } else {
            (self.places.cells(stmt, access)?, time.clone())
        };
        self.flow(access.tensor, cells, searched.writers[access.tensor].times.union(&time)?)
    }

    /// After everything, a reader of every element. Its tuple is the tensor's.
    fn result(&self, tensor: TensorId) -> isl::Result<Sight> {
        let reader = last::Access::at_the_end(result_name(&self.scop.tensors[tensor].name), self.end(tensor)?)?;
        self.read_off(tensor, &[reader])?.map_or_else(|| self.searched_result(tensor), Ok)
    }

    /// From the reader at the end to the cells.
    fn end(&self, tensor: TensorId) -> isl::Result<isl::Map> {
        self.scop.storage(tensor)?.with_tuple_name(isl::Dim::In, &result_name(&self.scop.tensors[tensor].name))
    }

    fn searched_result(&self, tensor: TensorId) -> isl::Result<Sight> {
        let name = result_name(&self.scop.tensors[tensor].name);
        let times = &self.searched()?.writers[tensor].times;
        let at = |instances: &isl::UnionSet, value: i64| {
            instances.constant(&isl::Val::int(&self.scop.ctx, value)?)?.to_union_map()
        };
        let before = at(&times.domain()?, 0)?.flat_range_product(times)?;
        let end = self.scop.elements(tensor)?.with_tuple_name(&name)?.to_union_set()?;
        let after = before.maps()?.first().map_or(Ok(1), |map| map.dim(isl::Dim::Out))?;
        let mut last = at(&end, 1)?;
        for _ in 1..after {
            last = last.flat_range_product(&at(&end, 0)?)?;
        }
        self.flow(tensor, self.end(tensor)?.to_union_map()?, before.union(&last)?)
    }

    /// What a reader finds, where it can be read off the tree.
    fn read_off(&self, tensor: TensorId, readers: &[last::Access]) -> isl::Result<Option<Sight>> {
        let Some(writers) = &self.writers[tensor] else { return Ok(None) };
        let name = initial_name(&self.scop.tensors[tensor].name);
        let none = isl::UnionMap::empty(&self.scop.ctx)?;
        let mut sight = Sight { writers: none.clone(), initial: none };
        for reader in readers {
            let Some(found) = reader.finds(writers)? else { return Ok(None) };
            let cells = reader.cells.apply_domain(&reader.instances)?;
            let initial = cells.intersect_domain(&found.unwritten)?.with_tuple_name(isl::Dim::Out, &name)?;
            sight.writers = sight.writers.union(&found.writers)?;
            sight.initial = sight.initial.union(&initial.to_union_map()?)?;
        }
        Ok(Some(Sight { writers: sight.writers.coalesce()?, initial: sight.initial.coalesce()? }))
    }

    fn flow(&self, tensor: TensorId, sink: isl::UnionMap, schedule: isl::UnionMap) -> isl::Result<Sight> {
        let name = initial_name(&self.scop.tensors[tensor].name);
        let none = || isl::UnionMap::empty(&self.scop.ctx);
        let writers = &self.searched()?.writers[tensor];
        if writers.times.is_empty()? || sink.is_empty()? {
            return Ok(Sight { writers: none()?, initial: renamed(&sink, isl::Dim::Out, &name)? });
        }
        let (must_source, may_source) = (writers.must.clone(), writers.may.clone());
        let schedule = isl::Times::Map(schedule);
        let info = isl::AccessInfo { sink, must_source, may_source, kill: none()?, schedule };
        let (flow, initial) = info.flow_and_initial()?;
        Ok(Sight {
            writers: flow.range_factor_domain()?.reverse()?.coalesce()?,
            initial: renamed(&initial, isl::Dim::Out, &name)?.coalesce()?,
        })
    }

    fn searched(&self) -> isl::Result<&Searched> {
        if let Some(searched) = self.searched.get() {
            return Ok(searched);
        }
        let searched = Searched::of(self.scop, self.tree, &self.places)?;
        Ok(self.searched.get_or_init(|| searched))
    }
}

impl Searched {
    fn of(scop: &Scop, tree: &ScheduleTree, places: &Places<'_>) -> isl::Result<Searched> {
        let time = tree.to_map()?;
        let none = isl::UnionMap::empty(&scop.ctx)?;
        let (mut times, mut writers) = (Table::new(), Table::new());
        for stmt in scop.stmts.values() {
            times.push(time.intersect_domain(&stmt.domain.to_union_set()?)?);
        }
        for _ in scop.tensors.values() {
            writers.push(Writers { must: none.clone(), may: none.clone(), times: none.clone() });
        }
        let mut searched = Searched { times, writers };
        for (id, stmt) in scop.stmts.iter() {
            for (component, write) in stmt.writes.iter().enumerate() {
                searched.add_writer((scop, places), id, component, write)?;
            }
        }
        Ok(searched)
    }

    fn add_writer(
        &mut self,
        (scop, places): (&Scop, &Places<'_>),
        id: StmtId,
        component: usize,
        write: &Access,
    ) -> isl::Result<()> {
        let (stmt, time) = (&scop.stmts[id], &self.times[id]);
        let (cells, time) = if is_indirect(write) {
            let instances = scop.relation(stmt, write)?.to_union_map()?.domain_map()?;
            (places.cells_by_element(stmt, write)?, instances.apply_range(time)?)
        } else {
            let name = writer_name(stmt, component);
            let called = |map: &isl::UnionMap| renamed(map, isl::Dim::In, &name);
            (called(&places.cells(stmt, write)?)?, called(time)?)
        };
        let writers = &mut self.writers[write.tensor];
        let side = if is_sure(stmt, write) { &mut writers.must } else { &mut writers.may };
        *side = side.union(&cells)?;
        writers.times = writers.times.union(&time)?;
        Ok(())
    }
}

/// Whether a write hides what was there.
fn is_sure(stmt: &Stmt, write: &Access) -> bool {
    matches!(stmt.body, Body::Assign(_)) && !is_indirect(write)
}

/// How the caller's reading of a tensor at the end is called.
pub(super) fn result_name(tensor: &str) -> String {
    format!("{tensor}{FINALLY}")
}

/// The end of [`result_name`].
pub(super) const FINALLY: &str = " finally";

#[cfg(test)]
pub(in crate::legality) mod tests {
    use super::*;
    use crate::testing;

    fn agree(scop: &Scop, read_off: Option<Sight>, searched: &Sight, counts: &mut (usize, usize)) {
        let Some(sight) = read_off else {
            counts.1 += 1;
            return;
        };
        for (found, expected) in [(&sight.writers, &searched.writers), (&sight.initial, &searched.initial)] {
            let expected = expected.intersect_params(&scop.context).expect("isl");
            assert!(found.is_equal(&expected).expect("isl"), "{found} and not {expected}\n{scop}");
        }
        counts.0 += 1;
    }

    /// What is read off the tree of a program is what isl's analysis finds; how often it was, and was not.
    pub(in crate::legality) fn read_off_as_searched(scop: &Scop, counts: &mut (usize, usize)) {
        let tree = if scop.is_source() { ScheduleTree::from_source(scop).expect("isl") } else { scop.tree.clone() };
        let placement = Placement::of(scop, &tree).expect("isl");
        let analysis = Analysis::new(scop, &tree, Some(&placement)).expect("isl");
        for (id, stmt) in scop.stmts.iter() {
            for (at, access) in stmt.accesses().enumerate().filter(|(_, access)| !is_indirect(access)) {
                let readers = analysis.accesses(id, at, &stmt.name, false).expect("isl").expect("affine");
                let read_off = analysis.read_off(access.tensor, &readers).expect("isl");
                agree(scop, read_off, &analysis.searched_sight(stmt, access).expect("isl"), counts);
            }
        }
        let callers = |(_, tensor): &(TensorId, &crate::Tensor)| tensor.role != Role::Temporary;
        for (tensor, _) in scop.tensors.iter().filter(callers) {
            let (name, end) = (result_name(&scop.tensors[tensor].name), analysis.end(tensor).expect("isl"));
            let reader = last::Access::at_the_end(name, end).expect("isl");
            let read_off = analysis.read_off(tensor, &[reader]).expect("isl");
            agree(scop, read_off, &analysis.searched_result(tensor).expect("isl"), counts);
        }
    }

    #[test]
    fn what_is_read_off_a_tree_is_what_a_search_finds() {
        let ctx = isl::Ctx::new();
        let mut counts = (0, 0);
        for scop in testing::programs(&ctx).into_iter().chain((0..80).map(|seed| testing::random(&ctx, seed))) {
            read_off_as_searched(&scop, &mut counts);
        }
        assert!(counts.0 > 500, "{counts:?}: few are read off");
    }
}
