//! What orders the instances of a statement at each place where they run.

use crate::{Node, ScheduleTree, isl};

/// The places of a tree at which instances run.
pub(super) struct Leaves(Vec<Leaf>);

/// A place, what reaches it, and what orders it and others, outermost first.
struct Leaf {
    instances: isl::UnionSet,
    rows: Vec<Row<isl::UnionPwAff>>,
}

/// What orders instances in one respect; each node and member of the tree has a number.
#[derive(Clone)]
pub(super) enum Row<Value = isl::PwAff> {
    /// The position among the children of a sequence or set.
    Position { node: usize, at: usize },
    /// The value of a member of a band.
    Member { node: usize, value: Value },
}

/// How a row tells two instances apart that agree on all rows above.
pub(super) enum Apart<'a> {
    /// The first of the two runs before the second, or after it.
    Always { before: bool },
    /// By these values.
    Values(&'a isl::PwAff, &'a isl::PwAff),
    /// Not at all.
    Never,
}

impl Row {
    /// How this row of one statement and that of another, at the same depth below equal ones, tell their instances apart.
    pub fn apart<'a>(&'a self, other: &'a Row) -> Apart<'a> {
        match (self, other) {
            (Row::Member { node: a, value }, Row::Member { node: b, value: other }) if a == b => {
                Apart::Values(value, other)
            }
            (Row::Position { node: a, at }, Row::Position { node: b, at: other }) if a == b && at != other => {
                Apart::Always { before: at < other }
            }
            _ => Apart::Never,
        }
    }
}

impl Leaves {
    /// Of a tree.
    pub fn of(tree: &ScheduleTree) -> isl::Result<Leaves> {
        let mut leaves = Leaves(Vec::new());
        leaves.gather(&tree.root, &tree.domain, &mut Vec::new(), &mut 0)?;
        Ok(leaves)
    }

    fn gather(
        &mut self,
        node: &Node,
        instances: &isl::UnionSet,
        rows: &mut Vec<Row<isl::UnionPwAff>>,
        nodes: &mut usize,
    ) -> isl::Result<()> {
        let outside = rows.len();
        *nodes += 1;
        let number = *nodes;
        match node {
            Node::Leaf => self.0.push(Leaf { instances: instances.clone(), rows: rows.clone() }),
            Node::Mark { child, .. } => self.gather(child, instances, rows, nodes)?,
            Node::Band(band) => {
                for member in &band.members {
                    *nodes += 1;
                    rows.push(Row::Member { node: *nodes, value: member.schedule.clone() });
                }
                self.gather(&band.child, instances, rows, nodes)?;
            }
            Node::Sequence(children) | Node::Set(children) => {
                for (at, child) in children.iter().enumerate() {
                    rows.push(Row::Position { node: number, at });
                    self.gather(&child.node, &instances.intersect(&child.filter)?, rows, nodes)?;
                    rows.pop();
                }
            }
        }
        rows.truncate(outside);
        Ok(())
    }

    /// The instances of a statement at each place where some of them run, with their rows.
    pub fn of_stmt(&self, stmt: &str) -> isl::Result<Vec<(isl::Set, Vec<Row>)>> {
        let mut all = Vec::new();
        for leaf in &self.0 {
            for here in leaf.instances.sets()?.into_iter().filter(|set| set.tuple_name().is_ok_and(|own| own == stmt)) {
                let rows = leaf.rows.iter().map(|row| row.of_stmt(stmt)).collect::<isl::Result<_>>()?;
                all.push((here, rows));
            }
        }
        Ok(all)
    }
}

impl Row<isl::UnionPwAff> {
    fn of_stmt(&self, stmt: &str) -> isl::Result<Row> {
        Ok(match self {
            Row::Position { node, at } => Row::Position { node: *node, at: *at },
            Row::Member { node, value } => {
                let is_own =
                    |value: &isl::PwAff| value.space().is_ok_and(|space| space.tuple_name(isl::Dim::In) == stmt);
                let own = value.pw_affs()?.into_iter().find(is_own);
                let value = own.ok_or_else(|| isl::Error::Refused(format!("a loop without a value on `{stmt}`")))?;
                Row::Member { node: *node, value: value.gist(&value.domain()?)? }
            }
        })
    }
}
