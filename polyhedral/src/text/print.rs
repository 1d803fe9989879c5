//! Printing a Scop.

use std::fmt::Write as _;

use support::Span;

use super::expr::{Names, print_literal};
use super::notation::Notation;
use super::print_tree;
use crate::{Access, Body, Expr, Layout, Memory, Monoid, Nest, Role, Scop, Stmt, Subscript, Tensor, isl};

/// The text of the Scop.
pub(super) fn scop(scop: &Scop) -> isl::Result<String> {
    let notation = Notation { ctx: &scop.ctx, params: &scop.params };
    let mut out = String::new();
    line(&mut out, 0, &format!("scop {}({})", scop.name, scop.params.join(", ")));
    if !scop.context.plain_is_universe()? {
        line(&mut out, 0, &format!("context {}", notation.set(&scop.context)?));
    }
    for tensor in scop.tensors.values() {
        line(&mut out, 0, &tensor_line(scop, tensor));
    }
    for stmt in scop.stmts.values() {
        print_stmt(&mut out, scop, &notation, stmt)?;
    }
    line(&mut out, 0, if scop.is_source() { "source" } else { "source none" });
    scop.source.iter().for_each(|nest| print_nest(&mut out, scop, nest, 1));
    line(&mut out, 0, "tree");
    print_tree(scop, &scop.tree)?.lines().for_each(|text| line(&mut out, 1, text));
    let identity = scop.origin.is_equal(&scop.domain()?.identity()?)?;
    let origin = if identity { "identity".into() } else { notation.union_map(&scop.origin)? };
    line(&mut out, 0, &format!("origin {origin}"));
    Ok(out)
}

fn line(out: &mut String, level: usize, text: &str) {
    writeln!(out, "{:1$}{text}", "", 2 * level).expect("a String takes every text");
}

fn tensor_line(scop: &Scop, tensor: &Tensor) -> String {
    let role = match tensor.role {
        Role::Input => "input",
        Role::Output => "output",
        Role::InOut => "inout",
        Role::Temporary => "temporary",
    };
    let names = Names { dims: &[], params: &scop.params, tensors: &scop.tensors, reads: None };
    let dim = |(lower, extent): (&crate::Index, &crate::Index)| match lower.as_const() {
        Some(0) => names.index(extent),
        _ => format!("{} from {}", names.index(extent), names.index(lower)),
    };
    let dims: Vec<String> = tensor.lower.iter().zip(&tensor.extent).map(dim).collect();
    let memory = match tensor.memory {
        Memory::Global => String::new(),
        memory => format!(" {}", memory.word()),
    };
    let streamed = if tensor.streamed { " streamed" } else { "" };
    let layout = tensor.layout.as_ref().map_or_else(String::new, |layout| layout_text(scop, tensor, layout));
    format!(
        "{role} {}: {}[{}]{memory}{streamed}{layout}{}",
        tensor.name,
        tensor.dtype,
        dims.join(", "),
        at(tensor.span)
    )
}

/// ` layout [i0 mod 2, i1] of [2, N]`
fn layout_text(scop: &Scop, tensor: &Tensor, layout: &Layout) -> String {
    let dims = layout_dims(tensor.extent.len());
    let names = Names { dims: &dims, params: &scop.params, tensors: &scop.tensors, reads: None };
    let (cell, extent) = (joined(&layout.cell, |i| names.index(i)), joined(&layout.extent, |i| names.index(i)));
    format!(" layout [{cell}] of [{extent}]")
}

/// How a layout's text calls the subscripts.
pub(super) fn layout_dims(rank: usize) -> Vec<String> {
    (0..rank).map(|at| format!("i{at}")).collect()
}

/// Nothing for the default span.
fn at(span: Span) -> String {
    if span == Span::default() { String::new() } else { format!(" at {}..{}", span.start, span.end) }
}

fn print_stmt(out: &mut String, scop: &Scop, notation: &Notation<'_>, stmt: &Stmt) -> isl::Result<()> {
    let readable = reads_in_order_of_appearance(stmt);
    let mut names = Names { dims: &stmt.dims, params: &scop.params, tensors: &scop.tensors, reads: None };
    line(out, 0, &format!("stmt {}[{}]{}", stmt.name, stmt.dims.join(", "), at(stmt.span)));
    line(out, 1, &format!("domain {}", domain(notation, stmt)?));
    if readable {
        names.reads = Some(&stmt.reads);
    } else {
        line(out, 1, &format!("reads {}", joined(&stmt.reads, |read| names.access(read))));
    }
    if let Body::Reduce { monoid, .. } = &stmt.body
        && named_monoid(scop, stmt, &monoid.name).as_ref() != Some(monoid)
    {
        line(out, 1, &monoid_line(&names, monoid));
    }
    if stmt.accesses().any(|access| access.span != Span::default()) {
        let spans: Vec<String> =
            stmt.accesses().map(|Access { span, .. }| format!("{}..{}", span.start, span.end)).collect();
        line(out, 1, &format!("spans {}", spans.join(", ")));
    }
    let op = match &stmt.body {
        Body::Assign(_) => "",
        Body::Reduce { monoid, .. } => &monoid.name,
    };
    let writes = joined(&stmt.writes, |write| names.access(write));
    let values = joined(stmt.body.exprs(), |expr| names.expr(expr));
    line(out, 1, format!("{writes} {op}= {values}").trim());
    Ok(())
}

/// `C[m, n] += A[m, k] * B[k, n]`: what an instance does, for people.
pub(super) fn formula(scop: &Scop, stmt: &Stmt) -> String {
    // Reads inside of reads that are too many to print appear by number.
    let reads = (printed_size(stmt) <= LONGEST_INLINE).then_some(stmt.reads.as_slice());
    let names = Names { dims: &stmt.dims, params: &scop.params, tensors: &scop.tensors, reads };
    if stmt.writes.is_empty() {
        return match stmt.reads.as_slice() {
            [] => "barrier".into(),
            reads => format!("prefetch {}", joined(reads, |read| names.access(read))),
        };
    }
    let op = match &stmt.body {
        Body::Assign(_) => "=".into(),
        Body::Reduce { monoid, .. } => match monoid.name.as_str() {
            "sum" => "+=".into(),
            "prod" => "*=".to_string(),
            name => format!("{name}="),
        },
    };
    let writes = joined(&stmt.writes, |write| names.access(write));
    format!("{writes} {op} {}", joined(stmt.body.exprs(), |expr| names.expr(expr)))
}

/// The instances; where there are none the name alone says of what.
fn domain(notation: &Notation<'_>, stmt: &Stmt) -> isl::Result<String> {
    if stmt.domain.is_empty()? {
        return Ok(format!("{{ {}[{}] : false }}", stmt.name, stmt.dims.join(", ")));
    }
    notation.set(&stmt.domain)
}

fn joined<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn monoid_line(names: &Names<'_>, monoid: &Monoid) -> String {
    let types = joined(&monoid.dtypes, |dtype| dtype.to_string());
    let neutral: Vec<String> =
        monoid.identity.iter().zip(&monoid.dtypes).map(|(value, dtype)| print_literal(*value, *dtype)).collect();
    let combine = joined(&monoid.combine, |expr| names.expr(expr));
    format!("monoid {}({types}) identity ({}) combine ({combine})", monoid.name, neutral.join(", "))
}

/// The monoid that `name` alone means for this statement: one of those of one operator, on the type of what it writes.
pub(super) fn named_monoid(scop: &Scop, stmt: &Stmt, name: &str) -> Option<Monoid> {
    let [write] = stmt.writes.as_slice() else { return None };
    named_monoid_of(scop.tensors.get(write.tensor)?.dtype, name)
}

/// The monoid with that name on a type.
pub(super) fn named_monoid_of(dtype: crate::DType, name: &str) -> Option<Monoid> {
    match name {
        "sum" => Some(Monoid::sum(dtype)),
        "prod" => Some(Monoid::prod(dtype)),
        "min" => Some(Monoid::min(dtype)),
        "max" => Some(Monoid::max(dtype)),
        "all" if dtype == crate::DType::Bool => Some(Monoid::all()),
        "any" if dtype == crate::DType::Bool => Some(Monoid::any()),
        "bitand" if dtype.is_int() => Some(Monoid::bit_and(dtype)),
        "bitor" if dtype.is_int() => Some(Monoid::bit_or(dtype)),
        "bitxor" if dtype.is_int() => Some(Monoid::bit_xor(dtype)),
        _ => None,
    }
}

/// Whether reading the loads from left to right gives the statement's list of reads: then they need not be listed.
fn reads_in_order_of_appearance(stmt: &Stmt) -> bool {
    let distinct = stmt.reads.iter().enumerate().all(|(at, read)| {
        stmt.reads[..at].iter().all(|other| (other.tensor, &other.index) != (read.tensor, &read.index))
    });
    let mut seen = Vec::new();
    distinct
        && printed_size(stmt) <= LONGEST_INLINE
        && stmt.writes.iter().all(|write| appear_in_access(stmt, write, stmt.reads.len(), &mut seen))
        && stmt.body.exprs().iter().all(|expr| appear(stmt, expr, stmt.reads.len(), &mut seen))
        && seen.len() == stmt.reads.len()
        && seen.iter().enumerate().all(|(at, &read)| at == read)
}

/// Reads inside reads print again and again: past this many the list is shorter.
const LONGEST_INLINE: usize = 1000;

fn printed_size(stmt: &Stmt) -> usize {
    let mut sizes: Vec<usize> = Vec::new();
    for read in &stmt.reads {
        let inside = loads_of(read).into_iter().map(|k| sizes.get(k).copied().unwrap_or(1));
        sizes.push(inside.fold(1, usize::saturating_add));
    }
    sizes.into_iter().fold(0, usize::saturating_add)
}

fn loads_of(access: &Access) -> Vec<usize> {
    let mut loads = Vec::new();
    for subscript in &access.index {
        if let Subscript::Indirect(expr) = subscript {
            expr.visit(&mut |e| {
                if let Expr::Load(k) = e {
                    loads.push(*k);
                }
            });
        }
    }
    loads
}

/// Notes the reads that appear in `expr`, those in subscripts first; false when a read uses itself or a later one.
fn appear(stmt: &Stmt, expr: &Expr, below: usize, seen: &mut Vec<usize>) -> bool {
    let mut loads = Vec::new();
    expr.visit(&mut |e| {
        if let Expr::Load(k) = e {
            loads.push(*k);
        }
    });
    loads.into_iter().all(|k| {
        let fits = k < below && appear_in_access(stmt, &stmt.reads[k], k, seen);
        if fits && !seen.contains(&k) {
            seen.push(k);
        }
        fits
    })
}

fn appear_in_access(stmt: &Stmt, access: &Access, below: usize, seen: &mut Vec<usize>) -> bool {
    access.index.iter().all(|subscript| match subscript {
        Subscript::Affine(_) => true,
        Subscript::Indirect(expr) => appear(stmt, expr, below, seen),
    })
}

fn print_nest(out: &mut String, scop: &Scop, nest: &Nest, level: usize) {
    match nest {
        Nest::Loop { name, body } => {
            line(out, level, &format!("for {name}"));
            body.iter().for_each(|nest| print_nest(out, scop, nest, level + 1));
        }
        Nest::Stmt(stmt) => line(out, level, scop.stmts.get(*stmt).map_or("?", |stmt| &stmt.name)),
    }
}
