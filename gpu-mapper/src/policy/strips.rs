//! Reductions to few results: strips of what is reduced, a partial result for each, and a second kernel that combines these.
//!
//! ```text
//! O.init                          for io { P.init; for ii O.update }      a kernel of many blocks
//! for i O.update           ->     O.init
//!                                 for io O.combine                        a kernel of few
//! ```
//!
//! With the sum over `i` of a product of matrices this is what libraries call split-K. The initialisation is no kernel of its
//! own: each thread that combines begins with it; the one of a single result is done by the first strip.
//!
//! As the two-kernel reductions of Harris, Optimizing Parallel Reduction in CUDA (2007).

use polyhedral::{Axis, Band, Kind, Node, Scop, Stmt, Subscript, isl};
use support::{Gpu, Remark};
use transform::{Command, LayoutMap, Privatisation, Refused, Session};

use super::nests::{band_over, ceil_div, free_loops, is_free, loops_over, nest_of};
use super::rows::{contiguous_inside, halves, length, names};
use super::{Declined, contraction, to_u32};

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
    /// Whether it is a sum of products, of which blocks compute tiles.
    is_product: bool,
    /// What is reduced to.
    tensor: String,
    /// The statement that reduces, and the one before it that says what the results are at first, if there is one.
    update: String,
    init: Option<String>,
}

impl Nest {
    fn of(session: &Session, node: &Node, device: &Gpu) -> isl::Result<Option<Nest>> {
        let scop = session.scop();
        let Node::Band(band) = node else { return Ok(None) };
        let Some(stmt) = only_statement(scop, band)? else { return Ok(None) };
        let Some(write) = stmt.writes.first() else { return Ok(None) };
        let free = band.members.iter().take_while(|member| is_free(session, member)).count();
        let sequential = band.members.iter().all(|member| member.kind == Kind::Sequential);
        let is_product = contraction::work(session, &stmt.name).is_some_and(|work| work >= WORTH_STRIPS);
        if free == band.members.len() || !sequential {
            return Ok(None);
        }
        let mut lengths = Vec::new();
        for member in &band.members {
            // With open sizes nobody knows whether strips are needed.
            let Some(length) = length(scop, &member.name)? else { return Ok(None) };
            lengths.push(length.max(1));
        }
        if !(is_product || reads_once(stmt)?) {
            return Ok(None);
        }
        let results = lengths[..free].iter().fold(1i64, |all, length| all.saturating_mul(*length));
        let inside = lengths[free + 1..].iter().fold(1i64, |all, length| all.saturating_mul(*length));
        let along = !is_product && contiguous_inside(scop, stmt, &band.members[..free], &band.members[free..])?;
        let by = match is_product {
            true => strips_of_product(device, results, lengths[free], inside),
            false => strips_of_reduction(device, results, along, lengths[free], inside),
        };
        let Some(by) = by else { return Ok(None) };
        let name = |member: &polyhedral::Member| member.name.clone();
        Ok(Some(Nest {
            free: band.members[..free].iter().map(name).collect(),
            reduced: name(&band.members[free]),
            inner: band.members[free + 1..].iter().map(name).collect(),
            by: u32::try_from(by).unwrap_or(u32::MAX),
            is_product,
            tensor: scop.tensors[write.tensor].name.clone(),
            update: stmt.name.clone(),
            init: init_of(scop, stmt),
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
        if !self.is_product {
            by_results(&mut trial)?;
        }
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
        self.initialise(&mut trial);
        *session = trial;
        Ok(())
    }

    /// Makes the initialisation a part of what combines, or of the first strip where there is one result.
    fn initialise(&self, session: &mut Session) {
        let Some(init) = &self.init else { return };
        let Some(combine) = made(session.scop(), &self.update, ".combine") else { return };
        let results = nest_of(session.scop(), &combine).map_or(0, |nest| loops_over(nest, &combine).len()).max(1) - 1;
        let with = if results > 0 { Some(combine) } else { made(session.scop(), &self.update, ".init") };
        let Some(with) = with else { return };
        let free = |session: &Session| {
            let nest = nest_of(session.scop(), &with);
            free_loops(session, nest.and_then(|nest| band_over(nest, &with))).len()
        };
        let mut trial = session.clone();
        ones_last(&mut trial, init);
        let fused = Command::fuse(init, with.clone(), to_u32(results.max(1) as i64));
        let why = match trial.apply(fused) {
            Err(refused) => refused.to_string(),
            // Loops of one iteration are matched with others.
            Ok(()) if free(&trial) < free(session) => "its loops are not those of what combines".into(),
            Ok(()) => {
                *session = trial;
                return;
            }
        };
        session.remark(Remark::new("gpu", init, "a kernel of its own", why));
    }
}

/// Puts the loops of one iteration around a statement inside of the others, where there are such: what combines has none.
fn ones_last(session: &mut Session, stmt: &str) {
    let loops = nest_of(session.scop(), stmt).map(|nest| loops_over(nest, stmt)).unwrap_or_default();
    let is_one = |name: &String| matches!(length(session.scop(), name), Ok(Some(..=1)));
    let (ones, mut order): (Vec<String>, Vec<String>) = loops.iter().cloned().partition(is_one);
    order.extend(ones);
    if order != loops {
        // Where that is refused they are fused as they are.
        _ = session.apply(Command::reorder(order));
    }
}

/// Lays partial results out so that those of a result are neighbours, where there are more of them than a thread should add
/// up: the threads of a block do then.
fn by_results(session: &mut Session) -> Result<(), Refused> {
    let name = match session.script().commands().next_back() {
        Some(Command::Privatise(Privatisation { name: Some(name), .. })) => name.clone(),
        _ => return Ok(()),
    };
    let scop = session.scop();
    let Some(id) = scop.tensor_named(&name) else { return Ok(()) };
    let extent = scop.tensors[id].extent.iter().map(|extent| extent.as_const()).collect::<Option<Vec<i64>>>();
    let Some(extent) = extent.filter(|extent| extent.len() > 1 && extent[0] > OF_A_THREAD) else { return Ok(()) };
    let dims: Vec<String> = (0..extent.len()).map(|at| format!("i{at}")).collect();
    let (mut cell, mut lengths) = (dims.clone(), extent.iter().map(i64::to_string).collect::<Vec<String>>());
    cell.rotate_left(1);
    lengths.rotate_left(1);
    // What is updated together has partial results of one shape.
    let together =
        scop.stmts.values().find(|stmt| stmt.body.is_reduce() && stmt.writes.iter().any(|to| to.tensor == id));
    let together =
        together.map(|stmt| stmt.writes.iter().map(|write| scop.tensors[write.tensor].name.clone()).collect());
    for tensor in together.unwrap_or_else(|| vec![name]) {
        let (dims, cell, extent) = (dims.clone(), cell.clone(), lengths.clone());
        session.apply(Command::Layout(LayoutMap { tensor, dims, cell, extent }))?;
    }
    Ok(())
}

/// Partial results that a thread adds up one after the other.
const OF_A_THREAD: i64 = 64;

/// Iterations of a strip of a reduction; none where there are results enough, or too little to reduce.
fn strips_of_reduction(device: &Gpu, results: i64, along: bool, length: i64, inside: i64) -> Option<i64> {
    // Along the reduction a block works on one result, else each of its threads.
    let threads = if along { results.saturating_mul(device.usual_threads) } else { results };
    let wanted = (device.multiprocessors.saturating_mul(BUSY) / threads.max(1)).max(1);
    let least = if along { PER_THREAD.saturating_mul(device.usual_threads) } else { PER_THREAD };
    let most = length.saturating_mul(inside) / least;
    let strips = wanted.min(most).min(length);
    // As many as the threads of a block in the other direction.
    let strips = if along || strips < ACROSS { strips } else { strips / ACROSS * ACROSS };
    if strips < 2 {
        return None;
    }
    let by = ceil_div(length, strips);
    // Strips that begin where a pass of all threads does.
    Some(if along && inside == 1 && by > least { by + (least - by % least) % least } else { by })
}

/// The same for a sum of products, of which blocks compute tiles: as many strips as take the shortest time together.
///
/// A multiprocessor does [`PRODUCTS`] products in a cycle when it has a tile, and the partial results go to memory and back. With
/// one strip there is no second kernel.
fn strips_of_product(device: &Gpu, results: i64, length: i64, inside: i64) -> Option<i64> {
    let cycles = |strips: i64| {
        let depth = (ceil_div(length, strips) * inside) as f64;
        let of_tiles = TILES.iter().map(|(tile, effort)| {
            let blocks = ceil_div(results, *tile).saturating_mul(strips);
            let rounds = ceil_div(blocks, device.multiprocessors.max(1)) as f64;
            rounds * depth * results.min(*tile) as f64 * effort / PRODUCTS
        });
        let products = of_tiles.fold(f64::INFINITY, f64::min);
        let together = strips as f64 * OF_A_RESULT + strips.saturating_mul(results) as f64 / PARTIAL_RESULTS;
        let partial = if strips == 1 { 0.0 } else { LAUNCH + together };
        products + partial
    };
    let most = (length.saturating_mul(inside) / LEAST_DEPTH).min(length).min(device.multiprocessors);
    let best = (1..=most.max(1)).min_by(|a, b| cycles(*a).total_cmp(&cycles(*b)))?;
    if best < 2 || cycles(best) * WORTH_IT > cycles(1) {
        return None;
    }
    let by = ceil_div(length, best);
    // Whole steps between barriers.
    Some(by + (STEP - by % STEP) % STEP).filter(|by| *by < length)
}

/// Results of a block of a product, and how much longer each takes than in larger blocks, of which fewer elements of the
/// factors are loaded for each product.
const TILES: [(i64, f64); 3] = [(64 * 64, 1.0), (64 * 32, 1.25), (32 * 32, 1.6)];
/// Products that a multiprocessor does in a cycle.
const PRODUCTS: f64 = 128.0;
/// Cycles that a second kernel takes to begin, about.
const LAUNCH: f64 = 4000.0;
/// Partial results that all multiprocessors together store and load again in a cycle, from the cache that they share.
const PARTIAL_RESULTS: f64 = 256.0;
/// Cycles for each of the partial results that a thread adds up, four of which it loads at a time.
const OF_A_RESULT: f64 = 70.0;
/// Iterations of a strip of a product, at least, and what they are a multiple of.
const LEAST_DEPTH: i64 = 128;
const STEP: i64 = 16;
/// By how much strips of a product have to be the faster ones.
const WORTH_IT: f64 = 1.2;
/// Products that are worth a second kernel.
const WORTH_STRIPS: i64 = 1 << 22;

/// The statement that initialises what another one reduces to, if it is one.
fn init_of(scop: &Scop, update: &Stmt) -> Option<String> {
    let writes = |stmt: &Stmt| stmt.writes.first().map(|write| write.tensor);
    let mut inits = scop.stmts.values().filter(|stmt| !stmt.body.is_reduce() && writes(stmt) == writes(update));
    let init = inits.next()?;
    inits.next().is_none().then(|| init.name.clone())
}

/// The statement with such an ending that cutting a reduction has made.
fn made(scop: &Scop, update: &str, ending: &str) -> Option<String> {
    let reduced = scop.stmt_named(update).and_then(|id| scop.stmts[id].writes.first()).map(|write| write.tensor)?;
    let touches = |stmt: &Stmt| stmt.accesses().any(|access| access.tensor == reduced);
    let mut found = scop.stmts.values().filter(|stmt| stmt.name.ends_with(ending) && touches(stmt));
    found.next().map(|stmt| stmt.name.clone())
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
fn reads_once(stmt: &Stmt) -> isl::Result<bool> {
    let mut several = Vec::new();
    for dim in 0..stmt.dims.len() {
        let (least, most) = (stmt.domain.dim_min_val(dim as i32)?, stmt.domain.dim_max_val(dim as i32)?);
        if !(least.is_int()? && most.is_int()? && least.to_i64().ok() == most.to_i64().ok()) {
            several.push(dim);
        }
    }
    Ok(stmt.reads.iter().any(|read| {
        let used = |dim: usize| {
            let uses = |one: &Subscript| matches!(one, Subscript::Affine(index) if index.dims_used().contains(&dim));
            read.index.iter().any(uses)
        };
        several.iter().copied().all(used)
    }))
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
