//! Stencils in time: a loop over steps, in each of which statements go through the same space.
//!
//! A step of `jacobi-2d` reads and writes all of its arrays, so that what they take in memory is moved once for each step.
//! Tiles that hold several steps move it once for all of them. Time can be tiled where the distances of the dependences are
//! the same everywhere and bounded in space: then functions `a·t + x + s`, one for each direction of space, with a slope `a`
//! and a shift `s` for each statement, in which no dependence goes backward, exist for statements of any number
//! (Feautrier 1992; as the hyperplanes of Pluto, Bondhugula, Hartono, Ramanujam, Sadayappan, PLDI 2008). All tiles by such
//! functions are legal.
//!
//! - On **one thread** tiles are parallelograms: so many steps, so many values of each function.
//! - On **several** those of time and the first direction are diamonds, by `a·t + x` and `a·t - x`, of which all in a row may
//!   start at once (Bandishti, Pananilath, Bondhugula, SC 2012). Where what is computed in place has no such second
//!   function, there are none, and parallelograms on a diagonal run at once.
//!
//! In a tile the steps run one after the other, and in a step each statement goes through its part by itself: the loops that
//! vectors want. Its last direction is cut into long strips, and these as the strips of vectors are, so that all but the
//! first and the last vector of a tile are whole.
//!
//! Files: [`distances`] between dependent instances, [`hyperplanes`] in which none goes backward, [`sizes`] of tiles that the
//! caches hold, the [`tree`] that says it all.

mod distances;
mod hyperplanes;
mod sizes;
mod tree;

use std::collections::BTreeSet;

use polyhedral::{Scop, StmtId, isl};
use transform::{Command, Session};

use crate::cpu::{attempt, remark};
use crate::nest::{self, Nest};
use distances::{Space, distances};
use hyperplanes::Hyperplane;
use sizes::Sizes;

/// What becomes of tiles over time where nothing is known to be gained by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// Where arrays are larger than the second cache.
    #[default]
    WherePays,
    /// Wherever they are legal, with small tiles: for tests.
    Always,
    /// Nowhere.
    Never,
}

/// Tiles over time every nest at the top that is `chosen` and gains by it. The names of their statements.
pub(crate) fn tile(session: &mut Session, when: Time, chosen: impl Fn(&Scop, &Nest) -> bool) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    if when == Time::Never {
        return taken;
    }
    let budget = session.options().operations;
    let Ok(nests) = session.scop().ctx.with_budget(budget, || nest::nests(session.scop())) else { return taken };
    for nest in nests.iter() {
        if !chosen(session.scop(), nest) {
            continue;
        }
        let Some(space) = Space::of(session.scop(), nest) else { continue };
        let Some(sizes) = Sizes::of(session, &space, when) else { continue };
        let entity = nest.name(session.scop());
        match session.scop().ctx.with_budget(budget, || Tiles::of(session, &space, sizes)) {
            Ok(Ok(tiles)) => {
                if tiles.apply(session, &entity) {
                    taken.extend(space.stmts.iter().map(|one| session.scop().stmts[one.id].name.clone()));
                }
            }
            Ok(Err(why)) => remark(session, &entity, WHAT, why),
            Err(error) => remark(session, &entity, WHAT, &format!("its dependences could not be examined: {error}")),
        }
    }
    taken
}

/// What a remark says is missing.
const WHAT: &str = "not tiled over time";

/// How one nest is tiled.
struct Tiles<'a> {
    space: &'a Space,
    sizes: Sizes,
    /// For each direction of space.
    forward: Vec<Hyperplane>,
    /// Against the first direction, where tiles are diamonds.
    backward: Option<Hyperplane>,
    /// For each statement, whether the instances of one step are independent.
    free: Vec<bool>,
    /// The tiles that may run at once do.
    parallel: bool,
}

impl<'a> Tiles<'a> {
    /// The tiles of a nest; the inner error says why there are none.
    fn of(session: &Session, space: &'a Space, sizes: Sizes) -> isl::Result<Result<Tiles<'a>, &'static str>> {
        let Some(distances) = distances(session, space)? else {
            return Ok(Err("its instances need others at distances that change"));
        };
        let forward: Option<Vec<Hyperplane>> =
            (0..space.rank).map(|at| Hyperplane::along(&distances, space.stmts.len(), at)).collect();
        let Some(forward) = forward else {
            return Ok(Err("no slope in time keeps what its instances need behind them"));
        };
        let is_free = |at: usize| !distances.iter().any(|edge| (edge.from, edge.to, edge.apart[0]) == (at, at, 0));
        let free: Vec<bool> = (0..space.stmts.len()).map(is_free).collect();
        if !free.iter().all(|free| *free) {
            return Ok(Err("its instances need others of the same step"));
        }
        let parallel = session.target().threads > 1;
        let backward = if parallel { Hyperplane::against_first(&distances, space.stmts.len()) } else { None };
        Ok(Ok(Tiles { space, sizes, forward, backward, free, parallel }))
    }

    /// Takes the steps; whether the tiles were made.
    fn apply(&self, session: &mut Session, entity: &str) -> bool {
        let scop = session.scop();
        let made = match self.command(scop) {
            Ok(made) => made,
            Err(error) => {
                remark(session, entity, WHAT, &format!("the tree of tiles could not be made: {error}"));
                return false;
            }
        };
        let shape = if self.backward.is_some() { "diamonds" } else { "parallelograms" };
        let reason = format!("tiles of several steps stay in the second cache: {shape}");
        if let Err(refused) = session.because(reason, |session| session.apply(made.order)) {
            remark(session, entity, WHAT, &refused.reason.to_string());
            return false;
        }
        if let Some(at_once) = made.at_once.filter(|_| self.parallel) {
            attempt(session, entity, "not parallel", Command::parallel(at_once));
        }
        for (lanes, rows) in made.inner {
            if let Some((name, by)) = lanes {
                attempt(session, entity, "not vectorised", Command::vectorise(name, by));
            }
            if let Some((name, by)) = rows {
                attempt(session, entity, "rows not copied out", Command::unroll(name, by));
            }
        }
        true
    }
}

/// Whether one of the statements is among those.
pub(crate) fn holds_any(scop: &Scop, taken: &BTreeSet<String>, stmts: &[StmtId]) -> bool {
    stmts.iter().any(|&id| taken.contains(&scop.stmts[id].name))
}
