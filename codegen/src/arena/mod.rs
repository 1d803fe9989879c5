//! Where temporaries are in the workspace: those that are never alive at once may have the same bytes.
//!
//! A plan is made of the finished loops ([`planned`]), so that whatever moves accesses before may take buffers for distinct
//! memory. Who is alive when is a fact of the program ([`Lifetimes`]) that the verifier finds again by itself.

mod lifetimes;
mod offsets;
mod order;

use polyhedral::TensorId;

pub(crate) use lifetimes::Lifetimes;
pub(crate) use offsets::{Item, offsets};
pub(crate) use order::at_least;

use crate::{Buffer, Int, Place, Program};

/// Temporaries begin at multiples of so many bytes.
pub(crate) const ALIGNMENT: i64 = 64;

/// Bytes of a buffer of the workspace, up to where the next one may begin; at least 0, whatever the parameters are.
pub(crate) fn room(buffer: &Buffer) -> Int {
    aligned(bytes(buffer))
}

/// Bytes from the first to the last element; none where an extent is negative. Rows that are longer than the tensor's are
/// of constant sizes.
pub(crate) fn bytes(buffer: &Buffer) -> Int {
    if let Some(bytes) = buffer.constant_bytes() {
        return Int::Const(bytes);
    }
    let all = |all, extent: &Int| all * extent.clone().max(Int::Const(0));
    i64::from(buffer.dtype.bytes()) * buffer.extent.iter().fold(Int::Const(1), all)
}

pub(crate) fn aligned(bytes: Int) -> Int {
    ALIGNMENT * (bytes + (ALIGNMENT - 1)).floor_div(ALIGNMENT)
}

/// The buffers of the workspace with their offsets.
pub(crate) fn in_workspace(program: &Program) -> impl Iterator<Item = (TensorId, &Buffer, &Int)> {
    program.buffers.iter().filter_map(|(id, buffer)| match &buffer.place {
        Place::Workspace(offset) => Some((id, buffer, offset)),
        Place::Argument(_) | Place::Stack | Place::Shared => None,
    })
}

/// The program with places in the workspace that take as few bytes as we find: those of constant sizes first, near the
/// least that any plan takes; then one after the other what has the same open size, or a larger one.
///
/// What nothing accesses has a place all the same, beside anything. Where it is not known that a plan holds for all parameters,
/// each buffer has a part of its own.
pub(crate) fn planned(program: Program) -> Program {
    let lifetimes = Lifetimes::of(&program);
    if in_workspace(&program).count() < 2 {
        return program;
    }
    let shared = shared(program.clone(), &lifetimes);
    if overlapping(&shared, &lifetimes).next().is_some() { apart(program) } else { shared }
}

/// Pairs of buffers that are alive at once, and are not known to have no byte in common.
pub(crate) fn overlapping<'a>(
    program: &'a Program,
    lifetimes: &'a Lifetimes,
) -> impl Iterator<Item = (&'a Buffer, &'a Buffer)> {
    let all: Vec<(TensorId, &Buffer)> = in_workspace(program).map(|(id, buffer, _)| (id, buffer)).collect();
    let pairs = (0..all.len()).flat_map(move |one| {
        let before = all[..one].to_vec();
        let (id, buffer) = all[one];
        before.into_iter().map(move |other| ((id, buffer), other))
    });
    let meets = |one: TensorId, other: TensorId| lifetimes.meet(one, other) && !are_apart(program, one, other);
    pairs.filter(move |((one, _), (other, _))| meets(*one, *other)).map(|((_, one), (_, other))| (one, other))
}

/// The program with its temporaries one after the other.
pub(crate) fn apart(mut program: Program) -> Program {
    let mut offset = Int::Const(0);
    for (_, buffer) in program.buffers.iter_mut() {
        if let Place::Workspace(_) = buffer.place {
            buffer.place = Place::Workspace(offset.clone());
            offset = offset + room(buffer);
        }
    }
    program
}

fn shared(mut program: Program, lifetimes: &Lifetimes) -> Program {
    let Layout { slots, places } = layout(&program, lifetimes, ALIGNMENT, 0);
    let mut starts = Vec::new();
    let end = slots.into_iter().fold(Int::Const(0), |start, room| {
        starts.push(start.clone());
        start + room
    });
    starts.push(end);
    for Placed { buffer, slot, offset } in places {
        program.buffers[buffer].place = Place::Workspace(starts[slot].clone() + offset);
    }
    program
}

/// Where temporaries are: in stretches of memory, one after the other.
pub(crate) struct Layout {
    /// Bytes of each stretch; at least 0.
    pub(crate) slots: Vec<Int>,
    /// For each buffer of the workspace the stretch it lies in, and how many bytes of that are before it.
    pub(crate) places: Vec<Placed>,
}

/// A buffer in a stretch of a [`Layout`].
pub(crate) struct Placed {
    pub(crate) buffer: TensorId,
    pub(crate) slot: usize,
    pub(crate) offset: i64,
}

/// Places for all temporaries at multiples of `alignment` bytes, of `least` bytes at least: what has constant sizes lies in the
/// first stretch.
pub(crate) fn layout(program: &Program, lifetimes: &Lifetimes, alignment: i64, least: i64) -> Layout {
    let rooms = in_workspace(program).map(|(id, buffer, _)| (id, room(buffer)));
    let (known, open): (Vec<_>, Vec<_>) = rooms.partition(|(_, room)| room.as_const().is_some());
    let bytes = |room: &Int| {
        let bytes = room.as_const().unwrap_or(0).max(least);
        bytes.checked_add(alignment - 1).map_or(i64::MAX, |bytes| bytes / alignment * alignment)
    };
    let items: Vec<Item> =
        known.iter().map(|(id, room)| Item { bytes: bytes(room), spans: lifetimes.spans(*id) }).collect();
    let (offsets, end) = offsets(&items);
    let mut layout = Layout { slots: vec![Int::Const(end)], places: Vec::new() };
    for ((buffer, _), offset) in known.into_iter().zip(offsets) {
        layout.places.push(Placed { buffer, slot: 0, offset });
    }
    for slot in slots(open, lifetimes) {
        let at = layout.slots.len();
        layout.places.extend(slot.buffers.into_iter().map(|buffer| Placed { buffer, slot: at, offset: 0 }));
        layout.slots.push(slot.room);
    }
    layout
}

/// Buffers of open sizes that are never alive at once.
struct Slot {
    room: Int,
    buffers: Vec<TensorId>,
}

/// A slot for each buffer: one that is surely large enough, else one that it surely fills, else any.
fn slots(open: Vec<(TensorId, Int)>, lifetimes: &Lifetimes) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    for (id, room) in open {
        let is_free = |slot: &&mut Slot| !slot.buffers.iter().any(|other| lifetimes.meet(*other, id));
        let mut free: Vec<&mut Slot> = slots.iter_mut().filter(is_free).collect();
        let exact = free.iter().position(|slot| slot.room == room);
        let enough = || free.iter().position(|slot| at_least(&slot.room, &room));
        let filled = || free.iter().position(|slot| at_least(&room, &slot.room));
        let any = || (!free.is_empty()).then_some(0);
        match exact.or_else(enough).or_else(filled).or_else(any) {
            Some(at) => {
                let slot = &mut *free[at];
                slot.buffers.push(id);
                slot.room = larger(&slot.room, &room);
            }
            None => slots.push(Slot { room, buffers: vec![id] }),
        }
    }
    slots
}

fn larger(a: &Int, b: &Int) -> Int {
    if at_least(a, b) {
        a.clone()
    } else if at_least(b, a) {
        b.clone()
    } else {
        a.clone().max(b.clone())
    }
}

/// Whether two buffers of the workspace surely have no byte in common, for any parameters.
pub(crate) fn are_apart(program: &Program, a: TensorId, b: TensorId) -> bool {
    let part = |id: TensorId| match &program.buffers[id].place {
        Place::Workspace(offset) => Some((offset, room(&program.buffers[id]))),
        Place::Argument(_) | Place::Stack | Place::Shared => None,
    };
    let (Some((a, a_room)), Some((b, b_room))) = (part(a), part(b)) else { return true };
    at_least(b, &(a.clone() + a_room)) || at_least(a, &(b.clone() + b_room))
}
