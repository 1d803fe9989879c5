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

use polyhedral::{Axis, Band, Kind, Member, Memory, Node, Role, Scop, Stmt, Subscript, TensorId, isl};
use support::{Gpu, Remark};
use transform::{Command, Refused, Session};

use super::pointwise::{contiguity, runs};
use super::Declined;
use super::nests::nest_of;

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

/// Threads of a block for a row that is long, and the fewest for one: less than a warp would leave lanes without work.
const LONG: i64 = 1024;

/// A nest that runs along rows.
struct Rows {
    /// The loops over rows, outermost first.
    rows: Vec<String>,
    /// Threads for a row, and rows for a block.
    threads: i64,
    together: i64,
    /// What passes over the row, in order.
    passes: Vec<Pass>,
}

/// The loops of a nest inside of a row.
struct Pass {
    /// Outermost first.
    loops: Vec<String>,
    /// The one along which neighbouring elements are touched.
    along: String,
}

impl Rows {
    /// `None` for a nest without reductions along rows.
    fn of(scop: &Scop, device: &Gpu, run: &[String]) -> isl::Result<Option<Rows>> {
        let Some((band, _)) = run.first().and_then(|first| scop.tree.root.band_of(first)) else { return Ok(None) };
        let Some((_, below)) = split_band(band, run.len()) else { return Ok(None) };
        if run.is_empty() || run.len() > 3 || !starts_with(band, run) {
            return Ok(None);
        }
        let row_members: Vec<&Member> = band.members[..run.len()].iter().collect();
        let mut stmts = Vec::new();
        for set in row_members[0].schedule.domain()?.sets()? {
            stmts.extend(scop.stmt_named(&set.tuple_name()?));
        }
        let is_row = |stmt: &Stmt| is_along_rows(stmt, &row_members);
        let mut reduces = false;
        for stmt in stmts.iter().map(|id| &scop.stmts[*id]).filter(|stmt| stmt.body.is_reduce()) {
            reduces |= is_row(stmt)?;
        }
        if !reduces {
            return Ok(None);
        }
        let mut passes = Vec::new();
        gather(scop, &below, &row_members, &mut passes)?;
        let mut longest = Some(1i64);
        for pass in &passes {
            let length = length(scop, &pass.along)?;
            longest = longest.zip(length).map(|(longest, length)| longest.max(length));
        }
        let most = device.usual_threads.min(device.threads);
        let (threads, together) = match longest {
            None => (most, 1),
            Some(length) if length > LONG => (most, 1),
            Some(length) => {
                // Four elements for each thread at least, and a warp.
                let threads = (length.max(1) as u64).div_ceil(4).next_power_of_two() as i64;
                let threads = threads.clamp(device.warp.min(length.max(1) as i64), most);
                let threads = (threads as u64).next_power_of_two() as i64;
                (threads, if threads < device.warp * 2 { (most / 2 / threads).max(1) } else { 1 })
            }
        };
        Ok(Some(Rows { rows: run.to_vec(), threads, together, passes }))
    }

    fn lay_out(&self, session: &mut Session, device: &Gpu) -> Result<(), Refused> {
        let mut rows = self.rows.clone();
        let mut lane_rows = None;
        if self.together > 1 {
            let last = rows.last().cloned().unwrap_or_default();
            session.apply(Command::split(last.clone(), self.together as u32))?;
            if let Some((outer, inner)) = last_split(session) {
                rows.pop();
                rows.push(outer);
                lane_rows = Some(inner);
            }
        }
        for pass in &self.passes {
            self.bind_pass(session, pass)?;
        }
        if let Some(inner) = lane_rows {
            self.bind_rows(session, &inner)?;
        }
        let block = [self.threads, self.together].map(|threads| threads as u32);
        session.apply(Command::launch(rows[0].clone(), block))?;
        for (axis, row) in (0u8..).zip(rows.iter().rev()) {
            session.apply(Command::bind(row.clone(), Axis::Block(axis)))?;
        }
        store_near(session, device, rows.last().map_or("", String::as_str));
        Ok(())
    }

    /// The loop along the row is the threads'; others are run inside of it.
    fn bind_pass(&self, session: &mut Session, pass: &Pass) -> Result<(), Refused> {
        let others = pass.loops.iter().filter(|one| **one != pass.along).cloned();
        let order: Vec<String> = std::iter::once(pass.along.clone()).chain(others).collect();
        if order != pass.loops {
            session.apply(Command::reorder(order))?;
        }
        session.apply(Command::bind(pass.along.clone(), Axis::Thread(0)))
    }

    /// Rows of one block: each pass over them has them on threads of its own.
    fn bind_rows(&self, session: &mut Session, inner: &str) -> Result<(), Refused> {
        let several = session
            .scop()
            .tree
            .root
            .band_of(inner)
            .is_some_and(|(band, at)| at + 1 == band.members.len() && matches!(*band.child, Node::Sequence(_)));
        let before: Vec<String> = names(session.scop());
        if several {
            session.apply(Command::distribute(inner))?;
        }
        let after = names(session.scop());
        let mut made: Vec<String> = after.into_iter().filter(|name| !before.contains(name)).collect();
        if session.scop().tree.member(inner).is_some() {
            made.insert(0, inner.to_string());
        }
        made.into_iter().try_for_each(|name| session.apply(Command::bind(name, Axis::Thread(1))))
    }
}

/// The loops of a program, in pre-order.
fn names(scop: &Scop) -> Vec<String> {
    scop.tree.root.members().into_iter().map(|member| member.name.clone()).collect()
}

/// The names of the loops that the last command, a split, has made, as trees have them.
fn last_split(session: &Session) -> Option<(String, String)> {
    match session.script().commands().next_back()? {
        Command::Split { member, names: Some(names), .. } => {
            let beside = |name: &String| match member.rsplit_once('.') {
                Some((stmt, _)) if !name.contains('.') => format!("{stmt}.{name}"),
                _ => name.clone(),
            };
            Some((beside(names.outer.first()?), beside(names.inner.first()?)))
        }
        _ => None,
    }
}

/// Temporaries that only a row needs, in the memory that the block shares, while there is room.
fn store_near(session: &mut Session, device: &Gpu, row: &str) {
    // Half of it lets two blocks be on a multiprocessor.
    let mut left = device.shared_bytes / 2;
    let temporaries: Vec<(TensorId, String)> = session
        .scop()
        .tensors
        .iter()
        .filter(|(_, tensor)| tensor.role == Role::Temporary && tensor.memory == Memory::Global)
        .map(|(id, tensor)| (id, tensor.name.clone()))
        .collect();
    for (id, name) in temporaries {
        let command = Command::StoreAt { tensor: name.clone(), member: row.to_string(), memory: Some(Memory::Shared) };
        let mut trial = session.clone();
        if let Err(refused) = trial.apply(command) {
            session.remark(Remark::new("gpu", name, "in the device's memory", refused.to_string()));
            continue;
        }
        let tensor = &trial.scop().tensors[id];
        let cells = tensor.extent.iter().map(|extent| extent.as_const());
        let bytes = cells.fold(Some(i64::from(tensor.dtype.bytes())), |all, n| all?.checked_mul(n?));
        match bytes.filter(|bytes| *bytes <= left) {
            Some(bytes) => {
                left -= bytes;
                *session = trial;
            }
            None => {
                let why = "a row of it does not fit the memory that a block shares, or is of no known size";
                session.remark(Remark::new("gpu", name, "in the device's memory", why));
            }
        }
    }
}

/// What is inside of the first loops of a band.
fn split_band(band: &Band, at: usize) -> Option<(&[Member], Node)> {
    let (outer, inner) = band.members.split_at_checked(at)?;
    Some((
        outer,
        match inner {
            [] => (*band.child).clone(),
            inner => Node::Band(Band { members: inner.to_vec(), ..band.clone() }),
        },
    ))
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

/// Whether a reduction reads neighbouring elements of a row in the loops inside of those over rows, a row for each: what it
/// reads is used once, so that how fast it is read is how fast it is.
fn is_along_rows(stmt: &Stmt, rows: &[&Member]) -> isl::Result<bool> {
    let outer = dims_of(stmt, rows)?;
    let along = |index: &[Subscript]| {
        let Some((Subscript::Affine(last), others)) = index.split_last() else { return false };
        let used: Vec<usize> = index
            .iter()
            .flat_map(|one| match one {
                Subscript::Affine(index) => index.dims_used(),
                Subscript::Indirect(_) => Vec::new(),
            })
            .collect();
        let moved_outside = |dim: usize| {
            others.iter().any(|one| matches!(one, Subscript::Affine(index) if index.dims_used().contains(&dim)))
        };
        let inner = last.affine().is_some_and(|affine| {
            affine.dims.iter().any(|(dim, by)| *by == 1 && !outer.contains(dim) && !moved_outside(*dim))
        });
        inner && outer.iter().all(|dim| used.contains(dim))
    };
    Ok(stmt.reads.iter().any(|read| along(&read.index)))
}

/// The nests inside of a row, in order.
fn gather(scop: &Scop, node: &Node, rows: &[&Member], found: &mut Vec<Pass>) -> isl::Result<()> {
    if let Node::Band(band) = node {
        let loops: Vec<String> = band.members.iter().map(|member| member.name.clone()).collect();
        let sequential = band.members.iter().all(|member| member.kind == Kind::Sequential);
        let best = band.members.iter().enumerate().max_by_key(|(at, member)| (neighbours(scop, member), *at));
        if let (Some((_, along)), true) = (best, sequential) {
            found.push(Pass { loops, along: along.name.clone() });
        }
        return Ok(());
    }
    node.children().into_iter().try_for_each(|child| gather(scop, child, rows, found))
}

/// How many accesses are to the next element in the next iteration of a loop, less those that are to another row.
fn neighbours(scop: &Scop, member: &Member) -> i64 {
    contiguity(scop, &member.name)
}

/// From the first to the last iteration of a loop, when that is known.
fn length(scop: &Scop, name: &str) -> isl::Result<Option<i64>> {
    let Some(member) = scop.tree.member(name) else { return Ok(None) };
    let domain = scop.tree.domain.intersect_params(&scop.context)?;
    let mut longest = Some(0);
    for function in member.schedule.intersect_domain(&domain)?.pw_affs()? {
        let (first, last) = (function.min_val()?, function.max_val()?);
        let length = match first.is_int()? && last.is_int()? {
            true => last.to_i64()?.checked_sub(first.to_i64()?).and_then(|distance| distance.checked_add(1)),
            false => None,
        };
        longest = longest.zip(length).map(|(longest, length)| longest.max(length));
    }
    Ok(longest)
}
