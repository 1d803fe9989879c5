//! Kernels of a device: their blocks and threads, where they wait for each other, and what a warp does at once to memory.

use std::collections::BTreeSet;

use codegen::gpu::{self, Meeting};
use codegen::{Head, Launch, Place, Program, Stride, WARP};
use polyhedral::legality::hazards;
use polyhedral::{Scop, TensorId, isl};
use serde::Serialize;

/// A kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kernel {
    /// Its name in the texts of the loops.
    pub name: String,
    /// The lines of the text of the loops that it stands in, from 0: the first and the last one.
    pub lines: (usize, usize),
    /// The dimensions of the grid, from x on.
    pub grid: Vec<Dimension>,
    /// The dimensions of a block, from x on.
    pub block: Vec<Dimension>,
    /// Threads of a block.
    pub threads: i64,
    /// Blocks; absent where sizes are open, or where the loops around decide.
    pub blocks: Option<i64>,
    /// Threads that run each instruction together.
    pub warp: u32,
    /// The tensors that the threads of a block share.
    pub shared: Vec<Shared>,
    /// Bytes of these together.
    pub shared_bytes: i64,
    /// The accesses of memory that is shared or global, in the order of the text of the loops.
    pub accesses: Vec<WarpAccess>,
    /// The places where the threads of a block wait for each other, in the order of the text of the loops.
    pub barriers: Vec<Barrier>,
}

/// A dimension of a grid or of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dimension {
    /// `block.x`, `thread.y`, …
    pub axis: String,
    /// The variable that counts it in the text of the loops.
    pub variable: String,
    /// How many there are, as the text of the loops says it.
    pub extent: String,
    /// The same as a number, where it is one.
    pub count: Option<i64>,
    /// The loops of the schedule whose iterations it deals out.
    pub loops: Vec<String>,
}

/// A tensor in the memory that the threads of a block share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// The tensor.
    pub tensor: String,
    /// Bytes of an element.
    pub element: u32,
    /// Elements in each dimension, those that pad a row among them.
    pub extent: Vec<i64>,
    /// Elements between neighbours in each dimension.
    pub strides: Vec<i64>,
    /// Bytes of all of it.
    pub bytes: i64,
}

/// What the threads of a warp do at once to memory, at one place of a kernel: of the first warps and iterations that get there.
///
/// Of shared memory, a wavefront serves 32 banks of 4 bytes, each with one word, and every thread that asks for one of these
/// words; accesses of 8 bytes are served for half of a warp at once, those of 16 for a quarter. Of global memory, what is
/// moved are sectors of 32 bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WarpAccess {
    /// The line of the text of the loops, from 0.
    pub line: usize,
    /// The tensor.
    pub tensor: String,
    /// `shared` or `global`.
    pub memory: String,
    /// Whether it is stored to.
    pub writes: bool,
    /// Bytes that a thread moves at once.
    pub bytes: u32,
    /// The byte from which each thread of the warp that looks worst accesses, relative to the tensor; none of threads that do
    /// nothing here.
    pub addresses: Vec<Option<i64>>,
    /// Wavefronts, or sectors, that it takes for that warp.
    pub takes: u32,
    /// The fewest that move as many distinct bytes.
    pub least: u32,
    /// Of shared memory, how many words one bank has to give at most: 1 without conflicts. 1 of global memory.
    pub degree: u32,
    /// How many warps and iterations were looked at.
    pub looked_at: u32,
    /// Wavefronts, or sectors, of all of these.
    pub takes_all: u64,
    /// The fewest for all of these.
    pub least_all: u64,
}

/// A place where the threads of a block wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Barrier {
    /// The line of the text of the loops, from 0.
    pub line: usize,
    /// What threads do to shared memory between the barrier before and this one.
    pub before: Vec<Touch>,
    /// What they do between this one and the next.
    pub after: Vec<Touch>,
    /// Why it has to be there: pairs of statements whose instances on two threads touch one element, and that it orders.
    /// Empty where several lines of the text are one barrier of the schedule, and which is not known.
    pub orders: Vec<Ordered>,
}

/// What threads do to a tensor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Touch {
    /// The tensor.
    pub tensor: String,
    /// Whether they write it.
    pub writes: bool,
}

/// Two statements of which the first has to be done before the second, on other threads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ordered {
    /// Runs first.
    pub from: String,
    /// Runs later.
    pub to: String,
    /// `flow`, `anti`, `output` or `reduction`.
    pub kind: String,
}

/// The kernels of a program, whose text the lines are of; `scop` is the program with its barriers.
pub(super) fn kernels(program: &Program, scop: Option<&Scop>) -> Vec<Kernel> {
    let (places, orders) = (program.places(), scop.map(orders).unwrap_or_default());
    let heads = places.heads.iter().filter(|head| head.is_launch);
    let all = gpu::launches(&program.body).into_iter().zip(heads).zip(gpu::warps(program));
    let mut kernels: Vec<Kernel> = all.map(|((launch, head), warps)| kernel(program, launch, head, &warps)).collect();
    let mut barriers: Vec<&mut Barrier> = kernels.iter_mut().flat_map(|kernel| &mut kernel.barriers).collect();
    if barriers.len() == orders.len() {
        barriers.iter_mut().zip(orders).for_each(|(barrier, orders)| barrier.orders = orders);
    }
    kernels
}

fn kernel(program: &Program, launch: &Launch, head: &Head, warps: &gpu::Warps) -> Kernel {
    let dimension = |axis: String, var, extent: String, count| {
        let codegen::Var { name, loops } = program.vars[var].clone();
        Dimension { axis, variable: name, extent, count, loops }
    };
    let axes = || ["x", "y", "z"].into_iter();
    let grid: Vec<Dimension> = axes()
        .zip(&launch.grid)
        .map(|(axis, (var, blocks))| {
            dimension(format!("block.{axis}"), *var, program.int_text(blocks), blocks.as_const())
        })
        .collect();
    let block = axes()
        .zip(&launch.block)
        .map(|(axis, (var, threads))| dimension(format!("thread.{axis}"), *var, threads.to_string(), Some(*threads)));
    let shared: Vec<Shared> = launch.shared.iter().filter_map(|&id| shared(program, id)).collect();
    Kernel {
        name: launch.name.clone(),
        lines: (head.lines.start, head.lines.end - 1),
        blocks: grid.iter().map(|one| one.count).try_fold(1i64, |all, count| all.checked_mul(count?)),
        block: block.collect(),
        grid,
        threads: launch.block.iter().map(|(_, threads)| threads).product(),
        warp: WARP,
        shared_bytes: shared.iter().map(|one| one.bytes).sum(),
        shared,
        accesses: warps.accesses.iter().map(|one| access(program, one)).collect(),
        barriers: warps.meetings.iter().map(|one| barrier(program, one)).collect(),
    }
}

fn shared(program: &Program, id: TensorId) -> Option<Shared> {
    let buffer = program.buffers.get(id)?;
    let extent = buffer.extent.iter().map(|extent| extent.as_const()).collect::<Option<Vec<i64>>>()?;
    let stride = |stride: &Stride| match stride {
        Stride::Known(stride) => stride.as_const(),
        Stride::Runtime => None,
    };
    let strides = buffer.strides.iter().map(stride).collect::<Option<Vec<i64>>>()?;
    // From the first element to behind the last one.
    let last: i64 = extent.iter().zip(&strides).map(|(extent, stride)| (extent - 1) * stride).sum();
    let element = buffer.dtype.bytes();
    Some(Shared { tensor: buffer.name.clone(), element, bytes: (last + 1) * i64::from(element), extent, strides })
}

fn access(program: &Program, found: &gpu::WarpAccess) -> WarpAccess {
    let buffer = &program.buffers[found.buffer];
    WarpAccess {
        line: found.line,
        tensor: buffer.name.clone(),
        memory: if buffer.place == Place::Shared { "shared" } else { "global" }.into(),
        writes: found.writes,
        bytes: found.bytes,
        addresses: found.addresses.clone(),
        takes: found.worst.takes,
        least: found.worst.least,
        degree: found.worst.degree,
        looked_at: found.looked_at,
        takes_all: found.takes,
        least_all: found.least,
    }
}

fn barrier(program: &Program, meeting: &Meeting) -> Barrier {
    let touches = |all: &BTreeSet<(TensorId, bool)>| {
        let touch =
            |(id, writes): &(TensorId, bool)| Touch { tensor: program.buffers[*id].name.clone(), writes: *writes };
        all.iter().map(touch).collect()
    };
    let (before, after) = (touches(&meeting.before), touches(&meeting.after));
    Barrier { line: meeting.line, before, after, orders: Vec::new() }
}

/// isl operations that looking for what barriers order may take.
const OPERATIONS: u64 = 8_000_000;

/// For each barrier of a program, in the order of its tree, the pairs of statements that it orders; nothing past the budget.
fn orders(scop: &Scop) -> Vec<Vec<Ordered>> {
    let found = scop.ctx.with_budget(OPERATIONS, || {
        let mut barriers = Vec::new();
        in_order(scop, &scop.tree.root, &scop.tree.domain, &mut barriers)?;
        let Ok(hazards) = hazards(scop) else { return Ok(Vec::new()) };
        let mut all = vec![BTreeSet::new(); barriers.len()];
        for hazard in hazards {
            for pair in hazard.pairs.maps()? {
                let (from, to) = (pair.tuple_name(isl::Dim::In)?, pair.tuple_name(isl::Dim::Out)?);
                let ordered = Ordered { from, to, kind: hazard.kind.to_string() };
                for barrier in &hazard.barriers {
                    let at = barriers.iter().position(|name| *name == scop.stmts[*barrier].name);
                    at.into_iter().for_each(|at| _ = all[at].insert(ordered.clone()));
                }
            }
        }
        Ok::<_, isl::Error>(all.into_iter().map(|one| one.into_iter().collect()).collect())
    });
    found.unwrap_or_default()
}

/// The names of the barriers, in the order of the tree.
fn in_order(
    scop: &Scop,
    node: &polyhedral::Node,
    instances: &isl::UnionSet,
    found: &mut Vec<String>,
) -> isl::Result<()> {
    match node {
        polyhedral::Node::Leaf => {
            let names = super::tree::names(scop, instances)?;
            found.extend(
                names
                    .into_iter()
                    .filter(|name| scop.stmt_named(name).is_some_and(|stmt| scop.stmts[stmt].is_barrier())),
            );
        }
        polyhedral::Node::Sequence(children) | polyhedral::Node::Set(children) => {
            for child in children {
                in_order(scop, &child.node, &instances.intersect(&child.filter)?, found)?;
            }
        }
        _ => {
            for child in node.children() {
                in_order(scop, child, instances, found)?;
            }
        }
    }
    Ok(())
}
