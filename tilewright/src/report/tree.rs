//! The schedule tree as plain data.

use polyhedral::{Filtered, Scop, isl};
use serde::Serialize;

/// A node of the schedule tree. Loops are [those of the report](super::Report::loops), by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "node", rename_all = "lowercase")]
pub enum Node {
    /// Loops around one child, outermost first.
    Band {
        /// Their names.
        loops: Vec<String>,
        /// Whether they may be permuted, and so tiled.
        permutable: bool,
        /// What runs at each point.
        child: Box<Node>,
    },
    /// Children one after another.
    Sequence {
        /// In order.
        children: Vec<Node>,
    },
    /// Children in any order.
    Set {
        /// In the order in which they are written.
        children: Vec<Node>,
    },
    /// An attribute for a later stage.
    Mark {
        /// What it says.
        name: String,
        /// What it is said of.
        child: Box<Node>,
    },
    /// What runs at a point.
    Leaf {
        /// The statements, in the order of the program.
        statements: Vec<String>,
    },
}

impl Node {
    /// The children in order.
    pub fn children(&self) -> Vec<&Node> {
        match self {
            Node::Band { child, .. } | Node::Mark { child, .. } => vec![child],
            Node::Sequence { children } | Node::Set { children } => children.iter().collect(),
            Node::Leaf { .. } => Vec::new(),
        }
    }
}

pub(super) fn tree(scop: &Scop) -> isl::Result<Node> {
    node(scop, &scop.tree.root, &scop.tree.domain)
}

fn node(scop: &Scop, root: &polyhedral::Node, instances: &isl::UnionSet) -> isl::Result<Node> {
    let below = |children: &[Filtered]| -> isl::Result<Vec<Node>> {
        children.iter().map(|child| node(scop, &child.node, &instances.intersect(&child.filter)?)).collect()
    };
    Ok(match root {
        polyhedral::Node::Band(band) => Node::Band {
            loops: band.members.iter().map(|member| member.name.clone()).collect(),
            permutable: band.permutable,
            child: Box::new(node(scop, &band.child, instances)?),
        },
        polyhedral::Node::Sequence(children) => Node::Sequence { children: below(children)? },
        polyhedral::Node::Set(children) => Node::Set { children: below(children)? },
        polyhedral::Node::Mark { name, child } => {
            Node::Mark { name: name.clone(), child: Box::new(node(scop, child, instances)?) }
        }
        polyhedral::Node::Leaf => Node::Leaf { statements: names(scop, instances)? },
    })
}

/// The statements that have instances here, in the order of the program.
pub(super) fn names(scop: &Scop, instances: &isl::UnionSet) -> isl::Result<Vec<String>> {
    let mut inside = Vec::new();
    for set in instances.sets()? {
        if !set.is_empty()? {
            inside.push(set.tuple_name()?);
        }
    }
    let names = scop.stmts.values().map(|stmt| &stmt.name);
    Ok(names.filter(|name| inside.contains(name)).cloned().collect())
}

/// The statements of each nest at the top, in order of execution.
pub(crate) fn nests(scop: &Scop) -> isl::Result<Vec<Vec<String>>> {
    match &scop.tree.root {
        polyhedral::Node::Sequence(children) | polyhedral::Node::Set(children) => {
            children.iter().map(|child| names(scop, &child.filter)).collect()
        }
        _ => Ok(vec![names(scop, &scop.tree.domain)?]),
    }
}
