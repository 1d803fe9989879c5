//! Random commands, over the loops that a session has.

use polyhedral::isl::{Constraints, SchedulerOptions, Val};
use polyhedral::testing::Rng;
use polyhedral::{Access, Axis, Node, Role, ScheduleTree, Scop, Stmt, isl};
use transform::{Command, End, Privatisation, Promotion, Session};

/// isl's operations for one run of its scheduler.
const SCHEDULER: u64 = 500_000;

/// The words of the commands that are drawn.
pub const COMMANDS: &[&str] = &[
    "order",
    "split",
    "tile",
    "reorder",
    "fuse",
    "distribute",
    "skew",
    "shift",
    "reverse",
    "cut",
    "peel",
    "separate",
    "bind",
    "parallel",
    "vectorise",
    "unroll",
];

/// The words of the commands on storage and on instances that are drawn.
pub const STORAGE: &[&str] = &["promote", "prefetch", "fold", "inline", "compute", "store", "privatise"];

/// A command on storage or on instances that has a chance to fit; none when the program has no loop or no tensor for it.
pub fn storage(rng: &mut Rng, session: &Session) -> isl::Result<Option<Command>> {
    let scop = session.scop();
    let members = scop.tree.root.members();
    if members.is_empty() {
        return Ok(None);
    }
    let member = members[rng.below(members.len())];
    let below = member.schedule.domain()?.sets()?.iter().map(isl::Set::tuple_name).collect::<isl::Result<Vec<_>>>()?;
    let (inside, outside): (Vec<&Stmt>, Vec<&Stmt>) = scop.stmts.values().partition(|stmt| below.contains(&stmt.name));
    let at = member.name.clone();
    let is_temporary =
        |name: &String| scop.tensor_named(name).is_some_and(|id| scop.tensors[id].role == Role::Temporary);
    let temporaries: Vec<String> = touched(scop, &inside).into_iter().filter(is_temporary).collect();
    let tensors = match rng.below(16) {
        0..5 => return Ok(any(rng, &touched(scop, &inside)).map(|tensor| promotion(rng, scop, tensor, at))),
        5..8 => {
            let made_outside = touched(scop, &outside);
            let tensors: Vec<String> = temporaries.into_iter().filter(|name| made_outside.contains(name)).collect();
            return Ok(any(rng, &tensors).map(|tensor| Command::compute_at(tensor, at)));
        }
        8..10 => {
            let (dim, by) = (rng.below(2) as u32, rng.pick(&[1, 2, 3]));
            return Ok(any(rng, &temporaries).map(|tensor| Command::fold(tensor, dim, by)));
        }
        10..14 if rng.percent(60) => updated(scop, &inside),
        10..14 => temporaries,
        14 if rng.percent(50) => return Ok(any(rng, &temporaries).map(Command::inline)),
        14 => return Ok(any(rng, &temporaries).map(|tensor| Command::store_at(tensor, at))),
        _ => {
            let tensors = touched(scop, &inside);
            return Ok(any(rng, &tensors).map(|tensor| Command::prefetch(tensor, at, rng.pick(&[1, 2]))));
        }
    };
    let by = rng.percent(25).then(|| rng.pick(&[2, 3]));
    let privatised = |tensor| Command::Privatise(Privatisation { by, ..Privatisation::of(tensor, at) });
    Ok(any(rng, &tensors).map(privatised))
}

fn promotion(rng: &mut Rng, scop: &Scop, tensor: String, member: String) -> Command {
    let rank = scop.tensor_named(&tensor).map_or(0, |id| scop.tensors[id].extent.len() as u32);
    let mut transposed: Vec<u32> = (0..rank).collect();
    if rng.percent(30) {
        rng.shuffle(&mut transposed);
    }
    let (padded, double) = (if rng.percent(20) { 1 } else { 0 }, rng.percent(15));
    Command::Promote(Promotion { transposed, padded, double, ..Promotion::of(tensor, member) })
}

/// The tensors that some statements read or write, by name.
fn touched(scop: &Scop, stmts: &[&Stmt]) -> Vec<String> {
    names(scop, stmts.iter().flat_map(|stmt| stmt.accesses()))
}

/// The tensors that some statements update.
fn updated(scop: &Scop, stmts: &[&Stmt]) -> Vec<String> {
    names(scop, stmts.iter().filter(|stmt| stmt.body.is_reduce()).flat_map(|stmt| &stmt.writes))
}

fn names<'a>(scop: &Scop, accesses: impl Iterator<Item = &'a Access>) -> Vec<String> {
    let mut names: Vec<String> = accesses.map(|access| scop.tensors[access.tensor].name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn any(rng: &mut Rng, names: &[String]) -> Option<String> {
    if names.is_empty() { None } else { Some(names[rng.below(names.len())].clone()) }
}

/// A command that may or may not fit; none when isl's scheduler finds nothing in time.
pub fn command(rng: &mut Rng, session: &Session) -> isl::Result<Option<Command>> {
    let scop = session.scop();
    let mut loops: Vec<String> = scop.tree.root.members().iter().map(|member| member.name.clone()).collect();
    if loops.is_empty() || rng.percent(2) {
        loops.push("nowhere".into());
    }
    let stmts: Vec<String> = scop.stmts.values().map(|stmt| stmt.name.clone()).collect();
    // Neighbours in the tree are more often of one nest.
    let from = rng.below(loops.len());
    let some = &loops[from..(from + 1 + rng.below(3)).min(loops.len())];
    let one = some[0].clone();
    Ok(Some(match rng.below(28) {
        0 => Command::split(one, rng.pick(&[1, 2, 3, 4])),
        1 | 2 => Command::tile(some, some.iter().map(|_| rng.pick(&[1, 2, 3, 4])).collect::<Vec<u32>>()),
        3 | 4 => Command::reorder(some.iter().rev()),
        5 | 6 => Command::parallel(one),
        7 | 8 => Command::vectorise(one, rng.pick(&[2, 4, 8])),
        9 | 10 => Command::unroll(one, rng.pick(&[2, 3, 4])),
        11 => Command::distribute(one),
        12 => {
            let first = rng.below(stmts.len());
            Command::fuse(&stmts[first], &stmts[(first + 1) % stmts.len()], rng.pick(&[1, 2]))
        }
        13 => return scheduled(rng, session),
        14 | 15 => Command::skew(one, rng.pick(&[-1, 1, 2]), rng.pick(&loops)),
        16 | 17 => Command::shift(one, rng.pick(&[-2, 1, 3]), stmts.iter().take(rng.below(2))),
        18 => Command::reverse(one),
        19 | 20 => Command::cut(one, value(rng, &loops)),
        21 | 22 => Command::peel(one, rng.pick(&[End::First, End::Last]), rng.pick(&[1, 2])),
        23..=25 => Command::separate(strips(rng, &loops)),
        26 => Command::bind(one, rng.pick(&Axis::ALL)),
        _ => {
            let mut tree = scop.tree.clone();
            disturb(rng, &mut tree.root)?;
            Command::order(scop, &tree)?
        }
    }))
}

/// One or two loops that run over strips, by their names, when there are any.
fn strips(rng: &mut Rng, loops: &[String]) -> Vec<String> {
    let over_strips: Vec<&String> = loops.iter().filter(|name| name.trim_end_matches('p').ends_with('o')).collect();
    if over_strips.is_empty() {
        return vec![loops[0].clone()];
    }
    let from = rng.below(over_strips.len());
    over_strips[from..].iter().take(1 + rng.below(2)).map(|name| (*name).clone()).collect()
}

/// A value to cut a loop at: a number, or one that depends on a loop outside, when it is.
fn value(rng: &mut Rng, loops: &[String]) -> String {
    let (number, outer) = (rng.between(0, 5), &loops[rng.below(loops.len())]);
    match rng.below(4) {
        0 | 1 => number.to_string(),
        2 => format!("{outer} + {number}"),
        _ => format!("min({number}, 2*{outer}) mod 3 + 1"),
    }
}

/// What isl's scheduler finds.
fn scheduled(rng: &mut Rng, session: &Session) -> isl::Result<Option<Command>> {
    let (scop, deps) = (session.scop(), session.dependences()?);
    let options = SchedulerOptions { serialize_sccs: rng.percent(50), ..SchedulerOptions::default() };
    let found = scop.ctx.with_budget(SCHEDULER, || {
        let validity = deps.ordering(false)?;
        let constraints = Constraints {
            domain: scop.domain()?,
            context: scop.context.clone(),
            coincidence: validity.union(&deps.reduction)?,
            proximity: deps.flow.clone(),
            validity,
        };
        let tree = ScheduleTree::from_isl(&constraints.schedule(&options)?, scop)?;
        Command::order(scop, &tree)
    });
    match found {
        // It gives up on some programs: with bounded coefficients there need not be a schedule.
        Err(isl::Error::Quota | isl::Error::Refused(_)) => Ok(None),
        found => found.map(Some),
    }
}

/// Changes one or two things that a literal tree may say: a loop backwards, shifted or skewed, loops swapped, the
/// children of a sequence in another order.
fn disturb(rng: &mut Rng, node: &mut Node) -> isl::Result<()> {
    match node {
        Node::Band(band) if rng.percent(60) => {
            let (at, other) = (rng.below(band.members.len()), rng.below(band.members.len()));
            let schedule = band.members[at].schedule.clone();
            let number = |n: i64| Val::int(schedule.ctx(), n);
            band.members[at].schedule = match rng.below(4) {
                0 => schedule.scale(&number(-1)?)?,
                1 => schedule.union_add(&schedule.domain()?.constant(&number(rng.between(-2, 2))?)?)?,
                2 if at != other => schedule.union_add(&band.members[other].schedule)?,
                _ => {
                    band.members.swap(at, other);
                    return Ok(());
                }
            };
        }
        Node::Sequence(children) if rng.percent(60) => rng.shuffle(children),
        _ => {}
    }
    match node {
        Node::Band(band) => disturb(rng, &mut band.child),
        Node::Mark { child, .. } => disturb(rng, child),
        Node::Sequence(children) | Node::Set(children) => {
            let at = rng.below(children.len());
            disturb(rng, &mut children[at].node)
        }
        Node::Leaf => Ok(()),
    }
}
