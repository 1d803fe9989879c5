//! What the threads of a warp do to memory at once: wavefronts of shared memory, sectors of global memory.
//!
//! Of the first block of each launch, the first warps run the first iterations of the loops, all threads of a warp in step:
//! the loops say which element each of them accesses. Nothing is loaded or stored; where an address, a bound or a condition
//! depends on what is in memory, or on a size that is not known, that access is left out.
//!
//! A wavefront of shared memory gives one word of 4 bytes from each of 32 banks, to all threads that ask for it. Of
//! accesses of 8 bytes, half a warp is served at once, of 16 bytes a quarter. Global memory is moved in sectors of 32 bytes.
//! After the CUDA C++ Programming Guide (Compute Capability 5.x, Shared Memory and Global Memory) and the guide of Nsight
//! Compute, whose counters `wavefronts` and `sectors` are. Accesses are those of the loops: several that follow each other the
//! assembler may make one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use polyhedral::{TensorId, Value as Scalar};

use crate::int::holds;
use crate::passes::each_value;
use crate::program::along_by;
use crate::reduction::WARP;
use crate::{At, Cond, Int, Launch, Op, Place, Places, Program, Stride, Value, VarId};

/// What is known of the warps of a launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Warps {
    /// Its accesses of shared and of global memory, in the order of the text.
    pub accesses: Vec<WarpAccess>,
    /// The places where threads of a block wait for each other, in the order of the text.
    pub meetings: Vec<Meeting>,
}

/// An access by the threads of a warp.
#[derive(Clone, Debug, PartialEq)]
pub struct WarpAccess {
    /// The line of the program's text, from 0.
    pub line: usize,
    /// What is accessed.
    pub buffer: TensorId,
    /// Whether it is stored to.
    pub writes: bool,
    /// Bytes that a thread moves at once.
    pub bytes: u32,
    /// Of each thread the first byte, relative to the buffer, in the warp and iteration that takes most beyond its least; none
    /// of threads that do nothing there.
    pub addresses: Vec<Option<i64>>,
    /// What that takes: wavefronts or sectors.
    pub worst: Cost,
    /// How many warps and iterations were looked at.
    pub looked_at: u32,
    /// Wavefronts or sectors of all of these.
    pub takes: u64,
    /// The fewest that move as many distinct bytes.
    pub least: u64,
}

/// What an access of a warp takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Wavefronts, or sectors.
    pub takes: u32,
    /// The fewest for as many distinct bytes.
    pub least: u32,
    /// The words that one bank of shared memory has to give at most, in one group of threads; 1 of global memory.
    pub degree: u32,
}

/// A place where the threads of a block wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The line of the program's text, from 0.
    pub line: usize,
    /// The shared buffers that are touched between the barrier before and this one in the text, and whether they are written.
    pub before: BTreeSet<(TensorId, bool)>,
    /// Those between this one and the next.
    pub after: BTreeSet<(TensorId, bool)>,
}

const BANKS: i64 = 32;
const WORD: i64 = 4;
const SECTOR: i64 = 32;
/// Bytes that a thread moves at once at most.
const MOST_BYTES: u32 = 16;
/// Warps of a block, and iterations of a loop, that are looked at.
const WARPS: i64 = 4;
const ITERATIONS: i64 = 2;
/// Accesses of a warp that are looked at in one launch.
const MOST: usize = 50_000;

/// The launches of a program, in the order of the text.
pub fn warps(program: &Program) -> Vec<Warps> {
    let places = program.places();
    let mut found = Vec::new();
    host(&program.body, &BTreeMap::new(), &mut |launch, vars| found.push(of_launch(program, &places, launch, vars)));
    found
}

/// Finds the launches, with the first values of the loops around.
fn host(ops: &[Op], vars: &BTreeMap<VarId, i64>, found: &mut dyn FnMut(&Launch, &BTreeMap<VarId, i64>)) {
    for op in ops {
        match op {
            Op::Launch(launch) => found(launch, vars),
            Op::For { var, lower, body, .. } => {
                let first = lower.eval(&|var| vars.get(&var).copied(), &[]);
                let inside = vars.iter().map(|(var, value)| (*var, *value)).chain(first.map(|first| (*var, first)));
                host(body, &inside.collect(), found);
            }
            Op::If { then, otherwise, .. } => {
                host(then, vars, found);
                host(otherwise, vars, found);
            }
            _ => {}
        }
    }
}

fn of_launch(program: &Program, places: &Places, launch: &Launch, around: &BTreeMap<VarId, i64>) -> Warps {
    let threads: i64 = launch.block.iter().map(|(_, threads)| threads).product();
    let mut walk = Walk { program, places, found: BTreeMap::new(), left: MOST };
    for warp in 0..((threads - 1) / i64::from(WARP) + 1).min(WARPS) {
        let thread = |lane: i64| {
            let mut number = warp * i64::from(WARP) + lane;
            if number >= threads {
                return None;
            }
            let mut vars = around.clone();
            vars.extend(launch.grid.iter().map(|(var, _)| (*var, 0)));
            for (var, extent) in &launch.block {
                vars.insert(*var, number % extent);
                number /= extent;
            }
            Some(vars)
        };
        walk.ops(&launch.body, &(0..i64::from(WARP)).map(thread).collect::<Vec<_>>());
    }
    Warps { accesses: walk.found.into_values().collect(), meetings: meetings(program, places, launch) }
}

/// The values of variables of each thread of a warp; none of threads that do not run.
type Lanes = [Option<BTreeMap<VarId, i64>>];

struct Walk<'a> {
    program: &'a Program,
    places: &'a Places,
    /// By line, and number among the accesses of that line.
    found: BTreeMap<(usize, usize), WarpAccess>,
    left: usize,
}

impl Walk<'_> {
    fn ops(&mut self, ops: &[Op], lanes: &Lanes) {
        if lanes.iter().any(Option::is_some) {
            ops.iter().for_each(|op| self.op(op, lanes));
        }
    }

    fn op(&mut self, op: &Op, lanes: &Lanes) {
        let mut accesses = Vec::new();
        match op {
            Op::For { var, lower, upper, step, body, .. } => {
                return self.repeated(*var, [lower, upper, step], body, lanes);
            }
            Op::If { cond, then, otherwise } => {
                for (ops, taken) in [(then, true), (otherwise, false)] {
                    self.ops(ops, &where_holds(lanes, |vars| holds_in(cond, vars) == Some(taken)));
                }
                return;
            }
            Op::Local { body, .. } => return self.ops(body, lanes),
            Op::Store { buffer, at, lanes, mask, .. } => {
                accesses.push(Access {
                    buffer: *buffer,
                    at: at.clone(),
                    lanes: *lanes,
                    mask: mask.clone(),
                    writes: true,
                });
            }
            Op::Atomic { buffer, at, .. } => {
                accesses.push(Access { buffer: *buffer, at: at.clone(), lanes: 1, mask: None, writes: true });
            }
            Op::Copy { to, to_at, from, from_at, lanes } => {
                for (buffer, at, writes) in [(from, from_at, false), (to, to_at, true)] {
                    accesses.push(Access { buffer: *buffer, at: at.clone(), lanes: *lanes, mask: None, writes });
                }
            }
            Op::LoadBlock { regs, buffer, at, along } | Op::StoreBlock { regs, buffer, at, along } => {
                for (distance, reg) in (0..).zip(regs) {
                    let (at, lanes) = (along_by(at, *along, distance), self.program.regs[*reg].lanes);
                    let writes = matches!(op, Op::StoreBlock { .. });
                    accesses.push(Access { buffer: *buffer, at, lanes, mask: None, writes });
                }
            }
            _ => {}
        }
        let width = match op {
            Op::Store { lanes, .. } | Op::Check { lanes, .. } => *lanes,
            Op::Set { reg, .. } => self.program.regs[*reg].lanes,
            _ => 1,
        };
        each_value(op, &mut |value| loads(value, width, &mut accesses));
        let Some(line) = self.places.line(op) else { return };
        for (number, access) in accesses.iter().enumerate() {
            self.access((line, number), access, lanes);
        }
    }

    fn repeated(&mut self, var: VarId, [lower, upper, step]: [&Int; 3], body: &[Op], lanes: &Lanes) {
        for iteration in 0..ITERATIONS {
            let inside = lanes.iter().map(|lane| {
                let mut vars = lane.clone()?;
                let [first, end, by] =
                    [lower, upper, step].map(|bound| bound.eval(&|var| vars.get(&var).copied(), &[]));
                let value = first?.checked_add(iteration.checked_mul(by?)?)?;
                vars.insert(var, value);
                (value < end?).then_some(vars)
            });
            self.ops(body, &inside.collect::<Vec<_>>());
        }
    }

    /// What a warp does at one access: vectors that lie in one piece as wide as they can be, others element by element.
    fn access(&mut self, place: (usize, usize), access: &Access, lanes: &Lanes) {
        let Some(buffer) = self.program.buffers.get(access.buffer) else { return };
        let is_shared = buffer.place == Place::Shared;
        if !is_shared && !matches!(buffer.place, Place::Argument(_) | Place::Workspace(_)) {
            return;
        }
        let element = buffer.dtype.bytes();
        let address = |vars: &BTreeMap<VarId, i64>, lane: u32| -> Option<Option<i64>> {
            if let Some(mask) = &access.mask
                && !truth(mask, vars, lane)?
            {
                return Some(None);
            }
            let mut all = 0i64;
            for (at, stride) in access.at.iter().zip(&buffer.strides) {
                let (At::Affine { base, step }, Stride::Known(stride)) = (at, stride) else { return None };
                let value = |int: &Int| int.eval(&|var| vars.get(&var).copied(), &[]);
                all += (value(base)? + step * i64::from(lane)) * value(stride)?;
            }
            Some(Some(all * i64::from(element)))
        };
        // Of each lane of the access, where each thread is.
        let mut rows = Vec::new();
        for lane in 0..access.lanes {
            let row: Option<Vec<Option<i64>>> =
                lanes.iter().map(|vars| vars.as_ref().map_or(Some(None), |vars| address(vars, lane))).collect();
            let Some(row) = row else { return };
            rows.push(row);
        }
        let (width, bytes) = pieces(&rows, element);
        for row in rows.iter().step_by(width) {
            if row.iter().any(Option::is_some) && self.left > 0 {
                self.left -= 1;
                self.add(place, (access, bytes), row, is_shared);
            }
        }
    }

    fn add(&mut self, place: (usize, usize), (access, bytes): (&Access, u32), row: &[Option<i64>], is_shared: bool) {
        let cost = if is_shared { wavefronts(row, bytes) } else { sectors(row, bytes) };
        let known = self.found.entry(place).or_insert_with(|| WarpAccess {
            line: place.0,
            buffer: access.buffer,
            writes: access.writes,
            bytes,
            addresses: row.to_vec(),
            worst: cost,
            looked_at: 0,
            takes: 0,
            least: 0,
        });
        known.looked_at += 1;
        known.takes += u64::from(cost.takes);
        known.least += u64::from(cost.least);
        let excess = |cost: Cost| cost.takes - cost.least.min(cost.takes);
        if excess(cost) > excess(known.worst) {
            (known.worst, known.bytes, known.addresses) = (cost, bytes, row.to_vec());
        }
    }
}

/// One access of an op.
struct Access {
    buffer: TensorId,
    at: Vec<At>,
    lanes: u32,
    mask: Option<Value>,
    writes: bool,
}

/// The loads of a value with so many lanes.
fn loads(value: &Value, lanes: u32, found: &mut Vec<Access>) {
    let lanes = if let Value::Reduce { from, .. } = value { *from } else { lanes };
    if let Value::Load { buffer, at, mask } = value {
        let is_one = at.iter().all(|at| matches!(at, At::Affine { step: 0, .. })) && mask.is_none();
        let lanes = if is_one { 1 } else { lanes };
        found.push(Access { buffer: *buffer, at: at.clone(), lanes, mask: mask.as_deref().cloned(), writes: false });
    }
    value.children().into_iter().for_each(|child| loads(child, lanes, found));
}

/// How many of the elements of each thread are moved at once, and how many bytes these are: all that follow each other, as
/// far as they are aligned, at most 16 bytes.
fn pieces(rows: &[Vec<Option<i64>>], element: u32) -> (usize, u32) {
    let follows =
        |pair: &[Vec<Option<i64>>]| pair[0].iter().zip(&pair[1]).all(|(a, b)| a.map(|a| a + i64::from(element)) == *b);
    let mut width = 1;
    if rows.windows(2).all(follows) {
        let fits = |bytes: u32| {
            let elements = (bytes / element) as usize;
            let first = rows.first().into_iter().flatten().flatten();
            rows.len().is_multiple_of(elements) && first.clone().all(|address| address % i64::from(bytes) == 0)
        };
        while 2 * element * width <= MOST_BYTES && fits(2 * element * width) {
            width *= 2;
        }
    }
    (width as usize, element * width)
}

/// What accesses of shared memory take.
fn wavefronts(addresses: &[Option<i64>], bytes: u32) -> Cost {
    let together = match bytes {
        ..=4 => addresses.len(),
        8 => addresses.len() / 2,
        _ => addresses.len() / 4,
    };
    let mut all = Cost { takes: 0, least: 0, degree: 0 };
    for group in addresses.chunks(together.max(1)) {
        let words: BTreeSet<i64> = group.iter().flatten().flat_map(|first| words(*first, bytes, WORD)).collect();
        let mut banks: BTreeMap<i64, u32> = BTreeMap::new();
        words.iter().for_each(|word| *banks.entry(word.rem_euclid(BANKS)).or_default() += 1);
        let most = banks.values().copied().max().unwrap_or(0);
        all.takes += most;
        all.least += (words.len() as u32).div_ceil(BANKS as u32);
        all.degree = all.degree.max(most);
    }
    all
}

/// What accesses of global memory take.
fn sectors(addresses: &[Option<i64>], bytes: u32) -> Cost {
    let all = |unit: i64| -> BTreeSet<i64> {
        addresses.iter().flatten().flat_map(|first| words(*first, bytes, unit)).collect()
    };
    let least = (all(1).len() as u32).div_ceil(SECTOR as u32);
    Cost { takes: all(SECTOR).len() as u32, least, degree: 1 }
}

/// The units that these bytes lie in.
fn words(first: i64, bytes: u32, unit: i64) -> Range<i64> {
    first.div_euclid(unit)..(first + i64::from(bytes) - 1).div_euclid(unit) + 1
}

fn where_holds(lanes: &Lanes, holds: impl Fn(&BTreeMap<VarId, i64>) -> bool) -> Vec<Option<BTreeMap<VarId, i64>>> {
    lanes.iter().map(|lane| lane.clone().filter(|vars| holds(vars))).collect()
}

fn holds_in(cond: &Cond, vars: &BTreeMap<VarId, i64>) -> Option<bool> {
    cond.eval(&|var| vars.get(&var).copied(), &[])
}

/// Whether a mask holds in a lane, where that follows from variables.
fn truth(mask: &Value, vars: &BTreeMap<VarId, i64>, lane: u32) -> Option<bool> {
    use polyhedral::{BinOp, UnOp};
    let int = |value: &Value| match value {
        Value::Int { base, step } => Some(base.eval(&|var| vars.get(&var).copied(), &[])? + step * i64::from(lane)),
        Value::Const(Scalar::Int(value), _) => Some(*value as i64),
        _ => None,
    };
    match mask {
        Value::Const(Scalar::Int(value), _) => Some(*value != 0),
        Value::Compare(op, a, b) => Some(holds(*op, int(a)?, int(b)?)),
        Value::Binary(BinOp::And, a, b) => Some(truth(a, vars, lane)? && truth(b, vars, lane)?),
        Value::Binary(BinOp::Or, a, b) => Some(truth(a, vars, lane)? || truth(b, vars, lane)?),
        Value::Unary(UnOp::Not, a) => Some(!truth(a, vars, lane)?),
        _ => None,
    }
}

/// What happens between barriers, in the order of the text.
fn meetings(program: &Program, places: &Places, launch: &Launch) -> Vec<Meeting> {
    let mut found = Meetings { program, places, all: Vec::new(), since: BTreeSet::new() };
    found.ops(&launch.body);
    let (mut all, last) = (found.all, found.since);
    let after: Vec<_> = all.iter().skip(1).map(|meeting| meeting.before.clone()).chain([last]).collect();
    all.iter_mut().zip(after).for_each(|(meeting, after)| meeting.after = after);
    all
}

struct Meetings<'a> {
    program: &'a Program,
    places: &'a Places,
    all: Vec<Meeting>,
    since: BTreeSet<(TensorId, bool)>,
}

impl Meetings<'_> {
    fn ops(&mut self, ops: &[Op]) {
        for op in ops {
            let mut touched = Vec::new();
            each_value(op, &mut |value| {
                let mut found = Vec::new();
                loads(value, 1, &mut found);
                touched.extend(found.into_iter().map(|one| (one.buffer, false)));
            });
            match op {
                Op::Store { buffer, .. } | Op::StoreBlock { buffer, .. } | Op::Atomic { buffer, .. } => {
                    touched.push((*buffer, true));
                }
                Op::LoadBlock { buffer, .. } => touched.push((*buffer, false)),
                Op::Copy { to, from, .. } => touched.extend([(*to, true), (*from, false)]),
                _ => {}
            }
            let is_shared = |id: &TensorId| self.program.buffers[*id].place == Place::Shared;
            self.since.extend(touched.into_iter().filter(|(id, _)| is_shared(id)));
            match op {
                Op::Barrier => {
                    let line = self.places.line(op).unwrap_or_default();
                    let before = std::mem::take(&mut self.since);
                    self.all.push(Meeting { line, before, after: BTreeSet::new() });
                }
                Op::For { body, .. } | Op::Local { body, .. } => self.ops(body),
                Op::If { then, otherwise, .. } => {
                    self.ops(then);
                    self.ops(otherwise);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(address: impl Fn(i64) -> i64) -> Vec<Option<i64>> {
        (0..32).map(|lane| Some(address(lane))).collect()
    }

    /// A column of 32 floats in rows of 32 has one bank; with one more in a row it has all of them.
    #[test]
    fn columns_conflict_unless_rows_are_padded() {
        let of = |stride: i64| wavefronts(&row(|lane| 4 * stride * lane), 4);
        assert_eq!(of(32), Cost { takes: 32, least: 1, degree: 32 });
        assert_eq!(of(33), Cost { takes: 1, least: 1, degree: 1 });
        assert_eq!(of(2).degree, 2);
        assert_eq!(of(1).degree, 1);
    }

    #[test]
    fn one_word_is_given_to_all_who_ask() {
        assert_eq!(wavefronts(&row(|_| 128), 4), Cost { takes: 1, least: 1, degree: 1 });
        assert_eq!(wavefronts(&row(|lane| lane), 1), Cost { takes: 1, least: 1, degree: 1 });
        assert_eq!(wavefronts(&row(|lane| 4 * (lane % 2) * 32), 4).degree, 2);
    }

    #[test]
    fn wide_accesses_are_served_in_parts() {
        assert_eq!(wavefronts(&row(|lane| 8 * lane), 8), Cost { takes: 2, least: 2, degree: 1 });
        assert_eq!(wavefronts(&row(|lane| 16 * lane), 16), Cost { takes: 4, least: 4, degree: 1 });
        assert_eq!(wavefronts(&row(|lane| 16 * lane), 8), Cost { takes: 4, least: 2, degree: 2 });
    }

    #[test]
    fn neighbours_share_sectors() {
        assert_eq!(sectors(&row(|lane| 4 * lane), 4), Cost { takes: 4, least: 4, degree: 1 });
        assert_eq!(sectors(&row(|lane| 4 * 1024 * lane), 4), Cost { takes: 32, least: 4, degree: 1 });
        assert_eq!(sectors(&row(|_| 64), 4).takes, 1);
        assert_eq!(sectors(&row(|lane| 4 * lane + 4), 4).takes, 5);
    }

    /// What wavefronts take by counting, for random addresses: no bank gives two words at once, and no wavefront is empty.
    #[test]
    fn wavefronts_are_between_their_bounds() {
        let mut seed = 7u64;
        for _ in 0..200 {
            let mut random = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 40) as i64
            };
            let addresses: Vec<Option<i64>> =
                (0..32).map(|_| (random() % 4 > 0).then(|| 4 * (random() % 512))).collect();
            let cost = wavefronts(&addresses, 4);
            let distinct: BTreeSet<i64> = addresses.iter().flatten().copied().collect();
            assert!(cost.least <= cost.takes && cost.takes as usize <= distinct.len(), "{addresses:?}: {cost:?}");
        }
    }
}
