//! Bytes that a group of nests would move between the levels of memory: what `polyhedral::traffic` finds with isl's sets for
//! a schedule that there is, for one that is only thought of.
//!
//! The cache of the model is fully associative and evicts the line that was used longest ago. A loop of which one
//! iteration fits it fetches what all of its iterations touch once; one of which an iteration does not fit fetches in each
//! iteration what that one fetches. Of parts one after the other, the later one finds what the earlier one has left when
//! all that is touched since fits. Each level is taken to see all touches, not only those that miss the one before. What is
//! streamed is stored past all of them: it is not fetched for that, and takes no place.

use std::collections::BTreeMap;

use polyhedral::Scop;

use super::shape::{Loop, Part, Ranges, Shape, Store, Touched};

/// Bytes that a cache fetches and writes back.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved {
    /// For each tensor, and each copy of one.
    pub(super) stores: BTreeMap<Store, (f64, f64)>,
}

impl Moved {
    /// Both directions.
    pub(super) fn bytes(&self) -> f64 {
        self.stores.values().map(|(fetched, written)| fetched + written).sum()
    }

    fn add(&mut self, other: &Moved, times: f64) {
        for (store, (fetched, written)) in &other.stores {
            let sum = self.stores.entry(*store).or_default();
            *sum = (sum.0 + fetched * times, sum.1 + written * times);
        }
    }
}

/// A cache: bytes that it holds, and of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) bytes: u64,
    pub(super) line: u64,
}

/// What a shape moves, from a cache that is empty at first, and with what is left in it written back in the end.
pub(super) fn moved(scop: &Scop, shape: &Shape, ranges: &Ranges, level: Level) -> Moved {
    Model { scop, shape, level }.sequence(&shape.parts, ranges)
}

struct Model<'a> {
    scop: &'a Scop,
    shape: &'a Shape,
    level: Level,
}

impl Model<'_> {
    fn sizes(&self, parts: &[Part], ranges: &Ranges) -> BTreeMap<Store, (f64, Touched)> {
        let touched = self.shape.touched(self.scop, parts, ranges);
        let size =
            |(store, one): (Store, Touched)| (store, (self.shape.bytes(self.scop, store, &one, self.level.line), one));
        touched.into_iter().map(size).collect()
    }

    /// Bytes that take a place in the cache.
    fn held(&self, sizes: &BTreeMap<Store, (f64, Touched)>) -> f64 {
        sizes.iter().filter(|(store, _)| !self.shape.is_streamed(store)).map(|(_, (bytes, _))| bytes).sum()
    }

    fn fits(&self, sizes: &BTreeMap<Store, (f64, Touched)>) -> bool {
        self.held(sizes) <= self.level.bytes as f64
    }

    /// Everything once.
    fn once(&self, sizes: BTreeMap<Store, (f64, Touched)>) -> Moved {
        let mut moved = Moved::default();
        for (store, (bytes, touched)) in sizes {
            let fetched = if self.shape.is_streamed(&store) { 0.0 } else { bytes };
            let written = if touched.is_written { bytes } else { 0.0 };
            moved.stores.insert(store, (fetched, written));
        }
        moved
    }

    fn part(&self, part: &Part, ranges: &Ranges) -> Moved {
        match part {
            Part::Loop(inner) => self.loop_over(inner, part, ranges),
            _ => self.once(self.sizes(std::slice::from_ref(part), ranges)),
        }
    }

    fn loop_over(&self, one: &Loop, part: &Part, outside: &Ranges) -> Moved {
        let inside = one.enter(self.shape, self.scop, outside);
        if one.trips <= 1 {
            return self.sequence(&one.body, &inside);
        }
        if self.fits(&self.sizes(&one.body, &inside)) {
            return self.once(self.sizes(std::slice::from_ref(part), outside));
        }
        let moving = self.sequence(&one.moving(self.shape, true), &inside);
        let mut still = self.sequence(&one.moving(self.shape, false), &inside);
        // It runs in an iteration of the others, beside them.
        still.stores.retain(|store, _| !moving.stores.contains_key(store));
        let mut moved = Moved::default();
        moved.add(&moving, one.trips as f64);
        moved.add(&still, 1.0);
        moved
    }

    /// Parts one after the other.
    fn sequence(&self, parts: &[Part], ranges: &Ranges) -> Moved {
        let all = self.sizes(parts, ranges);
        if self.fits(&all) {
            return self.once(all);
        }
        let mut moved = Moved::default();
        for (at, part) in parts.iter().enumerate() {
            let mut own = self.part(part, ranges);
            self.forget_what_is_near(&parts[..=at], ranges, &mut own);
            moved.add(&own, 1.0);
        }
        moved
    }

    /// Takes away what the last part finds of those before it.
    fn forget_what_is_near(&self, parts: &[Part], ranges: &Ranges, own: &mut Moved) {
        let last = parts.len() - 1;
        for (store, (bytes, touched)) in &self.sizes(&parts[last..], ranges) {
            let of = |part: &Part| self.sizes(std::slice::from_ref(part), ranges).remove(store);
            let Some((before, theirs)) = (0..last).rev().find_map(|at| Some((at, of(&parts[at])?))) else { continue };
            if self.shape.is_streamed(store) {
                continue;
            }
            let between = self.held(&self.sizes(&parts[before + 1..last], ranges));
            let since =
                self.window(&parts[before], ranges, *store) + between + self.window(&parts[last], ranges, *store);
            if !self.fits(&self.sizes(&parts[before..], ranges)) && since > self.level.bytes as f64 {
                continue;
            }
            let near = bytes.min(theirs.0);
            let Some(sum) = own.stores.get_mut(store) else { continue };
            let written = if theirs.1.is_written && touched.is_written { near.min(sum.1) } else { 0.0 };
            *sum = (sum.0 - near.min(sum.0), sum.1 - written);
        }
    }

    /// Bytes that a part touches in the innermost iteration in which it touches all that it touches of a tensor: as much
    /// as there is between two uses of an element.
    fn window(&self, part: &Part, ranges: &Ranges, store: Store) -> f64 {
        let all = self.sizes(std::slice::from_ref(part), ranges);
        let whole = all.get(&store).map_or(0.0, |(bytes, _)| *bytes);
        if let Part::Loop(inner) = part {
            let inside = inner.enter(self.shape, self.scop, ranges);
            let is_all = |part: &&Part| {
                self.sizes(std::slice::from_ref(part), &inside).get(&store).is_some_and(|(bytes, _)| *bytes >= whole)
            };
            if let Some(part) = inner.body.iter().find(is_all) {
                return match inner.body.as_slice() {
                    [_] => self.window(part, &inside, store),
                    body => self.held(&self.sizes(body, &inside)),
                };
            }
        }
        self.held(&all)
    }
}
