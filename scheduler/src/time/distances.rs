//! Which statements a loop over time holds, where in space their instances are, and how far apart dependent ones.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use polyhedral::{Access, Scop, StmtId, Subscript, TensorId, isl};
use transform::Session;

use super::hyperplanes::Distance;
use crate::nest::{Loop, Nest};

/// Different distances from one statement to another beyond which a nest is no stencil.
const MOST: usize = 256;

/// The statements in a loop over time, which go through one space.
pub(super) struct Space {
    /// The loop over time.
    pub(super) time: String,
    /// Steps.
    pub(super) steps: i64,
    /// Directions: subscripts of what is written.
    pub(super) rank: usize,
    /// For each direction the longest loop along it.
    pub(super) extents: Vec<i64>,
    /// In the order of a step.
    pub(super) stmts: Vec<InSpace>,
    /// What they touch in every direction.
    pub(super) tensors: BTreeSet<TensorId>,
}

/// A statement in space.
pub(super) struct InSpace {
    pub(super) id: StmtId,
    /// Different names for its dimensions.
    pub(super) dims: Vec<String>,
    /// The dimension that is time.
    pub(super) time: usize,
    /// For each direction where an instance is: what it writes has that subscript.
    pub(super) places: Vec<Place>,
}

/// A subscript of what an instance writes.
pub(super) struct Place {
    /// The dimension that it moves along, and the loop over that.
    pub(super) along: Option<(usize, Loop)>,
    /// What is added.
    pub(super) constant: i64,
}

impl Space {
    /// The space of a nest that has this form: one loop over time, in it statements of their own loops one after the other,
    /// each writing where it is and nowhere else; some tensor is written in one step and read in the next.
    pub(super) fn of(scop: &Scop, nest: &Nest) -> Option<Space> {
        let (time, within) = nest.loops.split_first()?;
        let alone = std::slice::from_ref(nest);
        let parts = if nest.parts.is_empty() { alone } else { &nest.parts };
        if !nest.parts.is_empty() && !within.is_empty() {
            return None;
        }
        let stmts = parts.iter().map(|part| {
            let loops = if nest.parts.is_empty() { within } else { &part.loops };
            InSpace::of(scop, part.only_stmt()?, time, loops)
        });
        let stmts: Vec<InSpace> = stmts.collect::<Option<_>>()?;
        let rank = stmts.first()?.places.len();
        if !(1..=3).contains(&rank) || stmts.iter().any(|one| one.places.len() != rank) {
            return None;
        }
        let longest = |at: usize| stmts.iter().filter_map(|one| one.places[at].along.as_ref()?.1.extent).max();
        let extents = (0..rank).map(longest).collect::<Option<_>>()?;
        let written: BTreeSet<TensorId> = stmts.iter().map(|one| scop.stmts[one.id].writes[0].tensor).collect();
        let accesses = || stmts.iter().flat_map(|one| scop.stmts[one.id].accesses());
        if !stmts.iter().flat_map(|one| &scop.stmts[one.id].reads).any(|read| written.contains(&read.tensor)) {
            return None;
        }
        let tensors = accesses().filter(|access| access.index.len() == rank).map(|access| access.tensor).collect();
        Some(Space { time: time.name.clone(), steps: time.extent?, rank, extents, stmts, tensors })
    }
}

impl InSpace {
    fn of(scop: &Scop, id: StmtId, time: &Loop, loops: &[Loop]) -> Option<InSpace> {
        let stmt = &scop.stmts[id];
        let [write] = stmt.writes.as_slice() else { return None };
        let is_affine = |access: &Access| access.affine().is_some();
        if stmt.body.is_reduce() || !stmt.accesses().all(is_affine) {
            return None;
        }
        let time = time.dim(id)?;
        let places: Vec<Place> =
            write.index.iter().map(|subscript| Place::of(subscript, id, time, loops)).collect::<Option<_>>()?;
        // Each loop is one direction.
        let used: BTreeSet<usize> = places.iter().filter_map(|place| Some(place.along.as_ref()?.0)).collect();
        let moving = places.iter().filter(|place| place.along.is_some()).count();
        if used.len() != moving || moving != loops.len() || moving + 1 != stmt.dims.len() {
            return None;
        }
        Some(InSpace { id, dims: distinct(scop, &stmt.dims), time, places })
    }

    /// An instance as isl writes it.
    pub(super) fn tuple(&self, scop: &Scop) -> String {
        format!("{}[{}]", scop.stmts[self.id].name, self.dims.join(", "))
    }

    /// Step and place of an instance as isl writes them.
    fn coordinates(&self) -> String {
        let mut text = self.dims[self.time].clone();
        for place in &self.places {
            match &place.along {
                Some((dim, _)) => write!(text, ", {} + {}", self.dims[*dim], place.constant),
                None => write!(text, ", {}", place.constant),
            }
            .expect("text");
        }
        text
    }
}

impl Place {
    fn of(subscript: &Subscript, id: StmtId, time: usize, loops: &[Loop]) -> Option<Place> {
        let Subscript::Affine(index) = subscript else { return None };
        let affine = index.affine().filter(|affine| affine.params.is_empty())?;
        let dims: Vec<(usize, i64)> = affine.dims.iter().map(|(dim, by)| (*dim, *by)).collect();
        let along = match dims.as_slice() {
            [] => None,
            [(dim, 1)] if *dim != time => Some((*dim, loops.iter().find(|one| one.dim(id) == Some(*dim))?.clone())),
            _ => return None,
        };
        Some(Place { along, constant: affine.constant })
    }
}

/// The names as they are where each is another one and none is a parameter's; else numbers.
fn distinct(scop: &Scop, names: &[String]) -> Vec<String> {
    let all: BTreeSet<&String> = names.iter().chain(&scop.params).collect();
    let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if all.len() == names.len() + scop.params.len() && names.iter().all(is_plain) {
        return names.to_vec();
    }
    (0..names.len()).map(|at| format!("d{at}")).collect()
}

/// The isl text of a map or function of instances.
pub(super) fn with_params(scop: &Scop, text: &str) -> String {
    if scop.params.is_empty() { text.to_string() } else { format!("[{}] -> {text}", scop.params.join(", ")) }
}

/// How far apart dependent instances are; none when that is not one of a few distances.
pub(super) fn distances(session: &Session, space: &Space) -> isl::Result<Option<Vec<Distance>>> {
    let scop = session.scop();
    let place = |at: usize| -> isl::Result<isl::Map> {
        let one = &space.stmts[at];
        let text = format!("{{ {} -> [{}] }}", one.tuple(scop), one.coordinates());
        isl::Map::read(&scop.ctx, &with_params(scop, &text))
    };
    let find = |name: &str| space.stmts.iter().position(|one| scop.stmts[one.id].name == name);
    let mut all = BTreeSet::new();
    for pairs in session.dependences()?.ordering(true)?.maps()? {
        let ends = (find(&pairs.tuple_name(isl::Dim::In)?), find(&pairs.tuple_name(isl::Dim::Out)?));
        let (Some(from), Some(to)) = ends else { continue };
        let apart = pairs.apply_domain(&place(from)?)?.apply_range(&place(to)?)?.deltas()?;
        let Some(points) = apart.points(MOST)? else { return Ok(None) };
        all.extend(points.into_iter().map(|apart| Distance { from, to, apart }));
    }
    Ok(Some(all.into_iter().collect()))
}
