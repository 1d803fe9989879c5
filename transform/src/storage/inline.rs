//! The command that puts the computation of a tensor into its readers: inline.

use polyhedral::{Access, BinOp, Body, Expr, Index, Scop, Stmt, StmtId, Subscript, TensorId, isl};

use super::{evolve, formula};
use crate::Command;
use crate::proof::Edit;
use crate::refused::Reason;

/// The most operations and operands that a statement may have after an inlining: chains of them grow exponentially.
const MAX_EXPRESSION: usize = 4096;

/// The most terms of a reduction that are written out.
const MAX_TERMS: usize = 64;

/// The most operations inside each other: the text of a program carries no more.
const MAX_NESTING: usize = 96;

/// Computes a temporary where it is read, and stores it no more.
///
/// ```text
/// inline T
///
/// stmt T[i]   T[i] = 2 * A[i]          ->
/// stmt B[i]   B[i] = T[i] + T[i + 1]          stmt B[i]   B[i] = 2 * A[i] + 2 * A[i + 1]
/// ```
///
/// The statement and the tensor are gone afterwards. What nobody reads is not computed any more. A reduction of a few terms
/// is written out, in the order of the updating statement's dimensions:
///
/// ```text
/// stmt T.init[i]        T[i] = 0.0f32          ->
/// stmt T.update[i, k]   T[i] sum= A[i + k]          stmt B[i]   B[i] = sqrt(0.0f32 + A[i] + A[i + 1])
/// stmt B[i]             B[i] = sqrt(T[i])
/// ```
///
/// Needs a temporary that one assignment writes, each element in at most one instance, which is a function of the
/// subscripts, and that at most one reduction then updates, each element equally often; every read of it by affine
/// subscripts, of elements that are written. Proof: values, and that what the
/// producer read is still the same where the readers run. After Halide's `inline`, the default of its pure functions
/// (Ragan-Kelley and others, Halide, PLDI 2013); `inline` of Exo (Ikarashi and others, PLDI 2022).
pub(crate) fn inline(scop: &Scop, tensor: &str) -> Result<Edit, Reason> {
    let id = evolve::temporary(scop, tensor)?;
    let (producer, update) = writers(scop, id)?;
    let inlining = Inlining { scop, tensor: id, producer, update };
    let mut after = scop.clone();
    for (reader, stmt) in scop.stmts.iter().filter(|(_, stmt)| stmt.reads.iter().any(|read| read.tensor == id)) {
        after.stmts[reader] = inlining.reader_with(stmt)?;
        if inlining.is_copy(stmt)? {
            let computed = inlining
                .instances(inlining.producer(), stmt, &stmt.reads[0])?
                .to_union_map()?
                .apply_range(&scop.origin)?;
            after.origin = after.origin.union(&computed)?;
        }
    }
    let gone: Vec<StmtId> = [producer].into_iter().chain(update).collect();
    let mut after = evolve::without_stmts(&after, &gone)?;
    evolve::without_tensor(&mut after, id);
    Ok(Edit::of_values(after, Command::Inline { tensor: tensor.to_string() }))
}

/// The assignment that writes the tensor, and the reduction that updates it then, if there is one; nothing else does.
fn writers(scop: &Scop, tensor: TensorId) -> Result<(StmtId, Option<StmtId>), Reason> {
    let name = &scop.tensors[tensor].name;
    let writes = |(_, stmt): &(StmtId, &Stmt)| stmt.writes.iter().any(|write| write.tensor == tensor);
    let (updates, assignments): (Vec<_>, Vec<_>) =
        scop.stmts.iter().filter(writes).partition(|(_, stmt)| stmt.body.is_reduce());
    let (producer, update) = match (assignments.as_slice(), updates.as_slice()) {
        ([], []) => return Reason::precondition(format!("no statement writes `{name}`")),
        ([], [(_, stmt), ..]) => {
            let own = &stmt.name;
            return Reason::precondition(format!(
                "the statement `{own}` updates `{name}`, and no assignment begins it"
            ));
        }
        ([one], []) => (*one, None),
        ([one], [other]) => (*one, Some(*other)),
        ([(_, first), (_, second), ..], _) | (_, [(_, first), (_, second), ..]) => {
            let (first, second) = (&first.name, &second.name);
            return Reason::precondition(format!(
                "the statements `{first}` and `{second}` write `{name}`; one assignment can be inlined, and one reduction"
            ));
        }
    };
    for (_, stmt) in [producer].into_iter().chain(update) {
        alone_and_known(stmt, tensor, name)?;
    }
    let operator = |(_, stmt): &(StmtId, &Stmt)| operator(stmt).is_some();
    if let Some((_, stmt)) = update.filter(|update| !operator(update)) {
        let own = &stmt.name;
        return Reason::precondition(format!(
            "what the statement `{own}` combines is no operator on two values of `{name}`"
        ));
    }
    Ok((producer.0, update.map(|(id, _)| id)))
}

/// Whether a statement writes this tensor alone, where subscripts say, and computes it from others.
fn alone_and_known(stmt: &Stmt, tensor: TensorId, name: &str) -> Result<(), Reason> {
    let own = &stmt.name;
    if stmt.writes.len() > 1 {
        return Reason::precondition(format!("the statement `{own}` writes other elements than that of `{name}` too"));
    }
    if stmt.writes[0].affine().is_none() {
        return Reason::precondition(format!("the statement `{own}` writes elements of `{name}` that depend on data"));
    }
    if stmt.reads.iter().any(|read| read.tensor == tensor) {
        return Reason::precondition(format!("the statement `{own}` computes `{name}` from itself"));
    }
    Ok(())
}

/// How a reduction combines what is there with a term.
fn operator(stmt: &Stmt) -> Option<BinOp> {
    match &stmt.body {
        Body::Reduce { monoid, .. } => monoid.operator_on_state(),
        Body::Assign(_) => None,
    }
}

/// A tensor, the assignment that computes it, and the reduction that goes on from there.
struct Inlining<'a> {
    scop: &'a Scop,
    tensor: TensorId,
    producer: StmtId,
    update: Option<StmtId>,
}

impl Inlining<'_> {
    fn producer(&self) -> &Stmt {
        &self.scop.stmts[self.producer]
    }

    /// Whether the statement carries the tensor's elements elsewhere, so that it computes them from now on.
    fn is_copy(&self, stmt: &Stmt) -> isl::Result<bool> {
        if self.update.is_some() {
            return Ok(false);
        }
        let loads = matches!(&stmt.body, Body::Assign(values) if values.as_slice() == [Expr::Load(0)]);
        Ok(loads && stmt.domain.to_union_set()?.is_disjoint(&self.scop.origin.domain()?)?)
    }

    /// The reader with every read of the tensor replaced by those of the producer.
    fn reader_with(&self, reader: &Stmt) -> Result<Stmt, Reason> {
        let (mut reads, mut loads) = (Vec::new(), Vec::new());
        for read in &reader.reads {
            if read.tensor == self.tensor {
                let begin = moved(self.producer(), &self.dimensions(reader, read)?, &mut reads);
                loads.push(self.with_terms(begin, reader, read, &mut reads)?);
            } else {
                let index = read.index.iter().map(|subscript| with_loads_in(subscript, &loads)).collect();
                loads.push(Expr::Load(position_of(Access { index, ..read.clone() }, &mut reads)));
            }
        }
        check_growth(reader, &loads)?;
        let mut after = Stmt { reads, ..reader.clone() };
        for access in &mut after.writes {
            access.index = access.index.iter().map(|subscript| with_loads_in(subscript, &loads)).collect();
        }
        for expr in after.body.exprs_mut() {
            *expr = with_loads(expr, &loads);
        }
        Ok(after)
    }

    /// From the reader's instances to those of a statement that write what it reads there.
    fn instances(&self, of: &Stmt, reader: &Stmt, read: &Access) -> isl::Result<isl::Map> {
        let written = self.scop.relation(of, &of.writes[0])?;
        self.scop.relation(reader, read)?.apply_range(&written.reverse()?)
    }

    /// What the assignment begins with, combined with the terms of the reduction that the reader finds.
    fn with_terms(&self, begin: Expr, reader: &Stmt, read: &Access, reads: &mut Vec<Access>) -> Result<Expr, Reason> {
        let update = self.update.map(|id| &self.scop.stmts[id]);
        let Some((stmt, op)) = update.and_then(|stmt| Some((stmt, operator(stmt)?))) else { return Ok(begin) };
        let terms = self.terms(stmt, reader, read)?;
        let combined =
            |before, dims: &Vec<Index>| Expr::Binary(op, Box::new(before), Box::new(moved(stmt, dims, reads)));
        Ok(terms.iter().fold(begin, combined))
    }

    /// The updates that the reader finds, in the order of the statement's dimensions: these as functions of the reader's.
    fn terms(&self, stmt: &Stmt, reader: &Stmt, read: &Access) -> Result<Vec<Vec<Index>>, Reason> {
        let domain = reader.domain.intersect_params(&self.scop.context)?;
        let (mut left, mut terms) = (self.instances(stmt, reader, read)?.intersect_domain(&domain)?, Vec::new());
        while !left.is_empty()? {
            let next = left.lexmin()?;
            if terms.len() == MAX_TERMS || !domain.is_subset(&next.domain()?)? {
                let (own, name) = (&stmt.name, &self.scop.tensors[self.tensor].name);
                return Reason::precondition(format!(
                    "the statement `{own}` updates an element of `{name}` more than {MAX_TERMS} times, or some oftener than others"
                ));
            }
            left = left.subtract(&next)?;
            terms.push(self.functions(stmt, reader, &next, &domain)?);
        }
        Ok(terms)
    }

    /// Each dimension of the statement from the dimensions of the reader.
    fn functions(
        &self,
        stmt: &Stmt,
        reader: &Stmt,
        instances: &isl::Map,
        domain: &isl::Set,
    ) -> Result<Vec<Index>, Reason> {
        let functions = instances.to_pw_multi_aff()?;
        let of = |at: usize| match formula::index_of(&functions.at(at as i32)?.gist(domain)?)? {
            Some(index) => Ok(index),
            None => {
                let (from, by) = (&stmt.name, &reader.name);
                let sentence =
                    format!("the instance of the statement `{from}` that `{by}` needs is not one expression");
                Reason::precondition(sentence)
            }
        };
        (0..stmt.dims.len()).map(of).collect()
    }

    /// The producer's dimensions as functions of the reader's.
    fn dimensions(&self, reader: &Stmt, read: &Access) -> Result<Vec<Index>, Reason> {
        let (by, from, name) = (&reader.name, &self.producer().name, &self.scop.tensors[self.tensor].name);
        let Some(subscripts) = read.affine() else {
            return Reason::precondition(format!(
                "the statement `{by}` reads `{name}` by subscripts that depend on data"
            ));
        };
        let instances = self.instances(self.producer(), reader, read)?;
        if !instances.is_single_valued()? {
            return Reason::precondition(format!(
                "several instances of the statement `{from}` write one element of `{name}`"
            ));
        }
        let domain = reader.domain.intersect_params(&self.scop.context)?;
        if !domain.is_subset(&instances.domain()?)? {
            return Reason::precondition(format!(
                "the statement `{by}` reads elements of `{name}` that the statement `{from}` does not write"
            ));
        }
        if let Some(direct) = self.direct(&subscripts) {
            return Ok(direct);
        }
        self.functions(self.producer(), reader, &instances, &domain)
    }

    /// Each dimension from the subscript that is that dimension, but for a constant; the text stays as it was written.
    fn direct(&self, read: &[&Index]) -> Option<Vec<Index>> {
        let producer = self.producer();
        let written = producer.writes[0].affine()?;
        let of = |dim: usize| {
            written.iter().zip(read).find_map(|(own, read)| {
                let affine = own.affine()?;
                let is_dim = affine.params.is_empty() && affine.dims.iter().eq([(&dim, &1)]);
                is_dim.then(|| (*read).clone() - affine.constant)
            })
        };
        (0..producer.dims.len()).map(of).collect()
    }
}

/// Whether a reader stays of a size that its text carries when its loads become these.
fn check_growth(reader: &Stmt, loads: &[Expr]) -> Result<(), Reason> {
    let indirect = reader.accesses().flat_map(|access| &access.index).filter_map(|subscript| match subscript {
        Subscript::Indirect(expr) => Some(expr),
        Subscript::Affine(_) => None,
    });
    let sizes: Vec<(usize, usize)> = loads.iter().map(|load| (size(load), depth(load))).collect();
    let (mut all, mut deepest) = (0, 0);
    for expr in reader.body.exprs().iter().chain(indirect) {
        let mut inside = 0;
        expr.visit(&mut |e| match e {
            Expr::Load(k) => {
                all += sizes[*k].0;
                inside = inside.max(sizes[*k].1);
            }
            _ => all += 1,
        });
        deepest = deepest.max(depth(expr) + inside);
    }
    if all > MAX_EXPRESSION || deepest > MAX_NESTING {
        let sentence = format!(
            "the statement `{}` would have more than {MAX_EXPRESSION} operations and operands, or {MAX_NESTING} inside each other",
            reader.name
        );
        return Reason::precondition(sentence);
    }
    Ok(())
}

/// How many operations and operands there are.
fn size(expr: &Expr) -> usize {
    let mut count = 0;
    expr.visit(&mut |_| count += 1);
    count
}

/// A statement's value where its dimensions are these, with what it reads among the reads.
fn moved(stmt: &Stmt, dims: &[Index], reads: &mut Vec<Access>) -> Expr {
    let mut here = Moved { dims, loads: Vec::new() };
    for own in &stmt.reads {
        let access = here.access(own);
        here.loads.push(Expr::Load(position_of(access, reads)));
    }
    here.expr(&stmt.body.exprs()[0])
}

/// The producer's text, moved into a reader.
struct Moved<'a> {
    /// What the producer's dimensions are there.
    dims: &'a [Index],
    /// What its loads are there, as far as its reads are moved.
    loads: Vec<Expr>,
}

impl Moved<'_> {
    fn index(&self, index: &Index) -> Index {
        let moved = index.substitute(&|at| self.dims[at].clone(), &Index::Param);
        evolve::in_order(moved)
    }

    fn expr(&self, expr: &Expr) -> Expr {
        expr.map(&mut |e| match e {
            Expr::Index(index) => Expr::Index(self.index(&index)),
            Expr::Load(k) => self.loads[k].clone(),
            other => other,
        })
    }

    fn access(&self, own: &Access) -> Access {
        let index = own.index.iter().map(|subscript| match subscript {
            Subscript::Affine(index) => Subscript::Affine(self.index(index)),
            Subscript::Indirect(expr) => Subscript::Indirect(self.expr(expr)),
        });
        Access { index: index.collect(), ..own.clone() }
    }
}

/// Where among the reads the access is; at the end when it is not there yet.
fn position_of(access: Access, reads: &mut Vec<Access>) -> usize {
    let same = |read: &Access| read.tensor == access.tensor && read.index == access.index;
    reads.iter().position(same).unwrap_or_else(|| {
        reads.push(access);
        reads.len() - 1
    })
}

/// How many operations are inside each other, at most.
fn depth(expr: &Expr) -> usize {
    1 + expr.children().into_iter().map(depth).max().unwrap_or(0)
}

fn with_loads(expr: &Expr, loads: &[Expr]) -> Expr {
    expr.map(&mut |e| match e {
        Expr::Load(k) => loads[k].clone(),
        other => other,
    })
}

fn with_loads_in(subscript: &Subscript, loads: &[Expr]) -> Subscript {
    match subscript {
        Subscript::Affine(index) => Subscript::Affine(index.clone()),
        Subscript::Indirect(expr) => Subscript::Indirect(with_loads(expr, loads)),
    }
}
