//! What is computed: tensors and statements, with their places in the source.

use polyhedral::count::count;
use polyhedral::text::formula;
use polyhedral::{Index, Memory, Role, Scop, Stmt, Subscript, TensorId, isl};
use serde::Serialize;
use support::Span;

use super::amount::Amount;

/// A range of bytes of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Place {
    /// None for what is in no source.
    pub(super) fn of(span: Span) -> Option<Place> {
        (span != Span::default()).then_some(Place { start: span.start, end: span.end })
    }
}

/// A tensor of the scheduled program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// The type of an element.
    pub dtype: String,
    /// The extent of each dimension, over the sizes.
    pub shape: Vec<String>,
    /// The same as numbers, where no size is open.
    pub extent: Option<Vec<i64>>,
    /// The smallest subscript of each dimension, likewise.
    pub lower: Option<Vec<i64>>,
    /// Bytes of its memory, where no size is open.
    pub bytes: Option<u64>,
    /// `input`, `output`, `inout` or `temporary`.
    pub role: String,
    /// `global`, `stack`, `shared` or `registers`.
    pub memory: String,
    /// Where an element lies when not row-major: the cell and the extents, as scripts write them.
    pub layout: Option<String>,
    /// Whether what is stored goes past the caches.
    pub streamed: bool,
    /// Where it is declared or first written.
    pub place: Option<Place>,
}

/// A statement of the scheduled program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Its name.
    pub name: String,
    /// Names of the dimensions.
    pub dims: Vec<String>,
    /// What an instance does: `C[m, n] += A[m, k] * B[k, n]`.
    pub formula: String,
    /// The instances, in isl's notation.
    pub domain: String,
    /// How many there are, where no size is open.
    pub instances: Option<Amount>,
    /// Whether it updates what is there.
    pub is_reduction: bool,
    /// Whether a command made it: a copy, a prefetch.
    pub is_made: bool,
    /// What it reads, then what it writes.
    pub accesses: Vec<Access>,
    /// Its place in the source.
    pub place: Option<Place>,
}

/// An element that an instance touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Access {
    /// The tensor.
    pub tensor: String,
    /// Whether it is written.
    pub writes: bool,
    /// From instances to elements, in isl's notation.
    pub relation: String,
    /// Whether a subscript is computed while running, so that the relation holds all elements that it could be.
    pub computed: bool,
    /// Its place in the source.
    pub place: Option<Place>,
}

pub(super) fn tensors(scop: &Scop) -> Vec<Tensor> {
    scop.tensors.keys().map(|id| tensor(scop, id)).collect()
}

fn tensor(scop: &Scop, id: TensorId) -> Tensor {
    let row = &scop.tensors[id];
    let constants = |list: &[Index]| list.iter().map(Index::as_const).collect::<Option<Vec<i64>>>();
    let names = |list: &[Index], dims: &[String]| -> Vec<String> {
        list.iter().map(|index| named(index, dims, &scop.params)).collect()
    };
    let held = row.layout.as_ref().map_or(&row.extent, |layout| &layout.extent);
    let bytes = constants(held).and_then(|extent| {
        let element = u64::from(row.dtype.bytes());
        extent.iter().try_fold(element, |bytes, &extent| bytes.checked_mul(extent.max(0).unsigned_abs()))
    });
    let layout = row.layout.as_ref().map(|layout| {
        let dims: Vec<String> = (0..row.extent.len()).map(|at| format!("i{at}")).collect();
        let (cell, extent) = (names(&layout.cell, &dims).join(", "), names(&layout.extent, &dims).join(", "));
        format!("[{}] = [{cell}] of [{extent}]", dims.join(", "))
    });
    let role = match row.role {
        Role::Input => "input",
        Role::Output => "output",
        Role::InOut => "inout",
        Role::Temporary => "temporary",
    };
    Tensor {
        name: row.name.clone(),
        dtype: row.dtype.to_string(),
        shape: names(&row.extent, &[]),
        extent: constants(&row.extent),
        lower: constants(&row.lower),
        bytes,
        role: role.into(),
        memory: Memory::word(row.memory).into(),
        layout,
        streamed: row.streamed,
        place: Place::of(row.span),
    }
}

fn named(index: &Index, dims: &[String], params: &[String]) -> String {
    index.display(dims, params).to_string()
}

pub(super) fn statements(scop: &Scop) -> isl::Result<Vec<Statement>> {
    scop.stmts.values().map(|stmt| statement(scop, stmt)).collect()
}

fn statement(scop: &Scop, stmt: &Stmt) -> isl::Result<Statement> {
    let reads = stmt.reads.iter().map(|access| (access, false));
    let accesses = reads.chain(stmt.writes.iter().map(|access| (access, true))).map(|(access, writes)| {
        Ok(Access {
            tensor: scop.tensors[access.tensor].name.clone(),
            writes,
            relation: scop.relation(stmt, access)?.to_string(),
            computed: access.index.iter().any(|index| matches!(index, Subscript::Indirect(_))),
            place: Place::of(access.span),
        })
    });
    // What has no origin in the source was made by a command.
    let known = scop.origin.intersect_domain(&stmt.domain.to_union_set()?)?;
    Ok(Statement {
        name: stmt.name.clone(),
        dims: stmt.dims.clone(),
        formula: formula(scop, stmt),
        domain: stmt.domain.to_string(),
        instances: if scop.params.is_empty() { Some(count(&stmt.domain)?.into()) } else { None },
        is_reduction: stmt.body.is_reduce(),
        is_made: known.is_empty()? && !stmt.domain.is_empty()?,
        accesses: accesses.collect::<isl::Result<_>>()?,
        place: Place::of(stmt.span),
    })
}
