//! Which instance must see, or must not see, what which other one wrote.

use std::collections::BTreeSet;
use std::fmt;

use support::{Malformed, Stage};

use crate::places::Places;
use crate::{Access, Body, Monoid, Node, ScheduleTree, Scop, Stmt, Subscript, TensorId, isl};

/// Why two instances depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DependenceKind {
    /// The sink may read what the source wrote.
    Flow,
    /// The sink overwrites what the source reads.
    Anti,
    /// The sink overwrites what the source wrote.
    Output,
    /// Both update the element with one operator, and nothing else touches it in between.
    Reduction,
}

impl DependenceKind {
    /// All of them.
    pub const ALL: [DependenceKind; 4] =
        [DependenceKind::Flow, DependenceKind::Anti, DependenceKind::Output, DependenceKind::Reduction];
}

impl fmt::Display for DependenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DependenceKind::Flow => "flow",
            DependenceKind::Anti => "anti",
            DependenceKind::Output => "output",
            DependenceKind::Reduction => "reduction",
        })
    }
}

/// The dependences of a program: relations from the instance that runs first in the source to the one that runs later.
///
/// ```text
/// flow       write or update -> read          nothing that surely overwrites the element in between
/// anti       read            -> write or update                  likewise
/// output     write or update -> write or update                  likewise
/// reduction  update          -> update        of one operator, and nothing else touches the element in between
/// ```
///
/// An update reads and writes its element: the initialisation is in `flow` to every update, and every update is in
/// `flow` to every reader, since updates do not hide each other. Pairs of updates are in `reduction` alone when they
/// may be swapped, and in `flow` and `output` otherwise. Exact where all subscripts are affine; an indirect subscript
/// may be any element, so it never hides anything.
#[derive(Clone, Debug)]
pub struct Dependences {
    /// All instances.
    pub domain: isl::UnionSet,
    /// From what is written to what may see it.
    pub flow: isl::UnionMap,
    /// From what is read to what overwrites it.
    pub anti: isl::UnionMap,
    /// From what is written to what overwrites it.
    pub output: isl::UnionMap,
    /// Between updates that may be swapped, but not run at once.
    pub reduction: isl::UnionMap,
    /// All pairs of updates of one operator and one element, both ways round and each with itself: the pairs of
    /// `reduction` in one piece, and some that are ordered by another access in between. Where such a pair runs at once,
    /// one of them and that access do too, so that it says the same of a loop as `reduction`, with less work.
    pub updates: isl::UnionMap,
}

/// The dependences of `scop` in the order of its source, or of its tree when commands changed the statements.
pub fn dependences(scop: &Scop) -> isl::Result<Dependences> {
    Analysis::new(scop)?.dependences()
}

impl Dependences {
    /// The relation of one kind.
    pub fn of(&self, kind: DependenceKind) -> &isl::UnionMap {
        match kind {
            DependenceKind::Flow => &self.flow,
            DependenceKind::Anti => &self.anti,
            DependenceKind::Output => &self.output,
            DependenceKind::Reduction => &self.reduction,
        }
    }

    /// What an order must respect: all but the pairs of updates, and these too when `strict`.
    pub fn ordering(&self, strict: bool) -> isl::Result<isl::UnionMap> {
        let ordering = self.flow.union(&self.anti)?.union(&self.output)?;
        if strict { ordering.union(&self.reduction) } else { Ok(ordering) }
    }

    /// The same dependences for a caller who keeps the written order of reductions: pairs of updates are in `flow`.
    pub fn strict(&self) -> isl::Result<Dependences> {
        let mut strict = self.clone();
        strict.flow = self.flow.union(&self.reduction)?;
        strict.reduction = isl::UnionMap::empty(self.domain.ctx())?;
        strict.updates = strict.reduction.clone();
        Ok(strict)
    }
}

impl fmt::Display for Dependences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in DependenceKind::ALL {
            writeln!(f, "{kind}")?;
            for map in self.of(kind).maps().map_err(|_| fmt::Error)? {
                writeln!(f, "  {map}")?;
            }
        }
        Ok(())
    }
}

impl Stage for Dependences {
    const NAME: &'static str = "deps";

    /// Every kind is inside domain × domain.
    fn verify(&self) -> Result<(), Malformed> {
        let outside = |kind: DependenceKind| -> isl::Result<bool> {
            let relation = self.of(kind);
            Ok(!relation.domain()?.union(&relation.range()?)?.is_subset(&self.domain)?)
        };
        let mut faults = Vec::new();
        for kind in DependenceKind::ALL {
            match outside(kind) {
                Ok(false) => {}
                Ok(true) => faults.push((kind.to_string(), "holds instances that are not in the domain".into())),
                Err(error) => faults.push((kind.to_string(), error.to_string())),
            }
        }
        Malformed::check(Self::NAME, faults)
    }
}

/// All accesses of a program by what they do to dependences, and the time of the source.
struct Analysis {
    ctx: isl::Ctx,
    domain: isl::UnionSet,
    time: isl::Times,
    /// What statements read, without the state of updates.
    reads: isl::UnionMap,
    /// Writes of assignments that surely happen: they hide what was there.
    must_writes: isl::UnionMap,
    /// Updates and writes through indirect subscripts.
    may_writes: isl::UnionMap,
    updates: Vec<Updates>,
}

/// The updates of one component of one operator; the order among them is free.
struct Updates {
    /// By whom, and of what.
    relation: isl::UnionMap,
    /// Every other access to these tensors.
    others: isl::UnionMap,
    /// The statements, and the tensor.
    stmts: BTreeSet<String>,
    tensor: String,
    /// Those of the other accesses that hide nothing.
    soft: BTreeSet<String>,
}

impl TouchRole {
    /// Whether both update by one operator.
    pub(crate) fn is_update_like(&self, other: &TouchRole) -> bool {
        matches!(self, TouchRole::Update(_)) && self == other
    }
}

/// What makes updates interchangeable: the monoid over the same tuple of tensors, seen at one component.
#[derive(Clone, PartialEq)]
pub(crate) struct Operator {
    monoid: Monoid,
    tensors: Vec<TensorId>,
    component: usize,
}

impl Operator {
    fn tensor(&self) -> TensorId {
        self.tensors[self.component]
    }
}

impl Updates {
    fn is_from(&self, link: &Link) -> bool {
        link.tensor == self.tensor && self.stmts.contains(&link.source)
    }

    fn is_to(&self, link: &Link) -> bool {
        link.tensor == self.tensor && self.stmts.contains(&link.sink)
    }

    /// Whether another access that hides nothing may come after one of them and before another.
    fn may_be_interrupted(&self, before: &[Link], after: &[Link]) -> bool {
        self.soft.iter().any(|name| {
            let comes_after = |link: &Link| self.is_from(link) && link.sink == *name;
            let comes_before = |link: &Link| self.is_to(link) && link.source == *name;
            self.stmts.contains(name) || (before.iter().any(comes_after) && after.iter().any(comes_before))
        })
    }
}

/// The pairs of two statements that depend on each other through one tensor: `source -> [sink -> element]`.
struct Link {
    source: String,
    sink: String,
    tensor: String,
    pairs: isl::UnionMap,
}

impl Link {
    fn all(relation: &isl::UnionMap) -> isl::Result<Vec<Link>> {
        let one = |map: &isl::Map| {
            let space = map.space()?;
            let access = space.range()?.unwrap()?;
            Ok(Link {
                source: space.tuple_name(isl::Dim::In),
                sink: access.tuple_name(isl::Dim::In),
                tensor: access.tuple_name(isl::Dim::Out),
                pairs: map.to_union_map()?,
            })
        };
        relation.maps()?.iter().map(one).collect()
    }
}

/// One access with all that the analysis asks of it.
struct Touch {
    stmt: String,
    tensor: TensorId,
    relation: isl::UnionMap,
    role: TouchRole,
}

/// What an access does to its cell.
#[derive(Clone, PartialEq)]
pub(crate) enum TouchRole {
    Read,
    Write { must: bool },
    Update(Operator),
}

impl Analysis {
    fn new(scop: &Scop) -> isl::Result<Analysis> {
        let tree = if scop.is_source() { ScheduleTree::from_source(scop)? } else { scop.tree.clone() };
        let touches = touches(scop, &Places::new(scop, &tree)?)?;
        let all = |test: &dyn Fn(&Touch) -> bool| -> isl::Result<isl::UnionMap> {
            let chosen = touches.iter().filter(|touch| test(touch));
            isl::UnionMap::union_of(&scop.ctx, chosen.map(|touch| touch.relation.clone()).collect())
        };
        let mut operators: Vec<&Operator> = Vec::new();
        for touch in &touches {
            match &touch.role {
                TouchRole::Update(operator) if !operators.contains(&operator) => operators.push(operator),
                _ => {}
            }
        }
        let updates = operators.into_iter().map(|operator| {
            let is_own = |touch: &Touch| matches!(&touch.role, TouchRole::Update(other) if other == operator);
            let relation = all(&is_own)?;
            let is_other = |touch: &Touch| touch.tensor == operator.tensor() && !is_own(touch);
            let is_soft = |touch: &Touch| is_other(touch) && !matches!(touch.role, TouchRole::Write { must: true });
            let named = |test: &dyn Fn(&Touch) -> bool| {
                touches.iter().filter(|touch| test(touch)).map(|touch| touch.stmt.clone()).collect()
            };
            let (stmts, soft) = (named(&is_own), named(&is_soft));
            let tensor = scop.tensors[operator.tensor()].name.clone();
            Ok(Updates { relation, others: all(&is_other)?, stmts, tensor, soft })
        });
        Ok(Analysis {
            ctx: scop.ctx.clone(),
            domain: scop.domain()?,
            time: isl::Times::Tree(in_order(&tree).to_isl()?),
            reads: all(&|touch| matches!(touch.role, TouchRole::Read))?,
            must_writes: all(&|touch| matches!(touch.role, TouchRole::Write { must: true }))?,
            may_writes: all(&|touch| matches!(touch.role, TouchRole::Write { must: false } | TouchRole::Update(_)))?,
            updates: updates.collect::<isl::Result<_>>()?,
        })
    }

    /// The relations `source -> [sink -> element]` are taken apart by element first, so that a pair of updates that
    /// depends through another element too keeps that dependence.
    fn dependences(&self) -> isl::Result<Dependences> {
        let reads = self.flow(&self.reads, &self.must_writes, &self.may_writes, &self.none()?)?;
        let writes = self.must_writes.union(&self.may_writes)?;
        let overwritten = self.flow(&writes, &self.must_writes, &self.may_writes, &self.none()?)?;
        let anti = self.flow(&writes, &self.none()?, &self.reads, &self.must_writes)?;
        let (reduction, output) = self.reduction(&overwritten, &reads, &anti)?;
        let states = self.updates.iter().try_fold(self.none()?, |all, updates| all.union(&updates.relation))?;
        let flow = reads.union(&output.intersect_range(&states.wrap()?)?)?;
        let pairs = |full: &isl::UnionMap| full.range_factor_domain()?.coalesce();
        let of_one_element = |of: &Updates| of.relation.apply_range(&of.relation.reverse()?);
        let updates = self.updates.iter().try_fold(self.none()?, |all, of| all.union(&of_one_element(of)?))?;
        Ok(Dependences {
            domain: self.domain.clone(),
            flow: pairs(&flow)?,
            anti: pairs(&anti)?,
            output: pairs(&output)?,
            reduction: pairs(&reduction)?,
            updates,
        })
    }

    /// Pairs of updates of one operator with no other access to the element in between, and what else is overwritten.
    ///
    /// Nothing hides an update but a write that surely happens, so what is overwritten holds all pairs of updates without
    /// such a write in between. Where no access of another kind can be in between either, these are the pairs.
    fn reduction(
        &self,
        overwritten: &isl::UnionMap,
        reads: &isl::UnionMap,
        anti: &isl::UnionMap,
    ) -> isl::Result<(isl::UnionMap, isl::UnionMap)> {
        let (before, after) = (overwritten.union(reads)?, overwritten.union(anti)?);
        let (before, after) = (Link::all(&before)?, Link::all(&after)?);
        let (mixed, plain): (Vec<&Updates>, Vec<&Updates>) =
            self.updates.iter().partition(|updates| updates.may_be_interrupted(&before, &after));
        let (mut reduction, mut output) = (self.none()?, self.none()?);
        for link in Link::all(overwritten)? {
            let is_pair = plain.iter().any(|updates| updates.is_from(&link) && updates.is_to(&link));
            let side = if is_pair { &mut reduction } else { &mut output };
            *side = side.union(&link.pairs)?;
        }
        for updates in mixed {
            let pairs = self.flow(&updates.relation, &self.none()?, &updates.relation, &updates.others)?;
            let pairs = pairs.subtract(reads)?.subtract(anti)?;
            reduction = reduction.union(&pairs)?;
            output = output.subtract(&pairs)?;
        }
        Ok((reduction, output))
    }

    fn flow(
        &self,
        sink: &isl::UnionMap,
        must_source: &isl::UnionMap,
        may_source: &isl::UnionMap,
        kill: &isl::UnionMap,
    ) -> isl::Result<isl::UnionMap> {
        if sink.is_empty()? {
            return self.none();
        }
        let (sink, must_source) = (sink.clone(), must_source.clone());
        let (may_source, kill, schedule) = (may_source.clone(), kill.clone(), self.time.clone());
        isl::AccessInfo { sink, must_source, may_source, kill, schedule }.flow()
    }

    fn none(&self) -> isl::Result<isl::UnionMap> {
        isl::UnionMap::empty(&self.ctx)
    }
}

/// The tree with a sequence for every set: isl orders the children of a set in no way.
fn in_order(tree: &ScheduleTree) -> ScheduleTree {
    fn ordered(node: &mut Node) {
        if let Node::Set(children) = node {
            *node = Node::Sequence(std::mem::take(children));
        }
        node.children_mut().into_iter().for_each(ordered);
    }
    let mut tree = tree.clone();
    ordered(&mut tree.root);
    tree
}

fn touches(scop: &Scop, places: &Places<'_>) -> isl::Result<Vec<Touch>> {
    let mut touches = Vec::new();
    for stmt in scop.stmts.values() {
        for (access, role) in roles(stmt) {
            let relation = places.cells(stmt, access)?;
            touches.push(Touch { stmt: stmt.name.clone(), tensor: access.tensor, relation, role });
        }
    }
    Ok(touches)
}

/// The accesses of a statement, reads first, with what they do; none of a prefetch, which computes nothing from what it
/// reads: its order is free.
pub(crate) fn roles(stmt: &Stmt) -> Vec<(&Access, TouchRole)> {
    if stmt.writes.is_empty() {
        return Vec::new();
    }
    let reads = stmt.reads.iter().map(|read| (read, TouchRole::Read));
    let writes = stmt.writes.iter().enumerate();
    reads.chain(writes.map(|(component, write)| (write, write_role(stmt, component, write)))).collect()
}

fn write_role(stmt: &Stmt, component: usize, write: &Access) -> TouchRole {
    match &stmt.body {
        Body::Assign(_) => {
            TouchRole::Write { must: write.index.iter().all(|subscript| matches!(subscript, Subscript::Affine(_))) }
        }
        Body::Reduce { monoid, .. } => TouchRole::Update(Operator {
            monoid: monoid.clone(),
            tensors: stmt.writes.iter().map(|write| write.tensor).collect(),
            component,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// The same by maps to times in place of trees.
    fn by_map(scop: &Scop) -> Dependences {
        let tree = if scop.is_source() { ScheduleTree::from_source(scop).expect("isl") } else { scop.tree.clone() };
        let time = isl::Times::Map(tree.to_map().expect("isl"));
        Analysis { time, ..Analysis::new(scop).expect("isl") }.dependences().expect("isl")
    }

    #[test]
    fn trees_and_maps_give_the_same() {
        let ctx = isl::Ctx::new();
        let random = (0..60).map(|seed| testing::random(&ctx, seed));
        for scop in testing::programs(&ctx).into_iter().chain(random) {
            let (tree, map) = (dependences(&scop).expect("isl"), by_map(&scop));
            for kind in DependenceKind::ALL {
                assert!(tree.of(kind).is_equal(map.of(kind)).expect("isl"), "{kind}:\n{scop}\n{tree}\n{map}");
            }
        }
    }

    /// The program in its own order but for the first loop, whose iterations 0 come before the others; every statement
    /// stands in two places of a sequence then.
    fn in_two_places(scop: &Scop) -> Scop {
        let first = |stmt: &Stmt| -> isl::Result<isl::UnionSet> {
            if stmt.dims.is_empty() { stmt.domain.clone() } else { stmt.domain.fix(isl::Dim::Set, 0, 0)? }
                .to_union_set()
        };
        let none = || isl::UnionSet::empty(&scop.ctx).expect("isl");
        let early = scop.stmts.values().map(first).fold(none(), |all, set| all.union(&set.expect("isl")).expect("isl"));
        let late = scop.tree.domain.subtract(&early).expect("isl");
        let half = |filter: isl::UnionSet| crate::Filtered { node: scop.tree.root.clone(), filter };
        let root = crate::Node::Sequence(vec![half(early), half(late)]);
        let tree = ScheduleTree { domain: scop.tree.domain.clone(), root };
        Scop { tree, source: Vec::new(), ..scop.clone() }
    }

    #[test]
    fn trees_and_maps_give_the_same_where_statements_stand_in_two_places() {
        let ctx = isl::Ctx::new();
        let random = (0..60).map(|seed| testing::random(&ctx, seed));
        for scop in testing::programs(&ctx).into_iter().chain(random) {
            let scop = in_two_places(&scop);
            let (tree, map) = (dependences(&scop).expect("isl"), by_map(&scop));
            for kind in DependenceKind::ALL {
                assert!(tree.of(kind).is_equal(map.of(kind)).expect("isl"), "{kind}:\n{scop}\n{tree}\n{map}");
            }
        }
    }

    #[test]
    fn pairs_of_updates_are_those_with_nothing_in_between() {
        let ctx = isl::Ctx::new();
        for scop in (0..120).map(|seed| testing::random(&ctx, seed)) {
            let analysis = Analysis::new(&scop).expect("isl");
            let none = || analysis.none().expect("isl");
            let mut pairs = none();
            for updates in &analysis.updates {
                let own = analysis.flow(&updates.relation, &none(), &updates.relation, &updates.others).expect("isl");
                pairs = pairs.union(&own).expect("isl");
            }
            let pairs = pairs.range_factor_domain().expect("isl");
            let found = analysis.dependences().expect("isl");
            let read = found.flow.union(&found.anti).expect("isl");
            assert!(found.reduction.is_subset(&pairs).expect("isl"), "{scop}");
            assert!(pairs.subtract(&read).and_then(|rest| rest.is_subset(&found.reduction)).expect("isl"), "{scop}");
        }
    }
}
