//! What every tree must look like for code generation, whatever command made it.

use polyhedral::{Axis, Filtered, Kind, Member, Memory, Node, ScheduleTree, Scop, Tensor, Tiling, isl};

use crate::MAX_COPIES;
use crate::loops::adjective;
use crate::refused::Reason;

/// The most loops around a statement: isl's work grows steeply with them.
pub const MAX_LOOPS: usize = 64;

/// Checks that
///
/// - at most [`MAX_LOOPS`] members are around a statement, at most one of them on each axis of the target;
/// - what a mark of tiles says is of loops of the band below it;
/// - vectorised and unrolled members are innermost, copies outside lanes;
/// - at most one vectorised member is around a statement, and at most [`MAX_COPIES`] copies and lanes together;
/// - each of them stays inside one strip while the members around it stay as they are.
///
/// `before` is the tree before the command, of which this was checked: nests at the top that the command left alone are not
/// asked again.
pub(crate) fn check(tree: &ScheduleTree, before: &ScheduleTree) -> Result<(), Reason> {
    below(&tree.root, Around::default())?;
    match (&tree.root, &before.root) {
        (Node::Sequence(nests) | Node::Set(nests), Node::Sequence(known) | Node::Set(known)) => {
            for nest in nests {
                if !is_left_alone(nest, tree, known, before)? {
                    strips_are_whole(&nest.node, &nest.filter.intersect(&tree.domain)?, &mut Vec::new())?;
                }
            }
            Ok(())
        }
        (root, _) => strips_are_whole(root, &tree.domain, &mut Vec::new()),
    }
}

/// Whether a nest at the top is one of those `known` before, loops and instances.
fn is_left_alone(nest: &Filtered, tree: &ScheduleTree, known: &[Filtered], before: &ScheduleTree) -> isl::Result<bool> {
    let is_same = |other: &&Filtered| nest.filter.is(&other.filter) && nest.node.is_left_alone(&other.node);
    match known.iter().find(is_same) {
        None => Ok(false),
        Some(_) if tree.domain.is(&before.domain) => Ok(true),
        Some(_) => nest.filter.intersect(&tree.domain)?.is_equal(&nest.filter.intersect(&before.domain)?),
    }
}

/// Checks that the tensors on the stack have constant sizes, and that together they are at most [`Memory::STACK_BYTES`].
pub(crate) fn stack_fits(scop: &Scop) -> Result<(), Reason> {
    let mut total = 0i64;
    for tensor in on_stack(scop) {
        let (name, most) = (&tensor.name, Memory::STACK_BYTES);
        let Some(bytes) = constant_bytes(tensor) else {
            return Reason::precondition(format!("`{name}` is on the stack, and its size is no constant"));
        };
        total = total.saturating_add(bytes);
        if total > most {
            return Reason::precondition(format!(
                "with `{name}` there are {total} bytes on the stack, which takes {most}"
            ));
        }
    }
    Ok(())
}

/// The farthest value of a loop: sums and products with it, and what subscripts make of it, fit 64 bits.
const FARTHEST: i64 = 1 << 48;

/// Checks that the values of a loop stay where machine integers hold them. Where sizes are not known there is no bound:
/// code is made for known ones.
pub(crate) fn in_reach(member: &Member, instances: &isl::UnionSet) -> Result<(), Reason> {
    for function in member.schedule.intersect_domain(instances)?.pw_affs()? {
        for end in [function.min_val()?, function.max_val()?] {
            if end.is_int()? && !end.to_i64().is_ok_and(|value| value.unsigned_abs() <= FARTHEST.unsigned_abs()) {
                return Reason::precondition(format!(
                    "the values of the loop `{}` would reach {end}; at most {FARTHEST}",
                    member.name
                ));
            }
        }
    }
    Ok(())
}

/// How many bytes of the stack the program uses.
pub(crate) fn stack_bytes(scop: &Scop) -> i64 {
    on_stack(scop).filter_map(constant_bytes).fold(0, i64::saturating_add)
}

fn on_stack(scop: &Scop) -> impl Iterator<Item = &Tensor> {
    scop.tensors.values().filter(|tensor| tensor.memory == Memory::Stack)
}

/// The size in memory, layout included, when it is a constant.
fn constant_bytes(tensor: &Tensor) -> Option<i64> {
    let extent = tensor.layout.as_ref().map_or(&tensor.extent, |layout| &layout.extent);
    let element = i64::from(tensor.dtype.bytes());
    extent.iter().try_fold(element, |bytes, extent| Some(bytes.saturating_mul(extent.as_const()?)))
}

/// The members around a node.
#[derive(Clone, Copy, Default)]
struct Around<'a> {
    loops: usize,
    /// The innermost one when it is vectorised or unrolled.
    last: Option<&'a Member>,
    /// How many copies and lanes these make.
    copies: u64,
    /// The axes that are taken, as bits by their place in [`Axis::ALL`].
    axes: u32,
}

fn below<'a>(node: &'a Node, around: Around<'a>) -> Result<(), Reason> {
    let inside = match (node, around.last) {
        (Node::Band(band), _) => band.members.iter().try_fold(around, one_more)?,
        (Node::Mark { name, child }, _) if Tiling::is_mark(name) => {
            let tiling = Tiling::of_mark(name);
            if tiling.is_none_or(|tiling| tiling.band(child).is_none()) {
                return Reason::precondition(format!(
                    "the mark `{name}` is not of loops of the band below it: tiles of such sizes come after what changes \
                     their loops"
                ));
            }
            around
        }
        (Node::Sequence(_) | Node::Set(_), Some(outer)) => {
            let kind = adjective(outer.kind);
            return Reason::precondition(format!("the loop `{}` is {kind}, but not innermost", outer.name));
        }
        _ => around,
    };
    node.children().into_iter().try_for_each(|child| below(child, inside))
}

fn one_more<'a>(around: Around<'a>, member: &'a Member) -> Result<Around<'a>, Reason> {
    if around.loops == MAX_LOOPS {
        return Reason::precondition(format!("`{}` is inside {MAX_LOOPS} loops already", member.name));
    }
    let mut around = Around { loops: around.loops + 1, ..around };
    if let Some(axis) = member.kind.axis() {
        let bit = 1 << Axis::ALL.iter().position(|other| *other == axis).expect("all axes are listed");
        if around.axes & bit != 0 {
            return Reason::precondition(format!("`{}` is inside a loop that is bound to {axis} already", member.name));
        }
        around.axes |= bit;
    }
    let factor = match member.kind {
        Kind::Vector(factor) | Kind::Unroll(factor) => u64::from(factor),
        Kind::Sequential | Kind::Parallel | Kind::Bound(_) | Kind::Atomic(_) => 0,
    };
    if let Some(outer) = around.last
        && (factor == 0 || matches!(outer.kind, Kind::Vector(_)))
    {
        let (kind, inner) = (adjective(outer.kind), &member.name);
        return Reason::precondition(format!("the loop `{}` is {kind}, but `{inner}` is inside it", outer.name));
    }
    if factor == 0 {
        return Ok(around);
    }
    let copies = around.copies.max(1).saturating_mul(factor);
    if copies > MAX_COPIES {
        let name = &member.name;
        return Reason::precondition(format!("`{name}` would make {copies} copies and lanes; at most {MAX_COPIES}"));
    }
    Ok(Around { last: Some(member), copies, ..around })
}

/// Checks that every vectorised or unrolled member stays inside one strip while the members around it, `outer`, stay as
/// they are: lanes and copies run over at most so many integers, from a multiple of their number.
fn strips_are_whole<'a>(node: &'a Node, instances: &isl::UnionSet, outer: &mut Vec<&'a Member>) -> Result<(), Reason> {
    let depth = outer.len();
    match node {
        Node::Leaf => {}
        Node::Mark { child, .. } => strips_are_whole(child, instances, outer)?,
        Node::Sequence(children) | Node::Set(children) => {
            for child in children {
                // The filter first: isl goes through the statements of the first set, and all of a program are many.
                strips_are_whole(&child.node, &child.filter.intersect(instances)?, outer)?;
            }
        }
        Node::Band(band) => {
            for member in &band.members {
                if let Kind::Vector(by) | Kind::Unroll(by) = member.kind
                    && !is_whole(member, by, instances, outer)?
                {
                    let name = &member.name;
                    return Reason::precondition(format!("no loop outside `{name}` runs over its strips of {by}"));
                }
                outer.push(member);
            }
            strips_are_whole(&band.child, instances, outer)?;
        }
    }
    outer.truncate(depth);
    Ok(())
}

fn is_whole(member: &Member, by: u32, instances: &isl::UnionSet, outer: &[&Member]) -> isl::Result<bool> {
    let by = isl::Val::int(instances.ctx(), i64::from(by))?;
    let strip = member.schedule.intersect_domain(instances)?.scale_down(&by)?.floor()?;
    // A split leaves just this function in a member outside, and that is cheap to see.
    for other in outer.iter().rev() {
        if other.schedule.intersect_domain(instances)?.plain_is_equal(&strip)? {
            return Ok(true);
        }
    }
    is_function_of(&strip.to_union_map()?, outer)
}

/// Whether equal values of all `outer` members mean equal values of `strip`.
fn is_function_of(strip: &isl::UnionMap, outer: &[&Member]) -> isl::Result<bool> {
    let mut around: Option<isl::UnionMap> = None;
    for member in outer {
        let own = member.schedule.to_union_map()?;
        around = Some(match around {
            Some(around) => around.flat_range_product(&own)?,
            None => own,
        });
    }
    match around {
        Some(around) => around.intersect_domain(&strip.domain()?)?.reverse()?.apply_range(strip)?.is_single_valued(),
        None => Ok(strip.is_empty()? || strip.range()?.as_set()?.is_singleton()?),
    }
}
