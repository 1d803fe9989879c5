//! Which loops go to blocks and threads, and what is kept near them.

mod buffers;
mod contraction;
mod nests;
mod pointwise;
mod rows;
mod steps;
mod strips;
mod tiles;
mod transpose;
mod vectors;

use polyhedral::Axis;
use support::{Gpu, Remark};
use transform::{Command, Names, Policy, Refused, Session};

use nests::{beside_all, heads};

/// Lays loops out on a device: reductions to few results are cut into strips, neighbouring nests share their loops where these
/// stay free of dependences and leave the device its work; then each nest is mapped by the first strategy that it is one for.
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
        pointwise::fuse(&self.device, session);
        for head in heads(session.scop()) {
            self.map(session, &head);
        }
        Ok(())
    }
}

/// Maps the nest of a statement, or leaves it as it is and says why.
type Strategy = fn(&Gpu, &mut Session, &str) -> Result<(), Declined>;

/// From the special to the general.
const STRATEGIES: [Strategy; 5] = [contraction::map, transpose::map, rows::map, strips::map, pointwise::map];

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
        Command::Split { member, names: Some(names), .. } => Some(full(names, std::slice::from_ref(member))),
        Command::Tile { members, names: Some(names), .. } => Some(full(names, members)),
        _ => None,
    }
}

fn full(names: &Names, loops: &[String]) -> Names {
    Names { outer: beside_all(&names.outer, loops), inner: beside_all(&names.inner, loops) }
}

fn bind(session: &mut Session, loops: &[String], axes: &[Axis]) {
    for (name, axis) in loops.iter().zip(axes) {
        if let Err(refused) = session.apply(Command::bind(name.clone(), *axis)) {
            session.remark(Remark::new("gpu", name, "not bound", refused.to_string()));
        }
    }
}
