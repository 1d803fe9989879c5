//! Where kernels begin.

use polyhedral::legality::Illegal;
use polyhedral::{Band, Filtered, Kernel, Kind, Member, Node, ScheduleTree, Scop, Tiling, isl};
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
/// # Errors
/// When loops are not in the order that [`polyhedral::Launched::misplaced`] asks for, or isl fails.
pub fn outline(scop: &Scop, gpu: &Gpu, remarks: &mut Vec<Remark>) -> Result<Scop, Illegal> {
    let domain = scop.tree.domain.intersect_params(&scop.context)?;
    let mut outline = Outline { gpu, remarks, outer: Vec::new() };
    let root = outline.node(&scop.tree.root, &domain)?;
    let tree = ScheduleTree { domain: scop.tree.domain.clone(), root };
    if let Some(why) = tree.kernels()?.iter().find_map(|launched| launched.misplaced()) {
        return Err(Illegal::Malformed(why));
    }
    Ok(Scop { tree, ..scop.clone() })
}

struct Outline<'a> {
    gpu: &'a Gpu,
    remarks: &'a mut Vec<Remark>,
    /// The loops of the host around.
    outer: Vec<Member>,
}

impl Outline<'_> {
    fn node(&mut self, node: &Node, reach: &isl::UnionSet) -> isl::Result<Node> {
        match node {
            _ if !node.members().into_iter().any(is_bound) => self.kernel(node, reach),
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
        let host = &self.members_in_sequence(host);
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

    /// A node without loops on a processor's threads, or in the lanes of its vectors: a device has neither.
    fn in_sequence(&mut self, node: &Node) -> Node {
        let mut node = node.clone();
        if let Node::Band(band) = &mut node {
            band.members = self.members_in_sequence(&band.members);
        }
        for child in node.children_mut() {
            *child = self.in_sequence(child);
        }
        node
    }

    fn members_in_sequence(&mut self, members: &[Member]) -> Vec<Member> {
        let one = |member: &Member| match member.kind {
            Kind::Parallel | Kind::Vector(_) => {
                let why = "a device has blocks and threads: bind the loop to these";
                self.remarks.push(Remark::new("gpu-mapper", &member.name, "runs in sequence", why));
                Member { kind: Kind::Sequential, ..member.clone() }
            }
            _ => member.clone(),
        };
        members.iter().map(one).collect()
    }

    fn kernel(&mut self, node: &Node, reach: &isl::UnionSet) -> isl::Result<Node> {
        let node = &self.in_sequence(node);
        let threads = threads(node, reach, &self.outer, self.gpu, self.remarks)?;
        Ok(Node::Mark { name: Kernel { threads }.to_string(), child: Box::new(node.clone()) })
    }
}

fn is_bound(member: impl std::borrow::Borrow<Member>) -> bool {
    matches!(member.borrow().kind, Kind::Bound(_))
}
