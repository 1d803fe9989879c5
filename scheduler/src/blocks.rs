//! Blocks of rows of what is as long as rows are many: of scores between two contractions, one block is in a cache at a
//! time and never in memory.
//!
//! A softmax over the scores of an attention reduces each row twice before the row is used. Rows of several nests run
//! in common loops (`sharing`) when one iteration stays in the second cache; here an iteration would hold a whole matrix of
//! scores. A block of rows of all nests runs in turn instead, as many as make up for reading again what rows share. Where such
//! a block is too large as well, rows are cut too, and what was summed relative to the maximum so far is rescaled
//! (`rescale`): FlashAttention of Dao and others (NeurIPS 2022).

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{Access, BinOp, Body, Memory, Role, Scop, StmtId, Subscript, TensorId};
use support::{Remark, Target};
use transform::{Command, Session};

use crate::nest::{self, Nest};
use crate::{STAGE, reasons};

/// Rows of a block: a multiple of the rows of every register tile.
const ROWS: i64 = 48;
/// The part of the second cache that temporaries of one block may fill.
const PART: u64 = 4;
/// And how many bytes they may have on the stack together.
const STACK: u64 = 192 << 10;
/// Columns of a block are a multiple of this many.
const LANES: i64 = 64;
/// The part of the second cache that whole matrices may fill: what they are made of is there too.
const SHARE: f64 = 0.5;

/// What blocks have left to be done, and what is known of their loops.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// Iterations of loops inside of blocks, by name.
    extents: BTreeMap<String, i64>,
    stores: Vec<Command>,
}

impl Blocks {
    /// Tells nests how long the loops inside of blocks are.
    pub(crate) fn mark(&self, nests: &mut [Nest]) {
        for nest in nests {
            for one in &mut nest.loops {
                if let Some(extent) = self.extents.get(&one.name) {
                    one.extent = Some(*extent);
                }
            }
            self.mark(&mut nest.parts);
        }
    }

    /// Whether a nest is cut into blocks.
    pub(crate) fn are_in(&self, nest: &Nest) -> bool {
        nest.loops.iter().any(|one| self.extents.contains_key(&one.name))
            || nest.parts.iter().any(|part| self.are_in(part))
    }

    /// Keeps of temporaries what a block needs.
    pub(crate) fn keep(self, session: &mut Session) {
        let entity = session.scop().name.clone();
        for store in self.stores {
            crate::cpu::attempt(session, &entity, "not kept for one block", store);
        }
    }
}

/// Runs nests that go through rows too long for the second cache in blocks, where there are such.
pub(crate) fn cut(session: &mut Session) -> Blocks {
    let mut all = Blocks::default();
    let maxima: Vec<StmtId> = session.scop().stmts.keys().collect();
    let names: Vec<String> = maxima.iter().map(|&id| session.scop().stmts[id].name.clone()).collect();
    for name in names {
        let Some(rows) = Rows::of(session, &name) else { continue };
        if let Some(blocks) = rows.run(session) {
            all.extents.extend(blocks.extents);
            all.stores.extend(blocks.stores);
        }
    }
    all
}

/// What a dimension is of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// One of the loops that rows are in.
    Around(usize),
    /// The row.
    Row,
    /// Along the row.
    Column,
}

/// Neighbouring nests that go through the same rows.
struct Rows {
    /// The update of the maximum of each row.
    max: String,
    /// In order, each with one statement.
    members: Vec<Member>,
    /// How many loops are around rows.
    around: usize,
    /// Rows, and elements of one.
    extents: (i64, i64),
    /// Bytes of the wide temporaries in one column of a row.
    bytes: u64,
    /// The wide temporaries, and those with a value for each row.
    wide: Vec<String>,
    narrow: Vec<String>,
    /// Sums of what is relative to the maximum.
    sums: Vec<String>,
    /// Rows and columns of a block; all columns when none.
    block: (i64, Option<i64>),
}

/// A nest of one statement.
struct Member {
    stmt: String,
    is_reduction: bool,
    /// Whether it is a reduction with loops besides those over rows and along them.
    is_contraction: bool,
    /// The loops around rows, then that of rows, by name.
    outer: Vec<String>,
    /// The loop along rows.
    column: Option<String>,
    /// All other loops.
    others: Vec<String>,
}

impl Rows {
    fn of(session: &Session, max: &str) -> Option<Rows> {
        let scop = session.scop();
        let id = scop.stmt_named(max)?;
        if !is_max(scop, id) {
            return None;
        }
        let nests = scop.ctx.with_budget(session.options().operations, || nest::nests(scop)).ok()?;
        let parts = Parts::of(scop, id, &nests)?;
        let range = parts.range(scop, &nests)?;
        let at = nests.iter().position(|nest| nest.only_stmt() == Some(id))?;
        let around = parts.around;
        let rows = nests[at].loops.iter().find(|one| parts.part(id, one) == Some(Part::Row))?.extent?;
        let columns = nests[at].loops.iter().find(|one| parts.part(id, one) == Some(Part::Column))?.extent?;
        let members = nests[range.clone()].iter().map(|nest| parts.member(scop, nest)).collect::<Option<Vec<_>>>()?;
        let inside: Vec<StmtId> = nests[range].iter().filter_map(Nest::only_stmt).collect();
        let own = |tensor: &TensorId| is_own(scop, *tensor, &inside);
        let wide: Vec<TensorId> = parts.wide(scop).filter(own).collect();
        // Rows that one contraction makes and another one uses; all others stay in the first cache one by one.
        let writes = |member: &&Member| {
            scop.stmt_named(&member.stmt)
                .is_some_and(|id| scop.stmts[id].writes.iter().any(|write| wide.contains(&write.tensor)))
        };
        let (makes, uses): (Vec<&Member>, Vec<&Member>) =
            members.iter().filter(|member| member.is_contraction && member.column.is_some()).partition(writes);
        if makes.is_empty() || uses.is_empty() {
            return None;
        }
        let bytes: u64 = wide.iter().map(|&tensor| u64::from(scop.tensors[tensor].dtype.bytes())).sum();
        let narrow = parts.narrow(scop).filter(own);
        let name = |tensor: TensorId| scop.tensors[tensor].name.clone();
        let sums = relative_sums(scop, id).into_iter().map(name).collect();
        let (wide, narrow) = (wide.into_iter().map(name).collect(), narrow.map(name).collect());
        let block = block_of(session.target(), (rows, columns), bytes)?;
        let (max, extents) = (max.to_string(), (rows, columns));
        Some(Rows { max, members, around, extents, bytes, wide, narrow, sums, block })
    }

    /// Takes the steps; none of them when one is refused.
    fn run(&self, session: &mut Session) -> Option<Blocks> {
        let mut trial = session.clone();
        let taken = match self.block {
            (rows, Some(columns)) => self.rescaled(&mut trial, rows, columns),
            (rows, None) => self.whole_rows(&mut trial, rows),
        };
        match taken {
            Ok(blocks) => {
                *session = trial;
                Some(blocks)
            }
            Err(why) => {
                let rows = "rows are not cut into blocks";
                session.remark(Remark::new(STAGE, self.max.clone(), rows, why.clone()));
                let (rows, Some(_)) = self.block else { return None };
                let least = self.rows_on_stack(session.target()).min(rows);
                let mut trial = session.clone();
                let blocks = (least > 0).then(|| self.whole_rows(&mut trial, least).ok()).flatten()?;
                *session = trial;
                Some(blocks)
            }
        }
    }

    /// How many whole rows fit the stack: a multiple of those of register tiles.
    fn rows_on_stack(&self, target: &Target) -> i64 {
        let row = self.bytes.saturating_mul(self.extents.1.unsigned_abs()).max(1);
        let rows = i64::try_from(room(target) / row).unwrap_or(ROWS);
        [48, 24, 12, 6].into_iter().find(|&some| some <= rows).unwrap_or(0)
    }

    /// All loops of a member: around, the block of rows, that of columns, then what is inside of a block.
    fn divide(
        &self,
        session: &mut Session,
        blocks: &mut Blocks,
        (rows, columns): (i64, Option<i64>),
    ) -> Result<(), String> {
        for member in &self.members {
            let (around, row) = member.outer.split_at(self.around);
            let mut order: Vec<String> = around.to_vec();
            let (outer, inner) = split(session, &row[0], rows)?;
            blocks.extents.insert(inner.clone(), rows.min(self.extents.0));
            order.push(outer);
            let mut inside = vec![inner];
            if let Some(column) = &member.column {
                match columns {
                    None => inside.push(column.clone()),
                    Some(columns) => {
                        let (outer, inner) = split(session, column, columns)?;
                        blocks.extents.insert(inner.clone(), columns.min(self.extents.1));
                        order.push(outer);
                        inside.push(inner);
                    }
                }
            }
            // A sum over columns has them inside; a result along them outside of what it is summed over.
            let place = match member.is_reduction && self.is_summed(session.scop(), &member.stmt) {
                true => 1,
                false => inside.len(),
            };
            inside.splice(place..place, member.others.iter().cloned());
            order.extend(inside);
            if order.len() > 1 {
                take(session, Command::reorder(order))?;
            }
        }
        Ok(())
    }

    /// Whether a statement sums over the columns.
    fn is_summed(&self, scop: &Scop, stmt: &str) -> bool {
        let writes =
            |id: StmtId| scop.stmts[id].writes.iter().any(|write| self.wide.contains(&scop.tensors[write.tensor].name));
        scop.stmt_named(stmt).is_some_and(|id| !writes(id))
    }

    /// Every block of rows goes through all nests.
    fn whole_rows(&self, session: &mut Session, rows: i64) -> Result<Blocks, String> {
        let mut blocks = Blocks::default();
        self.divide(session, &mut blocks, (rows, None))?;
        let depth = u32::try_from(self.around + 1).unwrap_or(1);
        let joined = self.join_updates(session, self.members.iter(), self.around + 3)?;
        let first = &self.members[0].stmt;
        for member in self.members[1..].iter().filter(|member| !joined.contains(&member.stmt)) {
            take(session, fuse(first, &member.stmt, depth))?;
        }
        let at = self.block_loop(session, first, self.around)?;
        let kept = self.wide.iter().chain(&self.narrow).map(|tensor| in_stack(tensor, &at));
        blocks.stores.extend(kept);
        Ok(blocks)
    }

    /// Every block of rows goes through blocks of columns, in which sums are rescaled.
    fn rescaled(&self, session: &mut Session, rows: i64, columns: i64) -> Result<Blocks, String> {
        if self.sums.is_empty() {
            return Err("nothing is summed relative to the maximum".into());
        }
        let mut blocks = Blocks::default();
        self.divide(session, &mut blocks, (rows, Some(columns)))?;
        let known = session.scop().tensors.len();
        let at = self.block_loop(session, &self.max, self.around + 1)?;
        let max = session.scop().stmts[session.scop().stmt_named(&self.max).expect("its update")].writes[0].tensor;
        let max = session.scop().tensors[max].name.clone();
        take(session, Command::rescale(&self.sums, &max, &at))?;
        let made: Vec<String> = session.scop().tensors.values().skip(known).map(|tensor| tensor.name.clone()).collect();
        let (rows, columns) =
            (u32::try_from(self.around + 1).unwrap_or(1), u32::try_from(self.around + 2).unwrap_or(2));
        let position = self.members.iter().position(|member| member.stmt == self.max).expect("a member");
        let producers = || self.members[..position].iter().filter(|member| member.column.is_some());
        let joined = self.join_updates(session, producers(), self.around + 4)?;
        for member in producers().rev().filter(|member| !joined.contains(&member.stmt)) {
            take(session, fuse(&member.stmt, &self.max, columns))?;
        }
        for member in self.members.iter().filter(|member| member.column.is_none()) {
            let is_before =
                session.scop().stmt_named(&member.stmt) < session.scop().stmt_named(self.last_sum(session.scop()));
            match is_before {
                true => take(session, fuse(&member.stmt, &self.max, rows))?,
                false => take(session, fuse(&self.max, &member.stmt, rows))?,
            }
        }
        let outer = self.block_loop(session, &self.max, self.around)?;
        let at = self.block_loop(session, &self.max, self.around + 1)?;
        blocks.stores.extend(self.wide.iter().map(|tensor| in_stack(tensor, &at)));
        blocks.stores.extend(self.narrow.iter().chain(&made).map(|tensor| in_stack(tensor, &outer)));
        Ok(blocks)
    }

    /// The update of the last sum.
    fn last_sum<'s>(&self, scop: &'s Scop) -> &'s str {
        let is_sum = |stmt: &&polyhedral::Stmt| {
            stmt.body.is_reduce()
                && stmt.writes.iter().any(|write| self.sums.contains(&scop.tensors[write.tensor].name))
        };
        scop.stmts.values().rfind(is_sum).map_or("", |stmt| stmt.name.as_str())
    }

    /// Initial values and updates of a contraction in common loops; the updates.
    fn join_updates<'m>(
        &self,
        session: &mut Session,
        members: impl Iterator<Item = &'m Member>,
        depth: usize,
    ) -> Result<BTreeSet<String>, String> {
        let members: Vec<&Member> = members.collect();
        let mut joined = BTreeSet::new();
        for pair in members.windows(2) {
            let writes = |member: &Member| {
                let id = session.scop().stmt_named(&member.stmt).expect("a member");
                session.scop().stmts[id].writes.iter().map(|write| write.tensor).collect::<Vec<_>>()
            };
            if !pair[0].is_reduction
                && pair[1].is_reduction
                && writes(pair[0]) == writes(pair[1])
                && pair[0].column.is_some()
            {
                take(session, fuse(&pair[0].stmt, &pair[1].stmt, u32::try_from(depth).unwrap_or(1)))?;
                joined.insert(pair[1].stmt.clone());
            }
        }
        Ok(joined)
    }

    /// The name of the loop at that depth around a statement.
    fn block_loop(&self, session: &Session, stmt: &str, depth: usize) -> Result<String, String> {
        let nests = nest::nests(session.scop()).map_err(|error| error.to_string())?;
        let id = session.scop().stmt_named(stmt).ok_or("no such statement")?;
        fn around(nest: &Nest, id: StmtId, names: &mut Vec<String>) {
            names.extend(nest.loops.iter().map(|one| one.name.clone()));
            if let Some(part) = nest.parts.iter().find(|part| part.stmts.contains(&id)) {
                around(part, id, names);
            }
        }
        let mut names = Vec::new();
        if let Some(nest) = nests.iter().find(|nest| nest.stmts.contains(&id)) {
            around(nest, id, &mut names);
        }
        names.get(depth).cloned().ok_or_else(|| format!("`{stmt}` is in too few loops"))
    }
}

fn in_stack(tensor: &str, at: &str) -> Command {
    Command::StoreAt { tensor: tensor.to_string(), member: at.to_string(), memory: Some(Memory::Stack) }
}

fn fuse(first: &str, second: &str, depth: u32) -> Command {
    Command::Fuse { first: first.into(), second: second.into(), depth: Some(depth), shift: None }
}

/// Applies a command; why not.
fn take(session: &mut Session, command: Command) -> Result<(), String> {
    let text = command.to_string();
    reasons::apply(session, command).map_err(|refused| format!("`{text}`: {}", refused.reason))
}

/// Cuts a loop; its block loop and what is inside.
fn split(session: &mut Session, member: &str, by: i64) -> Result<(String, String), String> {
    take(session, Command::split(member, u32::try_from(by).unwrap_or(1)))?;
    match session.script().commands().last() {
        Some(Command::Split { names: Some(names), .. }) => {
            let beside = &member[..member.rfind('.').map_or(0, |dot| dot + 1)];
            let full = |name: &String| if name.contains('.') { name.clone() } else { format!("{beside}{name}") };
            Ok((full(&names.outer[0]), full(&names.inner[0])))
        }
        _ => Err("a split has no names".into()),
    }
}

/// Bytes that temporaries of a block may have.
fn room(target: &Target) -> u64 {
    let cache = target.caches.get(1).or(target.caches.first()).map_or(1 << 20, |cache| cache.bytes);
    (cache / PART).min(STACK)
}

/// Rows and columns of a block; none where whole matrices stay in the second cache.
fn block_of(target: &Target, (rows, columns): (i64, i64), bytes: u64) -> Option<(i64, Option<i64>)> {
    let cache = target.caches.get(1).or(target.caches.first()).map_or(1 << 20, |cache| cache.bytes);
    let row = bytes.saturating_mul(columns.unsigned_abs());
    if bytes == 0 || (row.saturating_mul(rows.unsigned_abs()) as f64) < cache as f64 * SHARE {
        return None;
    }
    let of_block = ROWS.min(rows);
    let fits = i64::try_from(room(target) / (bytes * of_block.unsigned_abs())).unwrap_or(i64::MAX);
    let whole = (fits >= columns).then_some((of_block, None));
    let cut = fits / LANES * LANES;
    whole.or((cut > 0).then_some((of_block, Some(cut))))
}

fn is_max(scop: &Scop, id: StmtId) -> bool {
    let stmt = &scop.stmts[id];
    let is_max = matches!(&stmt.body, Body::Reduce { monoid, .. } if monoid.operator() == Some(BinOp::Max));
    is_max && stmt.writes.len() == 1
}

/// Whether the statements alone use a temporary.
fn is_own(scop: &Scop, tensor: TensorId, inside: &[StmtId]) -> bool {
    let uses = |id: StmtId| scop.stmts[id].accesses().any(|access| access.tensor == tensor);
    scop.tensors[tensor].role == Role::Temporary && scop.stmts.keys().all(|id| inside.contains(&id) || !uses(id))
}

/// The sums of terms that come from a maximum.
fn relative_sums(scop: &Scop, max: StmtId) -> Vec<TensorId> {
    let mut dependent: BTreeSet<TensorId> = scop.stmts[max].writes.iter().map(|write| write.tensor).collect();
    let mut sums = Vec::new();
    for stmt in scop.stmts.values() {
        if !stmt.reads.iter().any(|read| dependent.contains(&read.tensor)) {
            continue;
        }
        let written = stmt.writes.iter().map(|write| write.tensor);
        match &stmt.body {
            Body::Assign(_) if !written.clone().any(|tensor| sums.contains(&tensor)) => dependent.extend(written),
            Body::Assign(_) => {}
            Body::Reduce { .. } => sums.extend(written),
        }
    }
    sums
}

/// Which dimension of each statement, and of each tensor, is which part of the rows.
struct Parts {
    around: usize,
    stmts: BTreeMap<StmtId, BTreeMap<usize, Part>>,
    tensors: BTreeMap<TensorId, BTreeMap<usize, Part>>,
}

impl Parts {
    fn of(scop: &Scop, max: StmtId, nests: &[Nest]) -> Option<Parts> {
        let stmt = &scop.stmts[max];
        // A loop of one iteration is no dimension's.
        let nest = nests.iter().find(|nest| nest.only_stmt() == Some(max))?;
        let moves = |dim: &usize| nest.loops.iter().any(|one| one.dim(max) == Some(*dim));
        let written: Vec<usize> = plain_dims(&stmt.writes[0])?.into_iter().flatten().collect();
        let dims: Vec<usize> = written.iter().copied().filter(moves).collect();
        let (row, around) = dims.split_last()?;
        let reduced: Vec<usize> = (0..stmt.dims.len()).filter(|dim| !written.contains(dim) && moves(dim)).collect();
        let [column] = reduced.as_slice() else { return None };
        let mut own: BTreeMap<usize, Part> =
            around.iter().enumerate().map(|(at, &dim)| (dim, Part::Around(at))).collect();
        own.insert(*row, Part::Row);
        own.insert(*column, Part::Column);
        let mut parts = Parts { around: around.len(), stmts: BTreeMap::from([(max, own)]), tensors: BTreeMap::new() };
        // Only what lies between is followed: what the caller has is used in other ways too.
        for _ in 0..nests.len() {
            parts.spread(scop);
        }
        Some(parts)
    }

    /// From statements to the temporaries and results that they write, and back.
    fn spread(&mut self, scop: &Scop) {
        for (id, stmt) in scop.stmts.iter() {
            for access in stmt.accesses().filter(|access| scop.tensors[access.tensor].role != Role::Input) {
                let Some(dims) = plain_dims(access) else { continue };
                let of_tensor = self.tensors.entry(access.tensor).or_default();
                if let Some(own) = self.stmts.get(&id) {
                    for (at, dim) in dims.iter().enumerate() {
                        let part = dim.and_then(|dim| own.get(&dim));
                        if let (Some(part), false) = (part, of_tensor.contains_key(&at)) {
                            of_tensor.insert(at, *part);
                        }
                    }
                }
                let found: Vec<(usize, Part)> =
                    dims.iter().enumerate().filter_map(|(at, dim)| Some(((*dim)?, *of_tensor.get(&at)?))).collect();
                if !found.is_empty() {
                    let own = self.stmts.entry(id).or_default();
                    found.into_iter().for_each(|(dim, part)| _ = own.entry(dim).or_insert(part));
                }
            }
        }
    }

    fn part(&self, stmt: StmtId, one: &nest::Loop) -> Option<Part> {
        self.stmts.get(&stmt)?.get(&one.dim(stmt)?).copied()
    }

    fn has(&self, tensor: TensorId, part: Part) -> bool {
        self.tensors.get(&tensor).is_some_and(|parts| parts.values().any(|one| *one == part))
    }

    /// The temporaries with a value for each element of a row.
    fn wide<'s>(&'s self, scop: &'s Scop) -> impl Iterator<Item = TensorId> + 's {
        let is_wide = |id: &TensorId| self.has(*id, Part::Row) && self.has(*id, Part::Column);
        scop.tensors.keys().filter(is_wide)
    }

    /// Those with a value for each row.
    fn narrow<'s>(&'s self, scop: &'s Scop) -> impl Iterator<Item = TensorId> + 's {
        let is_narrow = |id: &TensorId| {
            let extents = &scop.tensors[*id].extent;
            let long = extents.iter().filter(|extent| extent.as_const() != Some(1)).count();
            self.has(*id, Part::Row) && !self.has(*id, Part::Column) && long == self.around + 1
        };
        scop.tensors.keys().filter(is_narrow)
    }

    /// The nests from the first that writes something wide to the last that uses it, and what follows element by element.
    fn range(&self, scop: &Scop, nests: &[Nest]) -> Option<std::ops::Range<usize>> {
        let wide: BTreeSet<TensorId> = self.wide(scop).collect();
        let uses = |nest: &Nest| {
            nest.stmts.iter().any(|&id| scop.stmts[id].accesses().any(|access| wide.contains(&access.tensor)))
        };
        let (first, last) = (nests.iter().position(uses)?, nests.iter().rposition(uses)?);
        let written: BTreeSet<TensorId> = nests[first..=last]
            .iter()
            .flat_map(|nest| &nest.stmts)
            .flat_map(|&id| &scop.stmts[id].writes)
            .map(|write| write.tensor)
            .collect();
        let follows = |nest: &&Nest| {
            nest.only_stmt().is_some_and(|id| {
                let stmt = &scop.stmts[id];
                !stmt.body.is_reduce()
                    && stmt.writes.iter().chain(&stmt.reads).any(|access| written.contains(&access.tensor))
                    && self.is_member(nest)
            })
        };
        let more = nests[last + 1..].iter().take_while(follows).count();
        Some(first..last + 1 + more)
    }

    fn is_member(&self, nest: &Nest) -> bool {
        let Some(id) = nest.only_stmt() else { return false };
        let found: Vec<Part> = nest.loops.iter().filter_map(|one| self.part(id, one)).collect();
        let all = (0..self.around).map(Part::Around).chain([Part::Row]);
        all.into_iter().all(|part| found.iter().filter(|one| **one == part).count() == 1)
    }

    fn member(&self, scop: &Scop, nest: &Nest) -> Option<Member> {
        let id = nest.only_stmt().filter(|_| self.is_member(nest))?;
        let name =
            |part: Part| nest.loops.iter().find(|one| self.part(id, one) == Some(part)).map(|one| one.name.clone());
        let outer = (0..self.around).map(Part::Around).chain([Part::Row]).map(name).collect::<Option<Vec<_>>>()?;
        let column = name(Part::Column);
        let is_other = |one: &&nest::Loop| !outer.contains(&one.name) && column.as_ref() != Some(&one.name);
        let others = nest.loops.iter().filter(is_other).map(|one| one.name.clone()).collect();
        let (stmt, is_reduction) = (scop.stmts[id].name.clone(), scop.stmts[id].body.is_reduce());
        let is_contraction = is_reduction && nest.loops.iter().any(|one| is_other(&one) && one.extent != Some(1));
        Some(Member { stmt, is_reduction, is_contraction, outer, column, others })
    }
}

/// The dimensions that subscripts are, when each is one of them, or a constant where there is one element only.
fn plain_dims(access: &Access) -> Option<Vec<Option<usize>>> {
    let dim = |subscript: &Subscript| {
        let Subscript::Affine(index) = subscript else { return None };
        let affine = index.affine().filter(|affine| affine.params.is_empty() && affine.constant == 0)?;
        match affine.dims.iter().map(|(dim, by)| (*dim, *by)).collect::<Vec<_>>()[..] {
            [] => Some(None),
            [(dim, 1)] => Some(Some(dim)),
            _ => None,
        }
    };
    access.index.iter().map(dim).collect()
}
