//! Commands that lay iterations out on the axes of a target: bind.

use polyhedral::{Axis, Kind, Scop};

use crate::Command;
use crate::loops::adjective;
use crate::place;
use crate::proof::{Edit, Proof};
use crate::refused::Reason;

/// Runs the iterations of a loop on an axis of the target, at once.
///
/// ```text
/// bind C.update.mo to block.x
///
/// band [mo, no, mi, ni, k]   ->   band [mo bound block.x, no, mi, ni, k]
/// ```
///
/// On a device, the part of the tree from the outermost such loop on becomes a kernel ([`polyhedral::Kernel`]): loops on
/// blocks come first, and what two threads of a block do to one element gets a barrier in between. On a processor the
/// iterations run one after another, with a remark.
///
/// Needs a sequential loop, and no loop around the same statements that has this axis. Proof: order, with no two dependent
/// instances, reduction updates included, on different points of the axis. After Baskaran and others, A Compiler
/// Framework for Optimization of Affine Loop Nests for GPGPUs (ICS 2008); Verdoolaege and others, PPCG (TACO 2013).
pub(crate) fn bind(scop: &Scop, member: &str, axis: Axis) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let mut tree = scop.tree.clone();
    let band = place::merged_band(&mut tree.root, std::slice::from_ref(&member))?;
    let at = place::position(band, &member).expect("the member is of this band");
    if band.members[at].kind != Kind::Sequential {
        return Reason::precondition(format!("the loop `{member}` is already {}", adjective(band.members[at].kind)));
    }
    band.members[at].kind = Kind::Bound(axis);
    let proof = if band.members[at].coincident { Proof::Known } else { Proof::order_below(band)? };
    Ok(Edit::of_tree(scop, tree, Command::Bind { member, axis }, proof))
}
