//! What runs where the iterations of a loop do not fill a vector.

use polyhedral::{Filtered, Scop, isl};

use crate::index_set::{cut_boxes, in_place};
use crate::parallel::Strips;
use crate::place::{self, Site, Taken};
use crate::refused::Reason;

/// The full vectors, and after them the loop as it was for all other iterations.
pub(crate) fn separate(scop: &Scop, strips: Strips) -> Result<Strips, Reason> {
    let (whole, cut) = whole_and_cut(scop, &strips)?;
    if cut.is_empty()? {
        return Ok(strips);
    }
    let vectors = place::divided_at(&strips.tree, &strips.outer, place::member_at(&strips.tree, &strips.outer)).1;
    let at = place::member_at(&scop.tree, &strips.member);
    let mut rest = place::restricted_below(&place::divided_at(&scop.tree, &strips.member, at).1, &cut)?;
    Taken::by(&strips.tree, &[]).rename(&mut rest, "");
    let pieces = vec![
        Filtered { node: place::restricted_below(&vectors, &whole)?, filter: whole },
        Filtered { node: rest, filter: cut },
    ];
    let at = place::member_at(&strips.tree, &strips.outer);
    Ok(Strips { tree: in_place(strips.tree, &strips.outer, at, pieces)?, ..strips })
}

/// The instances in full vectors, of which there are some, and the others.
fn whole_and_cut(scop: &Scop, strips: &Strips) -> Result<(isl::UnionSet, isl::UnionSet), Reason> {
    let site = Site::of(&strips.tree, &strips.outer)?;
    let cut = cut_boxes(scop, &strips.tree, &site, std::slice::from_ref(&strips.outer))?.coalesce()?;
    let whole = site.instances.subtract(&cut)?.coalesce()?;
    if whole.intersect_params(&scop.context)?.is_empty()? {
        return Reason::precondition(format!(
            "no vector of `{}` is full; `tail masked` runs such vectors",
            strips.member
        ));
    }
    Ok((whole, cut.intersect_params(&scop.context)?))
}
