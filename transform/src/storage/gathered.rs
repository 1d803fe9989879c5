//! Prefetches of elements that are found by data.

use std::collections::BTreeMap;

use polyhedral::{Access, Body, Expr, Index, Scop, Stmt, StmtId, Subscript, TensorId, isl};
use support::Target;

use crate::refused::Reason;
use crate::storage::prefetch::{Lines, none_later};
use crate::storage::site::{Placed, Site, instances, loops_over, tuple};

/// The only read inside of a site that finds its element of a tensor by data: the statement, and the read's position.
/// None where all are affine.
pub(super) fn only_gather(scop: &Scop, site: &Site, tensor: TensorId) -> Result<Option<(StmtId, usize)>, Reason> {
    let mut found = None;
    for (id, stmt) in scop.stmts.iter() {
        for (at, read) in stmt.reads.iter().enumerate() {
            if read.tensor != tensor || read.affine().is_some() || site.inside(stmt)?.is_empty()? {
                continue;
            }
            if found.replace((id, at)).is_some() {
                let (name, site) = (&scop.tensors[tensor].name, site.described());
                return Reason::precondition(format!(
                    "several reads inside {site} find their elements of `{name}` by data"
                ));
            }
        }
    }
    Ok(found)
}

/// What a read touches some iterations later.
///
/// ```text
/// for l                              for l
///   O[d] += T[I[l], d]        ->       T.prefetch[l, …]: ask for T[I[l + 8], d] where l + 8 is an iteration, d = 0, 16, …
///                                      O[d] += T[I[l], d]
/// ```
///
/// The data is read where the later iteration reads it, so always inside of its tensor; what it leads to is not touched, and
/// so not checked. After Ainsworth, Jones, Software Prefetching for Indirect Memory Accesses (CGO 2017).
pub(super) struct Later<'a> {
    pub(super) site: &'a Site,
    pub(super) stmt: StmtId,
    pub(super) read: usize,
    /// So many iterations of the site's innermost loop.
    pub(super) ahead: u32,
}

impl Later<'_> {
    /// The program with a statement that asks for it, at the beginning of each iteration.
    ///
    /// Its dimensions are the loops around, and then those of the instance that it asks for.
    pub(super) fn statement(&self, scop: &Scop, target: &Target, name: String) -> Result<Scop, Reason> {
        let (site, stmt) = (self.site, &scop.stmts[self.stmt]);
        let prefix = site.members.len();
        let dims = site.dims(scop, stmt.dims.len());
        let space = scop.param_space()?.named_set(&name, &dims)?;
        let reads = self.reads(scop, prefix)?;
        let domain = self.domain(scop, target, &space, &reads)?;
        if domain.is_empty()? {
            return none_later(&site.members.last().map_or(String::new(), |last| last.name.clone()), self.ahead);
        }
        let node = loops_over(&domain, &name, &dims, prefix)?;
        let values = (0..prefix).map(Index::Dim).collect();
        let mut edited = Scop { source: Vec::new(), ..scop.clone() };
        let (writes, body, span) = (Vec::new(), Body::Assign(Vec::new()), stmt.span);
        edited.stmts.push(Stmt { name, dims, domain: domain.clone(), reads, writes, body, span });
        site.insert(&mut edited.tree, vec![Placed { domain, values, node }], Vec::new())?;
        Ok(edited)
    }

    /// The instances: a later one of the statement for each iteration that has it, and of neighbours in a line the first.
    fn domain(&self, scop: &Scop, target: &Target, space: &isl::Space, reads: &[Access]) -> Result<isl::Set, Reason> {
        let stmt = &scop.stmts[self.stmt];
        let prefix = self.site.members.len();
        let here: Vec<Index> = (0..prefix).map(Index::Dim).collect();
        let mut later = here.clone();
        if let Some(last) = later.last_mut() {
            *last = last.clone() + i64::from(self.ahead);
        }
        let own: Vec<Index> = (prefix..prefix + stmt.dims.len()).map(Index::Dim).collect();
        let values = self.site.values(stmt)?;
        let domain = instances(space, &later, &own, &values.reverse()?)?;
        let domain = tuple(space, &here)?.intersect_range(&values.range()?)?.domain()?.intersect(&domain)?;
        let (Some(access), tensor) = (reads.last(), &scop.tensors[stmt.reads[self.read].tensor]) else {
            return Ok(domain.coalesce()?);
        };
        let (Some(Subscript::Affine(last)), Some(lower)) = (access.index.last(), tensor.lower.last()) else {
            return Ok(domain.coalesce()?);
        };
        let within = (last.clone() - lower.clone()).modulo(Lines::of(target, tensor).length);
        let is_first = within.to_pw_aff(space)?.eq_set(&Index::Const(0).to_pw_aff(space)?)?;
        Ok(domain.intersect(&is_first)?.coalesce()?)
    }

    /// The reads of the data, and then the one that they lead to; dimensions come `prefix` later.
    fn reads(&self, scop: &Scop, prefix: usize) -> Result<Vec<Access>, Reason> {
        let stmt = &scop.stmts[self.stmt];
        let wanted = &stmt.reads[self.read];
        let (mut reads, mut places) = (Vec::new(), BTreeMap::new());
        for at in wanted.found_by() {
            let data = &stmt.reads[at];
            let Some(index) = data.affine() else {
                let (by, to) = (&scop.tensors[data.tensor].name, &scop.tensors[wanted.tensor].name);
                return Reason::precondition(format!(
                    "`{by}`, by which an element of `{to}` is found, is found by data too"
                ));
            };
            let index = index.into_iter().map(|index| Subscript::Affine(moved(index, prefix))).collect();
            places.insert(at, reads.len());
            reads.push(Access { tensor: data.tensor, index, span: data.span });
        }
        let index = wanted.index.iter().map(|subscript| match subscript {
            Subscript::Affine(index) => Subscript::Affine(moved(index, prefix)),
            Subscript::Indirect(expr) => Subscript::Indirect(expr.map(&mut |part| match part {
                Expr::Load(at) => Expr::Load(places.get(&at).copied().unwrap_or(at)),
                Expr::Index(index) => Expr::Index(moved(&index, prefix)),
                other => other,
            })),
        });
        let index = index.collect();
        reads.push(Access { tensor: wanted.tensor, index, span: wanted.span });
        Ok(reads)
    }
}

fn moved(index: &Index, by: usize) -> Index {
    index.substitute(&|dim| Index::Dim(dim + by), &Index::Param)
}
