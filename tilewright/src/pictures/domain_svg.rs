//! Instances of a statement, drawn: points coloured by time, the order as a path, tiles, vectors, dependences.

use std::collections::BTreeMap;

use super::domain::{Domain, Point};
use super::svg::{Anchor, Canvas, colour, width_of};

/// Pixels of the longer side of the plane, about.
const PLANE: f64 = 560.0;
/// Pixels between neighbours, at least and at most.
const CELL: (f64, f64) = (13.0, 44.0);
/// What is around the plane: left, above, right, below.
const AROUND: [f64; 4] = [56.0, 92.0, 28.0, 52.0];

/// Where points are on the canvas.
struct Plane<'a> {
    domain: &'a Domain,
    low: [i64; 2],
    high: [i64; 2],
    cell: f64,
    by_place: BTreeMap<[i64; 2], &'a Point>,
}

/// The picture.
pub(super) fn svg(domain: &Domain) -> String {
    let plane = Plane::of(domain);
    let caption = caption(domain);
    let (width, height) = plane.size();
    let widest = caption.iter().map(|line| width_of(line)).fold(0.0, f64::max);
    let mut canvas = Canvas::new(width.max(widest + 2.0 * 16.0), height + 15.0 * (caption.len() - 1) as f64);
    canvas.text("title", (16.0, 24.0), Anchor::Start, &format!("{}: {}", domain.statement, domain.formula));
    plane.threads(&mut canvas);
    plane.partial_tiles(&mut canvas);
    plane.vectors(&mut canvas);
    plane.axes(&mut canvas);
    plane.order(&mut canvas);
    plane.borders(&mut canvas);
    plane.arrows(&mut canvas);
    plane.points(&mut canvas);
    legend(domain, &mut canvas);
    for (at, line) in caption.iter().enumerate() {
        canvas.text("soft", (16.0, height - 12.0 + 15.0 * at as f64), Anchor::Start, line);
    }
    canvas.finish(&format!("The instances of {} in {}", domain.statement, domain.dims.join(" and ")))
}

impl<'a> Plane<'a> {
    fn of(domain: &'a Domain) -> Plane<'a> {
        let end = |dim: usize, better: fn(i64, i64) -> i64| {
            domain.points.iter().map(|point| point.at[dim]).reduce(better).unwrap_or(0)
        };
        let (low, high) = ([end(0, i64::min), end(1, i64::min)], [end(0, i64::max), end(1, i64::max)]);
        let longest = (0..2).map(|dim| high[dim] - low[dim] + 1).max().unwrap_or(1);
        let cell = (PLANE / longest as f64).clamp(CELL.0, CELL.1);
        let by_place = domain.points.iter().map(|point| (point.at, point)).collect();
        Plane { domain, low, high, cell, by_place }
    }

    fn extent(&self, dim: usize) -> f64 {
        (self.high[dim] - self.low[dim] + 1) as f64 * self.cell
    }

    fn size(&self) -> (f64, f64) {
        let [left, above, right, below] = AROUND;
        (left + self.extent(1) + right, above + self.extent(0) + below)
    }

    /// The upper left corner of the cell of a point.
    fn corner(&self, at: [i64; 2]) -> (f64, f64) {
        let offset = |dim: usize| (at[dim] - self.low[dim]) as f64 * self.cell;
        (AROUND[0] + offset(1), AROUND[1] + offset(0))
    }

    fn centre(&self, at: [i64; 2]) -> (f64, f64) {
        let (x, y) = self.corner(at);
        (x + self.cell / 2.0, y + self.cell / 2.0)
    }

    fn radius(&self) -> f64 {
        (self.cell * 0.24).clamp(3.0, 8.5)
    }

    /// Every second iteration of the parallel loop has a ground of its own.
    fn threads(&self, canvas: &mut Canvas) {
        for point in &self.domain.points {
            if point.thread.is_some_and(|thread| thread.rem_euclid(2) == 1) {
                canvas.rect("lane", self.corner(point.at), (self.cell, self.cell), 0.0);
            }
        }
    }

    fn partial_tiles(&self, canvas: &mut Canvas) {
        let Some(level) = self.domain.tiles.first() else { return };
        for point in self.domain.points.iter().filter(|point| !level[point.tiles[0]].whole) {
            canvas.rect("partial", self.corner(point.at), (self.cell, self.cell), 0.0);
        }
    }

    fn vectors(&self, canvas: &mut Canvas) {
        for [from, to] in &self.domain.vectors {
            canvas.thick("vector", self.radius() * 3.2, self.centre(*from), self.centre(*to));
        }
    }

    fn axes(&self, canvas: &mut Canvas) {
        let [left, above, ..] = AROUND;
        let dims = &self.domain.dims;
        let every = |dim: usize| {
            let count = self.high[dim] - self.low[dim] + 1;
            // As many numbers as there is room for, the first among them.
            let room = ((count as f64 * self.cell) / 34.0).max(1.0) as i64;
            [1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100]
                .into_iter()
                .find(|step| count / step <= room)
                .unwrap_or(128)
        };
        if let Some(right) = dims.last() {
            for value in (self.low[1]..=self.high[1]).step_by(every(1) as usize) {
                let (x, _) = self.centre([self.low[0], value]);
                canvas.text("soft", (x, above - 8.0), Anchor::Middle, &value.to_string());
            }
            canvas.text("", (left + self.extent(1) / 2.0, above - 24.0), Anchor::Middle, &format!("{right} →"));
        }
        if let [down, _] = dims.as_slice() {
            for value in (self.low[0]..=self.high[0]).step_by(every(0) as usize) {
                let (_, y) = self.centre([value, self.low[1]]);
                canvas.text("soft", (left - 8.0, y + 4.0), Anchor::End, &value.to_string());
            }
            canvas.text("", (left - 34.0, above + self.extent(0) / 2.0), Anchor::Middle, &format!("{down} ↓"));
        }
    }

    /// A path for each thread, through its points in the order of their first instances.
    fn order(&self, canvas: &mut Canvas) {
        let mut threads: BTreeMap<Option<i64>, Vec<&Point>> = BTreeMap::new();
        self.domain.points.iter().for_each(|point| threads.entry(point.thread).or_default().push(point));
        for mut points in threads.into_values() {
            points.sort_by_key(|point| (point.first, point.at));
            // Lanes of a vector are one step.
            points.dedup_by_key(|point| point.first);
            let path: Vec<(f64, f64)> = points.iter().map(|point| self.centre(point.at)).collect();
            if path.len() > 1 {
                canvas.path("order", &path);
            }
        }
    }

    /// Lines between cells that are in different tiles; those of outer levels on top.
    fn borders(&self, canvas: &mut Canvas) {
        for level in (0..self.domain.tiles.len()).rev() {
            let tile = |at: [i64; 2]| self.by_place.get(&at).map(|point| point.tiles[level]);
            let outer = |at: [i64; 2]| self.by_place.get(&at).map(|point| &point.tiles[..level]);
            // An inner border is left out where an outer one is.
            let is_border = |a: [i64; 2], b: [i64; 2]| {
                tile(a) != tile(b) && outer(a) == outer(b) || level == 0 && tile(a) != tile(b)
            };
            let class = if level == 0 { "tile" } else { "subtile" };
            for row in self.low[0]..=self.high[0] + 1 {
                let here = |column: i64| is_border([row - 1, column], [row, column]);
                for (from, to) in runs(self.low[1], self.high[1], here) {
                    canvas.line(class, self.corner([row, from]), self.corner([row, to]));
                }
            }
            for column in self.low[1]..=self.high[1] + 1 {
                let here = |row: i64| is_border([row, column - 1], [row, column]);
                for (from, to) in runs(self.low[0], self.high[0], here) {
                    canvas.line(class, self.corner([from, column]), self.corner([to, column]));
                }
            }
        }
    }

    fn arrows(&self, canvas: &mut Canvas) {
        let radius = self.radius() + 1.0;
        for arrow in &self.domain.arrows {
            let (from, to) = (self.centre(arrow.from), self.centre(arrow.to));
            let (dx, dy) = (to.0 - from.0, to.1 - from.1);
            let length = dx.hypot(dy).max(1.0);
            let (ux, uy) = (dx / length * radius, dy / length * radius);
            let (start, end) = ((from.0 + ux, from.1 + uy), (to.0 - ux, to.1 - uy));
            canvas.line(&format!("arrow {}", arrow.kind), start, end);
            canvas.tip(&arrow.kind, end, start, (self.cell * 0.2).clamp(3.5, 6.5));
        }
    }

    fn points(&self, canvas: &mut Canvas) {
        let last = self.domain.moments.saturating_sub(1).max(1) as f64;
        for point in &self.domain.points {
            let times = match point.instances {
                1 => format!("moment {}", point.first),
                n => format!("{n} instances, moments {} to {}", point.first, point.last),
            };
            let shown = if self.domain.dims.len() < 2 { &point.at[1..] } else { &point.at[..] };
            let names = self.domain.dims.iter().zip(shown).map(|(name, value)| format!("{name} = {value}"));
            let said = names.chain([times]).collect::<Vec<_>>().join(", ");
            canvas.dot(&colour(point.first as f64 / last), self.centre(point.at), self.radius(), &said);
        }
    }
}

/// The longest runs of numbers for which something holds: the first one and the one after the last.
fn runs(low: i64, high: i64, holds: impl Fn(i64) -> bool) -> Vec<(i64, i64)> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    for at in (low..=high).filter(|at| holds(*at)) {
        match found.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => found.push((at, at + 1)),
        }
    }
    found
}

/// The colours from the first moment to the last, and the kinds of arrows that there are.
fn legend(domain: &Domain, canvas: &mut Canvas) {
    const STEPS: usize = 24;
    let top = 36.0;
    canvas.text("soft", (16.0, top + 8.0), Anchor::Start, "first");
    for step in 0..STEPS {
        let place = step as f64 / (STEPS - 1) as f64;
        canvas.swatch(&colour(place), (54.0 + 4.0 * step as f64, top), (4.2, 9.0));
    }
    let mut x = 54.0 + 4.0 * STEPS as f64 + 6.0;
    canvas.text("soft", (x, top + 8.0), Anchor::Start, "last");
    x += 44.0;
    let mut kinds: Vec<&str> = domain.arrows.iter().map(|arrow| arrow.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        canvas.line(&format!("edge {kind}"), (x, top + 5.0), (x + 16.0, top + 5.0));
        canvas.tip(kind, (x + 20.0, top + 5.0), (x, top + 5.0), 6.0);
        canvas.text("soft", (x + 26.0, top + 8.0), Anchor::Start, kind);
        x += 40.0 + width_of(kind);
    }
}

/// What is counted, and the loops, in lines of a bearable length.
fn caption(domain: &Domain) -> Vec<String> {
    let points = domain.points.len();
    let mut counts = vec![match domain.instances {
        instances if instances == points => format!("{points} points"),
        instances => format!("{points} points of {instances} instances"),
    }];
    if let Some(tiles) = domain.tiles.first() {
        let whole = tiles.iter().filter(|tile| tile.whole).count();
        counts.push(format!("{whole} whole tiles, {} cut", tiles.len() - whole));
    }
    counts.push(format!("{} moments", domain.moments));
    if !domain.arrows.is_empty() {
        counts.push(format!("{} dependences", domain.arrows.len() + domain.left_out));
    }
    if domain.left_out > 0 {
        counts.push("the nearest are drawn".into());
    }
    let mut lines = vec![counts.join(", ")];
    let mut line = String::from("loops:");
    for (name, kind) in &domain.loops {
        let said = if kind == "in order" { format!(" {name},") } else { format!(" {name} ({kind}),") };
        if line.chars().count() + said.chars().count() > 84 {
            lines.push(std::mem::take(&mut line));
        }
        line += &said;
    }
    if !domain.loops.is_empty() {
        lines.push(line.trim_end_matches(',').to_string());
    }
    lines
}
