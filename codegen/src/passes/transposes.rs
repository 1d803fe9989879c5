use std::collections::BTreeMap;

use polyhedral::TensorId;
use support::Table;

use crate::program::along_by;
use crate::{At, Buffer, Int, Op, Program, Reg, RegId, Stride, Value};

/// Loads and stores vectors together that lie next to each other in memory while the lanes of each do not.
///
/// ```text
/// O[j, i .. +16] = I[i .. +16, j]              r0, r1, … = block I[i .. +16, j] along dimension 1
/// O[j + 1, i .. +16] = I[i .. +16, j + 1]  ->  O[j, i .. +16] = r0
/// …                                            O[j + 1, i .. +16] = r1
///                                              …
/// ```
///
/// Lane by lane, a vector costs as many loads as it has lanes. A block is loaded along the contiguous dimension, and
/// transposed between registers; in the same way one is stored. Done for two vectors or more of one straight run of ops,
/// of the same elements but for consecutive distances along the contiguous dimension, without a mask, and with nothing
/// between them that touches the buffer otherwise. Exactly the same elements are touched.
pub fn transposes(mut program: Program) -> Program {
    let body = std::mem::take(&mut program.body);
    let mut pass = Pass { buffers: &program.buffers, regs: &mut program.regs };
    program.body = pass.ops(body);
    program
}

struct Pass<'a> {
    buffers: &'a Table<TensorId, Buffer>,
    regs: &'a mut Table<RegId, Reg>,
}

impl Pass<'_> {
    fn ops(&mut self, ops: Vec<Op>) -> Vec<Op> {
        let (mut done, mut run) = (Vec::new(), Vec::new());
        for op in ops {
            let nested = match op {
                Op::For { var, lower, upper, step, parallel, body } => {
                    Op::For { var, lower, upper, step, parallel, body: self.ops(body) }
                }
                Op::If { cond, then, otherwise } => {
                    Op::If { cond, then: self.ops(then), otherwise: self.ops(otherwise) }
                }
                Op::Local { buffer, body } => Op::Local { buffer, body: self.ops(body) },
                straight => {
                    run.push(straight);
                    continue;
                }
            };
            done.extend(self.run(std::mem::take(&mut run)));
            done.push(nested);
        }
        done.extend(self.run(run));
        done
    }

    /// Ops that run one after the other.
    fn run(&mut self, ops: Vec<Op>) -> Vec<Op> {
        let ops = self.load_blocks(ops);
        self.store_blocks(ops)
    }

    fn load_blocks(&mut self, ops: Vec<Op>) -> Vec<Op> {
        let mut blocks = Loads { buffers: self.buffers, regs: self.regs }.blocks(&ops);
        if blocks.is_empty() {
            return ops;
        }
        let mut registers: BTreeMap<usize, Vec<Op>> = BTreeMap::new();
        for block in &mut blocks {
            let first = block.positions.iter().copied().min().unwrap_or(0);
            let (regs, buffer, at, along) = self.registers_of(block);
            registers.entry(first).or_default().push(Op::LoadBlock { regs, buffer, at, along });
        }
        let mut versions = Versions::default();
        let mut done = Vec::new();
        for (position, op) in ops.into_iter().enumerate() {
            done.extend(registers.remove(&position).into_iter().flatten());
            let stored = stored(&op);
            done.push(in_registers(op, self.buffers, self.regs, &versions, &blocks));
            versions.store(stored);
        }
        done
    }

    /// The values of the stores stay where they are; what is stored is stored with the last of them.
    fn store_blocks(&mut self, ops: Vec<Op>) -> Vec<Op> {
        let mut blocks =
            Stores { buffers: self.buffers, regs: self.regs, open: Vec::new(), blocks: Vec::new() }.blocks(&ops);
        let (mut registers, mut stores) = (BTreeMap::new(), BTreeMap::new());
        for block in &mut blocks {
            let last = block.positions.iter().copied().max().unwrap_or(0);
            let (regs, buffer, at, along) = self.registers_of(block);
            registers.extend(block.positions.iter().copied().zip(regs.clone()));
            stores.insert(last, Op::StoreBlock { regs, buffer, at, along });
        }
        let mut done = Vec::new();
        for (position, op) in ops.into_iter().enumerate() {
            done.push(match (op, registers.get(&position)) {
                (Op::Store { value, .. }, Some(&reg)) => Op::Set { reg, value },
                (op, _) => op,
            });
            done.extend(stores.remove(&position));
        }
        done
    }

    /// New registers for a block, and what it stands for.
    fn registers_of(&mut self, block: &mut Block) -> (Vec<RegId>, TensorId, Vec<At>, usize) {
        let Shape { buffer, lanes, along, .. } = block.shape;
        let row = &self.buffers[buffer];
        let reg = || Reg { name: row.name.clone(), dtype: row.dtype, lanes };
        block.regs = block.distances.iter().map(|_| self.regs.push(reg())).collect();
        let first = block.distances.first().copied().unwrap_or(0);
        (block.regs.clone(), buffer, along_by(&block.shape.at, along, first), along)
    }
}

/// How often each buffer has been stored to.
#[derive(Default)]
struct Versions(BTreeMap<TensorId, u32>);

impl Versions {
    fn of(&self, buffer: TensorId) -> u32 {
        self.0.get(&buffer).copied().unwrap_or(0)
    }

    fn store(&mut self, buffer: Option<TensorId>) {
        buffer.into_iter().for_each(|buffer| *self.0.entry(buffer).or_default() += 1);
    }
}

fn stored(op: &Op) -> Option<TensorId> {
    if let Op::Store { buffer, .. } = op { Some(*buffer) } else { None }
}

/// Accesses that differ by their distance along one dimension only.
#[derive(Clone, PartialEq)]
struct Shape {
    buffer: TensorId,
    /// Stores to the buffer before.
    version: u32,
    lanes: u32,
    along: usize,
    /// At distance 0.
    at: Vec<At>,
}

impl Shape {
    /// The shape of a load that a block may stand for, and its distance.
    fn of(value: &Value, lanes: u32, buffers: &Table<TensorId, Buffer>, versions: &Versions) -> Option<(Shape, i64)> {
        let Value::Load { buffer, at, mask: None } = value else { return None };
        Shape::of_access(*buffer, at, lanes, buffers, versions.of(*buffer))
    }

    fn of_access(
        buffer: TensorId,
        at: &[At],
        lanes: u32,
        buffers: &Table<TensorId, Buffer>,
        version: u32,
    ) -> Option<(Shape, i64)> {
        let strides = &buffers[buffer].strides;
        let along = strides.iter().rposition(|stride| *stride == Stride::Known(Int::Const(1)))?;
        let At::Affine { base, step: 0 } = at.get(along)? else { return None };
        let moves = |at: &At| matches!(at, At::Affine { step, .. } if *step != 0);
        let is_affine = at.iter().all(|at| matches!(at, At::Affine { .. }));
        if lanes < 2 || !is_affine || !at.iter().any(moves) {
            return None;
        }
        let distance = base.linear().constant;
        let at = along_by(at, along, distance.checked_neg()?);
        Some((Shape { buffer, version, lanes, along, at }, distance))
    }
}

/// Consecutive distances of one shape.
struct Block {
    shape: Shape,
    /// Two or more.
    distances: Vec<i64>,
    /// For each distance the op that has it first.
    positions: Vec<usize>,
    /// One for each distance.
    regs: Vec<RegId>,
}

impl Block {
    fn register(&self, shape: &Shape, distance: i64) -> Option<RegId> {
        let at = self.distances.binary_search(&distance).ok()?;
        (self.shape == *shape).then(|| self.regs[at])
    }
}

/// Accesses of one shape: the distances, with the first op that has each.
struct Candidate {
    shape: Shape,
    accesses: BTreeMap<i64, usize>,
}

impl Candidate {
    fn new(shape: Shape) -> Candidate {
        Candidate { shape, accesses: BTreeMap::new() }
    }

    /// The runs of consecutive distances.
    fn blocks(self) -> Vec<Block> {
        let accesses: Vec<(i64, usize)> = self.accesses.into_iter().collect();
        let runs = accesses.chunk_by(|(a, _), (b, _)| a.checked_add(1) == Some(*b)).filter(|run| run.len() > 1);
        let block = |run: &[(i64, usize)]| {
            let (distances, positions) = run.iter().copied().unzip();
            Block { shape: self.shape.clone(), distances, positions, regs: Vec::new() }
        };
        runs.map(block).collect()
    }
}

/// Finds blocks to load.
struct Loads<'a> {
    buffers: &'a Table<TensorId, Buffer>,
    regs: &'a Table<RegId, Reg>,
}

impl Loads<'_> {
    fn blocks(self, ops: &[Op]) -> Vec<Block> {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut versions = Versions::default();
        // What a lane of a sum of products takes lies together in memory already.
        let is_apart = |op: &Op| !matches!(op, Op::Set { value: Value::Dot { .. }, .. });
        for (position, op) in ops.iter().enumerate().filter(|(_, op)| is_apart(op)) {
            each_load(op, self.regs, &mut |value, lanes| {
                let Some((shape, distance)) = Shape::of(value, lanes, self.buffers, &versions) else { return };
                let known = candidates.iter().position(|candidate| candidate.shape == shape);
                let known = known.unwrap_or_else(|| {
                    candidates.push(Candidate::new(shape));
                    candidates.len() - 1
                });
                candidates[known].accesses.entry(distance).or_insert(position);
            });
            versions.store(stored(op));
        }
        candidates.into_iter().flat_map(Candidate::blocks).collect()
    }
}

/// Finds blocks to store.
struct Stores<'a> {
    buffers: &'a Table<TensorId, Buffer>,
    regs: &'a Table<RegId, Reg>,
    /// Stores that others may join; of each buffer at most one.
    open: Vec<Candidate>,
    blocks: Vec<Block>,
}

impl Stores<'_> {
    fn blocks(mut self, ops: &[Op]) -> Vec<Block> {
        for (position, op) in ops.iter().enumerate() {
            let mut loaded = Vec::new();
            each_load(op, self.regs, &mut |value, _| {
                if let Value::Load { buffer, .. } = value {
                    loaded.push(*buffer);
                }
            });
            loaded.into_iter().for_each(|buffer| self.close(buffer, None));
            match op {
                Op::LoadBlock { buffer, .. } | Op::StoreBlock { buffer, .. } => self.close(*buffer, None),
                Op::Store { buffer, at, lanes, mask, .. } => {
                    let shape = Shape::of_access(*buffer, at, *lanes, self.buffers, 0).filter(|_| mask.is_none());
                    match shape {
                        Some((shape, distance)) => self.add(shape, distance, position),
                        None => self.close(*buffer, None),
                    }
                }
                _ => {}
            }
        }
        self.blocks.extend(self.open.into_iter().flat_map(Candidate::blocks));
        self.blocks
    }

    fn add(&mut self, shape: Shape, distance: i64, position: usize) {
        self.close(shape.buffer, Some((&shape, distance)));
        let open = self.open.iter().position(|candidate| candidate.shape == shape);
        let open = open.unwrap_or_else(|| {
            self.open.push(Candidate::new(shape));
            self.open.len() - 1
        });
        self.open[open].accesses.insert(distance, position);
    }

    /// Ends what is open of a buffer, unless a store of this shape and distance may join it.
    fn close(&mut self, buffer: TensorId, joining: Option<(&Shape, i64)>) {
        let joins = |one: &Candidate| {
            joining.is_some_and(|(shape, distance)| one.shape == *shape && !one.accesses.contains_key(&distance))
        };
        let (closed, open) =
            std::mem::take(&mut self.open).into_iter().partition(|one| one.shape.buffer == buffer && !joins(one));
        self.open = open;
        let closed: Vec<Candidate> = closed;
        self.blocks.extend(closed.into_iter().flat_map(Candidate::blocks));
    }
}

/// Every load of an op, with the lanes that it has.
fn each_load(op: &Op, regs: &Table<RegId, Reg>, see: &mut dyn FnMut(&Value, u32)) {
    match op {
        Op::Store { at, lanes, value, mask, .. } => {
            computed(at).chain([value]).chain(mask).for_each(|value| loads_in(value, *lanes, see));
        }
        Op::Check { lanes, value, mask, .. } => {
            [value].into_iter().chain(mask).for_each(|value| loads_in(value, *lanes, see));
        }
        Op::Set { reg, value } => loads_in(value, regs[*reg].lanes, see),
        Op::For { .. }
        | Op::If { .. }
        | Op::Local { .. }
        | Op::Prefetch { .. }
        | Op::LoadBlock { .. }
        | Op::StoreBlock { .. }
        | Op::Launch(_)
        | Op::Barrier
        | Op::Copy { .. }
        | Op::Wait
        | Op::Combine { .. }
        | Op::Atomic { .. } => {}
    }
}

/// The computed ones of some subscripts.
fn computed(at: &[At]) -> impl Iterator<Item = &Value> {
    at.iter().filter_map(|at| match at {
        At::Indirect(value) => Some(&**value),
        At::Affine { .. } => None,
    })
}

fn loads_in(value: &Value, lanes: u32, see: &mut dyn FnMut(&Value, u32)) {
    if matches!(value, Value::Load { .. }) {
        see(value, lanes);
    }
    let lanes = value.lanes_below(lanes);
    value.children().into_iter().for_each(|child| loads_in(child, lanes, see));
}

/// The op with registers in the place of what blocks load.
fn in_registers(
    op: Op,
    buffers: &Table<TensorId, Buffer>,
    regs: &Table<RegId, Reg>,
    versions: &Versions,
    blocks: &[Block],
) -> Op {
    let changed = |value: &Value, lanes: u32| {
        value.rebuild_in(lanes, &mut |value, lanes| {
            let register = Shape::of(&value, lanes, buffers, versions)
                .and_then(|(shape, distance)| blocks.iter().find_map(|block| block.register(&shape, distance)));
            register.map_or(value, Value::Reg)
        })
    };
    match op {
        Op::Store { buffer, at, lanes, value, mask } => {
            let mask = mask.map(|mask| changed(&mask, lanes));
            let at = at.into_iter().map(|at| match at {
                At::Indirect(value) => At::Indirect(Box::new(changed(&value, lanes))),
                affine => affine,
            });
            let at = at.collect();
            Op::Store { buffer, at, lanes, value: changed(&value, lanes), mask }
        }
        Op::Set { reg, value } => Op::Set { reg, value: changed(&value, regs[reg].lanes) },
        Op::Check { buffer, dim, extent, value, lanes, mask, report } => {
            let mask = mask.map(|mask| changed(&mask, lanes));
            Op::Check { buffer, dim, extent, value: changed(&value, lanes), lanes, mask, report }
        }
        other => other,
    }
}
