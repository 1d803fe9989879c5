//! What a command hands to the session: the edited tree, what to record, and what has to be proved.

use polyhedral::legality::{self, Illegal};
use polyhedral::{Band, Dependences, ScheduleTree, Scop, isl};

use crate::Command;
use crate::refused::Reason;

/// A command's result, not yet proved.
pub(crate) struct Edit {
    /// The program after it.
    pub(crate) scop: Scop,
    /// The command with exact names and nothing left out.
    pub(crate) command: Command,
    /// What is left to prove.
    pub(crate) proof: Proof,
}

impl Edit {
    /// A command that changes the tree alone.
    pub(crate) fn of_tree(scop: &Scop, tree: ScheduleTree, command: Command, proof: Proof) -> Edit {
        Edit { scop: Scop { tree, ..scop.clone() }, command, proof }
    }

    /// A command that changes what the statements are, or where they keep their values.
    pub(crate) fn of_values(scop: Scop, command: Command) -> Edit {
        Edit { scop, command, proof: Proof::Values }
    }
}

/// What has to hold for the edited program, given that it held before.
pub(crate) enum Proof {
    /// Nothing: the command's documentation says why the order is the same.
    SameOrder,
    /// Nothing here: what `legality` found of the members says that the order is right, and the whole proof at the end
    /// judges the result.
    Known,
    /// The dependences between instances of this set. All other pairs are separated above the place of the change, or
    /// beside it.
    Order(isl::UnionSet),
    /// All dependences, and that every instance runs once: the tree is a new one. Its attributes are found anew too.
    Anew,
    /// That every instance computes the value that the source gives it, from the dependences of the edited program itself:
    /// the command changed storage or the set of instances.
    Values,
    /// That the edited program computes what the source does by a law of algebra, whatever its tree was before. It is the
    /// source of what follows.
    Law(legality::Rescaling),
}

impl Proof {
    /// For a change of `band`, or below it.
    pub(crate) fn order_below(band: &Band) -> isl::Result<Proof> {
        let member = band.members.first().expect("a band has at least one member");
        Ok(Proof::Order(member.schedule.domain()?))
    }

    /// For members of `band` that changed places: nothing when the band is permutable and whatever runs at once in it
    /// carries no dependence. Pairs that its members leave equal are the same ones in any order of them.
    pub(crate) fn permuted(band: &Band) -> isl::Result<Proof> {
        let at_once_is_free = band.members.iter().all(|member| member.coincident || !member.kind.at_once());
        if band.permutable && at_once_is_free { Ok(Proof::Known) } else { Proof::order_below(band) }
    }

    /// Proves the order of a tree.
    pub(crate) fn of<'a>(
        &self,
        tree: &ScheduleTree,
        deps: &dyn Fn() -> isl::Result<&'a Dependences>,
        scop: &Scop,
    ) -> Result<(), Illegal> {
        match self {
            Proof::SameOrder | Proof::Known => Ok(()),
            Proof::Anew | Proof::Values | Proof::Law(_) => legality::order_respected(tree, deps()?, scop),
            Proof::Order(touched) => legality::order_respected(tree, &between(deps()?, touched)?, scop),
        }
    }
}

/// The dependences with both ends in `instances`.
fn between(deps: &Dependences, instances: &isl::UnionSet) -> isl::Result<Dependences> {
    if deps.domain.is_subset(instances)? {
        return Ok(deps.clone());
    }
    let inside = |pairs: &isl::UnionMap| pairs.intersect_domain(instances)?.intersect_range(instances);
    Ok(Dependences {
        domain: deps.domain.clone(),
        flow: inside(&deps.flow)?,
        anti: inside(&deps.anti)?,
        output: inside(&deps.output)?,
        reduction: inside(&deps.reduction)?,
        updates: inside(&deps.updates)?,
    })
}

/// Runs `work` with at most `operations` of isl's operations.
pub(crate) fn within_budget<T>(
    ctx: &isl::Ctx,
    operations: u64,
    work: impl FnOnce() -> Result<T, Reason>,
) -> Result<T, Reason> {
    // The budget's own result carries isl's errors only; the other reasons pass through as values.
    let result = ctx.with_budget(operations, || match work() {
        Err(Reason::Isl(error)) => Err(error),
        other => Ok(other),
    });
    match result {
        Ok(inner) => inner,
        Err(isl::Error::Quota) => Err(Reason::Quota(operations)),
        Err(error) => Err(Reason::Isl(error)),
    }
}
