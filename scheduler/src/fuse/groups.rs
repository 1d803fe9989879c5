//! Which nests could run together, in which form, and what each such group would cost.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{StmtId, TensorId, isl};
use support::Remark;
use transform::Session;

use super::build::{as_it_is, planned, whole};
use super::graph::Graph;
use super::price::Program;
use super::shape::{Derived, Loop, Move, Part, Shape, Store, ranges};
use crate::fusing::{self, Around};
use crate::nest::{self, Nest, Stride};
use crate::plan::{Box, Plan};
use crate::sharing::{Known, Sharer, Tree};
use crate::{STAGE, cost, rows};

/// Sets of nests that may run together in one kind of group and are looked at, at most: so many, and so many for each nest.
const SETS: (usize, usize) = (400, 16);
/// What a group has to save of the cycles of its parts: estimates do not see everything.
const GAIN: f64 = 0.03;
/// The part of its cycles that each further member of common loops has to save: their bodies vie for what a core keeps.
const MEMBER: f64 = 0.005;
/// Reads of what is computed again wherever it is read, at most.
const RECOMPUTED: usize = 16;

/// How nests run together.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// One nest as it is.
    Apart,
    /// A reduction with what comes before and after in its tiles.
    Around(Surrounded),
    /// Row by row in turn.
    Rows(Vec<rows::Step>),
    /// Temporaries are computed where they are read.
    Inlined(Vec<TensorId>),
    /// In common outer loops, so many at most; some of the members with surroundings.
    Shared { members: Vec<Surrounded>, most: usize },
}

/// A reduction with what runs in its tiles, by number of nest.
#[derive(Clone, Debug)]
pub(crate) struct Surrounded {
    pub(crate) reduction: usize,
    pub(crate) before: Option<usize>,
    pub(crate) after: Vec<usize>,
    /// Those of `after` that are computed where they are read.
    pub(crate) links: Vec<(usize, TensorId)>,
    /// Loops that become common.
    pub(crate) common: usize,
}

impl Surrounded {
    fn nests(&self) -> Vec<usize> {
        let mut nests: Vec<usize> = self.before.iter().chain(&self.after).copied().chain([self.reduction]).collect();
        nests.sort_unstable();
        nests
    }
}

/// Nests that could run together.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Ascending.
    pub(crate) nests: Vec<usize>,
    pub(crate) form: Form,
    /// Cycles from its beginning to its end, on all threads.
    pub(super) cycles: f64,
    /// The order in which it would run.
    pub(super) shape: Shape,
}

/// A nest, or a reduction with its surroundings.
struct Unit {
    nests: Vec<usize>,
    around: Option<Surrounded>,
    nest: Nest,
}

/// What is looked for, and with what.
pub(super) struct Search<'a> {
    session: &'a Session,
    pub(super) program: Program<'a>,
    graph: &'a Graph,
    /// The plan of each nest of one statement by itself.
    plans: Vec<Option<Plan>>,
    pub(super) groups: Vec<Group>,
    /// Why some nests are better apart, unless they are not.
    pub(super) remarks: Vec<(Vec<usize>, Remark)>,
}

impl<'a> Search<'a> {
    /// Finds the groups.
    ///
    /// # Errors
    /// When the extents of the loops cannot be found.
    pub(super) fn run(
        session: &'a Session,
        nests: &'a [Nest],
        graph: &'a Graph,
        is_chosen: &[bool],
    ) -> isl::Result<Search<'a>> {
        let scop = session.scop();
        let ranges = ranges(scop, nests.iter().flat_map(|nest| nest.stmts.iter().copied()))?;
        let program = Program::of(scop, session.target(), nests, ranges);
        let plan = |nest: &Nest| {
            let stmt = nest.only_stmt().filter(|_| !nest.loops.is_empty())?;
            Some(Plan::of(scop, session.target(), nest, stmt, (&[], session.options().strict)))
        };
        let plans = nests.iter().map(plan).collect();
        let (groups, remarks) = (Vec::new(), Vec::new());
        let mut search = Search { session, program, graph, plans, groups, remarks };
        (0..nests.len()).for_each(|nest| search.apart(nest));
        let surrounded = search.surrounded(is_chosen);
        search.rows(is_chosen);
        search.inlined(is_chosen);
        search.shared(is_chosen, &surrounded);
        Ok(search)
    }

    fn nests(&self) -> &'a [Nest] {
        self.program.nests
    }

    /// The least cycles of some nests that are not in one group: each alone, or a reduction with its surroundings.
    fn cycles_of_parts(&self, nests: &[usize]) -> f64 {
        let is_part = |group: &&Group| match group.form {
            Form::Apart => true,
            Form::Around(_) => group.nests.len() < nests.len() || !matches!(group.form, Form::Around(_)),
            _ => false,
        };
        let mut inside: Vec<&Group> = self.groups.iter().filter(is_part).collect();
        inside.retain(|group| group.nests.iter().all(|nest| nests.contains(nest)));
        // Larger ones first: they never cost more than their parts.
        inside.sort_by_key(|group| std::cmp::Reverse(group.nests.len()));
        let (mut left, mut cycles): (BTreeSet<usize>, f64) = (nests.iter().copied().collect(), 0.0);
        for group in inside {
            if group.nests.iter().all(|nest| left.contains(nest)) {
                group.nests.iter().for_each(|nest| _ = left.remove(nest));
                cycles += group.cycles;
            }
        }
        cycles
    }

    /// Keeps a group that saves enough.
    fn offer(&mut self, group: Group) {
        let parts = self.cycles_of_parts(&group.nests);
        if group.cycles < parts * (1.0 - GAIN) {
            self.groups.push(group);
        }
    }

    /// Iterations of the loop that runs in parallel.
    fn trips<'n>(&self, loops: impl Iterator<Item = &'n nest::Loop>) -> u64 {
        let extents: Vec<u64> =
            loops.filter(|one| one.coincident).map(|one| one.estimate().max(1).unsigned_abs()).collect();
        let enough = u64::from(self.program.target.threads) * 2;
        extents.iter().find(|&&extent| extent >= enough).or(extents.iter().max()).copied().unwrap_or(1)
    }

    /// Cycles of the arithmetic of a nest.
    fn computed(&self, nest: usize) -> f64 {
        let (one, Program { scop, target, .. }) = (&self.nests()[nest], &self.program);
        let boxes = self.plans[nest].as_ref().map_or(&[][..], |plan| &plan.boxes);
        let cycles = cost::cycles_and_computed(scop, target, one, boxes).1 as f64;
        // A contraction knows what its copies save.
        let of_plan = self.plans[nest].as_ref().and_then(|plan| plan.cycles);
        of_plan.map_or(cycles, |planned| planned.min(cycles))
    }

    /// One nest in loops from `from` on: copies outside of these, and the rest.
    fn parts_of(
        &self,
        nest: &Nest,
        plan: Option<&Plan>,
        surroundings: (&[StmtId], &[StmtId]),
    ) -> (Vec<Part>, Vec<Part>) {
        match (nest.only_stmt(), plan) {
            (Some(id), Some(plan)) => planned(self.program.scop, nest, plan, id, surroundings),
            _ => (Vec::new(), as_it_is(nest, 0)),
        }
    }

    /// What a nest stores past the caches; an update loads it before.
    fn streamed(&self, nest: usize) -> &[TensorId] {
        let is_update = |id: StmtId| self.program.scop.stmts[id].body.is_reduce();
        match &self.plans[nest] {
            Some(plan) if !self.nests()[nest].only_stmt().is_some_and(is_update) => &plan.streams,
            _ => &[],
        }
    }

    fn line(&self) -> u64 {
        self.program.target.caches.first().map_or(64, |cache| cache.line.into())
    }

    /// A group with its price, whose statements compute for so long, some of it beside nothing, on threads that share `trips` iterations.
    fn group(
        &self,
        nests: &[usize],
        form: Form,
        mut shape: Shape,
        (computed, waiting, trips): (f64, f64, u64),
    ) -> Group {
        if let Some(ranges) = &self.program.ranges {
            shape.measure_copies(self.program.scop, ranges, self.line());
        }
        shape.streamed = nests.iter().flat_map(|&nest| self.streamed(nest)).copied().collect();
        let cycles = self.program.price(nests, &shape, (computed, waiting), trips);
        Group { nests: nests.to_vec(), form, cycles, shape }
    }

    fn apart(&mut self, nest: usize) {
        let one = &self.nests()[nest];
        let (copies, parts) = self.parts_of(one, self.plans[nest].as_ref(), (&[], &[]));
        let mut shape = Shape { parts: [copies, parts].concat(), ..Shape::default() };
        if let (Some(plan), Some(_)) = (&self.plans[nest], one.only_stmt()) {
            shape.keep(self.program.scop, one, one, plan);
        }
        let group = self.group(&[nest], Form::Apart, shape, (self.computed(nest), 0.0, self.trips(one.loops.iter())));
        self.groups.push(group);
    }
}

/// Reductions with what surrounds them.
impl Search<'_> {
    /// Offers all that may surround each reduction; what comes back is the largest and the smallest for each.
    fn surrounded(&mut self, is_chosen: &[bool]) -> Vec<Surrounded> {
        let mut found = Vec::new();
        for at in (0..self.nests().len()).filter(|&at| is_chosen[at]) {
            let nests = self.nests();
            let Some(around) = Around::of(self.session, &nests[at]) else { continue };
            let (before, after) = self.around(&around, at, is_chosen);
            let mut own = Vec::new();
            for count in 0..=after.len() {
                let one = self.surroundings(&around, at, before, &after[..count]);
                if one.nests().len() > 1 && self.graph.is_convex(&one.nests()) {
                    self.groups.push(self.group_of_surrounded(&one, &around));
                    own.push(one);
                }
            }
            let largest = own.pop();
            found.extend(own.into_iter().next());
            found.extend(largest);
        }
        found
    }

    /// What sets the result before, and what uses it element by element after, or uses that.
    fn around(&mut self, around: &Around<'_>, at: usize, is_chosen: &[bool]) -> (Option<usize>, Vec<usize>) {
        let (nests, scop) = (self.nests(), self.program.scop);
        let mut own: BTreeSet<TensorId> = scop.stmts[around.stmt].writes.iter().map(|write| write.tensor).collect();
        let mut inside = vec![at];
        let mut against = Vec::new();
        let is_next = |inside: &[usize], other: usize, own: &BTreeSet<TensorId>| {
            let all: Vec<usize> = inside.iter().copied().chain([other]).collect();
            is_chosen[other] && around.is_elementwise(scop, &nests[other], own) && self.graph.is_convex(&all)
        };
        let mut before = (0..at).rev().find(|&other| self.graph.reaches(other, at) && is_next(&inside, other, &own));
        if let Some(why) = before.and_then(|before| around.against(scop, &nests[before])) {
            against.push(why);
            before = None;
        }
        inside.extend(before);
        let mut after = Vec::new();
        for (other, next) in nests.iter().enumerate().skip(at + 1) {
            if !inside.iter().any(|&one| self.graph.reaches(one, other)) || !is_next(&inside, other, &own) {
                continue;
            }
            if let Some(why) = around.against(scop, next) {
                against.push(why);
                continue;
            }
            own.extend(next.stmts.iter().flat_map(|&id| &scop.stmts[id].writes).map(|write| write.tensor));
            inside.push(other);
            after.push(other);
        }
        let entity = nests[at].name(scop);
        let remark = |why| (Vec::new(), Remark::new(STAGE, entity.clone(), fusing::WHAT, why));
        self.remarks.extend(against.into_iter().map(remark));
        (before, after)
    }

    fn surroundings(&self, around: &Around<'_>, at: usize, before: Option<usize>, after: &[usize]) -> Surrounded {
        let stmt = |nest: usize| self.nests()[nest].only_stmt();
        let stmts: Vec<StmtId> = after.iter().filter_map(|&nest| stmt(nest)).collect();
        let link = |&nest: &usize| Some((nest, fusing::link(self.program.scop, stmt(nest)?, &stmts)?));
        let links = after.iter().filter_map(link).collect();
        Surrounded { reduction: at, before, after: after.to_vec(), links, common: around.common }
    }

    fn group_of_surrounded(&self, one: &Surrounded, around: &Around<'_>) -> Group {
        let nest = &self.nests()[one.reduction];
        let mut shape = Shape::default();
        let (copies, parts) = self.tiles(one, nest, &around.plan, &mut shape);
        shape.parts = [copies, parts].concat();
        let trips = self.trips(nest.loops[..around.common].iter());
        self.group(
            &one.nests(),
            Form::Around(one.clone()),
            shape,
            (self.computed_in_tiles(one), self.waiting_in_tiles(one), trips),
        )
    }

    /// The parts of a reduction with its surroundings; notes what they keep where.
    fn tiles(&self, one: &Surrounded, reduction: &Nest, plan: &Plan, shape: &mut Shape) -> (Vec<Part>, Vec<Part>) {
        let stmt = |&nest: &usize| self.nests()[nest].only_stmt();
        let scop = self.program.scop;
        let before: Vec<StmtId> = one.before.iter().filter_map(stmt).collect();
        let after: Vec<StmtId> = one.after.iter().filter_map(stmt).collect();
        let around: Vec<&Nest> = one.before.iter().chain(&one.after).map(|&nest| &self.nests()[nest]).collect();
        let skipped = self.nests()[one.reduction].loops.len() - reduction.loops.len();
        let inner: Vec<Nest> = around
            .iter()
            .map(|nest| Nest { loops: nest.loops.iter().skip(skipped).cloned().collect(), ..(*nest).clone() })
            .collect();
        let all: Vec<&Nest> = std::iter::once(reduction).chain(&inner).collect();
        let together = Nest::fused(&all, reduction.loops.len());
        shape.gone.extend(one.links.iter().map(|(_, tensor)| *tensor));
        shape.keep(scop, &together, reduction, plan);
        let Some(id) = reduction.only_stmt() else { return (Vec::new(), as_it_is(&together, 0)) };
        planned(scop, &together, plan, id, (&before, &after))
    }

    /// What sets accumulators takes no time, and what uses them neither loads nor stores what they hold.
    fn computed_in_tiles(&self, one: &Surrounded) -> f64 {
        let after: f64 = one.after.iter().map(|&nest| self.computed(nest)).sum();
        let after = if self.lanes_along_reduction(one).is_some() { 0.0 } else { after * fusing::KEPT_IN_REGISTERS };
        self.computed(one.reduction) + after
    }

    /// Cycles of what waits for the end of each sum, where the lanes are along the sums: one element at a time, beside nothing.
    fn waiting_in_tiles(&self, one: &Surrounded) -> f64 {
        let after = || one.after.iter().map(|&nest| self.computed(nest)).sum::<f64>();
        self.lanes_along_reduction(one).map_or(0.0, |lanes| after() * lanes)
    }

    fn lanes_along_reduction(&self, one: &Surrounded) -> Option<f64> {
        let (nest, scop) = (&self.nests()[one.reduction], self.program.scop);
        let (id, plan) = nest.only_stmt().zip(self.plans[one.reduction].as_ref())?;
        let is_reduced = |at: usize| nest.loops[at].dim(id).is_some_and(|dim| nest::is_reduced(&scop.stmts[id], dim));
        let lanes = plan.boxes.iter().enumerate().find_map(|(at, one)| match one {
            Some(Box::Vector(lanes)) if is_reduced(at) => Some(*lanes),
            _ => None,
        })?;
        Some(f64::from(lanes.min(self.program.target.lanes(4))))
    }
}

/// Sets of nests that touch something of each other, each with one more than a set that was taken.
impl Search<'_> {
    fn grow(&mut self, seeds: Vec<usize>, mut takes: impl FnMut(&mut Self, &[usize]) -> bool) {
        let mut seen: BTreeSet<Vec<usize>> = BTreeSet::new();
        let mut left = SETS.0 + SETS.1 * seeds.len();
        let mut open: std::collections::VecDeque<Vec<usize>> = seeds.iter().map(|&seed| vec![seed]).collect();
        while let Some(set) = open.pop_front() {
            let next: BTreeSet<usize> = set.iter().flat_map(|&nest| self.graph.shares[nest].iter().copied()).collect();
            for other in next.into_iter().filter(|other| !set.contains(other) && seeds.contains(other)) {
                let mut larger = set.clone();
                larger.push(other);
                larger.sort_unstable();
                if left == 0 || !seen.insert(larger.clone()) {
                    continue;
                }
                if takes(self, &larger) {
                    left -= 1;
                    open.push_back(larger);
                }
            }
        }
    }
}

/// Rows in turn, and temporaries that are computed where they are read.
impl Search<'_> {
    fn rows(&mut self, is_chosen: &[bool]) {
        let (nests, scop, target) = (self.nests(), self.program.scop, self.program.target);
        let maps = (0..nests.len()).filter(|&at| is_chosen[at] && rows::is_member(scop, &nests[at])).collect();
        self.grow(maps, |search, set| {
            if !search.graph.is_convex(set) {
                return false;
            }
            let members: Vec<&Nest> = set.iter().map(|&at| &nests[at]).collect();
            match rows::together(scop, target, &members) {
                None => false,
                Some(Err(why)) => {
                    if let [first, second] = members[..] {
                        let entity = format!("{}, {}", first.name(scop), second.name(scop));
                        search.remarks.push((set.to_vec(), Remark::new(STAGE, entity, rows::WHAT, why)));
                    }
                    false
                }
                Some(Ok(rows)) => {
                    let (shape, trips, again) = search.shape_of_rows(set, &rows);
                    let times = |at: &usize| {
                        again.iter().find(|(id, _)| nests[*at].stmts.contains(id)).map_or(1.0, |(_, by)| *by)
                    };
                    let computed = set.iter().map(|at| search.computed(*at) * times(at)).sum();
                    search.offer(search.group(set, Form::Rows(rows.steps), shape, (computed, 0.0, trips)));
                    true
                }
            }
        });
    }

    /// The order of rows in turn, the iterations that may run at once, and how many times statements compute what they do.
    fn shape_of_rows(&self, set: &[usize], rows: &rows::Together) -> (Shape, u64, Vec<(StmtId, f64)>) {
        let nests = self.nests();
        let Some(at) = nests[set[0]].loops.len().checked_sub(2) else { return (Shape::default(), 1, Vec::new()) };
        let stmts: Vec<StmtId> = set.iter().flat_map(|&nest| nests[nest].stmts.iter().copied()).collect();
        let mut shape = Shape::default();
        for fold in &rows.folds {
            let bytes = rows::row_bytes(self.program.scop, fold.tensor).saturating_mul(fold.by.into());
            shape.kept.insert(Store { tensor: fold.tensor, is_copy: false }, bytes);
        }
        let inner = set.iter().flat_map(|&nest| as_it_is(&nests[nest], at + 1)).collect();
        let steps = |size: i64| {
            let of = |(&nest, behind): (&usize, &i64)| {
                let one = &nests[nest];
                let stmt = one.only_stmt()?;
                Some(Move { stmt, dim: one.loops[at].dim(stmt)?, size, behind: *behind })
            };
            set.iter().zip(&rows.behind).filter_map(of).collect::<Vec<_>>()
        };
        let last = &nests[*set.last().unwrap_or(&set[0])];
        let extent = last.loops[at].estimate().max(1).unsigned_abs();
        let (mut body, mut again, mut parallel_rows) = (Vec::new(), Vec::new(), rows.behind.iter().all(|by| *by == 0));
        match &rows.strips {
            None => body.push(Part::Loop(Loop { trips: extent, moves: steps(1), derived: Vec::new(), body: inner })),
            Some(strips) => {
                let by = u64::from(*strips);
                let furthest = rows.behind.last().copied().unwrap_or(0);
                let trips = by + furthest.unsigned_abs();
                let in_strip = Loop { trips, moves: steps(1), derived: Vec::new(), body: inner };
                // Each computes what the stages after it read.
                let derived: Vec<Derived> =
                    rows.folds.iter().rev().filter_map(|fold| self.handed_on(&stmts, fold.tensor)).collect();
                let is_last = |one: &Move| Some(one.stmt) == last.only_stmt();
                let moves = steps(i64::from(*strips)).into_iter().filter(is_last).collect();
                for (&nest, behind) in set.iter().zip(&rows.behind) {
                    let more = (furthest - behind).unsigned_abs();
                    again.extend(nests[nest].only_stmt().map(|id| (id, (by + more) as f64 / by as f64)));
                }
                body.push(Part::Loop(Loop {
                    trips: extent.div_ceil(by),
                    moves,
                    derived,
                    body: vec![Part::Loop(in_strip)],
                }));
                parallel_rows = true;
            }
        }
        let first = &nests[set[0]];
        for outer in (0..at).rev() {
            let together = Nest::fused(&set.iter().map(|&nest| &nests[nest]).collect::<Vec<_>>(), at);
            let trips = first.loops[outer].estimate().max(1).unsigned_abs();
            let moves = super::build::moves(&together, &stmts, outer, 1);
            body = vec![Part::Loop(Loop { trips, moves, derived: Vec::new(), body })];
        }
        shape.parts = body;
        (shape, self.trips(first.loops[..at + usize::from(parallel_rows)].iter()), again)
    }

    /// Which of some statements writes a tensor, and which reads it.
    fn handed_on(&self, stmts: &[StmtId], tensor: TensorId) -> Option<Derived> {
        let of = |is_meant: &dyn Fn(&polyhedral::Stmt) -> bool| {
            stmts.iter().copied().find(|&id| is_meant(&self.program.scop.stmts[id]))
        };
        let producer = of(&|stmt| stmt.writes.iter().any(|write| write.tensor == tensor))?;
        let consumer = of(&|stmt| stmt.reads.iter().any(|read| read.tensor == tensor))?;
        Some(Derived { producer, consumer, tensor })
    }

    fn inlined(&mut self, is_chosen: &[bool]) {
        let (nests, scop) = (self.nests(), self.program.scop);
        let is_map = |at: &usize| {
            let stmt = nests[*at].only_stmt().map(|id| &scop.stmts[id]);
            is_chosen[*at] && stmt.is_some_and(|stmt| !stmt.body.is_reduce() && stmt.writes.len() == 1)
        };
        let maps = (0..nests.len()).filter(is_map).collect();
        self.grow(maps, |search, set| {
            let Some(derived) = search.inlined_in(set) else { return false };
            let last = set[set.len() - 1];
            let shape = Shape {
                parts: search.with_inlined(last, &derived),
                gone: derived.iter().map(|one| one.tensor).collect(),
                inlined: derived.iter().rev().copied().collect(),
                ..Shape::default()
            };
            let how = (search.computed_where_read(set, &derived), 0.0, search.trips(nests[last].loops.iter()));
            let tensors = derived.iter().map(|one| one.tensor).collect();
            search.offer(search.group(set, Form::Inlined(tensors), shape, how));
            true
        });
    }

    /// What all but the last nest compute, where each is a temporary that only a later one of them reads, element by
    /// element, in the order of the nests.
    fn inlined_in(&self, set: &[usize]) -> Option<Vec<Derived>> {
        let (nests, scop) = (self.nests(), self.program.scop);
        let inside: Vec<StmtId> = set.iter().filter_map(|&at| nests[at].only_stmt()).collect();
        let (last, producers) = inside.split_last()?;
        let mut derived = Vec::new();
        for &producer in producers {
            let tensor = fusing::link_of_any(scop, producer, &inside, RECOMPUTED)?;
            let reads = |&&other: &&StmtId| {
                other != producer && scop.stmts[other].reads.iter().any(|read| read.tensor == tensor)
            };
            let consumer = *inside.iter().find(reads)?;
            if !self.reads_neighbours(consumer, tensor) {
                return None;
            }
            derived.push(Derived { producer, consumer, tensor });
        }
        let is_last = scop.stmts[*last].body.is_reduce();
        (!is_last && !derived.is_empty()).then_some(derived)
    }

    /// Whether a statement reads a tensor contiguously along its innermost loop: else each lane would compute by itself.
    fn reads_neighbours(&self, stmt: StmtId, tensor: TensorId) -> bool {
        let row = &self.program.scop.stmts[stmt];
        let dim = self.nest_of(stmt).and_then(|nest| nest.loops.last()?.dim(stmt));
        let mut reads = row.reads.iter().filter(|read| read.tensor == tensor);
        dim.is_none_or(|dim| reads.all(|read| nest::stride(row, read, dim) <= Stride::Unit))
    }

    fn nest_of(&self, stmt: StmtId) -> Option<&Nest> {
        self.nests().iter().find(|nest| nest.only_stmt() == Some(stmt))
    }

    /// The loops of a nest around it and what is computed in it.
    fn with_inlined(&self, nest: usize, derived: &[Derived]) -> Vec<Part> {
        let one = &self.nests()[nest];
        let leaves: Vec<Part> =
            derived.iter().map(|one| Part::Stmt(one.producer)).chain(one.only_stmt().map(Part::Stmt)).collect();
        (0..one.loops.len()).rev().fold(leaves, |body, at| vec![whole(one, at, body)])
    }

    /// Cycles of what is computed wherever it is read; what is neither stored nor loaded again saves a part of one time.
    fn computed_where_read(&self, set: &[usize], derived: &[Derived]) -> f64 {
        let scop = self.program.scop;
        let instances = |id: StmtId| {
            let loops = self.nest_of(id).map_or(&[][..], |nest| nest.loops.as_slice());
            loops.iter().map(|one| one.estimate().max(1) as f64).product::<f64>()
        };
        let mut times: BTreeMap<StmtId, f64> = BTreeMap::new();
        for one in derived.iter().rev() {
            let reads = scop.stmts[one.consumer].reads.iter().filter(|read| read.tensor == one.tensor).count();
            let of_consumer = times.get(&one.consumer).copied().unwrap_or(1.0);
            // One that is larger reads each element several times.
            let larger = (instances(one.consumer) / instances(one.producer)).max(1.0);
            times.insert(one.producer, of_consumer * reads as f64 * larger);
        }
        let times = |nest: usize| {
            let id = self.nests()[nest].only_stmt();
            id.and_then(|id| times.get(&id)).map_or(1.0, |times| times - fusing::KEPT_IN_REGISTERS)
        };
        set.iter().map(|&nest| self.computed(nest) * times(nest)).sum()
    }
}

/// Nests in common outer loops.
impl Search<'_> {
    fn shared(&mut self, is_chosen: &[bool], surrounded: &[Surrounded]) {
        let nests = self.nests();
        let mut known = Known::default();
        let mut units: Vec<(Unit, usize)> = Vec::new();
        let inside: BTreeSet<usize> = surrounded.iter().map(|one| one.reduction).collect();
        for at in (0..nests.len()).filter(|at| is_chosen[*at] && !inside.contains(at)) {
            let Some(depth) = Sharer::depth_of(self.session, &nests[at], &mut known) else { continue };
            units.push((Unit { nests: vec![at], around: None, nest: nests[at].clone() }, depth));
        }
        for one in surrounded {
            let kept = one.nests().into_iter().filter(|nest| !one.links.iter().any(|(link, _)| link == nest));
            let all: Vec<&Nest> = kept.map(|nest| &nests[nest]).collect();
            let nest = Nest::fused(&all, one.common);
            let Some(depth) = Sharer::depth_of_fused(self.session, &nest) else { continue };
            units.push((Unit { nests: one.nests(), around: Some(one.clone()), nest }, depth));
        }
        units.sort_by_key(|(unit, _)| unit.nests.clone());
        for most in [usize::MAX, 1] {
            self.share(&units, most);
        }
    }

    fn share(&mut self, units: &[(Unit, usize)], most: usize) {
        let mut seen: BTreeSet<Vec<usize>> = BTreeSet::new();
        let mut left = SETS.0 + SETS.1 * units.len();
        let mut open: std::collections::VecDeque<Vec<usize>> = (0..units.len()).map(|at| vec![at]).collect();
        while let Some(set) = open.pop_front() {
            for other in 0..units.len() {
                let nests_of = |set: &[usize]| -> Vec<usize> {
                    let mut all: Vec<usize> =
                        set.iter().flat_map(|&unit| units[unit].0.nests.iter().copied()).collect();
                    all.sort_unstable();
                    all
                };
                let own = nests_of(&set);
                let theirs = &units[other].0.nests;
                let is_next = theirs.iter().all(|nest| !own.contains(nest))
                    && theirs.iter().any(|nest| self.graph.shares[*nest].iter().any(|near| own.contains(near)));
                let mut larger = set.clone();
                larger.push(other);
                larger.sort_unstable();
                if !is_next || left == 0 || !seen.insert(larger.clone()) {
                    continue;
                }
                let nests = nests_of(&larger);
                if self.graph.is_convex(&nests) && self.offer_shared(units, &larger, nests, most) {
                    left -= 1;
                    open.push_back(larger);
                }
            }
        }
    }

    fn offer_shared(&mut self, units: &[(Unit, usize)], set: &[usize], nests: Vec<usize>, most: usize) -> bool {
        let (scop, target) = (self.program.scop, self.program.target);
        let Some(set) = self.in_order(units, set) else { return false };
        let set = set.as_slice();
        let members: Vec<(&Nest, usize)> = set.iter().map(|&unit| (&units[unit].0.nest, units[unit].1)).collect();
        let Some(tree) = Tree::of(scop, target, &members, most) else { return false };
        if most == 1 && Tree::of(scop, target, &members, usize::MAX).is_none_or(|deep| deep.depth() <= 1) {
            return true;
        }
        let mut shape = Shape::default();
        let mut around = Vec::new();
        let mut outside = Vec::new();
        let parts = self.parts_of_tree(&tree, units, set, &mut around, &mut outside, &mut shape);
        for (tensor, bytes) in tree.kept(scop, target) {
            shape.kept.insert(Store { tensor, is_copy: false }, bytes);
        }
        shape.parts = [outside, parts].concat();
        let of_unit = |&unit: &usize| match &units[unit].0.around {
            Some(one) => self.computed_in_tiles(one),
            None => units[unit].0.nests.iter().map(|&nest| self.computed(nest)).sum(),
        };
        let around = set.iter().filter_map(|&unit| units[unit].0.around.as_ref());
        let waiting = around.map(|one| self.waiting_in_tiles(one)).sum();
        let how = (set.iter().map(of_unit).sum(), waiting, self.trips(tree.loops().iter()));
        let against = tree.against(scop, target);
        if let Some(why) = against.filter(|_| set.len() == 2) {
            let names: Vec<String> = members.iter().map(|(nest, _)| nest.name(scop)).collect();
            self.remarks.push((nests.clone(), Remark::new(STAGE, names.join(", "), crate::sharing::WHAT, why)));
        }
        let members = set.iter().filter_map(|&unit| units[unit].0.around.clone()).collect();
        let mut group = self.group(&nests, Form::Shared { members, most }, shape, how);
        group.cycles *= 1.0 + MEMBER * (set.len() - 1) as f64;
        self.offer(group);
        true
    }

    /// Units in an order in which they may run; none where each waits for another.
    fn in_order(&self, units: &[(Unit, usize)], set: &[usize]) -> Option<Vec<usize>> {
        let (mut left, mut order) = (set.to_vec(), Vec::new());
        let waits = |one: usize, other: usize| {
            let (one, other) = (&units[one].0.nests, &units[other].0.nests);
            one.iter().any(|&one| other.iter().any(|&other| self.graph.reaches(other, one)))
        };
        while !left.is_empty() {
            let next =
                (0..left.len()).find(|&at| left.iter().all(|&other| other == left[at] || !waits(left[at], other)))?;
            order.push(left.remove(next));
        }
        Some(order)
    }

    /// What the common loops hold; copies that are made outside of them come apart.
    fn parts_of_tree(
        &self,
        tree: &Tree,
        units: &[(Unit, usize)],
        set: &[usize],
        around: &mut Vec<nest::Loop>,
        outside: &mut Vec<Part>,
        shape: &mut Shape,
    ) -> Vec<Part> {
        match tree {
            Tree::Member { at, .. } => {
                let unit = &units[set[*at]].0;
                let (copies, parts) = self.parts_of_unit(unit, around, shape);
                outside.extend(copies);
                parts
            }
            Tree::Joint { nest, children, depth, .. } => {
                let from = around.len();
                around.extend(nest.loops[from..*depth].iter().cloned());
                let body = children
                    .iter()
                    .flat_map(|child| self.parts_of_tree(child, units, set, around, outside, shape))
                    .collect();
                around.truncate(from);
                (from..*depth).rev().fold(body, |body, at| vec![whole(nest, at, body)])
            }
        }
    }

    /// A unit inside of common loops.
    fn parts_of_unit(&self, unit: &Unit, around: &[nest::Loop], shape: &mut Shape) -> (Vec<Part>, Vec<Part>) {
        let (scop, target, strict) = (self.program.scop, self.program.target, self.session.options().strict);
        let inner =
            |nest: &Nest| Nest { loops: nest.loops.iter().skip(around.len()).cloned().collect(), ..nest.clone() };
        match &unit.around {
            None => {
                let nest = inner(&unit.nest);
                let stmt = nest.only_stmt().filter(|_| !nest.loops.is_empty());
                let plan = stmt.map(|stmt| Plan::of(scop, target, &nest, stmt, (around, strict)));
                if let Some(plan) = &plan {
                    shape.keep(scop, &nest, &nest, plan);
                }
                self.parts_of(&nest, plan.as_ref(), (&[], &[]))
            }
            Some(one) => {
                let nest = inner(&self.nests()[one.reduction]);
                let Some(stmt) = nest.only_stmt() else { return (Vec::new(), as_it_is(&unit.nest, around.len())) };
                let shared = one.common - around.len().min(one.common);
                let plan = Plan::of_shared(scop, target, &nest, stmt, (around, strict, shared));
                self.tiles(one, &nest, &plan, shape)
            }
        }
    }
}
