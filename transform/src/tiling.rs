//! Tiles whose sizes are parameters.

use polyhedral::text::is_carried;
use polyhedral::{Band, Index, Kind, Node, Scop, Tiled, Tiling};

use crate::Command;
use crate::loops::adjective;
use crate::place::{self, Taken};
use crate::proof::{Edit, Proof};
use crate::refused::Reason;

/// Cuts a nest into boxes whose extents are known at the call: parameters of the program, new ones if it has none of that
/// name.
///
/// ```text
/// tile C.update.m C.update.n by T U as mo no
///
/// band [m, n, k]   ->   mark "tiles C.update.mo of C.update.m by T, C.update.no of C.update.n by U"
///                         band [m, n, k]
/// ```
///
/// The loops over boxes run from the first value of the loop on, in steps of the size; they are not in the tree, and no
/// other command can name them.
///
/// Needs sequential or parallel loops of one perfect nest, which is not tiled like this already. Proof: order; no
/// dependence that reaches the nest goes backward in one of the loops, so that it is permutable (Irigoin and Triolet,
/// Supernode Partitioning, POPL 1988). After Renganarayanan and others, Parameterized Tiled Loops for Free (PLDI 2007).
pub(crate) fn tile_by(
    scop: &Scop,
    members: &[String],
    by: &[String],
    names: Option<&[String]>,
) -> Result<Edit, Reason> {
    if members.len() != by.len() {
        return Reason::precondition(format!("there are {} loops, and sizes for {}", members.len(), by.len()));
    }
    let members = place::resolve_all(scop, members)?;
    let mut edited = scop.clone();
    by.iter().try_for_each(|size| admit_size(&mut edited, size))?;
    let band = place::merged_band(&mut edited.tree.root, &members)?;
    check_kinds(band, &members)?;
    let proof = Proof::order_below(band)?;
    let band = std::mem::replace(band, Band { members: Vec::new(), permutable: false, child: Box::new(Node::Leaf) });

    let mut taken = Taken::by(&scop.tree, &[]);
    let origins = origins(&mut taken, &members, names)?;
    let loops = origins.iter().zip(&members).zip(by);
    let loops = loops.map(|((origin, member), size)| Tiled {
        origin: origin.clone(),
        member: member.clone(),
        size: size.clone(),
    });
    let mark = Tiling { loops: loops.collect() }.to_string();
    put_mark(&mut edited.tree.root, mark, band)?;
    let names = origins.iter().zip(&members).map(|(origin, member)| place::short(origin, member)).collect();
    let command = Command::TileBy { members, by: by.to_vec(), names: Some(names) };
    Ok(Edit { scop: edited, command, proof })
}

/// Makes sure that there is a parameter of this name, and that it is at least 1.
fn admit_size(scop: &mut Scop, size: &str) -> Result<(), Reason> {
    if !is_carried(size, true) || size.contains('.') {
        return Reason::precondition(format!("`{size}` cannot be the name of a size"));
    }
    let known = scop.params.iter().position(|name| name == size);
    let at = known.unwrap_or_else(|| {
        scop.params.push(size.to_string());
        scop.params.len() - 1
    });
    let space = scop.param_space()?;
    let positive = (Index::Param(at) - 1).to_pw_aff(&space.set_from_params()?)?.nonneg_set()?.params()?;
    if known.is_none() {
        scop.context = scop.context.align_params(&space)?.intersect(&positive)?;
    } else if !scop.context.is_subset(&positive)? {
        return Reason::precondition(format!("the size `{size}` may be less than 1"));
    }
    Ok(())
}

fn check_kinds(band: &Band, members: &[String]) -> Result<(), Reason> {
    for member in band.members.iter().filter(|member| members.contains(&member.name)) {
        if !matches!(member.kind, Kind::Sequential | Kind::Parallel) {
            let kind = adjective(member.kind);
            return Reason::precondition(format!("the loop `{}` is already {kind}", member.name));
        }
    }
    Ok(())
}

fn origins(taken: &mut Taken, members: &[String], names: Option<&[String]>) -> Result<Vec<String>, Reason> {
    match names {
        Some(names) if names.len() != members.len() => {
            Reason::precondition(format!("there are {} loops, and names for {}", members.len(), names.len()))
        }
        Some(names) => names.iter().zip(members).map(|(name, from)| taken.given(name, from)).collect(),
        None => Ok(members.iter().map(|member| taken.next_free(&format!("{member}o"))).collect()),
    }
}

/// Puts the band and a mark above it into the place of the band that has lost its members.
fn put_mark(node: &mut Node, mark: String, band: Band) -> Result<(), Reason> {
    let tiled = |node: &Node| matches!(node, Node::Mark { name, .. } if Tiling::is_mark(name));
    let Some(place) = emptied(node, false, &tiled) else {
        return Reason::precondition("the nest is in tiles of such sizes already");
    };
    *place = Node::Mark { name: mark, child: Box::new(Node::Band(band)) };
    Ok(())
}

/// The band without members, unless a node above it is `tiled`.
fn emptied<'a>(node: &'a mut Node, below: bool, tiled: &dyn Fn(&Node) -> bool) -> Option<&'a mut Node> {
    if matches!(node, Node::Band(band) if band.members.is_empty()) {
        return (!below).then_some(node);
    }
    let below = tiled(node);
    node.children_mut().into_iter().find_map(|child| emptied(child, below, tiled))
}
