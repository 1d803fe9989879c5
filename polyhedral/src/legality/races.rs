//! Whether the threads of a kernel may run as they like between barriers.
//!
//! A tree says in which order instances run, and [`order_respected`](super::order_respected) proves that order. Threads
//! keep it by themselves only among the instances that they run: of two instances that touch one cell, one of them
//! writing, in one launch,
//!
//! - on two blocks, nothing keeps the order: there may be no such pair;
//! - on two threads of a block, a barrier has to be in between.
//!
//! What is between is told by the loops and sequences that all threads run: those from the kernel's mark down to the first
//! loop on threads. Where they first differ for a pair, one end runs first; a barrier is in between when it follows that
//! end in a sequence at or inside of that place, or precedes the other one. As a loop may have no iteration, barriers in loops
//! that an end is not in do not count. Barriers are not inside of loops on threads, so all threads get to them.
//!
//! Of a reduction that threads run together, the first of them touches the element, behind the loop ([`Combined`]). Where
//! these updates are atomic they race with everything but each other.
//!
//! After the two-thread reduction of GPUVerify (Betts and others, OOPSLA 2012), that no two threads conflict within one
//! barrier interval; here on the exact relations, for all threads and sizes at once.

use std::collections::BTreeSet;

use super::violation::witness;
use super::{Conflict, Illegal};
use crate::kernel::BoundLoop;
use crate::places::Places;
use crate::{
    Axis, Combined, DependenceKind, Dependences, Kind, Launched, Member, Memory, Node, Scop, Stmt, StmtId, isl,
};

/// Do barriers order what the threads of each kernel do to one cell, and does nothing have to be ordered between blocks?
///
/// # Errors
/// [`Illegal::Violation`] with two instances that race, [`Illegal::Malformed`] when a barrier is where not all threads
/// get to, or loops of a kernel are not in the order that [`Launched::misplaced`] asks for.
pub fn race_free(scop: &Scop) -> Result<(), Illegal> {
    let combined = Combined::of(scop)?;
    match hazards_of(&combined)?.into_iter().find(|hazard| hazard.barriers.is_empty()) {
        None => Ok(()),
        Some(hazard) => Err(Illegal::Violation(Box::new(hazard.witness(&combined.scop)?))),
    }
}

/// Pairs of instances on two threads of a kernel that touch one cell, of which at least one writes it, and that have to be
/// ordered for one reason.
pub struct Hazard {
    /// From those that have to run first.
    pub pairs: isl::UnionMap,
    /// How they depend on each other.
    pub kind: DependenceKind,
    /// The barriers in between: one is enough.
    pub barriers: Vec<StmtId>,
    /// Whether they are on two blocks.
    on_blocks: bool,
}

/// All hazards of the kernels of a program.
///
/// # Errors
/// As for [`race_free`], but for races.
pub fn hazards(scop: &Scop) -> Result<Vec<Hazard>, Illegal> {
    hazards_of(&Combined::of(scop)?)
}

/// The same, of a program with what threads combine.
fn hazards_of(combined: &Combined) -> Result<Vec<Hazard>, Illegal> {
    let scop = &combined.scop;
    let places = Places::new(scop, &scop.tree)?;
    let atomic: BTreeSet<StmtId> =
        combined.reductions.iter().filter(|one| one.is_atomic).map(|one| one.finish).collect();
    let mut found = Vec::new();
    for launched in scop.tree.kernels()? {
        if let Some(why) = launched.misplaced() {
            return Err(Illegal::Malformed(why));
        }
        let kernel = InKernel::of(scop, &launched)?;
        let touches = kernel.touches(&places, &atomic)?;
        for (at, first) in touches.iter().enumerate() {
            for second in &touches[at..] {
                // Atomic updates of one statement are in turn, whichever comes first.
                let in_turn = first.atomic.is_some() && first.atomic == second.atomic;
                if (first.writes || second.writes) && !in_turn {
                    kernel.between(first, second, &mut found)?;
                }
            }
        }
    }
    Ok(found)
}

impl Hazard {
    fn witness(&self, scop: &Scop) -> isl::Result<super::Violation> {
        let none = isl::UnionMap::empty(&scop.ctx)?;
        let mut deps = Dependences {
            domain: scop.tree.domain.clone(),
            flow: none.clone(),
            anti: none.clone(),
            output: none.clone(),
            reduction: none.clone(),
            updates: none,
        };
        match self.kind {
            DependenceKind::Flow => deps.flow = self.pairs.clone(),
            DependenceKind::Anti => deps.anti = self.pairs.clone(),
            DependenceKind::Output | DependenceKind::Reduction => deps.output = self.pairs.clone(),
        }
        let conflict = if self.on_blocks { Conflict::OnBlocks } else { Conflict::NoBarrier };
        witness(scop, &deps, &self.pairs, conflict)
    }
}

/// One access of the instances at one place.
struct Touch<'k, 't> {
    tensor: usize,
    writes: bool,
    /// The statement, if its instances update cells atomically.
    atomic: Option<StmtId>,
    cells: isl::UnionMap,
    leaf: &'k Leaf<'t>,
}

/// What the threads of a block run together.
struct InKernel<'t> {
    scop: &'t Scop,
    /// Rows that are equal within a block of a launch: the loops of the host, and those on blocks.
    host: Vec<isl::MultiUnionPwAff>,
    block: Vec<isl::MultiUnionPwAff>,
    /// The thread, along axes with several.
    thread: Vec<isl::MultiUnionPwAff>,
    leaves: Vec<Leaf<'t>>,
    barriers: Vec<Barrier<'t>>,
}

/// The instances that all threads know nothing more of.
struct Leaf<'t> {
    instances: isl::UnionSet,
    path: Vec<Step<'t>>,
}

/// A barrier that runs whenever something of its sequence does.
struct Barrier<'t> {
    stmt: StmtId,
    path: Vec<Step<'t>>,
}

/// What is around an instance.
#[derive(Clone)]
enum Step<'t> {
    Loop(&'t Member),
    /// The child `at` of a sequence.
    Child {
        sequence: usize,
        at: usize,
    },
}

impl<'t> InKernel<'t> {
    fn of(scop: &'t Scop, launched: &Launched<'t>) -> Result<InKernel<'t>, Illegal> {
        let mut gathered = Gathered { leaves: Vec::new(), path: Vec::new(), sequences: 0 };
        gathered.node(launched.node, &launched.instances)?;
        if let Some(barrier) = divergent(scop, launched)? {
            return Err(Illegal::Malformed(format!("not all threads of a block get to the barrier `{barrier}`")));
        }
        let host = launched.host.iter().map(|member| member.schedule.to_multi()).collect::<isl::Result<Vec<_>>>()?;
        let (mut block, mut thread) = (Vec::new(), Vec::new());
        for at in 0..3 {
            for (axis, rows) in [(Axis::Block(at), &mut block), (Axis::Thread(at), &mut thread)] {
                for row in launched.on_axis(axis)? {
                    rows.push(row.to_multi()?);
                }
            }
        }
        let (mut leaves, mut barriers) = (Vec::new(), Vec::new());
        for leaf in gathered.leaves {
            match only_barrier(scop, &leaf.instances)? {
                None => leaves.push(leaf),
                Some(stmt) => barriers.push((stmt, leaf)),
            }
        }
        let mut kernel = InKernel { scop, host, block, thread, leaves, barriers: Vec::new() };
        for (stmt, leaf) in barriers {
            if kernel.is_always_run(&leaf, launched)? {
                kernel.barriers.push(Barrier { stmt, path: leaf.path });
            }
        }
        Ok(kernel)
    }

    /// Whether a barrier runs in each iteration of the loops around in which anything of its sequence does.
    fn is_always_run(&self, barrier: &Leaf<'t>, launched: &Launched<'t>) -> isl::Result<bool> {
        let Some((Step::Child { .. }, around)) = barrier.path.split_last() else { return Ok(false) };
        let beside = self.leaves.iter().filter(|leaf| {
            leaf.path.len() > around.len()
                && leaf.path.iter().zip(&barrier.path).take(around.len()).all(|(a, b)| a.is(b))
        });
        let loops = around.iter().filter_map(|step| match step {
            Step::Loop(member) => Some(member.schedule.to_multi()),
            Step::Child { .. } => None,
        });
        let around: Vec<isl::MultiUnionPwAff> =
            self.host.iter().chain(&self.block).cloned().map(Ok).chain(loops).collect::<isl::Result<_>>()?;
        let values = |instances: &isl::UnionSet| -> isl::Result<isl::UnionSet> {
            let mut all = instances.constant(&isl::Val::int(instances.ctx(), 0)?)?.to_union_map()?;
            for row in &around {
                all = all.flat_range_product(&row.intersect_domain(instances)?.to_union_map()?)?;
            }
            instances.apply(&all)
        };
        let own = values(&barrier.instances.intersect(&launched.instances)?)?;
        for leaf in beside {
            if !values(&leaf.instances)?.is_subset(&own)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn touches<'k>(&'k self, places: &Places<'_>, atomic: &BTreeSet<StmtId>) -> isl::Result<Vec<Touch<'k, 't>>> {
        let mut all = Vec::new();
        for leaf in &self.leaves {
            for (id, stmt) in self.scop.stmts.iter() {
                let here = leaf.instances.intersect(&stmt.domain.to_union_set()?)?;
                if here.is_empty()? {
                    continue;
                }
                let accesses = stmt.reads.iter().map(|read| (read, false)).chain(stmt.writes.iter().map(|w| (w, true)));
                for (access, writes) in accesses {
                    // What a thread keeps for itself is no other thread's.
                    if self.scop.tensors[access.tensor].memory == Memory::Registers {
                        continue;
                    }
                    let cells = places.cells(stmt, access)?.intersect_domain(&here)?;
                    let atomic = (writes && atomic.contains(&id)).then_some(id);
                    all.push(Touch { tensor: support::Entity::index(access.tensor), writes, atomic, cells, leaf });
                }
            }
        }
        Ok(all)
    }

    /// The hazards between two accesses.
    fn between(&self, first: &Touch<'_, 't>, second: &Touch<'_, 't>, found: &mut Vec<Hazard>) -> isl::Result<()> {
        if first.tensor != second.tensor {
            return Ok(());
        }
        let mut pairs = first.cells.apply_range(&second.cells.reverse()?)?;
        for row in &self.host {
            pairs = pairs.eq_at(row)?;
        }
        let is_same = std::ptr::eq(first, second);
        let mut add = |pairs: isl::UnionMap, forward: bool, barriers: Vec<StmtId>, on_blocks: bool| {
            let (kind, pairs) = match (first.writes, second.writes) {
                (true, true) => (DependenceKind::Output, pairs),
                (writes, _) if writes == forward => (DependenceKind::Flow, pairs),
                _ => (DependenceKind::Anti, pairs),
            };
            let pairs = if forward { pairs } else { pairs.reverse()? };
            found.push(Hazard { pairs, kind, barriers, on_blocks });
            Ok::<(), isl::Error>(())
        };
        for row in &self.block {
            for (forward, apart) in [(true, pairs.lex_lt_at(row)?), (false, pairs.lex_gt_at(row)?)] {
                if (forward || !is_same) && !apart.is_empty()? {
                    add(apart, forward, Vec::new(), true)?;
                }
            }
            pairs = pairs.eq_at(row)?;
        }
        let mut apart = isl::UnionMap::empty(&self.scop.ctx)?;
        for row in &self.thread {
            apart = apart.union(&pairs.lex_lt_at(row)?)?.union(&pairs.lex_gt_at(row)?)?;
            pairs = pairs.eq_at(row)?;
        }
        let mut pairs = apart;
        let (mine, theirs) = (&first.leaf.path, &second.leaf.path);
        for (depth, (one, other)) in mine.iter().zip(theirs).enumerate() {
            if pairs.is_empty()? {
                return Ok(());
            }
            match (one, other) {
                (Step::Loop(member), Step::Loop(_)) => {
                    let row = member.schedule.to_multi()?;
                    for (forward, apart) in [(true, pairs.lex_lt_at(&row)?), (false, pairs.lex_gt_at(&row)?)] {
                        if (forward || !is_same) && !apart.is_empty()? {
                            let [earlier, later] = if forward { [mine, theirs] } else { [theirs, mine] };
                            add(apart, forward, self.barriers_between(earlier, later, depth), false)?;
                        }
                    }
                    pairs = pairs.eq_at(&row)?;
                }
                (Step::Child { at, .. }, Step::Child { at: other, .. }) if at != other => {
                    let forward = at < other;
                    let [earlier, later] = if forward { [mine, theirs] } else { [theirs, mine] };
                    return add(pairs, forward, self.barriers_between(earlier, later, depth), false);
                }
                _ => {}
            }
        }
        if pairs.is_empty()? { Ok(()) } else { add(pairs, true, Vec::new(), false) }
    }

    /// The barriers between two instances that step `depth` puts in order, or the loop there.
    fn barriers_between(&self, earlier: &[Step<'t>], later: &[Step<'t>], depth: usize) -> Vec<StmtId> {
        let is_between = |barrier: &&Barrier<'t>| {
            let Some((own @ Step::Child { at, .. }, around)) = barrier.path.split_last() else { return false };
            let place = around.len();
            let beside = |path: &[Step<'t>]| {
                let together = path.len() > place && path.iter().zip(around).all(|(a, b)| a.is(b));
                match path.get(place) {
                    Some(step @ Step::Child { at, .. }) if together && step.is_sibling(own) => Some(*at),
                    _ => None,
                }
            };
            let (before, after) = (beside(earlier), beside(later));
            match place.cmp(&depth) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => before.is_some_and(|one| one < *at) && after.is_some_and(|one| *at < one),
                std::cmp::Ordering::Greater => {
                    before.is_some_and(|one| one < *at) || after.is_some_and(|one| *at < one)
                }
            }
        };
        self.barriers.iter().filter(is_between).map(|barrier| barrier.stmt).collect()
    }
}

impl Step<'_> {
    fn is(&self, other: &Step<'_>) -> bool {
        match (self, other) {
            (Step::Loop(a), Step::Loop(b)) => std::ptr::eq(*a, *b),
            (Step::Child { sequence, at }, Step::Child { sequence: same, at: other }) => {
                (sequence, at) == (same, other)
            }
            _ => false,
        }
    }

    fn is_sibling(&self, other: &Step<'_>) -> bool {
        match (self, other) {
            (Step::Child { sequence, .. }, Step::Child { sequence: same, .. }) => sequence == same,
            _ => false,
        }
    }
}

/// The barrier that these instances are, if they are of one.
fn only_barrier(scop: &Scop, instances: &isl::UnionSet) -> isl::Result<Option<StmtId>> {
    let sets = instances.sets()?;
    let [only] = sets.as_slice() else { return Ok(None) };
    Ok(scop.stmt_named(&only.tuple_name()?).filter(|id| scop.stmts[*id].is_barrier()))
}

/// The loops and sequences of a kernel.
struct Gathered<'t> {
    leaves: Vec<Leaf<'t>>,
    /// What is around, while gathering.
    path: Vec<Step<'t>>,
    sequences: usize,
}

impl<'t> Gathered<'t> {
    fn node(&mut self, node: &'t Node, reach: &isl::UnionSet) -> isl::Result<()> {
        let depth = self.path.len();
        match node {
            Node::Leaf => self.leaf(reach),
            Node::Mark { child, .. } => self.node(child, reach)?,
            Node::Band(band) => {
                let own_pace = band.members.iter().position(|member| !is_uniform(member.kind));
                for member in &band.members[..own_pace.unwrap_or(band.members.len())] {
                    match member.kind {
                        Kind::Bound(_) | Kind::Atomic(_) => {}
                        _ => self.path.push(Step::Loop(member)),
                    }
                }
                match own_pace {
                    None => self.node(&band.child, reach)?,
                    Some(_) => self.leaf(reach),
                }
            }
            Node::Sequence(children) | Node::Set(children) => {
                self.sequences += 1;
                let sequence = self.sequences;
                for (at, child) in children.iter().enumerate() {
                    self.path.push(Step::Child { sequence, at });
                    self.node(&child.node, &reach.intersect(&child.filter)?)?;
                    self.path.pop();
                }
            }
        }
        self.path.truncate(depth);
        Ok(())
    }

    fn leaf(&mut self, reach: &isl::UnionSet) {
        self.leaves.push(Leaf { instances: reach.clone(), path: self.path.clone() });
    }
}

/// A barrier inside of a loop on threads.
fn divergent<'s>(scop: &'s Scop, launched: &Launched<'_>) -> isl::Result<Option<&'s str>> {
    let bound = launched.bound()?;
    for Stmt { name, domain, .. } in scop.stmts.values().filter(|stmt| stmt.is_barrier()) {
        for BoundLoop { axis, inside, .. } in &bound {
            if matches!(axis, Axis::Thread(_)) && !inside.is_disjoint(&domain.to_union_set()?)? {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

/// Whether all threads of a block run a loop of this kind, and may meet in it.
fn is_uniform(kind: Kind) -> bool {
    matches!(kind, Kind::Sequential | Kind::Parallel) || kind.is_on_blocks()
}
