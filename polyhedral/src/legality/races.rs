//! Whether the threads of a kernel may run as they like between barriers.
//!
//! A tree says in which order instances run, and [`order_respected`](super::order_respected) proves that order. Threads
//! keep it by themselves only among the instances that they run: of two instances that touch one cell, one of them
//! writing, in one launch,
//!
//! - on two blocks, nothing keeps the order: there may be no such pair;
//! - on two threads of a block, a barrier keeps it that is between their *dates*: with `δ` the values of the loops that
//!   all threads run and the positions in sequences, down to the first loop on threads, some barrier `b` of that launch
//!   and block has `δ(s) ≺ δ(b) ≺ δ(t)`.
//!
//! Barriers are not inside of loops on threads, so all threads get to them. As the test of Bak and others, and of
//! GPUVerify (Betts and others, OOPSLA 2012), that no two threads conflict within a barrier interval; here on the exact
//! relations, for all sizes at once.

use super::violation::witness;
use super::{Conflict, Illegal};
use crate::places::Places;
use crate::{Axis, Dependences, Kind, Launched, Member, Node, Scop, Stmt, StmtId, isl};

/// Do barriers order what the threads of each kernel do to one cell, and does nothing have to be ordered between blocks?
///
/// # Errors
/// [`Illegal::Violation`] with two instances that race, [`Illegal::Malformed`] when a barrier is where not all threads
/// get to, or loops of a kernel are not in the order that [`Launched::misplaced`] asks for.
pub fn race_free(scop: &Scop) -> Result<(), Illegal> {
    Races::all(scop)?.iter().try_for_each(Races::expect_none)
}

/// What the threads of a kernel do to the same cells.
pub struct Races<'a> {
    scop: &'a Scop,
    /// The kernel.
    pub launched: Launched<'a>,
    /// The loops of the host around it.
    host: Option<isl::MultiUnionPwAff>,
    /// From the instances to the block.
    block: isl::MultiUnionPwAff,
    /// When the instances run, as far as all threads know.
    dates: isl::MultiUnionPwAff,
    /// Pairs on two threads of a block, the first no later than the second.
    threads: Dependences,
    /// Pairs on two blocks.
    blocks: Dependences,
}

impl<'a> Races<'a> {
    /// Those of each kernel of a program, in order.
    ///
    /// # Errors
    /// As for [`race_free`], but for races.
    pub fn all(scop: &'a Scop) -> Result<Vec<Races<'a>>, Illegal> {
        scop.tree.kernels()?.into_iter().map(|launched| Races::of(scop, launched)).collect()
    }

    fn of(scop: &'a Scop, launched: Launched<'a>) -> Result<Races<'a>, Illegal> {
        if let Some(why) = launched.misplaced() {
            return Err(Illegal::Malformed(why));
        }
        let mut rows = Rows::default();
        rows.gather(launched.node, &launched.instances)?;
        if let Some(barrier) = rows.divergent(scop)? {
            return Err(Illegal::Malformed(format!("not all threads of a block get to the barrier `{barrier}`")));
        }
        let on = |axis: fn(u8) -> Axis| rows.on_axes(&launched, [axis(0), axis(1), axis(2)]);
        let (block, thread) = (on(Axis::Block)?, on(Axis::Thread)?);
        let host = product(launched.host.iter().map(|member| Ok(member.schedule.clone())))?;
        let dates = rows.dates(&launched.instances)?;
        let all = conflicts(scop, &launched.instances)?;
        let in_launch = |pairs: &isl::UnionMap| match &host {
            Some(host) => pairs.eq_at(host),
            None => Ok(pairs.clone()),
        };
        let apart = |pairs: &isl::UnionMap, at: &isl::MultiUnionPwAff| pairs.lex_lt_at(at)?.union(&pairs.lex_gt_at(at)?);
        let blocks = each(&all, &|pairs| apart(&in_launch(pairs)?, &block))?;
        let threads = each(&all, &|pairs| {
            let pairs = apart(&in_launch(pairs)?.eq_at(&block)?, &thread)?;
            if pairs.is_empty()? { Ok(pairs) } else { pairs.lex_le_at(&dates) }
        })?;
        Ok(Races { scop, launched, host, block, dates, threads, blocks })
    }

    /// The pairs on two threads that a barrier has to be between.
    ///
    /// # Errors
    /// When isl fails.
    pub fn pairs(&self) -> isl::Result<isl::UnionMap> {
        self.threads.ordering(true)
    }

    /// Those that a barrier is between.
    ///
    /// # Errors
    /// When isl fails.
    pub fn separated_by(&self, barrier: StmtId) -> isl::Result<isl::UnionMap> {
        let pairs = self.pairs()?;
        let here = self.scop.stmts[barrier].domain.to_union_set()?.intersect(&self.launched.instances)?;
        if pairs.is_empty()? || here.is_empty()? {
            return isl::UnionMap::empty(&self.scop.ctx);
        }
        let in_block = |pairs: isl::UnionMap| {
            let pairs = pairs.eq_at(&self.block)?;
            match &self.host {
                Some(host) => pairs.eq_at(host),
                None => Ok(pairs),
            }
        };
        let before = in_block(all_pairs(&pairs.domain()?, &here)?)?.lex_lt_at(&self.dates)?;
        let after = in_block(all_pairs(&here, &pairs.range()?)?)?.lex_lt_at(&self.dates)?;
        pairs.intersect(&before.apply_range(&after)?)
    }

    /// Refuses the kernel when a pair is not ordered.
    ///
    /// # Errors
    /// As for [`race_free`].
    pub fn expect_none(&self) -> Result<(), Illegal> {
        self.none_of(&self.blocks, &self.blocks.ordering(true)?, Conflict::OnBlocks)?;
        let mut left = self.pairs()?;
        for (barrier, _) in self.scop.stmts.iter().filter(|(_, stmt)| stmt.is_barrier()) {
            if left.is_empty()? {
                return Ok(());
            }
            left = left.subtract(&self.separated_by(barrier)?)?;
        }
        self.none_of(&self.threads, &left, Conflict::NoBarrier)
    }

    fn none_of(&self, deps: &Dependences, pairs: &isl::UnionMap, conflict: Conflict) -> Result<(), Illegal> {
        if pairs.is_empty()? {
            return Ok(());
        }
        Err(Illegal::Violation(Box::new(witness(self.scop, deps, pairs, conflict)?)))
    }
}

/// Every pair of two instances that touch one cell, one of them writing.
fn conflicts(scop: &Scop, instances: &isl::UnionSet) -> isl::Result<Dependences> {
    let places = Places::new(scop, &scop.tree)?;
    let none = isl::UnionMap::empty(&scop.ctx)?;
    let (mut reads, mut writes) = (none.clone(), none.clone());
    for stmt in scop.stmts.values() {
        let own = |all: &isl::UnionMap, access| all.union(&places.cells(stmt, access)?.intersect_domain(instances)?);
        for access in &stmt.reads {
            reads = own(&reads, access)?;
        }
        for access in &stmt.writes {
            writes = own(&writes, access)?;
            if stmt.body.is_reduce() {
                reads = own(&reads, access)?;
            }
        }
    }
    Ok(Dependences {
        domain: instances.clone(),
        flow: writes.apply_range(&reads.reverse()?)?,
        anti: reads.apply_range(&writes.reverse()?)?,
        output: writes.apply_range(&writes.reverse()?)?,
        reduction: none.clone(),
        updates: none,
    })
}

fn each(all: &Dependences, keep: &dyn Fn(&isl::UnionMap) -> isl::Result<isl::UnionMap>) -> isl::Result<Dependences> {
    let (flow, anti, output) = (keep(&all.flow)?, keep(&all.anti)?, keep(&all.output)?);
    Ok(Dependences { flow, anti, output, ..all.clone() })
}

/// From each of `first` to each of `second`.
fn all_pairs(first: &isl::UnionSet, second: &isl::UnionSet) -> isl::Result<isl::UnionMap> {
    let mut all = isl::UnionMap::empty(first.ctx())?;
    for from in first.sets()? {
        for to in second.sets()? {
            all = all.union(&from.product_map(&to)?.to_union_map()?)?;
        }
    }
    Ok(all)
}

/// Several functions as one; `None` of none.
fn product(
    rows: impl Iterator<Item = isl::Result<isl::UnionPwAff>>,
) -> isl::Result<Option<isl::MultiUnionPwAff>> {
    let mut all: Option<isl::MultiUnionPwAff> = None;
    for row in rows {
        let row = row?.to_multi()?;
        all = Some(match all {
            None => row,
            Some(all) => all.flat_range_product(&row)?,
        });
    }
    Ok(all)
}

/// The loops and sequences of a kernel.
#[derive(Default)]
struct Rows<'t> {
    /// On an axis, with the instances inside.
    bound: Vec<(Axis, &'t Member, isl::UnionSet)>,
    /// What all threads know of the date of instances.
    uniform: Vec<(isl::UnionSet, Vec<Row<'t>>)>,
    /// Those around, while gathering.
    path: Vec<Row<'t>>,
}

#[derive(Clone)]
enum Row<'t> {
    Position(i64),
    Member(&'t Member),
}

impl<'t> Rows<'t> {
    fn gather(&mut self, node: &'t Node, reach: &isl::UnionSet) -> isl::Result<()> {
        let depth = self.path.len();
        match node {
            Node::Leaf => self.uniform.push((reach.clone(), self.path.clone())),
            Node::Mark { child, .. } => self.gather(child, reach)?,
            Node::Band(band) => {
                let own_pace = band.members.iter().position(|member| !is_uniform(member.kind));
                for member in &band.members[..own_pace.unwrap_or(band.members.len())] {
                    match member.kind {
                        Kind::Bound(axis) => self.bound.push((axis, member, reach.clone())),
                        _ => self.path.push(Row::Member(member)),
                    }
                }
                match own_pace {
                    None => self.gather(&band.child, reach)?,
                    Some(from) => {
                        self.uniform.push((reach.clone(), self.path.clone()));
                        self.on_threads(&band.members[from..], &band.child, reach)?;
                    }
                }
            }
            Node::Sequence(children) | Node::Set(children) => {
                for (at, child) in (0i64..).zip(children) {
                    self.path.push(Row::Position(at));
                    self.gather(&child.node, &reach.intersect(&child.filter)?)?;
                    self.path.pop();
                }
            }
        }
        self.path.truncate(depth);
        Ok(())
    }

    /// Below a loop on threads, or one that is copied out, only the axes matter.
    fn on_threads(&mut self, members: &'t [Member], child: &'t Node, reach: &isl::UnionSet) -> isl::Result<()> {
        for member in members {
            if let Kind::Bound(axis) = member.kind {
                self.bound.push((axis, member, reach.clone()));
            }
        }
        match child {
            Node::Band(band) => self.on_threads(&band.members, &band.child, reach),
            Node::Sequence(children) | Node::Set(children) => children
                .iter()
                .try_for_each(|child| self.on_threads(&[], &child.node, &reach.intersect(&child.filter)?)),
            Node::Mark { child, .. } => self.on_threads(&[], child, reach),
            Node::Leaf => Ok(()),
        }
    }

    /// From the instances to their places on three axes.
    fn on_axes(&self, launched: &Launched<'_>, axes: [Axis; 3]) -> isl::Result<isl::MultiUnionPwAff> {
        let on_axis = |axis: Axis| {
            let mut first = launched.instances.clone();
            let mut all = isl::UnionPwAff::empty(first.ctx())?;
            for (_, member, inside) in self.bound.iter().filter(|(own, ..)| *own == axis) {
                first = first.subtract(inside)?;
                let value = member.schedule.intersect_domain(inside)?;
                let threads = isl::Val::int(first.ctx(), launched.kernel.threads_on(axis))?;
                all = all.union_add(&if let Axis::Thread(_) = axis { value.modulo(&threads)? } else { value })?;
            }
            all.union_add(&first.constant(&isl::Val::int(first.ctx(), 0)?)?)
        };
        let all = product(axes.into_iter().map(on_axis))?;
        Ok(all.expect("there are three axes"))
    }

    fn dates(&self, instances: &isl::UnionSet) -> isl::Result<isl::MultiUnionPwAff> {
        let depth = self.uniform.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0).max(1);
        let row = |at: usize| {
            let mut all = isl::UnionPwAff::empty(instances.ctx())?;
            for (inside, rows) in &self.uniform {
                let constant = |value| inside.constant(&isl::Val::int(instances.ctx(), value)?);
                all = all.union_add(&match rows.get(at) {
                    Some(Row::Member(member)) => member.schedule.intersect_domain(inside)?,
                    Some(Row::Position(position)) => constant(*position)?,
                    None => constant(0)?,
                })?;
            }
            Ok(all)
        };
        Ok(product((0..depth).map(row))?.expect("there is at least one row"))
    }

    /// A barrier inside of a loop on threads.
    fn divergent<'s>(&self, scop: &'s Scop) -> isl::Result<Option<&'s str>> {
        for Stmt { name, domain, .. } in scop.stmts.values().filter(|stmt| stmt.is_barrier()) {
            for (axis, _, inside) in &self.bound {
                if matches!(axis, Axis::Thread(_)) && !inside.is_disjoint(&domain.to_union_set()?)? {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }
}

/// Whether all threads of a block run a loop of this kind, and may meet in it.
fn is_uniform(kind: Kind) -> bool {
    matches!(kind, Kind::Sequential | Kind::Parallel | Kind::Bound(Axis::Block(_)))
}
