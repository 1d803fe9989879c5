//! Several ranks: each runs what [`Scop::of_one_rank`] says with a number and memory of its own, and what is written to
//! messages waits for the rank that reads it.
//!
//! One rank runs at a time, a step of any that can go on, drawn from a seed. A rank has a thread of its own only to wait in.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use polyhedral::{Index, Memory, Role, Scop, TensorId, Value as Scalar};
use support::{Entity, with_deep_stack};

use super::{Data, Fault, Run, Tensors, scalar};
use crate::{Error, Options, Program};

/// What each of several ranks runs.
#[derive(Clone, Debug)]
pub struct Ranks {
    /// The loops; the last parameter is the number of the rank.
    pub program: Program,
    /// The tensors of which each rank has the part that is its own, with the number of the first rank in them.
    own: BTreeMap<TensorId, Index>,
    /// The tensors that are messages.
    messages: BTreeSet<TensorId>,
}

/// What ranks did together.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Outputs and in-outs, each element from the rank that wrote it.
    pub results: Tensors,
    /// How many elements went from which rank to which: by the name of the message's tensor.
    pub sent: BTreeMap<String, u64>,
}

impl Ranks {
    /// The loops of each rank, as they are scanned: passes may take memory for one that only this program writes.
    ///
    /// # Errors
    /// As for [`scan`](crate::scan()).
    pub fn of(scop: &Scop) -> Result<Ranks, Error> {
        let one = scop.of_one_rank()?;
        let program = crate::scan(&one, &Options::default(), &mut Vec::new())?;
        let in_memory = |memory: Memory| scop.tensors.iter().filter(move |(_, row)| row.memory == memory);
        let own = in_memory(Memory::Rank).filter_map(|(id, row)| Some((id, row.lower.first()?.clone())));
        let messages = in_memory(Memory::Message).map(|(id, _)| id);
        Ok(Ranks { program, own: own.collect(), messages: messages.collect() })
    }

    /// Runs ranks of these numbers for `sizes`; `inputs` as for [`interpret`](super::interpret), which every rank is given.
    ///
    /// # Errors
    /// See [`Fault`]: also when a rank waits for a message that nobody sends, when one is left over, when a rank touches
    /// what another one has, or when two of them write one element of a result.
    pub fn run(&self, ranks: Range<i64>, sizes: &[i64], inputs: &Tensors, seed: u64) -> Result<Outcome, Fault> {
        let count = usize::try_from(ranks.end - ranks.start).map_err(|_| Fault::Overflow)?;
        let shared = Shared { state: Mutex::new(State::new(count, seed)), turn: Condvar::new() };
        let ends: Vec<Result<Vec<Part>, Fault>> = std::thread::scope(|scope| {
            let started: Vec<_> = ranks
                .clone()
                .enumerate()
                .map(|(at, number)| {
                    let shared = &shared;
                    scope.spawn(move || {
                        let sizes: Vec<i64> = sizes.iter().copied().chain([number]).collect();
                        let link = Link { ranks: self, shared, at, number };
                        let end = link.wait_for_turn().and_then(|()| {
                            with_deep_stack(|| one_rank(&self.program, &sizes, inputs, seed ^ at as u64, &link))
                        });
                        link.finish(end.is_err());
                        end
                    })
                })
                .collect();
            let stopped = || Err(Fault::Malformed("a rank panicked".into()));
            started.into_iter().map(|rank| rank.join().unwrap_or_else(|_| stopped())).collect()
        });
        // What stopped the others is the fault, not that they were stopped.
        if let Some(Err(fault)) = ends.iter().find(|end| matches!(end, Err(fault) if *fault != Fault::Stopped)) {
            return Err(fault.clone());
        }
        let ends = ends.into_iter().collect::<Result<Vec<_>, _>>()?;
        let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((tensor, position)) = state.under_way.keys().next() {
            return Err(Fault::LeftOver { buffer: self.program.buffers[*tensor].name.clone(), position: *position });
        }
        let sent = state.sent.iter().map(|(tensor, count)| (self.program.buffers[*tensor].name.clone(), *count));
        Ok(Outcome { results: gathered(&self.program, ends)?, sent: sent.collect() })
    }
}

/// A result as one rank has it.
struct Part {
    tensor: TensorId,
    shape: Vec<i64>,
    elements: Vec<Scalar>,
    written: BTreeSet<usize>,
}

fn one_rank(
    program: &Program,
    sizes: &[i64],
    inputs: &Tensors,
    seed: u64,
    link: &Link<'_>,
) -> Result<Vec<Part>, Fault> {
    let mut run = Run::new(program, sizes, inputs, seed)?;
    run.link = Some(link);
    run.ops(&program.body)?;
    let written = std::mem::take(&mut run.written);
    let results = program.buffers.iter().zip(run.memory).filter(|((_, buffer), _)| is_result(buffer.role));
    let one = |((tensor, _), memory): ((TensorId, _), super::Memory)| {
        let of_tensor = written.iter().filter(|(own, _)| *own == tensor).map(|(_, position)| *position);
        Part { tensor, shape: memory.shape, elements: memory.elements, written: of_tensor.collect() }
    };
    Ok(results.map(one).collect())
}

fn is_result(role: Role) -> bool {
    matches!(role, Role::Output | Role::InOut)
}

/// Each element from the rank that wrote it; what all of them wrote is the same on all.
fn gathered(program: &Program, ranks: Vec<Vec<Part>>) -> Result<Tensors, Fault> {
    let count = ranks.len();
    let mut results = BTreeMap::<TensorId, (Vec<i64>, Vec<Scalar>)>::new();
    let mut writers = BTreeMap::<(TensorId, usize), usize>::new();
    for one in ranks.into_iter().flatten() {
        let Part { tensor, shape, elements, written } = one;
        let (_, all) = results.entry(tensor).or_insert_with(|| (shape, elements.clone()));
        for position in written {
            let before = writers.entry((tensor, position)).or_default();
            *before += 1;
            let is_same = |a: Scalar, b: Scalar| match (a, b) {
                (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
                _ => a == b,
            };
            if *before > 1 && !is_same(all[position], elements[position]) {
                return Err(Fault::Race { buffer: program.buffers[tensor].name.clone(), position });
            }
            all[position] = elements[position];
        }
    }
    if let Some(((tensor, position), _)) = writers.iter().find(|(_, writers)| **writers != 1 && **writers != count) {
        return Err(Fault::Race { buffer: program.buffers[*tensor].name.clone(), position: *position });
    }
    let named = results.into_iter().map(|(tensor, (shape, elements))| {
        let row = &program.buffers[tensor];
        (row.name.clone(), scalar::to_data(row.dtype, &shape, &elements))
    });
    Ok(named.collect::<BTreeMap<String, Data>>())
}

impl Run<'_> {
    /// Stores one element, or sends it.
    pub(super) fn put(&mut self, buffer: TensorId, position: usize, value: Scalar) -> Result<(), Fault> {
        if let Some(link) = self.link {
            self.is_own(link, buffer, position)?;
            if link.is_message(buffer) {
                return link.send(buffer, position, value);
            }
            if is_result(self.program.buffers[buffer].role) {
                self.written.insert((buffer, position));
            }
        }
        self.write(buffer, position, value);
        Ok(())
    }

    /// What comes from another rank, of a message.
    pub(super) fn received(&self, buffer: TensorId, position: usize) -> Result<Option<Scalar>, Fault> {
        let Some(link) = self.link else { return Ok(None) };
        self.is_own(link, buffer, position)?;
        if link.is_message(buffer) { link.receive(buffer, position).map(Some) } else { Ok(None) }
    }

    fn is_own(&self, link: &Link<'_>, buffer: TensorId, position: usize) -> Result<(), Fault> {
        if link.may_touch(buffer, position, (&self.memory[buffer.index()].extent, self.sizes)) {
            return Ok(());
        }
        Err(Fault::OtherRank { rank: link.number, buffer: self.program.buffers[buffer].name.clone(), position })
    }
}

/// A rank's way to the others.
pub(super) struct Link<'a> {
    ranks: &'a Ranks,
    shared: &'a Shared,
    /// From 0.
    at: usize,
    /// Its number.
    number: i64,
}

struct Shared {
    state: Mutex<State>,
    turn: Condvar,
}

/// What a rank does.
#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Running,
    /// Waits for this element.
    Waiting(TensorId, usize),
    /// Waits until all others are there.
    AtBarrier,
    Finished,
}

struct State {
    /// The one that runs.
    turn: usize,
    doing: Vec<Doing>,
    under_way: BTreeMap<(TensorId, usize), Scalar>,
    sent: BTreeMap<TensorId, u64>,
    random: u64,
    is_stopped: bool,
}

impl State {
    fn new(count: usize, random: u64) -> State {
        let doing = vec![Doing::Running; count];
        let mut state =
            State { turn: 0, doing, under_way: BTreeMap::new(), sent: BTreeMap::new(), random, is_stopped: false };
        state.pass_on();
        state
    }

    /// Gives the turn to one that can go on; whether there is one.
    fn pass_on(&mut self) -> bool {
        let unfinished = self.doing.iter().filter(|doing| **doing != Doing::Finished);
        if unfinished.clone().count() > 0 && self.doing.iter().all(|doing| *doing == Doing::AtBarrier) {
            self.doing.fill(Doing::Running);
        }
        let able: Vec<usize> = (0..self.doing.len()).filter(|&at| self.doing[at] == Doing::Running).collect();
        if able.is_empty() {
            return false;
        }
        self.turn = able[(self.draw() % able.len() as u64) as usize];
        true
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// One of so many steps is followed by one of another rank.
const STEPS: u64 = 8;

impl Link<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until_turn<'s>(&self, mut state: MutexGuard<'s, State>) -> Result<MutexGuard<'s, State>, Fault>
    where
        Self: 's,
    {
        self.shared.turn.notify_all();
        while state.turn != self.at && !state.is_stopped {
            state = self.shared.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_stopped { Err(Fault::Stopped) } else { Ok(state) }
    }

    fn wait_for_turn(&self) -> Result<(), Fault> {
        self.until_turn(self.state()).map(drop)
    }

    /// Before a step: another rank may come first.
    pub(super) fn step(&self) -> Result<(), Fault> {
        let mut state = self.state();
        if state.is_stopped {
            return Err(Fault::Stopped);
        }
        if state.draw().is_multiple_of(STEPS) {
            state.pass_on();
            self.until_turn(state).map(drop)?;
        }
        Ok(())
    }

    /// Waits for something; others go on.
    fn wait<'s>(&'s self, mut state: MutexGuard<'s, State>, what: Doing) -> Result<MutexGuard<'s, State>, Fault> {
        state.doing[self.at] = what;
        if !state.pass_on() {
            state.is_stopped = true;
            self.shared.turn.notify_all();
            return Err(self.deadlock(what));
        }
        self.until_turn(state)
    }

    fn deadlock(&self, what: Doing) -> Fault {
        match what {
            Doing::Waiting(tensor, position) => {
                let buffer = self.ranks.program.buffers[tensor].name.clone();
                Fault::Deadlock { rank: self.number, buffer, position }
            }
            _ => Fault::Malformed(format!("rank {} waits for others, which wait or have ended", self.number)),
        }
    }

    /// Waits until all ranks are here.
    pub(super) fn barrier(&self) -> Result<(), Fault> {
        self.wait(self.state(), Doing::AtBarrier).map(drop)
    }

    /// Whether a tensor is messages, and not memory.
    fn is_message(&self, tensor: TensorId) -> bool {
        self.ranks.messages.contains(&tensor)
    }

    /// Whether an element is this rank's to touch.
    fn may_touch(&self, tensor: TensorId, position: usize, (extent, sizes): (&[i64], &[i64])) -> bool {
        let Some(first) = self.ranks.own.get(&tensor) else { return true };
        let row = extent.iter().skip(1).product::<i64>().max(1);
        first.with_params(sizes).as_const().is_some_and(|first| first + position as i64 / row == self.number)
    }

    fn send(&self, tensor: TensorId, position: usize, value: Scalar) -> Result<(), Fault> {
        let mut state = self.state();
        if state.under_way.insert((tensor, position), value).is_some() {
            let buffer = self.ranks.program.buffers[tensor].name.clone();
            return Err(Fault::LeftOver { buffer, position });
        }
        *state.sent.entry(tensor).or_default() += 1;
        for doing in &mut state.doing {
            if *doing == Doing::Waiting(tensor, position) {
                *doing = Doing::Running;
            }
        }
        Ok(())
    }

    fn receive(&self, tensor: TensorId, position: usize) -> Result<Scalar, Fault> {
        let mut state = self.state();
        loop {
            if let Some(value) = state.under_way.remove(&(tensor, position)) {
                return Ok(value);
            }
            state = self.wait(state, Doing::Waiting(tensor, position))?;
        }
    }

    fn finish(&self, failed: bool) {
        let mut state = self.state();
        state.doing[self.at] = Doing::Finished;
        state.is_stopped |= failed;
        if !state.pass_on() && !state.is_stopped && state.doing.iter().any(|doing| *doing != Doing::Finished) {
            // The turn goes to one that waits, which finds that nobody can help it.
            let waits = state.doing.iter().position(|doing| *doing != Doing::Finished).unwrap_or(0);
            state.doing[waits] = Doing::Running;
            state.turn = waits;
        }
        self.shared.turn.notify_all();
    }
}
