//! Kernels of a device: their blocks and threads, where they wait for each other, and what a warp does at once to memory.

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
    /// Elements in each dimension.
    pub extent: Vec<i64>,
    /// Elements between neighbours in each dimension: more than the extents say where rows are padded.
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
    /// Why it has to be there: pairs of statements whose instances on two threads touch one element, and that it orders. Of
    /// a barrier that stands in the text several times, those of all of them.
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
