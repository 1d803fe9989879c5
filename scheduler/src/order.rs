//! Policies that order whole programs: the source's order, isl's scheduler.

use polyhedral::{Filtered, Node, ScheduleTree, Scop, isl};
use support::Remark;
use transform::{Command, Policy, Refused, Session};

use crate::{STAGE, nest};

/// The order of the source, loop by loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceOrder;

impl Policy for SourceOrder {
    fn name(&self) -> &str {
        "source"
    }

    fn schedule(&self, _: &mut Session) -> Result<(), Refused> {
        Ok(())
    }

    fn complete(&self, _: &mut Session, _: &[String]) -> Result<(), Refused> {
        Ok(())
    }
}

/// How far isl's scheduler fuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fusion {
    /// As far as possible.
    Max,
    /// Every strongly connected component of the dependences has loops of its own.
    #[default]
    Min,
}

/// isl's scheduler (after Pluto: Bondhugula and others, PLDI 2008), recorded as one `order`. Falls back to the order of
/// the source, with a remark, when the scheduler is out of budget or has no place in our trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Isl {
    /// How far it fuses.
    pub fusion: Fusion,
}

impl Policy for Isl {
    fn name(&self) -> &str {
        match self.fusion {
            Fusion::Max => "isl-max",
            Fusion::Min => "isl-min",
        }
    }

    fn schedule(&self, session: &mut Session) -> Result<(), Refused> {
        let applied = self.tree(session).map_err(|error| error.to_string()).and_then(|tree| {
            let command = Command::order(session.scop(), &tree).map_err(|error| error.to_string())?;
            session.apply(command).map_err(|refused| refused.reason.to_string())
        });
        if let Err(why) = applied {
            let what = "kept the order of the source";
            session.remark(Remark::new(STAGE, session.scop().name.clone(), what, format!("isl's scheduler: {why}")));
        }
        Ok(())
    }
}

impl Isl {
    /// The tree that isl finds for the session's program.
    ///
    /// # Errors
    /// When isl fails or is out of the session's budget.
    pub fn tree(&self, session: &Session) -> isl::Result<ScheduleTree> {
        self.tree_of(session, &session.scop().domain()?)
    }

    /// The tree that isl finds for some of the instances, as if there were no others.
    pub(crate) fn tree_of(&self, session: &Session, instances: &isl::UnionSet) -> isl::Result<ScheduleTree> {
        let (scop, deps) = (session.scop(), session.dependences()?);
        scop.ctx.with_budget(session.options().operations, || {
            let among = |pairs: isl::UnionMap| {
                within_reach(pairs.intersect_domain(instances)?.intersect_range(instances)?, instances, scop)
            };
            // Updates may be swapped, so they are no matter of validity; but they may not run at once.
            let all = among(deps.ordering(true)?)?;
            let constraints = isl::Constraints {
                domain: instances.clone(),
                context: scop.context.clone(),
                validity: among(deps.ordering(false)?)?,
                coincidence: all.clone(),
                proximity: all,
            };
            let options = isl::SchedulerOptions {
                serialize_sccs: self.fusion == Fusion::Min,
                ..isl::SchedulerOptions::default()
            };
            let mut tree = ScheduleTree::from_isl(&constraints.schedule(&options)?, scop)?;
            set_to_sequence(&mut tree.root);
            Ok(tree)
        })
    }
}

/// Inequalities over several dimensions that a dependence may have before its source is taken for unbounded.
const JOINED: usize = 8;
/// Statements that may share loops before the sources of their dependences are.
const TOGETHER: usize = 5;

/// Dependences that isl's scheduler answers for. It finds what holds on all pairs by eliminating a variable for each
/// constraint, which takes minutes where the neighbours of a point in three dimensions are an octahedron, and solves for
/// everything that shares loops at once, whose numbers grow with the sizes. No budget sees either. There the bounds of the
/// sources are left out, so that what is found holds for more pairs than there are.
fn within_reach(pairs: isl::UnionMap, instances: &isl::UnionSet, scop: &Scop) -> isl::Result<isl::UnionMap> {
    if nest::nests(scop)?.iter().any(|nest| nest.stmts.len() > TOGETHER) {
        return pairs.gist_domain(instances);
    }
    let is_joined = |one: &isl::Constraint| !one.equality && one.dims.iter().filter(|&&c| c != 0).count() > 1;
    for map in pairs.maps()? {
        for piece in map.wrap()?.basic_sets()? {
            if piece.constraints()?.iter().filter(|one| is_joined(one)).count() > JOINED {
                return pairs.gist_domain(instances);
            }
        }
    }
    Ok(pairs)
}

/// Children in any order become children one after another: any order is right, and loops run in one.
fn set_to_sequence(node: &mut Node) {
    if let Node::Set(children) = node {
        let children: Vec<Filtered> = std::mem::take(children);
        *node = Node::Sequence(children);
    }
    node.children_mut().into_iter().for_each(set_to_sequence);
}
