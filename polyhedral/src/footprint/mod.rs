//! What a place of the schedule touches: exact sets of elements, and the boxes around them.
//!
//! ```text
//! place     = the whole program | one iteration of a member, all members around it fixed
//! touched   : [t0, …, tk] -> T[elements]     t0 … tk the values of the members, outermost first
//! hull      : the smallest box of constant extents, from lower bounds over t0 … tk and the parameters
//! ```
//!
//! The sets are isl's and exact, but for indirect subscripts, which may be any of the tensor's.

mod hull;
#[cfg(test)]
mod tests;

pub use hull::{BoxHull, hull};

use crate::{Node, Scop, StmtId, isl};

/// A place in a schedule tree: the whole program, or one iteration of a member.
#[derive(Clone, Debug)]
pub struct Place {
    /// The members around it, outermost first, its own the last.
    pub members: Vec<String>,
    instances: isl::UnionSet,
    rows: Vec<isl::UnionPwAff>,
}

impl Place {
    /// The whole program.
    pub fn whole(scop: &Scop) -> Place {
        Place { members: Vec::new(), instances: scop.tree.domain.clone(), rows: Vec::new() }
    }

    /// One iteration of a member; `None` when the tree has no such member.
    ///
    /// # Errors
    /// When isl fails.
    pub fn iteration(scop: &Scop, member: &str) -> isl::Result<Option<Place>> {
        find(&scop.tree.root, Place::whole(scop), member)
    }

    /// The instances that run here, over all iterations.
    pub fn instances(&self) -> &isl::UnionSet {
        &self.instances
    }

    /// The values of the member of an instance that runs here; `None` for the whole program.
    pub fn member(&self) -> Option<&isl::UnionPwAff> {
        self.rows.last()
    }

    /// In which iteration an instance runs: `{ S[…] -> [t0, …, tk] }` on the instances that run here.
    ///
    /// # Errors
    /// When isl fails.
    pub fn prefix(&self) -> isl::Result<isl::UnionMap> {
        times(&self.instances, &self.rows)
    }
}

/// The elements that the given accesses touch in each iteration of a place, as one map for each tensor:
/// `{ [t0, …, tk] -> T[…] }`, in the coordinates of the source. An access is a statement and a number: reads first, then
/// writes, as [`Stmt::accesses`](crate::Stmt::accesses) lists them.
///
/// # Errors
/// When isl fails, or an access does not exist.
pub fn touched(scop: &Scop, place: &Place, accesses: &[(StmtId, usize)]) -> isl::Result<isl::UnionMap> {
    let mut all = isl::UnionMap::empty(&scop.ctx)?;
    for &(id, number) in accesses {
        let stmt = &scop.stmts[id];
        let access = stmt.accesses().nth(number).ok_or(isl::Error::Text("a statement has no access of that number"))?;
        all = all.union(&scop.relation(stmt, access)?.to_union_map()?)?;
    }
    coalesced(&place.prefix()?.reverse()?.apply_range(&all)?, isl::UnionMap::coalesce)
}

/// With fewer disjuncts where isl finds any. It refuses some sets ("total dimensionality changed unexpectedly", an error of
/// isl 0.27's own): those stay as they are.
pub(crate) fn coalesced<T: Clone>(object: &T, coalesce: impl FnOnce(&T) -> isl::Result<T>) -> isl::Result<T> {
    match coalesce(object) {
        Err(isl::Error::Refused(_)) => Ok(object.clone()),
        other => other,
    }
}

/// `{ S[…] -> [row…] }` on the instances.
pub(crate) fn times(instances: &isl::UnionSet, rows: &[isl::UnionPwAff]) -> isl::Result<isl::UnionMap> {
    let mut map: Option<isl::UnionMap> = None;
    for row in rows {
        let row = row.to_union_map()?.intersect_domain(instances)?;
        map = Some(match map {
            Some(map) => map.flat_range_product(&row)?,
            None => row,
        });
    }
    match map {
        Some(map) => Ok(map),
        None => to_one_point(instances),
    }
}

/// `{ S[…] -> [] }`.
fn to_one_point(instances: &isl::UnionSet) -> isl::Result<isl::UnionMap> {
    instances.sets()?.iter().try_fold(isl::UnionMap::empty(instances.ctx())?, |all, set| {
        let map = set.identity()?.project_out(isl::Dim::Out, 0, set.dim(isl::Dim::Set)?)?;
        all.union(&map.to_union_map()?)
    })
}

fn find(node: &Node, mut place: Place, member: &str) -> isl::Result<Option<Place>> {
    match node {
        Node::Leaf => Ok(None),
        Node::Mark { child, .. } => find(child, place, member),
        Node::Band(band) => {
            for one in &band.members {
                place.members.push(one.name.clone());
                place.rows.push(one.schedule.clone());
                if one.name == member {
                    return Ok(Some(place));
                }
            }
            find(&band.child, place, member)
        }
        Node::Sequence(children) | Node::Set(children) => {
            for child in children {
                let instances = place.instances.intersect(&child.filter)?;
                if let Some(found) = find(&child.node, Place { instances, ..place.clone() }, member)? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        }
    }
}
