//! When the lines of a tensor are touched.

use super::grains::Grains;
use super::point::{Strip, fixed};
use crate::count::{Count, count};
use crate::footprint::coalesced;
use crate::isl;

/// The touches of one tensor's lines, or those that write.
pub(super) struct Touches {
    /// `{ time -> line }`.
    pub at: isl::Map,
    /// By length of the prefix of time, from none on.
    pub prefixes: Vec<Prefix>,
}

/// What is touched at the prefixes of time of one length.
pub(super) struct Prefix {
    /// `{ prefix -> line }`.
    pub lines: isl::Map,
    /// The same as a set.
    wrapped: isl::Set,
    /// How many pairs of a prefix and a line these are.
    pub points: Count,
}

impl Touches {
    /// Of the instances' touches; `None` when there are none.
    pub fn new(grains: &Grains, lines: &isl::UnionMap) -> isl::Result<Option<Touches>> {
        let map = grains.times.reverse()?.apply_range(lines)?;
        if map.is_empty()? {
            return Ok(None);
        }
        let at = coalesced(&map.as_map()?, isl::Map::coalesce)?;
        let depth = grains.depth as u32;
        let prefix = |length: u32| -> isl::Result<Prefix> {
            let lines = coalesced(&at.project_out(isl::Dim::In, length, depth - length)?, isl::Map::coalesce)?;
            let wrapped = lines.wrap()?;
            let points = count(&wrapped)?;
            Ok(Prefix { lines, wrapped, points })
        };
        let prefixes = (0..=depth).map(prefix).collect::<isl::Result<_>>()?;
        Ok(Some(Touches { at, prefixes }))
    }

    /// The second touches of the pairs that the last coordinate of a prefix carries, as a relation `{ prefix -> line }`:
    /// first those whose line is touched in the iteration of that coordinate just before, then those whose line is
    /// touched in one before that only.
    pub fn seconds(&self, length: usize) -> isl::Result<[isl::Map; 2]> {
        let map = &self.prefixes[length].lines;
        let names = |prefix: char| (0..length).map(|at| format!("{prefix}{at}")).collect::<Vec<_>>().join(", ");
        let last = length - 1;
        let earlier = |condition: String| -> isl::Result<isl::Map> {
            let equal = (0..last).map(|at| format!("s{at} = t{at}"));
            let conditions = equal.chain([condition]).collect::<Vec<_>>().join(" and ");
            let text = format!("{{ [{}] -> [{}] : {conditions} }}", names('t'), names('s'));
            isl::Map::read(map.ctx(), &text)?.apply_range(map)?.intersect(map)
        };
        let near = earlier(format!("s{last} = t{last} - 1"))?;
        let far = earlier(format!("s{last} < t{last} - 1"))?.subtract(&near)?;
        Ok([near, far])
    }

    /// When a line is touched.
    pub fn times_of(&self, line: &[i64]) -> isl::Result<isl::Set> {
        let fix = |map: isl::Map, (at, &x): (usize, &i64)| map.fix(isl::Dim::Out, at as u32, x);
        line.iter().enumerate().try_fold(self.at.clone(), fix)?.domain()
    }

    /// The lines that are touched in some strips of time.
    pub fn lines_in(&self, strips: &[Strip]) -> isl::Result<isl::Set> {
        let mut all: Option<isl::Set> = None;
        for strip in strips {
            let length = strip.prefix.len() as u32 + 1;
            let within = strip.bound(&fixed(&self.prefixes[length as usize].wrapped, &strip.prefix)?)?;
            let lines = within.project_out(isl::Dim::Set, 0, length)?;
            all = Some(match all {
                Some(all) => all.union(&lines)?,
                None => lines,
            });
        }
        let Some(all) = all else { return self.at.range()?.space()?.empty_set() };
        coalesced(&all, isl::Set::coalesce)
    }
}
