//! Which tensors have elements that no statement writes: of a return they keep what the caller has there, of a temporary
//! nothing may read them.

use polyhedral::{Role, Scop, Subscript, TensorId, isl};
use support::{Diagnostic, Entity};

use crate::kernel::{Kernel, Statement};
use crate::lower::lower;
use crate::sema::Subscript as Element;

/// Operations of isl for one definition.
const OPERATIONS: u64 = 2_000_000;

/// Finds the returns of `kernel` whose old contents stay in some elements, and makes them such that the caller's contents
/// count. A temporary of which something is read that no statement writes is an error.
pub fn settle(kernel: &mut Kernel, diagnostics: &mut Vec<Diagnostic>) {
    let open: Vec<usize> = (0..kernel.tensors.len()).filter(|&at| may_have_gaps(kernel, at)).collect();
    if open.is_empty() {
        return;
    }
    let ctx = isl::Ctx::new();
    let Ok(scop) = lower(kernel, &ctx) else { return };
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
}

/// Whether a statement writes the tensor other than element by element of a box.
fn may_have_gaps(kernel: &Kernel, tensor: usize) -> bool {
    let written = |statement: &&Statement| {
        statement.target == tensor || statement.extreme == Some(tensor) || statement.wider == Some(tensor)
    };
    let mut writes = kernel.statements.iter().filter(written);
    writes.any(|statement| {
        let is_plain = |(at, element): (usize, &Element)| match element {
            Element::Affine(value) => *value == crate::quasi::Quasi::index(at),
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
