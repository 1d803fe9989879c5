//! A checked definition to the middle form.

use std::fmt::Display;

use polyhedral::{Access, Body, DType, Expr, Index, Memory, Monoid, Nest, Scop, Stmt, TensorId, isl};
use support::{Entity, Malformed, Table};

use crate::ast::Reduction;
use crate::kernel::{Kernel, Precondition, Statement};
use crate::sema::{Read, Subscript};

/// The Scop of `kernel`, over its sizes. Its context holds what the call has checked.
///
/// # Errors
/// When isl fails, which for a checked kernel means that a quota of its context was exhausted.
pub fn lower(kernel: &Kernel, ctx: &isl::Ctx) -> Result<Scop, Malformed> {
    let tensors = kernel.tensors.iter().map(|tensor| polyhedral::Tensor {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        lower: tensor.lower.clone(),
        extent: tensor.extent.clone(),
        role: tensor.role,
        memory: Memory::Global,
        layout: None,
        streamed: false,
        span: tensor.span,
    });
    let mut scop = empty(kernel, ctx, tensors.collect()).map_err(|error| fault(&kernel.name, error))?;
    for statement in &kernel.statements {
        for stmt in statements_of(kernel, statement, &scop)? {
            let dims = stmt.dims.clone();
            let id = scop.stmts.push(stmt);
            scop.source.push(Nest::of_stmt(id, &dims));
        }
    }
    finish(scop).map_err(|error| fault(&kernel.name, error))
}

fn fault(entity: &str, error: impl Display) -> Malformed {
    Malformed::new("scop", entity, error.to_string())
}

/// The Scop without its statements.
fn empty(kernel: &Kernel, ctx: &isl::Ctx, tensors: Table<TensorId, polyhedral::Tensor>) -> isl::Result<Scop> {
    let context = context(kernel, ctx)?;
    let domain = isl::UnionSet::empty(ctx)?;
    Ok(Scop {
        name: kernel.name.clone(),
        ctx: ctx.clone(),
        params: kernel.sizes.iter().map(|size| dim_name(size, kernel)).collect(),
        context,
        tensors,
        stmts: Table::new(),
        source: Vec::new(),
        tree: polyhedral::ScheduleTree { domain: domain.clone(), root: polyhedral::Node::Leaf },
        origin: domain.identity()?,
    })
}

fn finish(mut scop: Scop) -> isl::Result<Scop> {
    scop.tree = polyhedral::ScheduleTree::from_source(&scop)?;
    scop.origin = scop.domain()?.identity()?;
    Ok(scop)
}

/// Sizes are not negative, and the preconditions hold.
fn context(kernel: &Kernel, ctx: &isl::Ctx) -> isl::Result<isl::Set> {
    let names: Vec<String> = kernel.sizes.iter().map(|size| dim_name(size, kernel)).collect();
    let space = isl::Space::parameters(ctx, &names)?.set_from_params()?;
    let mut set = space.universe_set()?;
    for at in 0..kernel.sizes.len() {
        set = set.intersect(&Index::Param(at).to_pw_aff(&space)?.nonneg_set()?)?;
    }
    for Precondition { value, extents, .. } in &kernel.preconditions {
        let mut holds = value.to_pw_aff(&space)?.nonneg_set()?;
        for extent in extents {
            holds = holds.union(&(-extent.clone()).to_pw_aff(&space)?.nonneg_set()?)?;
        }
        set = set.intersect(&holds)?;
    }
    set.coalesce()?.params()
}

/// The statements of the middle form: `C` for `=`, `C.init` and `C.update` for a reduction with `!`, `C.update` for one
/// without; `.2` and so on where a tensor is written again.
fn statements_of(kernel: &Kernel, statement: &Statement, scop: &Scop) -> Result<Vec<Stmt>, Malformed> {
    let target = &kernel.tensors[statement.target];
    let again = if statement.occurrence > 1 { format!(".{}", statement.occurrence) } else { String::new() };
    let named = |kind: &str| format!("{}{kind}{again}", target.name);
    let Some(reduction) = statement.assign.reduction else {
        let body = Body::Assign(vec![statement.value.clone()]);
        return Ok(vec![stmt(named(""), kernel, statement, statement.indices.len(), body, scop)?]);
    };
    let monoid = monoid(reduction, target.dtype);
    let mut stmts = Vec::new();
    if statement.assign.init {
        let identity = Expr::Const(monoid.identity[0], target.dtype);
        let mut init = stmt(named(".init"), kernel, statement, statement.left, Body::Assign(vec![identity]), scop)?;
        init.reads.clear();
        stmts.push(init);
    }
    stmts.push(update(named(".update"), kernel, statement, monoid, scop)?);
    Ok(stmts)
}

fn monoid(reduction: Reduction, dtype: DType) -> Monoid {
    match reduction {
        Reduction::Sum => Monoid::sum(dtype),
        Reduction::Product => Monoid::prod(dtype),
        Reduction::Min => Monoid::min(dtype),
        Reduction::Max => Monoid::max(dtype),
    }
}

/// A reduction's step. One whose term depends on the tensor that it accumulates into is no reduction: it is an
/// assignment, in the order that is written.
fn update(
    name: String,
    kernel: &Kernel,
    statement: &Statement,
    monoid: Monoid,
    scop: &Scop,
) -> Result<Stmt, Malformed> {
    let dims = statement.indices.len();
    if statement.reads.iter().all(|read| read.tensor != statement.target) {
        let terms = vec![statement.value.clone()];
        return stmt(name, kernel, statement, dims, Body::Reduce { monoid, terms }, scop);
    }
    let mut stmt = stmt(name, kernel, statement, dims, Body::Assign(Vec::new()), scop)?;
    let own = stmt.writes[0].clone();
    let number =
        stmt.reads.iter().position(|read| read.tensor == own.tensor && read.index == own.index).unwrap_or_else(|| {
            stmt.reads.push(own);
            stmt.reads.len() - 1
        });
    let combined = monoid.combine[0].map(&mut |e| match e {
        Expr::State(_) => Expr::Load(number),
        Expr::Term(_) => statement.value.clone(),
        other => other,
    });
    stmt.body = Body::Assign(vec![combined]);
    Ok(stmt)
}

/// Words of isl's notation, in any case: no index or size of a set may be called so.
const ISL_WORDS: [&str; 18] = [
    "exists", "and", "or", "implies", "not", "infty", "infinity", "nan", "min", "max", "rat", "true", "false", "ceild",
    "floord", "mod", "ceil", "floor",
];

/// The name of an index or size inside sets: its own, with underscores behind it where isl would misread it.
fn dim_name(name: &str, kernel: &Kernel) -> String {
    let taken = |name: &str| {
        kernel.sizes.iter().any(|size| size == name)
            || kernel.statements.iter().any(|statement| statement.indices.iter().any(|index| index == name))
    };
    let mut safe = name.to_string();
    if ISL_WORDS.iter().any(|word| word.eq_ignore_ascii_case(name)) {
        safe.push('_');
        while taken(&safe) {
            safe.push('_');
        }
    }
    safe
}

/// A statement over the first `dims` indices.
fn stmt(
    name: String,
    kernel: &Kernel,
    statement: &Statement,
    dims: usize,
    body: Body,
    scop: &Scop,
) -> Result<Stmt, Malformed> {
    let names: Vec<String> = statement.indices[..dims].iter().map(|index| dim_name(index, kernel)).collect();
    let domain = domain(&name, &names, &statement.ranges, scop).map_err(|error| fault(&name, error))?;
    let reads = statement.reads.iter().map(access).collect();
    let element = (0..statement.left).map(|at| polyhedral::Subscript::Affine(Index::Dim(at))).collect();
    let writes = vec![Access { tensor: TensorId::new(statement.target), index: element, span: statement.span }];
    Ok(Stmt { name, dims: names, domain, reads, writes, body, span: statement.span })
}

fn access(read: &Read) -> Access {
    let index = read.index.iter().map(|subscript| match subscript {
        Subscript::Affine(affine) => polyhedral::Subscript::Affine(affine.to_index()),
        Subscript::Indirect(expr) => polyhedral::Subscript::Indirect(expr.clone()),
    });
    Access { tensor: TensorId::new(read.tensor), index: index.collect(), span: read.span }
}

fn domain(name: &str, dims: &[String], ranges: &[(Index, Index)], scop: &Scop) -> isl::Result<isl::Set> {
    let space = scop.param_space()?.named_set(name, dims)?;
    let mut set = space.universe_set()?;
    for (at, (first, extent)) in ranges.iter().take(dims.len()).enumerate() {
        let here = Index::Dim(at);
        let from = (here.clone() - first.clone()).to_pw_aff(&space)?.nonneg_set()?;
        let to = (first.clone() + extent.clone() - here - 1).to_pw_aff(&space)?.nonneg_set()?;
        set = set.intersect(&from)?.intersect(&to)?;
    }
    set.intersect_params(&scop.context)?.coalesce()
}
