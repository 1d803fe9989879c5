//! Putting new instances into a tree, inside of a loop or around it.

use polyhedral::{Band, Filtered, Member, Node, ScheduleTree, isl};

use crate::place;

/// New instances for a place in the tree: their order there, and the values of the loops around.
pub(super) struct Insertion {
    /// The instances.
    pub(super) instances: isl::UnionSet,
    /// Their order.
    pub(super) node: Node,
    /// `S[…] -> [t0, …]`, for as many loops, from the outermost on, as are around the place.
    pub(super) values: isl::UnionMap,
}

/// Where in the body or around the loop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// At the beginning of each iteration.
    Inside,
    /// Before the loop, in each iteration of the loops around it.
    Before,
    /// After the loop, likewise.
    After,
}

/// The tree with new instances at the loop; its domain is the caller's to widen.
pub(super) fn insert(tree: &ScheduleTree, member: &str, side: Side, new: Insertion) -> isl::Result<Node> {
    Inserting { member, side, new }.node(&tree.root, &tree.domain, 0)
}

struct Inserting<'a> {
    member: &'a str,
    side: Side,
    new: Insertion,
}

impl Inserting<'_> {
    /// A node on the way to the loop, which `reach` gets to, with `depth` loops around it.
    fn node(&self, node: &Node, reach: &isl::UnionSet, depth: usize) -> isl::Result<Node> {
        Ok(match node {
            Node::Leaf => Node::Leaf,
            Node::Mark { name, child } => {
                Node::Mark { name: name.clone(), child: Box::new(self.node(child, reach, depth)?) }
            }
            Node::Sequence(children) => Node::Sequence(self.children(children, reach, depth)?),
            Node::Set(children) => Node::Set(self.children(children, reach, depth)?),
            Node::Band(band) => match place::position(band, self.member) {
                Some(at) if self.side == Side::Inside => self.inside(band, at, reach, depth)?,
                Some(at) => self.around(band, at, reach, depth)?,
                None => {
                    let members = self.widened(&band.members, depth)?;
                    let child = Box::new(self.node(&band.child, reach, depth + band.members.len())?);
                    Node::Band(Band { members, permutable: false, child })
                }
            },
        })
    }

    fn children(&self, children: &[Filtered], reach: &isl::UnionSet, depth: usize) -> isl::Result<Vec<Filtered>> {
        let mut all = Vec::with_capacity(children.len() + 1);
        for child in children {
            if place::path_to(&child.node, self.member).is_none() {
                all.push(child.clone());
                continue;
            }
            let node = self.node(&child.node, &reach.intersect(&child.filter)?, depth)?;
            all.extend(place::as_sequence(child.filter.union(&self.new.instances)?, node)?);
        }
        Ok(all)
    }

    /// `band [a, LOOP, b] child   ->   band [a, LOOP] sequence { new; band [b] child }`
    fn inside(&self, band: &Band, at: usize, reach: &isl::UnionSet, depth: usize) -> isl::Result<Node> {
        let (outer, inner) = band.members.split_at(at + 1);
        let old = place::as_sequence(reach.clone(), band_of(inner, &band.child))?;
        let child = Node::Sequence(self.filtered()?.into_iter().chain(old).collect());
        Ok(band_of(&self.widened(outer, depth)?, &child))
    }

    /// `band [a, LOOP, b] child   ->   band [a] sequence { new; band [LOOP, b] child }`
    fn around(&self, band: &Band, at: usize, reach: &isl::UnionSet, depth: usize) -> isl::Result<Node> {
        let (outer, inner) = band.members.split_at(at);
        let old = vec![Filtered { filter: reach.clone(), node: band_of(inner, &band.child) }];
        let new = self.filtered()?;
        let children = if self.side == Side::Before { [new, old] } else { [old, new] }.concat();
        Ok(band_of(&self.widened(outer, depth)?, &Node::Sequence(children)))
    }

    fn filtered(&self) -> isl::Result<Vec<Filtered>> {
        place::as_sequence(self.new.instances.clone(), self.new.node.clone())
    }

    /// The members with the values of the new instances; `depth` loops are around the first of them.
    fn widened(&self, members: &[Member], depth: usize) -> isl::Result<Vec<Member>> {
        let widened = |(at, member): (usize, &Member)| {
            let schedule = member.schedule.union_add(&component(&self.new.values, depth + at)?)?;
            Ok(Member { schedule, ..member.clone() })
        };
        members.iter().enumerate().map(widened).collect()
    }
}

fn band_of(members: &[Member], child: &Node) -> Node {
    match members {
        [] => child.clone(),
        members => Node::Band(Band { members: members.to_vec(), permutable: false, child: Box::new(child.clone()) }),
    }
}

/// Component `at` of a single-valued relation.
pub(super) fn component(values: &isl::UnionMap, at: usize) -> isl::Result<isl::UnionPwAff> {
    values.maps()?.iter().try_fold(isl::UnionPwAff::empty(values.ctx())?, |all, map| {
        all.union_add(&map.to_pw_multi_aff()?.at(at as i32)?.to_union_pw_aff()?)
    })
}
