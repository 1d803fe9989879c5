//! Hints to bring into the caches what later iterations need: prefetch.

use polyhedral::{Access, Body, Index, Scop, Stmt, Subscript, Tensor, isl};
use support::Target;

use crate::Command;
use crate::place;
use crate::proof::Edit;
use crate::refused::Reason;
use crate::storage::gathered;
use crate::storage::site::{Placed, Site, instances, loops_over, tuple};
use crate::storage::uses::{Uses, tensor_named};

/// Bytes of a cache line where the target says nothing of its caches.
const LINE_BYTES: u32 = 64;

/// Asks, at the beginning of an iteration, for what the iteration `ahead` later touches of a tensor.
///
/// ```text
/// prefetch B at C.update.ko ahead 1
///
/// band [ko]                 band [ko]
///   band [m, k, n]     ->     sequence
///                               band [x0, x1]   B.prefetch[ko, x0, x1] reads B[x0, 16x1], touched in iteration ko + 1
///                               band [m, k, n]
/// ```
///
/// A prefetch is a statement that reads and writes nothing; it computes nothing, so that its order is free. It asks once
/// for each line of the first cache, counted from the beginning of a row of the tensor. Of iterations that there are not,
/// and of elements that are not touched, nothing is asked.
///
/// Needs affine accesses. Proof: values, which are the same. After Mowry, Lam, Gupta, Design and Evaluation of a Compiler
/// Algorithm for Prefetching (ASPLOS 1992).
pub(crate) fn prefetch(scop: &Scop, target: &Target, tensor: &str, member: &str, ahead: u32) -> Result<Edit, Reason> {
    let id = tensor_named(scop, tensor)?;
    let member = place::resolve(scop, member)?;
    let site = Site::of(scop, Some(&member))?;
    let command = Command::Prefetch { tensor: tensor.to_string(), member: member.clone(), ahead: Some(ahead) };
    if let Some((stmt, read)) = gathered::only_gather(scop, &site, id)? {
        let statement =
            gathered::Later { site: &site, stmt, read, ahead }.statement(scop, target, new_name(scop, tensor))?;
        return Ok(Edit::of_values(statement, command));
    }
    let uses = Uses::of(scop, &site, id, &[])?;
    let touched = uses.touched(scop)?;
    let old = &scop.tensors[id];
    let lines = Lines::of(target, old);

    let mut edited = Scop { source: Vec::new(), ..scop.clone() };
    let (name, prefix, rank) = (new_name(scop, tensor), site.members.len(), old.extent.len());
    let dims = site.dims(scop, rank);
    let space = scop.param_space()?.named_set(&name, &dims)?;
    let here: Vec<Index> = (0..prefix).map(Index::Dim).collect();
    let mut later = here.clone();
    if let Some(last) = later.last_mut() {
        *last = last.clone() + i64::from(ahead);
    }
    let line: Vec<Index> = (prefix..prefix + rank).map(Index::Dim).collect();
    let domain = instances(&space, &later, &line, &lines.touched(&touched)?)?;
    let domain = tuple(&space, &here)?.intersect_range(&touched.domain()?)?.domain()?.intersect(&domain)?.coalesce()?;
    if domain.is_empty()? {
        return none_later(&member, ahead);
    }

    let index = lines.element(&line).into_iter().map(Subscript::Affine).collect();
    let reads = vec![Access { tensor: id, index, span: old.span }];
    let node = loops_over(&domain, &name, &dims, prefix)?;
    let (writes, body, span) = (Vec::new(), Body::Assign(Vec::new()), old.span);
    edited.stmts.push(Stmt { name, dims, domain: domain.clone(), reads, writes, body, span });
    site.insert(&mut edited.tree, vec![Placed { domain, values: here, node }], Vec::new())?;
    Ok(Edit::of_values(edited, command))
}

/// The refusal where the last iterations come too soon.
pub(super) fn none_later<T>(member: &str, ahead: u32) -> Result<T, Reason> {
    Reason::precondition(format!("no iteration of the loop `{member}` has one {ahead} later"))
}

/// `A.prefetch`, or the next free one of `A.prefetch2`, ….
fn new_name(scop: &Scop, tensor: &str) -> String {
    let base = format!("{tensor}.prefetch");
    let numbered = (2u64..).map(|number| format!("{base}{number}"));
    let mut candidates = std::iter::once(base.clone()).chain(numbered);
    candidates.find(|name| scop.stmt_named(name).is_none()).expect("a program has finitely many statements")
}

/// The lines of the first cache that the rows of a tensor lie in.
pub(super) struct Lines<'a> {
    tensor: &'a Tensor,
    /// Elements in a line.
    pub(super) length: i64,
}

impl Lines<'_> {
    pub(super) fn of<'a>(target: &Target, tensor: &'a Tensor) -> Lines<'a> {
        let bytes = target.caches.first().map_or(LINE_BYTES, |cache| cache.line);
        // Where a layout moves the elements, neighbours need not share a line.
        let length = if tensor.layout.is_some() { 1 } else { (bytes / tensor.dtype.bytes()).max(1) };
        Lines { tensor, length: i64::from(length) }
    }

    /// The elements of a relation by their lines.
    fn touched(&self, elements: &isl::Map) -> isl::Result<isl::Map> {
        let space = elements.range()?.space()?;
        let mut line: Vec<Index> = (0..self.tensor.extent.len()).map(Index::Dim).collect();
        if let (Some(last), Some(lower)) = (line.last_mut(), self.tensor.lower.last()) {
            *last = (last.clone() - lower.clone()).floor_div(self.length);
        }
        elements.apply_range(&tuple(&space, &line)?)
    }

    /// The first element of a line.
    fn element(&self, line: &[Index]) -> Vec<Index> {
        let mut element = line.to_vec();
        if let (Some(last), Some(lower)) = (element.last_mut(), self.tensor.lower.last()) {
            *last = lower.clone() + self.length * last.clone();
        }
        element
    }
}
