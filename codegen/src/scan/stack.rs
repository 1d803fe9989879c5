//! Where tensors on the stack have their memory: inside the loops whose iterations run apart and that are around all
//! accesses. What a thread of a kernel keeps is around all that the thread runs.
//!
//! Each of these loops gets a [`Op::Local`], an outer one only when something in it is not inside of an inner one: isl
//! leaves out loops that run once.

use std::collections::BTreeMap;

use polyhedral::{Axis, Kind, Memory, Scop, TensorId};

use super::leaves::{Leaves, Part, Scanned};
use super::{Error, iterations, malformed};
use crate::arena::aligned;
use crate::{At, Int, Launch, Op, Place, Program, Value};

/// Tensors of which not all iterations have the same memory.
pub(super) struct Private {
    /// For each one on the stack, the members that run apart and are around all accesses; for each one that a block
    /// shares, those on blocks.
    around: BTreeMap<TensorId, Vec<Scanned>>,
    /// What a thread keeps as long as its block runs.
    kept: Vec<TensorId>,
    /// By member, what of the workspace holds nothing from one iteration to the next.
    fresh: BTreeMap<String, Vec<TensorId>>,
}

impl Private {
    pub(super) fn of(scop: &Scop, leaves: &Leaves) -> Result<Private, Error> {
        let mut private = BTreeMap::new();
        for part in leaves.parts.values() {
            for access in scop.stmts[part.stmt].accesses() {
                let around = match scop.tensors[access.tensor].memory {
                    Memory::Global | Memory::Registers | Memory::Rank | Memory::Message => continue,
                    Memory::Stack => members(part, Kind::apart),
                    Memory::Shared => members(part, Kind::is_on_blocks),
                };
                private
                    .entry(access.tensor)
                    .and_modify(|common: &mut Vec<Scanned>| {
                        let same = common.iter().zip(&around).take_while(|(a, b)| a.name == b.name).count();
                        common.truncate(same);
                    })
                    .or_insert(around);
            }
        }
        let kept = scop.tensors.iter().filter(|(_, tensor)| tensor.memory == Memory::Registers).map(|(id, _)| id);
        Ok(Private { around: private, kept: kept.collect(), fresh: iterations::fresh(scop, leaves)? })
    }

    /// On a device, what is not a thread's own is in the memory that its block shares, or in that of the device: gives these
    /// tensors their places.
    pub(super) fn place_on_device(&mut self, program: &mut Program) {
        let mut offset = program.workspace();
        self.around.retain(|&tensor, around| {
            let place = match around.last().and_then(|member| member.kind.axis()) {
                Some(Axis::Block(_)) => Place::Shared,
                Some(Axis::Thread(_)) => return true,
                _ => {
                    let bytes = program.buffers[tensor].constant_bytes().unwrap_or(0);
                    let here = offset.clone();
                    offset = offset.clone() + aligned(Int::Const(bytes));
                    Place::Workspace(here)
                }
            };
            program.buffers[tensor].place = place;
            false
        });
    }

    /// The body of the loop over `member` with the memory that it needs.
    pub(super) fn inside(&self, member: &str, body: Vec<Op>) -> Vec<Op> {
        let here = self.around.iter().filter(|(_, around)| around.iter().any(|one| one.name == member));
        let fresh = self.fresh.get(member).into_iter().flatten();
        here.map(|(tensor, _)| tensor).chain(fresh).fold(body, |body, &tensor| with_memory(tensor, body))
    }

    /// The program where what is new in an iteration is so only if all of the iteration stands in one place: isl takes the
    /// last statements of a last iteration out of the loop.
    pub(super) fn whole_iterations(&self, body: Vec<Op>) -> Vec<Op> {
        self.fresh.values().flatten().fold(body, |body, &tensor| {
            let mut own = Vec::new();
            locals(&body, tensor, &mut own);
            let is_whole = own.len() <= 1 && !touches(&body, tensor);
            if is_whole { body } else { without_memory(tensor, body) }
        })
    }

    /// What a thread of a kernel runs, with the memory that it keeps all the while.
    pub(super) fn in_kernel(&self, body: Vec<Op>) -> Vec<Op> {
        self.kept.iter().fold(body, |body, &tensor| with_memory(tensor, body))
    }

    /// Refuses a program without threads that could keep anything.
    pub(super) fn check_threads(&self, body: &[Op], program: &Program) -> Result<(), Error> {
        match self.kept.iter().find(|&&tensor| touches(body, tensor)) {
            None => Ok(()),
            Some(&tensor) => Err(Error::NoKernel(program.buffers[tensor].name.clone())),
        }
    }

    /// The whole program with the memory that is not inside of a loop.
    pub(super) fn outermost(&self, body: Vec<Op>) -> Vec<Op> {
        self.around.keys().fold(body, |body, &tensor| with_memory(tensor, body))
    }
}

/// The members of a part of some kind, outermost first.
fn members(part: &Part, is_meant: impl Fn(Kind) -> bool) -> Vec<Scanned> {
    part.members.iter().filter(|member| is_meant(member.kind)).cloned().collect()
}

fn with_memory(buffer: TensorId, body: Vec<Op>) -> Vec<Op> {
    if touches(&body, buffer) { vec![Op::Local { buffer, body }] } else { body }
}

/// The ops without a [`Op::Local`] of the buffer.
fn without_memory(buffer: TensorId, ops: Vec<Op>) -> Vec<Op> {
    let inside = |ops| without_memory(buffer, ops);
    let one = |op: Op| match op {
        Op::Local { buffer: own, body } if own == buffer => inside(body),
        Op::Local { buffer: own, body } => vec![Op::Local { buffer: own, body: inside(body) }],
        Op::For { var, lower, upper, step, parallel, body } => {
            vec![Op::For { var, lower, upper, step, parallel, body: inside(body) }]
        }
        Op::If { cond, then, otherwise } => {
            vec![Op::If { cond, then: inside(then), otherwise: inside(otherwise) }]
        }
        other => vec![other],
    };
    ops.into_iter().flat_map(one).collect()
}

/// Whether some access of the buffer is not inside of an [`Op::Local`] of it.
pub(super) fn touches(ops: &[Op], buffer: TensorId) -> bool {
    let values = |values: &[&Value]| values.iter().any(|value| loads(value, buffer));
    let subscripts = |at: &[At]| at.iter().any(|at| matches!(at, At::Indirect(value) if loads(value, buffer)));
    ops.iter().any(|op| match op {
        Op::For { body, .. } | Op::Launch(Launch { body, .. }) => touches(body, buffer),
        Op::Barrier | Op::Wait | Op::Combine { .. } => false,
        Op::If { then, otherwise, .. } => touches(then, buffer) || touches(otherwise, buffer),
        Op::Local { buffer: own, body } => *own != buffer && touches(body, buffer),
        Op::Store { buffer: to, at, value, mask, .. } => {
            *to == buffer || subscripts(at) || values(&[value]) || mask.as_ref().is_some_and(|mask| values(&[mask]))
        }
        Op::Set { value, .. } => values(&[value]),
        Op::Check { value, mask, .. } => values(&[value]) || mask.as_ref().is_some_and(|mask| values(&[mask])),
        Op::Prefetch { buffer: touched, at, .. }
        | Op::LoadBlock { buffer: touched, at, .. }
        | Op::StoreBlock { buffer: touched, at, .. }
        | Op::Atomic { buffer: touched, at, .. } => *touched == buffer || subscripts(at),
        Op::Copy { to, from, .. } => *to == buffer || *from == buffer,
    })
}

fn loads(value: &Value, buffer: TensorId) -> bool {
    matches!(value, Value::Load { buffer: from, .. } if *from == buffer)
        || value.children().into_iter().any(|child| loads(child, buffer))
}

/// Refuses a program that reads of a buffer on the stack where nothing was written: what iterations that run apart keep
/// for themselves is nowhere else, not even behind their loop.
pub(super) fn check_initialised(program: &Program) -> Result<(), Error> {
    let stacks = program.buffers.iter().filter(|(_, buffer)| buffer.place == Place::Stack);
    for (id, buffer) in stacks {
        let mut own = Vec::new();
        locals(&program.body, id, &mut own);
        for body in own {
            let mut uses = Uses::default();
            uses.of(body, id);
            if uses.loaded && !uses.stored {
                return Err(malformed(&buffer.name, "is read outside of the threads that it belongs to"));
            }
        }
    }
    Ok(())
}

/// The bodies of the `Local`s of a buffer.
fn locals<'a>(ops: &'a [Op], buffer: TensorId, found: &mut Vec<&'a [Op]>) {
    for op in ops {
        match op {
            Op::Local { buffer: own, body } => {
                if *own == buffer {
                    found.push(body);
                }
                locals(body, buffer, found);
            }
            Op::For { body, .. } | Op::Launch(Launch { body, .. }) => locals(body, buffer, found),
            Op::If { then, otherwise, .. } => {
                locals(then, buffer, found);
                locals(otherwise, buffer, found);
            }
            _ => {}
        }
    }
}

/// What is done to a buffer, but inside of further `Local`s of it.
#[derive(Default)]
struct Uses {
    loaded: bool,
    stored: bool,
}

impl Uses {
    fn of(&mut self, ops: &[Op], buffer: TensorId) {
        for op in ops {
            match op {
                Op::For { body, .. } | Op::Launch(Launch { body, .. }) => self.of(body, buffer),
                Op::If { then, otherwise, .. } => {
                    self.of(then, buffer);
                    self.of(otherwise, buffer);
                }
                Op::Local { buffer: own, body } if *own != buffer => self.of(body, buffer),
                Op::Store { buffer: to, .. } if *to == buffer => self.stored = true,
                Op::StoreBlock { buffer: to, .. } if *to == buffer => self.stored = true,
                Op::Local { .. } | Op::Prefetch { .. } => {}
                other => self.loaded |= touches(std::slice::from_ref(other), buffer),
            }
        }
    }
}

/// Refuses what does not fit on the stack.
pub(super) fn check(program: &Program) -> Result<(), Error> {
    let mut total = 0i64;
    for buffer in program.buffers.values().filter(|buffer| buffer.place == Place::Stack) {
        let bytes = buffer.constant_bytes();
        let bytes = bytes.ok_or_else(|| malformed(&buffer.name, "is on the stack, and its size is no constant"))?;
        total = total.saturating_add(bytes);
        if total > Memory::STACK_BYTES {
            let most = Memory::STACK_BYTES;
            return Err(malformed(&buffer.name, format!("does not fit on the stack: {total} bytes of {most}")));
        }
    }
    Ok(())
}
