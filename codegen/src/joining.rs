//! One program of the loops of its parts.

use std::collections::{BTreeMap, BTreeSet};

use polyhedral::{Scop, TensorId};

use crate::renaming::{Ids, int, rename};
use crate::scan::empty_program;
use crate::{Buffer, Options, Place, Program, RegId, Stride, Var, VarId, arena};

/// The loops of a part of a program, and what its names are in the whole.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    /// The loops, of [`lower_part`](crate::lower_part).
    pub program: &'a Program,
    /// Which tensors of the whole program the part's are: of the first of its buffers, in order. The others are its own.
    pub tensors: Vec<TensorId>,
    /// What its statements are called in the whole, where that is not what they are called in the loops.
    pub names: BTreeMap<String, String>,
}

/// The loops of a whole program from those of its parts, in the order of execution, with a plan of the workspace for all.
///
/// A part may stand there several times, with other tensors each time. What a part keeps in memory of its own becomes a
/// buffer for each time; those that are never alive at once share bytes. The tensors that several parts touch must have
/// the dimensions of `scop` in each: [`Options::kept`].
pub fn joined(scop: &Scop, options: &Options, pieces: &[Piece<'_>]) -> Program {
    let mut program = empty_program(scop, options);
    let mut taken: BTreeSet<String> = program.buffers.values().map(|buffer| buffer.name.clone()).collect();
    for piece in pieces {
        add(&mut program, &mut taken, piece);
    }
    arena::planned(program)
}

fn add(program: &mut Program, taken: &mut BTreeSet<String>, piece: &Piece<'_>) {
    let mut body = piece.program.body.clone();
    let mut ids = ids_in(program, taken, piece);
    rename(&mut body, &mut ids);
    program.parts.push(program.body.len());
    program.body.extend(body);
}

/// Makes rows for what is the piece's own, and says what all of its ids become.
fn ids_in(program: &mut Program, taken: &mut BTreeSet<String>, piece: &Piece<'_>) -> Joined {
    let part = piece.program;
    let mut ids = Joined::default();
    for name in &part.params {
        let known = program.params.iter().position(|param| param == name);
        ids.params.push(known.unwrap_or(program.params.len()));
        if known.is_none() {
            program.params.push(name.clone());
        }
    }
    for (at, buffer) in part.buffers.values().enumerate() {
        let mut buffer = in_whole(buffer, &mut ids);
        ids.buffers.push(match piece.tensors.get(at) {
            Some(&whole) => {
                let (old, is_own) = (&program.buffers[whole], !matches!(buffer.place, Place::Argument(_)));
                let streamed = old.streamed || buffer.streamed;
                buffer = Buffer { name: old.name.clone(), role: old.role, streamed, ..buffer };
                if !is_own {
                    buffer.place = old.place.clone();
                }
                program.buffers[whole] = buffer;
                whole
            }
            None => {
                buffer.name = fresh(&buffer.name, taken);
                program.buffers.push(buffer)
            }
        });
    }
    let called = |name: &str| match name.rfind('.') {
        Some(dot) if piece.names.contains_key(&name[..dot]) => format!("{}{}", piece.names[&name[..dot]], &name[dot..]),
        _ => name.to_string(),
    };
    let in_whole =
        |var: &Var| Var { name: called(&var.name), loops: var.loops.iter().map(|name| called(name)).collect() };
    ids.vars = part.vars.values().map(|var| program.vars.push(in_whole(var))).collect();
    ids.regs = part.regs.values().map(|reg| program.regs.push(reg.clone())).collect();
    ids
}

/// The buffer with the parameters of the whole.
fn in_whole(buffer: &Buffer, ids: &mut Joined) -> Buffer {
    let mut buffer = buffer.clone();
    buffer.extent.iter_mut().for_each(|extent| int(extent, ids));
    for stride in &mut buffer.strides {
        if let Stride::Known(stride) = stride {
            int(stride, ids);
        }
    }
    if let Place::Workspace(offset) = &mut buffer.place {
        int(offset, ids);
    }
    buffer
}

/// The name, or with a number where another buffer has it.
fn fresh(name: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let free = std::iter::once(name.to_string()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or_default();
    taken.insert(free.clone());
    free
}

/// What the ids of a part are in the whole.
#[derive(Default)]
struct Joined {
    params: Vec<usize>,
    buffers: Vec<TensorId>,
    vars: Vec<VarId>,
    regs: Vec<RegId>,
}

impl Ids for Joined {
    fn buffer(&mut self, id: TensorId) -> TensorId {
        self.buffers[support::Entity::index(id)]
    }

    fn var(&mut self, id: VarId) -> VarId {
        self.vars[support::Entity::index(id)]
    }

    fn reg(&mut self, id: RegId) -> RegId {
        self.regs[support::Entity::index(id)]
    }

    fn param(&mut self, at: usize) -> usize {
        self.params[at]
    }
}
