//! What each statement of a changed program is for.

use super::flows::is_indirect;
use crate::legality::Illegal;
use crate::{Body, DType, Expr, Monoid, Scop, Stmt, StmtId, TensorId, Value, isl};

/// What a statement is for.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Computes what instances of one statement of the source do; the relation to them is a function.
    Computes { source: StmtId, origin: isl::UnionMap },
    /// Carries each component over from one of its reads, as it is or in a type that holds all its values.
    Copies { reads: Vec<usize> },
    /// Combines partial results, one read for each component, into others.
    Combines { monoid: Monoid, reads: Vec<usize> },
    /// Writes constants: what a reduction may begin with.
    Begins { constants: Vec<(Value, DType)> },
    /// Writes nothing.
    Prefetches,
}

/// What `stmt` of `scop` is for, when `source` is the program that it must compute.
pub(super) fn part(source: &Scop, scop: &Scop, stmt: &Stmt) -> Result<Part, Illegal> {
    if stmt.writes.is_empty() {
        return Ok(Part::Prefetches);
    }
    let domain = stmt.domain.intersect_params(&scop.context)?.to_union_set()?;
    let origin = scop.origin.intersect_domain(&domain)?;
    if !origin.is_empty()? {
        return computes(source, scop, stmt, origin);
    }
    if domain.is_empty()? {
        return Ok(Part::Prefetches);
    }
    if stmt.writes.iter().any(is_indirect) {
        return Err(own_computation(stmt));
    }
    let loads = || stmt.body.exprs().iter().map(|expr| load(stmt, expr)).collect::<Option<Vec<_>>>();
    let widened = || stmt.body.exprs().iter().map(|expr| widened(scop, stmt, expr)).collect::<Option<Vec<_>>>();
    let constants = || stmt.body.exprs().iter().map(constant).collect::<Option<Vec<_>>>();
    let part = match &stmt.body {
        Body::Reduce { monoid, .. } => {
            same_types(scop, stmt, loads()).map(|reads| Part::Combines { monoid: monoid.clone(), reads })
        }
        Body::Assign(_) => {
            let copies = same_types(scop, stmt, loads()).map(|reads| Part::Copies { reads });
            let copies = copies.or_else(|| same_widths(scop, stmt, widened()).map(|reads| Part::Copies { reads }));
            copies.or_else(|| constants().map(|constants| Part::Begins { constants }))
        }
    };
    part.ok_or_else(|| own_computation(stmt))
}

fn own_computation(stmt: &Stmt) -> Illegal {
    malformed(format!(
        "`{}` computes something of its own: it has no origin in the source, and is neither a copy, nor a combination of \
         partial results, nor the beginning of a reduction",
        stmt.name
    ))
}

pub(super) fn malformed(sentence: impl Into<String>) -> Illegal {
    Illegal::Malformed(sentence.into())
}

fn computes(source: &Scop, scop: &Scop, stmt: &Stmt, origin: isl::UnionMap) -> Result<Part, Illegal> {
    if !stmt.domain.intersect_params(&scop.context)?.to_union_set()?.is_subset(&origin.domain()?)? {
        return Err(malformed(format!(
            "some instances of `{}` have an origin in the source and some have none",
            stmt.name
        )));
    }
    let targets = origin.range()?.sets()?;
    let [target] = targets.as_slice() else {
        return Err(malformed(format!("`{}` computes instances of several statements of the source", stmt.name)));
    };
    let name = target.tuple_name()?;
    let Some(id) = source.stmt_named(&name) else {
        return Err(malformed(format!("`{}` computes `{name}`, which is no statement of the source", stmt.name)));
    };
    let from = &source.stmts[id];
    if !target.is_subset(&from.domain)? {
        return Err(malformed(format!("`{}` computes instances of `{name}` that the source does not have", stmt.name)));
    }
    if !origin.is_single_valued()? {
        return Err(malformed(format!("an instance of `{}` computes several instances of `{name}`", stmt.name)));
    }
    let types = |scop: &Scop, stmt: &Stmt| stmt.writes.iter().map(|w| scop.tensors[w.tensor].dtype).collect::<Vec<_>>();
    if types(source, from) != types(scop, stmt) {
        return Err(malformed(format!("`{}` writes values of other types than `{name}`", stmt.name)));
    }
    Ok(Part::Computes { source: id, origin })
}

/// The read that a component is, when it is nothing else.
fn load(stmt: &Stmt, expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Load(read) => stmt.reads.get(*read).is_some_and(|access| !is_indirect(access)).then_some(*read),
        _ => None,
    }
}

/// The read that a component is but for an exact conversion, and the type after it. Whoever reads it without one reads the
/// same number: only in the type of what it was read from can it be more than that.
fn widened(scop: &Scop, stmt: &Stmt, expr: &Expr) -> Option<(usize, DType)> {
    let (inner, wide) = match expr {
        Expr::Cast(wide, inner) => (&**inner, Some(*wide)),
        _ => (expr, None),
    };
    let read = load(stmt, inner)?;
    let narrow = scop.tensors[stmt.reads[read].tensor].dtype;
    match wide {
        Some(wide) => narrow.widens_to(wide).then_some((read, wide)),
        None => Some((read, narrow)),
    }
}

/// The reads, when after their conversions they have the types of what is written.
fn same_widths(scop: &Scop, stmt: &Stmt, reads: Option<Vec<(usize, DType)>>) -> Option<Vec<usize>> {
    let reads = reads?;
    let same = reads.iter().zip(&stmt.writes).all(|((_, wide), write)| *wide == scop.tensors[write.tensor].dtype);
    (same && reads.len() == stmt.writes.len()).then(|| reads.into_iter().map(|(read, _)| read).collect())
}

fn constant(expr: &Expr) -> Option<(Value, DType)> {
    match expr {
        Expr::Const(value, dtype) => Some((*value, *dtype)),
        _ => None,
    }
}

/// The reads, when what they read has the types of what is written.
fn same_types(scop: &Scop, stmt: &Stmt, reads: Option<Vec<usize>>) -> Option<Vec<usize>> {
    let dtype = |tensor: TensorId| scop.tensors[tensor].dtype;
    let reads = reads?;
    let same =
        reads.iter().zip(&stmt.writes).all(|(&read, write)| dtype(stmt.reads[read].tensor) == dtype(write.tensor));
    (same && reads.len() == stmt.writes.len()).then_some(reads)
}

/// Whether two constants are one value of their type, to the bit.
pub(super) fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        _ => false,
    }
}
