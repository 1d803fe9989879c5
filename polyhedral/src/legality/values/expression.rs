//! Whether an instance of a changed program computes the expression of its origin: the same operators on the same
//! values, where a value may also be computed in place of being read.

use super::parts::same_value;
use super::{Meaning, flows};
use crate::{Access, Body, Expr, Index, Scop, Stmt, StmtId, Subscript, isl};

/// What asks for the values of reads.
pub(super) trait Reads {
    /// Whether read `read` of the changed statement sees, at each of its instances, what read `of.1` of the source's
    /// statement `of.0` does at the instance that `to` gives.
    fn same(&mut self, read: usize, of: (StmtId, usize), to: &isl::UnionMap) -> isl::Result<bool>;
}

/// How deep values may be computed in place of being read.
const DEPTH: usize = 32;

/// A statement of a changed program, to be compared with the source.
pub(super) struct Comparison<'a, R> {
    pub meaning: &'a Meaning,
    pub scop: &'a Scop,
    pub stmt: &'a Stmt,
    pub reads: R,
}

impl<R: Reads> Comparison<'_, R> {
    /// Whether the whole body is that of `source` at the instances that `origin` gives.
    pub fn body(&mut self, source: StmtId, origin: &isl::UnionMap) -> isl::Result<bool> {
        let theirs = &self.meaning.source.stmts[source];
        let same_kind = match (&self.stmt.body, &theirs.body) {
            (Body::Assign(mine), Body::Assign(theirs)) => mine.len() == theirs.len(),
            (Body::Reduce { monoid: mine, .. }, Body::Reduce { monoid: theirs, .. }) => mine == theirs,
            _ => false,
        };
        if !same_kind {
            return Ok(false);
        }
        for (mine, theirs) in self.stmt.body.exprs().iter().zip(theirs.body.exprs()) {
            if !self.expr(mine, source, theirs, origin, DEPTH)? {
                return Ok(false);
            }
        }
        for (mine, theirs) in self.stmt.writes.iter().zip(&theirs.writes) {
            if !self.subscripts(mine, source, theirs, origin, DEPTH)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn expr(
        &mut self,
        mine: &Expr,
        source: StmtId,
        theirs: &Expr,
        to: &isl::UnionMap,
        depth: usize,
    ) -> isl::Result<bool> {
        if let Expr::Load(read) = theirs {
            return self.load(mine, source, *read, to, depth);
        }
        if self.is_widened(mine, source, theirs, to)? {
            return Ok(true);
        }
        let same_operator = match (mine, theirs) {
            (Expr::Const(a, s), Expr::Const(b, t)) => s == t && same_value(a, b),
            (Expr::Index(a), Expr::Index(b)) => return self.index(a, source, b, to),
            (Expr::Unary(a, _), Expr::Unary(b, _)) => a == b,
            (Expr::Binary(a, ..), Expr::Binary(b, ..)) => a == b,
            (Expr::Compare(a, ..), Expr::Compare(b, ..)) => a == b,
            (Expr::Select(..), Expr::Select(..)) => true,
            (Expr::Cast(a, _), Expr::Cast(b, _)) => a == b,
            (Expr::Call(a, _), Expr::Call(b, _)) => a == b,
            _ => false,
        };
        let (mine, theirs) = (mine.children(), theirs.children());
        if !same_operator || mine.len() != theirs.len() {
            return Ok(false);
        }
        for (mine, theirs) in mine.into_iter().zip(theirs) {
            if !self.expr(mine, source, theirs, to, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the source converts what it reads to a wider type, and here a tensor of that type is read, which holds the
    /// same numbers. Copies only ever widen, and that is exact: what was copied several times was converted once. Sums are
    /// another matter: they could have been combined after the conversion.
    fn is_widened(&mut self, mine: &Expr, source: StmtId, theirs: &Expr, to: &isl::UnionMap) -> isl::Result<bool> {
        let (Expr::Load(own), Expr::Cast(wide, inner)) = (mine, theirs) else { return Ok(false) };
        let Expr::Load(read) = **inner else { return Ok(false) };
        let (here, access) = (&self.stmt.reads[*own], &self.meaning.source.stmts[source].reads[read]);
        let narrow = self.meaning.source.tensors[access.tensor].dtype;
        let is_direct = !flows::is_indirect(here) && !flows::is_indirect(access);
        let mut updates = self.meaning.source.stmts.values().filter(|stmt| stmt.body.is_reduce());
        let is_sum = updates.any(|stmt| stmt.writes.iter().any(|write| write.tensor == access.tensor));
        Ok(is_direct
            && !is_sum
            && self.scop.tensors[here.tensor].dtype == *wide
            && narrow.widens_to(*wide)
            && self.reads.same(*own, (source, read), to)?)
    }

    /// What the source reads: read here as well, or computed here as its only writer does.
    fn load(
        &mut self,
        mine: &Expr,
        source: StmtId,
        read: usize,
        to: &isl::UnionMap,
        depth: usize,
    ) -> isl::Result<bool> {
        let access = &self.meaning.source.stmts[source].reads[read];
        if let Expr::Load(own) = mine {
            let here = &self.stmt.reads[*own];
            let same_type = self.scop.tensors[here.tensor].dtype == self.meaning.source.tensors[access.tensor].dtype;
            if same_type
                && flows::is_indirect(here) == flows::is_indirect(access)
                && self.subscripts(here, source, access, to, depth)?
                && self.reads.same(*own, (source, read), to)?
            {
                return Ok(true);
            }
        }
        if depth == 0 || flows::is_indirect(access) {
            return Ok(false);
        }
        match self.only_writer(source, read, to)? {
            Some((writer, component, to)) => {
                let values = self.meaning.source.stmts[writer].body.exprs();
                self.expr(mine, writer, &values[component], &to, depth - 1)
            }
            None => Ok(false),
        }
    }

    /// The statement and component that assigns what the source reads, and its instances; `None` when there are several,
    /// or updates.
    fn only_writer(
        &self,
        source: StmtId,
        read: usize,
        to: &isl::UnionMap,
    ) -> isl::Result<Option<(StmtId, usize, isl::UnionMap)>> {
        let sight = &self.meaning.flows.reads[source][read];
        let instances = to.apply_range(&sight.writers)?;
        let domain = self.stmt.domain.intersect_params(&self.scop.context)?.to_union_set()?;
        if !to.apply_range(&sight.initial)?.is_empty()? || !domain.is_subset(&instances.domain()?)? {
            return Ok(None);
        }
        let maps = instances.maps()?;
        let [map] = maps.as_slice() else { return Ok(None) };
        let name = map.tuple_name(isl::Dim::Out)?;
        let assigned = |(_, stmt): &(StmtId, &Stmt)| matches!(stmt.body, Body::Assign(_));
        for (id, stmt) in self.meaning.source.stmts.iter().filter(assigned) {
            for component in 0..stmt.writes.len() {
                if flows::writer_name(stmt, component) == name && map.is_single_valued()? {
                    let map = map.with_tuple_name(isl::Dim::Out, &stmt.name)?.to_union_map()?;
                    return Ok(Some((id, component, map)));
                }
            }
        }
        Ok(None)
    }

    /// Whether the subscripts that are known only while running are computed alike; the others are part of what is seen.
    fn subscripts(
        &mut self,
        mine: &Access,
        source: StmtId,
        theirs: &Access,
        to: &isl::UnionMap,
        depth: usize,
    ) -> isl::Result<bool> {
        if !flows::is_indirect(mine) && !flows::is_indirect(theirs) {
            return Ok(true);
        }
        if mine.index.len() != theirs.index.len() {
            return Ok(false);
        }
        for (mine, theirs) in mine.index.iter().zip(&theirs.index) {
            let same = match (mine, theirs) {
                (Subscript::Affine(mine), Subscript::Affine(theirs)) => self.index(mine, source, theirs, to)?,
                (Subscript::Indirect(mine), Subscript::Indirect(theirs)) => {
                    self.expr(mine, source, theirs, to, depth)?
                }
                _ => false,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn index(&self, mine: &Index, source: StmtId, theirs: &Index, to: &isl::UnionMap) -> isl::Result<bool> {
        let graph = |index: &Index, stmt: &Stmt| -> isl::Result<isl::UnionMap> {
            let domain = stmt.domain.intersect_params(&self.scop.context)?;
            index.to_pw_aff(&stmt.domain.space()?)?.intersect_domain(&domain)?.to_map()?.to_union_map()
        };
        let theirs = to.apply_range(&graph(theirs, &self.meaning.source.stmts[source])?)?;
        graph(mine, self.stmt)?.is_equal(&theirs)
    }
}
