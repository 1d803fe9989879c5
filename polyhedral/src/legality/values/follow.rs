//! From what a changed program reads back to what the source program computes: through copies, and through the
//! combination of partial results.

use std::collections::BTreeSet;

use super::flows::{Flows, Sight, is_indirect, writer_name};
use super::parts::{Part, malformed};
use crate::legality::Illegal;
use crate::places::renamed;
use crate::{DType, Monoid, Scop, Stmt, StmtId, Value, isl};

/// Whose values the writers of a changed program carry: a relation from them, as [`writer_name`] calls them, to the
/// writers of the source.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    /// Of every writer.
    pub all: isl::UnionMap,
    /// Of the writers that compute.
    pub computed: isl::UnionMap,
    /// Whether anything is carried further than from where it was computed.
    pub any_carriers: bool,
}

/// How the neutral value that a reduction begins with is called.
pub(super) fn neutral_name(value: &Value, dtype: DType) -> String {
    match value {
        Value::Int(value) => format!("{NEUTRAL}{dtype} {value}"),
        Value::Float(value) => format!("{NEUTRAL}{dtype} {value} {:x}", value.to_bits()),
    }
}

/// The beginning of [`neutral_name`].
pub(super) const NEUTRAL: &str = "constant ";

/// What a monoid's component begins with: a set of one point without dimensions.
pub(super) fn neutral(scop: &Scop, monoid: &Monoid, component: usize) -> isl::Result<isl::UnionSet> {
    constant_point(scop, &monoid.identity[component], monoid.dtypes[component])?.to_union_set()
}

fn constant_point(scop: &Scop, value: &Value, dtype: DType) -> isl::Result<isl::Set> {
    scop.param_space()?.named_set(&neutral_name(value, dtype), &[] as &[&str])?.universe_set()
}

impl Carried {
    /// Follows everything that is read.
    pub fn of(scop: &Scop, parts: &[(StmtId, Part)], flows: &Flows) -> Result<Carried, Illegal> {
        let none = || isl::UnionMap::empty(&scop.ctx);
        let (mut computed, mut begun, mut carriers) = (none()?, none()?, Vec::new());
        for (id, part) in parts {
            let stmt = &scop.stmts[*id];
            match part {
                Part::Computes { origin, .. } => {
                    for component in 0..stmt.writes.len() {
                        computed = computed.union(&writers_origin(scop, stmt, component, origin)?)?;
                    }
                }
                Part::Begins { constants } => {
                    for (component, (value, dtype)) in constants.iter().enumerate() {
                        let point = constant_point(scop, value, *dtype)?;
                        let writer = stmt.domain.with_tuple_name(&writer_name(stmt, component))?;
                        begun = begun.union(&writer.product_map(&point)?.to_union_map()?)?;
                    }
                }
                Part::Copies { reads } => {
                    for (component, &read) in reads.iter().enumerate() {
                        carriers.push(Carrier::new(stmt, component, &flows.reads[*id][read], none()?.range()?)?);
                    }
                }
                Part::Combines { monoid, reads } => {
                    for (component, &read) in reads.iter().enumerate() {
                        let dropped = neutral(scop, monoid, component)?;
                        carriers.push(Carrier::new(stmt, component, &flows.reads[*id][read], dropped)?);
                    }
                }
                Part::Prefetches => {}
            }
        }
        let any_carriers = !carriers.is_empty();
        let all = follow(carriers, computed.union(&begun)?)?;
        Ok(Carried { all, computed, any_carriers })
    }

    /// What a sight holds of the source.
    pub fn seen(&self, sight: &Sight) -> isl::Result<isl::UnionMap> {
        sight.writers.apply_range(&self.all)?.union(&sight.initial)
    }
}

/// From the instances of a component as writers to the writers that they repeat.
fn writers_origin(scop: &Scop, stmt: &Stmt, component: usize, origin: &isl::UnionMap) -> isl::Result<isl::UnionMap> {
    let write = &stmt.writes[component];
    if is_indirect(write) {
        return origin.product(&scop.elements(write.tensor)?.identity()?.to_union_map()?);
    }
    if component == 0 {
        return Ok(origin.clone());
    }
    let named = renamed(origin, isl::Dim::In, &writer_name(stmt, component))?;
    named.maps()?.iter().try_fold(isl::UnionMap::empty(&scop.ctx)?, |all, map| {
        let name = format!("{} #{component}", map.tuple_name(isl::Dim::Out)?);
        all.union(&map.with_tuple_name(isl::Dim::Out, &name)?.to_union_map()?)
    })
}

/// A component of a statement that carries values over.
struct Carrier {
    name: String,
    /// What its read sees in the changed program, from the carrier as a writer.
    writers: isl::UnionMap,
    initial: isl::UnionMap,
    /// The neutral value, which a combination leaves out.
    dropped: isl::UnionSet,
}

impl Carrier {
    fn new(stmt: &Stmt, component: usize, sight: &Sight, dropped: isl::UnionSet) -> isl::Result<Carrier> {
        let name = writer_name(stmt, component);
        let called = |map: &isl::UnionMap| renamed(map, isl::Dim::In, &name);
        Ok(Carrier { writers: called(&sight.writers)?, initial: called(&sight.initial)?, name, dropped })
    }

    /// What it carries, when `known` is what its sources do.
    fn carries(&self, known: &isl::UnionMap) -> isl::Result<isl::UnionMap> {
        let all = self.writers.apply_range(known)?.union(&self.initial)?;
        if self.dropped.is_empty()? {
            return all.coalesce();
        }
        all.subtract(&all.intersect_range(&self.dropped)?)?.coalesce()
    }

    /// The tuples that it reads.
    fn reads_from(&self) -> isl::Result<BTreeSet<String>> {
        self.writers.range()?.sets()?.iter().map(isl::Set::tuple_name).collect()
    }
}

/// What all writers carry: `known` of those that carry nothing over. What carries over the work of others comes after
/// them; only what carries over its own earlier work takes more than that.
fn follow(carriers: Vec<Carrier>, known: isl::UnionMap) -> Result<isl::UnionMap, Illegal> {
    let mut known = known;
    let mut waiting = carriers;
    while !waiting.is_empty() {
        let names: BTreeSet<&str> = waiting.iter().map(|carrier| carrier.name.as_str()).collect();
        let mut ready = None;
        for (at, carrier) in waiting.iter().enumerate() {
            if carrier.reads_from()?.iter().all(|name| !names.contains(name.as_str())) {
                ready = Some(at);
                break;
            }
        }
        match ready {
            Some(at) => {
                let carrier = waiting.remove(at);
                known = known.union(&carrier.carries(&known)?)?;
            }
            None => return follow_round(&waiting, &known),
        }
    }
    Ok(known)
}

/// The carriers whose values go round, such as a tile of a sum that is loaded, added to and stored again and again.
///
/// With `C` from carriers to carriers and `E` from carriers to the others, what they carry is the one solution of
/// `X = E ∪ C∘X`: a value comes from an earlier instance, so the recursion ends. `C⁺∘E ∪ E` is a guess at it, exact where
/// isl finds the closure exactly; whether it solves the equation is then asked.
fn follow_round(round: &[Carrier], known: &isl::UnionMap) -> Result<isl::UnionMap, Illegal> {
    let ctx = known.ctx();
    let step = |known: &isl::UnionMap| {
        let none = isl::UnionMap::empty(ctx)?;
        round.iter().try_fold(none, |all, carrier| all.union(&carrier.carries(known)?))
    };
    let ends = step(known)?;
    let (mut among, mut carriers) = (isl::UnionMap::empty(ctx)?, isl::UnionSet::empty(ctx)?);
    for carrier in round {
        carriers = carriers.union(&carrier.writers.domain()?)?;
    }
    for carrier in round {
        among = among.union(&carrier.writers.intersect_range(&carriers)?)?;
    }
    let guess = ends.union(&among.transitive_closure()?.apply_range(&ends)?)?.coalesce()?;
    let again = step(&known.union(&guess)?)?;
    if again.is_equal(&guess)? {
        return Ok(known.union(&guess)?);
    }
    let names: Vec<String> = round.iter().map(|carrier| format!("`{}`", carrier.name)).collect();
    Err(malformed(format!("what {} carry round and round cannot be followed", names.join(" and "))))
}
