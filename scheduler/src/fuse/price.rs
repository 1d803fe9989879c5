//! What a group would cost: cycles of its arithmetic and of what it moves, on the threads that it keeps busy.

use std::collections::BTreeMap;

use polyhedral::{Scop, TensorId};
use support::Target;

use super::graph::touched;
use super::moved::{Level, Moved, moved};
use super::shape::{Ranges, Shape};
use crate::cost;
use crate::nest::{self, Nest};

/// The part of a cache that what is used again may fill: other things pass through it too.
const SHARE: f64 = 0.75;

/// The part of what takes less time, computing or moving, that does not happen beside the other.
const BESIDE: f64 = 0.1;

/// What an extent that is no number counts as: many.
const UNKNOWN: u64 = 1024;

/// What is known of a program before groups are looked at.
pub(super) struct Program<'a> {
    pub(super) scop: &'a Scop,
    pub(super) target: &'a Target,
    pub(super) nests: &'a [Nest],
    /// The values of all dimensions; none where they depend on sizes.
    pub(super) ranges: Option<Ranges>,
    /// For each nest and each tensor of it, the bytes of all tensors that are touched from its last use before on.
    near: Vec<BTreeMap<TensorId, u64>>,
    /// Bytes of all tensors.
    whole: u64,
}

impl<'a> Program<'a> {
    pub(super) fn of(scop: &'a Scop, target: &'a Target, nests: &'a [Nest], ranges: Option<Ranges>) -> Program<'a> {
        let size = |id: TensorId| nest::bytes(scop, id, UNKNOWN);
        let all: Vec<_> = nests.iter().map(|nest| touched(scop, nest).0).collect();
        let whole = scop.tensors.keys().map(size).fold(0, u64::saturating_add);
        let since = |at: usize, id: TensorId| {
            let Some(last) = (0..at).rev().find(|&before| all[before].contains(&id)) else { return whole };
            let mut between: Vec<TensorId> = all[last..=at].iter().flatten().copied().collect();
            between.sort_unstable();
            between.dedup();
            between.into_iter().map(size).fold(0, u64::saturating_add)
        };
        let near =
            all.iter().enumerate().map(|(at, ids)| ids.iter().map(|&id| (id, since(at, id))).collect()).collect();
        Program { scop, target, nests, ranges, near, whole }
    }

    /// The cycles of a shape that runs some nests and computes for so long, some of it beside nothing, on threads that share `trips` iterations. What an earlier nest has left in a cache is there.
    pub(super) fn price(&self, nests: &[usize], shape: &Shape, (computed, waiting): (f64, f64), trips: u64) -> f64 {
        let Some(ranges) = &self.ranges else { return self.on_threads(computed + waiting, trips) };
        let (levels, mut nearer, mut outside) = (self.target.caches.len(), f64::INFINITY, 0.0);
        for (at, cache) in self.target.caches.iter().enumerate() {
            let level = Level { bytes: (cache.bytes as f64 * SHARE) as u64, line: cache.line.into() };
            let mut all = moved(self.scop, shape, ranges, level);
            self.forget_what_is_near(nests, shape, Level { bytes: cache.bytes, ..level }, &mut all, ranges);
            // What this cache does not have comes from the next one, or from further away.
            let bytes = all.bytes().min(nearer);
            let here = cost::bytes_per_cycle(at, levels);
            let next = at.checked_sub(1).map_or(0.0, |at| bytes / cost::bytes_per_cycle(at, levels));
            outside += bytes / here - next;
            nearer = bytes;
        }
        self.on_threads(computed.max(outside) + BESIDE * computed.min(outside) + waiting, trips)
    }

    /// The bytes that each cache exchanges with what is beyond it, from caches that are empty at first.
    pub(super) fn bytes(&self, shape: &Shape) -> Vec<u64> {
        let Some(ranges) = &self.ranges else { return Vec::new() };
        let level = |cache: &support::Cache| Level { bytes: cache.bytes, line: cache.line.into() };
        let caches = self.target.caches.iter();
        caches.map(|cache| moved(self.scop, shape, ranges, level(cache)).bytes().round() as u64).collect()
    }

    /// Takes away what a cache has from before.
    fn forget_what_is_near(&self, nests: &[usize], shape: &Shape, level: Level, moved: &mut Moved, ranges: &Ranges) {
        if self.whole <= level.bytes {
            return moved.stores.clear();
        }
        for (store, touched) in shape.touched(self.scop, &shape.parts, ranges) {
            let first = nests.iter().find_map(|&nest| self.near[nest].get(&store.tensor));
            if !store.is_copy && first.is_some_and(|&since| since <= level.bytes) {
                let bytes = shape.bytes(self.scop, store, &touched, level.line);
                moved.stores.entry(store).and_modify(|moved| moved.0 = (moved.0 - bytes).max(0.0));
            }
        }
    }

    /// Cycles on all threads, where that is worth it.
    fn on_threads(&self, cycles: f64, trips: u64) -> f64 {
        let threads = u64::from(self.target.threads);
        if threads <= 1 || trips <= 1 || cycles < cost::grain(self.target) as f64 {
            return cycles;
        }
        let rounds = trips.div_ceil(threads) as f64 / trips as f64;
        cycles * rounds + f64::from(self.target.launch_cycles)
    }
}
