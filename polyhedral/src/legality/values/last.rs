//! What an access finds, read off the tree: from the innermost loop outwards, the writes of the same iteration that come
//! before it, then those of earlier iterations.
//!
//! The rows of a tree (its loops, and the positions in its sequences) order instances lexicographically: of two that
//! agree on some rows, the next one tells which is earlier. So what a reader finds in its cell is decided row by row from
//! the inside: whatever is earlier by an inner row only is later than all that is earlier by an outer one. As soon as one
//! of the writes surely happens, rows further out are hidden from that reader; and of those that a row separates from the reader,
//! the last one counts. This is the analysis of Feautrier (Dataflow Analysis of Array and Scalar References, IJPP 1991) with the
//! rows of a schedule tree for the depths of loops. Most readers of a copy find all within the iteration that made it,
//! where every cell has one writer, so that a maximum is seldom looked for.

use std::collections::BTreeMap;

use crate::isl;
use crate::legality::placed::{Apart, Row};

/// An access of the instances at one place.
#[derive(Clone)]
pub(super) struct Access {
    /// What the instances are called as writers.
    pub name: String,
    /// From the points to the cells.
    pub cells: isl::Map,
    /// From the points to the elements, where several of them may share a cell.
    pub elements: Option<isl::Map>,
    /// From the points to the instances.
    pub instances: isl::Map,
    /// Whether it is a write that hides what was there.
    pub hides: bool,
    pub rows: Vec<Row>,
    /// Whether the instances run in the order of their coordinates.
    pub is_in_order: bool,
    /// Whether it comes after everything.
    pub is_end: bool,
}

/// What a reader finds.
pub(super) struct Found {
    /// From the reader to the writers, as they are called.
    pub writers: isl::UnionMap,
    /// The readers whose cells nothing surely wrote.
    pub unwritten: isl::Set,
}

impl Access {
    /// A reader after everything.
    pub fn at_the_end(name: String, cells: isl::Map) -> isl::Result<Access> {
        let instances = cells.domain()?.identity()?;
        let (elements, rows) = (None, Vec::new());
        Ok(Access { name, cells, elements, instances, hides: false, rows, is_in_order: false, is_end: true })
    }

    /// What this reader finds of `writers`, all of one tensor; `None` when that takes more than is done here: a row at
    /// which one of several kinds of writers may have been the last, and at which they are not of one iteration.
    pub fn finds(&self, writers: &[Access]) -> isl::Result<Option<Found>> {
        let (unwritten, found) = (self.cells.domain()?, isl::UnionMap::empty(self.cells.ctx())?);
        let mut search = Search { elements: self.elements.as_ref(), unwritten, all: true, found };
        let candidates = writers.iter().map(|writer| Candidate::of(self, writer)).collect::<isl::Result<Vec<_>>>()?;
        for depth in (0..self.rows.len() + usize::from(self.is_end)).rev() {
            for group in self.earlier_at(depth, &candidates)? {
                if !search.add(group, depth)? {
                    return Ok(None);
                }
                if search.unwritten.is_empty()? {
                    return search.done(&self.instances).map(Some);
                }
            }
        }
        search.done(&self.instances).map(Some)
    }

    /// The writes that row `depth` is the first to separate from the reader, and that are earlier: those that may be
    /// mixed in time together, later ones first.
    fn earlier_at<'a>(
        &self,
        depth: usize,
        candidates: &'a [Candidate<'a>],
    ) -> isl::Result<Vec<Vec<(&'a Access, isl::Map)>>> {
        let mut groups: BTreeMap<usize, Vec<(&Access, isl::Map)>> = BTreeMap::new();
        for Candidate { writer, together } in candidates {
            let Some(pairs) = together.get(depth) else { continue };
            let position = match writer.rows.get(depth) {
                Some(Row::Position { at, .. }) => *at,
                _ => 0,
            };
            let earlier = match (self.rows.get(depth), writer.rows.get(depth)) {
                (Some(mine), Some(theirs)) => match mine.apart(*theirs) {
                    Apart::Always { before: false, .. } => pairs.clone(),
                    Apart::By(values) => values.gt(pairs)?,
                    Apart::Always { before: true, .. } | Apart::Never => continue,
                },
                (None, _) if self.is_end => pairs.clone(),
                _ => continue,
            };
            groups.entry(position).or_default().push((writer, earlier));
        }
        Ok(groups.into_values().rev().collect())
    }

    /// Of what each reader of `pairs`, which agrees with these writers on the rows above `depth` and names `elements`,
    /// finds: the last.
    fn last_of(&self, pairs: &isl::Map, depth: usize, elements: Option<&isl::Map>) -> isl::Result<isl::Map> {
        if pairs.is_single_valued()? {
            return Ok(pairs.clone());
        }
        if let Some(last) = self.last_as_named(pairs, depth, elements)? {
            return Ok(last);
        }
        if self.is_in_order {
            return pairs.lexmax();
        }
        let Some(times) = self.times(depth)? else { return Ok(pairs.clone()) };
        let last = pairs.apply_range(&times)?.lexmax()?;
        last.apply_range(&times.reverse()?)?.intersect(pairs)
    }

    /// The same where each reader finds the element that it names, of all that share its cell, since none of the others is
    /// later: to see that takes no maximum. A folded tensor is read so, unless the fold is too narrow.
    fn last_as_named(
        &self,
        pairs: &isl::Map,
        depth: usize,
        elements: Option<&isl::Map>,
    ) -> isl::Result<Option<isl::Map>> {
        let (Some(read), Some(written)) = (elements, &self.elements) else { return Ok(None) };
        let named = read.apply_range(&written.reverse()?)?.intersect(pairs)?;
        if !named.is_single_valued()? || !pairs.domain()?.is_subset(&named.domain()?)? {
            return Ok(None);
        }
        let mut later = named.reverse()?.apply_range(pairs)?;
        for row in self.rows.iter().skip(depth) {
            let Row::Member { coordinate: at, .. } = *row else { continue };
            if !later.order_lt(isl::Dim::In, at, isl::Dim::Out, at)?.is_empty()? {
                return Ok(None);
            }
            later = later.equate(isl::Dim::In, at, isl::Dim::Out, at)?;
        }
        Ok(Some(named))
    }

    /// From the points to the values of the members from row `depth` on; `None` when there are none.
    fn times(&self, depth: usize) -> isl::Result<Option<isl::Map>> {
        let space = self.cells.domain()?.space()?;
        let mut times: Option<isl::Map> = None;
        for row in self.rows.iter().skip(depth) {
            let Row::Member { coordinate, .. } = row else { continue };
            let value = space.zero_aff()?.add_coefficient_si(isl::Dim::In, *coordinate as i32, 1)?;
            let value = value.to_pw_aff()?.to_map()?;
            times = Some(match times {
                Some(times) => times.flat_range_product(&value)?,
                None => value,
            });
        }
        Ok(times)
    }
}

/// A writer, and how it meets a reader.
struct Candidate<'a> {
    writer: &'a Access,
    /// By depth: from the reader to the writer's instances of the same cell that agree with it on all rows above.
    together: Vec<isl::Map>,
}

impl<'a> Candidate<'a> {
    fn of(reader: &Access, writer: &'a Access) -> isl::Result<Candidate<'a>> {
        let mut together = vec![reader.cells.apply_range(&writer.cells.reverse()?)?];
        for (mine, theirs) in reader.rows.iter().zip(&writer.rows) {
            let pairs = together.last().expect("it begins with one");
            let agreeing = match mine.apart(*theirs) {
                Apart::By(values) => values.eq(pairs)?,
                Apart::Never => pairs.clone(),
                Apart::Always { .. } => break,
            };
            if agreeing.n_basic_map()? == 0 {
                break;
            }
            together.push(agreeing);
        }
        Ok(Candidate { writer, together })
    }
}

/// Whether each reader meets all writers of a group at one value of the member at row `depth`.
fn is_one_iteration(group: &[(&Access, isl::Map)], depth: usize) -> isl::Result<bool> {
    let mut values: Option<isl::Map> = None;
    for (writer, pairs) in group {
        let Some(coordinate) = writer.rows.get(depth).and_then(|row| row.coordinate()) else { return Ok(false) };
        let behind = pairs.dim(isl::Dim::Out)? - coordinate - 1;
        let value = pairs.project_out(isl::Dim::Out, coordinate + 1, behind)?;
        let value = value.project_out(isl::Dim::Out, 0, coordinate)?.with_tuple_name(isl::Dim::Out, "value")?;
        values = Some(match values {
            Some(values) => values.union(&value)?,
            None => value,
        });
    }
    values.map_or(Ok(true), |values| values.is_single_valued())
}

/// How far the search for what a reader finds has come.
struct Search<'a> {
    /// The elements that the readers name, where several may share a cell.
    elements: Option<&'a isl::Map>,
    /// The readers that found no write that surely happened.
    unwritten: isl::Set,
    /// Whether these are all readers.
    all: bool,
    found: isl::UnionMap,
}

impl Search<'_> {
    /// Adds what the readers that still look find in a group, whose writers agree on the rows above `depth`; whether it
    /// could be told.
    fn add(&mut self, group: Vec<(&Access, isl::Map)>, depth: usize) -> isl::Result<bool> {
        let mut here = Vec::new();
        for (writer, pairs) in group {
            let pairs = if self.all { pairs } else { pairs.intersect_domain(&self.unwritten)? };
            if !pairs.is_empty()? {
                here.push((writer, pairs));
            }
        }
        let hiding = here.iter().filter(|(writer, _)| writer.hides).count();
        if hiding > 0 && here.len() > 1 {
            return self.add_apart(here, depth);
        }
        for (writer, pairs) in here {
            let pairs = if writer.hides { writer.last_of(&pairs, depth, self.elements)? } else { pairs };
            if writer.hides {
                let written = pairs.domain()?;
                self.unwritten = match self.unwritten.is_subset(&written)? {
                    true => self.unwritten.subtract(&self.unwritten)?,
                    false => self.unwritten.subtract(&written)?.coalesce()?,
                };
                self.all = false;
            }
            let named = pairs.apply_range(&writer.instances)?.with_tuple_name(isl::Dim::Out, &writer.name)?;
            self.found = self.found.union(&named.to_union_map()?)?;
        }
        Ok(true)
    }

    /// The same for several kinds of writers, of which one may hide the others: where each reader meets all of them in one
    /// iteration of the loop at this row, the next row tells them apart; in a sequence, those that come later hide those
    /// that come before.
    fn add_apart(&mut self, group: Vec<(&Access, isl::Map)>, depth: usize) -> isl::Result<bool> {
        let same = |row: &Row| match (group[0].0.rows.get(depth), row) {
            (Some(Row::Member { member, .. }), Row::Member { member: other, .. }) => member == other,
            (Some(Row::Position { node, .. }), Row::Position { node: other, .. }) => node == other,
            _ => false,
        };
        if !group.iter().all(|(writer, _)| writer.rows.get(depth).is_some_and(same)) {
            return Ok(false);
        }
        if let Some(Row::Member { .. }) = group[0].0.rows.get(depth) {
            return Ok(is_one_iteration(&group, depth)? && self.add(group, depth + 1)?);
        }
        let mut positions: BTreeMap<usize, Vec<(&Access, isl::Map)>> = BTreeMap::new();
        for (writer, pairs) in group {
            if let Some(Row::Position { at, .. }) = writer.rows.get(depth) {
                positions.entry(*at).or_default().push((writer, pairs));
            }
        }
        for later in positions.into_values().rev() {
            if !self.add(later, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn done(self, instances: &isl::Map) -> isl::Result<Found> {
        let to_instances = instances.to_union_map()?;
        Ok(Found { writers: self.found.apply_domain(&to_instances)?, unwritten: self.unwritten.apply(instances)? })
    }
}
