//! Loops whose iterations run apart, on threads or on an axis of a target: what is inside of one is scanned by itself.
//!
//! isl puts iterations behind the loop that they belong to when nothing else has to follow them: the order is the same.
//! Of a loop whose iterations run apart that would make another one, where what an iteration keeps for itself is not. So the
//! tree is scanned in two steps: down to the loop, with one instance for each of its iterations and what they have in
//! common; and inside of it, with the values of the loops as parameters. As isl's own nested generation of Grosser,
//! Verdoolaege and Cohen (Polyhedral AST Generation Is More Than Scanning Polyhedra, TOPLAS 2015), for schedule trees.

use polyhedral::{Index, Kernel, Scop, isl};

use super::leaves::{Blocks, Scanned};

/// What is inside of a loop whose iterations run apart.
pub(super) struct Subtree {
    /// Of the instances in one iteration, the values of the loops around being parameters.
    pub(super) schedule: isl::AstSchedule,
    /// The loops that are scanned around, and last of all the loop itself.
    pub(super) members: Vec<Scanned>,
    /// Of the inside of a kernel, what launches it: it is cut below the loops of the host.
    pub(super) kernel: Option<(Kernel, Blocks)>,
}

/// The name of the iterator of loop number `depth`, from outside; not one that a parameter can have.
pub(super) fn iterator(depth: usize) -> String {
    format!("#{depth}")
}

/// A schedule, cut below loops.
pub(super) struct Cut {
    /// The iterations: the values of the loops.
    pub(super) iterations: isl::Set,
    /// What is left of the schedule in one of them.
    pub(super) inside: isl::AstSchedule,
}

impl Cut {
    /// Cuts `schedule` below loops with these values on its instances, outermost first.
    pub(super) fn below(scop: &Scop, schedule: &isl::AstSchedule, loops: &[isl::UnionPwAff]) -> isl::Result<Cut> {
        let instances = schedule.domain()?;
        if loops.is_empty() {
            let once = scop.param_space()?.set_from_params()?.universe_set()?.intersect_params(&instances.params()?)?;
            return Ok(Cut { iterations: once, inside: schedule.intersect_domain(&instances)? });
        }
        let values = values(&instances, loops)?;
        let iterations = instances.apply(&values)?.as_set()?.coalesce()?;
        let here = as_parameters(scop, loops.len())?.to_union_set()?;
        let inside = schedule.intersect_domain(&values.intersect_range(&here)?.domain()?)?;
        Ok(Cut { iterations, inside })
    }
}

/// The values of the parameters for iterations in `values`: their coordinates.
pub(super) fn context(scop: &Scop, values: &isl::Set) -> isl::Result<isl::Set> {
    let depth = values.dim(isl::Dim::Set)? as usize;
    values.reset_tuple_id()?.intersect(&as_parameters(scop, depth)?)?.params()?.intersect(&scop.context)
}

/// From instances to the values of loops.
fn values(instances: &isl::UnionSet, loops: &[isl::UnionPwAff]) -> isl::Result<isl::UnionMap> {
    let mut all: Option<isl::UnionMap> = None;
    for one in loops {
        let one = one.intersect_domain(instances)?.to_union_map()?;
        all = Some(match all {
            None => one,
            Some(outer) => outer.flat_range_product(&one)?,
        });
    }
    all.map_or_else(|| isl::UnionMap::empty(instances.ctx()), Ok)
}

/// Of the values of loops, those that the parameters have that are named after their iterators.
fn as_parameters(scop: &Scop, depth: usize) -> isl::Result<isl::Set> {
    let outer = scop.params.len();
    let names: Vec<String> = scop.params.iter().cloned().chain((0..depth).map(iterator)).collect();
    let space = isl::Space::parameters(&scop.ctx, &names)?.set_from_params()?.add_dims(isl::Dim::Set, depth as u32)?;
    (0..depth).try_fold(space.universe_set()?, |all, at| {
        let is_same = Index::Dim(at).to_pw_aff(&space)?.eq_set(&Index::Param(outer + at).to_pw_aff(&space)?)?;
        all.intersect(&is_same)
    })
}
