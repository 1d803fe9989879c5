//! Commands on the loops of one nest: split, tile, reorder, collapse.

use polyhedral::{Band, Kind, Member, Scop, isl};

use crate::place::{self, Taken};
use crate::proof::{Edit, Proof};
use crate::refused::Reason;
use crate::{Command, Names};

/// Cuts a loop into strips of `by` iterations: strip mining.
///
/// ```text
/// split C.update.k by 256 as ko ki
///
/// band [m, n, k]   ->   band [m, n, ko = floor(k / 256), ki = k]
/// ```
///
/// The inner loop keeps the value of the old one, so that it reads as the index; inside a strip it runs over `by`
/// consecutive integers from a multiple of `by`.
///
/// Needs a loop that is not vectorised or unrolled. Proof: none of its own, because `(floor(k/s), k)` and `k` order the
/// same pairs in the same way, whatever `k` is; the whole proof at the end judges the result. After Wolfe, High
/// Performance Compilers for Parallel Computing (1996).
pub(crate) fn split(scop: &Scop, member: &str, by: u32, names: Option<&Names>) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let (mut tree, mut named) = (scop.tree.clone(), NewNames::of(scop, std::slice::from_ref(&member), names, "i")?);
    let band = place::merged_band(&mut tree.root, std::slice::from_ref(&member))?;
    split_member(&scop.ctx, band, &member, by, named.next_pair())?;
    let command = Command::Split { member: member.clone(), by, names: Some(named.canonical()) };
    Ok(Edit::of_tree(scop, tree, command, Proof::SameOrder))
}

/// Cuts a nest into boxes: strips in every loop, and the loops over strips outside.
///
/// ```text
/// tile C.update.m C.update.n by 96 512 as mo no / mi ni
///
/// band [m, n, k]   ->   band [mo = floor(m / 96), no = floor(n / 512), mi = m, ni = n, k]
/// ```
///
/// The loops over boxes come where the first of the tiled ones was, in the order written; the loops inside a box share
/// out the places that the tiled ones had, in the order written.
///
/// Needs loops of one perfect nest. Proof: order. It succeeds when the nest is permutable (Irigoin and Triolet,
/// Supernode Partitioning, POPL 1988), and also where the domain is so small that boxes cannot be wrong.
pub(crate) fn tile(scop: &Scop, members: &[String], by: &[u32], names: Option<&Names>) -> Result<Edit, Reason> {
    if members.len() != by.len() {
        return Reason::precondition(format!("there are {} loops, and sizes for {}", members.len(), by.len()));
    }
    let members = place::resolve_all(scop, members)?;
    let (mut tree, mut named) = (scop.tree.clone(), NewNames::of(scop, &members, names, "i")?);
    let band = place::merged_band(&mut tree.root, &members)?;
    let (mut outer, mut inner) = (Vec::new(), Vec::new());
    for (member, &size) in members.iter().zip(by) {
        let pair = named.next_pair();
        outer.push(pair.0.clone());
        inner.push(pair.1.clone());
        split_member(&scop.ctx, band, member, size, pair)?;
    }
    let known = Coincidence::of(band);
    let boxes: Vec<Member> = outer.iter().filter_map(|name| take(band, name)).collect();
    permute(band, &inner);
    let first = inner.iter().filter_map(|name| place::position(band, name)).min().unwrap_or(0);
    band.members.splice(first..first, boxes);
    known.keep(band);
    // Strips of a distance that is not negative are not negative: the band stays permutable.
    let proof = Proof::permuted(band)?;
    let command = Command::Tile { members, by: by.to_vec(), names: Some(named.canonical()) };
    Ok(Edit::of_tree(scop, tree, command, proof))
}

/// Permutes loops of a nest: loop interchange.
///
/// ```text
/// reorder C.update.k C.update.m
///
/// band [m, n, k]   ->   band [k, n, m]
/// ```
///
/// The loops share out the places that they had, in the order written; the others stay where they are.
///
/// Needs loops of one perfect nest. Proof: order. After Allen and Kennedy, Automatic Loop Interchange (SIGPLAN 1984).
pub(crate) fn reorder(scop: &Scop, members: &[String]) -> Result<Edit, Reason> {
    let members = place::resolve_all(scop, members)?;
    let mut tree = scop.tree.clone();
    let band = place::merged_band(&mut tree.root, &members)?;
    let known = Coincidence::of(band);
    permute(band, &members);
    known.keep(band);
    let proof = Proof::permuted(band)?;
    Ok(Edit::of_tree(scop, tree, Command::Reorder { members }, proof))
}

/// Makes one loop of two, of which the inner one runs over so many values at most: its values count the pairs.
///
/// ```text
/// collapse As.load.x0 As.load.x1 as x            x1 from 0 to 7
///
/// band [x0, x1]   ->   band [x = 8 x0 + x1]
/// ```
///
/// So the threads of a block can share out a box by its elements, whatever its shape.
///
/// Needs loops of one perfect nest, the second right inside of the first, both sequential, and constants between which the
/// values of the second are. Proof: none of its own, because `N·i + j` orders pairs as `(i, j)` does where `j` is one of `N`
/// consecutive numbers. After Polychronopoulos, Loop Coalescing (ICPP 1987).
pub(crate) fn collapse(scop: &Scop, members: [&str; 2], name: Option<&str>) -> Result<Edit, Reason> {
    let members = place::resolve_all(scop, &members.map(str::to_string))?;
    let [outer, inner] = members.as_slice() else { unreachable!("two names were resolved") };
    let mut tree = scop.tree.clone();
    let band = place::merged_band(&mut tree.root, &members)?;
    let at = place::position(band, outer).expect("the member is of this band");
    if place::position(band, inner) != Some(at + 1) {
        return Reason::precondition(format!("the loop `{inner}` is not right inside of `{outer}`"));
    }
    let (first, second) = (band.members[at].clone(), band.members[at + 1].clone());
    if let Some(other) = [&first, &second].into_iter().find(|member| member.kind != Kind::Sequential) {
        return Reason::precondition(format!("the loop `{}` is {}", other.name, adjective(other.kind)));
    }
    let values = second.schedule.to_union_map()?.range()?;
    if values.is_empty()? {
        return Reason::precondition(format!("the loop `{inner}` has no values"));
    }
    let values = values.as_set()?;
    let (lowest, highest) = (values.dim_min_val(0)?, values.dim_max_val(0)?);
    if !(lowest.is_int()? && highest.is_int()?) {
        return Reason::precondition(format!("the values of the loop `{inner}` are not between two constants"));
    }
    let lowest = lowest.to_i64()?;
    let count = highest.to_i64()?.checked_sub(lowest).and_then(|apart| apart.checked_add(1));
    let count = count.ok_or(isl::Error::Overflow)?;
    let number = |value| isl::Val::int(&scop.ctx, value);
    let from_zero = second.schedule.domain()?.constant(&number(lowest.checked_neg().ok_or(isl::Error::Overflow)?)?)?;
    let schedule = first.schedule.scale(&number(count)?)?.union_add(&second.schedule.union_add(&from_zero)?)?;
    let mut taken = Taken::by(&scop.tree, &members);
    let name = match name {
        Some(name) => taken.given(name, outer)?,
        None => taken.next_free(&format!("{outer}{}", inner.rsplit('.').next().unwrap_or(inner))),
    };
    let coincident = first.coincident && second.coincident;
    let one = Member { name: name.clone(), schedule, coincident, kind: Kind::Sequential };
    band.members.splice(at..=at + 1, [one]);
    let command = Command::Collapse { members: [outer.clone(), inner.clone()], name: Some(place::short(&name, outer)) };
    Ok(Edit::of_tree(scop, tree, command, Proof::SameOrder))
}

/// Replaces a member by a pair: over strips, and inside one.
pub(crate) fn split_member(
    ctx: &isl::Ctx,
    band: &mut Band,
    member: &str,
    by: u32,
    (outer, inner): (String, String),
) -> Result<(), Reason> {
    let at = place::position(band, member).expect("the member is of this band");
    let old = &band.members[at];
    if let Kind::Vector(_) | Kind::Unroll(_) = old.kind {
        return Reason::precondition(format!("the loop `{member}` is already {}", adjective(old.kind)));
    }
    let strip = old.schedule.scale_down(&isl::Val::int(ctx, i64::from(by))?)?.floor()?;
    // What does not cross iterations does not cross strips, and a distance that is not negative stays so: flags stay.
    let over_strips = Member { name: outer, schedule: strip, ..old.clone() };
    let inside = Member { name: inner, kind: Kind::Sequential, ..old.clone() };
    band.members.splice(at..=at, [over_strips, inside]);
    Ok(())
}

/// Removes a member from the band.
pub(crate) fn take(band: &mut Band, member: &str) -> Option<Member> {
    place::position(band, member).map(|at| band.members.remove(at))
}

/// Puts `names`, members of the band, in this order into the places that they have.
fn permute(band: &mut Band, names: &[String]) {
    let mut places: Vec<usize> = names.iter().filter_map(|name| place::position(band, name)).collect();
    let members: Vec<Member> = places.iter().map(|&at| band.members[at].clone()).collect();
    places.sort_unstable();
    for (at, member) in places.into_iter().zip(members) {
        band.members[at] = member;
    }
}

/// What carries no dependence in a band, and what that rests on: the members outside of it that carry some. Pairs that
/// these leave equal have one value of it, since the others outside are equal then too; so it carries none as long as
/// they are outside.
struct Coincidence(Vec<(String, Vec<String>)>);

impl Coincidence {
    /// What is known before the members of a band change places.
    fn of(band: &Band) -> Coincidence {
        let (mut carrying, mut known) = (Vec::new(), Vec::new());
        for member in &band.members {
            if member.coincident {
                known.push((member.name.clone(), carrying.clone()));
            } else {
                carrying.push(member.name.clone());
            }
        }
        Coincidence(known)
    }

    /// Keeps what is still known in their new places.
    fn keep(&self, band: &mut Band) {
        for at in 0..band.members.len() {
            let (outside, rest) = band.members.split_at_mut(at);
            let member = &mut rest[0];
            let rests_on = self.0.iter().find(|(name, _)| *name == member.name).map(|(_, carrying)| carrying);
            member.coincident = rests_on
                .is_some_and(|carrying| carrying.iter().all(|name| outside.iter().any(|other| other.name == *name)));
        }
    }
}

/// How a loop with this kind is called in a sentence.
pub(crate) fn adjective(kind: Kind) -> &'static str {
    match kind {
        Kind::Sequential => "sequential",
        Kind::Parallel => "parallel",
        Kind::Vector(_) => "vectorised",
        Kind::Unroll(_) => "unrolled",
        Kind::Bound(_) | Kind::Atomic(_) => "bound to an axis",
    }
}

/// The names of the loops that a command makes: those that were given, or the old name with a letter.
pub(crate) struct NewNames {
    from: Vec<String>,
    outer: Vec<String>,
    inner: Vec<String>,
    next: usize,
}

impl NewNames {
    /// Of strips in `members`; without `names`, those over strips end in `o` and those inside in `inside`.
    pub(crate) fn of(scop: &Scop, members: &[String], names: Option<&Names>, inside: &str) -> Result<NewNames, Reason> {
        let mut taken = Taken::by(&scop.tree, members);
        let (outer, inner) = match names {
            Some(names) => (given(&mut taken, &names.outer, members)?, given(&mut taken, &names.inner, members)?),
            None => {
                let mut ending =
                    |end: &str| members.iter().map(|name| taken.next_free(&format!("{name}{end}"))).collect();
                (ending("o"), ending(inside))
            }
        };
        Ok(NewNames { from: members.to_vec(), outer, inner, next: 0 })
    }

    /// The names for the next of the members.
    pub(crate) fn next_pair(&mut self) -> (String, String) {
        let at = self.next;
        self.next += 1;
        (self.outer[at].clone(), self.inner[at].clone())
    }

    /// Marks the names as taken.
    pub(crate) fn take(&self, taken: &mut Taken) {
        self.outer.iter().chain(&self.inner).for_each(|name| taken.mark(name));
    }

    /// As a script says them.
    pub(crate) fn canonical(&self) -> Names {
        let all =
            |names: &[String]| names.iter().zip(&self.from).map(|(name, from)| place::short(name, from)).collect();
        Names { outer: all(&self.outer), inner: all(&self.inner) }
    }
}

fn given(taken: &mut Taken, names: &[String], members: &[String]) -> Result<Vec<String>, Reason> {
    if names.len() != members.len() {
        return Reason::precondition(format!("there are {} loops, and names for {}", members.len(), names.len()));
    }
    names.iter().zip(members).map(|(name, from)| taken.given(name, from)).collect()
}
