//! Time in grains: the largest iterations of a tree that are small beside a cache.

use super::at_sizes;
use super::lines::Lines;
use crate::count::count;
use crate::footprint::{coalesced, times};
use crate::{Band, Node, Scop, isl};

/// Iterations of the tree that are small beside a cache.
pub(super) struct Grains {
    /// From the instances to the grain that they run in: values of members and positions in sequences from the root on,
    /// then zeros up to the length that all grains of the program have.
    pub times: isl::UnionMap,
    /// Coordinates of a time.
    pub depth: usize,
    /// The times of the grains of each place of the tree.
    pub parts: Vec<isl::Set>,
}

impl Grains {
    /// The prefixes of the times, of so many coordinates, by part; parts that have some in common are one.
    pub fn prefixes(&self, length: usize) -> isl::Result<Vec<isl::Set>> {
        let mut found: Vec<isl::Set> = Vec::new();
        for part in &self.parts {
            let mut prefix = part.project_out(isl::Dim::Set, length as u32, (self.depth - length) as u32)?;
            let mut apart = Vec::new();
            for known in found {
                if known.is_disjoint(&prefix)? {
                    apart.push(known);
                } else {
                    prefix = coalesced(&prefix.union(&known)?, isl::Set::coalesce)?;
                }
            }
            apart.push(prefix);
            found = apart;
        }
        Ok(found)
    }
}

/// A place on the way down the tree.
#[derive(Clone)]
struct Here<'a> {
    /// What runs in one iteration.
    below: Below<'a>,
    instances: isl::UnionSet,
    rows: Vec<isl::UnionPwAff>,
}

#[derive(Clone)]
enum Below<'a> {
    Node(&'a Node),
    /// The members of a band from that one on, then its child.
    Members(&'a Band, usize),
}

/// Cuts a program into grains that touch at most `limit` bytes on average; those of a leaf may touch more.
pub(super) fn grains(scop: &Scop, lines: &Lines, limit: u64) -> isl::Result<Grains> {
    let whole = Here { below: Below::Node(&scop.tree.root), instances: scop.tree.domain.clone(), rows: Vec::new() };
    let mut found = Vec::new();
    cut(scop, lines, limit as f64, whole, &mut found)?;
    let depth = found.iter().map(|here| here.rows.len()).max().unwrap_or(0);
    let mut grains = Grains { times: isl::UnionMap::empty(&scop.ctx)?, depth, parts: Vec::new() };
    for here in found {
        let times = here.times(scop, lines, depth)?;
        grains.parts.push(times.range()?.as_set()?);
        grains.times = grains.times.union(&times)?;
    }
    Ok(grains)
}

fn cut<'a>(scop: &Scop, lines: &Lines, limit: f64, here: Here<'a>, found: &mut Vec<Here<'a>>) -> isl::Result<()> {
    let times = here.times(scop, lines, here.rows.len())?;
    if times.is_empty()? {
        return Ok(());
    }
    let inside = if average_bytes(&times, lines)? <= limit { Vec::new() } else { here.inside()? };
    if inside.is_empty() {
        found.push(here);
        return Ok(());
    }
    inside.into_iter().try_for_each(|here| cut(scop, lines, limit, here, found))
}

/// Bytes of the lines that one iteration touches, on average over the iterations.
fn average_bytes(times: &isl::UnionMap, lines: &Lines) -> isl::Result<f64> {
    let iterations = count(&times.range()?.as_set()?)?.value().max(1);
    let mut bytes = 0.0;
    for tensor in &lines.tensors {
        let map = times.reverse()?.apply_range(&tensor.touched)?;
        if !map.is_empty()? {
            bytes += count(&map.as_map()?.wrap()?)?.value() as f64 * tensor.bytes as f64;
        }
    }
    Ok(bytes / iterations as f64)
}

impl<'a> Here<'a> {
    /// The places one step further in; none at a leaf.
    fn inside(&self) -> isl::Result<Vec<Here<'a>>> {
        match self.below {
            Below::Members(band, next) if next < band.members.len() => {
                let mut rows = self.rows.clone();
                rows.push(band.members[next].schedule.clone());
                Ok(vec![Here { below: Below::Members(band, next + 1), rows, ..self.clone() }])
            }
            Below::Members(band, _) => self.at(&band.child).inside(),
            Below::Node(Node::Leaf) => Ok(Vec::new()),
            Below::Node(Node::Mark { child, .. }) => self.at(child).inside(),
            Below::Node(Node::Band(band)) => Here { below: Below::Members(band, 0), ..self.clone() }.inside(),
            Below::Node(Node::Sequence(children) | Node::Set(children)) => {
                let one = |(at, child): (usize, &'a crate::Filtered)| -> isl::Result<Here<'a>> {
                    let instances = self.instances.intersect(&child.filter)?;
                    let mut rows = self.rows.clone();
                    rows.push(instances.constant(&isl::Val::int(instances.ctx(), at as i64)?)?);
                    Ok(Here { below: Below::Node(&child.node), instances, rows })
                };
                children.iter().enumerate().map(one).collect()
            }
        }
    }

    fn at(&self, node: &'a Node) -> Here<'a> {
        Here { below: Below::Node(node), ..self.clone() }
    }

    /// From the instances to the iterations here, at fixed sizes; with zeros up to `depth` coordinates.
    fn times(&self, scop: &Scop, lines: &Lines, depth: usize) -> isl::Result<isl::UnionMap> {
        let mut rows = self.rows.clone();
        rows.resize(depth, self.instances.constant(&isl::Val::int(self.instances.ctx(), 0)?)?);
        at_sizes(&times(&self.instances, &rows)?, scop, &lines.sizes)
    }
}
