//! Recurrences: every loop carries a dependence, or the only one without does not write neighbouring elements.
//!
//! Along a row each element waits for the one before it: a core does one operation after the other, however many it could
//! start. Copies of a loop over rows are chains that wait for nothing but themselves (unroll-and-jam: Callahan, Carr,
//! Kennedy, PLDI 1990). Where a row needs the end of what the row before has written nearby, it runs some elements behind:
//! the row loop's values are added to those of the elements (a wavefront: Wolfe, 1986, "Loop skewing").

use std::cmp::Ordering;

use polyhedral::{Access, Subscript};

use super::{Box, Planner, Skew, extent_of};

/// Rows side by side: chains that hide the latency of what one of them does.
const CHAINS: u32 = 8;
/// Rows for each chain, at least: the first and the last elements of rows run apart.
const ROWS: u64 = 4;
/// How far behind each other rows may be: what they touch together is to stay in the first cache.
const FURTHEST: i64 = 8;

impl Planner<'_> {
    /// Runs rows side by side, each some elements behind the one before.
    pub(super) fn recurrence(&mut self) -> Result<(), &'static str> {
        let [.., rows, columns] = self.all().collect::<Vec<_>>()[..] else { return Err("it has one loop only") };
        if self.stmt.body.is_reduce() || self.shared < self.nest.loops.len() {
            return Err("the order of its loops is fixed");
        }
        let distances = self.distances(rows, columns).ok_or("its elements need others at distances that change")?;
        if !distances.contains(&(0, 1)) {
            return Err("its elements do not wait for their neighbours");
        }
        if extent_of(self.one(rows)) < u64::from(CHAINS) * ROWS {
            return Err("it has too few rows to run side by side");
        }
        // One more than what makes it legal: then none waits for the same step of another one.
        let behind = distances.iter().filter(|(rows, _)| *rows > 0).map(|(rows, along)| -(along - 1).div_euclid(*rows));
        let behind = behind.max().unwrap_or(0).max(0);
        if behind > FURTHEST {
            return Err("rows would run too far behind each other");
        }
        if behind > 0 {
            let by = i32::try_from(behind).expect("not further than some rows");
            self.plan.skew = Some(Skew { of: columns, by, along: rows });
        }
        self.plan.boxes[rows] = Some(Box::Unroll(CHAINS));
        Ok(())
    }

    /// From each instance to those that must follow it in the same iteration of all loops outside of `rows`: how many rows and
    /// how many columns further on. None when that is not the same everywhere.
    fn distances(&self, rows: usize, columns: usize) -> Option<Vec<(i64, i64)>> {
        let mut all = Vec::new();
        for write in &self.stmt.writes {
            let written = self.offsets(write)?;
            for other in self.stmt.accesses().filter(|other| other.tensor == write.tensor) {
                let mut apart = vec![None; self.nest.loops.len()];
                for ((at, mine), (other_at, theirs)) in written.iter().zip(self.offsets(other)?) {
                    if *at != other_at || apart[*at].replace(mine - theirs).is_some() {
                        return None;
                    }
                }
                // A pair on different iterations outside is ordered there.
                if apart[..rows].iter().any(|by| by.is_some_and(|by| by != 0)) {
                    continue;
                }
                let (by, along) = (apart[rows]?, apart[columns]?);
                match by.cmp(&0).then(along.cmp(&0)) {
                    Ordering::Greater => all.push((by, along)),
                    Ordering::Less => all.push((-by, -along)),
                    Ordering::Equal => {}
                }
            }
        }
        Some(all)
    }

    /// For each subscript the loop that it is, and what is added to it; none for any other subscript.
    fn offsets(&self, access: &Access) -> Option<Vec<(usize, i64)>> {
        let offset = |subscript: &Subscript| {
            let Subscript::Affine(index) = subscript else { return None };
            let affine = index.affine().filter(|affine| affine.params.is_empty())?;
            let [(dim, 1)] = affine.dims.iter().map(|(dim, by)| (*dim, *by)).collect::<Vec<_>>()[..] else {
                return None;
            };
            Some((self.all().find(|&at| self.one(at).dim(self.id) == Some(dim))?, affine.constant))
        };
        access.index.iter().map(offset).collect()
    }
}
