//! Which loops go to blocks and threads, and what is kept near them.

mod contraction;
mod pointwise;
mod rows;
mod strips;
mod vectors;

use polyhedral::{Axis, Band, Member, Node, Scop, isl};
use support::{Gpu, Remark};
use transform::{Command, Names, Policy, Refused, Session};

/// Lays loops out on a device: reductions to few results are cut into strips, neighbouring nests share their loops where these stay free of dependences; then each nest is
/// mapped by the first strategy that it is one for.
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
        pointwise::fuse(session);
        for head in heads(session.scop()) {
            self.map(session, &head);
        }
        Ok(())
    }
}

/// Maps the nest of a statement, or leaves it as it is and says why.
type Strategy = fn(&Gpu, &mut Session, &str) -> Result<(), Declined>;

/// From the special to the general.
const STRATEGIES: [Strategy; 4] = [contraction::map, rows::map, strips::map, pointwise::map];

/// Why a strategy leaves a nest to the next one.
enum Declined {
    /// It is no nest for it.
    NotMeant,
    /// It is one, but a step was refused, or does not fit the device.
    Because(String),
}

impl Mapper {
    fn map(&self, session: &mut Session, head: &str) {
        for strategy in STRATEGIES {
            let mut trial = session.clone();
            match strategy(&self.device, &mut trial, head) {
                Ok(()) => {
                    *session = trial;
                    return;
                }
                Err(Declined::NotMeant) => {}
                Err(Declined::Because(why)) => session.remark(Remark::new("gpu", head, "mapped simply", why)),
            }
        }
    }
}

/// A statement of each nest, in their order.
fn heads(scop: &Scop) -> Vec<String> {
    let first = |instances: &isl::UnionSet| instances.sets().ok()?.first()?.tuple_name().ok();
    match &scop.tree.root {
        Node::Sequence(children) | Node::Set(children) => {
            children.iter().filter_map(|child| first(&child.filter)).collect()
        }
        _ => first(&scop.tree.domain).into_iter().collect(),
    }
}

/// The nest of a statement: what is outermost but for sequences.
fn nest_of<'t>(scop: &'t Scop, stmt: &str) -> Option<&'t Node> {
    match &scop.tree.root {
        Node::Sequence(children) | Node::Set(children) => {
            children.iter().find(|child| has_instances(&child.filter, stmt)).map(|child| &child.node)
        }
        root => Some(root),
    }
}

/// Whether some of the instances are of a statement.
fn has_instances(instances: &isl::UnionSet, stmt: &str) -> bool {
    let sets = instances.sets().unwrap_or_default();
    sets.iter().any(|set| set.tuple_name().is_ok_and(|name| name == stmt))
}

/// Whether a loop is free of dependences.
fn is_free(session: &Session, member: &Member) -> bool {
    member.coincident || session.coincident(&member.name).is_ok()
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

/// The outermost band that a statement's instances pass.
fn band_over<'t>(node: &'t Node, stmt: &str) -> Option<&'t Band> {
    match node {
        Node::Band(band) => Some(band),
        Node::Mark { child, .. } => band_over(child, stmt),
        Node::Sequence(children) | Node::Set(children) => {
            let child = children.iter().find(|child| has_instances(&child.filter, stmt));
            child.and_then(|child| band_over(&child.node, stmt))
        }
        Node::Leaf => None,
    }
}

/// The loops of a band, from the outermost on, that are free of dependences.
fn free_loops(session: &Session, band: Option<&Band>) -> Vec<String> {
    let members = band.map_or(&[][..], |band| band.members.as_slice());
    members.iter().take_while(|member| is_free(session, member)).map(|member| member.name.clone()).collect()
}
