//! How many threads a block gets.

use polyhedral::{Axis, Member, Node, isl};
use support::{Gpu, Remark};

/// Threads of a block in dimension x, y and z for the loops of a kernel: as many as the longest loop on the axis has
/// iterations, within the limits of the device. A loop that is longer is run in strides.
pub(crate) fn threads(
    kernel: &Node,
    reach: &isl::UnionSet,
    outer: &[Member],
    gpu: &Gpu,
    remarks: &mut Vec<Remark>,
) -> isl::Result<[i64; 3]> {
    let mut loops = Vec::new();
    gather(kernel, reach, &mut outer.to_vec(), &mut loops)?;
    let mut threads = [1; 3];
    let mut left = gpu.threads;
    for (at, threads) in (0u8..).zip(&mut threads) {
        let own = loops.iter().filter(|one| one.axis == Axis::Thread(at));
        let longest = own.clone().map(|one| one.length.unwrap_or(i64::MAX)).max().unwrap_or(1);
        let wanted = if longest == i64::MAX { gpu.usual_threads } else { longest };
        *threads = wanted.clamp(1, left.min(gpu.block[usize::from(at)]).max(1));
        left /= *threads;
        for one in own.filter(|one| one.length.is_none_or(|length| length > *threads)) {
            let why = format!("{threads} threads run it in strides: the block has no more");
            remarks.push(Remark::new("gpu-mapper", &one.name, "not one iteration per thread", why));
        }
    }
    Ok(threads)
}

/// A loop on an axis.
struct Bound {
    name: String,
    axis: Axis,
    /// Iterations at most, when that is known.
    length: Option<i64>,
}

fn gather(node: &Node, reach: &isl::UnionSet, outer: &mut Vec<Member>, found: &mut Vec<Bound>) -> isl::Result<()> {
    let depth = outer.len();
    match node {
        Node::Leaf => {}
        Node::Mark { child, .. } => gather(child, reach, outer, found)?,
        Node::Band(band) => {
            for member in &band.members {
                if let Some(axis) = member.kind.axis() {
                    found.push(Bound { name: member.name.clone(), axis, length: length(member, outer, reach)? });
                }
                outer.push(member.clone());
            }
            gather(&band.child, reach, outer, found)?;
        }
        Node::Sequence(children) | Node::Set(children) => {
            for child in children {
                gather(&child.node, &reach.intersect(&child.filter)?, outer, found)?;
            }
        }
    }
    outer.truncate(depth);
    Ok(())
}

/// From the first to the last iteration of a loop inside of others.
pub(crate) fn length(member: &Member, outer: &[Member], reach: &isl::UnionSet) -> isl::Result<Option<i64>> {
    let own = values(std::slice::from_ref(member), reach)?;
    let around = values(outer, reach)?;
    let together = around.reverse()?.apply_range(&own)?;
    let apart = together.reverse()?.apply_range(&together)?.deltas()?;
    if apart.is_empty()? {
        return Ok(Some(0));
    }
    let farthest = apart.as_set()?.dim_max_val(0)?;
    Ok(if farthest.is_int()? { farthest.to_i64()?.checked_add(1) } else { None })
}

/// From instances to a constant and then the values of loops.
fn values(members: &[Member], instances: &isl::UnionSet) -> isl::Result<isl::UnionMap> {
    let none = instances.constant(&isl::Val::int(instances.ctx(), 0)?)?.to_union_map()?;
    match members {
        [only] => only.schedule.intersect_domain(instances)?.to_union_map(),
        members => members.iter().try_fold(none, |all, member| {
            all.flat_range_product(&member.schedule.intersect_domain(instances)?.to_union_map()?)
        }),
    }
}
