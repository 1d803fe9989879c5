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

/// The most terms of a reduction that is computed in place of being read.
const TERMS: usize = 64;

/// Who writes what the source reads.
struct Writer {
    stmt: StmtId,
    component: usize,
    /// From the instances of the changed statement.
    instances: isl::Map,
}

impl Writer {
    fn is_update(&self, meaning: &Meaning) -> bool {
        meaning.source.stmts[self.stmt].body.is_reduce()
    }
}

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
        let sight = &self.meaning.flows.reads[source][read];
        if !to.apply_range(&sight.initial)?.is_empty()? {
            return Ok(false);
        }
        let writers = to.apply_range(&sight.writers)?.maps()?;
        match writers.iter().map(|map| self.writer(map)).collect::<isl::Result<Vec<_>>>()?.as_slice() {
            [Some(only)] => self.assigned(mine, only, depth),
            [Some(one), Some(other)] if other.is_update(self.meaning) => self.combined(mine, one, other, depth),
            [Some(one), Some(other)] if one.is_update(self.meaning) => self.combined(mine, other, one, depth),
            _ => Ok(false),
        }
    }

    /// The statement and component that the instances are of.
    fn writer(&self, instances: &isl::Map) -> isl::Result<Option<Writer>> {
        let name = instances.tuple_name(isl::Dim::Out)?;
        for (stmt, row) in self.meaning.source.stmts.iter() {
            for component in 0..row.writes.len() {
                if flows::writer_name(row, component) == name {
                    let instances = instances.with_tuple_name(isl::Dim::Out, &row.name)?;
                    return Ok(Some(Writer { stmt, component, instances }));
                }
            }
        }
        Ok(None)
    }

    /// Whether `mine` is what one instance of the writer assigns.
    fn assigned(&mut self, mine: &Expr, writer: &Writer, depth: usize) -> isl::Result<bool> {
        let Body::Assign(values) = &self.meaning.source.stmts[writer.stmt].body else { return Ok(false) };
        if !writer.instances.is_single_valued()? || !self.is_everywhere(&writer.instances)? {
            return Ok(false);
        }
        self.expr(mine, writer.stmt, &values[writer.component], &writer.instances.to_union_map()?, depth - 1)
    }

    /// Whether `mine` is what a reduction of a few terms leaves, written out: what it begins with, then one term after the
    /// other in the order of the updating statement's dimensions, in which the source runs it.
    fn combined(&mut self, mine: &Expr, begin: &Writer, update: &Writer, depth: usize) -> isl::Result<bool> {
        let stmt = &self.meaning.source.stmts[update.stmt];
        let Body::Reduce { monoid, terms } = &stmt.body else { return Ok(false) };
        let dtype = self.meaning.source.tensors[stmt.writes[0].tensor].dtype;
        let (Some(operator), [term]) = (monoid.operator_on_state(), terms.as_slice()) else { return Ok(false) };
        if monoid.dtypes != [dtype] {
            return Ok(false);
        }
        let Some(instances) = self.in_order(update)? else { return Ok(false) };
        let mut rest = mine;
        for at in instances.iter().rev() {
            let Expr::Binary(op, before, own) = rest else { return Ok(false) };
            if *op != operator || !self.expr(own, update.stmt, term, at, depth - 1)? {
                return Ok(false);
            }
            rest = before;
        }
        self.assigned(rest, begin, depth)
    }

    /// The updates that each instance finds, one after the other; `None` when there are too many, or not as many everywhere.
    fn in_order(&self, update: &Writer) -> isl::Result<Option<Vec<isl::UnionMap>>> {
        let (mut left, mut instances) = (update.instances.clone(), Vec::new());
        while !left.is_empty()? {
            let next = left.lexmin()?;
            if instances.len() == TERMS || !self.is_everywhere(&next)? {
                return Ok(None);
            }
            instances.push(next.to_union_map()?);
            left = left.subtract(&next)?;
        }
        Ok(Some(instances))
    }

    /// Whether each instance of the changed statement is mapped.
    fn is_everywhere(&self, map: &isl::Map) -> isl::Result<bool> {
        self.stmt.domain.intersect_params(&self.scop.context)?.is_subset(&map.domain()?)
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
