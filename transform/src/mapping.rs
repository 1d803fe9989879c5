//! Commands that lay iterations out on the axes of a target: bind, launch.

use polyhedral::{Axis, Band, Kernel, Kind, Member, Node, Scop, is_updated_atomically, isl};

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
/// Several loops, of nests beside each other, are bound at once where one alone would leave a thread without what another
/// one keeps for itself.
///
/// Needs sequential loops, and no loop around the same statements that has this axis. Proof: order, with no two dependent
/// instances, reduction updates included, on different points of the axis, but for threads whose updates are of one element
/// by one statement: these are combined before the element is touched ([`polyhedral::Combined`]). After Baskaran and others, A Compiler
/// Framework for Optimization of Affine Loop Nests for GPGPUs (ICS 2008); Verdoolaege and others, PPCG (TACO 2013).
///
/// With `atomically` also blocks may update one element, by one statement. Each thread that has something to add to it does
/// so in one step that nothing comes in between:
///
/// ```text
/// bind S.update.ko to block.x atomically
///
/// band [ko, k]   ->   band [ko bound block.x atomically, k]
/// ```
///
/// What is added first is not said: sums of floats differ in their last bits from run to run, which nothing but this word
/// asks for. What an element is at first is written by an earlier kernel. Needs an axis of blocks, and elements of 4 or 8
/// bytes. As the grid-wide reductions by `atomicAdd` of the CUDA C++ Programming Guide, 7.14 (atomic functions).
pub(crate) fn bind(scop: &Scop, members: &[String], axis: Axis, atomically: bool) -> Result<Edit, Reason> {
    let members = place::resolve_all(scop, members)?;
    if atomically && !matches!(axis, Axis::Block(_)) {
        return Reason::precondition(format!(
            "atomic updates are between blocks, and {axis} is no axis of these: threads combine theirs without the word"
        ));
    }
    let mut tree = scop.tree.clone();
    let (mut changed, mut is_known) = (isl::UnionSet::empty(&scop.ctx)?, true);
    for member in &members {
        let band = place::merged_band(&mut tree.root, std::slice::from_ref(member))?;
        let at = place::position(band, member).expect("the member is of this band");
        let own = &mut band.members[at];
        if own.kind != Kind::Sequential {
            return Reason::precondition(format!("the loop `{member}` is already {}", adjective(own.kind)));
        }
        own.kind = if atomically { Kind::Atomic(axis) } else { Kind::Bound(axis) };
        if atomically && !own.coincident {
            has_words(scop, &own.schedule.domain()?)?;
        }
        is_known &= own.coincident;
        changed = changed.union(&own.schedule.domain()?)?;
    }
    let proof = if is_known { Proof::Known } else { Proof::Order(changed) };
    Ok(Edit::of_tree(scop, tree, Command::Bind { members, axis, atomically }, proof))
}

/// Whether the elements that some instances update are such that devices have atomic updates of.
fn has_words(scop: &Scop, instances: &isl::UnionSet) -> Result<(), Reason> {
    for stmt in scop.stmts.values().filter(|stmt| stmt.body.is_reduce()) {
        for write in &stmt.writes {
            let tensor = &scop.tensors[write.tensor];
            if !is_updated_atomically(tensor.dtype) && !instances.is_disjoint(&stmt.domain.to_union_set()?)? {
                return Reason::precondition(format!(
                    "devices update words of 4 and 8 bytes atomically, and `{}` is `{}`: reduce into a wider tensor",
                    tensor.name, tensor.dtype
                ));
            }
        }
    }
    Ok(())
}

/// Says how many threads the blocks of a kernel have, in dimension x, y and z, before its loops on threads do: a part of
/// the tree from a loop on becomes the kernel.
///
/// ```text
/// launch C.mo with 16 16 threads
///
/// band [mo, no, mi, ni, k]   ->   mark "kernel of 16 x 16 x 1 threads"
///                                   band [mo, no, mi, ni, k]
/// ```
///
/// Thread `t` of `T` runs the iterations of a loop on threads whose value is `t` modulo `T`, so that whose an iteration is
/// is known from here on, and with it what a thread may keep `in registers`.
///
/// Needs a loop that no loop on an axis is around, and no other kernel around it or in it. Proof: none of its own, because
/// it changes no order.
pub(crate) fn launch(scop: &Scop, member: &str, threads: &[u32]) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    if threads.is_empty() || threads.len() > 3 || threads.contains(&0) {
        return Reason::precondition("a block has threads in one, two or three dimensions, at least 1 in each");
    }
    let mut of_block = [1; 3];
    threads.iter().zip(&mut of_block).for_each(|(&threads, own)| *own = i64::from(threads));
    let path = place::path_to(&scop.tree.root, &member).expect("the name was resolved in this tree");
    let mut around = &scop.tree.root;
    for &at in &path {
        if is_kernel(around) {
            return Reason::precondition(format!("the loop `{member}` is in a kernel already"));
        }
        if let Node::Band(band) = around {
            on_no_axis(&band.members)?;
        }
        around = around.children().into_iter().nth(at).expect("the path is of this tree");
    }
    let at = place::member_at(&scop.tree, &member);
    let (outside, inside) = place::divided_at(&scop.tree, &member, at);
    if let Some(outside) = &outside {
        on_no_axis(&outside.members)?;
    }
    if has_kernel(&inside) {
        return Reason::precondition(format!("there is a kernel in the loop `{member}` already"));
    }
    let marked = Node::Mark { name: Kernel { threads: of_block }.to_string(), child: Box::new(inside) };
    let node = match outside {
        None => marked,
        Some(outside) => Node::Band(Band { child: Box::new(marked), ..outside }),
    };
    let mut tree = scop.tree.clone();
    place::replace(&mut tree.root, &path, node)?;
    Ok(Edit::of_tree(scop, tree, Command::Launch { member, threads: threads.to_vec() }, Proof::SameOrder))
}

fn is_kernel(node: &Node) -> bool {
    matches!(node, Node::Mark { name, .. } if Kernel::is_mark(name))
}

fn has_kernel(node: &Node) -> bool {
    is_kernel(node) || node.children().into_iter().any(has_kernel)
}

/// Loops that are the host's.
fn on_no_axis(members: &[Member]) -> Result<(), Reason> {
    match members.iter().find(|member| member.kind.axis().is_some()) {
        None => Ok(()),
        Some(outer) => Reason::precondition(format!(
            "the kernel begins at the loop `{}`, which is around and {}",
            outer.name,
            adjective(outer.kind)
        )),
    }
}
