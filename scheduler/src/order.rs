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

/// Which statements isl's scheduler gives common loops. All but the first and the last decide that before isl finds loops, component by
/// component of the dependences (the module `clusters`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fusion {
    /// Every strongly connected component of the dependences has loops of its own: Pluto's `--nofuse`, Tensor Comprehensions' Min.
    #[default]
    Min,
    /// Components of as many dimensions share loops: Pluto's `--smartfuse`, its default (Bondhugula and others, PLDI 2008).
    Smart,
    /// Components share loops where the outermost one stays parallel, and those that are not parallel with one another: typed fusion of
    /// Kennedy and McKinley (LCPC 1993), Pluto's `--typedfuse`.
    Typed,
    /// Components share loops where no one of them loses parallel outer loops, but those above as many as this: Tensor
    /// Comprehensions' Preserve3Coincident, with 3, as a device has three dimensions of blocks.
    Coincident {
        /// As many are enough.
        loops: usize,
    },
    /// As far as possible: Pluto's `--maxfuse`.
    Max,
}

impl Fusion {
    /// What each strategy is called on the command line.
    pub const NAMES: [(&str, Fusion); 5] = [
        ("none", Fusion::Min),
        ("smart", Fusion::Smart),
        ("typed", Fusion::Typed),
        ("three-coincident", Fusion::Coincident { loops: 3 }),
        ("max", Fusion::Max),
    ];
}

/// isl's scheduler (after Pluto: Bondhugula and others, PLDI 2008), recorded as one `order`. Falls back to the order of the
/// source, with a remark, when the scheduler is out of budget or has no place in our trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isl {
    /// How far it fuses.
    pub fusion: Fusion,
    /// Only bands whose outermost loop is parallel, where there are any, rather than more loops in a band and more statements in a
    /// loop.
    pub outer_parallel: bool,
}

impl Isl {
    /// With parallel outer loops, but where statements are to share loops whatever that does to them.
    pub fn new(fusion: Fusion) -> Isl {
        Isl { fusion, outer_parallel: !matches!(fusion, Fusion::Smart | Fusion::Max) }
    }
}

impl Default for Isl {
    fn default() -> Isl {
        Isl::new(Fusion::default())
    }
}

impl Policy for Isl {
    fn name(&self) -> &str {
        match self.fusion {
            Fusion::Min => "isl-min",
            Fusion::Smart => "isl-smart",
            Fusion::Typed => "isl-typed",
            Fusion::Coincident { .. } => "isl-coincident",
            Fusion::Max => "isl-max",
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
        match self.fusion {
            Fusion::Min | Fusion::Max => self.tree_of(session, &session.scop().domain()?),
            Fusion::Smart | Fusion::Typed | Fusion::Coincident { .. } => self.clustered(session),
        }
    }

    /// The tree that isl finds for some of the instances, as if there were no others.
    pub(crate) fn tree_of(&self, session: &Session, instances: &isl::UnionSet) -> isl::Result<ScheduleTree> {
        let scop = session.scop();
        scop.ctx.with_budget(session.options().operations, || {
            // What is solved at once is all that may share loops; isl's search for deep bands of that takes minutes.
            let is_long = !self.outer_parallel && instances.sets()?.len() > 1;
            let schedule = match self.solved(session, instances, is_long, self.outer_parallel) {
                Err(isl::Error::Refused(_)) if is_long => {
                    self.solved(session, instances, self.fusion == Fusion::Max, true)
                }
                found => found,
            }?;
            let mut tree = ScheduleTree::from_isl(&schedule, scop)?;
            set_to_sequence(&mut tree.root);
            Ok(tree)
        })
    }

    /// isl's schedule, with or without the bounds of where dependences begin.
    fn solved(
        &self,
        session: &Session,
        instances: &isl::UnionSet,
        is_unbounded: bool,
        outer_coincidence: bool,
    ) -> isl::Result<isl::Schedule> {
        let (scop, deps) = (session.scop(), session.dependences()?);
        let among = |pairs: isl::UnionMap| {
            let pairs = pairs.intersect_domain(instances)?.intersect_range(instances)?;
            if is_unbounded { pairs.gist_domain(instances) } else { within_reach(pairs, instances, scop) }
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
        let serialize_sccs = self.fusion == Fusion::Min;
        constraints.schedule(&isl::SchedulerOptions {
            serialize_sccs,
            outer_coincidence,
            ..isl::SchedulerOptions::default()
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
