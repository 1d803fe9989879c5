//! That each update of a changed program finds in its element what the source has it update.

use support::Entity;

use super::flows::{Sight, is_indirect, writer_name};
use super::parts::{Part, malformed};
use super::{Meaning, Proof, follow};
use crate::legality::Illegal;
use crate::places::renamed;
use crate::{Body, Monoid, Scop, Stmt, StmtId, isl};

impl Proof<'_> {
    /// Updates find the same beginning as in the source, and the same updates of other operators before them.
    pub(super) fn updates(&self) -> Result<(), Illegal> {
        for (id, part) in &self.parts {
            let stmt = &self.scop.stmts[*id];
            match (part, &stmt.body) {
                (Part::Computes { source, origin }, Body::Reduce { monoid, .. }) => {
                    for component in 0..stmt.writes.len() {
                        self.computed_update(*id, component, monoid, (*source, origin))?;
                    }
                    self.whole_states(*id)?;
                }
                (Part::Combines { monoid, .. }, _) => {
                    for component in 0..stmt.writes.len() {
                        self.combination(*id, component, monoid)?;
                    }
                    self.whole_states(*id)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An update of the source, here.
    fn computed_update(
        &self,
        id: StmtId,
        component: usize,
        monoid: &Monoid,
        (source, origin): (StmtId, &isl::UnionMap),
    ) -> Result<(), Illegal> {
        let write = &self.scop.stmts[id].writes[component];
        let to = if is_indirect(write) {
            origin.product(&self.scop.elements(write.tensor)?.identity()?.to_union_map()?)?
        } else {
            origin.clone()
        };
        let own = self.meaning.own(source, component)?;
        let found = self.found(id, component, monoid, &own)?;
        let to = to.intersect_domain(&found.readers)?;
        let expected = self.bounded(&to.apply_range(&self.meaning.before(source, component)?)?)?;
        self.expect_update(id, component, &expected, &found.others)
    }

    /// Partial results, combined: every contribution of theirs is an update of this operator.
    fn combination(&self, id: StmtId, component: usize, monoid: &Monoid) -> Result<(), Illegal> {
        let stmt = &self.scop.stmts[id];
        if self.meaning.strict {
            return Err(malformed(format!(
                "`{}` combines partial results, which changes the order of a sum",
                stmt.name
            )));
        }
        let name = writer_name(stmt, component);
        let writer = stmt.domain.with_tuple_name(&name)?.to_union_set()?;
        let contributions = self.bounded(&self.carried.all.intersect_domain(&writer)?)?;
        let (own, before) = self.operator_of(stmt, component, monoid, &contributions)?;
        let found = self.found(id, component, monoid, &own)?;
        let (found_here, readers) = (renamed(&found.others, isl::Dim::In, &name)?, found.readers);
        let readers = rename_set(&readers, &name)?;
        let contributions = contributions.intersect_domain(&readers)?;
        // Of each pair of a combination and a contribution: what the one finds, and what the other must.
        let finds = contributions.domain_map()?.apply_range(&found_here)?;
        let must = self.bounded(&contributions.range_map()?.apply_range(&before)?)?;
        if finds.is_equal(&must)? {
            return Ok(());
        }
        // Where not all of its contributions must find the same, what one of them must is enough to tell.
        let combination = contributions.domain_map()?.reverse()?;
        let (wrong, due) = (finds.subtract(&must)?, must.subtract(&finds)?);
        let question = self.question(Some(&stmt.writes[component]));
        Err(question.difference(&combination.apply_range(&due)?, &combination.apply_range(&wrong)?)?)
    }

    /// The updates of the source that are of the operator of the contributions, and what all of them find before.
    fn operator_of(
        &self,
        stmt: &Stmt,
        component: usize,
        monoid: &Monoid,
        contributions: &isl::UnionMap,
    ) -> Result<(isl::UnionSet, isl::UnionMap), Illegal> {
        let (mut own, mut before) = (None, isl::UnionMap::empty(&self.scop.ctx)?);
        let mut covered = isl::UnionSet::empty(&self.scop.ctx)?;
        let contributed = contributions.range()?;
        for (id, theirs) in self.meaning.source.stmts.iter() {
            let Body::Reduce { monoid: their_monoid, .. } = &theirs.body else { continue };
            if their_monoid != monoid || theirs.writes.len() != stmt.writes.len() {
                continue;
            }
            let writers = writers(&self.meaning.source, theirs, component)?.universe()?;
            if contributed.is_disjoint(&writers)? {
                continue;
            }
            let operator = self.meaning.own(id, component)?;
            if own.as_ref().is_some_and(|own: &isl::UnionSet| !own.is_equal(&operator).unwrap_or(false)) {
                return Err(malformed(format!("`{}` combines what updates of several tensors contribute", stmt.name)));
            }
            own = Some(operator);
            covered = covered.union(&writers)?;
            let found = self.meaning.before(id, component)?;
            before = before.union(&match is_indirect(&theirs.writes[component]) {
                true => found,
                false => renamed(&found, isl::Dim::In, &writer_name(theirs, component))?,
            })?;
        }
        if !contributed.is_subset(&covered)? {
            return Err(malformed(format!(
                "`{}` combines by `{}` what is no partial result of that operator, or does not begin with its neutral \
                 value",
                stmt.name, monoid.name
            )));
        }
        Ok((own.map_or_else(|| isl::UnionSet::empty(&self.scop.ctx), Ok)?, before))
    }

    /// What the updates of a component find but for those of their own operator. Those that add to a partial result are
    /// left out: they find nothing but its neutral beginning, and what combines it is judged in their place.
    fn found(&self, id: StmtId, component: usize, monoid: &Monoid, own: &isl::UnionSet) -> Result<Found, Illegal> {
        let stmt = &self.scop.stmts[id];
        let all = self.bounded(&self.carried.seen(&self.flows.states[id][component])?)?;
        let others = all.subtract(&all.intersect_range(own)?)?;
        let readers = readers(self.scop, stmt, component)?;
        if self.meaning.strict {
            return Ok(Found { others, readers });
        }
        let neutral = follow::neutral(self.scop, monoid, component)?;
        let neutrally = others.intersect_range(&neutral)?;
        if neutrally.is_empty()? {
            return Ok(Found { others, readers });
        }
        let partial = neutrally.domain()?;
        let mixed = others.subtract(&neutrally)?.intersect_domain(&partial)?;
        if !mixed.is_empty()? {
            return Err(malformed(format!("`{}` adds to a partial result of another operator", stmt.name)));
        }
        Ok(Found { others: others.subtract_domain(&partial)?, readers: readers.subtract(&partial)? })
    }

    fn expect_update(
        &self,
        id: StmtId,
        component: usize,
        expected: &isl::UnionMap,
        found: &isl::UnionMap,
    ) -> Result<(), Illegal> {
        if found.is_equal(expected)? {
            return Ok(());
        }
        Err(self.question(Some(&self.scop.stmts[id].writes[component])).difference(expected, found)?)
    }

    /// All components of a reduction over several tensors find, and combine, the same updates.
    fn whole_states(&self, id: StmtId) -> Result<(), Illegal> {
        let stmt = &self.scop.stmts[id];
        if stmt.writes.len() < 2 {
            return Ok(());
        }
        let of = |sights: &[Sight], at: usize| without_components(&self.carried.seen(&sights[at])?);
        let states = &self.flows.states[id];
        let updates = self.update_instances()?;
        for component in 1..stmt.writes.len() {
            let (first, this) = (of(states, 0)?, of(states, component)?);
            if !first.intersect_range(&updates)?.is_equal(&this.intersect_range(&updates)?)? {
                return Err(malformed(format!("the components of `{}` hold different contributions", stmt.name)));
            }
        }
        if let Some((_, Part::Combines { reads, .. })) = self.parts.get(id.index()) {
            let first = of(&self.flows.reads[id], reads[0])?.intersect_range(&updates)?;
            for &read in &reads[1..] {
                if !of(&self.flows.reads[id], read)?.intersect_range(&updates)?.is_equal(&first)? {
                    return Err(malformed(format!("`{}` combines components of different partial results", stmt.name)));
                }
            }
        }
        Ok(())
    }

    fn update_instances(&self) -> isl::Result<isl::UnionSet> {
        let source = &self.meaning.source;
        let updates = source.stmts.values().filter(|stmt| stmt.body.is_reduce());
        let domains = updates.map(|stmt| stmt.domain.to_union_set()).collect::<isl::Result<_>>()?;
        isl::UnionSet::union_of(&source.ctx, domains)
    }
}

/// What updates find, and which updates were asked.
struct Found {
    others: isl::UnionMap,
    readers: isl::UnionSet,
}

impl Meaning {
    /// What the updates of a component find but for those of their own operator.
    fn before(&self, id: StmtId, component: usize) -> isl::Result<isl::UnionMap> {
        let all = self.flows.states[id][component].all()?;
        all.subtract(&all.intersect_range(&self.own(id, component)?)?)
    }

    /// The updates of the operator of `id`: of its monoid on its tensors. None when their order is kept.
    fn own(&self, id: StmtId, component: usize) -> isl::Result<isl::UnionSet> {
        let none = isl::UnionSet::empty(&self.source.ctx)?;
        if self.strict {
            return Ok(none);
        }
        let stmt = &self.source.stmts[id];
        let is_own = |other: &&Stmt| match (&stmt.body, &other.body) {
            (Body::Reduce { monoid: a, .. }, Body::Reduce { monoid: b, .. }) => {
                a == b && stmt.writes.iter().map(|w| w.tensor).eq(other.writes.iter().map(|w| w.tensor))
            }
            _ => false,
        };
        let own = self.source.stmts.values().filter(is_own);
        own.map(|stmt| writers(&self.source, stmt, component)?.universe()).try_fold(none, |all, set| all.union(&set?))
    }
}

/// A component's instances as writers.
fn writers(scop: &Scop, stmt: &Stmt, component: usize) -> isl::Result<isl::UnionSet> {
    let write = &stmt.writes[component];
    if is_indirect(write) {
        return scop.relation(stmt, write)?.to_union_map()?.wrap();
    }
    stmt.domain.with_tuple_name(&writer_name(stmt, component))?.to_union_set()
}

/// A component's instances as readers of their own element.
fn readers(scop: &Scop, stmt: &Stmt, component: usize) -> isl::Result<isl::UnionSet> {
    let write = &stmt.writes[component];
    if is_indirect(write) {
        return scop.relation(stmt, write)?.to_union_map()?.wrap();
    }
    stmt.domain.intersect_params(&scop.context)?.to_union_set()
}

fn rename_set(set: &isl::UnionSet, name: &str) -> isl::Result<isl::UnionSet> {
    set.sets()?
        .iter()
        .try_fold(isl::UnionSet::empty(set.ctx())?, |all, set| all.union(&set.with_tuple_name(name)?.to_union_set()?))
}

/// The relation with all components of a writer called as the statement is.
fn without_components(pairs: &isl::UnionMap) -> isl::Result<isl::UnionMap> {
    pairs.maps()?.iter().try_fold(isl::UnionMap::empty(pairs.ctx())?, |all, map| {
        let name = map.tuple_name(isl::Dim::Out)?;
        let map = match name.split_once(" #") {
            Some((stmt, _)) => map.with_tuple_name(isl::Dim::Out, stmt)?,
            None => map.clone(),
        };
        all.union(&map.to_union_map()?)
    })
}
