//! The instances of a statement in all of its dimensions: when each runs, what it touches, which depend on each other.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use polyhedral::{DependenceKind, Dependences, Index, Kind, Scop, StmtId, Subscript, isl};
use serde::Serialize;

use super::column::Column;
use crate::pictures::{Instance, Row, places};

/// Pairs of instances that are looked at for one kind of dependence.
const PAIRS: usize = 60_000;
/// Arrows of one kind for each instance, past which only those between near instances are kept.
const ARROWS: usize = 4;
/// Differences between instances that are kept of one kind.
const WAYS: usize = 24;

/// All instances of a statement, in the order in which they run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instances {
    /// The statement.
    pub statement: String,
    /// What an instance does.
    pub formula: String,
    /// Its dimensions.
    pub dims: Vec<String>,
    /// How many there are.
    pub count: usize,
    /// What is around the statement at each of its places in the tree, from the outside in.
    pub places: Vec<Vec<Around>>,
    /// The place of each instance.
    pub place: Column,
    /// The values of each dimension.
    pub point: Vec<Column>,
    /// The values of what is around, row by row; 0 where a place has no such row.
    pub time: Vec<Column>,
    /// The moments at which they run. Those on different threads, blocks and lanes share one.
    pub moment: Column,
    /// What they read and write.
    pub accesses: Vec<Touched>,
    /// Which of them depend on others of them.
    pub dependences: Vec<Way>,
    /// Pairs that depend and are in no way: those of instances further away, where there were very many. Absent where there
    /// were too many to count.
    pub left_out: Option<usize>,
}

/// A loop around a statement, or the number of a child in a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Around {
    /// The loop's name and how it runs.
    Loop(String, String),
    /// The number.
    Child(usize),
}

/// What the instances touch of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// The tensor.
    pub tensor: String,
    /// Whether it is written.
    pub writes: bool,
    /// The subscripts; none where one is computed while running.
    pub index: Option<Vec<Value>>,
}

/// A subscript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// A constant, and multiples of dimensions: their numbers and by how much.
    Sum(i64, Vec<(usize, i64)>),
    /// The value for each instance.
    Each(Column),
}

/// Dependences between instances that are the same distance apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// `flow`, `anti`, `output` or `reduction`.
    pub kind: String,
    /// What is added to the point of the one to get that of the other, which depends on it.
    pub by: Vec<i64>,
    /// How many pairs there are.
    pub count: usize,
    /// The numbers of the earlier instances; absent when all are meant for which there is a later one.
    pub from: Option<Column>,
}

/// An instance and the key that orders it: the values of what is around, without what runs at once.
pub(super) struct Dated {
    pub(super) instance: Instance,
    pub(super) date: Vec<i64>,
}

/// The instances of a statement in order, and what is around each of its places.
pub(super) type Found = (Vec<Dated>, Vec<Vec<Around>>);

/// The instances of a statement with what is around its places; `None` when there are more than `most`.
pub(super) fn dated(scop: &Scop, id: StmtId, most: usize) -> isl::Result<Option<Found>> {
    let (mut found, mut around) = (Vec::new(), Vec::new());
    for (number, place) in places(scop, id)?.iter().enumerate() {
        let Some(instances) = place.instances(number, most.saturating_sub(found.len()))? else { return Ok(None) };
        let at_once = |row: &Row<'_>| matches!(row, Row::Member(member) if Kind::at_once(member.kind));
        found.extend(instances.into_iter().map(|instance| {
            let values = place.rows.iter().zip(&instance.time);
            let date = values.filter(|(row, _)| !at_once(row)).map(|(_, value)| *value).collect();
            Dated { instance, date }
        }));
        around.push(place.rows.iter().map(Around::of).collect());
    }
    found.sort_by(|a, b| (&a.date, &a.instance.time).cmp(&(&b.date, &b.instance.time)));
    Ok(Some((found, around)))
}

impl Around {
    fn of(row: &Row<'_>) -> Around {
        match row {
            Row::Member(member) => Around::Loop(member.name.clone(), crate::report::word(member.kind)),
            Row::Child(at) => Around::Child(*at),
        }
    }
}

impl Instances {
    /// Of instances that are in order; `moments` has the number of each date.
    pub(super) fn of(
        scop: &Scop,
        id: StmtId,
        (found, places): Found,
        moments: &BTreeMap<Vec<i64>, usize>,
        deps: &Dependences,
    ) -> isl::Result<Instances> {
        let stmt = &scop.stmts[id];
        let depth = places.iter().map(Vec::len).max().unwrap_or(0);
        let column = |value: &dyn Fn(&Dated) -> i64| Column::of(found.iter().map(value));
        let (dependences, left_out) = ways(&stmt.name, &found, deps)?;
        let touched = |(at, access): (usize, &polyhedral::Access)| Touched {
            tensor: scop.tensors[access.tensor].name.clone(),
            writes: at >= stmt.reads.len(),
            index: access.index.iter().map(|subscript| Value::of(subscript, &found)).collect(),
        };
        Ok(Instances {
            statement: stmt.name.clone(),
            formula: polyhedral::text::formula(scop, stmt),
            dims: stmt.dims.clone(),
            count: found.len(),
            place: column(&|one| one.instance.place as i64),
            point: (0..stmt.dims.len()).map(|dim| column(&|one| one.instance.point[dim])).collect(),
            time: (0..depth).map(|row| column(&|one| one.instance.time.get(row).copied().unwrap_or(0))).collect(),
            moment: column(&|one| moments[&one.date] as i64),
            accesses: stmt.accesses().enumerate().map(touched).collect(),
            places,
            dependences,
            left_out,
        })
    }
}

impl Value {
    fn of(subscript: &Subscript, found: &[Dated]) -> Option<Value> {
        let Subscript::Affine(index) = subscript else { return None };
        if let Some(affine) = index.affine() {
            return Some(Value::Sum(affine.constant, affine.dims.into_iter().collect()));
        }
        let each = |one: &Dated| Index::eval(index, &one.instance.point, &[]);
        found.iter().map(each).collect::<Option<Vec<i64>>>().map(|values| Value::Each(Column::of(values)))
    }
}

/// The dependences of a statement on itself, by kind and distance, and how many are left out.
fn ways(name: &str, found: &[Dated], deps: &Dependences) -> isl::Result<(Vec<Way>, Option<usize>)> {
    let places: BTreeMap<&[i64], usize> =
        found.iter().enumerate().map(|(at, one)| (one.instance.point.as_slice(), at)).collect();
    let (mut all, mut left_out) = (Vec::new(), Some(0));
    for kind in DependenceKind::ALL {
        let mut by_distance: BTreeMap<Vec<i64>, BTreeSet<usize>> = BTreeMap::new();
        for map in deps.of(kind).maps()? {
            if map.tuple_name(isl::Dim::In)? != name || map.tuple_name(isl::Dim::Out)? != name {
                continue;
            }
            let Some(pairs) = map.wrap()?.points(PAIRS)? else {
                left_out = None;
                continue;
            };
            for pair in pairs {
                let (from, to) = pair.split_at(pair.len() / 2);
                let by = from.iter().zip(to).map(|(from, to)| to - from).collect();
                if let Some(&at) = places.get(from) {
                    by_distance.entry(by).or_default().insert(at);
                }
            }
        }
        let mut sorted: Vec<(Vec<i64>, BTreeSet<usize>)> = by_distance.into_iter().collect();
        let length = |by: &[i64]| by.iter().map(|one| one.unsigned_abs()).sum::<u64>();
        sorted.sort_by_key(|(by, _)| length(by));
        let total: usize = sorted.iter().map(|(_, from)| from.len()).sum();
        let most = if total > ARROWS * found.len() { found.len() } else { total };
        let (mut kept, points) = (0, places.keys().copied().collect::<HashSet<&[i64]>>());
        for (number, (by, from)) in sorted.into_iter().enumerate() {
            if number > 0 && (kept >= most || number >= WAYS) {
                break;
            }
            kept += from.len();
            let later = |point: &[i64]| -> Vec<i64> { point.iter().zip(&by).map(|(at, by)| at + by).collect() };
            let possible = found.iter().filter(|one| points.contains(later(&one.instance.point).as_slice())).count();
            let count = from.len();
            let from = (possible != count).then(|| Column::of(from.iter().map(|&at| at as i64)));
            all.push(Way { kind: kind.to_string(), by, count, from });
        }
        left_out = left_out.map(|others| others + total - kept);
    }
    Ok((all, left_out))
}
