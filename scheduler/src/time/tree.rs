//! The band tree of tiles over time.
//!
//! ```text
//! parallelograms                                 diamonds
//! band t/H, (a₀t + x₀)/W₀, (a₁t + x₁)/W₁, …      band (a₀t + x₀)/D + (b₀t - x₀)/D, (a₀t + x₀)/D, (a₁t + x₁)/W₁, …
//!   band t                                         band t
//!     sequence                                       sequence
//!       filter S: band x₀, x₁, …                       filter S: band x₀, x₁, …
//!       filter T: band x₀, x₁, …                       filter T: band x₀, x₁, …
//! ```

use std::collections::BTreeSet;

use polyhedral::{Band, Filtered, Kind, Member, Node, ScheduleTree, Scop, isl};
use transform::Command;

use super::Tiles;
use super::distances::{InSpace, with_params};
use super::hyperplanes::Hyperplane;
use crate::rest;

/// The tree as a command, and what its loops are for.
pub(super) struct Made {
    pub(super) order: Command,
    /// The loop over tiles that may run at once.
    pub(super) at_once: Option<String>,
    /// For each statement the loop for lanes and the one for copies, and how many.
    pub(super) inner: Vec<(Strips, Strips)>,
}

/// A loop, and how many of its iterations are lanes or copies.
type Strips = Option<(String, u32)>;

/// How many times as wide a diamond is as a parallelogram, of which it is about a half at each height.
const DIAMOND: i64 = 2;

impl Tiles<'_> {
    pub(super) fn command(&self, scop: &Scop) -> isl::Result<Made> {
        let mut names = Names { taken: others(scop, self) };
        let time = self.space.time.clone();
        let prefix = time.rfind('.').map_or("", |dot| &time[..=dot]).to_string();
        let own = |at: usize| format!("{prefix}{}", self.name_of(scop, at));
        let (mut members, mut at_once) = (Vec::new(), None);
        let cut = self.sizes.along[0].unwrap_or(1);
        if let Some(backward) = &self.backward {
            let by = cut * DIAMOND;
            let (one, other) = (|s| tiled(&self.at(s, &self.forward[0]), by), |s| tiled(&self.at(s, backward), by));
            members
                .push(self.member(scop, &names.fresh(format!("{prefix}w")), |s| format!("{} + {}", one(s), other(s)))?);
            let diamond = names.fresh(own(0) + "o");
            members.push(self.member(scop, &diamond, one)?);
            at_once = Some(diamond);
        } else {
            let high = (self.sizes.height / self.forward[0].time.max(1)).max(1);
            let steps = |s: usize| tiled(self.step_of(s), high);
            let first = |s: usize| tiled(&self.at(s, &self.forward[0]), cut);
            if self.parallel {
                let wave = names.fresh(format!("{prefix}w"));
                members.push(self.member(scop, &wave, |s| format!("{} + {}", steps(s), first(s)))?);
            } else {
                members.push(self.member(scop, &names.fresh(format!("{time}o")), steps)?);
            }
            let tile = names.fresh(own(0) + "o");
            members.push(self.member(scop, &tile, first)?);
            at_once = at_once.or(Some(tile));
        }
        for at in 1..self.space.rank {
            if let Some(by) = self.sizes.along[at] {
                let name = names.fresh(own(at) + "o");
                members.push(self.member(scop, &name, |s| tiled(&self.at(s, &self.forward[at]), by))?);
            }
        }
        members.push(self.member(scop, &names.fresh(time), |s| self.step_of(s).to_string())?);
        let (mut children, mut inner) = (Vec::new(), Vec::new());
        for s in 0..self.space.stmts.len() {
            let (node, loops) = self.step(scop, s, &mut names)?;
            children.push(Filtered { filter: scop.stmts[self.space.stmts[s].id].domain.to_union_set()?, node });
            inner.push(loops);
        }
        let child = if children.len() == 1 { children.remove(0).node } else { Node::Sequence(children) };
        let root = Node::Band(Band { members, permutable: false, child: Box::new(child) });
        let stmts: BTreeSet<String> = self.space.stmts.iter().map(|one| scop.stmts[one.id].name.clone()).collect();
        let tree = ScheduleTree { domain: rest::instances(scop, &stmts)?, root };
        let order = Command::order(scop, &rest::with_part(&scop.tree, tree)?)?;
        Ok(Made { order, at_once, inner })
    }

    /// What a statement does in one step of a tile: loops along the directions, the last one innermost. Where a direction is
    /// cut, that of lanes and that of copies count as its tiles do, so that their strips are not cut.
    fn step(&self, scop: &Scop, s: usize, names: &mut Names) -> isl::Result<(Node, (Strips, Strips))> {
        let one = &self.space.stmts[s];
        let (mut members, mut lanes, mut rows) = (Vec::new(), None, None);
        for (at, place) in one.places.iter().enumerate() {
            let Some((dim, own)) = &place.along else { continue };
            let name = names.fresh(own.name.clone());
            let is_parallelogram = at > 0 || self.backward.is_none();
            let is_boxed = at + 2 >= self.space.rank && self.sizes.along[at].is_some() && is_parallelogram;
            let value = if is_boxed { self.at(s, &self.forward[at]) } else { one.dims[*dim].clone() };
            let text = format!("{{ {} -> [({value})] }}", one.tuple(scop));
            members.push(member(scop, &name, &text)?);
            let extent = own.extent.unwrap_or(0);
            if at + 1 == self.space.rank && self.free[s] && extent >= i64::from(self.sizes.lanes) {
                lanes = Some((name, self.sizes.lanes));
            } else if at + 2 == self.space.rank {
                rows = self
                    .sizes
                    .rows
                    .filter(|&by| is_boxed && self.free[s] && extent >= i64::from(by))
                    .map(|by| (name, by));
            }
        }
        if members.is_empty() {
            return Ok((Node::Leaf, (None, None)));
        }
        let band = Band { members, permutable: false, child: Box::new(Node::Leaf) };
        Ok((Node::Band(band), (lanes, rows)))
    }

    /// The step of the instances of a statement.
    fn step_of(&self, s: usize) -> &str {
        let one = &self.space.stmts[s];
        &one.dims[one.time]
    }

    /// The value of a hyperplane for the instances of a statement.
    fn at(&self, s: usize, plane: &Hyperplane) -> String {
        let one = &self.space.stmts[s];
        let mut constant = plane.shifts[s];
        let mut text = format!("{}{}", plane.time, one.dims[one.time]);
        for (place, by) in one.places.iter().zip(&plane.places).filter(|(_, by)| **by != 0) {
            constant += by * place.constant;
            if let Some((dim, _)) = &place.along {
                text += &format!(" + {by}{}", one.dims[*dim]);
            }
        }
        format!("{text} + {constant}")
    }

    fn member(&self, scop: &Scop, name: &str, value: impl Fn(usize) -> String) -> isl::Result<Member> {
        let one = |s: usize| format!("{} -> [({})]", self.space.stmts[s].tuple(scop), value(s));
        let all: Vec<String> = (0..self.space.stmts.len()).map(one).collect();
        member(scop, name, &format!("{{ {} }}", all.join("; ")))
    }

    /// What a direction is called: as the loop along it of the first statement that has one.
    fn name_of(&self, scop: &Scop, at: usize) -> String {
        let dim = |one: &InSpace| Some(scop.stmts[one.id].dims[one.places[at].along.as_ref()?.0].clone());
        self.space.stmts.iter().find_map(dim).unwrap_or_else(|| format!("x{at}"))
    }
}

fn member(scop: &Scop, name: &str, text: &str) -> isl::Result<Member> {
    let schedule = isl::UnionPwAff::read(&scop.ctx, &with_params(scop, text))?;
    Ok(Member { name: name.to_string(), schedule, coincident: false, kind: Kind::Sequential })
}

fn tiled(value: &str, by: i64) -> String {
    format!("floor(({value})/{by})")
}

/// Loops of other nests keep their names.
fn others(scop: &Scop, tiles: &Tiles<'_>) -> BTreeSet<String> {
    let own: BTreeSet<&str> = tiles
        .space
        .stmts
        .iter()
        .flat_map(|one| one.places.iter())
        .filter_map(|place| Some(place.along.as_ref()?.1.name.as_str()))
        .chain([tiles.space.time.as_str()])
        .collect();
    scop.tree
        .root
        .members()
        .iter()
        .map(|member| member.name.clone())
        .filter(|name| !own.contains(name.as_str()))
        .collect()
}

/// Names of loops, each once.
struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    fn fresh(&mut self, wanted: String) -> String {
        let numbered = (2..).map(|n| format!("{wanted}{n}"));
        let name = std::iter::once(wanted.clone()).chain(numbered).find(|name| !self.taken.contains(name));
        let name = name.expect("there is always another number");
        self.taken.insert(name.clone());
        name
    }
}
