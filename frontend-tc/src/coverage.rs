//! Which tensors have elements that no statement writes, of a return they keep what the caller has there, of a temporary
//! nothing may read them; and which elements are read before anything writes them.

use std::collections::BTreeMap;

use polyhedral::initialised::{EarlyRead, early_reads, listed};
use polyhedral::{Access, Role, Scop, Subscript, TensorId, isl};
use support::{Diagnostic, Entity};

use crate::kernel::{Kernel, Statement};
use crate::lower::lower;
use crate::quasi::Quasi;
use crate::sema::Subscript as Element;

/// Operations of isl for one definition.
const OPERATIONS: u64 = 2_000_000;

/// Finds the returns of `kernel` whose old contents stay in some elements, and makes them such that the caller's contents
/// count. It is an error to read of a temporary what no statement writes, and of any other tensor whose old contents do not
/// count what is written later only.
pub fn settle(kernel: &mut Kernel, diagnostics: &mut Vec<Diagnostic>) {
    fill_gaps(kernel);
    let tensors = 0..kernel.tensors.len();
    let open: Vec<usize> = tensors.clone().filter(|&at| may_have_gaps(kernel, at)).collect();
    if open.is_empty() && !tensors.into_iter().any(|at| may_be_early(kernel, at)) {
        return;
    }
    let ctx = isl::Ctx::new();
    let Ok(scop) = lower(kernel, &ctx) else { return };
    let before = diagnostics.len();
    for at in open {
        let tensor = TensorId::new(at);
        match kernel.tensors[at].role {
            // What isl cannot decide is taken for a gap: then the caller's contents count, which is never wrong.
            Role::Output => {
                if !ctx.with_budget(OPERATIONS, || is_covered(&scop, tensor)).unwrap_or(false) {
                    kernel.tensors[at].role = Role::InOut;
                }
            }
            Role::Temporary => {
                if !ctx.with_budget(OPERATIONS, || reads_are_written(&scop, tensor)).unwrap_or(true) {
                    let tensor = &kernel.tensors[at];
                    let message = format!("elements of `{}` are read that no statement writes", tensor.name);
                    let help = "write all of it first: a statement without a range in `where`";
                    diagnostics.push(Diagnostic::error("TC0307", message, tensor.span).help(help));
                }
            }
            Role::Input | Role::InOut => (),
        }
    }
    let early: Vec<usize> = (0..kernel.tensors.len()).filter(|&at| may_be_early(kernel, at)).collect();
    if diagnostics.len() == before && !early.is_empty() {
        let asked = |access: &Access| early.contains(&access.tensor.index());
        // What isl cannot decide is let through.
        let reads = ctx.with_budget(OPERATIONS, || early_reads(&scop, &asked)).unwrap_or_default();
        reads.iter().for_each(|read| note_early(kernel, &scop, read, diagnostics));
    }
}

/// Statements that write apart from each other leave gaps; where no others fill them, that is asked of the sizes which leaves
/// none.
fn fill_gaps(kernel: &mut Kernel) {
    let gaps = std::mem::take(&mut kernel.gaps);
    if gaps.is_empty() {
        return;
    }
    let ctx = isl::Ctx::new();
    let scop = lower(kernel, &ctx);
    let mut filled: BTreeMap<usize, bool> = BTreeMap::new();
    for (tensor, condition) in gaps {
        let is_filled = *filled.entry(tensor).or_insert_with(|| {
            let covered = |scop| ctx.with_budget(OPERATIONS, || is_covered(scop, TensorId::new(tensor)));
            scop.as_ref().is_ok_and(|scop| covered(scop).unwrap_or(false))
        });
        if !is_filled && !kernel.preconditions.iter().any(|known| known.is_as_strong_as(&condition)) {
            kernel.preconditions.push(condition);
        }
    }
}

/// Whether the tensor has contents of its own that may be read before they are there.
fn may_be_early(kernel: &Kernel, tensor: usize) -> bool {
    matches!(kernel.tensors[tensor].role, Role::Output | Role::Temporary)
        && (may_have_gaps(kernel, tensor) || has_several_boxes(kernel, tensor))
        && !is_written_first(kernel, tensor)
}

/// Whether the first statement that has to do with the tensor writes all of it, in every iteration of loops that all others
/// are in too: the others find it written, without a search.
fn is_written_first(kernel: &Kernel, tensor: usize) -> bool {
    let reads = |statement: &Statement| statement.reads.iter().any(|read| read.tensor == tensor);
    let has_to_do = |statement: &&Statement| writes(statement, tensor) || reads(statement);
    let mut statements = kernel.statements.iter().filter(has_to_do);
    let Some(first) = statements.next() else { return true };
    let (around, own) = (first.loops.len(), &kernel.tensors[tensor]);
    let starts = writes(first, tensor) && !reads(first) && (first.assign.reduction.is_none() || first.assign.init);
    let is_plain = |(at, element): (usize, &Element)| *element == Element::Affine(Quasi::index(around + at));
    let ranges = first.ranges[around..first.left].iter().map(|(lower, extent)| (lower, extent));
    starts
        && first.element.iter().enumerate().all(is_plain)
        && ranges.eq(own.lower.iter().zip(&own.extent))
        && statements.all(|other| other.loops.starts_with(&first.loops))
}

/// An error, but of a return that may be read early, by a computed subscript: then the caller's contents count.
fn note_early(kernel: &mut Kernel, scop: &Scop, read: &EarlyRead<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let tensor = &mut kernel.tensors[read.access.tensor.index()];
    let name = &tensor.name;
    let sizes = listed(", for ", &scop.params, read.witness.sizes.iter().copied());
    let at = listed(" at ", &scop.stmts[read.stmt].dims, read.witness.point.iter().copied());
    let message = match read.element() {
        Some(element) if element.is_empty() => format!("`{name}` is read before a statement writes it:{at}{sizes}"),
        Some(element) => {
            let element: Vec<String> = element.iter().map(i64::to_string).collect();
            format!("`{name}({})` is read before a statement writes it:{at}{sizes}", element.join(", "))
        }
        None if tensor.role == Role::Output => {
            tensor.role = Role::InOut;
            return;
        }
        None => format!("elements of `{name}` may be read before a statement writes them:{at}{sizes}"),
    };
    let place = if tensor.role == Role::Temporary { "first written here" } else { "declared here" };
    let help = "write all of it first: a statement without a range in `where`, before the loop";
    diagnostics.push(Diagnostic::error("TC0118", message, read.access.span).also(tensor.span, place).help(help));
}

/// Whether not every statement that writes the tensor writes the same box of it.
fn has_several_boxes(kernel: &Kernel, tensor: usize) -> bool {
    let boxes = kernel.statements.iter().filter(|statement| writes(statement, tensor));
    let mut boxes = boxes.map(|statement| &statement.ranges[..statement.left]);
    let first = boxes.next();
    boxes.any(|own| Some(own) != first)
}

fn writes(statement: &Statement, tensor: usize) -> bool {
    statement.target == tensor || statement.extreme == Some(tensor) || statement.wider == Some(tensor)
}

/// Whether a statement writes the tensor other than element by element of a box.
fn may_have_gaps(kernel: &Kernel, tensor: usize) -> bool {
    kernel.statements.iter().filter(|statement| writes(statement, tensor)).any(|statement| {
        let is_plain = |(at, element): (usize, &Element)| match element {
            Element::Affine(value) => *value == Quasi::index(at),
            _ => false,
        };
        let dependent = statement.ranges[..statement.left]
            .iter()
            .any(|(first, extent)| !first.dims_used().is_empty() || !extent.dims_used().is_empty());
        dependent || !statement.loops.is_empty() || !statement.element.iter().enumerate().all(is_plain)
    })
}

fn written(scop: &Scop, tensor: TensorId) -> isl::Result<isl::UnionSet> {
    let mut all = isl::UnionSet::empty(&scop.ctx)?;
    for stmt in scop.stmts.values() {
        let surely = |access: &&polyhedral::Access| {
            access.tensor == tensor && access.index.iter().all(|index| matches!(index, Subscript::Affine(_)))
        };
        for access in stmt.writes.iter().filter(surely) {
            all = all.union(&scop.relation(stmt, access)?.range()?.to_union_set()?)?;
        }
    }
    all.coalesce()
}

fn is_covered(scop: &Scop, tensor: TensorId) -> isl::Result<bool> {
    scop.elements(tensor)?.to_union_set()?.is_subset(&written(scop, tensor)?)
}

fn reads_are_written(scop: &Scop, tensor: TensorId) -> isl::Result<bool> {
    let written = written(scop, tensor)?;
    for stmt in scop.stmts.values() {
        for access in stmt.reads.iter().filter(|access| access.tensor == tensor) {
            if !scop.relation(stmt, access)?.range()?.to_union_set()?.is_subset(&written)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
