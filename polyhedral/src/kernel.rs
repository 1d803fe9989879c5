use std::fmt;

use crate::{Axis, Kind, Member, Node, ScheduleTree, Scop, Stmt, Tiling, isl};

/// What a mark says that has the part of the tree below it run as one kernel of a device: a grid of blocks, each of as
/// many threads. The loops around the mark are the host's, and each of their iterations is a launch.
///
/// ```text
/// mark "kernel of 16 x 16 x 1 threads"
///   band
///     C.mo = … bound block.y             mo is the block
///     C.no = … bound block.x             no likewise
///     C.ko = …                           every thread runs this loop
///       band
///         C.mi = … bound thread.y        thread y runs mi = y, y + 16, y + 32, …: those with mi mod 16 = y
///         C.ni = … bound thread.x
/// ```
///
/// An instance without a loop on an axis runs on the first block, or thread, of that axis. A statement that touches
/// nothing is a *barrier*: all threads of the block get there before one goes on.
///
/// As the mapping of Verdoolaege and others, Polyhedral Parallel Code Generation for CUDA (TACO 2013).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Threads of a block in dimension x, y and z.
    pub threads: [i64; 3],
}

/// What marks of kernels begin and end with.
const WORDS: [&str; 2] = ["kernel of ", " threads"];

impl Kernel {
    /// Whether a mark with this name is one of a kernel; [`Kernel::of_mark`] then reads it, if it is well formed.
    pub fn is_mark(name: &str) -> bool {
        name.starts_with(WORDS[0])
    }

    /// What a mark with this name says.
    pub fn of_mark(name: &str) -> Option<Kernel> {
        let threads = name.strip_prefix(WORDS[0])?.strip_suffix(WORDS[1])?;
        let threads: Vec<i64> = threads.split(" x ").map(|one| one.parse().ok()).collect::<Option<_>>()?;
        let threads: [i64; 3] = threads.try_into().ok()?;
        threads.iter().all(|&one| one >= 1).then_some(Kernel { threads })
    }

    /// How many threads a block has along an axis; 1 along one that is no axis of threads.
    pub fn threads_on(&self, axis: Axis) -> i64 {
        match axis {
            Axis::Thread(at) => self.threads.get(usize::from(at)).copied().unwrap_or(1),
            _ => 1,
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([before, after], [x, y, z]) = (WORDS, self.threads);
        write!(f, "{before}{x} x {y} x {z}{after}")
    }
}

/// A kernel in a tree.
#[derive(Clone, Debug)]
pub struct Launched<'t> {
    /// How it is launched.
    pub kernel: Kernel,
    /// What runs in it: what is below the mark.
    pub node: &'t Node,
    /// The instances that run in it.
    pub instances: isl::UnionSet,
    /// The loops of the host around it, outermost first.
    pub host: Vec<&'t Member>,
}

impl ScheduleTree {
    /// The kernels, in order. What is in none of them does not run on a device.
    ///
    /// # Errors
    /// When isl fails.
    pub fn kernels(&self) -> isl::Result<Vec<Launched<'_>>> {
        let mut found = Vec::new();
        gather(&self.root, &self.domain, &mut Vec::new(), &mut found)?;
        Ok(found)
    }
}

fn gather<'t>(
    node: &'t Node,
    reach: &isl::UnionSet,
    host: &mut Vec<&'t Member>,
    found: &mut Vec<Launched<'t>>,
) -> isl::Result<()> {
    let depth = host.len();
    match node {
        Node::Leaf => {}
        Node::Mark { name, child } => match Kernel::of_mark(name) {
            Some(kernel) => found.push(Launched { kernel, node: child, instances: reach.clone(), host: host.clone() }),
            None => gather(child, reach, host, found)?,
        },
        Node::Band(band) => {
            host.extend(&band.members);
            gather(&band.child, reach, host, found)?;
        }
        Node::Sequence(children) | Node::Set(children) => {
            for child in children {
                gather(&child.node, &reach.intersect(&child.filter)?, host, found)?;
            }
        }
    }
    host.truncate(depth);
    Ok(())
}

/// A loop of a kernel on an axis.
#[derive(Clone)]
pub(crate) struct BoundLoop<'t> {
    pub(crate) axis: Axis,
    pub(crate) member: &'t Member,
    /// The instances inside.
    pub(crate) inside: isl::UnionSet,
}

fn bound_in<'t>(node: &'t Node, reach: &isl::UnionSet, found: &mut Vec<BoundLoop<'t>>) -> isl::Result<()> {
    match node {
        Node::Leaf => Ok(()),
        Node::Mark { child, .. } => bound_in(child, reach, found),
        Node::Band(band) => {
            let on_axis =
                |member: &'t Member| Some(BoundLoop { axis: member.kind.axis()?, member, inside: reach.clone() });
            found.extend(band.members.iter().filter_map(on_axis));
            bound_in(&band.child, reach, found)
        }
        Node::Sequence(children) | Node::Set(children) => {
            children.iter().try_for_each(|child| bound_in(&child.node, &reach.intersect(&child.filter)?, found))
        }
    }
}

impl<'t> Launched<'t> {
    /// The loops on axes, outermost first.
    pub(crate) fn bound(&self) -> isl::Result<Vec<BoundLoop<'t>>> {
        let mut found = Vec::new();
        bound_in(self.node, &self.instances, &mut found)?;
        Ok(found)
    }

    /// From the instances to their place on an axis of blocks or threads: what is equal exactly where the block, or
    /// thread, is the same along it. Nothing on an axis with a single thread, or without loops.
    ///
    /// What no loop on an axis is around runs on its first thread, or on its first block. Which of the values of loops on
    /// blocks is the first block's is not said, so that it counts as a block of its own.
    pub(crate) fn on_axis(&self, axis: Axis) -> isl::Result<Vec<isl::UnionPwAff>> {
        let threads = self.kernel.threads_on(axis);
        let loops: Vec<_> = self.bound()?.into_iter().filter(|one| one.axis == axis).collect();
        if loops.is_empty() || (matches!(axis, Axis::Thread(_)) && threads == 1) {
            return Ok(Vec::new());
        }
        let ctx = self.instances.ctx();
        let number = |value| isl::Val::int(ctx, value);
        let mut first = self.instances.clone();
        let mut all = isl::UnionPwAff::empty(ctx)?;
        for BoundLoop { member, inside, .. } in loops {
            first = first.subtract(&inside)?;
            let value = member.schedule.intersect_domain(&inside)?;
            all = all.union_add(&if let Axis::Thread(_) = axis { value.modulo(&number(threads)?)? } else { value })?;
        }
        let mut rows = Vec::new();
        if matches!(axis, Axis::Block(_)) && !first.is_empty()? {
            let others = self.instances.subtract(&first)?;
            rows.push(first.constant(&number(0)?)?.union_add(&others.constant(&number(1)?)?)?);
        }
        rows.push(all.union_add(&first.constant(&number(0)?)?)?);
        Ok(rows)
    }
}

impl Launched<'_> {
    /// Why these loops cannot be those of a kernel, if so: loops on blocks come first, no loop on threads is around one
    /// on blocks, and a block or thread has no further axes.
    pub fn misplaced(&self) -> Option<String> {
        misplaced(self.node, Above::Blocks)
    }
}

/// What is above a node of a kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    /// At most loops on blocks.
    Blocks,
    /// Others too.
    Others,
}

fn misplaced(node: &Node, above: Above) -> Option<String> {
    let mut above = above;
    match node {
        Node::Band(band) => {
            for Member { name, kind, .. } in &band.members {
                match kind.axis() {
                    Some(Axis::Block(_)) if above == Above::Others => {
                        return Some(format!(
                            "the loop `{name}` is bound to blocks, but other loops of its kernel are around it"
                        ));
                    }
                    Some(Axis::Block(_)) => {}
                    Some(Axis::Thread(_)) if matches!(kind, Kind::Atomic(_)) => {
                        return Some(format!(
                            "the threads of the loop `{name}` combine their updates: only blocks are atomic"
                        ));
                    }
                    Some(Axis::Thread(_)) => above = Above::Others,
                    Some(axis) => return Some(format!("a kernel has no axis `{axis}` for the loop `{name}`")),
                    None => above = Above::Others,
                }
            }
        }
        Node::Mark { name, .. } if Tiling::is_mark(name) => above = Above::Others,
        Node::Mark { .. } | Node::Sequence(_) | Node::Set(_) | Node::Leaf => {}
    }
    node.children().into_iter().find_map(|child| misplaced(child, above))
}

impl Stmt {
    /// Whether all threads of a block wait for each other here: it touches nothing, and computes nothing.
    pub fn is_barrier(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty() && self.body.exprs().is_empty()
    }
}

impl Scop {
    /// Whether some statement is a barrier.
    pub fn has_barriers(&self) -> bool {
        self.stmts.values().any(Stmt::is_barrier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back() {
        let text = "kernel of 32 x 8 x 1 threads";
        assert_eq!(Kernel::of_mark(text).map(|kernel| kernel.to_string()).as_deref(), Some(text));
        for text in ["kernel of 32 threads", "kernel of 0 x 1 x 1 threads", "kernel of 1 x 1 x 1 x 1 threads"] {
            assert!(Kernel::is_mark(text) && Kernel::of_mark(text).is_none(), "{text}");
        }
    }
}
