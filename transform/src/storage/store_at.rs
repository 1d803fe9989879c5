//! The command that keeps a tensor for one iteration of a loop only: store at.

use polyhedral::{Index, Layout, Memory, Scop, Subscript, Tensor, TensorId, isl};

use super::evolve;
use super::formula::simplified;
use super::hull::{Hull, range_of};
use super::promote::memory_for;
use super::site::Site;
use super::uses::{Use, Uses};
use crate::proof::Edit;
use crate::refused::Reason;
use crate::{Command, place};

/// Keeps of a temporary what one iteration of a loop touches, in memory that every iteration uses anew.
///
/// ```text
/// store T at B.io
///
/// temporary T[N]                     temporary T[34] stack
/// T[io, i]  writes T[i]        ->    T[io, i]  writes T[i - 32*io + 1]
/// B[i]      reads T[i - 1]           B[i]      reads T[i - 32*floor(i / 32)]
/// ```
///
/// What an iteration touches is found exactly, and its smallest box becomes the tensor. When that has a constant size of
/// at most [`UNASKED_STACK_BYTES`](super::promote::UNASKED_STACK_BYTES) it lives on the stack of its thread, so that the loop may be parallel; else in global memory,
/// one box for all iterations.
///
/// Needs a temporary that is touched in this loop and nowhere else, by affine subscripts, without a layout but for folded
/// dimensions, which stay folded, whose boxes have sizes that do not depend on the iteration. Proof: values, and so that no iteration sees what another one left.
/// After Halide's `store_at` (Ragan-Kelley and others, PLDI 2013).
pub(crate) fn store_at(scop: &Scop, tensor: &str, member: &str, memory: Option<Memory>) -> Result<Edit, Reason> {
    let id = evolve::temporary(scop, tensor)?;
    let member = place::resolve(scop, member)?;
    let site = Site::of(scop, Some(&member))?;
    let Some(folds) = folds(&scop.tensors[id]) else {
        return Reason::precondition(format!("`{tensor}` has a layout already"));
    };
    let uses = all_uses(scop, &site, id)?;
    let kept = Kept::of(scop, &site, &uses)?;
    let layout = kept.folded(&folds);
    let cells = layout.as_ref().map_or(&kept.extent, |layout| &layout.extent);
    let memory = memory_for(scop, (&site, &uses), bytes_of(scop, id, cells), memory)?;
    let mut edited = kept.instead_of(scop, &uses, Copies::default(), memory)?;
    edited.tensors[id].layout = layout;
    let command = Command::StoreAt { tensor: tensor.to_string(), member, memory: Some(memory) };
    Ok(Edit::of_values(edited, command))
}

/// How many cells each dimension of a tensor is folded to, if it is; none for a tensor with any other layout.
fn folds(tensor: &Tensor) -> Option<Vec<Option<i64>>> {
    let Some(layout) = &tensor.layout else { return Some(vec![None; tensor.extent.len()]) };
    let fold = |(at, cell): (usize, &Index)| {
        let (inner, cells) = match cell {
            Index::Mod(inner, cells) => (&**inner, Some(*cells)),
            plain => (plain, None),
        };
        let affine = inner.affine()?;
        let is_own = affine.dims.len() == 1 && affine.dims.get(&at) == Some(&1);
        (is_own && (cells.is_some() || layout.extent[at] == tensor.extent[at])).then_some(cells)
    };
    (layout.cell.len() == tensor.extent.len()).then(|| layout.cell.iter().enumerate().map(fold).collect())?
}

/// The accesses to a temporary, when all are inside of the site.
pub(super) fn all_uses(scop: &Scop, site: &Site, tensor: TensorId) -> Result<Uses, Reason> {
    let (name, place) = (&scop.tensors[tensor].name, site.described());
    for stmt in scop.stmts.values().filter(|stmt| stmt.accesses().any(|access| access.tensor == tensor)) {
        if !site.inside(stmt)?.is_equal(&stmt.domain)? {
            return Reason::precondition(format!(
                "the statement `{}` uses `{name}` outside of {place}: `compute` it there first",
                stmt.name
            ));
        }
        if stmt.writes.is_empty() {
            return Reason::precondition(format!("the statement `{}` prefetches `{name}` from where it is", stmt.name));
        }
    }
    Uses::of(scop, site, tensor, &[])
}

/// The bytes of so many elements of a tensor's type, when that is a constant.
pub(super) fn bytes_of(scop: &Scop, tensor: TensorId, extent: &[Index]) -> Option<i64> {
    let element = i64::from(scop.tensors[tensor].dtype.bytes());
    extent.iter().try_fold(element, |bytes, extent| bytes.checked_mul(extent.as_const()?))
}

/// The box that one iteration touches of a tensor.
pub(super) struct Kept {
    /// The first element of an iteration in each dimension; as it is in the tensor when all iterations begin there.
    lower: Vec<Index>,
    /// How many elements.
    pub(super) extent: Vec<Index>,
}

impl Kept {
    pub(super) fn of(scop: &Scop, site: &Site, uses: &Uses) -> Result<Kept, Reason> {
        let Some(Hull { lower, extent }) = Hull::of(&uses.touched(scop)?, &scop.context)? else {
            let (place, tensor) = (site.described(), &scop.tensors[uses.tensor].name);
            return Reason::precondition(format!("what {place} touches of `{tensor}` is in no box of one size"));
        };
        Ok(Kept { lower, extent: extent.into_iter().map(evolve::in_order).collect() })
    }

    /// The layout of the box where dimensions are folded; none where no folded one is longer than its cells.
    fn folded(&self, folds: &[Option<i64>]) -> Option<Layout> {
        let is_longer = |extent: &Index, cells: i64| extent.as_const().is_none_or(|extent| extent > cells);
        let mut layout = Layout { cell: Vec::new(), extent: Vec::new() };
        let mut any = false;
        for (at, (extent, fold)) in self.extent.iter().zip(folds).enumerate() {
            let element = Index::Dim(at) - self.own_lower(at);
            match fold.filter(|&cells| is_longer(extent, cells)) {
                Some(cells) => {
                    any = true;
                    layout.cell.push(element.modulo(cells));
                    layout.extent.push(Index::Const(cells));
                }
                None => {
                    layout.cell.push(element);
                    layout.extent.push(extent.clone());
                }
            }
        }
        any.then_some(layout)
    }

    /// Where the box begins in the new tensor.
    fn own_lower(&self, at: usize) -> Index {
        let lower = &self.lower[at];
        if lower.dims_used().is_empty() { lower.clone() } else { 0.into() }
    }

    /// The program with this box, or copies of it, in place of the tensor.
    pub(super) fn instead_of(&self, scop: &Scop, uses: &Uses, copies: Copies, memory: Memory) -> isl::Result<Scop> {
        let mut edited = Scop { source: Vec::new(), ..scop.clone() };
        let own = (0..self.lower.len()).map(|at| self.own_lower(at));
        let tensor = &mut edited.tensors[uses.tensor];
        *tensor = Tensor {
            lower: copies.extent.iter().map(|_| Index::Const(0)).chain(own).collect(),
            extent: copies.extent.iter().chain(&self.extent).cloned().collect(),
            memory,
            streamed: false,
            ..tensor.clone()
        };
        for used in &uses.accesses {
            let stmt = &mut edited.stmts[used.stmt];
            let index = self.index(used, &copies, &scop.stmts[used.stmt].domain, stmt)?;
            used.which.of_mut(stmt).index = index;
        }
        Ok(edited)
    }

    fn index(
        &self,
        used: &Use,
        copies: &Copies,
        domain: &isl::Set,
        stmt: &polyhedral::Stmt,
    ) -> isl::Result<Vec<Subscript>> {
        let at_values = |index: &Index| index.substitute(&|at| used.values[at].clone(), &Index::Param);
        let element = used.which.of(stmt).affine().expect("the uses are affine");
        let mut index = Vec::with_capacity(copies.index.len() + element.len());
        for copy in &copies.index {
            index.push(Subscript::Affine(simplified(at_values(copy), domain)?));
        }
        for (element, lower) in element.into_iter().zip(&self.lower) {
            index.push(Subscript::Affine(match lower.dims_used().is_empty() {
                true => element.clone(),
                false => simplified(element.clone() - at_values(lower), domain)?,
            }));
        }
        Ok(index)
    }
}

/// Several boxes beside each other: the dimensions that tell them apart, before those of the box.
#[derive(Default)]
pub(super) struct Copies {
    /// Over the values of the site's members.
    pub(super) index: Vec<Index>,
    pub(super) extent: Vec<Index>,
}

impl Copies {
    /// One for each iteration of the loops around that run in threads of their own, and of those that are `chosen` by
    /// their position; `iterations` are the values of the loops.
    pub(super) fn of(
        scop: &Scop,
        site: &Site,
        iterations: &isl::Set,
        chosen: impl Fn(usize) -> bool,
    ) -> Result<Copies, Reason> {
        let mut copies = Copies::default();
        let loops = iterations.dim(isl::Dim::Set)? as usize;
        for (at, member) in site.members[..loops].iter().enumerate() {
            if !chosen(at) && !member.kind.apart() {
                continue;
            }
            let values = Index::Dim(at).to_pw_aff(&iterations.space()?)?.to_map()?.intersect_domain(iterations)?;
            let Some((first, extent)) = range_of(&values, &scop.context)? else {
                return Reason::precondition(format!("how many iterations `{}` has is not one formula", member.name));
            };
            copies.index.push(Index::Dim(at) - first);
            copies.extent.push(evolve::in_order(extent));
        }
        Ok(copies)
    }
}
