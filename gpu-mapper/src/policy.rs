//! Which loops go to blocks and threads.

use polyhedral::{Axis, Band, Member, Node, Scop, Stmt, Subscript, isl};
use support::{Gpu, Remark};
use transform::{Command, Names, Policy, Refused, Session};

use crate::{rows, strips};

/// Lays loops out on a device: neighbouring nests share their loops where these stay free of dependences, and of the
/// outermost such loops of each nest one, along which most accesses are to neighbouring elements, is cut into strips of
/// threads along x, the next one along y; what is left of them are blocks.
///
/// ```text
/// for m, n                                 block.y mo, block.x no
///   C.init                       ->          thread.y mi, thread.x ni
///   for k                                      C.init
///     C.update                                 for k
///                                                C.update
/// ```
///
/// After Verdoolaege and others, Polyhedral Parallel Code Generation for CUDA (TACO 2013), whose tiles are found so too; the
/// order of the axes is decided by accesses, as there for what is kept in shared memory. Nothing is kept there yet.
pub struct Mapper {
    /// The device.
    pub device: Gpu,
}

impl Policy for Mapper {
    fn name(&self) -> &str {
        "gpu"
    }

    fn schedule(&self, session: &mut Session) -> Result<(), Refused> {
        strips::cut(session, &self.device);
        fuse(session);
        for run in runs(session) {
            if !rows::map(session, &self.device, &run) {
                self.map(session, &run);
            }
        }
        strips::in_one_block(session, &self.device);
        Ok(())
    }
}

/// Threads along x: as many as a warp has, so that its accesses are to one line.
const WARP: i64 = 32;

impl Mapper {
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

fn to_u32(threads: i64) -> u32 {
    u32::try_from(threads.max(1)).unwrap_or(u32::MAX)
}

/// The names of the loops that a command made; none when it was refused.
fn applied(session: &mut Session, command: Command) -> Option<Names> {
    if let Err(refused) = session.apply(command) {
        session.remark(Remark::new("gpu", "a nest", "not on blocks", refused.to_string()));
        return None;
    }
    match session.script().commands().next_back()? {
        Command::Split { member, names: Some(names), .. } => Some(names.beside(std::slice::from_ref(member))),
        Command::Tile { members, names: Some(names), .. } => Some(names.beside(members)),
        _ => None,
    }
}

/// Names as scripts write them, beside the loops that they are made of.
trait Beside {
    fn beside(&self, loops: &[String]) -> Names;
}

impl Beside for Names {
    fn beside(&self, loops: &[String]) -> Names {
        let one = |(name, of): (&String, &String)| match of.rsplit_once('.') {
            Some((stmt, _)) if !name.contains('.') => format!("{stmt}.{name}"),
            _ => name.clone(),
        };
        let all = |names: &[String]| names.iter().zip(loops).map(one).collect();
        Names { outer: all(&self.outer), inner: all(&self.inner) }
    }
}

fn bind(session: &mut Session, loops: &[String], axes: &[Axis]) {
    for (name, axis) in loops.iter().zip(axes) {
        if let Err(refused) = session.apply(Command::bind(name.clone(), *axis)) {
            session.remark(Remark::new("gpu", name, "not bound", refused.to_string()));
        }
    }
}

/// Joins neighbouring nests in the loops that are free of dependences in both, where they stay so.
fn fuse(session: &mut Session) {
    let mut heads = match &session.scop().tree.root {
        Node::Sequence(children) => children.iter().filter_map(|child| head(&child.filter)).collect(),
        _ => Vec::new(),
    };
    let mut at = 0;
    while at + 1 < heads.len() {
        if joined(session, &heads[at], &heads[at + 1]) {
            heads.remove(at + 1);
        } else {
            at += 1;
        }
    }
}

/// A statement of a nest.
fn head(instances: &isl::UnionSet) -> Option<String> {
    instances.sets().ok()?.first()?.tuple_name().ok()
}

fn joined(session: &mut Session, first: &str, second: &str) -> bool {
    let free = |session: &Session, stmt: &str| free_loops(session, band_over(&session.scop().tree.root, stmt)).len();
    let depth = common(session, first, second, free(session, first).min(free(session, second)));
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
    *session = trial;
    true
}

/// How many loops of two nests, at most so many, have as many iterations in both.
fn common(session: &Session, first: &str, second: &str, most: usize) -> usize {
    let scop = session.scop();
    let lengths = |stmt: &str| -> Vec<Option<i64>> {
        let members = band_over(&scop.tree.root, stmt).map_or(&[][..], |band| band.members.as_slice());
        members.iter().map(|member| rows::length(scop, &member.name).ok().flatten()).collect()
    };
    lengths(first).iter().zip(&lengths(second)).take(most).take_while(|(a, b)| a == b).count()
}

/// The outermost band that a statement's instances pass.
fn band_over<'t>(node: &'t Node, stmt: &str) -> Option<&'t Band> {
    match node {
        Node::Band(band) => Some(band),
        Node::Mark { child, .. } => band_over(child, stmt),
        Node::Sequence(children) | Node::Set(children) => {
            let has = |filter: &isl::UnionSet| {
                let sets = filter.sets().unwrap_or_default();
                sets.iter().any(|set| set.tuple_name().is_ok_and(|name| name == stmt))
            };
            children.iter().find(|child| has(&child.filter)).and_then(|child| band_over(&child.node, stmt))
        }
        Node::Leaf => None,
    }
}

/// The loops of a band, from the outermost on, that are free of dependences.
fn free_loops(session: &Session, band: Option<&Band>) -> Vec<String> {
    let members = band.map_or(&[][..], |band| band.members.as_slice());
    let is_free = |member: &&Member| member.coincident || session.coincident(&member.name).is_ok();
    members.iter().take_while(is_free).map(|member| member.name.clone()).collect()
}

/// Of each nest the outermost loops in a row that are free of dependences. Loops around are the host's.
fn runs(session: &Session) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    gather(session, &session.scop().tree.root, &mut found);
    found
}

fn gather(session: &Session, node: &Node, found: &mut Vec<Vec<String>>) {
    if let Node::Band(band) = node {
        let is_free = |member: &Member| member.coincident || session.coincident(&member.name).is_ok();
        if let Some(first) = band.members.iter().position(is_free) {
            let run = band.members[first..].iter().take_while(|member| is_free(member));
            found.push(run.map(|member| member.name.clone()).collect());
            return;
        }
    }
    node.children().into_iter().for_each(|child| gather(session, child, found));
}

/// How many accesses are to the next element in the next iteration of a loop, less those that are to another row.
pub(crate) fn contiguity(scop: &Scop, name: &str) -> i64 {
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
