//! Where large programs are divided into parts that are scheduled by themselves.

use std::collections::BTreeMap;
use std::ops::Range;

use polyhedral::{Outline, Scop, isl};
use support::Repeat;

use crate::nest;

/// Programs with fewer statements are scheduled as a whole.
const LARGE: usize = 64;

/// The most statements of a part that is divided no further.
const MOST: usize = 48;

/// The fewest nests of a part that is there several times: what is shorter would keep nests apart that could run together.
const LEAST: usize = 12;

/// What an extent counts that only the call knows.
const UNKNOWN: u64 = 256;

/// The nests at the top of a program, in the order of the source, at which its parts begin; one part for a program of less
/// than 64 statements.
///
/// What is in one part may run together, what is in two may not, and what takes time that grows faster than the program,
/// takes it for each part by itself. Where the same nests, but for the tensors, stand several times in a row, as the layers
/// of a network do, each time is a part: they are scheduled once. Such parts are cut where least is passed on, as are all
/// others that are larger than 48 statements, into the fewest bytes between them in all.
///
/// # Errors
/// When isl fails.
pub fn parts(scop: &Scop) -> isl::Result<Vec<usize>> {
    let outline = Outline::of(scop)?;
    if !scop.is_source() || outline.is_empty() || scop.stmts.len() < LARGE {
        return Ok(vec![0]);
    }
    let division = Division::of(scop, &outline);
    let mut starts = Vec::new();
    division.divide(0..outline.len(), &mut starts);
    Ok(starts)
}

struct Division<'a> {
    outline: &'a Outline<'a>,
    /// Equal for nests with equal forms.
    forms: Vec<usize>,
    /// Bytes that are passed on where the program is cut in front of each nest.
    passed: Vec<u64>,
}

impl<'a> Division<'a> {
    fn of(scop: &Scop, outline: &'a Outline<'a>) -> Division<'a> {
        let mut known = BTreeMap::new();
        let mut number = |form: String| {
            let next = known.len();
            *known.entry(form).or_insert(next)
        };
        let forms = (0..outline.len()).map(|nest| number(outline.form(nest..nest + 1))).collect();
        let bytes = |nest| outline.passed_to(nest).map(|id| nest::bytes(scop, id, UNKNOWN));
        let passed = (0..outline.len()).map(|nest| bytes(nest).fold(0, u64::saturating_add)).collect();
        Division { outline, forms, passed }
    }

    /// Adds where the parts of some nests begin.
    fn divide(&self, nests: Range<usize>, starts: &mut Vec<usize>) {
        if nests.is_empty() {
            return;
        }
        if self.outline.stmts(nests.clone()) <= MOST {
            return starts.push(nests.start);
        }
        let Some(Repeat { start, period, count, slack }) = Repeat::longest(&self.forms[nests.clone()], LEAST) else {
            return starts.extend(self.cuts(nests));
        };
        let earliest = nests.start + start;
        let first = (earliest..=earliest + slack).min_by_key(|at| self.passed[*at]).unwrap_or(earliest);
        self.divide(nests.start..first, starts);
        // All are divided like the first, whatever follows the last.
        let mut inside = Vec::new();
        self.divide(first..first + period, &mut inside);
        for at in 0..count {
            starts.extend(inside.iter().map(|start| start + at * period));
        }
        self.divide(first + count * period..nests.end, starts);
    }

    /// Where to cut nests of which nothing is there twice in a row, so that no part is larger than need be and the least
    /// is passed on in all; then with the fewest cuts, each as late as possible.
    fn cuts(&self, nests: Range<usize>) -> Vec<usize> {
        let fits = |start: usize, end: usize| end == start + 1 || self.outline.stmts(start..end) <= MOST;
        // Of each place, from the end: what the parts from there on cost, and where the first of them ends.
        let mut best: BTreeMap<usize, ((u64, usize), usize)> = BTreeMap::from([(nests.end, ((0, 0), nests.end))]);
        for start in nests.clone().rev() {
            let ends = (start + 1..=nests.end).take_while(|&end| fits(start, end));
            let cost = |end: usize| {
                let (bytes, cuts) = best[&end].0;
                let passed = if end == nests.end { 0 } else { self.passed[end] };
                (bytes.saturating_add(passed), cuts + 1)
            };
            let chosen = ends.map(|end| (cost(end), end)).min_by_key(|&(cost, end)| (cost, std::cmp::Reverse(end)));
            best.extend(chosen.map(|chosen| (start, chosen)));
        }
        let mut starts = vec![nests.start];
        while let Some(&(_, end)) = starts.last().and_then(|start| best.get(start))
            && end < nests.end
        {
            starts.push(end);
        }
        starts
    }
}
