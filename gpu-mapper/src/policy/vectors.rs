//! How many elements a thread moves at once.

use polyhedral::{Access, Affine, Scop, Stmt, Subscript, Tensor, isl};
use support::Gpu;

use super::rows::length;

/// Elements along a loop that a thread of a nest moves at once: as many as one access holds where every access along the
/// loop is to such a group, at a multiple of its size, and where that leaves enough threads to keep the device busy. 1
/// elsewhere.
///
/// `around` are the loops that run on blocks and threads.
pub(super) fn lanes(device: &Gpu, scop: &Scop, name: &str, around: &[String]) -> u32 {
    let found = accesses_along(scop, name).ok().flatten();
    let Some(widest) = found.as_ref().and_then(|all| all.iter().map(|one| one.bytes).max()) else { return 1 };
    let own = length(scop, name).ok().flatten();
    let mut iterations = around.iter().map(|name| length(scop, name).ok().flatten());
    let iterations = iterations.try_fold(1i64, |all, one| all.checked_mul(one?)).unwrap_or(i64::MAX);
    let fits = |lanes: &i64| {
        own.is_some_and(|own| own % lanes == 0)
            && iterations / lanes >= device.multiprocessors.max(1) * device.resident_threads / 2
            && found.iter().flatten().all(|one| one.is_grouped(*lanes))
    };
    let most = (device.access_bytes / widest.max(1)).min(MOST_LANES);
    [4, 2].into_iter().filter(|lanes| *lanes <= most).find(fits).unwrap_or(1) as u32
}

/// Neighbouring elements that one access of a copy moves: as many as it holds where every access along a dimension of the
/// copying statement begins at a multiple of them, and the box has whole groups. 1 elsewhere.
///
/// `read` is what the copy reads of `from`; `across` how many elements the box has along `dim`, from which rows of it begin.
pub(super) fn lanes_of_copy(device: &Gpu, from: &Tensor, read: &Access, dim: usize, across: Option<i64>) -> i64 {
    let most = (device.access_bytes / i64::from(from.dtype.bytes()).max(1)).min(MOST_LANES);
    let multiple = begins_at(from, read, dim).zip(across);
    let fits =
        |lanes: &i64| *lanes <= most && multiple.is_some_and(|(of, across)| of % lanes == 0 && across % lanes == 0);
    [4, 2].into_iter().find(fits).unwrap_or(1)
}

/// What the element that is read is a multiple of, from the start of the tensor, where the dimension is 0.
fn begins_at(from: &Tensor, read: &Access, dim: usize) -> Option<i64> {
    let index: Vec<Affine> = read.affine()?.into_iter().map(|index| index.affine()).collect::<Option<_>>()?;
    let (last, others) = index.split_last()?;
    let is_along = last.dims.get(&dim) == Some(&1) && !others.iter().any(|one| one.dims.contains_key(&dim));
    if !is_along || from.layout.is_some() {
        return None;
    }
    let lower = from.lower.last()?.affine()?;
    let row = if others.is_empty() { Affine::default() } else { from.extent.last()?.affine()? };
    let weights = last.dims.iter().filter(|(other, _)| **other != dim).map(|(_, c)| *c);
    let params = [&last.params, &lower.params, &row.params].into_iter().flat_map(|params| params.values().copied());
    let constants = [last.constant.checked_sub(lower.constant)?, row.constant];
    Some(weights.chain(params).chain(constants).fold(0, greatest_common_divisor))
}

/// What the languages have types for.
const MOST_LANES: i64 = 4;

/// An access that a loop moves to the next element.
struct Along {
    bytes: i64,
    /// Elements from the start of the tensor, but for the loop: what they are a multiple of, for any other loops.
    multiple_of: i64,
}

impl Along {
    fn is_grouped(&self, lanes: i64) -> bool {
        self.multiple_of % lanes == 0
    }
}

/// The accesses that a loop moves; `None` where it moves one by anything but an element, or by none that is known.
fn accesses_along(scop: &Scop, name: &str) -> isl::Result<Option<Vec<Along>>> {
    let Some(member) = scop.tree.member(name) else { return Ok(None) };
    let mut all = Vec::new();
    for function in member.schedule.pw_affs()? {
        let Some(id) = scop.stmt_named(&function.space()?.tuple_name(isl::Dim::In)) else { return Ok(None) };
        let stmt = &scop.stmts[id];
        let [(_, piece)] = &function.pieces()?[..] else { return Ok(None) };
        let terms = piece.terms()?;
        let moved: Vec<usize> = (0..terms.dims.len()).filter(|at| terms.dims[*at] != 0).collect();
        let [dim] = moved[..] else { return Ok(None) };
        if terms.dims[dim] != 1 || !terms.floors.is_empty() || terms.constant != 0 {
            return Ok(None);
        }
        for access in stmt.accesses().filter(|access| uses(access, dim)) {
            match along(scop, stmt, access, dim) {
                Some(one) => all.push(one),
                None => return Ok(None),
            }
        }
    }
    Ok(Some(all))
}

fn uses(access: &Access, dim: usize) -> bool {
    access.index.iter().any(|subscript| match subscript {
        Subscript::Affine(index) => index.dims_used().contains(&dim),
        Subscript::Indirect(_) => true,
    })
}

fn along(scop: &Scop, stmt: &Stmt, access: &Access, dim: usize) -> Option<Along> {
    debug_assert!(dim < stmt.dims.len());
    let tensor = &scop.tensors[access.tensor];
    let index: Vec<Affine> = access.affine()?.into_iter().map(|index| index.affine()).collect::<Option<_>>()?;
    let (last, others) = index.split_last()?;
    if last.dims.get(&dim) != Some(&1) || others.iter().any(|one| one.dims.contains_key(&dim)) {
        return None;
    }
    if tensor.layout.is_some() || index.iter().any(|one| !one.params.is_empty()) {
        return None;
    }
    // Rows before it, and what else its last subscript is made of.
    let mut parts: Vec<i64> = last.dims.iter().filter(|(other, _)| **other != dim).map(|(_, c)| *c).collect();
    parts.push(last.constant.checked_sub(tensor.lower.last()?.as_const()?)?);
    if !others.is_empty() {
        parts.push(tensor.extent.last()?.as_const()?);
    }
    let multiple_of = parts.into_iter().fold(0, greatest_common_divisor);
    Some(Along { bytes: i64::from(tensor.dtype.bytes()), multiple_of })
}

/// Of 0 and a number that number: 0 is a multiple of all.
fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { greatest_common_divisor(b, a % b) }
}
