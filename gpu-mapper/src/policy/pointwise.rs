//! Nests whose iterations are independent of each other, as they are.
//!
//! ```text
//! for m, n                                 block.y mo, block.x no
//!   C.init                       ->          thread.y mi, thread.x ni
//!   for k                                      C.init
//!     C.update                                 for k
//!                                                C.update
//! ```
//!
//! Of the outermost loops of a nest that are free of dependences one, along which most accesses are to neighbouring elements,
//! is cut into strips of threads along x, the next one along y; what is left of them are blocks. After Verdoolaege and
//! others, Polyhedral Parallel Code Generation for CUDA (TACO 2013), whose tiles are found so too; the order of the axes is
//! decided by accesses, as there for what is kept in shared memory.

use polyhedral::{Axis, Node, Scop, Stmt, Subscript, isl};
use support::{Gpu, Remark};
use transform::{Command, Names, Session};

use super::nests::{band_over, beside, free_loops, heads, is_free, nest_of};
use super::rows::{halves, length};
use super::vectors::lanes;
use super::{Declined, applied, bind, contraction, rows, to_u32};

/// Lays out the loops of a nest. A step that is refused leaves its loop in sequence.
pub(super) fn map(device: &Gpu, session: &mut Session, head: &str) -> Result<(), Declined> {
    let found = nest_of(session.scop(), head).map(|nest| runs(session, nest));
    found.iter().flatten().for_each(|run| Layout { device }.map(session, run));
    Ok(())
}

struct Layout<'a> {
    device: &'a Gpu,
}

/// Threads along x: as many as a warp has, so that its accesses are to one line.
const WARP: i64 = 32;

impl Layout<'_> {
    /// Lays out loops that are free of dependences, outermost first. A step that is refused leaves its loop in sequence.
    fn map(&self, session: &mut Session, run: &[String]) {
        let order = self.order(session.scop(), run);
        let Some((x, outer)) = order.split_last() else { return };
        let usual = self.device.usual_threads.min(self.device.threads);
        let x = self.vectorised(session, x.clone(), run);
        let Some((y, outer)) = outer.split_last() else {
            let split = Command::split(x, to_u32(usual));
            if let Some(Names { outer, inner }) = applied(session, split) {
                bind(session, &outer, &[Axis::Block(0)]);
                bind(session, &inner, &[Axis::Thread(0)]);
            }
            return;
        };
        let most = |name: &str| length(session.scop(), name).ok().flatten().map_or(usual, power_of_two);
        let width = most(&x).min(WARP);
        let height = most(y).min(usual / width);
        let tile = Command::tile([y.clone(), x], [to_u32(height), to_u32(width)]);
        let Some(Names { outer: blocks, inner: threads }) = applied(session, tile) else { return };
        // In their own order, for one loop of several.
        let outer: Vec<String> = run.iter().filter(|name| outer.contains(name)).cloned().collect();
        let (rest, z) = outer.split_at(self.first_on_blocks(session.scop(), &outer));
        let single: Vec<String> = run.iter().filter(|name| !order.contains(name)).cloned().collect();
        let wanted = [z, &blocks, &threads, rest, &single].concat();
        if session.apply(Command::reorder(wanted)).is_err() {
            let why = "its loops could not be put in the order that blocks and threads need";
            session.remark(Remark::new("gpu", threads.join(" "), "not on threads", why));
            return;
        }
        if let Some(z) = one_of(session, z) {
            bind(session, &[z], &[Axis::Block(2)]);
        }
        bind(session, &blocks, &[Axis::Block(1), Axis::Block(0)]);
        bind(session, &threads, &[Axis::Thread(1), Axis::Thread(0)]);
    }

    /// The loops as they are dealt out, x last; those with one iteration only when there are no others.
    fn order(&self, scop: &Scop, run: &[String]) -> Vec<String> {
        let is_one = |name: &&String| matches!(length(scop, name), Ok(Some(..=1)));
        let mut order: Vec<String> = run.iter().filter(|name| !is_one(name)).cloned().collect();
        if order.is_empty() {
            order.extend(run.last().cloned());
        }
        // A stable sort: of equals the innermost comes last.
        order.sort_by_key(|name| contiguity(scop, name));
        order
    }

    /// From which of these loops on there are no more iterations together than blocks along z.
    fn first_on_blocks(&self, scop: &Scop, loops: &[String]) -> usize {
        let mut blocks = 1i64;
        for (at, name) in loops.iter().enumerate().rev() {
            let own = length(scop, name).ok().flatten();
            match own.and_then(|own| blocks.checked_mul(own)) {
                Some(all) if all <= self.device.grid[2] => blocks = all,
                // Of unknown length: the only one, as several cannot be made one.
                None if at + 1 == loops.len() => return at,
                _ => return at + 1,
            }
        }
        0
    }
}

fn power_of_two(length: i64) -> i64 {
    length.max(1).unsigned_abs().next_power_of_two().cast_signed()
}

/// One loop of several that are nested, outermost first: the innermost of them where that is refused.
fn one_of(session: &mut Session, loops: &[String]) -> Option<String> {
    let (first, inner) = loops.split_first()?;
    let (mut trial, mut one) = (session.clone(), first.clone());
    for name in inner {
        let collapse = Command::Collapse { members: [one, name.clone()], name: None };
        if let Err(refused) = trial.apply(collapse) {
            session.remark(Remark::new("gpu", loops.join(" "), "not all on blocks", refused.to_string()));
            return loops.last().cloned();
        }
        one = match trial.script().commands().next_back() {
            Some(Command::Collapse { members: [outer, _], name: Some(name) }) => beside(name, outer),
            _ => return loops.last().cloned(),
        };
    }
    *session = trial;
    Some(one)
}

impl Layout<'_> {
    /// The loop over groups of elements that a thread moves at once; the loop itself where there are none.
    fn vectorised(&self, session: &mut Session, x: String, run: &[String]) -> String {
        let lanes = lanes(self.device, session.scop(), &x, run);
        let mut trial = session.clone();
        if lanes == 1 || trial.apply(Command::vectorise(x.clone(), lanes)).is_err() {
            return x;
        }
        match halves(&trial) {
            Some((groups, _)) => {
                *session = trial;
                groups
            }
            None => x,
        }
    }
}

/// Joins neighbouring nests in the loops that are free of dependences in both, where they stay so, and where the device does
/// not lose work for its threads by it.
pub(super) fn fuse(device: &Gpu, session: &mut Session) {
    let mut heads = heads(session.scop());
    let mut at = 0;
    while at + 1 < heads.len() {
        if joined(device, session, &heads[at], &heads[at + 1]) {
            heads.remove(at + 1);
        } else {
            at += 1;
        }
    }
}

fn joined(device: &Gpu, session: &mut Session, first: &str, second: &str) -> bool {
    let free = |session: &Session, stmt: &str| free_loops(session, band_over(&session.scop().tree.root, stmt)).len();
    let depth = common(session.scop(), first, second, free(session, first).min(free(session, second)));
    if depth == 0 {
        return false;
    }
    let mut trial = session.clone();
    let is_joined = trial.apply(Command::fuse(first, second, to_u32(depth as i64))).is_ok();
    let unshifted = match trial.script().commands().next_back() {
        Some(Command::Fuse { shift, .. }) => shift.as_ref().is_none_or(|shift| shift.iter().all(|by| *by == 0)),
        _ => false,
    };
    if !(is_joined && unshifted && free(&trial, first) >= depth) {
        return false;
    }
    // Free loops that only one of the nests has are no longer on blocks, and its threads have to find work inside of rows.
    // A loop of one iteration is no loss.
    let long = |stmt: &str, from: usize| {
        let band = band_over(&session.scop().tree.root, stmt);
        let loops = free_loops(session, band).into_iter().skip(from);
        loops.filter(|name| !matches!(length(session.scop(), name), Ok(Some(..=1)))).count()
    };
    let is_cut = long(first, depth).max(long(second, depth)) > 0;
    if is_cut && !(keeps_busy(device, session, [first, second], depth) && rows::is_meant(device, &trial, first)) {
        return false;
    }
    *session = trial;
    true
}

/// Whether rows of two nests, the iterations of that many loops, are enough blocks for a device, or all there is to do is
/// little; not where one of them is a contraction that is worth tiles of its own.
fn keeps_busy(device: &Gpu, session: &Session, nests: [&str; 2], depth: usize) -> bool {
    let scop = session.scop();
    let product = |lengths: &[Option<i64>]| {
        let all = lengths.iter().try_fold(1i64, |all, length| all.checked_mul((*length)?));
        all.unwrap_or(i64::MAX)
    };
    let [first, second] = nests.map(|stmt| lengths(scop, stmt));
    let rows = product(&first[..depth.min(first.len())]);
    let little = product(&first).max(product(&second)) <= device.threads * PER_THREAD;
    let tiled = nests.iter().any(|stmt| contraction::work(session, stmt).is_some_and(|work| work >= WORTH_A_KERNEL));
    (rows >= device.multiprocessors / 2 || little) && !tiled
}

/// Iterations of each of a block's threads that take less time than a second kernel would.
const PER_THREAD: i64 = 16;
/// Products of a contraction that take as long as a launch, about: 10 million in a microsecond.
const WORTH_A_KERNEL: i64 = 1 << 24;

/// How many loops of two nests, at most so many, have as many iterations in both.
fn common(scop: &Scop, first: &str, second: &str, most: usize) -> usize {
    let (first, second) = (lengths(scop, first), lengths(scop, second));
    first.iter().zip(&second).take(most).take_while(|(a, b)| a == b).count()
}

/// The iterations of the loops around a statement that are outermost, where they are known.
fn lengths(scop: &Scop, stmt: &str) -> Vec<Option<i64>> {
    let members = band_over(&scop.tree.root, stmt).map_or(&[][..], |band| band.members.as_slice());
    members.iter().map(|member| length(scop, &member.name).ok().flatten()).collect()
}

/// Of each nest inside of one the outermost loops in a row that are free of dependences. Loops around are the host's.
pub(super) fn runs(session: &Session, nest: &Node) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    gather(session, nest, &mut found);
    found
}

fn gather(session: &Session, node: &Node, found: &mut Vec<Vec<String>>) {
    if let Node::Band(band) = node
        && let Some(first) = band.members.iter().position(|member| is_free(session, member))
    {
        let run = band.members[first..].iter().take_while(|member| is_free(session, member));
        found.push(run.map(|member| member.name.clone()).collect());
        return;
    }
    node.children().into_iter().for_each(|child| gather(session, child, found));
}

/// How many accesses are to the next element in the next iteration of a loop, less those that are to another row.
pub(super) fn contiguity(scop: &Scop, name: &str) -> i64 {
    let Some(member) = scop.tree.member(name) else { return 0 };
    let Ok(functions) = member.schedule.pw_affs() else { return 0 };
    let of_function = |function: &isl::PwAff| -> Option<i64> {
        let stmt = &scop.stmts[scop.stmt_named(&function.space().ok()?.tuple_name(isl::Dim::In))?];
        let pieces = function.pieces().ok()?;
        let terms = pieces.first()?.1.terms().ok()?;
        let dim = terms.dims.iter().position(|c| *c != 0)?;
        Some(stmt.accesses().map(|access| step(stmt, &access.index, dim)).sum())
    };
    functions.iter().filter_map(of_function).sum()
}

/// 1 for an access that the dimension moves by one element, -1 where it is in another subscript.
fn step(stmt: &Stmt, index: &[Subscript], dim: usize) -> i64 {
    debug_assert!(dim < stmt.dims.len());
    let uses = |subscript: &Subscript| match subscript {
        Subscript::Affine(index) => index.dims_used().contains(&dim),
        Subscript::Indirect(_) => false,
    };
    match index.split_last() {
        Some((_, outer)) if outer.iter().any(uses) => -1,
        Some((last, _)) if uses(last) => 1,
        _ => 0,
    }
}
