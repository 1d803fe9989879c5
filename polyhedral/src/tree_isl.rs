//! Our trees as isl's, and back: the one place that knows both; and the map that a tree stands for.

use std::collections::BTreeSet;

use crate::{Band, Filtered, Kind, Member, Node, ScheduleTree, Scop, Tiling, isl};

impl ScheduleTree {
    /// When each instance runs: a relation from the instances to one common space of times, the band members and the
    /// positions in sequences and sets on the way from the root, padded with zeros.
    ///
    /// Kinds do not count: members of every kind are taken one iteration after the other.
    pub fn to_map(&self) -> isl::Result<isl::UnionMap> {
        let mut leaves = Vec::new();
        collect_leaves(&self.root, &self.domain, &mut Vec::new(), &mut leaves)?;
        let depth = leaves.iter().map(|leaf| leaf.rows.len()).max().unwrap_or(0).max(1);
        let maps = leaves.iter().map(|leaf| leaf.to_map(depth)).collect::<isl::Result<_>>()?;
        isl::UnionMap::union_of(self.domain.ctx(), maps)
    }

    /// As isl's schedule. Names and kinds of members stay behind.
    pub fn to_isl(&self) -> isl::Result<isl::Schedule> {
        let leaf = isl::Schedule::from_domain(&self.domain)?.root()?.child(0)?;
        insert(&leaf, &self.root)?.schedule()
    }

    /// The tree of an isl schedule for `scop`. A member is named after the first statement below it and the dimension
    /// that it is (`C.update.m`), or `t0`, `t1`, … by depth when it is none; a second member of that name gets a
    /// number.
    ///
    /// # Errors
    /// [`isl::Error::Refused`] for a node that [`Node`] does not know.
    pub fn from_isl(schedule: &isl::Schedule, scop: &Scop) -> isl::Result<ScheduleTree> {
        let domain = schedule.domain()?;
        let root = schedule.root()?.child(0)?;
        let mut reader = Reader { scop, taken: BTreeSet::new() };
        Ok(ScheduleTree { root: reader.node(&root, &domain, 0)?, domain })
    }
}

/// A leaf: the instances that reach it, and what orders them.
struct Leaf {
    instances: isl::UnionSet,
    rows: Vec<isl::UnionPwAff>,
}

impl Leaf {
    fn to_map(&self, depth: usize) -> isl::Result<isl::UnionMap> {
        let zero = self.instances.constant(&isl::Val::int(self.instances.ctx(), 0)?)?;
        let rows = self.rows.iter().chain(std::iter::repeat(&zero)).take(depth);
        let mut map: Option<isl::UnionMap> = None;
        for row in rows {
            let row = row.to_union_map()?;
            map = Some(match map {
                Some(map) => map.flat_range_product(&row)?,
                None => row,
            });
        }
        map.map_or_else(|| isl::UnionMap::empty(self.instances.ctx()), |map| map.intersect_domain(&self.instances))
    }
}

fn collect_leaves(
    node: &Node,
    instances: &isl::UnionSet,
    rows: &mut Vec<isl::UnionPwAff>,
    leaves: &mut Vec<Leaf>,
) -> isl::Result<()> {
    let before = rows.len();
    match node {
        Node::Leaf => leaves.push(Leaf { instances: instances.clone(), rows: rows.clone() }),
        Node::Mark { name, child } => {
            refuse_tiling(name)?;
            collect_leaves(child, instances, rows, leaves)?;
        }
        Node::Band(band) => {
            rows.extend(band.members.iter().map(|member| member.schedule.clone()));
            collect_leaves(&band.child, instances, rows, leaves)?;
        }
        Node::Sequence(children) | Node::Set(children) => {
            for (at, child) in children.iter().enumerate() {
                let instances = instances.intersect(&child.filter)?;
                rows.push(instances.constant(&isl::Val::int(instances.ctx(), at as i64)?)?);
                collect_leaves(&child.node, &instances, rows, leaves)?;
                rows.pop();
            }
        }
    }
    rows.truncate(before);
    Ok(())
}

fn refuse_tiling(mark: &str) -> isl::Result<()> {
    if Tiling::is_mark(mark) {
        return Err(isl::Error::Refused(format!("the order of `{mark}` is not affine; tiles of such sizes come last")));
    }
    Ok(())
}

/// Puts `ours` in the place of a leaf; the result is at the same place.
fn insert(leaf: &isl::ScheduleNode, ours: &Node) -> isl::Result<isl::ScheduleNode> {
    match ours {
        Node::Leaf => Ok(leaf.clone()),
        Node::Mark { name, child } => {
            refuse_tiling(name)?;
            insert(&leaf.insert_mark(name)?.child(0)?, child)?.parent()
        }
        Node::Band(band) => insert(&insert_band(leaf, band)?.child(0)?, &band.child)?.parent(),
        Node::Sequence(children) => insert_children(&leaf.insert_sequence(&filters(children))?, children),
        Node::Set(children) => insert_children(&leaf.insert_set(&filters(children))?, children),
    }
}

fn insert_band(leaf: &isl::ScheduleNode, band: &Band) -> isl::Result<isl::ScheduleNode> {
    let mut node = leaf.insert_partial_schedule(&band.rows()?)?.band_set_permutable(band.permutable.into())?;
    for (at, member) in band.members.iter().enumerate() {
        node = node.band_member_set_coincident(at as i32, member.coincident.into())?;
    }
    Ok(node)
}

fn filters(children: &[Filtered]) -> Vec<isl::UnionSet> {
    children.iter().map(|child| child.filter.clone()).collect()
}

fn insert_children(parent: &isl::ScheduleNode, children: &[Filtered]) -> isl::Result<isl::ScheduleNode> {
    children.iter().enumerate().try_fold(parent.clone(), |node, (at, child)| {
        insert(&node.child(at as i32)?.child(0)?, &child.node)?.parent()?.parent()
    })
}

impl Band {
    /// The members' functions as the rows of one partial schedule.
    pub fn rows(&self) -> isl::Result<isl::MultiUnionPwAff> {
        let mut rows = self.members.iter().map(|member| member.schedule.to_multi());
        let first = rows.next().ok_or(isl::Error::Text("a band without members"))??;
        rows.try_fold(first, |all, row| all.flat_range_product(&row?))
    }
}

/// Reads isl's trees.
struct Reader<'a> {
    scop: &'a Scop,
    taken: BTreeSet<String>,
}

impl Reader<'_> {
    fn node(&mut self, node: &isl::ScheduleNode, instances: &isl::UnionSet, depth: usize) -> isl::Result<Node> {
        match node.node_type()? {
            isl::NodeType::Leaf => Ok(Node::Leaf),
            isl::NodeType::Mark => {
                let child = Box::new(self.node(&node.child(0)?, instances, depth)?);
                Ok(Node::Mark { name: node.mark()?, child })
            }
            isl::NodeType::Sequence => Ok(Node::Sequence(self.children(node, instances, depth)?)),
            isl::NodeType::Set => Ok(Node::Set(self.children(node, instances, depth)?)),
            isl::NodeType::Band => self.band(node, instances, depth),
            isl::NodeType::Filter => self.node(&node.child(0)?, &instances.intersect(&node.filter()?)?, depth),
            other => Err(isl::Error::Refused(format!("a {other:?} node has no place in a schedule tree"))),
        }
    }

    fn children(
        &mut self,
        node: &isl::ScheduleNode,
        instances: &isl::UnionSet,
        depth: usize,
    ) -> isl::Result<Vec<Filtered>> {
        let one = |at: u32| -> isl::Result<Filtered> {
            let child = node.child(at as i32)?;
            let filter = instances.intersect(&child.filter()?)?;
            Ok(Filtered { node: self.node(&child.child(0)?, &filter, depth)?, filter })
        };
        (0..node.n_children()?).map(one).collect()
    }

    fn band(&mut self, node: &isl::ScheduleNode, instances: &isl::UnionSet, depth: usize) -> isl::Result<Node> {
        let rows = node.band_partial_schedule()?;
        let n = node.band_n_member()?;
        let mut members = Vec::new();
        for at in 0..n {
            let schedule = rows.at(at as i32)?.intersect_domain(instances)?;
            let name = self.name(&schedule, depth + at as usize)?;
            let coincident = node.band_member_coincident(at as i32)?;
            members.push(Member { name, schedule, coincident, kind: Kind::Sequential });
        }
        let child = self.node(&node.child(0)?, instances, depth + n as usize)?;
        if members.is_empty() {
            return Ok(child);
        }
        Ok(Node::Band(Band { members, permutable: node.band_permutable()?, child: Box::new(child) }))
    }

    fn name(&mut self, schedule: &isl::UnionPwAff, depth: usize) -> isl::Result<String> {
        let functions = schedule.pw_affs()?;
        let first = self.scop.stmts.values().find_map(|stmt| {
            let function = functions
                .iter()
                .find(|pw| pw.space().is_ok_and(|space| space.tuple_name(isl::Dim::In) == stmt.name))?;
            Some((stmt, function))
        });
        let base = match first {
            Some((stmt, function)) => match dimension_of(function, stmt.dims.len())? {
                Some(dim) => format!("{}.{}", stmt.name, stmt.dims[dim]),
                None => format!("{}.t{depth}", stmt.name),
            },
            None => format!("t{depth}"),
        };
        let numbered = (2..).map(|n| format!("{base}_{n}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !self.taken.contains(name));
        let name = name.expect("the numbers do not end");
        self.taken.insert(name.clone());
        Ok(name)
    }
}

/// The dimension that a function is, plus a constant at most; `None` when it is another function.
fn dimension_of(function: &isl::PwAff, dims: usize) -> isl::Result<Option<usize>> {
    let pieces = function.pieces()?;
    let [(_, aff)] = pieces.as_slice() else { return Ok(None) };
    let terms = aff.terms()?;
    let used: Vec<usize> = (0..dims).filter(|&dim| terms.dims.get(dim).copied().unwrap_or(0) != 0).collect();
    let [dim] = used.as_slice() else { return Ok(None) };
    let plain = terms.denominator == 1 && terms.dims[*dim] == 1 && terms.floors.is_empty();
    Ok((plain && terms.params.iter().all(|&c| c == 0)).then_some(*dim))
}
