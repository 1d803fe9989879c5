//! The instances of a statement in a plane: when each runs, in which tile, and which depend on each other.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{DependenceKind, Kind, Member, Node, Scop, StmtId, dependences, isl};
use serde::Serialize;

use super::Wanted;
use crate::{Error, Result};
use support::Diagnostic;

/// The most instances that a picture has.
const MOST: usize = 20_000;
/// Arrows of one kind for each point, past which only the nearest ones are kept.
const ARROWS: usize = 4;

/// The instances of a statement, projected to two of its dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// The statement.
    pub statement: String,
    /// What an instance does.
    pub formula: String,
    /// The dimension that goes downwards and the one that goes to the right; the statement's only one goes to the right.
    pub dims: Vec<String>,
    /// The loops around, outermost first, with how they run; those of the statement's first place where it has several.
    pub loops: Vec<(String, String)>,
    /// Instances, all dimensions counted.
    pub instances: usize,
    /// Moments: instances on different threads and in different lanes share them.
    pub moments: usize,
    /// Every point of the plane at which there is an instance, row by row.
    pub points: Vec<Point>,
    /// Tiles, level by level from the outside in.
    pub tiles: Vec<Vec<Tile>>,
    /// Points that are lanes of one vector: the first and the last.
    pub vectors: Vec<[[i64; 2]; 2]>,
    /// Which point depends on which other one.
    pub arrows: Vec<Arrow>,
    /// How many arrows are left out: those from further away, where there were very many.
    pub left_out: usize,
}

/// A point of the plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Where it is.
    pub at: [i64; 2],
    /// The moment of its first instance.
    pub first: usize,
    /// The moment of its last instance.
    pub last: usize,
    /// How many instances there are.
    pub instances: usize,
    /// The tile of each level.
    pub tiles: Vec<usize>,
    /// The iteration of the parallel loop, where that follows from the point.
    pub thread: Option<i64>,
}

/// A tile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tile {
    /// Points in it.
    pub points: usize,
    /// Whether no tile of its level has more.
    pub whole: bool,
}

/// A dependence between two points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Arrow {
    /// `flow`, `anti`, `output` or `reduction`.
    pub kind: String,
    /// The point that runs first.
    pub from: [i64; 2],
    /// The one that depends on it.
    pub to: [i64; 2],
}

/// A loop around a place of the statement, or the number of a child in a sequence.
#[derive(Clone, Copy)]
pub(crate) enum Row<'a> {
    Member(&'a Member),
    Child(usize),
}

/// An instance: its coordinates, and for each row around it the value.
pub(crate) struct Instance {
    /// Of its dimensions.
    pub(crate) point: Vec<i64>,
    /// Of the rows.
    pub(crate) time: Vec<i64>,
    /// The number of its place in the tree.
    pub(crate) place: usize,
}

impl Domain {
    /// The picture of a statement of a scheduled program without parameters.
    ///
    /// # Errors
    /// No such statement or dimension; too many instances.
    pub(super) fn of(scop: &Scop, wanted: &Wanted) -> Result<Domain> {
        let id = statement(scop, wanted.statement.as_deref())?;
        let stmt = &scop.stmts[id];
        let dims = dims(scop, id, &wanted.dims)?;
        let places = places(scop, id)?;
        let (mut instances, mut rows) = (Vec::new(), Vec::new());
        for (number, place) in places.iter().enumerate() {
            let left = MOST - instances.len();
            let found = place.instances(number, left)?.ok_or_else(|| too_large(&stmt.name))?;
            instances.extend(found);
            rows.push(place.rows.clone());
        }
        let at = |point: &[i64]| -> [i64; 2] {
            match dims.as_slice() {
                [down, right] => [point[*down], point[*right]],
                [right] => [0, point[*right]],
                _ => [0, 0],
            }
        };
        let plane = Plane { at: &at, rows: &rows, instances: &instances };
        let (points, tiles) = plane.points();
        let vectors = plane.vectors();
        let moments = points.iter().map(|point| point.last + 1).max().unwrap_or(0);
        let (arrows, left_out) = arrows(scop, &stmt.name, &dims, points.len())?;
        let loops = rows.first().into_iter().flatten().filter_map(|row| match row {
            Row::Member(member) => Some((member.name.clone(), crate::report::word(member.kind))),
            Row::Child(_) => None,
        });
        Ok(Domain {
            statement: stmt.name.clone(),
            formula: polyhedral::text::formula(scop, stmt),
            dims: dims.iter().map(|&dim| stmt.dims[dim].clone()).collect(),
            loops: loops.collect(),
            instances: instances.len(),
            moments,
            points,
            tiles,
            vectors,
            arrows,
            left_out,
        })
    }
}

fn too_large(name: &str) -> Error {
    let message = format!("`{name}` has more than {MOST} instances at these sizes, which are too many for a picture");
    Error::user(Diagnostic::call("TC0949", message).help("give smaller sizes: `-s N=16`"))
}

/// The statement that is asked for; else the one with most dimensions of those that were in the source.
fn statement(scop: &Scop, name: Option<&str>) -> Result<StmtId> {
    if let Some(name) = name {
        return scop.stmt_named(name).ok_or_else(|| {
            let names: Vec<&str> = scop.stmts.values().map(|stmt| stmt.name.as_str()).collect();
            let message = format!("there is no statement `{name}`");
            Error::user(Diagnostic::call("TC0948", message).help(format!("it is one of {}", names.join(", "))))
        });
    }
    let of_source = |id: &StmtId| -> Result<bool> {
        let domain = scop.stmts[*id].domain.to_union_set()?;
        Ok(!scop.origin.intersect_domain(&domain)?.is_empty()?)
    };
    let mut best: Option<StmtId> = None;
    for id in scop.stmts.keys() {
        let dims = |id: StmtId| scop.stmts[id].dims.len();
        if of_source(&id)? && best.is_none_or(|best| dims(id) > dims(best)) {
            best = Some(id);
        }
    }
    best.ok_or_else(|| Error::user(Diagnostic::call("TC0948", "the program has no instances at these sizes")))
}

/// The dimensions that are asked for; else the first two that have several values.
fn dims(scop: &Scop, id: StmtId, wanted: &[String]) -> Result<Vec<usize>> {
    let stmt = &scop.stmts[id];
    let named = |name: &String| {
        stmt.dims.iter().position(|dim| dim == name).ok_or_else(|| {
            let message = format!("`{}` has no dimension `{name}`", stmt.name);
            let help = match stmt.dims.as_slice() {
                [] => "it has none".into(),
                dims => format!("it is one of {}", dims.join(", ")),
            };
            Error::user(Diagnostic::call("TC0948", message).help(help))
        })
    };
    if !wanted.is_empty() {
        let dims = wanted.iter().map(named).collect::<Result<Vec<usize>>>()?;
        return match dims.as_slice() {
            [_] => Ok(dims),
            [a, b] if a != b => Ok(dims),
            _ => Err(Error::user(
                Diagnostic::call("TC0948", "a picture has two dimensions, and each is another one")
                    .help("for example `--dims i,j`"),
            )),
        };
    }
    let mut chosen = Vec::new();
    for dim in 0..stmt.dims.len() {
        let (low, high) = (stmt.domain.dim_min_val(dim as i32)?, stmt.domain.dim_max_val(dim as i32)?);
        let has_several = matches!((low.to_i64(), high.to_i64()), (Ok(low), Ok(high)) if low < high);
        if has_several && chosen.len() < 2 {
            chosen.push(dim);
        }
    }
    let others: Vec<usize> = (0..stmt.dims.len()).filter(|dim| !chosen.contains(dim)).collect();
    chosen.extend(others.into_iter().take(2 - chosen.len().min(2)));
    chosen.sort_unstable();
    Ok(chosen)
}

/// A leaf of the tree that some instances of the statement reach.
pub(crate) struct Reached<'a> {
    instances: isl::UnionSet,
    /// What is around, from the outside in.
    pub(crate) rows: Vec<Row<'a>>,
}

/// Every leaf that instances of a statement reach, in the order of the tree.
pub(crate) fn places(scop: &Scop, id: StmtId) -> isl::Result<Vec<Reached<'_>>> {
    let mut found = Vec::new();
    let instances = scop.tree.domain.intersect(&scop.stmts[id].domain.to_union_set()?)?;
    reach(&scop.tree.root, Reached { instances, rows: Vec::new() }, &mut found)?;
    Ok(found)
}

fn reach<'a>(node: &'a Node, mut here: Reached<'a>, found: &mut Vec<Reached<'a>>) -> isl::Result<()> {
    if here.instances.is_empty()? {
        return Ok(());
    }
    match node {
        Node::Leaf => found.push(here),
        Node::Mark { child, .. } => reach(child, here, found)?,
        Node::Band(band) => {
            here.rows.extend(band.members.iter().map(Row::Member));
            reach(&band.child, here, found)?;
        }
        Node::Sequence(children) | Node::Set(children) => {
            for (at, child) in children.iter().enumerate() {
                let instances = here.instances.intersect(&child.filter)?;
                let rows = here.rows.iter().copied().chain([Row::Child(at)]).collect();
                reach(&child.node, Reached { instances, rows }, found)?;
            }
        }
    }
    Ok(())
}

impl Reached<'_> {
    /// Every instance with the values of its rows; `None` when there are more than `most`.
    pub(crate) fn instances(&self, place: usize, most: usize) -> isl::Result<Option<Vec<Instance>>> {
        let set = self.instances.as_set()?;
        let dims = set.dim(isl::Dim::Set)? as usize;
        let mut map: Option<isl::UnionMap> = None;
        for row in &self.rows {
            let Row::Member(member) = row else { continue };
            let own = member.schedule.intersect_domain(&self.instances)?.to_union_map()?;
            map = Some(match map {
                Some(map) => map.flat_range_product(&own)?,
                None => own,
            });
        }
        let Some(map) = map else {
            let time: Vec<i64> = self.rows.iter().filter_map(child).collect();
            let points = set.points(most)?;
            let one = |point| Instance { point, time: time.clone(), place };
            return Ok(points.map(|points| points.into_iter().map(one).collect()));
        };
        let Some(pairs) = map.as_map()?.wrap()?.points(most)? else { return Ok(None) };
        let one = |pair: Vec<i64>| {
            let (point, values) = pair.split_at(dims);
            let mut values = values.iter().copied();
            let time = self.rows.iter().filter_map(|row| child(row).or_else(|| values.next())).collect();
            Instance { point: point.to_vec(), time, place }
        };
        Ok(Some(pairs.into_iter().map(one).collect()))
    }
}

fn child(row: &Row<'_>) -> Option<i64> {
    match row {
        Row::Child(at) => Some(*at as i64),
        Row::Member(_) => None,
    }
}

/// The instances, and where each is drawn.
struct Plane<'a> {
    at: &'a dyn Fn(&[i64]) -> [i64; 2],
    /// Of each place.
    rows: &'a [Vec<Row<'a>>],
    instances: &'a [Instance],
}

impl Plane<'_> {
    /// How a loop around an instance runs.
    fn kind(&self, one: &Instance, row: usize) -> Option<Kind> {
        match self.rows[one.place].get(row) {
            Some(Row::Member(member)) => Some(member.kind),
            _ => None,
        }
    }

    /// Whether a row is a loop at every place.
    fn is_loop(&self, row: usize) -> bool {
        self.rows.iter().all(|rows| matches!(rows.get(row), Some(Row::Member(_))))
    }

    /// Whether a row is a loop on threads, blocks or their like.
    fn is_apart(&self, row: usize) -> bool {
        self.is_loop(row) && self.instances.first().and_then(|one| self.kind(one, row)).is_some_and(Kind::apart)
    }

    /// The value of a row at each point, where it is one and the same for all instances there.
    fn values(&self, row: usize) -> Option<BTreeMap<[i64; 2], i64>> {
        let mut values = BTreeMap::new();
        for one in self.instances {
            let value = *one.time.get(row)?;
            if *values.entry((self.at)(&one.point)).or_insert(value) != value {
                return None;
            }
        }
        Some(values)
    }

    /// The rows that cut the plane into tiles, level by level: their values stay the same between some neighbours and change
    /// between others, in some direction. A row that does so in no direction that is new to its level begins the next.
    fn levels(&self) -> Vec<Vec<usize>> {
        let depth = self.instances.iter().map(|one| one.time.len()).min().unwrap_or(0);
        let (mut levels, mut seen): (Vec<Vec<usize>>, [bool; 2]) = (Vec::new(), [false; 2]);
        for row in 0..depth {
            let Some(values) = self.is_loop(row).then(|| self.values(row)).flatten() else { continue };
            let cuts = [[1, 0], [0, 1]].map(|step: [i64; 2]| {
                let near = |(at, value): (&[i64; 2], &i64)| {
                    values.get(&[at[0] + step[0], at[1] + step[1]]).map(|next| next == value)
                };
                let same: BTreeSet<bool> = values.iter().filter_map(near).collect();
                same.len() == 2
            });
            if cuts == [false, false] {
                continue;
            }
            if levels.is_empty() || (0..2).all(|dim| seen[dim] || !cuts[dim]) {
                levels.push(Vec::new());
                seen = [false; 2];
            }
            seen = [seen[0] || cuts[0], seen[1] || cuts[1]];
            levels.last_mut().expect("one was begun").push(row);
        }
        levels
    }

    /// The points and the tiles that they are in.
    fn points(&self) -> (Vec<Point>, Vec<Vec<Tile>>) {
        let levels = self.levels();
        let moments = self.moments();
        let differ = |row: usize| self.values(row).is_some_and(|values| differ(&values));
        let thread_row = (0..self.depth()).find(|&row| self.is_apart(row) && differ(row));
        let mut found: BTreeMap<[i64; 2], Point> = BTreeMap::new();
        let mut names: Vec<BTreeMap<Vec<i64>, usize>> = vec![BTreeMap::new(); levels.len()];
        for (one, &moment) in self.instances.iter().zip(&moments) {
            let at = (self.at)(&one.point);
            let mut outer = Vec::new();
            let mut tiles = Vec::new();
            for (level, rows) in levels.iter().enumerate() {
                outer.extend(rows.iter().map(|&row| one.time[row]));
                let next = names[level].len();
                tiles.push(*names[level].entry(outer.clone()).or_insert(next));
            }
            let thread = thread_row.and_then(|row| one.time.get(row).copied());
            let new = Point { at, first: moment, last: moment, instances: 0, tiles, thread };
            let point = found.entry(at).or_insert(new);
            (point.first, point.last) = (point.first.min(moment), point.last.max(moment));
            point.instances += 1;
        }
        let points: Vec<Point> = found.into_values().collect();
        let mut tiles: Vec<Vec<Tile>> = names.iter().map(|names| vec![Tile::default(); names.len()]).collect();
        for point in &points {
            point.tiles.iter().enumerate().for_each(|(level, &tile)| tiles[level][tile].points += 1);
        }
        for level in &mut tiles {
            let most = level.iter().map(|tile| tile.points).max().unwrap_or(0);
            level.iter_mut().for_each(|tile| tile.whole = tile.points == most);
        }
        (points, tiles)
    }

    fn depth(&self) -> usize {
        self.instances.iter().map(|one| one.time.len()).min().unwrap_or(0)
    }

    /// For each instance the number of its moment. What runs at once does so at one: threads and lanes count for nothing.
    fn moments(&self) -> Vec<usize> {
        let key = |one: &Instance| -> Vec<i64> {
            let at_once = |row: usize| self.kind(one, row).is_some_and(Kind::at_once);
            one.time.iter().enumerate().filter(|(row, _)| !at_once(*row)).map(|(_, value)| *value).collect()
        };
        let keys: Vec<Vec<i64>> = self.instances.iter().map(key).collect();
        let all: BTreeSet<&Vec<i64>> = keys.iter().collect();
        let numbers: BTreeMap<&Vec<i64>, usize> = all.into_iter().enumerate().map(|(at, key)| (key, at)).collect();
        keys.iter().map(|key| numbers[key]).collect()
    }

    /// The first and the last point of each vector that is more than one point of the plane.
    fn vectors(&self) -> Vec<[[i64; 2]; 2]> {
        let mut groups: BTreeMap<Vec<i64>, BTreeSet<[i64; 2]>> = BTreeMap::new();
        for one in self.instances {
            let is_vector = |row: &usize| matches!(self.kind(one, *row), Some(Kind::Vector(_)));
            let Some(lanes) = (0..one.time.len()).find(is_vector) else { continue };
            let mut key = one.time.clone();
            key[lanes] = 0;
            groups.entry(key).or_default().insert((self.at)(&one.point));
        }
        let ends = |group: &BTreeSet<[i64; 2]>| Some([*group.first()?, *group.last()?]);
        let found: BTreeSet<[[i64; 2]; 2]> =
            groups.values().filter_map(ends).filter(|ends| ends[0] != ends[1]).collect();
        found.into_iter().collect()
    }
}

fn differ(values: &BTreeMap<[i64; 2], i64>) -> bool {
    values.values().collect::<BTreeSet<_>>().len() > 1
}

/// The dependences of a statement on itself in the plane, and how many of them are left out.
fn arrows(scop: &Scop, name: &str, dims: &[usize], points: usize) -> Result<(Vec<Arrow>, usize)> {
    let (mut found, mut left_out) = (Vec::new(), 0);
    let deps = dependences(scop)?;
    // What is drawn last is on top.
    for kind in DependenceKind::ALL.into_iter().rev() {
        let mut pairs = BTreeSet::new();
        for map in deps.of(kind).maps()? {
            if map.tuple_name(isl::Dim::In)? != name || map.tuple_name(isl::Dim::Out)? != name {
                continue;
            }
            let flat = kept(&kept(&map, isl::Dim::In, dims)?, isl::Dim::Out, dims)?;
            let all = flat.wrap()?.points(MOST * 4)?.ok_or_else(|| too_large(name))?;
            // Dimensions stay in the order of the statement.
            let is_turned = matches!(dims, [down, right] if down > right);
            let turned = |[a, b]: [i64; 2]| if is_turned { [b, a] } else { [a, b] };
            pairs.extend(all.iter().map(|pair| ends(pair).map(turned)).filter(|[from, to]| from != to));
        }
        let all = pairs.len();
        if all > ARROWS * points {
            pairs = nearest(&pairs);
        }
        left_out += all - pairs.len();
        found.extend(pairs.into_iter().map(|[from, to]| Arrow { kind: kind.to_string(), from, to }));
    }
    Ok((found, left_out))
}

/// A relation with some dimensions of one side only.
fn kept(map: &isl::Map, kind: isl::Dim, dims: &[usize]) -> isl::Result<isl::Map> {
    let all = map.dim(kind)? as usize;
    let others = (0..all).rev().filter(|dim| !dims.contains(dim));
    others.into_iter().try_fold(map.clone(), |map, dim| map.project_out(kind, dim as u32, 1))
}

fn ends(pair: &[i64]) -> [[i64; 2]; 2] {
    match pair {
        [a, b, c, d] => [[*a, *b], [*c, *d]],
        [a, b] => [[0, *a], [0, *b]],
        _ => [[0, 0]; 2],
    }
}

/// For each point that others come before, those of them that are as near as any.
fn nearest(pairs: &BTreeSet<[[i64; 2]; 2]>) -> BTreeSet<[[i64; 2]; 2]> {
    let length = |[from, to]: &[[i64; 2]; 2]| (to[0] - from[0]).abs() + (to[1] - from[1]).abs();
    let mut least: BTreeMap<[i64; 2], i64> = BTreeMap::new();
    for pair in pairs {
        let known = least.entry(pair[1]).or_insert(i64::MAX);
        *known = (*known).min(length(pair));
    }
    pairs.iter().filter(|pair| length(pair) == least[&pair[1]]).copied().collect()
}
