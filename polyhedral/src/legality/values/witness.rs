//! A concrete instance of a changed program that sees what it must not.

use super::Meaning;
use super::flows::{FINALLY, INITIALLY, Sight};
use super::follow::NEUTRAL;
use crate::legality::violation::{self, Content, Instance, Pair};
use crate::legality::{Conflict, Illegal, Violation};
use crate::{Access, DependenceKind, Role, Scop, isl};

/// Who asks, and what is asked: for the sentence.
pub(super) struct Question<'a> {
    pub meaning: &'a Meaning,
    pub scop: &'a Scop,
    /// The access that sees; none for a result.
    pub access: Option<&'a Access>,
}

impl Question<'_> {
    /// Why `found` is not `expected`: relations from the readers to what they see.
    pub fn difference(&self, expected: &isl::UnionMap, found: &isl::UnionMap) -> Result<Illegal, Illegal> {
        let (missing, extra) = (expected.subtract(found)?, found.subtract(expected)?);
        if let Some((map, pair)) = self.pick(&missing)? {
            let due = self.content(&map, &pair)?;
            let conflict = match self.at_reader(&extra, &map, &pair)? {
                Some(instead) => Conflict::Sees { due, instead },
                None => Conflict::Misses { due },
            };
            return self.violation(conflict, &map, &pair);
        }
        match self.pick(&extra)? {
            Some((map, pair)) => {
                let extra = self.content(&map, &pair)?;
                self.violation(Conflict::Adds { extra }, &map, &pair)
            }
            None => Err(Illegal::Isl(isl::Error::Refused("two relations differ in no pair".into()))),
        }
    }

    /// A reader and a contribution that reaches it on two ways.
    pub fn twice(&self, pairs: &isl::UnionMap) -> Result<Illegal, Illegal> {
        match self.pick(pairs)? {
            Some((map, pair)) => self.violation(Conflict::Twice, &map, &pair),
            None => Err(Illegal::Isl(isl::Error::Refused("no pair in a relation that is not empty".into()))),
        }
    }

    fn pick(&self, pairs: &isl::UnionMap) -> isl::Result<Option<(isl::Map, Pair)>> {
        for map in pairs.maps()? {
            if let Some(pair) = violation::smallest(self.scop, &map)? {
                return Ok(Some((map, pair)));
            }
        }
        Ok(None)
    }

    /// What the reader of `pair` finds by `pairs`.
    fn at_reader(&self, pairs: &isl::UnionMap, like: &isl::Map, pair: &Pair) -> isl::Result<Option<Content>> {
        let (reader, (sizes, point, _)) = (tuple(&like.domain()?)?, pair);
        for map in pairs.maps()? {
            let map = map.align_params(&self.scop.param_space()?)?;
            if tuple(&map.domain()?)? != reader {
                continue;
            }
            let mut here = map.clone();
            for (kind, values) in [(isl::Dim::Param, sizes), (isl::Dim::In, point)] {
                for (at, &value) in values.iter().enumerate() {
                    here = here.fix(kind, at as u32, value)?;
                }
            }
            if let Some(pair) = violation::smallest(self.scop, &here)? {
                return Ok(Some(self.content(&map, &pair)?));
            }
        }
        Ok(None)
    }

    fn violation(&self, conflict: Conflict, map: &isl::Map, pair: &Pair) -> Result<Illegal, Illegal> {
        let (sizes, reader, _) = pair;
        let sink = self.reader(&map.domain()?, reader)?;
        let source = match self.content(map, pair)? {
            Content::Computed(instance) => instance,
            Content::Initial { .. } | Content::Constant => sink.clone(),
        };
        let through = self.access.map(|access| {
            let name = self.scop.tensors[access.tensor].name.clone();
            (name, violation::subscripts(access, &sink.point, sizes))
        });
        let sizes = self.scop.params.iter().cloned().zip(sizes.iter().copied()).collect();
        let dependence = DependenceKind::Flow;
        Ok(Illegal::Violation(Box::new(Violation { conflict, dependence, source, sink, through, sizes })))
    }

    fn reader(&self, readers: &isl::Set, point: &[i64]) -> isl::Result<Instance> {
        let (name, point) = named(readers, point)?;
        if let Some(tensor) = name.strip_suffix(FINALLY) {
            let span = self.scop.tensor_named(tensor).map(|id| self.scop.tensors[id].span).unwrap_or_default();
            return Ok(Instance { stmt: tensor.to_owned(), point, span });
        }
        let stmt = component_of(&name).to_owned();
        let span = self.scop.stmt_named(&stmt).map(|id| self.scop.stmts[id].span).unwrap_or_default();
        Ok(Instance { stmt, point, span })
    }

    fn content(&self, map: &isl::Map, (_, _, point): &Pair) -> isl::Result<Content> {
        let (name, point) = named(&map.range()?, point)?;
        if let Some(tensor) = name.strip_suffix(INITIALLY) {
            let role = self.scop.tensor_named(tensor).map(|id| self.scop.tensors[id].role);
            let given = matches!(role, Some(Role::Input | Role::InOut));
            return Ok(Content::Initial { tensor: tensor.to_owned(), at: point, given });
        }
        if name.starts_with(NEUTRAL) {
            return Ok(Content::Constant);
        }
        let (stmt, source) = (component_of(&name).to_owned(), &self.meaning.source);
        let span = source.stmt_named(&stmt).map(|id| source.stmts[id].span).unwrap_or_default();
        Ok(Content::Computed(Instance { stmt, point, span }))
    }
}

/// The name of a tuple and how many coordinates it has; of a pair the name of its first part.
fn tuple(set: &isl::Set) -> isl::Result<(String, u32)> {
    let name = set.tuple_name()?;
    let name = if name.is_empty() { set.unwrap()?.tuple_name(isl::Dim::In)? } else { name };
    Ok((name, set.dim(isl::Dim::Set)?))
}

/// The name of a tuple and its coordinates; of a pair its first part.
fn named(set: &isl::Set, point: &[i64]) -> isl::Result<(String, Vec<i64>)> {
    let name = set.tuple_name()?;
    if !name.is_empty() {
        return Ok((name, point.to_vec()));
    }
    let pair = set.unwrap()?;
    let first = pair.dim(isl::Dim::In)? as usize;
    Ok((pair.tuple_name(isl::Dim::In)?, point[..first].to_vec()))
}

/// The statement of a writer's name.
fn component_of(name: &str) -> &str {
    name.split_once(" #").map_or(name, |(stmt, _)| stmt)
}

/// Whether each reader gets each contribution of a sight on one way; otherwise readers and contributions on several.
pub(super) fn doubled(sight: &Sight, carried: &isl::UnionMap) -> isl::Result<isl::UnionMap> {
    let writers = &sight.writers;
    let none = || isl::UnionMap::empty(writers.ctx());
    if writers.is_single_valued()? {
        return none();
    }
    if plainly_once(writers, carried)? {
        return none();
    }
    let carried = carried.intersect_domain(&writers.range()?)?;
    // [writer -> contribution], then [reader -> [writer -> contribution]].
    let ways = writers.apply_range(&carried.domain_map()?.reverse()?)?;
    let reader = ways.domain_map()?;
    let contribution = ways.range_map()?.apply_range(&carried.range_map()?)?;
    // One way more than one: not injective from ways to [reader -> contribution].
    let to_pair = reader.range_product(&contribution)?;
    if to_pair.is_injective()? {
        return none();
    }
    let both = to_pair.apply_range(&to_pair.reverse()?)?;
    let different = both.subtract(&both.domain()?.identity()?)?;
    different.domain()?.apply(&to_pair)?.unwrap()
}

/// Whether each reader gets each contribution on one way, when that needs no look at all ways together: each statement
/// brings it a contribution by one of its instances, and no two statements bring the same.
fn plainly_once(writers: &isl::UnionMap, carried: &isl::UnionMap) -> isl::Result<bool> {
    let mut brought: Vec<isl::UnionMap> = Vec::new();
    for map in writers.maps()? {
        let own = carried.intersect_domain(&map.range()?.to_union_set()?)?;
        if !map.is_single_valued()? && !own.is_injective()? {
            return Ok(false);
        }
        let here = map.to_union_map()?.apply_range(&own)?;
        for other in &brought {
            if !other.intersect(&here)?.is_empty()? {
                return Ok(false);
            }
        }
        brought.push(here);
    }
    Ok(true)
}
