//! Tiles whose sizes are parameters: the loops over their origins.
//!
//! An origin is no function of an instance that sets could say. It is a coordinate of its own instead, with all integers
//! `o` from the loop's first value on for which the loop's value is in `o .. o + size`. isl makes a loop over all of them,
//! and the instances inside are right for each; the loop is then run in steps of the size, from the first one.

use std::collections::BTreeMap;

use polyhedral::{Band, Filtered, Index, Kind, Member, Node, Scop, Tiled, Tiling, isl};

use super::{Error, malformed};

/// A loop over origins.
pub(super) struct Origin {
    /// The parameter that is the size of the tiles.
    pub(super) size: usize,
    /// From the instances to the first value of the loop.
    first: isl::UnionMap,
}

impl Origin {
    /// From instances of one statement, where the loop has the value `own`, to the origins of tiles that they are in.
    pub(super) fn of(&self, scop: &Scop, set: &isl::Set, own: &isl::PwAff) -> Result<isl::Map, Error> {
        let params = scop.param_space()?;
        let first = self.first.intersect_domain(&set.to_union_set()?)?.as_map()?.align_params(&params)?;
        let any = set.space()?.map_to_one()?.intersect_domain(set)?;
        // Of each instance: the loop's value, its first value, an origin.
        let all = own.to_map()?.intersect_domain(set)?.flat_range_product(&first)?.flat_range_product(&any)?;
        let (value, first, origin) = (Index::Dim(0), Index::Dim(1), Index::Dim(2));
        let space = params.set_from_params()?.add_dims(isl::Dim::Set, 3)?;
        let mut inside = space.universe_set()?;
        for distance in
            [origin.clone() - first, value.clone() - origin.clone(), origin + Index::Param(self.size) - 1 - value]
        {
            inside = inside.intersect(&distance.to_pw_aff(&space)?.nonneg_set()?)?;
        }
        Ok(all.intersect_range(&inside)?.project_out(isl::Dim::Out, 0, 2)?)
    }
}

/// The tree with a band of the loops over origins in the place of each mark, and what these loops are, by name.
pub(super) fn with_origins(scop: &Scop) -> Result<(Node, BTreeMap<String, Origin>), Error> {
    let mut expansion = Expansion { scop, origins: BTreeMap::new() };
    let root = expansion.node(&scop.tree.root, &scop.tree.domain, &mut Vec::new())?;
    Ok((root, expansion.origins))
}

struct Expansion<'a> {
    scop: &'a Scop,
    origins: BTreeMap<String, Origin>,
}

impl Expansion<'_> {
    fn node(&mut self, node: &Node, instances: &isl::UnionSet, outer: &mut Vec<Member>) -> Result<Node, Error> {
        let depth = outer.len();
        let node = match node {
            Node::Leaf => Node::Leaf,
            Node::Mark { name, child } if Tiling::is_mark(name) => self.tiles(name, child, instances, outer)?,
            Node::Mark { name, child } => {
                Node::Mark { name: name.clone(), child: Box::new(self.node(child, instances, outer)?) }
            }
            Node::Band(band) => {
                outer.extend(band.members.iter().cloned());
                Node::Band(Band { child: Box::new(self.node(&band.child, instances, outer)?), ..band.clone() })
            }
            Node::Sequence(children) => Node::Sequence(self.children(children, instances, outer)?),
            Node::Set(children) => Node::Set(self.children(children, instances, outer)?),
        };
        outer.truncate(depth);
        Ok(node)
    }

    fn children(
        &mut self,
        children: &[Filtered],
        instances: &isl::UnionSet,
        outer: &mut Vec<Member>,
    ) -> Result<Vec<Filtered>, Error> {
        let one = |child: &Filtered| {
            let inside = instances.intersect(&child.filter)?;
            Ok(Filtered { filter: child.filter.clone(), node: self.node(&child.node, &inside, outer)? })
        };
        children.iter().map(one).collect()
    }

    fn tiles(
        &mut self,
        mark: &str,
        child: &Node,
        instances: &isl::UnionSet,
        outer: &mut Vec<Member>,
    ) -> Result<Node, Error> {
        let no_tiles = || malformed(mark, "is not of loops of the band below it");
        let tiling = Tiling::of_mark(mark).ok_or_else(no_tiles)?;
        let band = tiling.band(child).ok_or_else(no_tiles)?;
        let values = values_of(instances, outer)?;
        let mut members = Vec::new();
        for Tiled { origin, member, size } in &tiling.loops {
            let tiled = band.members.iter().find(|own| own.name == *member).ok_or_else(no_tiles)?;
            let size = self.scop.params.iter().position(|name| name == size);
            let size = size.ok_or_else(|| malformed(mark, "has a size that is no parameter"))?;
            let own = tiled.schedule.intersect_domain(instances)?.to_union_map()?;
            let first = values.apply_range(&values.reverse()?.apply_range(&own)?.lexmin()?)?;
            let name = self.fresh(origin);
            members.push(Member { name: name.clone(), kind: Kind::Sequential, ..tiled.clone() });
            self.origins.insert(name, Origin { size, first });
        }
        Ok(Node::Band(Band { members, permutable: false, child: Box::new(self.node(child, instances, outer)?) }))
    }

    /// A name that no loop has: parts of trees may have been copied with their marks.
    fn fresh(&self, origin: &str) -> String {
        let taken = |name: &str| self.origins.contains_key(name) || self.scop.tree.member(name).is_some();
        let numbered = (2u64..).map(|number| format!("{origin}{number}"));
        let mut names = std::iter::once(origin.to_string()).chain(numbered);
        names.find(|name| !taken(name)).expect("a tree has finitely many names")
    }
}

/// From the instances to a constant and then the values of the members.
fn values_of(instances: &isl::UnionSet, members: &[Member]) -> isl::Result<isl::UnionMap> {
    let none = instances.constant(&isl::Val::int(instances.ctx(), 0)?)?.to_union_map()?;
    members.iter().try_fold(none, |all, member| {
        all.flat_range_product(&member.schedule.intersect_domain(instances)?.to_union_map()?)
    })
}
