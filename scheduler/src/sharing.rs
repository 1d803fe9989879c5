//! Which neighbouring nests run one after the other inside of common outer loops, because what one iteration of these
//! touches stays near the core until the next nest uses it.
//!
//! A row is reduced, its elements are changed by the result and reduced again: each of these nests alone reads every row
//! from memory. Inside of one loop over the rows, only the first of them does: loop fusion for locality (Kennedy,
//! McKinley 1993; McKinley, Carr, Tseng, TOPLAS 1996). Loops inside of the common ones stay each nest's own, so that each
//! keeps the vectors, boxes and copies that it has by itself.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{Access, Role, Scop, StmtId, Subscript, TensorId, isl};
use support::Target;
use transform::{Command, Session, UNASKED_STACK_BYTES};

use crate::cost;
use crate::cpu::attempt;
use crate::nest::{self, Loop, Nest};
use crate::plan::Plan;

/// The part of a cache that what one iteration touches may fill: other things pass through it too.
const SHARE: f64 = 0.75;
/// What is kept for one iteration is at most this part of the second cache: in memory, the whole would be written and read
/// again.
const KEPT: u64 = 16;
/// The least lines of a row to come that are worth asking for: the hardware finds the next ones of a long row by itself,
/// but begins anew in each page, and rests while something is computed.
const LEAST_LINES: u64 = 16;
pub(crate) const WHAT: &str = "not fused";

/// What is done once the nests in common loops have their own plans.
#[derive(Debug, Default)]
pub(crate) struct Later {
    /// Keeps of temporaries what one iteration needs.
    stores: Vec<Command>,
    /// Asks for what the next iteration needs.
    prefetches: Vec<Command>,
    known: Known,
}

impl Later {
    /// Marks the loops of nests of which the session was asked before they were fused.
    pub(crate) fn mark(&self, nests: &mut [Nest]) {
        for nest in nests {
            if let Some(coincident) = self.known.inside(nest) {
                nest.loops.iter_mut().zip(coincident).for_each(|(one, coincident)| one.coincident |= coincident);
                nest.is_permutable = true;
            }
            self.mark(&mut nest.parts);
        }
    }
}

/// Fuses neighbouring nests at the top that are to share so many loops, those with more loops in common first. What comes
/// back is for [`keep`].
///
/// # Errors
/// When the loops cannot be examined.
pub(crate) fn fuse_neighbours(
    session: &mut Session,
    to_share: impl Fn(&Nest, &Nest, usize) -> bool,
) -> isl::Result<Later> {
    let (mut later, mut below) = (Later::default(), usize::MAX);
    loop {
        let nests = session.scop().ctx.with_budget(session.options().operations, || nest::nests(session.scop()))?;
        if nests.len() < 2 {
            break;
        }
        let is_meant = |at: usize| {
            let near = [at.checked_sub(1), Some(at + 1)].into_iter().flatten().filter_map(|other| nests.get(other));
            near.into_iter().any(|other| to_share(&nests[at], other, 1))
        };
        let sharer = |(at, nest)| is_meant(at).then(|| Sharer::of(session, nest, &mut later.known)).flatten();
        let sharers: Vec<Option<Sharer<'_>>> = nests.iter().enumerate().map(sharer).collect();
        let deepest = sharers.iter().flatten().map(|one| one.depth).max().unwrap_or(0);
        let depth = deepest.min(below - 1);
        if depth == 0 {
            break;
        }
        let groups = groups(session.scop(), session.target(), sharers, depth, &to_share);
        groups.iter().for_each(|group| group.fuse(session, depth, &mut later));
        below = depth;
    }
    Ok(later)
}

/// Keeps of the temporaries between fused nests what one iteration needs, once their loops are known to run in parallel or
/// not: what lies on the stack of a thread ties iterations to each other for those that ask later. Asks for the rows to
/// come.
pub(crate) fn keep(session: &mut Session, later: Later) {
    let entity = session.scop().name.clone();
    for store in later.stores {
        attempt(session, &entity, "not kept for one iteration", store);
    }
    for prefetch in later.prefetches {
        attempt(session, &entity, "rows to come not prefetched", prefetch);
    }
}

/// What the session has said of the loops of nests, so that it is asked once for each nest: it has to find what is ordered
/// among all instances of a nest, whichever loops it is asked about.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By names of loops, and by what is inside.
    nests: BTreeMap<(Vec<String>, BTreeSet<StmtId>), Allowed>,
}

impl Known {
    fn allowed(&mut self, session: &Session, nest: &Nest) -> Allowed {
        // Loops around one statement are marked, or are left to their own.
        if nest.only_stmt().is_some() || nest.loops.is_empty() {
            return Allowed::default();
        }
        let names: Vec<&str> = nest.loops.iter().map(|one| one.name.as_str()).collect();
        let ask = || Allowed { band: session.attributes(&names).ok().flatten() };
        self.nests.entry(Known::key(&nest.loops, &nest.stmts)).or_insert_with(ask).clone()
    }

    fn key(loops: &[Loop], stmts: &[StmtId]) -> (Vec<String>, BTreeSet<StmtId>) {
        (loops.iter().map(|one| one.name.clone()).collect(), stmts.iter().copied().collect())
    }

    /// The loops of a group that has been made: in each iteration, what the members write is its own.
    fn join(&mut self, group: &Group<'_>, depth: usize) {
        let stmts: Vec<StmtId> = group.members.iter().flat_map(|member| member.nest.stmts.iter().copied()).collect();
        let loops = &group.members[0].nest.loops[..depth];
        self.nests.insert(Known::key(loops, &stmts), Allowed { band: Some(vec![true; depth]) });
    }

    /// Which loops of a nest, the inner ones of a band that was asked about, may run at once.
    fn inside(&self, nest: &Nest) -> Option<Vec<bool>> {
        let (names, stmts) = Known::key(&nest.loops, &nest.stmts);
        let of = |((all, inside), allowed): (&(Vec<String>, BTreeSet<StmtId>), &Allowed)| {
            let band = allowed.band.as_ref()?;
            let is_same = !names.is_empty() && *inside == stmts && all.ends_with(&names);
            is_same.then(|| band[all.len() - names.len()..].to_vec())
        };
        self.nests.iter().find_map(of)
    }
}

/// What may be done with the loops around a nest.
#[derive(Clone, Debug, Default)]
struct Allowed {
    /// Which of them may run at once, if they are known to be permutable.
    band: Option<Vec<bool>>,
}

impl Allowed {
    fn is_coincident(&self, session: &Session, nest: &Nest, at: usize) -> bool {
        let one = &nest.loops[at];
        match &self.band {
            Some(coincident) => coincident[at],
            None => one.coincident || session.coincident(&one.name).is_ok(),
        }
    }

    /// The nest with its outer loops marked; none when they may not be permuted.
    fn marked(&self, mut nest: Nest) -> Option<Nest> {
        let coincident = self.band.as_ref()?;
        nest.loops.iter_mut().zip(coincident).for_each(|(one, coincident)| one.coincident = *coincident);
        Some(nest)
    }
}

/// A nest whose outer loops others may run in.
#[derive(Clone, Copy)]
pub(crate) struct Sharer<'a> {
    nest: &'a Nest,
    /// How many of its loops from outside may be common: no dependences, known extents, in no box and in no strips.
    depth: usize,
}

impl<'a> Sharer<'a> {
    fn of(session: &Session, nest: &'a Nest, known: &mut Known) -> Option<Sharer<'a>> {
        let allowed = known.allowed(session, nest);
        let is_free = |at: usize| {
            let one = &nest.loops[at];
            one.is_plain() && one.extent.is_some_and(|extent| extent > 1) && allowed.is_coincident(session, nest, at)
        };
        let left = loops_left_outside(session, nest, &allowed);
        let depth = (0..left).take_while(|&at| is_free(at)).count();
        (depth > 0).then_some(Sharer { nest, depth })
    }

    /// How many loops of a nest from outside may be common, if any.
    pub(crate) fn depth_of(session: &Session, nest: &Nest, known: &mut Known) -> Option<usize> {
        Sharer::of(session, nest, known).map(|sharer| sharer.depth)
    }

    /// The same of one that a fusion would make, whose loops are marked as they would be.
    pub(crate) fn depth_of_fused(session: &Session, nest: &Nest) -> Option<usize> {
        let allowed = Allowed { band: Some(nest.loops.iter().map(|one| one.coincident).collect()) };
        let is_free = |at: usize| {
            let one = &nest.loops[at];
            one.is_plain() && one.extent.is_some_and(|extent| extent > 1) && one.coincident
        };
        let left = loops_left_outside(session, nest, &allowed);
        Some((0..left).take_while(|&at| is_free(at)).count()).filter(|&depth| depth > 0)
    }

    /// Iterations of the loops that are common.
    fn extents(&self, depth: usize) -> impl Iterator<Item = i64> {
        self.nest.loops[..depth].iter().map(|one| one.estimate())
    }

    /// Every access of its statements.
    fn accesses<'s>(&self, scop: &'s Scop) -> impl Iterator<Item = (StmtId, &'s Access, bool)> {
        self.nest.stmts.iter().flat_map(|&id| {
            let stmt = &scop.stmts[id];
            let reads = stmt.reads.iter().map(move |access| (id, access, false));
            reads.chain(stmt.writes.iter().map(move |access| (id, access, true)))
        })
    }

    /// Where along a dimension of a tensor the common loops move an access: the loop, and what is added to it.
    fn place(&self, stmt: StmtId, subscript: &Subscript, depth: usize) -> Option<Place> {
        let common = |dim: usize| self.nest.loops[..depth].iter().position(|one| one.dim(stmt) == Some(dim));
        match subscript {
            Subscript::Indirect(_) => Some(Place::Own),
            Subscript::Affine(index) => {
                let used = index.dims_used().into_iter().find_map(common);
                let Some(at) = used else { return Some(Place::Own) };
                let affine = index.affine()?;
                let is_plain =
                    affine.params.is_empty() && affine.dims.len() == 1 && affine.dims.values().all(|&by| by == 1);
                is_plain.then_some(Place::Common(at, affine.constant))
            }
        }
    }

    /// Adds to `parts` how many bytes of each tensor one iteration of the common loops touches.
    fn add_parts(&self, scop: &Scop, depth: usize, parts: &mut BTreeMap<TensorId, u64>) {
        for (stmt, access, _) in self.accesses(scop) {
            let mut part = u64::from(scop.tensors[access.tensor].dtype.bytes());
            for (subscript, extent) in access.index.iter().zip(&scop.tensors[access.tensor].extent) {
                // Of what data chooses one is counted.
                let is_whole = matches!(subscript, Subscript::Affine(_))
                    && !matches!(self.place(stmt, subscript, depth), Some(Place::Common(..)));
                if is_whole {
                    part =
                        part.saturating_mul(extent.as_const().map_or(u64::MAX, |extent| extent.max(0).unsigned_abs()));
                }
            }
            let most = parts.entry(access.tensor).or_default();
            *most = part.max(*most);
        }
    }

    fn places(&self, stmt: StmtId, access: &Access, depth: usize) -> Option<Vec<Place>> {
        access.index.iter().map(|subscript| self.place(stmt, subscript, depth)).collect()
    }
}

/// How the common loops move an access along one dimension of its tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// One element further in each iteration of the loop.
    Common(usize, i64),
    /// Not by the common loops.
    Own,
}

/// How many loops from outside a nest's own plan leaves where they are, whole and out of its boxes; the innermost loop
/// around a statement is never among them.
fn loops_left_outside(session: &Session, nest: &Nest, allowed: &Allowed) -> usize {
    let (scop, target, strict) = (session.scop(), session.target(), session.options().strict);
    let plan = match (nest.only_stmt(), nest.around_reduction(scop)) {
        (Some(stmt), _) => Plan::of(scop, target, nest, stmt, (&[], strict)),
        (None, Some((reduction, shared))) => match allowed.marked(reduction) {
            Some(band) => Plan::of_shared(scop, target, &band, band.stmts[0], (&[], strict, shared)),
            None => return nest.loops.len(),
        },
        (None, None) => return nest.loops.len(),
    };
    let most = nest.loops.len() - usize::from(nest.only_stmt().is_some() && !nest.loops.is_empty());
    let is_whole = |at: &usize| plan.boxes[*at].is_none() && plan.cuts[*at].is_empty();
    let whole = (0..most).take_while(is_whole).count();
    // Those that stay outside of all others.
    (0..=whole).rev().find(|&depth| plan.order.iter().take(depth).all(|piece| piece.of < depth)).unwrap_or(0)
}

/// Neighbouring nests that are to share loops.
struct Group<'a> {
    members: Vec<Sharer<'a>>,
}

impl Group<'_> {
    /// Whether `other` may be next to share `depth` loops, and touches more of what the members do than the first cache
    /// holds: what it holds is near anyway.
    fn takes(&self, scop: &Scop, target: &Target, other: &Sharer<'_>, depth: usize) -> bool {
        let first = target.caches.first().map_or(1 << 15, |cache| cache.bytes);
        let is_much = |shared: BTreeSet<TensorId>| {
            shared.into_iter().map(|id| nest::bytes(scop, id, u64::MAX)).fold(0, u64::saturating_add) > first
        };
        self.members[0].extents(depth).eq(other.extents(depth)) && self.shared(scop, other, depth).is_some_and(is_much)
    }

    /// The tensors that `other` touches where this group does, in each iteration of the common loops; none when it
    /// reads or writes what another iteration of the group does.
    fn shared(&self, scop: &Scop, other: &Sharer<'_>, depth: usize) -> Option<BTreeSet<TensorId>> {
        let mut shared = BTreeSet::new();
        for member in &self.members {
            for (stmt, mine, writes) in member.accesses(scop) {
                for (other_stmt, theirs, other_writes) in other.accesses(scop) {
                    if mine.tensor != theirs.tensor {
                        continue;
                    }
                    let places = member.places(stmt, mine, depth);
                    let same = places.is_some() && places == other.places(other_stmt, theirs, depth);
                    let moves = places.is_some_and(|places| places.iter().any(|place| *place != Place::Own));
                    match (same && moves, writes || other_writes) {
                        (true, _) => _ = shared.insert(mine.tensor),
                        (false, true) => return None,
                        (false, false) => {}
                    }
                }
            }
        }
        Some(shared)
    }

    /// What speaks against `other` in the common loops: one iteration must stay in the second cache, and threads must keep
    /// their work.
    fn against(&self, scop: &Scop, target: &Target, other: &Sharer<'_>, depth: usize) -> Option<String> {
        let mut parts: BTreeMap<TensorId, u64> = BTreeMap::new();
        for member in self.members.iter().chain([other]) {
            member.add_parts(scop, depth, &mut parts);
        }
        let touched = parts.values().copied().fold(0, u64::saturating_add);
        let cache = target.caches.get(1).or(target.caches.first()).map_or(1 << 20, |cache| cache.bytes);
        if touched as f64 > cache as f64 * SHARE {
            return Some(format!(
                "the {touched} bytes of one iteration of the loops they could share would not stay in the second cache"
            ));
        }
        let threads = u64::from(target.threads);
        let longest = other.extents(depth).max().unwrap_or(1).max(1).unsigned_abs();
        let rounds = longest.div_ceil(threads) * threads;
        (threads > 1 && longest * 10 < rounds * 9)
            .then(|| format!("{longest} iterations of the loops they could share do not keep {threads} threads busy"))
    }

    /// The temporaries of which one iteration of the common loops needs its own part only, when that is small and the whole
    /// would not stay in the second cache.
    fn kept(&self, scop: &Scop, target: &Target, depth: usize) -> Vec<(TensorId, u64)> {
        let cache =
            |level: usize| target.caches.get(level).or(target.caches.first()).map_or(1 << 15, |cache| cache.bytes);
        let mut parts: BTreeMap<TensorId, u64> = BTreeMap::new();
        self.members.iter().for_each(|member| member.add_parts(scop, depth, &mut parts));
        let is_inside = |id: StmtId| self.members.iter().any(|member| member.nest.stmts.contains(&id));
        let is_own = |id: TensorId| {
            let uses = |stmt: &polyhedral::Stmt| stmt.accesses().any(|access| access.tensor == id);
            scop.tensors[id].role == Role::Temporary
                && scop.stmts.iter().all(|(stmt, row)| is_inside(stmt) || !uses(row))
        };
        let most = (cache(1) / KEPT).min(UNASKED_STACK_BYTES.unsigned_abs());
        let is_worth = |id: TensorId, part: u64| part <= most && nest::bytes(scop, id, u64::MAX) > cache(1);
        parts.into_iter().filter(|&(id, part)| is_worth(id, part) && is_own(id)).collect()
    }

    /// The arguments of which the next iteration of the common loops finds its own part in memory, when memory would rest
    /// while this one computes: they are then asked for in the meantime, and computing and moving take as long as the longer
    /// of the two (Mowry, Lam, Gupta, ASPLOS 1992).
    fn to_come(&self, scop: &Scop, target: &Target, depth: usize) -> Vec<TensorId> {
        let cache = |level: usize| target.caches.get(level).or(target.caches.first());
        let (Some(first), Some(second)) = (cache(0), cache(1)) else { return Vec::new() };
        let nests: Vec<&Nest> = self.members.iter().map(|member| member.nest).collect();
        if !cost::is_long_for_what_it_moves(scop, target, &nests) {
            return Vec::new();
        }
        let mut parts: BTreeMap<TensorId, u64> = BTreeMap::new();
        self.members.iter().for_each(|member| member.add_parts(scop, depth, &mut parts));
        let is_moved = |id: TensorId| {
            let moves = |member: &Sharer<'_>| {
                let own = |place: &Place| *place == Place::Own;
                let mut places = member.accesses(scop).filter(|(_, access, _)| access.tensor == id);
                places.all(|(stmt, access, _)| {
                    member.places(stmt, access, depth).is_some_and(|places| !places.iter().all(own))
                })
            };
            self.members.iter().all(moves)
        };
        let sizes = LEAST_LINES * u64::from(first.line)..=second.bytes / KEPT;
        let is_worth = |id: TensorId, part: u64| {
            scop.tensors[id].role == Role::Input
                && nest::bytes(scop, id, u64::MAX) > second.bytes
                && sizes.contains(&part)
        };
        parts.into_iter().filter(|&(id, part)| is_worth(id, part) && is_moved(id)).map(|(id, _)| id).collect()
    }

    /// The commands that make the group, and those that keep what is its own.
    fn fuse(&self, session: &mut Session, depth: usize, later: &mut Later) {
        let kept = self.kept(session.scop(), session.target(), depth);
        let kept: Vec<String> = kept.into_iter().map(|(id, _)| session.scop().tensors[id].name.clone()).collect();
        let names: Vec<String> =
            self.members.iter().map(|one| session.scop().stmts[one.nest.stmts[0]].name.clone()).collect();
        let at = self.members[0].nest.loops[depth - 1].name.clone();
        let to_come = self.to_come(session.scop(), session.target(), depth);
        let to_come: Vec<String> = to_come.into_iter().map(|id| session.scop().tensors[id].name.clone()).collect();
        let mut all = true;
        for second in &names[1..] {
            all &= attempt(session, second, WHAT, Command::fuse(&names[0], second, u32::try_from(depth).unwrap_or(1)));
        }
        if all {
            later.known.join(self, depth);
            // What deeper loops keep is small already.
            let is_kept = |name: &String| {
                later.stores.iter().any(|store| matches!(store, Command::StoreAt { tensor, .. } if tensor == name))
            };
            let new: Vec<String> = kept.into_iter().filter(|name| !is_kept(name)).collect();
            later.stores.extend(new.into_iter().map(|tensor| Command::store_at(tensor, &at)));
            if later.prefetches.is_empty() {
                later.prefetches.extend(to_come.into_iter().map(|tensor| Command::prefetch(tensor, &at, 1)));
            }
        }
    }
}

/// The groups with `depth` common loops, in order, of nests that are to share them.
fn groups<'a>(
    scop: &Scop,
    target: &Target,
    nests: Vec<Option<Sharer<'a>>>,
    depth: usize,
    to_share: &impl Fn(&Nest, &Nest, usize) -> bool,
) -> Vec<Group<'a>> {
    let mut groups = Vec::new();
    let mut open: Option<Group<'a>> = None;
    for nest in nests {
        let nest = nest.filter(|nest| nest.depth >= depth);
        if let (Some(group), Some(nest)) = (&mut open, &nest)
            && to_share(group.members[0].nest, nest.nest, depth)
            && group.takes(scop, target, nest, depth)
        {
            group.members.push(*nest);
            continue;
        }
        groups.extend(open.take());
        open = nest.map(|nest| Group { members: vec![nest] });
    }
    groups.extend(open);
    groups.retain(|group| group.members.len() > 1);
    groups
}

/// What [`fuse_neighbours`] would make of nests that are to share loops.
pub(crate) enum Tree {
    /// One of them, by its place in the list, with the loops that may be common.
    Member { at: usize, nest: Nest, depth: usize },
    /// Several, in so many common loops.
    Joint { nest: Nest, children: Vec<Tree>, depth: usize },
}

impl Tree {
    /// Of nests in their order, each with the loops that may be common, of which `most` become so; none where not all of
    /// them can share a loop.
    pub(crate) fn of(scop: &Scop, target: &Target, members: &[(&Nest, usize)], most: usize) -> Option<Tree> {
        let member =
            |(at, (nest, depth)): (usize, &(&Nest, usize))| Tree::Member { at, nest: (*nest).clone(), depth: *depth };
        let mut trees: Vec<Tree> = members.iter().enumerate().map(member).collect();
        let deepest = members.iter().map(|(_, depth)| *depth).max()?;
        for depth in (1..=deepest.min(most)).rev() {
            let mut joined: Vec<Vec<Tree>> = Vec::new();
            for tree in trees {
                match joined.last_mut().filter(|group| Tree::take(scop, target, group, &tree, depth)) {
                    Some(group) => group.push(tree),
                    None => joined.push(vec![tree]),
                }
            }
            trees = joined.into_iter().map(|group| Tree::joint(group, depth)).collect();
        }
        (trees.len() == 1).then(|| trees.remove(0)).filter(|tree| matches!(tree, Tree::Joint { .. }))
    }

    fn take(scop: &Scop, target: &Target, group: &[Tree], other: &Tree, depth: usize) -> bool {
        if group.iter().chain([other]).any(|tree| tree.depth() < depth) {
            return false;
        }
        Group { members: group.iter().map(Tree::sharer).collect() }.takes(scop, target, &other.sharer(), depth)
    }

    fn joint(mut group: Vec<Tree>, depth: usize) -> Tree {
        if group.len() == 1 {
            return group.remove(0);
        }
        let nest = Nest::fused(&group.iter().map(Tree::nest).collect::<Vec<_>>(), depth);
        Tree::Joint { nest, children: group, depth }
    }

    fn nest(&self) -> &Nest {
        match self {
            Tree::Member { nest, .. } | Tree::Joint { nest, .. } => nest,
        }
    }

    /// How many loops may be common, or are.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Tree::Member { depth, .. } | Tree::Joint { depth, .. } => *depth,
        }
    }

    fn sharer(&self) -> Sharer<'_> {
        Sharer { nest: self.nest(), depth: self.depth() }
    }

    /// The loops that all have in common.
    pub(crate) fn loops(&self) -> &[Loop] {
        &self.nest().loops[..self.depth()]
    }

    /// The temporaries of which an iteration keeps its own part, with its bytes.
    pub(crate) fn kept(&self, scop: &Scop, target: &Target) -> BTreeMap<TensorId, u64> {
        let Tree::Joint { children, depth, .. } = self else { return BTreeMap::new() };
        let group = Group { members: children.iter().map(Tree::sharer).collect() };
        let mut all: BTreeMap<TensorId, u64> = group.kept(scop, target, *depth).into_iter().collect();
        // What deeper loops keep is small already.
        children.iter().for_each(|child| all.extend(child.kept(scop, target)));
        all
    }

    /// What speaks against the common loops, for people.
    pub(crate) fn against(&self, scop: &Scop, target: &Target) -> Option<String> {
        let Tree::Joint { children, depth, .. } = self else { return None };
        let (last, others) = children.split_last()?;
        let group = Group { members: others.iter().map(Tree::sharer).collect() };
        group.against(scop, target, &last.sharer(), *depth)
    }
}
