//! The largest iterations of a tree whose data fits a cache.

use super::at_sizes;
use super::lines::{Lines, TensorLines};
use crate::count::count;
use crate::footprint::times;
use crate::{Band, Node, Scop, isl};

/// Iterations of one place of the tree that are held in a cache as a whole.
pub(super) struct Chunks {
    /// From the instances to the chunk that they run in: values of members and positions in sequences from the root on,
    /// then zeros up to the length that all chunks of the program have.
    pub times: isl::UnionMap,
    /// The last coordinate that is a member's value.
    pub member: Option<usize>,
    /// Bytes of the lines that a chunk touches, on average.
    pub bytes: f64,
}

/// A place on the way down the tree.
#[derive(Clone)]
struct Here<'a> {
    /// What runs in one iteration.
    below: Below<'a>,
    instances: isl::UnionSet,
    rows: Vec<isl::UnionPwAff>,
    member: Option<usize>,
}

#[derive(Clone)]
enum Below<'a> {
    Node(&'a Node),
    /// The members of a band from that one on, then its child.
    Members(&'a Band, usize),
}

/// Cuts a program into chunks that fit `capacity` bytes; those of a leaf may not.
pub(super) fn chunks(scop: &Scop, lines: &Lines, capacity: u64) -> isl::Result<Vec<Chunks>> {
    let whole = Here {
        below: Below::Node(&scop.tree.root),
        instances: scop.tree.domain.clone(),
        rows: Vec::new(),
        member: None,
    };
    let mut found = Vec::new();
    cut(scop, lines, capacity as f64, whole, &mut found)?;
    let depth = found.iter().map(|(here, _)| here.rows.len()).max().unwrap_or(0);
    found.into_iter().map(|(here, bytes)| here.into_chunks(scop, lines, depth, bytes)).collect()
}

fn cut<'a>(
    scop: &Scop,
    lines: &Lines,
    capacity: f64,
    here: Here<'a>,
    found: &mut Vec<(Here<'a>, f64)>,
) -> isl::Result<()> {
    let times = at_sizes(&times(&here.instances, &here.rows)?, scop, &lines.sizes)?;
    if times.is_empty()? {
        return Ok(());
    }
    let bytes = average_bytes(&times, lines)?;
    let inside = if bytes <= capacity { Vec::new() } else { here.inside()? };
    if inside.is_empty() {
        found.push((here, bytes));
        return Ok(());
    }
    inside.into_iter().try_for_each(|here| cut(scop, lines, capacity, here, found))
}

/// Bytes of the lines that one iteration touches, on average over the iterations.
fn average_bytes(times: &isl::UnionMap, lines: &Lines) -> isl::Result<f64> {
    let iterations = count(&times.range()?.as_set()?)?.value().max(1);
    let mut bytes = 0.0;
    for tensor in &lines.tensors {
        if let Some(map) = footprint(times, &tensor.touched)? {
            bytes += count(&map.wrap()?)?.value() as f64 * tensor.bytes as f64;
        }
    }
    Ok(bytes / iterations as f64)
}

/// `{ time -> line }`, when anything is touched.
pub(super) fn footprint(times: &isl::UnionMap, lines: &isl::UnionMap) -> isl::Result<Option<isl::Map>> {
    let map = times.reverse()?.apply_range(lines)?;
    if map.is_empty()? { Ok(None) } else { Ok(Some(map.as_map()?.coalesce()?)) }
}

impl TensorLines {
    /// `{ time -> line touched }` and `{ time -> line written }`.
    pub fn footprints(&self, times: &isl::UnionMap) -> isl::Result<(Option<isl::Map>, Option<isl::Map>)> {
        Ok((footprint(times, &self.touched)?, footprint(times, &self.written)?))
    }
}

impl<'a> Here<'a> {
    /// The places one step further in; none at a leaf.
    fn inside(&self) -> isl::Result<Vec<Here<'a>>> {
        match self.below {
            Below::Members(band, next) if next < band.members.len() => {
                let mut rows = self.rows.clone();
                rows.push(band.members[next].schedule.clone());
                let member = Some(rows.len() - 1);
                Ok(vec![Here { below: Below::Members(band, next + 1), rows, member, ..self.clone() }])
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
                    Ok(Here { below: Below::Node(&child.node), instances, rows, member: self.member })
                };
                children.iter().enumerate().map(one).collect()
            }
        }
    }

    fn at(&self, node: &'a Node) -> Here<'a> {
        Here { below: Below::Node(node), ..self.clone() }
    }

    fn into_chunks(self, scop: &Scop, lines: &Lines, depth: usize, bytes: f64) -> isl::Result<Chunks> {
        let zero = self.instances.constant(&isl::Val::int(self.instances.ctx(), 0)?)?;
        let mut rows = self.rows;
        rows.resize(depth, zero);
        let times = at_sizes(&times(&self.instances, &rows)?, scop, &lines.sizes)?;
        Ok(Chunks { times, member: self.member, bytes })
    }
}
