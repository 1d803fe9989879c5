//! Programs of rows: sums, softmax and norms, a block for each row or for several short ones.
//!
//! ```text
//! for n                              block.x n
//!   Largest.init                       Largest.init
//!   for d Largest.update       ->      thread.x d   Largest.update, combined
//!   for d E                            thread.x d   E
//!   …                                  …
//! ```
//!
//! The threads of a block share out each pass over the row in the same way, so that a thread finds again what it has written
//! itself, and what is only needed for a row stays on the multiprocessor. After the softmax and norms that libraries have as
//! kernels of their own (Jia and others' and NVIDIA's Apex layer norm; Milakov and Gimelshein, Online normalizer calculation
//! for softmax, 2018), found here from what accesses touch.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{
    Access, Axis, Band, Body, Index, Kind, Member, Memory, Node, Role, Scop, Stmt, Subscript, TensorId, isl,
};
use support::{Gpu, Remark};
use transform::{Command, LayoutMap, Promotion, Refused, Session};

use super::Declined;
use super::nests::{beside, nest_of};
use super::pointwise::{contiguity, runs};

/// Lays out a nest that runs along rows.
pub(super) fn map(device: &Gpu, session: &mut Session, head: &str) -> Result<(), Declined> {
    let mut found = Vec::new();
    if let Some(nest) = nest_of(session.scop(), head) {
        found = runs(session, nest);
    }
    let [run] = found.as_slice() else { return Err(Declined::NotMeant) };
    let rows = Rows::of(session.scop(), device, run).map_err(|error| Declined::Because(error.to_string()))?;
    let rows = rows.ok_or(Declined::NotMeant)?;
    rows.lay_out(session, device).map_err(|refused| Declined::Because(refused.to_string()))
}

/// Whether a nest runs along rows.
pub(super) fn is_meant(device: &Gpu, session: &Session, head: &str) -> bool {
    let found = nest_of(session.scop(), head).map(|nest| runs(session, nest)).unwrap_or_default();
    matches!(&found[..], [run] if matches!(Rows::of(session.scop(), device, run), Ok(Some(_))))
}

/// Elements of a row for each thread, where that leaves a warp with work.
const PER_THREAD: i64 = 16;
/// Registers for what is computed, addresses and numbers.
const WORKING_REGISTERS: i64 = 32;
/// Threads of a block of several short rows.
const TOGETHER: i64 = 128;

/// A nest that runs along rows.
struct Rows {
    /// The loops over rows, outermost first.
    rows: Vec<String>,
    /// Neighbouring elements that a thread takes at once.
    lanes: i64,
    /// Threads for a row along one to three of its loops, the one along neighbouring elements first.
    threads: Vec<i64>,
    /// Rows of a block, on the next axis.
    together: i64,
    /// What passes over the row, in order.
    passes: Vec<Pass>,
    /// Tensors that several passes read, a row for each row.
    kept: Vec<String>,
}

/// The loops of a nest inside of a row.
struct Pass {
    /// Outermost first.
    loops: Vec<String>,
    /// The one along which neighbouring elements are touched.
    along: String,
}

impl Pass {
    /// The loops, that one first and then the others from the innermost on.
    fn inwards(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.along).chain(self.loops.iter().rev().filter(|one| **one != self.along))
    }
}

impl Rows {
    /// `None` for a nest without reductions along rows.
    fn of(scop: &Scop, device: &Gpu, run: &[String]) -> isl::Result<Option<Rows>> {
        let Some((band, _)) = run.first().and_then(|first| scop.tree.root.band_of(first)) else { return Ok(None) };
        if run.is_empty() || run.len() > 3 || !starts_with(band, run) {
            return Ok(None);
        }
        let rows: Vec<&Member> = band.members[..run.len()].iter().collect();
        let below = inside(band, run.len());
        let inner = below.members();
        let stmts = stmts_of(scop, rows[0])?;
        let mut reduces = false;
        for stmt in stmts.iter().filter(|stmt| stmt.body.is_reduce()) {
            for read in &stmt.reads {
                reduces |= is_along_rows(stmt, &cell(scop, read), &rows, &inner)?;
            }
        }
        if !reduces {
            return Ok(None);
        }
        let mut passes = Vec::new();
        gather(scop, &below, &mut passes);
        let (mut lengths, mut boxes) = (Vec::new(), Vec::new());
        for pass in &passes {
            lengths.push(length(scop, &pass.along)?);
            boxes.push(pass.inwards().map(|name| length(scop, name)).collect::<isl::Result<Option<Vec<i64>>>>()?);
        }
        let bytes =
            stmts.iter().flat_map(|stmt| stmt.accesses()).map(|access| scop.tensors[access.tensor].dtype.bytes());
        let lanes = device.access_bytes / i64::from(bytes.max().unwrap_or(1).max(1));
        let is_whole = |length: &Option<i64>| length.is_some_and(|length| length % lanes == 0);
        // Lanes have one partial result, which an operator combines.
        let has_lanes = |stmt: &&Stmt| match &stmt.body {
            Body::Reduce { monoid, .. } => monoid.operator().is_some(),
            Body::Assign(_) => true,
        };
        let has_lanes = lengths.iter().all(is_whole) && stmts.iter().all(has_lanes);
        let lanes = if has_lanes { lanes.max(1) } else { 1 };
        let boxes: Option<Vec<Vec<i64>>> = boxes.into_iter().collect();
        let largest = boxes.and_then(|boxes| boxes.into_iter().max_by_key(|lengths| lengths.iter().product::<i64>()));
        let (threads, together) = shape(device, largest, lanes);
        let kept = kept(scop, (&rows, &inner), &passes)?;
        Ok(Some(Rows { rows: run.to_vec(), lanes, threads, together, passes, kept }))
    }

    fn lay_out(&self, session: &mut Session, device: &Gpu) -> Result<(), Refused> {
        let mut rows = self.rows.clone();
        for pass in &self.passes {
            self.bind_pass(session, pass)?;
        }
        if let (Some(last), true) = (rows.last_mut(), self.together > 1) {
            session.apply(Command::split(last.clone(), self.together as u32))?;
            if let Some((outer, inner)) = halves(session) {
                *last = outer;
                bind_rows(session, &inner, self.row_axis())?;
            }
        }
        let block = self.threads.iter().chain((self.together > 1).then_some(&self.together));
        session.apply(Command::launch(rows[0].clone(), block.map(|threads| *threads as u32)))?;
        for (axis, row) in (0u8..).zip(rows.iter().rev()) {
            session.apply(Command::bind(row.clone(), Axis::Block(axis)))?;
        }
        let row = rows.last().map_or("", String::as_str);
        let mut room = Room { shared: device.shared_bytes / 2, registers: self.registers(device) };
        self.store_temporaries(session, row, &mut room);
        for tensor in &self.kept {
            self.keep(session, tensor, row, &mut room);
        }
        Ok(())
    }

    /// Bytes of registers that a thread may keep a row in: what all threads of the block leave it, but for those that every
    /// kernel needs.
    fn registers(&self, device: &Gpu) -> i64 {
        let threads = self.threads.iter().product::<i64>() * self.together;
        let own = (device.registers / threads.max(1)).min(device.thread_registers);
        (4 * (own - WORKING_REGISTERS).max(0)).min(device.private_bytes / 2)
    }

    /// The axis of the rows of a block.
    fn row_axis(&self) -> Axis {
        Axis::Thread(self.threads.len() as u8)
    }

    /// The loop along the row is the threads', and so are those around it as long as there are threads; others are run
    /// inside of these.
    fn bind_pass(&self, session: &mut Session, pass: &Pass) -> Result<(), Refused> {
        let mut of_threads = pass.along.clone();
        if self.lanes > 1 {
            session.apply(Command::vectorise(of_threads.clone(), self.lanes as u32))?;
            of_threads = halves(session).map_or(of_threads, |(outer, _)| outer);
        }
        let inwards = std::iter::once(of_threads).chain(pass.inwards().skip(1).cloned());
        let (mut dealt, mut others) = (Vec::new(), Vec::new());
        for (at, name) in inwards.enumerate() {
            if at < self.threads.len() { dealt.push(name) } else { others.push(name) }
        }
        let order: Vec<String> = dealt.iter().rev().chain(others.iter().rev()).cloned().collect();
        if order.len() > 1 {
            session.apply(Command::reorder(order))?;
        }
        (0u8..).zip(dealt).try_for_each(|(axis, name)| session.apply(Command::bind(name, Axis::Thread(axis))))
    }

    /// Temporaries that only a row needs: what is as long as a row in the registers of those who write it, the rest in the
    /// memory that the block shares, as long as there is room.
    fn store_temporaries(&self, session: &mut Session, row: &str, room: &mut Room) {
        let tensors = session.scop().tensors.values();
        let temporaries = tensors.filter(|tensor| tensor.role == Role::Temporary && tensor.memory == Memory::Global);
        let names: Vec<String> = temporaries.map(|tensor| tensor.name.clone()).collect();
        for name in names {
            let store = |memory| Command::StoreAt { tensor: name.clone(), member: row.into(), memory: Some(memory) };
            let mut trial = session.clone();
            let stored = trial.apply(store(Memory::Registers)).is_ok() && self.is_dealt_out(&trial, &name);
            let why = if stored && self.laid_out(&mut trial, &name, room) {
                *session = trial;
                continue;
            } else {
                trial = session.clone();
                trial.apply(store(Memory::Shared)).map_err(|refused| refused.to_string())
            };
            match why.and_then(|()| room.share(&trial, &name)) {
                Ok(()) => *session = trial,
                Err(why) => session.remark(Remark::new("gpu", name, "in the device's memory", why)),
            }
        }
    }

    /// Whether a tensor is as long as a row, so that threads have parts of it.
    fn is_dealt_out(&self, session: &Session, name: &str) -> bool {
        let tensor = session.scop().tensor_named(name).map(|id| &session.scop().tensors[id]);
        let last = tensor.and_then(|tensor| tensor.extent.last()?.as_const());
        last.is_some_and(|last| last > self.threads[0].max(self.lanes))
    }

    /// Loads a row of a tensor once, into the registers of the threads that read it.
    fn keep(&self, session: &mut Session, tensor: &str, row: &str, room: &mut Room) {
        // Before its loads are on threads, the copy has nothing that another thread may read: one proof for all of it.
        let mut trial = session.clone();
        trial.together(|session| _ = self.load_once(session, tensor, row, &mut room.clone()));
        let own = trial.scop().tensors.values().filter(|tensor| tensor.memory == Memory::Registers).count();
        let before = session.scop().tensors.values().filter(|tensor| tensor.memory == Memory::Registers).count();
        if own > before {
            *session = trial;
            return;
        }
        let why = match self.load_once(&mut session.clone(), tensor, row, room) {
            Ok(_) => "a row of it does not fit the registers of the threads".to_string(),
            Err(refused) => refused.to_string(),
        };
        session.remark(Remark::new("gpu", tensor, "read again in each pass", why));
    }

    /// The commands for that; whether the registers have the room.
    fn load_once(&self, session: &mut Session, tensor: &str, row: &str, room: &mut Room) -> Result<bool, Refused> {
        let mut trial = session.clone();
        let promotion = Promotion { memory: Some(Memory::Registers), ..Promotion::of(tensor, row) };
        trial.apply(Command::Promote(promotion))?;
        let name = match trial.script().commands().next_back() {
            Some(Command::Promote(Promotion { name: Some(name), .. })) => name.clone(),
            _ => return Ok(false),
        };
        let load = format!("{name}.load.");
        let loops: Vec<String> = names(trial.scop()).into_iter().filter(|one| one.starts_with(&load)).collect();
        let Some(along) = loops.last().cloned() else { return Ok(false) };
        let row = loops.get(self.rows.len() - 1).filter(|_| self.together > 1).cloned();
        let inner = loops[self.rows.len().min(loops.len() - 1)..].to_vec();
        self.bind_pass(&mut trial, &Pass { loops: inner, along })?;
        if let Some(row) = row {
            trial.apply(Command::bind(row, self.row_axis()))?;
        }
        let fits = self.laid_out(&mut trial, &name, room);
        if fits {
            *session = trial;
        }
        Ok(fits)
    }

    /// Gives each thread cells for its own elements of a tensor in registers, when there is room.
    fn laid_out(&self, session: &mut Session, name: &str, room: &mut Room) -> bool {
        let Some(id) = session.scop().tensor_named(name) else { return false };
        let tensor = &session.scop().tensors[id];
        let Some(extent) = tensor.extent.iter().map(|extent| extent.as_const()).collect::<Option<Vec<i64>>>() else {
            return false;
        };
        let Some(last) = extent.len().checked_sub(1) else { return false };
        let (lanes, stride) = (self.lanes, self.lanes * self.threads[0]);
        let row = self.rows.len() - 1;
        let dims: Vec<String> = (0..extent.len()).map(|at| format!("i{at}")).collect();
        let mut map = LayoutMap { tensor: name.into(), dims: dims.clone(), cell: Vec::new(), extent: Vec::new() };
        let mut cells = 1i64;
        for (at, (dim, &length)) in dims.iter().zip(&extent).enumerate() {
            let (cell, length) = match at {
                _ if at == last && lanes > 1 => {
                    (format!("{lanes}*floor({dim}/{stride}) + {dim} mod {lanes}"), lanes * ceil(length, stride))
                }
                _ if at == last => (format!("floor({dim}/{stride})"), ceil(length, stride)),
                _ if at == row && self.together > 1 => {
                    (format!("floor({dim}/{})", self.together), ceil(length, self.together))
                }
                _ => match self.threads.get(last - at).filter(|_| at > row) {
                    Some(threads) => (format!("floor({dim}/{threads})"), ceil(length, *threads)),
                    None => (dim.clone(), length),
                },
            };
            map.cell.push(cell);
            map.extent.push(length.to_string());
            cells = cells.saturating_mul(length);
        }
        let bytes = cells.saturating_mul(i64::from(tensor.dtype.bytes()).max(4));
        if bytes > room.registers || session.apply(Command::Layout(map)).is_err() {
            return false;
        }
        room.registers -= bytes;
        true
    }
}

fn ceil(value: i64, by: i64) -> i64 {
    value.max(0) / by + i64::from(value % by > 0)
}

/// Bytes that are left.
#[derive(Clone)]
struct Room {
    /// Of what a block shares: half of it lets two blocks be on a multiprocessor.
    shared: i64,
    /// Of what a thread keeps.
    registers: i64,
}

impl Room {
    /// Takes the room for a tensor that a block shares.
    fn share(&mut self, session: &Session, name: &str) -> Result<(), String> {
        let tensor = session.scop().tensor_named(name).map(|id| &session.scop().tensors[id]);
        let bytes = tensor.and_then(|tensor| {
            let element = i64::from(tensor.dtype.bytes());
            tensor.extent.iter().try_fold(element, |all, extent| all.checked_mul(extent.as_const()?))
        });
        match bytes.filter(|bytes| *bytes <= self.shared) {
            Some(bytes) => {
                self.shared -= bytes;
                Ok(())
            }
            None => Err("a row of it does not fit the memory that a block shares".into()),
        }
    }
}

/// Threads for a row along its loops, the one along neighbouring elements first, and rows for a block.
fn shape(device: &Gpu, lengths: Option<Vec<i64>>, lanes: i64) -> (Vec<i64>, i64) {
    let Some(lengths) = lengths else { return (vec![device.usual_threads.min(device.threads)], 1) };
    let power = |threads: i64| threads.max(1).unsigned_abs().next_power_of_two().cast_signed();
    let all = lengths.iter().fold(1i64, |all, length| all.saturating_mul((*length).max(1)));
    let least = power(ceil(all, lanes)).min(device.warp);
    let mut left = power(ceil(all, PER_THREAD)).clamp(least, device.threads.min(device.block[0]));
    let mut threads = Vec::new();
    for (at, length) in lengths.iter().enumerate().take(3) {
        let most = power(if at == 0 { ceil(*length, lanes) } else { *length });
        let own = left.min(most).min(device.block[at]);
        if at > 0 && own == 1 {
            break;
        }
        threads.push(own);
        left /= own;
    }
    let of_row: i64 = threads.iter().product();
    let axis = threads.len();
    let together = if of_row <= device.warp && axis < 3 { (TOGETHER / of_row).clamp(1, device.block[axis]) } else { 1 };
    (threads, together)
}

/// Puts the rows of one block on threads, in each pass over them by itself.
fn bind_rows(session: &mut Session, inner: &str, axis: Axis) -> Result<(), Refused> {
    let before = names(session.scop());
    let has_passes = session
        .scop()
        .tree
        .root
        .band_of(inner)
        .is_some_and(|(band, at)| at + 1 == band.members.len() && matches!(*band.child, Node::Sequence(_)));
    if has_passes {
        session.apply(Command::distribute(inner))?;
    }
    let made = names(session.scop()).into_iter().filter(|name| name == inner || !before.contains(name));
    made.collect::<Vec<_>>().into_iter().try_for_each(|name| session.apply(Command::bind(name, axis)))
}

/// The loops of a program, in pre-order.
pub(super) fn names(scop: &Scop) -> Vec<String> {
    scop.tree.root.members().into_iter().map(|member| member.name.clone()).collect()
}

/// The two loops that the last command has made of one, as trees name them.
pub(super) fn halves(session: &Session) -> Option<(String, String)> {
    match session.script().commands().next_back()? {
        Command::Split { member, names: Some(names), .. } | Command::Vectorise { member, names: Some(names), .. } => {
            Some((beside(names.outer.first()?, member), beside(names.inner.first()?, member)))
        }
        _ => None,
    }
}

/// The statements that a loop runs.
fn stmts_of<'s>(scop: &'s Scop, member: &Member) -> isl::Result<Vec<&'s Stmt>> {
    let mut stmts = Vec::new();
    for set in member.schedule.domain()?.sets()? {
        stmts.extend(scop.stmt_named(&set.tuple_name()?).map(|id| &scop.stmts[id]));
    }
    Ok(stmts)
}

/// Of the tensors that the program is given, those that several passes read along rows.
fn kept(scop: &Scop, (rows, inner): (&[&Member], &[&Member]), passes: &[Pass]) -> isl::Result<Vec<String>> {
    let mut reading: BTreeMap<TensorId, BTreeSet<usize>> = BTreeMap::new();
    let mut by_others = BTreeSet::new();
    for (at, pass) in passes.iter().enumerate() {
        let Some(member) = scop.tree.member(&pass.along) else { continue };
        for stmt in stmts_of(scop, member)? {
            for read in &stmt.reads {
                match is_along_rows(stmt, &cell(scop, read), rows, inner)? {
                    true => _ = reading.entry(read.tensor).or_default().insert(at),
                    false => _ = by_others.insert(read.tensor),
                }
            }
        }
    }
    let is_given = |tensor: &TensorId| scop.tensors[*tensor].role == Role::Input && !by_others.contains(tensor);
    let several = reading.into_iter().filter(|(tensor, passes)| passes.len() > 1 && is_given(tensor));
    Ok(several.map(|(tensor, _)| scop.tensors[tensor].name.clone()).collect())
}

/// What is inside of the first loops of a band.
fn inside(band: &Band, at: usize) -> Node {
    match &band.members[at..] {
        [] => (*band.child).clone(),
        inner => Node::Band(Band { members: inner.to_vec(), ..band.clone() }),
    }
}

fn starts_with(band: &Band, run: &[String]) -> bool {
    band.members.len() >= run.len() && band.members.iter().zip(run).all(|(member, name)| member.name == *name)
}

/// The dimensions of a statement that loops move.
fn dims_of(stmt: &Stmt, members: &[&Member]) -> isl::Result<Vec<usize>> {
    let mut dims = Vec::new();
    for member in members {
        for function in member.schedule.pw_affs()? {
            if function.space()?.tuple_name(isl::Dim::In) == stmt.name {
                for (_, piece) in function.pieces()? {
                    let terms = piece.terms()?;
                    dims.extend((0..terms.dims.len()).filter(|at| terms.dims[*at] != 0));
                }
            }
        }
    }
    dims.sort_unstable();
    dims.dedup();
    Ok(dims)
}

/// Whether neighbouring elements of a row are touched in the loops inside of those over rows, a row for each: then each is
/// touched once in a pass, and how fast that is done is how fast the pass is.
fn is_along_rows(stmt: &Stmt, index: &[Subscript], rows: &[&Member], inner: &[&Member]) -> isl::Result<bool> {
    let (outer, inner) = (dims_of(stmt, rows)?, dims_of(stmt, inner)?);
    let used = |one: &Subscript| match one {
        Subscript::Affine(index) => index.dims_used(),
        Subscript::Indirect(_) => Vec::new(),
    };
    let Some((Subscript::Affine(last), others)) = index.split_last() else { return Ok(false) };
    let is_next = last.affine().is_some_and(|affine| {
        affine
            .dims
            .iter()
            .any(|(dim, by)| *by == 1 && inner.contains(dim) && !others.iter().any(|other| used(other).contains(dim)))
    });
    Ok(is_next && outer.iter().all(|dim| index.iter().any(|one| used(one).contains(dim))))
}

/// The subscripts of an access as the tensor lies in memory.
fn cell(scop: &Scop, access: &Access) -> Vec<Subscript> {
    let of_layout = || {
        let layout = scop.tensors[access.tensor].layout.as_ref()?;
        let index = access.affine()?;
        let one = |cell: &Index| cell.substitute(&|dim| index[dim].clone(), &Index::Param);
        Some(layout.cell.iter().map(|cell| Subscript::Affine(one(cell))).collect())
    };
    of_layout().unwrap_or_else(|| access.index.clone())
}

/// Whether a statement reads neighbouring elements in the loops inside of others.
pub(super) fn contiguous_inside(scop: &Scop, stmt: &Stmt, outer: &[Member], inner: &[Member]) -> isl::Result<bool> {
    let (outer, inner): (Vec<&Member>, Vec<&Member>) = (outer.iter().collect(), inner.iter().collect());
    let mut along = false;
    for read in &stmt.reads {
        along |= is_along_rows(stmt, &cell(scop, read), &outer, &inner)?;
    }
    Ok(along)
}

/// The nests inside of a row, in order.
fn gather(scop: &Scop, node: &Node, found: &mut Vec<Pass>) {
    match node {
        Node::Band(band) => {
            let loops: Vec<String> = band.members.iter().map(|member| member.name.clone()).collect();
            let sequential = band.members.iter().all(|member| member.kind == Kind::Sequential);
            // Of equals the innermost.
            let best = band.members.iter().max_by_key(|member| contiguity(scop, &member.name));
            if let (Some(along), true) = (best, sequential) {
                found.push(Pass { loops, along: along.name.clone() });
            }
        }
        node => node.children().into_iter().for_each(|child| gather(scop, child, found)),
    }
}

/// From the first to the last iteration of a loop inside of those around, when that is known.
pub(super) fn length(scop: &Scop, name: &str) -> isl::Result<Option<i64>> {
    let domain = scop.tree.domain.intersect_params(&scop.context)?;
    let mut outer = Vec::new();
    match around(&scop.tree.root, name, &mut outer) {
        Some(member) => crate::shape::length(member, &outer, &member.schedule.domain()?.intersect(&domain)?),
        None => Ok(None),
    }
}

/// The loop with a name, and those around it.
fn around<'t>(node: &'t Node, name: &str, outer: &mut Vec<Member>) -> Option<&'t Member> {
    let depth = outer.len();
    if let Node::Band(band) = node {
        if let Some(at) = band.members.iter().position(|member| member.name == name) {
            outer.extend_from_slice(&band.members[..at]);
            return Some(&band.members[at]);
        }
        outer.extend_from_slice(&band.members);
    }
    for child in node.children() {
        if let Some(found) = around(child, name, outer) {
            return Some(found);
        }
    }
    outer.truncate(depth);
    None
}
