//! The order of the source: loops over the ranges that the domains give, one statement's instance after the other.

use support::Entity;

use super::domain::{self, Instances, Membership, Range};
use super::machine::Batch;
use super::memory::Memory;
use super::{EvalError, Limits};
use crate::isl;
use crate::{Nest, Scop, StmtId};

/// A nest with the ranges of its loops.
pub(super) enum Step {
    Loop(Loop),
    Stmt(Leaf),
}

/// A loop runs over the hull of its statements' ranges.
pub(super) struct Loop {
    dim: usize,
    /// Different ones only.
    ranges: Vec<Range>,
    body: Vec<Step>,
    /// The only statement inside, whose instances may then be computed in batches.
    only: Option<usize>,
}

/// An instance of a statement.
pub(super) struct Leaf {
    stmt: usize,
    depth: usize,
    /// The test that the loops around it leave to do.
    guard: Option<Membership>,
}

/// The loops of the source program; statements without instances are left out.
pub(super) fn steps(scop: &Scop, domains: &[isl::Set]) -> Result<Vec<Step>, EvalError> {
    let mut instances = Vec::new();
    for (stmt, domain) in scop.stmts.values().zip(domains) {
        instances.push(domain::read(stmt, domain)?);
    }
    let builder = Builder { scop, instances };
    scop.source.iter().filter_map(|nest| builder.step(nest, 0, &[]).transpose()).collect()
}

struct Builder<'a> {
    scop: &'a Scop,
    instances: Vec<Option<Instances>>,
}

impl Builder<'_> {
    fn of(&self, stmt: StmtId) -> Option<&Instances> {
        self.instances.get(stmt.index())?.as_ref()
    }

    /// `around` says of each loop around whether its range is exactly that of every statement inside.
    fn step(&self, nest: &Nest, depth: usize, around: &[bool]) -> Result<Option<Step>, EvalError> {
        match nest {
            Nest::Stmt(stmt) => self.leaf(*stmt, depth, around),
            Nest::Loop { body, .. } => {
                let stmts: Vec<StmtId> = nest.stmts().into_iter().filter(|&stmt| self.of(stmt).is_some()).collect();
                let Some(ranges) = self.ranges(&stmts, depth)? else { return Ok(None) };
                let around: Vec<bool> = around.iter().copied().chain([ranges.len() == 1]).collect();
                let body = body
                    .iter()
                    .filter_map(|nest| self.step(nest, depth + 1, &around).transpose())
                    .collect::<Result<Vec<_>, _>>()?;
                let only = if let [stmt] = stmts.as_slice() { Some(stmt.index()) } else { None };
                Ok(Some(Step::Loop(Loop { dim: depth, ranges, body, only })))
            }
        }
    }

    fn leaf(&self, stmt: StmtId, depth: usize, around: &[bool]) -> Result<Option<Step>, EvalError> {
        if self.scop.stmts[stmt].dims.len() != depth {
            return Err(self.malformed(stmt));
        }
        let Some(instances) = self.of(stmt) else { return Ok(None) };
        let shared = around.iter().any(|exact| !exact);
        let guard = instances.membership.clone().or_else(|| shared.then(|| instances.exact.clone()));
        Ok(Some(Step::Stmt(Leaf { stmt: stmt.index(), depth, guard })))
    }

    fn ranges(&self, stmts: &[StmtId], depth: usize) -> Result<Option<Vec<Range>>, EvalError> {
        let mut ranges: Vec<Range> = Vec::new();
        for &stmt in stmts {
            let instances = self.of(stmt).and_then(|instances| instances.ranges.get(depth));
            let range = instances.ok_or_else(|| self.malformed(stmt))?;
            if !ranges.contains(range) {
                ranges.push(range.clone());
            }
        }
        Ok((!ranges.is_empty()).then_some(ranges))
    }

    fn malformed(&self, stmt: StmtId) -> EvalError {
        let message = "its loops in the source are not its dimensions";
        EvalError::Malformed { entity: self.scop.stmts[stmt].name.clone(), message }
    }
}

impl Loop {
    /// First and last value.
    fn range(&self, point: &[i64]) -> (i64, i64) {
        self.ranges
            .iter()
            .map(|range| range.at(point))
            .filter(|(low, high)| low <= high)
            .fold((i64::MAX, i64::MIN), |(low, high), (l, h)| (low.min(l), high.max(h)))
    }

    /// The leaf when it is all of the body.
    fn leaf(&self) -> Option<&Leaf> {
        match self.body.as_slice() {
            [Step::Stmt(leaf)] => Some(leaf),
            _ => None,
        }
    }
}

/// Counts the points that the loops visit.
///
/// # Errors
/// When there are more than the limit, with the number as far as it was counted.
pub(super) fn count(steps: &[Step], limits: Limits) -> Result<u64, EvalError> {
    /// Loops entered while counting: fewer than this take no time beside what they would run.
    const ENTERED: u64 = 20_000_000;
    let mut counter =
        Counter { points: 0, entered: 0, limit: limits.instances.max(1), most: ENTERED.max(limits.instances / 16) };
    let mut point = vec![0; depth_of(steps)];
    let too_large = |instances| EvalError::TooLarge { instances, limit: limits.instances };
    match steps.iter().all(|step| counter.count(step, &mut point)) && counter.points <= limits.instances {
        true => Ok(counter.points),
        false => Err(too_large(counter.points.max(limits.instances.saturating_add(1)))),
    }
}

struct Counter {
    points: u64,
    entered: u64,
    limit: u64,
    most: u64,
}

impl Counter {
    /// False when it is too many.
    fn count(&mut self, step: &Step, point: &mut [i64]) -> bool {
        let nest = match step {
            Step::Stmt(_) => {
                self.points += 1;
                return self.points <= self.limit;
            }
            Step::Loop(nest) => nest,
        };
        let (low, high) = nest.range(point);
        if low > high {
            return true;
        }
        self.entered += 1;
        let trips = high.abs_diff(low).saturating_add(1);
        let leaves = nest.body.iter().filter(|step| matches!(step, Step::Stmt(_))).count() as u64;
        self.points = self.points.saturating_add(trips.saturating_mul(leaves));
        if self.points > self.limit || self.entered > self.most {
            return false;
        }
        if leaves as usize == nest.body.len() {
            return true;
        }
        if let Some(one) = constant_inside(&nest.body) {
            self.points = self.points.saturating_add(trips.saturating_mul(one));
            return self.points <= self.limit;
        }
        (low..=high).all(|x| {
            point[nest.dim] = x;
            nest.body.iter().filter(|step| matches!(step, Step::Loop(_))).all(|step| self.count(step, point))
        })
    }
}

/// How many points the loops among `body` visit, when that is the same in every iteration.
fn constant_inside(body: &[Step]) -> Option<u64> {
    body.iter().try_fold(0u64, |sum, step| {
        let Step::Loop(nest) = step else { return Some(sum) };
        if !nest.ranges.iter().all(Range::is_constant) {
            return None;
        }
        let (low, high) = nest.range(&[]);
        let trips = if low > high { 0 } else { high.abs_diff(low).saturating_add(1) };
        let leaves = nest.body.iter().filter(|step| matches!(step, Step::Stmt(_))).count() as u64;
        Some(sum.saturating_add(trips.saturating_mul(leaves.saturating_add(constant_inside(&nest.body)?))))
    })
}

fn depth_of(steps: &[Step]) -> usize {
    let depth = |step: &Step| match step {
        Step::Stmt(leaf) => leaf.depth,
        Step::Loop(nest) => (nest.dim + 1).max(depth_of(&nest.body)),
    };
    steps.iter().map(depth).max().unwrap_or(0)
}

/// Runs everything.
pub(super) fn run<const WIDE: bool>(
    steps: &[Step],
    batches: &mut [Batch<'_>],
    memory: &mut Memory,
) -> Result<(), EvalError> {
    let mut point = vec![0; depth_of(steps)];
    let mut runner = Runner::<WIDE> { batches, memory };
    steps.iter().try_for_each(|step| runner.step(step, &mut point, true))
}

struct Runner<'a, 'k, const WIDE: bool> {
    batches: &'a mut [Batch<'k>],
    memory: &'a mut Memory,
}

impl<const WIDE: bool> Runner<'_, '_, WIDE> {
    /// `flush` says that what comes after may be another statement.
    fn step(&mut self, step: &Step, point: &mut [i64], flush: bool) -> Result<(), EvalError> {
        match step {
            Step::Stmt(leaf) => {
                self.instances(leaf, point, leaf.depth, 1)?;
                if flush { self.flush(leaf.stmt) } else { Ok(()) }
            }
            Step::Loop(nest) => {
                self.iterate(nest, point)?;
                match nest.only {
                    Some(stmt) if flush => self.flush(stmt),
                    _ => Ok(()),
                }
            }
        }
    }

    fn flush(&mut self, stmt: usize) -> Result<(), EvalError> {
        self.batches[stmt].flush::<WIDE>(self.memory)
    }

    fn iterate(&mut self, nest: &Loop, point: &mut [i64]) -> Result<(), EvalError> {
        let (low, high) = nest.range(point);
        if low > high {
            return Ok(());
        }
        if let Some(leaf) = nest.leaf() {
            point[nest.dim] = low;
            return self.instances(leaf, point, nest.dim, high - low + 1);
        }
        for x in low..=high {
            point[nest.dim] = x;
            for step in &nest.body {
                self.step(step, point, nest.only.is_none())?;
            }
        }
        Ok(())
    }

    /// `count` points from `point` on along `dim`; those that the guard lets pass.
    fn instances(&mut self, leaf: &Leaf, point: &mut [i64], dim: usize, count: i64) -> Result<(), EvalError> {
        let batch = &mut self.batches[leaf.stmt];
        let Some(guard) = &leaf.guard else { return batch.push::<WIDE>(self.memory, point, dim, count) };
        for _ in 0..count {
            let next = point.get(dim).map(|x| x + 1);
            if guard.holds(point) {
                batch.push::<WIDE>(self.memory, point, dim, 1)?;
            }
            if let Some(next) = next {
                point[dim] = next;
            }
        }
        Ok(())
    }
}
