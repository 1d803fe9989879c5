//! Two loops of a result whose rows follow each other in memory, taken as one: vectors then run across the ends of rows.
//!
//! Rows of 56 elements fill vectors of 64 lanes to seven eighths, and 56 rows of them do to the last lane. Where all that
//! moves along the two loops does so along two neighbouring dimensions, of which the inner one is as long as its loop, one
//! loop over the elements of all rows touches what the two touch, in the same order. Such a loop is made by commands that
//! there are: `skew` by the length of a row, and the loop over rows innermost, where it tells the row of each lane; code
//! generation drops it. Known as coalescing of loops (Polychronopoulos, ICPP 1987), and as `fuse` of one stage's loops in
//! Halide (Ragan-Kelley and others, PLDI 2013).

use polyhedral::{Access, Expr, Index, Scop, Stmt, StmtId, Subscript};

use crate::nest::{self, Nest, Rows, Stride};

/// What one loop has to save, of the estimated time: the estimate does not see everything.
pub(crate) const GAIN: f64 = 0.05;

/// The nest of a reduction, of which all of `stmts` share the outer loops, with the loop that its result is contiguous along
/// and the one over rows as one; none where there are no such loops.
pub(crate) fn joined(scop: &Scop, nest: &Nest, stmts: &[StmtId], shared: usize) -> Option<Nest> {
    let reduction = *nest.stmts.first()?;
    let is_contiguous = |at: &usize| {
        let stride = |dim| {
            scop.stmts[reduction].writes.iter().map(move |write| nest::stride(&scop.stmts[reduction], write, dim))
        };
        nest.loops[*at].dim(reduction).is_some_and(|dim| stride(dim).all(|stride| stride == Stride::Unit))
    };
    let columns = (0..shared).rfind(is_contiguous)?;
    let rows = (0..shared).rfind(|&rows| rows != columns && are_lines(scop, nest, stmts, rows, columns))?;
    let width = i32::try_from(nest.loops[columns].extent?).ok()?;
    let all = nest.loops[rows].extent?.checked_mul(width.into())?;
    let mut nest = nest.clone();
    nest.loops[columns].extent = Some(all);
    nest.loops[columns].rows = Some(Rows { name: nest.loops[rows].name.clone(), width });
    nest.loops.remove(rows);
    Some(nest)
}

fn are_lines(scop: &Scop, nest: &Nest, stmts: &[StmtId], rows: usize, columns: usize) -> bool {
    let (rows, columns) = (&nest.loops[rows], &nest.loops[columns]);
    let Some(width) = columns.extent.filter(|&width| width > 1 && rows.extent.is_some_and(|extent| extent > 1)) else {
        return false;
    };
    rows.coincident
        && columns.coincident
        && stmts.iter().all(|&id| match (rows.dim(id), columns.dim(id)) {
            (Some(row), Some(element)) => is_along_lines(scop, &scop.stmts[id], (row, element), width),
            _ => false,
        })
}

/// Whether a statement uses two of its dimensions in nothing but subscripts that lie next to each other, the second one of
/// rows that are as long.
fn is_along_lines(scop: &Scop, stmt: &Stmt, (row, element): (usize, usize), width: i64) -> bool {
    let moves = |index: &Index| index.dims_used().iter().any(|dim| *dim == row || *dim == element);
    let mut is_value = false;
    stmt.body.exprs().iter().for_each(|expr| {
        expr.visit(&mut |part| is_value |= matches!(part, Expr::Index(index) if moves(index)));
    });
    let is_line = |access: &Access| {
        let tensor = &scop.tensors[access.tensor];
        let moved = |subscript: &Subscript| match subscript {
            Subscript::Affine(index) => moves(index),
            Subscript::Indirect(_) => false,
        };
        let is_data = |dim| nest::stride(stmt, access, dim) == Stride::Irregular;
        let Some(outer) = access.index.iter().position(moved) else { return !is_data(row) && !is_data(element) };
        let is_plain = |at: usize, dim| matches!(&access.index[at], Subscript::Affine(index) if is_dim(index, dim));
        let is_last = outer + 2 == access.index.len();
        is_last
            && is_plain(outer, row)
            && is_plain(outer + 1, element)
            && tensor.layout.is_none()
            && tensor.lower[outer..].iter().all(|lower| lower.as_const() == Some(0))
            && tensor.extent[outer + 1].as_const() == Some(width)
    };
    !is_value && stmt.accesses().all(is_line)
}

/// Whether an index is a dimension and nothing else.
fn is_dim(index: &Index, dim: usize) -> bool {
    index.affine().is_some_and(|affine| {
        affine.constant == 0 && affine.params.is_empty() && affine.dims.len() == 1 && affine.dims.get(&dim) == Some(&1)
    })
}
