//! The command that puts the computation of a tensor into its readers: inline.

use polyhedral::{Access, Body, Expr, Index, Scop, Stmt, StmtId, Subscript, TensorId, isl};

use super::{evolve, formula};
use crate::Command;
use crate::proof::Edit;
use crate::refused::Reason;

/// The most operations and operands that a statement may have after an inlining: chains of them grow exponentially.
const MAX_EXPRESSION: usize = 4096;

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
/// The statement and the tensor are gone afterwards. What nobody reads is not computed any more.
///
/// Needs a temporary that one assignment writes, each element in at most one instance, which is a function of the
/// subscripts; every read of it by affine subscripts, of elements that are written. Proof: values, and that what the
/// producer read is still the same where the readers run. After Halide's `inline`, the default of its pure functions
/// (Ragan-Kelley and others, Halide, PLDI 2013); `inline` of Exo (Ikarashi and others, PLDI 2022).
pub(crate) fn inline(scop: &Scop, tensor: &str) -> Result<Edit, Reason> {
    let id = evolve::temporary(scop, tensor)?;
    let inlining = Inlining { scop, tensor: id, producer: only_writer(scop, id)? };
    let mut after = scop.clone();
    for (reader, stmt) in scop.stmts.iter().filter(|(_, stmt)| stmt.reads.iter().any(|read| read.tensor == id)) {
        after.stmts[reader] = inlining.reader_with(stmt)?;
        if inlining.is_copy(stmt)? {
            let computed = inlining.instances(stmt, &stmt.reads[0])?.to_union_map()?.apply_range(&scop.origin)?;
            after.origin = after.origin.union(&computed)?;
        }
    }
    let mut after = evolve::without_stmts(&after, &[inlining.producer])?;
    evolve::without_tensor(&mut after, id);
    Ok(Edit::of_values(after, Command::Inline { tensor: tensor.to_string() }))
}

/// The assignment that alone writes the tensor, and nothing else.
fn only_writer(scop: &Scop, tensor: TensorId) -> Result<StmtId, Reason> {
    let name = &scop.tensors[tensor].name;
    let mut writers = scop.stmts.iter().filter(|(_, stmt)| stmt.writes.iter().any(|write| write.tensor == tensor));
    let Some((id, stmt)) = writers.next() else {
        return Reason::precondition(format!("no statement writes `{name}`"));
    };
    if let Some((_, other)) = writers.next() {
        let (first, second) = (&stmt.name, &other.name);
        return Reason::precondition(format!(
            "the statements `{first}` and `{second}` write `{name}`; one assignment can be inlined"
        ));
    }
    let own = &stmt.name;
    if stmt.body.is_reduce() {
        return Reason::precondition(format!(
            "the statement `{own}` updates `{name}`; only an assignment can be inlined"
        ));
    }
    if stmt.writes.len() > 1 {
        return Reason::precondition(format!("the statement `{own}` writes other elements than that of `{name}` too"));
    }
    if stmt.writes[0].affine().is_none() {
        return Reason::precondition(format!("the statement `{own}` writes elements of `{name}` that depend on data"));
    }
    if stmt.reads.iter().any(|read| read.tensor == tensor) {
        return Reason::precondition(format!("the statement `{own}` computes `{name}` from itself"));
    }
    Ok(id)
}

/// A tensor, and the assignment that computes it.
struct Inlining<'a> {
    scop: &'a Scop,
    tensor: TensorId,
    producer: StmtId,
}

impl Inlining<'_> {
    fn producer(&self) -> &Stmt {
        &self.scop.stmts[self.producer]
    }

    fn value(&self) -> &Expr {
        &self.producer().body.exprs()[0]
    }

    /// Whether the statement carries the tensor's elements elsewhere, so that it computes them from now on.
    fn is_copy(&self, stmt: &Stmt) -> isl::Result<bool> {
        let loads = matches!(&stmt.body, Body::Assign(values) if values.as_slice() == [Expr::Load(0)]);
        Ok(loads && stmt.domain.to_union_set()?.is_disjoint(&self.scop.origin.domain()?)?)
    }

    /// The reader with every read of the tensor replaced by those of the producer.
    fn reader_with(&self, reader: &Stmt) -> Result<Stmt, Reason> {
        self.check_growth(reader)?;
        let (mut reads, mut loads) = (Vec::new(), Vec::new());
        for read in &reader.reads {
            if read.tensor == self.tensor {
                let dims = self.dimensions(reader, read)?;
                let mut here = Moved { dims: &dims, loads: Vec::new() };
                for own in &self.producer().reads {
                    let access = here.access(own);
                    here.loads.push(Expr::Load(position_of(access, &mut reads)));
                }
                loads.push(here.expr(self.value()));
            } else {
                let index = read.index.iter().map(|subscript| with_loads_in(subscript, &loads)).collect();
                loads.push(Expr::Load(position_of(Access { index, ..read.clone() }, &mut reads)));
            }
        }
        let mut after = Stmt { reads, ..reader.clone() };
        for access in &mut after.writes {
            access.index = access.index.iter().map(|subscript| with_loads_in(subscript, &loads)).collect();
        }
        for expr in after.body.exprs_mut() {
            *expr = with_loads(expr, &loads);
        }
        Ok(after)
    }

    /// What the reader would become, before it does.
    fn check_growth(&self, reader: &Stmt) -> Result<(), Reason> {
        let is_ours = |k: usize| reader.reads.get(k).is_some_and(|read| read.tensor == self.tensor);
        let indirect = reader.accesses().flat_map(|access| &access.index).filter_map(|subscript| match subscript {
            Subscript::Indirect(expr) => Some(expr),
            Subscript::Affine(_) => None,
        });
        let (mut size, mut uses, mut deepest) = (0, 0, 0);
        for expr in reader.body.exprs().iter().chain(indirect) {
            deepest = deepest.max(depth(expr));
            expr.visit(&mut |e| {
                size += 1;
                uses += usize::from(matches!(e, Expr::Load(k) if is_ours(*k)));
            });
        }
        let mut own = 0;
        self.value().visit(&mut |_| own += 1);
        if own * uses + size > MAX_EXPRESSION || depth(self.value()) + deepest > MAX_NESTING {
            let sentence = format!(
                "the statement `{}` would have more than {MAX_EXPRESSION} operations and operands, or {MAX_NESTING} inside each other",
                reader.name
            );
            return Reason::precondition(sentence);
        }
        Ok(())
    }

    /// From the reader's instances to those of the producer that write what it reads there.
    fn instances(&self, reader: &Stmt, read: &Access) -> isl::Result<isl::Map> {
        let written = self.scop.relation(self.producer(), &self.producer().writes[0])?;
        self.scop.relation(reader, read)?.apply_range(&written.reverse()?)
    }

    /// The producer's dimensions as functions of the reader's.
    fn dimensions(&self, reader: &Stmt, read: &Access) -> Result<Vec<Index>, Reason> {
        let (by, from, name) = (&reader.name, &self.producer().name, &self.scop.tensors[self.tensor].name);
        let Some(subscripts) = read.affine() else {
            return Reason::precondition(format!(
                "the statement `{by}` reads `{name}` by subscripts that depend on data"
            ));
        };
        let instances = self.instances(reader, read)?;
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
        let functions = instances.to_pw_multi_aff()?;
        let mut dims = Vec::new();
        for at in 0..self.producer().dims.len() {
            match formula::index_of(&functions.at(at as i32)?.gist(&domain)?)? {
                Some(index) => dims.push(index),
                None => {
                    let sentence =
                        format!("the instance of the statement `{from}` that `{by}` needs is not one expression");
                    return Reason::precondition(sentence);
                }
            }
        }
        Ok(dims)
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
