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

use super::nests::{band_over, free_loops, heads, is_free, nest_of};
use super::rows::length;
use super::vectors::lanes;
use super::{Declined, applied, bind, full, to_u32};

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
        let mut order: Vec<&String> = run.iter().collect();
        // A stable sort: of equals the innermost comes last.
        order.sort_by_key(|name| contiguity(session.scop(), name));
        let (x, outer) = match order.split_last() {
            Some((x, outer)) => (x.to_string(), outer),
            None => return,
        };
        let usual = self.device.usual_threads.min(self.device.threads);
        let x = self.vectorised(session, x, run);
        let Some((y, outer)) = outer.split_last() else {
            let split = Command::split(x.clone(), to_u32(usual));
            if let Some(Names { outer, inner }) = applied(session, split) {
                bind(session, &outer, &[Axis::Block(0)]);
                bind(session, &inner, &[Axis::Thread(0)]);
            }
            return;
        };
        let tile = Command::tile([y.to_string(), x], [to_u32(usual / WARP), to_u32(WARP)]);
        let z = outer.last().map(|z| z.to_string());
        let Some(Names { outer: blocks, inner: threads }) = applied(session, tile) else { return };
        let rest = outer.iter().rev().skip(1).rev().map(|name| name.to_string());
        let wanted: Vec<String> = z.iter().cloned().chain(blocks.clone()).chain(threads.clone()).chain(rest).collect();
        if session.apply(Command::reorder(wanted)).is_err() {
            let why = "its loops could not be put in the order that blocks and threads need";
            session.remark(Remark::new("gpu", threads.join(" "), "not on threads", why));
            return;
        }
        bind(session, z.as_slice(), &[Axis::Block(2)]);
        bind(session, &blocks, &[Axis::Block(1), Axis::Block(0)]);
        bind(session, &threads, &[Axis::Thread(1), Axis::Thread(0)]);
    }
}

impl Layout<'_> {
    /// The loop over groups of elements that a thread moves at once; the loop itself where there are none.
    fn vectorised(&self, session: &mut Session, x: String, run: &[String]) -> String {
        let lanes = lanes(self.device, session.scop(), &x, run);
        let mut trial = session.clone();
        if lanes == 1 || trial.apply(Command::vectorise(x.clone(), lanes)).is_err() {
            return x;
        }
        let groups = match trial.script().commands().next_back() {
            Some(Command::Vectorise { member, names: Some(names), .. }) => {
                full(names, std::slice::from_ref(member)).outer.into_iter().next()
            }
            _ => None,
        };
        match groups {
            Some(groups) => {
                *session = trial;
                groups
            }
            None => x,
        }
    }
}

/// Joins neighbouring nests in the loops that are free of dependences in both, where they stay so.
pub(super) fn fuse(session: &mut Session) {
    let mut heads = heads(session.scop());
    let mut at = 0;
    while at + 1 < heads.len() {
        if joined(session, &heads[at], &heads[at + 1]) {
            heads.remove(at + 1);
        } else {
            at += 1;
        }
    }
}

fn joined(session: &mut Session, first: &str, second: &str) -> bool {
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
    // What has tiles of its own is worth more than loops in common.
    let is_spoiled = |stmt: &str| contraction::is_one(session, stmt) && !contraction::is_one(&trial, stmt);
    if !(is_joined && unshifted && free(&trial, first) >= depth) || is_spoiled(first) || is_spoiled(second) {
        return false;
    }
    *session = trial;
    true
}

/// How many loops of two nests, at most so many, have as many iterations in both.
fn common(scop: &Scop, first: &str, second: &str, most: usize) -> usize {
    let lengths = |stmt: &str| -> Vec<Option<i64>> {
        let members = band_over(&scop.tree.root, stmt).map_or(&[][..], |band| band.members.as_slice());
        members.iter().map(|member| length(scop, &member.name).ok().flatten()).collect()
    };
    lengths(first).iter().zip(&lengths(second)).take(most).take_while(|(a, b)| a == b).count()
}

/// Of each nest inside of one the outermost loops in a row that are free of dependences. Loops around are the host's.
pub(super) fn runs(session: &Session, nest: &Node) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    gather(session, nest, &mut found);
    found
}

fn gather(session: &Session, node: &Node, found: &mut Vec<Vec<String>>) {
    if let Node::Band(band) = node {
        if let Some(first) = band.members.iter().position(|member| is_free(session, member)) {
            let run = band.members[first..].iter().take_while(|member| is_free(session, member));
            found.push(run.map(|member| member.name.clone()).collect());
            return;
        }
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
