use crate::{Nest, Scop, StmtId, isl};

/// A schedule tree: which instances run, in which order, on which part of the machine.
///
/// ```text
/// tree  = domain(D) node            the instances, once, at the root
/// node  = band(member+) node        order by the members' functions, outermost first
///       | sequence (filter node)+   children one after another
///       | set (filter node)+        children in any order
///       | mark(name) node           an attribute for a later stage
///       | leaf
/// ```
///
/// After Verdoolaege, Guelton, Grosser, Cohen: Schedule Trees (IMPACT 2014); filters belong to the children of
/// sequences and sets, as isl has them too.
#[derive(Clone, Debug)]
pub struct ScheduleTree {
    /// All instances.
    pub domain: isl::UnionSet,
    /// What orders them.
    pub root: Node,
}

/// A node of a [`ScheduleTree`].
#[derive(Clone, Debug)]
pub enum Node {
    /// Orders by the members' functions, lexicographically.
    Band(Band),
    /// Children one after another.
    Sequence(Vec<Filtered>),
    /// Children in any order.
    Set(Vec<Filtered>),
    /// An attribute for a later stage.
    Mark {
        /// What it says.
        name: String,
        /// What it is said of.
        child: Box<Node>,
    },
    /// Nothing more to order.
    Leaf,
}

/// A band: loops around one child.
#[derive(Clone, Debug)]
pub struct Band {
    /// Outermost first; at least one.
    pub members: Vec<Member>,
    /// Whether the members may be permuted, and so tiled: every dependence that the band orders is non-negative in each.
    pub permutable: bool,
    /// What runs at each point.
    pub child: Box<Node>,
}

/// One loop of a band.
#[derive(Clone, Debug)]
pub struct Member {
    /// Unique in its tree: `C.update.m` at first, then what the commands say.
    pub name: String,
    /// From the instances to the loop's value; defined on every instance that reaches the band.
    pub schedule: isl::UnionPwAff,
    /// Whether no dependence is carried here: the iterations may run at once.
    pub coincident: bool,
    /// How the iterations are laid out on the machine.
    pub kind: Kind,
}

/// How the iterations of a member are laid out on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One after another.
    #[default]
    Sequential,
    /// On several threads.
    Parallel,
    /// In the lanes of vectors. Members of this kind and unrolled ones are innermost: below them only such members
    /// and the leaf. The value runs over `width` consecutive integers from a multiple of `width`.
    Vector(u32),
    /// Copied out; `factor` consecutive integers from a multiple of `factor`.
    Unroll(u32),
    /// On an axis of the target, at once: each iteration is a point of the axis.
    Bound(Axis),
    /// The same on an axis of blocks, whose updates of one element are atomic
    /// ([`Combined`](crate::Combined)): in any order, each of them once.
    Atomic(Axis),
}

impl Kind {
    /// Whether the iterations run at once, so that no two of them may depend on each other.
    pub fn at_once(self) -> bool {
        matches!(self, Kind::Parallel | Kind::Vector(_) | Kind::Bound(_) | Kind::Atomic(_))
    }

    /// Whether the iterations run in threads of execution of their own, with a [`Memory::Stack`](crate::Memory::Stack)
    /// each.
    pub fn apart(self) -> bool {
        matches!(self, Kind::Parallel | Kind::Bound(_) | Kind::Atomic(_))
    }

    /// The axis of the target that the iterations are on.
    pub fn axis(self) -> Option<Axis> {
        match self {
            Kind::Bound(axis) | Kind::Atomic(axis) => Some(axis),
            Kind::Sequential | Kind::Parallel | Kind::Vector(_) | Kind::Unroll(_) => None,
        }
    }

    /// Whether the iterations are blocks of a kernel.
    pub fn is_on_blocks(self) -> bool {
        matches!(self.axis(), Some(Axis::Block(_)))
    }
}

/// An axis of a target, as its machine names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// A process of several, with memory of its own.
    Rank,
    /// A group of blocks that share what they load.
    Cluster,
    /// A block (work-group) of the grid, in dimension 0 to 2.
    Block(u8),
    /// Four warps that run one instruction.
    WarpGroup,
    /// A warp (subgroup) of a block.
    Warp,
    /// A lane of a warp.
    Lane,
    /// A thread (work-item) of a block, in dimension 0 to 2.
    Thread(u8),
}

impl Axis {
    /// All of them.
    pub const ALL: [Axis; 11] = [
        Axis::Rank,
        Axis::Cluster,
        Axis::Block(0),
        Axis::Block(1),
        Axis::Block(2),
        Axis::WarpGroup,
        Axis::Warp,
        Axis::Lane,
        Axis::Thread(0),
        Axis::Thread(1),
        Axis::Thread(2),
    ];

    /// The axis that prints as `text`.
    pub fn parse(text: &str) -> Option<Axis> {
        Axis::ALL.into_iter().find(|axis| axis.name() == text)
    }

    /// As scripts and trees write it.
    pub fn name(self) -> &'static str {
        match self {
            Axis::Rank => "rank",
            Axis::Cluster => "cluster",
            Axis::Block(0) => "block.x",
            Axis::Block(1) => "block.y",
            Axis::Block(_) => "block.z",
            Axis::WarpGroup => "warpgroup",
            Axis::Warp => "warp",
            Axis::Lane => "lane",
            Axis::Thread(0) => "thread.x",
            Axis::Thread(1) => "thread.y",
            Axis::Thread(_) => "thread.z",
        }
    }
}

impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A child of a sequence or a set: the instances it keeps, and their order.
#[derive(Clone, Debug)]
pub struct Filtered {
    /// The instances.
    pub filter: isl::UnionSet,
    /// Their order.
    pub node: Node,
}

impl Node {
    /// Whether a node and all below it are what `before` was, object for object. Costs isl nothing; trees that are equal and were
    /// made apart are not told from others.
    pub fn is_left_alone(&self, before: &Node) -> bool {
        let alike = |a: &[Filtered], b: &[Filtered]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.filter.is(&b.filter) && a.node.is_left_alone(&b.node))
        };
        match (self, before) {
            (Node::Leaf, Node::Leaf) => true,
            (Node::Mark { name, child }, Node::Mark { name: other, child: before }) => {
                name == other && child.is_left_alone(before)
            }
            (Node::Sequence(a), Node::Sequence(b)) | (Node::Set(a), Node::Set(b)) => alike(a, b),
            (Node::Band(a), Node::Band(b)) => {
                let same =
                    |(a, b): (&Member, &Member)| a.name == b.name && a.kind == b.kind && a.schedule.is(&b.schedule);
                a.members.len() == b.members.len()
                    && a.members.iter().zip(&b.members).all(same)
                    && a.child.is_left_alone(&b.child)
            }
            _ => false,
        }
    }

    /// The children in execution order, whatever the kind of node.
    pub fn children(&self) -> Vec<&Node> {
        match self {
            Node::Band(band) => vec![&band.child],
            Node::Sequence(children) | Node::Set(children) => children.iter().map(|child| &child.node).collect(),
            Node::Mark { child, .. } => vec![child],
            Node::Leaf => Vec::new(),
        }
    }

    /// The same, to be changed.
    pub fn children_mut(&mut self) -> Vec<&mut Node> {
        match self {
            Node::Band(band) => vec![&mut band.child],
            Node::Sequence(children) | Node::Set(children) => {
                children.iter_mut().map(|child| &mut child.node).collect()
            }
            Node::Mark { child, .. } => vec![child],
            Node::Leaf => Vec::new(),
        }
    }

    /// Every member from here down, in pre-order.
    pub fn members(&self) -> Vec<&Member> {
        let own = match self {
            Node::Band(band) => band.members.as_slice(),
            _ => &[],
        };
        own.iter().chain(self.children().into_iter().flat_map(Node::members)).collect()
    }
}

impl ScheduleTree {
    /// The tree that runs the source order, with members named after the first statement below them and the loop's
    /// index: `C.update.m`.
    pub fn from_source(scop: &Scop) -> isl::Result<ScheduleTree> {
        Ok(ScheduleTree { domain: scop.domain()?, root: sequence_of(scop, &scop.source, 0)? })
    }

    /// The member with that name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.root.members().into_iter().find(|member| member.name == name)
    }
}

fn sequence_of(scop: &Scop, nests: &[Nest], depth: usize) -> isl::Result<Node> {
    let one = |nest: &Nest| -> isl::Result<Filtered> {
        Ok(Filtered { filter: domain_of(scop, &nest.stmts())?, node: node_of(scop, nest, depth)? })
    };
    match nests {
        [] => Ok(Node::Leaf),
        [only] => node_of(scop, only, depth),
        _ => Ok(Node::Sequence(nests.iter().map(one).collect::<isl::Result<_>>()?)),
    }
}

fn node_of(scop: &Scop, nest: &Nest, depth: usize) -> isl::Result<Node> {
    match nest {
        Nest::Stmt(_) => Ok(Node::Leaf),
        Nest::Loop { name, body } => {
            let stmts = nest.stmts();
            let schedule = stmts.iter().try_fold(isl::UnionPwAff::empty(&scop.ctx)?, |all, &stmt| {
                let domain = &scop.stmts[stmt].domain;
                let dim = crate::Index::Dim(depth).to_pw_aff(&domain.space()?)?.intersect_domain(domain)?;
                all.union_add(&dim.to_union_pw_aff()?)
            })?;
            let first = stmts.first().map_or("", |&stmt| scop.stmts[stmt].name.as_str());
            let member =
                Member { name: format!("{first}.{name}"), schedule, coincident: false, kind: Kind::Sequential };
            Ok(match sequence_of(scop, body, depth + 1)? {
                // A perfect nest is one band.
                Node::Band(mut band) => {
                    band.members.insert(0, member);
                    Node::Band(band)
                }
                child => Node::Band(Band { members: vec![member], permutable: false, child: Box::new(child) }),
            })
        }
    }
}

fn domain_of(scop: &Scop, stmts: &[StmtId]) -> isl::Result<isl::UnionSet> {
    let domains = stmts.iter().map(|&stmt| scop.stmts[stmt].domain.to_union_set()).collect::<isl::Result<_>>()?;
    isl::UnionSet::union_of(&scop.ctx, domains)
}
