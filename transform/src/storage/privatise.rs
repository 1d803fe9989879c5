//! The command that gives each iteration of a loop a tensor of its own: privatise.

use polyhedral::{Memory, Role, Scop, TensorId};

use super::partial::partials;
use super::promote::memory_for;
use super::site::Site;
use super::store_at::{Copies, Kept, all_uses, bytes_of};
use super::uses::tensor_named;
use crate::proof::Edit;
use crate::refused::Reason;
use crate::{Command, Privatisation, grammar, place};

/// Gives each iteration of a loop a tensor of its own, so that the iterations may run at once.
///
/// A *reduction* that the loop carries gets partial results: they start as the neutral element, the updates in the loop
/// go to them, and after the loop they are combined into the tensor.
///
/// ```text
/// privatise S at S.update.io as P
///
/// stmt S.update[i]   S[] sum= A[i]      ->   stmt P.init[io]     P[io] = 0
/// band [io, ii]                              stmt S.update[i]    P[floor(i / 1024)] sum= A[i]
///   S.update                                 stmt S.combine[io]  S[] sum= P[io]
///                                            sequence
///                                              band [io]           P.init
///                                              band [io, ii]       S.update
///                                              band [io]           S.combine
/// ```
///
/// Where updates are of several tensors together, at equal subscripts, each of these gets partial results; `as` names those of
/// the one that is given.
///
/// With `by N` iterations share a partial result that are equal modulo `N`: before `vectorise` by `N` these are the sums
/// of the lanes.
///
/// A *temporary* that is used in this loop and nowhere else gets a copy for each iteration: on the stack of its thread
/// when what an iteration touches has a small constant size, else with the iteration as a new first dimension.
///
/// Needs, for a reduction, that all that the loop does to the tensor is to update it by one operator and affine
/// subscripts; for a temporary, what `store` needs. Proof: values; each contribution reaches the result once, and no
/// iteration of a temporary's loop reads what another one wrote. After Tu and Padua, Automatic Array Privatization (LCPC
/// 1993); partial results: `rfactor` of Suriano, Wu and Ragan-Kelley, Parallel Associative Reductions in Halide (CGO 2017).
pub(crate) fn privatise(scop: &Scop, given: &Privatisation) -> Result<Edit, Reason> {
    let id = tensor_named(scop, &given.tensor)?;
    let member = place::resolve(scop, &given.member)?;
    let site = Site::of(scop, Some(&member))?;
    let own_alone = scop.tensors[id].role == Role::Temporary
        && given.by.is_none()
        && scop.tensors[id].layout.is_none()
        && all_uses(scop, &site, id).is_ok();
    let privatisation = Privatisation { member, ..given.clone() };
    if own_alone { copies(scop, &site, id, privatisation) } else { partials(scop, &site, id, privatisation) }
}

/// A temporary of each iteration's own.
fn copies(scop: &Scop, site: &Site, id: TensorId, given: Privatisation) -> Result<Edit, Reason> {
    if scop.tensors[id].layout.is_some() {
        return Reason::precondition(format!("`{}` has a layout already", scop.tensors[id].name));
    }
    let uses = all_uses(scop, site, id)?;
    let kept = Kept::of(scop, site, &uses)?;
    let memory = memory_for(scop, (site, &uses), bytes_of(scop, id, &kept.extent), given.memory)?;
    let last = site.members.len() - 1;
    let copies = match memory {
        Memory::Stack | Memory::Shared | Memory::Registers => Copies::default(),
        Memory::Global | Memory::Rank | Memory::Message => {
            Copies::of(scop, site, &uses.touched(scop)?.domain()?, |at| at == last)?
        }
    };
    let name = match &given.name {
        Some(name) if *name != given.tensor => new_tensor_name(scop, name)?,
        _ => given.tensor.clone(),
    };
    let mut edited = kept.instead_of(scop, &uses, copies, memory)?;
    edited.tensors[id].name.clone_from(&name);
    Ok(Edit::of_values(edited, Command::Privatise(Privatisation { name: Some(name), memory: Some(memory), ..given })))
}

/// The name for a new tensor, when it can be one.
pub(super) fn new_tensor_name(scop: &Scop, name: &str) -> Result<String, Reason> {
    if !grammar::is_name(name) || name.contains('.') {
        return Reason::precondition(format!("`{name}` cannot be the name of a tensor"));
    }
    if scop.tensor_named(name).is_some() {
        return Reason::precondition(format!("there is already a tensor `{name}`"));
    }
    Ok(name.to_string())
}
