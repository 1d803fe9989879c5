//! Times that isl's flow analysis can compare.
//!
//! isl takes two accesses apart at the first dimension of their times in which both are constants, and goes from the
//! place where a sink follows one source on inwards only, to find what lies between them (`isl_flow.c`,
//! `all_intermediate_sources`). Where a dimension is constant for two sources and not for the sink, such as the position
//! in a sequence of a statement that stands in two places of it, what lies between is missed: the sink follows the one
//! source at that dimension as if it were a loop's, and the sources follow each other before it.
//!
//! A new parameter that is added to all values of such a dimension leaves the order as it is, and no constants.

use crate::{Scop, isl};

/// Times in which each dimension is a constant for all accesses that it may tell apart, or for none.
pub(super) struct Levels {
    /// From the instances.
    pub times: isl::UnionMap,
    /// The parameter that was added, of which no flow depends.
    param: Option<String>,
}

impl Levels {
    /// Of the instances in `touched`, the times of all of which have the same number of dimensions.
    pub fn of(scop: &Scop, times: &isl::UnionMap, touched: &isl::UnionSet) -> isl::Result<Levels> {
        let times = times.intersect_domain(touched)?;
        let constants = times.maps()?.iter().map(constants).collect::<isl::Result<Vec<_>>>()?;
        let dims = constants.first().map_or(0, Vec::len);
        let uneven: Vec<bool> = (0..dims).map(|at| is_uneven(&constants, at)).collect();
        if !uneven.contains(&true) {
            return Ok(Levels { times, param: None });
        }
        let numbered = (0..).map(|number| format!("p{number}"));
        let mut names = numbered.filter(|name| !scop.params.contains(name));
        let param = names.next().expect("a program has finitely many parameters");
        let from = (0..dims).map(|at| format!("t{at}"));
        let to = from.clone().zip(&uneven).map(|(dim, moved)| if *moved { format!("{dim} + {param}") } else { dim });
        let (from, to) = (from.collect::<Vec<_>>().join(", "), to.collect::<Vec<_>>().join(", "));
        let moved = isl::UnionMap::read(&scop.ctx, &format!("[{param}] -> {{ [{from}] -> [{to}] }}"))?;
        Ok(Levels { times: times.apply_range(&moved)?, param: Some(param) })
    }

    /// What was found with these times.
    pub fn found(&self, flow: isl::UnionMap) -> isl::Result<isl::UnionMap> {
        let Some(param) = &self.param else { return Ok(flow) };
        flow.maps()?.iter().try_fold(isl::UnionMap::empty(flow.ctx())?, |all, map| {
            let space = map.space()?;
            let at = (0..space.dim(isl::Dim::Param)?).find(|&at| space.dim_name(isl::Dim::Param, at) == *param);
            let map = at.map_or_else(|| Ok(map.clone()), |at| map.project_out(isl::Dim::Param, at, 1))?;
            all.union(&map.to_union_map()?)
        })
    }
}

/// The dimensions of the times that are constants.
fn constants(times: &isl::Map) -> isl::Result<Vec<Option<String>>> {
    let constant = |at| {
        let value = times.constant_at(isl::Dim::Out, at)?;
        Ok(value.is_int()?.then(|| value.to_string()))
    };
    (0..times.dim(isl::Dim::Out)?).map(constant).collect()
}

/// Whether the dimension is a constant for one of two accesses only, which no constants before it tell apart.
fn is_uneven(constants: &[Vec<Option<String>>], at: usize) -> bool {
    let together = |a: &[Option<String>], b: &[Option<String>]| {
        a[..at].iter().zip(&b[..at]).all(|pair| !matches!(pair, (Some(a), Some(b)) if a != b))
    };
    let is_constant = |one: &&Vec<Option<String>>| one[at].is_some();
    let loops = || constants.iter().filter(|one| !is_constant(one));
    constants.iter().filter(is_constant).any(|one| loops().any(|other| together(one, other)))
}
