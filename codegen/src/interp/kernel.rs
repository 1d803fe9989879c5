//! Runs kernels: blocks one after the other in any order, and the threads of a block in any order between barriers. Every
//! access is watched, so that two threads which race are found whatever order they ran in.

use std::collections::BTreeMap;

use polyhedral::{BinOp, TensorId, Value as Scalar};
use support::Entity;

use super::copy::UnderWay;

use super::{Fault, Lanes, Run, of_lane, pick, scalar};
use crate::verify::has_meeting;
use crate::{At, Combining, Launch, Op, Place, Program, RegId, VarId, threads_combined_in};

/// What all threads of a block run between two places where they meet: an op, and the values of the loops around it.
struct Segment<'p> {
    op: &'p Op,
    vars: Vec<Option<i64>>,
}

/// A block that runs.
struct Block<'p> {
    /// The numbers of each thread.
    threads: &'p [Vec<(VarId, i64)>],
    /// What its threads have still to run before the next place where they meet.
    pending: Vec<Segment<'p>>,
    /// Of each thread.
    registers: Vec<Vec<Option<Lanes>>>,
}

impl Run<'_> {
    /// A launch: all blocks, shuffled.
    pub(super) fn launch(&mut self, launch: &Launch) -> Result<(), Fault> {
        let mut blocks = vec![Vec::new()];
        for (var, count) in &launch.grid {
            blocks = all_of(&blocks, *var, self.int(count)?);
        }
        let mut threads = vec![Vec::new()];
        for (var, count) in &launch.block {
            threads = all_of(&threads, *var, *count);
        }
        self.shuffle(&mut blocks);
        let (vars, regs) = (self.vars.clone(), std::mem::replace(&mut self.regs, vec![None; self.program.regs.len()]));
        self.watch.replace(Some(Watch::default()));
        for (number, block) in blocks.iter().enumerate() {
            self.vars.clone_from(&vars);
            block.iter().for_each(|(var, value)| self.vars[var.index()] = Some(*value));
            for buffer in &launch.shared {
                self.memory[buffer.index()].elements = self.poisoned(*buffer)?;
            }
            self.next_block(number);
            self.kept.clear();
            let registers = vec![vec![None; self.regs.len()]; threads.len()];
            let mut own = Block { threads: &threads, pending: Vec::new(), registers };
            self.uniform(&launch.body, &mut own)?;
            self.run_pending(&mut own)?;
            if self.watch.borrow().as_ref().is_some_and(|watch| !watch.copies.is_empty()) {
                return Err(Fault::Malformed(format!("copies are under way where `{}` ends", launch.name)));
            }
        }
        launch.shared.iter().for_each(|buffer| self.memory[buffer.index()].elements = Vec::new());
        self.kept.clear();
        self.watch.replace(None);
        (self.vars, self.regs) = (vars, regs);
        Ok(())
    }

    /// What all threads of a block get to: what is between two places where they meet waits until the second one.
    fn uniform<'p>(&mut self, ops: &'p [Op], block: &mut Block<'p>) -> Result<(), Fault> {
        for op in ops {
            match op {
                Op::Barrier => {
                    self.run_pending(block)?;
                    self.watch.borrow_mut().iter_mut().for_each(|watch| watch.here.phase += 1);
                    // Registers are not live across barriers.
                    block.registers.iter_mut().for_each(|registers| registers.fill(None));
                }
                Op::Combine { regs, by, threads } => {
                    self.run_pending(block)?;
                    self.combine(regs, by, threads, block)?;
                }
                op if !has_meeting(std::slice::from_ref(op)) => {
                    block.pending.push(Segment { op, vars: self.vars.clone() });
                }
                Op::For { var, lower, upper, step, body, .. } => {
                    for value in self.values_of(*var, lower, upper, step)? {
                        self.vars[var.index()] = Some(value);
                        self.uniform(body, block)?;
                    }
                    self.vars[var.index()] = None;
                }
                Op::If { cond, then, otherwise } => {
                    let taken = if self.cond(cond)? { then } else { otherwise };
                    self.uniform(taken, block)?;
                }
                // What threads keep across barriers stays until the block ends: nothing reads it after the op.
                Op::Local { buffer, body } => {
                    let fresh = self.poisoned(*buffer)?;
                    self.kept.insert(*buffer, vec![fresh; block.threads.len()]);
                    self.uniform(body, block)?;
                }
                _ => return Err(Fault::Malformed("a barrier where not all threads of a block get to".into())),
            }
        }
        Ok(())
    }

    /// Runs what is pending in all threads: one thread after the other, or a step of any of them at a time.
    fn run_pending(&mut self, block: &mut Block<'_>) -> Result<(), Fault> {
        let Block { threads, pending, registers } = block;
        let outside = self.vars.clone();
        let mut steps: Vec<usize> = if self.draw().is_multiple_of(2) {
            let mut order: Vec<usize> = (0..threads.len()).collect();
            self.shuffle(&mut order);
            order.iter().flat_map(|&thread| std::iter::repeat_n(thread, pending.len())).collect()
        } else {
            let mut steps: Vec<usize> =
                (0..threads.len()).flat_map(|thread| std::iter::repeat_n(thread, pending.len())).collect();
            self.shuffle(&mut steps);
            steps
        };
        let mut done = vec![0; threads.len()];
        for thread in steps.drain(..) {
            let Segment { op, vars } = &pending[done[thread]];
            done[thread] += 1;
            self.vars.clone_from(vars);
            threads[thread].iter().for_each(|(var, value)| self.vars[var.index()] = Some(*value));
            self.watch.borrow_mut().iter_mut().for_each(|watch| watch.here.thread = thread);
            std::mem::swap(&mut self.regs, &mut registers[thread]);
            self.swap_kept(thread);
            let result = self.op(op);
            self.swap_kept(thread);
            std::mem::swap(&mut self.regs, &mut registers[thread]);
            result?;
        }
        self.vars = outside;
        pending.clear();
        Ok(())
    }

    /// Puts what a thread keeps in its place, or takes it from there.
    fn swap_kept(&mut self, thread: usize) {
        for (buffer, of_threads) in &mut self.kept {
            std::mem::swap(&mut self.memory[buffer.index()].elements, &mut of_threads[thread]);
        }
    }

    /// [`Op::Combine`]: of the threads with the same other numbers.
    fn combine(&mut self, regs: &[RegId], by: &Combining, along: &[VarId], block: &mut Block<'_>) -> Result<(), Fault> {
        // By the numbers that are not combined; inside by those that are, the last axis first.
        let mut groups: BTreeMap<Vec<i64>, Vec<(Vec<i64>, usize)>> = BTreeMap::new();
        for (thread, numbers) in block.threads.iter().enumerate() {
            let of = |combined: bool| numbers.iter().rev().filter(move |(var, _)| along.contains(var) == combined);
            let values = |combined: bool| of(combined).map(|(_, value)| *value).collect::<Vec<i64>>();
            groups.entry(values(false)).or_default().push((values(true), thread));
        }
        for mut group in groups.into_values() {
            group.sort_unstable();
            let of_thread = |thread: usize| regs.iter().map(move |reg| (thread, *reg));
            let mut states = Vec::new();
            for (_, thread) in &group {
                let values = of_thread(*thread).map(|(thread, reg)| {
                    let register = block.registers[thread][reg.index()].as_ref();
                    let unset = || Fault::Malformed(format!("{reg} is combined before it is set"));
                    register.map(|value| pick(value, 0)).ok_or_else(unset)
                });
                states.push(values.collect::<Result<Vec<Scalar>, Fault>>()?);
            }
            for distance in threads_combined_in(group.len() as u32) {
                let distance = distance as usize;
                let has_other = |low: &usize| low & distance == 0 && low | distance < group.len();
                for low in (0..states.len()).filter(has_other) {
                    let high = low | distance;
                    let both = self.both(regs, by, &states[low], &states[high])?;
                    states[high] = match by {
                        Combining::Operator(_) => both.clone(),
                        Combining::Values { .. } => self.both(regs, by, &states[high], &states[low])?,
                    };
                    states[low] = both;
                }
            }
            let all_alike = matches!(by, Combining::Operator(_));
            for (at, (_, thread)) in group.iter().enumerate() {
                let state = &states[if all_alike { 0 } else { at }];
                for (reg, value) in regs.iter().zip(state) {
                    block.registers[*thread][reg.index()] = Some(vec![*value]);
                }
            }
        }
        Ok(())
    }

    /// What two threads have, combined.
    fn both(&mut self, regs: &[RegId], by: &Combining, own: &[Scalar], other: &[Scalar]) -> Result<Vec<Scalar>, Fault> {
        match by {
            Combining::Operator(op) => {
                let of = |((reg, a), b): ((&RegId, &Scalar), &Scalar)| {
                    scalar::binary(*op, self.program.regs[*reg].dtype, *a, *b)
                };
                Ok(regs.iter().zip(own).zip(other).map(of).collect())
            }
            Combining::Values { others, values } => {
                let all: Vec<RegId> = regs.iter().chain(others).copied().collect();
                for (reg, value) in all.iter().zip(own.iter().chain(other)) {
                    self.regs[reg.index()] = Some(vec![*value]);
                }
                let both = values.iter().map(|value| Ok(pick(&self.value(value, 1)?, 0))).collect();
                all.iter().for_each(|reg| self.regs[reg.index()] = None);
                both
            }
        }
    }

    /// [`Op::Atomic`]: in one step, as a step is what threads run of one op.
    pub(super) fn atomic(&mut self, buffer: TensorId, at: &[At], op: BinOp, reg: RegId) -> Result<(), Fault> {
        let at = self.subscripts(at, 1)?;
        let position = self.position(buffer, &of_lane(&at, 0))?;
        if self.watch.borrow_mut().as_mut().is_some_and(|watch| watch.atomic_races(buffer, position, op)) {
            return Err(Fault::Race { buffer: self.program.buffers[buffer].name.clone(), position });
        }
        let by = pick(&self.register(reg)?, 0);
        let element = self.memory[buffer.index()].elements[position];
        self.write(buffer, position, scalar::binary(op, self.program.regs[reg].dtype, element, by));
        Ok(())
    }

    fn next_block(&mut self, number: usize) {
        let shared: Vec<bool> = self.program.buffers.values().map(|buffer| buffer.place == Place::Shared).collect();
        self.watch.borrow_mut().iter_mut().for_each(|watch| {
            watch.here = Here { block: number, thread: 0, phase: 0 };
            watch.cells.retain(|(buffer, _), _| !shared[*buffer]);
        });
    }

    /// Fisher and Yates.
    pub(super) fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            let other = self.draw() as usize % (at + 1);
            values.swap(at, other);
        }
    }

    /// Whether an access of an element of a buffer races with one before it.
    pub(super) fn watched(&self, buffer: TensorId, position: usize, writes: bool) -> Result<(), Fault> {
        let mut watch = self.watch.borrow_mut();
        let Some(watch) = watch.as_mut() else { return Ok(()) };
        let row = &self.program.buffers[buffer];
        if row.place == Place::Stack {
            return Ok(());
        }
        let buffer_name = || row.name.clone();
        // Only what the device has is copied from.
        if watch.is_under_way(buffer, position, writes && row.place != Place::Shared) {
            return Err(Fault::UnderWay { buffer: buffer_name(), position });
        }
        match watch.races(buffer, position, writes) {
            true => Err(Fault::Race { buffer: buffer_name(), position }),
            false => Ok(()),
        }
    }
}

fn all_of(outer: &[Vec<(VarId, i64)>], var: VarId, count: i64) -> Vec<Vec<(VarId, i64)>> {
    let with = |outer: &Vec<(VarId, i64)>, value: i64| outer.iter().copied().chain([(var, value)]).collect();
    outer.iter().flat_map(|outer| (0..count).map(move |value| with(outer, value))).collect()
}

/// Who accesses what while a kernel runs.
#[derive(Default)]
pub(super) struct Watch {
    here: Here,
    /// By buffer and position.
    cells: BTreeMap<(usize, usize), Touched>,
    /// Copies that have not arrived, by buffer and position of where they go.
    pub(super) copies: BTreeMap<(usize, usize), UnderWay>,
}

/// A place in the run of a kernel.
#[derive(Clone, Copy, Default, PartialEq)]
struct Here {
    block: usize,
    thread: usize,
    /// How many barriers the block has passed.
    phase: usize,
}

impl Here {
    /// Whether nothing orders this and another place.
    fn is_beside(self, other: Here) -> bool {
        self.block != other.block || (self.phase == other.phase && self.thread != other.thread)
    }
}

/// Who touched a cell.
#[derive(Default)]
struct Touched {
    written: Option<Here>,
    read: Vec<Here>,
    /// Updates in one step, each with its operator: beside each other they are in turn, but for those of another one.
    updated: Vec<(Here, BinOp)>,
}

impl Watch {
    /// The thread that runs.
    pub(super) fn thread(&self) -> usize {
        self.here.thread
    }

    fn races(&mut self, buffer: TensorId, position: usize, writes: bool) -> bool {
        let here = self.here;
        let cell = self.cells.entry((buffer.index(), position)).or_default();
        let mut races = cell.written.is_some_and(|other| here.is_beside(other));
        races |= cell.updated.iter().any(|(other, _)| here.is_beside(*other));
        if writes {
            races |= cell.read.iter().any(|other| here.is_beside(*other));
            cell.written = Some(here);
        } else if !cell.read.contains(&here) {
            // What this block did before a barrier is no longer beside anything of it.
            cell.read.retain(|other| other.block != here.block || other.phase == here.phase);
            cell.read.push(here);
        }
        races
    }

    /// Whether an update in one step races with what was done before.
    fn atomic_races(&mut self, buffer: TensorId, position: usize, op: BinOp) -> bool {
        let here = self.here;
        let cell = self.cells.entry((buffer.index(), position)).or_default();
        let races = cell.written.iter().chain(&cell.read).any(|other| here.is_beside(*other))
            || cell.updated.iter().any(|(other, by)| *by != op && here.is_beside(*other));
        if !cell.updated.contains(&(here, op)) {
            cell.updated.push((here, op));
        }
        races
    }
}

impl Program {
    /// How many barriers the program has, as written.
    pub fn barriers(&self) -> usize {
        count(&self.body)
    }

    /// The program without barrier number `at`, counted as written: for tests of what finds the lack of it.
    pub fn without_barrier(&self, at: usize) -> Program {
        let mut program = self.clone();
        let mut left = at;
        remove(&mut program.body, &mut left);
        program
    }
}

fn count(ops: &[Op]) -> usize {
    let of_op = |op: &Op| match op {
        Op::Barrier => 1,
        Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => count(body),
        Op::If { then, otherwise, .. } => count(then) + count(otherwise),
        _ => 0,
    };
    ops.iter().map(of_op).sum()
}

/// Whether it was in these ops.
fn remove(ops: &mut Vec<Op>, left: &mut usize) -> bool {
    for at in 0..ops.len() {
        let found = match &mut ops[at] {
            Op::Barrier if *left == 0 => {
                ops.remove(at);
                return true;
            }
            Op::Barrier => {
                *left -= 1;
                false
            }
            Op::For { body, .. } | Op::Local { body, .. } | Op::Launch(Launch { body, .. }) => remove(body, left),
            Op::If { then, otherwise, .. } => remove(then, left) || remove(otherwise, left),
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}
