//! Random commands, over the loops that a program has, and random edits of its tree.

use polyhedral::testing::Rng;
use polyhedral::{Axis, Node, Scop, isl};
use transform::{Command, End};

/// A command that may or may not fit.
pub fn command(random: &mut Rng, scop: &Scop) -> Command {
    let mut loops: Vec<String> = scop.tree.root.members().iter().map(|member| member.name.clone()).collect();
    if loops.is_empty() || random.below(20) == 0 {
        loops.push("nowhere".into());
    }
    let stmts: Vec<String> = scop.stmts.values().map(|stmt| stmt.name.clone()).collect();
    // Neighbours in the tree are more often of one nest.
    let from = random.below(loops.len());
    let some = &loops[from..(from + 1 + random.below(3)).min(loops.len())];
    let one = some[0].clone();
    match random.below(20) {
        10 => Command::skew(one, random.pick(&[-1, 1, 2]), random.pick(&loops)),
        11 => Command::shift(one, random.pick(&[-2, 1, 3]), stmts.iter().take(random.below(2))),
        12 => Command::reverse(one),
        13 | 14 => Command::cut(one, value(random, scop, &loops)),
        15 | 16 => Command::peel(one, random.pick(&[End::First, End::Last]), random.pick(&[1, 2])),
        17 | 18 => Command::separate(some),
        19 => {
            let (axis, atomically) =
                (random.pick(&[Axis::Block(0), Axis::Block(1), Axis::Thread(0)]), random.below(3) == 0);
            Command::Bind { members: vec![one], axis, atomically }
        }
        0 => Command::split(one, random.pick(&[1, 2, 3, 4])),
        1 => Command::tile(some, some.iter().map(|_| random.pick(&[2, 3, 4])).collect::<Vec<u32>>()),
        2..=4 => Command::reorder(some.iter().rev()),
        5 | 6 => Command::parallel(one),
        7 => Command::vectorise(one, random.pick(&[2, 4])),
        8 => Command::unroll(one, random.pick(&[2, 3])),
        _ if random.below(2) == 0 => Command::distribute(one),
        _ => {
            let first = random.below(stmts.len());
            Command::fuse(&stmts[first], &stmts[(first + 1) % stmts.len()], random.pick(&[1, 2]))
        }
    }
}

/// A value to cut at.
fn value(random: &mut Rng, scop: &Scop, loops: &[String]) -> String {
    let size = if scop.params.is_empty() { "3".into() } else { scop.params[random.below(scop.params.len())].clone() };
    let outer = &loops[random.below(loops.len())];
    match random.below(6) {
        0 | 1 => random.between(0, 4).to_string(),
        2 => format!("{size} - 1"),
        3 => format!("floor({size}/2)"),
        4 => outer.clone(),
        _ => format!("min({size}, 2*{outer} + 1) mod 4"),
    }
}

/// The program's tree as a literal one, with one or two things changed: a loop backwards, shifted, skewed or rotated,
/// loops swapped, or the children of a sequence in another order.
pub fn literal(random: &mut Rng, scop: &Scop) -> isl::Result<Command> {
    let mut tree = scop.tree.clone();
    disturb(random, &mut tree.root)?;
    Command::order(scop, &tree)
}

fn disturb(random: &mut Rng, node: &mut Node) -> isl::Result<()> {
    let change = random.below(5) < 3;
    match node {
        Node::Band(band) if change => {
            let (at, other) = (random.below(band.members.len()), random.below(band.members.len()));
            let schedule = band.members[at].schedule.clone();
            let number = |n: i64| isl::Val::int(schedule.ctx(), n);
            band.members[at].schedule = match random.below(5) {
                0 => schedule.neg()?,
                1 => schedule.add(&schedule.domain()?.constant(&number(random.between(-2, 2))?)?)?,
                2 => schedule.modulo(&number(random.between(2, 3))?)?,
                3 if at != other => schedule.add(&band.members[other].schedule)?,
                _ => {
                    band.members.swap(at, other);
                    return Ok(());
                }
            };
        }
        Node::Sequence(children) if change => random.shuffle(children),
        _ => {}
    }
    match node {
        Node::Band(band) => disturb(random, &mut band.child),
        Node::Mark { child, .. } => disturb(random, child),
        Node::Sequence(children) | Node::Set(children) => {
            let at = random.below(children.len());
            disturb(random, &mut children[at].node)
        }
        Node::Leaf => Ok(()),
    }
}
