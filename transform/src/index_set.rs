//! Commands that divide the iterations of a loop: cut, peel, separate.
//!
//! The pieces run one after another, each in loops of its own, so that every piece can be scheduled by itself. One piece
//! keeps the names of the loops; those of the other one get an ending.

use polyhedral::text::parse_index;
use polyhedral::{Band, Filtered, Index, Kind, Member, Node, ScheduleTree, Scop, isl};

use crate::loops::adjective;
use crate::place::{self, Site, Taken};
use crate::proof::{Edit, Proof};
use crate::refused::Reason;
use crate::{Command, End};

/// Cuts the iterations of a loop in two, below a value and from it on: index-set splitting.
///
/// ```text
/// cut C.update.k at 64 as head tail
///
/// band [m, n, k]   ->   band [m, n]
///                         sequence
///                           filter { k < 64 }
///                             band [head = k]
///                           filter { k >= 64 }
///                             band [tail = k]
/// ```
///
/// The value is quasi-affine in the sizes and the loops outside, as `floor(N/2)` or `32*C.update.mo`. Loops inside the
/// second piece get a number.
///
/// Needs a loop that is not vectorised or unrolled, and iterations on both sides. Proof: none of its own, because the
/// loop runs what is below the value first. After Griebl, Feautrier, Lengauer, Index Set Splitting (International Journal
/// of Parallel Programming 2000).
pub(crate) fn cut(scop: &Scop, member: &str, at: &str, names: Option<&(String, String)>) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let site = Site::of(&scop.tree, &member)?;
    let value = OuterIndex::parse(scop, &site, &member, at)?;
    let mut before = isl::UnionSet::empty(&scop.ctx)?;
    for set in site.sets(scop)? {
        let own = place::function_on(site.member(), &set)?;
        let distance = value.on(&set, &site.outer)?.sub(&own)?;
        let below = distance.sub(&constant(&set, 1)?)?.nonneg_set()?.intersect(&set)?;
        before = before.union(&below.to_union_set()?)?;
    }
    let at = value.text(scop, &site);
    let after = site.instances.subtract(&before)?.coalesce()?;
    for (piece, side) in [(&before, "lies below"), (&after, "reaches")] {
        if piece.intersect_params(&scop.context)?.is_empty()? {
            return Reason::precondition(format!("no iteration of the loop `{member}` {side} {at}"));
        }
    }
    let pieces = Pieces { filters: [before, after], kept: 0, ending: "" };
    let (tree, names) = pieces.around(scop, &member, names)?;
    Ok(Edit::of_tree(scop, tree, Command::Cut { member, at, names: Some(names) }, Proof::SameOrder))
}

/// Takes the first or the last iterations out of a loop.
///
/// ```text
/// peel A.t first 1 as t0 t
///
/// band [t, i]   ->   sequence
///                      filter { t <= first(t) }
///                        band [t0 = t, ip = i]
///                      filter { t > first(t) }
///                        band [t, i]
/// ```
///
/// The first and the last value are those that the loop has while the loops outside stay as they are; an iteration is
/// one value, whether there is an instance for it or not. The rest keeps the names of the loops.
///
/// Needs a loop that is not vectorised or unrolled, and a rest. Proof: none of its own, as for a cut. After Lamport, The
/// Parallel Execution of DO Loops (CACM 1974), and Wolfe, High Performance Compilers for Parallel Computing (1996).
pub(crate) fn peel(
    scop: &Scop,
    member: &str,
    end: End,
    count: u32,
    names: Option<&(String, String)>,
) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let site = Site::of(&scop.tree, &member)?;
    let extreme = extreme_values(&site, end)?;
    let mut peeled = isl::UnionSet::empty(&scop.ctx)?;
    for set in site.sets(scop)? {
        let own = place::function_on(site.member(), &set)?;
        let limit = place::value_on(&extreme, &set)?;
        let distance = match end {
            End::First => own.sub(&limit)?,
            End::Last => limit.sub(&own)?,
        };
        let near = constant(&set, i64::from(count) - 1)?.sub(&distance)?.nonneg_set()?.intersect(&set)?;
        peeled = peeled.union(&near.to_union_set()?)?;
    }
    let rest = site.instances.subtract(&peeled)?.coalesce()?;
    if rest.intersect_params(&scop.context)?.is_empty()? {
        return Reason::precondition(format!("the loop `{member}` never has more than {count} iterations"));
    }
    let peeled = peeled.coalesce()?;
    let pieces = match end {
        End::First => Pieces { filters: [peeled, rest], kept: 1, ending: "p" },
        End::Last => Pieces { filters: [rest, peeled], kept: 0, ending: "p" },
    };
    let (tree, names) = pieces.around(scop, &member, names)?;
    let command = Command::Peel { member, end, count, names: Some(names) };
    Ok(Edit::of_tree(scop, tree, command, Proof::SameOrder))
}

/// Runs whole boxes in loops of their own, apart from those that the edges of the domain cut.
///
/// ```text
/// separate C.update.mo C.update.no
///
/// band [mo, no, mi, ni, k]   ->   band [mo, no]
///                                   sequence
///                                     filter { 32mo + 31 < M and 32no + 31 < N }
///                                       band [mi, ni, k]
///                                     filter { 32mo + 31 >= M or 32no + 31 >= N }
///                                       band [mip, nip, kp]
/// ```
///
/// The loops run over strips, as `split` and `tile` make them. A box is whole when each loop over the inside of its
/// strips has all of its values whatever the values of the loops around it: in whole boxes these loops have constant
/// bounds, lanes have no masks and copies no guards. What is decided is decided once a box, below the innermost of the
/// named loops, so that the order stays as it is.
///
/// Needs loops over strips in one nest, with both whole and cut boxes. Proof: none of its own, because an iteration of the
/// loops outside runs one of the two pieces. After Ancourt and Irigoin, Scanning Polyhedra with DO Loops (PPoPP 1991);
/// full tiles apart from partial ones as in Kim and others, Multi-level Tiling (SC 2007).
pub(crate) fn separate(scop: &Scop, members: &[String]) -> Result<Edit, Reason> {
    let members = place::resolve_all(scop, members)?;
    let mut tree = scop.tree.clone();
    place::merged_band(&mut tree.root, &members)?;
    let innermost = members.iter().max_by_key(|name| depth_of(&tree, name)).expect("a command names a loop").clone();
    let site = Site::of(&tree, &innermost)?;
    let cut = cut_boxes(scop, &tree, &site, &members)?;
    let whole = site.instances.subtract(&cut)?.coalesce()?;
    for (piece, kind) in [(&whole, "whole"), (&cut, "cut")] {
        if piece.intersect_params(&scop.context)?.is_empty()? {
            return Reason::precondition(format!("no box of `{}` is {kind}", members.join("`, `")));
        }
    }
    let pieces = Pieces { filters: [whole, cut.coalesce()?], kept: 0, ending: "p" };
    let tree = pieces.below(tree, &innermost)?;
    Ok(Edit::of_tree(scop, tree, Command::Separate { members }, Proof::SameOrder))
}

/// A quasi-affine expression over the sizes and the loops outside of one.
struct OuterIndex(Index);

impl OuterIndex {
    /// Loops are named in full, by `statement.index`, or without what they share with the name of `member`.
    fn parse(scop: &Scop, site: &Site, member: &str, text: &str) -> Result<OuterIndex, Reason> {
        let mut names: Vec<(String, usize)> = Vec::new();
        let outer = || site.outer.iter().enumerate();
        names.extend(outer().map(|(at, outer)| (outer.name.clone(), at)));
        names.extend(outer().map(|(at, outer)| (place::short(&outer.name, member), at)));
        for stmt in scop.stmts.values() {
            for dim in &stmt.dims {
                let name = format!("{}.{dim}", stmt.name);
                let resolved = place::resolve(scop, &name).ok();
                let at = site.outer.iter().position(|outer| Some(&outer.name) == resolved.as_ref());
                names.extend(at.map(|at| (name, at)));
            }
        }
        let dims: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
        match parse_index(text, &dims, &scop.params) {
            Ok(index) => Ok(OuterIndex(index.substitute(&|alias| Index::Dim(names[alias].1), &Index::Param))),
            Err(error) => {
                let known: Vec<&str> = site.outer.iter().map(|outer| outer.name.as_str()).collect();
                let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
                Reason::precondition(format!("in `{text}`: {} (loops outside of `{member}`: {known})", error.message))
            }
        }
    }

    /// The expression with the exact names of the loops.
    fn text(&self, scop: &Scop, site: &Site) -> String {
        let names: Vec<String> = site.outer.iter().map(|outer| outer.name.clone()).collect();
        self.0.display(&names, &scop.params).to_string()
    }

    /// Its value on the instances of one statement, whose space has all parameters.
    fn on(&self, set: &isl::Set, outer: &[Member]) -> isl::Result<isl::PwAff> {
        let outer = outer.iter().map(|member| place::function_on(member, set)).collect::<isl::Result<Vec<_>>>()?;
        substituted(&self.0, set, &outer)
    }
}

/// The function that an index is on `set`, when its dimensions are these functions.
fn substituted(index: &Index, set: &isl::Set, dims: &[isl::PwAff]) -> isl::Result<isl::PwAff> {
    let go = |index: &Index| substituted(index, set, dims);
    let number = |n: i64| isl::Val::int(set.ctx(), n);
    match index {
        Index::Dim(at) => Ok(dims[*at].clone()),
        Index::Const(_) | Index::Param(_) => index.to_pw_aff(&set.space()?)?.intersect_domain(set),
        Index::Add(a, b) => go(a)?.add(&go(b)?),
        Index::Mul(c, e) => go(e)?.scale(&number(*c)?),
        Index::FloorDiv(e, c) => go(e)?.scale_down(&number(*c)?)?.floor(),
        Index::Mod(e, c) => go(e)?.modulo(&number(*c)?),
        Index::Min(a, b) => go(a)?.min(&go(b)?),
        Index::Max(a, b) => go(a)?.max(&go(b)?),
        Index::Select(test, then, otherwise) => go(test)?.select_nonneg(&go(then)?, &go(otherwise)?),
    }
}

pub(crate) fn constant(set: &isl::Set, value: i64) -> isl::Result<isl::PwAff> {
    Index::Const(value).to_pw_aff(&set.space()?)?.intersect_domain(set)
}

/// From the instances to the first or the last value of the loop while the loops outside stay as they are.
pub(crate) fn extreme_values(site: &Site, end: End) -> isl::Result<isl::UnionMap> {
    let outside = site.outer_values()?;
    let own = site.member().schedule.intersect_domain(&site.instances)?.to_union_map()?;
    let values = outside.reverse()?.apply_range(&own)?;
    let extreme = match end {
        End::First => values.lexmin()?,
        End::Last => values.lexmax()?,
    };
    outside.apply_range(&extreme)
}

/// Two pieces of the instances that reach a loop; the one at `kept` keeps the names.
struct Pieces {
    filters: [isl::UnionSet; 2],
    kept: usize,
    ending: &'static str,
}

impl Pieces {
    /// The tree with the loop `member` and all inside of it once for each piece; the names of the loop in the pieces.
    fn around(
        self,
        scop: &Scop,
        member: &str,
        names: Option<&(String, String)>,
    ) -> Result<(ScheduleTree, (String, String)), Reason> {
        let mut tree = scop.tree.clone();
        let band = place::merged_band(&mut tree.root, &[member.to_string()])?;
        let at = place::position(band, member).expect("the member is of this band");
        if let kind @ (Kind::Vector(_) | Kind::Unroll(_)) = band.members[at].kind {
            return Reason::precondition(format!("the loop `{member}` is already {}", adjective(kind)));
        }
        let mut taken = Taken::by(&scop.tree, &[member.to_string()]);
        let own = match names {
            Some((first, second)) => [taken.given(first, member)?, taken.given(second, member)?],
            None => {
                taken.mark(member);
                let copy = taken.next_free(&format!("{member}{}", self.ending));
                if self.kept == 0 { [member.to_string(), copy] } else { [copy, member.to_string()] }
            }
        };
        let mut pieces = self.divided(&tree, member, at, &mut taken)?;
        for (piece, name) in pieces.iter_mut().zip(&own) {
            if let Node::Band(band) = &mut piece.node {
                band.members[0].name = name.clone();
            }
        }
        let [first, second] = own.map(|name| place::short(&name, member));
        Ok((in_place(tree, member, at, pieces)?, (first, second)))
    }

    /// The tree with all that is inside of the loop `member` once for each piece.
    fn below(self, tree: ScheduleTree, member: &str) -> Result<ScheduleTree, Reason> {
        let mut taken = Taken::by(&tree, &[]);
        let at = place::member_at(&tree, member) + 1;
        let pieces = self.divided(&tree, member, at, &mut taken)?;
        in_place(tree, member, at, pieces)
    }

    /// What is inside of the band of `member` from position `at` on, once for each piece.
    fn divided(
        &self,
        tree: &ScheduleTree,
        member: &str,
        at: usize,
        taken: &mut Taken,
    ) -> Result<Vec<Filtered>, Reason> {
        let (_, inside) = place::divided_at(tree, member, at);
        let mut pieces = Vec::new();
        for (number, filter) in self.filters.iter().enumerate() {
            let mut node = place::restricted_below(&inside, filter)?;
            if number != self.kept {
                taken.rename(&mut node, self.ending);
            }
            pieces.push(Filtered { filter: filter.clone(), node });
        }
        Ok(pieces)
    }
}

/// The tree with the pieces one after another in the place of what was in the band of `member` from `at` on.
pub(crate) fn in_place(
    mut tree: ScheduleTree,
    member: &str,
    at: usize,
    pieces: Vec<Filtered>,
) -> Result<ScheduleTree, Reason> {
    let (outside, _) = place::divided_at(&tree, member, at);
    let path = place::path_to(&tree.root, member).expect("the member is of this tree");
    let sequence = Node::Sequence(pieces);
    let node = match outside {
        Some(band) => Node::Band(Band { child: Box::new(sequence), ..band }),
        None => sequence,
    };
    place::replace(&mut tree.root, &path, node)?;
    Ok(tree)
}

/// How many loops are around the loop, and in its band before it.
fn depth_of(tree: &ScheduleTree, member: &str) -> usize {
    Site::of(tree, member).map_or(0, |site| site.outer.len())
}

/// The instances in boxes that are not whole: below the loop of `site`, the boxes of the strips that `members` run over.
pub(crate) fn cut_boxes(
    scop: &Scop,
    tree: &ScheduleTree,
    site: &Site,
    members: &[String],
) -> Result<isl::UnionSet, Reason> {
    let outside: Vec<&Member> = site.outer.iter().chain([site.member()]).collect();
    let named: Vec<usize> =
        members.iter().filter_map(|name| outside.iter().position(|member| member.name == *name)).collect();
    let (_, inside) = place::divided_at(tree, &site.member().name, place::member_at(tree, &site.member().name) + 1);
    let mut cut = isl::UnionSet::empty(&scop.ctx)?;
    let mut strips = vec![false; named.len()];
    for leaf in place::leaves(&inside, &site.instances)? {
        for set in place::sets_of(scop, &leaf.instances)? {
            let functions = |members: &[&Member]| {
                members.iter().map(|member| place::function_on(member, &set)).collect::<isl::Result<Vec<_>>>()
            };
            let (outer, inner) = (functions(&outside)?, functions(&leaf.members)?);
            let mut strip_dims = Vec::new();
            for (number, &at) in named.iter().enumerate() {
                if let Some(strip) = Strip::of(&outer[at], at, &set)? {
                    strips[number] = true;
                    strip_dims.push(strip);
                }
            }
            let boxes = Boxes { set: &set, outer: &outer, inner: &inner, strips: &strip_dims };
            cut = cut.union(&boxes.cut()?.to_union_set()?)?;
        }
    }
    if let Some(number) = strips.iter().position(|found| !found) {
        let name = &members[number];
        return Reason::precondition(format!(
            "the loop `{name}` does not run over strips; `split` or `tile` make some"
        ));
    }
    // A box that one statement does not fill is cut for all that are in it.
    let values = site.values_with_own()?;
    let tiles = cut.apply(&values)?;
    Ok(site.instances.intersect(&values.intersect_range(&tiles)?.domain()?)?)
}

/// A loop with the value `floor(base / width)`.
struct Strip {
    /// Which one of the loops outside.
    outer: usize,
    width: i64,
    base: isl::PwAff,
}

impl Strip {
    /// `None` when the function is of another form on these instances.
    fn of(function: &isl::PwAff, outer: usize, set: &isl::Set) -> isl::Result<Option<Strip>> {
        // Where there is only one strip the simpler form is a constant.
        let [plain, simpler] = [function.clone(), function.gist(set)?].map(|function| strip_in(&function));
        let Some((width, base)) = plain?.or(simpler?) else { return Ok(None) };
        let base = base.to_pw_aff(&set.space()?)?.intersect_domain(set)?;
        Ok(Some(Strip { outer, width, base }))
    }
}

/// The width and the base of a function `floor(base / width)`.
fn strip_in(function: &isl::PwAff) -> isl::Result<Option<(i64, Index)>> {
    let pieces = function.coalesce()?.pieces()?;
    let [(_, only)] = pieces.as_slice() else { return Ok(None) };
    Ok(strip_of(&only.terms()?))
}

/// The width and the base of `floor(base / width)`.
fn strip_of(terms: &isl::Terms) -> Option<(i64, Index)> {
    let alone = terms.constant == 0 && terms.params.iter().chain(&terms.dims).all(|&c| c == 0);
    let ([(1, inner)], true, 1) = (terms.floors.as_slice(), alone, terms.denominator) else { return None };
    let numerator = isl::Terms { denominator: 1, ..inner.clone() };
    match strip_of(&numerator) {
        // floor(floor(f / a) / b) = floor(f / (a·b)).
        Some((width, base)) => Some((width.checked_mul(inner.denominator)?, base)),
        None if numerator.floors.is_empty() => Some((inner.denominator, affine(&numerator))),
        None => None,
    }
}

fn affine(terms: &isl::Terms) -> Index {
    let dims = terms.dims.iter().enumerate().map(|(at, &c)| c * Index::Dim(at));
    let params = terms.params.iter().enumerate().map(|(at, &c)| c * Index::Param(at));
    dims.chain(params).fold(Index::Const(terms.constant), |sum, term| term + sum)
}

/// The boxes of one statement below some loops.
struct Boxes<'a> {
    set: &'a isl::Set,
    /// The loops outside.
    outer: &'a [isl::PwAff],
    /// The loops inside, outermost first.
    inner: &'a [isl::PwAff],
    strips: &'a [Strip],
}

impl Boxes<'_> {
    /// The instances in boxes that lack a point.
    fn cut(&self) -> isl::Result<isl::Set> {
        let bases: Vec<&isl::PwAff> = self.strips.iter().map(|strip| &strip.base).collect();
        let around: Vec<&isl::PwAff> = self.outer.iter().chain(self.around_points(&bases)?).collect();
        let all: Vec<&isl::PwAff> = around.iter().chain(&bases).copied().collect();
        let reached = self.set.apply(&tuple(self.set, &all)?)?;
        let (n, r) = (around.len() as u32, bases.len() as u32);
        let anywhere = reached.project_out(isl::Dim::Set, n, r)?;
        let free = self.set.space()?.params()?.set_from_params()?.add_dims(isl::Dim::Set, r)?.universe_set()?;
        let mut boxes = anywhere.flat_product(&free)?;
        let space = boxes.space()?;
        for (at, strip) in self.strips.iter().enumerate() {
            let offset = Index::Dim(n as usize + at) - strip.width * Index::Dim(strip.outer);
            let rest = Index::Const(strip.width - 1) - offset.clone();
            for side in [offset, rest] {
                boxes = boxes.intersect(&side.to_pw_aff(&space)?.nonneg_set()?)?;
            }
        }
        let outer = self.outer.len() as u32;
        let lacking = boxes.subtract(&reached)?.project_out(isl::Dim::Set, outer, n - outer + r)?;
        let outer: Vec<&isl::PwAff> = self.outer.iter().collect();
        self.set.intersect(&lacking.apply(&tuple(self.set, &outer)?.reverse()?)?)
    }

    /// Of the loops inside, those around a loop over the inside of strips that do not run over strips themselves.
    fn around_points(&self, bases: &[&isl::PwAff]) -> isl::Result<Vec<&isl::PwAff>> {
        let known: Vec<&isl::PwAff> = self.outer.iter().chain(bases.iter().copied()).collect();
        let known = tuple(self.set, &known)?;
        let mut around = Vec::new();
        let mut last = 0;
        for function in self.inner {
            if known.reverse()?.apply_range(&function.to_map()?.intersect_domain(self.set)?)?.is_single_valued()? {
                last = around.len();
            } else {
                around.push(function);
            }
        }
        around.truncate(last);
        Ok(around)
    }
}

/// From the instances to the values of functions on them.
fn tuple(set: &isl::Set, functions: &[&isl::PwAff]) -> isl::Result<isl::Map> {
    let dims = set.dim(isl::Dim::Set)?;
    let none = set.identity()?.project_out(isl::Dim::Out, 0, dims)?.reset_tuple_id(isl::Dim::Out)?;
    functions.iter().try_fold(none, |all, function| all.flat_range_product(&function.to_map()?))
}
