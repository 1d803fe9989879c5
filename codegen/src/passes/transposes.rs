use std::collections::BTreeMap;

use polyhedral::TensorId;
use support::Table;

use crate::program::along_by;
use crate::{At, Buffer, Int, Op, Program, Reg, RegId, Stride, Value};

/// Loads neighbours together that lie next to each other in memory while the lanes of each do not.
///
/// ```text
/// O[j, i .. +16] = I[i .. +16, j]              r0, r1, … = block I[i .. +16, j] along dimension 1
/// O[j + 1, i .. +16] = I[i .. +16, j + 1]  ->  O[j, i .. +16] = r0
/// …                                            O[j + 1, i .. +16] = r1
///                                              …
/// ```
///
/// Lane by lane, a vector costs as many loads as it has lanes. A block is loaded along the contiguous dimension, and
/// transposed between registers. Done for two loads or more of one straight run of ops, of the same elements but for
/// consecutive distances along the contiguous dimension, without a mask, and with no store to the buffer between them.
/// Exactly the same elements are touched.
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
        let mut blocks = Finder { buffers: self.buffers, regs: self.regs, blocks: Vec::new() }.blocks(&ops);
        if blocks.is_empty() {
            return ops;
        }
        let mut registers: BTreeMap<usize, Vec<Op>> = BTreeMap::new();
        for block in &mut blocks {
            let row = &self.buffers[block.shape.buffer];
            let reg = || Reg { name: row.name.clone(), dtype: row.dtype, lanes: block.shape.lanes };
            block.regs = (0..block.distances.len()).map(|_| self.regs.push(reg())).collect();
            let (buffer, along) = (block.shape.buffer, block.shape.along);
            let at = along_by(&block.shape.at, along, block.distances[0]);
            registers.entry(block.first).or_default().push(Op::LoadBlock {
                regs: block.regs.clone(),
                buffer,
                at,
                along,
            });
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

/// Loads that differ by their distance along one dimension only.
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
        let strides = &buffers[*buffer].strides;
        let along = strides.iter().rposition(|stride| *stride == Stride::Known(Int::Const(1)))?;
        let At::Affine { base, step: 0 } = at.get(along)? else { return None };
        let moves = |at: &At| matches!(at, At::Affine { step, .. } if *step != 0);
        let is_affine = at.iter().all(|at| matches!(at, At::Affine { .. }));
        if lanes < 2 || !is_affine || !at.iter().any(moves) {
            return None;
        }
        let distance = base.linear().constant;
        let at = along_by(at, along, distance.checked_neg()?);
        Some((Shape { buffer: *buffer, version: versions.of(*buffer), lanes, along, at }, distance))
    }
}

/// Consecutive distances of one shape.
struct Block {
    shape: Shape,
    /// Two or more.
    distances: Vec<i64>,
    /// The op that has the first of the loads.
    first: usize,
    /// One for each distance.
    regs: Vec<RegId>,
}

impl Block {
    fn register(&self, shape: &Shape, distance: i64) -> Option<RegId> {
        let at = self.distances.binary_search(&distance).ok()?;
        (self.shape == *shape).then(|| self.regs[at])
    }
}

/// Loads of one shape: the distances, with the first op that has each.
struct Candidate {
    shape: Shape,
    loads: BTreeMap<i64, usize>,
}

struct Finder<'a> {
    buffers: &'a Table<TensorId, Buffer>,
    regs: &'a Table<RegId, Reg>,
    blocks: Vec<Block>,
}

impl Finder<'_> {
    fn blocks(mut self, ops: &[Op]) -> Vec<Block> {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut versions = Versions::default();
        for (position, op) in ops.iter().enumerate() {
            each_load(op, self.regs, &mut |value, lanes| {
                let Some((shape, distance)) = Shape::of(value, lanes, self.buffers, &versions) else { return };
                let known = candidates.iter().position(|candidate| candidate.shape == shape);
                let known = known.unwrap_or_else(|| {
                    candidates.push(Candidate { shape, loads: BTreeMap::new() });
                    candidates.len() - 1
                });
                candidates[known].loads.entry(distance).or_insert(position);
            });
            versions.store(stored(op));
        }
        candidates.into_iter().for_each(|candidate| self.cut(candidate));
        self.blocks
    }

    /// The candidate's runs of consecutive distances, as blocks.
    fn cut(&mut self, candidate: Candidate) {
        let Candidate { shape, loads } = candidate;
        let loads: Vec<(i64, usize)> = loads.into_iter().collect();
        for run in loads.chunk_by(|(a, _), (b, _)| a.checked_add(1) == Some(*b)) {
            let Some(first) = run.iter().map(|(_, position)| *position).min().filter(|_| run.len() > 1) else {
                continue;
            };
            let distances = run.iter().map(|(distance, _)| *distance).collect();
            self.blocks.push(Block { shape: shape.clone(), distances, first, regs: Vec::new() });
        }
    }
}

/// Every load of an op, with the lanes that it has.
fn each_load(op: &Op, regs: &Table<RegId, Reg>, see: &mut dyn FnMut(&Value, u32)) {
    let mut values = |values: &[&Value], lanes: u32| values.iter().for_each(|value| loads_in(value, lanes, see));
    match op {
        Op::Store { lanes, value, mask, .. } | Op::Check { lanes, value, mask, .. } => {
            values(&[value], *lanes);
            mask.iter().for_each(|mask| values(&[mask], *lanes));
        }
        Op::Set { reg, value } => values(&[value], regs[*reg].lanes),
        Op::For { .. } | Op::If { .. } | Op::Local { .. } | Op::Prefetch { .. } | Op::LoadBlock { .. } => {}
    }
}

fn loads_in(value: &Value, lanes: u32, see: &mut dyn FnMut(&Value, u32)) {
    if matches!(value, Value::Load { .. }) {
        see(value, lanes);
    }
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
        value.rebuild(&mut |value| {
            let register = Shape::of(&value, lanes, buffers, versions)
                .and_then(|(shape, distance)| blocks.iter().find_map(|block| block.register(&shape, distance)));
            register.map_or(value, Value::Reg)
        })
    };
    match op {
        Op::Store { buffer, at, lanes, value, mask } => {
            let mask = mask.map(|mask| changed(&mask, lanes));
            Op::Store { buffer, at, lanes, value: changed(&value, lanes), mask }
        }
        Op::Set { reg, value } => Op::Set { reg, value: changed(&value, regs[reg].lanes) },
        Op::Check { buffer, dim, extent, value, lanes, mask } => {
            let mask = mask.map(|mask| changed(&mask, lanes));
            Op::Check { buffer, dim, extent, value: changed(&value, lanes), lanes, mask }
        }
        other => other,
    }
}
