//! Where kernels begin.

use polyhedral::legality::Illegal;
use polyhedral::{Band, Filtered, Kernel, Kind, Launched, Member, Memory, Node, ScheduleTree, Scop, Tiling, isl};
use support::{Gpu, Remark};

use crate::shape::threads;

/// The program with a mark above each part that becomes a kernel: from the outermost loop on an axis on. The loops and
/// sequences around are the host's; what has no loop on an axis is a kernel of one thread.
///
/// ```text
/// sequence                                sequence
///   band [i bound block.x, j]               mark "kernel of 1 x 1 x 1 threads"
///   band [k, i bound thread.x]      ->        band [i bound block.x, j]
///                                           band [k]
///                                             mark "kernel of 256 x 1 x 1 threads"
///                                               band [i bound thread.x]
/// ```
///
/// A kernel that the script launches stays as it is, with as many threads as that says.
///
/// # Errors
/// When loops are not in the order that [`polyhedral::Launched::misplaced`] asks for, or isl fails.
pub fn outline(scop: &Scop, gpu: &Gpu, remarks: &mut Vec<Remark>) -> Result<Scop, Illegal> {
    let domain = scop.tree.domain.intersect_params(&scop.context)?;
    let mut outline = Outline { scop, gpu, remarks, outer: Vec::new() };
    let root = outline.node(&scop.tree.root, &domain)?;
    let tree = ScheduleTree { domain: scop.tree.domain.clone(), root };
    let launched = tree.kernels()?;
    if let Some(why) = launched.iter().find_map(|launched| launched.misplaced()) {
        return Err(Illegal::Malformed(why));
    }
    if launched.iter().any(|launched| has_kernel(launched.node)) {
        return Err(Illegal::Malformed("a loop on an axis is around a kernel".into()));
    }
    of_one_kernel_each(scop, &launched)?;
    Ok(Scop { tree, ..scop.clone() })
}

/// Whether what threads keep for themselves is of one kernel each: it is gone when that ends.
fn of_one_kernel_each(scop: &Scop, launched: &[Launched<'_>]) -> Result<(), Illegal> {
    for (id, tensor) in scop.tensors.iter().filter(|(_, tensor)| tensor.memory == Memory::Registers) {
        let users = scop.stmts.values().filter(|stmt| stmt.accesses().any(|access| access.tensor == id));
        let users = users.map(|stmt| stmt.domain.to_union_set()).collect::<isl::Result<Vec<_>>>()?;
        let mut is_of_one = false;
        for kernel in launched {
            let mut of_this = true;
            for instances in &users {
                of_this &= instances.intersect(&scop.tree.domain)?.is_subset(&kernel.instances)?;
            }
            is_of_one |= of_this;
        }
        if !is_of_one {
            let name = &tensor.name;
            return Err(Illegal::Malformed(format!("`{name}` is in registers, but is not of one kernel alone")));
        }
    }
    Ok(())
}

fn has_kernel(node: &Node) -> bool {
    is_kernel(node) || node.children().into_iter().any(has_kernel)
}

fn is_kernel(node: &Node) -> bool {
    matches!(node, Node::Mark { name, .. } if Kernel::is_mark(name))
}

struct Outline<'a> {
    scop: &'a Scop,
    gpu: &'a Gpu,
    remarks: &'a mut Vec<Remark>,
    /// The loops of the host around.
    outer: Vec<Member>,
}

impl Outline<'_> {
    fn node(&mut self, node: &Node, reach: &isl::UnionSet) -> isl::Result<Node> {
        match node {
            Node::Mark { name, child } if is_kernel(node) => {
                Ok(Node::Mark { name: name.clone(), child: Box::new(self.in_sequence(child)?) })
            }
            _ if !node.members().into_iter().any(is_bound) && !has_kernel(node) => self.kernel(node, reach),
            Node::Band(band) => self.band(band, reach),
            Node::Sequence(children) => Ok(Node::Sequence(self.children(children, reach)?)),
            Node::Set(children) => Ok(Node::Set(self.children(children, reach)?)),
            // The loops over the origins of tiles belong to the band below.
            Node::Mark { name, .. } if Tiling::is_mark(name) => self.kernel(node, reach),
            Node::Mark { name, child } => {
                Ok(Node::Mark { name: name.clone(), child: Box::new(self.node(child, reach)?) })
            }
            Node::Leaf => self.kernel(node, reach),
        }
    }

    fn band(&mut self, band: &Band, reach: &isl::UnionSet) -> isl::Result<Node> {
        let first = band.members.iter().position(is_bound).unwrap_or(band.members.len());
        let (host, own) = band.members.split_at(first);
        let depth = self.outer.len();
        let host = &self.members_in_sequence(host)?;
        self.outer.extend_from_slice(host);
        let child = match own {
            [] => self.node(&band.child, reach),
            own => self.kernel(&Node::Band(Band { members: own.to_vec(), ..band.clone() }), reach),
        };
        self.outer.truncate(depth);
        Ok(match host.as_slice() {
            [] => child?,
            host => Node::Band(Band { members: host.to_vec(), child: Box::new(child?), ..band.clone() }),
        })
    }

    fn children(&mut self, children: &[Filtered], reach: &isl::UnionSet) -> isl::Result<Vec<Filtered>> {
        let one = |child: &Filtered| {
            let node = self.node(&child.node, &reach.intersect(&child.filter)?)?;
            Ok(Filtered { filter: child.filter.clone(), node })
        };
        children.iter().map(one).collect()
    }

    /// A node without loops on a processor's threads, or in the lanes of longer vectors than the device's.
    fn in_sequence(&mut self, node: &Node) -> isl::Result<Node> {
        let mut node = node.clone();
        if let Node::Band(band) = &mut node {
            band.members = self.members_in_sequence(&band.members)?;
        }
        for child in node.children_mut() {
            *child = self.in_sequence(child)?;
        }
        Ok(node)
    }

    fn members_in_sequence(&mut self, members: &[Member]) -> isl::Result<Vec<Member>> {
        members.iter().map(|member| self.member_in_sequence(member)).collect()
    }

    fn member_in_sequence(&mut self, member: &Member) -> isl::Result<Member> {
        let why = match member.kind {
            Kind::Parallel => "a device has blocks and threads: bind the loop to these",
            Kind::Vector(lanes) if !self.is_one_access(member, lanes)? => "its lanes are more than one access moves",
            _ => return Ok(member.clone()),
        };
        self.remarks.push(Remark::new("gpu-mapper", &member.name, "runs in sequence", why));
        Ok(Member { kind: Kind::Sequential, ..member.clone() })
    }

    /// Whether so many lanes of each access in a loop are moved at once.
    fn is_one_access(&self, member: &Member, lanes: u32) -> isl::Result<bool> {
        let inside = member.schedule.domain()?;
        for stmt in self.scop.stmts.values() {
            let bytes = stmt.accesses().map(|access| self.scop.tensors[access.tensor].dtype.bytes()).max().unwrap_or(0);
            let fits = i64::from(bytes) * i64::from(lanes) <= self.gpu.access_bytes;
            if !fits && !inside.is_disjoint(&stmt.domain.to_union_set()?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn kernel(&mut self, node: &Node, reach: &isl::UnionSet) -> isl::Result<Node> {
        let node = &self.in_sequence(node)?;
        let threads = threads(node, reach, &self.outer, self.gpu, self.remarks)?;
        Ok(Node::Mark { name: Kernel { threads }.to_string(), child: Box::new(node.clone()) })
    }
}

fn is_bound(member: impl std::borrow::Borrow<Member>) -> bool {
    member.borrow().kind.axis().is_some()
}
