//! Reads that come before every write of their element.

use crate::isl::Dim;
use crate::{Access, Body, ScheduleTree, Scop, Stmt, StmtId, isl};

/// A read, or an update, of an element that nothing has written by then in the order of the source.
#[derive(Clone, Debug)]
pub struct EarlyRead<'s> {
    /// The statement.
    pub stmt: StmtId,
    /// What it reads, or updates.
    pub access: &'s Access,
    /// The smallest instance, or any, for which it is so.
    pub witness: Witness,
}

impl EarlyRead<'_> {
    /// The element's subscripts; `None` where they are computed.
    pub fn element(&self) -> Option<Vec<i64>> {
        let at = |index: &crate::Index| index.eval(&self.witness.point, &self.witness.sizes);
        self.access.affine()?.into_iter().map(at).collect()
    }
}

/// Parameters and a point of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// One value for each parameter.
    pub sizes: Vec<i64>,
    /// One for each dimension.
    pub point: Vec<i64>,
}

/// The accesses among those that `asked` keeps which may find nothing written: one witness for each. Exact where all
/// subscripts are affine; what a computed subscript reads may be any element, and what it writes is none for sure.
///
/// By dataflow analysis after Feautrier, Dataflow Analysis of Array and Scalar References (International Journal of Parallel
/// Programming 20, 1991).
///
/// # Errors
/// When isl fails or its budget ends.
pub fn early_reads<'s>(scop: &'s Scop, asked: &dyn Fn(&Access) -> bool) -> isl::Result<Vec<EarlyRead<'s>>> {
    let accesses = Accesses::of(scop, asked)?;
    if accesses.reads.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: Vec<Option<Witness>> = accesses.reads.iter().map(|_| None).collect();
    // Conditions on sizes of which one or another holds are in every domain: products of relations would multiply them.
    for sizes in scop.context.basic_sets()? {
        for (found, instances) in found.iter_mut().zip(accesses.unwritten(&sizes.to_set()?)?) {
            if found.is_none() && !instances.is_empty()? {
                *found = witness(scop, &instances.as_set()?)?;
            }
        }
    }
    let reads = accesses.reads.into_iter().zip(found);
    Ok(reads.filter_map(|((stmt, access, _), witness)| Some(EarlyRead { stmt, access, witness: witness? })).collect())
}

/// What is asked about, and when it runs.
struct Accesses<'s> {
    reads: Vec<(StmtId, &'s Access, isl::UnionMap)>,
    writes: isl::UnionMap,
    times: isl::UnionMap,
}

impl<'s> Accesses<'s> {
    fn of(scop: &'s Scop, asked: &dyn Fn(&Access) -> bool) -> isl::Result<Accesses<'s>> {
        let (mut reads, mut writes) = (Vec::new(), isl::UnionMap::empty(&scop.ctx)?);
        for (id, stmt) in scop.stmts.iter() {
            let updated = if stmt.body.is_reduce() { stmt.writes.as_slice() } else { &[] };
            for access in stmt.reads.iter().chain(updated).filter(|access| asked(access)) {
                reads.push((id, access, scop.relation(stmt, access)?.to_union_map()?));
            }
            for access in assigned(stmt).filter(|access| asked(access)) {
                writes = writes.union(&scop.relation(stmt, access)?.to_union_map()?)?;
            }
        }
        Ok(Accesses { reads, writes, times: ScheduleTree::from_source(scop)?.to_map()? })
    }

    /// For each read its instances, with these sizes, that find nothing written.
    fn unwritten(&self, sizes: &isl::Set) -> isl::Result<Vec<isl::UnionSet>> {
        let with_sizes = |relation: &isl::UnionMap| relation.intersect_params(sizes)?.coalesce();
        let none = isl::UnionMap::empty(sizes.ctx())?;
        let reads: Vec<isl::UnionMap> =
            self.reads.iter().map(|(_, _, relation)| with_sizes(relation)).collect::<isl::Result<_>>()?;
        let sink = reads.iter().try_fold(none.clone(), |all, read| all.union(read))?;
        let (must_source, schedule) = (with_sizes(&self.writes)?, isl::Times::Map(with_sizes(&self.times)?));
        let (may_source, kill) = (none.clone(), none);
        let written_before = isl::AccessInfo { sink, must_source, may_source, kill, schedule }.flow()?.range()?;
        let unwritten = |read: isl::UnionMap| read.wrap()?.subtract(&written_before)?.unwrap()?.domain();
        reads.into_iter().map(unwritten).collect()
    }
}

/// What an assignment writes through affine subscripts.
pub(crate) fn assigned(stmt: &Stmt) -> impl Iterator<Item = &Access> {
    let assigns = matches!(stmt.body, Body::Assign(_));
    stmt.writes.iter().filter(move |access| assigns && access.affine().is_some())
}

/// Some point of a set over the parameters, with small sizes where there is one.
pub(crate) fn witness(scop: &Scop, set: &isl::Set) -> isl::Result<Option<Witness>> {
    let n = scop.params.len();
    let aligned = set.align_params(&scop.param_space()?)?;
    let flat = aligned.move_dims(Dim::Set, 0, Dim::Param, 0, n as u32)?;
    if flat.is_empty()? {
        return Ok(None);
    }
    let small = (0..n as u32)
        .try_fold(flat.clone(), |set, at| set.lower_bound_si(Dim::Set, at, -8)?.upper_bound_si(Dim::Set, at, 8))?;
    let point = if small.is_empty()? { flat.sample_point()? } else { small.lexmin()?.sample_point()? };
    Ok(point.map(|point| Witness { sizes: point[..n].to_vec(), point: point[n..].to_vec() }))
}

/// ` at i = 0, j = 3`: what `before` introduces, or nothing where there are no names.
pub fn listed(before: &str, names: &[String], values: impl Iterator<Item = i64>) -> String {
    let pairs: Vec<String> = names.iter().zip(values).map(|(name, value)| format!("{name} = {value}")).collect();
    if pairs.is_empty() { String::new() } else { format!("{before}{}", pairs.join(", ")) }
}
