//! The reference evaluator: what a program means, computed in the order of its source.
//!
//! It shares nothing with the compiler: no schedule, no generated loops, no machine code; of isl it reads the
//! constraints of the domains. [`run`] rounds after every operation as the types say. [`run_wide`] computes floats in
//! double precision and bounds, element by element, how far a correct kernel may be off; [`Wide::compare`] judges one.
//!
//! ```text
//! domain   constraints -> ranges of loops, tests of membership
//! program  a statement -> straight-line code over columns
//! order    the nest of the source -> batches of instances
//! machine  runs the code on a batch;  bounds  the errors of its results
//! laws     whether a reduction's result depends on the order
//! ```
//!
//! Floats of 16 bits are computed in `float32` and rounded when they are read or returned.

mod bounds;
mod builtin;
mod data;
mod domain;
mod error;
mod laws;
mod machine;
mod memory;
mod numbers;
mod order;
mod program;
#[cfg(test)]
mod tests;
mod wide;

pub use data::{Data, Tensors};
pub use error::{EvalError, Limits};
pub use laws::broken_order;
pub use numbers::round;
pub use wide::{Mismatch, Report, Wide, WrongElement};

use machine::Batch;
use memory::Memory;
use program::Kernel;
use support::{Entity, with_deep_stack};

use crate::{Access, Builtin, DType, Expr, Index, Scop, Stmt, StmtId, Subscript, isl};

/// Runs `scop` for `sizes`, one for each parameter, with every operation rounded as the types say. Returns the outputs
/// and in-outs. Inputs and in-outs must be given; an output may be, which sets what is in it before it is written.
///
/// # Errors
/// When the program is not [that of the source](Scop::is_source), the sizes or inputs do not fit, a computed subscript leaves
/// its tensor, or the run is past `limits`.
pub fn run(scop: &Scop, sizes: &[i64], inputs: &Tensors, limits: Limits) -> Result<Tensors, EvalError> {
    let memory = with_deep_stack(|| evaluate::<false>(scop, sizes, inputs, limits))?;
    Ok(Wide::new(memory).tensors())
}

/// Runs `scop` with floats in double precision, and keeps with every element a bound on the error of a correct kernel.
///
/// # Errors
/// As [`run`].
pub fn run_wide(scop: &Scop, sizes: &[i64], inputs: &Tensors, limits: Limits) -> Result<Wide, EvalError> {
    Ok(Wide::new(with_deep_stack(|| evaluate::<true>(scop, sizes, inputs, limits))?))
}

/// The value of a function of the language in double precision, at as many arguments as its arity; `dtype` matters to
/// `nextafter` alone. Rounding to the type is the caller's.
pub fn builtin(function: Builtin, dtype: DType, arguments: &[f64]) -> f64 {
    builtin::call(function, dtype, arguments)
}

/// How many points the loops of the source visit for `sizes`: at least the number of statement instances.
///
/// # Errors
/// [`EvalError::TooLarge`] when there are more than `limits` allow, [`EvalError::NoSource`] as [`run`].
pub fn count(scop: &Scop, sizes: &[i64], limits: Limits) -> Result<u64, EvalError> {
    order::count(&order::steps(scop, &domains(scop, sizes)?)?, limits)
}

fn evaluate<const WIDE: bool>(
    scop: &Scop,
    sizes: &[i64],
    inputs: &Tensors,
    limits: Limits,
) -> Result<Memory, EvalError> {
    let domains = domains(scop, sizes)?;
    let mut memory = Memory::new(scop, sizes, inputs, limits, WIDE)?;
    let steps = order::steps(scop, &domains)?;
    order::count(&steps, limits)?;
    let stmts: Vec<Stmt> = scop.stmts.values().map(|stmt| with_sizes(stmt, sizes)).collect();
    for (id, stmt) in scop.stmts.keys().zip(&stmts) {
        check_subscripts(id, stmt, &domains[id.index()], &memory)?;
    }
    let kernels = kernels(&stmts, &mut memory)?;
    let mut batches: Vec<Batch<'_>> = kernels.iter().map(|kernel| Batch::new(kernel, WIDE)).collect();
    order::run::<WIDE>(&steps, &mut batches, &mut memory)?;
    Ok(memory)
}

/// The domains without parameters.
fn domains(scop: &Scop, sizes: &[i64]) -> Result<Vec<isl::Set>, EvalError> {
    if !scop.is_source() {
        return Err(EvalError::NoSource);
    }
    if sizes.len() != scop.params.len() {
        return Err(EvalError::WrongSizes { given: sizes.len(), params: scop.params.len() });
    }
    let space = scop.param_space()?;
    Ok(scop.stmts.values().map(|stmt| domain::fix_params(&stmt.domain, &space, sizes)).collect::<isl::Result<_>>()?)
}

/// The statement with the parameters in its expressions fixed.
fn with_sizes(stmt: &Stmt, sizes: &[i64]) -> Stmt {
    let fix = |expr: &Expr| {
        expr.map(&mut |e| match e {
            Expr::Index(index) => Expr::Index(index.with_params(sizes)),
            other => other,
        })
    };
    let mut stmt = stmt.clone();
    for subscript in stmt.reads.iter_mut().chain(&mut stmt.writes).flat_map(|access| &mut access.index) {
        *subscript = match subscript {
            Subscript::Affine(index) => Subscript::Affine(index.with_params(sizes)),
            Subscript::Indirect(expr) => Subscript::Indirect(fix(expr)),
        };
    }
    for expr in stmt.body.exprs_mut() {
        *expr = fix(expr);
    }
    stmt
}

/// Affine subscripts are inside their tensors at every instance: asked of isl once, so that no instance has to.
fn check_subscripts(id: StmtId, stmt: &Stmt, domain: &isl::Set, memory: &Memory) -> Result<(), EvalError> {
    for access in stmt.accesses() {
        let buffer = &memory.buffers[access.tensor.index()];
        if access.index.len() != buffer.extent.len() {
            return Err(EvalError::Malformed { entity: format!("{id}"), message: "an access of another rank" });
        }
        for (dim, index) in affine_subscripts(access) {
            let (lower, upper) = (buffer.lower[dim], buffer.lower[dim].saturating_add(buffer.extent[dim]));
            let Some(instance) = outside(domain, index, lower, upper)? else { continue };
            let value = index.eval(&instance, &[]).unwrap_or(i64::MAX).into();
            let (tensor, stmt) = (buffer.name.clone(), stmt.name.as_str().into());
            let (instance, found_by) = (instance.into(), Box::default());
            return Err(EvalError::IndexOutOfRange { tensor, dim, value, lower, upper, stmt, instance, found_by });
        }
    }
    Ok(())
}

fn affine_subscripts(access: &Access) -> impl Iterator<Item = (usize, &Index)> {
    access.index.iter().enumerate().filter_map(|(dim, subscript)| match subscript {
        Subscript::Affine(index) => Some((dim, index)),
        Subscript::Indirect(_) => None,
    })
}

/// An instance at which `index` is not in `lower..upper`.
fn outside(domain: &isl::Set, index: &Index, lower: i64, upper: i64) -> isl::Result<Option<Vec<i64>>> {
    let space = domain.space()?;
    let above = (index.clone() - lower).to_pw_aff(&space)?.nonneg_set()?;
    let below = (Index::Const(upper) - index.clone() - 1).to_pw_aff(&space)?.nonneg_set()?;
    domain.subtract(&above.intersect(&below)?)?.sample_point()
}

/// Compiles every statement. Which tensors of integers are free of error is the largest solution: all are supposed to
/// be until a statement writes an inexact value.
fn kernels(stmts: &[Stmt], memory: &mut Memory) -> Result<Vec<Kernel>, EvalError> {
    loop {
        let kernels = stmts.iter().map(|stmt| program::compile(stmt, memory)).collect::<Result<Vec<_>, _>>()?;
        let inexact = |write: &program::Write, kernel: &Kernel| {
            [write.value, write.address].iter().any(|&reg| !kernel.code.columns[reg].exact)
        };
        let mut changed = false;
        for kernel in &kernels {
            for write in kernel.writes.iter().filter(|write| inexact(write, kernel)) {
                changed |= std::mem::replace(&mut memory.buffers[write.tensor].exact, false);
            }
        }
        if !changed {
            return Ok(kernels);
        }
    }
}
