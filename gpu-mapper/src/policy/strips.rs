//! Reductions to few results: strips of what is reduced, a partial result for each, and a second kernel that combines these.
//!
//! ```text
//! O.init                          O.init
//! for i O.update           ->     for io { P.init; for ii O.update }      a kernel of many blocks
//!                                 for io O.combine                        a kernel of one
//! ```
//!
//! As the two-kernel reductions of Harris, Optimizing Parallel Reduction in CUDA (2007).

use polyhedral::{Axis, Band, Kind, Node, Scop, Stmt, Subscript, isl};
use support::{Gpu, Remark};
use transform::{Command, Privatisation, Refused, Session};

use super::nests::{is_free, nest_of};
use super::rows::{contiguous_inside, halves, length, names};
use super::{Declined, to_u32};

/// Cuts reductions that would leave most of a device without work into strips.
pub(super) fn cut(session: &mut Session, device: &Gpu) {
    let nests: Vec<Nest> = match &session.scop().tree.root {
        Node::Sequence(children) => {
            children.iter().filter_map(|child| Nest::of(session, &child.node, device).ok()?).collect()
        }
        root => Nest::of(session, root, device).ok().flatten().into_iter().collect(),
    };
    for nest in nests {
        let mut trial = session.clone();
        trial.together(|session| _ = nest.cut(session));
        if names(trial.scop()).contains(&nest.reduced) {
            if let Err(refused) = nest.cut(&mut session.clone()) {
                session.remark(Remark::new("gpu", &nest.reduced, "not cut into strips", refused.to_string()));
            }
        } else {
            *session = trial;
        }
    }
}

/// Threads that a multiprocessor should have at least, for its memory accesses to overlap.
const BUSY: i64 = 1024;
/// Elements for each thread of a strip, at least.
const PER_THREAD: i64 = 16;

/// Threads of a block that work on strips of one column.
const ACROSS: i64 = 8;

/// A nest of one reduction, with too few results for a device.
struct Nest {
    /// Loops over results, outermost first.
    free: Vec<String>,
    /// The loop that is cut, the outermost one that is reduced, and those inside of it.
    reduced: String,
    inner: Vec<String>,
    /// Iterations of a strip.
    by: u32,
    /// What is reduced to.
    tensor: String,
}

impl Nest {
    fn of(session: &Session, node: &Node, device: &Gpu) -> isl::Result<Option<Nest>> {
        let scop = session.scop();
        let Node::Band(band) = node else { return Ok(None) };
        let Some(stmt) = only_statement(scop, band)? else { return Ok(None) };
        let [write] = stmt.writes.as_slice() else { return Ok(None) };
        let free = band.members.iter().take_while(|member| is_free(session, member)).count();
        let sequential = band.members.iter().all(|member| member.kind == Kind::Sequential);
        if free == band.members.len() || !sequential || !reads_once(stmt) {
            return Ok(None);
        }
        let mut lengths = Vec::new();
        for member in &band.members {
            // With open sizes nobody knows whether strips are needed.
            let Some(length) = length(scop, &member.name)? else { return Ok(None) };
            lengths.push(length.max(1));
        }
        let results = lengths[..free].iter().fold(1i64, |all, length| all.saturating_mul(*length));
        let inside = lengths[free + 1..].iter().fold(1i64, |all, length| all.saturating_mul(*length));
        let along = contiguous_inside(stmt, &band.members[..free], &band.members[free..])?;
        // Along the reduction a block works on one result, else each of its threads.
        let threads = if along { results.saturating_mul(device.usual_threads) } else { results };
        let wanted = (device.multiprocessors.saturating_mul(BUSY) / threads.max(1)).max(1);
        let least = if along { PER_THREAD.saturating_mul(device.usual_threads) } else { PER_THREAD };
        let most = lengths[free].saturating_mul(inside) / least;
        let strips = wanted.min(most).min(lengths[free]);
        // As many as the threads of a block in the other direction.
        let strips = if along || strips < ACROSS { strips } else { strips / ACROSS * ACROSS };
        if strips < 2 {
            return Ok(None);
        }
        let by = lengths[free] / strips + i64::from(lengths[free] % strips > 0);
        // Strips that begin where a pass of all threads does.
        let by = if along && inside == 1 && by > least { by + (least - by % least) % least } else { by };
        let name = |member: &polyhedral::Member| member.name.clone();
        Ok(Some(Nest {
            free: band.members[..free].iter().map(name).collect(),
            reduced: name(&band.members[free]),
            inner: band.members[free + 1..].iter().map(name).collect(),
            by: u32::try_from(by).unwrap_or(u32::MAX),
            tensor: scop.tensors[write.tensor].name.clone(),
        }))
    }

    fn cut(&self, session: &mut Session) -> Result<(), Refused> {
        let mut trial = session.clone();
        trial.apply(Command::split(self.reduced.clone(), self.by))?;
        let Some((outer, inner)) = halves(&trial) else { return Ok(()) };
        if !self.free.is_empty() {
            let order = std::iter::once(&outer).chain(&self.free).chain([&inner]).chain(&self.inner);
            trial.apply(Command::reorder(order.cloned().collect::<Vec<String>>()))?;
        }
        let before = names(trial.scop());
        trial.apply(Command::Privatise(Privatisation::of(self.tensor.clone(), outer)))?;
        if !self.free.is_empty() {
            // What combines goes over the strips first: each thread is to have results of its own.
            let made: Vec<String> = names(trial.scop()).into_iter().filter(|name| !before.contains(name)).collect();
            let combining = |name: &&String| name.contains(".combine.");
            let loops: Vec<String> = made.iter().filter(combining).cloned().collect();
            if let Some((strips, results)) = loops.split_first()
                && !results.is_empty()
            {
                let order = results.iter().chain([strips]).cloned().collect::<Vec<String>>();
                trial.apply(Command::reorder(order))?;
            }
        }
        *session = trial;
        Ok(())
    }
}

/// The statement that a band runs, when it is one reduction and nothing else.
fn only_statement<'s>(scop: &'s Scop, band: &Band) -> isl::Result<Option<&'s Stmt>> {
    let Node::Leaf = *band.child else { return Ok(None) };
    let Some(member) = band.members.first() else { return Ok(None) };
    let sets = member.schedule.domain()?.sets()?;
    let [only] = sets.as_slice() else { return Ok(None) };
    let stmt = scop.stmt_named(&only.tuple_name()?).map(|id| &scop.stmts[id]);
    Ok(stmt.filter(|stmt| stmt.body.is_reduce()))
}

/// Whether some element that is read belongs to one instance only, so that reading is what takes the time.
fn reads_once(stmt: &Stmt) -> bool {
    stmt.reads.iter().any(|read| {
        let used = |dim: usize| {
            let uses = |one: &Subscript| matches!(one, Subscript::Affine(index) if index.dims_used().contains(&dim));
            read.index.iter().any(uses)
        };
        (0..stmt.dims.len()).all(used)
    })
}

/// Puts a reduction without loops that are free of dependences on the threads of one block.
pub(super) fn map(device: &Gpu, session: &mut Session, head: &str) -> Result<(), Declined> {
    let Some(Node::Band(band)) = nest_of(session.scop(), head) else { return Err(Declined::NotMeant) };
    let (band, because) = (band.clone(), |error: isl::Error| Declined::Because(error.to_string()));
    let is_reduction = only_statement(session.scop(), &band).map_err(because)?.is_some();
    if !is_reduction || band.members.iter().any(|member| is_free(session, member)) {
        return Err(Declined::NotMeant);
    }
    let mut loops: Vec<String> = band.members.iter().map(|member| member.name.clone()).collect();
    loops.rotate_right(1);
    let longest = length(session.scop(), &loops[0]).map_err(because)?.unwrap_or(device.threads);
    let threads = longest.max(1).unsigned_abs().next_power_of_two().cast_signed().min(device.threads);
    let order = (loops.len() > 1).then(|| Command::reorder(loops.clone()));
    let launch = Command::launch(loops[0].clone(), [to_u32(threads)]);
    let bind = Command::bind(loops[0].clone(), Axis::Thread(0));
    let mut commands = order.into_iter().chain([launch, bind]);
    commands.try_for_each(|command| session.apply(command)).map_err(|refused| Declined::Because(refused.to_string()))
}
