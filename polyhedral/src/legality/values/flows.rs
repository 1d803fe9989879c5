//! What each access of a program sees when the program runs in an order.

use support::Table;

use super::levels::Levels;
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
    pub fn of(scop: &Scop, tree: &ScheduleTree) -> isl::Result<Flows> {
        let analysis = Analysis::new(scop, tree)?;
        let (mut reads, mut states) = (Table::new(), Table::new());
        for stmt in scop.stmts.values() {
            let mut seen: Vec<Sight> = Vec::new();
            for (at, read) in stmt.reads.iter().enumerate() {
                let same = |other: &&Access| other.tensor == read.tensor && other.index == read.index;
                let sight = match stmt.reads[..at].iter().position(|other| same(&other)) {
                    Some(earlier) => seen[earlier].clone(),
                    None => analysis.sight(stmt, read)?,
                };
                seen.push(sight);
            }
            reads.push(seen);
            states.push(match stmt.body {
                Body::Assign(_) => Vec::new(),
                Body::Reduce { .. } => {
                    stmt.writes.iter().map(|write| analysis.sight(stmt, write)).collect::<isl::Result<_>>()?
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
    places: Places<'a>,
    /// By statement.
    times: Table<StmtId, isl::UnionMap>,
    /// By tensor.
    writers: Table<TensorId, Writers>,
}

impl<'a> Analysis<'a> {
    fn new(scop: &'a Scop, tree: &ScheduleTree) -> isl::Result<Analysis<'a>> {
        let time = tree.to_map()?;
        let places = Places::new(scop, tree)?;
        let mut times = Table::new();
        for stmt in scop.stmts.values() {
            times.push(time.intersect_domain(&stmt.domain.to_union_set()?)?);
        }
        let none = isl::UnionMap::empty(&scop.ctx)?;
        let mut writers = Table::new();
        for _ in scop.tensors.values() {
            writers.push(Writers { must: none.clone(), may: none.clone(), times: none.clone() });
        }
        let mut analysis = Analysis { scop, places, times, writers };
        for (id, stmt) in scop.stmts.iter() {
            for (component, write) in stmt.writes.iter().enumerate() {
                analysis.add_writer(id, component, write)?;
            }
        }
        Ok(analysis)
    }

    fn add_writer(&mut self, id: StmtId, component: usize, write: &Access) -> isl::Result<()> {
        let (stmt, time) = (&self.scop.stmts[id], &self.times[id]);
        let (cells, time) = if is_indirect(write) {
            let instances = self.scop.relation(stmt, write)?.to_union_map()?.domain_map()?;
            (self.places.cells_by_element(stmt, write)?, instances.apply_range(time)?)
        } else {
            let name = writer_name(stmt, component);
            let called = |map: &isl::UnionMap| renamed(map, isl::Dim::In, &name);
            (called(&self.places.cells(stmt, write)?)?, called(time)?)
        };
        let is_sure = matches!(stmt.body, Body::Assign(_)) && !is_indirect(write);
        let writers = &mut self.writers[write.tensor];
        let side = if is_sure { &mut writers.must } else { &mut writers.may };
        *side = side.union(&cells)?;
        writers.times = writers.times.union(&time)?;
        Ok(())
    }

    fn sight(&self, stmt: &Stmt, access: &Access) -> isl::Result<Sight> {
        let id = self.scop.stmt_named(&stmt.name).expect("a statement of the program");
        let time = &self.times[id];
        let (cells, time) = if is_indirect(access) {
            let instances = self.scop.relation(stmt, access)?.to_union_map()?.domain_map()?;
            (self.places.cells_by_element(stmt, access)?, instances.apply_range(time)?)
        } else {
            (self.places.cells(stmt, access)?, time.clone())
        };
        let writers = &self.writers[access.tensor];
        self.flow(access.tensor, cells, writers.times.union(&time)?)
    }

    /// After everything, a reader of every element. Its tuple is the tensor's.
    fn result(&self, tensor: TensorId) -> isl::Result<Sight> {
        let elements = self.scop.elements(tensor)?;
        let name = result_name(&self.scop.tensors[tensor].name);
        let cells = renamed(&self.scop.storage(tensor)?.to_union_map()?, isl::Dim::In, &name)?;
        let times = &self.writers[tensor].times;
        let at = |instances: &isl::UnionSet, value: i64| {
            instances.constant(&isl::Val::int(&self.scop.ctx, value)?)?.to_union_map()
        };
        let before = at(&times.domain()?, 0)?.flat_range_product(times)?;
        let end = elements.with_tuple_name(&name)?.to_union_set()?;
        let after = before.maps()?.first().map_or(Ok(1), |map| map.dim(isl::Dim::Out))?;
        let mut last = at(&end, 1)?;
        for _ in 1..after {
            last = last.flat_range_product(&at(&end, 0)?)?;
        }
        self.flow(tensor, cells, before.union(&last)?)
    }

    fn flow(&self, tensor: TensorId, sink: isl::UnionMap, schedule: isl::UnionMap) -> isl::Result<Sight> {
        let name = initial_name(&self.scop.tensors[tensor].name);
        let none = || isl::UnionMap::empty(&self.scop.ctx);
        let writers = &self.writers[tensor];
        if writers.times.is_empty()? || sink.is_empty()? {
            return Ok(Sight { writers: none()?, initial: renamed(&sink, isl::Dim::Out, &name)? });
        }
        let (must_source, may_source) = (writers.must.clone(), writers.may.clone());
        let touched = sink.union(&must_source)?.union(&may_source)?.domain()?;
        let levels = Levels::of(self.scop, &schedule, &touched)?;
        let schedule = isl::Times::Map(levels.times.clone());
        let info = isl::AccessInfo { sink, must_source, may_source, kill: none()?, schedule };
        let (flow, initial) = info.flow_and_initial()?;
        let (flow, initial) = (levels.found(flow)?, levels.found(initial)?);
        Ok(Sight {
            writers: flow.range_factor_domain()?.reverse()?.coalesce()?,
            initial: renamed(&initial, isl::Dim::Out, &name)?.coalesce()?,
        })
    }
}

/// How the caller's reading of a tensor at the end is called.
pub(super) fn result_name(tensor: &str) -> String {
    format!("{tensor}{FINALLY}")
}

/// The end of [`result_name`].
pub(super) const FINALLY: &str = " finally";
